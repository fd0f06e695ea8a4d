//! All slots, the worst first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::paint::{first_line, fit, fit_right, put, section, spark, squeeze};
use crate::connection::printable;
use crate::monitor::history::{SlotHistory, SlotPoint};
use crate::monitor::reading::SlotReading;
use crate::monitor::slot::{Slot, SlotKind};
use crate::monitor::state::SlotState;
use crate::monitor::units;
use crate::tui::app::dashboard::{Dashboard, Panel};
use crate::tui::view::theme::{Theme, Tone};

/// What a column shows.
#[derive(Clone, Copy)]
enum Column {
    Name,
    State,
    LagTime,
    Lag,
    Held,
    Left,
    Trend,
    Reader,
    Plugin,
    Database,
    Status,
    Confirmed,
}

/// In the order of the screen: title, width, and from which width of the screen on it is shown.
const COLUMNS: [(Column, &str, usize, u16); 12] = [
    (Column::Name, "SLOT", 16, 0),
    (Column::Plugin, "PLUGIN", 8, 110),
    (Column::Database, "DATABASE", 10, 110),
    (Column::State, "STATE", 13, 0),
    (Column::Reader, "READER", 16, 100),
    (Column::Status, "WAL STATUS", 10, 150),
    (Column::LagTime, "LAG", 8, 0),
    (Column::Lag, "UNCONF.", 8, 0),
    (Column::Confirmed, "CONF./S", 9, 150),
    (Column::Held, "HELD", 8, 58),
    (Column::Left, "LEFT", 8, 66),
    (Column::Trend, "TREND", 8, 80),
];

/// Lags below this are drawn low: what comes and goes between two answers of a healthy consumer is no mountain.
pub(super) const SMALL_LAG: f64 = 1_048_576.0;

/// How a state looks.
pub(super) fn tone(state: SlotState) -> Tone {
    if state.is_bad() {
        Tone::Bad
    } else if state.is_good() {
        Tone::Good
    } else {
        Tone::Warn
    }
}

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let picture = dashboard.picture();
    let slots = dashboard.slots();
    let all = picture.watcher.reading().slots.len();
    let title = match picture.watcher.sample() {
        Some(_) if slots.len() < all => format!("Slots {} of {all}", slots.len()),
        Some(_) => format!("Slots {all}"),
        None => "Slots".to_owned(),
    };
    let body = section(&title, &listing(dashboard), dashboard.panel() == Panel::Slots, theme, area, buf);
    if picture.watcher.sample().is_none() {
        return;
    }
    if slots.is_empty() {
        let why = if all == 0 {
            "  No replication slots on this server."
        } else {
            "  No slot fits the filter; Esc shows all of them."
        };
        put(&Line::styled(why, theme.style(Tone::Dim)), 0, body, buf);
        return;
    }
    let longest = |texts: &mut dyn Iterator<Item = String>| texts.map(|text| text.width()).max().unwrap_or(0);
    let names = longest(&mut slots.iter().map(|(slot, _)| printable(&slot.name).into_owned()));
    let readers = longest(&mut slots.iter().map(|(slot, numbers)| reader(slot, numbers, theme)));
    let columns = layout(area.width, names, readers);
    let head: String = columns.iter().map(|(column, title, width)| cell(*column, title, *width, theme) + " ").collect();
    put(&Line::styled(format!(" {head}"), theme.style(Tone::Dim)), 0, body, buf);
    let height = usize::from(body.height.saturating_sub(1));
    let selected = dashboard.selected_slot();
    let first = first_line(selected, height);
    for (row, (slot, numbers)) in slots.iter().enumerate().skip(first).take(height) {
        let past = picture.watcher.history().slot(&slot.name);
        let chosen = row == selected;
        let mut spans = vec![Span::raw(if chosen { theme.glyph("▶", ">") } else { " " })];
        for (column, _, width) in &columns {
            let text = value(*column, slot, numbers, past, *width, theme);
            let style = match column {
                Column::State => theme.style(tone(numbers.state)),
                Column::Trend => theme.style(Tone::Accent),
                Column::Name if chosen => theme.style(Tone::Title),
                _ => Style::new(),
            };
            spans.push(Span::styled(cell(*column, &text, *width, theme), style));
            spans.push(Span::raw(" "));
        }
        let line = u16::try_from(row - first + 1).unwrap_or(u16::MAX);
        put(&Line::from(spans), line, body, buf);
    }
}

