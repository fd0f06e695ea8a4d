//! Proves a plan on the real database: runs it in one transaction, runs the preflight inside, and rolls back.
//!
//! Nothing stays. No statement waits for a lock longer than the session's `lock_timeout`, and the locks that it gets are
//! held only until the preflight has looked, well under a second.

use super::plan::{Plan, Step};
use crate::catalog::gather::gather;
use crate::connection::{Session, describe};
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Report, evaluate};
use crate::profile::Profile;

/// What a rehearsal showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// The step that failed (from 0) and the server's reason.
    pub failed: Option<(usize, String)>,
    /// Titles of steps that can't be part of a transaction.
    pub not_rehearsed: Vec<String>,
    /// Checks that complained before and pass now.
    pub cleared: Vec<&'static str>,
    /// The report inside the transaction; `None` when a step failed.
    pub after: Option<Report>,
}

/// Whether a step can be rolled back: a slot can't.
fn in_transaction(step: &Step) -> bool {
    !step.sql.contains("pg_create_logical_replication_slot") && !step.sql.contains("pg_drop_replication_slot")
}

/// Rehearses `plan` through the administrator's session. `before` is the report that the plan was made from.
///
/// # Errors
/// When the connection breaks or the catalogs can't be read; the server has rolled back then.
pub async fn rehearse(admin: &Session, profile: &Profile, plan: &Plan, before: &Report) -> Result<Rehearsal, String> {
    let mut rehearsal = Rehearsal {
        failed: None,
        not_rehearsed: plan.steps.iter().filter(|step| !in_transaction(step)).map(|step| step.title.clone()).collect(),
        cleared: Vec::new(),
        after: None,
    };
    admin.client.batch_execute("BEGIN").await.map_err(|error| describe(&error))?;
    for (at, step) in plan.steps.iter().enumerate().filter(|(_, step)| in_transaction(step)) {
        if let Err(error) = admin.client.batch_execute(&step.sql).await {
            rehearsal.failed = Some((at, describe(&error)));
            break;
        }
    }
    let facts = match rehearsal.failed {
        None => Some(gather(admin, profile).await),
        Some(_) => None,
    };
    admin.client.batch_execute("ROLLBACK").await.map_err(|error| describe(&error))?;
    if let Some(facts) = facts {
        let report = evaluate(&facts.map_err(|error| error.to_string())?, profile);
        let complained = |report: &Report, id: &str| {
            report.finding(id).is_some_and(|finding| matches!(rank(finding), Rank::Blocker | Rank::Warning))
        };
        rehearsal.cleared = before
            .findings
            .iter()
            .map(|finding| finding.id)
            .filter(|id| complained(before, id) && !complained(&report, id))
            .collect();
        rehearsal.after = Some(report);
    }
    Ok(rehearsal)
}
