//! The part of an attempt that follows the source: first what has gathered behind the slot, then the stream.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Run;
use crate::catalog::Lsn;
use crate::replication::apply::{Applier, Ended, Part};
use crate::replication::backlog::{self, Backlog};
use crate::replication::destination::Destination;
use crate::replication::halt::{self, Halt, Side};
use crate::replication::line::Line;
use crate::replication::patience::FAREWELL;
use crate::replication::prepare::{FORGET, Ready, Table};
use crate::replication::progress::{Phase, TablePhase};
use crate::replication::reader::Reader;
use crate::replication::scope::{Elsewhere, InScope, Scope};
use crate::replication::stream::{ChangeStream, StreamError};
use crate::replication::walsender::Walsender;
use crate::replication::{added, look, pulse, slot};

/// How often the reader of a backlog is told how far the destination is. Nothing depends on it.
const BACKLOG_FEEDBACK: Duration = Duration::from_secs(1);

/// What is the same for everything that one attempt follows.
struct Followed<'a> {
    destination: &'a Destination,
    tables: &'a [Table],
    /// `server_version_num` of the source.
    version: i32,
}

/// How following a stream ended.
enum Outcome {
    /// In order.
    Ended(Ended),
    /// It brought no more, for this reason. All whole transactions that it brought are at the destination, up to here.
    Broke(Lsn, StreamError),
}

impl Run<'_> {
    /// Follows the source from the checkpoint on.
    pub(super) async fn stream(&mut self, ready: Ready, streamed: &mut bool) -> Result<Ended, Halt> {
        let Ready { destination, source, version, checkpoint, tables, .. } = ready;
        let followed = Followed { destination: &destination, tables: &tables, version };
        let options = self.options;
        let profile = &options.profile;
        // On a source that never rests there is always something, but after it has been read the stream has its turn.
        let end = match self.stream_only || std::mem::take(&mut self.backlog_read) {
            true => None,
            false => backlog::is_worth_it(&source.client, &profile.slot, checkpoint).await,
        };
        if let Some(end) = end {
            self.progress.send_modify(|progress| progress.source_reaches(end));
            match backlog::open(profile, checkpoint).await {
                // What is wrong, if something is, the stream will tell.
                Err(error) => tracing::info!("the backlog is not read with SQL: {error}"),
                Ok(opened) => return Box::pin(self.read_backlog(&followed, checkpoint, opened, streamed)).await,
            }
        }
        let sender = Walsender::connect(&profile.source, version)
            .await
            .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
        let (stream, line) = sender
            .start(&profile.slot, &profile.publication, checkpoint)
            .await
            .map_err(|error| halt::stream("starting the stream", &error))?;
        // Now that the slot is ours, nobody can move it: the last look counts.
        if let Some(state) = slot::inspect(&source.client, &profile.slot).await? {
            let way_out = format!("To go on, {FORGET}");
            let database = state.database.clone().unwrap_or_default();
            slot::judge(&profile.slot, &state, &database, Some(checkpoint), &way_out)?;
        }
        let every = slot::feedback_interval(&source.client).await?;
        let pulse = pulse::keep(source, profile.source.clone(), self.progress.clone());
        let _pulse = AbortOnDropHandle::new(tokio::spawn(pulse));
        self.tell.note(format!("Streaming from {checkpoint}."));
        *streamed = true;
        match Box::pin(self.follow(&followed, checkpoint, stream, &line, every)).await? {
            Outcome::Ended(ended) => Ok(ended),
            Outcome::Broke(_, error) => Err(halt::reading(&profile.publication, &error)),
        }
    }

    /// Reads what has gathered behind the slot. The stream is another attempt, which looks at the tables anew: some of them
    /// may have joined meanwhile.
    async fn read_backlog(
        &mut self,
        followed: &Followed<'_>,
        from: Lsn,
        (stream, line): (Backlog, Line),
        streamed: &mut bool,
    ) -> Result<Ended, Halt> {
        self.tell.note(format!("Reading what has gathered behind the slot since {from}."));
        *streamed = true;
        let (reached, error) = match self.follow(followed, from, stream, &line, BACKLOG_FEEDBACK).await? {
            Outcome::Ended(ended) => return Ok(ended),
            Outcome::Broke(reached, error) => (reached, error),
        };
        match error {
            StreamError::ReadUp => self.backlog_read = true,
            StreamError::Server(error) => {
                tracing::info!("the backlog is read with SQL no longer: {error}");
                self.stream_only = true;
            }
            error => return Err(halt::stream("reading the backlog", &error)),
        }
        // Otherwise the stream would read it all again, to leave it out.
        let profile = &self.options.profile;
        if let Err(error) = backlog::leave(&profile.source, &profile.slot, reached).await {
            tracing::debug!("the slot was not moved: {error}");
        }
        Ok(if self.stop.is_cancelled() { Ended::Stopped } else { Ended::ReadUp })
    }

    async fn follow(
        &mut self,
        Followed { destination, tables, version }: &Followed<'_>,
        from: Lsn,
        stream: impl ChangeStream,
        line: &Line,
        every: Duration,
    ) -> Result<Outcome, Halt> {
        let profile = &self.options.profile;
        self.progress.send_modify(|progress| {
            progress.phase = Phase::Streaming;
            for table in tables.iter().filter(|table| table.complete()) {
                if let Some(shown) = progress.table(&table.source.name) {
                    shown.phase = TablePhase::Streaming;
                }
            }
        });
        let (queue, chunks) = mpsc::unbounded_channel();
        let (flushed, told) = watch::channel(from);
        let reached = told.clone();
        let reader = Reader { queue, flushed: told, progress: self.progress.clone(), every };
        let mut reader = line.spawn(reader.read(stream));
        let in_scope = tables.iter().enumerate().filter_map(|(place, table)| {
            let membership = table.source.membership.clone();
            let state = table.state.as_ref().filter(|state| state.complete)?;
            Some((table.source.name.clone(), InScope { from: state.copied, place, membership }))
        });
        let joining = tables.iter().filter(|table| !table.complete()).map(|table| table.source.name.clone());
        let scope = Scope {
            tables: in_scope.collect(),
            elsewhere: Elsewhere::Joining(joining.collect()),
            look: look::at(profile, *version),
            fence: self.fence,
            apart: self.again.is_some(),
        };
        let known = tables.iter().map(|table| table.source.name.clone()).collect();
        let words = self.words.0.clone();
        let added = added::look(profile.clone(), *version, known, words, self.tell.clone());
        let _added = AbortOnDropHandle::new(tokio::spawn(added));
        let part = Part::Run { slot: &profile.slot, words: &mut self.words.1 };
        let client = &destination.session.client;
        let applier = Applier::new(client, part, scope, self.progress.clone(), flushed, self.tell).await?;
        match applier.run(chunks, self.stop).await? {
            Ended::Cut => {
                let error = match reader.await {
                    Ok(Err(error)) => error,
                    _ => StreamError::Ended,
                };
                Ok(Outcome::Broke(*reached.borrow(), error))
            }
            ended => {
                if ended == Ended::Stopped {
                    self.progress.send_modify(|progress| progress.phase = Phase::Stopping);
                }
                // The reader sees that the applying task has ended, and takes its leave. What the source is not told
                // now, it is told next time.
                let _ = timeout(FAREWELL, &mut reader).await;
                Ok(Outcome::Ended(ended))
            }
        }
    }
}
