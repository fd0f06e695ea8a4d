//! The connector against what is no PostgreSQL, hangs, breaks off or sits in the middle.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{PATIENCE, certificates, source, source_builder, started};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use walpilot::connection::attempt::connect_replication;
use walpilot::connection::{Class, Failure, Secret, SessionOptions, Settings, SslMode, connect};

/// An address where each connection, numbered from 0, is handed to `serve`.
async fn listener<F, S>(serve: S) -> SocketAddr
where
    S: Fn(usize, TcpStream) -> F + Send + 'static,
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            tokio::spawn(serve(number, stream));
        }
    });
    address
}

fn at(address: SocketAddr, ssl_mode: SslMode) -> Settings {
    Settings {
        host: address.ip().to_string(),
        port: address.port(),
        password: Some(Secret::new("S3NT1NEL")),
        ssl_mode,
        connect_timeout: Duration::from_millis(300),
        ..Settings::default()
    }
}

/// Both logins must fail, in time, in the same way.
async fn failure(settings: &Settings) -> Failure {
    let options = SessionOptions::inspect();
    let parameters = [("replication", "database")];
    let both =
        async { (connect(settings, &options).await.err(), connect_replication(settings, &parameters).await.err()) };
    let (queries, walsender) = tokio::time::timeout(PATIENCE, both).await.expect("an end");
    let (queries, walsender) = (queries.expect("no login"), walsender.expect("no walsender's login"));
    assert_eq!(queries.class, walsender.class, "{queries}\n{walsender}");
    assert!(!format!("{queries:?}{queries}").contains("S3NT1NEL"));
    queries
}

#[tokio::test]
async fn nobody_listens() {
    let address = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    for mode in SslMode::ALL {
        let failure = failure(&at(address, mode)).await;
        assert_eq!(failure.class, Class::Refused);
        assert!(failure.message.contains(&address.to_string()), "{failure}");
    }
    let directory = tempfile::tempdir().unwrap();
    let socket = Settings { host: directory.path().display().to_string(), ..at(address, SslMode::Prefer) };
    assert_eq!(failure(&socket).await.class, Class::SocketMissing);
    let name = Settings { host: "no such host".into(), ..at(address, SslMode::Prefer) };
    assert_eq!(failure(&name).await.class, Class::DnsFailure);
}

