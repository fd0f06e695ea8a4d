//! Open transactions, for which the creation of a slot waits.

use super::outcome::{Outcome, count, duration, some_of};
use super::{Check, Family};
use crate::catalog::facts::{Activity, Writer};
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::catalog::{Facts, Seen};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

const CDC: Option<Method> = Some(Method::Cdc);
const DOC: &str = "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html";
/// From this age on an open transaction is more than a passing one.
const LONG_S: i64 = 10;

fn activity(facts: &Facts) -> Result<&Activity, Outcome> {
    match &facts.activity {
        Seen::Yes(activity) => Ok(activity),
        Seen::No(reason) => Err(Outcome::unseen("open transactions", reason, None)),
    }
}

/// Whether a slot will be made: the profile's own, or the temporary one of an initial copy.
fn makes_slot(facts: &Facts, profile: &Profile) -> bool {
    profile.initial_copy || facts.slot(&profile.slot).is_none()
}

fn is_long(writer: &Writer) -> bool {
    writer.seconds.map_or(writer.lasting, |seconds| seconds >= LONG_S)
}

pub(crate) static LONG_WRITERS: Check = Check {
    id: "long-writers",
    family: Family::Transactions,
    method: CDC,
    severity: Severity::Warning,
    why: "Creating a slot waits for every transaction that has written, in any database of the cluster.",
    doc: DOC,
    judge: |facts, profile| {
        let activity = match activity(facts) {
            Ok(activity) => activity,
            Err(unseen) => return Some(unseen),
        };
        let long: Vec<&Writer> = activity.writers.iter().filter(|writer| is_long(writer)).collect();
        if long.is_empty() || !makes_slot(facts, profile) {
            return Some(Outcome::pass("no open transaction delays a slot"));
        }
        let names: Vec<String> = long
            .iter()
            .map(|writer| {
                let since = writer.seconds.map_or_else(|| "age hidden".to_owned(), |s| format!("for {}", duration(s)));
                format!("process {} in {} ({since})", writer.pid, writer.database.as_deref().unwrap_or("?"))
            })
            .collect();
        let outcome = Outcome::warn(format!(
            "{} delays the slot: {}",
            count(long.len(), "open transaction", "open transactions"),
            some_of(&names)
        ))
        .objects(names)
        .advice("Wait for it, or let its owner end it. walpilot gives up on its own after a time limit.", "you");
        Some(if long.iter().any(|writer| writer.seconds.is_none()) {
            let role = quote_ident(&profile.source.user);
            outcome.sql(format!("GRANT pg_read_all_stats TO {role}"), "superuser; shows since when and which query")
        } else {
            outcome
        })
    },
};

pub(crate) static PREPARED: Check = Check {
    id: "prepared-transactions",
    family: Family::Transactions,
    method: CDC,
    severity: Severity::Blocker,
    why: "A forgotten PREPARE TRANSACTION makes the creation of a slot wait for ever, and holds WAL back.",
    doc: "https://www.postgresql.org/docs/current/view-pg-prepared-xacts.html",
    judge: |facts, profile| {
        let activity = match activity(facts) {
            Ok(activity) => activity,
            Err(unseen) => return Some(unseen),
        };
        let old: Vec<_> = activity.prepared.iter().filter(|one| one.seconds >= LONG_S).collect();
        if old.is_empty() {
            return Some(Outcome::pass("no transaction lies prepared"));
        }
        let names: Vec<String> = old
            .iter()
            .map(|one| format!("'{}' in {} (for {})", one.gid, one.database, duration(one.seconds)))
            .collect();
        let mut outcome = Outcome::fail(format!(
            "{}: {}",
            count(old.len(), "prepared transaction", "prepared transactions"),
            some_of(&names)
        ))
        .objects(old.iter().map(|one| &one.gid));
        if !makes_slot(facts, profile) {
            outcome = outcome.severity(Severity::Warning);
        }
        for one in old {
            outcome = outcome.sql(
                format!("ROLLBACK PREPARED {}", quote_literal(&one.gid)),
                &format!(
                    "{} or superuser, in database {}; COMMIT PREPARED if it was meant to be kept",
                    one.owner, one.database
                ),
            );
        }
        Some(outcome)
    },
};
