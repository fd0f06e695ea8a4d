//! Everything that is known at one moment.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use crate::monitor::count::Count;
use crate::monitor::slot::Slot;
use crate::monitor::{Moment, Sample, Watcher};
use crate::profile::TableName;
use crate::replication::{Progress, Summary};

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
    /// How many events there ever were.
    pub(super) told: usize,
    /// Exact rows of tables, as they were counted last.
    pub counts: BTreeMap<TableName, Count>,
    /// Slots that were dropped, as they were seen last.
    gone: VecDeque<(Slot, Moment)>,
}

/// The most events that are kept.
const LOG: usize = 500;
/// How many dropped slots are remembered.
const GONE: usize = 20;

impl Picture {
    /// Takes a sample in.
    pub(super) fn sampled(&mut self, sample: Sample, now: SystemTime) {
        let at = sample.at;
        if self.failure.take().is_some() {
            self.tell(at, false, "The source answers again.".to_owned());
        }
        if let Some(last) = self.watcher.sample() {
            let dropped = last.slots.iter().filter(|slot| !sample.slots.iter().any(|is| is.name == slot.name));
            self.gone.extend(dropped.map(|slot| (slot.clone(), last.at)));
            while self.gone.len() > GONE {
                self.gone.pop_front();
            }
        }
        for event in self.watcher.push(sample) {
            self.tell(event.at, event.trouble, event.text);
        }
        (self.sampled_at, self.next_try) = (Some(now), None);
    }

    /// Lets somebody decide about a finding; what is decided is an event.
    pub(super) fn decide(&mut self, decision: impl Fn(&mut Watcher) -> bool) {
        let before = self.watcher.events().back().cloned();
        if decision(&mut self.watcher)
            && let Some(event) = self.watcher.events().back().filter(|event| before.as_ref() != Some(*event)).cloned()
        {
            self.tell(event.at, event.trouble, event.text);
        }
    }

    /// What was known when `watcher` knew the most: without later events, and without the run of this process, of
    /// which only the present is known.
    pub(super) fn earlier(&self, watcher: Watcher, arrived: SystemTime) -> Self {
        let moment = watcher.sample().map(|sample| sample.at).unwrap_or_default();
        Self {
            watcher,
            sampled_at: Some(arrived),
            counts: self.counts.clone(),
            log: self.log.iter().filter(|line| line.at <= moment).cloned().collect(),
            gone: self.gone.clone(),
            ..Self::default()
        }
    }

    /// Adds an event; `text` is safe to print.
    pub(super) fn tell(&mut self, at: Moment, trouble: bool, text: String) {
        self.told += 1;
        self.log.push_back(LogLine { at, trouble, text });
        while self.log.len() > LOG {
            self.log.pop_front();
        }
    }

    /// The slot called `name` as it was seen last, and when, if it is not there any more.
    #[must_use]
    pub fn gone(&self, name: &str) -> Option<(&Slot, Moment)> {
        if self.watcher.reading().slot(name).is_some() {
            return None;
        }
        self.gone.iter().rev().find(|(slot, _)| slot.name == name).map(|(slot, at)| (slot, *at))
    }
}
