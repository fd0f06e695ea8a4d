//! The view of a run on a terminal: one line for the whole, one for each table that is being copied or changes most.
//! ASCII, and never wider or higher than the terminal.

use std::time::Duration;

use unicode_width::UnicodeWidthStr;

use super::xmin;
use crate::connection::printable;
use crate::monitor::units::{self, exactly};
use crate::replication::{Phase, Progress, Rates, TablePhase, TableProgress};

/// Cells of a bar.
const BAR: usize = 20;
/// More tables than this are not listed.
const MOST_TABLES: usize = 12;

/// The lines of the view.
pub(super) fn lines(progress: &Progress, rates: &Rates, width: usize, height: usize) -> Vec<String> {
    let mut lines = vec![String::new(), heading(progress, rates)];
    let room = height.saturating_sub(6).min(MOST_TABLES);
    let mut tables: Vec<&TableProgress> = progress.tables.iter().collect();
    // What moves comes first: copies under way, then those that wait, then the busiest.
    tables.sort_by_key(|table| {
        let place = match table.phase {
            TablePhase::Copying | TablePhase::Reading => 0,
            TablePhase::Waiting => 1,
            TablePhase::Streaming | TablePhase::Current => 2,
        };
        (place, std::cmp::Reverse(changes(table)))
    });
    let name_width = tables.iter().take(room).map(|table| name(table).width()).max().unwrap_or(0).min(width / 3);
    lines.extend(tables.iter().take(room).map(|table| row(table, rates, name_width)));
    if tables.len() > room {
        lines.push(format!("  and {}", exactly((tables.len() - room) as u64, "more table")));
    }
    lines.iter().map(|line| cut(line, width.saturating_sub(1))).collect()
}

fn heading(progress: &Progress, rates: &Rates) -> String {
    match progress.phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Reconnecting => "reconnecting: the connection was lost; nothing that was committed is".to_owned(),
        Phase::Reading => xmin::reading(progress),
        Phase::Waiting => xmin::waiting(progress),
        Phase::Stopping => "stopping after the batch at hand".to_owned(),
        Phase::Copying => {
            let done = progress.tables.iter().filter(|table| table.phase.has_all()).count();
            let rows: u64 = progress.tables.iter().map(|table| table.rows_copied).sum();
            let bytes: u64 = progress.tables.iter().map(|table| table.bytes_copied).sum();
            let left =
                rates.eta_seconds(progress).map_or_else(String::new, |left| format!(", about {} left", time(left)));
            format!(
                "copying    {done} of {}, {}, {}, {} rows/s{left}",
                exactly(progress.tables.len() as u64, "table"),
                exactly(rows, "row"),
                units::bytes(bytes),
                units::grouped(rates.rows_per_second() as u64)
            )
        }
        Phase::Streaming => format!(
            "streaming  {}, {}, {} changes/s, lag {} and {:.1} s, at {}",
            exactly(progress.transactions, "transaction"),
            exactly(progress.changes, "change"),
            units::grouped(rates.changes_per_second() as u64),
            units::bytes(progress.lag_bytes),
            Duration::from_millis(progress.lag_millis).as_secs_f32(),
            progress.checkpoint
        ),
    }
}

fn row(table: &TableProgress, rates: &Rates, name_width: usize) -> String {
    let name = cut(&name(table), name_width);
    let pad = " ".repeat(name_width.saturating_sub(name.width()));
    match table.phase {
        TablePhase::Waiting => {
            let rows =
                table.rows_estimated.map_or_else(String::new, |rows| format!(", about {}", exactly(rows, "row")));
            format!("  {name}{pad}  waiting{rows}")
        }
        TablePhase::Copying => {
            let rate = rates.table(&table.table).unwrap_or_default();
            let left = rate.eta_seconds.map_or_else(String::new, |left| format!(", about {} left", time(left)));
            format!(
                "  {name}{pad}  {}{}, {} rows/s{left}",
                bar(table.rows_copied, table.rows_estimated),
                exactly(table.rows_copied, "row"),
                units::grouped(rate.rows_per_second as u64)
            )
        }
        TablePhase::Reading => format!("  {name}{pad}  being read"),
        TablePhase::Streaming | TablePhase::Current => format!(
            "  {name}{pad}  {} copied, {}, {}, {}",
            exactly(table.rows_copied, "row"),
            exactly(table.inserts, "insert"),
            exactly(table.updates, "update"),
            exactly(table.deletes, "delete")
        ),
    }
}

fn name(table: &TableProgress) -> String {
    printable(&table.table.to_string()).into_owned()
}

fn changes(table: &TableProgress) -> u64 {
    table.inserts + table.updates + table.deletes + table.truncates
}

/// How much is done, if the whole is known; estimates may be too low.
fn bar(done: u64, of: Option<u64>) -> String {
    let Some(of) = of.filter(|of| *of > 0) else { return String::new() };
    let share = (done as f64 / of as f64).min(1.0);
    let full = (share * BAR as f64) as usize;
    format!("[{}{}] {:>3} %  ", "#".repeat(full), "-".repeat(BAR - full), (share * 100.0) as u64)
}

fn time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

/// The beginning of `text` that fits into so many cells.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if format!("{short}{c}").width() > width {
            break;
        }
        short.push(c);
    }
    short
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use unicode_width::UnicodeWidthStr;

    use super::{exactly, lines, time};
    use crate::profile::TableName;
    use crate::replication::{Phase, Progress, Rates, TablePhase, TableProgress};

    fn copying(rows: u64) -> Progress {
        let table = |name: &str, phase, rows_copied| TableProgress {
            table: TableName::new("public", name),
            phase,
            rows_copied,
            bytes_copied: rows_copied * 100,
            rows_estimated: Some(1_000_000),
            inserts: 0,
            updates: 0,
            deletes: 0,
            truncates: 0,
            copied_by_this_run: true,
        };
        let mut tables =
            vec![table("done", TablePhase::Streaming, 7), table("evil\u{1b}[2J", TablePhase::Copying, rows)];
        tables.extend((0..20).map(|at| table(&format!("waiting {at}"), TablePhase::Waiting, 0)));
        Progress { phase: Phase::Copying, tables, ..Progress::default() }
    }

    #[test]
    fn the_view_fits_the_terminal_and_tells_rate_and_time_left() {
        let mut rates = Rates::default();
        rates.look(&copying(0), Duration::ZERO);
        rates.look(&copying(250_000), Duration::from_secs(10));
        for (width, height) in [(120, 40), (80, 24), (20, 8), (3, 3)] {
            let view = lines(&copying(250_000), &rates, width, height);
            assert!(view.len() <= height.max(3), "{view:#?}");
            assert!(view.iter().all(|line| line.width() < width.max(1) && !line.contains('\u{1b}')), "{view:#?}");
        }
        let view = lines(&copying(250_000), &rates, 120, 40).join("\n");
        assert!(view.contains("copying    1 of 22 tables, 250,007 rows"), "{view}");
        assert!(view.contains("[#####---------------]  25 %  250,000 rows, 25,000 rows/s, about 30 s left"), "{view}");
        assert!(view.contains("and 10 more tables"), "{view}");
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!([exactly(1, "row"), exactly(1_234_567, "row")], ["1 row", "1,234,567 rows"]);
        assert_eq!([time(9), time(65), time(3700)], ["9 s", "1 min 05 s", "1 h 01 min"]);
    }
}
