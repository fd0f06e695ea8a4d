//! What to connect to, and what to ask of the session.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// The port PostgreSQL listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 5432;
/// How long a whole attempt (name resolution, TCP, TLS, authentication) may take unless told otherwise.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether and how a connection is encrypted: libpq's `sslmode` (PostgreSQL documentation, "SSL Support").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// In plain text if the server lets us, encrypted otherwise.
    Allow,
    /// Encrypted if the server offers it, in plain text otherwise.
    #[default]
    Prefer,
    /// Encrypted or not at all; the certificate is verified only if a root certificate file is named.
    Require,
    /// Encrypted, and the server's certificate must be signed by a trusted authority.
    VerifyCa,
    /// As `VerifyCa`, and the certificate must be for the host name that was asked for.
    VerifyFull,
}

impl SslMode {
    /// All modes, from the least to the most protection.
    pub const ALL: [Self; 6] =
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    /// The name as in `sslmode=…`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// Whether the mode can't work without knowing whom to trust.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }

    /// One sentence: what the mode tries and what it protects from.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Disable => {
                "Never encrypts: whoever is on the way can read and change everything, passwords hashed or not."
            }
            Self::Allow => "Tries plain text first and TLS only if the server insists: no protection.",
            Self::Prefer => {
                "Tries TLS first and falls back to plain text without asking: no protection from an active attacker."
            }
            Self::Require => {
                "Always encrypts, but does not check whose certificate it is: protects from listeners, not from impostors."
            }
            Self::VerifyCa => {
                "Encrypts and checks that a trusted authority signed the certificate: safe where that authority signs only your servers."
            }
            Self::VerifyFull => {
                "Encrypts and checks authority and host name: protects from listeners and from impostors."
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
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
            "sslmode is unknown; use disable, allow, prefer, require, verify-ca or verify-full".to_owned()
        })
    }
}

/// Whom to trust when the server's certificate is verified.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RootCert {
    /// libpq's default: `~/.postgresql/root.crt` if it exists.
    #[default]
    Default,
    /// The authorities that the operating system trusts (`sslrootcert=system`); only with `verify-full`.
    System,
    /// A PEM file with one or more certificates.
    File(PathBuf),
}

/// A version of TLS, as in `ssl_min_protocol_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum TlsVersion {
    V1_0,
    V1_1,
    V1_2,
    V1_3,
}

impl TlsVersion {
    /// All versions, the oldest first.
    pub const ALL: [Self; 4] = [Self::V1_0, Self::V1_1, Self::V1_2, Self::V1_3];

    /// The name as in `ssl_min_protocol_version=…`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "TLSv1",
            Self::V1_1 => "TLSv1.1",
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        }
    }
}

/// Whether the password exchange must be bound to the TLS channel (`channel_binding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are libpq's")]
pub enum ChannelBindingMode {
    Disable,
    #[default]
    Prefer,
    Require,
}

impl ChannelBindingMode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Disable, Self::Prefer, Self::Require];

    /// The name as in `channel_binding=…`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }
}

/// What kind of server will do (`target_session_attrs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are libpq's")]
pub enum TargetSession {
    #[default]
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl TargetSession {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Any, Self::ReadWrite, Self::ReadOnly, Self::Primary, Self::Standby, Self::PreferStandby];

    /// The name as in `target_session_attrs=…`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }
}

/// Files and limits of TLS.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Whom to trust (`sslrootcert`).
    pub root_cert: RootCert,
    /// The client's certificate, leaf first (`sslcert`); `None` means `~/.postgresql/postgresql.crt` if it exists.
    pub cert: Option<PathBuf>,
    /// The client's private key (`sslkey`); `None` means `~/.postgresql/postgresql.key` if it exists.
    pub key: Option<PathBuf>,
    /// The passphrase of the key (`sslpassword`).
    pub key_passphrase: Option<Secret>,
    /// The oldest version of TLS (`ssl_min_protocol_version`); libpq's default is 1.2.
    pub min_version: Option<TlsVersion>,
    /// The newest version of TLS (`ssl_max_protocol_version`).
    pub max_version: Option<TlsVersion>,
    /// TLS from the first byte instead of an SSLRequest (`sslnegotiation=direct`, PostgreSQL 17).
    pub direct: bool,
    /// Whether the host name is sent in clear in the handshake (`sslsni`).
    pub no_sni: bool,
    /// Whether no client certificate is shown, also not a default file's (`sslcertmode=disable`).
    pub no_client_cert: bool,
}

