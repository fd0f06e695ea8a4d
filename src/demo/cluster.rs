//! A throwaway PostgreSQL cluster as a guard object: made, started, stopped, and removed with everything in it.
//!
//! Used by `walpilot demo` and by all tests. It listens on 127.0.0.1 and on a Unix socket in its own private
//! directory. Promises: nothing of it survives walpilot, also after SIGKILL (see `keeper.rs`); its superuser has a
//! random password; no other account of the machine gets in. It is not for data that matters: `fsync` is off.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::account::Account;
use super::binaries::Binaries;
use super::error::{ClusterError, PATIENCE};
use super::files;
use super::keeper::{Answer, Keeper};
use super::template::{self, Template};
use crate::connection::{Class, Secret, SessionOptions, Settings, SslMode, connect};

/// How often the state of a starting server is looked at: nothing tells us but its files.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How many ports are tried when somebody else takes the one that was free a moment ago.
const PORTS: usize = 5;

/// What a cluster is to be like; see [`Cluster::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    binaries: Binaries,
    settings: Vec<(String, String)>,
    hba: Vec<String>,
    tls: Option<(String, String)>,
}

impl Builder {
    /// Sets a parameter in `postgresql.conf`; a later one of the same name wins.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a line into `pg_hba.conf` before the defaults, so that it decides first.
    #[must_use]
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    /// Switches TLS on with this certificate (chain) and key, both PEM.
    #[must_use]
    pub fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.tls = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// Makes and starts the cluster; returns when it accepts the superuser's login.
    ///
    /// # Errors
    /// [`ClusterError`]; nothing is left behind then.
    pub async fn start(self) -> Result<Cluster, ClusterError> {
        let template = template::of(&self.binaries).await?;
        let account = Account::choose()?;
        let (dir, mut keeper) = files::kept_directory(&self.binaries, Some(&template.data), account).await?;
        files::make(&mut keeper, "copy", &dir).await?;
        let mut cluster = Cluster { keeper, account, dir, port: 0, running: false, builder: self, template };
        cluster.write_hba()?;
        if let Some((certificate, key)) = &cluster.builder.tls {
            files::write(&cluster.data_directory().join("server.crt"), certificate, account)?;
            files::write(&cluster.data_directory().join("server.key"), key, account)?;
        }
        for attempt in 1.. {
            cluster.port = free_port()?;
            cluster.write_conf()?;
            match cluster.start_again().await {
                Err(ClusterError::Ended(log)) if attempt < PORTS && log.contains("could not bind") => {}
                outcome => return outcome.map(|()| cluster),
            }
        }
        unreachable!("the loop returns at its last attempt at the latest")
    }
}

/// A throwaway cluster. Dropping it stops the server (immediate shutdown) and removes its directory.
pub struct Cluster {
    /// First, so that it is dropped first.
    keeper: Keeper,
    account: Account,
    dir: PathBuf,
    port: u16,
    running: bool,
    builder: Builder,
    template: std::sync::Arc<Template>,
}

impl Cluster {
    /// Begins to describe a cluster of this version.
    #[must_use]
    pub fn builder(binaries: &Binaries) -> Builder {
        Builder { binaries: binaries.clone(), settings: Vec::new(), hba: Vec::new(), tls: None }
    }

