//! A session for queries: its login through the query library, its limits, and how it is cancelled.

use std::future::Ready;
use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::tls::TlsConnect;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::backend_key;
use super::cause::{Failure, Stage, Trouble};
use super::dial::{Encryption, Mark, dial};
use super::hosts::{self, ServerState};
use super::printable;
use super::security::{Security, ServerView, TlsFacts};
use super::server_error::{ServerError, describe};
use super::settings::{ChannelBindingMode, SessionOptions, Settings};
use super::silence::{Silence, server_asks};
use super::stream::PgStream;
use super::tunnel;

/// An open connection for queries. Its background task ends when it is dropped.
pub struct Session {
    /// The handle for queries.
    pub client: Client,
    /// What protects it.
    pub security: Security,
    /// What it is connected to.
    pub(super) settings: Settings,
    pub(super) peer: Option<std::net::SocketAddr>,
    pub(super) _driver: Driver,
}

/// The task that moves a connection's bytes; it ends with its owner.
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    /// What it is connected to.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The process id that was announced at the login. Behind a pooler it is often not that of the backend
    /// (`pg_backend_pid()`). Nothing is sent for it.
    pub async fn backend_pid(&self) -> Option<i32> {
        backend_key::announced_pid(&self.client).await
    }

    /// Asks the server to stop what this session is doing. The request goes to the same address over the same kind of
    /// connection as the session: whoever can read it could cancel the session's queries too.
    ///
    /// # Errors
    /// When the server can't be reached for it.
    pub async fn cancel(&self) -> Result<(), Failure> {
        let token = self.client.cancel_token();
        let mark = Mark::default();
        let hostaddr = self.peer.map(|peer| peer.ip().to_string()).or_else(|| self.settings.hostaddr.clone());
        let settings = Settings { hostaddr, ..self.settings.clone() };
        let encryption = if self.security.encrypted { Encryption::Needed } else { Encryption::Plain };
        let work = async {
            let link = dial(&settings, encryption, Silence::Waiting, &mark).await.map_err(|failed| failed.trouble)?;
            token.cancel_query_raw(link.stream, Already).await.map_err(|error| Trouble::Other(describe(&error)))
        };
        match tokio::time::timeout(settings.connect_timeout, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(trouble)) => Err(Failure::explain(&trouble, &settings)),
            Err(_) => Err(Failure::explain(&Trouble::Timeout(mark.get().0), &settings)),
        }
    }
}

/// What a login for queries gives.
pub(super) struct Queries {
    pub(super) client: Client,
    pub(super) driver: Driver,
    pub(super) server_view: Option<ServerView>,
}

/// Logs in over `stream`, sets the session up, and asks what the server sees of the connection.
pub(super) async fn log_in(
    stream: PgStream,
    encrypted: bool,
    settings: &Settings,
    options: &SessionOptions,
) -> Result<Queries, Trouble> {
    let mut config = tokio_postgres::Config::new();
    config.user(&settings.user).dbname(&settings.database).application_name(&options.application_name);
    if let Some(options) = &settings.options {
        config.options(options);
    }
    if let Some(password) = settings.password.as_ref().filter(|password| !password.is_empty()) {
        config.password(password.reveal());
    }
    config.channel_binding(match settings.channel_binding {
        ChannelBindingMode::Disable => tokio_postgres::config::ChannelBinding::Disable,
        ChannelBindingMode::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
        ChannelBindingMode::Require => tokio_postgres::config::ChannelBinding::Require,
    });
    // The handshake is behind us: `Direct` keeps the library from sending an SSLRequest of its own.
    if encrypted {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        config.ssl_negotiation(tokio_postgres::config::SslNegotiation::Direct);
    } else {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    }
    let connected = config.connect_raw(stream, Already).await;
    // It holds the password in memory that nobody wipes.
    drop(config);
    let (client, connection) = connected.map_err(|error| trouble(&error))?;
    let driver = Driver(tokio::spawn(async move {
        // An error of the connection reaches whoever waits on the client; here it is only noted.
        if let Err(error) = connection.await {
            tracing::debug!(error = describe(&error), "connection ended");
        }
    }));
    let sql = session_sql(options);
    let (set_up, seen) = tokio::join!(client.batch_execute(&sql), client.simple_query(STAT_SSL));
    set_up.map_err(|error| trouble(&error))?;
    // A pooler or an old fork may not know the view; then nothing is known about the server's end.
    let server_view = seen.ok().as_deref().and_then(server_view);
    Ok(Queries { client, driver, server_view })
}

