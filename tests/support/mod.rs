//! The harness of all tests against real servers.
//!
//! [`source`] and [`destination`] are throwaway clusters that end with their guard; [`walpilot`] runs the built
//! program as a user would, with a time limit and none of our environment; [`psql`] is the oracle.
//!
//! The server's version: `WALPILOT_TEST_PG=17` takes the programs in `.pg/17/bin` (see `make test-matrix`),
//! `WALPILOT_PG_BIN` those of a directory; without both the installed ones are found as `walpilot demo` finds them.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test program uses a part of the harness")]

pub mod bastion;
pub mod catalog;
pub mod certificates;
pub mod fakes;
pub mod oracle;
pub mod pki;
pub mod preflight;
pub mod program;
pub mod proxy;
pub mod pty;
pub mod servers;
pub mod standby;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;
use walpilot::connection::{Session, SessionOptions, Settings, connect, describe};
use walpilot::demo::cluster::Builder;
use walpilot::demo::{Binaries, Cluster};

pub use program::{Walpilot, walpilot};

/// How long a condition may take to come true on a slow machine. Reaching it is a failure; no test measures with it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The server programs to test with.
#[expect(clippy::disallowed_methods, reason = "the environment chooses the server's version")]
pub fn binaries() -> Binaries {
    let named = match std::env::var_os("WALPILOT_TEST_PG") {
        Some(major) => Some(Path::new(env!("CARGO_MANIFEST_DIR")).join(".pg").join(major).join("bin")),
        None => std::env::var_os("WALPILOT_PG_BIN").map(PathBuf::from),
    };
    let path = std::env::var_os("PATH");
    Binaries::find(named.as_deref(), path.as_deref()).unwrap_or_else(|error| panic!("{error}"))
}

/// A cluster that may be replicated from, to be described further.
pub fn source_builder() -> Builder {
    Cluster::builder(&binaries()).setting("wal_level", "logical")
}

/// A cluster that may be replicated from.
pub async fn source() -> Cluster {
    started(source_builder()).await
}

/// A cluster whose slots may hold two segments of log only, and are lost soon.
pub async fn short_of_log() -> Cluster {
    let small = ["max_slot_wal_keep_size", "min_wal_size", "max_wal_size"];
    started(small.into_iter().fold(source_builder(), |builder, name| builder.setting(name, "32MB"))).await
}

/// A cluster with PostgreSQL's own defaults.
pub async fn destination() -> Cluster {
    started(Cluster::builder(&binaries())).await
}

/// Starts a described cluster.
pub async fn started(builder: Builder) -> Cluster {
    builder.start().await.unwrap_or_else(|error| panic!("{error}"))
}

/// Makes a server a standby: it recovers for ever and lets readers in.
pub async fn demote(cluster: &mut Cluster) {
    cluster.stop_fast().await.unwrap_or_else(|error| panic!("{error}"));
    servers::make_standby(cluster);
    cluster.start_again().await.unwrap_or_else(|error| panic!("{error}"));
}

/// A session that may write.
pub async fn session(settings: &Settings) -> Session {
    connect(settings, &SessionOptions::administer()).await.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Runs any number of statements, each committed on its own unless `sql` says BEGIN.
pub async fn execute(settings: &Settings, sql: &str) {
    query(settings, sql).await;
}

/// Runs statements in a session of their own and returns all rows as text.
pub async fn query(settings: &Settings, sql: &str) -> Vec<Vec<Option<String>>> {
    let session = session(settings).await;
    let messages = session.client.simple_query(sql).await;
    let messages = messages.unwrap_or_else(|error| panic!("{}: {sql}", describe(&error)));
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect()
}

/// The first column of the first row, as text.
pub async fn value(settings: &Settings, sql: &str) -> String {
    let rows = query(settings, sql).await;
    rows.first().and_then(|row| row.first()?.clone()).unwrap_or_else(|| panic!("no value: {sql}"))
}

/// What psql prints for `sql`, unaligned and without headers: the oracle for what a user would see.
pub fn psql(settings: &Settings, sql: &str) -> String {
    let mut command = psql_command(settings);
    let output =
        command.args(["-v", "ON_ERROR_STOP=1", "-c", sql]).output().expect("psql is installed with the server");
    assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

/// Feeds a script to psql as a user would with `psql -f`: each statement is committed on its own, and the script itself
/// says whether an error stops it. Returns the exit code and what stood on standard error.
pub fn psql_script(settings: &Settings, script: &str) -> (i32, String) {
    psql_script_with(settings, script, &[])
}

/// [`psql_script`] with variables of psql, as by `-v name=value`.
pub fn psql_script_with(settings: &Settings, script: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), script).expect("written");
    let mut command = psql_command(settings);
    for (name, value) in variables {
        command.arg("-v").arg(format!("{name}={value}"));
    }
    let output = command.arg("-q").arg("-f").arg(file.path()).output().expect("psql is installed");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Prepares a server: statements as a user types them, each committed on its own, in the schema public.
#[track_caller]
pub fn prepare(settings: &Settings, script: &str) {
    let (code, stderr) =
        psql_script(settings, &format!("\\set ON_ERROR_STOP on\nSET client_min_messages = error;\n{script};"));
    assert_eq!(code, 0, "{stderr}");
}

pub fn psql_command(settings: &Settings) -> Command {
    let mut command = psql_program(settings, "psql");
    command.args(["-X", "-A", "-t"]);
    command
}

/// One of PostgreSQL's client programs, connected by nothing but `settings`.
fn psql_program(settings: &Settings, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    command.env("PATH", "/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin").env("PGCONNECT_TIMEOUT", "10");
    command.env("PGHOST", &settings.host).env("PGPORT", settings.port.to_string()).env("PGUSER", &settings.user);
    command.env("PGDATABASE", &settings.database).env("PGSSLMODE", settings.ssl_mode.name());
    if let Some(password) = &settings.password {
        command.env("PGPASSWORD", password.reveal());
    }
    command
}

/// Waits until `condition` holds; panics with `what` when it does not within [`PATIENCE`].
pub async fn await_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "did not come true in time: {what}");
}
