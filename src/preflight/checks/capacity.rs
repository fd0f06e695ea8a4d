//! What the server's machinery can bear: senders, memory, log, workers, transaction ids.

use super::cause::cluster;
use super::outcome::{Judged, Outcome, duration, settle, size, some_of};
use super::setting::Value;
use super::unseen::unseen_setting;
use super::{Check, Family};
use crate::catalog::Facts;
use crate::catalog::probe::Probe;
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile, Provider};

/// The server's default; below it even small transactions are written to disk while they are decoded.
const DECODING_KB: i64 = 64 * 1024;
/// Half of the transaction ids that there are before the server refuses to write.
const OLD_XIDS: i64 = 1_000_000_000;
/// So much spilled is more than a migration's one large transaction.
const SPILLED: i64 = 1 << 30;
/// A hold younger than this explains no old database.
const HELD_XIDS: i64 = 100_000;
/// What Azure asks for.
const AZURE_WORKERS: i64 = 16;
/// A slot that a day's pause costs is worth a warning.
const DAY_S: i64 = 86_400;

pub(crate) static SENDERS_BELOW_SLOTS: Check = Check {
    id: "walsenders-below-slots",
    family: Family::Settings,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "Slots that can't all be read at once leave some of them holding back log.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, profile| settle(senders_below_slots(facts, profile)),
};

fn senders_below_slots(facts: &Facts, profile: &Profile) -> Judged {
    let number = |name: &str| facts.number(name).ok_or_else(|| unseen_setting(facts, name));
    let (senders, slots) = (number("max_wal_senders")?, number("max_replication_slots")?);
    // It hurts as soon as there are more slots, ours among them, than can be read at once.
    let used = facts.slots.get().map_or(0, Vec::len) + usize::from(facts.slot(&profile.slot).is_none());
    let hurts = i64::try_from(used).is_ok_and(|used| used > senders);
    let outcome = if senders >= slots {
        Outcome::pass(format!("{senders} walsenders for {slots} slots"))
    } else {
        Outcome::warn(format!("max_wal_senders ({senders}) is below max_replication_slots ({slots})"))
            .severity(if hurts { Severity::Warning } else { Severity::Info })
            .fixes(Value::at_restart("max_wal_senders", &slots.to_string()).fixes(facts))
    };
    Ok(Some(outcome.evidence("max_wal_senders", senders).evidence("max_replication_slots", slots)))
}

pub(crate) static WAL_RATE: Check = Check {
    id: "wal-rate-and-disk",
    family: Family::Settings,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "How long a pause a slot survives is the limit (or the free disk) divided by what the server writes.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, profile| settle(wal_rate(facts, profile)),
};

fn wal_rate(facts: &Facts, _: &Profile) -> Judged {
    let Some(deep) = &facts.deep else { return Ok(None) };
    let Some(rate) = deep.rate else {
        return Ok(Some(
            Outcome::unseen("how fast the log grows", "the server did not tell")
                .severity(Severity::Info)
                .advice("Run walpilot check --deep again.", "you"),
        ));
    };
    #[expect(clippy::cast_possible_truncation, reason = "a rate, for people")]
    let per_second = rate.wal_per_second() as i64;
    let text = format!("{} of log a second, {} a day", size(per_second), size(per_second.saturating_mul(DAY_S)));
    let limit = facts.number("max_slot_wal_keep_size").filter(|limit| *limit > 0).map(|mb| mb.saturating_mul(1 << 20));
    let limit = limit.map(|bytes| (bytes, "max_slot_wal_keep_size"));
    // Whatever is reached first: the slot's limit, or the end of the disk.
    let room = facts.free_disk.map(|bytes| (bytes, "the free disk")).into_iter().chain(limit).min();
    let outcome = match room.map(|(bytes, what)| (bytes / per_second.max(1), what)) {
        Some((seconds, what)) if seconds < DAY_S => {
            let outcome = Outcome::warn(format!("{text}: at this rate {what} lasts {}", duration(seconds)));
            if limit.is_some_and(|(_, name)| name == what) {
                outcome
                    .advice("Raise max_slot_wal_keep_size if the disk can bear it; no restart is needed.", "superuser")
            } else {
                outcome.advice("Make room, or set max_slot_wal_keep_size below what is free.", "superuser")
            }
        }
        Some((seconds, what)) => Outcome::pass(format!("{text}: {what} lasts {}", duration(seconds))),
        None => Outcome::pass(format!("{text}; --free-disk says how long the disk lasts")),
    };
    let outcome = outcome.evidence("wal_bytes_per_second", per_second).evidence("watched_s", rate.seconds.round());
    Ok(Some(outcome.evidence("free_bytes", facts.free_disk).evidence("wal_directory_bytes", rate.directory_bytes)))
}

pub(crate) static DECODING_MEMORY: Check = Check {
    id: "logical-decoding-work-mem",
    family: Family::Settings,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "A transaction that does not fit into it is written to disk while it is decoded, by each walsender.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-resource.html",
    judge: |facts, profile| settle(decoding_memory(facts, profile)),
};

