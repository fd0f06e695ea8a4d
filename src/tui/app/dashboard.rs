//! The dashboard's state: what was sampled, what the run says, and where the user looks.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::time::SystemTime;

use super::own_run;
use crate::connection::printable;
use crate::monitor::diagnosis::{Finding, Severity};
use crate::monitor::report::{TableLine, table_lines};
use crate::monitor::{Moment, Sample, Target, Watcher};
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

/// A panel that can be focused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Panel {
    /// All slots; the selected one has its ruler drawn.
    #[default]
    Slots,
    /// The tables at both sides.
    Tables,
    /// What is wrong.
    Diagnosis,
    /// What happened.
    Events,
}

impl Panel {
    /// All panels in the order of the Tab key.
    pub const ALL: [Self; 4] = [Self::Slots, Self::Tables, Self::Diagnosis, Self::Events];
}

/// A line of the event list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was seen.
    pub at: Moment,
    /// Whether it is trouble.
    pub trouble: bool,
    /// One sentence, safe to print.
    pub text: String,
}

/// Everything that is known at one moment. Frozen, the screen shows an older one.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Samples, numbers and findings.
    pub watcher: Watcher,
    /// When the latest sample arrived, on our clock.
    pub sampled_at: Option<SystemTime>,
    /// Why there is no newer sample, and since when.
    pub failure: Option<(String, SystemTime)>,
    /// When it is tried again.
    pub next_try: Option<SystemTime>,
    /// The latest state of this process's own run.
    pub progress: Option<Progress>,
    /// How that run ended.
    pub ended: Option<Result<Summary, String>>,
    /// What happened, oldest first.
    pub log: VecDeque<LogLine>,
}

/// Everything the dashboard shows.
#[derive(Clone, Debug)]
pub struct Dashboard {
    source: String,
    destination: Option<String>,
    wanted_slot: Option<String>,
    running: bool,
    live: Picture,
    frozen: Option<(Box<Picture>, SystemTime)>,
    /// When something arrived last: the time of a freeze, which comes as a key without a clock.
    heard: SystemTime,
    panel: Panel,
    zoomed: bool,
    slot: Option<String>,
    table: usize,
    finding: usize,
    event: usize,
    known: BTreeSet<(&'static str, String)>,
}

/// The most events that are kept.
const LOG: usize = 500;
/// How far a page goes. Drawing knows the real height, the state does not; a page that is too small is only slow.
const PAGE: usize = 8;

/// The text as it may be shown.
fn safe(text: String) -> String {
    let changed = match printable(&text) {
        Cow::Owned(changed) => Some(changed),
        Cow::Borrowed(_) => None,
    };
    changed.unwrap_or(text)
}

impl Dashboard {
    /// An empty dashboard of `target`; `running` tells that a run of this process feeds it too.
    #[must_use]
    pub fn new(target: Target, running: bool) -> Self {
        Self {
            source: target.source.to_string(),
            destination: target.destination.as_ref().map(ToString::to_string),
            slot: target.slot.clone(),
            wanted_slot: target.slot,
            running,
            live: Picture::default(),
            frozen: None,
            heard: SystemTime::UNIX_EPOCH,
            panel: Panel::default(),
            zoomed: false,
            table: 0,
            finding: 0,
            event: 0,
            known: BTreeSet::new(),
        }
    }

    /// A sample arrived.
    pub fn sampled(&mut self, sample: Sample, now: SystemTime) {
        self.heard = now;
        let at = sample.at;
        if self.live.failure.take().is_some() {
            self.log(at, false, "The source answers again.".to_owned());
        }
        for event in self.live.watcher.push(sample) {
            self.log(event.at, event.trouble, event.text);
        }
        self.live.sampled_at = Some(now);
        self.log_findings(at);
        self.keep_in_bounds();
    }

    /// Findings that came or went since the last sample, as events. What is only worth knowing stays out; what was
    /// told is resolved when it is gone, not when it is a little better.
    fn log_findings(&mut self, at: Moment) {
        let findings = self.live.watcher.diagnosis().findings().to_vec();
        let key = |finding: &Finding| (finding.rule, finding.object.clone());
        let standing: BTreeSet<_> = findings.iter().map(key).collect();
        let known = std::mem::take(&mut self.known);
        for (rule, object) in known.difference(&standing) {
            self.log(at, false, format!("{rule} {object}: resolved."));
        }
        self.known = known.intersection(&standing).cloned().collect();
        for finding in findings.iter().filter(|finding| finding.severity < Severity::Info) {
            if self.known.insert(key(finding)) {
                self.log(at, true, format!("{} {}: {}.", finding.rule, finding.object, finding.title));
            }
        }
    }

    /// The source could not be sampled; `reason` is one sentence. At `next_try` it is tried again, if at all.
    pub fn sample_failed(&mut self, reason: String, next_try: Option<SystemTime>, now: SystemTime) {
        self.heard = now;
        self.live.next_try = next_try;
        let reason = safe(reason);
        match &mut self.live.failure {
            // The first moment counts, the latest reason is the right one.
            Some((known, _)) => *known = reason,
            None => {
                self.log(Moment::from(now), true, reason.clone());
                self.live.failure = Some((reason, now));
            }
        }
    }

