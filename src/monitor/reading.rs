//! The numbers that people ask for, worked out of a [`History`]: one value for text, JSON and dashboard.

use std::time::Duration;

use serde::Serialize;

use super::files::Spill;
use super::history::{History, SlotHistory};
use super::lsn_clock::Age;
use super::sample::Sample;
use super::slot::{Slot, SlotKind};
use super::slot_history::{SlotPoint, Wait};
use super::state::{Signs, SlotState};
use super::{thresholds, units};
use crate::catalog::Lsn;
use crate::profile::alerts::{self, Alert};

/// All numbers of one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reading {
    /// The end of the log.
    pub lsn: Option<Lsn>,
    /// WAL bytes per second over the last ten seconds; `None` before there are two samples.
    pub wal_rate: Option<f64>,
    /// The same over the last five minutes.
    pub wal_rate_5m: Option<f64>,
    /// The same over the last hour.
    pub wal_rate_1h: Option<f64>,
    /// Transactions per second that got a transaction id, so have written, over the last ten seconds.
    pub transactions_per_second: Option<f64>,
    /// What holds WAL back, the most first. Without the right to list files the archiver is not among them.
    pub wal_holders: Vec<WalHolder>,
    /// Bytes per second by which the WAL directory grows; `None` before two readings of it.
    pub directory_growth: Option<f64>,
    /// Time until the volume of `pg_wal` is full, at that rate; `None` unless its size was given.
    #[serde(serialize_with = "in_seconds")]
    pub volume_full_in: Option<Duration>,
    /// Time until the next checkpoint that comes by itself, at the latest.
    #[serde(serialize_with = "in_seconds")]
    pub checkpoint_within: Option<Duration>,
    /// Every slot, the worst first.
    pub slots: Vec<SlotReading>,
}

/// Something that keeps WAL from being removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WalHolder {
    /// `slot`, `checkpoint`, `wal_keep_size`, `archiver`.
    pub what: &'static str,
    /// The slot's name.
    pub slot: Option<String>,
    /// How much it needs, in bytes.
    pub bytes: u64,
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
    /// Bytes that the server has to read again after a restart: from what the slot holds to what is confirmed.
    pub redo_bytes: Option<u64>,
    /// Bytes per second that are sent to its consumer.
    pub sent_rate: Option<f64>,
    /// For how long its consumer has not answered; `None` without one or without the right to see it.
    #[serde(serialize_with = "in_seconds")]
    pub silent_for: Option<Duration>,
    /// Time until the walsender hangs up, if the consumer stays silent; `None` without a limit.
    #[serde(serialize_with = "in_seconds")]
    pub hangs_up_in: Option<Duration>,
    /// For how long its consumer has been connected.
    #[serde(serialize_with = "in_seconds")]
    pub connected_for: Option<Duration>,
    /// Age in transactions of what it holds back from vacuum; `None` for a lost slot, which holds nothing.
    pub horizon: Option<i64>,
    /// How long ago that was.
    pub horizon_age: Option<Age>,
    /// Its spill files now; `None` before 15 or without the right to list them.
    pub spill: Option<Spill>,
    /// Bytes of log that could be removed if this slot were dropped; 0 when something else holds as much.
    pub freed_by_drop: Option<u64>,
    /// Time until it is lost for being idle (`idle_replication_slot_timeout`, 18 and newer).
    #[serde(serialize_with = "in_seconds")]
    pub idle_out_in: Option<Duration>,
    /// Why it does not get on, when it is stalled.
    pub stalled_by: Option<Stall>,
    /// For how long nobody has read it.
    pub inactive: Option<Age>,
    /// For how long its consumer has confirmed nothing though everything was sent.
    #[serde(serialize_with = "in_seconds")]
    pub stalled_for: Option<Duration>,
}

/// Why a slot that is read does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stall {
    /// Its consumer does not take what is sent.
    ConsumerSlow,
    /// Its consumer has everything and confirms nothing.
    NotConfirmed,
    /// A transaction is open.
    OpenTransaction,
    /// The walsender is busy decoding.
    Decoder,
    /// A standby has to have the log first.
    Standby,
}

impl Stall {
    /// In two words at the most.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsumerSlow => "slow consumer",
            Self::NotConfirmed => "not confirmed",
            Self::OpenTransaction => "open transaction",
            Self::Decoder => "decoder",
            Self::Standby => "standby",
        }
    }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(super) fn in_seconds<S: serde::Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs()).serialize(serializer)
}

