//! How often the stream is read while it flows.
//!
//! A walsender sends each change with a system call of its own. Who waits for the socket is woken for each of them, and
//! pays a wake-up, a read and a hand-over for a hundred bytes, and the walsender pays for the waking: reading a backlog
//! so takes more processor time than applying it. So when many small reads follow each other, the socket is left alone
//! for a moment, as a network card holds back its interrupts, and then read for all that has come. What comes alone is
//! read at once.

use std::time::Duration;

use tokio::time::Instant;

/// How long the socket is left alone: short beside a commit, and long beside a change.
const REST: Duration = Duration::from_micros(500);
/// A read within this time of the one before belongs to one flow with it.
const GAP: Duration = Duration::from_micros(500);
/// So many reads in one flow, and the socket is left alone. One transaction of a few rows is fewer.
const FLOW_READS: u32 = 16;
/// A read after a rest that brings fewer frames than this ends the flow.
const FLOW_FRAMES: usize = 8;
/// A read that brings this much needs no help.
pub(super) const LARGE_BYTES: usize = 64 * 1024;

/// Watches the reads of one stream.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    reads: u32,
    rested: bool,
}

impl Pace {
    /// Takes note of a read that ended at `now` with so many frames and bytes, and tells how long to leave the socket alone.
    pub(super) fn after(&mut self, now: Instant, frames: usize, bytes: usize) -> Option<Duration> {
        let flows = if self.rested {
            frames >= FLOW_FRAMES
        } else {
            self.last.is_some_and(|last| now.duration_since(last) < GAP)
        };
        self.last = Some(now);
        self.reads = if flows { self.reads.saturating_add(1) } else { 0 };
        self.rested = self.reads >= FLOW_READS && bytes < LARGE_BYTES;
        self.rested.then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_of_small_reads_is_read_in_steps_until_it_dries_up() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut reads = 0;
        let rest = loop {
            now += Duration::from_micros(20);
            reads += 1;
            if let Some(rest) = pace.after(now, 1, 100) {
                break rest;
            }
        };
        assert_eq!((reads, rest), (FLOW_READS + 1, REST));
        now += REST;
        assert_eq!(pace.after(now, 200, 20_000), Some(REST), "it flows on");
        now += REST;
        assert_eq!(pace.after(now, 2, 200), None, "it has dried up");
        now += Duration::from_micros(20);
        assert_eq!(pace.after(now, 1, 100), None, "and begins anew");
    }

    #[test]
    fn what_comes_alone_or_in_large_pieces_is_not_held_up() {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        for _ in 0..100 {
            now += Duration::from_millis(1);
            assert_eq!(pace.after(now, 3, 300), None);
        }
        for _ in 0..100 {
            now += Duration::from_micros(100);
            assert_eq!(pace.after(now, 1_000, LARGE_BYTES), None);
        }
    }
}
