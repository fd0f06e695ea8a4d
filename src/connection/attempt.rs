//! Opening connections: libpq's sequence of tries for each `sslmode`, all under one deadline.
//!
//! The decisions are libpq's (PostgreSQL source, `fe-connect.c`, `PQconnectPoll`) but for the differences that
//! `docs/connection.md` lists; the table in `tests/connecting/tls_table.rs` compares them with psql.

use std::time::Duration;

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};

use super::askpass;
use super::cause::{Failure, Stage, Trouble, Try};
use super::class::{Class, Explained};
use super::dial::{Encryption, Mark, dial, offered_certificate};
use super::hosts::{self, Walk};
use super::identity::shown;
use super::login;
use super::security::{self, ClientCertificate, Security, ServerView};
use super::session::{self, Session};
use super::settings::{SessionOptions, Settings, SslMode, TargetSession};
use super::silence::Silence;
use super::stream::PgStream;
use super::tunnel;

/// How long the look at a certificate that was refused may take beyond the attempt itself; within the deadline.
const LOOK: Duration = Duration::from_secs(3);

/// Connects for queries and sets `options`.
///
/// # Errors
/// A [`Failure`] that names the cause and the next step; always within `settings.connect_timeout` for each host.
pub async fn connect(settings: &Settings, options: &SessionOptions) -> Result<Session, Failure> {
    let mut walk = Walk::over(settings);
    while let Some((one, target)) = walk.current() {
        match suitable(one, target, options).await {
            Ok(session) => return Ok(session),
            Err(failure) => walk.failed(failure),
        }
    }
    Err(walk.failure())
}

/// Connects to one host, if its server will do.
async fn suitable(one: &Settings, target: TargetSession, options: &SessionOptions) -> Result<Session, Failure> {
    // Large, and waited for in many places.
    let session = Box::pin(connect_one(one, options)).await?;
    if target != TargetSession::Any {
        let state = session::state(&session).await?;
        if let Some(failure) = hosts::unsuitable(one, target, state) {
            return Err(failure);
        }
    }
    Ok(session)
}

async fn connect_one(settings: &Settings, options: &SessionOptions) -> Result<Session, Failure> {
    let (logged_in, security) = Box::pin(establish(settings, &Purpose::Queries(options))).await?;
    let LoggedIn::Queries(session) = logged_in else { unreachable!("queries were asked for") };
    Ok(Session { security, ..*session })
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
    let found;
    let one = if settings.alternatives.is_empty() && settings.target_session == TargetSession::Any {
        settings
    } else {
        // Which of several servers will do is asked in a session for queries.
        found = connect(settings, &SessionOptions::inspect()).await?.settings;
        &found
    };
    let established = Box::pin(establish(one, &Purpose::Replication(parameters))).await;
    let (logged_in, security) = established.map_err(|failure| hosts::with_source_of_password(failure, one))?;
    let LoggedIn::Replication(stream, input) = logged_in else { unreachable!("replication was asked for") };
    Ok((*stream, input, security))
}

enum Purpose<'a> {
    Queries(&'a SessionOptions),
    Replication(&'a [(&'a str, &'a str)]),
}

impl Purpose<'_> {
    fn silence(&self) -> Silence {
        match self {
            Purpose::Replication(parameters) if parameters.iter().any(|(name, _)| *name == "replication") => {
                Silence::Vanished
            }
            _ => Silence::Waiting,
        }
    }
}

enum LoggedIn {
    Queries(Box<Session>),
    Replication(Box<PgStream>, BytesMut),
}

type Established = (LoggedIn, Security);

