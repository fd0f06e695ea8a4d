//! The destination as seen from outside: its rows, and what `walpilot run` has written down there.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
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

/// A run, as its checkpoint tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The slot that it reads.
    pub slot: String,
    /// End of the last source transaction that is committed here.
    pub checkpoint: Option<Lsn>,
    /// When that was written, on the destination's clock.
    pub checkpoint_at: Option<Moment>,
    /// Row changes applied, since the first run.
    pub changes: Option<u64>,
    /// Every table of the run.
    pub tables: Vec<RunTable>,
}

/// One table of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTable {
    /// The table, as named at the source.
    pub table: TableName,
    /// `waiting`, `copying` or `streaming`.
    pub phase: String,
    /// Rows copied so far.
    pub rows_copied: Option<u64>,
}
