//! The report when the server can't be reached: one finding, in the same format as all others.

use super::checks::connection_owner;
use super::finding::{Finding, Fix, FixKind, Severity, Status};
use super::report::{self, Report};
use crate::connection::Failure;
use crate::profile::Profile;

/// The report of a preflight that ended at the connection.
#[must_use]
pub fn unreachable(failure: &Failure, profile: &Profile) -> Report {
    let check = connection_owner(failure.class);
    let mut evidence = std::collections::BTreeMap::new();
    evidence.insert("class".to_owned(), serde_json::json!(failure.class));
    evidence.insert("sqlstate".to_owned(), serde_json::json!(failure.sqlstate));
    evidence.insert("tries".to_owned(), serde_json::json!(failure.tries));
    let finding = Finding {
        id: check.id,
        status: Status::Fail,
        severity: Severity::Blocker,
        summary: failure.message.clone(),
        why: check.why.to_owned(),
        evidence,
        objects: Vec::new(),
        object_count: 0,
        fixes: vec![Fix {
            kind: FixKind::Text,
            text: failure.remedy.clone(),
            who: "you".to_owned(),
            lock: None,
            restart: false,
        }],
        doc: check.doc,
    };
    Report::new(vec![finding], report::source(profile, None), profile)
}
