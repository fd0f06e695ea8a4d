//! A client of the walsender: simple queries of the replication protocol, and the copy-both stream.
//!
//! tokio-postgres knows neither, so this stands on the wire library alone. Frames are cut out of one read buffer
//! without copying: a payload shares the buffer's memory until it is dropped.

use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::AsyncWriteExt;

use super::line::Line;
use super::stream::{ChangeStream, Feedback, Frame, StreamError};
use super::wire::{READ_BYTES, Rows, Wire, fill, frame_length};
use crate::catalog::Lsn;
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::connection::cause::Trouble;
use crate::connection::login::server_error;
use crate::connection::stream::PgStream;
use crate::connection::{Failure, ServerError, Settings, server_asks};

/// Formats that the text of values must not inherit from the role or the database, and limits: creating a slot waits
/// for transactions, which `lock_timeout` bounds.
const PARAMETERS: [(&str, &str); 15] = [
    ("replication", "database"),
    ("application_name", "walpilot run"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("quote_all_identifiers", "off"),
    ("TimeZone", "UTC"),
    ("search_path", "pg_catalog"),
    ("statement_timeout", "0"),
    ("lock_timeout", "5s"),
    // An exported snapshot is held by a session that rests in a transaction.
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
];

/// A buffer with less room than this is not read into any more.
const LEAST_READ_BYTES: usize = 16 * 1024;

/// SQLSTATE of "skipped loading publication".
const NOT_IN_PREREQUISITE_STATE: &str = "55000";

/// Who the server is (`IDENTIFY_SYSTEM`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) system_identifier: String,
    pub(super) timeline: i32,
    /// The current flush position.
    pub(super) position: Lsn,
    pub(super) database: String,
}

/// A logged-in walsender connection that is not streaming.
pub(super) struct Walsender {
    wire: Wire,
    line: Line,
}

impl Walsender {
    /// Logs in.
    pub(super) async fn connect(settings: &Settings, version: i32) -> Result<Self, Failure> {
        // `idle_session_timeout` exists from PostgreSQL 14, `transaction_timeout` from 17.
        let missing = usize::from(version < 140_000) + usize::from(version < 170_000);
        let known = PARAMETERS.len() - missing;
        let line = Line::open().map_err(|error| {
            Failure::explain(&Trouble::Other(format!("no thread can be started for the stream: {error}")), settings)
        })?;
        let settings = settings.clone();
        // As long as nothing is streamed, no `wal_sender_timeout` tells the server that nobody is there any more.
        let asks = server_asks();
        let wire = line
            .run(async move {
                let asks = asks.iter().map(|(name, value)| (*name, value.as_str()));
                let parameters: Vec<(&str, &str)> = PARAMETERS[..known].iter().copied().chain(asks).collect();
                Wire::connect(&settings, &parameters).await
            })
            .await?;
        Ok(Self { wire, line })
    }

    pub(super) async fn identify(&mut self) -> Result<Identity, StreamError> {
        let rows = self.query("IDENTIFY_SYSTEM").await?;
        let [system, timeline, position, database] = rows.first().map(Vec::as_slice).unwrap_or_default() else {
            return Err(StreamError::Protocol("IDENTIFY_SYSTEM gave no row of four columns".to_owned()));
        };
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Ok(Identity {
            system_identifier: text(system),
            timeline: text(timeline).parse().unwrap_or_default(),
            position: text(position).parse().unwrap_or_default(),
            database: text(database),
        })
    }

