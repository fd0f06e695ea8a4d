//! Draws the screen for method, tables and names.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::chrome::working;
use super::form;
use super::text::{cut, paragraph, put, put_lines, size, window};
use super::theme::{Theme, Tone};
use crate::connection::printable;
use crate::monitor::units;
use crate::profile::Method;
use crate::tui::app::job::Job;
use crate::tui::app::state::App;
use crate::tui::app::tables::{Row, TablesFocus};

const METHODS: [(Method, &str); 2] = [
    (Method::Cdc, "change data capture: follows the write-ahead log; sees deletes"),
    (Method::Xmin, "re-reads rows with a newer xmin; needs no slot, sees no deletes"),
];

/// Draws method, list and names.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    let step = &app.tables;
    for (row, (method, meaning)) in (0..).zip(METHODS) {
        let chosen = method == step.method;
        let mark = if chosen { theme.glyph("◉", "(*)") } else { theme.glyph("○", "( )") };
        let tone = match (chosen, step.focus == TablesFocus::Method) {
            (true, true) => Tone::Selected,
            (true, false) => Tone::Title,
            _ => Tone::Plain,
        };
        let used = put(buf, inner, row, 0, &format!("{mark} {:<4}", method.name()), theme.style(tone));
        let meaning = cut(meaning, usize::from(inner.width.saturating_sub(used + 2)), theme.ascii);
        put(buf, inner, row, used + 1, &meaning, theme.style(Tone::Dim));
    }
    let names = [&step.publication, &step.slot, &step.initial_copy];
    let focus = match step.focus {
        TablesFocus::Publication => Some(0),
        TablesFocus::Slot => Some(1),
        TablesFocus::InitialCopy => Some(2),
        _ => None,
    };
    let (name_lines, _) = form::lines(&names, focus, theme, inner.width);
    let bottom = u16::try_from(name_lines.len()).unwrap_or(3).min(inner.height / 3);
    list(app, theme, Rect { y: inner.y + 3, height: inner.height.saturating_sub(4 + bottom), ..inner }, buf);
    let place = Rect { y: inner.bottom().saturating_sub(bottom), height: bottom, ..inner };
    form::draw(&names, focus, theme, place, buf);
}

fn list(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let step = &app.tables;
    if let Some(text) = working(app, theme, Job::ListTables, "Reading the tables") {
        put(buf, area, 0, 0, &text, theme.style(Tone::Accent));
        return;
    }
    if let Some(error) = &step.error {
        let lines = paragraph(&format!("{} {error}", theme.mark(Tone::Bad)), area.width, 0, theme.style(Tone::Bad));
        put_lines(buf, area, 0, &lines);
        return;
    }
    let head = format!("{} of {}", step.ticked(), units::exactly(step.tables.len() as u64, "table"));
    let used = put(buf, area, 0, 0, &head, theme.style(Tone::Title));
    if step.focus == TablesFocus::Filter || !step.filter.text().is_empty() {
        let text = format!("  /{}", printable(step.filter.text()));
        let used = used + put(buf, area, 0, used, &text, theme.style(Tone::Accent));
        if step.focus == TablesFocus::Filter {
            put(buf, area, 0, used, " ", theme.style(Tone::Selected));
        }
    }
    let rows = step.rows();
    if rows.is_empty() {
        let text = if step.tables.is_empty() {
            "This database has no tables outside the system schemas."
        } else {
            "No table matches the filter; Esc in the filter clears it."
        };
        put(buf, area, 1, 0, text, theme.style(Tone::Warn));
        return;
    }
    let place = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let height = usize::from(place.height);
    let first = window(step.cursor, rows.len(), height);
    for (line, (at, row)) in (0..).zip(rows.iter().enumerate().skip(first).take(height)) {
        let selected = at == step.cursor && step.focus == TablesFocus::List;
        let text = row_line(app, row, theme, usize::from(place.width));
        let tone = if selected { Tone::Selected } else { Tone::Plain };
        put(buf, place, line, 0, &text, theme.style(tone));
    }
    let more = rows.len().saturating_sub(first + height);
    if more > 0 {
        let text = format!(" {more} more {} ", theme.glyph("↓", "v"));
        let column = area.width.saturating_sub(u16::try_from(text.width()).unwrap_or(0));
        put(buf, area, 0, column, &text, theme.style(Tone::Dim));
    }
}

fn row_line(app: &App, row: &Row, theme: Theme, width: usize) -> String {
    let tick = |on: usize, all: usize| match on {
        0 => "[ ]",
        on if on == all => theme.glyph("[✔]", "[x]"),
        _ => "[-]",
    };
    match row {
        Row::Schema(name, on, all) => {
            let text = format!("{} {}  {on}/{all}", tick(*on, *all), printable(name));
            cut(&text, width, theme.ascii)
        }
        Row::Table(at) => {
            let Some((choice, ticked)) = app.tables.tables.get(*at) else { return String::new() };
            let rows = choice.rows.map_or_else(
                || "rows unknown".to_owned(),
                |rows| format!("about {rows} {}", if rows == 1 { "row" } else { "rows" }),
            );
            let kind = if choice.partitioned { "partitioned, " } else { "" };
            let right = format!("{kind}{rows}, {:>7}", size(choice.bytes));
            let left = format!("   {} {}", tick(usize::from(*ticked), 1), printable(&choice.table.name));
            let left = cut(&left, width.saturating_sub(right.width() + 2), theme.ascii);
            let gap = width.saturating_sub(left.width() + right.width() + 1);
            format!("{left}{}{right}", " ".repeat(gap))
        }
    }
}
