//! Tables with their rows at both sides.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::paint::{first_line, fit, fit_right, put, section};
use crate::connection::printable;
use crate::monitor::count::Drift;
use crate::monitor::destination::Destination;
use crate::monitor::history::TableRates;
use crate::monitor::report::TableLine;
use crate::monitor::table::Table;
use crate::monitor::units;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// What a column shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Source,
    Destination,
    Drift,
    Phase,
    Writes,
    Inserts,
    Updates,
    Deletes,
    Hot,
    Dead,
    Identity,
    Size,
    Applied,
}

/// A column: its title, its width, and the widths of the panel from which on and below which it is shown.
struct Shape(Column, &'static str, usize, u16, u16);

const ALWAYS: u16 = u16::MAX;
/// From this width on inserts, updates and deletes have a column each.
const KINDS: u16 = 96;

/// In the order of the screen.
const COLUMNS: [Shape; 13] = [
    Shape(Column::Source, "SOURCE~", 8, 0, ALWAYS),
    Shape(Column::Destination, "DEST.~", 8, 0, ALWAYS),
    Shape(Column::Drift, "DRIFT", 9, 50, ALWAYS),
    Shape(Column::Phase, "PHASE", 9, 0, ALWAYS),
    Shape(Column::Writes, "WRITES/S", 8, 70, KINDS),
    Shape(Column::Inserts, "INS/S", 6, KINDS, ALWAYS),
    Shape(Column::Updates, "UPD/S", 6, KINDS, ALWAYS),
    Shape(Column::Deletes, "DEL/S", 6, KINDS, ALWAYS),
    Shape(Column::Hot, "HOT%", 4, KINDS, ALWAYS),
    Shape(Column::Dead, "DEAD", 7, KINDS, ALWAYS),
    Shape(Column::Identity, "RI", 7, 78, ALWAYS),
    Shape(Column::Size, "SIZE~", 8, 130, ALWAYS),
    Shape(Column::Applied, "APPLIED", 8, 118, ALWAYS),
];

/// What is known of one table.
struct Row<'a> {
    line: &'a TableLine,
    here: Option<&'a Table>,
    rates: Option<TableRates>,
}

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let lines = dashboard.tables();
    let picture = dashboard.picture();
    let seen = picture.watcher.sample().is_some();
    let selected = dashboard.selected_table(&lines);
    // Title and head take two lines.
    let height = usize::from(area.height.saturating_sub(2));
    let first = first_line(selected, height);
    let last = (first + height).min(lines.len());
    let title = match seen {
        true if height > 0 && last.saturating_sub(first) < lines.len() => {
            format!("Tables {}-{last} of {}", first + 1, lines.len())
        }
        true => format!("Tables {}", lines.len()),
        false => "Tables".to_owned(),
    };
    let (order, reversed) = dashboard.table_order();
    let order = format!("sort: {}{}", order.words().1, if reversed { ", reversed" } else { "" });
    let room = usize::from(area.width).saturating_sub(title.len() + 8);
    let side = side(dashboard, &lines, room);
    let long = format!("{order}, {side}");
    let side = if long.len() <= room { long } else { side };
    let body = section(&title, &side, dashboard.panel() == Panel::Tables, theme, area, buf);
    let Some(sample) = picture.watcher.sample() else { return };
    if lines.is_empty() {
        let why = match (&sample.tables, &sample.tables_unread) {
            (None, Some(reason)) => printable(reason).into_owned(),
            (None, None) => "The tables could not be read.".to_owned(),
            (Some(tables), _) if !tables.publication_found => {
                "The publication does not exist in this database.".to_owned()
            }
            (Some(_), _) if !dashboard.table_filter().is_empty() => {
                "No table fits the filter; Esc shows all of them.".to_owned()
            }
            (Some(_), _) => "No tables.".to_owned(),
        };
        put(&Line::styled(format!("  {why}"), theme.style(Tone::Dim)), 0, body, buf);
        return;
    }
    let longest = lines.iter().map(|line| line.table.to_string().width()).max();
    let (name, columns) = layout(body.width, longest.unwrap_or(0), dashboard);
    let head: String = columns.iter().map(|(column, title, width)| cell(*column, title, *width, theme)).collect();
    put(&Line::styled(format!(" {}{head}", fit("TABLE", name, theme)), theme.style(Tone::Dim)), 0, body, buf);
    let focused = dashboard.panel() == Panel::Tables;
    for (row, line) in lines.iter().enumerate().skip(first).take(height) {
        let chosen = focused && row == selected;
        let here = sample.tables.as_ref().and_then(|tables| tables.find(&line.table));
        let known = Row { line, here, rates: picture.watcher.history().table_rates(&line.table) };
        let shown = printable(&line.table.to_string()).into_owned();
        let mut spans =
            vec![Span::raw(if chosen { theme.glyph("▶", ">") } else { " " }), Span::raw(fit(&shown, name, theme))];
        for (column, _, width) in &columns {
            let (text, tone) = value(*column, &known, dashboard);
            spans.push(Span::styled(cell(*column, &text, *width, theme), theme.style(tone)));
        }
        put(&Line::from(spans), u16::try_from(row - first + 1).unwrap_or(u16::MAX), body, buf);
    }
}

