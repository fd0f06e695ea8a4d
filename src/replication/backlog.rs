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

use std::time::Duration;

use bytes::{Buf, Bytes};
use postgres_protocol::message::backend::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use super::formats;
use super::line::Line;
use super::patience::FAREWELL;
use super::stream::{ChangeStream, Feedback, Frame, StreamError};
use super::walsender::{publication_names, tells_of_missing_publication};
use super::wire::{READ_BYTES, Rows, Wire, fill, frame_length};
use crate::catalog::Lsn;
use crate::catalog::ident::quote_literal;
use crate::catalog::slot_name::backlog_slot;
use crate::connection::login::server_error;
use crate::connection::{SessionOptions, Settings, session_sql};
use crate::profile::Profile;

/// A smaller backlog is left to the stream: it takes a session and a slot to read it.
const LEAST_BYTES: u64 = 4 * 1024 * 1024;
/// How much of the log one answer covers: as much as has to be read again for it, within these bounds.
const SPAN_BYTES: std::ops::RangeInclusive<u64> = 4 * 1024 * 1024..=128 * 1024 * 1024;
/// When a call has to read more than this again before it comes to anything new, the stream is faster.
const AGAIN_BYTES: u64 = 256 * 1024 * 1024;
/// An answer that nobody takes for so long is given up: the snapshot of its statement holds back vacuum at the source. The
/// destination waits for a lock then, or hangs; when it goes on, the stream brings the rest.
const UNTAKEN: Duration = Duration::from_secs(60);
/// An answer waits for the destination, so this bounds what hangs and not what is slow.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The run's slot follows the checkpoint at most this often: to move it the source has to read some of the log again.
const ADVANCE_PAUSE: Duration = Duration::from_secs(5);
/// A pause between two looks whether the source has noticed the end of a session.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Pieces that were read and not taken.
const PIECES: usize = 2;
/// What stands before the first row of COPY's binary form: a signature, flags, and the length of nothing (PostgreSQL
/// documentation, "COPY").
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// From 1970-01-01 to 2000-01-01 UTC, in seconds.
const TO_2000: i64 = 946_684_800;

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
    let reading = Reading {
        slot: quote_literal(&slot),
        copy: quote_literal(&backlog_slot(&slot)),
        publications: publication_names(&profile.publication),
        frames: send,
        flushed: told,
    };
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

/// The task's side.
struct Reading {
    /// As literals.
    slot: String,
    copy: String,
    publications: String,
    frames: mpsc::Sender<Vec<Frame>>,
    flushed: watch::Receiver<Lsn>,
}

/// Where the reading slot and the source stand.
struct Standing {
    /// Everything that commits before it has been read.
    read: Lsn,
    restart: Lsn,
    /// The end of the source's log.
    end: Lsn,
    /// Microseconds since 2000-01-01 UTC by the source's clock.
    time: i64,
}

impl Reading {
    /// Makes the temporary slot, at `from`.
    async fn copy_slot(&self, wire: &mut Wire, from: Lsn) -> Result<(), StreamError> {
        let Self { slot, copy, .. } = self;
        wire.query(&format!("SELECT pg_copy_logical_replication_slot({slot}, {copy}, true)")).await?;
        wire.query(&advance_sql(copy, from)).await?;
        let standing = self.look(wire).await?;
        if standing.read > from {
            return Err(StreamError::Protocol(format!("the slot {slot} stands behind {from}")));
        }
        Ok(())
    }

    async fn look(&self, wire: &mut Wire) -> Result<Standing, StreamError> {
        let sql = format!(
            "SELECT confirmed_flush_lsn, restart_lsn, pg_current_wal_flush_lsn(), \
             ((extract(epoch FROM clock_timestamp()) - {TO_2000}) * 1000000)::bigint \
             FROM pg_replication_slots WHERE slot_name = {}",
            self.copy
        );
        standing(&wire.query(&sql).await?)
            .ok_or_else(|| StreamError::Protocol("the temporary slot for reading the backlog is gone".to_owned()))
    }

    /// Reads until the rest is the stream's.
    async fn run(mut self, mut wire: Wire) -> Result<(), StreamError> {
        let (mut last, mut told) = (false, Instant::now());
        loop {
            let standing = self.look(&mut wire).await?;
            let again = standing.read.bytes_since(standing.restart);
            if last || again > AGAIN_BYTES {
                let end = Frame::Keepalive { end: standing.read, sent: standing.time, reply: false };
                let _ = self.frames.send(vec![end]).await;
                return Ok(());
            }
            // What was written during all this comes along: the stream has to read it again before it can tell of it.
            last = standing.end.bytes_since(standing.read) < LEAST_BYTES;
            let span = again.clamp(*SPAN_BYTES.start(), *SPAN_BYTES.end());
            let to = Lsn(standing.read.0 + span).min(standing.end);
            if !self.read(&mut wire, &standing, to).await? {
                return Ok(());
            }
            if told.elapsed() >= ADVANCE_PAUSE {
                let flushed = *self.flushed.borrow_and_update();
                wire.query(&advance_sql(&self.slot, flushed)).await?;
                told = Instant::now();
            }
        }
    }

