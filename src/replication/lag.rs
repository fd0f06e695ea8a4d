//! How far the destination is behind in time.
//!
//! The age is that of the oldest transaction that has been received and is not committed at the destination: the
//! source's clock now, minus the time at which it committed there. What the source's clock says now is known without
//! trusting ours, because every frame tells when it was sent: the difference of the two clocks is taken from the frame
//! that was on its way for the shortest time. Frames that waited in a socket because the queue was full don't count
//! then, and would otherwise make the age look smaller than it is.

use std::collections::VecDeque;
use std::time::Duration;

use super::pgoutput::{self, Message};
use super::stream::Frame;
use crate::catalog::Lsn;

/// Transactions whose commits lie closer together than this many microseconds are kept as one, so that a flood of
/// small ones takes little memory.
const GRAIN: i64 = 100_000;

/// What has been received and is not committed at the destination. Times are microseconds.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// Commit record of the last, and commit time of the first of transactions that committed close together.
    pending: VecDeque<(Lsn, i64)>,
    /// Our clock minus that of the source; too large by the time that the fastest frame was on its way.
    difference: Option<i64>,
}

impl Lag {
    /// Takes note of a frame that arrived when our clock said `now`. Only the steadiness of our clock matters.
    pub(super) fn received(&mut self, frame: &Frame, now: i64) {
        let (Frame::Data { sent, .. } | Frame::Keepalive { sent, .. }) = frame;
        let difference = now.saturating_sub(*sent);
        self.difference = match self.difference {
            // While nothing is pending nothing waits in the socket: clocks that were set meanwhile are followed.
            Some(least) if !self.pending.is_empty() => Some(least.min(difference)),
            _ => Some(difference),
        };
        let Frame::Data { payload, .. } = frame else { return };
        if payload.first() != Some(&b'B') {
            return;
        }
        let Ok(Message::Begin { final_lsn, time }) = pgoutput::decode(payload.clone()) else { return };
        match self.pending.back_mut() {
            Some((last, first)) if time.saturating_sub(*first) < GRAIN => *last = final_lsn,
            _ => self.pending.push_back((final_lsn, time)),
        }
    }

    /// Takes note of what is committed at the destination.
    pub(super) fn reached(&mut self, checkpoint: Lsn) {
        // A checkpoint is the end of a commit record, so it lies behind the start of every record that it covers.
        while self.pending.front().is_some_and(|(last, _)| *last < checkpoint) {
            self.pending.pop_front();
        }
    }

    /// Whether anything is pending, so that the age grows with the clock.
    pub(super) fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The age of the oldest pending transaction when our clock says `now`; zero when there is none.
    pub(super) fn age(&self, now: i64) -> Duration {
        let (Some((_, committed)), Some(difference)) = (self.pending.front(), self.difference) else {
            return Duration::ZERO;
        };
        let age = now.saturating_sub(difference).saturating_sub(*committed);
        Duration::from_micros(u64::try_from(age).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::{BufMut, BytesMut};

    use super::Lag;
    use crate::catalog::Lsn;
    use crate::replication::stream::Frame;

    /// The source's clock is this far ahead of ours.
    const AHEAD: i64 = 3_600_000_000;

    fn begin(lsn: u64, committed: i64, sent: i64) -> Frame {
        let mut payload = BytesMut::new();
        payload.put_u8(b'B');
        payload.put_u64(lsn);
        payload.put_i64(committed + AHEAD);
        payload.put_u32(1);
        Frame::Data { end: Lsn(lsn), sent: sent + AHEAD, payload: payload.freeze() }
    }

    #[test]
    fn the_age_is_that_of_the_oldest_transaction_whatever_the_clocks_say() {
        let second = 1_000_000;
        let mut lag = Lag::default();
        assert_eq!(lag.age(5 * second), Duration::ZERO);
        lag.received(&begin(10, second, 2 * second), 2 * second);
        // Sent at second 3, but read only at second 60: the clocks have not changed for that.
        lag.received(&begin(20, 3 * second, 3 * second), 60 * second);
        assert_eq!(lag.age(61 * second), Duration::from_secs(60));
        // A checkpoint at the start of the commit record does not cover it.
        lag.reached(Lsn(10));
        assert_eq!(lag.age(61 * second), Duration::from_secs(60));
        lag.reached(Lsn(11));
        assert_eq!(lag.age(61 * second), Duration::from_secs(58));
        lag.reached(Lsn(21));
        assert!(!lag.is_pending() && lag.age(70 * second).is_zero());
        // When nothing was pending, a clock that was set is followed.
        lag.received(&begin(30, 80 * second, 80 * second), 90 * second);
        assert_eq!(lag.age(92 * second), Duration::from_secs(2));
    }

    #[test]
    fn transactions_that_committed_together_are_kept_as_one_until_the_last_is_done() {
        let mut lag = Lag::default();
        for number in 0..1000 {
            lag.received(&begin(100 + number, 50, 50), 50);
        }
        assert_eq!(lag.pending.len(), 1);
        lag.reached(Lsn(1099));
        assert!(lag.is_pending());
        lag.reached(Lsn(1100));
        assert!(!lag.is_pending());
    }
}
