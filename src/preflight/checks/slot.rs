//! The profile's replication slot.

use super::cause::{no_decoding, on_slot};
use super::outcome::Outcome;
use super::unseen::{Part, unseen};
use super::{Check, Family};
use crate::catalog::facts::Slot;
use crate::catalog::ident::is_slot_name;
use crate::catalog::{Facts, Seen, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

const CDC: Option<Method> = Some(Method::Cdc);
const DOC: &str = "https://www.postgresql.org/docs/current/view-pg-replication-slots.html";
/// The `application_name` of walpilot run's sessions.
const OWN_READER: &str = "walpilot run";

pub(crate) static NAME_VALID: Check = Check {
    id: "slot-name-valid",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "The server takes only lower-case letters, digits and underscores, at most 63.",
    doc: "https://www.postgresql.org/docs/current/warm-standby.html",
    judge: |_, profile| {
        Some(if is_slot_name(&profile.slot) {
            Outcome::pass(format!("{} can name a slot", profile.slot))
        } else {
            Outcome::fail(format!("\"{}\" can't name a slot", profile.slot))
                .advice("Use 1 to 63 lower-case letters, digits and underscores.", "you")
        })
    },
};

pub(crate) static EXISTS: Check = Check {
    id: "slot-exists",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "From the slot's creation on the server keeps every change until it is read.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
    judge: |facts, profile| {
        let name = &profile.slot;
        if let Seen::No(reason) = &facts.slots {
            return Some(unseen(facts, Part::Slots, reason));
        }
        Some(match facts.slot(name) {
            Some(_) => Outcome::pass(format!("slot {name} exists")),
            None => match no_decoding(facts) {
                Some(skipped) => skipped,
                None => Outcome::fail(format!("slot {name} is missing; walpilot script creates it"))
                    .objects([name])
                    .sql(ddl::create_slot(name), "the replicating role, or superuser"),
            },
        })
    },
};

pub(crate) static DATABASE: Check = Check {
    id: "slot-database",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "A logical slot belongs to one database, and its name to the whole cluster.",
    doc: DOC,
    judge: |facts, profile| on_slot(facts, profile, |slot| database(slot, facts, profile)),
};

fn database(slot: &Slot, facts: &Facts, profile: &Profile) -> Outcome {
    let wanted = facts.database.get().map_or(profile.source.database.as_str(), |database| &database.name);
    match slot.database.as_deref() {
        None => Outcome::skipped("slot-type", "the slot is physical"),
        Some(own) if own == wanted => Outcome::pass(format!("slot {} belongs to database {wanted}", profile.slot)),
        Some(other) => Outcome::fail(format!("slot {} belongs to database {other}, not to {wanted}", profile.slot))
            .evidence("database", other)
            .objects([&profile.slot])
            .advice("Choose another slot name with --slot.", "you"),
    }
}

pub(crate) static TYPE: Check = Check {
    id: "slot-type",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "A physical slot serves a standby and can't decode changes.",
    doc: DOC,
    judge: |facts, profile| {
        on_slot(facts, profile, |slot| {
            let name = &profile.slot;
            if slot.slot_type == "logical" {
                return Outcome::pass(format!("slot {name} is logical"));
            }
            Outcome::fail(format!("slot {name} is {}, and has to be logical", slot.slot_type))
                .objects([name])
                .advice("Choose another slot name with --slot.", "you")
        })
    },
};

pub(crate) static PLUGIN: Check = Check {
    id: "slot-plugin",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "walpilot reads what pgoutput writes.",
    doc: "https://www.postgresql.org/docs/current/protocol-logical-replication.html",
    judge: |facts, profile| {
        on_slot(facts, profile, |slot| {
            let name = &profile.slot;
            match slot.plugin.as_deref() {
                Some("pgoutput") => Outcome::pass(format!("slot {name} uses pgoutput")),
                None => Outcome::skipped("slot-type", "the slot is physical"),
                Some(other) => Outcome::fail(format!("slot {name} uses {other}, not pgoutput"))
                    .evidence("plugin", other)
                    .objects([name])
                    .advice("Choose another slot name with --slot, or drop the slot if nobody needs it.", "you")
                    .sql(ddl::drop_slot(name), "its owner, who confirms that nobody needs it"),
            }
        })
    },
};

pub(crate) static ACTIVE_ELSEWHERE: Check = Check {
    id: "slot-active-elsewhere",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "A slot has one reader at a time.",
    doc: DOC,
    judge: |facts, profile| on_slot(facts, profile, |slot| active_elsewhere(slot, profile)),
};

fn active_elsewhere(slot: &Slot, profile: &Profile) -> Outcome {
    let name = &profile.slot;
    if !slot.active {
        return Outcome::pass(format!("nobody else reads slot {name}"));
    }
    let pid = slot.active_pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    if slot.reader.as_deref() == Some(OWN_READER) {
        return Outcome::pass(format!("slot {name} is read by walpilot run (process {pid})"))
            .evidence("active_pid", slot.active_pid);
    }
    let who = slot.reader.as_deref().filter(|reader| !reader.is_empty());
    let who = who.map_or_else(String::new, |reader| format!(" ({reader})"));
    Outcome::fail(format!("slot {name} is being read by process {pid}{who}"))
        .evidence("active_pid", slot.active_pid)
        .objects([name])
        .advice("Stop that reader if it is not meant, or choose another slot name with --slot.", "you")
}

pub(crate) static LOST: Check = Check {
    id: "slot-lost",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "When WAL that a slot needs is removed, changes are missing for good.",
    doc: DOC,
    judge: |facts, profile| on_slot(facts, profile, |slot| lost(slot, profile)),
};

fn lost(slot: &Slot, profile: &Profile) -> Outcome {
    let name = &profile.slot;
    let status = slot.wal_status.as_deref().unwrap_or("unknown");
    let reason = match &slot.invalidation_reason {
        Some(reason) => Some(reason.as_str()),
        None if slot.conflicting => Some("the primary removed rows that it needs"),
        None => (status == "lost").then_some("its WAL was removed"),
    };
    let outcome = if let Some(reason) = reason {
        Outcome::fail(format!("slot {name} is lost: {reason}"))
            .sql(ddl::drop_slot(name), "the replicating role")
            .sql(ddl::create_slot(name), "the replicating role; then everything has to be copied anew")
    } else if status == "unreserved" {
        Outcome::warn(format!("slot {name} is about to be lost: it holds more WAL than allowed"))
            .severity(Severity::Warning)
            .advice("Raise max_slot_wal_keep_size and reload, then let its reader catch up.", "superuser")
    } else {
        return Outcome::pass(format!("slot {name} has all its WAL ({status})"));
    };
    outcome.evidence("wal_status", status).objects([name])
}
