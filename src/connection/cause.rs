//! Why a connection failed, told apart so that each cause gets its own remedy.
//!
//! Signals in order of trust: the stage that walpilot itself had reached, the SQLSTATE, the routine that raised the
//! error (never translated), and only then the message text.

use std::fmt;
use std::io;

use serde::Serialize;

use super::printable;
use super::settings::Settings;
use super::stream::Refusal;

/// An error that the server sent, with the fields that identify it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// Five characters, PostgreSQL documentation appendix "PostgreSQL Error Codes".
    pub sqlstate: String,
    /// The primary message, in the server's language.
    pub message: String,
    /// More about it; may quote row values, so it is shown on request only and never logged.
    pub detail: Option<String>,
    /// The server's own advice.
    pub hint: Option<String>,
    /// The function of the server's source that raised it.
    pub routine: Option<String>,
}

impl ServerError {
    /// Whether the server saw another TLS connection than the client (`auth-scram.c`).
    #[must_use]
    pub fn is_channel_binding(&self) -> bool {
        self.sqlstate == "28000" && self.routine.as_deref() == Some("read_client_final_message")
    }
}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        Self {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            routine: error.routine().map(str::to_owned),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", printable(&self.message), printable(&self.sqlstate))
    }
}

impl std::error::Error for ServerError {}

/// One clear line for an error of the query library: the server's message where there is one, else the whole chain
/// of causes (the library's own `Display` leaves them out).
#[must_use]
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return ServerError::from(db).to_string();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    printable(&text).into_owned()
}

/// The class of a failure; the names are stable and stand in JSON reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the documentation; each has its sentence in `explain`")]
pub enum Class {
    DnsFailure,
    Refused,
    Unreachable,
    Timeout,
    SocketMissing,
    SocketPermission,
    NotPostgres,
    ServerClosed,
    TlsUnsupported,
    TlsVersion,
    TlsFailed,
    CleartextRefused,
    ChannelBinding,
    PasswordMissing,
    PasswordWrong,
    NoPgHba,
    HbaReject,
    AuthMethodUnsupported,
    RoleMissing,
    RoleNologin,
    DbMissing,
    DbNotAccepting,
    NoConnectPriv,
    TooManyConnections,
    CannotConnectNow,
    PermissionDenied,
    Cancelled,
    Other,
}

/// How far an attempt had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking up the host name.
    Dns,
    /// Opening the TCP connection or the Unix socket.
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
    /// The operating system refused.
    Io(Stage, io::Error),
    /// The server answered `N` to the SSLRequest, but TLS is required.
    TlsUnsupported,
    /// The handshake failed; the TLS library's words.
    Tls(String),
    /// walpilot itself stopped the login.
    Refused(Refusal),
    /// The server sent an error.
    Server(Box<ServerError>),
    /// A password is needed and none is known.
    PasswordMissing,
    /// The server wants a method that walpilot does not speak.
    AuthMethod,
    /// The user gave up.
    Cancelled,
    /// Anything else, in words.
    Other(String),
}

/// One try within an attempt: `prefer` may make two.
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
    pub sqlstate: Option<String>,
    /// Every try that was made, in order.
    pub tries: Vec<Try>,
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
        let (class, message, remedy) = explain(trouble, settings);
        let sqlstate = match trouble {
            Trouble::Server(error) => Some(error.sqlstate.clone()),
            _ => None,
        };
        Self { class, message, remedy, sqlstate, tries: Vec::new() }
    }
}

fn explain(trouble: &Trouble, settings: &Settings) -> (Class, String, String) {
    let place = format!("{}:{}", printable(&settings.host), settings.port);
    match trouble {
        Trouble::Timeout(stage) => (
            Class::Timeout,
            format!(
                "{place} gave no answer within {} s while {}.",
                settings.connect_timeout.as_secs_f32(),
                stage.doing()
            ),
            match stage {
                Stage::Dns | Stage::Dial => {
                    "A firewall or security group may drop the packets: allow this machine's address.".into()
                }
                _ => {
                    "Something accepts connections there but does not speak: check the port, and any proxy in between."
                        .into()
                }
            },
        ),
        Trouble::Dns => (
            Class::DnsFailure,
            format!("The host name {} was not found.", printable(&settings.host)),
            "Check its spelling, and whether it needs a VPN or a private DNS.".into(),
        ),
        Trouble::Io(stage, error) => io_trouble(*stage, error, &place, settings),
        Trouble::TlsUnsupported => (
            Class::TlsUnsupported,
            format!("The server at {place} does not offer TLS, and sslmode {} needs it.", settings.ssl_mode),
            "Set ssl = on at the server, or choose sslmode disable if the network is trusted.".into(),
        ),
        Trouble::Tls(text) => tls_trouble(text, &place),
        Trouble::Refused(Refusal::NotPostgres(byte)) => (
            Class::NotPostgres,
            format!("{place} is not a PostgreSQL server: its first byte was {}.", shown_byte(*byte)),
            "Check the port; PostgreSQL usually listens on 5432.".into(),
        ),
        Trouble::Refused(Refusal::ClearTextPassword) => (
            Class::CleartextRefused,
            format!(
                "The server at {place} asked for the password in clear text over an unencrypted connection; it was not sent."
            ),
            "Use sslmode require, or let the server use scram-sha-256.".into(),
        ),
        Trouble::PasswordMissing => (
            Class::PasswordMissing,
            format!(
                "The server at {place} asks for the password of {}, and none was given.",
                printable(&settings.user)
            ),
            "Type it, put it in PGPASSWORD, or use --password-file.".into(),
        ),
        Trouble::AuthMethod => (
            Class::AuthMethodUnsupported,
            format!("The server at {place} wants an authentication method that walpilot does not speak."),
            "Let pg_hba.conf use scram-sha-256 for this role.".into(),
        ),
        Trouble::Server(error) => server_trouble(error, &place, settings),
        Trouble::Cancelled => {
            (Class::Cancelled, format!("Connecting to {place} was cancelled."), "Try again when ready.".into())
        }
        Trouble::Other(text) => (
            Class::Other,
            format!("Connecting to {settings} failed: {}.", printable(text)),
            "Check the server's log.".into(),
        ),
    }
}

