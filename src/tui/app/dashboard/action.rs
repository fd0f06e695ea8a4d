//! What the dashboard's keys are called, and what can be looked at.

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
    /// This panel on the whole screen; the slots bring all panels back.
    Show(Panel),
    /// Everything about the selected line.
    Open,
    /// Let the display stand (sampling goes on), or go on; plays a recording.
    Freeze,
    /// So many samples back or forward in time; the display stands there.
    Step(isize),
    /// The focused panel takes the whole screen, or gives it back.
    Zoom,
    /// A shorter window of time in the charts.
    Shorter,
    /// A longer one.
    Longer,
    /// The chart in bytes instead of time, or back.
    Measure,
    /// Only slots that are not well, or all.
    Problems,
    /// Another column to sort by.
    Sort,
    /// The other way round.
    Reverse,
    /// Type a filter.
    Filter,
    /// The source is looked at more seldom; a recording plays slower.
    Slower,
    /// The source is looked at more often; a recording plays faster.
    Faster,
    /// Leave what was opened last; see [`super::Dashboard::can_go_back`].
    Back,
}

/// A panel that can be focused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Panel {
    /// All slots; the selected one has its ruler drawn.
    #[default]
    Slots,
    /// The positions of the selected slot, and everything else about it.
    Slot,
    /// How fast the log grows and who holds it.
    Wal,
    /// The lag over time.
    Lag,
    /// What is wrong.
    Diagnosis,
    /// The tables at both sides.
    Tables,
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

    /// The panel's digit and its word.
    #[must_use]
    pub fn name(self) -> (char, &'static str) {
        match self {
            Self::Slots => ('1', "slots"),
            Self::Slot => ('2', "slot"),
            Self::Wal => ('3', "WAL"),
            Self::Lag => ('4', "lag"),
            Self::Diagnosis => ('5', "diagnosis"),
            Self::Tables => ('6', "tables"),
            Self::Horizon => ('7', "horizon"),
            Self::Events => ('8', "events"),
            Self::Xmin => ('0', "xmin"),
            Self::Visibility => ('v', "visibility"),
        }
    }
}
