//! What the tests of the monitor share: a real server that is sampled, with time that may be hurried.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]

use std::process::Stdio;
use std::time::Duration;

use walpilot::connection::{Secret, Settings};
use walpilot::monitor::diagnosis::{Finding, Severity};
use walpilot::monitor::{Moment, Sample, Sampler, Seen, Target, Watcher};

use crate::support::{await_until, execute, source, value};

/// A table, published.
pub const SCHEMA: &str =
    "CREATE TABLE public.t (id int PRIMARY KEY, note text); CREATE PUBLICATION p FOR TABLE public.t;";
/// Its slot.
pub const SLOT: &str = "SELECT pg_create_logical_replication_slot('s', 'pgoutput')";

/// Megabytes of changes in a published table, in one transaction.
pub fn fill(megabytes: u32) -> String {
    let rows = megabytes * 1000;
    format!(
        "INSERT INTO public.t SELECT g, repeat(md5(g::text), 32) FROM generate_series(1, {rows}) g ON CONFLICT (id) DO UPDATE SET note = excluded.note"
    )
}

/// Each statement committed on its own.
pub async fn execute_each(settings: &Settings, script: &str) {
    for statement in script.split_inclusive(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        execute(settings, statement).await;
    }
}

/// A source with the table, the publication `p` and the slot `s`.
pub async fn with_slot() -> (walpilot::demo::Cluster, Settings) {
    let source = source().await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    (source, settings)
}

/// A source that is watched. Each sample is real and new in all its parts; only its times are moved ahead by `hurry` for
/// each sample, so that what takes minutes is seen in seconds.
pub struct Scene {
    pub sampler: Sampler,
    pub watcher: Watcher,
    pub target: Target,
    pub hurry: Duration,
    ahead: Duration,
}

impl Scene {
    pub async fn of(target: Target) -> Self {
        let mut sampler = Sampler::connect(target.clone()).await.unwrap_or_else(|failure| panic!("{failure}"));
        sampler.settle().await;
        let (watcher, ahead) = (Watcher::default(), Duration::ZERO);
        Self { sampler, watcher, target, hurry: Duration::from_secs(20), ahead }
    }

    /// The slot `s` and the publication `p` of a source.
    pub async fn source(settings: &Settings) -> Self {
        Self::of(target(settings)).await
    }

    /// As before, in real time.
    pub fn unhurried(self) -> Self {
        Self { hurry: Duration::ZERO, ..self }
    }

    pub async fn step(&mut self) -> Sample {
        self.sampler.refresh();
        let mut sample = self.sampler.sample().await.unwrap_or_else(|reason| panic!("{reason}"));
        let seen = sample.clone();
        let moved = |moment: Moment| moment.plus(self.ahead);
        (sample.at, sample.heard) = (moved(sample.at), moved(sample.heard));
        if let Seen::Known(files) = &mut sample.files {
            files.at = moved(files.at);
        }
        sample.steady += u64::try_from(self.ahead.as_micros()).expect("not for ever");
        self.ahead += self.hurry;
        self.watcher.push(sample);
        seen
    }

    /// Lets time pass between this sample and the next.
    pub fn later(&mut self, seconds: u64) {
        self.ahead += Duration::from_secs(seconds);
    }

    pub async fn again(&mut self) {
        let before = self.target.clone();
        self.sampler = Sampler::connect(before).await.unwrap_or_else(|failure| panic!("{failure}"));
        self.sampler.settle().await;
    }

    pub fn finding(&self, rule: &str) -> Option<&Finding> {
        self.watcher.diagnosis().findings().iter().find(|finding| finding.rule == rule)
    }

    pub async fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        await_until(what, async || {
            self.step().await;
            condition(self)
        })
        .await;
    }

    /// Samples until `rule` is on, and returns what it says.
    pub async fn on(&mut self, rule: &str) -> Finding {
        self.until(&format!("{rule} is on"), |scene| scene.finding(rule).is_some()).await;
        self.finding(rule).expect("it is on").clone()
    }

    /// Samples until `rule` is on and as bad as `severity`.
    pub async fn on_as(&mut self, rule: &str, severity: Severity) -> Finding {
        let bad = |scene: &Self| scene.finding(rule).is_some_and(|finding| finding.severity == severity);
        self.until(&format!("{rule} is {}", severity.name()), bad).await;
        self.finding(rule).expect("it is on").clone()
    }

    /// Samples until `rule` is off.
    pub async fn off(&mut self, rule: &str) {
        self.until(&format!("{rule} is off"), |scene| scene.finding(rule).is_none()).await;
    }
}

/// `server_version_num`.
pub async fn version(settings: &Settings) -> u32 {
    value(settings, "SHOW server_version_num").await.parse().expect("a number")
}

pub fn target(source: &Settings) -> Target {
    Target { source: source.clone(), slot: Some("s".into()), publication: Some("p".into()), ..Target::default() }
}

/// The first statement that a finding proposes and that contains `part`.
#[track_caller]
pub fn statement(finding: &Finding, part: &str) -> String {
    let mut statements = finding.actions.iter().filter_map(|action| action.sql.clone());
    statements.find(|sql| sql.contains(part)).unwrap_or_else(|| panic!("{part}: {:?}", finding.actions))
}

/// A client that reads slot `s` and gets publication `p`.
pub fn reader(source: &Settings, more: &[&str]) -> tokio::process::Child {
    reader_of(source, "p", more, "/dev/null")
}

pub fn reader_of(source: &Settings, publication: &str, more: &[&str], file: &str) -> tokio::process::Child {
    let mut command = tokio::process::Command::new("pg_recvlogical");
    command
        .args(["--start", "--slot=s", "--no-loop", "--file", file])
        .args(["-o", "proto_version=1", "-o", &format!("publication_names={publication}")])
        .args(if more.is_empty() { &["--status-interval=1", "--fsync-interval=1"] } else { more })
        .args(["-d", &source.database, "-h", &source.host, "-p", &source.port.to_string(), "-U", &source.user])
        .env("PGPASSWORD", source.password.as_ref().map_or("", Secret::reveal))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().expect("pg_recvlogical comes with psql")
}

/// Sends a signal to a process that the test has started, or to a server process of its cluster.
pub fn signal(name: &str, pid: u32) {
    let status = std::process::Command::new("kill").args([name, &pid.to_string()]).status().expect("kill");
    assert!(status.success(), "kill {name} {pid}");
}
