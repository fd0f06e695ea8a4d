//! Everything that is known at one moment.

use std::collections::{BTreeSet, VecDeque};
use std::time::SystemTime;

use crate::monitor::diagnosis::{Finding, Severity};
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
    /// The tables that this process's own run has copied itself.
    pub copied: BTreeSet<TableName>,
    /// How that run ended.
    pub ended: Option<Result<Summary, String>>,
    /// What happened, oldest first.
    pub log: VecDeque<LogLine>,
    /// How many events there ever were.
    pub(super) told: usize,
    /// Findings that were told as events and are not resolved yet.
    known: BTreeSet<(&'static str, String)>,
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
        self.tell_findings(at);
    }

    /// What was known when `watcher` knew the most: without later events, and without the run of this process, of
    /// which only the present is known.
    pub(super) fn earlier(&self, watcher: Watcher, arrived: SystemTime) -> Self {
        let moment = watcher.sample().map(|sample| sample.at).unwrap_or_default();
        Self {
            watcher,
            sampled_at: Some(arrived),
            copied: self.copied.clone(),
            log: self.log.iter().filter(|line| line.at <= moment).cloned().collect(),
            gone: self.gone.clone(),
            ..Self::default()
        }
    }

    /// Findings that came or went since the last sample, as events. What is only worth knowing stays out; what was
    /// told is resolved when it is gone, not when it is a little better.
    fn tell_findings(&mut self, at: Moment) {
        let findings = self.watcher.diagnosis().findings().to_vec();
        let key = |finding: &Finding| (finding.rule, finding.object.clone());
        let standing: BTreeSet<_> = findings.iter().map(key).collect();
        let known = std::mem::take(&mut self.known);
        for (rule, object) in known.difference(&standing) {
            self.tell(at, false, format!("{rule} {object}: resolved."));
        }
        self.known = known.intersection(&standing).cloned().collect();
        for finding in findings.iter().filter(|finding| finding.severity < Severity::Info) {
            if self.known.insert(key(finding)) {
                self.tell(at, true, format!("{} {}: {}.", finding.rule, finding.object, finding.title));
            }
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
