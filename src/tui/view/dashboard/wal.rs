//! How fast the log grows, and how far slots may hold it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, fit_right, gauge, put, section, spark, squeeze};
use super::slots::{SMALL_LAG, lags};
use crate::connection::printable;
use crate::monitor::reading::Reading;
use crate::monitor::{Sample, Seen, units};
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
    for (row, line) in (4..body.height).zip(directory(sample, reading, width, theme)) {
        put(&line, row, body, buf);
    }
}

/// What lies in `pg_wal`, and who needs it.
fn directory(sample: &Sample, reading: &Reading, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    match &sample.files {
        Seen::Known(files) => {
            let part = |name: &str, bytes: Option<u64>| {
                bytes.map_or_else(String::new, |bytes| format!(", {} {name}", units::bytes(bytes)))
            };
            let text = format!(
                "pg_wal    {} in {} files{}{}",
                units::bytes(files.bytes),
                files.segments,
                part("behind the current one", files.behind),
                part("recycled for later", files.ahead)
            );
            lines.push(Line::raw(fit(&text, width, theme)));
            let ready = files.ready.map_or_else(|| "?".to_owned(), units::count);
            lines.push(Line::raw(format!("archiver  {ready} files wait")));
        }
        Seen::Hidden(grant) => {
            lines.push(Line::raw(fit(&format!("pg_wal    ? ({})", printable(grant)), width, theme)));
        }
        Seen::Failed(reason) => lines.push(Line::raw(fit(&format!("pg_wal    ? {}", printable(reason)), width, theme))),
        Seen::NotYet => {}
    }
    let mut holders = holders(sample, reading);
    holders.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    lines.push(Line::styled("needed by", theme.style(Tone::Title)));
    for (name, bytes) in &holders {
        lines.push(Line::raw(fit(&format!("  {} {name}", fit_right(&units::bytes(*bytes), 9, theme)), width, theme)));
    }
    // What would be free at the next checkpoint if the one that needs the most were dropped.
    if let [(name, most), (_, next), ..] = holders.as_slice()
        && name.starts_with("slot ")
    {
        let text = format!("Without {name} {} could be removed.", units::bytes(most - next));
        lines.push(Line::styled(fit(&text, width, theme), theme.style(Tone::Dim)));
    }
    if let Some(context) = sample.context.known() {
        let count = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), units::count);
        let last = context.checkpointed.map_or_else(
            || "?".to_owned(),
            |at| units::span(std::time::Duration::from_secs(sample.at.since(at).as_secs())),
        );
        lines.push(Line::raw(format!(
            "checkpoint {last} ago; {} by time, {} by the amount of WAL",
            count(context.timed_checkpoints),
            count(context.requested_checkpoints)
        )));
    }
    lines
}

/// Everybody who needs log that is written already, with how much.
fn holders(sample: &Sample, reading: &Reading) -> Vec<(String, u64)> {
    let held = reading.slots.iter().filter_map(|slot| Some((slot, slot.retained_bytes?)));
    let mut holders: Vec<(String, u64)> =
        held.map(|(slot, bytes)| (format!("slot {}", printable(&slot.name)), bytes)).collect();
    if let Some(keep) = sample.server.bytes("wal_keep_size").filter(|keep| *keep > 0) {
        holders.push(("wal_keep_size".to_owned(), keep));
    }
    if let (Some(end), Some(redo)) = (sample.lsn, sample.context.known().and_then(|context| context.redo)) {
        holders.push(("recovery after a crash".to_owned(), end.bytes_since(redo)));
    }
    let segment = sample.server.bytes("wal_segment_size").unwrap_or(16 << 20);
    if let Some(ready) = sample.files.known().and_then(|files| files.ready).filter(|ready| *ready > 0) {
        holders.push(("the archiver".to_owned(), ready.saturating_mul(segment)));
    }
    holders
}