#[tokio::test]
async fn other_protocols_are_named() {
    for (greeting, byte) in [("HTTP/1.1 400 Bad Request\r\n\r\n", "\"H\""), ("\x4a\0\0\0\x0a8.0.36", "\"J\"")] {
        let address = listener(async move |_, mut stream: TcpStream| {
            stream.read_u8().await?;
            stream.write_all(greeting.as_bytes()).await?;
            std::future::pending().await
        })
        .await;
        for mode in SslMode::ALL {
            let failure = failure(&at(address, mode)).await;
            assert_eq!(failure.class, Class::NotPostgres, "{mode}: {failure}");
            assert!(failure.message.contains(byte), "{failure}");
            assert_eq!(failure.tries.len(), 1, "{mode}: no second try at what is no PostgreSQL");
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_wherever_it_hangs() {
    // What it answers before it falls silent, and what walpilot was doing then.
    for (mode, answer, doing) in [
        (SslMode::Disable, "", "logging in"),
        (SslMode::Prefer, "", "waiting for the answer to the request for TLS"),
        (SslMode::Require, "", "waiting for the answer to the request for TLS"),
        (SslMode::Prefer, "S", "in the TLS handshake"),
        (SslMode::Require, "S", "in the TLS handshake"),
        (SslMode::Prefer, "N", "logging in"),
        (SslMode::Disable, "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", "logging in"),
        (SslMode::Disable, "R\0\0\0\x08\0\0\0\0", "logging in"),
        (SslMode::Disable, "E\x7f\x7f\x7f\x7f", "logging in"),
    ] {
        let address = listener(async move |_, mut stream: TcpStream| {
            stream.read_u8().await?;
            stream.write_all(answer.as_bytes()).await?;
            std::future::pending().await
        })
        .await;
        let failure = failure(&at(address, mode)).await;
        assert_eq!(failure.class, Class::Timeout, "{mode} {answer:?}: {failure}");
        assert!(failure.message.contains(doing) && failure.message.contains("0.3 s"), "{mode} {answer:?}: {failure}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_told_apart() {
    let address = listener(async |_, mut stream: TcpStream| {
        let mut start = [0; 8];
        stream.read_exact(&mut start).await?;
        Ok(())
    })
    .await;
    for mode in SslMode::ALL {
        let failure = failure(&at(address, mode)).await;
        assert_eq!(failure.class, Class::ServerClosed, "{mode}: {failure}");
    }
}

#[tokio::test]
async fn nonsense_of_a_hostile_server_is_an_error_and_nothing_else() {
    for answer in [
        "R\0\0\0\0",
        "R\0\0\0\x04",
        "R\0\0\0\x08\0\0\0\x63",
        "R\0\0\0\x08\0\0\0\x0a",
        "R\0\0\0\x0c\0\0\0\x0bxxxx",
        "R\0\0\0\x0a\0\0\0\x05ab",
        "E\0\0\0\x05M",
        "E\0\0\0\x1dSFATAL\0C28000\0Mno\x1b[2J!\0\0\0",
        "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-999\0\0",
        "v\0\0\0\x08\0\0\0\0",
    ] {
        let address = listener(async move |_, mut stream: TcpStream| {
            let mut start = [0; 8];
            stream.read_exact(&mut start).await?;
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await?;
            // Read to the end, so that closing does not reset what was sent.
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(|_| ())
        })
        .await;
        let options = SessionOptions::inspect();
        let settings = at(address, SslMode::Disable);
        for failure in [
            connect(&settings, &options).await.err().expect("nonsense"),
            connect_replication(&settings, &[]).await.err().expect("nonsense"),
        ] {
            assert!(!failure.to_string().contains('\x1b') && !failure.message.is_empty(), "{answer:?}: {failure}");
            assert_ne!(failure.class, Class::Timeout, "{answer:?}: {failure}");
        }
    }
}

#[tokio::test]
async fn prefer_falls_back_when_the_handshake_breaks_and_require_does_not() {
    let cluster = source().await;
    let real = cluster.port();
    let breaks = move |number: usize, mut stream: TcpStream| async move {
        if number.is_multiple_of(2) {
            let mut request = [0; 8];
            stream.read_exact(&mut request).await?;
            stream.write_all(b"S").await?;
            stream.shutdown().await?;
            return tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(|_| ());
        }
        let mut server = TcpStream::connect(("127.0.0.1", real)).await?;
        copy_bidirectional(&mut stream, &mut server).await.map(|_| ())
    };
    let address = listener(breaks).await;
    let settings = Settings {
        password: Some(cluster.password().clone()),
        connect_timeout: PATIENCE,
        ..at(address, SslMode::Prefer)
    };
    let session = connect(&settings, &SessionOptions::inspect()).await.unwrap_or_else(|failure| panic!("{failure}"));
    let tries: Vec<_> = session.security.tries.iter().map(|one| (one.tls, one.connected)).collect();
    assert_eq!(tries, [(true, false), (false, true)]);
    assert!(!session.security.encrypted);
    let address = listener(breaks).await;
    let required = Settings { port: address.port(), ssl_mode: SslMode::Require, ..settings };
    let failure = connect(&required, &SessionOptions::inspect()).await.err().expect("no TLS");
    assert_eq!(failure.tries.len(), 1, "{failure}");
}

#[tokio::test]
async fn scram_binds_to_the_channel_so_a_man_in_the_middle_is_noticed() {
    let certificate = certificates::self_signed("real");
    let cluster = started(source_builder().tls(&certificate.certificate, &certificate.key)).await;
    let own = certificates::self_signed("impostor");
    let real = cluster.port();
    // Whether the middle shows its own certificate or the server's: the second has the same hash at both ends, which
    // proves that the test's proxy works and only the binding notices the first.
    for (certificate, noticed) in [(own, true), (certificate, false)] {
        let identity = native_tls::Identity::from_pkcs8(certificate.certificate.as_bytes(), certificate.key.as_bytes());
        let acceptor = native_tls::TlsAcceptor::new(identity.unwrap()).unwrap();
        let address = listener(move |_, stream: TcpStream| in_the_middle(stream, acceptor.clone(), real)).await;
        let settings = Settings {
            password: Some(cluster.password().clone()),
            connect_timeout: PATIENCE,
            ..at(address, SslMode::Require)
        };
        for ssl_mode in [SslMode::Require, SslMode::Prefer] {
            let settings = Settings { ssl_mode, ..settings.clone() };
            let queries = connect(&settings, &SessionOptions::inspect()).await.err();
            let walsender = connect_replication(&settings, &[("replication", "database")]).await.err();
            for failure in [queries, walsender] {
                assert_eq!(failure.as_ref().map(|failure| failure.class), noticed.then_some(Class::ChannelBinding));
                assert!(failure.is_none_or(|failure| failure.tries.len() == 1), "no plain text through the middle");
            }
        }
    }
}

/// Ends the client's TLS, and speaks TLS of its own with the server.
async fn in_the_middle(mut client: TcpStream, acceptor: native_tls::TlsAcceptor, real: u16) -> std::io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    client.write_all(b"S").await?;
    let mut client =
        tokio_native_tls::TlsAcceptor::from(acceptor).accept(client).await.map_err(std::io::Error::other)?;
    let mut server = TcpStream::connect(("127.0.0.1", real)).await?;
    server.write_all(&request).await?;
    assert_eq!(server.read_u8().await?, b'S');
    let connector = native_tls::TlsConnector::builder().danger_accept_invalid_certs(true).build();
    let connector = tokio_native_tls::TlsConnector::from(connector.map_err(std::io::Error::other)?);
    let mut server = connector.connect("real", server).await.map_err(std::io::Error::other)?;
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}
