//! How the slot stands: whether it fits what was replicated so far, and what else reads from this cluster.

use super::cause::{on_slot, slot, slots};
use super::outcome::{Judged, Outcome, settle, size, some_of};
use super::{Check, Family};
use crate::catalog::facts::Slot;
use crate::catalog::probe::{OtherSide, Probe};
use crate::catalog::{Facts, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// From here on a slot's backlog is worth a warning, whatever the limit is.
const BACKLOG: i64 = 10 * (1 << 30);

pub(crate) static AHEAD: Check = Check {
    id: "slot-ahead-of-state",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "When the slot has moved past what the destination has, the changes in between are lost for it.",
    doc: "https://www.postgresql.org/docs/current/view-pg-replication-slots.html",
    judge: |facts, profile| settle(ahead(facts, profile)),
};

fn ahead(facts: &Facts, profile: &Profile) -> Judged {
    let Some(OtherSide::Seen(destination)) = &facts.destination else { return Ok(None) };
    let Some(saved) = destination.saved_lsn else { return Ok(None) };
    let (name, place) = (&profile.slot, &destination.place);
    let source = facts.cluster.get().map(|cluster| cluster.system_id.as_str());
    if let (Some(theirs), Some(ours)) = (destination.saved_system_id.as_deref(), source)
        && theirs != ours
    {
        return Ok(Some(
            Outcome::fail(format!("{place} was replicated from another cluster through a slot of the name {name}"))
                .evidence("saved_system_identifier", theirs)
                .evidence("system_identifier", ours)
                .advice("Choose an empty destination, or another slot name.", "you"),
        ));
    }
    let slot = slot(facts, profile)?;
    let Some(confirmed) = slot.confirmed_flush_lsn else { return Ok(None) };
    let outcome = if confirmed > saved {
        Outcome::fail(format!(
            "slot {name} stands at {confirmed}, {place} only at {saved}: the changes in between are lost"
        ))
        .objects([name])
        .advice("Drop the slot, empty the tables at the destination, and copy everything anew.", "you")
    } else {
        Outcome::pass(format!("slot {name} still has everything that {place} lacks"))
    };
    Ok(Some(outcome.evidence("confirmed_flush_lsn", confirmed.to_string()).evidence("saved_lsn", saved.to_string())))
}

pub(crate) static HALF_CREATED: Check = Check {
    id: "slot-half-created",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "A slot whose creation waits for open transactions holds back log and takes a place, also after its client has gone.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
    judge: |facts, profile| settle(half_created(facts, profile)),
};

fn half_created(facts: &Facts, _: &Profile) -> Judged {
    let half: Vec<_> = slots(facts)?
        .iter()
        .filter(|slot| slot.slot_type == "logical" && slot.active && slot.confirmed_flush_lsn.is_none())
        .collect();
    if half.is_empty() {
        return Ok(Some(Outcome::pass("no slot is half made")));
    }
    let names: Vec<String> = half.iter().map(|slot| slot.slot_name.clone()).collect();
    let outcome = Outcome::warn(format!("slots that are still being made: {}", some_of(&names))).objects(names);
    Ok(Some(half.iter().filter_map(|slot| slot.active_pid).fold(outcome, |outcome, pid| {
        outcome
            .sql(format!("SELECT pg_cancel_backend({pid})"), "whoever started it, or superuser, if nobody waits for it")
    })))
}

pub(crate) static RETAINED: Check = Check {
    id: "slot-retained-now",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "What the slot holds back already has to be read first, and is lost when a limit is reached.",
    doc: "https://www.postgresql.org/docs/current/view-pg-replication-slots.html",
    judge: |facts, profile| on_slot(facts, profile, |slot| retained(slot, facts, profile)),
};

fn retained(slot: &Slot, facts: &Facts, profile: &Profile) -> Outcome {
    let held = slot.retained.unwrap_or(0).max(0);
    let limit = facts.number("max_slot_wal_keep_size").filter(|mb| *mb > 0).map(|mb| mb.saturating_mul(1 << 20));
    let text = format!("slot {} holds back {}", profile.slot, size(held));
    let much = held >= BACKLOG || limit.is_some_and(|limit| held >= limit / 2);
    let outcome = if much {
        let text = limit.map_or(text.clone(), |limit| format!("{text} of {} allowed", size(limit)));
        Outcome::warn(text).objects([&profile.slot]).advice("Let its reader catch up before anything else.", "you")
    } else {
        Outcome::pass(text)
    };
    outcome.evidence("bytes", held)
}

pub(crate) static SYNCED: Check = Check {
    id: "slot-synced-copy",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "A slot that a standby keeps in step with its primary can be read only after a failover.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
    judge: |facts, profile| on_slot(facts, profile, |slot| synced(slot, profile)),
};

fn synced(slot: &Slot, profile: &Profile) -> Outcome {
    if !slot.synced {
        return Outcome::pass(format!("slot {} is this server's own", profile.slot));
    }
    Outcome::fail(format!("slot {} is the standby's copy of a slot on the primary", profile.slot))
        .objects([&profile.slot])
        .advice("Connect to the primary, or choose another slot name with --slot.", "you")
}

pub(crate) static WITHOUT_SNAPSHOT: Check = Check {
    id: "slot-without-snapshot",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "A slot that was made before brings no snapshot to copy from: the copy needs one of its own, and rows may arrive twice.",
    doc: "https://www.postgresql.org/docs/current/protocol-replication.html",
    judge: |facts, profile| on_slot(facts, profile, |slot| without_snapshot(slot, profile)),
};

fn without_snapshot(slot: &Slot, profile: &Profile) -> Outcome {
    if !profile.initial_copy || slot.active {
        return Outcome::pass("no initial copy has to fit to the slot");
    }
    Outcome::warn(format!("slot {} exists, so the copy takes its snapshot through a temporary slot", profile.slot))
        .objects([&profile.slot])
        .advice("walpilot run merges both by position; other tools want to create the slot themselves.", "you")
}

pub(crate) static CREATE_PROBE: Check = Check {
    id: "slot-create-probe",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "The server's own answer to the creation of a slot, tried with a temporary one.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
    judge: |facts, profile| settle(create_probe(facts, profile)),
};

fn create_probe(facts: &Facts, _: &Profile) -> Judged {
    let Some(deep) = &facts.deep else { return Ok(None) };
    let (sqlstate, reason) = match &deep.slot {
        Probe::Worked => return Ok(Some(Outcome::pass("a temporary slot was made and dropped"))),
        Probe::NotTried(reason) => {
            let outcome = Outcome::unseen("whether a slot can be made", reason).severity(Severity::Info);
            return Ok(Some(outcome.advice("Run walpilot check --deep again when that is mended.", "you")));
        }
        Probe::Refused { sqlstate, reason } => (sqlstate.as_str(), reason),
    };
    let role_may = facts.role.as_ref().is_some_and(crate::catalog::facts::Role::may_replicate);
    Ok(Some(match sqlstate {
        "58P01" => Outcome::skipped("output-plugin-available", "the plugin is missing"),
        "42501" if !role_may => Outcome::skipped("role-can-replicate", "the role may not replicate"),
        "53400" => Outcome::skipped("slots-free", "no slot is free"),
        "55P03" | "57014" => Outcome::warn("a temporary slot was not made within 5 s: open transactions delay it")
            .severity(Severity::Warning)
            .evidence("sqlstate", sqlstate)
            .advice("See the checks long-writers and prepared-transactions.", "you"),
        _ => Outcome::fail(format!("a temporary slot can't be made: {reason}"))
            .evidence("sqlstate", sqlstate)
            .advice("What the server said is the cause; its log may say more.", "superuser"),
    }))
}

pub(crate) static DUPLICATE: Check = Check {
    id: "duplicate-consumer",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "Another replication of the same tables doubles the work, and may write into the same destination.",
    doc: "https://www.postgresql.org/docs/current/view-pg-replication-slots.html",
    judge: |facts, profile| settle(duplicate(facts, profile)),
};

fn duplicate(facts: &Facts, profile: &Profile) -> Judged {
    let slots = slots(facts)?;
    let here = facts.database.get().map(|database| database.name.as_str());
    // Slots without a reader are another check's.
    let others: Vec<String> = slots
        .iter()
        .filter(|slot| slot.active && !slot.temporary && slot.slot_name != profile.slot)
        .filter(|slot| slot.slot_name.starts_with("walpilot") && slot.database.as_deref() == here)
        .map(|slot| slot.slot_name.clone())
        .collect();
    Ok(Some(if others.is_empty() {
        Outcome::pass("no other walpilot reads from this database")
    } else {
        Outcome::warn(format!("another walpilot reads from this database through {}", some_of(&others)))
            .objects(&others)
            .advice("If it is not needed any more, stop it, and then drop its slot.", "you")
            .sql(ddl::drop_slot(&others[0]), "the replicating role, after its reader was stopped")
    }))
}
