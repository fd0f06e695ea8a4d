//! Everything about one table on a page: its rows at both sides, how the run stands with it, and what is written.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, fit_right, labelled, put, section};
use super::tables;
use crate::connection::printable;
use crate::monitor::count::{Count, Drift, Fence};
use crate::monitor::destination::RunTable;
use crate::monitor::history::TableRates;
use crate::monitor::report::{TableLine, known_run};
use crate::monitor::table::Table;
use crate::monitor::units;
use crate::monitor::xmin::HALF_CIRCLE;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

const LABEL: usize = 18;
const NUMBER: usize = 16;

/// Draws the page.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let lines = dashboard.tables();
    // Never another one than was opened: it may have been dropped, or left out by a filter since.
    let chosen = match dashboard.chosen_table() {
        Some(name) => lines.iter().find(|line| &line.table == name),
        None => lines.first(),
    };
    let name = chosen.map_or_else(String::new, |line| format!(" {}", printable(&line.table.to_string())));
    let body = section(&format!("Table{name}"), "c counts exactly, Esc goes back", true, theme, area, buf);
    let Some(sample) = dashboard.picture().watcher.sample() else { return };
    let Some(line) = chosen else {
        let name =
            dashboard.chosen_table().map_or_else(String::new, |name| format!(" {}", printable(&name.to_string())));
        let text = format!("{} Table{name} is not in the list any more.", theme.mark(Tone::Warn));
        put(&Line::styled(fit(&text, usize::from(body.width), theme), theme.style(Tone::Warn)), 0, body, buf);
        return;
    };
    let watcher = &dashboard.picture().watcher;
    let page = Page {
        dashboard,
        line,
        here: sample.tables.as_ref().and_then(|tables| tables.find(&line.table)),
        rates: watcher.history().table_rates(&line.table),
        run: known_run(watcher).and_then(|run| run.tables.iter().find(|one| one.table == line.table)),
        theme,
        width: usize::from(body.width),
    };
    for (row, line) in (0..body.height).zip(page.lines().iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}

struct Page<'a> {
    dashboard: &'a Dashboard,
    line: &'a TableLine,
    here: Option<&'a Table>,
    rates: Option<TableRates>,
    run: Option<&'a RunTable>,
    theme: Theme,
    width: usize,
}