    /// Runs one command and returns its rows.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Rows, StreamError> {
        self.wire.query(sql).await
    }

    /// Starts the stream of `slot` after everything that ended before `from`. Protocol version 1 works on every
    /// server; newer versions only add what is not used.
    pub(super) async fn start(
        mut self,
        slot: &str,
        publication: &str,
        from: Lsn,
    ) -> Result<(WalStream, Line), StreamError> {
        let sql = format!(
            "START_REPLICATION SLOT {} LOGICAL {from} (proto_version '1', publication_names {})",
            quote_ident(slot),
            plain_literal(&quote_ident(publication)),
        );
        self.wire.send_query(&sql).await?;
        loop {
            // CopyBothResponse is the one message that the wire library can't parse.
            let Some(tag) = self.wire.input.first().copied() else {
                self.wire.fill().await?;
                continue;
            };
            if tag == b'W' {
                let Some(length) = frame_length(&self.wire.input)? else {
                    self.wire.fill().await?;
                    continue;
                };
                let Wire { stream, mut input } = self.wire;
                input.advance(length);
                return Ok((WalStream { stream, input, out: BytesMut::new() }, self.line));
            }
            if let Message::ErrorResponse(body) = self.wire.message().await? {
                return Err(StreamError::Server(Box::new(server_error(body.fields())?)));
            }
        }
    }
}

/// The option `publication_names` in SQL: a list of identifiers inside a string, so it is quoted twice.
pub(super) fn publication_names(publication: &str) -> String {
    quote_literal(&quote_ident(publication))
}

/// The replication grammar knows no `E''` strings; a quote is doubled and everything else stands for itself.
fn plain_literal(text: &str) -> String {
    if text.contains('\\') { format!("'{}'", text.replace('\'', "''")) } else { quote_literal(text) }
}

/// A running copy-both stream.
pub(super) struct WalStream {
    stream: PgStream,
    input: BytesMut,
    out: BytesMut,
}

impl WalStream {
    /// Cuts the next frame out of the buffer, if it is there as a whole.
    fn cut(&mut self) -> Result<Option<Frame>, StreamError> {
        loop {
            let Some(length) = frame_length(&self.input)? else { return Ok(None) };
            match self.input[0] {
                b'd' => {
                    let mut body = self.input.split_to(length).freeze();
                    body.advance(5);
                    if let Some(frame) = frame(body)? {
                        return Ok(Some(frame));
                    }
                }
                b'E' => {
                    if let Some(Message::ErrorResponse(body)) = Message::parse(&mut self.input)? {
                        return Err(StreamError::Server(Box::new(server_error(body.fields())?)));
                    }
                    return Err(StreamError::Ended);
                }
                // CopyDone or CommandComplete: the server ends the stream, for example on a fast shutdown.
                b'c' | b'C' => return Err(StreamError::Ended),
                b'N' => {
                    let Some(Message::NoticeResponse(body)) = Message::parse(&mut self.input)? else { continue };
                    let notice = server_error(body.fields())?;
                    tracing::warn!("the source says: {notice}");
                    if tells_of_missing_publication(&notice) {
                        return Err(StreamError::Server(Box::new(notice)));
                    }
                }
                // Parameter changes.
                _ => self.input.advance(length),
            }
        }
    }

    async fn send(&mut self) -> Result<(), StreamError> {
        let out = self.out.split();
        self.stream.write_all(&out).await?;
        Ok(self.stream.flush().await?)
    }
}

/// PostgreSQL 18 leaves out the changes of a publication that is not there, with no more than this notice.
pub(super) fn tells_of_missing_publication(notice: &ServerError) -> bool {
    notice.sqlstate == NOT_IN_PREREQUISITE_STATE
}

fn frame(mut body: Bytes) -> Result<Option<Frame>, StreamError> {
    let short = || StreamError::Protocol("a frame of the stream is too short".to_owned());
    if body.is_empty() {
        return Err(short());
    }
    match body.get_u8() {
        // Start, end, send time, then the plugin's message.
        b'w' if body.len() >= 24 => {
            body.advance(8);
            let (end, sent) = (Lsn(body.get_u64()), body.get_i64());
            Ok(Some(Frame::Data { end, sent, payload: body }))
        }
        b'k' if body.len() >= 17 => {
            let (end, sent) = (Lsn(body.get_u64()), body.get_i64());
            Ok(Some(Frame::Keepalive { end, sent, reply: body.get_u8() != 0 }))
        }
        b'w' | b'k' => Err(short()),
        _ => Ok(None),
    }
}