async fn establish(settings: &Settings, purpose: &Purpose<'_>) -> Result<Established, Failure> {
    let mut tries = Vec::new();
    let mark = Mark::default();
    let deadline = Instant::now() + settings.connect_timeout;
    let outcome = within(settings, deadline, attempts(settings, purpose, &mark, &mut tries)).await;
    let mut failure = match outcome {
        Some(Ok((logged_in, mut security))) => {
            security.tries = tries.into_iter().map(|(one, _)| one).collect();
            return Ok((logged_in, security));
        }
        Some(Err(failure)) => failure,
        None => {
            let (stage, tls) = mark.get();
            let failure = Failure::explain(&Trouble::Timeout(stage), settings);
            let earlier = tries.pop();
            let last = (failed_try(tls, &failure), None);
            match earlier {
                Some((one, Some(first))) => {
                    tries.extend([(one, None), last]);
                    if tls { both(failure, first) } else { both(first, failure) }
                }
                _ => {
                    tries.push(last);
                    failure
                }
            }
        }
    };
    if failure.class.is_about_the_certificate() && failure.certificate.is_none() {
        let soon = deadline.min(Instant::now() + LOOK);
        let offered = timeout_at(soon, offered_certificate(settings)).await.ok().flatten();
        failure.certificate = offered.map(Box::new);
    }
    failure.tries = tries.into_iter().map(|(one, _)| one).collect();
    Err(failure)
}

/// Within the time limit; only ssh asks anybody anything on the way, and then the clock stands still.
async fn within<T>(settings: &Settings, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    match settings.tunnel {
        Some(_) => askpass::within(settings.connect_timeout, work).await,
        None => timeout_at(deadline, work).await.ok(),
    }
}

/// Every try, and why it failed.
type Tries = Vec<(Try, Option<Failure>)>;

async fn attempts(
    settings: &Settings,
    purpose: &Purpose<'_>,
    mark: &Mark,
    tries: &mut Tries,
) -> Result<Established, Failure> {
    let mode = settings.ssl_mode;
    if let Some(explained) = contradiction(settings) {
        return Err(Failure::explain(&Trouble::Explained(explained), settings));
    }
    let (first, second) = match mode {
        _ if settings.is_unix_socket() => (Encryption::Plain, None),
        SslMode::Disable => (Encryption::Plain, None),
        SslMode::Allow => (Encryption::Plain, Some(Encryption::Needed)),
        SslMode::Prefer => (Encryption::Offered, Some(Encryption::Plain)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Encryption::Needed, None),
    };
    let failed = match one_try(settings, purpose, first, mark, tries).await {
        Ok(established) => return Ok(established),
        Err(failed) => failed,
    };
    let Some(second) = second.filter(|_| failed.other_way_may_help) else { return Err(failed.failure) };
    match one_try(settings, purpose, second, mark, tries).await {
        Ok(established) => Ok(established),
        Err(again) => {
            let (tls, plain) = match mode {
                SslMode::Allow => (again.failure, failed.failure),
                _ => (failed.failure, again.failure),
            };
            Err(both(tls, plain))
        }
    }
}

/// What libpq refuses before it connects.
fn contradiction(settings: &Settings) -> Option<Explained> {
    let tls = &settings.tls;
    let bad = |message: String, remedy: &str| Some(Explained::new(Class::ConfigError, message, remedy));
    if tls.min_version.zip(tls.max_version).is_some_and(|(min, max)| min > max) {
        return bad(
            "ssl_min_protocol_version is newer than ssl_max_protocol_version.".into(),
            "Correct one of the two, or leave both away.",
        );
    }
    if tls.root_cert == super::settings::RootCert::System && settings.ssl_mode != SslMode::VerifyFull {
        let message = format!(
            "sslmode {} is too weak for sslrootcert=system: anybody can get a certificate from a public authority.",
            settings.ssl_mode
        );
        return bad(message, "Use sslmode verify-full.");
    }
    if tls.direct && settings.ssl_mode < SslMode::Require {
        let message = format!("sslmode {} is too weak for sslnegotiation=direct.", settings.ssl_mode);
        return bad(message, "Use sslmode require or stronger, or sslnegotiation=postgres.");
    }
    None
}

/// When both tries failed: the one over TLS is what the user wants to see mended, unless there is no TLS at all.
fn both(tls: Failure, plain: Failure) -> Failure {
    let (first, second, how) =
        if tls.class == Class::TlsUnsupported { (plain, tls, "Over TLS") } else { (tls, plain, "Without TLS") };
    let message = format!("{} {how}: {}", first.message, second.message);
    Failure { message, ..first }
}

struct Failed {
    failure: Failure,
    /// Whether libpq would try once more the other way: with TLS in `allow`, without in `prefer`.
    other_way_may_help: bool,
}