impl Page<'_> {
    fn lines(&self) -> Vec<Line<'static>> {
        let mut lines = self.rows();
        lines.push(Line::default());
        if let Some(run) = self.run_text() {
            lines.extend(self.labelled("run", &run));
        }
        self.written(&mut lines);
        self.storage(&mut lines);
        lines
    }

    fn labelled(&self, label: &str, text: &str) -> Vec<Line<'static>> {
        labelled((label, LABEL), text, Tone::Plain, self.width, self.theme)
    }

    fn row(&self, cells: [&str; 4], tone: Tone, last: Tone) -> Line<'static> {
        let number = |text: &str| fit_right(text, NUMBER, self.theme);
        Line::from(vec![
            Span::styled(fit(cells[0], LABEL, self.theme), self.theme.style(Tone::Dim)),
            Span::styled(number(cells[1]), self.theme.style(tone)),
            Span::styled(number(cells[2]), self.theme.style(tone)),
            Span::styled(number(cells[3]), self.theme.style(last)),
        ])
    }

    /// The rows at both sides: estimated, and as they were counted last.
    fn rows(&self) -> Vec<Line<'static>> {
        let mut lines = vec![self.row(["ROWS", "SOURCE", "DESTINATION", "DIFFERENCE"], Tone::Dim, Tone::Dim)];
        let estimate =
            |rows: Option<u64>| rows.map_or_else(|| "?".to_owned(), |rows| format!("~{}", units::grouped(rows)));
        let there = match (self.dashboard.destination(), self.line.at_destination) {
            (None, _) => "-".to_owned(),
            (Some(_), Some(false)) => "no table".to_owned(),
            _ if self.line.destination_rows_counted => {
                self.line.destination_rows.map_or_else(|| "?".to_owned(), |rows| format!("={}", units::grouped(rows)))
            }
            _ => estimate(self.line.destination_rows),
        };
        let (difference, tone) = match self.dashboard.destination() {
            Some(_) => tables::estimated_drift(self.line),
            None => ("-".to_owned(), Tone::Dim),
        };
        lines.push(self.row(["estimated", &estimate(self.line.source_rows), &there, &difference], Tone::Plain, tone));
        match self.dashboard.picture().counts.get(&self.line.table) {
            Some(count) => {
                let there =
                    count.destination.map_or_else(|| "-".to_owned(), |rows| format!("={}", units::grouped(rows)));
                let (difference, tone) = tables::drift(self.line, self.dashboard);
                let here = format!("={}", units::grouped(count.source));
                lines.push(self.row(["counted", &here, &there, &difference], Tone::Plain, tone));
                lines.extend(self.labelled("", &self.counted(count)));
            }
            None => lines.extend(
                self.labelled("counted", "not yet: c counts every row at both sides, which reads the whole table"),
            ),
        }
        lines
    }

    /// When it was counted, up to where, and what that says.
    fn counted(&self, count: &Count) -> String {
        let now = self.dashboard.picture().watcher.sample().map(|sample| sample.at).unwrap_or_default();
        let at = self.dashboard.display().times.say(count.at, now);
        let fence = match count.fence {
            Fence::Checkpoint(_) | Fence::Confirmed(_) => {
                format!("at {at}, both sides at position {} of the log", count.position)
            }
            Fence::None => format!("at {at}, the source at position {} of the log", count.position),
        };
        let says = match &count.drift {
            Drift::Exact(0) => "nothing is missing and nothing is too much".to_owned(),
            Drift::Exact(_) => "nothing was written meanwhile: this difference is real".to_owned(),
            Drift::Within { moved, .. } => {
                format!("{} came or went meanwhile, and the difference may be that", units::counted(*moved, "row"))
            }
            Drift::Unknown(why) => printable(why).into_owned(),
        };
        format!("{fence}; {says}")
    }

    /// How the run stands with the table.
    fn run_text(&self) -> Option<String> {
        let phase = self.line.phase.as_deref()?;
        let rate = self.run.and_then(|run| run.rows_per_second);
        let rate = rate.map_or_else(String::new, |rate| format!(", {} a second", units::counted(rate, "row")));
        let eta = self.run.and_then(|run| run.eta_seconds).map(std::time::Duration::from_secs);
        let eta = eta.map_or_else(String::new, |left| format!(", done in about {}", units::about(left)));
        let copied =
            self.line.rows_copied.map_or_else(String::new, |rows| format!(", {} copied", units::counted(rows, "row")));
        let applied = self
            .line
            .changes_applied
            .map_or_else(String::new, |count| format!(", {} applied", units::counted(count, "change")));
        Some(format!("{}{copied}{rate}{eta}{applied}", printable(phase)))
    }

    /// What is written at the source.
    fn written(&self, lines: &mut Vec<Line<'static>>) {
        let Some(table) = self.here else { return };
        let rate = |rate: fn(&TableRates) -> f64| {
            self.rates.as_ref().map_or_else(|| "?".to_owned(), |rates| format!("{:.1}/s", rate(rates)))
        };
        lines.push(self.row(["WRITES", "INSERTS", "UPDATES", "DELETES"], Tone::Dim, Tone::Dim));
        let now = [rate(|rates| rates.inserts), rate(|rates| rates.updates), rate(|rates| rates.deletes)];
        lines.push(self.row(["now", &now[0], &now[1], &now[2]], Tone::Plain, Tone::Plain));
        let all = [units::grouped(table.inserts), units::grouped(table.updates), units::grouped(table.deletes)];
        lines.push(self.row(["since the reset", &all[0], &all[1], &all[2]], Tone::Plain, Tone::Plain));
        lines.extend(self.labelled("", "Of pg_stat_user_tables; from 15 on they may trail a commit by ten seconds."));
    }

    fn storage(&self, lines: &mut Vec<Line<'static>>) {
        let Some(table) = self.here else { return };
        lines.push(Line::default());
        let identity = match table.identity {
            Some('d') => "default: the primary key, if there is one",
            Some('i') => "an index chosen for it",
            Some('f') => "full: every column goes to the log with each update and delete",
            Some('n') => "nothing: published updates and deletes fail at the source",
            _ => "?",
        };
        lines.extend(self.labelled("replica identity", identity));
        lines.extend(
            self.labelled("size", &format!("~{} without indexes", self.dashboard.display().bytes(table.bytes))),
        );
        let hot = table.hot_updates.saturating_mul(100).checked_div(table.updates);
        let hot = hot.map_or_else(|| "-".to_owned(), |share| format!("{} %", share.min(100)));
        lines.extend(self.labelled("HOT updates", &format!("{hot} needed no new index entry")));
        lines.extend(self.labelled("dead rows", &format!("~{} for vacuum to remove", units::grouped(table.dead_rows))));
        let frozen = table.frozen_age.and_then(|age| u64::try_from(age).ok());
        if let Some(age) = frozen {
            let share = age.saturating_mul(100) / HALF_CIRCLE;
            let text = format!("{}, {share} % of the way to the wraparound", units::counted(age, "transaction"));
            lines.extend(self.labelled("oldest row", &text));
        }
    }
}