/// How the list is narrowed and sorted; what is typed at the moment comes first.
fn listing(dashboard: &Dashboard) -> String {
    let (filter, problems, order, reversed) = dashboard.listing();
    let mut parts = Vec::new();
    if dashboard.filter_field().is_some() {
        parts.push(format!("filter: {}_", printable(filter.text())));
    } else if !filter.text().is_empty() {
        parts.push(format!("filter: {}", printable(filter.text())));
    }
    if problems {
        parts.push("problems only".to_owned());
    }
    let turned = if reversed { ", reversed" } else { "" };
    parts.push(format!("{}{turned}", order.name()));
    parts.join(", ")
}

/// The columns that fit; what is left goes to names and readers as far as they need it, and then to the trend.
fn layout(width: u16, names: usize, readers: usize) -> Vec<(Column, &'static str, usize)> {
    let mut columns: Vec<(Column, &'static str, usize)> = COLUMNS
        .iter()
        .filter(|(_, _, _, from)| width >= *from)
        .map(|(column, title, wide, _)| (*column, *title, *wide))
        .collect();
    let used: usize = columns.iter().map(|(_, _, wide)| wide + 1).sum::<usize>() + 1;
    let mut spare = usize::from(width).saturating_sub(used);
    for (column, _, wide) in &mut columns {
        let more = match column {
            Column::Name => names.saturating_sub(*wide).min(spare).min(16),
            Column::Reader => readers.saturating_sub(*wide).min(spare).min(24),
            Column::Trend => spare.min(40),
            _ => 0,
        };
        *wide += more;
        spare -= more;
    }
    columns
}

fn cell(column: Column, text: &str, width: usize, theme: Theme) -> String {
    match column {
        Column::LagTime | Column::Lag | Column::Held | Column::Left | Column::Confirmed => {
            fit_right(text, width, theme)
        }
        _ => fit(text, width, theme),
    }
}

fn value(
    column: Column,
    slot: &Slot,
    numbers: &SlotReading,
    past: Option<&SlotHistory>,
    width: usize,
    theme: Theme,
) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
    let lost = numbers.state == SlotState::Lost;
    match column {
        Column::Name => printable(&slot.name).into_owned(),
        Column::State => format!("{} {}", theme.mark(tone(numbers.state)), numbers.state.name()),
        Column::LagTime => known(numbers.lag.map(|age| age.show(theme.ascii))),
        Column::Lag => known(numbers.lag_bytes.map(units::bytes)),
        Column::Held if lost => "-".to_owned(),
        Column::Held => known(numbers.retained_bytes.map(units::bytes)),
        Column::Left if lost => "gone".to_owned(),
        Column::Left => match (numbers.dies_in, numbers.safe_bytes) {
            (Some(left), _) => units::about(left),
            (None, Some(safe)) => units::bytes(u64::try_from(safe).unwrap_or(0)),
            (None, None) => "no limit".to_owned(),
        },
        Column::Trend => {
            let lags: Vec<f64> = past.map(lags).unwrap_or_default();
            spark(&squeeze(&lags, width), width, SMALL_LAG, theme)
        }
        Column::Reader => reader(slot, numbers, theme),
        Column::Plugin => match slot.kind {
            SlotKind::Physical => "physical".to_owned(),
            SlotKind::Logical => known(slot.plugin.as_deref().map(|name| printable(name).into_owned())),
        },
        Column::Database => {
            slot.database.as_deref().map_or_else(|| "-".to_owned(), |name| printable(name).into_owned())
        }
        Column::Status => known(slot.wal_status.map(|status| status.name().to_owned())),
        Column::Confirmed => known(numbers.confirmed_rate.map(units::rate)),
    }
}

/// Who reads a slot.
fn reader(slot: &Slot, numbers: &SlotReading, theme: Theme) -> String {
    match (&slot.consumer, &numbers.inactive) {
        (Some(reader), _) => {
            let name = reader.application_name.as_deref().or(reader.user.as_deref()).unwrap_or("?");
            format!("{} {}", reader.pid, printable(name))
        }
        (None, Some(alone)) => format!("none for {}", alone.show(theme.ascii)),
        (None, None) => "none".to_owned(),
    }
}

/// The lag in bytes at each sample.
#[expect(clippy::cast_precision_loss, reason = "heights of bars")]
pub(super) fn lags(past: &SlotHistory) -> Vec<f64> {
    past.points().iter().filter_map(SlotPoint::lag_bytes).map(|bytes| bytes as f64).collect()
}
