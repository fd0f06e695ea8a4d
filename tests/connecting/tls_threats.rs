//! What hostile and broken servers, and those who listen on the line, can't do to walpilot.

use std::time::Duration;

use crate::support::fakes::{CANCEL_REQUEST, Fake, listening_proxy, tls_ending_proxy, tls_from_the_start};
use crate::support::pki::{Pair, Wanted};
use crate::support::{self, PATIENCE, source_builder, started};
use tokio_postgres::error::SqlState;
use walpilot::connection::stream::PasswordRequest;
use walpilot::connection::{Class, Failure, Secret, SessionOptions, Settings, SslMode, connect};

const SENTINEL: &str = "S3NT1NEL";

fn at(port: u16, mode: SslMode) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port,
        user: "app".to_owned(),
        password: Some(Secret::new(SENTINEL)),
        ssl_mode: mode,
        connect_timeout: Duration::from_secs(1),
        ..Settings::default()
    }
}

async fn failure(settings: &Settings) -> Failure {
    let ended = tokio::time::timeout(PATIENCE, connect(settings, &SessionOptions::inspect())).await;
    match ended.unwrap_or_else(|_| panic!("hangs in mode {}", settings.ssl_mode)) {
        Ok(_) => panic!("connected to a fake in mode {}", settings.ssl_mode),
        Err(failure) => failure,
    }
}

