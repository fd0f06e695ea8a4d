//! When was this byte of log written? A table of (position, time) answers it for any slot, whatever its plugin or
//! consumer, read or not, with no privilege: the lag in seconds of a slot is the age of the oldest byte that its
//! consumer has not confirmed.
//!
//! Never extrapolated from "bytes by current rate": after a burst or a quiet night that is wrong by hours.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::ring::Ring;
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

    /// An age that is known.
    #[must_use]
    pub fn exact(age: Duration) -> Self {
        Self::new(age, Confidence::Exact)
    }

    /// The age as a span.
    #[must_use]
    pub fn span(self) -> Duration {
        Duration::from_millis(self.millis)
    }

    /// `14m07s` exact, `~14m` coarse, `≥14m` (or `>=14m`) older than the history.
    #[must_use]
    pub fn show(self, ascii: bool) -> String {
        let mark = match self.confidence {
            Confidence::Exact => "",
            Confidence::Coarse => "~",
            Confidence::AtLeast if ascii => ">=",
            Confidence::AtLeast => "≥",
        };
        // Below a second the pause between samples is larger than the number.
        let age = Duration::from_secs(self.millis / 1000);
        let shown = if self.confidence == Confidence::Exact { units::span(age) } else { units::about(age) };
        format!("{mark}{shown}")
    }
}

/// A position, and from when to when the log ended there. Travels as four numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, i64, i64, Option<u64>)", into = "(u64, i64, i64, Option<u64>)")]
pub struct Mark {
    /// The position.
    pub lsn: Lsn,
    /// When the log first ended there.
    pub first: Moment,
    /// When it last did.
    pub last: Moment,
    /// The next transaction id at `last`; `None` when the mark is only the time of a WAL file.
    pub next_xid: Option<u64>,
}

impl Mark {
    /// The end of a WAL file, and when that was written.
    #[must_use]
    pub fn of_file(lsn: Lsn, written: Moment) -> Self {
        Self { lsn, first: written, last: written, next_xid: None }
    }
}

impl From<(u64, i64, i64, Option<u64>)> for Mark {
    fn from((lsn, first, last, next_xid): (u64, i64, i64, Option<u64>)) -> Self {
        Self { lsn: Lsn(lsn), first: Moment(first), last: Moment(last), next_xid }
    }
}

impl From<Mark> for (u64, i64, i64, Option<u64>) {
    fn from(mark: Mark) -> Self {
        (mark.lsn.0, mark.first.0, mark.last.0, mark.next_xid)
    }
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
    points: Ring<Mark>,
    thinned: Moment,
}

impl LsnClock {
    /// The log ended at `lsn` at `at`. Positions that go back are left out: another timeline needs another clock.
    pub fn push(&mut self, lsn: Lsn, at: Moment, next_xid: u64) {
        if let Some(last) = self.points.back()
            && at < last.last
        {
            // The server's clock was set back. How far the marks lie apart is still right.
            let by = at.0.saturating_sub(last.last.0);
            self.shift(by);
        }
        match self.points.back_mut() {
            Some(last) if lsn < last.lsn => return,
            Some(last) if lsn == last.lsn => {
                last.last = at;
                last.next_xid = Some(next_xid);
            }
            _ => self.points.push_back(Mark { lsn, first: at, last: at, next_xid: Some(next_xid) }),
        }
        if at.since(self.thinned) >= Duration::from_secs(600) {
            self.thin(at);
        }
    }

    /// Takes marks of an earlier time in: of the WAL files, or of a run of walpilot before this one. Where both tell of
    /// the same time, what was sampled is the better one. Marks that do not fit before what is known are left out.
    pub fn remember(&mut self, marks: Vec<Mark>) {
        if marks.is_empty() {
            return;
        }
        let newest = self.points.back().copied();
        let fits = |mark: &Mark| newest.is_none_or(|newest| mark.lsn <= newest.lsn && mark.last <= newest.last);
        let mut all: Vec<Mark> = marks.into_iter().filter(fits).chain(self.points.iter().copied()).collect();
        let mut points: VecDeque<Mark> = VecDeque::with_capacity(all.len());
        all.sort_by_key(|mark| mark.lsn);
        for mark in all {
            let sampled = mark.next_xid.is_some();
            while sampled && points.back().is_some_and(|last| last.next_xid.is_none() && last.last > mark.first) {
                points.pop_back();
            }
            match points.back_mut() {
                Some(last) if last.lsn == mark.lsn => {
                    last.first = last.first.min(mark.first);
                    last.last = last.last.max(mark.last);
                    last.next_xid = last.next_xid.max(mark.next_xid);
                }
                Some(last) if last.last > mark.first => {}
                _ => points.push_back(mark),
            }
        }
        self.points = points.into_iter().collect();
    }

    /// Until when times of WAL files stand in for samples that nobody took; `None` where every time was sampled.
    #[must_use]
    pub fn files_until(&self) -> Option<Moment> {
        self.points.iter().rev().find(|mark| mark.next_xid.is_none()).map(|mark| mark.last)
    }

