//! What one message of the stream comes to. Most are taken note of and no more; what has to be waited for is told.

use std::time::Duration;

use tokio::time::Instant;

use super::{Applier, Ended, Then};
use crate::connection::printable;
use crate::replication::change::Change;
use crate::replication::described::{Asked, Verdict};
use crate::replication::halt::Halt;
use crate::replication::pgoutput::{Message, Old, Relation};

/// Changes in one pipeline.
const WRITE_CHANGES: usize = 10_000;
/// Bytes in one pipeline.
const WRITE_BYTES: usize = 2 * 1024 * 1024;
/// Changes after which a destination transaction is committed at the next commit of the source.
pub(super) const COMMIT_CHANGES: u64 = 40_000;
/// Age at which a destination transaction is committed at the next commit of the source.
const COMMIT_AGE: Duration = Duration::from_millis(100);

/// What a message calls for.
pub(super) enum Due {
    Nothing,
    Write,
    Commit,
    /// A table is described.
    Relation(Relation),
    /// What came before is committed first; then the message is taken again.
    CommitFirst(Message),
    /// The source is asked about the tables first; then the message is taken again.
    AskFirst(Message),
}

impl Applier<'_> {
    /// Takes one message, and tells what is due.
    pub(super) fn message(&mut self, message: Message, bytes: usize) -> Result<Due, Halt> {
        match message {
            Message::Begin { final_lsn, .. } => {
                if self.fence == Some(final_lsn) && self.uncommitted.is_some() {
                    return Ok(Due::CommitFirst(message));
                }
                self.reading = Some(final_lsn);
                self.oldest.get_or_insert_with(Instant::now);
            }
            Message::Commit { end, time } => {
                self.reading = None;
                self.tally.transactions += 1;
                self.uncommitted = Some((end, time));
                let old = self.oldest.is_some_and(|oldest| oldest.elapsed() >= COMMIT_AGE);
                let apart = self.apart > 0;
                self.apart = self.apart.saturating_sub(self.tally.changes.max(1));
                if self.tally.changes >= COMMIT_CHANGES || old || apart {
                    return Ok(Due::Commit);
                }
            }
            Message::Relation(relation) => return Ok(Due::Relation(relation)),
            Message::Insert { .. } | Message::Update { .. } | Message::Delete { .. } => {
                return self.row(message, bytes);
            }
            Message::Truncate { ref relations, restart_identity } => {
                let (mut targets, mut places) = (Vec::new(), Vec::new());
                for relation in relations {
                    match self.verdict(*relation)? {
                        None => return Ok(Due::AskFirst(message)),
                        Some(Verdict::Skip) => {}
                        Some(Verdict::Apply(target, place)) => {
                            targets.push(target);
                            places.push(place);
                        }
                    }
                }
                if !targets.is_empty() {
                    return Ok(self.collect(Change::Truncate(targets, restart_identity), &places, bytes));
                }
            }
            Message::Other => {}
        }
        Ok(Due::Nothing)
    }

    /// Takes a change of one row.
    fn row(&mut self, message: Message, bytes: usize) -> Result<Due, Halt> {
        let &[relation] = message.relations() else { return Ok(Due::Nothing) };
        let (target, place) = match self.verdict(relation)? {
            None => return Ok(Due::AskFirst(message)),
            Some(Verdict::Skip) => return Ok(Due::Nothing),
            Some(Verdict::Apply(target, place)) => (target, place),
        };
        let change = match message {
            Message::Insert { new, .. } => Change::Insert(target, new),
            Message::Update { old, new, .. } => Change::Update(target, old, new),
            Message::Delete { old, .. } => Change::Delete(target, old),
            _ => return Ok(Due::Nothing),
        };
        check(&change)?;
        Ok(self.collect(change, &[place], bytes))
    }

    /// Whether a change of the transaction that is being read is to be applied; `None` when the source has to be asked.
    fn verdict(&self, relation: u32) -> Result<Option<Verdict>, Halt> {
        let Some(commit) = self.reading else {
            return Err(Halt::refused("The source sent a change outside a transaction. Please report this."));
        };
        // What the checkpoint holds is not applied again, whatever it is.
        self.described.verdict(relation, commit, commit < self.checkpoint)
    }

    /// Asks the source about the tables of a change that are not known.
    pub(super) async fn ask(&mut self, message: &Message) -> Result<Then, Halt> {
        let commit = self.reading.unwrap_or_default();
        for relation in message.relations() {
            match self.described.ask(*relation, commit).await? {
                Asked::Known => {}
                Asked::NewTable(name) => {
                    self.tell.note(format!("Table {name} is new in the publication; its rows are copied now."));
                    return Ok(Some(Ended::NewTable));
                }
                Asked::Ignored(name) => self.tell_once(&name, "ignored", |name| {
                    format!(
                        "Changes of table {name} are left out: it is not among the chosen tables of the publication."
                    )
                }),
            }
        }
        Ok(None)
    }

    fn collect(&mut self, change: Change, places: &[usize], bytes: usize) -> Due {
        for place in places {
            self.tally.counts.entry(*place).or_default()[change.kind() as usize] += 1;
        }
        self.tally.changes += 1;
        self.collected.push(change);
        self.collected_bytes += bytes;
        let enough = self.collected.len() >= WRITE_CHANGES || self.collected_bytes >= WRITE_BYTES;
        if enough { Due::Write } else { Due::Nothing }
    }
}

/// Whether its rows have the columns that were announced.
fn check(change: &Change) -> Result<(), Halt> {
    let (target, rows) = match change {
        Change::Insert(target, new) => (target, [Some(new), None]),
        Change::Update(target, old, new) => (target, [Some(new), old.as_ref().map(Old::row)]),
        Change::Delete(target, old) => (target, [Some(old.row()), None]),
        Change::Truncate(..) => return Ok(()),
    };
    if rows.into_iter().flatten().all(|row| target.fits(row)) {
        return Ok(());
    }
    Err(Halt::refused(format!(
        "The source sent a row of table {} with another number of columns than it announced. Please report this.",
        printable(&target.table.to_string())
    )))
}
