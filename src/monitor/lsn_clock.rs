//! When was this byte of log written? A table of (position, time) answers it for any slot, whatever its plugin or
//! consumer, read or not, with no privilege: the lag in seconds of a slot is the age of the oldest byte that its
//! consumer has not confirmed.
//!
//! Never extrapolated from "bytes by current rate": after a burst or a quiet night that is wrong by hours.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::units;
use crate::catalog::Lsn;

/// An age with how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// The age in milliseconds.
    pub millis: u64,
    /// How well it is known.
    pub confidence: Confidence,
}

/// How well an [`Age`] is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// To within the pause between two samples.
    Exact,
    /// Samples were far apart at that time.
    Coarse,
    /// Older than the history.
    AtLeast,
}

impl Age {
    const ZERO: Self = Self { millis: 0, confidence: Confidence::Exact };

    fn new(age: Duration, confidence: Confidence) -> Self {
        Self { millis: u64::try_from(age.as_millis()).unwrap_or(u64::MAX), confidence }
    }

    /// The age as a span.
    #[must_use]
    pub fn span(self) -> Duration {
        Duration::from_millis(self.millis)
    }

    /// `14m07s` exact, `~14m07s` coarse, `≥14m07s` (or `>=`) older than the history.
    #[must_use]
    pub fn show(self, ascii: bool) -> String {
        let mark = match self.confidence {
            Confidence::Exact => "",
            Confidence::Coarse => "~",
            Confidence::AtLeast if ascii => ">=",
            Confidence::AtLeast => "≥",
        };
        // Below a second the pause between samples is larger than the number.
        format!("{mark}{}", units::span(Duration::from_secs(self.millis / 1000)))
    }
}

/// A position and while when the log ended there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    lsn: Lsn,
    first: Moment,
    last: Moment,
    /// The next transaction id at `last`.
    next_xid: u64,
}

/// Everything is kept for ten minutes, then a point for each ten seconds for six hours, then one a minute for a week:
/// under 15,000 points.
const TIERS: [(Duration, Duration); 2] =
    [(Duration::from_secs(600), Duration::from_secs(10)), (Duration::from_secs(6 * 3600), Duration::from_secs(60))];
const KEEP: Duration = Duration::from_secs(7 * 86_400);
/// Points further apart than this make an age coarse.
const FINE: Duration = Duration::from_secs(15);
/// Idle servers write some log of their own (running-xacts records, checkpoints); nobody waits for it.
const NOISE_BYTES: u64 = 64 * 1024;

/// The table of positions and times of one timeline of one cluster.
#[derive(Clone, Debug, Default)]
pub struct LsnClock {
    points: VecDeque<Point>,
    thinned: Moment,
}

impl LsnClock {
    /// The log ended at `lsn` at `at`. Positions that go back are left out: another timeline needs another clock.
    pub fn push(&mut self, lsn: Lsn, at: Moment, next_xid: u64) {
        match self.points.back_mut() {
            Some(last) if at < last.last || lsn < last.lsn => return,
            Some(last) if lsn == last.lsn => {
                last.last = at;
                last.next_xid = next_xid;
            }
            _ => self.points.push_back(Point { lsn, first: at, last: at, next_xid }),
        }
        if at.since(self.thinned) >= Duration::from_secs(600) {
            self.thin(at);
        }
    }

    /// The age of the first byte after `reached`, at the time of the newest position; `None` without any.
    #[must_use]
    pub fn age(&self, reached: Lsn) -> Option<Age> {
        let newest = self.points.back()?;
        if reached >= newest.lsn {
            return Some(Age::ZERO);
        }
        let next = self.points.partition_point(|point| point.lsn <= reached);
        let after = self.points.get(next)?;
        let Some(before) = next.checked_sub(1).and_then(|at| self.points.get(at)) else {
            return Some(Age::new(newest.last.since(after.first), Confidence::AtLeast));
        };
        if newest.lsn.bytes_since(reached) <= NOISE_BYTES && before.next_xid == newest.next_xid {
            return Some(Age::ZERO);
        }
        let gap = after.first.since(before.last);
        let into = fraction(reached.bytes_since(before.lsn), after.lsn.bytes_since(before.lsn));
        let written = before.last.plus(gap.mul_f64(into));
        let confidence = if gap <= FINE { Confidence::Exact } else { Confidence::Coarse };
        Some(Age::new(newest.last.since(written), confidence))
    }

    /// The age that the first byte after `reached` had at `at`, when the log ended at `end`; `None` when that is beyond
    /// the table. For charts: without the confidence.
    #[must_use]
    pub fn age_at(&self, reached: Lsn, end: Lsn, at: Moment) -> Option<Duration> {
        if end.bytes_since(reached) <= NOISE_BYTES {
            return Some(Duration::ZERO);
        }
        let next = self.points.partition_point(|point| point.lsn <= reached);
        let after = self.points.get(next)?;
        let Some(before) = next.checked_sub(1).and_then(|at| self.points.get(at)) else {
            return Some(at.since(after.first));
        };
        let into = fraction(reached.bytes_since(before.lsn), after.lsn.bytes_since(before.lsn));
        Some(at.since(before.last.plus(after.first.since(before.last).mul_f64(into))))
    }

