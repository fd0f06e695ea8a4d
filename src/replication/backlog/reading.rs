//! The task that asks the source for one piece after the other and hands them on.

use std::time::Duration;

use bytes::{Buf, Bytes};
use postgres_protocol::message::backend::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::spool::{FILE_BYTES, Spool};
use super::{AGAIN_BYTES, LEAST_BYTES, advance_sql};
use crate::catalog::Lsn;
use crate::connection::ServerError;
use crate::connection::login::server_error;
use crate::replication::stream::{Frame, StreamError};
use crate::replication::walsender::{TO_2000, tells_of_missing_publication};
use crate::replication::wire::{READ_BYTES, Rows, Wire, fill, frame_length};

/// How much of the log one answer covers: twice as much as has to be read again for it, within these bounds.
const SPAN_BYTES: std::ops::RangeInclusive<u64> = 8 * 1024 * 1024..=128 * 1024 * 1024;
/// The next piece is asked for when so little waits for the destination.
const LOW_BYTES: u64 = FILE_BYTES / 4;
/// An answer that nobody takes for so long is given up: the snapshot of its statement holds back vacuum at the source. The
/// destination waits for a lock then, or hangs; when it goes on, the stream brings the rest.
const UNTAKEN: Duration = Duration::from_secs(60);
/// The run's slot follows the checkpoint at most this often: to move it the source has to read some of the log again.
const ADVANCE_PAUSE: Duration = Duration::from_secs(5);
/// And the pause is so many times as long as moving it took.
const ADVANCE_SHARE: u32 = 20;
/// What stands before the first row of COPY's binary form: a signature, flags, and the length of nothing (PostgreSQL
/// documentation, "COPY").
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What the task knows.
pub(super) struct Reading {
    /// As literals.
    slot: String,
    copy: String,
    publications: String,
    frames: mpsc::Sender<Vec<Frame>>,
    flushed: watch::Receiver<Lsn>,
    /// When the run's slot is moved next.
    advance: Instant,
    spool: Spool,
    /// The source as last seen, and when.
    seen: (Standing, Instant),
}

/// Where the reading slot and the source stand.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Everything that commits before it has been read.
    read: Lsn,
    restart: Lsn,
    /// The end of the source's log.
    end: Lsn,
    /// Microseconds since 2000-01-01 UTC by the source's clock.
    time: i64,
}

/// How an answer goes on.
enum Answer {
    More,
    Ended,
}

impl Reading {
    /// `slot`, its `copy` and `publications` are literals.
    pub(super) fn new(
        slot: String,
        copy: String,
        publications: String,
        frames: mpsc::Sender<Vec<Frame>>,
        flushed: watch::Receiver<Lsn>,
    ) -> Self {
        let (advance, seen) = (Instant::now() + ADVANCE_PAUSE, (Standing::default(), Instant::now()));
        Self { slot, copy, publications, frames, flushed, advance, spool: Spool::open(), seen }
    }

    /// Makes the temporary slot, at `from`.
    pub(super) async fn copy_slot(&mut self, wire: &mut Wire, from: Lsn) -> Result<(), StreamError> {
        let Self { slot, copy, .. } = self;
        wire.query(&format!("SELECT pg_copy_logical_replication_slot({slot}, {copy}, true)")).await?;
        wire.query(&advance_sql(copy, from)).await?;
        let standing = self.look(wire).await?;
        if standing.read > from {
            return Err(StreamError::Protocol(format!("the slot {} stands behind {from}", self.slot)));
        }
        Ok(())
    }

    async fn look(&mut self, wire: &mut Wire) -> Result<Standing, StreamError> {
        let sql = format!(
            "SELECT confirmed_flush_lsn, restart_lsn, pg_current_wal_flush_lsn(), \
             ((extract(epoch FROM clock_timestamp()) - {}) * 1000000)::bigint \
             FROM pg_replication_slots WHERE slot_name = {}",
            TO_2000.as_secs(),
            self.copy
        );
        let standing = standing(&wire.query(&sql).await?)
            .ok_or_else(|| StreamError::Protocol("the temporary slot for reading the backlog is gone".to_owned()))?;
        self.seen = (standing, Instant::now());
        Ok(standing)
    }

