//! What was sampled, kept long enough to tell rates, ages and changes. Pure: time comes with the samples.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::events::{self, Event};
use super::lsn_clock::{Age, Confidence, LsnClock};
use super::moment::Moment;
use super::sample::Sample;
use super::slot::{Consumer, Slot};
use super::table::Tables;
use crate::catalog::Lsn;

/// How long the single points of a slot are kept.
const SLOT_POINTS_FOR: Duration = Duration::from_secs(900);
/// How long a process that read a slot is remembered, to tell a loop of reconnections.
const READERS_FOR: Duration = Duration::from_secs(300);
/// How many events and rates are kept.
const EVENTS: usize = 500;
const RATES: usize = 600;
/// Counters of tables are compared over at least this long: from 15 on they may trail a commit by ten seconds.
const TABLE_WINDOW: Duration = Duration::from_secs(20);

/// The history of one source.
#[derive(Clone, Debug, Default)]
pub struct History {
    clock: LsnClock,
    began: Moment,
    latest: Option<Sample>,
    slots: BTreeMap<String, SlotHistory>,
    tables: VecDeque<Tables>,
    rates: VecDeque<f64>,
    events: VecDeque<Event>,
}

/// The history of one slot.
#[derive(Clone, Debug, Default)]
pub struct SlotHistory {
    points: VecDeque<SlotPoint>,
    readers: VecDeque<(Moment, i32)>,
    last_reader: Option<Consumer>,
    inactive: Option<(Moment, Confidence)>,
}

/// A slot at one moment.
#[derive(Clone, Copy, Debug)]
pub struct SlotPoint {
    /// When.
    pub at: Moment,
    /// The end of the log then.
    pub end: Lsn,
    /// What its consumer had reached.
    pub reached: Option<Lsn>,
    /// What it held back.
    pub restart: Option<Lsn>,
    /// Up to where the log was sent to its consumer.
    pub sent: Option<Lsn>,
    /// Whether its walsender waited for the consumer to take data; `None` when that can't be seen.
    pub client_is_slow: Option<bool>,
}

impl SlotPoint {
    /// Bytes that the consumer had not confirmed.
    #[must_use]
    pub fn lag_bytes(&self) -> Option<u64> {
        self.reached.map(|reached| self.end.bytes_since(reached))
    }
}

impl History {
    /// Takes a sample in and tells what changed.
    pub fn push(&mut self, sample: Sample) -> Vec<Event> {
        let rate = self.latest.as_ref().and_then(|before| wal_rate(before, &sample));
        let changes = match &self.latest {
            Some(before) => {
                let same_cluster = before.server.system_identifier == sample.server.system_identifier;
                let same_line = before.server.timeline == sample.server.timeline;
                let changes = events::between(before, &sample);
                if !same_cluster {
                    *self = Self { events: std::mem::take(&mut self.events), began: sample.at, ..Self::default() };
                } else if !same_line {
                    self.clock = LsnClock::default();
                }
                changes
            }
            None => {
                self.began = sample.at;
                Vec::new()
            }
        };
        if let Some(lsn) = sample.lsn {
            self.clock.push(lsn, sample.at, sample.next_xid);
        }
        self.rates.extend(rate);
        trim(&mut self.rates, RATES);
        for slot in &sample.slots {
            let first = sample.at == self.began;
            self.slots.entry(slot.name.clone()).or_default().push(slot, &sample, first);
        }
        self.slots.retain(|name, _| sample.slots.iter().any(|slot| &slot.name == name));
        self.push_tables(sample.tables.as_ref());
        self.events.extend(changes.iter().cloned());
        trim(&mut self.events, EVENTS);
        self.latest = Some(sample);
        changes
    }

    fn push_tables(&mut self, tables: Option<&Tables>) {
        let Some(tables) = tables else { return };
        if self.tables.back().is_some_and(|last| last.at == tables.at) {
            return;
        }
        self.tables.push_back(tables.clone());
        // One older than the window stays, to measure from.
        while self.tables.get(1).is_some_and(|second| tables.at.since(second.at) >= TABLE_WINDOW) {
            self.tables.pop_front();
        }
    }

    /// The latest sample.
    #[must_use]
    pub fn latest(&self) -> Option<&Sample> {
        self.latest.as_ref()
    }

    /// When the history began, on the source's clock.
    #[must_use]
    pub fn began(&self) -> Moment {
        self.began
    }

    /// When which byte was written.
    #[must_use]
    pub fn clock(&self) -> &LsnClock {
        &self.clock
    }

