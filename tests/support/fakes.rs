//! Servers that are not what they should be: they hang, drip, lie, inject, steal, or speak something else.

#![expect(clippy::unwrap_used, reason = "a test that can't be prepared has failed")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::pki::Pair;

/// The code of an SSLRequest and of a CancelRequest (PostgreSQL documentation, "Message Formats").
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
pub const CANCEL_REQUEST: [u8; 4] = 80_877_102_u32.to_be_bytes();

/// What a fake does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fake {
    /// Never answers.
    Hang,
    /// Agrees to TLS and falls silent.
    SaysSAndHangs,
    /// Declines TLS and falls silent.
    SaysNAndHangs,
    /// Falls silent after the TLS handshake.
    HangsInTls,
    /// Sends one byte of a message now and then.
    Drips,
    /// Announces a message of two gigabytes.
    HugeLength,
    /// Agrees to TLS and adds messages in plain text in the same packet.
    Injects,
    /// Declines TLS and asks for the password in clear text.
    Steals,
    /// Refuses with an error full of escape sequences.
    Escapes,
    /// A web server.
    Http,
    /// Answers the SSLRequest with an error message, as servers of the last century did.
    OldError,
    /// Closes at once.
    Closes,
    /// Closes within the TLS handshake.
    ClosesInHandshake,
}

impl Fake {
    pub const ALL: [Self; 13] = [
        Self::Hang,
        Self::SaysSAndHangs,
        Self::SaysNAndHangs,
        Self::HangsInTls,
        Self::Drips,
        Self::HugeLength,
        Self::Injects,
        Self::Steals,
        Self::Escapes,
        Self::Http,
        Self::OldError,
        Self::Closes,
        Self::ClosesInHandshake,
    ];
}

/// A running fake; it ends when it is dropped.
pub struct Running {
    pub port: u16,
    /// Everything that clients sent after their first packet.
    pub heard: Arc<Mutex<Vec<u8>>>,
    open: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Running {
    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub async fn start(self) -> Running {
        let acceptor = acceptor(&Pair::authority("A fake"));
        serve(move |mut socket, heard| {
            let acceptor = acceptor.clone();
            async move {
                let _ = self.play(&mut socket, &acceptor, &heard).await;
            }
        })
        .await
    }

    async fn play(
        self,
        socket: &mut TcpStream,
        acceptor: &tokio_native_tls::TlsAcceptor,
        heard: &Mutex<Vec<u8>>,
    ) -> std::io::Result<()> {
        let wants_tls = packet(socket).await?.get(4..8) == Some(&SSL_REQUEST);
        match self {
            Self::Closes => return Ok(()),
            Self::Hang => return hang(socket).await,
            Self::Http => {
                socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
                return hang(socket).await;
            }
            Self::OldError if wants_tls => socket.write_all(b"Eunsupported frontend protocol\n\0").await?,
            Self::Injects if wants_tls => {
                // The login succeeds without any proof, if it is believed.
                socket.write_all(b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await?;
            }
            Self::SaysSAndHangs if wants_tls => socket.write_all(b"S").await?,
            Self::ClosesInHandshake if wants_tls => {
                socket.write_all(b"S").await?;
                packet(socket).await?;
                return Ok(());
            }
            Self::HangsInTls if wants_tls => {
                socket.write_all(b"S").await?;
                let mut secured = acceptor.accept(socket).await.map_err(std::io::Error::other)?;
                return hang(&mut secured).await;
            }
            _ => {
                if wants_tls {
                    socket.write_all(b"N").await?;
                    packet(socket).await?;
                }
                self.log_in(socket).await?;
            }
        }
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).await?;
        heard.lock().unwrap().extend(rest);
        Ok(())
    }

    /// The answer to a start-up message in plain text.
    async fn log_in(self, socket: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Self::Steals => socket.write_all(b"R\0\0\0\x08\0\0\0\x03").await,
            Self::HugeLength => socket.write_all(b"R\x7f\xff\xff\xff\0\0\0\x05abcd").await,
            Self::Drips => {
                socket.write_all(b"N\0\0\xff\xff").await?;
                loop {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    socket.write_all(b"x").await?;
                }
            }
            Self::Escapes => {
                let fields = "SFATAL\0VFATAL\0C28000\0M\u{1b}]52;c;cHduZWQ=\u{7}\u{1b}[2Jgone \u{202e}txt\n\0RClient\u{1b}[1m\0\0";
                let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
                socket.write_all(b"E").await?;
                socket.write_all(&length).await?;
                socket.write_all(fields.as_bytes()).await
            }
            _ => Ok(()),
        }
    }
}

/// Lets a server run a copy of `play` for each connection.
pub async fn serve<Play, Done>(play: Play) -> Running
where
    Play: Fn(TcpStream, Arc<Mutex<Vec<u8>>>) -> Done + Send + 'static,
    Done: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let task = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (playing, count) = (play(socket, Arc::clone(&log)), Arc::clone(&count));
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                playing.await;
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    Running { port, heard, open, task }
}

/// A proxy that ends TLS, as poolers do: encrypted in front, plain text behind.
pub async fn tls_ending_proxy(server: u16) -> Running {
    let acceptor = acceptor(&Pair::authority("A pooler"));
    serve(move |mut socket, _| {
        let acceptor = acceptor.clone();
        async move {
            let _ = async {
                packet(&mut socket).await?;
                socket.write_all(b"S").await?;
                let mut front = acceptor.accept(socket).await.map_err(std::io::Error::other)?;
                let mut back = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
                copy_bidirectional(&mut front, &mut back).await
            }
            .await;
        }
    })
    .await
}

/// The same for `sslnegotiation=direct`, where no request comes before the handshake.
pub async fn tls_from_the_start(server: u16) -> Running {
    let acceptor = acceptor(&Pair::authority("A front"));
    serve(move |socket, _| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut front) = acceptor.accept(socket).await else { return };
            let Ok(mut back) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
            let _ = copy_bidirectional(&mut front, &mut back).await;
        }
    })
    .await
}

/// A listener on the line: passes everything on and notes what clients send.
pub async fn listening_proxy(server: u16) -> Running {
    serve(move |mut socket, heard| async move {
        let Ok(mut back) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
        let (mut from_client, mut to_client) = socket.split();
        let (mut from_server, mut to_server) = back.split();
        let up = async {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
                heard.lock().unwrap().extend(&buffer[..count]);
                if to_server.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
            let _ = to_server.shutdown().await;
        };
        let down = async {
            let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
            let _ = to_client.shutdown().await;
        };
        tokio::join!(up, down);
    })
    .await
}

fn acceptor(pair: &Pair) -> tokio_native_tls::TlsAcceptor {
    let identity = native_tls::Identity::from_pkcs8(pair.pem().as_bytes(), pair.key_pem().as_bytes()).expect("a pair");
    native_tls::TlsAcceptor::new(identity).expect("an acceptor").into()
}

/// The next packet, as far as one read brings it.
async fn packet(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    let count = socket.read(&mut buffer).await?;
    buffer.truncate(count);
    Ok(buffer)
}

/// Stays until the client goes.
async fn hang(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    tokio::io::copy(socket, &mut tokio::io::sink()).await.map(|_| ())
}
