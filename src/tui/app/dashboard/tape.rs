//! The samples of the past, to step back through them.
//!
//! What was known at an earlier sample is not kept but worked out again: from a copy of the watcher that is made now
//! and then, and the samples after it. So the charts, the diagnosis and the events of that moment are exactly those
//! that were on the screen.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::monitor::{Sample, Watcher};

/// How many samples lie between two copies; stepping back works out half as many on average.
const BLOCK: usize = 64;
/// How many blocks of a live dashboard are kept: ten minutes at two seconds, which is a tenth of the memory that the
/// program may take with a hundred slots.
const LIVE_BLOCKS: usize = 5;

/// Samples with what was known before some of them.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    blocks: VecDeque<Block>,
    /// Samples that were dropped at the front.
    dropped: usize,
    size: usize,
    most: usize,
}

#[derive(Clone, Debug)]
struct Block {
    before: Watcher,
    samples: Vec<(Sample, SystemTime)>,
}

impl Default for Tape {
    fn default() -> Self {
        Self { blocks: VecDeque::new(), dropped: 0, size: BLOCK, most: LIVE_BLOCKS }
    }
}

impl Tape {
    /// A tape that keeps all of `count` samples, with few copies.
    pub(super) fn whole(count: usize) -> Self {
        Self { size: (count / 16).max(BLOCK), most: usize::MAX, ..Self::default() }
    }

    /// Adds a sample; `before` is what was known before it.
    pub(super) fn push(&mut self, before: &Watcher, sample: Sample, arrived: SystemTime) {
        if self.blocks.back().is_none_or(|block| block.samples.len() >= self.size) {
            self.blocks.push_back(Block { before: before.clone(), samples: Vec::new() });
        }
        if let Some(block) = self.blocks.back_mut() {
            block.samples.push((sample, arrived));
        }
        if self.blocks.len() > self.most
            && let Some(block) = self.blocks.pop_front()
        {
            self.dropped += block.samples.len();
        }
    }

    /// The numbers of the first sample that is kept, and of the one after the last.
    pub(super) fn range(&self) -> (usize, usize) {
        (self.dropped, self.dropped + self.blocks.iter().map(|block| block.samples.len()).sum::<usize>())
    }

    /// A sample and when it arrived.
    pub(super) fn sample(&self, number: usize) -> Option<&(Sample, SystemTime)> {
        let (block, at) = self.find(number)?;
        block.samples.get(at)
    }

    /// What was known with sample `number`, and when that arrived.
    pub(super) fn at(&self, number: usize) -> Option<(Watcher, SystemTime)> {
        let (block, at) = self.find(number)?;
        let mut watcher = block.before.clone();
        for (sample, _) in &block.samples[..=at] {
            watcher.push(sample.clone());
        }
        Some((watcher, block.samples[at].1))
    }

    fn find(&self, number: usize) -> Option<(&Block, usize)> {
        let mut at = number.checked_sub(self.dropped)?;
        for block in &self.blocks {
            if at < block.samples.len() {
                return Some((block, at));
            }
            at -= block.samples.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalog::Lsn;
    use crate::monitor::Moment;

    #[test]
    fn the_past_is_as_it_was_and_its_end_is_forgotten() {
        let mut tape = Tape::default();
        let mut live = Watcher::default();
        let mut rates = Vec::new();
        for number in 0..1000_u64 {
            let at = Moment(0).plus(Duration::from_secs(2 * number));
            let sample = Sample { at, lsn: Some(Lsn(number * number * 4096)), next_xid: number, ..Sample::default() };
            tape.push(&live, sample.clone(), SystemTime::UNIX_EPOCH + Duration::from_secs(2 * number));
            live.push(sample);
            rates.push(live.reading().wal_rate);
        }
        let (first, end) = tape.range();
        assert_eq!(end, 1000);
        assert!(end - first > BLOCK * (LIVE_BLOCKS - 1) && end - first <= BLOCK * LIVE_BLOCKS);
        for number in [first, first + 1, first + 63, first + 64, 999] {
            let (watcher, arrived) = tape.at(number).unwrap();
            assert_eq!(watcher.reading().wal_rate, rates[number], "{number}");
            assert_eq!(arrived.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 2 * number as u64);
        }
        assert!(tape.at(first - 1).is_none() && tape.at(1000).is_none());
    }
}
