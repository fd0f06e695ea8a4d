//! What one slot went through, kept long enough to tell rates, ages and changes. Pure: time comes with the samples.

use std::collections::VecDeque;
use std::time::Duration;

use super::lsn_clock::{Age, Confidence};
use super::memory::SlotMark;
use super::moment::Moment;
use super::ring::Ring;
use super::sample::Sample;
use super::slot::{Consumer, Slot};
use super::slot_past::{PastPoint, SlotPast};
use crate::catalog::Lsn;

/// How long the single points of a slot are kept.
const POINTS_FOR: Duration = Duration::from_secs(900);
/// How long a process that read a slot is remembered, to tell a loop of reconnections.
const READERS_FOR: Duration = Duration::from_secs(300);
/// A reader that was silent for this share of `wal_sender_timeout` when it went was ended by the server.
const TIMED_OUT: f64 = 0.9;

/// The history of one slot.
#[derive(Clone, Debug, Default)]
pub struct SlotHistory {
    points: Ring<SlotPoint>,
    past: SlotPast,
    readers: VecDeque<Reader>,
    last_reader: Option<Consumer>,
    departure: Option<Departure>,
    inactive: Option<(Moment, Confidence)>,
    creating: Option<Moment>,
    released: Option<Moment>,
    rewound: Option<Rewind>,
}

/// A process that read the slot.
#[derive(Clone, Copy, Debug)]
struct Reader {
    seen: Moment,
    pid: Option<i32>,
    reached: Option<Lsn>,
}

/// How the last reader went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// When that was seen.
    pub at: Moment,
    /// How long it had been silent at the last sample before.
    pub silent: Option<Duration>,
    /// Whether it was silent for so long that the server ended it (`wal_sender_timeout`).
    pub timed_out: bool,
}

/// A position that went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewind {
    /// When that was seen.
    pub at: Moment,
    /// Where it was.
    pub from: Lsn,
    /// Where it is.
    pub to: Lsn,
}

/// What a walsender waits for, as far as a rule cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For its client to take data.
    Client,
    /// For more log: it has nothing to do.
    Log,
    /// For a standby to have the log first.
    Standby,
    /// For the disk: log to read, or spilled changes.
    Disk,
    /// For nothing: it computes.
    Cpu,
    /// For something else.
    Other,
}

impl Wait {
    /// What `consumer` waits for; `None` when that can't be seen. (The names are those of 13 to 18, whose spelling
    /// differs in upper and lower case.)
    #[must_use]
    pub fn of(consumer: &Consumer) -> Option<Self> {
        // Without the right to see it there is no kind either.
        consumer.backend_type.as_ref()?;
        let Some(wait) = consumer.wait.as_deref() else { return Some(Self::Cpu) };
        let event = wait.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        Some(match event.as_str() {
            // The second while a run reads a backlog by function.
            "walsenderwritedata" | "clientwrite" => Self::Client,
            "walsenderwaitforwal" | "walsendermain" => Self::Log,
            "waitforstandbyconfirmation" => Self::Standby,
            _ if wait.starts_with("IO/") => Self::Disk,
            _ => Self::Other,
        })
    }
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
    /// What its walsender waited for; `None` when that can't be seen.
    pub wait: Option<Wait>,
    /// Bytes that went to disk, and bytes decoded, since the statistics were reset.
    pub decoded: Option<(u64, u64)>,
}

impl SlotPoint {
    /// Bytes that the consumer had not confirmed.
    #[must_use]
    pub fn lag_bytes(&self) -> Option<u64> {
        self.reached.map(|reached| self.end.bytes_since(reached))
    }

    /// Bytes that were not sent.
    #[must_use]
    pub fn unsent_bytes(&self) -> Option<u64> {
        self.sent.map(|sent| self.end.bytes_since(sent))
    }
}

impl SlotHistory {
    /// `first`: nothing is known of the time before. `restarted`: the server was, since the last sample.
    pub(super) fn push(&mut self, slot: &Slot, sample: &Sample, first: bool, restarted: bool) {
        let at = sample.at;
        let before = sample.slots_before.iter().find(|before| first && before.slot.name == slot.name);
        self.follow_reader(slot, sample, first, before);
        // A standby's copy goes where the primary's slot goes, and after a crash a slot is what it was at its last
        // save: neither is a loss.
        let restarted = restarted || before.is_some_and(|before| sample.server.started > before.at);
        let known =
            self.points.back().map_or_else(|| before.and_then(|before| before.slot.reached()), |last| last.reached);
        if let (Some(before), Some(now)) = (known, slot.reached())
            && now < before
            && slot.synced != Some(true)
            && !restarted
        {
            self.rewound = Some(Rewind { at, from: before, to: now });
        }
        self.creating = if slot.is_being_created() { self.creating.or(Some(at)) } else { None };
        let Some(end) = sample.lsn else { return };
        self.points.push_back(SlotPoint {
            at,
            end,
            reached: slot.reached(),
            restart: slot.restart_lsn,
            sent: slot.consumer.as_ref().and_then(|reader| reader.sent_lsn),
            wait: slot.consumer.as_ref().and_then(Wait::of),
            decoded: slot.decoding.as_ref().map(|decoding| (decoding.spill_bytes, decoding.total_bytes)),
        });
        if let Some(reached) = slot.reached() {
            self.past.push(PastPoint { at, end, reached });
        }
        while self.points.front().is_some_and(|point| at.since(point.at) > POINTS_FOR) {
            self.points.pop_front();
        }
    }

