//! The demo without a terminal: every step of the wizard in turn, as plain lines, and a comparison at the end.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::exit::{Exit, Stop};
use super::super::output::{Output, Paint};
use super::failed;
use crate::catalog::gather::gather_and_probe;
use crate::catalog::{Facts, Lsn};
use crate::connection::{Session, SessionOptions, Settings, connect, describe};
use crate::demo::Demo;
use crate::monitor::units;
use crate::preflight::{self, Report, Severity, Status, Verdict};
use crate::profile::Profile;
use crate::replication::compare::{Comparison, compare, published_tables};
use crate::replication::{self, Progress, RunError, RunEvent, RunOptions, Summary, XminOptions};
use crate::setup::apply::{ApplyEvent, apply};
use crate::setup::{Password, Wishes, plan};

/// How long the rest may take to arrive after the last write.
const CATCH_UP: Duration = Duration::from_secs(60);
/// How often progress is printed, if something changed.
const EVERY: Duration = Duration::from_secs(1);

/// Goes the whole way with `demo` and writes for `run_for`. Fine only if every table's rows agree.
pub(super) async fn run(demo: &Demo, rate: u32, run_for: Duration, output: Output) -> Result<Exit, Stop> {
    let profile = super::profile(demo);
    output.line(&format!("source       {}", profile.source))?;
    output.line(&format!("destination  {}", demo.destination))?;

    let before = checks(&profile, &profile.source, output, "before").await?;
    mend(demo, &profile, output).await?;
    let after = checks(&profile, &profile.source, output, "after").await?;
    if after.verdict == Verdict::Blocked {
        return Err(Stop::new(Exit::Blockers, "The checks still find blockers after the setup script."));
    }

    let workload = demo.workload(rate).await.map_err(|error| failed(&error))?;
    let running = Running::start(&profile, &demo.destination);
    let watched = running.watch(run_for, output).await;
    let written = workload.stop().await.map_err(|error| failed(&error))?;
    let worst = watched?;
    output.line(&format!("workload     {written} transactions written; waiting for the rest to arrive"))?;

    let admin = connect(&demo.admin, &SessionOptions::inspect()).await?;
    running.catch_up(&admin, &profile.slot).await?;
    let summary = running.finish().await?;
    let comparisons = compared(demo, &profile).await?;

    table(&comparisons, &summary, output)?;
    output.line("")?;
    output.line(&format!(
        "lag          at most {} and {} while writing; {} at the end",
        units::bytes(worst.bytes),
        units::span(Duration::from_millis(worst.millis)),
        units::bytes(summary.progress.lag_bytes),
    ))?;
    output.line(&format!("checks       before: {}", count(&before)))?;
    output.line(&format!("             after:  {}", count(&after)))?;
    output.line(&format!("checkpoint   {}", summary.checkpoint))?;
    if comparisons.iter().all(|comparison| comparison.equal) && !comparisons.is_empty() {
        output.line(&output.paint(Paint::Good, "Every table has the same rows on both sides."))?;
        Ok(Exit::Fine)
    } else {
        Err(Stop::new(Exit::Blockers, "The rows of the two sides differ; see the table above."))
    }
}

async fn checks(profile: &Profile, as_whom: &Settings, output: Output, when: &str) -> Result<Report, Stop> {
    let facts = facts(profile, as_whom).await?;
    let report = preflight::evaluate(&facts, profile);
    output.line(&format!("checks       {when} the setup: {}", count(&report)))?;
    for finding in report.findings.iter().filter(|finding| finding.status == Status::Fail) {
        let mark = output.paint(Paint::Bad, "✖");
        output.line(&format!("             {mark} {}: {}", finding.id, finding.summary))?;
    }
    Ok(report)
}

async fn facts(profile: &Profile, as_whom: &Settings) -> Result<Facts, Stop> {
    let session = connect(as_whom, &SessionOptions::inspect()).await?;
    gather_and_probe(&session, profile).await.map_err(|error| failed(&error))
}

fn count(report: &Report) -> String {
    let of = |severity| {
        report
            .findings
            .iter()
            .filter(|finding| matches!(finding.status, Status::Fail | Status::Warn) && finding.severity == severity)
            .count()
    };
    let passed = report.findings.iter().filter(|finding| finding.status == Status::Pass).count();
    let many = |number: usize, thing: &str| format!("{number} {thing}{}", if number == 1 { "" } else { "s" });
    format!("{}, {}, {passed} passed", many(of(Severity::Blocker), "blocker"), many(of(Severity::Warning), "warning"))
}

/// Plans with the administrator's eyes, shows every statement, and runs it.
async fn mend(demo: &Demo, profile: &Profile, output: Output) -> Result<(), Stop> {
    let facts = facts(profile, &demo.admin).await?;
    let password = Password::of(profile.source.password.as_ref());
    let plan = plan(&facts, profile, &Wishes { password, all: None });
    output.line(&format!("setup        {} statements as {}", plan.steps.len(), demo.admin.user))?;
    for (at, step) in plan.steps.iter().enumerate() {
        output.line(&format!("             {:>2}  {};", at + 1, crate::connection::printable(&step.shown())))?;
    }
    let admin = connect(&demo.admin, &SessionOptions::administer()).await?;
    let progress = |event| {
        if let ApplyEvent::Waiting { at, reason, left, .. } = event {
            output.note(&format!("             {:>2}  {reason}; trying again in {left} s", at + 1));
        }
    };
    apply(&admin, &plan, &CancellationToken::new(), progress).await.map_err(|error| failed(&error))?;
    output.line("             all done")?;
    Ok(())
}

