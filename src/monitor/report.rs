//! What `walpilot watch` prints, as one value: the JSON of `--format json`, and what the text is made of.

use std::collections::HashMap;

use serde::Serialize;

use super::destination::{Destination, Run, RunState, RunTable};
use super::diagnosis::Finding;
use super::moment::Moment;
use super::reading::SlotReading;
use super::server::{Rights, Unseen};
use super::slot::Slot;
use super::table::Table;
use super::watcher::Watcher;
use super::xmin::XminReading;
use crate::catalog::Lsn;
use crate::profile::TableName;

/// Everything about one moment. `format` grows when a field changes its meaning or goes away.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this layout.
    pub format: u32,
    /// The source's clock.
    pub at: Moment,
    /// The source.
    pub source: Source,
    /// Its log.
    pub wal: Wal,
    /// Every slot, the worst first.
    pub slots: Vec<SlotReport>,
    /// The tables at both sides.
    pub tables: Vec<TableLine>,
    /// Whether something was written so recently that the counters of tables may not tell of it yet (up to ten seconds from
    /// 15 on, before that until the session's next statement): then a table's 0 changes per second are no fact.
    pub counters_trail: bool,
    /// Whether the publication exists; `None` when the tables could not be read.
    pub publication_found: Option<bool>,
    /// Why the tables could not be read.
    pub tables_unread: Option<String>,
    /// The other side: `connecting`, `unreachable` or `reached`; `None` when none was named.
    pub destination: Option<DestinationReport>,
    /// What the run says of itself.
    pub run: Option<Run>,
    /// The method xmin: what the next pass may take for certain, and how the run stands; `None` for another method.
    pub xmin: Option<XminReading>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

/// The source.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// `15.18`.
    pub version: String,
    /// `primary` or `standby`.
    pub role: &'static str,
    /// The cluster.
    pub system_identifier: String,
    /// Its timeline.
    pub timeline: u32,
    /// The database.
    pub database: String,
    /// Who looks.
    pub login: String,
    /// What that role may see.
    pub rights: Rights,
    /// When the server was started.
    pub started: Moment,
    /// What can't be seen, with the statement that opens it.
    pub unseen: Vec<Unseen>,
}

/// The source's log.
#[derive(Clone, Debug, Serialize)]
pub struct Wal {
    /// Its end.
    pub lsn: Option<Lsn>,
    /// Its growth; `None` before there are two samples.
    pub bytes_per_second: Option<f64>,
}

/// A slot: the server's columns and the numbers made of them.
#[derive(Clone, Debug, Serialize)]
pub struct SlotReport {
    /// As the server has it.
    pub slot: Slot,
    /// What follows from it.
    pub reading: SlotReading,
}

/// The destination.
#[derive(Clone, Debug, Serialize)]
pub struct DestinationReport {
    /// `connecting`, `unreachable` or `reached`.
    pub state: &'static str,
    /// Why it can't be reached, or why the run's progress can't be read.
    pub reason: Option<String>,
}

/// One table at both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableLine {
    /// Its name.
    pub table: TableName,
    /// Estimated rows at the source.
    pub source_rows: Option<u64>,
    /// Estimated rows at the destination.
    pub destination_rows: Option<u64>,
    /// Whether these are no estimate but what a run has counted: rows copied, plus inserts, minus deletes.
    pub destination_rows_counted: bool,
    /// Whether it exists at the destination; `None` when that is not known.
    pub at_destination: Option<bool>,
    /// Where a run is with it: `waiting`, `copying`, `streaming`.
    pub phase: Option<String>,
    /// Rows that a run has copied.
    pub rows_copied: Option<u64>,
    /// Changes that a run has applied.
    pub changes_applied: Option<u64>,
    /// Changes per second at the source; see [`Report::counters_trail`].
    pub changes_per_second: Option<f64>,
}

