//! What the numbers and the rules take for noise, for a trend, for long enough. From when on something is a warning or
//! critical is the user's to say: `profile::alerts`.

use std::time::Duration;

/// A slot that will be lost within this time is as good as lost: nobody reacts faster.
pub(super) const DOOMED_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Over how long a trend is told.
pub(super) const TREND_WINDOW: Duration = Duration::from_secs(60);
/// Less history than this tells no trend.
pub(super) const TREND_AT_LEAST: Duration = Duration::from_secs(20);
/// Within this time `restart_lsn` has followed what a consumer confirmed, if nothing pins it: a running-xacts record comes
/// every fifteen seconds, and a consumer has to confirm beyond it.
pub(super) const STEPS_OF_RESTART: Duration = Duration::from_secs(60);
/// A consumer says this often at the least what it has (`wal_receiver_status_interval`).
pub(super) const SPEAKS_UP: Duration = Duration::from_secs(10);
/// Slower growth of the lag is noise.
pub(super) const TREND_BYTES_PER_SECOND: f64 = 16.0 * 1024.0;
/// A lag below one WAL segment is what a healthy consumer has between two answers.
pub(super) const LARGE_LAG_BYTES: u64 = 16 << 20;
/// Bytes say little where little is written: a lag of this age is large, however few bytes it is.
pub(super) const LARGE_LAG_AGE: Duration = Duration::from_secs(30);
/// For such a lag slower growth than this many bytes per second is noise.
pub(super) const LATE_BYTES_PER_SECOND: f64 = 1024.0;
/// Unless this much waits, nobody cares.
pub(super) const STALLED_BYTES: u64 = 64 << 20;
/// Very much not confirmed is told of after this time.
pub(super) const STALLED_SOON: Duration = Duration::from_secs(60);
/// A slot that holds more and more for so long does not do so by chance.
pub(super) const RISING_FOR: Duration = Duration::from_secs(600);
/// For how long a position that went back is the word of a slot.
pub(super) const REWOUND_FOR: Duration = Duration::from_secs(3600);
/// Share of the samples in which a walsender has to wait for something to be held up by it.
pub(super) const WAIT_SHARE: f64 = 0.6;
/// How many samples are looked at for that.
pub(super) const WAIT_SAMPLES: usize = 30;
/// What is lost within this time goes before everything else that is as bad: it can still be saved.
pub(super) const URGENT: Duration = Duration::from_secs(6 * 3600);
/// Clocks further apart than this are worth a word: two machines that are kept in time differ by far less.
pub(super) const CLOCKS_APART: Duration = Duration::from_secs(5);
/// An open transaction that pins a slot: from here on somebody may have forgotten it.
pub(super) const OPEN_WORTH_KNOWING: Duration = Duration::from_secs(60);
/// The time for which vacuum is held back counts when there were so many transactions.
pub(super) const HORIZON_TIME_XIDS: i64 = 100_000;
/// Less than this in ten minutes is no storm.
pub(super) const SPILL_AT_LEAST: u64 = 64 << 20;