    /// `before`: the slot as an earlier run has left it.
    fn follow_reader(&mut self, slot: &Slot, sample: &Sample, first: bool, before: Option<&SlotMark>) {
        let at = sample.at;
        let reached = slot.reached();
        match &slot.consumer {
            Some(reader) => {
                if self.readers.back().is_none_or(|known| known.pid != Some(reader.pid)) {
                    self.readers.push_back(Reader { seen: at, pid: Some(reader.pid), reached });
                }
                self.last_reader = Some(reader.clone());
                self.inactive = None;
            }
            None => {
                let was_alone = self.inactive.is_some();
                if !was_alone {
                    if !first {
                        self.departure = Some(self.departure_at(sample));
                    }
                    let confidence = if first { Confidence::AtLeast } else { Confidence::Exact };
                    // Nobody has brought it on since then: most likely nobody has read it either.
                    let stood = before.filter(|before| before.slot.reached() == reached);
                    let since = stood.and_then(|before| before.unread_since).unwrap_or(at);
                    self.inactive = Some((since, confidence));
                }
                // From 17 on the server knows it itself; and when it moves, a reader came and went between two samples.
                if let Some(since) = slot.inactive_since {
                    if self.released.is_some_and(|before| since > before) && slot.synced != Some(true) {
                        self.readers.push_back(Reader { seen: at, pid: None, reached });
                    }
                    self.released = Some(since);
                    self.inactive = Some((since, Confidence::Exact));
                } else if was_alone && self.points.back().is_some_and(|last| last.reached < reached) {
                    // Before that its position tells: somebody has brought it on.
                    self.readers.push_back(Reader { seen: at, pid: None, reached });
                    self.inactive = Some((at, Confidence::Exact));
                }
            }
        }
        if slot.consumer.is_some() {
            self.released = None;
        }
        while self.readers.front().is_some_and(|known| at.since(known.seen) > READERS_FOR) {
            self.readers.pop_front();
        }
    }

    fn departure_at(&self, sample: &Sample) -> Departure {
        let silent = self.last_reader.as_ref().and_then(|reader| Some(sample.at.since(reader.reply_time?)));
        let limit = sample.server.number("wal_sender_timeout").and_then(|limit| u64::try_from(limit).ok());
        let timed_out = match (silent, limit.filter(|limit| *limit > 0)) {
            (Some(silent), Some(limit)) => silent >= Duration::from_millis(limit).mul_f64(TIMED_OUT),
            _ => false,
        };
        Departure { at: sample.at, silent, timed_out }
    }

    /// Moves every time by `micros`: the server's clock was set.
    pub(super) fn shift(&mut self, micros: i64) {
        let moved = |moment: &mut Moment| moment.0 = moment.0.saturating_add(micros);
        self.points.change(|point| moved(&mut point.at));
        self.past.shift(micros);
        self.readers.iter_mut().for_each(|reader| moved(&mut reader.seen));
        self.inactive.iter_mut().for_each(|(since, _)| moved(since));
        self.creating.iter_mut().for_each(moved);
        self.rewound.iter_mut().for_each(|rewind| moved(&mut rewind.at));
        self.departure.iter_mut().for_each(|departure| moved(&mut departure.at));
    }

    /// Its points, oldest first.
    #[must_use]
    pub fn points(&self) -> &Ring<SlotPoint> {
        &self.points
    }

    /// What it went through before those points, thinned, for up to a week.
    pub fn past(&self) -> impl Iterator<Item = &PastPoint> {
        let first = self.points.front().map_or(Moment(i64::MAX), |point| point.at);
        self.past.points().take_while(move |point| point.at < first)
    }

    /// Who read it last, also after it went.
    #[must_use]
    pub fn last_reader(&self) -> Option<&Consumer> {
        self.last_reader.as_ref()
    }

    /// How the last reader went, if that was seen.
    #[must_use]
    pub fn departure(&self) -> Option<&Departure> {
        self.departure.as_ref()
    }

    /// How many processes have read it one after the other in the last five minutes.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Whether it is polled: its readers come for a moment (by `pg_logical_slot_get_changes`, or too short to be seen) and
    /// bring it on. That they come and go is as it should be.
    #[must_use]
    pub fn is_polled(&self) -> bool {
        let unseen = self.readers.iter().all(|reader| reader.pid.is_none());
        let polls = self.last_reader.as_ref().is_some_and(Consumer::polls);
        (unseen || polls) && self.readers_got_on() == Some(true)
    }

    /// Whether what those readers confirmed brought the slot forward; `None` without two of them.
    #[must_use]
    pub fn readers_got_on(&self) -> Option<bool> {
        let (first, last) = (self.readers.front()?, self.points.back()?);
        (self.readers.len() > 1).then(|| last.reached > first.reached)
    }

    /// The position that went back, if it did while it was watched.
    #[must_use]
    pub fn rewound(&self) -> Option<Rewind> {
        self.rewound
    }

    /// Since when its creation waits.
    #[must_use]
    pub fn creating_since(&self) -> Option<Moment> {
        self.creating
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

    /// In how many of the last `most` samples its walsender waited for one of `waits`, and in how many of them that
    /// could be seen.
    #[must_use]
    pub fn waited(&self, waits: &[Wait], most: usize) -> (usize, usize) {
        let seen = self.points.iter().rev().take(most).filter_map(|point| point.wait);
        seen.fold((0, 0), |(hits, all), wait| (hits + usize::from(waits.contains(&wait)), all + 1))
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
