//! `walpilot diagnose`: what is wrong, for monitoring systems that run a command and read its exit code.

use std::time::Duration;

use tokio::time::Instant;

use super::duration;
use super::exit::{Exit, Stop};
use super::interrupt::Interrupt;
use super::output::Output;
use super::target::{Samples, TargetArgs};
use super::watch::PAIR;
use super::watch_text::text;
use crate::connection::printable;
use crate::monitor::diagnosis::{Finding, Severity};
use crate::monitor::report::{Report, SlotReport};
use crate::monitor::{Target, Watcher, incident, units};

/// Say in one line what is wrong, with a monitoring system's exit code
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DiagnoseArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub target: TargetArgs,
    /// How long to look: rates and trends need some time
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse, default_value = "2s")]
    pub time: Duration,
    /// line, with performance data; text: the whole report; json; markdown: an incident report for a ticket
    #[arg(long, value_enum, value_name = "line|text|json|markdown", default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// One line.
    #[default]
    Line,
    /// The whole report for people.
    Text,
    /// The whole report for programs.
    Json,
    /// An incident report.
    Markdown,
}

const EXAMPLES: &str = "\
Exit codes, as monitoring systems want them: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (the source can't be
reached, or the command line can't be understood). A slot or publication that is named and missing is
CRITICAL.

Examples:
  walpilot diagnose postgres://watch@db.example/shop --slot shop_slot
  walpilot diagnose --profile shop --for 30s --format markdown > incident.md";

/// Runs the command.
///
/// # Errors
/// Only when the output can't be written: whatever else goes wrong is an UNKNOWN of its own.
pub async fn run(args: DiagnoseArgs, output: Output) -> Result<Exit, Stop> {
    let mut interrupt = Interrupt::listen()?;
    let verdict = tokio::select! {
        verdict = look(&args) => verdict,
        () = interrupt.arrived() => Err("It was interrupted.".to_owned()),
    };
    let (target, watcher) = match verdict {
        Ok(seen) => seen,
        Err(reason) => {
            output.line(&format!("WALPILOT UNKNOWN - {}", one_line(&reason)))?;
            return Ok(Exit::Unknown);
        }
    };
    print(&target, &target.source.to_string(), &watcher, args.format, output)
}

/// Prints what is wrong with `target`, which is called `source`, and gives the exit code of that.
///
/// # Errors
/// When the output can't be written.
pub(super) fn print(
    target: &Target,
    source: &str,
    watcher: &Watcher,
    format: Format,
    output: Output,
) -> Result<Exit, Stop> {
    let Some(report) = Report::of(watcher) else { return Ok(Exit::Unknown) };
    let missing = missing(target, &report);
    match format {
        Format::Line => output.line(&line(&report, missing.as_deref()))?,
        Format::Text => {
            for line in missing.iter().cloned().chain(text(&report, target.slot.as_deref(), output)) {
                output.line(&line)?;
            }
        }
        Format::Json => output.json(&report)?,
        Format::Markdown => {
            let text = incident::markdown(&report, source, watcher.events());
            output.raw(text.as_bytes())?;
        }
    }
    Ok(if missing.is_some() { Exit::Critical } else { exit(&report) })
}

/// Looks for as long as was asked for, at least twice.
async fn look(args: &DiagnoseArgs) -> Result<(Target, Watcher), String> {
    let target = args.target.target().map_err(|stop| stop.message)?;
    let mut samples = Samples::connected(target.clone()).await.map_err(|failure| failure.to_string())?;
    let mut watcher = Watcher::default();
    watcher.push(samples.next().await?);
    let end = Instant::now() + args.time;
    loop {
        let now = Instant::now();
        tokio::time::sleep_until((now + PAIR).min(end.max(now))).await;
        watcher.push(samples.next().await?);
        if Instant::now() >= end {
            return Ok((target, watcher));
        }
    }
}

fn missing(target: &Target, report: &Report) -> Option<String> {
    let slot = target.slot.as_ref().filter(|name| !report.slots.iter().any(|one| &one.slot.name == *name));
    if let Some(name) = slot {
        return Some(format!("there is no slot \"{}\"", printable(name)));
    }
    let publication = target.publication.as_ref().filter(|_| report.publication_found == Some(false))?;
    Some(format!("there is no publication \"{}\"", printable(publication)))
}

fn exit(report: &Report) -> Exit {
    match worst(report).map(|finding| finding.severity) {
        Some(Severity::Critical) => Exit::Critical,
        Some(Severity::Warning) => Exit::Warning,
        _ => Exit::Fine,
    }
}

fn worst(report: &Report) -> Option<&Finding> {
    report.findings.iter().find(|finding| finding.severity < Severity::Info)
}

fn line(report: &Report, missing: Option<&str>) -> String {
    let word = if missing.is_some() {
        "CRITICAL"
    } else {
        match exit(report) {
            Exit::Critical => "CRITICAL",
            Exit::Warning => "WARNING",
            _ => "OK",
        }
    };
    let said = match (missing, worst(report)) {
        (Some(missing), _) => missing.to_owned(),
        (None, Some(worst)) => {
            let more = report.findings.iter().filter(|finding| finding.severity < Severity::Info).count() - 1;
            let more = if more > 0 { format!(" ({more} more)") } else { String::new() };
            format!("{} {}: {}. {}{more}", worst.rule, worst.object, worst.title, worst.evidence)
        }
        (None, None) => {
            let lag = report.slots.iter().filter_map(|one| one.reading.lag_bytes).max();
            let lag = lag.map_or_else(String::new, |lag| format!(", worst lag {}", units::bytes(lag)));
            format!("{} slots{lag}", report.slots.len())
        }
    };
    format!("WALPILOT {word} - {}|{}", one_line(&said), performance(report))
}

/// A bar would begin the performance data.
fn one_line(text: &str) -> String {
    printable(text).replace('|', "/")
}

/// `'label'=value[unit]` for each number (Nagios plugin guidelines); `U` is one that is not known.
fn performance(report: &Report) -> String {
    let mut data = Vec::new();
    for one in &report.slots {
        for (label, unit, value) in numbers(one) {
            let name = one.slot.name.replace('\'', "''").replace('=', "_");
            let value = value.map_or_else(|| "U".to_owned(), |value| format!("{value}{unit};;;0"));
            data.push(format!("'{}_{label}'={value}", printable(&name)));
        }
    }
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    data.push(format!("critical={};;;0", count(Severity::Critical)));
    data.push(format!("warning={};;;0", count(Severity::Warning)));
    data.join(" ")
}

fn numbers(one: &SlotReport) -> [(&'static str, &'static str, Option<String>); 3] {
    let held = if one.slot.is_lost() { Some(0) } else { one.reading.retained_bytes };
    [
        ("lag", "B", one.reading.lag_bytes.map(|bytes| bytes.to_string())),
        ("lag_time", "s", one.reading.lag.map(|age| format!("{:.1}", age.span().as_secs_f64()))),
        ("held", "B", held.map(|bytes| bytes.to_string())),
    ]
}
