//! The connector against real servers: logins, the decision about encryption, cancelling. Servers that are none are in
//! `fakes.rs`.

use crate::support::{self, await_until, certificates, execute, psql, session, source, source_builder, started, value};
use bytes::{Buf, BytesMut};
use postgres_protocol::message::{backend::Message, frontend};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use walpilot::connection::attempt::connect_replication;
use walpilot::connection::stream::{PasswordRequest, PgStream};
use walpilot::connection::{Class, Failure, Secret, SessionOptions, Settings, SslMode, connect};
use walpilot::demo::Cluster;

const SSL: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

fn with_mode(settings: &Settings, ssl_mode: SslMode) -> Settings {
    Settings { ssl_mode, ..settings.clone() }
}

async fn with_tls(hba: &[&str]) -> Cluster {
    let certificate = certificates::self_signed("somebody.else");
    let builder = source_builder().tls(&certificate.certificate, &certificate.key);
    let mut cluster = started(builder).await;
    cluster.set_hba(hba).expect("pg_hba.conf");
    // A restart and not a reload, so that the lines count from here on.
    cluster.stop_fast().await.expect("stopped");
    if hba.is_empty() {
        cluster.start_again().await.expect("started");
    } else {
        // The lines may keep out the login that waits for the start.
        let _ = cluster.start_again().await;
    }
    cluster
}

async fn failure(settings: &Settings) -> Failure {
    connect(settings, &SessionOptions::inspect()).await.err().unwrap_or_else(|| panic!("{settings} let us in"))
}

/// Whether a session in this mode is encrypted: what walpilot says, which must be what the server says.
async fn encrypted(settings: &Settings) -> bool {
    let session = session(settings).await;
    let row = session.client.query_one(SSL, &[]).await.expect("pg_stat_ssl");
    assert_eq!(row.get::<_, bool>(0), session.security.encrypted, "{settings}");
    session.security.encrypted
}

#[tokio::test]
async fn refusals_of_a_real_server_have_their_class() {
    let cluster = source().await;
    let good = cluster.settings();
    execute(&good, "CREATE ROLE sleeper NOLOGIN PASSWORD 'x'; CREATE ROLE guest LOGIN REPLICATION PASSWORD 'x'").await;
    execute(&good, "CREATE DATABASE closed ALLOW_CONNECTIONS false").await;
    execute(&good, "CREATE DATABASE private").await;
    execute(&good, "REVOKE CONNECT ON DATABASE private FROM PUBLIC").await;
    let word = Some(Secret::new("x"));
    for (settings, class, names) in [
        (Settings { password: word.clone(), ..good.clone() }, Class::PasswordWrong, "postgres"),
        (good.as_user("nobody", word.clone()), Class::PasswordWrong, "nobody"),
        (Settings { password: None, ..good.clone() }, Class::PasswordMissing, "PGPASSWORD"),
        (Settings { password: Some(Secret::new("")), ..good.clone() }, Class::PasswordMissing, "PGPASSWORD"),
        (Settings { database: "no\x1bsuch".into(), ..good.clone() }, Class::DbMissing, "no\\u{1b}such"),
        (Settings { database: "closed".into(), ..good.clone() }, Class::DbNotAccepting, "closed"),
        (good.as_user("sleeper", word.clone()), Class::RoleNologin, "ALTER ROLE \"sleeper\" LOGIN"),
        (
            Settings { database: "private".into(), ..good.as_user("guest", word.clone()) },
            Class::NoConnectPriv,
            "GRANT CONNECT ON DATABASE \"private\" TO \"guest\"",
        ),
        (cluster.socket_settings().as_user("nobody", None), Class::RoleMissing, "nobody"),
    ] {
        let failure = failure(&settings).await;
        assert_eq!(failure.class, class, "{failure}");
        let text = failure.to_string();
        assert!(text.contains(names) && !text.contains('\x1b'), "{text}");
        assert_eq!(failure.tries.len(), 1, "{:?}", failure.tries);
        // The walsender's login is walpilot's own; it must see the same.
        let walsender = connect_replication(&settings, &[("replication", "database")]).await.err();
        let walsender = walsender.unwrap_or_else(|| panic!("{settings} let a walsender in"));
        assert_eq!(walsender.class, class, "{walsender}");
    }
}

#[tokio::test]
async fn a_full_server_says_so() {
    let limits = source_builder().setting("max_connections", "3").setting("max_wal_senders", "1");
    let cluster = started(limits.setting("superuser_reserved_connections", "0").setting("autovacuum", "off")).await;
    let mut guests = Vec::new();
    let failure = loop {
        match connect(&cluster.settings(), &SessionOptions::inspect()).await {
            Ok(session) => guests.push(session),
            Err(failure) => break failure,
        }
        assert!(guests.len() < 10, "it is never full");
    };
    assert_eq!(failure.class, Class::TooManyConnections, "{failure}");
}

