//! Through a real bastion: what works, what is refused and how it is told, and that nothing of it survives.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use crate::support::bastion::Bastion;
use crate::support::{self, certificates, session, started};
use walpilot::connection::settings::{RootCert, Tunnel};
use walpilot::connection::{Class, Failure, Secret, SessionOptions, Settings, SslMode, attempt, connect, uri};
use walpilot::demo::Cluster;

/// `settings` through a bastion.
fn through(settings: &Settings, tunnel: Tunnel) -> Settings {
    Settings { tunnel: Some(tunnel), ..settings.clone() }
}

async fn failure(settings: &Settings) -> Failure {
    match connect(settings, &SessionOptions::inspect()).await {
        Ok(_) => panic!("connected to {settings}"),
        Err(failure) => failure,
    }
}

#[tokio::test]
async fn names_in_the_certificate_are_those_of_the_database() {
    let certificate = certificates::self_signed("db.walpilot.test");
    let builder = Cluster::builder(&support::binaries()).tls(&certificate.certificate, &certificate.key);
    let (cluster, bastion) = (started(builder).await, Bastion::start(""));
    let root = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(root.path(), &certificate.certificate).expect("the root certificate");
    let mut settings = through(&cluster.settings(), bastion.tunnel());
    settings.host = "db.walpilot.test".to_owned();
    settings.hostaddr = Some("127.0.0.1".to_owned());
    settings.ssl_mode = SslMode::VerifyFull;
    settings.tls.root_cert = RootCert::File(root.path().to_owned());
    let session = session(&settings).await;
    assert!(session.security.encrypted);
    let wrong = failure(&Settings { host: "other.walpilot.test".to_owned(), ..settings.clone() }).await;
    assert_eq!(wrong.class, Class::CertHostMismatch, "{wrong}");
}

#[tokio::test]
async fn replication_cancel_and_jump_hosts_go_through_too() {
    let (cluster, bastion) = (support::source().await, Bastion::start(""));
    let settings = through(&cluster.settings(), bastion.tunnel());
    attempt::connect_replication(&settings, &[]).await.unwrap_or_else(|failure| panic!("{failure}"));
    let session = session(&settings).await;
    let (slept, cancelled) = tokio::join!(session.client.batch_execute("SELECT pg_sleep(60)"), async {
        support::await_until("the statement runs", async || {
            support::value(
                &cluster.settings(),
                "SELECT count(*)::text FROM pg_stat_activity WHERE query ~ 'sleep\\(60'",
            )
            .await
                == "1"
        })
        .await;
        session.cancel().await
    });
    cancelled.unwrap_or_else(|failure| panic!("{failure}"));
    let stopped = slept.expect_err("cancelled");
    let message = stopped.as_db_error().expect("the server's word").message();
    assert_eq!(message, "canceling statement due to user request");
    // A jump host takes its keys from the configuration.
    let tunnel = Tunnel { destination: "nested".into(), port: None, jump: Some("nested".into()), ..bastion.tunnel() };
    support::session(&through(&cluster.settings(), tunnel)).await;
}

#[tokio::test]
async fn every_way_to_fail_has_its_class() {
    let cluster = support::destination().await;
    let (bastion, closed) = (Bastion::start(""), Bastion::start("AllowTcpForwarding no"));
    let picky = Bastion::start("PermitOpen 127.0.0.1:1");
    let settings = through(&cluster.settings(), bastion.tunnel());
    let tunnel = bastion.tunnel();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let nobody =
        { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("its address").port() };
    for (what, settings, class) in [
        (
            "a stranger's key",
            through(
                &settings,
                Tunnel { identity: Some(bastion.key("stranger")), config: Some("/dev/null".into()), ..tunnel.clone() },
            ),
            Class::SshHostKeyUnknown,
        ),
        (
            "nobody at the bastion",
            through(&settings, Tunnel { port: Some(nobody), ..tunnel.clone() }),
            Class::SshRefused,
        ),
        (
            "no such bastion",
            through(&settings, Tunnel { destination: "nowhere.invalid".into(), ..tunnel.clone() }),
            Class::SshDns,
        ),
        ("forwarding forbidden", through(&settings, closed.tunnel()), Class::SshForwardingForbidden),
        ("another server only", through(&settings, picky.tunnel()), Class::SshForwardingForbidden),
        ("nobody at the database", Settings { port: nobody, ..settings.clone() }, Class::SshDbUnreachable),
        (
            "no such database host",
            Settings { host: "nowhere.invalid".into(), ..settings.clone() },
            Class::SshDbUnreachable,
        ),
        (
            "a silent bastion",
            Settings {
                connect_timeout: Duration::from_secs(3),
                ..through(
                    &settings,
                    Tunnel { port: Some(silent.local_addr().expect("its address").port()), ..tunnel.clone() },
                )
            },
            Class::SshTimeout,
        ),
        ("a socket", Settings { host: "/tmp".into(), ..settings.clone() }, Class::ConfigError),
        (
            "no configuration",
            through(&settings, Tunnel { config: Some("/nonexistent".into()), ..tunnel.clone() }),
            Class::ConfigError,
        ),
        (
            "a wrong password",
            Settings { password: Some(Secret::new("wrong")), ..settings.clone() },
            Class::PasswordWrong,
        ),
    ] {
        let failure = failure(&settings).await;
        assert_eq!(failure.class, class, "{what}: {failure}");
        assert!(failure.message.ends_with('.') && !failure.message.contains("tokio"), "{what}: {failure}");
    }
    for mode in [SslMode::Prefer, SslMode::Require] {
        let failure = failure(&Settings { port: nobody, ssl_mode: mode, ..settings.clone() }).await;
        assert_eq!((failure.class, failure.tries.len()), (Class::SshDbUnreachable, 1), "{mode}: {failure}");
    }
}

