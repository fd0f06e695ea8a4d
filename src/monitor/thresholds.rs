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
/// A lag of this age that still grows is worth a word.
pub(super) const LATE_WARN: Duration = Duration::from_secs(60);
/// For such a lag slower growth than this many bytes per second is noise.
pub(super) const LATE_BYTES_PER_SECOND: f64 = 1024.0;
/// A consumer that was sent everything and has confirmed nothing for so long does not confirm.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(10 * 60);
/// Unless this much waits, nobody cares.
pub(super) const STALLED_BYTES: u64 = 64 << 20;
/// Share of the samples in which the walsender waited for the consumer.
pub(super) const SLOW_CLIENT_SHARE: f64 = 0.6;
/// How many samples are looked at for that.
pub(super) const SLOW_CLIENT_SAMPLES: usize = 30;
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
