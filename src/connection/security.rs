//! What protects a connection, as it was really negotiated: the facts of the security panel.

use std::path::Path;

use serde::Serialize;

use super::cause::Try;
use super::certificate::Certificate;
use super::printable;
use super::stream::PasswordRequest;
use super::tls::Verified;

/// What protects a connection. `encrypted` is walpilot's own knowledge; `tls` is the server's.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Security {
    /// Whether walpilot did a TLS handshake.
    pub encrypted: bool,
    /// Whether the connection is a Unix socket, where `sslmode` does not apply.
    pub unix_socket: bool,
    /// What was checked about the server's certificate.
    pub verified: Verified,
    /// TLS version and cipher as the server sees its own end (`pg_stat_ssl`); `None` where it was not asked or does not
    /// know.
    pub tls: Option<TlsFacts>,
    /// The server's certificate.
    pub certificate: Option<Box<Certificate>>,
    /// The client certificate that would be shown, and whether it is a default file that nobody named.
    pub client_certificate: Option<ClientCertificate>,
    /// How the server asked for the password.
    pub password: PasswordRequest,
    /// Every try, in order; more than one means that a fallback was taken.
    pub tries: Vec<Try>,
    /// What somebody should know before trusting the connection; one sentence each.
    pub warnings: Vec<String>,
}

/// The server's view of its end of the TLS connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsFacts {
    /// For example `TLSv1.3`.
    pub version: String,
    /// For example `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The bits of its key.
    pub bits: Option<u32>,
    /// The subject of the client's certificate, if one was asked for and shown.
    pub client_dn: Option<String>,
}

/// The client certificate that stood ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientCertificate {
    /// Its file. Safe to show.
    pub file: String,
    /// Whether it is `~/.postgresql/postgresql.crt`, which nobody named.
    pub by_default: bool,
}

impl Security {
    /// Whether TLS was tried and given up for plain text.
    #[must_use]
    pub fn fell_back_to_plain(&self) -> bool {
        !self.encrypted && self.tries.iter().any(|one| one.tls && !one.connected)
    }

    /// One line for people: what protects the connection.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.unix_socket {
            return "not encrypted: a Unix socket, where sslmode does not apply".to_owned();
        }
        if !self.encrypted {
            let why = match self.tries.iter().find(|one| one.tls && !one.connected) {
                Some(failed) => format!(
                    " (TLS was tried and failed: {})",
                    failed.message.as_deref().unwrap_or("?").trim_end_matches('.')
                ),
                None => String::new(),
            };
            return format!("NOT ENCRYPTED{why}");
        }
        let version =
            self.tls.as_ref().map_or_else(String::new, |tls| format!(" with {}, {}", tls.version, tls.cipher));
        let verified = match self.verified {
            Verified::Nothing => "the server's certificate was not verified",
            Verified::Authority => "a trusted authority signed the server's certificate, for whatever name",
            Verified::AuthorityAndHost => "authority and host name verified",
        };
        format!("encrypted{version}; {verified}")
    }

    /// Notes what others could not use about the server's certificate.
    pub(super) fn judge_certificate(&mut self) {
        if let Some(certificate) = self.certificate.as_ref().filter(|certificate| certificate.has_no_hash()) {
            self.warnings.push(format!(
                "The server's certificate is signed with {}: psql and everything else with libpq can't connect to it, \
                 except with channel_binding=disable.",
                certificate.signature
            ));
        }
    }

    /// Notes what the server says of the connection, and whether it contradicts what walpilot knows.
    pub(super) fn compare(&mut self, server: Option<ServerView>) {
        let Some(server) = server else { return };
        if server.encrypted != self.encrypted && !self.unix_socket {
            let (ours, theirs) = if self.encrypted { ("is", "is not") } else { ("is not", "is") };
            self.warnings.push(format!(
                "This connection {ours} encrypted, but the one that the server sees {theirs}: a pooler or proxy stands in between."
            ));
            return;
        }
        self.tls = server.facts;
    }
}

/// The warning about a list of revoked certificates that walpilot can't use.
pub(super) fn not_heeded(list: &Path) -> String {
    format!(
        "The revocation list {} is there, and walpilot does not check for revoked certificates; psql does.",
        printable(&list.to_string_lossy())
    )
}

/// What `pg_stat_ssl` says about a connection.
pub(super) struct ServerView {
    pub(super) encrypted: bool,
    pub(super) facts: Option<TlsFacts>,
}

#[cfg(test)]
mod tests {
    use super::{Security, ServerView, TlsFacts};
    use crate::connection::stream::PasswordRequest;

    fn over(encrypted: bool) -> Security {
        Security { encrypted, password: PasswordRequest::Scram, ..Security::default() }
    }

    #[test]
    fn a_pooler_that_hides_plain_text_is_named() {
        let mut security = over(true);
        security.compare(Some(ServerView { encrypted: false, facts: None }));
        assert!(security.warnings[0].contains("pooler"), "{security:?}");

        let mut security = over(false);
        let facts = TlsFacts { version: "TLSv1.3".into(), cipher: "x".into(), bits: None, client_dn: None };
        security.compare(Some(ServerView { encrypted: true, facts: Some(facts) }));
        assert!(security.warnings[0].contains("pooler"), "{security:?}");
        assert_eq!(security.tls, None, "the facts are another connection's");
        assert!(security.summary().starts_with("NOT ENCRYPTED"));
    }
}