    /// The run's latest state.
    pub fn progress(&mut self, progress: Progress, now: SystemTime) {
        self.heard = now;
        self.live.progress = Some(progress);
        self.keep_in_bounds();
    }

    /// Something happened in the run.
    pub fn run_event(&mut self, event: RunEvent, now: SystemTime) {
        self.heard = now;
        self.log(Moment::from(now), event.trouble, safe(event.text));
    }

    /// The run ended.
    pub fn run_ended(&mut self, result: Result<Summary, String>, now: SystemTime) {
        self.heard = now;
        self.running = false;
        match &result {
            Ok(summary) => {
                self.live.progress = Some(summary.progress.clone());
                self.log(Moment::from(now), false, format!("The run ended at {}.", summary.checkpoint));
            }
            Err(reason) => self.log(Moment::from(now), true, format!("The run ended: {}", printable(reason))),
        }
        self.live.ended = Some(result);
    }

    fn log(&mut self, at: Moment, trouble: bool, text: String) {
        // Whoever reads older events is not moved by newer ones.
        if self.event > 0 {
            self.event += 1;
        }
        self.live.log.push_back(LogLine { at, trouble, text });
        while self.live.log.len() > LOG {
            self.live.log.pop_front();
        }
    }

    /// Does what a key stands for.
    pub fn act(&mut self, action: DashboardAction) {
        match action {
            DashboardAction::Up => self.step(|at, _| at.saturating_sub(1)),
            DashboardAction::Down => self.step(|at, last| (at + 1).min(last)),
            DashboardAction::PageUp => self.step(|at, _| at.saturating_sub(PAGE)),
            DashboardAction::PageDown => self.step(|at, last| (at + PAGE).min(last)),
            DashboardAction::First => self.step(|_, _| 0),
            DashboardAction::Last => self.step(|_, last| last),
            DashboardAction::NextPanel => self.turn(1),
            DashboardAction::PreviousPanel => self.turn(Panel::ALL.len() - 1),
            DashboardAction::Freeze => self.freeze(),
            DashboardAction::Zoom => self.zoomed = !self.zoomed,
            DashboardAction::Back if self.zoomed => self.zoomed = false,
            DashboardAction::Back if self.frozen.is_some() => self.freeze(),
            DashboardAction::Back => {}
        }
    }

    fn freeze(&mut self) {
        self.frozen = match self.frozen.take() {
            Some(_) => None,
            None => Some((Box::new(self.live.clone()), self.heard)),
        };
        self.keep_in_bounds();
    }

    fn turn(&mut self, by: usize) {
        let at = Panel::ALL.iter().position(|panel| *panel == self.panel).unwrap_or(0);
        self.panel = Panel::ALL[(at + by) % Panel::ALL.len()];
    }

    /// Moves the selection of the focused panel from a line to another, the last line known.
    fn step(&mut self, to: impl Fn(usize, usize) -> usize) {
        match self.panel {
            Panel::Slots => {
                let names: Vec<String> =
                    self.picture().watcher.reading().slots.iter().map(|slot| slot.name.clone()).collect();
                let at = to(self.selected_slot(), names.len().saturating_sub(1));
                if let Some(name) = names.into_iter().nth(at) {
                    self.slot = Some(name);
                }
            }
            Panel::Tables => self.table = to(self.table, self.tables().len().saturating_sub(1)),
            Panel::Diagnosis => {
                let last = self.picture().watcher.diagnosis().findings().len().saturating_sub(1);
                self.finding = to(self.finding, last);
            }
            Panel::Events => self.event = to(self.event, self.picture().log.len().saturating_sub(1)),
        }
    }

    fn keep_in_bounds(&mut self) {
        self.table = self.table.min(self.tables().len().saturating_sub(1));
        let findings = self.picture().watcher.diagnosis().findings().len();
        self.finding = self.finding.min(findings.saturating_sub(1));
        self.event = self.event.min(self.picture().log.len().saturating_sub(1));
    }

    /// Whether [`DashboardAction::Back`] has something to leave; if not, the key belongs to the caller.
    #[must_use]
    pub fn can_go_back(&self) -> bool {
        self.zoomed || self.frozen.is_some()
    }

    /// Whether the run of this process still goes.
    #[must_use]
    pub fn running(&self) -> bool {
        self.running
    }

    /// The SQL of the selected finding's first statement, to copy.
    #[must_use]
    pub fn sql(&self) -> Option<String> {
        let finding = self.picture().watcher.diagnosis().findings().get(self.finding)?;
        finding.actions.iter().find_map(|action| action.sql.clone())
    }

    /// What is on the screen: the latest, or what was frozen.
    #[must_use]
    pub fn picture(&self) -> &Picture {
        self.frozen.as_ref().map_or(&self.live, |(picture, _)| picture)
    }