fn failed_try(tls: bool, failure: &Failure) -> Try {
    Try { tls, connected: false, class: Some(failure.class), message: Some(failure.message.clone()) }
}

/// Makes one try and notes it.
async fn one_try(
    settings: &Settings,
    purpose: &Purpose<'_>,
    encryption: Encryption,
    mark: &Mark,
    tries: &mut Tries,
) -> Result<Established, Failed> {
    let mut tls = encryption != Encryption::Plain;
    mark.begin(tls);
    let outcome = one_login(settings, purpose, encryption, mark, &mut tls).await;
    match outcome {
        Ok(established) => {
            tries.push((Try { tls, connected: true, class: None, message: None }, None));
            Ok(established)
        }
        Err((trouble, other_way_may_help)) => {
            let trouble = tunnelled(trouble);
            let failure = Failure::explain(&trouble, settings);
            tries.push((failed_try(tls, &failure), Some(failure.clone())));
            Err(Failed { failure, other_way_may_help })
        }
    }
}

async fn one_login(
    settings: &Settings,
    purpose: &Purpose<'_>,
    encryption: Encryption,
    mark: &Mark,
    tls: &mut bool,
) -> Result<Established, (Trouble, bool)> {
    let link = dial(settings, encryption, purpose.silence(), mark)
        .await
        .map_err(|failed| (failed.trouble, failed.tls_failed))?;
    *tls = link.encrypted;
    mark.set(Stage::Login);
    let observed = link.stream.observed();
    let mut security = Security {
        encrypted: link.encrypted,
        unix_socket: settings.is_unix_socket(),
        verified: link.verified,
        tls: None,
        certificate: link.certificate.map(Box::new),
        client_certificate: link
            .identity
            .map(|files| ClientCertificate { file: shown(&files.cert), by_default: files.by_default }),
        password: super::stream::PasswordRequest::None,
        tries: Vec::new(),
        warnings: link.unheeded.as_deref().map(security::not_heeded).into_iter().collect(),
    };
    let outcome: Result<(LoggedIn, Option<ServerView>), Trouble> = match purpose {
        Purpose::Queries(options) => {
            session::log_in(link.stream, link.encrypted, settings, options).await.map(|queries| {
                let session = Session {
                    client: queries.client,
                    security: security.clone(),
                    settings: settings.clone(),
                    peer: link.peer,
                    _driver: queries.driver,
                };
                (LoggedIn::Queries(Box::new(session)), queries.server_view)
            })
        }
        Purpose::Replication(parameters) => login::log_in(link.stream, settings, parameters)
            .await
            .map(|(stream, input)| (LoggedIn::Replication(Box::new(stream), input), None)),
    };
    let seen = *observed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    match outcome {
        Ok((logged_in, server_view)) => {
            security.password = seen.password;
            security.judge_certificate();
            security.compare(server_view);
            Ok((logged_in, security))
        }
        Err(trouble) => {
            let trouble = seen.refusal.map_or(trouble, Trouble::Refused);
            // `N` was the answer to the SSLRequest: plain text was just tried.
            let tried_both = encryption == Encryption::Offered && !link.encrypted;
            let may_help = seen.error && !seen.authenticated && !tried_both && server_said_no(&trouble, link.encrypted);
            Err((trouble, may_help))
        }
    }
}

/// What broke a stream through a bastion is what ssh said, not that the stream broke.
fn tunnelled(trouble: Trouble) -> Trouble {
    match &trouble {
        Trouble::Io(_, error) => tunnel::cause(error).map_or(trouble, Trouble::Explained),
        _ => trouble,
    }
}

/// An error of the server before `AuthenticationOk` makes libpq try the other way, except while it can't take
/// connections at all. Unlike libpq walpilot does not offer a refused password a second time without TLS, nor anything to
/// whoever is in the middle.
fn server_said_no(trouble: &Trouble, encrypted: bool) -> bool {
    match trouble {
        Trouble::Server(error) => {
            error.sqlstate != "57P03" && !(encrypted && (error.sqlstate == "28P01" || error.is_channel_binding()))
        }
        _ => false,
    }
}
