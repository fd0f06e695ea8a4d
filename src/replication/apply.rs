//! The task that applies: whole source transactions, in commit order, each destination transaction together with the
//! checkpoint.
//!
//! Many small source transactions share one destination transaction while there is more to read; as soon as the stream
//! stands still, what is there is committed. A transaction larger than the queue is written as it arrives, inside one
//! open destination transaction, and committed when its commit has been read. So memory is bounded, and the
//! destination never shows half a transaction.

mod joining;
mod message;

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

pub(super) use self::joining::Part;
use self::message::{COMMIT_CHANGES, Due};
use super::arranged::Batch;
use super::batch::{End, Writer};
use super::carrier::{Carrier, Done, Order, Tally};
use super::change::{Change, Kind};
use super::described::{Described, Description};
use super::halt::{Halt, Side};
use super::pgoutput::{self, Relation};
use super::progress::{Progress, Teller};
use super::reader::Chunk;
use super::scope::Scope;
use super::stream::Frame;
use crate::catalog::Lsn;
use crate::profile::TableName;

/// When nothing more waits to be applied, what is there is written at once, but not sooner than this after the last
/// time: a source that is a little slower than the destination would otherwise be followed in tiny steps, each at the
/// price of a commit. A row that comes alone is not held up.
const REST_PAUSE: Duration = Duration::from_millis(20);
/// A position without rows is written at most this often.
const POSITION_PAUSE: Duration = Duration::from_secs(1);
/// How long a transaction that is half read may go on after `stop`; then it is rolled back and comes again next time.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Why applying ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// `stop` was cancelled; everything that was begun is committed or rolled back.
    Stopped,
    /// The stream ended; the reader knows why.
    Cut,
    /// What had gathered behind the slot is at the destination; the stream is next.
    ReadUp,
    /// A table has changed that is published but not copied yet, or that has not been published all the time.
    NewTable,
    /// A table has a column that the destination lacks.
    NewColumn(TableName),
    /// The transaction with this commit record can't be applied as things are. What comes before it shared its
    /// destination transaction and comes again, to be committed apart.
    CommitBefore(Lsn),
    /// The stream of a copy: its tables are in other hands.
    HandedOver,
}

/// What to do after a frame.
type Then = Option<Ended>;

/// Applies one stream.
pub(super) struct Applier<'a> {
    client: &'a Client,
    part: Part<'a>,
    carrier: Carrier<'a>,
    described: Described<'a>,
    /// See [`Scope::fence`].
    fence: Option<Lsn>,
    /// Until so many changes have come, each source transaction is committed by itself ([`Scope::apart`]).
    apart: u64,
    progress: watch::Sender<Progress>,
    flushed: watch::Sender<Lsn>,
    tell: &'a Teller,
    collected: Vec<Change>,
    collected_bytes: usize,
    held: Vec<OwnedSemaphorePermit>,
    /// The transaction that is being read, by its commit record.
    reading: Option<Lsn>,
    /// The last commit that was read and is not committed here.
    uncommitted: Option<(Lsn, i64)>,
    /// What is read and not ordered to be committed.
    tally: Tally,
    oldest: Option<Instant>,
    /// When rows were sent last.
    written: Instant,
    /// As ordered; what is committed is in `flushed`.
    checkpoint: Lsn,
    position: Lsn,
    position_due: Instant,
    told: HashSet<(TableName, &'static str)>,
}

impl<'a> Applier<'a> {
    pub(super) async fn new(
        client: &'a Client,
        part: Part<'a>,
        scope: Scope,
        progress: watch::Sender<Progress>,
        flushed: watch::Sender<Lsn>,
        tell: &'a Teller,
    ) -> Result<Self, Halt> {
        let checkpoint = *flushed.borrow();
        Ok(Self {
            client,
            carrier: Carrier::new(Writer::new(client, part.slot()).await?),
            part,
            fence: scope.fence,
            apart: if scope.apart { COMMIT_CHANGES } else { 0 },
            described: Described::new(client, scope),
            progress,
            flushed,
            tell,
            collected: Vec::new(),
            collected_bytes: 0,
            held: Vec::new(),
            reading: None,
            uncommitted: None,
            tally: Tally::default(),
            oldest: None,
            written: Instant::now(),
            checkpoint,
            position: checkpoint,
            position_due: Instant::now(),
            told: HashSet::new(),
        })
    }

