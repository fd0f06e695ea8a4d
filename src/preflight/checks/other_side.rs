//! The destination, and what keeps a replication alive.

use super::cause::cluster;
use super::outcome::{Judged, Outcome, count, settle, some_of};
use super::{Check, Family};
use crate::catalog::Facts;
use crate::catalog::ident::quote_ident;
use crate::catalog::probe::OtherSide;
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// The oldest major version that walpilot writes to.
const OLDEST: u32 = 13;

pub(crate) static IS_SOURCE: Check = Check {
    id: "target-is-source",
    family: Family::Destination,
    method: None,
    severity: Severity::Blocker,
    why: "Rows that are written back into their own source are changes again, without an end.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-restrictions.html",
    judge: |facts, profile| settle(is_source(facts, profile)),
};

fn is_source(facts: &Facts, profile: &Profile) -> Judged {
    let Some(OtherSide::Seen(destination)) = &facts.destination else { return Ok(None) };
    let source = cluster(facts)?;
    let database = facts.database.get().map_or(profile.source.database.as_str(), |database| &database.name);
    Ok(Some(
        if destination.system_id == source.system_id
            && destination.started == source.started
            && destination.database == database
        {
            Outcome::fail(format!("the destination {} is the source itself", destination.place))
                .evidence("system_identifier", source.system_id.as_str())
                .advice("Name another database as the destination.", "you")
        } else {
            Outcome::pass("the destination is another database")
        },
    ))
}

pub(crate) static CAPACITY: Check = Check {
    id: "subscriber-capacity",
    family: Family::Destination,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "A native subscription needs workers and origins at the destination; walpilot run needs neither.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-config.html",
    judge: |facts, profile| settle(capacity(facts, profile)),
};

fn capacity(facts: &Facts, _: &Profile) -> Judged {
    let Some(OtherSide::Seen(destination)) = &facts.destination else { return Ok(None) };
    let (apply, workers, origins) = destination.workers;
    let short = apply < 1 || origins < 1 || workers <= apply;
    let text = format!("{apply} logical replication workers of {workers} workers, {origins} origins");
    Ok(Some(if short {
        Outcome::warn(format!("too few for a native subscription: {text}"))
            .advice("Raise max_worker_processes above max_logical_replication_workers, and restart.", "superuser")
    } else {
        Outcome::pass(text)
    }))
}

pub(crate) static BASICS: Check = Check {
    id: "destination-basics",
    family: Family::Destination,
    method: None,
    severity: Severity::Blocker,
    why: "The destination has to be reached, has to take the rows, and should be empty or made by walpilot.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-subscription.html",
    judge: |facts, profile| settle(basics(facts, profile)),
};

fn basics(facts: &Facts, profile: &Profile) -> Judged {
    let destination = match &facts.destination {
        None => return Ok(None),
        Some(OtherSide::Unreachable(failure)) => {
            return Ok(Some(
                Outcome::fail(format!("the destination can't be reached: {}", failure.message))
                    .advice(failure.remedy.clone(), "you"),
            ));
        }
        Some(OtherSide::Unreadable(reason)) => {
            return Ok(Some(
                Outcome::unseen("the destination", reason)
                    .advice("Name a role that may read its catalogs.", "destination's administrator"),
            ));
        }
        Some(OtherSide::Seen(destination)) => destination,
    };
    let (place, major) = (&destination.place, destination.version_num / 10_000);
    Ok(Some(if destination.in_recovery {
        Outcome::fail(format!("the destination {place} is a standby, and takes no rows"))
            .advice("Name its primary.", "you")
    } else if major < OLDEST {
        Outcome::fail(format!("the destination {place} runs PostgreSQL {major}; walpilot needs {OLDEST} or later"))
            .advice("Upgrade it.", "destination's administrator")
    } else if !destination.closed.is_empty() {
        Outcome::fail(format!("no INSERT, UPDATE and DELETE at the destination on {}", some_of(&destination.closed)))
            .objects(&destination.closed)
            .advice(
                "GRANT INSERT, UPDATE, DELETE on these tables to walpilot's role there.",
                "destination's table owners",
            )
    } else if !destination.filled.is_empty() && profile.initial_copy && destination.saved_lsn.is_none() {
        Outcome::warn(format!("tables at the destination hold rows already: {}", some_of(&destination.filled)))
            .severity(Severity::Warning)
            .objects(&destination.filled)
            .advice("Empty them, or leave the initial copy out (--no-initial-copy).", "you")
    } else if !destination.may_create {
        Outcome::warn(format!("walpilot's role may not create schemas at {place}, where it keeps its notes"))
            .severity(Severity::Warning)
            .advice("GRANT CREATE ON DATABASE to it at the destination.", "destination's database owner")
    } else if major < facts.server.major() {
        Outcome::warn(format!("the destination runs PostgreSQL {major}, older than the source"))
            .severity(Severity::Info)
    } else {
        Outcome::pass(format!("the destination {place} can take the rows"))
    }))
}

pub(crate) static SUBSCRIPTION_LOOP: Check = Check {
    id: "existing-subscription-loop",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "A source that subscribes to another server sends on what it receives; in a circle rows come back.",
    doc: "https://www.postgresql.org/docs/current/sql-createsubscription.html",
    judge: |facts, profile| settle(subscription_loop(facts, profile)),
};

fn subscription_loop(facts: &Facts, _: &Profile) -> Judged {
    let number = usize::try_from(cluster(facts)?.subscriptions).unwrap_or(0);
    Ok(Some(if number == 0 {
        Outcome::pass("the source subscribes to no other server")
    } else {
        Outcome::warn(format!("the source has {} of its own", count(number, "subscription", "subscriptions")))
            .evidence("subscriptions", number)
            .advice("See that its publisher is not fed from this destination (16 and later: origin = none).", "you")
    }))
}

pub(crate) static HEARTBEAT: Check = Check {
    id: "heartbeat-possible",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "In a quiet database of a busy cluster the slot moves only when something is written there now and then.",
    doc: "https://www.postgresql.org/docs/current/functions-admin.html",
    judge: |facts, profile| settle(heartbeat(facts, profile)),
};

fn heartbeat(facts: &Facts, profile: &Profile) -> Judged {
    let cluster = cluster(facts)?;
    let user = &profile.source.user;
    Ok(Some(if facts.server.in_recovery {
        Outcome::warn("a standby can write no heartbeat")
            .severity(Severity::Info)
            .advice("Write it at the primary.", "you")
    } else if !cluster.may_emit {
        Outcome::warn(format!("{user} may not write messages into the log")).sql(
            format!(
                "GRANT EXECUTE ON FUNCTION pg_catalog.pg_logical_emit_message(boolean, text, text{}) TO {}",
                if facts.server.major() >= 17 { ", boolean" } else { "" },
                quote_ident(user)
            ),
            "superuser",
        )
    } else if facts.server.major() < 14 {
        Outcome::warn("pgoutput of PostgreSQL 13 does not send messages: a heartbeat needs a table")
            .severity(Severity::Info)
            .advice("Add a small table to the publication and update it once a minute.", "table owner")
    } else {
        Outcome::pass(format!("{user} may write a heartbeat into the log"))
    }))
}
