//! What to connect to, and what to ask of the session.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// The port PostgreSQL listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 5432;
/// How long a whole attempt (name resolution, TCP, TLS, authentication) may take unless told otherwise.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether and how a connection is encrypted: libpq's `sslmode` (PostgreSQL documentation, "SSL Support").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// Encrypted if the server offers it, in plain text otherwise.
    #[default]
    Prefer,
    /// Encrypted or not at all; the server's certificate is not verified.
    Require,
}

impl SslMode {
    /// All modes, from the least to the most protection.
    pub const ALL: [Self; 3] = [Self::Disable, Self::Prefer, Self::Require];

    /// The name as in `sslmode=…`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }

    /// One sentence: what the mode tries and what it protects from.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Disable => {
                "Never encrypts: whoever is on the way can read and change everything, passwords hashed or not."
            }
            Self::Prefer => {
                "Tries TLS first and falls back to plain text without asking: no protection from an active attacker."
            }
            Self::Require => {
                "Always encrypts, but does not check whose certificate it is: protects from listeners, not from impostors."
            }
        }
    }
}

impl fmt::Display for SslMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SslMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "allow" | "verify-ca" | "verify-full" => {
                Err(format!("sslmode {text} is not supported yet; use disable, prefer or require"))
            }
            _ => Err("sslmode is unknown; use disable, prefer or require".to_owned()),
        }
    }
}

/// Where a server is and who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A host name, an IP address (IPv6 without brackets), or the absolute path of a Unix socket's directory.
    pub host: String,
    /// The TCP port, also part of the Unix socket's file name.
    pub port: u16,
    /// The database to connect to; a logical replication slot belongs to exactly one.
    pub database: String,
    /// The role that logs in.
    pub user: String,
    /// The password, if one is known.
    pub password: Option<Secret>,
    /// Encryption.
    pub ssl_mode: SslMode,
    /// Limit for the whole attempt, from name resolution to the end of authentication.
    pub connect_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: DEFAULT_PORT,
            database: "postgres".to_owned(),
            user: "postgres".to_owned(),
            password: None,
            ssl_mode: SslMode::default(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        }
    }
}

impl Settings {
    /// Whether the server is reached through a Unix socket, where encryption does not apply.
    #[must_use]
    pub fn is_unix_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether nobody outside this machine can listen: a Unix socket or a loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_unix_socket()
            || self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// The same server and database, logging in as somebody else.
    #[must_use]
    pub fn as_user(&self, user: impl Into<String>, password: Option<Secret>) -> Self {
        Self { user: user.into(), password, ..self.clone() }
    }
}

/// `user@host:port/database`, for messages. Never holds the password.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = super::printable(&self.host);
        let host = if host.contains(':') { format!("[{host}]") } else { host.into_owned() };
        write!(f, "{}@{host}:{}/{}", super::printable(&self.user), self.port, super::printable(&self.database))
    }
}

/// What a session asks of the server so that walpilot never hurts it. Set by `SET` after the login, because poolers
/// may refuse start-up `options`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
    /// `statement_timeout`; zero switches it off.
    pub statement_timeout: Duration,
    /// `lock_timeout`: how long a statement may queue for a lock, with the application queueing behind it.
    pub lock_timeout: Duration,
    /// `default_transaction_read_only`.
    pub read_only: bool,
}

impl SessionOptions {
    /// To look, not to touch: preflight checks and the dashboard.
    #[must_use]
    pub fn inspect() -> Self {
        Self {
            application_name: "walpilot".to_owned(),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(2),
            read_only: true,
        }
    }

    /// To apply a setup script: may write, gives up on locks before the application notices.
    #[must_use]
    pub fn administer() -> Self {
        Self { statement_timeout: Duration::from_secs(60), read_only: false, ..Self::inspect() }
    }

    /// To copy and to write rows: no time limits, because a copy lasts as long as it lasts.
    #[must_use]
    pub fn replicate() -> Self {
        Self {
            application_name: "walpilot run".to_owned(),
            statement_timeout: Duration::ZERO,
            lock_timeout: Duration::ZERO,
            read_only: false,
        }
    }
}