async fn compared(demo: &Demo, profile: &Profile) -> Result<Vec<Comparison>, Stop> {
    // As the administrator: the comparison is about the rows, not about who may read them.
    let source = connect(&demo.admin, &SessionOptions::inspect()).await?;
    let destination = connect(&demo.destination, &SessionOptions::inspect()).await?;
    let tables = published_tables(&source, &profile.publication).await.map_err(|error| failed(&error))?;
    compare(&source, &destination, &tables).await.map_err(|error| failed(&error))
}

fn table(comparisons: &[Comparison], summary: &Summary, output: Output) -> Result<(), Stop> {
    let width = comparisons.iter().map(|one| one.table.to_string().chars().count()).max().unwrap_or(0).max(5);
    output.line("")?;
    let head = format!(
        "{:width$}  {:>12}  {:>16}  {:>15}  ROWS",
        "TABLE", "SOURCE ROWS", "DESTINATION ROWS", "CHANGES APPLIED"
    );
    output.line(&output.paint(Paint::Bold, &head))?;
    for one in comparisons {
        let changes = summary
            .progress
            .tables
            .iter()
            .find(|progress| progress.table == one.table)
            .map_or(0, |progress| progress.inserts + progress.updates + progress.deletes + progress.truncates);
        let verdict = if one.equal { output.paint(Paint::Good, "equal") } else { output.paint(Paint::Bad, "DIFFER") };
        let name = one.table.to_string();
        output.line(&format!(
            "{name:width$}  {:>12}  {:>16}  {changes:>15}  {verdict}",
            one.source_rows, one.destination_rows
        ))?;
    }
    Ok(())
}

/// The largest lag that was seen.
#[derive(Clone, Copy, Default)]
struct Worst {
    bytes: u64,
    millis: u64,
}

/// A replication that runs in the background.
struct Running {
    progress: watch::Receiver<Progress>,
    events: tokio::sync::Mutex<mpsc::Receiver<RunEvent>>,
    stop: CancellationToken,
    task: JoinHandle<Result<Summary, RunError>>,
}

impl Running {
    fn start(profile: &Profile, destination: &Settings) -> Self {
        let (progress_to, progress) = watch::channel(Progress::default());
        let (events_to, events) = mpsc::channel(64);
        let stop = CancellationToken::new();
        let options = RunOptions {
            profile: profile.clone(),
            destination: destination.clone(),
            create_slot: false,
            xmin: XminOptions::default(),
        };
        let task = tokio::spawn(replication::run(options, progress_to, events_to, stop.clone()));
        Self { progress, events: tokio::sync::Mutex::new(events), stop, task }
    }

    /// Prints how it goes until `run_for` is over, or until the run ends by itself.
    async fn watch(&self, run_for: Duration, output: Output) -> Result<Worst, Stop> {
        let end = Instant::now() + run_for;
        let mut events = self.events.lock().await;
        let mut ticks = tokio::time::interval(EVERY);
        let (mut shown, mut worst) = (String::new(), Worst::default());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(end) => return Ok(worst),
                event = events.recv() => match event {
                    Some(event) => output.line(&format!("run          {}", event.text))?,
                    // The run has ended; its reason comes out when it is joined.
                    None => return Ok(worst),
                },
                _ = ticks.tick() => {
                    let progress = self.progress.borrow().clone();
                    worst.bytes = worst.bytes.max(progress.lag_bytes);
                    worst.millis = worst.millis.max(progress.lag_millis);
                    let line = progress_line(&progress);
                    if line != shown {
                        output.line(&format!("run          {line}"))?;
                        shown = line;
                    }
                }
            }
        }
    }

    /// Waits until the slot has confirmed everything that was written until now.
    async fn catch_up(&self, admin: &Session, slot: &str) -> Result<(), Stop> {
        let ask = |error: tokio_postgres::Error| failed(&format!("The slot can't be looked at: {}.", describe(&error)));
        let written: String =
            admin.client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.map_err(ask)?.get(0);
        let written: Lsn = written.parse().map_err(|error| failed(&error))?;
        let sql = "SELECT coalesce(confirmed_flush_lsn >= $2::text::pg_lsn, false) FROM pg_replication_slots WHERE slot_name = $1";
        let deadline = Instant::now() + CATCH_UP;
        while !self.task.is_finished() {
            let row = admin.client.query_opt(sql, &[&slot, &written.to_string()]).await.map_err(ask)?;
            if row.is_some_and(|row| row.get(0)) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(failed(&format!(
                    "The slot {slot} did not confirm {written} within {} s.",
                    CATCH_UP.as_secs()
                )));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn finish(self) -> Result<Summary, Stop> {
        self.stop.cancel();
        match self.task.await {
            Ok(Ok(summary)) => Ok(summary),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(failed(&"The replication broke down; please report this.")),
        }
    }
}

fn progress_line(progress: &Progress) -> String {
    let copied: u64 = progress.tables.iter().map(|table| table.rows_copied).sum();
    format!(
        "{}: {copied} rows copied, {} changes in {} transactions applied, lag {}",
        format!("{:?}", progress.phase).to_lowercase(),
        progress.changes,
        progress.transactions,
        units::bytes(progress.lag_bytes),
    )
}