impl Reading {
    /// What `history` says now.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let Some(sample) = history.latest() else { return Self::default() };
        let mut slots: Vec<SlotReading> =
            sample.slots.iter().map(|slot| SlotReading::of(slot, sample, history)).collect();
        // Of equally bad ones what is lost soonest, then what is furthest behind.
        let order =
            |slot: &SlotReading| (slot.state, slot.dies_in.unwrap_or(Duration::MAX), std::cmp::Reverse(slot.lag_bytes));
        slots.sort_by_key(order);
        let rate = |seconds| history.clock().rate(Duration::from_secs(seconds));
        let wal_holders = wal_holders(sample);
        for slot in &mut slots {
            slot.freed_by_drop = freed_by_drop(&slot.name, &wal_holders);
        }
        Self {
            lsn: sample.lsn,
            wal_rate: rate(10),
            wal_rate_5m: rate(300),
            wal_rate_1h: rate(3600).filter(|_| history.clock().reach() >= Duration::from_secs(1800)),
            transactions_per_second: history.clock().xid_rate(Duration::from_secs(10)),
            wal_holders,
            directory_growth: history.directory_growth(),
            volume_full_in: volume_full_in(sample, history),
            checkpoint_within: checkpoint_within(sample),
            slots,
        }
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
            safe_bytes: slot.safe_bytes(),
            confirmed_rate: past.rate(thresholds::TREND_WINDOW, |point| point.reached),
            trend,
            catches_up_in,
            dies_in: dies_in(slot, past, history),
            inactive: if slot.active { None } else { past.inactive_for(sample.at) },
            stalled_for: stalled_for(slot, past, sample),
            redo_bytes: match (slot.confirmed_flush_lsn, slot.restart_lsn) {
                (Some(confirmed), Some(restart)) if !slot.is_lost() => Some(confirmed.bytes_since(restart)),
                _ => None,
            },
            sent_rate: past.rate(thresholds::TREND_WINDOW, |point| point.sent),
            silent_for: slot.consumer.as_ref().and_then(|consumer| Some(sample.at.since(consumer.reply_time?))),
            hangs_up_in: None,
            connected_for: slot.consumer.as_ref().and_then(|reader| Some(sample.at.since(reader.backend_start?))),
            horizon: horizon(slot),
            horizon_age: horizon(slot)
                .and_then(|age| history.clock().xid_age(sample.next_xid.saturating_add_signed(-age))),
            spill: spill(slot, sample),
            freed_by_drop: None,
            idle_out_in: idle_out_in(slot, past, sample),
            stalled_by: None,
        };
        reading.hangs_up_in = reading.silent_for.and_then(|silent| {
            let limit = u64::try_from(sample.server.number("wal_sender_timeout")?).ok().filter(|limit| *limit > 0)?;
            Some(Duration::from_millis(limit).saturating_sub(silent))
        });
        reading.stalled_by = stalled_by(slot, past, &reading);
        let wal_moves = history.clock().rate(Duration::from_secs(30)).is_some_and(|rate| rate > 1024.0);
        let signs = Signs {
            lag_bytes,
            lag_age: reading.lag.map(Age::span),
            trend,
            dies_in: reading.dies_in,
            stalled: reading.stalled_for.is_some(),
            rewound: past.rewound().is_some_and(|rewind| sample.at.since(rewind.at) < thresholds::REWOUND_FOR),
            flapping: flapping(slot, past, sample),
            polled: past.is_polled(),
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
/// one the slower one does: see [`falls_back`].
fn dies_in(slot: &Slot, past: &SlotHistory, history: &History) -> Option<Duration> {
    let safe = slot.safe_bytes()?;
    let Ok(safe) = u64::try_from(safe) else { return Some(Duration::ZERO) };
    // What an idle server writes by itself looks like a rate for some seconds.
    let short = history.clock().reach() < thresholds::TREND_AT_LEAST;
    let idle = if short { thresholds::TREND_BYTES_PER_SECOND } else { 1024.0 };
    let used = |seconds| {
        let window = Duration::from_secs(seconds);
        let written = history.clock().rate(window)?;
        let freed = past.rate(window, |point| point.restart).unwrap_or(0.0);
        Some(written - freed)
    };
    let used = if slot.active {
        falls_back(past, Duration::from_secs(600))?.min(falls_back(past, Duration::from_secs(60))?)
    } else {
        used(60).unwrap_or(0.0).max(used(600).unwrap_or(0.0))
    };
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    (used > idle).then(|| units::seconds(safe as f64 / used)).flatten()
}

/// By how many bytes per second a slot that is read holds more, beyond noise. `restart_lsn` moves in steps (at
/// running-xacts records and at checkpoints), so a healthy slot seems to fall back now and then: unless a transaction
/// that is still open pins it, it follows the consumer's position, and that is what counts. A consumer speaks up every ten
/// seconds or so; what was written meanwhile tells nothing either.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn falls_back(past: &SlotHistory, window: Duration) -> Option<f64> {
    let (first, last) = past.span(window)?;
    let seconds = last.at.since(first.at).as_secs_f64();
    let written = last.end.bytes_since(first.end) as f64 / seconds;
    let behind = last.reached?.bytes_since(last.restart?) as f64;
    let pinned = behind > written * thresholds::STEPS_OF_RESTART.as_secs_f64();
    let position = |point: &SlotPoint| if pinned { point.restart } else { point.reached };
    let freed = position(last)?.bytes_since(position(first)?) as f64 / seconds;
    let noise = written * (thresholds::SPEAKS_UP.as_secs_f64() / seconds).max(0.05);
    Some(written - freed).filter(|used| *used > noise)
}

