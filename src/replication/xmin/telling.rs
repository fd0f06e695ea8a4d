//! What a pass tells while it works.

use std::collections::HashMap;

use tokio::sync::watch;

use super::bound::Snapshot;
use super::pipe::Moved;
use super::range::Position;
use super::tables::Job;
use crate::connection::printable;
use crate::profile::TableName;
use crate::replication::counted::counted;
use crate::replication::progress::{PassProgress, Phase, Progress, TablePhase, TableProgress, Teller};

/// Tells through the progress and in sentences.
pub(super) struct Telling<'a> {
    pub(super) progress: &'a watch::Sender<Progress>,
    pub(super) tell: &'a Teller,
    /// Deletes are looked for.
    pub(super) reconciles: bool,
}

impl Telling<'_> {
    /// A pass begins. Numbers of tables go on from the passes before.
    pub(super) fn begin(&self, jobs: &[Job], snapshot: Snapshot) {
        self.progress.send_modify(|progress| {
            let mut before: HashMap<TableName, TableProgress> =
                progress.tables.drain(..).map(|table| (table.table.clone(), table)).collect();
            progress.tables = jobs
                .iter()
                .map(|job| {
                    let name = &job.wanted.source.name;
                    let old = before.remove(name).unwrap_or_else(|| TableProgress::of(name.clone()));
                    TableProgress { phase: TablePhase::Waiting, rows_estimated: job.wanted.source.rows, ..old }
                })
                .collect();
            let first = jobs.iter().any(|job| !job.state.current);
            progress.phase = if first { Phase::Copying } else { Phase::Reading };
            progress.xmin = Some(PassProgress {
                passes: progress.xmin.as_ref().map_or(0, |pass| pass.passes),
                snapshot_xmin: snapshot.xmin.0,
                snapshot_xmax: snapshot.xmax.0,
                deletes_unseen: Some(0),
                ..PassProgress::default()
            });
        });
    }

    /// A table is at another point.
    pub(super) fn phase(&self, place: usize, phase: TablePhase) {
        self.progress.send_modify(|progress| {
            if let Some(table) = progress.tables.get_mut(place) {
                table.phase = phase;
            }
        });
    }

    /// Rows went through: `moved` of this range, of which `before` were told already.
    pub(super) fn moved(&self, place: usize, moved: Moved, before: Moved) {
        let (rows, bytes) = (moved.rows - before.rows, moved.bytes - before.bytes);
        self.progress.send_modify(|progress| {
            if let Some(table) = progress.tables.get_mut(place).filter(|table| table.phase == TablePhase::Copying) {
                table.rows_copied += rows;
                table.bytes_copied += bytes;
            }
            if let Some(pass) = &mut progress.xmin {
                pass.rows_read += rows;
            }
        });
    }

    /// Rows were inserted or changed at the destination.
    pub(super) fn written(&self, place: usize, rows: u64) {
        self.progress.send_modify(|progress| {
            if let Some(table) = progress.tables.get_mut(place).filter(|table| table.phase == TablePhase::Reading) {
                table.updates += rows;
                progress.changes += rows;
            }
            if let Some(pass) = &mut progress.xmin {
                pass.rows_written += rows;
            }
        });
    }

    /// A table has been read to its end.
    pub(super) fn read(&self, place: usize, job: &Job, rows: u64, unseen: Option<i64>) {
        let count = unseen.and_then(|count| u64::try_from(count).ok());
        self.progress.send_modify(|progress| {
            if let Some(table) = progress.tables.get_mut(place) {
                table.phase = TablePhase::Current;
            }
            if let Some(pass) = &mut progress.xmin {
                pass.deletes_unseen = pass.deletes_unseen.zip(count).map(|(all, more)| all + more);
            }
        });
        let name = &job.wanted.source.name;
        if job.fresh {
            self.tell.note(format!("Copied table {name}: {}.", counted(rows, "row")));
        }
        if let Some(unseen) =
            unseen.filter(|unseen| *unseen > job.state.deletes_unseen.unwrap_or(0) && !self.reconciles)
        {
            self.tell.note(format!(
                "The source has counted {} in {name} that the method xmin can't see; --reconcile finds the \
                 rows.",
                counted(unseen.unsigned_abs(), "delete")
            ));
        }
    }

    /// Rows were removed because the source has them no more; after `all` tables no delete is unseen.
    pub(super) fn removed(&self, removed: &[(TableName, u64)], all: bool) {
        self.progress.send_modify(|progress| {
            if let Some(pass) = progress.xmin.as_mut().filter(|_| all) {
                pass.deletes_unseen = pass.deletes_unseen.map(|_| 0);
            }
            for (name, rows) in removed {
                if let Some(table) = progress.tables.iter_mut().find(|table| table.table == *name) {
                    table.deletes += rows;
                }
                if let Some(pass) = &mut progress.xmin {
                    pass.rows_removed += rows;
                }
            }
        });
    }

    /// The pass stops between two tables.
    pub(super) fn stopped_after(&self, table: &TableName, done: usize, all: usize) {
        self.tell.note(format!("Stopped after table {table}, {done} of {all}; the next run goes on from there."));
    }

    /// The pass stops in the middle of a relation, named as in SQL.
    pub(super) fn stopped(&self, relation: &str, position: Option<&Position>, pages: u32) {
        let place = match position {
            Some(Position::Page(page)) => format!("at page {page} of {pages}"),
            Some(Position::Key(key)) => format!("after the key ({})", printable(&key.join(", "))),
            None => "at its end".to_owned(),
        };
        self.tell.note(format!("Stopped in {} {place}; the next run goes on from there.", printable(relation)));
    }
}
