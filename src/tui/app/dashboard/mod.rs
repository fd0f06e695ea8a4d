//! The dashboard's state: what was sampled, what the run says, and where the user looks.

mod display;
mod export;
mod keys;
mod names;
mod order;
mod picture;
mod still;
mod tables;
mod tape;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

pub use display::{Display, Sizes, Times};
pub use export::Export;
pub(super) use export::stamp;
pub use order::{SlotOrder, TableOrder};
pub use picture::{LogLine, Picture};

use super::action::Panel;
use super::field::{Field, Kind};
use super::validate::FieldId;
use crate::connection::printable;
use crate::monitor::count::Count;
use crate::monitor::diagnosis::Finding;
use crate::monitor::reading::SlotReading;
use crate::monitor::slot::Slot;
use crate::monitor::{Moment, Sample, Target, units};
use crate::profile::TableName;
use crate::replication::{Progress, RunEvent, Summary};
use order::Filter;
use still::{Replay, Still};
use tape::Tape;

/// How often the source may be looked at, in milliseconds.
const PACES: [u64; 7] = [500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
/// The windows of the charts, in seconds: from a minute to the week for which history is kept.
const WINDOWS: [u64; 9] = [60, 300, 900, 1800, 3600, 6 * 3600, 24 * 3600, 3 * 86_400, 7 * 86_400];
/// Unless another one was chosen, a chart shows no more than this.
const WINDOW: usize = 2;

/// Everything the dashboard shows.
#[derive(Debug)]
pub struct Dashboard {
    source: String,
    destination: Option<String>,
    wanted_slot: Option<String>,
    running: bool,
    live: Picture,
    tape: Tape,
    still: Option<Still>,
    replay: Option<Replay>,
    /// The pause between two samples, where the source answers too slowly for the one that is wanted.
    throttled: Option<Duration>,
    recording: Option<Recording>,
    /// When something arrived last: the time of a freeze, which comes as a key without a clock.
    heard: SystemTime,
    look: Look,
}

/// A file that samples are recorded into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Its name; safe to print.
    pub file: String,
    /// Samples in it.
    pub samples: u64,
    /// Its size.
    pub bytes: u64,
}

