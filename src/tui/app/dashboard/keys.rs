//! What the dashboard's keys do to its state.

use std::time::Duration;

use super::{Dashboard, PACES, SlotOrder, TableOrder, WINDOWS};
use crate::monitor::Watcher;
use crate::monitor::diagnosis::Handling;
use crate::tui::app::action::{Action, Panel};
use crate::tui::app::field::Edit;

/// How far a page goes. Drawing knows the real height, the state does not; a page that is too small is only slow.
const PAGE: usize = 8;
/// More columns than any list has are not scrolled away.
const COLUMNS: usize = 20;

impl Dashboard {
    /// Does what a key stands for, as far as it concerns nothing but what is shown.
    pub fn act(&mut self, action: Action) {
        let look = &mut self.look;
        match action {
            Action::Up => self.step(|at, _| at.saturating_sub(1)),
            Action::Down => self.step(|at, last| (at + 1).min(last)),
            Action::PageUp => self.step(|at, _| at.saturating_sub(PAGE)),
            Action::PageDown => self.step(|at, last| (at + PAGE).min(last)),
            Action::First => self.step(|_, _| 0),
            Action::Last => self.step(|_, last| last),
            Action::NextPanel => self.turn(1),
            Action::PreviousPanel => self.turn(Panel::ALL.len() - 1),
            Action::Show(panel) => {
                look.opened.clear();
                look.aside = 0;
                (look.panel, look.zoomed, look.scroll) = (panel, panel != Panel::Slots, 0);
            }
            Action::Open => self.open(),
            Action::Freeze => self.freeze(),
            Action::Step(by) => self.step_in_time(by),
            Action::Aside(by) if matches!(look.panel, Panel::Slots | Panel::Tables) => {
                look.aside = look.aside.saturating_add_signed(by).min(COLUMNS);
            }
            Action::Aside(by) => self.step_in_time(by),
            Action::Find(forward) => self.find(forward),
            Action::Zoom => look.zoomed = !look.zoomed,
            Action::Shorter => self.look.window = Some(self.window().saturating_sub(1)),
            Action::Longer => self.look.window = Some((self.window() + 1).min(self.reach().max(self.window()))),
            Action::Measure => look.in_bytes = !look.in_bytes,
            Action::Sizes => look.display.sizes = look.display.sizes.next(),
            Action::Privacy => look.display.private = !look.display.private,
            Action::Problems => look.problems = !look.problems,
            Action::Reverse if look.panel.is_of_tables() => look.table_order.1 = !look.table_order.1,
            Action::Reverse => look.reversed = !look.reversed,
            Action::Filter => look.typing = true,
            Action::Slower => self.change_pace(false),
            Action::Faster => self.change_pace(true),
            Action::MuteForGood => self.mute(None),
            Action::Reopen => self.reopen(),
            Action::Back => self.back(),
            Action::Leave if look.opened.is_empty() => look.zoomed = false,
            Action::Leave => self.close_page(),
            _ => {}
        }
    }

    /// Hides the selected finding for `time`, or until it is resolved.
    pub fn mute(&mut self, time: Option<Duration>) {
        self.decide(|watcher, rule, object| watcher.mute(rule, object, time));
    }

    /// Sorts the slots by a column.
    pub fn sort_by(&mut self, order: SlotOrder) {
        (self.look.order, self.look.reversed) = (order, false);
    }

    /// Sorts the tables by a column.
    pub fn sort_tables_by(&mut self, order: TableOrder) {
        self.look.table_order = (order, false);
    }

    /// Narrows the list that has the focus.
    pub fn set_filter(&mut self, text: &str) {
        let look = &mut self.look;
        if look.panel.is_of_tables() { &mut look.table_filter } else { &mut look.filter }.set(text);
        self.keep_in_bounds();
    }

