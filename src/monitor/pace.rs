//! How often a server is asked: as often as the user wants, unless that costs it too much.

use std::collections::VecDeque;
use std::time::Duration;

/// The share of the time that pulses may take.
const SHARE: f64 = 0.05;
/// How many pulses are looked at.
const PULSES: usize = 40;
/// Fewer than this say nothing.
const AT_LEAST: usize = 10;
/// It is never asked more seldom than this.
const LONGEST: Duration = Duration::from_secs(60);

/// The pause between two pulses. It doubles when nineteen of twenty pulses can't do with a twentieth of it.
#[derive(Clone, Debug)]
pub struct Pace {
    wanted: Duration,
    pause: Duration,
    pulses: VecDeque<Duration>,
}

impl Pace {
    /// A pace that the user wants.
    #[must_use]
    pub fn new(wanted: Duration) -> Self {
        Self { wanted, pause: wanted, pulses: VecDeque::new() }
    }

    /// A pulse took so long.
    pub fn took(&mut self, pulse: Duration) {
        self.pulses.push_back(pulse);
        if self.pulses.len() > PULSES {
            self.pulses.pop_front();
        }
        let mut sorted: Vec<Duration> = self.pulses.iter().copied().collect();
        sorted.sort_unstable();
        let Some(slow) = sorted.get(sorted.len() * 95 / 100).filter(|_| sorted.len() >= AT_LEAST) else { return };
        if *slow > self.pause.mul_f64(SHARE) && self.pause < LONGEST {
            self.pause = (self.pause * 2).min(LONGEST.max(self.wanted));
            self.pulses.clear();
        } else if self.pause > self.wanted && *slow < (self.pause / 2).mul_f64(SHARE / 2.0) {
            self.pause = (self.pause / 2).max(self.wanted);
            self.pulses.clear();
        }
    }

    /// The pause to make.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_answers_slowly_is_asked_more_seldom_and_again_as_often_when_it_recovers() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(2 * second);
        let pulses = |pace: &mut Pace, millis: u64, count: usize| {
            for _ in 0..count {
                pace.took(Duration::from_millis(millis));
            }
        };
        pulses(&mut pace, 99, 100);
        assert_eq!(pace.pause(), 2 * second);
        pulses(&mut pace, 5000, 1);
        assert_eq!(pace.pause(), 2 * second, "one slow answer is no slow server");
        pulses(&mut pace, 150, 60);
        assert_eq!(pace.pause(), 4 * second);
        pulses(&mut pace, 10_000, 100);
        assert_eq!(pace.pause(), LONGEST);
        pulses(&mut pace, 5, 100);
        assert_eq!(pace.pause(), 2 * second);
    }
}
