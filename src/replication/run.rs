//! One replication run, from its start to its orderly end.

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::progress::{Progress, RunEvent};
use crate::catalog::Lsn;
use crate::connection::{Failure, Settings};
use crate::profile::Profile;

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The source and what is wanted from it.
    pub profile: Profile,
    /// Where the rows go; the role must be able to create tables there.
    pub destination: Settings,
    /// Create the slot when it is missing (the publication must exist).
    pub create_slot: bool,
}

/// Why a run ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A side can't be reached.
    #[error("{side}: {failure}")]
    Connection {
        /// "source" or "destination".
        side: &'static str,
        /// The cause.
        failure: Box<Failure>,
    },
    /// The run is refused or broke; one sentence with the next step, safe to print.
    #[error("{0}")]
    Refused(String),
}

/// How an orderly run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The last state.
    pub progress: Progress,
    /// Where the destination stands; a new run goes on from here.
    pub checkpoint: Lsn,
}

/// Replicates until `stop` is cancelled: then the batch at hand is committed with its checkpoint, the slot is told,
/// and the run ends well. Dropping the future stops at once, which is as safe.
///
/// # Errors
/// When it can't start, or can't go on without losing something.
pub async fn run(
    options: RunOptions,
    progress: watch::Sender<Progress>,
    events: mpsc::Sender<RunEvent>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let _ = (options, progress, events, stop);
    unimplemented!()
}