    /// Applies until the stream ends or `stop` is cancelled.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::UnboundedReceiver<Chunk>,
        stop: &CancellationToken,
    ) -> Result<Ended, Halt> {
        let mut give_up: Option<Instant> = None;
        loop {
            if let Some(done) = self.carrier.get_on()? {
                self.note(done);
            }
            let chunk = match queue.try_recv() {
                Ok(chunk) => chunk,
                Err(_) => {
                    if self.due().is_some_and(|due| due <= Instant::now()) {
                        self.rest().await?;
                    }
                    if stop.is_cancelled() {
                        if self.reading.is_none() {
                            return self.end(Ended::Stopped).await;
                        }
                        give_up.get_or_insert_with(|| Instant::now() + STOP_PATIENCE);
                    }
                    let due = self.due();
                    tokio::select! {
                        biased;
                        () = stop.cancelled(), if give_up.is_none() => continue,
                        () = sleep_until(give_up.unwrap_or(self.position_due)), if give_up.is_some() => {
                            return self.end(Ended::Stopped).await;
                        }
                        done = self.carrier.landed(), if self.carrier.is_busy() => {
                            if let Some(done) = done? {
                                self.note(done);
                            }
                            continue;
                        }
                        chunk = queue.recv() => match chunk {
                            Some(chunk) => chunk,
                            None => return self.end(Ended::Cut).await,
                        },
                        word = self.part.word(), if self.reading.is_none() => {
                            if let Some(ended) = self.heard(word, stop).await? {
                                return self.end(ended).await;
                            }
                            continue;
                        }
                        () = sleep_until(due.unwrap_or(self.position_due)), if due.is_some() => continue,
                    }
                }
            };
            self.held.push(chunk.permit);
            for frame in chunk.frames {
                if let Some(ended) = self.frame(frame).await? {
                    return self.roll_back(ended).await;
                }
                if stop.is_cancelled() && self.reading.is_none() {
                    return self.end(Ended::Stopped).await;
                }
                if self.reading.is_none()
                    && self.may_hand_over()
                    && let Some(ended) = Box::pin(self.hand_over(stop)).await?
                {
                    return self.end(ended).await;
                }
            }
            if give_up.is_some_and(|deadline| Instant::now() >= deadline) {
                return self.end(Ended::Stopped).await;
            }
        }
    }

    /// When what is there is written although more may come; `None` when there is nothing.
    fn due(&self) -> Option<Instant> {
        // More is collected while something is on its way.
        if self.carrier.is_busy() {
            return None;
        }
        if self.reading.is_some() {
            // The rest of a transaction is mostly right behind its beginning, and then all of it takes one round trip.
            // What was left out holds its share of the queue, too.
            let begun = self.oldest.map_or(self.written, |oldest| oldest.max(self.written));
            (!self.held.is_empty()).then_some(begun + REST_PAUSE)
        } else if self.uncommitted.is_some() {
            Some(self.written + REST_PAUSE)
        } else {
            (self.position > self.checkpoint).then_some(self.position_due)
        }
    }

    /// The stream stands still: write what is collected, and commit it if it is whole.
    async fn rest(&mut self) -> Result<(), Halt> {
        if self.reading.is_some() {
            return self.write().await;
        }
        if self.uncommitted.is_some() || (self.position > self.checkpoint && Instant::now() >= self.position_due) {
            self.commit().await?;
        }
        Ok(())
    }

    /// Leaves the destination whole: a transaction that is half read is rolled back with what shares its destination
    /// transaction, and comes again.
    async fn end(mut self, ended: Ended) -> Result<Ended, Halt> {
        if self.reading.is_some() {
            return self.roll_back(ended).await;
        }
        if self.uncommitted.is_some() || self.position > self.checkpoint {
            self.commit().await?;
        }
        self.land().await?;
        Ok(ended)
    }

    async fn roll_back(mut self, ended: Ended) -> Result<Ended, Halt> {
        self.collected.clear();
        self.order(End::RollBack, Tally::default()).await?;
        self.land().await?;
        Ok(ended)
    }

    /// Takes one frame; tells why the stream must start anew, if it must.
    ///
    /// What has to be waited for is boxed: this runs for every frame, and would move the space for all of it each time.
    async fn frame(&mut self, frame: Frame) -> Result<Then, Halt> {
        let payload = match frame {
            Frame::Keepalive { end, .. } => {
                if self.reading.is_none() {
                    self.position = self.position.max(end);
                }
                return Ok(None);
            }
            Frame::Data { payload, .. } => payload,
        };
        let bytes = payload.len();
        let mut message = pgoutput::decode(payload).map_err(|error| {
            Halt::refused(format!("The source sent what walpilot can't read ({error}). Please report this."))
        })?;
        loop {
            match self.message(message, bytes)? {
                Due::Nothing => return Ok(None),
                Due::Write => return Box::pin(self.write()).await.map(|()| None),
                Due::Commit => return Box::pin(self.commit()).await.map(|()| None),
                Due::Relation(relation) => return Box::pin(self.relation(&relation)).await,
                Due::CommitFirst(again) => {
                    Box::pin(self.commit()).await?;
                    message = again;
                }
                Due::AskFirst(again) => {
                    if let Some(ended) = Box::pin(self.ask(&again)).await? {
                        return Ok(Some(ended));
                    }
                    message = again;
                }
            }
        }
    }

    async fn relation(&mut self, relation: &Relation) -> Result<Then, Halt> {
        // The destination is asked between two batches.
        self.land().await?;
        Ok(match self.described.describe(relation, self.reading.unwrap_or_default()).await? {
            Description::Known => None,
            Description::NewTable => Some(Ended::NewTable),
            // Whatever becomes of it, what committed before must not be held up by it.
            Description::NewColumn { commit, .. } if self.uncommitted.is_some() => Some(Ended::CommitBefore(commit)),
            Description::NewColumn { table, published: true, .. } => Some(Ended::NewColumn(table)),
            Description::NewColumn { missing, .. } => return Err(missing),
        })
    }

    /// Sends what is collected.
    async fn write(&mut self) -> Result<(), Halt> {
        if self.collected.is_empty() {
            // What came in was left out: its share of the queue is free again.
            self.held.clear();
            return Ok(());
        }
        self.order(End::Open, Tally::default()).await
    }

    /// Sends what is collected, and commits.
    async fn commit(&mut self) -> Result<(), Halt> {
        let (end, time) = self.uncommitted.take().map_or((self.checkpoint, None), |(end, time)| (end, Some(time)));
        // Everything before a keepalive's position has been sent, and will be applied.
        self.checkpoint = end.max(self.position).max(self.checkpoint);
        self.position_due = Instant::now() + POSITION_PAUSE;
        self.oldest = None;
        let tally = std::mem::take(&mut self.tally);
        self.order(End::Commit(self.checkpoint, time), tally).await
    }

    async fn order(&mut self, end: End, tally: Tally) -> Result<(), Halt> {
        // The destination is most likely busy with the batch before.
        let batch = Batch::new(std::mem::take(&mut self.collected));
        self.land().await?;
        self.collected_bytes = 0;
        // A position alone is cheap, and must not hold up the row that comes next.
        if !matches!(end, End::Commit(_, None)) {
            self.written = Instant::now();
        }
        let held = std::mem::take(&mut self.held);
        self.carrier.send(Order { batch, held, end, tally });
        Ok(())
    }

    /// Waits for what is on its way.
    async fn land(&mut self) -> Result<(), Halt> {
        if let Some(done) = self.carrier.landed().await? {
            self.note(done);
        }
        Ok(())
    }

    /// Takes note of what was written.
    fn note(&mut self, Done { end, tally, missed }: Done) {
        for missed in missed {
            let what = if missed.kind == Kind::Update { "update" } else { "delete" };
            self.tell_once(&missed.table, what, |table| {
                format!("A row that the source wanted to {what} in table {table} is not at the destination; it was passed over.")
            });
        }
        let End::Commit(lsn, _) = end else { return };
        self.progress.send_modify(|progress| {
            for (place, changes) in tally.counts {
                if let Some(table) = progress.tables.get_mut(place) {
                    table.add(changes);
                }
            }
            progress.transactions += tally.transactions;
            progress.changes += tally.changes;
            progress.destination_reaches(lsn);
        });
        // Only now may the source forget it.
        self.flushed.send_replace(lsn);
    }

    fn tell_once(&mut self, table: &TableName, what: &'static str, text: impl Fn(&TableName) -> String) {
        if self.told.insert((table.clone(), what)) {
            self.tell.trouble(text(table));
        }
    }
}

/// The sentence for a stream that ended without an error.
pub(super) fn ended() -> Halt {
    Halt::Lost(Side::Source, "closed by the server".to_owned())
}
