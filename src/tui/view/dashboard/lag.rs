//! The lag of every slot over time, with what happened meanwhile.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::chart::{self, Series, below, columns};
use super::paint::{fit, put, section};
use super::slots::SMALL_LAG;
use crate::catalog::Lsn;
use crate::connection::printable;
use crate::monitor::history::History;
use crate::monitor::{Moment, units};
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::{Dashboard, LogLine, Times};
use crate::tui::view::theme::{Theme, Tone};

/// How many slots are drawn: more lines than that can't be told apart.
const MOST: usize = 6;
const DAY: Duration = Duration::from_secs(86_400);
/// In a window shorter than this, minutes do not tell two marks apart.
const SECONDS: Duration = Duration::from_secs(600);
/// A lag below this many seconds is drawn low.
const SMALL_SECONDS: f64 = 10.0;

/// In a panel higher than this, what the times come from has a line.
const SOURCED: u16 = 10;

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let (window, in_bytes) = dashboard.chart();
    let picture = dashboard.picture();
    let measure = if in_bytes { "in bytes" } else { "in time" };
    let right = format!("last {}, [ ] window, B {}", units::about(window), if in_bytes { "time" } else { "bytes" });
    let focused = dashboard.panel() == Panel::Lag;
    let mut body = section(&format!("Lag {measure}"), &right, focused, theme, area, buf);
    let Some(sample) = picture.watcher.sample() else { return };
    let slots = dashboard.slots();
    if slots.is_empty() || body.height < 3 {
        put(&Line::styled("  No slots to draw.", theme.style(Tone::Dim)), 0, body, buf);
        return;
    }
    let history = picture.watcher.history();
    let chosen = dashboard.selected_slot();
    let wide = columns(body.width);
    let times = &dashboard.display().times;
    let axis = Axis { end: sample.at, window, columns: wide };
    // The chosen one always, and the first ones of the list.
    let mut shown: Vec<usize> = (0..slots.len()).take(MOST).collect();
    if !shown.contains(&chosen) {
        shown.pop();
        shown.push(chosen);
    }
    let series: Vec<Series> = shown
        .iter()
        .map(|at| Series { values: values(history, &slots[*at].0.name, axis, in_bytes), chosen: *at == chosen })
        .collect();
    shown.sort_by_key(|at| *at != chosen);
    let legend = legend(&slots, &shown, chosen, usize::from(body.width), theme);
    let events: Vec<&LogLine> =
        picture.log.iter().filter(|line| line.trouble && axis.column(line.at).is_some()).collect();
    let said = |at| times.show(at, sample.at);
    let names = event_names(&events, &said, usize::from(body.width), theme);
    let named = u16::from(!names.is_empty() && body.height > 6);
    let sourced = u16::from(!in_bytes && body.height > SOURCED);
    let last_rows = 2 + named + sourced;
    let plot = Rect { height: body.height.saturating_sub(last_rows).max(1), ..body };
    let floor = if in_bytes { SMALL_LAG } else { SMALL_SECONDS };
    let label = |value: f64| {
        if in_bytes {
            dashboard.display().bytes(units::round(value))
        } else {
            units::span(Duration::from_secs(units::round(value)))
        }
    };
    chart::draw(&series, floor, label, theme, plot, buf);
    body = Rect { y: plot.bottom(), height: body.bottom() - plot.bottom(), ..body };
    put(&Line::styled(below(&axis.times(&events, times), body.width), theme.style(Tone::Dim)), 0, body, buf);
    put(&legend, 1, body, buf);
    if named > 0 {
        put(&Line::styled(names, theme.style(Tone::Warn)), 2, body, buf);
    }
    if sourced > 0 {
        let text = sources(history, dashboard.throttled().unwrap_or_else(|| dashboard.pace()), &said);
        put(&Line::styled(fit(&text, usize::from(body.width), theme), theme.style(Tone::Dim)), 2 + named, body, buf);
    }
}

/// What the times come from: a slot's lag is only as well known as the time at which the byte was written.
fn sources(history: &History, pace: Duration, said: &dyn Fn(Moment) -> String) -> String {
    let files = history
        .clock()
        .files_until()
        .map_or_else(String::new, |until| format!("; before {} also times of WAL files, within a file", said(until)));
    format!(" samples every {}{files}", units::span(pace))
}

/// Where a moment stands in the chart.
#[derive(Clone, Copy)]
struct Axis {
    end: Moment,
    window: Duration,
    columns: usize,
}

