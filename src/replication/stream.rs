//! The change stream as the rest of this room sees it, so that its transport can change without anybody else.

use std::future::Future;
use std::io;

use bytes::Bytes;

use crate::catalog::Lsn;
use crate::connection::ServerError;

/// One frame of the stream (PostgreSQL documentation, "Streaming Replication Protocol").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// One message of the output plugin.
    Data {
        /// The end of the server's log as known when it was sent.
        end: Lsn,
        /// When it was sent: microseconds since 2000-01-01 UTC by the source's clock.
        sent: i64,
        /// The message.
        payload: Bytes,
    },
    /// A sign of life.
    Keepalive {
        /// Everything that commits before this position has been sent.
        end: Lsn,
        /// When it was sent, as above.
        sent: i64,
        /// The server wants an answer at once.
        reply: bool,
    },
}

/// How far the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Feedback {
    /// Received.
    pub(super) received: Lsn,
    /// Durable at the destination; the server may forget everything before it.
    pub(super) flushed: Lsn,
}

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server closed the connection or ended the stream.
    #[error("the server ended the connection")]
    Ended,
    /// What this stream was to bring has been brought.
    #[error("there is no more to read")]
    ReadUp,
    /// The server sent an error.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The server sent what the protocol does not know here; safe to print.
    #[error("{0}")]
    Protocol(String),
}

/// A running stream.
pub(super) trait ChangeStream: Send + 'static {
    /// Waits for frames and appends at least one to `frames`. May be dropped at any await without losing a frame.
    fn receive(&mut self, frames: &mut Vec<Frame>) -> impl Future<Output = Result<(), StreamError>> + Send;

    /// Tells the server how far the client is.
    fn send_feedback(&mut self, feedback: Feedback) -> impl Future<Output = Result<(), StreamError>> + Send;

    /// Ends the stream in an orderly way: when this returns the server has read all feedback and released the slot.
    fn finish(self) -> impl Future<Output = Result<(), StreamError>> + Send;
}
