//! What keys mean, and where they mean it.

use super::dashboard::DashboardAction;
use super::field::Edit;

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave walpilot.
    Quit,
    /// Give the terminal back to the shell until `fg`.
    Suspend,
    /// Show or hide the help.
    Help,
    /// Cancel what runs, close what is open, or go one step back.
    Back,
    /// To the step before, whatever is open.
    StepBack,
    /// To the step after, if it was reached.
    StepForward,
    /// Enter: go on.
    Confirm,
    /// Try the connection.
    Test,
    /// To the next field.
    NextField,
    /// To the field before.
    PreviousField,
    /// One line up.
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
    /// Left: the value or button before, or scroll.
    Left,
    /// Right: the next value or button, or scroll.
    Right,
    /// Tick or untick.
    Toggle,
    /// Tick or untick everything that is shown.
    ToggleAll,
    /// Search in the list.
    Filter,
    /// Go through an SSH bastion, or no more.
    Bastion,
    /// Let an administrator stand in for the replicating role, or no more.
    StandIn,
    /// Save the source under a name.
    SaveProfile,
    /// Do it again.
    Rerun,
    /// Copy to the clipboard.
    Copy,
    /// Write to a file.
    Write,
    /// Apply the script.
    Apply,
    /// Stop the replication.
    StopRun,
    /// Change a line of text.
    Edit(Edit),
    /// A key of the dashboard.
    Dashboard(DashboardAction),
    /// Panics, to test that the screen is given back; not in release builds.
    #[cfg(debug_assertions)]
    Panic,
}

/// Where a key has a meaning. The innermost zone of the screen is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation; `title` says them in words")]
pub enum Zone {
    Help,
    Dialog,
    Buttons,
    Text,
    SecretText,
    Choice,
    Form,
    Encryption,
    StandIn,
    Bastion,
    Profile,
    Method,
    Tables,
    Filter,
    Preflight,
    Script,
    Dashboard,
    DashboardFilter,
    Run,
    Wizard,
    NoText,
    Everywhere,
}

impl Zone {
    /// The heading in the help.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Help => "This help",
            Self::Dialog | Self::Buttons => "This question",
            Self::Text | Self::SecretText => "The text field",
            Self::Choice => "The choice",
            Self::Form => "The fields",
            Self::Encryption => "Encryption",
            Self::StandIn => "A role that can't log in yet",
            Self::Bastion => "An SSH bastion",
            Self::Profile => "Profiles",
            Self::Method => "Method",
            Self::Tables => "The list of tables",
            Self::Filter | Self::DashboardFilter => "The filter",
            Self::Preflight => "Preflight",
            Self::Script => "The script",
            Self::Dashboard => "Dashboard",
            Self::Run => "Replication",
            Self::Wizard => "The wizard",
            Self::NoText | Self::Everywhere => "Everywhere",
        }
    }
}
