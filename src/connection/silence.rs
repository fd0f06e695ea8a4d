//! How it is noticed that the other end of a connection has vanished: a server that lost its power, a gateway that forgot
//! the connection. Nobody sends anything then, and whoever only waits would wait for hours.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A connection on which nothing has come for so long is asked whether it is still there, as `ssh` does it for tunnels ...
const ASK_AFTER: Duration = Duration::from_secs(15);
/// ... and again so long after an answer that did not come ...
const ASK_AGAIN: Duration = Duration::from_secs(15);
/// ... so often.
const ASK_TIMES: u32 = 3;
/// What makes the server ask as early whether walpilot is still there. By itself it would keep the session of a machine that
/// has vanished for two hours, with its locks and its snapshot (PostgreSQL documentation, "TCP Settings").
pub(crate) fn server_asks() -> [(&'static str, String); 3] {
    [
        ("tcp_keepalives_idle", ASK_AFTER.as_secs().to_string()),
        ("tcp_keepalives_interval", ASK_AGAIN.as_secs().to_string()),
        ("tcp_keepalives_count", ASK_TIMES.to_string()),
    ]
}
/// What a server that always reads has not acknowledged within this time, it will not.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// What it means when the other end takes nothing of what is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// It may be waiting for a lock, for as long as that lasts.
    Waiting,
    /// It has vanished: a walsender reads the little that it is sent, whatever else it does.
    Vanished,
}

impl Silence {
    /// Sets the socket up.
    pub(super) fn notice(self, socket: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(socket);
        let ask = TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_AGAIN);
        #[cfg(not(windows))]
        let ask = ask.with_retries(ASK_TIMES);
        socket.set_tcp_keepalive(&ask)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if self == Self::Vanished {
            // Nothing is asked while something sent waits for its acknowledgement, and the system would try for a quarter
            // of an hour (tcp(7), TCP_USER_TIMEOUT).
            socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::{TcpListener, TcpStream};

    use super::Silence;

    #[tokio::test]
    async fn a_socket_asks_whether_the_other_end_is_still_there() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (silence, limited) in [(Silence::Waiting, false), (Silence::Vanished, cfg!(target_os = "linux"))] {
            let socket = TcpStream::connect(server.local_addr().unwrap()).await.unwrap();
            silence.notice(&socket).unwrap();
            let socket = SockRef::from(&socket);
            assert!(socket.keepalive().unwrap());
            #[cfg(target_os = "linux")]
            assert_eq!(socket.tcp_user_timeout().unwrap().is_some(), limited);
            #[cfg(not(target_os = "linux"))]
            assert!(!limited);
        }
    }
}
