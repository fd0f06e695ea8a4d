//! All slots, the worst first.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::paint::{first_line, fit, fit_right, put, section, spark, squeeze};
use crate::connection::printable;
use crate::monitor::history::{SlotHistory, SlotPoint};
use crate::monitor::lsn_clock::{Age, Confidence};
use crate::monitor::reading::SlotReading;
use crate::monitor::slot::{Consumer, Slot, SlotKind};
use crate::monitor::state::SlotState;
use crate::monitor::units;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::{Dashboard, Display};
use crate::tui::view::theme::{Theme, Tone};

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Up,
    Reply,
    Wait,
    Unsent,
    Redo,
    Safe,
    Dies,
    CatchUp,
    Horizon,
}

/// A column: its title, its width, and the widths of the screen from which on and below which it is shown.
struct Shape(Column, &'static str, usize, u16, u16);

const ALWAYS: u16 = u16::MAX;
/// From this width on what is left and when it is lost have a column each.
const BOTH: u16 = 120;

/// In the order of the screen.
const COLUMNS: [Shape; 21] = [
    Shape(Column::Name, "SLOT", 16, 0, ALWAYS),
    Shape(Column::Plugin, "PLUGIN", 8, 110, ALWAYS),
    Shape(Column::Database, "DATABASE", 8, 110, ALWAYS),
    Shape(Column::State, "STATE", 13, 0, ALWAYS),
    Shape(Column::Status, "WAL STATUS", 10, 150, ALWAYS),
    Shape(Column::Reader, "READER", 16, 100, ALWAYS),
    Shape(Column::Up, "UP", 6, 180, ALWAYS),
    Shape(Column::Reply, "REPLY", 7, 170, ALWAYS),
    Shape(Column::Wait, "WAITS FOR", 11, 190, ALWAYS),
    Shape(Column::LagTime, "LAG", 8, 0, ALWAYS),
    Shape(Column::Lag, "UNCONF.", 8, 0, ALWAYS),
    Shape(Column::Unsent, "UNSENT", 8, 160, ALWAYS),
    Shape(Column::Redo, "REDO", 8, 195, ALWAYS),
    Shape(Column::Confirmed, "CONF./S", 9, 208, ALWAYS),
    Shape(Column::Held, "HELD", 8, 58, ALWAYS),
    Shape(Column::Left, "LEFT", 8, 66, BOTH),
    Shape(Column::Safe, "SAFE", 8, BOTH, ALWAYS),
    Shape(Column::Dies, "DIES IN", 7, BOTH, ALWAYS),
    Shape(Column::CatchUp, "CATCHUP", 7, 150, ALWAYS),
    Shape(Column::Horizon, "XMIN AGE", 11, 185, ALWAYS),
    Shape(Column::Trend, "TREND", 8, 80, ALWAYS),
];

/// What goes first where sizes need more room than usual: the trend is a picture of what stands in other columns.
const LEAST: [Column; 5] = [Column::Trend, Column::Plugin, Column::Database, Column::Status, Column::Horizon];

/// A column as it is drawn: its title and its width.
type Drawn = (Column, &'static str, usize);

/// Lags below this are drawn low: what comes and goes between two answers of a healthy consumer is no mountain.
pub(super) const SMALL_LAG: f64 = 1_048_576.0;
/// A lag shorter than a WAL segment is nothing to catch up.
const CALM: u64 = 16 << 20;

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
    // Title and head take two lines.
    let height = usize::from(area.height.saturating_sub(2));
    let first = first_line(dashboard.selected_slot(), height);
    let last = (first + height).min(slots.len());
    let title = match picture.watcher.sample() {
        Some(_) if last - first.min(last) < slots.len() && height > 0 => {
            format!("Slots {}-{last} of {}", first + 1, slots.len())
        }
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
    let columns = layout(area.width, names, readers, dashboard.aside(), dashboard.display());
    let head: String = columns.iter().map(|(column, title, width)| cell(*column, title, *width, theme) + " ").collect();
    put(&Line::styled(format!(" {head}"), theme.style(Tone::Dim)), 0, body, buf);
    let selected = dashboard.selected_slot();
    for (row, (slot, numbers)) in slots.iter().enumerate().skip(first).take(height) {
        let past = picture.watcher.history().slot(&slot.name);
        let chosen = row == selected;
        let mut spans = vec![Span::raw(if chosen { theme.glyph("▶", ">") } else { " " })];
        for (column, _, width) in &columns {
            let text = match column {
                Column::Trend => {
                    let lags: Vec<f64> = past.map(lags).unwrap_or_default();
                    spark(&squeeze(&lags, *width), *width, SMALL_LAG, theme)
                }
                column => value(*column, slot, numbers, dashboard.display(), theme),
            };
            let style = match column {
                Column::State => theme.style(tone(numbers.state)),
                Column::Reply => theme.style(patience(numbers)),
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
    if dashboard.aside() > 0 {
        parts.push("columns: h l".to_owned());
    }
    if dashboard.filter_field().is_some() && !dashboard.panel().is_of_tables() {
        parts.push(format!("filter: {}_", printable(filter.text())));
    } else if !filter.text().is_empty() {
        parts.push(format!("filter: {}", printable(filter.text())));
    }
    if problems {
        parts.push("problems only".to_owned());
    }
    let turned = if reversed { ", reversed" } else { "" };
    parts.push(format!("sort: {}{turned}", order.words().1));
    parts.join(", ")
}

/// The columns that fit; what is left goes to names and readers as far as they need it, and then to the trend. With
/// `aside` columns scrolled away the name stays, and every other column comes in its turn.
fn layout(width: u16, names: usize, readers: usize, aside: usize, display: &Display) -> Vec<Drawn> {
    let sized = |shape: &Shape| {
        let wide = if is_size(shape.0) { display.width(shape.2) } else { shape.2 };
        (shape.0, shape.1, wide)
    };
    let room = usize::from(width).saturating_sub(1);
    let used = |columns: &[Drawn]| columns.iter().map(|(_, _, wide)| wide + 1).sum::<usize>().saturating_sub(1);
    let mut columns: Vec<Drawn> = if aside == 0 {
        COLUMNS.iter().filter(|shape| width >= shape.3 && width < shape.4).map(sized).collect()
    } else {
        let rest = COLUMNS[1..].iter().filter(|shape| shape.0 != Column::Left);
        COLUMNS.iter().take(1).chain(rest.skip(aside.min(COLUMNS.len() - 3))).map(sized).collect()
    };
    while columns.len() > 2 && used(&columns) > room {
        let least = LEAST.iter().find_map(|least| columns.iter().position(|one| one.0 == *least));
        columns.remove(least.filter(|_| aside == 0).unwrap_or(columns.len() - 1));
    }
    let mut spare = room.saturating_sub(used(&columns));
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

/// Whether a column shows bytes.
fn is_size(column: Column) -> bool {
    use Column::{Confirmed, Held, Lag, Left, Redo, Safe, Unsent};

    matches!(column, Confirmed | Held | Lag | Left | Redo | Safe | Unsent)
}

fn cell(column: Column, text: &str, width: usize, theme: Theme) -> String {
    let right = matches!(column, Column::LagTime | Column::Dies | Column::CatchUp | Column::Horizon | Column::Up);
    if right || is_size(column) || column == Column::Reply {
        fit_right(text, width, theme)
    } else {
        fit(text, width, theme)
    }
}

fn value(column: Column, slot: &Slot, numbers: &SlotReading, display: &Display, theme: Theme) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
    let size = |bytes: Option<u64>| known(bytes.map(|bytes| display.bytes(bytes)));
    let lost = numbers.state == SlotState::Lost;
    let alone = slot.consumer.is_none();
    match column {
        Column::Name => printable(&slot.name).into_owned(),
        Column::State => format!("{} {}", theme.mark(tone(numbers.state)), numbers.state.name()),
        Column::LagTime => known(numbers.lag.map(|age| age.show(theme.ascii))),
        Column::Lag => size(numbers.lag_bytes),
        Column::Held | Column::Redo if lost => "-".to_owned(),
        Column::Held => size(numbers.retained_bytes),
        Column::Redo if slot.kind == SlotKind::Physical => "-".to_owned(),
        Column::Redo => size(numbers.redo_bytes),
        Column::Unsent | Column::Up | Column::Reply | Column::Wait if alone => "-".to_owned(),
        Column::Unsent => size(numbers.unsent_bytes),
        Column::Up => known(numbers.connected_for.map(units::about)),
        Column::Reply => known(numbers.silent_for.map(silence)),
        Column::Wait => slot.consumer.as_ref().map_or_else(String::new, waits_for),
        Column::Left | Column::Safe | Column::Dies if lost => "gone".to_owned(),
        Column::Left => match (numbers.dies_in, numbers.safe_bytes) {
            (Some(left), _) => units::about(left),
            (None, Some(safe)) => display.bytes(u64::try_from(safe).unwrap_or(0)),
            (None, None) => "no limit".to_owned(),
        },
        Column::Safe => {
            let safe = numbers.safe_bytes.map(|safe| display.bytes(u64::try_from(safe).unwrap_or(0)));
            safe.unwrap_or_else(|| "no limit".to_owned())
        }
        Column::Dies => numbers.dies_in.map_or_else(|| "-".to_owned(), units::about),
        Column::CatchUp => catches_up(numbers),
        Column::Horizon => {
            let age = numbers.horizon.and_then(|age| u64::try_from(age).ok());
            // Seconds behind minutes have no room here, and nobody needs them.
            let show = |age: Age| match age.confidence {
                Confidence::Exact => units::about(age.span()),
                _ => age.show(theme.ascii),
            };
            let time = numbers.horizon_age.map_or_else(String::new, |age| format!(" {}", show(age)));
            age.map_or_else(|| "-".to_owned(), |age| format!("{}{time}", units::count(age)))
        }
        Column::Trend => String::new(),
        Column::Reader => reader(slot, numbers, theme),
        Column::Plugin => match slot.kind {
            SlotKind::Physical => "physical".to_owned(),
            SlotKind::Logical => known(slot.plugin.as_deref().map(|name| printable(name).into_owned())),
        },
        Column::Database => {
            slot.database.as_deref().map_or_else(|| "-".to_owned(), |name| printable(name).into_owned())
        }
        Column::Status => known(slot.wal_status.map(|status| status.name().to_owned())),
        Column::Confirmed => known(numbers.confirmed_rate.map(|rate| display.rate(rate))),
    }
}

/// When it has caught up: a time, `never` when the lag grows, `-` when there is nothing to catch up.
pub(super) fn catches_up(numbers: &SlotReading) -> String {
    match (numbers.catches_up_in, numbers.lag_bytes) {
        (Some(left), Some(lag)) if lag > CALM => units::about(left),
        (None, Some(lag)) if lag > CALM => "never".to_owned(),
        _ => "-".to_owned(),
    }
}

/// For how long a consumer has been silent, to a tenth of a second.
fn silence(time: Duration) -> String {
    if time.as_secs() < 60 { format!("{:.1}s", time.as_secs_f64()) } else { units::about(time) }
}

/// How near the end of the server's patience with a consumer is.
pub(super) fn patience(numbers: &SlotReading) -> Tone {
    match (numbers.silent_for, numbers.hangs_up_in) {
        (Some(silent), Some(left)) if silent > left * 5 => Tone::Bad,
        (Some(silent), Some(left)) if silent > left => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// The wait event without what all walsenders' events begin with.
fn waits_for(reader: &Consumer) -> String {
    match &reader.wait {
        Some(wait) => {
            let event = wait.rsplit('/').next().unwrap_or_default();
            printable(event.strip_prefix("WalSender").unwrap_or(event)).into_owned()
        }
        None if reader.backend_type.is_some() => "CPU".to_owned(),
        None => "?".to_owned(),
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
