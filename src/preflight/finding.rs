//! One check's result.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It holds.
    Pass,
    /// It holds, with a risk that the user should know.
    Warn,
    /// It does not hold.
    Fail,
    /// This role may not see it; the fix names the grant that would open it.
    Unseen,
    /// Not judged, because another check owns the cause.
    Skipped,
}

/// How much a finding that did not pass matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Replication works, but something will hurt.
    Warning,
    /// Replication can't work, or would break the source's own application.
    Blocker,
}

/// What kind of text a fix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FixKind {
    /// Statements to run in the source's database.
    Sql,
    /// A server setting.
    Setting,
    /// A command of the provider's console.
    Console,
    /// Advice in words.
    Text,
}

/// One way to mend a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What kind of text it is.
    pub kind: FixKind,
    /// The exact text.
    pub text: String,
    /// Who may do it: superuser, database owner, table owner, …
    pub who: String,
    /// The lock that it takes, where it takes one that others feel.
    pub lock: Option<String>,
    /// Whether the server has to be restarted.
    pub restart: bool,
}

/// One check's result, with everything needed to explain it. All texts are safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's public name.
    pub id: &'static str,
    /// What it came to.
    pub status: Status,
    /// How much it matters if it did not pass.
    pub severity: Severity,
    /// One line with the object's name and the value seen.
    pub summary: String,
    /// Why it matters, in one line.
    pub why: String,
    /// The values it was decided on.
    pub evidence: BTreeMap<String, serde_json::Value>,
    /// The objects concerned.
    pub objects: Vec<String>,
    /// How many objects there are.
    pub object_count: usize,
    /// Ways to mend it, the best first.
    pub fixes: Vec<Fix>,
    /// Where PostgreSQL's documentation speaks of it.
    pub doc: &'static str,
}
