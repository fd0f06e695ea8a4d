//! One replication run, from its start to its orderly end.
//!
//! A run is a row of attempts. Each one connects both sides, takes the truth from the destination's checkpoint, copies
//! what is missing and follows the stream. When a connection breaks, the next attempt does the same: there is no
//! state in memory that could disagree with the destination.

mod streaming;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::apply::{self, Ended};
use super::checkpoint::{self, Backend};
use super::destination::Destination;
use super::halt::Halt;
use super::handover::Word;
use super::initial::{self, Held, Initial};
use super::join::{self, Join, Standing};
use super::journal::Journal;
use super::patience::Patience;
use super::prepare::{Ready, Table, Wish, own};
use super::progress::{Phase, Progress, RunEvent, TablePhase, TableProgress, Teller};
use super::sequences;
use super::slot;
use super::xmin::{self, XminOptions};
use crate::catalog::Lsn;
use crate::connection::{Failure, Settings};
use crate::profile::{Method, Profile, TableName};

/// How often forgetting is tried again when a connection breaks.
const FORGET_AGAIN: usize = 4;
/// How many words of copies may wait for the stream.
const WORDS: usize = 4;
/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The source and what is wanted from it. A selection of no schemas at all means the whole publication.
    pub profile: Profile,
    /// Where the rows go; the role must be able to create tables there.
    pub destination: Settings,
    /// Create the slot when it is missing (the publication must exist).
    pub create_slot: bool,
    /// How the method xmin runs.
    pub xmin: XminOptions,
}

/// Why a run ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A side can't be reached.
    #[error("{side}: {failure}")]
    Connection {
        /// "source" or "destination".
        side: &'static str,
        /// The cause.
        failure: Box<Failure>,
    },
    /// The run is refused or broke; one sentence with the next step, safe to print.
    #[error("{0}")]
    Refused(String),
}

impl From<Halt> for RunError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Unreachable(side, failure) => Self::Connection { side: side.name(), failure },
            Halt::Lost(side, text) => {
                Self::Refused(format!("The connection to the {side} broke: {text}. Start again; nothing is lost."))
            }
            Halt::Passing(text) | Halt::Changed(text) => Self::Refused(format!("{text} Start again; nothing is lost.")),
            Halt::Again(text) | Halt::Refused(text) => Self::Refused(text),
            Halt::Stopped => Self::Refused("The run was stopped.".to_owned()),
        }
    }
}

/// How an orderly run ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The last state.
    pub progress: Progress,
    /// Where the destination stands; a new run goes on from here. 0/0 when nothing has begun: the next run begins anew.
    pub checkpoint: Lsn,
}

/// Replicates until `stop` is cancelled: then the batch at hand is committed with its checkpoint, the slot is told,
/// and the run ends well. Dropping the future stops at once, which is as safe.
///
/// Events that the listener does not take in time are dropped; they are in the log.
///
/// # Errors
/// When it can't start, or can't go on without losing something.
pub async fn run(
    options: RunOptions,
    progress: watch::Sender<Progress>,
    events: mpsc::Sender<RunEvent>,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let tell = Teller(events);
    check(&options)?;
    if options.profile.method == Method::Xmin {
        return xmin::run(&options, progress, tell, stop).await;
    }
    let mut run = Run {
        options: &options,
        progress: &progress,
        tell: &tell,
        stop: &stop,
        left: None,
        journal: Journal::default(),
        grown: HashSet::new(),
        fence: None,
        made_slot: AtomicBool::new(false),
        again: None,
        stream_only: false,
        backlog_read: false,
        doubt: None,
        held: None,
        statistics: None,
        ours: None,
        joins: Vec::new(),
        words: mpsc::channel(WORDS),
        join_patience: Patience::new(),
    };
    let mut patience = Patience::new();
    let mut reached = Lsn::INVALID;
    loop {
        let phase = if run.left.is_some() { Phase::Reconnecting } else { Phase::Starting };
        // Between a backlog and the stream nothing was lost that would have to be found again.
        if !run.backlog_read {
            progress.send_modify(|progress| progress.phase = phase);
        }
        let gone = run.journal.gone();
        let attempted = tokio::select! {
            attempted = run.attempt() => attempted,
            halt = gone => (Err(halt), true),
        };
        let (halt, streamed) = match attempted {
            (Ok(Ended::Stopped) | Err(Halt::Stopped), _) => break,
            (Ok(Ended::NewTable | Ended::HandedOver | Ended::ReadUp), _) => continue,
            (Ok(Ended::NewColumn(table)), _) => {
                run.grown.insert(table);
                continue;
            }
            (Ok(Ended::CommitBefore(commit)), _) => {
                run.fence = Some(commit);
                continue;
            }
            (Ok(Ended::Cut), streamed) => (apply::ended(), streamed),
            (Err(Halt::Again(text)), _) => {
                // Once for each checkpoint; what comes before the trouble is committed meanwhile.
                let checkpoint = progress.borrow().checkpoint;
                if run.again.replace(checkpoint) == Some(checkpoint) {
                    let reasons: Vec<String> = [Some(text), run.doubt.take()].into_iter().flatten().collect();
                    return Err(Halt::Refused(reasons.join(" ")).into());
                }
                tracing::warn!("starting anew once: {text}");
                run.let_go();
                continue;
            }
            (Err(halt), streamed) => (halt, streamed),
        };
        run.let_go();
        if !halt.heals(run.left.is_some()) {
            run.undo().await;
            return Err(halt.into());
        }
        // A stream that gets nowhere, because the disk is full for example, is no success.
        let checkpoint = progress.borrow().checkpoint;
        if streamed && checkpoint > reached {
            patience.renew();
        }
        reached = checkpoint;
        if !patience.wait(&halt, &progress, &tell, &stop).await {
            break;
        }
    }
    for join in std::mem::take(&mut run.joins) {
        join.left().await;
    }
    run.let_go();
    let undone = run.undo().await;
    let state = progress.borrow().clone();
    run.journal.end(&options.destination, &options.profile.slot, &state).await;
    let checkpoint = if undone { Lsn::INVALID } else { state.checkpoint };
    Ok(Summary { checkpoint, progress: state })
}

