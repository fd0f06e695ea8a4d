//! The samples of the past, to step back through them.
//!
//! What was known at an earlier sample is not kept but worked out again: from a copy of the watcher that is made now
//! and then, and the samples after it. So the charts, the diagnosis and the events of that moment are exactly those
//! that were on the screen.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use crate::monitor::destination::Destination;
use crate::monitor::publications::Publications;
use crate::monitor::table::Tables;
use crate::monitor::{Sample, Seen, Watcher};

/// How many samples lie between two copies: as many are worked out at the most for a step back, which has to be done
/// within a frame.
const BLOCK: usize = 8;
/// How many blocks of a live dashboard are kept: ten minutes at two seconds.
const LIVE_BLOCKS: usize = 40;
/// How many copies are made of a recording, however long it is.
const COPIES: usize = 128;

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
    samples: Vec<Kept>,
}

/// A sample whose large parts are shared with those before it, as long as they are the same.
#[derive(Clone, Debug)]
struct Kept {
    sample: Sample,
    tables: Arc<Option<Tables>>,
    there: Arc<Tables>,
    publications: Arc<Seen<Publications>>,
    arrived: SystemTime,
}

impl Kept {
    fn of(mut sample: Sample, arrived: SystemTime, last: Option<&Self>) -> Self {
        let there = match &mut sample.destination {
            Some(Destination::Reached(reached)) => std::mem::take(&mut reached.tables),
            _ => Tables::default(),
        };
        Self {
            tables: shared(sample.tables.take(), last.map(|last| &last.tables)),
            there: shared(there, last.map(|last| &last.there)),
            publications: shared(std::mem::take(&mut sample.publications), last.map(|last| &last.publications)),
            sample,
            arrived,
        }
    }

    fn whole(&self) -> Sample {
        let mut sample = self.sample.clone();
        sample.tables = (*self.tables).clone();
        sample.publications = (*self.publications).clone();
        if let Some(Destination::Reached(reached)) = &mut sample.destination {
            reached.tables = (*self.there).clone();
        }
        sample
    }
}

fn shared<T: PartialEq>(value: T, last: Option<&Arc<T>>) -> Arc<T> {
    last.filter(|last| ***last == value).map_or_else(|| Arc::new(value), Arc::clone)
}

impl Default for Tape {
    fn default() -> Self {
        Self { blocks: VecDeque::new(), dropped: 0, size: BLOCK, most: LIVE_BLOCKS }
    }
}

impl Tape {
    /// A tape that keeps all of `count` samples, with few copies.
    pub(super) fn whole(count: usize) -> Self {
        Self { size: (count / COPIES).max(BLOCK), most: usize::MAX, ..Self::default() }
    }

    /// Adds a sample; `before` is what was known before it.
    pub(super) fn push(&mut self, before: &Watcher, sample: Sample, arrived: SystemTime) {
        let kept = Kept::of(sample, arrived, self.blocks.back().and_then(|block| block.samples.last()));
        match self.blocks.back_mut().filter(|block| block.samples.len() < self.size) {
            Some(block) => block.samples.push(kept),
            None => self.blocks.push_back(Block { before: before.light_copy(), samples: vec![kept] }),
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

    /// A sample.
    pub(super) fn sample(&self, number: usize) -> Option<Sample> {
        let (block, at) = self.find(number)?;
        block.samples.get(at).map(Kept::whole)
    }

    /// When a sample arrived.
    pub(super) fn arrived(&self, number: usize) -> Option<SystemTime> {
        let (block, at) = self.find(number)?;
        block.samples.get(at).map(|kept| kept.arrived)
    }

    /// What was known with sample `number`, and when that arrived.
    pub(super) fn at(&self, number: usize) -> Option<(Watcher, SystemTime)> {
        let (block, at) = self.find(number)?;
        let mut watcher = block.before.clone();
        for kept in &block.samples[..=at] {
            watcher.push(kept.whole());
        }
        Some((watcher, block.samples[at].arrived))
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
        for number in [first, first + 1, first + 7, first + 8, first + 63, 999] {
            let (watcher, arrived) = tape.at(number).unwrap();
            assert_eq!(watcher.reading().wal_rate, rates[number], "{number}");
            assert_eq!(arrived.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(), 2 * number as u64);
        }
        assert!(tape.at(first - 1).is_none() && tape.at(1000).is_none());
    }
}
