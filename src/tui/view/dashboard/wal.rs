//! How fast the log grows, and how far slots may hold it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, gauge, put, section, spark, squeeze};
use super::slots::{SMALL_LAG, lags};
use crate::monitor::units;
use crate::tui::app::dashboard::{Dashboard, Panel};
use crate::tui::view::theme::{Theme, Tone};

/// Draws the section.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let picture = dashboard.picture();
    let reading = picture.watcher.reading();
    let rate = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), units::rate);
    let title = match reading.lsn {
        Some(lsn) => format!("WAL {lsn}  {}", rate(reading.wal_rate)),
        None => "WAL".to_owned(),
    };
    let five = format!("5m {}", rate(reading.wal_rate_5m));
    let body = section(&title, &five, dashboard.panel() == Panel::Wal, theme, area, buf);
    let Some(sample) = picture.watcher.sample() else { return };
    let width = usize::from(body.width);
    let bars = width.saturating_sub(22);
    let rates: Vec<f64> = picture.watcher.history().wal_rates().iter().copied().collect();
    let slots = dashboard.slots();
    let chosen = slots.get(dashboard.selected_slot()).map(|(_, numbers)| *numbers);
    let lag: Vec<f64> =
        chosen.and_then(|slot| picture.watcher.history().slot(&slot.name)).map(lags).unwrap_or_default();
    let last = chosen.and_then(|slot| slot.lag_bytes).map_or_else(|| "?".to_owned(), units::bytes);
    let row = |name: &str, values: &[f64], floor: f64, value: String| {
        Line::from(vec![
            Span::raw(fit(name, 10, theme)),
            Span::styled(spark(&squeeze(values, bars), bars, floor, theme), theme.style(Tone::Accent)),
            Span::raw(format!("  {value}")),
        ])
    };
    put(&row("written", &rates, 1.0, rate(reading.wal_rate)), 0, body, buf);
    put(&row("lag", &lag, SMALL_LAG, last), 1, body, buf);
    let server = &sample.server;
    let held = reading.slots.iter().filter_map(|slot| slot.retained_bytes).max();
    let limit = match (server.slot_wal_limit(), held) {
        (Some(limit), Some(held)) if limit > 0 => {
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let share = held as f64 / limit as f64;
            let tone = if share >= 0.8 {
                Tone::Bad
            } else if share >= 0.5 {
                Tone::Warn
            } else {
                Tone::Good
            };
            Line::from(vec![
                Span::raw(fit("held", 10, theme)),
                Span::styled(gauge(share, 20.min(width / 3), theme), theme.style(tone)),
                Span::raw(format!("  {} of {}", units::bytes(held), units::bytes(limit))),
            ])
        }
        (None, _) => Line::styled("held      no limit: max_slot_wal_keep_size is -1", theme.style(Tone::Dim)),
        (Some(limit), _) => Line::raw(format!("held      nothing of {}", units::bytes(limit))),
    };
    put(&limit, 2, body, buf);
    let of = |name: &str| server.number(name).map_or_else(|| "?".to_owned(), |limit| limit.to_string());
    let used = format!(
        "used      slots {}/{}  walsenders {}/{}  pulse {} ms",
        sample.slots.len(),
        of("max_replication_slots"),
        sample.walsenders,
        of("max_wal_senders"),
        sample.pulse_micros / 1000,
    );
    put(&Line::styled(fit(&used, width, theme), theme.style(Tone::Dim)), 3, body, buf);
}