/// Forgets how far the destination is, so that the next run empties the tables of this slot and copies them anew.
///
/// # Errors
/// When the destination can't be reached, or another run owns it.
pub async fn forget(options: &RunOptions) -> Result<(), RunError> {
    let mut patience = Patience::new();
    for _ in 0..FORGET_AGAIN {
        match forget_once(options).await {
            // Nothing has been forgotten, or everything.
            Err(halt) if halt.heals(false) => sleep(patience.pause()).await,
            outcome => return Ok(outcome?),
        }
    }
    Ok(forget_once(options).await?)
}

async fn forget_once(options: &RunOptions) -> Result<(), Halt> {
    let destination = own(&options.destination, None, &CancellationToken::new()).await?;
    let client = &destination.session.client;
    checkpoint::ensure_tables(client, &options.destination).await?;
    if options.profile.method == Method::Xmin {
        return xmin::forget(client, &options.profile.slot).await;
    }
    checkpoint::forget(client, &options.profile.slot).await
}

/// Creates the tables that the destination lacks, checks those that are there, and returns the statements that were run.
///
/// # Errors
/// As [`run`].
pub async fn create_schema(options: &RunOptions) -> Result<Vec<String>, RunError> {
    check(options)?;
    let (events, _) = mpsc::channel(1);
    let wish = Wish {
        profile: &options.profile,
        destination: &options.destination,
        create_slot: false,
        left: None,
        grown: &HashSet::new(),
        joining: &HashSet::new(),
        made_slot: &AtomicBool::new(false),
        tell: &Teller(events),
        stop: &CancellationToken::new(),
    };
    Ok(wish.schema().await?)
}

/// Sets the destination's sequences to where those of the source stand, for the cut-over; never back.
///
/// # Errors
/// When a side can't be asked, or a sequence can't be set.
pub async fn sync_sequences(options: &RunOptions, events: mpsc::Sender<RunEvent>) -> Result<usize, RunError> {
    Ok(sequences::sync(&options.profile, &options.destination, &Teller(events)).await?)
}

fn check(options: &RunOptions) -> Result<(), RunError> {
    let (source, destination) = (&options.profile.source, &options.destination);
    if (&source.host, source.port, &source.database) == (&destination.host, destination.port, &destination.database) {
        return Err(RunError::Refused(format!(
            "Source and destination are the same database ({destination}). Name another destination."
        )));
    }
    Ok(())
}

struct Run<'a> {
    options: &'a RunOptions,
    progress: &'a watch::Sender<Progress>,
    tell: &'a Teller,
    stop: &'a CancellationToken,
    /// The session that owned the destination last; there is one when both sides have been reached and checked once.
    left: Option<Backend>,
    journal: Journal,
    /// Tables with a column that the stream has shown and the destination lacks.
    grown: HashSet<TableName>,
    /// See [`Scope::fence`](super::scope::Scope::fence).
    fence: Option<Lsn>,
    /// The slot was made by this run.
    made_slot: AtomicBool,
    /// The checkpoint at which an attempt ended with [`Halt::Again`].
    again: Option<Lsn>,
    /// The source does not let a backlog be read with SQL.
    stream_only: bool,
    /// The attempt before this one has read a backlog to its end.
    backlog_read: bool,
    /// See [`Ready::doubt`].
    doubt: Option<String>,
    /// The snapshot of a copy that a broken connection has interrupted.
    held: Option<Held>,
    /// Gathers statistics of what was copied.
    statistics: Option<AbortOnDropHandle<()>>,
    /// The destination with its lock, handed from an attempt that ended in order to the next.
    ours: Option<Arc<Destination>>,
    /// Tables that are copied while the stream goes on.
    joins: Vec<Join>,
    /// What they say to the stream.
    words: (mpsc::Sender<Word>, mpsc::Receiver<Word>),
    /// The pause after one of them has failed.
    join_patience: Patience,
}

