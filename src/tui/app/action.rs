//! What keys mean, and where they mean it.

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
    /// Insist on TLS where it was given up.
    Upgrade,
    /// Show or hide the fields that few servers need.
    More,
    /// Save the source under a name.
    SaveProfile,
    /// Do it again.
    Rerun,
    /// Copy to the clipboard.
    Copy,
    /// Write to a file.
    Write,
    /// Try what replication will do, and undo it.
    Deep,
    /// Run the script in a transaction, and roll back.
    Rehearse,
    /// Apply the script.
    Apply,
    /// Stop the replication.
    StopRun,
    /// Change a line of text.
    Edit(Edit),
    /// Say that somebody works on it.
    Acknowledge,
    /// Count a table exactly.
    Count,
    /// From one source back to all of them.
    Fleet,
    /// To the next panel of the dashboard.
    NextPanel,
    /// To the panel before.
    PreviousPanel,
    /// This panel on the whole screen; the slots bring all panels back.
    Show(Panel),
    /// Everything about the selected line.
    Open,
    /// Let the display stand (sampling goes on), or go on; plays a recording.
    Freeze,
    /// So many samples back or forward in time; the display stands there.
    Step(isize),
    /// The columns of a list further left or right; in a chart a step in time.
    Aside(isize),
    /// The focused panel takes the whole screen, or gives it back.
    Zoom,
    /// A shorter window of time in the charts.
    Shorter,
    /// A longer one.
    Longer,
    /// The chart in bytes instead of time, or back.
    Measure,
    /// Times in UTC, in the zone of this machine, or as what has passed since.
    Times,
    /// Sizes in powers of 1024, in bytes, or as a difference of two positions.
    Sizes,
    /// Hide the names of hosts, roles and objects, or show them.
    Privacy,
    /// Only slots that are not well, or all.
    Problems,
    /// Choose what the list is sorted by.
    Sort,
    /// A digit of the number of a line in a menu.
    Digit(u8),
    /// The other way round.
    Reverse,
    /// To the next line that fits the filter, or to the one before.
    Find(bool),
    /// The source is looked at more seldom; a recording plays slower.
    Slower,
    /// The source is looked at more often; a recording plays faster.
    Faster,
    /// Hide the selected finding; for how long is asked.
    Mute,
    /// Hide it until it is resolved.
    MuteForGood,
    /// Take acknowledgements and mutings back: of the selected finding, or else of all muted ones.
    Reopen,
    /// Write what is known to a file; in which format is asked.
    Export,
    /// Copy a position or a name; which one is asked.
    CopyWhat,
    /// Begin or end a recording.
    Record,
    /// Type a command.
    Command,
    /// Leave what was opened last, and walpilot when nothing is open.
    Leave,
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
    Upgrade,
    Bastion,
    More,
    Profile,
    Method,
    Tables,
    Filter,
    Preflight,
    Script,
    Dashboard,
    DashboardFilter,
    Menu,
    Fleet,
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
            Self::Dialog | Self::Buttons | Self::Menu => "This question",
            Self::Text | Self::SecretText => "The text field",
            Self::Choice => "The choice",
            Self::Form => "The fields",
            Self::Encryption => "Encryption",
            Self::StandIn => "A role that can't log in yet",
            Self::Upgrade => "A connection in plain text",
            Self::Bastion => "An SSH bastion",
            Self::More => "More fields",
            Self::Profile => "Profiles",
            Self::Method => "Method",
            Self::Tables => "The list of tables",
            Self::Filter | Self::DashboardFilter => "The filter",
            Self::Preflight => "Preflight",
            Self::Script => "The script",
            Self::Dashboard => "Dashboard",
            Self::Fleet => "Fleet",
            Self::Run => "Replication",
            Self::Wizard => "The wizard",
            Self::NoText | Self::Everywhere => "Everywhere",
        }
    }
}

/// A panel that can be focused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Panel {
    /// All slots; the selected one has its ruler drawn.
    #[default]
    Slots,
    /// The positions of the selected slot, and everything else about it.
    Slot,
    /// Who reads the selected slot: opened from its page.
    Reader,
    /// How fast the log grows and who holds it.
    Wal,
    /// The lag over time.
    Lag,
    /// What is wrong.
    Diagnosis,
    /// The tables at both sides.
    Tables,
    /// The rows of the selected table: opened from the list.
    Table,
    /// Who keeps vacuum from cleaning up, and which copies run.
    Horizon,
    /// What happened.
    Events,
    /// What replication by xmin would see and miss.
    Xmin,
    /// What can be seen, and what would open the rest.
    Visibility,
}

impl Panel {
    /// The panels of the Tab key, in its order.
    pub const ALL: [Self; 8] =
        [Self::Slots, Self::Slot, Self::Wal, Self::Lag, Self::Diagnosis, Self::Tables, Self::Horizon, Self::Events];

    /// Whether filter and order concern the tables while it has the focus.
    #[must_use]
    pub fn is_of_tables(self) -> bool {
        matches!(self, Self::Tables | Self::Table)
    }

    /// The panel's digit and its word.
    #[must_use]
    pub fn name(self) -> (char, &'static str) {
        match self {
            Self::Slots => ('1', "slots"),
            Self::Slot | Self::Reader => ('2', "slot"),
            Self::Wal => ('3', "WAL"),
            Self::Lag => ('4', "lag"),
            Self::Diagnosis => ('5', "why"),
            Self::Tables | Self::Table => ('6', "tables"),
            Self::Horizon => ('7', "horizon"),
            Self::Events => ('8', "events"),
            Self::Xmin => ('0', "xmin"),
            Self::Visibility => ('v', "rights"),
        }
    }
}
