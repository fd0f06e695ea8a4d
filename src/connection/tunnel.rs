//! Through a bastion: the system's `ssh -W` with its standard input and output as the stream to the server.
//!
//! So the user's ssh configuration, agent, known hosts and jump hosts work, and no local port is opened that others on
//! this machine could use. The names in the server's certificate are compared with the database's own host, because
//! nothing here pretends to be somewhere else. What this file promises: ssh never asks on the terminal (where somebody
//! can answer it asks through `askpass`), gets no secret
//! and no PG* variable, is given its arguments one by one without a shell, and ends with the stream.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::askpass::{self, Admitted, Way};
use super::class::{Class, Explained};
use super::printable;
use super::process_group::Group;
use super::settings::{Settings, Tunnel};
use super::ssh_cause::{self, Ended};

/// How much of ssh's standard error is kept: its end is of no use beyond that.
const KEPT: usize = 16 * 1024;
/// How long ssh may take to end after its output has ended, before its fate counts as unknown.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A stream to the server through the bastion. Dropping it ends ssh.
pub struct TunnelStream {
    /// Gone after a shutdown: closing it is how ssh learns that nothing more comes.
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// Why ssh ended, told once by the task that watches it.
    fate: oneshot::Receiver<Fate>,
    known: Option<Option<Explained>>,
    /// Runs out when ssh's output has ended and ssh itself has not.
    patience: Option<Pin<Box<tokio::time::Sleep>>>,
    had_worked: bool,
    tunnel: Tunnel,
    server: String,
    asks: bool,
    _admitted: Option<Admitted>,
    _group: Group,
    _watcher: AbortOnDrop,
}

/// The task that owns ssh, which is killed with it if the signal to its group was not enough.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What an ssh client left.
struct Fate {
    said: Vec<u8>,
    code: Option<i32>,
}

/// Starts ssh towards the server of `settings`. Whether it arrives shows at the first read; see [`cause`].
///
/// # Errors
/// When the tunnel can't be meant like this, or no ssh is installed.
pub fn open(tunnel: &Tunnel, settings: &Settings) -> Result<TunnelStream, Explained> {
    let server = server_address(settings)?;
    let way = askpass::way();
    let mut ssh = command(tunnel, &server, settings.connect_timeout, way.as_ref())?;
    let group = Group::lead().map_err(|error| not_started("/bin/sh", &error))?;
    ssh.process_group(group.id.as_raw_nonzero().get());
    let (asks, _admitted) = (way.is_some(), way.map(|way| way.admit(group.id)));
    let mut child = ssh.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Explained::new(
            Class::SshMissing,
            "There is no ssh program on this machine, and the bastion is reached with it.",
            "Install it, for example with apt-get install openssh-client.",
        ),
        _ => not_started("ssh", &error),
    })?;
    let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(not_started("ssh", &io::ErrorKind::BrokenPipe.into()));
    };
    let (tell, fate) = oneshot::channel();
    let watcher = tokio::spawn(watch(child, errors, tell)).abort_handle();
    let tunnel = tunnel.clone();
    let _watcher = AbortOnDrop(watcher);
    let input = Some(input);
    Ok(TunnelStream {
        _watcher,
        _admitted,
        _group: group,
        asks,
        input,
        output,
        fate,
        known: None,
        patience: None,
        had_worked: false,
        tunnel,
        server,
    })
}

/// The failure of a tunnel that hides in `error` or its causes: the query library and the TLS library wrap what a
/// [`TunnelStream`] returned.
#[must_use]
pub fn cause(error: &(dyn std::error::Error + 'static)) -> Option<Explained> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(broken) = error.downcast_ref::<Broken>() {
            return Some(broken.0.clone());
        }
        if let Some(io) = error.downcast_ref::<io::Error>()
            && let Some(broken) = io.get_ref().and_then(|inner| inner.downcast_ref::<Broken>())
        {
            return Some(broken.0.clone());
        }
        next = error.source();
    }
    None
}

/// The error of a [`TunnelStream`] whose ssh failed.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct Broken(Explained);

/// `host:port` for `ssh -W`, as the bastion is to reach it.
fn server_address(settings: &Settings) -> Result<String, Explained> {
    if settings.is_unix_socket() {
        return Err(Explained::new(
            Class::ConfigError,
            "A Unix socket can't be reached through a bastion.",
            "Give the server's host name or address as the bastion sees it.",
        ));
    }
    let host = settings.hostaddr.as_deref().unwrap_or(&settings.host);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    Ok(format!("{host}:{}", settings.port))
}

