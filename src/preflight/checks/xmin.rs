//! What only the xmin method has to know.

use super::cause::{cluster, relations_unseen};
use super::outcome::{Judged, Outcome, settle, size, some_of};
use super::{Check, Family};
use crate::catalog::Facts;
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

const XMIN: Option<Method> = Some(Method::Xmin);
/// From this size on a full read at each run wants a second thought.
const BIG: i64 = 500 * (1 << 30);
/// More in a day, and a pause of a week brings 2^31 into reach.
const WEEKLY_XIDS: i64 = (1 << 31) / 7;
/// So many transactions pass in minutes on a busy server.
const MANY_XIDS: i64 = 1_000_000;

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
            .filter_map(|relation| match relation.access_method.as_deref() {
                // A materialized view is read as a whole each time.
                _ if !relation.is_leaf() && !relation.is_partitioned() && relation.kind != "m" => {
                    Some(format!("{} is {}", relation.table(), relation.kind_name()))
                }
                Some(method) if relation.is_leaf() && method != "heap" => {
                    Some(format!("{} is stored by {method}, not as a heap", relation.table()))
                }
                _ => None,
            })
            .collect();
        Some(if bad.is_empty() {
            Outcome::pass("every chosen relation can be read by xmin")
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
            // The columns of a materialized view are never NOT NULL; its unique index is looked for by the run.
            .filter(|table| table.kind != "m")
            .map(|table| table.table().to_string())
            .collect();
        Some(if keyless.is_empty() {
            Outcome::warn("deletes will not be seen; cdc sees them")
        } else {
            Outcome::fail(format!("without a key changed rows can't be told from new ones: {}", some_of(&keyless)))
                .severity(Severity::Blocker)
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

pub(crate) static EPOCH: Check = Check {
    id: "xmin-epoch",
    family: Family::Xmin,
    method: Some(Method::Xmin),
    severity: Severity::Warning,
    why: "After 2^32 transactions xmin starts anew, and frozen rows keep their old value: a filter by xmin misses them.",
    doc: "https://www.postgresql.org/docs/current/routine-vacuuming.html",
    judge: |facts, profile| settle(epoch(facts, profile)),
};

fn epoch(facts: &Facts, _: &Profile) -> Judged {
    let epoch = cluster(facts)?.xid_xmin >> 32;
    let outcome = if epoch == 0 {
        Outcome::pass("transaction ids have not come round yet")
    } else {
        Outcome::warn(format!("transaction ids have come round {epoch} times")).advice(
            "Read everything without a filter at the first run, and again after 2^31 transactions.",
            "the reader",
        )
    };
    Ok(Some(outcome.evidence("epoch", epoch)))
}

pub(crate) static RATE: Check = Check {
    id: "xmin-rate",
    family: Family::Xmin,
    method: Some(Method::Xmin),
    severity: Severity::Warning,
    why: "Between two runs fewer than 2^31 transactions may pass, or newer rows look older.",
    doc: "https://www.postgresql.org/docs/current/routine-vacuuming.html",
    judge: |facts, profile| settle(rate(facts, profile)),
};

fn rate(facts: &Facts, _: &Profile) -> Judged {
    let Some(deep) = &facts.deep else { return Ok(None) };
    let Some(rate) = deep.rate else {
        return Ok(Some(
            Outcome::unseen("how many transactions a day has", "the server did not tell")
                .severity(Severity::Info)
                .advice("Run walpilot check --deep again.", "you"),
        ));
    };
    #[expect(clippy::cast_possible_truncation, reason = "a rate, for people")]
    let day = rate.xids_per_day() as i64;
    let text = format!("about {day} transactions that write in a day");
    let outcome = if day > WEEKLY_XIDS {
        Outcome::warn(format!("{text}: more than a week between two runs is too long"))
            .advice("Run at least once a day.", "you")
    } else {
        Outcome::pass(text)
    };
    Ok(Some(outcome.evidence("per_day", day)))
}

pub(crate) static OLD_WRITERS: Check = Check {
    id: "xmin-long-writers",
    family: Family::Xmin,
    method: Some(Method::Xmin),
    severity: Severity::Warning,
    why: "Rows are safe to take only up to the oldest open transaction: an old one makes each run read more again.",
    doc: "https://www.postgresql.org/docs/current/functions-info.html",
    judge: |facts, profile| settle(old_writers(facts, profile)),
};

fn old_writers(facts: &Facts, _: &Profile) -> Judged {
    let cluster = cluster(facts)?;
    let gap = (cluster.xid_xmax - cluster.xid_xmin).max(0);
    let outcome = if gap < MANY_XIDS {
        Outcome::pass(format!("the oldest open transaction is {gap} transactions old"))
    } else {
        Outcome::warn(format!("the oldest open transaction is {gap} transactions old")).advice(
            "Find it in pg_stat_activity by backend_xid or backend_xmin, and let its owner end it.",
            "superuser",
        )
    };
    Ok(Some(outcome.evidence("transactions", gap)))
}

pub(crate) static REWRITES: Check = Check {
    id: "xmin-rewrite-events",
    family: Family::Xmin,
    method: Some(Method::Xmin),
    severity: Severity::Info,
    why: "A dump and reload, an UPDATE of all rows or a refreshed view gives every row a new xmin: all is read again.",
    doc: "https://www.postgresql.org/docs/current/ddl-system-columns.html",
    judge: |facts, profile| settle(rewrites(facts, profile)),
};

fn rewrites(facts: &Facts, _: &Profile) -> Judged {
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let views: Vec<String> =
        facts.chosen().filter(|table| table.kind == "m").map(|table| table.table().to_string()).collect();
    Ok(Some(if views.is_empty() {
        Outcome::warn("after a dump and reload or an UPDATE of all rows everything is read again")
    } else {
        Outcome::warn(format!("each REFRESH makes everything be read again: {}", some_of(&views))).objects(views)
    }))
}
