//! What the server's machinery can bear: senders, memory, log, workers, transaction ids.

use super::cause::cluster;
use super::outcome::{Judged, Outcome, duration, settle, size};
use super::{Check, Family};
use crate::catalog::probe::Probe;
use crate::catalog::{Facts, Provider};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// The server's default; below it even small transactions are written to disk while they are decoded.
const DECODING_KB: i64 = 64 * 1024;
/// Half of the transaction ids that there are before the server refuses to write.
const OLD_XIDS: i64 = 1_000_000_000;
/// What Azure asks for.
const AZURE_WORKERS: i64 = 16;
/// A slot that a day's pause costs is worth a warning.
const DAY_S: i64 = 86_400;

pub(crate) static SENDERS_BELOW_SLOTS: Check = Check {
    id: "walsenders-below-slots",
    family: Family::Settings,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "Slots that can't all be read at once leave some of them holding back log.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, profile| settle(senders_below_slots(facts, profile)),
};

fn senders_below_slots(facts: &Facts, _: &Profile) -> Judged {
    let (Some(senders), Some(slots)) = (facts.number("max_wal_senders"), facts.number("max_replication_slots")) else {
        return Ok(None);
    };
    let outcome = if senders >= slots {
        Outcome::pass(format!("{senders} walsenders for {slots} slots"))
    } else {
        Outcome::warn(format!("max_wal_senders ({senders}) is below max_replication_slots ({slots})"))
            .advice(format!("ALTER SYSTEM SET max_wal_senders = {slots}; at the next restart."), "superuser")
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
            Outcome::unseen("how fast the log grows", "the server did not tell", None).severity(Severity::Info),
        ));
    };
    #[expect(clippy::cast_possible_truncation, reason = "a rate, for people")]
    let per_second = rate.wal_per_second() as i64;
    let text = format!("{} of log a second, {} a day", size(per_second), size(per_second.saturating_mul(DAY_S)));
    let limit = facts.number("max_slot_wal_keep_size").filter(|limit| *limit > 0).map(|mb| mb.saturating_mul(1 << 20));
    let outcome = match limit.map(|limit| limit / per_second.max(1)) {
        Some(seconds) if seconds < DAY_S => {
            Outcome::warn(format!("{text}: at this rate max_slot_wal_keep_size lasts {}", duration(seconds)))
                .advice("Raise max_slot_wal_keep_size if the disk can bear it; no restart is needed.", "superuser")
        }
        Some(seconds) => Outcome::pass(format!("{text}: max_slot_wal_keep_size lasts {}", duration(seconds))),
        None => Outcome::pass(text),
    };
    Ok(Some(outcome.evidence("wal_bytes_per_second", per_second).evidence("watched_s", rate.seconds.round())))
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

fn decoding_memory(facts: &Facts, _: &Profile) -> Judged {
    let Some(kb) = facts.number("logical_decoding_work_mem") else { return Ok(None) };
    let text = format!("logical_decoding_work_mem is {}", size(kb.saturating_mul(1024)));
    let outcome = if kb >= DECODING_KB {
        Outcome::pass(text)
    } else {
        Outcome::warn(text)
            .sql("ALTER SYSTEM SET logical_decoding_work_mem = '64MB'; SELECT pg_reload_conf()", "superuser")
    };
    Ok(Some(outcome.evidence("kb", kb)))
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
        Outcome::warn(format!("database {} is {} transactions old", oldest.database, oldest.age))
            .objects([&oldest.database])
            .advice(format!("Run in database {}: VACUUM (FREEZE);", oldest.database), "superuser")
    };
    Ok(Some(outcome.evidence("age", oldest.age).evidence("autovacuum_freeze_max_age", limit)))
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
    let Some(workers) = facts.number("max_worker_processes") else { return Ok(None) };
    let outcome = if facts.provider == Provider::AzureFlexible && workers < AZURE_WORKERS {
        Outcome::warn(format!("max_worker_processes is {workers}; Azure asks for {AZURE_WORKERS}"))
            .advice("Set the server parameter max_worker_processes = 16, then restart the server.", "provider console")
    } else {
        Outcome::pass(format!("max_worker_processes is {workers}"))
    };
    Ok(Some(outcome.evidence("max_worker_processes", workers)))
}
