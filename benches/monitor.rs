//! What watching costs: a source with 10,000 tables and 100 slots, sampled every two seconds as a user would, beside
//! pg_activity on the same server, one after the other.
//!
//! Wanted: a pulse takes at most 10 ms of the server's time, walpilot under 3 % of one core and under 60 MB of memory.
//! Smaller, for a look: `WALPILOT_BENCH_TABLES=100 WALPILOT_BENCH_SECONDS=10`.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "it measures, and prints"
)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use walpilot::connection::{Secret, Settings};
use walpilot::demo::Cluster;
use walpilot::monitor::{Sampler, Target};

#[path = "../tests/support/mod.rs"]
mod support;

const SLOTS: u64 = 100;
const EVERY: Duration = Duration::from_secs(2);
/// Promised.
const PULSE_MILLIS: f64 = 10.0;
const CORE_PERCENT: f64 = 3.0;
const MEGABYTES: f64 = 60.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

async fn measure() {
    let (tables, seconds) = (number("WALPILOT_BENCH_TABLES", 10_000), number("WALPILOT_BENCH_SECONDS", 60));
    let cluster = prepared(tables).await;
    let settings = cluster.settings();
    let version = support::value(&settings, "SHOW server_version").await;
    println!("Watching {tables} tables and {SLOTS} slots every 2 s for {seconds} s, PostgreSQL {version}");
    pulses(&settings).await;
    let uri = support::program::uri(&settings);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_walpilot"));
    watch.args(["watch", &uri, "--interval", "2s", "--format", "json", "--publication", "p"]);
    let ours = cost_of(&settings, "walpilot", watch, seconds).await;
    report("walpilot watch --interval 2s", &ours, true);
    let there = Command::new("pg_activity").arg("--version").output().is_ok();
    if !there {
        println!("  pg_activity is not installed (apt-get install pg-activity): nothing to compare with");
        return;
    }
    // It wants a terminal, and one that has a size.
    let line = format!(
        "stty rows 60 cols 200; exec pg_activity --refresh 2 -h {} -p {} -U {} -d {}",
        settings.host, settings.port, settings.user, settings.database
    );
    let mut activity = Command::new("script");
    activity.args(["-qfc", &line, "/dev/null"]).env("TERM", "xterm");
    let theirs = cost_of(&settings, "pg_activity", activity, seconds).await;
    report("pg_activity --refresh 2", &theirs, false);
}

async fn prepared(tables: u64) -> Cluster {
    let builder =
        support::source_builder().setting("max_replication_slots", "110").setting("max_locks_per_transaction", "512");
    let cluster = support::started(builder).await;
    let settings = cluster.settings();
    for from in (0..tables).step_by(500) {
        let to = (from + 500).min(tables) - 1;
        let sql = format!(
            "DO $$ BEGIN FOR i IN {from}..{to} LOOP EXECUTE format('CREATE TABLE public.t%s (id bigint PRIMARY KEY, note text)', i); END LOOP; END $$"
        );
        support::execute(&settings, &sql).await;
    }
    support::execute(&settings, "CREATE PUBLICATION p FOR ALL TABLES").await;
    let slots = format!(
        "SELECT pg_create_logical_replication_slot('slot_' || g, 'pgoutput') FROM generate_series(1, {SLOTS}) g"
    );
    support::execute(&settings, &slots).await;
    support::execute(&settings, "VACUUM ANALYZE").await;
    cluster
}

/// How many pulses are measured: the kernel counts processor time in hundredths of a second.
const PULSES: u32 = 300;