impl Run<'_> {
    /// One attempt; also tells whether it came as far as streaming.
    async fn attempt(&mut self) -> (Result<Ended, Halt>, bool) {
        let joining = self.joining();
        let wish = Wish {
            profile: &self.options.profile,
            destination: &self.options.destination,
            create_slot: self.options.create_slot,
            left: self.left.as_ref(),
            grown: &self.grown,
            joining: &joining,
            made_slot: &self.made_slot,
            tell: self.tell,
            stop: self.stop,
        };
        let mut ready = match Box::pin(wish.prepare(self.ours.take())).await {
            Ok(ready) => ready,
            Err(halt) => return (Err(halt), false),
        };
        self.ours = Some(Arc::clone(&ready.destination));
        self.left = Some(ready.destination.backend.clone());
        self.doubt = ready.doubt.take();
        self.grown.clear();
        self.journal.begin(&self.options.destination, &self.options.profile.slot, self.progress);
        self.show(&ready);
        let (profile, destination) = (&self.options.profile, &self.options.destination);
        // As long as no table streams, what is missing belongs to the initial copy, each table of which is kept for good.
        let streams = |table: &Table| {
            table.state.as_ref().is_some_and(|state| state.complete && state.copied <= ready.checkpoint)
        };
        let beside = profile.initial_copy && (ready.tables.iter().any(streams) || !joining.is_empty());
        if beside {
            self.copy_beside(&mut ready, &joining);
        } else {
            let initial =
                Initial { profile, destination, progress: self.progress, tell: self.tell, stop: self.stop, beside };
            match Box::pin(initial.copy(&mut ready, &mut self.held)).await {
                Err(halt) => return (Err(halt), false),
                Ok(copied) if copied.is_empty() => {}
                Ok(copied) => {
                    let analyze = initial::analyze(self.options.destination.clone(), copied);
                    self.statistics = Some(AbortOnDropHandle::new(tokio::spawn(analyze)));
                }
            }
        }
        let mut streamed = false;
        let outcome = Box::pin(self.stream(ready, &mut streamed)).await;
        (outcome, streamed)
    }

    /// Ends what an attempt may leave to the next: the connection that broke may have been one of theirs, and whoever
    /// writes beside the stream may do so only under its lock.
    fn let_go(&mut self) {
        self.joins.clear();
        self.words = mpsc::channel(WORDS);
        self.ours = None;
    }

    /// The tables that copies are at work on. What has ended is forgotten.
    fn joining(&mut self) -> HashSet<TableName> {
        if self.joins.iter().any(|join| matches!(join.standing(), Standing::Joined | Standing::Left)) {
            self.join_patience.renew();
        }
        self.joins.retain(|join| join.standing() != Standing::Failed);
        let at_work = self.joins.iter().filter(|join| join.standing() == Standing::AtWork);
        at_work.flat_map(|join| join.tables.iter().cloned()).collect()
    }

    /// Lets the tables that are not complete be copied beside the stream; `joining` are being copied already.
    fn copy_beside(&mut self, ready: &mut Ready, joining: &HashSet<TableName>) {
        self.held = None;
        let missing: Vec<Table> = ready
            .tables
            .iter()
            .filter(|table| !table.complete() && !joining.contains(&table.source.name))
            .cloned()
            .collect();
        if missing.is_empty() {
            return;
        }
        let work = join::Work {
            profile: self.options.profile.clone(),
            destination: self.options.destination.clone(),
            version: ready.version,
            tables: missing,
            progress: self.progress.clone(),
            tell: self.tell.clone(),
            stop: self.stop.clone(),
            words: self.words.0.clone(),
            pause: self.join_patience.pause(),
        };
        self.joins.push(work.begin());
    }

    /// A run that ends before anything was copied leaves no slot behind: it would hold back WAL at the source for nobody.
    /// Tells whether there was one.
    async fn undo(&self) -> bool {
        let begun = self.progress.borrow().tables.iter().any(|table| table.phase == TablePhase::Streaming);
        if begun || !self.made_slot.load(Ordering::Relaxed) {
            return false;
        }
        let slot = &self.options.profile.slot;
        // First at the destination: a checkpoint without a slot would look like a slot that got lost.
        let undone = forget(self.options).await.is_ok() && slot::discard(&self.options.profile.source, slot).await;
        if undone {
            self.tell
                .note(format!("Dropped the replication slot {slot} at the source, because nothing was copied yet."));
        }
        undone
    }

    /// Puts the tables into the progress; numbers of an earlier attempt stay.
    fn show(&self, ready: &Ready) {
        self.progress.send_modify(|progress| {
            let mut before: HashMap<TableName, TableProgress> =
                progress.tables.drain(..).map(|table| (table.table.clone(), table)).collect();
            progress.tables = ready.tables.iter().map(|table| table.shown(&mut before)).collect();
            progress.destination_reaches(ready.checkpoint);
        });
    }
}
