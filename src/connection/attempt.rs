//! Opening connections: name, socket, TLS, login, all under one deadline.
//!
//! walpilot speaks the SSLRequest itself instead of leaving it to the query library, so that every use of a server
//! (queries, replication, cancel requests) takes libpq's decision about encryption and can tell what was decided.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::tls::TlsConnect;

use super::cause::{Failure, ServerError, Stage, Trouble, Try, describe};
use super::login;
use super::settings::{SessionOptions, Settings, SslMode};
use super::stream::{Duplex, PasswordRequest, PgStream};

/// What protects a connection, as it was really negotiated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Security {
    /// Whether walpilot did a TLS handshake.
    pub encrypted: bool,
    /// How the server asked for the password.
    pub password: PasswordRequest,
    /// Every try, in order; more than one means that a fallback was taken.
    pub tries: Vec<Try>,
}

/// An open connection for queries. Its background task ends when it is dropped.
pub struct Session {
    /// The handle for queries.
    pub client: Client,
    /// What protects it.
    pub security: Security,
    settings: Settings,
    _driver: Driver,
}

/// The task that moves a connection's bytes; it ends with its owner.
struct Driver(JoinHandle<()>);

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

    /// Asks the server to stop what this session is doing. Works over the same kind of connection as the session.
    ///
    /// # Errors
    /// When the server can't be reached for it.
    pub async fn cancel(&self) -> Result<(), Failure> {
        let token = self.client.cancel_token();
        let stage = StageMark::default();
        let work = async {
            let stream = dial(&self.settings, self.security.encrypted, &stage).await?;
            let Dialled::Ready(stream) = stream else { return Err(Trouble::TlsUnsupported) };
            token.cancel_query_raw(stream, Already).await.map_err(|error| Trouble::Other(describe(&error)))
        };
        match tokio::time::timeout(self.settings.connect_timeout, work).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(trouble)) => Err(Failure::explain(&trouble, &self.settings)),
            Err(_) => Err(Failure::explain(&Trouble::Timeout(stage.get()), &self.settings)),
        }
    }
}

/// Connects for queries and sets `options`.
///
/// # Errors
/// A [`Failure`] that names the cause and the next step; always within `settings.connect_timeout`.
pub async fn connect(settings: &Settings, options: &SessionOptions) -> Result<Session, Failure> {
    let (logged_in, security) = establish(settings, &Purpose::Queries(options)).await?;
    let LoggedIn::Queries(client, driver) = logged_in else { unreachable!("queries were asked for") };
    Ok(Session { client, security, settings: settings.clone(), _driver: driver })
}

/// Opens a walsender connection (`replication=database`) with further start-up `parameters`. Returns the stream
/// after the login, and what was read beyond it.
///
/// # Errors
/// As [`connect`].
pub async fn connect_replication(
    settings: &Settings,
    parameters: &[(&str, &str)],
) -> Result<(PgStream, BytesMut, Security), Failure> {
    let (logged_in, security) = establish(settings, &Purpose::Replication(parameters)).await?;
    let LoggedIn::Replication(stream, input) = logged_in else { unreachable!("replication was asked for") };
    Ok((*stream, input, security))
}

