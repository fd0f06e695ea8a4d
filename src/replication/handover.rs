//! How a table that was copied while the stream of the others ran is handed over to that stream.
//!
//! The rows of the copy are those of one position of the source; the stream is somewhere behind it by then and has left
//! the table's changes out. So the copy follows the table on a stream of its own ([`join`](super::join)) until it is as far
//! as the run's stream, and offers the table. The run's stream takes it between two transactions, and only when it has
//! not come further than the offer: what commits before the offered position is at the destination, what commits
//! at it or later the run's stream applies. If it has come further, it says how far and waits there for a moment, so that
//! the other can't chase it for ever. PostgreSQL's table synchronisation hands over in the same way (source file
//! `tablesync.c`).
//!
//! That the table is complete is recorded by the run's stream, when it takes the table. Until then a crash leaves a table
//! whose copy is not finished, and it is copied anew.

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::checkpoint::TableState;
use super::halt::Halt;
use super::membership::Membership;
use crate::catalog::Lsn;
use crate::profile::TableName;

/// A table that is offered.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    pub(super) name: TableName,
    /// Its rows and bytes as copied.
    pub(super) state: TableState,
    pub(super) membership: Membership,
    /// Inserts, updates, deletes and truncates since the copy.
    pub(super) changes: [u64; 4],
}

/// The tables of one copy, as they are at `at`.
pub(super) struct Offer {
    pub(super) tables: Vec<Joined>,
    /// Changes of transactions that committed before it are at the destination, and no others.
    pub(super) at: Lsn,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What the run's stream says to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The tables are its own from now on.
    Taken,
    /// It has come as far as this.
    Until(Lsn),
}

/// What is said to the run's stream.
pub(super) enum Word {
    Offer(Offer),
    /// A copy has failed; whether it is made anew depends on the reason.
    Failed(Halt),
    /// Other tables are published than the stream knows.
    Published,
}

/// The side that follows until it is far enough.
pub(super) struct Follower {
    pub(super) tables: Vec<Joined>,
    /// How far the run's stream is known to be.
    pub(super) goal: Lsn,
    pub(super) words: mpsc::Sender<Word>,
}

impl Follower {
    /// Offers the tables as they are at `at`; tells whether they were taken. If not, there is another goal.
    ///
    /// # Errors
    /// When nobody is there any more to take them.
    pub(super) async fn offer(&mut self, at: Lsn, stop: &CancellationToken) -> Result<bool, Halt> {
        loop {
            let (answer, answered) = oneshot::channel();
            let word = Word::Offer(Offer { tables: self.tables.clone(), at, answer });
            let offering = async {
                self.words.send(word).await.map_err(|_| Halt::Stopped)?;
                Ok(answered.await)
            };
            let answered = tokio::select! {
                answered = offering => answered?,
                () = stop.cancelled() => return Err(Halt::Stopped),
            };
            match answered {
                Ok(Answer::Taken) => return Ok(true),
                Ok(Answer::Until(goal)) if goal > at => {
                    self.goal = goal;
                    return Ok(false);
                }
                // The stream was interrupted before it answered; the next one hears it again.
                Ok(Answer::Until(_)) | Err(_) => {}
            }
        }
    }
}