    /// Bytes per second over the last `window`, or over what there is of it; `None` before two moments are known.
    #[must_use]
    pub fn rate(&self, window: Duration) -> Option<f64> {
        let newest = self.points.back()?;
        let from = newest.last.minus(window);
        let at = self.points.partition_point(|point| point.last < from);
        let oldest = self.points.get(at)?;
        // The position held until `last`, so the growth began there.
        let start = if oldest.last > from && oldest.first < from { from } else { oldest.first.max(from) };
        let seconds = newest.last.since(start).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        (seconds > 0.0).then(|| newest.lsn.bytes_since(oldest.lsn) as f64 / seconds)
    }

    /// How far back the clock reaches.
    #[must_use]
    pub fn reach(&self) -> Duration {
        match (self.points.front(), self.points.back()) {
            (Some(first), Some(last)) => last.last.since(first.first),
            _ => Duration::ZERO,
        }
    }

    fn thin(&mut self, now: Moment) {
        self.thinned = now;
        let mut kept: Option<Moment> = None;
        self.points.retain(|point| {
            let age = now.since(point.last);
            let spacing = TIERS.iter().rev().find(|(from, _)| age > *from).map_or(Duration::ZERO, |(_, every)| *every);
            let keep = age <= KEEP && kept.is_none_or(|before| point.last.since(before) >= spacing);
            if keep {
                kept = Some(point.last);
            }
            keep
        });
    }
}

/// `part` of `whole` between 0 and 1.
#[expect(clippy::cast_precision_loss, reason = "a fraction")]
fn fraction(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::from_epoch(1_795_337_532.0).plus(Duration::from_secs(second))
    }

    /// A clock that saw 1 MB written each second, each by a transaction.
    fn busy(seconds: u64) -> LsnClock {
        let mut clock = LsnClock::default();
        for second in 0..=seconds {
            clock.push(Lsn((100 + second) << 20), at(second), second);
        }
        clock
    }

    fn exact(millis: u64) -> Option<Age> {
        Some(Age { millis, confidence: Confidence::Exact })
    }

    #[test]
    fn the_age_is_that_of_the_oldest_byte_not_confirmed() {
        let clock = busy(60);
        assert_eq!(clock.age(Lsn(160 << 20)), exact(0));
        assert_eq!(clock.age(Lsn(200 << 20)), exact(0), "a slot may be ahead for a moment");
        assert_eq!(clock.age(Lsn(150 << 20)), exact(10_000));
        assert_eq!(clock.age(Lsn((150 << 20) + (1 << 19))), exact(9_500), "between two samples");
        let older = clock.age(Lsn(1)).unwrap();
        assert_eq!((older.millis, older.confidence), (60_000, Confidence::AtLeast));
        assert_eq!(older.show(false), "≥1m00s");
        assert_eq!(older.show(true), ">=1m00s");
        assert_eq!(LsnClock::default().age(Lsn(1)), None);
    }

    #[test]
    fn a_burst_after_a_quiet_hour_is_as_old_as_the_burst() {
        let mut clock = busy(10);
        for second in 11..3610 {
            clock.push(Lsn(110 << 20), at(second), 11);
        }
        clock.push(Lsn(900 << 20), at(3610), 12);
        clock.push(Lsn(901 << 20), at(3612), 13);
        assert_eq!(clock.age(Lsn(110 << 20)), exact(3_000), "not an hour, and not bytes by rate");
    }

    #[test]
    fn what_an_idle_server_writes_for_itself_is_no_lag() {
        let mut clock = busy(10);
        for second in 11..100 {
            clock.push(Lsn((110 << 20) + second * 56), at(second), 10);
        }
        assert_eq!(clock.age(Lsn(110 << 20)), exact(0));
        clock.push(Lsn((110 << 20) + 101 * 56), at(101), 11);
        assert_eq!(clock.age(Lsn(110 << 20)), exact(91_000), "a transaction may be in there");
    }

    #[test]
    fn a_gap_in_the_samples_makes_the_age_coarse() {
        let mut clock = busy(10);
        clock.push(Lsn(200 << 20), at(600), 99);
        assert_eq!(clock.age(Lsn(155 << 20)).unwrap().confidence, Confidence::Coarse);
    }

    #[test]
    fn rates_come_from_the_window_and_need_two_moments() {
        let clock = busy(60);
        assert_eq!(clock.rate(Duration::from_secs(10)), Some(1_048_576.0));
        let mut one = LsnClock::default();
        one.push(Lsn(5), at(0), 1);
        assert_eq!(one.rate(Duration::from_secs(10)), None);
        one.push(Lsn(5), at(5), 1);
        assert_eq!(one.rate(Duration::from_secs(10)), Some(0.0));
    }

    #[test]
    fn a_week_of_samples_stays_small_and_still_answers() {
        let mut clock = LsnClock::default();
        let day = 86_400;
        for second in (0..8 * day).step_by(2) {
            clock.push(Lsn((1 + second) << 10), at(second), second);
        }
        assert!(clock.points.len() < 15_000, "{}", clock.points.len());
        let age = clock.age(Lsn((1 + 7 * day + 3600) << 10)).unwrap();
        assert!(age.millis.abs_diff((day - 3602) * 1000) < 61_000, "{age:?}");
    }
}