    /// Since when the display stands.
    #[must_use]
    pub fn frozen_since(&self) -> Option<SystemTime> {
        self.frozen.as_ref().map(|(_, since)| *since)
    }

    /// The source, without secrets.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The destination, without secrets.
    #[must_use]
    pub fn destination(&self) -> Option<&str> {
        self.destination.as_deref()
    }

    /// The focused panel.
    #[must_use]
    pub fn panel(&self) -> Panel {
        self.panel
    }

    /// Whether the focused panel has the whole screen.
    #[must_use]
    pub fn zoomed(&self) -> bool {
        self.zoomed
    }

    /// The selected slot's line: the one that was chosen, else the one to watch, else the worst.
    #[must_use]
    pub fn selected_slot(&self) -> usize {
        let slots = &self.picture().watcher.reading().slots;
        let line =
            |name: &Option<String>| name.as_ref().and_then(|name| slots.iter().position(|slot| &slot.name == name));
        line(&self.slot).or_else(|| line(&self.wanted_slot)).unwrap_or(0)
    }

    /// The selected table's line.
    #[must_use]
    pub fn selected_table(&self) -> usize {
        self.table
    }

    /// The selected finding's line.
    #[must_use]
    pub fn selected_finding(&self) -> usize {
        self.finding
    }

    /// How many events back from the newest the user looks.
    #[must_use]
    pub fn selected_event(&self) -> usize {
        self.event
    }

    /// The tables at both sides; what this process's own run says is fresher than what it has written down.
    #[must_use]
    pub fn tables(&self) -> Vec<TableLine> {
        let picture = self.picture();
        let mut lines = table_lines(&picture.watcher);
        if let Some(progress) = &picture.progress {
            own_run::overlay(&mut lines, progress);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connection::Settings;
    use crate::monitor::slot::Slot;

    fn dashboard() -> Dashboard {
        let target = Target { source: Settings::default(), slot: None, publication: None, destination: None };
        Dashboard::new(target, false)
    }

    fn time(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_337_532 + second)
    }

    fn sample(second: u64, slots: &[&str]) -> Sample {
        let slot = |name: &&str| Slot { name: (*name).to_owned(), ..Slot::default() };
        Sample { at: Moment::from(time(second)), slots: slots.iter().map(slot).collect(), ..Sample::default() }
    }

    #[test]
    fn frozen_the_display_stands_while_samples_come_in() {
        let mut dashboard = dashboard();
        dashboard.sampled(sample(0, &["a"]), time(0));
        dashboard.act(DashboardAction::Freeze);
        assert!(dashboard.can_go_back());
        dashboard.sampled(sample(2, &["a", "b"]), time(2));
        assert_eq!(dashboard.picture().watcher.reading().slots.len(), 1);
        assert_eq!(dashboard.frozen_since(), Some(time(0)));
        dashboard.act(DashboardAction::Back);
        assert_eq!(dashboard.picture().watcher.reading().slots.len(), 2);
        assert!(!dashboard.can_go_back());
    }

    #[test]
    fn the_selection_stays_on_its_slot_and_survives_its_end() {
        let mut dashboard = dashboard();
        dashboard.sampled(sample(0, &["a", "b", "c"]), time(0));
        dashboard.act(DashboardAction::Last);
        assert_eq!(dashboard.selected_slot(), 2);
        dashboard.sampled(sample(2, &["c"]), time(2));
        assert_eq!(dashboard.selected_slot(), 0, "c is still selected");
        dashboard.sampled(sample(4, &[]), time(4));
        dashboard.act(DashboardAction::Down);
        assert_eq!(dashboard.selected_slot(), 0);
    }

    #[test]
    fn a_lost_connection_is_told_once_with_its_beginning_and_its_end() {
        let mut dashboard = dashboard();
        dashboard.sampled(sample(0, &[]), time(0));
        dashboard.sample_failed("gone\u{1b}[2J".to_owned(), None, time(2));
        dashboard.sample_failed("still gone".to_owned(), None, time(4));
        assert_eq!(dashboard.picture().failure, Some(("still gone".to_owned(), time(2))));
        dashboard.sampled(sample(6, &[]), time(6));
        assert_eq!(dashboard.picture().failure, None);
        let log: Vec<&str> = dashboard.picture().log.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(log, ["gone\\u{1b}[2J", "The source answers again."]);
    }

    #[test]
    fn every_key_is_safe_on_an_empty_dashboard() {
        use DashboardAction::*;
        let mut dashboard = dashboard();
        for _ in Panel::ALL {
            for action in
                [Up, Down, PageUp, PageDown, First, Last, Zoom, Back, Freeze, Freeze, PreviousPanel, NextPanel]
            {
                dashboard.act(action);
            }
            dashboard.act(NextPanel);
        }
        assert_eq!(dashboard.panel(), Panel::Slots);
        assert_eq!(dashboard.sql(), None);
    }
}