#[tokio::test]
async fn a_session_has_the_limits_that_were_asked_for() {
    let cluster = source().await;
    let session = connect(&cluster.settings(), &SessionOptions::inspect()).await.unwrap();
    for (name, expected) in [
        ("application_name", "walpilot"),
        ("statement_timeout", "10s"),
        ("lock_timeout", "2s"),
        ("default_transaction_read_only", "on"),
        ("search_path", "pg_catalog"),
        ("TimeZone", "UTC"),
        // Over TCP the server says what its socket does.
        ("tcp_keepalives_idle", "15"),
        ("tcp_keepalives_interval", "15"),
        ("tcp_keepalives_count", "3"),
    ] {
        let row = session.client.query_one(&format!("SHOW {name}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), expected, "{name}");
    }
    assert!(session.client.batch_execute("CREATE TABLE public.t ()").await.is_err(), "an inspection may not write");
}

#[tokio::test]
async fn each_mode_encrypts_as_it_says() {
    let (plain, tls) = (source().await, with_tls(&[]).await);
    let refused = failure(&with_mode(&plain.settings(), SslMode::Require)).await;
    assert_eq!(refused.class, Class::TlsUnsupported, "{refused}");
    for (cluster, mode, expected) in [
        (&plain, SslMode::Disable, false),
        (&plain, SslMode::Prefer, false),
        (&tls, SslMode::Disable, false),
        (&tls, SslMode::Prefer, true),
        (&tls, SslMode::Require, true),
    ] {
        let settings = with_mode(&cluster.settings(), mode);
        assert_eq!(encrypted(&settings).await, expected, "{mode}");
        assert_eq!(psql(&settings, SSL) == "t", expected, "psql decides otherwise for {mode}");
    }
    // A socket is not encrypted, whatever the mode (libpq documentation, "sslmode").
    assert!(!encrypted(&with_mode(&tls.socket_settings(), SslMode::Require)).await);
}

#[tokio::test]
async fn a_server_that_takes_only_tls_says_what_to_do() {
    let cluster = with_tls(&["hostssl all all 127.0.0.1/32 scram-sha-256", "host all all 127.0.0.1/32 reject"]).await;
    assert!(encrypted(&with_mode(&cluster.settings(), SslMode::Prefer)).await);
    assert_eq!(failure(&with_mode(&cluster.settings(), SslMode::Disable)).await.class, Class::HbaReject);
    // Without the reject line the server says "no pg_hba.conf entry"; the default lines must go for that.
    let file = cluster.data_directory().join("pg_hba.conf");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.lines().next().unwrap().to_owned() + "\nlocal all all trust\n").unwrap();
    execute(&cluster.socket_settings(), "SELECT pg_reload_conf()").await;
    let disable = with_mode(&cluster.settings(), SslMode::Disable);
    await_until("the lines count", async || failure(&disable).await.class == Class::NoPgHba).await;
    let refused = failure(&disable).await;
    assert!(refused.remedy.contains("sslmode require") && refused.remedy.contains("hostssl"), "{refused}");
    assert!(encrypted(&with_mode(&cluster.settings(), SslMode::Require)).await);
}

#[tokio::test]
async fn prefer_falls_back_where_only_plain_text_is_taken() {
    let cluster =
        with_tls(&["hostnossl all all 127.0.0.1/32 scram-sha-256", "hostssl all all 127.0.0.1/32 reject"]).await;
    let prefer = with_mode(&cluster.settings(), SslMode::Prefer);
    let session = session(&prefer).await;
    assert!(!session.security.encrypted);
    let tries: Vec<_> = session.security.tries.iter().map(|one| (one.tls, one.connected, one.class)).collect();
    assert_eq!(tries, [(true, false, Some(Class::HbaReject)), (false, true, None)]);
    assert_eq!(psql(&prefer, SSL), "f");
    let refused = failure(&with_mode(&cluster.settings(), SslMode::Require)).await;
    assert_eq!((refused.class, refused.tries.len()), (Class::HbaReject, 1), "{refused}");
    let (_, _, security) = connect_replication(&prefer, &[("replication", "database")]).await.unwrap();
    assert!(!security.encrypted && security.tries.len() == 2, "{security:?}");
}

#[tokio::test]
async fn prefer_offers_a_wrong_password_once() {
    let cluster = with_tls(&[]).await;
    let wrong = Settings { password: Some(Secret::new("wrong")), ..cluster.settings() };
    assert_eq!(failure(&wrong).await.tries.len(), 1);
    let refused = cluster.log().matches("password authentication failed for user").count();
    assert_eq!(refused, 1, "tools that count failures in the log would count more:\n{}", cluster.log());
}

#[tokio::test]
async fn every_kind_of_password_is_spoken() {
    let mut cluster = with_tls(&[]).await;
    execute(&cluster.settings(), "SET password_encryption = md5; CREATE ROLE old LOGIN REPLICATION PASSWORD 'x'").await;
    execute(&cluster.settings(), "CREATE ROLE clear LOGIN REPLICATION PASSWORD 'x'").await;
    cluster.set_hba(&["host all clear 127.0.0.1/32 password", "host all old 127.0.0.1/32 md5"]).unwrap();
    cluster.stop_fast().await.unwrap();
    cluster.start_again().await.unwrap();
    for (user, mode, request) in [
        ("old", SslMode::Disable, PasswordRequest::Md5),
        ("old", SslMode::Require, PasswordRequest::Md5),
        ("clear", SslMode::Require, PasswordRequest::ClearText),
    ] {
        let settings = with_mode(&cluster.settings().as_user(user, Some(Secret::new("x"))), mode);
        assert_eq!(session(&settings).await.security.password, request);
        let (_, _, security) = connect_replication(&settings, &[("replication", "database")]).await.unwrap();
        assert_eq!(security.password, request);
    }
    // Without TLS a clear-text password is not sent, not even to a server of this machine: it could be anybody's.
    let open = with_mode(&cluster.settings().as_user("clear", Some(Secret::new("x"))), SslMode::Disable);
    let Err(failure) = connect(&open, &SessionOptions::inspect()).await else { panic!("the password was sent") };
    assert_eq!(failure.class, Class::CleartextRefused);
    assert_eq!(session(&cluster.settings()).await.security.password, PasswordRequest::ScramPlus);
    assert_eq!(session(&cluster.socket_settings()).await.security.password, PasswordRequest::None);
}

/// Asks a walsender who the server is; returns the first column, the system identifier.
async fn identify(stream: &mut PgStream, input: &mut BytesMut) -> String {
    let mut query = BytesMut::new();
    frontend::query("IDENTIFY_SYSTEM", &mut query).expect("a query");
    stream.write_all(&query).await.expect("sent");
    let mut answer = String::new();
    loop {
        match Message::parse(input).expect("a message") {
            Some(Message::DataRow(body)) => {
                let mut fields = body.buffer();
                let length = fields.get_u32() as usize;
                answer = String::from_utf8(fields[..length].to_vec()).expect("digits");
            }
            Some(Message::ReadyForQuery(_)) => return answer,
            Some(Message::ErrorResponse(_)) => panic!("IDENTIFY_SYSTEM is a walsender's command"),
            Some(_) => {}
            None => assert_ne!(stream.read_buf(input).await.expect("read"), 0, "the walsender hung up"),
        }
    }
}

#[tokio::test]
async fn a_walsender_logs_in_plain_and_over_tls() {
    let cluster = with_tls(&[]).await;
    let identifier = value(&cluster.settings(), "SELECT system_identifier FROM pg_control_system()").await;
    for (mode, tls) in [(SslMode::Disable, "f"), (SslMode::Prefer, "t"), (SslMode::Require, "t")] {
        let settings = with_mode(&cluster.settings(), mode);
        let name = format!("walpilot-{mode}");
        let parameters = [("replication", "database"), ("application_name", name.as_str())];
        let (mut stream, mut input, security) = connect_replication(&settings, &parameters).await.unwrap();
        let request = if tls == "t" { PasswordRequest::ScramPlus } else { PasswordRequest::Scram };
        assert_eq!((security.encrypted, security.password), (tls == "t", request));
        assert_eq!(identify(&mut stream, &mut input).await, identifier);
        let sql = format!(
            "SELECT s.ssl FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) \
             WHERE a.backend_type = 'walsender' AND a.application_name = '{name}'"
        );
        assert_eq!(value(&cluster.settings(), &sql).await, tls, "{mode}");
    }
}

#[tokio::test]
async fn a_role_that_may_not_replicate_is_told_what_it_lacks() {
    let cluster = source().await;
    execute(&cluster.settings(), "CREATE ROLE \"Guest\" LOGIN PASSWORD 'x'").await;
    let guest = cluster.settings().as_user("Guest", Some(Secret::new("x")));
    let failure = connect_replication(&guest, &[("replication", "database")]).await.err().unwrap();
    assert_eq!(failure.class, Class::PermissionDenied, "{failure}");
    assert!(failure.remedy.contains("ALTER ROLE \"Guest\" REPLICATION;"), "{failure}");
}

#[tokio::test]
async fn a_running_query_is_cancelled_over_the_same_kind_of_connection() {
    let cluster = with_tls(&["hostssl all all 127.0.0.1/32 scram-sha-256"]).await;
    for settings in [
        with_mode(&cluster.settings(), SslMode::Require),
        with_mode(&cluster.settings(), SslMode::Disable),
        cluster.socket_settings(),
    ] {
        let session = session(&settings).await;
        let pid: i32 = session.client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let running =
            format!("SELECT state = 'active' FROM pg_stat_activity WHERE pid = {pid} AND query LIKE '%pg_sleep%'");
        let cancelling = async {
            let admin = cluster.socket_settings();
            await_until("it sleeps", async || support::query(&admin, &running).await.len() == 1).await;
            session.cancel().await.unwrap_or_else(|failure| panic!("{failure}"));
        };
        let (result, ()) = tokio::join!(session.client.batch_execute("SELECT pg_sleep(50)"), cancelling);
        let code = result.err().and_then(|error| error.code().cloned());
        assert_eq!(code, Some(tokio_postgres::error::SqlState::QUERY_CANCELED), "{settings}");
    }
}
