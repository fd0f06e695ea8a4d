//! Open transactions, for which the creation of a slot waits.

use super::cause::{cluster, relations_unseen};
use super::outcome::{Judged, Outcome, count, duration, settle, some_of};
use super::unseen::{Part, unseen, unseen_setting};
use super::{Check, Family};
use crate::catalog::facts::{Activity, LONG_S, Prepared, Writer};
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::catalog::relation::Relation;
use crate::catalog::{Facts, Seen};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

const CDC: Option<Method> = Some(Method::Cdc);
const DOC: &str = "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html";
/// walpilot run waits so long for its slot: an older transaction will hardly end within that time.
const PATIENCE_S: i64 = 600;
/// From this age on a snapshot keeps more than a passing amount of dead rows.
const OLD_SNAPSHOT_S: i64 = 600;
/// Locks that no ordinary statement of an application takes.
const STRONG_LOCKS: [&str; 4] = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"];

fn activity(facts: &Facts) -> Result<&Activity, Outcome> {
    match &facts.activity {
        Seen::Yes(activity) => Ok(activity),
        Seen::No(reason) => Err(unseen(facts, Part::Activity, reason)),
    }
}

/// Whether a slot will be made: the profile's own, or the temporary one of an initial copy.
fn makes_slot(facts: &Facts, profile: &Profile) -> bool {
    profile.initial_copy || facts.slot(&profile.slot).is_none()
}

fn is_long(writer: &Writer) -> bool {
    writer.lasting || writer.seconds.is_some_and(|seconds| seconds >= LONG_S)
}

fn stays(prepared: &Prepared) -> bool {
    prepared.lasting || prepared.seconds >= LONG_S
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
                let idle = if writer.idle == Some(true) { ", idle in transaction" } else { "" };
                let user = writer.user.as_ref().map_or_else(String::new, |user| format!(" of {user}"));
                let database = writer.database.as_deref().unwrap_or("?");
                format!("process {}{user} in {database} ({since}{idle})", writer.pid)
            })
            .collect();
        let text = format!(
            "{} the slot: {}",
            count(long.len(), "open transaction delays", "open transactions delay"),
            some_of(&names)
        );
        let hopeless = long.iter().any(|writer| writer.seconds.is_some_and(|seconds| seconds >= PATIENCE_S));
        let mut outcome = if hopeless { Outcome::fail(text).severity(Severity::Blocker) } else { Outcome::warn(text) };
        outcome = outcome
            .objects(names)
            .advice("Wait for it, or let its owner end it. walpilot gives up on its own after a time limit.", "you");
        for writer in &long {
            outcome = outcome.sql(
                format!("SELECT pg_catalog.pg_terminate_backend({})", writer.pid),
                "its owner, or superuser: its transaction is rolled back",
            );
        }
        if long.iter().any(|writer| writer.seconds.is_none()) {
            let role = quote_ident(&facts.reader.name);
            outcome = outcome
                .sql(format!("GRANT pg_read_all_stats TO {role}"), "superuser; shows since when and which query");
        }
        Some(outcome)
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
        let old: Vec<&Prepared> = activity.prepared.iter().filter(|one| stays(one)).collect();
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

pub(crate) static TWO_PHASE: Check = Check {
    id: "two-phase-in-use",
    family: Family::Transactions,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "Changes of a prepared transaction arrive only at COMMIT PREPARED, unless the slot decodes two phases.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-two-phase-commits.html",
    judge: |facts, profile| settle(two_phase(facts, profile)),
};

fn two_phase(facts: &Facts, _: &Profile) -> Judged {
    let Some(max) = facts.number("max_prepared_transactions") else {
        return Err(unseen_setting(facts, "max_prepared_transactions"));
    };
    Ok(Some(if max == 0 {
        Outcome::pass("prepared transactions are off")
    } else {
        Outcome::warn(format!("up to {max} transactions may be prepared"))
            .evidence("max_prepared_transactions", max)
            .advice("End each of them soon: meanwhile it delays slots and holds back the log.", "the application")
    }))
}

pub(crate) static LONG_READERS: Check = Check {
    id: "long-readers",
    family: Family::Transactions,
    method: None,
    severity: Severity::Info,
    why: "A session that holds an old snapshot keeps dead rows from being cleaned up, as a long copy does too.",
    doc: "https://www.postgresql.org/docs/current/routine-vacuuming.html",
    judge: |facts, profile| settle(long_readers(facts, profile)),
};

fn long_readers(facts: &Facts, _: &Profile) -> Judged {
    let cluster = cluster(facts)?;
    if !cluster.reader_monitors {
        let role = quote_ident(&facts.reader.name);
        let grant = format!("GRANT pg_read_all_stats TO {role}");
        let outcome = Outcome::unseen("snapshots of other sessions", "this role may not see them");
        return Ok(Some(outcome.sql(grant, "superuser")));
    }
    let old: Vec<String> = cluster
        .snapshots
        .iter()
        .filter(|one| one.seconds.is_some_and(|seconds| seconds >= OLD_SNAPSHOT_S))
        .map(|one| {
            let database = one.database.as_deref().unwrap_or("?");
            format!("process {} in {database} (for {})", one.pid, duration(one.seconds.unwrap_or(0)))
        })
        .collect();
    Ok(Some(if old.is_empty() {
        Outcome::pass("no session holds an old snapshot")
    } else {
        Outcome::warn(format!("old snapshots: {}", some_of(&old)))
            .objects(old)
            .advice("Let their owners end them before a long copy.", "you")
    }))
}

pub(crate) static DDL_LOCKS: Check = Check {
    id: "ddl-lock-conflict",
    family: Family::Transactions,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "A statement of the setup script that waits for a lock makes the application queue behind it.",
    doc: "https://www.postgresql.org/docs/current/explicit-locking.html",
    judge: |facts, profile| settle(ddl_locks(facts, profile)),
};

fn ddl_locks(facts: &Facts, _: &Profile) -> Judged {
    let cluster = cluster(facts)?;
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let needs_alter = |table: &Relation| table.is_leaf() && table.publishable && !table.identity.usable();
    let needs_adding = |table: &Relation| table.publishable && !super::publication::is_covered(table, facts);
    let mut conflicts = Vec::new();
    let mut strong = false;
    for lock in &cluster.locks {
        let Some(table) = facts.relation(lock.relation).filter(|table| table.wanted) else { continue };
        let is_strong = STRONG_LOCKS.contains(&lock.mode.as_str());
        let is_in_the_way = needs_alter(table) || (needs_adding(table) && lock.mode == "ShareUpdateExclusiveLock");
        if is_in_the_way || (is_strong && needs_adding(table)) {
            strong |= is_strong;
            let pid = lock.pid.map_or_else(|| "a prepared transaction".to_owned(), |pid| format!("process {pid}"));
            conflicts.push(format!("{} ({} by {pid})", table.table(), lock.mode));
        }
    }
    if conflicts.is_empty() {
        return Ok(Some(Outcome::pass("no lock stands in the way of the setup script")));
    }
    let outcome = Outcome::warn(format!("locks that the setup script would wait for: {}", some_of(&conflicts)));
    let outcome = if strong { outcome } else { outcome.severity(Severity::Info) };
    Ok(Some(
        outcome
            .objects(conflicts)
            .advice("Run the script when they are gone; it gives up after 2 s on its own.", "you"),
    ))
}
