//! `walpilot check`.

use std::collections::BTreeMap;

use super::connect_only;
use super::exit::{Exit, Stop};
use super::output::{Format, Output, Paint};
use super::report_format;
use super::source::{self, SourceArgs};
use crate::catalog::{deep, destination, gather};
use crate::connection::{SessionOptions, connect};
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Family, Finding, FixKind, Report, Verdict, check, evaluate, unreachable};

/// How many fixes of one finding are printed; JSON has them all.
const MAX_FIXES: usize = 5;

/// Check a source: everything that would make replication fail or hurt the application, with the fix
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub source: SourceArgs,
    /// Also try what replication will do, and undo it: takes about 10 s, leaves no trace
    #[arg(long)]
    pub deep: bool,
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
        ReportFormat::Text => text(report, output).iter().try_for_each(|line| output.line(line)),
    }
}

/// 1 when something blocks, else 0.
#[must_use]
pub fn exit_of(report: &Report) -> Exit {
    if report.verdict == Verdict::Blocked { Exit::Blockers } else { Exit::Fine }
}

/// One line: the verdict and how many findings there are of each rank.
#[must_use]
pub fn verdict_line(report: &Report, output: Output) -> String {
    let counts = report.counts();
    let (paint, word) = match report.verdict {
        Verdict::Ready => (Paint::Good, "READY"),
        Verdict::Warnings => (Paint::Warn, "READY, WITH WARNINGS"),
        Verdict::Blocked => (Paint::Bad, "BLOCKED"),
    };
    let word = output.paint(paint, word);
    let of = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![of(counts.blockers, "blocker"), of(counts.warnings, "warning")];
    if counts.infos > 0 {
        parts.push(of(counts.infos, "note"));
    }
    if counts.skipped > 0 {
        parts.push(format!("{} not judged", counts.skipped));
    }
    parts.push(format!("{} passed", counts.passed));
    format!("{word}: {}", parts.join(", "))
}

/// The report for people: what did not pass by family, the family with the worst finding first; then what passed.
#[must_use]
pub fn text(report: &Report, output: Output) -> Vec<String> {
    let mut lines = vec![verdict_line(report, output)];
    let width = report.findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    let mut families: Vec<(Family, Vec<&Finding>)> = Vec::new();
    let mut passed: BTreeMap<Family, Vec<&'static str>> = BTreeMap::new();
    for finding in &report.findings {
        let family = check(finding.id).map_or(Family::Connection, |check| check.family);
        if rank(finding) == Rank::Passed {
            passed.entry(family).or_default().push(finding.id);
            continue;
        }
        // Findings come worst first, so families do as well.
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, findings)) => findings.push(finding),
            None => families.push((family, vec![finding])),
        }
    }
    for (family, findings) in families {
        lines.push(String::new());
        lines.push(output.paint(Paint::Bold, family.name()));
        for finding in findings {
            lines.extend(finding_lines(finding, width, output));
        }
    }
    if !passed.is_empty() {
        lines.push(String::new());
        lines.push(output.paint(Paint::Bold, "Passed"));
    }
    for (family, ids) in passed {
        let name = format!("{:<22}", family.name());
        lines.push(format!(
            "  {} {name} {}",
            output.paint(Paint::Good, "✔"),
            output.paint(Paint::Dim, &ids.join(", "))
        ));
    }
    lines
}

fn finding_lines(finding: &Finding, width: usize, output: Output) -> Vec<String> {
    let (paint, mark, word) = match rank(finding) {
        Rank::Blocker => (Paint::Bad, "✖", "blocker"),
        Rank::Warning => (Paint::Warn, "▲", "warning"),
        Rank::Info => (Paint::Dim, "•", "note"),
        Rank::Skipped => (Paint::Dim, "•", "skipped"),
        Rank::Passed => (Paint::Good, "✔", "passed"),
    };
    let label = output.paint(paint, &format!("{mark} {word:<7}"));
    let mut lines = vec![format!("  {label}  {:<width$}  {}", finding.id, finding.summary)];
    if rank(finding) == Rank::Skipped {
        return lines;
    }
    let indent = " ".repeat(15 + width);
    lines.push(format!("{indent}{}", output.paint(Paint::Dim, &finding.why)));
    for fix in finding.fixes.iter().take(MAX_FIXES) {
        let mut who = fix.who.clone();
        if let Some(lock) = &fix.lock {
            who.push_str(&format!("; lock: {lock}"));
        }
        if fix.restart {
            who.push_str("; needs a restart");
        }
        let code = matches!(fix.kind, FixKind::Sql | FixKind::Setting);
        let text = if code { output.paint(Paint::Bold, &fix.text) } else { fix.text.clone() };
        lines.push(format!("{indent}→ {text} {}", output.paint(Paint::Dim, &format!("({who})"))));
    }
    if finding.fixes.len() > MAX_FIXES {
        lines.push(format!("{indent}→ and {} more; walpilot script prints all", finding.fixes.len() - MAX_FIXES));
    }
    lines
}