impl ChangeStream for WalStream {
    async fn receive(&mut self, frames: &mut Vec<Frame>) -> Result<(), StreamError> {
        loop {
            let before = frames.len();
            while let Some(frame) = self.cut()? {
                frames.push(frame);
            }
            if frames.len() > before {
                return Ok(());
            }
            let missing = match self.input.get(1..5) {
                Some(head) => u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize,
                None => 0,
            };
            let missing = missing.saturating_sub(self.input.len());
            // A read mostly brings far less than there is room for, and what is cut out keeps the whole buffer: it is
            // used up before another one is taken.
            let free = self.input.capacity() - self.input.len();
            let room = if free >= missing.max(LEAST_READ_BYTES) { free } else { READ_BYTES.max(missing) };
            fill(&mut self.stream, &mut self.input, room).await?;
        }
    }

    async fn send_feedback(&mut self, feedback: Feedback) -> Result<(), StreamError> {
        let mut body = BytesMut::with_capacity(34);
        body.put_u8(b'r');
        body.put_u64(feedback.received.0.max(feedback.flushed.0));
        body.put_u64(feedback.flushed.0);
        body.put_u64(feedback.flushed.0);
        body.put_u64(clock());
        body.put_u8(0);
        frontend::CopyData::new(body)?.write(&mut self.out);
        self.send().await
    }

    async fn finish(mut self) -> Result<(), StreamError> {
        frontend::copy_done(&mut self.out);
        self.send().await?;
        // The walsender answers with its own CopyDone after it has read all that was sent before.
        loop {
            while let Some(length) = frame_length(&self.input)? {
                let tag = self.input[0];
                self.input.advance(length);
                if tag == b'Z' {
                    frontend::terminate(&mut self.out);
                    self.send().await?;
                    // It closes the connection when it has dropped what ends with the session, temporary slots too.
                    while fill(&mut self.stream, &mut self.input, READ_BYTES).await.is_ok() {}
                    return Ok(());
                }
            }
            fill(&mut self.stream, &mut self.input, READ_BYTES).await?;
        }
    }
}

/// From 1970-01-01 to 2000-01-01 UTC.
pub(super) const TO_2000: Duration = Duration::from_secs(946_684_800);

/// Microseconds since 2000-01-01 UTC by this machine's clock, which the server shows as `reply_time`: who watches it sees
/// by that how long a client has been silent.
#[expect(clippy::disallowed_methods, reason = "the walsender is told the time")]
fn clock() -> u64 {
    let since =
        SystemTime::UNIX_EPOCH.checked_add(TO_2000).and_then(|from| SystemTime::now().duration_since(from).ok());
    since.and_then(|since| u64::try_from(since.as_micros()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{frame, plain_literal};
    use crate::catalog::Lsn;
    use crate::replication::stream::Frame;

    #[test]
    fn frames_are_read_and_short_ones_are_errors() {
        let mut data = vec![b'w'];
        data.extend(1_u64.to_be_bytes());
        data.extend(0x1_0000_0002_u64.to_be_bytes());
        data.extend(5_i64.to_be_bytes());
        data.extend(b"payload");
        let read = frame(Bytes::from(data.clone())).unwrap();
        assert_eq!(
            read,
            Some(Frame::Data { end: Lsn(0x1_0000_0002), sent: 5, payload: Bytes::from_static(b"payload") })
        );
        for short in 0..25 {
            assert!(frame(Bytes::copy_from_slice(&data[..short])).is_err(), "{short} bytes");
        }
        let mut keepalive = vec![b'k'];
        keepalive.extend(7_u64.to_be_bytes());
        keepalive.extend((-1_i64).to_be_bytes());
        keepalive.push(1);
        assert_eq!(
            frame(Bytes::from(keepalive)).unwrap(),
            Some(Frame::Keepalive { end: Lsn(7), sent: -1, reply: true })
        );
    }

    #[test]
    fn names_in_the_replication_grammar_are_quoted_without_escapes() {
        assert_eq!(plain_literal("\"a'b\""), "'\"a''b\"'");
        assert_eq!(plain_literal("\"a\\b\""), "'\"a\\b\"'");
    }
}