fn shown_byte(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("\"{}\"", char::from(byte)) } else { format!("0x{byte:02x}") }
}

fn io_trouble(stage: Stage, error: &io::Error, place: &str, settings: &Settings) -> (Class, String, String) {
    use io::ErrorKind as Kind;
    let socket = format!("{}/.s.PGSQL.{}", printable(&settings.host), settings.port);
    match error.kind() {
        Kind::ConnectionRefused => (
            Class::Refused,
            format!("Nothing listens on {place}."),
            "Check the port, that the server runs, and its listen_addresses.".into(),
        ),
        Kind::HostUnreachable | Kind::NetworkUnreachable => (
            Class::Unreachable,
            format!("There is no route to {place}."),
            "Check the VPN and the network, or whether the host has only an IPv6 address.".into(),
        ),
        Kind::TimedOut => (
            Class::Timeout,
            format!("{place} gave no answer while {}.", stage.doing()),
            "A firewall or security group may drop the packets.".into(),
        ),
        Kind::NotFound if settings.is_unix_socket() => (
            Class::SocketMissing,
            format!("There is no socket {socket}."),
            "Check the directory (unix_socket_directories) and the port.".into(),
        ),
        Kind::PermissionDenied if settings.is_unix_socket() => (
            Class::SocketPermission,
            format!("The socket {socket} may not be used by this account."),
            "Check unix_socket_permissions, or connect to localhost.".into(),
        ),
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => (
            Class::ServerClosed,
            format!("The server at {place} closed the connection while {}.", stage.doing()),
            "It may accept only certain addresses, speak only TLS, or have crashed: see its log.".into(),
        ),
        _ => (
            Class::Other,
            format!("Connecting to {place} failed while {}: {}.", stage.doing(), printable(&error.to_string())),
            "Check the network and the server's log.".into(),
        ),
    }
}

fn tls_trouble(text: &str, place: &str) -> (Class, String, String) {
    let lower = text.to_lowercase();
    if lower.contains("wrong version number") {
        let message = format!("{place} answered the TLS handshake with something that is not TLS.");
        return (Class::NotPostgres, message, "Check the port, and any proxy in between.".into());
    }
    if lower.contains("protocol version") || lower.contains("unsupported protocol") || lower.contains("no protocols") {
        let message = format!("The server at {place} and walpilot have no TLS version in common.");
        return (
            Class::TlsVersion,
            message,
            "Let the server offer TLS 1.2 or newer (ssl_min_protocol_version).".into(),
        );
    }
    (
        Class::TlsFailed,
        format!("The TLS handshake with {place} failed: {}.", printable(text.trim_end_matches('.'))),
        "See the server's log for its side of the story.".into(),
    )
}