/// The width of the names, and the columns that fit beside them. With columns scrolled away the name stays, and every
/// other column comes in its turn.
fn layout(width: u16, longest: usize, dashboard: &Dashboard) -> (usize, Vec<(Column, &'static str, usize)>) {
    const SHORTEST: usize = 14;
    let aside = if dashboard.panel() == Panel::Tables { dashboard.aside() } else { 0 };
    let alone = dashboard.destination().is_none();
    let fits = |shape: &&Shape| {
        use Column::{Applied, Destination, Drift, Phase, Writes};

        if alone {
            // Without another side its columns leave their room to the rest.
            !matches!(shape.0, Destination | Drift | Phase | Applied | Writes)
        } else {
            aside > 0 || (width >= shape.3 && width < shape.4)
        }
    };
    let mut room = usize::from(width).saturating_sub(SHORTEST + 1);
    let mut columns = Vec::new();
    for shape in COLUMNS.iter().filter(fits).skip(aside.min(COLUMNS.len() - 1)) {
        let wide = if shape.0 == Column::Size { dashboard.display().width(shape.2) } else { shape.2 };
        if wide + 1 > room {
            break;
        }
        room -= wide + 1;
        columns.push((shape.0, shape.1, wide));
    }
    (SHORTEST + room.min(longest.saturating_sub(SHORTEST)), columns)
}

fn cell(column: Column, text: &str, width: usize, theme: Theme) -> String {
    match column {
        Column::Phase | Column::Identity => format!(" {}", fit(text, width, theme)),
        _ => format!(" {}", fit_right(text, width, theme)),
    }
}

fn value(column: Column, row: &Row<'_>, dashboard: &Dashboard) -> (String, Tone) {
    let plain = |text: String| (text, Tone::Plain);
    let known = |text: Option<String>| plain(text.unwrap_or_else(|| "?".to_owned()));
    let trail = dashboard.picture().watcher.history().counters_trail();
    // What was just written may not be counted yet: no change seen is then not "no change".
    let per_second = |rate: f64| if trail && rate == 0.0 { "~0".to_owned() } else { format!("{rate:.0}") };
    let rate = |rate: fn(&TableRates) -> f64| known(row.rates.as_ref().map(|rates| per_second(rate(rates))));
    match column {
        Column::Source => plain(here(row.line, dashboard)),
        Column::Destination => plain(there(row.line, dashboard)),
        Column::Drift => drift(row.line, dashboard),
        Column::Phase => phase(row.line),
        Column::Writes => known(row.line.changes_per_second.map(per_second)),
        Column::Inserts => rate(|rates| rates.inserts),
        Column::Updates => rate(|rates| rates.updates),
        Column::Deletes => rate(|rates| rates.deletes),
        Column::Hot => {
            let share = |table: &Table| table.hot_updates.saturating_mul(100).checked_div(table.updates);
            plain(row.here.and_then(share).map_or_else(|| "-".to_owned(), |share| share.min(100).to_string()))
        }
        Column::Dead => known(row.here.map(|table| units::count(table.dead_rows))),
        Column::Identity => match row.here.and_then(|table| table.identity) {
            Some('d') => plain("default".to_owned()),
            Some('i') => plain("index".to_owned()),
            Some('f') => ("full".to_owned(), Tone::Warn),
            Some('n') => ("nothing".to_owned(), Tone::Bad),
            _ => plain("?".to_owned()),
        },
        Column::Size => known(row.here.map(|table| dashboard.display().bytes(table.bytes))),
        Column::Applied => plain(row.line.changes_applied.map_or_else(|| "-".to_owned(), units::count)),
    }
}

/// What stands at the right of the title, in no more than `room`.
fn side(dashboard: &Dashboard, lines: &[TableLine], room: usize) -> String {
    let Some(sample) = dashboard.picture().watcher.sample() else { return String::new() };
    let filter = match dashboard.filter_field() {
        Some(field) if dashboard.panel() == Panel::Tables => format!("filter: {}_, ", printable(field.text())),
        _ if !dashboard.table_filter().is_empty() => format!("filter: {}, ", printable(dashboard.table_filter())),
        _ => String::new(),
    };
    let what = match &sample.destination {
        Some(Destination::Connecting) => "connecting to the destination",
        Some(Destination::Unreachable(_)) => "destination unreachable",
        Some(Destination::Reached(_)) if lines.iter().any(|line| line.destination_rows_counted) => {
            "~ estimates, = counted by the run"
        }
        Some(Destination::Reached(_)) => "~ estimates, c counts",
        None => "~ estimates, no destination",
    };
    let by = crate::monitor::table::counters_trail_by(sample.server.version);
    let by = by.map_or_else(String::new, |by| format!(" by {} s", by.as_secs()));
    let trail = dashboard.picture().watcher.history().counters_trail();
    let late = if trail { format!("{filter}{what}, rates trail{by}") } else { String::new() };
    if late.is_empty() || late.width() > room { format!("{filter}{what}") } else { late }
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

/// Rows at the source that are not there, less rows that are there and not at the source: as counted (`=`), or as far
/// as estimates tell (`~`). While a table is copied there is no drift yet.
pub(super) fn drift(line: &TableLine, dashboard: &Dashboard) -> (String, Tone) {
    let signed = |difference: i64| {
        let sign = if difference > 0 { "+" } else { "-" };
        format!("{sign}{}", units::count(difference.unsigned_abs()))
    };
    if let Some(count) = dashboard.picture().counts.get(&line.table) {
        return match &count.drift {
            Drift::Exact(0) => ("=0".to_owned(), Tone::Good),
            Drift::Exact(difference) => (format!("={}", signed(*difference)), Tone::Bad),
            Drift::Within { difference: 0, .. } => ("=0".to_owned(), Tone::Good),
            Drift::Within { difference, .. } if count.drift.is_certain() => {
                (format!("~{}", signed(*difference)), Tone::Bad)
            }
            Drift::Within { difference, .. } => (format!("~{}", signed(*difference)), Tone::Plain),
            Drift::Unknown(_) => ("?".to_owned(), Tone::Dim),
        };
    }
    estimated_drift(line)
}

/// The difference of the estimates.
pub(super) fn estimated_drift(line: &TableLine) -> (String, Tone) {
    let signed = |difference: i64| {
        let sign = if difference > 0 { "+" } else { "-" };
        format!("{sign}{}", units::count(difference.unsigned_abs()))
    };
    match (line.source_rows, line.destination_rows) {
        _ if line.phase.as_deref() == Some("copying") => ("-".to_owned(), Tone::Dim),
        (Some(here), Some(there)) if here == there => ("~0".to_owned(), Tone::Plain),
        (Some(here), Some(there)) => {
            let difference = i64::try_from(here).unwrap_or(i64::MAX) - i64::try_from(there).unwrap_or(i64::MAX);
            (format!("~{}", signed(difference)), Tone::Plain)
        }
        _ => ("-".to_owned(), Tone::Dim),
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
