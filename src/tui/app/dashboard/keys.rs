//! What the dashboard's keys do to its state.

use std::time::Duration;

use super::{Dashboard, DashboardAction, PACES, Panel, SPEEDS, Still, WINDOWS};
use crate::monitor::Watcher;
use crate::monitor::diagnosis::Handling;
use crate::tui::app::field::Edit;

/// How far a page goes. Drawing knows the real height, the state does not; a page that is too small is only slow.
const PAGE: usize = 8;

impl Dashboard {
    /// Does what a key stands for.
    pub fn act(&mut self, action: DashboardAction) {
        let look = &mut self.look;
        match action {
            DashboardAction::Up => self.step(|at, _| at.saturating_sub(1)),
            DashboardAction::Down => self.step(|at, last| (at + 1).min(last)),
            DashboardAction::PageUp => self.step(|at, _| at.saturating_sub(PAGE)),
            DashboardAction::PageDown => self.step(|at, last| (at + PAGE).min(last)),
            DashboardAction::First => self.step(|_, _| 0),
            DashboardAction::Last => self.step(|_, last| last),
            DashboardAction::NextPanel => self.turn(1),
            DashboardAction::PreviousPanel => self.turn(Panel::ALL.len() - 1),
            DashboardAction::Show(panel) => {
                look.opened.clear();
                (look.panel, look.zoomed, look.scroll) = (panel, panel != Panel::Slots, 0);
            }
            DashboardAction::Open => self.open(),
            DashboardAction::Freeze => self.freeze(),
            DashboardAction::Step(by) => self.step_in_time(by),
            DashboardAction::Zoom => look.zoomed = !look.zoomed,
            DashboardAction::Shorter => self.look.window = Some(self.window().saturating_sub(1)),
            DashboardAction::Longer => self.look.window = Some((self.window() + 1).min(WINDOWS.len() - 1)),
            DashboardAction::Measure => look.in_bytes = !look.in_bytes,
            DashboardAction::Problems => look.problems = !look.problems,
            DashboardAction::Sort => (look.order, look.reversed) = (look.order.next(), false),
            DashboardAction::Reverse => look.reversed = !look.reversed,
            DashboardAction::Filter => look.typing = true,
            DashboardAction::Slower => self.change_pace(false),
            DashboardAction::Faster => self.change_pace(true),
            DashboardAction::Mute(minutes) => {
                let time = (minutes > 0).then(|| Duration::from_secs(60 * minutes));
                self.decide(|watcher, rule, object| watcher.mute(rule, object, time));
            }
            DashboardAction::Reopen => self.reopen(),
            DashboardAction::Back => self.back(),
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

    /// Whether [`DashboardAction::Back`] has something to leave; if not, the key belongs to the caller.
    #[must_use]
    pub fn can_go_back(&self) -> bool {
        let look = &self.look;
        let narrowed = look.typing || look.problems || !look.filter.text().is_empty();
        narrowed || !look.opened.is_empty() || look.zoomed || self.frozen_since().is_some()
    }

    fn back(&mut self) {
        let look = &mut self.look;
        if look.typing {
            look.typing = false;
            look.filter.edit(Edit::Clear);
        } else if let Some((panel, zoomed)) = look.opened.pop() {
            (look.panel, look.zoomed, look.scroll) = (panel, zoomed, 0);
        } else if look.zoomed {
            look.zoomed = false;
        } else if look.problems || !look.filter.text().is_empty() {
            look.problems = false;
            look.filter.edit(Edit::Clear);
        } else if self.frozen_since().is_some() {
            self.freeze();
        }
    }

    /// Opens what is known about the selected line.
    fn open(&mut self) {
        if self.look.panel == Panel::Slots && self.slots().is_empty() {
            return;
        }
        let to = match self.look.panel {
            Panel::Slots => Panel::Slot,
            Panel::Slot => Panel::Lag,
            same => same,
        };
        if self.look.panel == Panel::Slots {
            // Chosen for good: the page stays with this slot when the worst changes.
            let at = self.selected_slot();
            self.look.slot = self.slots().get(at).map(|(slot, _)| slot.name.clone());
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
        let at = Panel::ALL.iter().position(|panel| *panel == look.panel).unwrap_or(0);
        (look.panel, look.scroll) = (Panel::ALL[(at + by) % Panel::ALL.len()], 0);
    }

    /// Moves the selection of the focused panel from a line to another, the last line known.
    fn step(&mut self, to: impl Fn(usize, usize) -> usize) {
        let last = |count: usize| count.saturating_sub(1);
        match self.look.panel {
            // Where the panels stand side by side, the arrows choose the slot that the other panels show.
            Panel::Slots | Panel::Lag | Panel::Wal => self.step_slot(to),
            Panel::Slot if !self.look.zoomed => self.step_slot(to),
            // Drawing stops at the last line; a few lines too many cost a few keys.
            Panel::Slot | Panel::Visibility | Panel::Horizon | Panel::Xmin => {
                self.look.scroll = to(self.look.scroll, 60);
            }
            Panel::Tables => self.look.table = to(self.look.table, last(self.tables().len())),
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
            Some(replay) => {
                replay.speed =
                    if faster { (replay.speed + 1).min(SPEEDS.len() - 1) } else { replay.speed.saturating_sub(1) };
                replay.began = None;
            }
            None => {
                let pace = &mut self.look.pace;
                *pace = if faster { pace.saturating_sub(1) } else { (*pace + 1).min(PACES.len() - 1) };
            }
        }
    }

    fn freeze(&mut self) {
        if let Some(replay) = &mut self.replay {
            (replay.playing, replay.began) = (!replay.playing, None);
        } else if self.still.take().is_none() {
            self.stand();
        }
        self.keep_in_bounds();
    }

    /// Lets the display stand on what is known now.
    pub(super) fn stand(&mut self) {
        let at = self.tape.range().1.saturating_sub(1);
        self.still = Some(Still { picture: Box::new(self.live.clone()), since: self.heard, at });
    }

    fn step_in_time(&mut self, by: isize) {
        if self.still.is_none() {
            self.stand();
        }
        if let Some(replay) = &mut self.replay {
            (replay.playing, replay.began) = (false, None);
        }
        let (first, end) = self.tape.range();
        if let Some(still) = &self.still
            && end > first
        {
            let to = still.at.saturating_add_signed(by).clamp(first, end - 1);
            self.stand_at(to);
        }
        self.keep_in_bounds();
    }

    /// Lets the display stand on sample `number`.
    pub(super) fn stand_at(&mut self, number: usize) {
        let Some(still) = &mut self.still else { return };
        let next = still.at + 1 == number;
        let (watcher, arrived) = match self.tape.sample(number) {
            // One forward is one sample more.
            Some((sample, arrived)) if next => {
                still.picture.watcher.push(sample.clone());
                (std::mem::take(&mut still.picture.watcher), *arrived)
            }
            _ => match self.tape.at(number) {
                Some(past) => past,
                None => return,
            },
        };
        let picture = self.live.earlier(watcher, arrived);
        (still.picture, still.at) = (Box::new(picture), number);
    }
}