    /// How its superuser `postgres` reaches it over TCP (127.0.0.1) with a password, in the database `postgres`.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            host: Ipv4Addr::LOCALHOST.to_string(),
            port: self.port,
            password: Some(self.password().clone()),
            ssl_mode: if self.builder.tls.is_some() { SslMode::Prefer } else { SslMode::Disable },
            ..Settings::default()
        }
    }

    /// How its superuser reaches it through the Unix socket, without a password: only the account that runs
    /// walpilot, root and the server's own can pass through the directory.
    #[must_use]
    pub fn socket_settings(&self) -> Settings {
        Settings { host: self.dir.display().to_string(), password: None, ..self.settings() }
    }

    /// The superuser's password.
    #[must_use]
    pub fn password(&self) -> &Secret {
        &self.template.password
    }

    /// The TCP port, also part of the Unix socket's name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.builder.binaries.major
    }

    /// The programs that it runs.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.builder.binaries
    }

    /// The server's data directory (`PGDATA`).
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The server's log so far, as text.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.dir.join("log")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The process id of the postmaster, while there is one.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        self.pid_file().lines().next()?.trim().parse().ok()
    }

    /// Stops the server with a fast shutdown (SIGINT): sessions are ended, a checkpoint is written, and walsenders
    /// may send the rest first.
    ///
    /// # Errors
    /// [`ClusterError::DoesNotStop`], for example while a subscriber does not confirm.
    pub async fn stop_fast(&mut self) -> Result<(), ClusterError> {
        self.stop("INT").await
    }

    /// Stops the server with an immediate shutdown (SIGQUIT), like a crash: it recovers at the next start.
    ///
    /// # Errors
    /// [`ClusterError::DoesNotStop`].
    pub async fn stop_immediate(&mut self) -> Result<(), ClusterError> {
        self.stop("QUIT").await
    }

    async fn stop(&mut self, signal: &str) -> Result<(), ClusterError> {
        if !self.running {
            return Ok(());
        }
        self.keeper.order(signal).map_err(|_| ClusterError::NotRunning)?;
        self.ended().await
    }

    /// Waits for the server's end.
    async fn ended(&mut self) -> Result<(), ClusterError> {
        match timeout(PATIENCE, self.keeper.answer()).await {
            Ok(Some(_)) => {
                self.running = false;
                Ok(())
            }
            Ok(None) => Err(ClusterError::NotRunning),
            Err(_) => Err(ClusterError::DoesNotStop { log: self.last_lines() }),
        }
    }

    /// Starts a stopped server again, on the same port and with the same data.
    ///
    /// # Errors
    /// [`ClusterError`] with the end of the server's log.
    pub async fn start_again(&mut self) -> Result<(), ClusterError> {
        if self.running {
            match connect(&self.settings(), &SessionOptions::administer()).await {
                Ok(_) => return Ok(()),
                // Somebody killed it; the keeper notices a moment later.
                Err(failure) if matches!(failure.class, Class::Refused | Class::ServerClosed) => self.ended().await?,
                Err(failure) => return Err(failure.into()),
            }
        }
        // A server that crashed leaves its file, which must not pass for that of the new one.
        let stale = self.pid_file();
        self.keeper.order("start").map_err(|_| ClusterError::NotRunning)?;
        self.running = true;
        let ready = timeout(PATIENCE, self.wait_until_ready(&stale)).await;
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(ClusterError::Slow { log: self.last_lines() }),
        }
        connect(&self.settings(), &SessionOptions::administer()).await?;
        Ok(())
    }

    async fn wait_until_ready(&mut self, stale: &str) -> Result<(), ClusterError> {
        while !self.says_ready(stale) {
            tokio::select! {
                answer = self.keeper.answer() => {
                    self.running = false;
                    return Err(match answer {
                        Some(Answer::Ended(_) | Answer::Finished(_)) => ClusterError::Ended(self.last_lines()),
                        None => ClusterError::NotRunning,
                    });
                }
                () = sleep(LOOK_AGAIN) => {}
            }
        }
        Ok(())
    }

    /// The eighth line of `postmaster.pid` is the postmaster's status (`src/include/utils/pidfile.h`).
    fn says_ready(&self, stale: &str) -> bool {
        let file = self.pid_file();
        file != stale && file.lines().nth(7).is_some_and(|status| status.trim() == "ready")
    }

    fn pid_file(&self) -> String {
        fs::read_to_string(self.data_directory().join("postmaster.pid")).unwrap_or_default()
    }

    /// Makes the server read its configuration again (SIGHUP). Changes show a moment later.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn reload(&mut self) -> Result<(), ClusterError> {
        if !self.running {
            return Err(ClusterError::NotRunning);
        }
        self.keeper.order("HUP").map_err(|_| ClusterError::NotRunning)
    }

    /// Replaces the lines before the defaults in `pg_hba.conf`; they count after [`Self::reload`].
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn set_hba(&mut self, lines: &[&str]) -> Result<(), ClusterError> {
        self.builder.hba = lines.iter().map(|&line| line.to_owned()).collect();
        Ok(self.write_hba()?)
    }

    fn write_hba(&self) -> std::io::Result<()> {
        let mut text = String::new();
        for line in &self.builder.hba {
            text.push_str(line);
            text.push('\n');
        }
        // Only who may pass through the private directory reaches the socket, so it needs no password.
        text.push_str("local all all trust\nlocal replication all trust\n");
        text.push_str("host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n");
        files::write(&self.data_directory().join("pg_hba.conf"), &text, self.account)
    }

    fn write_conf(&self) -> std::io::Result<()> {
        let socket = self.dir.display().to_string();
        let port = self.port.to_string();
        let tls = if self.builder.tls.is_some() { "on" } else { "off" };
        let ours = [
            ("listen_addresses", "127.0.0.1"),
            ("port", port.as_str()),
            ("unix_socket_directories", socket.as_str()),
            ("password_encryption", "scram-sha-256"),
            ("ssl", tls),
            // Nothing here is worth a disk's time.
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("shared_buffers", "32MB"),
            ("max_connections", "50"),
            ("max_wal_senders", "10"),
            ("max_replication_slots", "10"),
            ("checkpoint_timeout", "30min"),
            ("log_checkpoints", "off"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            ("lc_messages", "C"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
        ];
        let given = self.builder.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut text = String::new();
        for (name, value) in ours.into_iter().chain(given) {
            let value = value.replace('\\', r"\\").replace('\'', "''");
            // Writing into a String can't fail.
            let _ = writeln!(text, "{name} = '{value}'");
        }
        files::write(&self.data_directory().join("postgresql.conf"), &text, self.account)
    }

    fn last_lines(&self) -> String {
        files::last_lines(&self.dir)
    }
}

/// A port that is free on the loopback address now. It lies below the range from which the system gives ports to
/// outgoing connections, so a restarted server finds it free again.
fn free_port() -> std::io::Result<u16> {
    let mut last = std::io::ErrorKind::AddrInUse.into();
    for _ in 0..100 {
        let port = 20_000 + u16::try_from(files::random()? % 12_000).unwrap_or_default();
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}
