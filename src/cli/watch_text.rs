//! The text of `walpilot watch`: a report in aligned columns, or one line for a stream.

use unicode_width::UnicodeWidthStr;

use super::output::{Output, Paint};
use crate::connection::printable;
use crate::monitor::diagnosis::{Finding, Severity};
use crate::monitor::report::{Report, SlotReport, TableLine};
use crate::monitor::slot::SlotKind;
use crate::monitor::state::SlotState;
use crate::monitor::units;

/// How many tables stand in the text.
const MOST_TABLES: usize = 20;

/// The report as lines.
pub(super) fn text(report: &Report, slot: Option<&str>, output: Output) -> Vec<String> {
    let mut lines = vec![source_line(report), wal_line(report)];
    if let Some(run) = run_line(report) {
        lines.push(run);
    }
    lines.push(String::new());
    if report.slots.is_empty() {
        lines.push("No replication slots.".to_owned());
    } else {
        let titles = ["SLOT", "STATE", "PLUGIN", "DATABASE", "LAG", "LAG TIME", "HELD", "WAL STATUS", "READER"];
        let rows = report.slots.iter().map(|one| slot_cells(one, slot, output)).collect();
        lines.extend(table(&titles, rows, output));
    }
    if !report.tables.is_empty() {
        lines.push(String::new());
        lines.extend(tables(report, output));
    }
    if let Some(reason) = &report.tables_unread {
        lines.push(String::new());
        lines.push(format!("Tables: {}", printable(reason)));
    }
    for finding in &report.findings {
        lines.push(String::new());
        lines.extend(finding_lines(finding, output));
    }
    lines
}

/// One line: time, position, rate, the slot of interest (or the worst), the worst finding.
pub(super) fn line(report: &Report, slot: Option<&str>, output: Output) -> String {
    let wanted = report.slots.iter().find(|one| slot == Some(one.slot.name.as_str())).or(report.slots.first());
    let mut parts = vec![format!("{}Z", report.at.clock()), wal_line(report)];
    if let Some(one) = wanted {
        parts.push(format!(
            "{} {} lag {} {} held {}",
            printable(&one.slot.name),
            output.paint(paint(one.reading.state), one.reading.state.name()),
            known(one.reading.lag_bytes.map(units::bytes)),
            known(one.reading.lag.map(|age| age.show(false))),
            held(one),
        ));
    }
    parts.extend(changes(report));
    if let Some(run) = &report.run
        && let Some(account) = &run.account
    {
        parts.push(format!("run {} applied {}", printable(&account.phase), units::grouped(account.changes)));
    }
    if let Some(worst) = report.findings.first().filter(|finding| finding.severity < Severity::Info) {
        parts.push(format!("{} {} {}: {}", severity(worst, output), worst.rule, worst.object, worst.title));
    }
    parts.join("  ")
}

fn source_line(report: &Report) -> String {
    let source = &report.source;
    format!(
        "PostgreSQL {} {}, timeline {}, database {} as {}, {}",
        source.version,
        source.role,
        source.timeline,
        printable(&source.database),
        printable(&source.login),
        report.at,
    )
}

fn wal_line(report: &Report) -> String {
    let lsn = known(report.wal.lsn.map(|lsn| lsn.to_string()));
    format!("WAL {lsn} {}", known(report.wal.bytes_per_second.map(units::rate)))
}

fn run_line(report: &Report) -> Option<String> {
    if let Some(reason) = report.destination.as_ref().and_then(|side| side.reason.as_ref()) {
        return Some(format!("Destination: {}", printable(reason)));
    }
    let run = report.run.as_ref()?;
    let account = run.account.as_ref();
    Some(format!(
        "Run of slot {}: {}, {} changes in {} transactions applied, checkpoint {}, lag {} {}",
        printable(&run.slot),
        account.map_or("?", |account| account.phase.as_str()),
        known(account.map(|account| units::grouped(account.changes))),
        known(account.map(|account| units::grouped(account.transactions))),
        known(run.checkpoint.map(|lsn| lsn.to_string())),
        known(account.map(|account| units::bytes(account.lag_bytes))),
        known(account.map(|account| units::span(std::time::Duration::from_millis(account.lag_millis)))),
    ))
}

fn slot_cells(one: &SlotReport, wanted: Option<&str>, output: Output) -> Vec<String> {
    let slot = &one.slot;
    let mark = if wanted == Some(slot.name.as_str()) { "*" } else { "" };
    let reader = match (&slot.consumer, &one.reading.inactive) {
        (Some(reader), _) => {
            let name = reader.application_name.as_deref().or(reader.user.as_deref()).unwrap_or("?");
            format!("{} {}", reader.pid, printable(name))
        }
        (None, Some(alone)) => format!("none for {}", alone.show(false)),
        (None, None) => "none".to_owned(),
    };
    vec![
        format!("{}{mark}", printable(&slot.name)),
        output.paint(paint(one.reading.state), one.reading.state.name()),
        match slot.kind {
            SlotKind::Logical => known(slot.plugin.as_deref().map(|name| printable(name).into_owned())),
            SlotKind::Physical => "physical".to_owned(),
        },
        slot.database.as_deref().map_or_else(|| "-".to_owned(), |name| printable(name).into_owned()),
        known(one.reading.lag_bytes.map(units::bytes)),
        known(one.reading.lag.map(|age| age.show(false))),
        held(one),
        known(slot.wal_status.map(|status| status.name().to_owned())),
        reader,
    ]
}

