//! The task that owns the stream: reads it into a queue, and tells the source how far the destination is.
//!
//! It is apart from the applying task so that the source hears from us also while a large transaction is applied: a
//! walsender that hears nothing for `wal_sender_timeout` hangs up. The queue is bounded in bytes; when it is full, the
//! socket is not read and the source waits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::lag::Lag;
use super::line;
use super::pace::{LARGE_BYTES, Pace};
use super::progress::Progress;
use super::stream::{ChangeStream, Feedback, Frame, StreamError};
use crate::catalog::Lsn;

/// How many bytes of messages may wait between reading and applying.
pub(super) const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// What a frame costs beside its payload.
const FRAME_BYTES: usize = 64;
/// The tag of a commit (PostgreSQL documentation, "Logical Replication Message Formats").
const COMMIT: u8 = b'C';
/// The checkpoint is told to the source at most this often.
const FEEDBACK_PAUSE: Duration = Duration::from_millis(100);
/// The beginning of a transaction is handed over alone when the rest has not come within this time. A small one goes as a
/// whole: each hand-over wakes the applying task.
const HOLD: Duration = Duration::from_millis(1);
/// While something waits for its commit, its age is told anew this often.
const AGE_PAUSE: Duration = Duration::from_millis(500);

/// Frames that were read together; the permit is their share of the queue and is dropped when they are applied.
pub(super) struct Chunk {
    pub(super) frames: Vec<Frame>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// The reader's ends of what it shares with the applying task.
pub(super) struct Reader {
    pub(super) queue: mpsc::UnboundedSender<Chunk>,
    /// What is durable at the destination.
    pub(super) flushed: watch::Receiver<Lsn>,
    pub(super) progress: watch::Sender<Progress>,
    /// The source is told at least this often.
    pub(super) every: Duration,
}

impl Reader {
    /// To be run on the stream's [`mod@line`]. Reads until the applying task has ended, which it sees by its ends of what they share, or the stream breaks.
    ///
    /// # Errors
    /// When the stream breaks; what was read before is in the queue.
    pub(super) async fn read(mut self, mut stream: impl ChangeStream) -> Result<(), StreamError> {
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        let mut waiting: Vec<Frame> = Vec::new();
        // The bytes of what waits, and of what is to be handed over.
        let (mut bytes, mut cost) = (0, 0);
        let mut received = *self.flushed.borrow();
        let mut lag = Lag::default();
        let start = Instant::now();
        let clock = || i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
        let mut age_due = start;
        let mut told = start;
        let mut due = told + self.every;
        let mut pace = Pace::default();
        // How many of the frames were looked at.
        let mut seen = 0;
        let (mut rest, mut hold) = (None, None);
        loop {
            let mut reply = false;
            tokio::select! {
                permit = Arc::clone(&room).acquire_many_owned(cost), if cost > 0 => {
                    let Ok(permit) = permit else { return Err(StreamError::Ended) };
                    (bytes, cost, seen, hold) = (0, 0, 0, None);
                    if !self.hand_over(&mut waiting, permit) {
                        return self.farewell(stream, received).await;
                    }
                }
                read = receive(&mut stream, &mut waiting), if cost == 0 => {
                    let (now, before) = (Instant::now(), bytes);
                    let mut whole = false;
                    for frame in &waiting[seen..] {
                        let (Frame::Data { end, .. } | Frame::Keepalive { end, .. }) = frame;
                        lag.received(frame, clock());
                        received = received.max(*end);
                        bytes += FRAME_BYTES;
                        match frame {
                            Frame::Data { payload, .. } => {
                                bytes += payload.len();
                                whole |= payload.first() == Some(&COMMIT);
                            }
                            Frame::Keepalive { reply: asked, .. } => {
                                reply |= asked;
                                whole = true;
                            }
                        }
                    }
                    rest = pace.after(now, waiting.len() - seen, bytes - before);
                    seen = waiting.len();
                    if whole || rest.is_some() || bytes >= LARGE_BYTES {
                        cost = share(bytes);
                    } else if bytes > 0 {
                        hold.get_or_insert(now + HOLD);
                    }
                    // First the rows: those who watch the progress wake up, too.
                    if cost > 0
                        && let Ok(permit) = Arc::clone(&room).try_acquire_many_owned(cost)
                    {
                        (bytes, cost, seen, hold) = (0, 0, 0, None);
                        if !self.hand_over(&mut waiting, permit) {
                            return self.farewell(stream, received).await;
                        }
                    }
                    self.progress.send_modify(|progress| {
                        progress.source_reaches(received);
                        progress.ages(lag.age(clock()));
                    });
                    if let Err(error) = read {
                        if bytes > 0
                            && let Ok(permit) = Arc::clone(&room).acquire_many_owned(share(bytes)).await
                        {
                            self.hand_over(&mut waiting, permit);
                        }
                        return Err(error);
                    }
                }
                () = sleep_until(hold.unwrap_or(due)), if cost == 0 && hold.is_some() => cost = share(bytes),
                changed = self.flushed.changed() => {
                    if changed.is_err() {
                        return self.farewell(stream, received).await;
                    }
                    due = due.min(told + FEEDBACK_PAUSE);
                    lag.reached(*self.flushed.borrow_and_update());
                    self.progress.send_modify(|progress| progress.ages(lag.age(clock())));
                }
                () = sleep_until(age_due), if lag.is_pending() => {
                    age_due = Instant::now() + AGE_PAUSE;
                    self.progress.send_modify(|progress| progress.ages(lag.age(clock())));
                }
                () = sleep_until(due) => reply = true,
            }
            if reply {
                let flushed = *self.flushed.borrow_and_update();
                stream.send_feedback(Feedback { received, flushed }).await?;
                told = Instant::now();
                due = told + self.every;
            }
            if cost == 0
                && let Some(rest) = rest.take()
            {
                line::sleep(rest);
            }
        }
    }

    /// Puts what was read into the queue; false when nobody takes it any more.
    fn hand_over(&self, waiting: &mut Vec<Frame>, permit: OwnedSemaphorePermit) -> bool {
        self.queue.send(Chunk { frames: std::mem::take(waiting), permit }).is_ok()
    }

    /// The applying task has ended: tells the source the last checkpoint and ends the stream in an orderly way.
    async fn farewell(&mut self, mut stream: impl ChangeStream, received: Lsn) -> Result<(), StreamError> {
        let flushed = *self.flushed.borrow_and_update();
        stream.send_feedback(Feedback { received, flushed }).await?;
        stream.finish().await
    }
}

/// What so many bytes take of the queue.
fn share(bytes: usize) -> u32 {
    u32::try_from(bytes.min(QUEUE_BYTES)).unwrap_or(u32::MAX)
}

/// Waits for frames and takes what else is there: TLS brings one record at a time. May be dropped at any await without
/// losing a frame.
async fn receive(stream: &mut impl ChangeStream, frames: &mut Vec<Frame>) -> Result<(), StreamError> {
    stream.receive(frames).await?;
    let mut counted = 0;
    let mut bytes = 0;
    loop {
        for frame in &frames[counted..] {
            if let Frame::Data { payload, .. } = frame {
                bytes += payload.len();
            }
        }
        counted = frames.len();
        if bytes >= LARGE_BYTES {
            return Ok(());
        }
        match stream.receive(frames).now_or_never() {
            Some(read) => read?,
            None => return Ok(()),
        }
    }
}
