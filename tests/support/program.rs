//! Runs the built program as a user would.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use walpilot::connection::{Secret, Settings};

/// A command line of walpilot; see [`walpilot`].
pub struct Walpilot {
    command: Command,
    input: String,
    limit: Duration,
    /// Home directory of the run, so that nobody's files are read or written.
    home: tempfile::TempDir,
}

/// What a run of walpilot left.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Describes a run of the built program with these arguments: no terminal, an empty standard input, a home of its
/// own, and none of our environment but what a program needs.
pub fn walpilot<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Walpilot {
    let home = tempfile::tempdir().expect("a directory for temporary files");
    let mut command = Command::new(env!("CARGO_BIN_EXE_walpilot"));
    command.args(args).env_clear().env("HOME", home.path()).env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("WALPILOT_PG_BIN", super::binaries().dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Walpilot { command, input: String::new(), limit: Duration::from_secs(120), home }
}

impl Walpilot {
    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives the password of `settings` as PGPASSWORD.
    pub fn password(self, settings: &Settings) -> Self {
        self.env("PGPASSWORD", password(settings))
    }

    /// Gives this on standard input.
    pub fn input(mut self, text: &str) -> Self {
        text.clone_into(&mut self.input);
        self
    }

    /// Changes the time limit, which is two minutes.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs it to its end.
    pub async fn run(self) -> Outcome {
        let (input, limit) = (self.input.clone(), self.limit);
        let (mut child, _home) = self.spawn();
        if let Some(mut stdin) = child.stdin.take() {
            // The program may have ended without reading it.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = tokio::time::timeout(limit, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("walpilot did not end within {limit:?}")).expect("its output");
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
        }
    }

    /// Starts it; dropping the child kills it. The directory is its home.
    pub fn spawn(mut self) -> (Child, tempfile::TempDir) {
        (self.command.spawn().expect("walpilot starts"), self.home)
    }
}

impl Outcome {
    /// Fails the test unless the run ended with this exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The password of `settings`, or nothing.
pub fn password(settings: &Settings) -> &str {
    settings.password.as_ref().map_or("", Secret::reveal)
}

/// A connection URI without the password.
pub fn uri(settings: &Settings) -> String {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let (user, host) = (encode(&settings.user), encode(&settings.host));
    let (port, database, mode) = (settings.port, encode(&settings.database), settings.ssl_mode);
    format!("postgres://{user}@/{database}?host={host}&port={port}&sslmode={mode}")
}

/// A connection URI with the password, as it would stand in an environment variable.
pub fn uri_with_password(settings: &Settings) -> String {
    let password = settings.password.as_ref().map_or("", Secret::reveal);
    let encoded = percent_encoding::utf8_percent_encode(password, percent_encoding::NON_ALPHANUMERIC);
    uri(settings).replacen('@', &format!(":{encoded}@"), 1)
}