    /// WAL bytes per second at each sample, oldest first.
    #[must_use]
    pub fn wal_rates(&self) -> &VecDeque<f64> {
        &self.rates
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// The history of one slot.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<&SlotHistory> {
        self.slots.get(name)
    }

    /// Inserts, updates and deletes per second of table number `at` of the latest sample; `None` before there are
    /// two readings, or after the counters were reset.
    #[must_use]
    pub fn table_rate(&self, name: &crate::profile::TableName) -> Option<f64> {
        let (first, last) = (self.tables.front()?, self.tables.back()?);
        let seconds = last.at.since(first.at).as_secs_f64();
        let sum = |tables: &Tables| tables.find(name).map(|table| table.inserts + table.updates + table.deletes);
        let changes = sum(last)?.checked_sub(sum(first)?)?;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        (seconds > 0.0).then(|| changes as f64 / seconds)
    }
}

impl SlotHistory {
    fn push(&mut self, slot: &Slot, sample: &Sample, first: bool) {
        let at = sample.at;
        match &slot.consumer {
            Some(reader) => {
                if self.readers.back().is_none_or(|(_, pid)| *pid != reader.pid) {
                    self.readers.push_back((at, reader.pid));
                }
                self.last_reader = Some(reader.clone());
                self.inactive = None;
            }
            None if self.inactive.is_none() => {
                let confidence = if first { Confidence::AtLeast } else { Confidence::Exact };
                self.inactive = Some((at, confidence));
            }
            None => {}
        }
        // From 17 on the server knows it itself.
        if let (None, Some(since)) = (&slot.consumer, slot.inactive_since) {
            self.inactive = Some((since, Confidence::Exact));
        }
        while self.readers.front().is_some_and(|(seen, _)| at.since(*seen) > READERS_FOR) {
            self.readers.pop_front();
        }
        let Some(end) = sample.lsn else { return };
        let consumer = slot.consumer.as_ref();
        self.points.push_back(SlotPoint {
            at,
            end,
            reached: slot.reached(),
            restart: slot.restart_lsn,
            sent: consumer.and_then(|reader| reader.sent_lsn),
            client_is_slow: consumer
                .and_then(|reader| reader.wait.as_deref())
                .map(|wait| wait.ends_with("WalSenderWriteData")),
        });
        while self.points.front().is_some_and(|point| at.since(point.at) > SLOT_POINTS_FOR) {
            self.points.pop_front();
        }
    }

    /// Its points, oldest first.
    #[must_use]
    pub fn points(&self) -> &VecDeque<SlotPoint> {
        &self.points
    }

    /// Who read it last, also after it went.
    #[must_use]
    pub fn last_reader(&self) -> Option<&Consumer> {
        self.last_reader.as_ref()
    }

    /// How many processes have read it one after the other in the last five minutes.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Since when nobody reads it.
    #[must_use]
    pub fn inactive_since(&self) -> Option<Moment> {
        self.inactive.map(|(since, _)| since)
    }

    /// For how long nobody reads it.
    #[must_use]
    pub fn inactive_for(&self, now: Moment) -> Option<Age> {
        let (since, confidence) = self.inactive?;
        let millis = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        Some(Age { millis, confidence })
    }

    /// The first and the last point of the last `window`; `None` before there are two.
    #[must_use]
    pub fn span(&self, window: Duration) -> Option<(&SlotPoint, &SlotPoint)> {
        let last = self.points.back()?;
        let from = last.at.minus(window);
        let first = self.points.get(self.points.partition_point(|point| point.at < from))?;
        (last.at > first.at).then_some((first, last))
    }

    /// Bytes per second by which `position` moved over the last `window`. A position that went back has no rate.
    #[must_use]
    pub fn rate(&self, window: Duration, position: impl Fn(&SlotPoint) -> Option<Lsn>) -> Option<f64> {
        let (first, last) = self.span(window)?;
        let moved = position(last)?.0.checked_sub(position(first)?.0)?;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        Some(moved as f64 / last.at.since(first.at).as_secs_f64())
    }
}

/// WAL bytes per second between two samples; `None` when they are of different servers or out of order.
fn wal_rate(before: &Sample, after: &Sample) -> Option<f64> {
    if before.server.system_identifier != after.server.system_identifier {
        return None;
    }
    let bytes = after.lsn?.0.checked_sub(before.lsn?.0)?;
    let seconds = after.at.since(before.at).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    (seconds > 0.0).then(|| bytes as f64 / seconds)
}

fn trim<T>(ring: &mut VecDeque<T>, most: usize) {
    while ring.len() > most {
        ring.pop_front();
    }
}
