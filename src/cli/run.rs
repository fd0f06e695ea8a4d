//! `walpilot run`.

use std::time::Duration;

use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::duration;
use super::exit::{Exit, Stop};
use super::interrupt::Interrupt;
use super::output::{Format, Output, Paint};
use super::pair::PairArgs;
use super::xmin::{self, XminArgs};
use crate::catalog::Lsn;
use crate::connection::{self, SessionOptions, Settings};
use crate::monitor::units;
use crate::profile::Method;
use crate::replication::{self, Phase, Progress, RunError, RunEvent, RunOptions, Summary};

/// Replicate into a destination PostgreSQL
///
/// Copies the rows that exist, then follows the changes; each destination transaction carries its checkpoint, so a run
/// may be stopped or killed at any moment and started again. Without --tables or --schemas the whole publication is
/// replicated.
#[derive(clap::Args, Clone, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub pair: PairArgs,
    /// Do not create the replication slot when it is missing
    #[arg(long)]
    pub no_create_slot: bool,
    /// Forget the checkpoint, empty the replicated tables at the destination and copy them anew
    #[arg(long)]
    pub copy_again: bool,
    /// Stop after this time, for example 20s, 5m or 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub duration: Option<Duration>,
    /// Stop when everything that was committed at the source when the stream began is at the destination
    #[arg(long)]
    pub until_caught_up: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub xmin: XminArgs,
    /// Lines for people, or one JSON object a line for programs
    #[arg(long, value_enum, value_name = "text|json", default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: RunArgs, output: Output) -> Result<Exit, Stop> {
    let (profile, destination) = args.pair.opened()?;
    let xmin = args.xmin.options(args.until_caught_up);
    if profile.method == Method::Cdc && args.xmin.asks_for_something() {
        return Err(Stop::new(Exit::Usage, "--once and --reconcile need --method xmin; the method cdc sees deletes."));
    }
    let options = RunOptions { profile, destination, create_slot: !args.no_create_slot, xmin };
    if args.copy_again {
        replication::forget(&options).await.map_err(|error| stopped_by(&error))?;
    }
    let mut interrupt = Interrupt::listen()?;
    let (progress, latest) = watch::channel(Progress::default());
    let (events, mut told) = mpsc::channel(256);
    let stop = CancellationToken::new();
    let mut lines = Lines { output, format: args.format, last: None };
    let mut work = std::pin::pin!(replication::run(options.clone(), progress, events, stop.clone()));
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let deadline = args.duration.map(|duration| Instant::now() + duration);
    let mut goal: Option<Lsn> = None;
    let mut interrupted = false;
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            Some(event) = told.recv() => lines.event(&event)?,
            _ = tick.tick() => {
                let now = latest.borrow().clone();
                lines.progress(&now)?;
                if args.until_caught_up && now.phase == Phase::Streaming {
                    match goal {
                        None => goal = source_position(&options.profile.source).await,
                        Some(goal) if now.checkpoint >= goal => stop.cancel(),
                        Some(_) => {}
                    }
                }
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && !stop.is_cancelled() => {
                stop.cancel();
            }
            () = interrupt.arrived() => {
                if interrupted {
                    // Dropping the run is as safe as stopping it; only the slot is told less.
                    return Err(Stop::new(Exit::Interrupted, "stopped at once; the next run goes on from the checkpoint"));
                }
                interrupted = true;
                stop.cancel();
                output.note("walpilot: stopping after the batch at hand; press Ctrl-C again to stop at once");
            }
        }
    };
    while let Ok(event) = told.try_recv() {
        lines.event(&event)?;
    }
    let summary = outcome.map_err(|error| stopped_by(&error))?;
    lines.summary(&summary)?;
    Ok(if interrupted { Exit::Interrupted } else { Exit::Fine })
}

pub(super) fn stopped_by(error: &RunError) -> Stop {
    let message = error.to_string();
    match error {
        RunError::Connection { .. } => Stop::new(Exit::CannotConnect, message),
        RunError::Refused(_) => Stop::new(Exit::Failed, message),
    }
}

/// Where the source's log ends now; `None` when it can't be asked, to be asked again.
async fn source_position(settings: &Settings) -> Option<Lsn> {
    let session = connection::connect(settings, &SessionOptions::inspect()).await.ok()?;
    let row = session.client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.ok()?;
    row.get::<_, &str>(0).parse().ok()
}

/// Prints what happens, and progress when it has changed.
struct Lines {
    output: Output,
    format: Format,
    last: Option<Progress>,
}

impl Lines {
    fn event(&self, event: &RunEvent) -> Result<(), Stop> {
        match self.format {
            Format::Json => self.json(&json!({ "event": event }))?,
            Format::Text if event.trouble => {
                self.output.line(&self.output.paint(Paint::Warn, &format!("! {}", event.text)))?;
            }
            Format::Text => self.output.line(&format!("- {}", event.text))?,
        }
        Ok(())
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), Stop> {
        if self.last.as_ref() == Some(progress) {
            return Ok(());
        }
        match self.format {
            Format::Json => self.json(&json!({ "progress": progress }))?,
            Format::Text => self.output.line(&line(progress, self.last.as_ref()))?,
        }
        self.last = Some(progress.clone());
        Ok(())
    }

    fn summary(&self, summary: &Summary) -> Result<(), Stop> {
        match self.format {
            Format::Json => self.json(&json!({ "summary": summary }))?,
            Format::Text if summary.progress.xmin.is_some() => self.output.line(&xmin::summary(summary))?,
            Format::Text => {
                let copied: u64 = summary.progress.tables.iter().map(|table| table.rows_copied).sum();
                self.output.line(&format!(
                    "stopped at {}: {} tables, {copied} rows copied, {} transactions and {} changes applied; the next \
                     run goes on from here",
                    summary.checkpoint,
                    summary.progress.tables.len(),
                    summary.progress.transactions,
                    summary.progress.changes
                ))?;
            }
        }
        Ok(())
    }

    fn json(&self, value: &serde_json::Value) -> std::io::Result<()> {
        self.output.line(&value.to_string())
    }
}

/// One line for people.
fn line(progress: &Progress, before: Option<&Progress>) -> String {
    let copied = |p: &Progress| p.tables.iter().map(|table| table.rows_copied).sum::<u64>();
    match progress.phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Reconnecting => "reconnecting".to_owned(),
        Phase::Stopping => "stopping".to_owned(),
        Phase::Copying => {
            let done = progress.tables.iter().filter(|table| table.phase.has_all()).count();
            let bytes: u64 = progress.tables.iter().map(|table| table.bytes_copied).sum();
            let rows = copied(progress);
            let rate = rows.saturating_sub(before.map_or(0, copied));
            format!(
                "copying    {done}/{} tables, {rows} rows ({rate}/s), {}",
                progress.tables.len(),
                units::bytes(bytes)
            )
        }
        Phase::Reading => xmin::reading(progress),
        Phase::Waiting => xmin::waiting(progress),
        Phase::Streaming => {
            let rate = progress.changes.saturating_sub(before.map_or(0, |before| before.changes));
            format!(
                "streaming  {} transactions, {} changes ({rate}/s), lag {} {:.1} s, at {}",
                progress.transactions,
                progress.changes,
                units::bytes(progress.lag_bytes),
                Duration::from_millis(progress.lag_millis).as_secs_f32(),
                progress.checkpoint
            )
        }
    }
}
