//! The process between walpilot and a throwaway server, so that nothing survives walpilot, however it ends.
//!
//! A destructor does not run after SIGKILL, and a signal from the terminal reaches children too. So the server is a
//! child of a small shell script in a process group of its own, which holds the read end of a pipe from walpilot:
//! the kernel closes the other end whatever happens to walpilot, and then the script stops the server and removes
//! the directory. The order of its work is in `keeper.sh`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::account::Account;

const SCRIPT: &str = include_str!("keeper.sh");

/// How long dropping waits for the server's end and the removal of its directory.
const PATIENCE: Duration = Duration::from_secs(15);

/// A running keeper and the directory that it will remove.
pub(super) struct Keeper {
    dir: PathBuf,
    /// The pipe whose end means that we are gone. `None` only while dropping.
    orders: Option<ChildStdin>,
    answers: UnboundedReceiver<Answer>,
    /// Speaks once, when the keeper has exited.
    exited: Mutex<mpsc::Receiver<()>>,
}

/// A line from the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// `initdb` or `copy` ended with this exit status.
    Finished(i32),
    /// The server ended with this exit status, whoever stopped it.
    Ended(i32),
}

impl Keeper {
    /// Starts a keeper, which makes `dir`, answers with `finished 0`, and removes it in the end. The directory above
    /// must be open to `account`.
    ///
    /// # Errors
    /// When `sh` can't be started.
    pub(super) fn spawn(dir: &Path, bin: &Path, template: Option<&Path>, account: Account) -> std::io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"eval "$KEEPER""#, "walpilot-keeper"])
            .arg(dir)
            .arg(bin)
            .arg(template.unwrap_or(Path::new("")));
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // A server must not take settings from the environment of whoever starts the demo or a test.
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C").env("TZ", "UTC");
        // As an argument the whole script would stand in everybody's process list.
        command.env("KEEPER", SCRIPT);
        account.run_as(&mut command);
        let mut child = command.spawn()?;
        let (said, answers) = tokio::sync::mpsc::unbounded_channel();
        let (gone, exited) = mpsc::channel();
        let orders = child.stdin.take();
        std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            listen(&mut child, &said);
            // Nobody listens any more when the cluster gave up waiting.
            let _ = gone.send(());
        })?;
        Ok(Self { dir: dir.to_owned(), orders, answers, exited: Mutex::new(exited) })
    }

    /// Sends one order.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub(super) fn order(&mut self, word: &str) -> std::io::Result<()> {
        let Some(orders) = &mut self.orders else { return Err(std::io::ErrorKind::BrokenPipe.into()) };
        orders.write_all(format!("{word}\n").as_bytes())
    }

    /// The next answer; `None` when the keeper is gone.
    pub(super) async fn answer(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }
}

impl Drop for Keeper {
    /// Stops the server and removes the directory; waits for it, so that nothing is left when the caller goes on.
    fn drop(&mut self) {
        drop(self.orders.take());
        let exited = self.exited.get_mut().unwrap_or_else(PoisonError::into_inner);
        let in_time = exited.recv_timeout(PATIENCE).is_ok();
        if !in_time {
            tracing::warn!(dir = %self.dir.display(), "a throwaway cluster takes long to stop");
        } else if self.dir.exists() {
            // The keeper was killed before it could do so.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn listen(child: &mut Child, said: &tokio::sync::mpsc::UnboundedSender<Answer>) {
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let answer = match line.split_once(' ') {
                Some(("finished", status)) => status.parse().ok().map(Answer::Finished),
                Some(("ended", status)) => status.parse().ok().map(Answer::Ended),
                _ => None,
            };
            if let Some(answer) = answer {
                let _ = said.send(answer);
            }
        }
    }
    let _ = child.wait();
}