/// The pulse alone: there and back, and the server's time for it. So many follow so fast that no other tier is due.
async fn pulses(settings: &Settings) {
    let target = Target { source: settings.clone(), publication: Some("p".into()), ..Target::default() };
    let mut sampler = Sampler::connect(target).await.unwrap_or_else(|failure| panic!("{failure}"));
    sampler.sample().await.unwrap_or_else(|reason| panic!("{reason}"));
    let server = backend(settings, "walpilot").await;
    let before = busy(server);
    let mut millis = Vec::new();
    for _ in 0..PULSES {
        let sample = sampler.sample().await.unwrap_or_else(|reason| panic!("{reason}"));
        #[expect(clippy::cast_precision_loss, reason = "microseconds")]
        millis.push(sample.pulse_micros as f64 / 1000.0);
    }
    let server_millis = (busy(server) - before) * 1000.0 / f64::from(PULSES);
    millis.sort_by(f64::total_cmp);
    let median = millis[millis.len() / 2];
    println!("  the pulse alone");
    println!("    there and back               {median:>7.1} ms (p95 {:.1} ms)", millis[millis.len() * 95 / 100]);
    println!("    server time for each         {server_millis:>7.1} ms{}", verdict(server_millis, PULSE_MILLIS));
}

/// The server process of a program, once it has connected.
async fn backend(settings: &Settings, name: &str) -> u32 {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE application_name ILIKE '{name}%' AND pid <> pg_backend_pid() LIMIT 1"
    );
    let mut pid = None;
    support::await_until("it has connected", async || {
        pid = support::query(settings, &sql).await.first().and_then(|row| row.first()?.clone());
        pid.is_some()
    })
    .await;
    pid.and_then(|pid| pid.parse().ok()).expect("a process id")
}

/// What a program costs while it runs.
struct Costs {
    /// Its own share of a core, in percent, and its memory at the most.
    core: f64,
    megabytes: f64,
    /// The share of a core of its server process.
    server: f64,
    /// The server's time for each refresh: all tiers together, each at its own pace.
    server_millis: f64,
}

async fn cost_of(settings: &Settings, name: &str, mut command: Command, seconds: u64) -> Costs {
    let password = settings.password.as_ref().map_or("", Secret::reveal);
    let home = tempfile::tempdir().expect("a home");
    command
        .env("PGPASSWORD", password)
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = Ended(command.spawn().expect("it starts"));
    let server = backend(settings, name).await;
    // `script` runs it in a process of its own.
    let own = children(child.0.id()).into_iter().last().unwrap_or(child.0.id());
    tokio::time::sleep(EVERY * 2).await;
    let (began, before, before_server) = (Instant::now(), busy(own), busy(server));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let time = began.elapsed().as_secs_f64();
    let (own_time, server_time) = (busy(own) - before, busy(server) - before_server);
    let megabytes = memory(own);
    child.end();
    Costs {
        core: own_time / time * 100.0,
        megabytes,
        server: server_time / time * 100.0,
        server_millis: server_time * 1000.0 / (time / EVERY.as_secs_f64()),
    }
}

/// A program that ends with its guard.
struct Ended(Child);

impl Ended {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.end();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let direct: Vec<u32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    direct.iter().flat_map(|pid| std::iter::once(*pid).chain(children(*pid))).collect()
}

/// Seconds of processor time: fields 14 and 15 of `/proc/PID/stat`, in hundredths (the same on every Linux that Rust
/// runs on).
fn busy(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    ticks / 100.0
}

/// The most memory that it ever had, in megabytes.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

fn verdict(value: f64, most: f64) -> String {
    format!(" (promised: {most}, {})", if value <= most { "kept" } else { "NOT KEPT" })
}

fn report(what: &str, costs: &Costs, promised: bool) {
    let judged = |value: f64, most: f64| if promised { verdict(value, most) } else { String::new() };
    println!("  {what}");
    println!("    its own share of a core      {:>7.2} %{}", costs.core, judged(costs.core, CORE_PERCENT));
    println!("    its memory at the most       {:>7.1} MB{}", costs.megabytes, judged(costs.megabytes, MEGABYTES));
    println!("    its server process           {:>7.2} % of a core", costs.server);
    println!("    server time for each refresh {:>7.1} ms, all that it asks", costs.server_millis);
}