/// One more place to try (libpq's lists in `host`, `hostaddr` and `port`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As [`Settings::host`].
    pub host: String,
    /// As [`Settings::hostaddr`].
    pub hostaddr: Option<String>,
    /// As [`Settings::port`].
    pub port: u16,
    /// This server's own password, when passwords come from a file ([`Settings::password_file`]).
    pub password: Option<Secret>,
}

impl Address {
    /// As [`Settings::place`].
    #[must_use]
    pub fn place(&self) -> &str {
        if self.host.is_empty() { self.hostaddr.as_deref().unwrap_or_default() } else { &self.host }
    }
}

/// A bastion through which the server is reached, by the system's `ssh`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tunnel {
    /// `[user@]host` or an alias of the user's ssh configuration; never begins with `-`.
    pub destination: String,
    /// The bastion's port, if not the configured one.
    pub port: Option<u16>,
    /// A private key file, if not the configured one.
    pub identity: Option<PathBuf>,
    /// A jump host in front of it (`ssh -J`).
    pub jump: Option<String>,
    /// A configuration file instead of the user's (`ssh -F`).
    pub config: Option<PathBuf>,
}

/// Where a server is and who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A host name, an IP address (IPv6 without brackets), or the absolute path of a Unix socket's directory. Empty if
    /// only `hostaddr` is known.
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
    /// The address to connect to when `host` is only the name to verify and to look passwords up by (`hostaddr`).
    pub hostaddr: Option<String>,
    /// Further servers, tried in order when one can't be reached.
    pub alternatives: Vec<Address>,
    /// Files and limits of TLS.
    pub tls: TlsSettings,
    /// Whether the password exchange must be bound to the TLS channel.
    pub channel_binding: ChannelBindingMode,
    /// What kind of server will do.
    pub target_session: TargetSession,
    /// Whether the servers are tried in random order (`load_balance_hosts=random`).
    pub load_balance: bool,
    /// The password file (`~/.pgpass`) that was consulted because no password was given otherwise. Then each server has
    /// its own password or none.
    pub password_file: Option<PathBuf>,
    /// Command-line options for the server process (`options`), as they are.
    pub options: Option<String>,
    /// The kind of connection that was asked for (`replication`), as it is. Only a mere test of the connection heeds
    /// it; everything else knows for itself what it needs.
    pub replication: Option<String>,
    /// A bastion to go through.
    pub tunnel: Option<Tunnel>,
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
            hostaddr: None,
            alternatives: Vec::new(),
            tls: TlsSettings::default(),
            channel_binding: ChannelBindingMode::default(),
            target_session: TargetSession::default(),
            load_balance: false,
            password_file: None,
            options: None,
            replication: None,
            tunnel: None,
        }
    }
}

impl Settings {
    /// Whether the server is reached through a Unix socket, where encryption does not apply.
    #[must_use]
    pub fn is_unix_socket(&self) -> bool {
        self.hostaddr.is_none() && self.host.starts_with('/')
    }

    /// Whether nobody outside this machine can listen: a Unix socket or a loopback address, and no bastion, whose
    /// `localhost` is another machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let reached = self.hostaddr.as_ref().unwrap_or(&self.host);
        let loopback = reached.eq_ignore_ascii_case("localhost")
            || reached.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        self.tunnel.is_none() && (self.is_unix_socket() || loopback)
    }

    /// The host as it was named, or its address if it has no name.
    #[must_use]
    pub fn place(&self) -> &str {
        if self.host.is_empty() { self.hostaddr.as_deref().unwrap_or_default() } else { &self.host }
    }

    /// The same server and database, logging in as somebody else.
    #[must_use]
    pub fn as_user(&self, user: impl Into<String>, password: Option<Secret>) -> Self {
        Self { user: user.into(), ..self.with_password(password) }
    }

    /// The same with this password for every server, wherever an earlier one came from.
    #[must_use]
    pub fn with_password(&self, password: Option<Secret>) -> Self {
        Self { password, password_file: None, ..self.clone() }
    }
}

/// `user@host:port/database`, for messages. Never holds the password.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = super::printable(self.place());
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
