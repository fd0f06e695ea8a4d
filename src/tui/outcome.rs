//! What the interface leaves behind when it is left: a line for the shell.

use std::io;

use super::app::App;
use super::app::dashboard::Recording;
use super::app::run::RunState;
use super::app::state;
use super::app::step::Step;
use crate::monitor::units;
use crate::profile::saved::Saved;
use crate::profile::store::Draft;
use crate::replication::Progress;

/// Why the interface could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// Standard input or output is no terminal.
    #[error(
        "This needs a terminal, and there is none. Without one use: walpilot check, walpilot script, walpilot run, or \
         walpilot watch --once."
    )]
    NoTerminal,
    /// The terminal can't be read or written.
    #[error("The terminal can't be used: {0}.")]
    Io(#[from] io::Error),
}

/// How the interface was left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether a signal ended it.
    pub interrupted: bool,
    /// The last state of the replication, if one ran.
    pub progress: Option<Progress>,
    /// Why the replication ended, if it ended by itself with an error.
    pub failure: Option<String>,
    /// Whether the replication finished its last batch before the end.
    pub orderly: bool,
    /// What becomes of the unfinished wizard.
    pub draft: Keep,
    /// The recording that was under way.
    pub recording: Option<Recording>,
}

/// What becomes of the unfinished wizard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing was entered: an earlier one stays.
    #[default]
    Earlier,
    /// The wizard was left before its end.
    This(Box<Draft>),
    /// The wizard came to its end, or was to begin anew.
    Nothing,
}

impl Keep {
    fn of(app: &App) -> Self {
        if app.dashboard.is_some() {
            Self::Nothing
        } else if app.touched || app.step > Step::Connection {
            let entered = Saved::of(&app.profile(), app.password_source());
            Self::This(Box::new(Draft { step: app.step.title().0.to_owned(), entered }))
        } else if matches!(app.draft, state::Draft::Forgotten) {
            Self::Nothing
        } else {
            Self::Earlier
        }
    }
}

impl Outcome {
    /// What the last state of the screen amounts to.
    #[must_use]
    pub fn of(app: &App, interrupted: bool) -> Self {
        let (orderly, failure, progress) = match &app.run {
            RunState::Ended { result: Ok(summary), .. } => (true, None, Some(summary.progress.clone())),
            RunState::Ended { result: Err(error), progress } => {
                (false, Some(error.clone()), Some(progress.as_deref().cloned().unwrap_or_default()))
            }
            RunState::Idle => (true, None, None),
            running => (false, None, Some(running.progress().cloned().unwrap_or_default())),
        };
        Self {
            interrupted,
            progress,
            failure,
            orderly,
            draft: Keep::of(app),
            recording: app.recording.as_ref().map(|(_, recording)| recording.clone()),
        }
    }

    /// One line for the shell about the recording; `None` when none was under way.
    #[must_use]
    pub fn recorded(&self) -> Option<String> {
        let made = self.recording.as_ref()?;
        Some(format!(
            "{}, {}: walpilot replay {}",
            units::exactly(made.samples, "sample"),
            units::bytes(made.bytes),
            made.file
        ))
    }

    /// One line for the shell about the replication; `None` when none ran.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        let progress = self.progress.as_ref()?;
        let copied: u64 = progress.tables.iter().map(|table| table.rows_copied).sum();
        let how = if self.orderly { "stopped" } else { "was stopped at once" };
        let how =
            self.failure.as_ref().map_or_else(|| format!("The replication {how}"), |error| format!("{error} It ended"));
        Some(format!(
            "{how} at {}: {} copied, {} in {} applied. The checkpoint is kept; walpilot run goes on from there.",
            progress.checkpoint,
            units::exactly(copied, "row"),
            units::exactly(progress.changes, "change"),
            units::exactly(progress.transactions, "transaction")
        ))
    }
}
