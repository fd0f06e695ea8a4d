//! A backlog, read with SQL.
//!
//! A walsender sends each change with a system call of its own, which takes several times as long as decoding it. The
//! function `pg_logical_slot_get_binary_changes` gives the same messages as rows, many to a packet. So what has gathered
//! behind a slot is read with it, and the stream begins where that ends.
//!
//! The function moves the slot that it reads, before anything of it is at the destination. So it reads a **temporary** copy
//! of the run's slot, which ends with its session. The run's slot follows the checkpoint, as in the stream.
//!
//! It has two costs, which are why the stream is not read this way. Each call begins at the slot's `restart_lsn`, which may
//! lie far behind when transactions are long. And its rows are gathered at the source, in a temporary file, before the
//! first of them is sent. Both are bounded: everything in an answer was written between `restart_lsn` and the end that is asked
//! for. When that is too much, the rest is the stream's.
//!
//! Between the two sides stands a [`spool`], so that the source decodes one piece while the destination writes another.

mod reading;
mod spool;

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use self::reading::Reading;
use super::formats;
use super::line::Line;
use super::patience::FAREWELL;
use super::stream::{ChangeStream, Feedback, Frame, StreamError};
use super::walsender::publication_names;
use super::wire::Wire;
use crate::catalog::Lsn;
use crate::catalog::ident::quote_literal;
use crate::catalog::slot_name::backlog_slot;
use crate::connection::{SessionOptions, Settings, session_sql};
use crate::profile::Profile;

/// A smaller backlog is left to the stream: it takes a session and a slot to read it.
const LEAST_BYTES: u64 = 4 * 1024 * 1024;
/// When a call has to read more than this again before it comes to anything new, the stream is faster.
const AGAIN_BYTES: u64 = 512 * 1024 * 1024;
/// An answer waits for the destination, so this bounds what hangs and not what is slow.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// A pause between two looks whether the source has noticed the end of a session.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Pieces that were read and not taken.
const PIECES: usize = 2;

/// A backlog that is being read, by a task on the thread of its connection.
pub(super) struct Backlog {
    frames: mpsc::Receiver<Vec<Frame>>,
    flushed: watch::Sender<Lsn>,
    task: Option<AbortOnDropHandle<Result<(), StreamError>>>,
    source: Settings,
    slot: String,
}

/// Whether what lies between `from` and the end of the source's log is read faster this way; tells that end.
pub(super) async fn is_worth_it(client: &Client, slot: &str, from: Lsn) -> Option<Lsn> {
    let sql = format!(
        "SELECT e.lsn::text FROM pg_replication_slots s CROSS JOIN LATERAL \
         (SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END) e(lsn) \
         WHERE s.slot_name = $1::text AND e.lsn - $2::text::pg_lsn >= {LEAST_BYTES} \
         AND s.confirmed_flush_lsn - s.restart_lsn <= {AGAIN_BYTES}"
    );
    let row = client.query_opt(&sql, &[&slot, &from.to_string()]).await.ok()??;
    row.get::<_, &str>(0).parse().ok()
}

/// Begins to read what the slot of `profile` holds after `from`.
///
/// # Errors
/// When the source does not allow it or has no room for one more slot; the stream does without.
pub(super) async fn open(profile: &Profile, from: Lsn) -> Result<(Backlog, Line), StreamError> {
    let line = Line::open()?;
    let (source, slot) = (profile.source.clone(), profile.slot.clone());
    let (send, frames) = mpsc::channel(PIECES);
    let (flushed, told) = watch::channel(from);
    let publications = publication_names(&profile.publication);
    let mut reading = Reading::new(quote_literal(&slot), quote_literal(&backlog_slot(&slot)), publications, send, told);
    let settings = source.clone();
    let (wire, reading) = line
        .run(async move {
            let mut wire = connect(&settings).await?;
            reading.copy_slot(&mut wire, from).await?;
            Ok::<_, StreamError>((wire, reading))
        })
        .await?;
    let task = Some(line.spawn(reading.run(wire)));
    Ok((Backlog { frames, flushed, task, source, slot }, line))
}

/// Moves the run's slot to the checkpoint, so that the source may forget what lies before it and the stream need not read
/// it again, and waits until the session that was reading has ended, and its slot with it.
pub(super) async fn leave(source: &Settings, slot: &str, flushed: Lsn) -> Result<(), StreamError> {
    let mut wire = connect(source).await?;
    wire.query(&advance_sql(&quote_literal(slot), flushed)).await?;
    let copy = quote_literal(&backlog_slot(slot));
    let left = format!("SELECT 1 FROM pg_replication_slots WHERE temporary AND slot_name = {copy}");
    let give_up = Instant::now() + FAREWELL;
    while !wire.query(&left).await?.is_empty() && Instant::now() < give_up {
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

fn advance_sql(slot: &str, to: Lsn) -> String {
    // A slot refuses to be moved back, also when there is nothing to move.
    format!(
        "SELECT pg_replication_slot_advance(slot_name, '{to}') FROM pg_replication_slots \
         WHERE slot_name = {slot} AND confirmed_flush_lsn < '{to}'"
    )
}

async fn connect(source: &Settings) -> Result<Wire, StreamError> {
    let options = SessionOptions { statement_timeout: STATEMENT_TIMEOUT, ..SessionOptions::replicate() };
    let mut wire = Wire::connect(source, &[("application_name", &options.application_name)])
        .await
        .map_err(|failure| StreamError::Io(std::io::Error::other(failure.message)))?;
    wire.query(&format!("{}; {}; {}", session_sql(&options), formats::SESSION, formats::NO_LIMITS)).await?;
    Ok(wire)
}

impl ChangeStream for Backlog {
    async fn receive(&mut self, frames: &mut Vec<Frame>) -> Result<(), StreamError> {
        while let Some(more) = self.frames.recv().await {
            if !more.is_empty() {
                frames.extend(more);
                return Ok(());
            }
        }
        let Some(task) = &mut self.task else { return Err(StreamError::ReadUp) };
        let outcome = task.await;
        self.task = None;
        match outcome {
            Ok(Ok(())) => Err(StreamError::ReadUp),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StreamError::Ended),
        }
    }

    async fn send_feedback(&mut self, feedback: Feedback) -> Result<(), StreamError> {
        self.flushed.send_replace(feedback.flushed);
        Ok(())
    }

    async fn finish(mut self) -> Result<(), StreamError> {
        // Whatever it is in the middle of ends with its connection.
        self.task = None;
        let flushed = *self.flushed.borrow();
        leave(&self.source, &self.slot, flushed).await
    }
}