#[tokio::test]
async fn host_keys_are_left_to_ssh() {
    let (cluster, bastion) = (support::destination().await, Bastion::start(""));
    let settings = through(&cluster.settings(), bastion.tunnel());
    for (keys, class) in [
        (&[][..], Class::SshHostKeyUnknown),
        (&[("", "stranger")], Class::SshHostKeyChanged),
        (&[("@revoked", "host")], Class::SshHostKeyRevoked),
    ] {
        bastion.knows(keys);
        let failure = failure(&settings).await;
        assert_eq!(failure.class, class, "{keys:?}: {failure}");
    }
    bastion.knows(&[("", "host")]);
    session(&settings).await;
    let stranger = Tunnel { destination: "nested".into(), port: None, ..bastion.tunnel() };
    let only = Tunnel { identity: None, ..stranger.clone() };
    session(&through(&settings, only)).await;
    std::fs::write(bastion.key("user"), std::fs::read(bastion.key("stranger")).expect("a key")).expect("a key");
    let refused = failure(&through(&settings, stranger)).await;
    assert_eq!(refused.class, Class::SshAuthFailed, "{refused}");
}

#[tokio::test]
async fn a_destination_can_never_become_an_option() {
    let trace = tempfile::tempdir().expect("a directory").keep().join("touched");
    let bastion = Bastion::start("");
    let hostile = format!("-oProxyCommand=touch {}", trace.display());
    let spaced = format!("-oProxyCommand=touch\u{a0}{}", trace.display());
    for hostile in [hostile.as_str(), &spaced, "-F/dev/null", "", "a b", "a\nb"] {
        for tunnel in [
            Tunnel { destination: hostile.to_owned(), ..bastion.tunnel() },
            Tunnel { jump: Some(hostile.to_owned()), ..bastion.tunnel() },
        ] {
            let failure = failure(&through(&Settings::default(), tunnel)).await;
            assert_eq!(failure.class, Class::ConfigError, "{hostile:?}: {failure}");
        }
    }
    // What a shell would run is only a name that does not exist.
    for name in [format!("$(touch${{IFS}}{})", trace.display()), format!("x;touch${{IFS}}{}", trace.display())] {
        for tunnel in [
            Tunnel { destination: name.clone(), ..bastion.tunnel() },
            Tunnel { jump: Some(name.clone()), ..bastion.tunnel() },
        ] {
            failure(&through(&Settings { host: "127.0.0.1".into(), ..Settings::default() }, tunnel)).await;
        }
    }
    assert!(!trace.exists(), "a command ran");
    std::fs::remove_dir(trace.parent().expect("its directory")).expect("empty");
}

#[tokio::test]
async fn ssh_ends_with_the_session_and_with_a_killed_walpilot() {
    let (cluster, bastion) = (support::destination().await, Bastion::start(""));
    let jump = Tunnel { destination: "nested".into(), port: None, jump: Some("nested".into()), ..bastion.tunnel() };
    let open = session(&through(&cluster.settings(), jump)).await;
    assert!(bastion.clients() >= 2, "the jump host has a client of its own");
    drop(open);
    support::await_until("ssh ends with its session", async || bastion.clients() == 0).await;

    // A server that accepts and says nothing keeps walpilot waiting.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let text = format!("host=127.0.0.1 port={} connect_timeout=60", silent.local_addr().expect("its address").port());
    uri::parse(&text, &Settings::default()).expect("a connection string");
    let (port, config) = (bastion.port().to_string(), bastion.config());
    let ssh = ["--ssh", &format!("127.0.0.1:{port}"), "--ssh-config", config.to_str().expect("UTF-8")];
    let (mut child, _home) = support::walpilot(["check", "--connect-only"].iter().chain(&ssh).chain(&[text.as_str()]))
        .env("PGPASSWORD", "S3NT1NEL")
        .spawn();
    support::await_until("ssh runs", async || bastion.clients() == 1).await;
    child.kill().await.expect("killed");
    support::await_until("ssh ends with walpilot", async || bastion.clients() == 0).await;
}