fn server_trouble(error: &ServerError, place: &str, settings: &Settings) -> (Class, String, String) {
    let user = printable(&settings.user);
    let database = printable(&settings.database);
    let said = printable(&error.message);
    match error.sqlstate.as_str() {
        "28P01" => (
            Class::PasswordWrong,
            format!("The server at {place} refused the password of {user}."),
            "Check it; a missing role, an expired password (VALID UNTIL) and a role without a password look the same from outside.".into(),
        ),
        "28000" if error.message.contains("no pg_hba.conf entry") => {
            let plain = error.message.contains("no encryption") || error.message.contains("SSL off");
            let kind = if plain { "hostssl" } else { "host" };
            let switch = if plain { "Use sslmode require, or add to" } else { "Add to" };
            (
                Class::NoPgHba,
                format!("The server at {place} has no pg_hba.conf line that lets {user} into {database} from here."),
                format!("{switch} pg_hba.conf: {kind} {database} {user} <this address>/32 scram-sha-256, then SELECT pg_reload_conf();"),
            )
        }
        "28000" if error.message.contains("rejects connection") => (
            Class::HbaReject,
            format!("A reject line in the pg_hba.conf of {place} refuses {user} for {database}."),
            "Change that line, or connect from an address that it lets in.".into(),
        ),
        "28000" if error.routine.as_deref() == Some("InitializeSessionUserId") => {
            if error.message.contains("not permitted to log in") {
                let fix = format!("ALTER ROLE {} LOGIN;", quoted(&settings.user));
                (Class::RoleNologin, format!("The role {user} at {place} may not log in."), format!("Run as an administrator: {fix}"))
            } else {
                (Class::RoleMissing, format!("There is no role {user} at {place}."), "Check the name, or create the role.".into())
            }
        }
        "28000" if error.is_channel_binding() => (
            Class::ChannelBinding,
            format!("The TLS connection to {place} does not end at the server that checks the password: somebody is in the middle."),
            "Find out who ends TLS on the way (a proxy, a firewall, an attacker) before you send anything through it.".into(),
        ),
        "3D000" => (
            Class::DbMissing,
            format!("There is no database {database} at {place}."),
            "Check the name; psql -l lists the databases.".into(),
        ),
        "55000" => (
            Class::DbNotAccepting,
            format!("The database {database} at {place} does not accept connections."),
            "Check its datallowconn.".into(),
        ),
        "42501" if error.routine.as_deref() == Some("CheckMyDatabase") => (
            Class::NoConnectPriv,
            format!("The role {user} has no CONNECT privilege on {database}."),
            format!("Run as its owner: GRANT CONNECT ON DATABASE {} TO {};", quoted(&settings.database), quoted(&settings.user)),
        ),
        // At the start of a session only a walsender's rights are looked at there (`postinit.c`).
        "42501" if error.routine.as_deref() == Some("InitPostgres") => (
            Class::PermissionDenied,
            format!("The role {user} at {place} may not open a replication connection."),
            format!(
                "Run as an administrator: ALTER ROLE {} REPLICATION; (Amazon RDS: GRANT rds_replication TO {0};)",
                quoted(&settings.user)
            ),
        ),
        "42501" => (Class::PermissionDenied, format!("The server at {place} refused {user}: {said}."), "Ask an administrator for the right.".into()),
        "53300" => (
            Class::TooManyConnections,
            format!("The server at {place} has no free connection: {said}."),
            "Close some, or raise max_connections or max_wal_senders (restart).".into(),
        ),
        "57P03" => (
            Class::CannotConnectNow,
            format!("The server at {place} does not take connections now: {said}."),
            "Wait for it to start or recover, then try again.".into(),
        ),
        _ => (
            Class::Other,
            format!("The server at {place} refused the connection: {error}."),
            "Check the server's log.".into(),
        ),
    }
}

/// An identifier as it has to stand in SQL.
fn quoted(name: &str) -> String {
    printable(&postgres_protocol::escape::escape_identifier(name)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Class, Failure, ServerError, Trouble};
    use crate::connection::Settings;

    fn server(sqlstate: &str, message: &str, routine: &str) -> Trouble {
        Trouble::Server(Box::new(ServerError {
            sqlstate: sqlstate.into(),
            message: message.into(),
            routine: Some(routine.into()),
            ..ServerError::default()
        }))
    }

    #[test]
    fn each_refusal_of_a_server_has_its_class() {
        let settings = Settings { user: "app".into(), database: "shop".into(), ..Settings::default() };
        for (trouble, class) in [
            (server("28P01", "x", "auth_failed"), Class::PasswordWrong),
            (
                server("28000", "no pg_hba.conf entry for host \"::1\", no encryption", "ClientAuthentication"),
                Class::NoPgHba,
            ),
            (server("28000", "role \"app\" does not exist", "InitializeSessionUserId"), Class::RoleMissing),
            (server("28000", "role \"app\" is not permitted to log in", "InitializeSessionUserId"), Class::RoleNologin),
            (server("3D000", "x", "InitPostgres"), Class::DbMissing),
            (server("42501", "x", "CheckMyDatabase"), Class::NoConnectPriv),
            (server("53300", "x", "InitPostgres"), Class::TooManyConnections),
            (server("57P03", "x", "ProcessStartupPacket"), Class::CannotConnectNow),
        ] {
            let failure = Failure::explain(&trouble, &settings);
            assert_eq!(failure.class, class, "{failure}");
            assert!(failure.message.ends_with('.'), "{failure}");
        }
    }

    #[test]
    fn escapes_of_a_hostile_server_do_not_pass() {
        let failure = Failure::explain(&server("XX000", "\u{1b}[2Jowned", "x"), &Settings::default());
        assert!(!failure.to_string().contains('\u{1b}'), "{failure:?}");
    }
}
