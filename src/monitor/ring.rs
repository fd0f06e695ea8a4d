//! A list that grows at its end and is forgotten at its beginning, and whose copies are cheap: what two copies have in
//! common is kept once. So the past of a hundred slots can be kept at many moments.

use std::collections::VecDeque;
use std::sync::Arc;

/// How many values are kept together; a copy that grows copies so many at the most.
const CHUNK: usize = 32;

/// See the module.
#[derive(Clone, Debug)]
pub struct Ring<T> {
    /// All of them full, but for the last.
    chunks: VecDeque<Arc<Vec<T>>>,
    /// Values at the front of the first chunk that are forgotten.
    skip: usize,
    len: usize,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), skip: 0, len: 0 }
    }
}

impl<T> Ring<T> {
    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value at a place, counted from the oldest.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&T> {
        let at = (at < self.len).then(|| at + self.skip)?;
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    /// The oldest.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.get(0)
    }

    /// The newest.
    #[must_use]
    pub fn back(&self) -> Option<&T> {
        self.get(self.len.checked_sub(1)?)
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        (0..self.len).filter_map(|at| self.get(at))
    }

    /// The first place whose value does not fulfil `holds`, which all values before it do and none after it.
    #[must_use]
    pub fn partition_point(&self, holds: impl Fn(&T) -> bool) -> usize {
        let (mut from, mut to) = (0, self.len);
        while from < to {
            let middle = from + (to - from) / 2;
            if self.get(middle).is_some_and(&holds) { from = middle + 1 } else { to = middle }
        }
        from
    }

    /// Forgets the oldest.
    pub fn pop_front(&mut self) {
        if self.len == 0 {
            return;
        }
        (self.skip, self.len) = (self.skip + 1, self.len - 1);
        if self.skip == CHUNK || self.len == 0 {
            self.chunks.pop_front();
            self.skip = 0;
        }
    }
}

impl<T: Clone> Ring<T> {
    /// Adds the newest.
    pub fn push_back(&mut self, value: T) {
        match self.chunks.back_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(value),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push_back(Arc::new(chunk));
            }
        }
        self.len += 1;
    }

    /// The newest, to change it.
    pub fn back_mut(&mut self) -> Option<&mut T> {
        if self.len == 0 { None } else { Arc::make_mut(self.chunks.back_mut()?).last_mut() }
    }

    /// Changes every value.
    pub fn change(&mut self, change: impl Fn(&mut T)) {
        self.chunks.iter_mut().flat_map(Arc::make_mut).for_each(change);
    }
}

impl<T: Clone> FromIterator<T> for Ring<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut ring = Self::default();
        values.into_iter().for_each(|value| ring.push_back(value));
        ring
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::Ring;

    #[test]
    fn it_does_what_a_deque_does_and_copies_stay_as_they_were() {
        let (mut ring, mut deque) = (Ring::default(), VecDeque::new());
        let mut copies = Vec::new();
        for number in 0..500_usize {
            ring.push_back(number);
            deque.push_back(number);
            if number.is_multiple_of(3) || (300..420).contains(&number) {
                ring.pop_front();
                deque.pop_front();
            }
            if number.is_multiple_of(37) {
                copies.push((ring.clone(), deque.clone()));
                ring.back_mut().into_iter().for_each(|one| *one += 1);
                deque.back_mut().into_iter().for_each(|one| *one += 1);
            }
            assert_eq!(ring.len(), deque.len());
            assert_eq!(ring.front(), deque.front());
            assert_eq!(ring.back(), deque.back());
            assert_eq!(ring.partition_point(|one| *one < 200), deque.partition_point(|one| *one < 200));
        }
        for (ring, deque) in copies.iter().chain([&(ring, deque)]) {
            assert!(ring.iter().eq(deque.iter()) && ring.iter().rev().eq(deque.iter().rev()));
            assert!(ring.get(deque.len()).is_none());
        }
    }

    #[test]
    fn it_can_be_emptied_and_filled_again() {
        let mut ring: Ring<u8> = (0..70).collect();
        for _ in 0..80 {
            ring.pop_front();
        }
        assert!(ring.is_empty() && ring.back().is_none() && ring.back_mut().is_none());
        ring.push_back(7);
        ring.change(|value| *value += 1);
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [8]);
    }
}
