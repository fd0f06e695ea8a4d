//! What can go wrong with throwaway clusters, in words.

use std::time::Duration;

/// How long a server may take to start, and to stop.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Why a throwaway cluster can't be used. Each says what to do next or shows the server's own words.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file or directory could not be made.
    #[error("the throwaway cluster's directory can't be prepared: {0}; check the space and rights of $TMPDIR")]
    Files(#[from] std::io::Error),
    /// `initdb`, or copying its result, failed.
    #[error("a throwaway cluster could not be made with {program}: {log}")]
    Made {
        /// What was run.
        program: String,
        /// The end of its output.
        log: String,
    },
    /// The server ended instead of starting.
    #[error("the throwaway server did not start; its log ends with: {0}")]
    Ended(String),
    /// The server neither started nor ended in time.
    #[error("the throwaway server was not ready within {} s; its log ends with: {log}", PATIENCE.as_secs())]
    Slow {
        /// The end of its log.
        log: String,
    },
    /// It says that it is ready and can't be reached.
    #[error("the throwaway server started but can't be used: {0}")]
    Unreachable(#[from] crate::connection::Failure),
    /// It was asked to stop and did not.
    #[error("the throwaway server did not stop within {} s; its log ends with: {log}", PATIENCE.as_secs())]
    DoesNotStop {
        /// The end of its log.
        log: String,
    },
    /// It is stopped, or the process that watches over it was killed.
    #[error("the throwaway server does not run")]
    NotRunning,
}

/// Why the demo can't start or its workload can't write; one sentence with the next step.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(pub(super) String);
