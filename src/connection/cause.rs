//! Why a connection failed, told apart so that each cause gets its own sentence and its own remedy.
//!
//! Signals in order of trust: the stage that walpilot itself had reached, what the server's error says of itself
//! (`server_cause`), and the TLS library's words (`tls_cause`).

use std::fmt;
use std::io;

use serde::Serialize;

use super::certificate::Certificate;
use super::class::{Class, Explained};
use super::printable;
pub use super::server_error::ServerError;
use super::settings::{Settings, SslMode};
use super::stream::Refusal;
use super::{server_cause, tls_cause};

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking up the host name.
    Dns,
    /// Opening the TCP connection or the Unix socket, or going through a bastion.
    Dial,
    /// Waiting for the one-byte answer to the SSLRequest.
    TlsAnswer,
    /// In the TLS handshake.
    TlsHandshake,
    /// Authenticating.
    Login,
}

impl Stage {
    fn doing(self) -> &'static str {
        match self {
            Self::Dns => "looking up the host name",
            Self::Dial => "opening the connection",
            Self::TlsAnswer => "waiting for the answer to the request for TLS",
            Self::TlsHandshake => "in the TLS handshake",
            Self::Login => "logging in",
        }
    }
}

/// What went wrong, as the connector saw it, before it is explained.
#[derive(Debug)]
pub enum Trouble {
    /// The whole attempt took longer than the limit.
    Timeout(Stage),
    /// The name has no address.
    Dns,
    /// The operating system refused, or the stream broke.
    Io(Stage, io::Error),
    /// The server answered `N` to the SSLRequest, but TLS is required.
    TlsUnsupported,
    /// The handshake failed; the TLS library's words.
    Tls(String),
    /// The certificate is trusted, but for other names: these.
    HostMismatch(Box<Certificate>),
    /// walpilot itself stopped the login.
    Refused(Refusal),
    /// The server sent an error.
    Server(Box<ServerError>),
    /// A password is needed and none is known.
    PasswordMissing,
    /// The server wants a method that walpilot does not speak.
    AuthMethod,
    /// `channel_binding=require` could not be met, or the binding is wrong.
    ChannelBinding,
    /// The server could not prove that it knows the password, or broke the exchange; in words.
    Authentication(String),
    /// A file or a setting can't be used; explained where it was found.
    Explained(Explained),
    /// The user gave up.
    Cancelled,
    /// Anything else, in words.
    Other(String),
}

/// One try within an attempt: `allow` and `prefer` may make two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Try {
    /// Whether it was made over TLS.
    pub tls: bool,
    /// Whether it connected.
    pub connected: bool,
    /// What it failed with.
    pub class: Option<Class>,
    /// The same in words.
    pub message: Option<String>,
}

/// A failed connection: one sentence that names what failed, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The cause.
    pub class: Class,
    /// One sentence that names the thing. Safe to show.
    pub message: String,
    /// The next step.
    pub remedy: String,
    /// The server's SQLSTATE, where the server said no.
    pub sqlstate: Option<Box<str>>,
    /// The words of the server, the system or the TLS library. Safe to show.
    pub evidence: Option<Box<str>>,
    /// Every try that was made, in order.
    pub tries: Vec<Try>,
    /// The certificate that the server offered, when it is what failed. It was not verified.
    pub certificate: Option<Box<Certificate>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.message, self.remedy)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Explains `trouble` of an attempt at `settings`.
    #[must_use]
    pub fn explain(trouble: &Trouble, settings: &Settings) -> Self {
        let Explained { class, message, remedy } = explain(trouble, settings);
        let (sqlstate, evidence) = match trouble {
            Trouble::Server(error) => (Some(printable(&error.sqlstate).into()), Some(error.to_string())),
            Trouble::Io(_, error) => (None, Some(error.to_string())),
            Trouble::Tls(text) | Trouble::Authentication(text) | Trouble::Other(text) => (None, Some(text.clone())),
            _ => (None, None),
        };
        let evidence = evidence.map(|text| printable(&text).into());
        let certificate = match trouble {
            Trouble::HostMismatch(certificate) => Some(certificate.clone()),
            _ => None,
        };
        Self { class, message, remedy, sqlstate, evidence, tries: Vec::new(), certificate }
    }
}

