//! The byte stream to a server, after any TLS handshake, with an eye on the first messages.
//!
//! The server's opening messages decide three things that the protocol library above does not report: whether this is
//! PostgreSQL at all, how the password was asked for, and whether an error came before the login succeeded (libpq's
//! condition for trying again without TLS).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// Anything that carries bytes both ways: TCP, a Unix socket, TLS over either.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// How the server asked for the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordRequest {
    /// Not at all (`trust`, `peer`, certificate).
    #[default]
    None,
    /// In clear text.
    ClearText,
    /// MD5 challenge.
    Md5,
    /// SCRAM-SHA-256: the server never learns the password.
    Scram,
}

/// Why the stream was cut by us before the login went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first byte was none that a PostgreSQL server may send.
    NotPostgres(u8),
    /// The server wants the password in clear text over an unencrypted link.
    ClearTextPassword,
}

/// What the server's opening messages said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    /// `AuthenticationOk` was seen.
    pub authenticated: bool,
    /// How the password was asked for.
    pub password: PasswordRequest,
    /// The stream was cut for this reason.
    pub refusal: Option<Refusal>,
}

/// A stream to a server on which walpilot, not the library, has decided about encryption.
pub struct PgStream {
    io: Box<dyn Duplex>,
    /// The hash of the server's certificate for SCRAM channel binding (RFC 5929, `tls-server-end-point`).
    end_point: Option<Vec<u8>>,
    /// Whether a password may be sent in clear text: only where nobody else can listen.
    private: bool,
    sniffer: Sniffer,
}

impl PgStream {
    /// Wraps `io`. `end_point` is the channel binding of a TLS stream; `private` tells that clear-text passwords
    /// can't be overheard (TLS, a Unix socket or loopback).
    #[must_use]
    pub fn new(io: Box<dyn Duplex>, end_point: Option<Vec<u8>>, private: bool) -> Self {
        Self { io, end_point, private, sniffer: Sniffer::default() }
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
        if !this.sniffer.done && matches!(result, Poll::Ready(Ok(()))) {
            let private = this.private;
            this.sniffer.feed(&buf.filled()[before..], private)?;
        }
        result
    }
}

impl AsyncWrite for PgStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
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

/// Reads message headers as they pass (PostgreSQL documentation, "Message Formats": a type byte, then a length that
/// counts itself) until the login is over.
#[derive(Default)]
struct Sniffer {
    seen: Arc<Mutex<Observed>>,
    /// Header, and for `R` the authentication code.
    head: Vec<u8>,
    /// Bytes of the current message's body still to pass over.
    skip: usize,
    done: bool,
}

impl Sniffer {
    fn feed(&mut self, mut bytes: &[u8], private: bool) -> io::Result<()> {
        while !bytes.is_empty() && !self.done {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if self.head.len() == 1 && !matches!(self.head[0], b'R' | b'E' | b'v' | b'N') {
                let first = self.head[0];
                return Err(self.refuse(Refusal::NotPostgres(first)));
            }
            let wanted = if self.head[0] == b'R' { 9 } else { 5 };
            if self.head.len() == wanted {
                self.message(private)?;
            }
        }
        Ok(())
    }

    fn message(&mut self, private: bool) -> io::Result<()> {
        let length = u32::from_be_bytes([self.head[1], self.head[2], self.head[3], self.head[4]]) as usize;
        // The length counts its own four bytes; what we have read of the body is not to be skipped again.
        self.skip = (length + 1).saturating_sub(self.head.len());
        let code = (self.head[0] == b'R')
            .then(|| u32::from_be_bytes([self.head[5], self.head[6], self.head[7], self.head[8]]));
        let is_error = self.head[0] == b'E';
        self.head.clear();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match code {
            Some(0) => {
                seen.authenticated = true;
                self.done = true;
            }
            Some(3) if !private => {
                drop(seen);
                return Err(self.refuse(Refusal::ClearTextPassword));
            }
            Some(3) => seen.password = PasswordRequest::ClearText,
            Some(5) => seen.password = PasswordRequest::Md5,
            Some(10) => seen.password = PasswordRequest::Scram,
            _ => self.done = is_error,
        }
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) -> io::Error {
        self.done = true;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).refusal = Some(refusal);
        io::Error::other("the login was stopped by walpilot")
    }
}

#[cfg(test)]
mod tests {
    use super::{PasswordRequest, Refusal, Sniffer};

    fn seen(bytes: &[u8], private: bool, chunk: usize) -> (super::Observed, bool) {
        let mut sniffer = Sniffer::default();
        let ok = bytes.chunks(chunk).all(|part| sniffer.feed(part, private).is_ok());
        let seen = *sniffer.seen.lock().unwrap();
        (seen, ok)
    }

    #[test]
    fn the_login_is_followed_whatever_the_chunks() {
        let mut login = vec![b'R', 0, 0, 0, 23, 0, 0, 0, 10];
        login.extend_from_slice(b"SCRAM-SHA-256\0\0");
        login.extend_from_slice(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]);
        for chunk in 1..=login.len() {
            let (seen, ok) = seen(&login, false, chunk);
            assert!(ok && seen.authenticated, "chunks of {chunk}");
            assert_eq!(seen.password, PasswordRequest::Scram);
        }
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_byte() {
        let (seen, ok) = seen(b"HTTP/1.1 400 Bad Request\r\n", false, 3);
        assert!(!ok);
        assert_eq!(seen.refusal, Some(Refusal::NotPostgres(b'H')));
    }

    #[test]
    fn a_clear_text_password_is_only_for_private_links() {
        let request = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];
        let (open, ok) = seen(&request, false, 9);
        assert!(!ok);
        assert_eq!(open.refusal, Some(Refusal::ClearTextPassword));
        let (private, ok) = seen(&request, true, 9);
        assert!(ok && private.refusal.is_none());
        assert_eq!(private.password, PasswordRequest::ClearText);
    }
}
