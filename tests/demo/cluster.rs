//! Throwaway clusters: they start, stop and start again, keep others out, and leave nothing behind.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{await_until, binaries, certificates, execute, psql, source, source_builder, value};
use walpilot::connection::{Class, Secret, SessionOptions, Settings, SslMode, connect};
use walpilot::demo::{Cluster, ClusterError};

/// Whether a process runs. One that has ended and that nobody has waited for yet does not.
fn runs(pid: u32) -> bool {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().expect("ps");
    let state = String::from_utf8_lossy(&output.stdout);
    !matches!(state.trim().chars().next(), None | Some('Z'))
}

fn directory(cluster: &Cluster) -> PathBuf {
    cluster.data_directory().parent().expect("a parent").to_owned()
}

#[tokio::test]
async fn a_cluster_starts_with_its_settings_and_leaves_nothing() {
    let cluster =
        source_builder().setting("wal_level", "replica").setting("wal_level", "logical").start().await.unwrap();
    assert_eq!(value(&cluster.settings(), "SHOW wal_level").await, "logical");
    assert_eq!(value(&cluster.socket_settings(), "SELECT current_user").await, "postgres");
    assert_eq!(psql(&cluster.settings(), "SELECT 40 + 2"), "42");
    let (pid, dir) = (cluster.postmaster_pid().unwrap(), directory(&cluster));
    assert!(runs(pid));
    drop(cluster);
    assert!(!runs(pid) && !dir.exists());
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let cluster = source().await;
    for password in [None, Some(Secret::new("wrong"))] {
        let failure = connect(&Settings { password, ..cluster.settings() }, &SessionOptions::inspect()).await.err();
        let class = failure.map(|failure| failure.class);
        assert!(matches!(class, Some(Class::PasswordMissing | Class::PasswordWrong)), "{class:?}");
    }
    let mode = std::fs::metadata(directory(&cluster)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the socket needs no password, so its directory must be private");
}

#[tokio::test]
async fn the_password_stands_in_no_file_and_no_argument() {
    let cluster = source().await;
    let password = cluster.password().reveal();
    let arguments = Command::new("ps").args(["-eo", "args"]).output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&arguments).contains("walpilot-keeper"), "the keeper is seen at all");
    assert!(!String::from_utf8_lossy(&arguments).contains(password));
    for entry in std::fs::read_dir(directory(&cluster)).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(password), "{}", entry.path().display());
        }
    }
}

#[tokio::test]
async fn data_survives_a_crash_and_a_fast_stop() {
    let mut cluster = source().await;
    execute(&cluster.settings(), "CREATE TABLE public.t AS SELECT 42 AS n").await;
    for immediate in [true, false] {
        let pid = cluster.postmaster_pid().unwrap();
        if immediate {
            cluster.stop_immediate().await.unwrap();
        } else {
            cluster.stop_fast().await.unwrap();
        }
        assert!(!runs(pid));
        let failure = connect(&cluster.settings(), &SessionOptions::inspect()).await.err().unwrap();
        assert_eq!(failure.class, Class::Refused);
        cluster.start_again().await.unwrap();
        assert_eq!(value(&cluster.settings(), "SELECT n FROM public.t").await, "42");
    }
    assert!(cluster.log().contains("not properly shut down"), "the immediate stop is like a crash");
}

#[tokio::test]
async fn a_server_that_somebody_killed_starts_again() {
    let mut cluster = source().await;
    let pid = cluster.postmaster_pid().unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    await_until("the server is gone", async || !runs(pid)).await;
    // The killed postmaster's children notice on their own; a new server refuses to start before.
    await_until("it starts again", async || cluster.start_again().await.is_ok()).await;
    assert_eq!(value(&cluster.settings(), "SELECT 1").await, "1");
}

#[tokio::test]
async fn a_bad_setting_shows_the_servers_own_words() {
    let error = source_builder().setting("wal_level", "rather 'high\\").start().await.err().unwrap();
    assert!(matches!(&error, ClusterError::Ended(log) if log.contains("rather 'high\\")), "{error}");
}

