//! A session on the wire library alone, for what tokio-postgres does not do: simple queries on a replication connection,
//! and rows of COPY that are handed on as they come, without a look at each.

use bytes::{Buf, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream::StreamError;
use crate::connection::attempt::connect_replication;
use crate::connection::login::server_error;
use crate::connection::stream::PgStream;
use crate::connection::{Failure, Settings};

/// How much is asked of the socket at once.
pub(super) const READ_BYTES: usize = 128 * 1024;

/// Rows of a simple query, each column as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// A logged-in session.
pub(super) struct Wire {
    pub(super) stream: PgStream,
    pub(super) input: BytesMut,
}

impl Wire {
    /// Logs in with these start-up parameters.
    pub(super) async fn connect(settings: &Settings, parameters: &[(&str, &str)]) -> Result<Self, Failure> {
        let (stream, input, _) = connect_replication(settings, parameters).await?;
        Ok(Self { stream, input })
    }

    /// Runs one command and returns its rows.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Rows, StreamError> {
        self.send_query(sql).await?;
        let mut rows = Rows::new();
        let mut failed = None;
        loop {
            match self.message().await? {
                Message::DataRow(body) => {
                    let row = body
                        .ranges()
                        .map(|range| Ok(range.map(|r| String::from_utf8_lossy(&body.buffer()[r]).into_owned())))
                        .collect()?;
                    rows.push(row);
                }
                Message::ErrorResponse(body) => failed = Some(server_error(body.fields())?),
                Message::ReadyForQuery(_) => {
                    return failed.map_or(Ok(rows), |error| Err(StreamError::Server(Box::new(error))));
                }
                _ => {}
            }
        }
    }

    /// Begins a `COPY … TO STDOUT`, whose rows [`Self::copy_rows`] brings.
    pub(super) async fn copy_out(&mut self, sql: &str) -> Result<(), StreamError> {
        self.send_query(sql).await?;
        loop {
            match self.message().await? {
                Message::CopyOutResponse(_) => return Ok(()),
                Message::ErrorResponse(body) => {
                    return Err(StreamError::Server(Box::new(server_error(body.fields())?)));
                }
                Message::ReadyForQuery(_) => {
                    return Err(StreamError::Protocol("COPY was answered without rows".to_owned()));
                }
                _ => {}
            }
        }
    }

    /// Appends rows to `out` until it holds `enough` bytes, and returns how many messages they came in: the server
    /// sends one for each row. `None` when the copy has ended and nothing was appended. May be dropped at any await:
    /// what was appended stays.
    pub(super) async fn copy_rows(&mut self, out: &mut BytesMut, enough: usize) -> Result<Option<u64>, StreamError> {
        let mut rows = 0;
        loop {
            while let Some(length) = frame_length(&self.input)? {
                match self.input[0] {
                    b'd' => {
                        out.extend_from_slice(&self.input[5..length]);
                        self.input.advance(length);
                        rows += 1;
                        if out.len() >= enough {
                            return Ok(Some(rows));
                        }
                    }
                    b'Z' if rows > 0 => return Ok(Some(rows)),
                    b'Z' => {
                        self.input.advance(length);
                        return Ok(None);
                    }
                    b'E' => {
                        if let Message::ErrorResponse(body) = self.message().await? {
                            return Err(StreamError::Server(Box::new(server_error(body.fields())?)));
                        }
                    }
                    _ => self.input.advance(length),
                }
            }
            self.fill().await?;
        }
    }

    pub(super) async fn send_query(&mut self, sql: &str) -> Result<(), StreamError> {
        let mut out = BytesMut::new();
        frontend::query(sql, &mut out)?;
        self.stream.write_all(&out).await?;
        Ok(self.stream.flush().await?)
    }

    pub(super) async fn message(&mut self) -> Result<Message, StreamError> {
        loop {
            if let Some(message) = Message::parse(&mut self.input)? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// Reads more, or tells that the server has gone.
    pub(super) async fn fill(&mut self) -> Result<(), StreamError> {
        fill(&mut self.stream, &mut self.input, READ_BYTES).await
    }
}

/// Reads more, or tells that the server has gone.
pub(super) async fn fill(stream: &mut PgStream, input: &mut BytesMut, room: usize) -> Result<(), StreamError> {
    input.reserve(room);
    if stream.read_buf(input).await? == 0 { Err(StreamError::Ended) } else { Ok(()) }
}

/// The length of the first message with its tag, if it is there as a whole.
pub(super) fn frame_length(input: &[u8]) -> Result<Option<usize>, StreamError> {
    let Some(head) = input.get(1..5) else { return Ok(None) };
    let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
    // PostgreSQL can't send a message of 1 GB or more (`MaxAllocSize`), so a larger length is not PostgreSQL's.
    if !(4..0x4000_0000).contains(&length) {
        return Err(StreamError::Protocol(format!("a message has the impossible length {length}")));
    }
    Ok((input.len() > length).then_some(length + 1))
}

#[cfg(test)]
mod tests {
    use super::frame_length;

    #[test]
    fn a_length_that_no_server_sends_is_refused_before_memory_is_taken() {
        assert!(matches!(frame_length(b"d\0\0\0"), Ok(None)));
        assert!(matches!(frame_length(b"d\0\0\0\x05"), Ok(None)));
        assert!(matches!(frame_length(b"d\0\0\0\x05x"), Ok(Some(6))));
        assert!(frame_length(b"d\xff\xff\xff\xff").is_err());
        assert!(frame_length(b"d\0\0\0\x03").is_err());
    }
}
