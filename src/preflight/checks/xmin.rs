//! What only the xmin method has to know.

use super::cause::relations_unseen;
use super::outcome::{Outcome, size, some_of};
use super::{Check, Family};
use crate::preflight::finding::Severity;
use crate::profile::Method;

const XMIN: Option<Method> = Some(Method::Xmin);
/// From this size on a full read at each run wants a second thought.
const BIG: i64 = 500 * (1 << 30);

pub(crate) static RELATION_KIND: Check = Check {
    id: "xmin-relation-kind",
    family: Family::Xmin,
    method: XMIN,
    severity: Severity::Blocker,
    why: "Only rows of tables have an xmin that tells when they changed.",
    doc: "https://www.postgresql.org/docs/current/ddl-system-columns.html",
    judge: |facts, _| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let bad: Vec<String> = facts
            .chosen()
            .filter(|relation| !relation.is_leaf() && !relation.is_partitioned())
            .map(|relation| format!("{} is {}", relation.table(), relation.kind_name()))
            .collect();
        Some(if bad.is_empty() {
            Outcome::pass("every chosen relation is a table")
        } else {
            Outcome::fail(format!("no xmin to go by: {}", some_of(&bad)))
                .objects(bad)
                .advice("Choose the tables behind it.", "you")
        })
    },
};

pub(crate) static DELETES: Check = Check {
    id: "xmin-deletes",
    family: Family::Xmin,
    method: XMIN,
    severity: Severity::Info,
    why: "A deleted row leaves nothing to read: the xmin method sees neither DELETE nor TRUNCATE.",
    doc: "https://www.postgresql.org/docs/current/ddl-system-columns.html",
    judge: |facts, _| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let keyless: Vec<String> = facts
            .chosen()
            .filter(|table| table.identity.primary_key.is_none() && table.identity.candidates.is_empty())
            .map(|table| table.table().to_string())
            .collect();
        Some(if keyless.is_empty() {
            Outcome::warn("deletes will not be seen; cdc sees them")
        } else {
            Outcome::warn(format!("without a key changed rows can't be told from new ones: {}", some_of(&keyless)))
                .severity(Severity::Warning)
                .objects(keyless)
                .advice("Add a primary key, or use the method cdc.", "table owner")
        })
    },
};

pub(crate) static FULL_SCAN: Check = Check {
    id: "xmin-full-scan",
    family: Family::Xmin,
    method: XMIN,
    severity: Severity::Warning,
    why: "No index serves xmin: each run reads the tables from end to end.",
    doc: "https://www.postgresql.org/docs/current/ddl-system-columns.html",
    judge: |facts, _| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let total: i64 = facts.relations().iter().filter(|table| table.wanted).map(|table| table.bytes).sum();
        let text = format!("each run reads {}", size(total));
        let outcome = if total >= BIG {
            Outcome::warn(text).advice("Use the method cdc for tables of this size.", "you")
        } else {
            Outcome::pass(text)
        };
        Some(outcome.evidence("bytes", total))
    },
};