impl TableLine {
    /// A line of which only the name is known.
    #[must_use]
    pub fn unknown(table: TableName) -> Self {
        Self {
            table,
            source_rows: None,
            destination_rows: None,
            destination_rows_counted: false,
            at_destination: None,
            phase: None,
            rows_copied: None,
            changes_applied: None,
            changes_per_second: None,
        }
    }
}

impl Report {
    /// What `watcher` knows; `None` before the first sample.
    #[must_use]
    pub fn of(watcher: &Watcher) -> Option<Self> {
        let sample = watcher.sample()?;
        let server = &sample.server;
        let reading = watcher.reading();
        let slots = reading.slots.iter().filter_map(|numbers| {
            let slot = sample.slots.iter().find(|slot| slot.name == numbers.name)?.clone();
            Some(SlotReport { slot, reading: numbers.clone() })
        });
        Some(Self {
            format: 1,
            at: sample.at,
            source: Source {
                version: server.version_text(),
                role: server.recovery_role(),
                system_identifier: server.system_identifier.clone(),
                timeline: server.timeline,
                database: server.database.clone(),
                login: server.role.clone(),
                rights: server.rights,
                started: server.started,
                unseen: server.unseen(),
            },
            wal: Wal { lsn: reading.lsn, bytes_per_second: reading.wal_rate },
            slots: slots.collect(),
            tables: table_lines(watcher),
            counters_trail: watcher.history().counters_trail(),
            publication_found: sample.tables.as_ref().map(|tables| tables.publication_found),
            tables_unread: sample.tables_unread.clone(),
            destination: sample.destination.as_ref().map(|side| match side {
                Destination::Connecting => DestinationReport { state: "connecting", reason: None },
                Destination::Unreachable(reason) => {
                    DestinationReport { state: "unreachable", reason: Some(reason.clone()) }
                }
                Destination::Reached(reached) => DestinationReport {
                    state: "reached",
                    reason: match &reached.run {
                        RunState::Hidden(reason) => Some(reason.clone()),
                        RunState::None | RunState::Known(_) => None,
                    },
                },
            }),
            run: known_run(watcher).cloned(),
            xmin: XminReading::of(watcher.history()).filter(|reading| reading.run.is_some()),
            findings: watcher.diagnosis().findings().to_vec(),
        })
    }
}

/// What the destination knows of the run, if anything.
#[must_use]
pub fn known_run(watcher: &Watcher) -> Option<&Run> {
    match watcher.sample()?.destination.as_ref()? {
        Destination::Reached(reached) => match &reached.run {
            RunState::Known(run) => Some(run),
            RunState::None | RunState::Hidden(_) => None,
        },
        Destination::Connecting | Destination::Unreachable(_) => None,
    }
}

/// The tables at both sides, as the source lists them.
#[must_use]
pub fn table_lines(watcher: &Watcher) -> Vec<TableLine> {
    let Some(sample) = watcher.sample() else { return Vec::new() };
    // Looked up by name: there may be ten thousand tables.
    let there: Option<HashMap<&TableName, &Table>> = match &sample.destination {
        Some(Destination::Reached(reached)) => {
            Some(reached.tables.tables.iter().map(|table| (&table.name, table)).collect())
        }
        _ => None,
    };
    let run = known_run(watcher).into_iter().flat_map(|run| &run.tables);
    let run: HashMap<&TableName, &RunTable> = run.map(|known| (&known.table, known)).collect();
    let line = |table: &Table| {
        let run_table = run.get(&table.name);
        let twin = there.as_ref().map(|tables| tables.get(&table.name).copied());
        TableLine {
            table: table.name.clone(),
            source_rows: table.rows,
            destination_rows: twin.flatten().and_then(|table| table.rows),
            destination_rows_counted: false,
            at_destination: twin.map(|twin| twin.is_some()),
            phase: run_table.map(|known| known.phase.clone()),
            rows_copied: run_table.map(|known| known.rows_copied),
            changes_applied: run_table.map(|known| known.changes),
            changes_per_second: watcher.history().table_rate(&table.name),
        }
    };
    sample.tables.iter().flat_map(|tables| &tables.tables).map(line).collect()
}