    /// Reads what commits before `to`; false when it was given up.
    async fn read(&self, wire: &mut Wire, standing: &Standing, to: Lsn) -> Result<bool, StreamError> {
        let Self { copy, publications, .. } = self;
        let begun = Instant::now();
        let sql = format!(
            "COPY (SELECT data FROM pg_logical_slot_get_binary_changes({copy}, '{to}', NULL, 'proto_version', '1', \
             'publication_names', {publications})) TO STDOUT (FORMAT binary)"
        );
        wire.send_query(&sql).await?;
        let mut refused = None;
        loop {
            let mut frames = Vec::new();
            // When the server would have sent it as a walsender.
            let sent = standing.time.saturating_add(i64::try_from(begun.elapsed().as_micros()).unwrap_or_default());
            while let Some(length) = frame_length(&wire.input)? {
                match wire.input[0] {
                    b'd' => {
                        let row = wire.input.split_to(length).freeze().slice(5..);
                        if let Some(payload) = value(row)? {
                            frames.push(Frame::Data { end: standing.end, sent, payload });
                        }
                    }
                    b'E' | b'N' => match Message::parse(&mut wire.input)? {
                        Some(Message::ErrorResponse(body)) => refused = Some(server_error(body.fields())?),
                        Some(Message::NoticeResponse(body)) => {
                            let notice = server_error(body.fields())?;
                            if tells_of_missing_publication(&notice) {
                                return Err(StreamError::Server(Box::new(notice)));
                            }
                        }
                        _ => {}
                    },
                    b'Z' => {
                        wire.input.advance(length);
                        if let Some(error) = refused {
                            return Err(StreamError::Server(Box::new(error)));
                        }
                        return Ok(self.hand_over(frames).await);
                    }
                    _ => wire.input.advance(length),
                }
            }
            if !self.hand_over(frames).await {
                return Ok(false);
            }
            fill(&mut wire.stream, &mut wire.input, READ_BYTES).await?;
        }
    }

    /// Whether somebody has taken it in time.
    async fn hand_over(&self, frames: Vec<Frame>) -> bool {
        frames.is_empty() || matches!(timeout(UNTAKEN, self.frames.send(frames)).await, Ok(Ok(())))
    }
}

fn standing(rows: &Rows) -> Option<Standing> {
    let [read, restart, end, time] = rows.first()?.as_slice() else { return None };
    let lsn = |text: &Option<String>| text.as_ref()?.parse().ok();
    Some(Standing { read: lsn(read)?, restart: lsn(restart)?, end: lsn(end)?, time: time.as_ref()?.parse().ok()? })
}

/// The only column of a row in COPY's binary form; `None` for what ends the rows.
fn value(mut row: Bytes) -> Result<Option<Bytes>, StreamError> {
    let unknown = || StreamError::Protocol("a row of the backlog is not in the binary form of COPY".to_owned());
    if row.starts_with(COPY_HEADER) {
        row.advance(COPY_HEADER.len());
    }
    match row.try_get_i16() {
        Ok(1) => {}
        Ok(-1) => return Ok(None),
        _ => return Err(unknown()),
    }
    let length = row.try_get_i32().map_err(|_| unknown())?;
    if usize::try_from(length) == Ok(row.len()) { Ok(Some(row)) } else { Err(unknown()) }
}

impl ChangeStream for Backlog {
    async fn receive(&mut self, frames: &mut Vec<Frame>) -> Result<(), StreamError> {
        if let Some(more) = self.frames.recv().await {
            frames.extend(more);
            return Ok(());
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

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes, BytesMut};

    use super::{COPY_HEADER, standing, value};
    use crate::catalog::Lsn;

    fn row(fields: i16, length: i32, data: &[u8]) -> BytesMut {
        let mut row = BytesMut::new();
        row.put_i16(fields);
        row.put_i32(length);
        row.put_slice(data);
        row
    }

    #[test]
    fn rows_in_binary_form_are_read_and_others_are_errors() {
        let plain = row(1, 3, b"abc").freeze();
        assert_eq!(value(plain.clone()).unwrap(), Some(Bytes::from_static(b"abc")));
        let first: Bytes = COPY_HEADER.iter().copied().chain(plain.iter().copied()).collect();
        assert_eq!(value(first).unwrap(), Some(Bytes::from_static(b"abc")));
        assert_eq!(value(Bytes::from_static(b"\xff\xff")).unwrap(), None);
        for wrong in
            [row(2, 3, b"abc"), row(1, -1, b""), row(1, 4, b"abc"), row(1, 2, b"abc"), BytesMut::from(&b"\0"[..])]
        {
            assert!(value(wrong.freeze()).is_err());
        }
    }

    #[test]
    fn a_slot_that_is_gone_has_no_standing() {
        assert!(standing(&Vec::new()).is_none());
        let texts = ["0/10", "0/8", "0/20", "-5"].map(|text| Some(text.to_owned())).to_vec();
        let found = standing(&vec![texts]).unwrap();
        assert_eq!((found.read, found.restart, found.end, found.time), (Lsn(16), Lsn(8), Lsn(32), -5));
        assert!(standing(&vec![vec![None; 4]]).is_none());
    }
}
