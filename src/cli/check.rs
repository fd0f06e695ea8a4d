//! `walpilot check`.

use super::connect_only;
use super::exit::{Exit, Stop};
use super::output::{Format, Output};
use super::source::{self, SourceArgs};
use super::{report_format, report_text};
use crate::catalog::{deep, destination, gather};
use crate::connection::{SessionOptions, connect};
use crate::preflight::{Report, Verdict, evaluate, unreachable};

/// Check a source: everything that would make replication fail or hurt the application, with the fix
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub source: SourceArgs,
    /// Also try what replication will do, and undo it: takes about 10 s, leaves no trace
    #[arg(long)]
    pub deep: bool,
    /// How much is free on the disk that holds the log, for example 200GB: no query tells
    #[arg(long, value_name = "SIZE", requires = "deep", value_parser = bytes)]
    pub free_disk: Option<i64>,
    /// Also look at this destination
    #[arg(long, value_name = "URI")]
    pub to: Option<String>,
    /// From which weight on the exit code is 1
    #[arg(long, value_enum, value_name = "blocker|warning", default_value_t, hide_possible_values = true)]
    pub fail_on: FailOn,
    /// The report's format
    #[arg(long, value_enum, value_name = "text|json|junit|markdown", default_value_t, hide_possible_values = true)]
    pub format: ReportFormat,
    /// Only connect, and say what was negotiated with the server or why it failed
    #[arg(long)]
    pub connect_only: bool,
}

/// A size as PostgreSQL's settings write it, in bytes.
fn bytes(text: &str) -> Result<i64, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "b" => 0,
        "kb" => 10,
        "mb" => 20,
        "gb" => 30,
        "tb" => 40,
        _ => return Err("it is a number with a unit: kB, MB, GB or TB".to_owned()),
    };
    let number: i64 = number.parse().map_err(|_| "it begins with no number".to_owned())?;
    number.checked_mul(1 << power).ok_or_else(|| "no disk is as large as that".to_owned())
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For continuous integration.
    Junit,
    /// For a ticket.
    Markdown,
}

impl ReportFormat {
    /// The nearest of the formats that every command has.
    fn plain(self) -> Format {
        if self == Self::Json { Format::Json } else { Format::Text }
    }
}

/// From which weight on a report is a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum FailOn {
    /// Blockers.
    #[default]
    Blocker,
    /// Warnings too.
    Warning,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: CheckArgs, output: Output) -> Result<Exit, Stop> {
    if args.connect_only {
        let source = args.source.profile().map(|profile| profile.source);
        return connect_only::run(source, args.format.plain(), output).await;
    }
    let profile = args.source.profile()?;
    let destination = args.to.as_deref().map(source::destination).transpose()?;
    let session = match connect(&profile.source, &SessionOptions::inspect()).await {
        Ok(session) => session,
        // Whoever asked for a document gets one; people get the sentence alone.
        Err(failure) if args.format != ReportFormat::Text => {
            print(&unreachable(&failure, &profile), &args, output)?;
            return Ok(Exit::CannotConnect);
        }
        Err(failure) => return Err(failure.into()),
    };
    let mut facts = gather::gather_and_probe(&session, &profile)
        .await
        .map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    facts.free_disk = args.free_disk;
    if args.deep {
        facts.deep = Some(deep::probe(&profile, &facts, deep::WATCH).await);
    }
    if let Some(destination) = &destination {
        facts.destination = Some(destination::look(destination, &profile, &facts).await);
    }
    let report = evaluate(&facts, &profile);
    if args.format == ReportFormat::Text {
        output.line(&format!(
            "{} · PostgreSQL {} · {}",
            profile.source,
            facts.server.version,
            profile.method.name()
        ))?;
    }
    print(&report, &args, output)?;
    let failed = args.fail_on == FailOn::Warning && report.verdict == Verdict::Warnings;
    Ok(if failed { Exit::Blockers } else { exit_of(&report) })
}

fn print(report: &Report, args: &CheckArgs, output: Output) -> std::io::Result<()> {
    match args.format {
        ReportFormat::Json => output.json(report),
        ReportFormat::Junit => output.line(report_format::junit(report, args.fail_on == FailOn::Warning).trim_end()),
        ReportFormat::Markdown => output.line(report_format::markdown(report).trim_end()),
        ReportFormat::Text => report_text::text(report, output).iter().try_for_each(|line| output.line(line)),
    }
}

/// 1 when something blocks, else 0.
#[must_use]
pub fn exit_of(report: &Report) -> Exit {
    if report.verdict == Verdict::Blocked { Exit::Blockers } else { Exit::Fine }
}
