//! The dashboard's state: what was sampled, what the run says, and where the user looks.

use std::time::SystemTime;

use crate::monitor::{Sample, Target};
use crate::replication::{Progress, RunEvent, Summary};

/// What a key does on the dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DashboardAction {
    /// One line up in the focused panel.
    Up,
    /// One line down.
    Down,
    /// One page up.
    PageUp,
    /// One page down.
    PageDown,
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// To the next panel.
    NextPanel,
    /// To the panel before.
    PreviousPanel,
    /// Let the display stand (sampling goes on), or go on.
    Freeze,
    /// The focused panel takes the whole screen, or gives it back.
    Zoom,
    /// Leave the zoom, then the freeze; see [`Dashboard::can_go_back`].
    Back,
}

/// Everything the dashboard shows.
#[derive(Clone, Debug)]
pub struct Dashboard {
    running: bool,
}

impl Dashboard {
    /// An empty dashboard of `target`; `running` tells that a run of this process feeds it too.
    #[must_use]
    pub fn new(target: Target, running: bool) -> Self {
        let _ = target;
        Self { running }
    }

    /// A sample arrived.
    pub fn sampled(&mut self, sample: Sample, now: SystemTime) {
        let _ = (sample, now);
    }

    /// The source could not be sampled; `reason` is one sentence.
    pub fn sample_failed(&mut self, reason: String, now: SystemTime) {
        let _ = (reason, now);
    }

    /// The run's latest state.
    pub fn progress(&mut self, progress: Progress, now: SystemTime) {
        let _ = (progress, now);
    }

    /// Something happened in the run.
    pub fn run_event(&mut self, event: RunEvent, now: SystemTime) {
        let _ = (event, now);
    }

    /// The run ended.
    pub fn run_ended(&mut self, result: Result<Summary, String>, now: SystemTime) {
        let _ = (result, now);
        self.running = false;
    }

    /// Does what a key stands for.
    pub fn act(&mut self, action: DashboardAction) {
        let _ = action;
    }

    /// Whether [`DashboardAction::Back`] has something to leave; if not, the key belongs to the caller.
    #[must_use]
    pub fn can_go_back(&self) -> bool {
        false
    }

    /// Whether the run of this process still goes.
    #[must_use]
    pub fn running(&self) -> bool {
        self.running
    }

    /// The SQL of the selected finding's first action, to copy.
    #[must_use]
    pub fn sql(&self) -> Option<String> {
        None
    }
}
