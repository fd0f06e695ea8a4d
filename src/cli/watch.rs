//! `walpilot watch`.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::duration;
use super::exit::{Exit, Stop};
use super::interrupt::Interrupt;
use super::output::{Format, Output};
use super::setup::ScreenArgs;
use super::source::{self, SourceArgs};
use super::watch_text::{line, text};
use crate::connection::printable;
use crate::monitor::report::Report;
use crate::monitor::{Sampler, Target, Watcher};

/// Watch slots, lag, WAL and rows
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct WatchArgs {
    /// The source: a postgres:// URI or "host=… dbname=…"; parts left out come from the profile, the service file, and libpq's variables (PGHOST, PGUSER, PGPASSWORD, …)
    #[arg(value_name = "URI")]
    pub uri: Option<String>,
    /// A saved profile; what stands beside it on the command line wins
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Reads the source's password from this file's first line (- for standard input)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<std::path::PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub ssh: source::SshArgs,
    /// Where walpilot run writes, to show its progress and the rows there
    #[arg(long, value_name = "URI")]
    pub to: Option<String>,
    /// Reads the destination's password from this file's first line
    #[arg(long, value_name = "FILE")]
    pub to_password_file: Option<std::path::PathBuf>,
    /// The slot of most interest (all slots are shown)
    #[arg(long, value_name = "NAME")]
    pub slot: Option<String>,
    /// The publication whose tables are shown; without it, the largest tables
    #[arg(long, value_name = "NAME")]
    pub publication: Option<String>,
    /// Print one report and end
    #[arg(long, conflicts_with = "interval")]
    pub once: bool,
    /// Print a line each TIME (2s, 1m), until Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = pause)]
    pub interval: Option<Duration>,
    /// text, or json: one document with --once, one line for each sample with --interval
    #[arg(long, value_enum, value_name = "text|json", default_value_t, hide_possible_values = true)]
    pub format: Format,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub screen: ScreenArgs,
}

const EXAMPLES: &str = "\
Examples:
  walpilot watch postgres://watch@db.example/shop                      the dashboard
  walpilot watch postgres://watch@db.example/shop --once               one report
  walpilot watch postgres://… --to postgres://… --interval 5s          a line each five seconds
  walpilot watch postgres://… --once --format json | jq '.findings'    for programs

The role needs no privilege; GRANT pg_monitor shows the walsenders too. Nothing is written to either server.";

/// How long two samples lie apart when only one report is asked for: rates need two.
const PAIR: Duration = Duration::from_secs(1);

/// How often it may be looked, at the most and at the least.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: WatchArgs, output: Output) -> Result<Exit, Stop> {
    let target = target(&args)?;
    let ended = async {
        if args.once {
            return once(target, args.format, output).await;
        }
        match args.interval {
            Some(every) => stream(target, every, args.format, output).await,
            None => dashboard(target, args.screen, output).await,
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

fn target(args: &WatchArgs) -> Result<Target, Stop> {
    let source = SourceArgs {
        uri: args.uri.clone(),
        profile: args.profile.clone(),
        password_file: args.password_file.clone(),
        ssh: args.ssh.clone(),
        wanted: source::WantedArgs::default(),
    };
    let profile = source.profile()?;
    // A profile names the slot and the publication that the user means; walpilot's own proposals name nothing.
    let of_profile = |name: &str| args.profile.is_some().then(|| name.to_owned());
    let mut destination = args.to.as_deref().map(source::destination).transpose()?;
    match (&args.to_password_file, &mut destination) {
        (Some(file), Some(destination)) => {
            *destination = destination.with_password(Some(source::password_from(file)?));
        }
        (Some(_), None) => return Err(Stop::new(Exit::Usage, "--to-password-file needs --to.")),
        (None, _) => {}
    }
    Ok(Target {
        slot: args.slot.clone().or_else(|| of_profile(&profile.slot)),
        publication: args.publication.clone().or_else(|| of_profile(&profile.publication)),
        source: profile.source,
        destination,
    })
}

async fn dashboard(target: Target, screen: ScreenArgs, output: Output) -> Result<Exit, Stop> {
    if !crate::tui::terminal::is_there() {
        return Err(Stop::new(
            Exit::Usage,
            "The dashboard needs a terminal; use --once for one report or --interval 5s for a stream of lines.",
        ));
    }
    let theme = screen.theme(output);
    let outcome = Box::pin(crate::tui::watch(target, theme)).await?;
    super::setup::report(&outcome, output)
}

async fn once(target: Target, format: Format, output: Output) -> Result<Exit, Stop> {
    let mut sampler = Sampler::connect(target.clone()).await?;
    sampler.settle().await;
    let mut watcher = Watcher::default();
    watcher.push(sample(&mut sampler).await?);
    tokio::time::sleep(PAIR).await;
    watcher.push(sample(&mut sampler).await?);
    let Some(report) = Report::of(&watcher) else { return Ok(Exit::Failed) };
    missing(&target, &report, output);
    match format {
        Format::Json => output.json(&report)?,
        Format::Text => {
            for line in text(&report, target.slot.as_deref(), output) {
                output.line(&line)?;
            }
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

async fn sample(sampler: &mut Sampler) -> Result<crate::monitor::Sample, Stop> {
    sampler.sample().await.map_err(|reason| Stop::new(Exit::Failed, reason))
}

/// A line for each sample; a source that goes away is a line too, and is tried again at the same pace.
async fn stream(target: Target, every: Duration, format: Format, output: Output) -> Result<Exit, Stop> {
    let mut sampler = Some(Sampler::connect(target.clone()).await?);
    let mut watcher = Watcher::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let result = match &mut sampler {
            Some(sampler) => sampler.sample().await,
            None => match Sampler::connect(target.clone()).await {
                Ok(fresh) => sampler.insert(fresh).sample().await,
                Err(failure) => Err(failure.to_string()),
            },
        };
        match result {
            Ok(sample) => {
                let events = watcher.push(sample);
                let Some(report) = Report::of(&watcher) else { continue };
                match format {
                    Format::Json => output.json_line(&report)?,
                    Format::Text => {
                        for event in events {
                            output.line(&format!("{}Z event {}", event.at.clock(), event.text))?;
                        }
                        output.line(&line(&report, target.slot.as_deref(), output))?;
                    }
                }
            }
            Err(reason) => {
                sampler = None;
                match format {
                    Format::Json => output.json_line(&serde_json::json!({ "format": 1, "error": reason }))?,
                    Format::Text => output.note(&format!("walpilot: {reason} Trying again.")),
                }
            }
        }
    }
}

/// A duration that is neither a burden for the server nor longer than anybody waits.
fn pause(text: &str) -> Result<Duration, String> {
    duration::parse(text)
        .ok()
        .filter(|time| (SHORTEST..=LONGEST).contains(time))
        .ok_or_else(|| "write a time from 500ms to 24h, like 5s or 1m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::pause;
    use std::time::Duration;

    #[test]
    fn pauses_are_read_with_their_unit_and_within_reason() {
        for (text, millis) in [("500ms", 500), ("5s", 5000), ("5", 5000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(pause(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "0", "1ms", "s", "-5s", "5 s", "48h", "99999999999999999999s", "1d"] {
            assert!(pause(bad).is_err(), "{bad}");
        }
    }
}