    /// Reads until the rest is the stream's.
    pub(super) async fn run(mut self, mut wire: Wire) -> Result<(), StreamError> {
        let mut last = false;
        loop {
            let standing = self.look(&mut wire).await?;
            let again = standing.read.bytes_since(standing.restart);
            if last || again > AGAIN_BYTES {
                if self.hand_over(&mut wire, 0).await? {
                    let end = Frame::Keepalive { end: standing.read, sent: self.time(), reply: false };
                    let _ = self.frames.send(vec![end]).await;
                }
                return Ok(());
            }
            // What was written during all this comes along: the stream has to read it again before it can tell of it.
            last = standing.end.bytes_since(standing.read) < LEAST_BYTES;
            let span = (2 * again).clamp(*SPAN_BYTES.start(), *SPAN_BYTES.end());
            let to = Lsn(standing.read.0 + span).min(standing.end);
            if !self.read(&mut wire, to).await? || !self.hand_over(&mut wire, LOW_BYTES).await? {
                return Ok(());
            }
        }
    }

    /// The source's clock.
    fn time(&self) -> i64 {
        let (standing, when) = &self.seen;
        standing.time.saturating_add(i64::try_from(when.elapsed().as_micros()).unwrap_or_default())
    }

    /// Waits until only so many bytes are left; false when nobody takes them any more.
    async fn hand_over(&mut self, wire: &mut Wire, left: u64) -> Result<bool, StreamError> {
        let frames = self.frames.clone();
        loop {
            let now = Instant::now();
            if now >= self.advance {
                let flushed = *self.flushed.borrow_and_update();
                wire.query(&advance_sql(&self.slot, flushed)).await?;
                self.advance = Instant::now() + ADVANCE_PAUSE.max(ADVANCE_SHARE * now.elapsed());
            }
            if self.spool.len() <= left {
                return Ok(true);
            }
            tokio::select! {
                room = frames.reserve() => match room {
                    Ok(room) => room.send(self.next()?),
                    Err(_) => return Ok(false),
                },
                () = sleep_until(self.advance) => {}
            }
        }
    }

    /// Reads what commits before `to`, and hands on meanwhile what there is; false when it was given up.
    async fn read(&mut self, wire: &mut Wire, to: Lsn) -> Result<bool, StreamError> {
        let Self { copy, publications, .. } = self;
        let sql = format!(
            "COPY (SELECT data FROM pg_logical_slot_get_binary_changes({copy}, '{to}', NULL, 'proto_version', '1', \
             'publication_names', {publications})) TO STDOUT (FORMAT binary)"
        );
        wire.send_query(&sql).await?;
        let frames = self.frames.clone();
        let mut refused = None;
        let mut taken = Instant::now();
        loop {
            if let Answer::Ended = self.sort(wire, &mut refused)? {
                return refused.map_or(Ok(true), |error| Err(StreamError::Server(Box::new(error))));
            }
            let room = self.spool.has_room();
            if room {
                taken = Instant::now();
            }
            tokio::select! {
                free = frames.reserve(), if !self.spool.is_empty() => match free {
                    Ok(free) => {
                        free.send(self.next()?);
                        taken = Instant::now();
                    }
                    Err(_) => return Ok(false),
                },
                read = fill(&mut wire.stream, &mut wire.input, READ_BYTES), if room => read?,
                () = sleep_until(taken + UNTAKEN), if !room => return Ok(false),
            }
        }
    }

    /// Puts the rows that have come into the spool.
    fn sort(&mut self, wire: &mut Wire, refused: &mut Option<ServerError>) -> Result<Answer, StreamError> {
        loop {
            let mut rows = 0;
            let other = loop {
                match frame_length(&wire.input[rows..])? {
                    Some(length) if wire.input[rows] == b'd' => rows += length,
                    other => break other,
                }
            };
            self.spool.put(wire.input.split_to(rows).freeze());
            let Some(length) = other else { return Ok(Answer::More) };
            match wire.input[0] {
                b'E' | b'N' => match Message::parse(&mut wire.input)? {
                    Some(Message::ErrorResponse(body)) => *refused = Some(server_error(body.fields())?),
                    Some(Message::NoticeResponse(body)) => {
                        let notice = server_error(body.fields())?;
                        if tells_of_missing_publication(&notice) {
                            return Err(StreamError::Server(Box::new(notice)));
                        }
                    }
                    _ => {}
                },
                tag => {
                    wire.input.advance(length);
                    if tag == b'Z' {
                        return Ok(Answer::Ended);
                    }
                }
            }
        }
    }

    /// The frames of the next block.
    fn next(&mut self) -> Result<Vec<Frame>, StreamError> {
        let mut block = self.spool.take()?;
        // When the server would have sent them as a walsender.
        let (end, sent) = (self.seen.0.end, self.time());
        let mut frames = Vec::new();
        while let Some(length) = frame_length(&block)? {
            if let Some(payload) = value(block.split_to(length).slice(5..))? {
                frames.push(Frame::Data { end, sent, payload });
            }
        }
        Ok(frames)
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
