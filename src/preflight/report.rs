//! All findings of one run, with a verdict. Serialises to the format in `assets/check.schema.json`.

use serde::Serialize;
use serde_json::{Value, json};

use super::finding::{Finding, Severity, Status};
use crate::catalog::Facts;
use crate::connection::printable;
use crate::profile::{Method, Profile, Selection, TableName};

/// The version of the format; it changes when a field changes its meaning or goes.
pub const FORMAT_VERSION: u32 = 1;

/// Whether replication can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing stands in the way.
    Ready,
    /// It can start, with risks.
    Warnings,
    /// It can't start.
    Blocked,
}

/// The result of a preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The format's version.
    pub version: u32,
    /// The server: host, port, database, user, version.
    pub source: Value,
    /// What was asked for: method, tables, publication, slot.
    pub profile: Value,
    /// Whether replication can start.
    pub verdict: Verdict,
    /// Every check's result, worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Sorts `findings`, worst first and otherwise in the catalogue's order, and decides.
    pub(super) fn new(mut findings: Vec<Finding>, source: Value, profile: &Profile) -> Self {
        findings.sort_by_key(rank);
        let verdict = match findings.first().map(rank) {
            Some(Rank::Blocker) => Verdict::Blocked,
            Some(Rank::Warning) => Verdict::Warnings,
            _ => Verdict::Ready,
        };
        Self { version: FORMAT_VERSION, source, profile: wanted(profile), verdict, findings }
    }

    /// The finding of a check.
    #[must_use]
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }

    /// How many findings are blockers, warnings, informations that did not pass, passed, and skipped.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for finding in &self.findings {
            *match rank(finding) {
                Rank::Blocker => &mut counts.blockers,
                Rank::Warning => &mut counts.warnings,
                Rank::Info => &mut counts.infos,
                Rank::Skipped => &mut counts.skipped,
                Rank::Passed => &mut counts.passed,
            } += 1;
        }
        counts
    }
}

/// How many findings there are of each rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "see `Rank`")]
pub struct Counts {
    pub blockers: usize,
    pub warnings: usize,
    pub infos: usize,
    pub skipped: usize,
    pub passed: usize,
}

/// Where a finding stands in a report: status and severity together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It fails, and replication can't start or hurts the application.
    Blocker,
    /// It fails, is risky, or can't be seen.
    Warning,
    /// Good to know.
    Info,
    /// Another check owns the cause.
    Skipped,
    /// It holds.
    Passed,
}

/// The rank of a finding. What can't be seen is at most a warning: it may well be in order.
#[must_use]
pub fn rank(finding: &Finding) -> Rank {
    match (finding.status, finding.severity) {
        (Status::Pass, _) => Rank::Passed,
        (Status::Skipped, _) => Rank::Skipped,
        (_, Severity::Info) => Rank::Info,
        (Status::Fail, Severity::Blocker) => Rank::Blocker,
        _ => Rank::Warning,
    }
}

/// The report's `source`; without facts the server was not reached. Never holds the password.
pub(super) fn source(profile: &Profile, facts: Option<&Facts>) -> Value {
    let settings = &profile.source;
    let mut source = json!({
        "host": printable(&settings.host),
        "port": settings.port,
        "database": printable(&settings.database),
        "user": printable(&settings.user),
        "sslmode": settings.ssl_mode.name(),
        "reached": facts.is_some(),
    });
    if let Some(facts) = facts {
        source["server_version"] = json!(printable(&facts.server.version));
        source["server_version_num"] = json!(facts.server.version_num);
        source["provider"] = json!(facts.provider.name());
        source["encrypted"] = json!(facts.link.encrypted);
        source["in_recovery"] = json!(facts.server.in_recovery);
        source["checked_as"] = json!(printable(&facts.reader.name));
    }
    source
}

fn wanted(profile: &Profile) -> Value {
    let cdc = profile.method == Method::Cdc;
    let (schemas, tables) = match &profile.selection {
        Selection::Schemas(names) => (Some(names.iter().map(|name| printable(name)).collect::<Vec<_>>()), None),
        Selection::Tables(names) => (None, Some(names.iter().map(TableName::to_string).collect::<Vec<_>>())),
    };
    json!({
        "method": profile.method.name(),
        "schemas": schemas,
        "tables": tables,
        "publication": cdc.then(|| printable(&profile.publication)),
        "slot": cdc.then(|| printable(&profile.slot)),
        "initial_copy": profile.initial_copy,
    })
}
