//! What a run tells while it works. The latest [`Progress`] replaces the one before; a [`RunEvent`] happens once.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::catalog::Lsn;
use crate::profile::TableName;

/// What the run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Connecting, checking the checkpoint, creating destination tables.
    #[default]
    Starting,
    /// Copying existing rows.
    Copying,
    /// Applying changes.
    Streaming,
    /// Reading what has changed (method xmin).
    Reading,
    /// Waiting for the next pass (method xmin).
    Waiting,
    /// The connection was lost; waiting to try again.
    Reconnecting,
    /// Finishing the current batch before the end.
    Stopping,
}

/// Where one table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TablePhase {
    /// Not begun.
    #[default]
    Waiting,
    /// Its rows are being copied.
    Copying,
    /// Its rows are there; changes follow.
    Streaming,
    /// Its changed rows are being read (method xmin).
    Reading,
    /// It is as the source was at this pass, but for deletes (method xmin).
    Current,
}

impl Phase {
    /// The name, as it is written down at the destination.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Copying => "copying",
            Self::Streaming => "streaming",
            Self::Reading => "reading",
            Self::Waiting => "waiting",
            Self::Reconnecting => "reconnecting",
            Self::Stopping => "stopping",
        }
    }
}

impl TablePhase {
    /// The name, as it is written down at the destination.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Copying => "copying",
            Self::Streaming => "streaming",
            Self::Reading => "reading",
            Self::Current => "current",
        }
    }

    /// Whether all rows that the table had when the run began are there.
    #[must_use]
    pub fn has_all(self) -> bool {
        matches!(self, Self::Streaming | Self::Reading | Self::Current)
    }
}

/// One table's numbers since the run began (copied rows: since the copy began).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableProgress {
    /// The table, as named at the source.
    pub table: TableName,
    /// Where it is.
    pub phase: TablePhase,
    /// Rows copied so far.
    pub rows_copied: u64,
    /// Bytes copied so far, in COPY format.
    pub bytes_copied: u64,
    /// Estimated rows at the source when the copy began; `None` when never analysed.
    pub rows_estimated: Option<u64>,
    /// Applied inserts.
    pub inserts: u64,
    /// Applied updates.
    pub updates: u64,
    /// Applied deletes.
    pub deletes: u64,
    /// Applied truncates.
    pub truncates: u64,
    /// This run copied its rows, or is about to: it knows every one of them.
    pub copied_by_this_run: bool,
}

impl TableProgress {
    /// Applied inserts, updates, deletes and truncates.
    pub(super) fn changes(&self) -> [u64; 4] {
        [self.inserts, self.updates, self.deletes, self.truncates]
    }

    /// Adds changes in the order of [`Self::changes`].
    pub(super) fn add(&mut self, [inserts, updates, deletes, truncates]: [u64; 4]) {
        self.inserts += inserts;
        self.updates += updates;
        self.deletes += deletes;
        self.truncates += truncates;
    }

    /// A table of which nothing has been done.
    pub(super) fn of(table: TableName) -> Self {
        Self {
            table,
            phase: TablePhase::Waiting,
            rows_copied: 0,
            bytes_copied: 0,
            rows_estimated: None,
            inserts: 0,
            updates: 0,
            deletes: 0,
            truncates: 0,
            copied_by_this_run: false,
        }
    }
}

/// The latest state of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What the run is doing.
    pub phase: Phase,
    /// Every table of the run.
    pub tables: Vec<TableProgress>,
    /// Source transactions applied by this run.
    pub transactions: u64,
    /// Row changes (and truncates) applied by this run.
    pub changes: u64,
    /// End of the last source transaction that is committed at the destination.
    pub checkpoint: Lsn,
    /// End of the source's log as last heard, from its walsender or asked about once a second.
    pub source_end: Lsn,
    /// `source_end` minus `checkpoint`, in bytes.
    pub lag_bytes: u64,
    /// Age in milliseconds of the oldest transaction that is received but not committed at the destination, since its
    /// commit at the source, by the source's clock; 0 when there is none.
    pub lag_millis: u64,
    /// The pass at hand, or the last one; only for the method xmin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xmin: Option<PassProgress>,
}

/// A pass of the method xmin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PassProgress {
    /// Passes that this run has brought to their end.
    pub passes: u64,
    /// The snapshot's `xmin` with its epoch: the next pass reads what is at or above it.
    pub snapshot_xmin: u64,
    /// The snapshot's `xmax`; far above `snapshot_xmin` while an old transaction is open.
    pub snapshot_xmax: u64,
    /// Rows that this pass has read.
    pub rows_read: u64,
    /// Rows that it has inserted or changed at the destination.
    pub rows_written: u64,
    /// Rows that it has removed because the source has them no more.
    pub rows_removed: u64,
    /// Deletes that the source has counted since its rows were last compared; `None` when it does not tell.
    pub deletes_unseen: Option<u64>,
}

impl Progress {
    /// A table of the run.
    pub(super) fn table(&mut self, name: &TableName) -> Option<&mut TableProgress> {
        self.tables.iter_mut().find(|table| table.table == *name)
    }

    /// Notes how far the source's log is known to reach.
    pub(super) fn source_reaches(&mut self, end: Lsn) {
        self.source_end = self.source_end.max(end);
        self.lag_bytes = self.source_end.bytes_since(self.checkpoint);
    }

    /// Notes the age of the oldest transaction that waits for its commit.
    pub(super) fn ages(&mut self, age: Duration) {
        self.lag_millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    }

    /// Notes how far the destination is.
    pub(super) fn destination_reaches(&mut self, checkpoint: Lsn) {
        self.checkpoint = checkpoint;
        self.source_reaches(checkpoint);
    }
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunEvent {
    /// Whether it is trouble.
    pub trouble: bool,
    /// One sentence, safe to print.
    pub text: String,
}

/// Tells events to whoever listens; nobody has to.
#[derive(Clone, Debug)]
pub(super) struct Teller(pub(super) mpsc::Sender<RunEvent>);

impl Teller {
    /// Something worth knowing. `text` is one sentence, safe to print.
    pub(super) fn note(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::info!("{text}");
        // A listener that has gone, or does not keep up, must not stop the replication.
        let _ = self.0.try_send(RunEvent { trouble: false, text });
    }

    /// Something that somebody should look at.
    pub(super) fn trouble(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::warn!("{text}");
        let _ = self.0.try_send(RunEvent { trouble: true, text });
    }
}
