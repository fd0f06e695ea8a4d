//! All that is known of one target: feed it samples, ask it for numbers, events and findings.

use std::collections::VecDeque;
use std::time::Duration;

use super::diagnosis::{Diagnosis, diagnose};
use super::events::Event;
use super::history::History;
use super::moment::Moment;
use super::reading::Reading;
use super::sample::Sample;
use super::units;
use crate::connection::printable;

/// History, numbers and diagnosis, always of the same moment.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    history: History,
    reading: Reading,
    diagnosis: Diagnosis,
}

impl Watcher {
    /// Takes a sample in and tells what changed.
    pub fn push(&mut self, sample: Sample) -> Vec<Event> {
        let at = sample.at;
        let mut events = self.history.push(sample);
        self.reading = Reading::of(&self.history);
        let found = diagnose(&self.history, &self.reading, &self.diagnosis);
        let told = self.diagnosis.update(found, at);
        self.history.tell(told.iter().cloned());
        events.extend(told);
        events
    }

    /// A copy to take further samples in, before it is looked at: without what is large in the latest one.
    #[must_use]
    pub fn light_copy(&self) -> Self {
        let mut history = self.history.clone();
        history.lighten();
        Self { history, reading: self.reading.clone(), diagnosis: self.diagnosis.clone() }
    }

    /// The latest sample.
    #[must_use]
    pub fn sample(&self) -> Option<&Sample> {
        self.history.latest()
    }

    /// What was sampled.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The numbers.
    #[must_use]
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// What is wrong.
    #[must_use]
    pub fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }

    /// Says that somebody works on a finding. `false`: there is no such finding.
    pub fn acknowledge(&mut self, rule: &str, object: &str, note: &str) -> bool {
        let now = self.now();
        let done = self.diagnosis.acknowledge(rule, object, note, now);
        let note = if note.is_empty() { String::new() } else { format!(" \"{}\"", printable(note)) };
        self.decided(done, format!("{rule} {object}: acknowledged{note}."))
    }

    /// Hides a finding for `time`, or until it is resolved. `false`: there is no such finding.
    pub fn mute(&mut self, rule: &str, object: &str, time: Option<Duration>) -> bool {
        let now = self.now();
        let done = self.diagnosis.mute(rule, object, time, now);
        let time = time.map_or_else(|| "until it is resolved".to_owned(), |time| format!("for {}", units::about(time)));
        self.decided(done, format!("{rule} {object}: muted {time}."))
    }

    /// Takes an acknowledgement or a muting back. `false`: there is no such finding.
    pub fn reopen(&mut self, rule: &str, object: &str) -> bool {
        let done = self.diagnosis.reopen(rule, object);
        self.decided(done, format!("{rule} {object}: open again."))
    }

    fn now(&self) -> Moment {
        self.sample().map_or_else(Moment::default, |sample| sample.at)
    }

    fn decided(&mut self, done: bool, text: String) -> bool {
        if done {
            self.history.tell([Event { at: self.now(), trouble: false, text }]);
        }
        done
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn events(&self) -> &VecDeque<Event> {
        self.history.events()
    }
}
