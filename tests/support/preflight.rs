//! The preflight as tests use it: look, find, mend as a user would who copies the fixes.

use std::process::Command;
use std::time::Duration;

use walpilot::catalog::gather::gather_and_probe;
use walpilot::catalog::{Facts, deep};
use walpilot::connection::{Secret, Session, SessionOptions, Settings, connect};
use walpilot::demo::Cluster;
use walpilot::preflight::report::{Rank, rank};
use walpilot::preflight::{Finding, FixKind, Report, Status, evaluate};
use walpilot::profile::Profile;

/// A session as `walpilot check` has it.
pub async fn inspect(settings: &Settings) -> Session {
    connect(settings, &SessionOptions::inspect()).await.unwrap_or_else(|failure| panic!("{failure}"))
}

/// The preflight as the profile's own role.
pub async fn look(profile: &Profile) -> Report {
    look_as(&profile.source, profile).await
}

/// The preflight on behalf of the profile's role.
pub async fn look_as(whom: &Settings, profile: &Profile) -> Report {
    evaluate(&facts(whom, profile).await, profile)
}

/// What the preflight judges.
pub async fn facts(whom: &Settings, profile: &Profile) -> Facts {
    gather_and_probe(&inspect(whom).await, profile).await.expect("facts")
}

/// The preflight with the deep probes, which watch the server for a moment only.
pub async fn look_deep(profile: &Profile) -> Report {
    let mut facts = facts(&profile.source, profile).await;
    facts.deep = Some(deep::probe(profile, &facts, Duration::from_millis(200)).await);
    evaluate(&facts, profile)
}

#[track_caller]
pub fn finding<'a>(report: &'a Report, id: &str) -> &'a Finding {
    report.finding(id).unwrap_or_else(|| panic!("{id} is not in {report:#?}"))
}

#[track_caller]
pub fn rank_of(report: &Report, id: &str) -> Rank {
    rank(finding(report, id))
}

/// What blocks or warns, for a report that ought to have none of it. That the support of an old server has ended is
/// true, and comes by the calendar.
pub fn raised(report: &Report) -> Vec<String> {
    let raised = report.findings.iter().filter(|one| matches!(rank(one), Rank::Blocker | Rank::Warning));
    let raised = raised.filter(|one| !(one.id == "server-version" && one.status == Status::Warn));
    raised.map(|one| format!("{}: {}", one.id, one.summary)).collect()
}

/// Runs the statements of a finding's fixes as an administrator, each on its own with `psql -c`, just as they are.
pub fn try_mend(admin: &Settings, report: &Report, id: &str) -> Result<(), String> {
    let finding = finding(report, id);
    let code = |kind: FixKind| matches!(kind, FixKind::Sql | FixKind::Setting);
    let fixes: Vec<&str> = finding.fixes.iter().filter(|fix| code(fix.kind)).map(|fix| fix.text.as_str()).collect();
    if fixes.is_empty() {
        return Err(format!("no fix in SQL: {finding:#?}"));
    }
    for fix in fixes {
        let mut command: Command = super::psql_command(admin);
        let output = command.args(["-v", "ON_ERROR_STOP=1", "-c", fix]).output().expect("psql");
        if !output.status.success() {
            return Err(format!("{id}: {fix}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    Ok(())
}

/// [`try_mend`], for tests of which that is no part.
#[track_caller]
pub fn mend(admin: &Settings, report: &Report, id: &str) {
    try_mend(admin, report, id).unwrap_or_else(|error| panic!("{error}"));
}

/// A role that may replicate, and nothing else.
pub fn repl(cluster: &Cluster) -> Settings {
    super::prepare(&cluster.settings(), "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'repl'");
    cluster.settings().as_user("repl", Some(Secret::new("repl")))
}