enum Purpose<'a> {
    Queries(&'a SessionOptions),
    Replication(&'a [(&'a str, &'a str)]),
}

enum LoggedIn {
    Queries(Client, Driver),
    Replication(Box<PgStream>, BytesMut),
}

async fn establish(settings: &Settings, purpose: &Purpose<'_>) -> Result<(LoggedIn, Security), Failure> {
    let mut tries = Vec::new();
    let stage = StageMark::default();
    let outcome = tokio::time::timeout(settings.connect_timeout, attempts(settings, purpose, &stage, &mut tries)).await;
    match outcome {
        Ok(Ok((logged_in, encrypted, password))) => Ok((logged_in, Security { encrypted, password, tries })),
        Ok(Err(trouble)) => Err(Failure { tries, ..Failure::explain(&trouble, settings) }),
        Err(_) => Err(Failure { tries, ..Failure::explain(&Trouble::Timeout(stage.get()), settings) }),
    }
}

type Established = (LoggedIn, bool, PasswordRequest);

/// libpq's sequence of tries for each mode (PostgreSQL source, `fe-connect.c`, `PQconnectPoll`).
async fn attempts(
    settings: &Settings,
    purpose: &Purpose<'_>,
    stage: &StageMark,
    tries: &mut Vec<Try>,
) -> Result<Established, Trouble> {
    if settings.ssl_mode == SslMode::Disable || settings.is_unix_socket() {
        return record(one_try(settings, purpose, false, stage).await, false, settings, tries)
            .map_err(|failed| failed.trouble);
    }
    let first = record(one_try(settings, purpose, true, stage).await, true, settings, tries);
    match first {
        Err(failed) if settings.ssl_mode == SslMode::Prefer && failed.plain_may_help => {
            record(one_try(settings, purpose, false, stage).await, false, settings, tries)
                .map_err(|failed| failed.trouble)
        }
        other => other.map_err(|failed| failed.trouble),
    }
}

struct Failed {
    trouble: Trouble,
    /// Whether libpq would try once more without TLS in mode `prefer`.
    plain_may_help: bool,
}

fn record(
    outcome: Result<Established, Failed>,
    tls: bool,
    settings: &Settings,
    tries: &mut Vec<Try>,
) -> Result<Established, Failed> {
    let (connected, class, message) = match &outcome {
        Ok(_) => (true, None, None),
        Err(failed) => {
            let failure = Failure::explain(&failed.trouble, settings);
            (false, Some(failure.class), Some(failure.message))
        }
    };
    let tls = outcome.as_ref().map_or(tls, |established| established.1);
    tries.push(Try { tls, connected, class, message });
    outcome
}

async fn one_try(
    settings: &Settings,
    purpose: &Purpose<'_>,
    tls: bool,
    stage: &StageMark,
) -> Result<Established, Failed> {
    let no_retry = |trouble| Failed { trouble, plain_may_help: false };
    let dialled = dial(settings, tls, stage).await.map_err(|trouble| {
        let plain_may_help = matches!(trouble, Trouble::Tls(_) | Trouble::Io(Stage::TlsHandshake, _));
        Failed { trouble, plain_may_help }
    })?;
    let (stream, encrypted) = match dialled {
        Dialled::Ready(stream) => (stream, tls),
        // The server said `N`: `prefer` goes on in plain text on the same socket.
        Dialled::Declined(stream) if settings.ssl_mode == SslMode::Prefer => (stream, false),
        Dialled::Declined(_) => return Err(no_retry(Trouble::TlsUnsupported)),
    };
    stage.set(Stage::Login);
    let observed = stream.observed();
    let outcome = match purpose {
        Purpose::Queries(options) => queries(stream, encrypted, settings, options).await,
        Purpose::Replication(parameters) => login::log_in(stream, settings, parameters)
            .await
            .map(|(stream, input)| LoggedIn::Replication(Box::new(stream), input)),
    };
    let seen = *observed.lock().unwrap_or_else(PoisonError::into_inner);
    match outcome {
        Ok(logged_in) => Ok((logged_in, encrypted, seen.password)),
        Err(trouble) => {
            let trouble = seen.refusal.map_or(trouble, Trouble::Refused);
            let plain_may_help = encrypted && !seen.authenticated && server_said_no(&trouble);
            Err(Failed { trouble, plain_may_help })
        }
    }
}

/// An error of the server before `AuthenticationOk` makes libpq try without TLS, except while it can't take
/// connections at all. Unlike libpq walpilot does not offer a refused password a second time in plain text, nor
/// anything to whoever is in the middle.
fn server_said_no(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Server(error)
        if !matches!(error.sqlstate.as_str(), "57P03" | "28P01") && !error.is_channel_binding())
}

async fn queries(
    stream: PgStream,
    encrypted: bool,
    settings: &Settings,
    options: &SessionOptions,
) -> Result<LoggedIn, Trouble> {
    let mut config = tokio_postgres::Config::new();
    config.user(&settings.user).dbname(&settings.database).application_name(&options.application_name);
    if let Some(password) = settings.password.as_ref().filter(|password| !password.is_empty()) {
        config.password(password.reveal());
    }
    // The handshake is behind us: `Direct` keeps the library from sending an SSLRequest of its own.
    if encrypted {
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        config.ssl_negotiation(tokio_postgres::config::SslNegotiation::Direct);
    } else {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    }
    let (client, connection) = config.connect_raw(stream, Already).await.map_err(|error| trouble(&error))?;
    let driver = Driver(tokio::spawn(async move {
        // An error of the connection reaches whoever waits on the client; here it is only noted.
        if let Err(error) = connection.await {
            tracing::debug!(error = describe(&error), "connection ended");
        }
    }));
    client.batch_execute(&session_sql(options)).await.map_err(|error| trouble(&error))?;
    Ok(LoggedIn::Queries(client, driver))
}

/// The settings that every session gets: limits, and formats that don't depend on the role's defaults. Names in
/// walpilot's own queries are qualified; an empty path keeps a hostile `search_path` from shadowing operators.
fn session_sql(options: &SessionOptions) -> String {
    let read_only = if options.read_only { "on" } else { "off" };
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = 0; \
         SET default_transaction_read_only = {read_only}; SET search_path = pg_catalog; SET DateStyle = ISO; \
         SET IntervalStyle = postgres; SET extra_float_digits = 3; SET bytea_output = hex; SET TimeZone = 'UTC'; \
         SET standard_conforming_strings = on",
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
    let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Trouble::Io(Stage::Login, io::Error::new(io.kind(), io.to_string()));
        }
        cause = inner.source();
    }
    let text = describe(error);
    if text.contains("password missing") {
        Trouble::PasswordMissing
    } else if text.contains("unsupported authentication method") {
        Trouble::AuthMethod
    } else if error.is_closed() {
        Trouble::Io(Stage::Login, io::ErrorKind::UnexpectedEof.into())
    } else {
        Trouble::Other(text)
    }
}

