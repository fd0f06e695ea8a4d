//! The byte stream to a server, after any TLS handshake.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::sniffer::Sniffer;
pub use super::sniffer::{Observed, PasswordRequest, Refusal};

/// Anything that carries bytes both ways: TCP, a Unix socket, a tunnel, TLS over any of them.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// A stream to a server on which walpilot, not the library, has decided about encryption.
pub struct PgStream {
    io: Box<dyn Duplex>,
    /// The hash of the server's certificate for SCRAM channel binding (RFC 5929, `tls-server-end-point`).
    end_point: Option<Vec<u8>>,
    sniffer: Sniffer,
    /// A write that the other end did not take. It is reported by the next read that finds nothing to read.
    broken: Option<io::ErrorKind>,
}

impl PgStream {
    /// Wraps `io`. `end_point` is the channel binding of a TLS stream; `private` tells that clear-text passwords
    /// can't be overheard (TLS or a Unix socket).
    #[must_use]
    pub fn new(io: Box<dyn Duplex>, end_point: Option<Vec<u8>>, private: bool) -> Self {
        let sniffer = Sniffer::new(private, end_point.is_some());
        Self { io, end_point, sniffer, broken: None }
    }

    /// A handle that tells, also after the stream is gone, what the server's opening messages said.
    #[must_use]
    pub fn observed(&self) -> Arc<Mutex<Observed>> {
        Arc::clone(&self.sniffer.seen)
    }

    /// The channel binding data, if the stream is TLS.
    #[must_use]
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }
}

impl AsyncRead for PgStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        let result = Pin::new(&mut this.io).poll_read(cx, buf);
        if matches!(result, Poll::Ready(Ok(()))) {
            let read = &buf.filled()[before..];
            if let Some(kind) = this.broken.filter(|_| read.is_empty()) {
                return Poll::Ready(Err(kind.into()));
            }
            if !this.sniffer.done {
                this.sniffer.feed(read)?;
            }
        }
        result
    }
}

impl PgStream {
    /// A server that refuses says why and closes. What we were still writing then fails, and the reason, which waits to
    /// be read, must not be lost to that (libpq does the same, `pqSendSome` in `fe-misc.c`): the write passes as done.
    fn pass<T>(&mut self, written: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(Err(error)) if is_gone(error.kind()) => {
                self.broken = Some(error.kind());
                Poll::Ready(Ok(done))
            }
            other => other,
        }
    }
}

fn is_gone(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted)
}

impl AsyncWrite for PgStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.pass(written, buf.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.pass(flushed, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl TlsStream for PgStream {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.end_point {
            Some(hash) => ChannelBinding::tls_server_end_point(hash.clone()),
            None => ChannelBinding::none(),
        }
    }
}
