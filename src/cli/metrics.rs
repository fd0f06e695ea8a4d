//! `walpilot metrics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::exit::{Exit, Stop};
use super::http::{self, Monitored};
use super::interrupt::Interrupt;
use super::output::Output;
use super::target::{Samples, TargetArgs, now, pause};
use crate::connection::printable;
use crate::monitor::Target;
use crate::monitor::exposition::Exposition;
use crate::monitor::metrics::Observed;
use crate::monitor::units;

/// Answer Prometheus: lag, WAL, slots and findings as metrics
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct MetricsArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub target: TargetArgs,
    /// Where to answer; there is no password, so give other machines access with care
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9187")]
    pub listen: String,
    /// How often the source is looked at
    #[arg(long, value_name = "TIME", value_parser = pause, default_value = "5s")]
    pub interval: Duration,
}

const EXAMPLES: &str = "\
Answers /metrics (OpenMetrics or Prometheus' own format, as the reader asks) and /healthz (200 while
samples come in, 503 when not). The project's assets/ has a Grafana dashboard and alert rules.

Examples:
  walpilot metrics postgres://watch@db.example/shop
  walpilot metrics --profile shop --listen 0.0.0.0:9187 --interval 15s

A source that goes away is tried again for ever and shows as walpilot_source_up 0. Ends with Ctrl-C.";

/// A source that was not seen for so many pauses is not watched any more.
const PATIENCE: u32 = 3;

/// What the sampling knows, and the page that shows it.
struct Watched {
    observed: Mutex<Observed>,
    stale_after: Duration,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: MetricsArgs, output: Output) -> Result<Exit, Stop> {
    let target = args.target.target()?;
    let mut interrupt = Interrupt::listen()?;
    let listener = http::listen(&args.listen).await?;
    let address = listener.local_addr()?;
    output.line(&format!("Metrics of {} at http://{address}/metrics", printable(&target.source.to_string())))?;
    let mut observed = Observed::default();
    observed.slots.extend(target.slot.clone());
    // Statements have time limits of their own, so a slow sample is not yet a lost one.
    let stale_after = (args.interval * PATIENCE).max(Duration::from_secs(30));
    let watched = Arc::new(Watched { observed: Mutex::new(observed), stale_after });
    tokio::select! {
        never = sample(target, args.interval, &watched, output) => match never {},
        never = http::serve(listener, Arc::clone(&watched)) => match never {},
        () = interrupt.arrived() => Ok(Exit::Interrupted),
    }
}

async fn sample(target: Target, every: Duration, watched: &Watched, output: Output) -> std::convert::Infallible {
    let mut samples = Samples::of(target);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        ticks.tick().await;
        let outcome = samples.next().await;
        if let Err(reason) = &outcome {
            // Once for each outage; the log would fill up otherwise.
            if !std::mem::replace(&mut told, true) {
                output.note(&format!("walpilot: {} Trying again.", printable(reason)));
            }
        } else if std::mem::take(&mut told) {
            output.note("walpilot: The source answers again.");
        }
        watched.lock().take(outcome, now());
    }
}

impl Watched {
    /// A panic in another thread leaves nothing half-written that a reader could not show.
    fn lock(&self) -> std::sync::MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Monitored for Watched {
    fn metrics(&self, exposition: &mut Exposition) {
        self.lock().write(exposition);
    }

    fn health(&self) -> Result<String, String> {
        let observed = self.lock();
        let age = observed.sampled_at.map(|at| now().since(at));
        match (&observed.failure, age) {
            (Some(reason), _) => Err(printable(reason).into_owned()),
            (None, None) => Err("There is no sample yet.".to_owned()),
            (None, Some(age)) if age > self.stale_after => {
                Err(format!("The latest sample is {} old.", units::span(age)))
            }
            (None, Some(age)) => Ok(format!("The latest sample is {} old.", units::span(age))),
        }
    }
}