fn decoding_memory(facts: &Facts, profile: &Profile) -> Judged {
    let Some(kb) = facts.number("logical_decoding_work_mem") else {
        return Err(unseen_setting(facts, "logical_decoding_work_mem"));
    };
    let text = format!("logical_decoding_work_mem is {}", size(kb.saturating_mul(1024)));
    // What the server counted since its statistics were reset, for the slots of this database.
    let here = facts.database.get().map_or(profile.source.database.as_str(), |database| &database.name);
    let slots = facts.slots.get().map_or(&[][..], Vec::as_slice);
    let mine = slots.iter().filter(|slot| slot.database.as_deref() == Some(here));
    let spilled: Vec<_> = mine.filter(|slot| slot.spill_bytes.unwrap_or(0) >= SPILLED).collect();
    let names: Vec<String> = spilled
        .iter()
        .map(|slot| {
            let (bytes, number) = (slot.spill_bytes.unwrap_or(0), slot.spill_txns.unwrap_or(0));
            format!("{} ({} in {number} transactions)", slot.slot_name, size(bytes))
        })
        .collect();
    let outcome = if kb < DECODING_KB {
        Outcome::warn(text).fixes(Value::at_reload("logical_decoding_work_mem", "64MB", "65536").fixes(facts))
    } else if names.is_empty() {
        Outcome::pass(text)
    } else {
        let (double, raw) = (format!("{}MB", kb / 512), (kb * 2).to_string());
        Outcome::warn(format!("{text}; larger transactions went to disk: {}", some_of(&names)))
            .severity(Severity::Info)
            .fixes(Value::at_reload("logical_decoding_work_mem", &double, &raw).fixes(facts))
    };
    let outcome = outcome.objects(spilled.iter().map(|slot| &slot.slot_name));
    Ok(Some(outcome.evidence("kb", kb).evidence("spilled", names)))
}

pub(crate) static WRAPAROUND: Check = Check {
    id: "autovacuum-wraparound-risk",
    family: Family::Settings,
    method: None,
    severity: Severity::Warning,
    why: "A slot or a long read holds back the freezing of rows; a server that runs out of transaction ids stops writing.",
    doc: "https://www.postgresql.org/docs/current/routine-vacuuming.html",
    judge: |facts, profile| settle(wraparound(facts, profile)),
};

fn wraparound(facts: &Facts, _: &Profile) -> Judged {
    let Some(oldest) = &cluster(facts)?.oldest else { return Ok(None) };
    let limit = facts.number("autovacuum_freeze_max_age").unwrap_or(200_000_000);
    let outcome = if oldest.age < OLD_XIDS.min(limit.saturating_mul(3)) {
        Outcome::pass(format!("the oldest database, {}, is {} transactions old", oldest.database, oldest.age))
    } else {
        let outcome = Outcome::warn(format!("database {} is {} transactions old", oldest.database, oldest.age))
            .objects([&oldest.database])
            .advice(format!("Run in database {}: VACUUM (FREEZE);", oldest.database), "superuser");
        match held_back(facts) {
            Some(holder) => outcome.advice(format!("First end what holds it back: {holder}."), "superuser"),
            None => outcome,
        }
    };
    Ok(Some(outcome.evidence("age", oldest.age).evidence("autovacuum_freeze_max_age", limit)))
}

/// The slot, prepared transaction or session that is most likely to keep rows from being frozen.
fn held_back(facts: &Facts) -> Option<String> {
    let slots = facts.slots.get().into_iter().flatten();
    let slot = slots.filter_map(|slot| Some((slot.catalog_age?, format!("slot {}", slot.slot_name))));
    let sessions = facts.cluster.get().into_iter().flat_map(|cluster| &cluster.snapshots);
    let session = sessions.map(|one| (one.age, format!("process {}", one.pid)));
    let oldest = slot.chain(session).max().filter(|(age, _)| *age >= HELD_XIDS);
    let prepared = facts.activity.get().and_then(|activity| activity.prepared.first());
    oldest
        .map(|(age, name)| format!("{name} ({age} transactions)"))
        .or_else(|| prepared.map(|one| format!("prepared transaction {}", one.gid)))
}

pub(crate) static PLUGIN_AVAILABLE: Check = Check {
    id: "output-plugin-available",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "The slot's output plugin has to be installed; pgoutput comes with PostgreSQL itself.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-output-plugin.html",
    judge: |facts, profile| settle(plugin_available(facts, profile)),
};

fn plugin_available(facts: &Facts, _: &Profile) -> Judged {
    Ok(match facts.deep.as_ref().map(|deep| &deep.slot) {
        Some(Probe::Worked) => Some(Outcome::pass("the server has pgoutput")),
        Some(Probe::Refused { sqlstate, reason }) if sqlstate == "58P01" => {
            Some(Outcome::fail(format!("the server does not have pgoutput: {reason}")).advice(
                "Install the server's packages again: pgoutput is a part of them.",
                "administrator of the machine",
            ))
        }
        _ => None,
    })
}

pub(crate) static WORKERS: Check = Check {
    id: "max-worker-processes",
    family: Family::Settings,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "Some platforms want more workers for logical replication; walpilot itself takes none at the source.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-resource.html",
    judge: |facts, profile| settle(workers(facts, profile)),
};

fn workers(facts: &Facts, _: &Profile) -> Judged {
    let Some(workers) = facts.number("max_worker_processes") else {
        return Err(unseen_setting(facts, "max_worker_processes"));
    };
    let outcome = if facts.provider == Provider::AzureFlexible && workers < AZURE_WORKERS {
        Outcome::warn(format!("max_worker_processes is {workers}; Azure asks for {AZURE_WORKERS}"))
            .fixes(Value::at_restart("max_worker_processes", "16").fixes(facts))
    } else {
        Outcome::pass(format!("max_worker_processes is {workers}"))
    };
    Ok(Some(outcome.evidence("max_worker_processes", workers)))
}
