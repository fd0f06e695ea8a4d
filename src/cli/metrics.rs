//! `walpilot metrics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
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
    /// Answer for several saved profiles: their names, or all; each series has a label profile then
    #[arg(long, value_name = "NAME,…|all", value_delimiter = ',', conflicts_with_all = ["uri", "profile", "to", "slot", "publication"])]
    pub fleet: Vec<String>,
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
  walpilot metrics --fleet all

A source that goes away is tried again for ever and shows as walpilot_source_up 0. Ends with Ctrl-C.";

/// A source that was not seen for so many pauses is not watched any more.
const PATIENCE: u32 = 3;

/// What the sampling knows of every source, and the page that shows it.
struct Watched {
    sources: Vec<Source>,
    stale_after: Duration,
}

/// One source.
struct Source {
    /// The profile's name; `None` for a source that stands alone.
    name: Option<String>,
    observed: Mutex<Observed>,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: MetricsArgs, output: Output) -> Result<Exit, Stop> {
    let targets: Vec<(Option<String>, Target)> = if args.fleet.is_empty() {
        vec![(None, args.target.target()?)]
    } else {
        args.target.fleet(&args.fleet)?.into_iter().map(|(name, target)| (Some(name), target)).collect()
    };
    let mut interrupt = Interrupt::listen()?;
    let listener = http::listen(&args.listen).await?;
    let address = listener.local_addr()?;
    let names: Vec<String> =
        targets.iter().map(|(_, target)| printable(&target.source.to_string()).into_owned()).collect();
    output.line(&format!("Metrics of {} at http://{address}/metrics", names.join(", ")))?;
    // Statements have time limits of their own, so a slow sample is not yet a lost one.
    let stale_after = (args.interval * PATIENCE).max(Duration::from_secs(30));
    let sources = targets.iter().map(|(name, target)| {
        let mut observed = Observed::default();
        observed.slots.extend(target.slot.clone());
        Source { name: name.clone(), observed: Mutex::new(observed) }
    });
    let watched = Arc::new(Watched { sources: sources.collect(), stale_after });
    let mut samplers = JoinSet::new();
    for (number, (_, target)) in targets.into_iter().enumerate() {
        let watched = Arc::clone(&watched);
        samplers.spawn(async move { sample(target, args.interval, &watched.sources[number], output).await });
    }
    tokio::select! {
        never = http::serve(listener, Arc::clone(&watched)) => match never {},
        Some(Err(error)) = samplers.join_next() => Err(Stop::new(Exit::Failed, format!("The sampling broke off: {error}."))),
        () = interrupt.arrived() => Ok(Exit::Interrupted),
    }
}

async fn sample(target: Target, every: Duration, source: &Source, output: Output) -> std::convert::Infallible {
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
                output.note(&format!("walpilot: {}{} Trying again.", source.prefix(), printable(reason)));
            }
        } else if std::mem::take(&mut told) {
            output.note(&format!("walpilot: {}The source answers again.", source.prefix()));
        }
        source.lock().take(outcome, now());
    }
}

impl Source {
    /// A panic in another thread leaves nothing half-written that a reader could not show.
    fn lock(&self) -> std::sync::MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prefix(&self) -> String {
        self.name.as_ref().map_or_else(String::new, |name| format!("{name}: "))
    }

    fn health(&self, stale_after: Duration) -> Result<String, String> {
        let observed = self.lock();
        let age = observed.sampled_at.map(|at| now().since(at));
        let said = match (&observed.failure, age) {
            (Some(reason), _) => Err(printable(reason).into_owned()),
            (None, None) => Err("There is no sample yet.".to_owned()),
            (None, Some(age)) => {
                let old = format!("The latest sample is {} old.", units::span(age));
                if age > stale_after { Err(old) } else { Ok(old) }
            }
        };
        let named = |line| format!("{}{line}", self.prefix());
        said.map(named).map_err(named)
    }
}

impl Monitored for Watched {
    fn metrics(&self, exposition: &mut Exposition) {
        for source in &self.sources {
            if let Some(name) = &source.name {
                exposition.label("profile", name);
            }
            source.lock().write(exposition);
        }
    }

    /// Well when every source is; what is said of those that are not comes first.
    fn health(&self) -> Result<String, String> {
        let (well, ill): (Vec<_>, Vec<_>) =
            self.sources.iter().map(|source| source.health(self.stale_after)).partition(Result::is_ok);
        let lines = |said: Vec<Result<String, String>>| {
            said.into_iter().map(|line| line.unwrap_or_else(|line| line)).collect::<Vec<_>>()
        };
        let (well, ill) = (lines(well), lines(ill));
        if ill.is_empty() { Ok(well.join("\n")) } else { Err([ill, well].concat().join("\n")) }
    }
}