/// What each fake ends as, by mode. `verify-*` have no root certificate here, so they end before the handshake.
fn expected(fake: Fake, mode: SslMode) -> Class {
    let tls = mode >= SslMode::Prefer;
    let needs = mode >= SslMode::Require;
    match fake {
        Fake::Closes => Class::ServerClosed,
        Fake::Http => Class::NotPostgres,
        Fake::OldError if tls => Class::NotPostgres,
        Fake::Injects if tls => Class::NotPostgres,
        Fake::SaysSAndHangs | Fake::HangsInTls | Fake::ClosesInHandshake if mode.verifies() => Class::RootCertMissing,
        Fake::ClosesInHandshake if tls => Class::ServerClosed,
        Fake::SaysNAndHangs | Fake::Drips | Fake::HugeLength | Fake::Steals | Fake::Escapes if needs => {
            Class::TlsUnsupported
        }
        Fake::Steals => Class::CleartextRefused,
        Fake::Escapes => Class::AuthMethodUnsupported,
        _ => Class::Timeout,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fake_makes_it_hang_or_tells_it_lies() {
    let mut tasks = tokio::task::JoinSet::new();
    for fake in Fake::ALL {
        for mode in SslMode::ALL {
            tasks.spawn(async move {
                let server = fake.start().await;
                let failure = failure(&at(server.port, mode)).await;
                let heard = server.heard.lock().unwrap().clone();
                let heard = String::from_utf8_lossy(&heard).into_owned();
                assert!(!heard.contains(SENTINEL), "{fake:?} {mode}: the password left: {heard:?}");
                let shown = format!("{failure} {failure:?}");
                assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{fake:?} {mode}: {shown:?}");
                // In `prefer` a broken handshake is followed by a try in plain text, which may end otherwise.
                let expected = expected(fake, mode);
                (failure.class != expected).then(|| format!("{fake:?} {mode}: {expected:?} was expected: {failure:?}"))
            });
        }
    }
    let mut wrong = Vec::new();
    while let Some(done) = tasks.join_next().await {
        wrong.extend(done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nothing_listens_and_no_such_name_are_told_apart() {
    let port = {
        let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        unused.local_addr().expect("an address").port()
    };
    assert_eq!(failure(&at(port, SslMode::Prefer)).await.class, Class::Refused);
    let nowhere = Settings {
        host: "no-such-host.invalid".into(),
        connect_timeout: Duration::from_secs(20),
        ..at(port, SslMode::Prefer)
    };
    assert_eq!(failure(&nowhere).await.class, Class::DnsFailure);
    let socket = Settings { host: "/nonexistent".into(), ..at(port, SslMode::VerifyFull) };
    assert_eq!(failure(&socket).await.class, Class::SocketMissing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_request_goes_over_tls_and_reaches_the_query() {
    let pair = Pair::authority("Root of the tests");
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let line = listening_proxy(cluster.port()).await;
    let settings = Settings { port: line.port, ssl_mode: SslMode::Require, ..cluster.settings() };
    let session = connect(&settings, &SessionOptions::inspect()).await.unwrap();
    assert!(session.security.encrypted);
    let sleeping = session.client.simple_query("SELECT pg_catalog.pg_sleep(600)");
    let cancelling = async {
        let watcher = connect(&cluster.settings(), &SessionOptions::inspect()).await.unwrap();
        support::await_until("the query runs", async || {
            let sql = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active' \
                       AND pid <> pg_backend_pid()";
            !watcher.client.query(sql, &[]).await.unwrap().is_empty()
        })
        .await;
        session.cancel().await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleeping, cancelling);
    assert_eq!(slept.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    let heard = line.heard.lock().unwrap().clone();
    assert!(!heard.windows(4).any(|bytes| bytes == CANCEL_REQUEST), "the cancel key passed in plain text");
    let password = cluster.password().reveal().as_bytes();
    assert!(!heard.windows(password.len()).any(|bytes| bytes == password));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_ends_tls_is_noticed() {
    let cluster = started(source_builder()).await;
    let pooler = tls_ending_proxy(cluster.port()).await;
    let settings = Settings { port: pooler.port, ssl_mode: SslMode::Require, ..cluster.settings() };
    let session = connect(&settings, &SessionOptions::inspect()).await.unwrap();
    let security = &session.security;
    assert!(security.encrypted && security.tls.is_none(), "{security:?}");
    assert!(security.warnings.iter().any(|warning| warning.contains("pooler")), "{security:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_security_of_a_connection_is_what_the_server_says_too() {
    let root = Pair::authority("Root of the tests");
    let pair = root.sign(&Wanted {
        common_name: "db",
        names: &["localhost", "127.0.0.1"],
        days: Some((-1, 5)),
        ..Wanted::default()
    });
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let settings = Settings { ssl_mode: SslMode::Require, ..cluster.settings() };
    let session = connect(&settings, &SessionOptions::inspect()).await.unwrap();
    let security = &session.security;
    let tls = security.tls.as_ref().expect("pg_stat_ssl");
    let row =
        session.client.query_one("SELECT version, cipher, bits FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]);
    let row = row.await.unwrap();
    assert_eq!((tls.version.as_str(), tls.cipher.as_str()), (row.get(0), row.get(1)));
    assert_eq!(security.password, PasswordRequest::ScramPlus);
    let certificate = security.certificate.as_ref().expect("the server's certificate");
    assert_eq!((certificate.subject.as_str(), certificate.issuer.as_str()), ("CN=db", "CN=Root of the tests"));
    assert_eq!(certificate.names, ["localhost", "127.0.0.1"]);
    let hex: String = pair
        .certificate
        .digest(openssl::hash::MessageDigest::sha256())
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(certificate.sha256, hex);
    let now = std::time::SystemTime::UNIX_EPOCH + std::time::UNIX_EPOCH.elapsed().unwrap();
    assert!((4..=5).contains(&certificate.days_left(now)), "{certificate:?}");

    let socket = connect(&cluster.socket_settings(), &SessionOptions::inspect()).await.unwrap();
    assert!(socket.security.unix_socket && !socket.security.encrypted && socket.security.warnings.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_certificate_is_shown_and_a_refused_password_is_offered_once() {
    let pair = Pair::authority("Self-made");
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let folder = tempfile::tempdir().expect("a folder");
    let root = support::pki::public_file(folder.path(), "root.crt", Pair::authority("Another").pem());
    let mut settings = Settings { ssl_mode: SslMode::VerifyCa, ..cluster.settings() };
    settings.tls.root_cert = walpilot::connection::settings::RootCert::File(root);
    let failure = failure(&settings).await;
    assert_eq!(failure.class, Class::CertUntrusted);
    let offered = failure.certificate.expect("the certificate that the server offered");
    assert_eq!((offered.subject.as_str(), offered.self_signed), ("CN=Self-made", true));

    let wrong = Settings { password: Some(Secret::new(SENTINEL)), ..cluster.settings() };
    assert_eq!(wrong.ssl_mode, SslMode::Prefer);
    let refused = self::failure(&wrong).await;
    assert_eq!(refused.class, Class::PasswordWrong);
    assert_eq!(cluster.log().matches("password authentication failed").count(), 1, "{}", cluster.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_tls_begins_with_the_handshake_and_names_the_protocol_and_the_host() {
    let cluster = started(source_builder()).await;
    let front = tls_from_the_start(cluster.port()).await;
    for (no_sni, host) in [(false, "db.walpilot.test"), (true, "db.walpilot.test"), (false, "127.0.0.1")] {
        let line = listening_proxy(front.port).await;
        let mut settings = Settings {
            host: host.to_owned(),
            hostaddr: Some("127.0.0.1".to_owned()),
            port: line.port,
            ssl_mode: SslMode::Require,
            ..cluster.settings()
        };
        settings.tls.direct = true;
        settings.tls.no_sni = no_sni;
        let session = connect(&settings, &SessionOptions::inspect()).await.unwrap();
        assert!(session.security.encrypted);
        let heard = line.heard.lock().unwrap().clone();
        let says = |words: &[u8]| heard.windows(words.len()).any(|bytes| bytes == words);
        assert_eq!(heard[0], 0x16, "a handshake record of TLS");
        assert!(says(b"postgresql"), "the application protocol");
        assert_eq!(says(host.as_bytes()), !no_sni && host == "db.walpilot.test", "{host} {no_sni}");

        settings.ssl_mode = SslMode::Prefer;
        assert_eq!(failure(&settings).await.class, Class::ConfigError, "libpq: weak sslmode");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_attempt_leaves_no_connection_behind() {
    let server = Fake::SaysNAndHangs.start().await;
    let settings = Settings { connect_timeout: PATIENCE, ..at(server.port, SslMode::Prefer) };
    let attempt = tokio::spawn(async move { connect(&settings, &SessionOptions::inspect()).await.map(|_| ()) });
    support::await_until("the attempt is under way", async || server.open() == 1).await;
    attempt.abort();
    support::await_until("the connection is closed", async || server.open() == 0).await;
}