/// The whole command. Nothing in it is read by a shell, and nothing of the user's can become an option.
fn command(tunnel: &Tunnel, server: &str, limit: Duration, way: Option<&Way>) -> Result<Command, Explained> {
    let jump = tunnel.jump.as_deref();
    for (what, value) in [("bastion", Some(tunnel.destination.as_str())), ("jump host", jump)] {
        let Some(value) = value else { continue };
        if value.is_empty() || value.starts_with('-') || value.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Explained::new(
                Class::ConfigError,
                format!("The {what} \"{}\" is no host name.", printable(value)),
                "Write [user@]host or an alias of your ssh configuration.",
            ));
        }
    }
    // A little less than the whole attempt may take, so that ssh itself can say that it waited in vain.
    let seconds = limit.as_secs().saturating_sub(1).clamp(1, 10);
    let mut command = Command::new("ssh");
    command.arg("-T");
    for option in [
        if way.is_some() { "BatchMode=no" } else { "BatchMode=yes" },
        &format!("ConnectTimeout={seconds}"),
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "ClearAllForwardings=yes",
        "PermitLocalCommand=no",
        // An existing master connection is used, but ours, which ends with the stream, is nobody's master.
        "ControlMaster=no",
    ] {
        command.args(["-o", option]);
    }
    if let Some(file) = &tunnel.config {
        command.arg("-F").arg(file);
    }
    if let Some(port) = tunnel.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(file) = &tunnel.identity {
        command.arg("-i").arg(file);
    }
    if let Some(jump) = jump {
        command.args(["-J", jump]);
    }
    command.args(["-W", server, "--", &tunnel.destination]);
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("PG") || shown.starts_with("WALPILOT") {
            command.env_remove(&name);
        }
    }
    // Also the ssh of a jump host, which knows nothing of BatchMode, must not ask on the terminal: it asks us, or where
    // nobody is there to answer a program that always says no (ssh(1), SSH_ASKPASS_REQUIRE).
    command.env("SSH_ASKPASS", "false").env("SSH_ASKPASS_REQUIRE", "force");
    if let Some(way) = way {
        command.env("SSH_ASKPASS", &way.program).env(askpass::VARIABLE, &way.socket);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    Ok(command)
}

fn not_started(program: &str, error: &io::Error) -> Explained {
    let message = format!("{program} can't be started: {}.", printable(&error.to_string()));
    Explained::new(Class::SshFailed, message, format!("Check that {program} runs in a terminal."))
}

/// Reads all that ssh says on its standard error, waits for its end, and tells both.
async fn watch(mut child: Child, mut errors: ChildStderr, tell: oneshot::Sender<Fate>) {
    let mut said = Vec::new();
    let mut chunk = [0; 1024];
    let mut status = None;
    while status.is_none() {
        tokio::select! {
            // Words first: they tell why it ended.
            biased;
            read = errors.read(&mut chunk) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => keep(&mut said, &chunk[..count]),
            },
            ended = child.wait() => status = ended.ok(),
        }
    }
    let status = match status {
        Some(status) => {
            // What stands in the pipe is all there is to come, unless somebody else holds it open.
            while let Ok(Ok(count @ 1..)) =
                tokio::time::timeout(Duration::from_millis(100), errors.read(&mut chunk)).await
            {
                keep(&mut said, &chunk[..count]);
            }
            Some(status)
        }
        None => child.wait().await.ok(),
    };
    // Nobody may be waiting any more.
    let _ = tell.send(Fate { said, code: status.and_then(|status| status.code()) });
}

fn keep(said: &mut Vec<u8>, more: &[u8]) {
    said.extend_from_slice(more);
    let excess = said.len().saturating_sub(KEPT);
    said.drain(..excess);
}

impl TunnelStream {
    /// Why ssh ended; ready when it has, or when it takes too long to.
    fn poll_fate(&mut self, cx: &mut Context<'_>) -> Poll<Option<Explained>> {
        if let Some(known) = &self.known {
            return Poll::Ready(known.clone());
        }
        let fate = match Pin::new(&mut self.fate).poll(cx) {
            Poll::Ready(fate) => fate.ok(),
            Poll::Pending => {
                let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(LAST_WORDS)));
                ready!(patience.as_mut().poll(cx));
                None
            }
        };
        let explained = fate.and_then(|fate| {
            let said = String::from_utf8_lossy(&fate.said);
            tracing::debug!(said = &*printable(said.trim()), code = fate.code, "ssh ended");
            let ended = Ended { said: &said, code: fate.code, had_worked: self.had_worked, asks: self.asks };
            ssh_cause::explain(ended, &self.tunnel, &self.server)
        });
        self.known = Some(explained.clone());
        Poll::Ready(explained)
    }

    /// What a read or write returns once ssh's side has ended.
    fn poll_ended<T>(&mut self, cx: &mut Context<'_>, otherwise: io::Result<T>) -> Poll<io::Result<T>> {
        match ready!(self.poll_fate(cx)) {
            Some(explained) => Poll::Ready(Err(io::Error::other(Broken(explained)))),
            None => Poll::Ready(otherwise),
        }
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.output).poll_read(cx, buf));
        if result.is_ok() && (buf.filled().len() > before || buf.remaining() == 0) {
            self.had_worked = true;
            return Poll::Ready(Ok(()));
        }
        self.poll_ended(cx, result)
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(input) = &mut self.input else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        match ready!(Pin::new(input).poll_write(cx, buf)) {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(error) => self.poll_ended(cx, Err(error)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(cx))
    }

    /// Ready when ssh has delivered what was written and has ended, which it does when the server closes the
    /// connection; or after a moment. Whoever cancels a query drops the stream right after this.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        ready!(self.poll_fate(cx));
        Poll::Ready(Ok(()))
    }
}
