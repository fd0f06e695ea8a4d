//! The numbers that people ask for, worked out of a [`History`]: one value for text, JSON and dashboard.

use std::time::Duration;

use serde::Serialize;

use super::history::{History, SlotHistory, SlotPoint};
use super::lsn_clock::Age;
use super::sample::Sample;
use super::slot::{Slot, SlotKind};
use super::state::{Signs, SlotState};
use super::{thresholds, units};
use crate::catalog::Lsn;

/// All numbers of one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reading {
    /// The end of the log.
    pub lsn: Option<Lsn>,
    /// WAL bytes per second over the last ten seconds; `None` before there are two samples.
    pub wal_rate: Option<f64>,
    /// The same over the last five minutes.
    pub wal_rate_5m: Option<f64>,
    /// Every slot, the worst first.
    pub slots: Vec<SlotReading>,
}

/// The numbers of one slot. What is not known is `None`, never 0.
#[derive(Clone, Debug, Serialize)]
pub struct SlotReading {
    /// The slot's name.
    pub name: String,
    /// How it is.
    pub state: SlotState,
    /// Bytes that its consumer has not confirmed.
    pub lag_bytes: Option<u64>,
    /// Age of the oldest such byte.
    pub lag: Option<Age>,
    /// Bytes of log that it holds back; `None` also when it is lost and holds nothing.
    pub retained_bytes: Option<u64>,
    /// Bytes not sent to its consumer yet; `None` without a consumer or without the right to see it.
    pub unsent_bytes: Option<u64>,
    /// Bytes that may be written before it is in danger; `None` without a limit.
    pub safe_bytes: Option<i64>,
    /// Bytes per second that its consumer confirms.
    pub confirmed_rate: Option<f64>,
    /// Bytes per second by which the lag grows (or shrinks, below zero).
    pub trend: Option<f64>,
    /// Time until it has caught up.
    #[serde(serialize_with = "in_seconds")]
    pub catches_up_in: Option<Duration>,
    /// Time until it is lost, at the rate of the last minutes.
    #[serde(serialize_with = "in_seconds")]
    pub dies_in: Option<Duration>,
    /// For how long nobody has read it.
    pub inactive: Option<Age>,
    /// For how long its consumer has confirmed nothing though everything was sent.
    #[serde(serialize_with = "in_seconds")]
    pub stalled_for: Option<Duration>,
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn in_seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs()).serialize(serializer)
}

impl Reading {
    /// What `history` says now.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let Some(sample) = history.latest() else { return Self::default() };
        let mut slots: Vec<SlotReading> =
            sample.slots.iter().map(|slot| SlotReading::of(slot, sample, history)).collect();
        slots.sort_by_key(|slot| (slot.state, std::cmp::Reverse(slot.lag_bytes)));
        let rate = |seconds| history.clock().rate(Duration::from_secs(seconds));
        Self { lsn: sample.lsn, wal_rate: rate(10), wal_rate_5m: rate(300), slots }
    }

    /// The slot called `name`.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<&SlotReading> {
        self.slots.iter().find(|slot| slot.name == name)
    }
}

impl SlotReading {
    fn of(slot: &Slot, sample: &Sample, history: &History) -> Self {
        let nothing = SlotHistory::default();
        let past = history.slot(&slot.name).unwrap_or(&nothing);
        let since = |position: Option<Lsn>| Some(sample.lsn?.bytes_since(position?));
        let sent = slot.consumer.as_ref().and_then(|consumer| consumer.sent_lsn);
        let lag_bytes = since(slot.reached());
        let trend = trend(past);
        let catches_up_in = match (trend, lag_bytes) {
            #[expect(clippy::cast_precision_loss, reason = "an estimate")]
            (Some(trend), Some(lag)) if trend < 0.0 && slot.active => units::seconds(lag as f64 / -trend),
            _ => None,
        };
        let mut reading = Self {
            name: slot.name.clone(),
            state: SlotState::Streaming,
            lag_bytes,
            lag: slot.reached().and_then(|reached| history.clock().age(reached)),
            retained_bytes: if slot.is_lost() { None } else { since(slot.restart_lsn) },
            unsent_bytes: since(sent),
            safe_bytes: slot.safe_wal_size,
            confirmed_rate: past.rate(thresholds::TREND_WINDOW, |point| point.reached),
            trend,
            catches_up_in,
            dies_in: dies_in(slot, past, history),
            inactive: if slot.active { None } else { past.inactive_for(sample.at) },
            stalled_for: stalled_for(slot, past),
        };
        let wal_moves = history.clock().rate(Duration::from_secs(30)).is_some_and(|rate| rate > 1024.0);
        let signs = Signs {
            lag_bytes,
            lag_age: reading.lag.map(Age::span),
            trend,
            dies_in: reading.dies_in,
            stalled: reading.stalled_for.is_some(),
            readers: past.readers(),
            wal_moves,
        };
        reading.state = SlotState::of(slot, signs);
        reading
    }
}

/// By how many bytes per second the lag grows.
fn trend(past: &SlotHistory) -> Option<f64> {
    let (first, last) = past.span(thresholds::TREND_WINDOW)?;
    let time = last.at.since(first.at);
    if time < thresholds::TREND_AT_LEAST {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Some((last.lag_bytes()? as f64 - first.lag_bytes()? as f64) / time.as_secs_f64())
}

/// Time until the log that the slot needs is removed: what is left of `max_slot_wal_keep_size`, by how fast it is
/// used up over one minute and over ten. Without a reader the faster one counts, so that a burst warns early. With
/// one the slower one does, and only beyond noise: `restart_lsn` moves in steps (at running-xacts records and
/// checkpoints), so a healthy slot seems to fall back now and then.
fn dies_in(slot: &Slot, past: &SlotHistory, history: &History) -> Option<Duration> {
    let safe = slot.safe_wal_size.filter(|_| !slot.is_lost())?;
    let Ok(safe) = u64::try_from(safe) else { return Some(Duration::ZERO) };
    let used = |seconds| {
        let window = Duration::from_secs(seconds);
        let written = history.clock().rate(window)?;
        let freed = past.rate(window, |point| point.restart).unwrap_or(0.0);
        // A twentieth of what is written is within the steps.
        let noise = if slot.active { written / 20.0 } else { 0.0 };
        Some(written - freed).filter(|used| *used > noise.max(1024.0))
    };
    let used = match (used(60), used(600)) {
        (Some(minute), Some(ten)) if slot.active => minute.min(ten),
        (Some(minute), Some(ten)) => minute.max(ten),
        (one, other) if !slot.active => one.or(other)?,
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    units::seconds(safe as f64 / used)
}

/// For how long a connected consumer that was sent everything has confirmed nothing.
fn stalled_for(slot: &Slot, past: &SlotHistory) -> Option<Duration> {
    let consumer = slot.consumer.as_ref().filter(|_| slot.kind == SlotKind::Logical)?;
    let last = past.points().back()?;
    let (sent, reached) = (consumer.sent_lsn?, last.reached?);
    let all_sent = last.end.bytes_since(sent) < thresholds::LARGE_LAG_BYTES;
    if !all_sent || last.end.bytes_since(reached) < thresholds::STALLED_BYTES {
        return None;
    }
    let flat = |point: &&SlotPoint| point.reached == Some(reached);
    let first = past.points().iter().rev().take_while(flat).last()?;
    let time = last.at.since(first.at);
    (time >= thresholds::STALLED_AFTER).then_some(time)
}
