//! The profile's replication slot.

use super::cause::{no_decoding, slot};
use super::outcome::Outcome;
use super::{Check, Family};
use crate::catalog::ident::is_slot_name;
use crate::catalog::{Seen, ddl};
use crate::preflight::finding::Severity;
use crate::profile::Method;

const CDC: Option<Method> = Some(Method::Cdc);
const DOC: &str = "https://www.postgresql.org/docs/current/view-pg-replication-slots.html";

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
            return Some(Outcome::unseen(&format!("slot {name}"), reason, None));
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
    judge: |facts, profile| {
        let slot = match slot(facts, profile) {
            Ok(slot) => slot,
            Err(skipped) => return Some(skipped),
        };
        let wanted = facts.database.get().map_or(profile.source.database.as_str(), |database| &database.name);
        let other = match slot.database.as_deref() {
            None => return Some(Outcome::skipped("slot-type", "the slot is physical")),
            Some(database) if database == wanted => {
                return Some(Outcome::pass(format!("slot {} belongs to database {wanted}", profile.slot)));
            }
            Some(other) => other,
        };
        Some(
            Outcome::fail(format!("slot {} belongs to database {other}, not to {wanted}", profile.slot))
                .evidence("database", other)
                .objects([&profile.slot])
                .advice("Choose another slot name with --slot.", "you"),
        )
    },
};

pub(crate) static TYPE: Check = Check {
    id: "slot-type",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "A physical slot serves a standby and can't decode changes.",
    doc: DOC,
    judge: |facts, profile| {
        let slot = match slot(facts, profile) {
            Ok(slot) => slot,
            Err(skipped) => return Some(skipped),
        };
        let name = &profile.slot;
        let outcome = if slot.slot_type != "logical" {
            Outcome::fail(format!("slot {name} is {}, and has to be logical", slot.slot_type))
        } else {
            return Some(Outcome::pass(format!("slot {name} is logical")));
        };
        Some(outcome.objects([name]).advice("Choose another slot name with --slot.", "you"))
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
        let slot = match slot(facts, profile) {
            Ok(slot) => slot,
            Err(skipped) => return Some(skipped),
        };
        let name = &profile.slot;
        Some(match slot.plugin.as_deref() {
            Some("pgoutput") => Outcome::pass(format!("slot {name} uses pgoutput")),
            None => Outcome::skipped("slot-type", "the slot is physical"),
            Some(other) => Outcome::fail(format!("slot {name} uses {other}, not pgoutput"))
                .evidence("plugin", other)
                .objects([name])
                .advice("Choose another slot name with --slot, or drop the slot if nobody needs it.", "you")
                .sql(ddl::drop_slot(name), "its owner, who confirms that nobody needs it"),
        })
    },
};

pub(crate) static ACTIVE_ELSEWHERE: Check = Check {
    id: "slot-active-elsewhere",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Warning,
    why: "A slot has one reader at a time.",
    doc: DOC,
    judge: |facts, profile| {
        let slot = match slot(facts, profile) {
            Ok(slot) => slot,
            Err(skipped) => return Some(skipped),
        };
        let name = &profile.slot;
        if !slot.active {
            return Some(Outcome::pass(format!("nobody else reads slot {name}")));
        }
        let pid = slot.active_pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        Some(
            Outcome::warn(format!("slot {name} is being read by process {pid}"))
                .evidence("active_pid", slot.active_pid)
                .objects([name])
                .advice("If that is not walpilot run, stop the other reader, or choose another slot name.", "you"),
        )
    },
};

pub(crate) static LOST: Check = Check {
    id: "slot-lost",
    family: Family::Slot,
    method: CDC,
    severity: Severity::Blocker,
    why: "When WAL that a slot needs is removed, changes are missing for good.",
    doc: DOC,
    judge: |facts, profile| {
        let slot = match slot(facts, profile) {
            Ok(slot) => slot,
            Err(skipped) => return Some(skipped),
        };
        let name = &profile.slot;
        let status = slot.wal_status.as_deref().unwrap_or("unknown");
        let outcome = match (status, &slot.invalidation_reason) {
            ("lost", _) | (_, Some(_)) => {
                let reason = slot.invalidation_reason.as_deref().unwrap_or("its WAL was removed");
                Outcome::fail(format!("slot {name} is lost: {reason}"))
                    .sql(ddl::drop_slot(name), "the replicating role; then create it again and copy everything anew")
            }
            ("unreserved", _) => {
                Outcome::warn(format!("slot {name} is about to be lost: it holds more WAL than allowed"))
                    .severity(Severity::Warning)
                    .advice("Raise max_slot_wal_keep_size and reload, then let its reader catch up.", "superuser")
            }
            _ => return Some(Outcome::pass(format!("slot {name} has all its WAL ({status})"))),
        };
        Some(outcome.evidence("wal_status", status).objects([name]))
    },
};
