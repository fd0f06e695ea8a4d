//! The replication of this process, and how walpilot is left while it runs.

use std::time::Instant;

use crate::replication::{Progress, Summary};

/// The replication of this process.
#[derive(Debug, Default)]
pub enum RunState {
    /// None was started.
    #[default]
    Idle,
    /// It runs.
    Running {
        /// The latest state.
        progress: Option<Box<Progress>>,
    },
    /// It was told to stop and finishes its batch.
    Stopping {
        /// The latest state.
        progress: Option<Box<Progress>>,
    },
    /// It ended.
    Ended {
        /// The latest state.
        progress: Option<Box<Progress>>,
        /// How.
        result: Result<Box<Summary>, String>,
    },
}

impl RunState {
    /// Whether it runs, or finishes its batch.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Stopping { .. })
    }

    /// The latest state.
    #[must_use]
    pub fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Idle => None,
            Self::Running { progress } | Self::Stopping { progress } | Self::Ended { progress, .. } => {
                progress.as_deref()
            }
        }
    }

    /// Takes a new state.
    pub fn take(&mut self, latest: Box<Progress>) {
        if let Self::Running { progress } | Self::Stopping { progress } = self {
            *progress = Some(latest);
        }
    }

    /// Notes that it was told to stop.
    pub fn stop(&mut self) {
        if let Self::Running { progress } = self {
            *self = Self::Stopping { progress: progress.take() };
        }
    }

    /// Notes how it ended.
    pub fn end(&mut self, result: Result<Box<Summary>, String>) {
        if let Self::Running { progress } | Self::Stopping { progress } = self {
            *self = Self::Ended { progress: progress.take(), result };
        }
    }
}

/// The user has decided to leave, and the replication finishes its batch.
#[derive(Clone, Copy, Debug)]
pub struct Leaving {
    /// When walpilot leaves in any case.
    pub until: Instant,
}