fn explain(trouble: &Trouble, settings: &Settings) -> Explained {
    let place = place(settings);
    let user = printable(&settings.user);
    match trouble {
        Trouble::Timeout(stage) => timeout(*stage, &place, settings),
        Trouble::Dns => Explained::new(
            Class::DnsFailure,
            format!("The host name {} was not found.", printable(&settings.host)),
            "Check its spelling, and whether it needs a VPN, a private DNS or the SSH tunnel.",
        ),
        Trouble::Io(Stage::TlsHandshake, error) => tls_cause::explain(&error.to_string(), &place, settings),
        Trouble::Io(_, error) if tls_cause::is_tls_text(&error.to_string()) => {
            tls_cause::explain(&error.to_string(), &place, settings)
        }
        Trouble::Io(stage, error) => io_trouble(*stage, error, &place, settings),
        Trouble::TlsUnsupported => Explained::new(
            Class::TlsUnsupported,
            match settings.ssl_mode {
                SslMode::Allow | SslMode::Prefer => format!("The server at {place} does not offer TLS."),
                mode => format!("The server at {place} does not offer TLS, and sslmode {mode} needs it."),
            },
            "Set ssl = on at the server, or choose sslmode disable if the network is trusted.",
        ),
        Trouble::Tls(text) => tls_cause::explain(text, &place, settings),
        Trouble::HostMismatch(certificate) => tls_cause::mismatch(&certificate.names, &place, settings),
        Trouble::Refused(refusal) => refused(*refusal, &place),
        Trouble::PasswordMissing => Explained::new(
            Class::PasswordMissing,
            format!("The server at {place} asks for the password of {user}, and none was given."),
            "Type it, put it in PGPASSWORD, or use --password-file.",
        ),
        Trouble::AuthMethod => Explained::new(
            Class::AuthMethodUnsupported,
            format!("The server at {place} wants an authentication method that walpilot does not speak."),
            "Let pg_hba.conf use scram-sha-256 for this role; Kerberos, SSPI and OAuth are not supported.",
        ),
        Trouble::ChannelBinding => Explained::new(
            Class::ChannelBinding,
            format!("channel_binding=require could not be met at {place}: it needs TLS and a SCRAM-SHA-256 password."),
            "Use sslmode require or stronger, scram-sha-256 in pg_hba.conf and a server certificate signed with ECDSA or RSA (not Ed25519 or RSA-PSS), or channel_binding=prefer.",
        ),
        // The library's limit, against servers that want to keep it busy; `scram_iterations` of PostgreSQL 16 has none.
        Trouble::Authentication(text) if text.contains("iteration count exceeds") => Explained::new(
            Class::AuthMethodUnsupported,
            format!(
                "The server at {place} asks for more than 100,000 SCRAM iterations for {user}, which walpilot refuses."
            ),
            "Set scram_iterations to 100000 or less at the server and the role's password anew.",
        ),
        Trouble::Authentication(text) => Explained::new(
            Class::PasswordWrong,
            format!("The password exchange with the server at {place} failed: {}.", printable(text)),
            "Check the password; if it is right, the server does not know it and may be an impostor.",
        ),
        Trouble::Server(error) => server_cause::explain(error, &place, settings),
        Trouble::Explained(explained) => explained.clone(),
        Trouble::Cancelled => {
            Explained::new(Class::Cancelled, format!("Connecting to {place} was cancelled."), "Try again when ready.")
        }
        Trouble::Other(text) => Explained::new(
            Class::Other,
            format!("Connecting to {settings} failed: {}.", printable(text)),
            "Check the server's log.",
        ),
    }
}

