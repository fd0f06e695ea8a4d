//! `walpilot watch`.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::exit::{Exit, Stop};
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup::ScreenArgs;
use super::target::{Samples, TargetArgs, now, pause};
use super::watch_text::{line, text};
use crate::connection::printable;
use crate::monitor::exposition::Exposition;
use crate::monitor::metrics::Observed;
use crate::monitor::report::Report;
use crate::monitor::{Target, Watcher};

/// Watch slots, lag, WAL and rows
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct WatchArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub target: TargetArgs,
    /// Watch several saved profiles at once: their names, or all
    #[arg(long, value_name = "NAME,…|all", value_delimiter = ',', conflicts_with_all = ["uri", "profile", "to", "slot", "publication", "once", "interval"])]
    pub fleet: Vec<String>,
    /// Let the dashboard run the statements that it proposes, each after its object's name was typed
    #[arg(long, conflicts_with_all = ["once", "interval"])]
    pub allow_actions: bool,
    /// Print one report and end
    #[arg(long, conflicts_with = "interval")]
    pub once: bool,
    /// Print a line each TIME (2s, 1m), until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = pause)]
    pub interval: Option<Duration>,
    /// text; json: one document with --once, one line for each sample with --interval; prometheus: with --once
    #[arg(long, value_enum, value_name = "text|json|prometheus", default_value_t, hide_possible_values = true)]
    pub format: Format,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub screen: ScreenArgs,
}

/// The format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For a textfile collector.
    Prometheus,
}

const EXAMPLES: &str = "\
Examples:
  walpilot watch postgres://watch@db.example/shop                      the dashboard
  walpilot watch postgres://watch@db.example/shop --once               one report
  walpilot watch postgres://… --to postgres://… --interval 5s          a line each five seconds
  walpilot watch postgres://… --once --format json | jq '.findings'    for programs
  walpilot watch --fleet all                                           every saved profile, worst first

The role needs no privilege; GRANT pg_monitor shows the walsenders too. Nothing is written to either server.
walpilot metrics is the same for Prometheus, walpilot diagnose for Nagios and its kind.";

/// How long two samples lie apart when only one report is asked for: rates need two.
pub(super) const PAIR: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: WatchArgs, output: Output) -> Result<Exit, Stop> {
    if args.format == Format::Prometheus && !args.once {
        return Err(Stop::new(
            Exit::Usage,
            "--format prometheus needs --once; walpilot metrics answers Prometheus for as long as it runs.",
        ));
    }
    if !args.fleet.is_empty() {
        return fleet(&args, output).await;
    }
    let target = args.target.target()?;
    let ended = async {
        if args.once {
            return once(target, args.format, output).await;
        }
        match args.interval {
            Some(every) => stream(target, every, args.format, output).await,
            None => dashboard(target, args.allow_actions, args.screen, output).await,
        }
    };
    if !args.once && args.interval.is_none() {
        // The dashboard owns the keyboard and the signals.
        return ended.await;
    }
    let mut interrupt = Interrupt::listen()?;
    tokio::select! {
        ended = ended => ended,
        () = interrupt.arrived() => Ok(Exit::Interrupted),
    }
}

fn needs_terminal() -> Result<(), Stop> {
    let why = "The dashboard needs a terminal; use --once for one report or --interval 5s for a stream of lines.";
    if crate::tui::terminal::is_there() { Ok(()) } else { Err(Stop::new(Exit::Usage, why)) }
}

/// The dashboards of several saved profiles.
async fn fleet(args: &WatchArgs, output: Output) -> Result<Exit, Stop> {
    needs_terminal()?;
    let targets = args.target.fleet(&args.fleet)?;
    let theme = args.screen.theme(output);
    let outcome = Box::pin(crate::tui::fleet(targets, args.allow_actions, theme)).await?;
    super::setup::report(&outcome, output)
}

async fn dashboard(target: Target, allow_actions: bool, screen: ScreenArgs, output: Output) -> Result<Exit, Stop> {
    needs_terminal()?;
    let theme = screen.theme(output);
    let outcome = Box::pin(crate::tui::watch(target, allow_actions, theme)).await?;
    super::setup::report(&outcome, output)
}

async fn once(target: Target, format: Format, output: Output) -> Result<Exit, Stop> {
    let mut samples = Samples::connected(target.clone()).await?;
    let mut observed = Observed::default();
    observed.slots.extend(target.slot.clone());
    for pause in [Duration::ZERO, PAIR] {
        tokio::time::sleep(pause).await;
        let sample = samples.next().await.map_err(|reason| Stop::new(Exit::Failed, reason))?;
        observed.take(Ok(sample), now());
    }
    let Some(mut report) = Report::of(&observed.watcher) else { return Ok(Exit::Failed) };
    report.findings = observed.watcher.diagnosis().standing();
    missing(&target, &report, output);
    match format {
        Format::Json => output.json(&report)?,
        Format::Text => {
            for line in text(&report, target.slot.as_deref(), output) {
                output.line(&line)?;
            }
        }
        Format::Prometheus => {
            let mut page = Exposition::prometheus();
            observed.write(&mut page);
            output.raw(page.finish().as_bytes())?;
        }
    }
    Ok(Exit::Fine)
}

/// Says that a slot or a publication that was named does not exist; the report is printed all the same.
fn missing(target: &Target, report: &Report, output: Output) {
    if let Some(name) = target.slot.as_ref().filter(|name| !report.slots.iter().any(|slot| &slot.slot.name == *name)) {
        output.note(&format!("walpilot: There is no slot \"{}\" on the source.", printable(name)));
    }
    if let (Some(name), Some(false)) = (&target.publication, report.publication_found) {
        let database = printable(&report.source.database).into_owned();
        output.note(&format!("walpilot: There is no publication \"{}\" in database {database}.", printable(name)));
    }
}

/// A line for each sample; a source that goes away is a line too, and is tried again at the same pace.
async fn stream(target: Target, every: Duration, format: Format, output: Output) -> Result<Exit, Stop> {
    let mut samples = Samples::connected(target.clone()).await?;
    let mut watcher = Watcher::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match samples.next().await {
            Ok(sample) => {
                let events = watcher.push(sample);
                let Some(report) = Report::of(&watcher) else { continue };
                if format == Format::Json {
                    output.json_line(&report)?;
                    continue;
                }
                for event in events {
                    output.line(&format!("{}Z event {}", event.at.clock(), event.text))?;
                }
                output.line(&line(&report, target.slot.as_deref(), output))?;
            }
            Err(reason) if format == Format::Json => {
                output.line(&serde_json::json!({ "format": 1, "error": reason }).to_string())?;
            }
            Err(reason) => output.note(&format!("walpilot: {reason} Trying again.")),
        }
    }
}
