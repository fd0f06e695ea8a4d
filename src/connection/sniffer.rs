//! An eye on the first messages of a server while they pass.
//!
//! They decide three things that the protocol library above does not report: whether this is PostgreSQL at all, how the
//! password was asked for, and whether an error came before the login succeeded (libpq's condition for another try).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The list of mechanisms is two names; more than this is not kept.
const MECHANISMS: usize = 256;

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
    /// The same, bound to the TLS connection, so that nobody sits in between (SCRAM-SHA-256-PLUS).
    ScramPlus,
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
    /// The server sent an error.
    pub error: bool,
    /// The stream was cut for this reason.
    pub refusal: Option<Refusal>,
}

/// Reads message headers as they pass (PostgreSQL documentation, "Message Formats": a type byte, then a length that
/// counts itself) until the login is over.
#[derive(Default)]
pub(super) struct Sniffer {
    /// Whether a password may be sent in clear text: only where nobody else can listen.
    private: bool,
    /// Whether this side can bind a SCRAM exchange to its TLS connection.
    can_bind: bool,
    pub(super) seen: Arc<Mutex<Observed>>,
    /// Header, and for `R` the authentication code.
    head: Vec<u8>,
    /// Bytes of the current message's body still to pass over.
    skip: usize,
    /// The list of SCRAM mechanisms while it passes.
    mechanisms: Option<Vec<u8>>,
    pub(super) done: bool,
}

impl Sniffer {
    pub(super) fn new(private: bool, can_bind: bool) -> Self {
        Self { private, can_bind, ..Self::default() }
    }

    /// Looks at bytes from the server.
    ///
    /// # Errors
    /// When the login must not go on; the reason stands in `seen`.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && !self.done {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                if let Some(mechanisms) = self.mechanisms.as_mut().filter(|list| list.len() < MECHANISMS) {
                    mechanisms.extend_from_slice(&bytes[..passed]);
                }
                self.skip -= passed;
                bytes = &bytes[passed..];
                if self.skip == 0 {
                    self.mechanisms_end();
                }
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
                self.message()?;
            }
        }
        Ok(())
    }

    fn message(&mut self) -> io::Result<()> {
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
            Some(3) if !self.private => {
                drop(seen);
                return Err(self.refuse(Refusal::ClearTextPassword));
            }
            Some(3) => seen.password = PasswordRequest::ClearText,
            Some(5) => seen.password = PasswordRequest::Md5,
            Some(10) => {
                seen.password = PasswordRequest::Scram;
                self.mechanisms = Some(Vec::new());
            }
            _ if is_error => {
                seen.error = true;
                self.done = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// A server that offers the bound mechanism gets it from every client that can, on pain of refusing the login.
    fn mechanisms_end(&mut self) {
        let Some(list) = self.mechanisms.take() else { return };
        if self.can_bind && list.split(|byte| *byte == 0).any(|name| name == b"SCRAM-SHA-256-PLUS") {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).password = PasswordRequest::ScramPlus;
        }
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
        let mut sniffer = Sniffer::new(private, true);
        let ok = bytes.chunks(chunk).all(|part| sniffer.feed(part).is_ok());
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
    fn a_bound_exchange_is_told_from_an_unbound_one() {
        let mut request = vec![b'R', 0, 0, 0, 42, 0, 0, 0, 10];
        request.extend_from_slice(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        for chunk in 1..=request.len() {
            assert_eq!(seen(&request, false, chunk).0.password, PasswordRequest::ScramPlus, "chunks of {chunk}");
        }
    }

    #[test]
    fn a_huge_length_keeps_nothing() {
        let mut sniffer = Sniffer::new(true, true);
        sniffer.feed(&[b'R', 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 10]).unwrap();
        for _ in 0..1_000 {
            sniffer.feed(&[b'x'; 1_000]).unwrap();
        }
        assert!(sniffer.mechanisms.unwrap().len() <= super::MECHANISMS + 1_000);
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
