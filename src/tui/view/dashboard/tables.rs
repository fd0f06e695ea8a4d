//! Tables with their rows at both sides.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{first_line, fit, fit_right, put, section};
use crate::connection::printable;
use crate::monitor::destination::Destination;
use crate::monitor::report::TableLine;
use crate::monitor::units;
use crate::tui::app::dashboard::{Dashboard, Panel};
use crate::tui::view::theme::{Theme, Tone};

const NUMBER: usize = 8;
const PHASE: usize = 9;

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let lines = dashboard.tables();
    let picture = dashboard.picture();
    let seen = picture.watcher.sample().is_some();
    let title = if seen { format!("Tables {}", lines.len()) } else { "Tables".to_owned() };
    let side = side(dashboard);
    let body = section(&title, &side, dashboard.panel() == Panel::Tables, theme, area, buf);
    let Some(sample) = picture.watcher.sample() else { return };
    if lines.is_empty() {
        let why = match (&sample.tables, &sample.tables_unread) {
            (None, Some(reason)) => printable(reason).into_owned(),
            (None, None) => "The tables could not be read.".to_owned(),
            (Some(tables), _) if !tables.publication_found => {
                "The publication does not exist in this database.".to_owned()
            }
            (Some(_), _) => "No tables.".to_owned(),
        };
        put(&Line::styled(format!("  {why}"), theme.style(Tone::Dim)), 0, body, buf);
        return;
    }
    let width = usize::from(body.width);
    let wide = width >= 70;
    let fixed = 2 * (NUMBER + 1) + PHASE + 1 + NUMBER + if wide { NUMBER + 1 } else { 0 } + 2;
    let name = width.saturating_sub(fixed).clamp(8, 48);
    let mut head = format!(
        " {} {} {} {} {}",
        fit("TABLE", name, theme),
        fit_right("SOURCE~", NUMBER, theme),
        fit_right("DEST.~", NUMBER, theme),
        fit("PHASE", PHASE, theme),
        fit_right("APPLIED", NUMBER, theme),
    );
    if wide {
        head = format!("{head} {}", fit_right("WRITES/S", NUMBER, theme));
    }
    put(&Line::styled(head, theme.style(Tone::Dim)), 0, body, buf);
    let height = usize::from(body.height.saturating_sub(1));
    let focused = dashboard.panel() == Panel::Tables;
    let first = first_line(dashboard.selected_table(), height);
    for (row, line) in lines.iter().enumerate().skip(first).take(height) {
        let chosen = focused && row == dashboard.selected_table();
        let (phase, tone) = phase(line);
        let mut spans = vec![
            Span::raw(if chosen { theme.glyph("▶", ">") } else { " " }),
            Span::raw(fit(&line.table.to_string(), name, theme)),
            Span::raw(format!(" {}", fit_right(&here(line, dashboard), NUMBER, theme))),
            Span::raw(format!(" {} ", fit_right(&there(line, dashboard), NUMBER, theme))),
            Span::styled(fit(&phase, PHASE, theme), theme.style(tone)),
            Span::raw(format!(
                " {}",
                fit_right(&line.changes_applied.map_or_else(|| "-".to_owned(), units::count), NUMBER, theme)
            )),
        ];
        if wide {
            let rate = line.changes_per_second.map_or_else(|| "?".to_owned(), |rate| format!("{rate:.0}"));
            spans.push(Span::raw(format!(" {}", fit_right(&rate, NUMBER, theme))));
        }
        put(&Line::from(spans), u16::try_from(row - first + 1).unwrap_or(u16::MAX), body, buf);
    }
}

fn side(dashboard: &Dashboard) -> String {
    let Some(sample) = dashboard.picture().watcher.sample() else { return String::new() };
    match &sample.destination {
        Some(Destination::Connecting) => "connecting to the destination".to_owned(),
        Some(Destination::Unreachable(_)) => "destination unreachable".to_owned(),
        Some(Destination::Reached(_)) if dashboard.tables().iter().any(|line| line.destination_rows_counted) => {
            "~ estimates, = counted by the run".to_owned()
        }
        Some(Destination::Reached(_)) => "~ estimates".to_owned(),
        None => "~ estimates, no destination".to_owned(),
    }
}

fn rows(count: Option<u64>) -> String {
    count.map_or_else(|| "?".to_owned(), units::count)
}

/// What was counted exactly stands before what is estimated.
fn here(line: &TableLine, dashboard: &Dashboard) -> String {
    let counted = dashboard.picture().counts.get(&line.table);
    counted.map_or_else(|| rows(line.source_rows), |count| format!("={}", units::count(count.source)))
}

fn there(line: &TableLine, dashboard: &Dashboard) -> String {
    if let Some(counted) = dashboard.picture().counts.get(&line.table).and_then(|count| count.destination) {
        return format!("={}", units::count(counted));
    }
    match (dashboard.destination(), line.at_destination) {
        (None, _) => "-".to_owned(),
        (Some(_), Some(false)) => "no table".to_owned(),
        // The sign tells the run's own account from the destination's statistics; the title explains it.
        (Some(_), _) if line.destination_rows_counted => format!("={}", rows(line.destination_rows)),
        (Some(_), _) => rows(line.destination_rows),
    }
}

/// The phase's word; a copy shows how far it is.
fn phase(line: &TableLine) -> (String, Tone) {
    match line.phase.as_deref() {
        None => ("-".to_owned(), Tone::Dim),
        Some("copying") => {
            let share = match (line.rows_copied, line.source_rows) {
                (Some(copied), Some(all)) if all > 0 => {
                    format!("copy {}%", (copied.saturating_mul(100) / all).min(100))
                }
                _ => "copying".to_owned(),
            };
            (share, Tone::Accent)
        }
        Some("streaming") => ("streaming".to_owned(), Tone::Good),
        Some(other) => (printable(other).into_owned(), Tone::Dim),
    }
}