/// `host:port` for people.
fn place(settings: &Settings) -> String {
    let host = if settings.host.is_empty() { settings.hostaddr.as_deref().unwrap_or_default() } else { &settings.host };
    let host = printable(host);
    if host.contains(':') { format!("[{host}]:{}", settings.port) } else { format!("{host}:{}", settings.port) }
}

fn timeout(stage: Stage, place: &str, settings: &Settings) -> Explained {
    let limit = settings.connect_timeout.as_secs_f32();
    let message = format!("{place} gave no answer within {limit} s while {}.", stage.doing());
    let remedy = match stage {
        Stage::Dns | Stage::Dial => {
            "A firewall or security group may drop the packets: allow this machine's address there."
        }
        _ => "Something accepts connections there but does not speak: check the port, and any proxy in between.",
    };
    Explained::new(Class::Timeout, message, remedy)
}

fn refused(refusal: Refusal, place: &str) -> Explained {
    match refusal {
        Refusal::NotPostgres(byte) => Explained::new(
            Class::NotPostgres,
            format!("{place} is not a PostgreSQL server: its first byte was {}.", shown_byte(byte)),
            match byte {
                b'H' => "A web server answers there. Check the port; PostgreSQL usually listens on 5432.",
                b'E' => "It may be a very old server or a pooler: try sslmode disable if the network is trusted.",
                _ => "Check the port; PostgreSQL usually listens on 5432.",
            },
        ),
        Refusal::ClearTextPassword => Explained::new(
            Class::CleartextRefused,
            format!(
                "The server at {place} asked for the password in clear text over an unencrypted connection; it was not sent."
            ),
            "Use sslmode require, or let pg_hba.conf use scram-sha-256 for this role.",
        ),
    }
}

fn shown_byte(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("\"{}\"", char::from(byte)) } else { format!("0x{byte:02x}") }
}

fn io_trouble(stage: Stage, error: &io::Error, place: &str, settings: &Settings) -> Explained {
    use io::ErrorKind as Kind;
    let socket = format!("{}/.s.PGSQL.{}", printable(&settings.host), settings.port);
    let is_socket = settings.is_unix_socket();
    match error.kind() {
        Kind::ConnectionRefused if is_socket => Explained::new(
            Class::Refused,
            format!("Nothing listens on the socket {socket}."),
            "Check that the server runs; a crashed one leaves its socket behind.",
        ),
        Kind::ConnectionRefused => Explained::new(
            Class::Refused,
            format!("Nothing listens on {place}."),
            "Check the port, that the server runs, its listen_addresses, and a firewall that rejects.",
        ),
        Kind::HostUnreachable | Kind::NetworkUnreachable => Explained::new(
            Class::Unreachable,
            format!("There is no route to {place}."),
            "Check the VPN and the network, or whether the host has only an IPv6 address.",
        ),
        Kind::TimedOut => Explained::new(
            Class::Timeout,
            format!("{place} gave no answer while {}.", stage.doing()),
            "A firewall or security group may drop the packets.",
        ),
        Kind::NotFound if is_socket => Explained::new(
            Class::SocketMissing,
            format!("There is no socket {socket}."),
            "Check the directory (unix_socket_directories) and the port.",
        ),
        Kind::PermissionDenied if is_socket => Explained::new(
            Class::SocketPermission,
            format!("The socket {socket} may not be used by this account."),
            "Check unix_socket_permissions, or connect to localhost.",
        ),
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => Explained::new(
            Class::ServerClosed,
            format!("The server at {place} closed the connection while {}.", stage.doing()),
            "It may accept only certain addresses, speak only TLS, or have crashed: see its log.",
        ),
        _ => Explained::new(
            Class::Other,
            format!("Connecting to {place} failed while {}: {}.", stage.doing(), printable(&error.to_string())),
            "Check the network and the server's log.",
        ),
    }
}