/// The tables in a few columns: those of a destination only where there is one, and no more than a screen of lines.
fn tables(report: &Report, output: Output) -> Vec<String> {
    let two_sides = report.destination.is_some();
    let mut titles = vec!["TABLE", "ROWS~ SOURCE", "CHANGES/S"];
    if two_sides {
        titles.extend(["ROWS~ DESTINATION", "PHASE", "COPIED", "APPLIED"]);
    }
    let mut shown: Vec<&TableLine> = report.tables.iter().collect();
    if shown.len() > MOST_TABLES {
        let rate = |line: &TableLine| line.changes_per_second.unwrap_or(0.0);
        shown.sort_by(|a, b| rate(b).total_cmp(&rate(a)).then(b.source_rows.cmp(&a.source_rows)));
        shown.truncate(MOST_TABLES);
    }
    let rows = shown.iter().map(|line| {
        let mut cells = vec![
            line.table.to_string(),
            known(line.source_rows.map(units::grouped)),
            known(line.changes_per_second.map(|rate| per_second(rate, report.counters_trail))),
        ];
        if two_sides {
            cells.extend(destination_cells(line));
        }
        cells
    });
    let mut lines = table(&titles, rows.collect(), output);
    if let Some(more @ 1..) = report.tables.len().checked_sub(shown.len()) {
        lines.push(format!("and {} more (--format json has them all)", units::counted(as_u64(more), "table")));
    }
    if report.tables.iter().any(|line| line.changes_per_second.is_none()) {
        let note = "Changes per second need two readings of the counters, ten seconds apart: watch --interval.";
        lines.push(output.paint(Paint::Dim, note));
    }
    lines
}

/// Changes of a table, or of all; 0 is no fact while the counters may not tell of the latest ones.
fn per_second(rate: f64, trail: bool) -> String {
    match rate {
        rate if rate <= 0.0 && trail => "~0".to_owned(),
        rate if rate > 0.0 && rate < 10.0 => format!("{rate:.1}"),
        rate => units::grouped(units::round(rate)),
    }
}

/// The changes of all tables, and which table has the most of them; `None` before there are two readings.
fn changes(report: &Report) -> Option<String> {
    let known = report.tables.iter().filter_map(|line| Some((line, line.changes_per_second?)));
    let most = known.clone().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let sum: f64 = known.map(|(_, rate)| rate).sum();
    let all = format!("tables {} changes/s", per_second(sum, report.counters_trail));
    Some(if most.1 > 0.0 { format!("{all}, most in {}", most.0.table) } else { all })
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn destination_cells(line: &TableLine) -> [String; 4] {
    [
        match line.at_destination {
            Some(false) => "no table".to_owned(),
            _ => known(line.destination_rows.map(units::grouped)),
        },
        line.phase.as_deref().map_or_else(|| "-".to_owned(), |phase| printable(phase).into_owned()),
        line.rows_copied.map_or_else(|| "-".to_owned(), units::grouped),
        line.changes_applied.map_or_else(|| "-".to_owned(), units::grouped),
    ]
}

fn finding_lines(finding: &Finding, output: Output) -> Vec<String> {
    let since = finding.since.map_or_else(String::new, |since| format!(" (since {}Z)", since.clock()));
    let mut lines = vec![
        format!("{} {} {}: {}{since}", severity(finding, output), finding.rule, finding.object, finding.title),
        format!("     {}", finding.evidence),
    ];
    for action in &finding.actions {
        lines.push(format!("  -> {}", action.label));
        if let Some(sql) = &action.sql {
            lines.extend(sql.lines().map(|statement| format!("       {statement}")));
        }
        let notes: Vec<String> = action
            .who
            .map(|who| format!("run by {who}"))
            .into_iter()
            .chain(action.risk.map(|risk| format!("risk: {risk}")))
            .collect();
        if !notes.is_empty() {
            lines.push(output.paint(Paint::Dim, &format!("       -- {}", notes.join("; "))));
        }
    }
    lines
}

/// Nothing is held by a lost slot; what can't be told is `?`.
fn held(one: &SlotReport) -> String {
    if one.reading.state == SlotState::Lost {
        "-".to_owned()
    } else {
        known(one.reading.retained_bytes.map(units::bytes))
    }
}

fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "?".to_owned())
}

fn severity(finding: &Finding, output: Output) -> String {
    let paint = match finding.severity {
        Severity::Critical => Paint::Bad,
        Severity::Warning => Paint::Warn,
        Severity::Info => Paint::Dim,
    };
    output.paint(paint, finding.severity.name())
}

fn paint(state: SlotState) -> Paint {
    if state.is_bad() {
        Paint::Bad
    } else if state.is_good() {
        Paint::Good
    } else {
        Paint::Warn
    }
}

/// Columns as wide as their widest cell.
fn table(titles: &[&str], rows: Vec<Vec<String>>, output: Output) -> Vec<String> {
    let head: Vec<String> = titles.iter().map(|title| output.paint(Paint::Bold, title)).collect();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let widths: Vec<usize> = (0..titles.len())
        .map(|at| all.iter().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    all.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width_wanted)| format!("{cell}{}", " ".repeat(width_wanted.saturating_sub(width(cell)))))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

/// The width of a cell, which may begin and end with our own colour.
fn width(cell: &str) -> usize {
    let plain = match cell.strip_prefix("\u{1b}[") {
        Some(rest) => rest.split_once('m').map_or(rest, |(_, rest)| rest).trim_end_matches("\u{1b}[0m"),
        None => cell,
    };
    plain.width()
}