    /// Selects the slot called `name`. `false`: it is not there, or left out by the filter.
    pub fn select_slot(&mut self, name: &str) -> bool {
        let found = self.slots().iter().any(|(slot, _)| slot.name == name);
        if found {
            self.look.slot = Some(name.to_owned());
        }
        found
    }

    /// Selects the table called `name`, with or without its schema. `false`: it is not there.
    pub fn select_table(&mut self, name: &str) -> bool {
        let is = |table: &crate::profile::TableName| table.to_string() == name || table.name == name;
        let found = self.tables().into_iter().map(|line| line.table).find(is);
        let there = found.is_some();
        if there {
            self.look.table = found;
        }
        there
    }

    /// Asks for a pace: the nearest one that there is, not faster than `every`.
    pub fn set_pace(&mut self, every: Duration) {
        let millis = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
        self.look.pace = PACES.iter().position(|pace| *pace >= millis).unwrap_or(PACES.len() - 1);
    }

    /// Chooses the window of the charts: the shortest that holds `window`.
    pub fn set_window(&mut self, window: Duration) {
        let seconds = window.as_secs();
        self.look.window = Some(WINDOWS.iter().position(|one| *one >= seconds).unwrap_or(WINDOWS.len() - 1));
    }

    /// Whether a page was opened that [`Action::Leave`] closes.
    #[must_use]
    pub fn has_page(&self) -> bool {
        !self.look.opened.is_empty() || self.look.zoomed
    }

    fn close_page(&mut self) {
        let look = &mut self.look;
        if let Some((panel, zoomed)) = look.opened.pop() {
            (look.panel, look.zoomed, look.scroll) = (panel, zoomed, 0);
        }
    }

    /// Says that somebody works on the selected finding.
    pub fn acknowledge(&mut self, note: &str) {
        self.decide(|watcher, rule, object| watcher.acknowledge(rule, object, note));
    }

    /// Decides about the selected finding, in what is known now and in what is shown.
    fn decide(&mut self, decision: impl Fn(&mut Watcher, &str, &str) -> bool) {
        let Some((rule, object)) = self.finding().map(|finding| (finding.rule, finding.object.clone())) else { return };
        // It may move to another line by that.
        self.look.finding = Some((rule, object.clone()));
        let before = self.live.told;
        self.live.decide(|watcher| decision(watcher, rule, &object));
        self.keep_place(self.live.told - before);
        if let Some(still) = &mut self.still {
            still.picture.decide(|watcher| decision(watcher, rule, &object));
        }
        self.keep_in_bounds();
    }

    fn reopen(&mut self) {
        let handled = self.finding().is_some_and(|finding| finding.handling != Handling::Open);
        if handled {
            return self.decide(Watcher::reopen);
        }
        let muted = self.live.watcher.diagnosis().muted().to_vec();
        for finding in muted {
            self.live.decide(|watcher| watcher.reopen(finding.rule, &finding.object));
        }
    }

    /// The filter was typed and stays.
    pub fn keep_filter(&mut self) {
        self.look.typing = false;
    }

    /// Whether [`Action::Back`] has something to leave; if not, the key belongs to the caller.
    #[must_use]
    pub fn can_go_back(&self) -> bool {
        let look = &self.look;
        let filtered = !look.filter.text().is_empty() || !look.table_filter.text().is_empty();
        let narrowed = look.typing || look.problems || filtered;
        narrowed || !look.opened.is_empty() || look.zoomed || self.frozen_since().is_some()
    }

    fn back(&mut self) {
        let filtered = !self.look.filter.text().is_empty() || !self.look.table_filter.text().is_empty();
        if self.look.typing {
            if let Some(field) = self.filter_field_mut() {
                field.edit(Edit::Clear);
            }
            self.look.typing = false;
        } else if !self.look.opened.is_empty() {
            self.close_page();
        } else if self.look.zoomed {
            self.look.zoomed = false;
        } else if self.look.problems || filtered {
            self.look.problems = false;
            self.look.filter.edit(Edit::Clear);
            self.look.table_filter.edit(Edit::Clear);
        } else if self.frozen_since().is_some() {
            self.freeze();
        }
        self.keep_in_bounds();
    }