/// Where the user looks.
#[derive(Debug)]
struct Look {
    panel: Panel,
    zoomed: bool,
    /// What was on the screen before the line that was opened.
    opened: Vec<(Panel, bool)>,
    slot: Option<String>,
    table: Option<TableName>,
    table_order: (TableOrder, bool),
    /// The finding that was chosen, by rule and object: the order changes.
    finding: Option<(&'static str, String)>,
    event: usize,
    /// Lines that a page of text is scrolled by.
    scroll: usize,
    filter: Field,
    table_filter: Field,
    typing: bool,
    problems: bool,
    order: SlotOrder,
    reversed: bool,
    /// How many columns of a list are scrolled away.
    aside: usize,
    /// The window that was chosen for the charts.
    window: Option<usize>,
    in_bytes: bool,
    display: Display,
    pace: usize,
}

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
        let destination = target.destination.as_ref().map(ToString::to_string);
        Self::of(target.source.to_string(), destination, target.slot, running)
    }

    fn of(source: String, destination: Option<String>, slot: Option<String>, running: bool) -> Self {
        let look = Look {
            panel: Panel::default(),
            zoomed: false,
            opened: Vec::new(),
            slot: slot.clone(),
            table: None,
            table_order: (TableOrder::default(), false),
            finding: None,
            event: 0,
            scroll: 0,
            filter: Field::new(FieldId::Filter, Kind::Text),
            table_filter: Field::new(FieldId::Filter, Kind::Text),
            typing: false,
            problems: false,
            order: SlotOrder::default(),
            reversed: false,
            aside: 0,
            window: None,
            in_bytes: false,
            display: Display::default(),
            pace: 2,
        };
        Self {
            source,
            destination,
            wanted_slot: slot,
            running,
            live: Picture::default(),
            tape: Tape::default(),
            still: None,
            replay: None,
            throttled: None,
            recording: None,
            heard: SystemTime::UNIX_EPOCH,
            look,
        }
    }

    /// A sample arrived.
    pub fn sampled(&mut self, sample: Sample, now: SystemTime) {
        self.heard = now;
        self.tape.push(&self.live.watcher, sample.clone(), now);
        let before = self.live.told;
        self.live.sampled(sample, now);
        self.keep_place(self.live.told - before);
        self.keep_in_bounds();
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

    /// The configuration file does not count; `reason` is one sentence.
    pub fn unconfigured(&mut self, reason: &str, now: SystemTime) {
        self.log(Moment::from(now), true, safe(reason.to_owned()));
    }

    /// From now on the source is asked more seldom than the user wants, or as often again (`None`).
    pub fn throttle(&mut self, pause: Option<Duration>, now: SystemTime) {
        if self.throttled == pause {
            return;
        }
        self.throttled = pause;
        let wanted = units::span(self.pace());
        let text = match pause {
            Some(pause) => {
                format!("The source answers slowly: it is asked every {}, not every {wanted}.", units::span(pause))
            }
            None => format!("The source answers fast enough again: it is asked every {wanted}."),
        };
        self.log(Moment::from(now), pause.is_some(), text);
    }

    /// What is recorded, or that nothing is any more.
    pub fn record(&mut self, recording: Option<Recording>, now: SystemTime) {
        match (&self.recording, &recording) {
            (None, Some(begun)) => {
                self.log(Moment::from(now), false, format!("Recording into {} began.", begun.file));
            }
            (Some(ended), None) => {
                let text = format!("Recording into {} ended: {}.", ended.file, units::counted(ended.samples, "sample"));
                self.log(Moment::from(now), false, text);
            }
            _ => {}
        }
        self.recording = recording;
    }

    fn log(&mut self, at: Moment, trouble: bool, text: String) {
        self.live.tell(at, trouble, text);
        self.keep_place(1);
    }

    /// Whoever reads older events is not moved by newer ones.
    fn keep_place(&mut self, told: usize) {
        if self.look.event > 0 && self.still.is_none() {
            self.look.event += told;
        }
    }

    fn keep_in_bounds(&mut self) {
        self.look.event = self.look.event.min(self.picture().log.len().saturating_sub(1));
    }

    /// A table was counted at both sides.
    pub fn counted(&mut self, count: Count) {
        let text =
            format!("{} was counted exactly: {} at the source.", count.table, units::exactly(count.source, "row"));
        self.log(count.at, count.drift.is_certain(), safe(text));
        self.live.counts.insert(count.table.clone(), count.clone());
        if let Some(still) = &mut self.still {
            still.picture.counts.insert(count.table.clone(), count);
        }
    }

    /// Whether the run of this process still goes.
    #[must_use]
    pub fn running(&self) -> bool {
        self.running
    }

    /// How often the source is to be looked at.
    #[must_use]
    pub fn pace(&self) -> Duration {
        Duration::from_millis(PACES[self.look.pace])
    }

    /// The SQL of the selected finding's first statement, to copy.
    #[must_use]
    pub fn sql(&self) -> Option<String> {
        self.finding()?.actions.iter().find_map(|action| action.sql.clone())
    }

    /// What is on the screen: the latest, or the moment on which the display stands.
    #[must_use]
    pub fn picture(&self) -> &Picture {
        self.still.as_ref().map_or(&self.live, |still| &still.picture)
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
        self.look.panel
    }

    /// Whether the focused panel has the whole screen.
    #[must_use]
    pub fn zoomed(&self) -> bool {
        self.look.zoomed
    }

    /// The slots that are listed, in their order.
    #[must_use]
    pub fn slots(&self) -> Vec<(&Slot, &SlotReading)> {
        let watcher = &self.picture().watcher;
        let Some(sample) = watcher.sample() else { return Vec::new() };
        let filter = Filter::read(self.look.filter.text());
        let places = order::listed(watcher, filter, self.look.problems, self.look.order, self.look.reversed);
        let numbers = places.into_iter().filter_map(|at| watcher.reading().slots.get(at));
        numbers.filter_map(|one| Some((sample.slots.iter().find(|slot| slot.name == one.name)?, one))).collect()
    }

    /// The selected line among the listed slots: the one that was chosen, else the one to watch, else the first.
    #[must_use]
    pub fn selected_slot(&self) -> usize {
        let slots = self.slots();
        let line = |name: &Option<String>| {
            name.as_ref().and_then(|name| slots.iter().position(|(slot, _)| &slot.name == name))
        };
        line(&self.look.slot).or_else(|| line(&self.wanted_slot)).unwrap_or(0)
    }

    /// The slot that was chosen, if it was dropped since: as it was seen last, and when.
    #[must_use]
    pub fn dropped_slot(&self) -> Option<(&Slot, Moment)> {
        self.picture().gone(self.look.slot.as_deref()?)
    }

    /// What the list of slots leaves out and how it is sorted: the filter, whether only problems, and the order.
    #[must_use]
    pub fn listing(&self) -> (&Field, bool, SlotOrder, bool) {
        (&self.look.filter, self.look.problems, self.look.order, self.look.reversed)
    }

    /// The filter, while it is typed.
    #[must_use]
    pub fn filter_field(&self) -> Option<&Field> {
        if !self.look.typing {
            return None;
        }
        Some(if self.look.panel.is_of_tables() { &self.look.table_filter } else { &self.look.filter })
    }

    /// The same, to type into.
    pub fn filter_field_mut(&mut self) -> Option<&mut Field> {
        if !self.look.typing {
            return None;
        }
        let look = &mut self.look;
        Some(if look.panel.is_of_tables() { &mut look.table_filter } else { &mut look.filter })
    }

    /// How times, sizes and names are shown.
    #[must_use]
    pub fn display(&self) -> &Display {
        &self.look.display
    }

    /// The same, to change it.
    pub fn display_mut(&mut self) -> &mut Display {
        &mut self.look.display
    }

    /// How many columns of a list are scrolled away.
    #[must_use]
    pub fn aside(&self) -> usize {
        self.look.aside
    }

    /// The recording under way.
    #[must_use]
    pub fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// The pause that is made between two samples because the source answers slowly.
    #[must_use]
    pub fn throttled(&self) -> Option<Duration> {
        self.throttled
    }

    /// What is wrong at the moment that is shown, the worst first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.picture().watcher.diagnosis().findings()
    }

    /// The selected finding's line: of the one that was chosen, else the first.
    #[must_use]
    pub fn selected_finding(&self) -> usize {
        let chosen = |finding: &Finding| {
            self.look.finding.as_ref().is_some_and(|(rule, object)| finding.rule == *rule && finding.object == *object)
        };
        self.findings().iter().position(chosen).unwrap_or(0)
    }

    /// The selected finding.
    #[must_use]
    pub fn finding(&self) -> Option<&Finding> {
        self.findings().get(self.selected_finding())
    }

    /// How many events back from the newest the user looks.
    #[must_use]
    pub fn selected_event(&self) -> usize {
        self.look.event
    }

    /// How far a page of text is scrolled.
    #[must_use]
    pub fn scroll(&self) -> usize {
        self.look.scroll
    }

    /// The charts' window of time, and whether they show bytes instead of time.
    #[must_use]
    pub fn chart(&self) -> (Duration, bool) {
        (Duration::from_secs(WINDOWS[self.window()]), self.look.in_bytes)
    }

    /// The window that was chosen, or the shortest one with everything in it.
    fn window(&self) -> usize {
        self.look.window.unwrap_or_else(|| self.reach().min(WINDOW))
    }

    /// The shortest window with everything in it; a longer one would show no more.
    fn reach(&self) -> usize {
        let watcher = &self.picture().watcher;
        let seen = watcher.sample().map_or(0, |sample| sample.at.since(watcher.history().began()).as_secs());
        WINDOWS.iter().position(|window| *window >= seen).unwrap_or(WINDOWS.len() - 1)
    }
}

/// A moment on the recording's clock as a time; before 1970 no machine recorded.
fn time(moment: Moment) -> SystemTime {
    SystemTime::UNIX_EPOCH + moment.since(Moment(0))
}
