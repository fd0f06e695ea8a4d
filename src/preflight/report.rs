//! All findings of one run, with a verdict. Serialises to the format in `assets/check.schema.json`.

use serde::Serialize;

use super::finding::Finding;

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
    pub source: serde_json::Value,
    /// What was asked for: method, tables, publication, slot.
    pub profile: serde_json::Value,
    /// Whether replication can start.
    pub verdict: Verdict,
    /// Every check's result, worst first.
    pub findings: Vec<Finding>,
}