    /// To the next line of the list, and from the last to the first.
    fn find(&mut self, forward: bool) {
        let around = |at: usize, last: usize| {
            if forward { if at >= last { 0 } else { at + 1 } } else { at.checked_sub(1).unwrap_or(last) }
        };
        if self.look.panel.is_of_tables() { self.step(around) } else { self.step_slot(around) }
    }

    /// Opens what is known about the selected line.
    fn open(&mut self) {
        let empty = match self.look.panel {
            Panel::Slots | Panel::Slot | Panel::Reader => self.slots().is_empty(),
            Panel::Tables => self.tables().is_empty(),
            _ => false,
        };
        if empty {
            return;
        }
        let to = match self.look.panel {
            Panel::Slots => Panel::Slot,
            Panel::Slot => Panel::Reader,
            Panel::Reader => Panel::Horizon,
            Panel::Tables => Panel::Table,
            same => same,
        };
        if self.look.panel == Panel::Slots {
            // Chosen for good: the page stays with this slot when the worst changes.
            let at = self.selected_slot();
            self.look.slot = self.slots().get(at).map(|(slot, _)| slot.name.clone());
        }
        if self.look.panel == Panel::Tables {
            self.look.table = self.table();
        }
        let look = &mut self.look;
        if to == look.panel && look.zoomed {
            return;
        }
        look.opened.push((look.panel, look.zoomed));
        (look.panel, look.zoomed, look.scroll) = (to, true, 0);
    }

    fn turn(&mut self, by: usize) {
        let look = &mut self.look;
        let from = look.panel.name().0;
        let at = Panel::ALL.iter().position(|panel| panel.name().0 == from).unwrap_or(0);
        (look.panel, look.scroll, look.aside) = (Panel::ALL[(at + by) % Panel::ALL.len()], 0, 0);
    }

    /// Moves the selection of the focused panel from a line to another, the last line known.
    fn step(&mut self, to: impl Fn(usize, usize) -> usize) {
        let last = |count: usize| count.saturating_sub(1);
        match self.look.panel {
            // Where the panels stand side by side, the arrows choose the slot that the other panels show.
            Panel::Slots | Panel::Lag | Panel::Wal => self.step_slot(to),
            Panel::Slot if !self.look.zoomed => self.step_slot(to),
            // Drawing stops at the last line; a few lines too many cost a few keys.
            Panel::Slot | Panel::Reader | Panel::Table | Panel::Visibility | Panel::Horizon | Panel::Xmin => {
                self.look.scroll = to(self.look.scroll, 60);
            }
            Panel::Tables => {
                let tables = self.tables();
                let at = to(self.selected_table(&tables), last(tables.len()));
                self.look.table = tables.get(at).map(|line| line.table.clone());
            }
            Panel::Diagnosis => {
                let at = to(self.selected_finding(), last(self.findings().len()));
                self.look.finding = self.findings().get(at).map(|finding| (finding.rule, finding.object.clone()));
            }
            Panel::Events => self.look.event = to(self.look.event, last(self.picture().log.len())),
        }
    }

    fn step_slot(&mut self, to: impl Fn(usize, usize) -> usize) {
        let slots = self.slots();
        let at = to(self.selected_slot(), slots.len().saturating_sub(1));
        if let Some(name) = slots.get(at).map(|(slot, _)| slot.name.clone()) {
            self.look.slot = Some(name);
        }
    }

    fn change_pace(&mut self, faster: bool) {
        match &mut self.replay {
            Some(replay) => replay.change_speed(faster),
            None => {
                let pace = &mut self.look.pace;
                *pace = if faster { pace.saturating_sub(1) } else { (*pace + 1).min(PACES.len() - 1) };
            }
        }
    }
}
