//! Draws what really protects a connection: the security panel, its short form, and a certificate that was refused.

use std::time::SystemTime;

use ratatui::text::{Line, Span};

use super::text::{paragraph, wrap};
use super::theme::{Theme, Tone};
use crate::connection::cause::Try;
use crate::connection::stream::PasswordRequest;
use crate::connection::tls::Verified;
use crate::connection::{Certificate, Failure, Security, printable};

/// Fewer days than this until a certificate expires are worth a warning: enough to order a new one.
const SOON_DAYS: i64 = 30;
/// The columns of mark and label.
const LABEL: u16 = 16;

/// What the panel knows of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// How to draw.
    pub theme: Theme,
    /// The columns.
    pub width: u16,
    /// Now, to judge the certificate's age.
    pub now: SystemTime,
    /// Whether nobody outside this machine can listen.
    pub local: bool,
}

impl Panel {
    /// One or two sentences: encrypted or not, and whether it fell back.
    #[must_use]
    pub fn short(self, security: &Security) -> Vec<Line<'static>> {
        let summary = printable(&security.summary()).into_owned();
        let text = if security.encrypted {
            format!("The connection is {summary}.")
        } else if security.unix_socket {
            format!("The connection is {summary}. Nobody outside this machine can listen.")
        } else if self.local {
            let text = summary.replace("NOT ENCRYPTED", "The connection is NOT encrypted");
            format!("{text}. Nobody outside this machine can listen.")
        } else {
            format!("{}.", summary.replace("NOT ENCRYPTED", "The connection is NOT encrypted"))
        };
        let tone = self.tone(security);
        let mut lines = self.say(tone, &text);
        if security.fell_back_to_plain() {
            lines.extend(
                self.say(Tone::Bad, "It FELL BACK to plain text: whoever is in between only has to make TLS fail."),
            );
        }
        for warning in &security.warnings {
            lines.extend(self.say(Tone::Warn, warning));
        }
        lines
    }

    /// Everything that is known, a line for each fact.
    #[must_use]
    pub fn full(self, security: &Security) -> Vec<Line<'static>> {
        let tone = self.tone(security);
        let mut lines = Vec::new();
        if security.fell_back_to_plain() {
            lines.extend(self.row(
                Tone::Bad,
                "FELL BACK",
                "TLS failed and the connection is in plain text: readable on the way",
            ));
        }
        let encrypted = match (&security.tls, security.encrypted) {
            (Some(tls), true) => {
                let bits = tls.bits.map_or_else(String::new, |bits| format!(" ({bits} bits)"));
                format!("yes: {}, {}{bits}", tls.version, tls.cipher)
            }
            (None, true) => "yes (TLS)".to_owned(),
            (_, false) if security.unix_socket => "no: a Unix socket, where sslmode does not apply".to_owned(),
            (_, false) if self.local => "NO; nobody outside this machine can listen".to_owned(),
            (_, false) => "NO: passwords' exchange and rows cross the network readable".to_owned(),
        };
        lines.extend(self.row(tone, "Encrypted", &encrypted));
        if security.encrypted {
            let (tone, verified) = match security.verified {
                Verified::Nothing => (Tone::Warn, "nothing: whoever answers is believed"),
                Verified::Authority => (Tone::Good, "a trusted authority signed it, for whatever host name"),
                Verified::AuthorityAndHost => (Tone::Good, "a trusted authority signed it for this host name"),
            };
            lines.extend(self.row(tone, "Verified", verified));
        }
        if let Some(certificate) = &security.certificate {
            lines.extend(self.certificate(certificate));
        }
        if security.encrypted {
            let shown = security.tls.as_ref().and_then(|tls| tls.client_dn.as_ref());
            let (tone, text) = match (shown, &security.client_certificate) {
                (Some(name), _) => (Tone::Good, format!("shown to the server: {name}")),
                (None, Some(client)) => (Tone::Dim, format!("{} stood ready; the server did not ask", client.file)),
                (None, None) => (Tone::Dim, "no client certificate".to_owned()),
            };
            lines.extend(self.row(tone, "Client", &text));
        }
        let (tone, password) = match security.password {
            PasswordRequest::None => (Tone::Dim, "not asked for"),
            PasswordRequest::ClearText if security.encrypted => (Tone::Warn, "in clear text, inside TLS"),
            PasswordRequest::ClearText => (Tone::Warn, "in clear text"),
            PasswordRequest::Md5 => (Tone::Warn, "as an MD5 hash, which is weak; scram-sha-256 is better"),
            PasswordRequest::Scram => (Tone::Good, "proved by SCRAM-SHA-256, never sent"),
            PasswordRequest::ScramPlus => (Tone::Good, "proved by SCRAM-SHA-256, bound to this TLS connection"),
        };
        lines.extend(self.row(tone, "Password", password));
        lines.extend(self.tries(&security.tries));
        for warning in &security.warnings {
            lines.extend(self.say(Tone::Warn, warning));
        }
        lines
    }

    /// What is known of a failure beyond its message: the tries, the server's words, the certificate it offered.
    #[must_use]
    pub fn failure(self, failure: &Failure) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        if let Some(certificate) = &failure.certificate {
            lines.extend(self.say(Tone::Plain, "The certificate that the server offered (not trusted):"));
            lines.extend(self.certificate(certificate));
        }
        if failure.tries.len() > 1 {
            lines.extend(self.tries(&failure.tries));
        }
        if let Some(evidence) = &failure.evidence {
            lines.extend(self.row(Tone::Dim, "Evidence", evidence));
        }
        lines
    }

    fn certificate(self, certificate: &Certificate) -> Vec<Line<'static>> {
        let mut lines = self.row(Tone::Plain, "Certificate", &certificate.subject);
        if !certificate.names.is_empty() {
            lines.extend(self.row(Tone::Plain, "for the names", &certificate.names.join(", ")));
        }
        let issuer = if certificate.self_signed { "itself (self-signed)" } else { &certificate.issuer };
        lines.extend(self.row(Tone::Plain, "signed by", issuer));
        let days = certificate.days_left(self.now);
        let (tone, when) = match days {
            ..0 => (Tone::Bad, "; EXPIRED".to_owned()),
            0 => (Tone::Warn, "; expires within a day".to_owned()),
            1 => (Tone::Warn, "; expires in 1 day".to_owned()),
            2..SOON_DAYS => (Tone::Warn, format!("; expires in {days} days")),
            _ => (Tone::Plain, String::new()),
        };
        lines.extend(self.row(
            tone,
            "valid",
            &format!("{}{when}", certificate.validity().trim_start_matches("valid ")),
        ));
        lines.extend(self.row(Tone::Dim, "SHA-256", &certificate.sha256));
        lines
    }

    fn tries(self, tries: &[Try]) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        for (at, one) in tries.iter().enumerate() {
            let how = if one.tls { "over TLS" } else { "in plain text" };
            let (tone, text) = if one.connected {
                (Tone::Plain, format!("{how}: connected"))
            } else {
                (Tone::Warn, format!("{how}: {}", one.message.as_deref().unwrap_or("failed")))
            };
            lines.extend(self.row(tone, &format!("Try {}", at + 1), &text));
        }
        lines
    }

    fn tone(self, security: &Security) -> Tone {
        match (security.encrypted, security.unix_socket) {
            (true, _) if security.warnings.is_empty() => Tone::Good,
            (true, _) => Tone::Warn,
            (false, true) => Tone::Dim,
            (false, false) if self.local && !security.fell_back_to_plain() => Tone::Dim,
            (false, false) => Tone::Bad,
        }
    }

    fn say(self, tone: Tone, text: &str) -> Vec<Line<'static>> {
        let text = format!("{} {}", self.theme.mark(tone), printable(text));
        paragraph(&text, self.width, 0, self.theme.style(tone))
    }

    fn row(self, tone: Tone, label: &str, text: &str) -> Vec<Line<'static>> {
        let mark = if matches!(tone, Tone::Plain | Tone::Dim) { " " } else { self.theme.mark(tone) };
        let style = self.theme.style(tone);
        let parts = wrap(&printable(text), self.width.saturating_sub(LABEL));
        let line = |(at, part): (usize, String)| {
            let head = if at == 0 { format!("{mark} {label}") } else { String::new() };
            Line::from(Span::styled(format!("{head:<0$}{part}", usize::from(LABEL)), style))
        };
        parts.into_iter().enumerate().map(line).collect()
    }
}
