//! A replication slot and who reads it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::catalog::Lsn;

/// What a slot is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    /// Decoded changes of one database.
    #[default]
    Logical,
    /// Raw log for a standby.
    Physical,
}

/// `pg_replication_slots.wal_status`, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WalStatus {
    /// Within `max_wal_size`.
    Reserved,
    /// Beyond `max_wal_size`, still kept.
    Extended,
    /// Beyond `max_slot_wal_keep_size`: removed by the next checkpoint.
    Unreserved,
    /// Removed; the slot can't be used any more.
    Lost,
    /// A word that this version of walpilot does not know.
    #[serde(other)]
    Unknown,
}

impl WalStatus {
    /// The server's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Extended => "extended",
            Self::Unreserved => "unreserved",
            Self::Lost => "lost",
            Self::Unknown => "?",
        }
    }
}

/// One row of `pg_stat_replication_slots`. A transaction counts when it has been decoded or has outgrown the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoding {
    /// The slot.
    #[serde(rename = "slot_name")]
    pub slot: String,
    /// Transactions that did not fit into `logical_decoding_work_mem` and went to disk.
    pub spill_txns: u64,
    /// Their bytes.
    pub spill_bytes: u64,
    /// Transactions that were sent while they were open.
    pub stream_txns: u64,
    /// Their bytes.
    pub stream_bytes: u64,
    /// Transactions decoded.
    pub total_txns: u64,
    /// Bytes decoded.
    pub total_bytes: u64,
}

/// One row of `pg_replication_slots`, with its consumer. A field that the server's version does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Slot {
    /// The slot's name.
    pub name: String,
    /// What it is for.
    pub kind: SlotKind,
    /// The output plugin of a logical slot.
    pub plugin: Option<String>,
    /// The database of a logical slot.
    pub database: Option<String>,
    /// Whether it goes away with its session.
    pub temporary: bool,
    /// Whether somebody reads it.
    pub active: bool,
    /// The oldest log that the slot needs. `None` after the slot is lost, and for a physical slot never used.
    pub restart_lsn: Option<Lsn>,
    /// Up to where a logical consumer has confirmed. `None` while the slot is being created.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// Whether its log is still there.
    pub wal_status: Option<WalStatus>,
    /// As the server says it: see [`Slot::safe_bytes`].
    pub safe_wal_size: Option<i64>,
    /// Age of `xmin` in transactions: set by a standby with `hot_standby_feedback`; holds back vacuum of all tables.
    pub xmin_age: Option<i64>,
    /// Whether prepared transactions are decoded when they are prepared (14 and newer).
    pub two_phase: Option<bool>,
    /// Whether it was lost by a conflict with recovery (16 and newer; 16 says so of every lost logical slot).
    pub conflicting: Option<bool>,
    /// Age of `catalog_xmin` in transactions; holds back vacuum of the catalogs.
    pub catalog_xmin_age: Option<i64>,
    /// Since when nobody reads it (17 and newer).
    pub inactive_since: Option<Moment>,
    /// Why it was invalidated (17 and newer).
    pub invalidation_reason: Option<String>,
    /// Whether a standby keeps a copy that survives a failover (17 and newer).
    pub failover: Option<bool>,
    /// Whether it is such a copy, on a standby (17 and newer).
    pub synced: Option<bool>,
    /// What was decoded for it since the statistics were reset (14 and newer).
    pub decoding: Option<Decoding>,
    /// Who reads it.
    pub consumer: Option<Consumer>,
}

impl Slot {
    /// The position that the consumer has reached: confirmed for logical slots, restart for physical ones.
    #[must_use]
    pub fn reached(&self) -> Option<Lsn> {
        match self.kind {
            SlotKind::Logical => self.confirmed_flush_lsn,
            SlotKind::Physical => self.restart_lsn,
        }
    }

    /// Bytes of log that may be written before the slot is in danger; `None` without a limit, for a lost slot, and for a
    /// physical slot that was never used: of that one the server counts from the beginning of all log.
    #[must_use]
    pub fn safe_bytes(&self) -> Option<i64> {
        self.safe_wal_size.filter(|_| !self.is_lost() && !self.holds_nothing())
    }

    /// Whether it has never been used: it holds no log yet.
    #[must_use]
    pub fn holds_nothing(&self) -> bool {
        self.restart_lsn.is_none() && !self.is_lost()
    }

    /// Whether the slot is dead: its log is gone, and nothing brings it back.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.wal_status == Some(WalStatus::Lost) || self.invalidation_reason.is_some()
    }

    /// Whether its creation waits for transactions to end: it has a session and already holds log, but no position
    /// that a consumer could start from (PostgreSQL source, `DecodingContextFindStartpoint`).
    #[must_use]
    pub fn is_being_created(&self) -> bool {
        self.kind == SlotKind::Logical
            && self.active
            && self.confirmed_flush_lsn.is_none()
            && self.restart_lsn.is_some()
    }

    /// Whether a native subscription made it for the first copy of one table (`pg_<sub>_sync_<table>_<system>`;
    /// PostgreSQL source, `ReplicationSlotNameForTablesync`). It is inactive while the COPY runs.
    #[must_use]
    pub fn is_table_sync(&self) -> bool {
        let mut parts = self.name.split('_');
        let number = |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        parts.next() == Some("pg")
            && number(parts.next())
            && parts.next() == Some("sync")
            && number(parts.next())
            && number(parts.next())
            && parts.next().is_none()
    }
}

/// The session that holds a slot. Every field but the process id is `None` when the role may not see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Consumer {
    /// Its process.
    pub pid: i32,
    /// Its role.
    pub user: Option<String>,
    /// Its `application_name`.
    pub application_name: Option<String>,
    /// Where it comes from; `None` also over a Unix socket.
    pub client_addr: Option<String>,
    /// `walsender`, or `client backend` when the slot is polled by function.
    pub backend_type: Option<String>,
    /// It is a run of walpilot that reads what has gathered behind the slot, from a temporary copy of it.
    pub reads_backlog: bool,
    /// The walsender's state: startup, catchup, streaming, …
    pub state: Option<String>,
    /// Up to where the log was sent.
    pub sent_lsn: Option<Lsn>,
    /// Up to where it says that it has flushed.
    pub flush_lsn: Option<Lsn>,
    /// `async`, `potential`, `sync` or `quorum`.
    pub sync_state: Option<String>,
    /// When the consumer last answered.
    pub reply_time: Option<Moment>,
    /// `write_lag`, `flush_lag` and `replay_lag`: round trips from sending on. What waits to be sent is not in them.
    pub round_trips: [Option<Duration>; 3],
    /// `type/event` of what it waits for.
    pub wait: Option<String>,
    /// When it connected.
    pub backend_start: Option<Moment>,
}

impl Consumer {
    /// Whether the slot is read by `pg_logical_slot_get_changes` and its like instead of a walsender. `false` when
    /// that can't be seen.
    #[must_use]
    pub fn polls(&self) -> bool {
        !self.reads_backlog && self.backend_type.as_deref().is_some_and(|kind| kind != "walsender")
    }
}

#[cfg(test)]
mod tests {
    use super::Slot;

    #[test]
    fn slots_of_table_synchronisation_are_told_by_their_name() {
        let named = |name: &str| Slot { name: name.to_owned(), ..Slot::default() };
        assert!(named("pg_16394_sync_16385_7394859012").is_table_sync());
        for other in ["pg_16394_sync_16385", "pg_a_sync_1_2", "walpilot_slot", "pg_1_sync_2_3_4", "pg__sync__"] {
            assert!(!named(other).is_table_sync(), "{other}");
        }
    }
}