    /// Moves every time by `micros`: the server's clock was set.
    pub fn shift(&mut self, micros: i64) {
        self.points.change(|point| {
            point.first = Moment(point.first.0.saturating_add(micros));
            point.last = Moment(point.last.0.saturating_add(micros));
        });
    }

    /// Everything that is known, the oldest first.
    pub fn marks(&self) -> impl Iterator<Item = &Mark> {
        self.points.iter()
    }

    /// How long ago transaction `xid` was the next one, at the time of the newest mark; `None` without any.
    #[must_use]
    pub fn xid_age(&self, xid: u64) -> Option<Age> {
        let newest = self.points.back()?;
        let mut before: Option<&Mark> = None;
        for mark in self.points.iter().filter(|mark| mark.next_xid.is_some()) {
            if mark.next_xid > Some(xid) {
                let (from, confidence) = match before {
                    None => (mark.first, Confidence::AtLeast),
                    Some(before) if mark.first.since(before.last) <= FINE => (before.last, Confidence::Exact),
                    Some(before) => (before.last, Confidence::Coarse),
                };
                return Some(Age::new(newest.last.since(from), confidence));
            }
            before = Some(mark);
        }
        Some(Age::ZERO)
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
        if newest.lsn.bytes_since(reached) <= NOISE_BYTES
            && before.next_xid == newest.next_xid
            && before.next_xid.is_some()
        {
            return Some(Age::ZERO);
        }
        let gap = after.first.since(before.last);
        let into = fraction(reached.bytes_since(before.lsn), after.lsn.bytes_since(before.lsn));
        let written = before.last.plus(gap.mul_f64(into));
        // The time of a file is that of its last byte, to within a second or so.
        let sampled = before.next_xid.is_some() && after.next_xid.is_some();
        let confidence = if gap <= FINE && sampled { Confidence::Exact } else { Confidence::Coarse };
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

    /// Transaction ids per second over the last `window`.
    #[must_use]
    pub fn xid_rate(&self, window: Duration) -> Option<f64> {
        let newest = self.points.back()?;
        let from = newest.last.minus(window);
        let oldest = self.points.iter().rev().take_while(|mark| mark.last >= from && mark.next_xid.is_some()).last()?;
        let seconds = newest.last.since(oldest.last).as_secs_f64();
        let given = newest.next_xid?.checked_sub(oldest.next_xid?)?;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        (seconds > 0.0).then(|| given as f64 / seconds)
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
        let stays = |point: &Mark| {
            let age = now.since(point.last);
            let spacing = TIERS.iter().rev().find(|(from, _)| age > *from).map_or(Duration::ZERO, |(_, every)| *every);
            let keep = age <= KEEP && kept.is_none_or(|before| point.last.since(before) >= spacing);
            if keep {
                kept = Some(point.last);
            }
            keep
        };
        self.points = self.points.iter().copied().filter(stays).collect();
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
    fn the_times_of_files_tell_of_the_time_before_the_first_sample() {
        let file = |mb: u64, second: u64| Mark::of_file(Lsn(mb << 20), at(second));
        let mut clock = LsnClock::default();
        clock.push(Lsn(200 << 20), at(1000), 7);
        // The last one was touched later, and lies beyond what the log held then.
        clock.remember(vec![file(116, 400), file(100, 200), file(132, 640), file(216, 900)]);
        assert_eq!(clock.age(Lsn(108 << 20)).unwrap().show(false), "~11m");
        assert_eq!(clock.age(Lsn(90 << 20)).unwrap().show(false), "≥13m");
        assert_eq!(clock.age(Lsn(200 << 20)), exact(0));
        assert_eq!(clock.marks().count(), 4);
    }

    #[test]
    fn what_was_remembered_fits_before_what_is_sampled() {
        let before = busy(60);
        let mut clock = LsnClock::default();
        clock.push(Lsn(160 << 20), at(70), 61);
        clock.push(Lsn(170 << 20), at(80), 62);
        clock.remember(before.marks().copied().collect());
        assert_eq!(clock.age(Lsn(150 << 20)), exact(30_000));
        assert_eq!(clock.xid_age(50), exact(30_000));
        assert_eq!(clock.xid_age(62), exact(0), "not given out yet");
        assert_eq!(LsnClock::default().xid_age(1), None);
    }

    #[test]
    fn a_clock_that_is_set_back_moves_the_marks_along() {
        let mut clock = busy(60);
        let earlier = at(60).minus(Duration::from_secs(3600));
        clock.push(Lsn(161 << 20), earlier.plus(Duration::from_secs(1)), 61);
        assert_eq!(clock.age(Lsn(150 << 20)), exact(10_000), "the second that passed meanwhile can't be known");
    }

    #[test]
    fn marks_travel_as_numbers() {
        let mark = Mark { next_xid: Some(9), ..Mark::of_file(Lsn(5), Moment(7)) };
        assert_eq!(serde_json::to_string(&mark).unwrap(), "[5,7,7,9]");
        assert_eq!(serde_json::from_str::<Mark>("[5,7,7,9]").unwrap(), mark);
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
