//! Copies tables while the stream of the others goes on, follows them until they are as far, and hands them over.
//!
//! The copy is the initial copy's, in sessions of its own, as of the snapshot of a temporary slot. When it is done, the
//! same temporary slot brings what has committed since; of that stream only the changes of these tables are applied, in
//! destination transactions without a checkpoint. The run's stream takes the tables over when both are at the same place
//! ([`handover`](super::handover)).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::apply::{self, Applier, Ended, Part};
use super::destination;
use super::halt::{self, Halt, Side};
use super::handover::{Follower, Joined, Word};
use super::initial::{self, Initial};
use super::look;
use super::patience::FAREWELL;
use super::prepare::{Ready, Table};
use super::progress::{Progress, TableProgress, Teller};
use super::reader::Reader;
use super::scope::{Elsewhere, InScope, Scope};
use super::slot::{self, Snapshot};
use crate::catalog::Lsn;
use crate::connection::{self, SessionOptions, Settings};
use crate::profile::{Profile, TableName};

/// How a copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    AtWork,
    /// The run's stream has its tables.
    Joined,
    /// And nothing of it is left at the source.
    Left,
    Failed,
}

/// A copy that is at work beside the stream; ends when it is dropped.
pub(super) struct Join {
    pub(super) tables: HashSet<TableName>,
    standing: watch::Receiver<Standing>,
    _task: AbortOnDropHandle<()>,
}

impl Join {
    pub(super) fn standing(&self) -> Standing {
        *self.standing.borrow()
    }

    /// Waits until a copy that has joined, or was told to stop, has left nothing at the source.
    pub(super) async fn left(mut self) {
        // One that stopped has dropped its end.
        let left = self.standing.wait_for(|standing| matches!(standing, Standing::Left | Standing::Failed));
        let _ = timeout(FAREWELL, left).await;
    }
}

/// What a copy needs.
pub(super) struct Work {
    pub(super) profile: Profile,
    pub(super) destination: Settings,
    /// `server_version_num` of the source.
    pub(super) version: i32,
    pub(super) tables: Vec<Table>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) tell: Teller,
    pub(super) stop: CancellationToken,
    pub(super) words: mpsc::Sender<Word>,
    /// How long to wait after trouble, before it is told.
    pub(super) pause: Duration,
}

impl Work {
    /// Begins.
    pub(super) fn begin(self) -> Join {
        let (stand, standing) = watch::channel(Standing::AtWork);
        let tables = self.tables.iter().map(|table| table.source.name.clone()).collect();
        let task = AbortOnDropHandle::new(tokio::spawn(self.run(stand)));
        Join { tables, standing, _task: task }
    }

    async fn run(mut self, stand: watch::Sender<Standing>) {
        let tables = std::mem::take(&mut self.tables);
        let halt = match self.join(tables, &stand).await {
            Ok(()) | Err(Halt::Stopped) => return,
            Err(halt) => halt,
        };
        if halt.heals(true) {
            let pause = self.pause;
            self.tell.trouble(format!("{} Copying anew in {} s.", halt.what(), pause.as_secs_f32()));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stop.cancelled() => return,
            }
        }
        // Before the word: whoever hears it begins anew what has failed.
        stand.send_replace(Standing::Failed);
        // Nobody is there when the run has ended.
        let _ = self.words.send(Word::Failed(halt)).await;
    }

    async fn join(&self, tables: Vec<Table>, stand: &watch::Sender<Standing>) -> Result<(), Halt> {
        let options = SessionOptions { application_name: "walpilot run".to_owned(), ..SessionOptions::inspect() };
        let source = connection::connect(&self.profile.source, &options)
            .await
            .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
        let destination = Arc::new(destination::open(&self.destination).await?);
        let checkpoint = Lsn::INVALID;
        let mut ready = Ready { destination, source, version: self.version, checkpoint, tables, doubt: None };
        let initial = Initial {
            profile: &self.profile,
            destination: &self.destination,
            progress: &self.progress,
            tell: &self.tell,
            stop: &self.stop,
            beside: true,
        };
        let snapshot = Box::pin(initial.copy_beside(&mut ready)).await?;
        Box::pin(self.follow(ready, snapshot, stand)).await
    }

    /// Applies what has been committed since the snapshot, until the run's stream takes the tables.
    async fn follow(&self, ready: Ready, snapshot: Snapshot, stand: &watch::Sender<Standing>) -> Result<(), Halt> {
        let profile = &self.profile;
        let from = snapshot.at;
        let (sender, slot) = snapshot.into_slot();
        let (stream, line) = sender
            .start(&slot, &profile.publication, from)
            .await
            .map_err(|error| halt::stream("starting the stream of a copy", &error))?;
        let every = slot::feedback_interval(&ready.source.client).await?;
        let (queue, chunks) = mpsc::unbounded_channel();
        let (flushed, told) = watch::channel(from);
        let joined: Vec<Joined> = ready.tables.iter().filter_map(joined).collect();
        // What this stream tells is not the run's progress; its changes are added when the tables are taken.
        let tables = joined.iter().map(|table| TableProgress::of(table.name.clone())).collect();
        let (apart, _) = watch::channel(Progress { tables, ..Progress::default() });
        let reader = Reader { queue, flushed: told, progress: apart.clone(), every };
        let mut reader = line.spawn(reader.read(stream));

        let names: Vec<TableName> = joined.iter().map(|table| table.name.clone()).collect();
        let in_scope = |(place, table): (usize, &Joined)| {
            (table.name.clone(), InScope { from, place, membership: table.membership.clone() })
        };
        let scope = Scope {
            tables: joined.iter().enumerate().map(in_scope).collect(),
            elsewhere: Elsewhere::Others,
            look: look::at(profile, self.version),
            fence: None,
            apart: false,
        };
        let goal = self.progress.borrow().checkpoint;
        let part = Part::Copy(Follower { tables: joined, goal, words: self.words.clone() });
        let client = &ready.destination.session.client;
        let applier = Applier::new(client, part, scope, apart, flushed, &self.tell).await?;
        match applier.run(chunks, &self.stop).await? {
            Ended::HandedOver => {
                stand.send_replace(Standing::Joined);
                let _ = timeout(FAREWELL, &mut reader).await;
                stand.send_replace(Standing::Left);
                initial::analyze(self.destination.clone(), names).await;
                Ok(())
            }
            Ended::Stopped => {
                let _ = timeout(FAREWELL, &mut reader).await;
                Err(Halt::Stopped)
            }
            Ended::Cut => match reader.await {
                Ok(Err(error)) => Err(halt::reading(&profile.publication, &error)),
                _ => Err(apply::ended()),
            },
            // The copy begins anew, and finds the tables as they are then.
            Ended::NewTable | Ended::NewColumn(_) | Ended::CommitBefore(_) | Ended::ReadUp => {
                Err(Halt::Changed("A table was altered at the source while it was copied.".to_owned()))
            }
        }
    }
}

fn joined(table: &Table) -> Option<Joined> {
    let state = table.state.clone()?;
    let membership = table.source.membership.clone();
    Some(Joined { name: table.source.name.clone(), state, membership, changes: [0; 4] })
}
