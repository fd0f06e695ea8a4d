//! Moments on which the display stands: frozen, stepped back to, or of a recording.

use std::time::{Duration, SystemTime};

use super::{Dashboard, Picture, safe, time};
use crate::monitor::recording::{Header, Record};

use super::tape::Tape;

/// How fast a recording may be played.
const SPEEDS: [u32; 6] = [1, 2, 5, 10, 60, 300];

/// A moment on which the display stands.
#[derive(Debug)]
pub(super) struct Still {
    pub(super) picture: Box<Picture>,
    pub(super) since: SystemTime,
    /// The sample that is shown.
    pub(super) at: usize,
}

/// A recording that is played.
#[derive(Debug, Default)]
pub(super) struct Replay {
    speed: usize,
    playing: bool,
    /// Our time and the recording's, when playing began.
    began: Option<(SystemTime, SystemTime)>,
}

impl Replay {
    pub(super) fn change_speed(&mut self, faster: bool) {
        self.speed = if faster { (self.speed + 1).min(SPEEDS.len() - 1) } else { self.speed.saturating_sub(1) };
        self.began = None;
    }
}

impl Dashboard {
    /// A dashboard of a recording, standing on its last sample.
    #[must_use]
    pub fn replaying(header: &Header, records: Vec<Record>) -> Self {
        let (source, destination) = (safe(header.source.clone()), header.destination.clone().map(safe));
        let mut dashboard = Self::of(source, destination, header.slot.clone(), false);
        dashboard.tape = Tape::whole(records.len());
        for record in records {
            let at = time(record.heard);
            match record.outcome {
                Ok(sample) => dashboard.sampled(*sample, at),
                Err(reason) => dashboard.sample_failed(reason, None, at),
            }
        }
        dashboard.replay = Some(Replay::default());
        dashboard.stand();
        dashboard
    }

    /// Lets a recording go on. Returns whether anything moved.
    pub fn tick(&mut self, now: SystemTime) -> bool {
        let Some(replay) = self.replay.as_mut().filter(|replay| replay.playing) else { return false };
        let Some(shown) = self.still.as_ref().and_then(|still| self.tape.arrived(still.at)) else { return false };
        let (began, from) = *replay.began.get_or_insert((now, shown));
        let passed = now.duration_since(began).unwrap_or_default() * SPEEDS[replay.speed];
        let mut moved = false;
        loop {
            let next = self.still.as_ref().map_or(0, |still| still.at + 1);
            match self.tape.arrived(next) {
                Some(arrived) if arrived.duration_since(from).unwrap_or_default() <= passed => {
                    self.stand_at(next);
                    moved = true;
                }
                Some(_) => return moved,
                None => {
                    if let Some(replay) = &mut self.replay {
                        replay.playing = false;
                    }
                    return true;
                }
            }
        }
    }

    /// When something moves by itself next.
    #[must_use]
    pub fn moves_after(&self) -> Option<Duration> {
        self.replay.as_ref().is_none_or(|replay| replay.playing).then(|| match self.replay {
            Some(_) => Duration::from_millis(100),
            None => Duration::from_secs(1),
        })
    }

    /// How a recording stands: the sample that is shown, how many there are, and its speed while it plays.
    #[must_use]
    pub fn replay(&self) -> Option<(usize, usize, Option<u32>)> {
        let replay = self.replay.as_ref()?;
        let at = self.still.as_ref().map_or(0, |still| still.at);
        Some((at + 1, self.tape.range().1, replay.playing.then(|| SPEEDS[replay.speed])))
    }

    /// Since when the display stands, if it was told to.
    #[must_use]
    pub fn frozen_since(&self) -> Option<SystemTime> {
        self.still.as_ref().filter(|_| self.replay.is_none()).map(|still| still.since)
    }

    /// How many samples the display stands behind the latest.
    #[must_use]
    pub fn steps_back(&self) -> usize {
        self.still.as_ref().map_or(0, |still| self.tape.range().1.saturating_sub(still.at + 1))
    }

    pub(super) fn freeze(&mut self) {
        if let Some(replay) = &mut self.replay {
            (replay.playing, replay.began) = (!replay.playing, None);
        } else if self.still.take().is_none() {
            self.stand();
        }
        self.keep_in_bounds();
    }

    /// Lets the display stand on what is known now.
    pub(super) fn stand(&mut self) {
        let at = self.tape.range().1.saturating_sub(1);
        self.still = Some(Still { picture: Box::new(self.live.clone()), since: self.heard, at });
    }

    pub(super) fn step_in_time(&mut self, by: isize) {
        if self.still.is_none() {
            self.stand();
        }
        if let Some(replay) = &mut self.replay {
            (replay.playing, replay.began) = (false, None);
        }
        let (first, end) = self.tape.range();
        if let Some(still) = &self.still
            && end > first
        {
            let to = still.at.saturating_add_signed(by).clamp(first, end - 1);
            self.stand_at(to);
        }
        self.keep_in_bounds();
    }

    /// Lets the display stand on sample `number`.
    fn stand_at(&mut self, number: usize) {
        let Some(still) = &mut self.still else { return };
        let next = still.at + 1 == number;
        let following = if next { self.tape.sample(number).zip(self.tape.arrived(number)) } else { None };
        let (watcher, arrived) = match following {
            // One forward is one sample more.
            Some((sample, arrived)) => {
                still.picture.watcher.push(sample);
                (std::mem::take(&mut still.picture.watcher), arrived)
            }
            None => match self.tape.at(number) {
                Some(past) => past,
                None => return,
            },
        };
        let picture = self.live.earlier(watcher, arrived);
        (still.picture, still.at) = (Box::new(picture), number);
    }
}
