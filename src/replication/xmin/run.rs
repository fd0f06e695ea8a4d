//! A run of the method xmin: pass after pass, until it is told to stop or one was enough.
//!
//! Between two passes only the destination stays connected, for its lock; the source sees a session as long as a pass
//! lasts. When a connection breaks, the next attempt takes the truth from the destination, as after a kill.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::pass::{Ended, Pass};
use super::snapshot::Source;
use super::state;
use crate::replication::checkpoint::{self, Backend};
use crate::replication::destination::Destination;
use crate::replication::halt::Halt;
use crate::replication::journal::Journal;
use crate::replication::patience::Patience;
use crate::replication::prepare::own;
use crate::replication::progress::{Phase, Progress, Teller};
use crate::replication::run::{RunError, RunOptions, Summary};

/// Between the end of a pass and the next one, even if passes last longer than their interval.
const REST: Duration = Duration::from_secs(1);

/// Replicates until `stop` is cancelled, or until one whole pass has ended when that was asked for.
///
/// # Errors
/// When it can't start, or can't go on without somebody's help.
pub(in crate::replication) async fn run(
    options: &RunOptions,
    progress: watch::Sender<Progress>,
    tell: Teller,
    stop: CancellationToken,
) -> Result<Summary, RunError> {
    let mut run = Run {
        options,
        progress: &progress,
        tell: &tell,
        stop: &stop,
        started: false,
        journal: Journal::default(),
        left: None,
        ours: None,
        told: HashSet::new(),
    };
    let mut patience = Patience::new();
    loop {
        let began = now();
        let gone = run.journal.gone();
        let outcome = tokio::select! {
            outcome = run.attempt() => outcome,
            halt = gone => Err(halt),
        };
        let halt = match outcome {
            Ok(Ended::Stopped) | Err(Halt::Stopped) => break,
            Ok(Ended::TakenUp) => {
                patience.renew();
                tell.note("That pass had begun in an earlier snapshot; another one follows at once.");
                continue;
            }
            Ok(Ended::Whole) => {
                patience.renew();
                let Some(every) = options.xmin.every else { break };
                progress.send_modify(|progress| progress.phase = Phase::Waiting);
                let next = (began + every).max(now() + REST);
                tokio::select! {
                    () = sleep_until(next) => continue,
                    () = stop.cancelled() => break,
                }
            }
            Err(halt) => halt,
        };
        run.ours = None;
        if !halt.heals(run.started) {
            return Err(halt.into());
        }
        if !patience.wait(&halt, &progress, &tell, &stop).await {
            break;
        }
    }
    progress.send_modify(|progress| progress.phase = Phase::Stopping);
    let state = progress.borrow().clone();
    run.journal.end(&options.destination, &options.profile.slot, &state).await;
    Ok(Summary { checkpoint: state.checkpoint, progress: state })
}

/// Forgets how far the destination is, so that the next run empties the tables and reads everything anew.
pub(in crate::replication) async fn forget(client: &Client, slot: &str) -> Result<(), Halt> {
    state::ensure_tables(client).await?;
    state::forget(client, slot).await
}

struct Run<'a> {
    options: &'a RunOptions,
    progress: &'a watch::Sender<Progress>,
    tell: &'a Teller,
    stop: &'a CancellationToken,
    /// Both sides have been reached and checked once.
    started: bool,
    journal: Journal,
    /// The session that owned the destination last.
    left: Option<Backend>,
    /// The destination with its lock.
    ours: Option<Destination>,
    /// Sentences that are told once.
    told: HashSet<String>,
}

impl Run<'_> {
    /// One pass.
    async fn attempt(&mut self) -> Result<Ended, Halt> {
        let options = self.options;
        if self.ours.as_ref().is_none_or(|ours| ours.session.client.is_closed()) {
            self.ours = None;
            let phase = if self.started { Phase::Reconnecting } else { Phase::Starting };
            self.progress.send_modify(|progress| progress.phase = phase);
            let ours = own(&options.destination, self.left.as_ref(), self.stop).await?;
            if !ours.replica_role && !self.started {
                self.tell.trouble(
                    "The destination's role may not set session_replication_role: triggers and foreign keys of the \
                     destination's tables fire for replicated rows.",
                );
            }
            checkpoint::ensure_tables(&ours.session.client, &options.destination).await?;
            state::ensure_tables(&ours.session.client).await?;
            self.left = Some(ours.backend.clone());
            self.ours = Some(ours);
        }
        let Some(destination) = self.ours.as_ref() else { return Err(Halt::Stopped) };
        let source = Source::open(&options.profile.source).await?;
        self.started = true;
        self.journal.begin(&options.destination, &options.profile.slot, self.progress);
        let pass = Pass {
            profile: &options.profile,
            options: &options.xmin,
            source: &source,
            destination,
            progress: self.progress,
            tell: self.tell,
            stop: self.stop,
            told: &mut self.told,
            next_in: options.xmin.every,
        };
        Box::pin(pass.run()).await
    }
}

fn now() -> Instant {
    Instant::now()
}