/// What the server is, for `target_session_attrs`.
pub(super) async fn state(session: &Session) -> Result<ServerState, Failure> {
    let row = session.client.query_one(hosts::STATE_SQL, &[]).await;
    let read = row.and_then(|row| Ok(ServerState { in_recovery: row.try_get(0)?, read_only: row.try_get(1)? }));
    read.map_err(|error| Failure::explain(&trouble(&error), &session.settings))
}

/// A session may always see its own row (PostgreSQL documentation, "pg_stat_ssl").
const STAT_SSL: &str = "SELECT ssl, version, cipher, bits, client_dn FROM pg_catalog.pg_stat_ssl \
                        WHERE pid = pg_catalog.pg_backend_pid()";

fn server_view(messages: &[SimpleQueryMessage]) -> Option<ServerView> {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })?;
    let text = |column: &str| row.try_get(column).ok().flatten().map(|text| printable(text).into_owned());
    let encrypted = text("ssl")? == "t";
    let facts = encrypted.then(|| TlsFacts {
        version: text("version").unwrap_or_default(),
        cipher: text("cipher").unwrap_or_default(),
        bits: text("bits").and_then(|bits| bits.parse().ok()),
        client_dn: text("client_dn").filter(|name| !name.is_empty()),
    });
    Some(ServerView { encrypted, facts })
}

/// The settings that every session gets: limits, and formats that don't depend on the role's defaults. Names in
/// walpilot's own queries are qualified; an empty path keeps a hostile `search_path` from shadowing operators.
pub(crate) fn session_sql(options: &SessionOptions) -> String {
    let read_only = if options.read_only { "on" } else { "off" };
    let asks: String = server_asks().iter().map(|(name, value)| format!("; SET {name} = {value}")).collect();
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = 0; \
         SET default_transaction_read_only = {read_only}; SET search_path = pg_catalog; SET DateStyle = ISO; \
         SET IntervalStyle = postgres; SET extra_float_digits = 3; SET bytea_output = hex; SET TimeZone = 'UTC'; \
         SET standard_conforming_strings = on{asks}",
        millis(options.statement_timeout),
        millis(options.lock_timeout),
    )
}

fn millis(limit: Duration) -> u128 {
    limit.as_millis().min(u128::from(u32::MAX >> 1))
}

/// Sorts an error of the query library that ended a login.
fn trouble(error: &tokio_postgres::Error) -> Trouble {
    if let Some(db) = error.as_db_error() {
        return Trouble::Server(Box::new(ServerError::from(db)));
    }
    if let Some(explained) = tunnel::cause(error) {
        return Trouble::Explained(explained);
    }
    let text = describe(error);
    if text.starts_with("authentication error") {
        return refused_by_us(text);
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Trouble::Io(Stage::Login, io::Error::new(io.kind(), io.to_string()));
        }
        cause = inner.source();
    }
    if text.contains("password missing") {
        Trouble::PasswordMissing
    } else if error.is_closed() {
        Trouble::Io(Stage::Login, io::ErrorKind::UnexpectedEof.into())
    } else {
        Trouble::Other(text)
    }
}

/// Sorts what the library did not like about the server's side of the login.
fn refused_by_us(text: String) -> Trouble {
    if text.contains("channel binding") {
        Trouble::ChannelBinding
    } else if text.contains("unsupported") {
        Trouble::AuthMethod
    } else {
        Trouble::Authentication(text)
    }
}

/// Hands the library the stream on which TLS, if any, is already done.
struct Already;

impl TlsConnect<PgStream> for Already {
    type Stream = PgStream;
    type Error = io::Error;
    type Future = Ready<io::Result<PgStream>>;

    fn connect(self, stream: PgStream) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}