/// What the slot holds back from vacuum, in transactions. A lost slot still shows its `catalog_xmin` and holds nothing.
fn horizon(slot: &Slot) -> Option<i64> {
    if slot.is_lost() { None } else { slot.xmin_age.max(slot.catalog_xmin_age) }
}

fn spill(slot: &Slot, sample: &Sample) -> Option<Spill> {
    let known = sample.files.known()?.spill.as_ref()?;
    known.iter().find(|spill| spill.slot == slot.name).cloned()
}

/// 18 and newer: a slot that nobody has read for `idle_replication_slot_timeout` is lost at the next checkpoint, if it
/// holds any log.
fn idle_out_in(slot: &Slot, past: &SlotHistory, sample: &Sample) -> Option<Duration> {
    if slot.active || slot.is_lost() || slot.synced == Some(true) {
        return None;
    }
    let setting = sample.server.settings.get("idle_replication_slot_timeout")?;
    let unit = if setting.unit.as_deref() == Some("min") { 60 } else { 1 };
    let limit = setting.value.parse::<u64>().ok().filter(|limit| *limit > 0)?.checked_mul(unit)?;
    let idle = sample.at.since(past.inactive_since()?);
    Some(Duration::from_secs(limit).saturating_sub(idle))
}

/// Why a slot that is read does not get on: nothing but what its walsender waits for tells it.
fn stalled_by(slot: &Slot, past: &SlotHistory, reading: &SlotReading) -> Option<Stall> {
    let lag = reading.lag_bytes.filter(|lag| *lag > thresholds::LARGE_LAG_BYTES)?;
    if !slot.active || slot.is_lost() {
        return None;
    }
    let mostly = |waits: &[Wait]| {
        let (hits, seen) = past.waited(waits, thresholds::WAIT_SAMPLES);
        #[expect(clippy::cast_precision_loss, reason = "a share of thirty")]
        let share = hits as f64 / seen.max(1) as f64;
        seen * 2 >= thresholds::WAIT_SAMPLES && share >= thresholds::WAIT_SHARE
    };
    let unsent = reading.unsent_bytes;
    if mostly(&[Wait::Standby]) {
        Some(Stall::Standby)
    } else if mostly(&[Wait::Client]) {
        Some(Stall::ConsumerSlow)
    } else if unsent.is_some_and(|unsent| unsent > lag / 2) && mostly(&[Wait::Cpu, Wait::Disk]) {
        Some(Stall::Decoder)
    } else if reading.spill.as_ref().is_some_and(|spill| spill.files > 0) && mostly(&[Wait::Log]) {
        Some(Stall::OpenTransaction)
    } else {
        reading.stalled_for.map(|_| Stall::NotConfirmed)
    }
}

