//! What a slot went through long ago, thinned: half a minute apart for six hours, then five minutes apart for a week, for
//! as long as the clock of the log reaches. Of what lies between, the moment of the largest lag is kept.

use std::time::Duration;

use super::moment::Moment;
use super::ring::Ring;
use crate::catalog::Lsn;

/// How far apart points are, and how long they are kept.
const FINE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(6 * 3600));
const COARSE: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(7 * 86_400));

/// A slot at one moment, as far as a chart cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastPoint {
    /// When.
    pub at: Moment,
    /// The end of the log then.
    pub end: Lsn,
    /// What its consumer had reached.
    pub reached: Lsn,
}

impl PastPoint {
    fn lag(&self) -> u64 {
        self.end.bytes_since(self.reached)
    }
}

/// The past of one slot.
#[derive(Clone, Debug, Default)]
pub struct SlotPast {
    fine: Ring<PastPoint>,
    coarse: Ring<PastPoint>,
}

impl SlotPast {
    pub(super) fn push(&mut self, point: PastPoint) {
        add(&mut self.fine, point, FINE);
        add(&mut self.coarse, point, COARSE);
    }

    /// Moves every time by `micros`: the server's clock was set.
    pub(super) fn shift(&mut self, micros: i64) {
        for points in [&mut self.fine, &mut self.coarse] {
            points.change(|point| point.at.0 = point.at.0.saturating_add(micros));
        }
    }

    /// Its points, the oldest first; none lies at or after another one's time.
    pub fn points(&self) -> impl Iterator<Item = &PastPoint> {
        let fine = self.fine.front().map_or(Moment(i64::MAX), |first| first.at);
        self.coarse.iter().take_while(move |point| point.at < fine).chain(self.fine.iter())
    }
}

fn add(points: &mut Ring<PastPoint>, point: PastPoint, (apart, keep): (Duration, Duration)) {
    let stretch = |at: Moment| at.0.div_euclid(i64::try_from(apart.as_micros()).unwrap_or(i64::MAX));
    match points.back_mut().filter(|last| stretch(last.at) == stretch(point.at)) {
        Some(last) if point.lag() > last.lag() => *last = point,
        Some(_) => {}
        None => points.push_back(point),
    }
    while points.front().is_some_and(|first| point.at.since(first.at) > keep) {
        points.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_kept_in_few_points_and_no_peak_is_lost() {
        let mut past = SlotPast::default();
        let begin = Moment(1_795_337_532_000_000);
        for number in 0..(8 * 86_400 / 10) {
            let at = begin.plus(Duration::from_secs(10 * number));
            // A peak of one sample each three hours.
            let lag = if number % 1080 == 7 { 1000 + number } else { 5 };
            past.push(PastPoint { at, end: Lsn(1 << 30), reached: Lsn((1 << 30) - lag) });
        }
        let points: Vec<&PastPoint> = past.points().collect();
        assert!(points.len() < 2800, "{}", points.len());
        assert!(points.windows(2).all(|two| two[0].at < two[1].at));
        let week = points[points.len() - 1].at.since(points[0].at);
        assert!(week > Duration::from_secs(7 * 86_400 - 600), "{week:?}");
        let peaks = points.iter().filter(|point| point.lag() > 1000).count();
        assert!((55..=57).contains(&peaks), "{peaks}");
    }
}
