//! `walpilot run`.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::duration;
use super::exit::{Exit, Stop};
use super::http;
use super::interrupt::Interrupt;
use super::output::Output;
use super::pair::PairArgs;
use super::run_lines::{Lines, RunFormat};
use super::run_metrics::WatchedRun;
use super::xmin::XminArgs;
use crate::catalog::Lsn;
use crate::connection::{self, SessionOptions, Settings, printable};
use crate::profile::Method;
use crate::replication::{self, Phase, Progress, RunError, RunOptions};

/// After how long `--until-caught-up` asks a source again that gave no answer.
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// Replicate into a destination PostgreSQL
///
/// Copies the rows that exist, then follows the changes; each destination transaction carries its checkpoint, so a run
/// may be stopped or killed at any moment and started again. Without --tables or --schemas the whole publication is
/// replicated. With --method xmin, changed rows of all tables are read again and again, without slot and publication.
#[derive(clap::Args, Clone, Debug)]
#[command(mut_arg("provider", |arg| arg.hide(true)))]
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
    /// Create and check the tables at the destination, print the statements that were run, and stop
    #[arg(long, conflicts_with_all = ["copy_again", "duration", "until_caught_up", "sync_sequences"])]
    pub schema_only: bool,
    /// At the end, set the destination's sequences to where those of the source stand, so that applications may write there
    #[arg(long)]
    pub sync_sequences: bool,
    /// Answer monitoring systems while the run goes on: /metrics and /healthz
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub xmin: XminArgs,
    /// A view or lines for people, or one JSON object a line for programs
    #[arg(long, value_enum, value_name = "text|ndjson", default_value_t, hide_possible_values = true)]
    pub format: RunFormat,
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
    if profile.method == Method::Xmin && (args.schema_only || args.sync_sequences) {
        return Err(Stop::new(Exit::Usage, "--schema-only and --sync-sequences need --method cdc."));
    }
    let options = RunOptions { profile, destination, create_slot: !args.no_create_slot, xmin };
    if args.schema_only {
        for statement in replication::create_schema(&options).await.map_err(|error| stopped_by(&error))? {
            output.line(&format!("{};", printable(&statement)))?;
        }
        return Ok(Exit::Fine);
    }
    if args.copy_again {
        replication::forget(&options).await.map_err(|error| stopped_by(&error))?;
    }
    let mut interrupt = Interrupt::listen()?;
    let (progress, latest) = watch::channel(Progress::default());
    let (events, mut told) = mpsc::channel(256);
    let stop = CancellationToken::new();
    let mut lines = Lines::new(output, args.format, Instant::now());
    let _answering = match &args.metrics {
        None => None,
        Some(address) => {
            let watched = Arc::new(WatchedRun { slot: options.profile.slot.clone(), progress: latest.clone() });
            Some(AbortOnDropHandle::new(tokio::spawn(http::serve(http::listen(address).await?, watched))))
        }
    };
    let mut work = Box::pin(replication::run(options.clone(), progress, events, stop.clone()));
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let deadline = args.duration.map(|duration| Instant::now() + duration);
    let mut caught_up = pin!(caught_up(&options.profile.source, latest.clone()));
    let mut interrupted = false;
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            Some(event) = told.recv() => lines.event(&event)?,
            _ = tick.tick() => {
                let now = latest.borrow().clone();
                lines.progress(&now, Instant::now())?;
            }
            () = &mut caught_up, if args.until_caught_up && !stop.is_cancelled() => stop.cancel(),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() && !stop.is_cancelled() => {
                stop.cancel();
            }
            () = interrupt.arrived() => {
                if interrupted {
                    // Dropping the run is as safe as stopping it; only the slot is told less.
                    lines.end()?;
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
    lines.end()?;
    let summary = outcome.map_err(|error| stopped_by(&error))?;
    if args.sync_sequences {
        let (events, mut told) = mpsc::channel(256);
        let synced = replication::sync_sequences(&options, events).await;
        while let Ok(event) = told.try_recv() {
            lines.event(&event)?;
        }
        synced.map_err(|error| stopped_by(&error))?;
    }
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

/// Returns when everything is at the destination that the source had committed when the stream began.
async fn caught_up(source: &Settings, mut progress: watch::Receiver<Progress>) {
    let mut goal = None;
    loop {
        let (whole, checkpoint) = {
            let now = progress.borrow_and_update();
            // Tables that are copied beside the stream are waited for.
            let whole = now.phase == Phase::Streaming && now.tables.iter().all(|table| table.phase.has_all());
            (whole, now.checkpoint)
        };
        match goal {
            None if whole => {
                goal = source_position(source).await;
                if goal.is_none() {
                    sleep(ASK_PAUSE).await;
                }
                continue;
            }
            Some(goal) if whole && checkpoint >= goal => return,
            _ => {}
        }
        if progress.changed().await.is_err() {
            // The run has ended, and tells why by itself.
            pending::<()>().await;
        }
    }
}

/// Where the source's log ends now; `None` when it can't be asked, to be asked again.
async fn source_position(settings: &Settings) -> Option<Lsn> {
    let session = connection::connect(settings, &SessionOptions::inspect()).await.ok()?;
    let row = session.client.query_one("SELECT pg_current_wal_lsn()::text", &[]).await.ok()?;
    row.get::<_, &str>(0).parse().ok()
}