impl Axis {
    fn column(self, at: Moment) -> Option<usize> {
        let ago = self.end.since(at);
        if ago > self.window || self.columns == 0 || at > self.end {
            return None;
        }
        let share = 1.0 - ago.as_secs_f64() / self.window.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of the width"
        )]
        let column = (share * self.columns as f64) as usize;
        Some(column.min(self.columns - 1))
    }

    /// The beginning, the middle and the end in words, and a letter for each event.
    fn times(self, events: &[&LogLine], times: &Times) -> Vec<(usize, String)> {
        let name = |at: Moment| match times {
            Times::Since => format!("-{}", units::about(self.end.since(at))),
            // Beyond a day the time of the day does not tell which day.
            _ if self.window > DAY => times.day(at),
            _ if self.window < SECONDS => times.show(at, self.end),
            _ => times.show(at, self.end)[..5].to_owned(),
        };
        let mut marks: Vec<(usize, String)> = [0.0, 0.25, 0.5, 0.75]
            .into_iter()
            .filter_map(|share| {
                let at = self.end.minus(self.window.mul_f64(1.0 - share));
                Some((self.column(at)?, name(at)))
            })
            .collect();
        let last = if *times == Times::Since { "now".to_owned() } else { name(self.end) };
        marks.push((self.columns.saturating_sub(last.width()), last));
        let letters = events.iter().rev().take(26).rev().zip('A'..='Z');
        let events: Vec<(usize, String)> =
            letters.filter_map(|(event, letter)| Some((self.column(event.at)?, letter.to_string()))).collect();
        // A time gives way to an event.
        marks.retain(|(at, text)| !events.iter().any(|(event, _)| (*at..at + text.len() + 1).contains(event)));
        marks.extend(events);
        marks.sort();
        marks
    }
}

/// The lag of a slot by column: the largest of what was seen there, so that a peak is never lost.
fn values(history: &History, slot: &str, axis: Axis, in_bytes: bool) -> Vec<Option<f64>> {
    let mut values: Vec<Option<f64>> = vec![None; axis.columns];
    let Some(past) = history.slot(slot) else { return values };
    let recent = past.points().iter().filter_map(|point| Some((point.at, point.end, point.reached?)));
    let older = past.past().map(|point| (point.at, point.end, point.reached));
    for (at, end, reached) in older.chain(recent) {
        let Some(column) = axis.column(at) else { continue };
        let Some(lag) = lag(history, at, end, reached, in_bytes) else { continue };
        let value = &mut values[column];
        *value = Some(value.map_or(lag, |known| known.max(lag)));
    }
    // Between two samples that lie further apart than a column the older one stands; a longer gap stays a gap.
    let mut last: Option<(usize, f64)> = None;
    let reach = axis.columns / 10 + 1;
    for (column, value) in values.iter_mut().enumerate() {
        match (*value, last) {
            (Some(lag), _) => last = Some((column, lag)),
            (None, Some((from, lag))) if column - from <= reach => *value = Some(lag),
            (None, _) => {}
        }
    }
    values
}

#[expect(clippy::cast_precision_loss, reason = "the height of a bar")]
fn lag(history: &History, at: Moment, end: Lsn, reached: Lsn, in_bytes: bool) -> Option<f64> {
    if in_bytes {
        return Some(end.bytes_since(reached) as f64);
    }
    history.clock().age_at(reached, end, at).map(|age| age.as_secs_f64())
}

fn legend(
    slots: &[(&crate::monitor::slot::Slot, &crate::monitor::reading::SlotReading)],
    shown: &[usize],
    chosen: usize,
    width: usize,
    theme: Theme,
) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    let mut number = 0;
    for at in shown {
        let (slot, numbers) = slots[*at];
        let sign = if *at == chosen {
            theme.glyph("█", "#")
        } else {
            number += 1;
            chart::mark(number - 1, theme)
        };
        let lag = numbers.lag.map_or_else(|| "?".to_owned(), |age| age.show(theme.ascii));
        let text = format!("{sign} {} {lag}   ", printable(&slot.name));
        if used + text.width() > width {
            break;
        }
        used += text.width();
        spans.push(Span::styled(text, theme.style(if *at == chosen { Tone::Accent } else { Tone::Plain })));
    }
    Line::from(spans)
}

/// What the letters below the chart stand for, the latest first.
fn event_names(events: &[&LogLine], said: &dyn Fn(Moment) -> String, width: usize, theme: Theme) -> String {
    let letters: Vec<(&&LogLine, char)> = events.iter().rev().take(26).rev().zip('A'..='Z').collect();
    let named: Vec<String> =
        letters.iter().rev().map(|(event, letter)| format!("{letter} {} {}", said(event.at), event.text)).collect();
    if named.is_empty() { String::new() } else { fit(&format!(" {}", named.join("  ")), width, theme) }
}
