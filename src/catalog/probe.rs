//! What deep probes and a look at the destination brought back; asked for by the user, never gathered unasked.

use crate::connection::Failure;

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The server did it, and it was undone.
    Worked,
    /// The server said no.
    Refused {
        /// Its SQLSTATE.
        sqlstate: String,
        /// Its reason, safe to print.
        reason: String,
    },
    /// It was not tried, for this reason.
    NotTried(String),
}

/// What a slot that nobody reads says of the publication, when its first changes are decoded without being consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotOrder {
    /// A published change was decoded: the publication was there.
    Sees,
    /// The publication did not exist yet at some change; the server's words, safe to print.
    Misses(String),
    /// No published change has been written yet, and nothing failed.
    NothingWritten,
}

/// The results of the deep probes.
#[derive(Clone, Debug, PartialEq)]
pub struct Deep {
    /// CREATE PUBLICATION of the chosen tables, rolled back.
    pub publication: Probe,
    /// A temporary logical slot, gone with its session.
    pub slot: Probe,
    /// Connections that imported one exported snapshot.
    pub snapshot: SnapshotProbe,
    /// What the server wrote while it was watched.
    pub rate: Option<Rate>,
}

/// An exported snapshot, tried on further connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotProbe {
    /// All of them saw it: one server stands behind the address.
    Shared(usize),
    /// One did not.
    Lost {
        /// What the server said, safe to print.
        reason: String,
        /// The connection reached another cluster or another member of it.
        other_server: bool,
    },
    /// It was not tried, for this reason.
    NotTried(String),
}

/// How fast a server writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// For how long it was watched, in seconds.
    pub seconds: f64,
    /// Bytes of WAL in that time.
    pub wal_bytes: i64,
    /// Transaction ids used in that time.
    pub xids: i64,
    /// What the log's directory holds (`pg_ls_waldir`); hidden from roles without `pg_monitor`.
    pub directory_bytes: Option<i64>,
}

impl Rate {
    /// Bytes of WAL in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate, for people")]
    pub fn wal_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.wal_bytes as f64 / self.seconds } else { 0.0 }
    }

    /// Transaction ids in a day.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate, for people")]
    pub fn xids_per_day(&self) -> f64 {
        if self.seconds > 0.0 { self.xids as f64 / self.seconds * 86_400.0 } else { 0.0 }
    }
}

/// What is behind the destination's address.
#[derive(Clone, Debug, PartialEq)]
pub enum OtherSide {
    /// It can't be reached.
    Unreachable(Failure),
    /// It was reached, but can't be read, for this reason.
    Unreadable(String),
    /// It was looked at.
    Seen(Destination),
}

/// A destination database.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Destination {
    /// Where it is, without the password.
    pub place: String,
    /// The cluster's identity.
    pub system_id: String,
    /// When the server was started: clones of a cluster share its identity, but not this.
    pub started: String,
    /// The database.
    pub database: String,
    /// `server_version_num`.
    pub version_num: u32,
    /// It is a standby.
    pub in_recovery: bool,
    /// Its role may create schemas in the database.
    pub may_create: bool,
    /// Chosen tables that exist there and into which its role may not insert.
    pub closed: Vec<String>,
    /// Chosen tables that exist there and hold rows already, as far as statistics tell.
    pub filled: Vec<String>,
    /// Up to where it says to be, where walpilot has replicated the slot into it.
    pub saved_lsn: Option<super::Lsn>,
    /// The cluster that those changes came from.
    pub saved_system_id: Option<String>,
    /// `max_logical_replication_workers`, `max_worker_processes` and what bounds replication origins.
    pub workers: (i64, i64, i64),
}