/// Everything that keeps WAL from being removed (PostgreSQL source, `KeepLogSeg` and `RemoveOldXlogFiles`).
fn wal_holders(sample: &Sample) -> Vec<WalHolder> {
    let Some(end) = sample.lsn.filter(|_| !sample.server.in_recovery) else { return Vec::new() };
    let slots = sample.slots.iter().filter(|slot| !slot.is_lost()).filter_map(|slot| {
        let bytes = end.bytes_since(slot.restart_lsn?);
        Some(WalHolder { what: "slot", slot: Some(slot.name.clone()), bytes })
    });
    let other = |what, bytes: Option<u64>| bytes.map(|bytes| WalHolder { what, slot: None, bytes });
    let redo = sample.context.known().and_then(|context| context.redo).map(|redo| end.bytes_since(redo));
    let ready = sample.files.known().and_then(|files| files.ready);
    let segment = sample.server.bytes("wal_segment_size").unwrap_or(0);
    let mut holders: Vec<WalHolder> = slots
        .chain(other("checkpoint", redo))
        .chain(other("wal_keep_size", kept(sample)))
        .chain(other("archiver", ready.map(|ready| ready.saturating_mul(segment))))
        .collect();
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.bytes));
    holders
}

/// What `wal_keep_size` keeps: no more than there is, where that can be seen.
fn kept(sample: &Sample) -> Option<u64> {
    let there = sample.files.known().and_then(|files| files.behind);
    Some(sample.server.bytes("wal_keep_size")?.min(there.unwrap_or(u64::MAX)))
}

/// What would be free if the slot went: from its position to that of whoever holds the most beside it.
fn freed_by_drop(slot: &str, holders: &[WalHolder]) -> Option<u64> {
    let own = holders.iter().find(|holder| holder.slot.as_deref() == Some(slot))?.bytes;
    let others = holders.iter().filter(|holder| holder.slot.as_deref() != Some(slot));
    Some(own.saturating_sub(others.map(|holder| holder.bytes).max().unwrap_or(0)))
}

/// Only what is known to lie on the volume counts: the WAL directory.
fn volume_full_in(sample: &Sample, history: &History) -> Option<Duration> {
    let used = sample.files.known()?.bytes;
    let room = sample.wanted.wal_volume?.saturating_sub(used);
    let growth = history.directory_growth().filter(|growth| *growth > 1024.0)?;
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    units::seconds(room as f64 / growth)
}

fn checkpoint_within(sample: &Sample) -> Option<Duration> {
    let every = u64::try_from(sample.server.number("checkpoint_timeout")?).ok()?;
    let last = sample.context.known()?.checkpointed?;
    Some(Duration::from_secs(every).saturating_sub(sample.at.since(last)))
}

/// For how long a connected consumer that was sent everything has confirmed nothing.
fn stalled_for(slot: &Slot, past: &SlotHistory, sample: &Sample) -> Option<Duration> {
    let consumer = slot.consumer.as_ref().filter(|_| slot.kind == SlotKind::Logical)?;
    let last = past.points().back()?;
    let (sent, reached) = (consumer.sent_lsn?, last.reached?);
    let all_sent = last.end.bytes_since(sent) < thresholds::LARGE_LAG_BYTES;
    let lag = last.end.bytes_since(reached);
    if !all_sent || lag < thresholds::STALLED_BYTES {
        return None;
    }
    let flat = |point: &&SlotPoint| point.reached == Some(reached);
    let first = past.points().iter().rev().take_while(flat).last()?;
    let time = last.at.since(first.at);
    let much = at_least(sample, &alerts::STALLED_BYTES, &slot.name, lag) && time >= thresholds::STALLED_SOON;
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    (much || at_least(sample, &alerts::STALLED, &slot.name, millis)).then_some(time)
}

/// Whether its readers come and go so often that it is worth a word.
fn flapping(slot: &Slot, past: &SlotHistory, sample: &Sample) -> bool {
    let times = u64::try_from(past.readers().saturating_sub(1)).unwrap_or(u64::MAX);
    at_least(sample, &alerts::RECONNECTS, &slot.name, times) && !past.is_polled()
}

/// Whether `value` reaches what is worth a word, whatever it is called then.
fn at_least(sample: &Sample, alert: &Alert, slot: &str, value: u64) -> bool {
    let limits = sample.wanted.alerts.limits(alert, Some(slot));
    limits.warning.or(limits.critical).is_some_and(|limit| value >= limit)
}
