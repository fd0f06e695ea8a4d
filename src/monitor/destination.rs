//! The destination as seen from outside: its rows, and what `walpilot run` has written down there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::seen::Seen;
use super::subscription::Subscriptions;
use super::table::Tables;
use crate::catalog::Lsn;
use crate::profile::TableName;

/// The other side. That it can't be reached is a value: the source goes on being watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "detail")]
pub enum Destination {
    /// The first connection is being made.
    Connecting,
    /// One sentence that says why.
    Unreachable(String),
    /// It answered.
    Reached(Box<Reached>),
}

/// What the destination answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reached {
    /// The tables that the source publishes, as far as they exist there.
    pub tables: Tables,
    /// The run for the watched slot.
    pub run: RunState,
    /// The native subscriptions there.
    #[serde(default)]
    pub subscriptions: Seen<Subscriptions>,
}

/// What is written down of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "detail")]
pub enum RunState {
    /// No run has ever written here, or none for this slot.
    #[default]
    None,
    /// It can't be read; one sentence that says why.
    Hidden(String),
    /// It is there.
    Known(Box<Run>),
}

/// A run, as it has written itself down (`replication::checkpoint` tells what the tables mean).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When this was read, on the destination's clock.
    pub at: Moment,
    /// The slot that it reads.
    pub slot: String,
    /// The source's system identifier.
    pub system_identifier: String,
    /// The publication; empty for the method `xmin`.
    pub publication: String,
    /// `cdc` or `xmin`.
    #[serde(default)]
    pub method: String,
    /// The passes of the method `xmin`.
    #[serde(default)]
    pub xmin: Option<XminRun>,
    /// End of the last source transaction that is committed here.
    pub checkpoint: Option<Lsn>,
    /// When that transaction was committed, on the source's clock.
    pub commit_time: Option<Moment>,
    /// When it was committed here, on the destination's clock.
    pub applied_at: Option<Moment>,
    /// The run's own account, about once a second.
    pub account: Option<Account>,
    /// Every table of the run.
    pub tables: Vec<RunTable>,
}

/// `walpilot.xmin_pass` and `walpilot.xmin_table`: the passes of a run with the method `xmin`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct XminRun {
    /// Passes that were brought to their end.
    pub passes: u64,
    /// Whether one is at work.
    pub running: bool,
    /// The safe bound: the next pass reads what is at or above it.
    pub snapshot_xmin: u64,
    /// The next transaction id when the pass began.
    pub snapshot_xmax: u64,
    /// When the pass began, on the source's clock.
    pub began_at: Option<Moment>,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// When the next one begins.
    pub next_at: Option<Moment>,
    /// Rows that the last pass over each table read.
    pub rows_read: Option<u64>,
    /// Of those, rows that were new or different at the destination.
    pub rows_written: Option<u64>,
    /// Rows deleted at the source that still stand at the destination, as far as the counters tell.
    pub deletes_unseen: Option<u64>,
    /// Each of its tables.
    pub tables: Vec<XminTable>,
}

/// One table of such a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct XminTable {
    /// Its schema at the source.
    pub schema: String,
    /// Its name there.
    pub table: String,
    /// `reading`, `current` or `again`.
    pub state: String,
    /// Rows that the last pass over it read.
    pub rows_read: u64,
    /// Of those, rows that were new or different at the destination.
    pub rows_written: u64,
    /// Rows deleted since that are not seen; `None` when unknown.
    pub deletes_unseen: Option<u64>,
}

/// `walpilot.progress`: what a run says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// `starting`, `copying`, `streaming`, `reconnecting`, `stopping` or `stopped`.
    pub phase: String,
    /// Source transactions applied by this run.
    pub transactions: u64,
    /// Row changes applied by this run.
    pub changes: u64,
    /// End of the source's log as the run last heard it.
    pub source_end: Lsn,
    /// What is not confirmed, in bytes.
    pub lag_bytes: u64,
    /// Age of the oldest transaction that is received but not committed here, in milliseconds.
    pub lag_millis: u64,
    /// Rows that it copies in a second.
    #[serde(default)]
    pub rows_per_second: Option<u64>,
    /// Changes that it applies in a second.
    #[serde(default)]
    pub changes_per_second: Option<u64>,
    /// Seconds until everything is copied, as far as estimates hold.
    #[serde(default)]
    pub eta_seconds: Option<u64>,
    /// Where it runs.
    pub host: Option<String>,
    /// Its process there.
    pub pid: Option<i32>,
    /// When it wrote this, on the destination's clock.
    pub updated_at: Moment,
}

/// One table of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTable {
    /// The table, as named at the source.
    pub table: TableName,
    /// `waiting`, `copying` or `streaming`.
    pub phase: String,
    /// Rows copied so far.
    pub rows_copied: u64,
    /// Estimated rows when the copy began.
    pub rows_estimated: Option<u64>,
    /// Rows that are copied in a second.
    #[serde(default)]
    pub rows_per_second: Option<u64>,
    /// Seconds until its copy is done, as far as the estimate holds.
    #[serde(default)]
    pub eta_seconds: Option<u64>,
    /// Applied inserts, updates, deletes and truncates.
    pub changes: u64,
}

/// A run that has not written for this long, and did not say goodbye, is gone.
const SILENT_AFTER: Duration = Duration::from_secs(15);

impl Run {
    /// How long the run has been silent, if that is too long for a run that still works; `None` while it works, and
    /// after an orderly end.
    #[must_use]
    pub fn silent_for(&self) -> Option<Duration> {
        let account = self.account.as_ref()?;
        let silence = self.at.since(account.updated_at);
        (account.phase != "stopped" && silence > SILENT_AFTER).then_some(silence)
    }

    /// Whether the run has ended in order.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.phase == "stopped")
    }
}
