//! Tables that change hands between two streams ([`handover`](crate::replication::handover)), seen from both sides.

use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Applier, Ended, Then};
use crate::catalog::Lsn;
use crate::replication::checkpoint;
use crate::replication::halt::{self, Halt, Side};
use crate::replication::handover::{Answer, Follower, Offer, Word};
use crate::replication::progress::TablePhase;
use crate::replication::scope::InScope;

/// How long the run's stream waits for a copy that is nearly as far.
const HOLD: Duration = Duration::from_secs(10);

/// Which stream this is.
pub(in crate::replication) enum Part<'a> {
    /// That of the run: it writes the checkpoint of `slot`, and takes what copies offer.
    Run { slot: &'a str, words: &'a mut mpsc::Receiver<Word> },
    /// That of a copy: it writes rows only, until they are taken.
    Copy(Follower),
}

impl<'a> Part<'a> {
    /// The slot whose checkpoint goes with the rows.
    pub(super) fn slot(&self) -> Option<&'a str> {
        match self {
            Self::Run { slot, .. } => Some(slot),
            Self::Copy(_) => None,
        }
    }

    /// Waits for a word; for ever where none can come. May be dropped without losing one.
    pub(super) async fn word(&mut self) -> Word {
        if let Self::Run { words, .. } = self
            && let Some(word) = words.recv().await
        {
            return word;
        }
        pending().await
    }
}

impl Applier<'_> {
    /// Whether [`Self::hand_over`] has anything to do.
    pub(super) fn may_hand_over(&self) -> bool {
        match &self.part {
            Part::Run { words, .. } => !words.is_empty(),
            Part::Copy(follower) => self.here() >= follower.goal,
        }
    }

    /// Between two transactions: hands over, or takes, what is due. To be called when it [may](Self::may_hand_over).
    pub(super) async fn hand_over(&mut self, stop: &CancellationToken) -> Result<Then, Halt> {
        match &mut self.part {
            Part::Run { words, .. } => match words.try_recv() {
                Ok(word) => self.heard(word, stop).await,
                Err(_) => Ok(None),
            },
            Part::Copy(_) => {
                self.commit_and_land().await?;
                let Part::Copy(follower) = &mut self.part else { return Ok(None) };
                for (table, shown) in follower.tables.iter_mut().zip(&self.progress.borrow().tables) {
                    table.changes = shown.changes();
                }
                Ok(follower.offer(self.checkpoint, stop).await?.then_some(Ended::HandedOver))
            }
        }
    }

    /// A copy has said something.
    pub(super) async fn heard(&mut self, word: Word, stop: &CancellationToken) -> Result<Then, Halt> {
        let give_up = Instant::now() + HOLD;
        let mut word = word;
        loop {
            let offer = match word {
                Word::Failed(halt) if !halt.heals(true) => return Err(halt),
                // Another attempt copies what is missing.
                Word::Failed(_) | Word::Published => return Ok(Some(Ended::NewTable)),
                Word::Offer(offer) => offer,
            };
            self.commit_and_land().await?;
            if offer.at >= self.checkpoint && !offer.answer.is_closed() {
                return self.take(offer).await;
            }
            // Who does not hear the answer has ended.
            if offer.answer.send(Answer::Until(self.checkpoint)).is_err() {
                return Ok(None);
            }
            word = tokio::select! {
                word = self.part.word() => word,
                () = sleep_until(give_up) => return Ok(None),
                () = stop.cancelled() => return Ok(None),
            };
        }
    }

    /// What is compared and offered is at the destination, and its session is at rest.
    async fn commit_and_land(&mut self) -> Result<(), Halt> {
        self.commit().await?;
        self.land().await
    }

    /// Takes the tables of an offer that is as far as this stream, or further.
    async fn take(&mut self, offer: Offer) -> Result<Then, Halt> {
        let Some(slot) = self.part.slot() else { return Ok(None) };
        let record: Vec<String> = offer
            .tables
            .iter()
            .map(|table| {
                let state = checkpoint::TableState { complete: true, copied: offer.at, ..table.state.clone() };
                checkpoint::set_table_state(slot, &table.name, &state)
            })
            .collect();
        self.client
            .batch_execute(&format!("BEGIN; {}; COMMIT", record.join("; ")))
            .await
            .map_err(|error| halt::query(Side::Destination, "recording the state of a table", &error))?;
        let mut described = Vec::new();
        for table in &offer.tables {
            let mut place = usize::MAX;
            self.progress.send_modify(|progress| {
                if let Some(at) = progress.tables.iter().position(|shown| shown.table == table.name) {
                    place = at;
                    let shown = &mut progress.tables[at];
                    shown.phase = TablePhase::Streaming;
                    shown.add(table.changes);
                }
            });
            let there = InScope { from: offer.at, place, membership: table.membership.clone() };
            described.extend(self.described.take(&table.name, there));
            self.tell.note(format!("Table {} has joined the stream at {}.", table.name, offer.at));
        }
        // If it isn't heard, the copy has ended all the same.
        let _ = offer.answer.send(Answer::Taken);
        for relation in described {
            if let Some(ended) = self.relation(&relation).await? {
                return Ok(Some(ended));
            }
        }
        Ok(None)
    }

    /// Where this stream is between two transactions: the checkpoint that a commit would make now.
    fn here(&self) -> Lsn {
        let end = self.uncommitted.map_or(self.checkpoint, |(end, _)| end);
        end.max(self.position).max(self.checkpoint)
    }
}
