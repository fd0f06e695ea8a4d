//! From settings to a stream on which a login can begin: name, socket, SSLRequest, TLS.
//!
//! walpilot speaks the SSLRequest itself instead of leaving it to the query library, so that every use of a server
//! (queries, replication, cancel requests) takes libpq's decision about encryption and can tell what was decided.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use super::cause::{Stage, Trouble};
use super::certificate::Certificate;
use super::class::{Class, Explained};
use super::identity::IdentityFiles;
use super::server_error::chain;
use super::settings::{ChannelBindingMode, Settings, SslMode};
use super::silence::Silence;
use super::stream::{Duplex, PgStream, Refusal};
use super::tls::{self, Verified};
use super::tunnel;

/// A stream that is ready for the start-up message, and what is known about it.
pub(super) struct Link {
    pub(super) stream: PgStream,
    pub(super) encrypted: bool,
    pub(super) verified: Verified,
    pub(super) certificate: Option<Certificate>,
    pub(super) identity: Option<IdentityFiles>,
    /// A list of revoked certificates that libpq would heed.
    pub(super) unheeded: Option<PathBuf>,
    /// The address that answered: a cancel request has to reach the same server.
    pub(super) peer: Option<SocketAddr>,
}

/// Why no stream came about.
pub(super) struct NotDialled {
    pub(super) trouble: Trouble,
    /// Whether TLS itself failed, after which libpq's `prefer` tries plain text.
    pub(super) tls_failed: bool,
}

impl From<Trouble> for NotDialled {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, tls_failed: false }
    }
}

/// What to do about encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    /// None.
    Plain,
    /// TLS, and plain text on the same socket if the server has none.
    Offered,
    /// TLS.
    Needed,
}

/// Opens a stream. Dropping the future closes everything.
pub(super) async fn dial(
    settings: &Settings,
    encryption: Encryption,
    silence: Silence,
    mark: &Mark,
) -> Result<Link, NotDialled> {
    let (mut socket, peer) = open(settings, silence, mark).await?;
    if encryption == Encryption::Plain || settings.is_unix_socket() {
        return Ok(plain(socket, settings, peer));
    }
    if !settings.tls.direct {
        mark.set(Stage::TlsAnswer);
        match ask_for_tls(&mut socket).await? {
            b'S' => nothing_yet(&mut socket).await?,
            b'N' if encryption == Encryption::Offered => return Ok(plain(socket, settings, peer)),
            b'N' => return Err(Trouble::TlsUnsupported.into()),
            other => return Err(Trouble::Refused(Refusal::NotPostgres(other)).into()),
        }
    }
    mark.set(Stage::TlsHandshake);
    secure(socket, settings, peer).await
}

/// Sends the SSLRequest and reads exactly one byte.
async fn ask_for_tls(socket: &mut Box<dyn Duplex>) -> Result<u8, Trouble> {
    let failed = |error| Trouble::Io(Stage::TlsAnswer, error);
    let mut request = BytesMut::new();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    socket.write_all(&request).await.map_err(failed)?;
    socket.flush().await.map_err(failed)?;
    socket.read_u8().await.map_err(failed)
}

/// A server that agreed to TLS waits for us to begin. Whatever is there already was put there by somebody who wants it
/// taken for the server's (CVE-2021-23222); libpq gives up too.
async fn nothing_yet(socket: &mut Box<dyn Duplex>) -> Result<(), Trouble> {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    // Whether the other end has gone is for the handshake to notice.
    let _ = poll_fn(|cx| Poll::Ready(Pin::new(&mut *socket).poll_read(cx, &mut buffer))).await;
    match buffer.filled().first() {
        Some(injected) => Err(Trouble::Refused(Refusal::NotPostgres(*injected))),
        None => Ok(()),
    }
}

fn plain(socket: Box<dyn Duplex>, settings: &Settings, peer: Option<SocketAddr>) -> Link {
    // A password in clear text is for sockets only: on a port of this machine too, somebody else may listen.
    let stream = PgStream::new(socket, None, settings.is_unix_socket());
    let verified = Verified::Nothing;
    Link { stream, encrypted: false, verified, certificate: None, identity: None, unheeded: None, peer }
}

