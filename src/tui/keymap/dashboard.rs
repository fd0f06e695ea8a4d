//! The keys of the dashboard and the fleet. Each has a name, by which the user can give it other keys.

use super::{
    BACK_TAB, Binding, DOWN, END, ENTER, ESC, HALF_DOWN, HALF_UP, HOME, SPACE, TAB, UP, VIM_LEFT, VIM_RIGHT, called,
    on, plain,
};
use crate::tui::app::action::{Action, Panel, Zone};
use crate::tui::keymap::Chord;

/// A key of the dashboard.
const fn row(
    name: &'static str,
    keys: &'static [Chord],
    action: Action,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    called(name, on(Zone::Dashboard, keys, action, hint, help))
}

/// A key of the fleet; it shares its name with the dashboard's.
const fn of_fleet(
    name: &'static str,
    keys: &'static [Chord],
    action: Action,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    called(name, on(Zone::Fleet, keys, action, hint, help))
}

pub(super) const BINDINGS: &[Binding] = &[
    row(
        "open",
        ENTER,
        Action::Open,
        "open",
        "Everything about the selected line; of a slot then its reader and the transactions that hold it back, of a \
         table its rows at both sides",
    ),
    row("next-panel", TAB, Action::NextPanel, "panel", "To the next panel"),
    row("previous-panel", BACK_TAB, Action::PreviousPanel, "", "To the panel before"),
    row(
        "why",
        &[plain('d'), plain('5')],
        Action::Show(Panel::Diagnosis),
        "why",
        "The diagnosis: evidence and what to do",
    ),
    row(
        "filter",
        &[plain('/')],
        Action::Filter,
        "filter",
        "Filter: a part of a name, or some of its letters in their order; slots also by state:behind, lag>60, \
         bytes>1000000, held>1000000",
    ),
    row("find-next", &[plain('n')], Action::Find(true), "", "To the next line that fits the filter"),
    row("find-previous", &[plain('N')], Action::Find(false), "", "To the one before"),
    row("copy", &[plain('y')], Action::Copy, "copy SQL", "Copy the SQL of the selected finding"),
    row("copy-what", &[plain('Y')], Action::CopyWhat, "", "Copy a name or a position of the selected slot"),
    row("freeze", SPACE, Action::Freeze, "freeze", "Let the display stand, or go on; plays a recording"),
    row("zoom", &[plain('z')], Action::Zoom, "zoom", "One panel on the whole screen, or all panels again"),
    row(
        "command",
        &[plain(':')],
        Action::Command,
        "command",
        "Type a command: the name of what a key does, slot NAME, export csv, and more",
    ),
    row(
        "record",
        &[plain('R')],
        Action::Record,
        "record",
        "Record what is sampled into a file for walpilot replay, or end that",
    ),
    row("step-back", &[plain('<')], Action::Step(-1), "", "One sample back in time; the display stands there"),
    row("step-forward", &[plain('>')], Action::Step(1), "", "One sample forward"),
    row("leap-back", &[plain('{')], Action::Step(-30), "", "Thirty samples back"),
    row("leap-forward", &[plain('}')], Action::Step(30), "", "Thirty samples forward"),
    row("left", VIM_LEFT, Action::Aside(-1), "", "Columns further left in a list; elsewhere one sample back"),
    row("right", VIM_RIGHT, Action::Aside(1), "", "Columns further right; elsewhere one sample forward"),
    row("problems", &[plain('!')], Action::Problems, "", "Only slots that are not well, or all"),
    row("sort", &[plain('s'), plain('o')], Action::Sort, "sort", "Choose what slots or tables are sorted by"),
    row("reverse", &[plain('S'), plain('O')], Action::Reverse, "", "Sort the other way round"),
    row("slots", &[plain('1')], Action::Show(Panel::Slots), "", "All panels"),
    row("slot", &[plain('2')], Action::Show(Panel::Slot), "", "The selected slot"),
    row("wal", &[plain('3')], Action::Show(Panel::Wal), "", "The log: who holds it, how fast it grows"),
    row("lag", &[plain('4')], Action::Show(Panel::Lag), "", "The lag over time"),
    row("tables", &[plain('6')], Action::Show(Panel::Tables), "", "The tables"),
    row("horizon", &[plain('7')], Action::Show(Panel::Horizon), "", "Who holds back vacuum, and which copies run"),
    row("events", &[plain('8'), plain('E')], Action::Show(Panel::Events), "", "The events"),
    row("xmin", &[plain('0')], Action::Show(Panel::Xmin), "", "What replication by xmin would see and miss"),
    row(
        "visibility",
        &[plain('v')],
        Action::Show(Panel::Visibility),
        "",
        "What this role can't see, and what would open it",
    ),
    row("shorter", &[plain('[')], Action::Shorter, "", "A shorter window of time in the chart"),
    row("longer", &[plain(']')], Action::Longer, "", "A longer one"),
    row("measure", &[plain('B')], Action::Measure, "", "The chart in bytes, or in time"),
    row("sizes", &[plain('b')], Action::Sizes, "", "Sizes as 3.4 GB, in bytes, or as a difference of positions"),
    row("times", &[plain('t')], Action::Times, "", "Times in UTC, in this machine's zone, or as what has passed since"),
    row("privacy", &[plain('p')], Action::Privacy, "", "Hide the names of hosts, roles and objects, or show them"),
    row(
        "export",
        &[plain('e')],
        Action::Export,
        "",
        "Write what is known to a file: an incident report, JSON, CSV, Prometheus",
    ),
    row("refresh", &[plain('r')], Action::Rerun, "", "Look at the source now"),
    row("slower", &[plain('-')], Action::Slower, "", "Look more seldom; play slower"),
    row("faster", &[plain('+'), plain('=')], Action::Faster, "", "Look more often; play faster"),
    row("up", UP, Action::Up, "", "One line up"),
    row("down", DOWN, Action::Down, "", "One line down"),
    row("page-up", HALF_UP, Action::PageUp, "", "One page up"),
    row("page-down", HALF_DOWN, Action::PageDown, "", "One page down"),
    row("first", HOME, Action::First, "", "To the first line"),
    row("last", END, Action::Last, "", "To the last line"),
    row(
        "actions",
        &[plain('x')],
        Action::Apply,
        "",
        "The statements that mend the selected finding; they run only with --allow-actions",
    ),
    row("acknowledge", &[plain('a')], Action::Acknowledge, "", "Acknowledge the selected finding, with a note"),
    row(
        "mute",
        &[plain('m')],
        Action::Mute,
        "",
        "Mute the selected finding: for 15 minutes, an hour, or until it is resolved",
    ),
    row("mute-for-good", &[plain('M')], Action::MuteForGood, "", "Mute it until it is resolved"),
    row("undo", &[plain('u')], Action::Reopen, "", "Take an acknowledgement or the mutings back"),
    row("count", &[plain('c')], Action::Count, "", "Count the selected table exactly at both sides; reads all of it"),
    row("fleet", &[plain('9'), plain('f')], Action::Fleet, "", "Back to the fleet"),
    row("back", ESC, Action::Back, "back", "Leave what was opened last: page, zoom, filter, freeze, dashboard"),
    row("leave", &[plain('q')], Action::Leave, "", "Leave an opened page; at the top leave walpilot"),
    of_fleet("open", ENTER, Action::Confirm, "open", "The dashboard of this source"),
    of_fleet("refresh", &[plain('r')], Action::Rerun, "look now", "Look at every source now"),
    of_fleet("up", UP, Action::Up, "", "One line up"),
    of_fleet("down", DOWN, Action::Down, "", "One line down"),
    of_fleet("first", HOME, Action::First, "", "To the first line"),
    of_fleet("last", END, Action::Last, "", "To the last line"),
    of_fleet("privacy", &[plain('p')], Action::Privacy, "", "Hide the names of hosts and sources, or show them"),
    of_fleet("back", ESC, Action::Back, "", "Leave walpilot"),
    on(Zone::DashboardFilter, ENTER, Action::Confirm, "keep", "Keep the filter and go to the list"),
    on(Zone::DashboardFilter, ESC, Action::Back, "clear", "Clear the filter and go to the list"),
];