enum Dialled {
    /// Ready for the start-up message; over TLS if that was asked for.
    Ready(PgStream),
    /// TLS was asked for, and the server has none.
    Declined(PgStream),
}

async fn dial(settings: &Settings, tls: bool, stage: &StageMark) -> Result<Dialled, Trouble> {
    let private = settings.is_local();
    if settings.is_unix_socket() {
        stage.set(Stage::Dial);
        let path = format!("{}/.s.PGSQL.{}", settings.host, settings.port);
        let socket = UnixStream::connect(path).await.map_err(|error| Trouble::Io(Stage::Dial, error))?;
        return Ok(Dialled::Ready(PgStream::new(Box::new(socket), None, private)));
    }
    let mut socket = dial_tcp(settings, stage).await?;
    if !tls {
        return Ok(Dialled::Ready(PgStream::new(Box::new(socket), None, private)));
    }
    stage.set(Stage::TlsAnswer);
    let mut request = BytesMut::new();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    let failed = |error| Trouble::Io(Stage::TlsAnswer, error);
    socket.write_all(&request).await.map_err(failed)?;
    // Exactly one byte: anything that an attacker put behind it breaks the handshake (CVE-2021-23222).
    match socket.read_u8().await.map_err(failed)? {
        b'S' => {}
        b'N' => return Ok(Dialled::Declined(PgStream::new(Box::new(socket), None, private))),
        other => return Err(Trouble::Refused(super::stream::Refusal::NotPostgres(other))),
    }
    stage.set(Stage::TlsHandshake);
    let connector = connector().await?;
    let socket: Box<dyn Duplex> = Box::new(socket);
    let secured = connector.connect(&settings.host, socket).await.map_err(|error| Trouble::Tls(tls_text(&error)))?;
    let end_point = secured.get_ref().tls_server_end_point().ok().flatten();
    Ok(Dialled::Ready(PgStream::new(Box::new(secured), end_point, true)))
}

/// Tries every address of the name in turn, as libpq does.
async fn dial_tcp(settings: &Settings, stage: &StageMark) -> Result<TcpStream, Trouble> {
    stage.set(Stage::Dns);
    let addresses = lookup_host((settings.host.as_str(), settings.port)).await.map_err(|_| Trouble::Dns)?;
    stage.set(Stage::Dial);
    let mut last = Trouble::Dns;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                // Small messages back and forth: waiting to fill packets would add latency to each.
                socket.set_nodelay(true).map_err(|error| Trouble::Io(Stage::Dial, error))?;
                return Ok(socket);
            }
            Err(error) => last = Trouble::Io(Stage::Dial, error),
        }
    }
    Err(last)
}

/// The TLS connector. Building one reads the system's certificate store (0.2 s), so it is built once, on a thread
/// that may block.
async fn connector() -> Result<tokio_native_tls::TlsConnector, Trouble> {
    static CONNECTOR: tokio::sync::OnceCell<tokio_native_tls::TlsConnector> = tokio::sync::OnceCell::const_new();
    let build = || async {
        let built = tokio::task::spawn_blocking(|| {
            let mut builder = native_tls::TlsConnector::builder();
            postgres_native_tls::set_postgresql_alpn(&mut builder);
            // `require` and `prefer` encrypt without verifying, as libpq does without a root certificate.
            builder.danger_accept_invalid_certs(true).danger_accept_invalid_hostnames(true).build()
        });
        match built.await {
            Ok(Ok(connector)) => Ok(tokio_native_tls::TlsConnector::from(connector)),
            Ok(Err(error)) => Err(Trouble::Tls(error.to_string())),
            Err(error) => Err(Trouble::Other(error.to_string())),
        }
    };
    CONNECTOR.get_or_try_init(build).await.cloned()
}

fn tls_text(error: &native_tls::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// Where an attempt stands, readable after its future was dropped by the deadline.
#[derive(Clone)]
struct StageMark(Arc<Mutex<Stage>>);

impl Default for StageMark {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Stage::Dns)))
    }
}

impl StageMark {
    fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    fn get(&self) -> Stage {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands the library the stream on which TLS, if any, is already done.
struct Already;

impl TlsConnect<PgStream> for Already {
    type Stream = PgStream;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<PgStream>>;

    fn connect(self, stream: PgStream) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}