#[tokio::test]
async fn hba_lines_come_before_the_defaults_and_can_be_changed() {
    let mut cluster = source_builder().hba("host all all 127.0.0.1/32 reject").start().await.err();
    assert!(
        matches!(&cluster, Some(ClusterError::Unreachable(failure)) if failure.class == Class::HbaReject),
        "{cluster:?}"
    );
    drop(cluster.take());
    let mut cluster = source_builder().hba("host all nobody 127.0.0.1/32 reject").start().await.unwrap();
    let nobody = cluster.settings().as_user("nobody", Some(Secret::new("x")));
    let class = async || connect(&nobody, &SessionOptions::inspect()).await.err().map(|failure| failure.class);
    assert_eq!(class().await, Some(Class::HbaReject));
    cluster.set_hba(&[]).unwrap();
    cluster.reload().unwrap();
    await_until("the new lines count", async || class().await == Some(Class::PasswordWrong)).await;
}

#[tokio::test]
async fn tls_is_on_with_a_certificate() {
    let certificate = certificates::self_signed("localhost");
    let cluster = source_builder().tls(&certificate.certificate, &certificate.key).start().await.unwrap();
    let settings = Settings { ssl_mode: SslMode::Require, ..cluster.settings() };
    let ssl = "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
    assert_eq!(psql(&settings, ssl), "t");
}

/// Not a test: the program that the tests below end in all ways. It holds a running cluster until its input ends.
#[test]
#[ignore = "is run by other tests"]
fn hold_a_cluster() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cluster = runtime.block_on(source());
    let pid = cluster.postmaster_pid().unwrap();
    writeln!(std::io::stdout(), "held {pid} {}", directory(&cluster).display()).unwrap();
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).unwrap();
    if input.trim() == "panic" {
        panic!("as asked");
    }
}

/// The server and the directory of a holder, read from its output.
fn held(output: impl Read) -> (u32, PathBuf) {
    let line = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains("held "))
        .expect("the holder starts a cluster");
    let words: Vec<_> = line.split("held ").nth(1).unwrap_or_default().split_whitespace().collect();
    (words[0].parse().expect("a process id"), words[1].into())
}

const HOLDER: [&str; 4] = ["--ignored", "--exact", "--nocapture", "cluster::hold_a_cluster"];

/// Starts a holder whose temporary files go to `temporary`.
fn holder(temporary: &Path) -> Command {
    std::fs::set_permissions(temporary, std::fs::Permissions::from_mode(0o1777)).expect("rights");
    let mut command = Command::new(std::env::current_exe().expect("the test program"));
    command.args(HOLDER).env("TMPDIR", temporary);
    command
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir).expect("the directory").map(|entry| entry.expect("an entry").path()).collect()
}

#[tokio::test]
async fn nothing_survives_a_killed_holder_or_a_panic() {
    for end in ["KILL", "TERM", "panic"] {
        let temporary = tempfile::tempdir().unwrap();
        let mut child = holder(temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (pid, dir) = held(child.stdout.take().unwrap());
        assert!(runs(pid) && dir.starts_with(temporary.path()), "{dir:?}");
        if end == "panic" {
            child.stdin.take().unwrap().write_all(b"panic").unwrap();
        } else {
            Command::new("kill").args([&format!("-{end}"), &child.id().to_string()]).status().unwrap();
        }
        assert!(!child.wait().unwrap().success());
        await_until("the server is gone", async || !runs(pid)).await;
        await_until("cluster and template are removed", async || entries(temporary.path()).is_empty()).await;
    }
}

#[tokio::test]
async fn ctrl_c_in_the_terminal_leaves_the_cleaning_up_to_the_keeper() {
    let temporary = tempfile::tempdir().unwrap();
    let exe = holder(temporary.path());
    let portable_pty::PtyPair { master, slave } =
        portable_pty::native_pty_system().openpty(portable_pty::PtySize::default()).unwrap();
    let mut command = portable_pty::CommandBuilder::new(exe.get_program());
    command.args(HOLDER);
    command.env("TMPDIR", temporary.path());
    let mut child = slave.spawn_command(command).unwrap();
    // As long as we hold it too, a holder that has ended would be waited for.
    drop(slave);
    let (pid, _) = held(master.try_clone_reader().unwrap());
    assert!(runs(pid));
    master.take_writer().unwrap().write_all(b"\x03").unwrap();
    assert!(!child.wait().unwrap().success());
    await_until("the server is gone", async || !runs(pid)).await;
    await_until("cluster and template are removed", async || entries(temporary.path()).is_empty()).await;
}

#[tokio::test]
async fn the_version_is_the_chosen_one() {
    let cluster = source().await;
    let version: u32 = value(&cluster.settings(), "SHOW server_version_num").await.parse().unwrap();
    assert_eq!(version / 10_000, binaries().major);
}