async fn secure(socket: Box<dyn Duplex>, settings: &Settings, peer: Option<SocketAddr>) -> Result<Link, NotDialled> {
    let prepared = tls::prepare(settings).await.map_err(|trouble| NotDialled {
        // libpq passes over a root file that does not exist, or goes on in plain text; walpilot does neither.
        tls_failed: !matches!(&trouble, Trouble::Explained(explained) if explained.class == Class::RootCertMissing),
        trouble,
    })?;
    let handshake = prepared.connector.connect(server_name(settings), socket).await;
    let secured = handshake.map_err(|error| match tunnel::cause(&error) {
        Some(explained) => NotDialled::from(Trouble::Explained(explained)),
        None => NotDialled { trouble: Trouble::Tls(chain(&error)), tls_failed: true },
    })?;
    let certificate = leaf(&secured);
    if settings.ssl_mode == SslMode::VerifyFull && settings.host.is_empty() {
        let message = "sslmode verify-full needs a host name to compare with the certificate; only hostaddr is given.";
        let remedy = "Set host to the name in the server's certificate, beside hostaddr.";
        return Err(Trouble::Explained(Explained::new(Class::ConfigError, message, remedy)).into());
    }
    if prepared.check_names {
        let certificate = certificate.as_ref();
        let certificate = certificate.ok_or_else(|| Trouble::Other("the server showed no certificate".into()))?;
        if !certificate.is_for(&settings.host) {
            return Err(Trouble::HostMismatch(Box::new(certificate.clone())).into());
        }
    }
    let end_point = match settings.channel_binding {
        ChannelBindingMode::Disable => None,
        _ => secured.get_ref().tls_server_end_point().ok().flatten(),
    };
    Ok(Link {
        stream: PgStream::new(Box::new(secured), end_point, true),
        encrypted: true,
        verified: prepared.verified,
        certificate,
        identity: prepared.identity,
        unheeded: prepared.unheeded,
        peer,
    })
}

/// The name in the handshake. An address is never sent as one.
fn server_name(settings: &Settings) -> &str {
    if settings.host.is_empty() { settings.hostaddr.as_deref().unwrap_or_default() } else { &settings.host }
}

fn leaf(stream: &tokio_native_tls::TlsStream<Box<dyn Duplex>>) -> Option<Certificate> {
    let der = stream.get_ref().peer_certificate().ok()??.to_der().ok()?;
    Certificate::from_der(&der)
}

/// Looks at the certificate that a server offers, over a connection on which nothing is sent but the request for TLS.
/// It is evidence for a message and is never trusted.
pub(super) async fn offered_certificate(settings: &Settings) -> Option<Certificate> {
    let (mut socket, _) = open(settings, Silence::Waiting, &Mark::default()).await.ok()?;
    if !settings.tls.direct && ask_for_tls(&mut socket).await.ok()? != b'S' {
        return None;
    }
    let connector = tls::curious().await.ok()?;
    let stream = connector.connect(server_name(settings), socket).await.ok()?;
    leaf(&stream)
}

/// Opens the way to the server: a bastion, a Unix socket or TCP.
async fn open(
    settings: &Settings,
    silence: Silence,
    mark: &Mark,
) -> Result<(Box<dyn Duplex>, Option<SocketAddr>), Trouble> {
    if let Some(bastion) = &settings.tunnel {
        mark.set(Stage::Dial);
        let stream = tunnel::open(bastion, settings).map_err(Trouble::Explained)?;
        return Ok((Box::new(stream), None));
    }
    if settings.is_unix_socket() {
        mark.set(Stage::Dial);
        let path = format!("{}/.s.PGSQL.{}", settings.host, settings.port);
        let socket = UnixStream::connect(path).await.map_err(|error| Trouble::Io(Stage::Dial, error))?;
        return Ok((Box::new(socket), None));
    }
    let socket = dial_tcp(settings, silence, mark).await?;
    let peer = socket.peer_addr().ok();
    Ok((Box::new(socket), peer))
}

/// Tries every address of the name in turn, as libpq does.
async fn dial_tcp(settings: &Settings, silence: Silence, mark: &Mark) -> Result<TcpStream, Trouble> {
    mark.set(Stage::Dns);
    let target = settings.hostaddr.as_deref().unwrap_or(&settings.host);
    let addresses = lookup_host((target, settings.port)).await.map_err(|_| Trouble::Dns)?;
    mark.set(Stage::Dial);
    let mut last = Trouble::Dns;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                // Small messages back and forth: waiting to fill packets would add latency to each.
                let set = socket.set_nodelay(true).and_then(|()| silence.notice(&socket));
                set.map_err(|error| Trouble::Io(Stage::Dial, error))?;
                return Ok(socket);
            }
            Err(error) => last = Trouble::Io(Stage::Dial, error),
        }
    }
    Err(last)
}

/// Where an attempt stands, readable after its future was dropped by the deadline.
#[derive(Clone)]
pub(super) struct Mark(Arc<Mutex<(Stage, bool)>>);

impl Default for Mark {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Stage::Dns, false))))
    }
}

impl Mark {
    pub(super) fn set(&self, stage: Stage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = stage;
    }

    /// Begins a try, over TLS or not.
    pub(super) fn begin(&self, tls: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Stage::Dns, tls);
    }

    /// The stage, and whether the try is one over TLS.
    pub(super) fn get(&self) -> (Stage, bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
