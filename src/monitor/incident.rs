//! An incident report in Markdown: what a ticket needs, made of one moment and the events before it.

use std::fmt::Write;

use super::events::Event;
use super::report::{Report, SlotReport};
use super::units;
use crate::connection::printable;

/// The report as Markdown. `source` names the server without secrets.
#[must_use]
pub fn markdown<'a>(report: &Report, source: &str, events: impl IntoIterator<Item = &'a Event>) -> String {
    let mut text = String::new();
    let server = &report.source;
    let _ = writeln!(
        text,
        "# Replication of {}, {}\n\nPostgreSQL {} {}, timeline {}, system identifier {}, seen as {}. All times are UTC, by the source's clock.\n",
        plain(source),
        report.at,
        plain(&server.version),
        server.role,
        server.timeline,
        plain(&server.system_identifier),
        plain(&server.login),
    );
    findings(&mut text, report);
    slots(&mut text, report);
    let lsn = known(report.wal.lsn.map(|lsn| lsn.to_string()));
    let rate = known(report.wal.bytes_per_second.map(units::rate));
    let _ = writeln!(text, "The log ends at {lsn} and grows by {rate}.\n");
    tables(&mut text, report);
    let _ = writeln!(text, "## Events\n");
    let mut none = true;
    for event in events {
        none = false;
        let mark = if event.trouble { "**trouble** " } else { "" };
        let _ = writeln!(text, "- {}Z {mark}{}", event.at.clock(), plain(&event.text));
    }
    if none {
        let _ = writeln!(text, "None was seen.");
    }
    if !server.unseen.is_empty() {
        let _ = writeln!(text, "\n## What could not be seen\n");
        for unseen in &server.unseen {
            let _ = writeln!(text, "- {}: `{}`", plain(&unseen.what), printable(&unseen.grant));
        }
    }
    text
}

fn findings(text: &mut String, report: &Report) {
    let _ = writeln!(text, "## Diagnosis\n");
    if report.findings.is_empty() {
        let _ = writeln!(text, "Nothing is wrong.\n");
    }
    for finding in &report.findings {
        let since = finding.since.map_or_else(String::new, |since| format!(", since {since}"));
        let _ = writeln!(
            text,
            "### {} {} {}: {}{since}\n\n{}\n",
            finding.severity.name(),
            finding.rule,
            plain(&finding.object),
            plain(&finding.title),
            plain(&finding.evidence)
        );
        for action in &finding.actions {
            let who = action.who.map_or_else(String::new, |who| format!(" Run by {who}."));
            let risk = action.risk.map_or_else(String::new, |risk| format!(" Risk: {risk}."));
            let _ = writeln!(text, "- {}.{who}{risk}", plain(action.label.trim_end_matches('.')));
            if let Some(sql) = &action.sql {
                let fence = fence(sql);
                let statements: Vec<_> = sql.lines().map(printable).collect();
                let _ = writeln!(text, "\n  {fence}sql\n  {}\n  {fence}\n", statements.join("\n  "));
            }
        }
        text.push('\n');
    }
}

fn slots(text: &mut String, report: &Report) {
    let _ = writeln!(text, "## Slots\n");
    if report.slots.is_empty() {
        let _ = writeln!(text, "There are none.\n");
        return;
    }
    row(text, &["Slot", "State", "Lag", "Lag in time", "Held", "Left", "Lost in", "Confirmed", "Reader"].map(plain));
    row(text, &["---"; 9].map(str::to_owned));
    for one in &report.slots {
        row(text, &slot(one));
    }
    text.push('\n');
}

fn slot(one: &SlotReport) -> [String; 9] {
    let (slot, numbers) = (&one.slot, &one.reading);
    let reader = match (&slot.consumer, &numbers.inactive) {
        (Some(reader), _) => {
            let name = reader.application_name.as_deref().or(reader.user.as_deref()).unwrap_or("?");
            format!("{} {name}", reader.pid)
        }
        (None, Some(alone)) => format!("none for {}", alone.show(false)),
        (None, None) => "none".to_owned(),
    };
    let left = match (slot.is_lost(), slot.safe_bytes()) {
        (true, _) => "lost".to_owned(),
        (false, Some(left)) => units::bytes(u64::try_from(left).unwrap_or(0)),
        (false, None) => "no limit".to_owned(),
    };
    [
        plain(&slot.name),
        numbers.state.name().to_owned(),
        known(numbers.lag_bytes.map(units::bytes)),
        known(numbers.lag.map(|age| age.show(false))),
        if slot.is_lost() { "-".to_owned() } else { known(numbers.retained_bytes.map(units::bytes)) },
        left,
        numbers.dies_in.map_or_else(|| "-".to_owned(), |left| format!("~{}", units::about(left))),
        known(slot.reached().map(|lsn| lsn.to_string())),
        plain(&reader),
    ]
}

fn tables(text: &mut String, report: &Report) {
    if report.tables.is_empty() {
        return;
    }
    let _ = writeln!(text, "## Tables\n");
    row(text, &["Table", "Rows at the source (estimated)", "Rows at the destination", "Phase"].map(plain));
    row(text, &["---"; 4].map(str::to_owned));
    for line in &report.tables {
        let there = match line.at_destination {
            Some(false) => "no table".to_owned(),
            _ => known(line.destination_rows.map(units::grouped)),
        };
        let phase = line.phase.as_deref().map_or_else(|| "-".to_owned(), plain);
        row(text, &[plain(&line.table.to_string()), known(line.source_rows.map(units::grouped)), there, phase]);
    }
    text.push('\n');
}

fn row<const N: usize>(text: &mut String, cells: &[String; N]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "?".to_owned())
}

/// Text that Markdown shows as it is, whatever a server calls its objects.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in printable(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '!') {
            shown.push('\\');
        }
        shown.push(c);
    }
    shown
}

/// A fence longer than any in `sql`.
fn fence(sql: &str) -> String {
    let longest = sql.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(3.max(longest + 1))
}

#[cfg(test)]
mod tests {
    use super::{fence, plain};

    #[test]
    fn names_cannot_break_out_of_the_report() {
        assert_eq!(plain("a|b`c`\n<script>"), "a\\|b\\`c\\`\\\\u{a}\\<script\\>");
        assert_eq!((fence("SELECT 1").len(), fence("SELECT '````'").len()), (3, 5));
    }
}
