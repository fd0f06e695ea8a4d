//! A network that can break: forwards to a port of this machine, and cuts what it forwards.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The listening end; dropping it cuts everything.
pub struct Proxy {
    pub port: u16,
    cuts: watch::Sender<u64>,
    silent: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (cuts, cut) = watch::channel(0);
        let (silent, silence) = watch::channel(false);
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut cut, mut silence) = (cut.clone(), silence.clone());
                tokio::spawn(async move {
                    cut.mark_unchanged();
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                        _ = cut.changed() => return,
                        _ = silence.wait_for(|silent| *silent) => {}
                    }
                    // Both ends stay open, and neither hears of the other again.
                    let _ = cut.changed().await;
                });
            }
        });
        Self { port, cuts, silent, accepting }
    }

    /// Cuts every connection that is open now.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets nothing more through what is open, and nobody in, without a word to either end.
    pub fn go_silent(&self) {
        self.silent.send_replace(true);
    }

    /// Serves those who connect from now on; who was there before hears nothing any more.
    pub fn come_back(&self) {
        self.silent.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
