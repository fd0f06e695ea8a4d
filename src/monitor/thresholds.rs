//! From when on something is worth a word. Each with its reason; made to be configurable later.

use std::time::Duration;

/// A slot that will be lost within this time is as good as lost: nobody reacts faster.
pub(super) const DOOMED_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Time to the loss of a slot: time to plan, and time to act.
pub(super) const DIES_WARN: Duration = Duration::from_secs(6 * 3600);
/// See [`DIES_WARN`].
pub(super) const DIES_CRITICAL: Duration = Duration::from_secs(3600);
/// A consumer that restarts for a deployment is back before this.
pub(super) const DETACHED_WARN: Duration = Duration::from_secs(5 * 60);
/// Nobody is coming back by itself.
pub(super) const DETACHED_CRITICAL: Duration = Duration::from_secs(30 * 60);
/// So many readers one after the other in five minutes are a loop.
pub(super) const FLAPPING_READERS: usize = 4;
/// So many are bad even when they get on.
pub(super) const FLAPPING_MANY: usize = 11;
/// Over how long a trend is told.
pub(super) const TREND_WINDOW: Duration = Duration::from_secs(60);
/// Less history than this tells no trend.
pub(super) const TREND_AT_LEAST: Duration = Duration::from_secs(20);
/// Slower growth of the lag is noise.
pub(super) const TREND_BYTES_PER_SECOND: f64 = 16.0 * 1024.0;
/// A lag below one WAL segment is what a healthy consumer has between two answers.
pub(super) const LARGE_LAG_BYTES: u64 = 16 << 20;
/// Bytes say little where little is written: a lag of this age is large, however few bytes it is.
pub(super) const LARGE_LAG_AGE: Duration = Duration::from_secs(30);
/// A lag of this age is worth a word.
pub(super) const LATE_WARN: Duration = Duration::from_secs(120);
/// A lag of this age is beyond what anybody agreed to.
pub(super) const LATE_CRITICAL: Duration = Duration::from_secs(900);
/// For such a lag slower growth than this many bytes per second is noise.
pub(super) const LATE_BYTES_PER_SECOND: f64 = 1024.0;
/// A consumer that was sent everything and has confirmed nothing for so long does not confirm.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(10 * 60);
/// Unless this much waits, nobody cares.
pub(super) const STALLED_BYTES: u64 = 64 << 20;
/// So much not confirmed is told of sooner.
pub(super) const STALLED_MUCH: u64 = 1 << 30;
/// See [`STALLED_MUCH`].
pub(super) const STALLED_SOON: Duration = Duration::from_secs(60);
/// For how long a position that went back is the word of a slot.
pub(super) const REWOUND_FOR: Duration = Duration::from_secs(3600);
/// Share of the samples in which a walsender has to wait for something to be held up by it.
pub(super) const WAIT_SHARE: f64 = 0.6;
/// How many samples are looked at for that.
pub(super) const WAIT_SAMPLES: usize = 30;
/// Without a limit on what slots hold, only the disk ends it: say so from here on.
pub(super) const HELD_WARN: u64 = 10 << 30;
/// See [`HELD_WARN`].
pub(super) const HELD_CRITICAL: u64 = 50 << 30;
/// A walsender that has heard nothing for this share of `wal_sender_timeout` will soon be ended.
pub(super) const SILENT_WARN: f64 = 0.5;
/// See [`SILENT_WARN`].
pub(super) const SILENT_CRITICAL: f64 = 0.85;
/// Share of slots or walsenders in use.
pub(super) const CAPACITY_WARN: f64 = 0.8;
/// An open transaction that pins a slot: from here on somebody may have forgotten it.
pub(super) const OPEN_WORTH_KNOWING: Duration = Duration::from_secs(60);
/// See [`OPEN_WORTH_KNOWING`].
pub(super) const OPEN_WARN: Duration = Duration::from_secs(10 * 60);
/// See [`OPEN_WORTH_KNOWING`].
pub(super) const OPEN_CRITICAL: Duration = Duration::from_secs(60 * 60);
/// A slot that waits to be made: usually that takes seconds.
pub(super) const CREATION_WARN: Duration = Duration::from_secs(30);
/// See [`CREATION_WARN`].
pub(super) const CREATION_CRITICAL: Duration = Duration::from_secs(600);
/// So many transactions held back from vacuum bloat the catalogs.
pub(super) const HORIZON_WARN: f64 = 10e6;
/// So long held back, if there were transactions at all.
pub(super) const HORIZON_TIME: Duration = Duration::from_secs(2 * 3600);
/// See [`HORIZON_TIME`].
pub(super) const HORIZON_TIME_XIDS: i64 = 100_000;
/// Share of `autovacuum_freeze_max_age` at which vacuum can't do its duty much longer.
pub(super) const HORIZON_CRITICAL: f64 = 0.5;
/// Changes of open transactions on disk, for one slot.
pub(super) const SPILL_WARN: f64 = (1_u64 << 30) as f64;
/// See [`SPILL_WARN`].
pub(super) const SPILL_CRITICAL: f64 = (10_u64 << 30) as f64;
/// Share of what is decoded that goes to disk first, over ten minutes.
pub(super) const SPILL_SHARE: f64 = 0.2;
/// Less than this in ten minutes is no storm.
pub(super) const SPILL_AT_LEAST: u64 = 64 << 20;
/// Segments that wait for the archiver.
pub(super) const READY_WARN: f64 = 100.0;
/// See [`READY_WARN`].
pub(super) const READY_CRITICAL: f64 = 1000.0;
/// Time until the volume of `pg_wal` is full.
pub(super) const FULL_WARN: Duration = Duration::from_secs(24 * 3600);
/// See [`FULL_WARN`].
pub(super) const FULL_CRITICAL: Duration = Duration::from_secs(2 * 3600);
/// An inactive slot of a table's first copy that is this old is forgotten.
pub(super) const ORPHAN_AFTER: Duration = Duration::from_secs(600);
/// Time until a slot is lost for being idle.
pub(super) const IDLE_OUT_WARN: Duration = Duration::from_secs(3600);
/// See [`IDLE_OUT_WARN`].
pub(super) const IDLE_OUT_CRITICAL: Duration = Duration::from_secs(900);
/// Share of the 2^31 transactions between a stored xmin and its wraparound.
pub(super) const WRAP_WARN: f64 = 0.5;
/// See [`WRAP_WARN`].
pub(super) const WRAP_CRITICAL: f64 = 0.8;
