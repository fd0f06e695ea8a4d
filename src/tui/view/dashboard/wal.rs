//! How fast the log grows, and how far slots may hold it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, fit_right, gauge, put, section, spark, squeeze};
use super::ruler::share_tone;
use super::slots::{SMALL_LAG, lags};
use crate::connection::printable;
use crate::monitor::history::{SlotHistory, SlotPoint};
use crate::monitor::reading::{Reading, WalHolder};
use crate::monitor::{Sample, Seen, units};
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::{Dashboard, Display};
use crate::tui::view::theme::{Theme, Tone};

/// From this width on the title has room for everything.
const WIDE: u16 = 80;

/// Draws the section.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let picture = dashboard.picture();
    let reading = picture.watcher.reading();
    let display = dashboard.display();
    let rate = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |value| display.rate(value));
    let narrow = area.width < WIDE;
    let pages = picture.watcher.history().full_page_share().map(|share| {
        let word = if narrow { "fpi" } else { "full pages" };
        format!(", {word} ~{:.0} %", share * 100.0)
    });
    let title = match reading.lsn {
        // The rate stands in the first line too.
        Some(lsn) if narrow && pages.is_some() => format!("WAL {lsn}"),
        Some(lsn) => format!("WAL {lsn}  {}", rate(reading.wal_rate)),
        None => "WAL".to_owned(),
    };
    let hour = reading.wal_rate_1h.map_or_else(String::new, |hour| format!(", 1h {}", display.rate(hour)));
    let per_second = reading.transactions_per_second.map_or_else(String::new, |rate| format!(", {rate:.0} tx/s"));
    let mut five = format!("5m {}", rate(reading.wal_rate_5m));
    if area.width >= 60 {
        five = format!("{five}{hour}{per_second}");
    }
    five.push_str(&pages.unwrap_or_default());
    let body = section(&title, &five, dashboard.panel() == Panel::Wal, theme, area, buf);
    let Some(sample) = picture.watcher.sample() else { return };
    let width = usize::from(body.width);
    let bars = width.saturating_sub(22);
    let rates: Vec<f64> = picture.watcher.history().wal_rates().iter().copied().collect();
    let slots = dashboard.slots();
    let chosen = slots.get(dashboard.selected_slot()).map(|(_, numbers)| *numbers);
    let lag: Vec<f64> =
        chosen.and_then(|slot| picture.watcher.history().slot(&slot.name)).map(lags).unwrap_or_default();
    let last = chosen.and_then(|slot| slot.lag_bytes).map_or_else(|| "?".to_owned(), |bytes| display.bytes(bytes));
    let row = |name: &str, values: &[f64], floor: f64, value: String| {
        Line::from(vec![
            Span::raw(fit(name, 10, theme)),
            Span::styled(spark(&squeeze(values, bars), bars, floor, theme), theme.style(Tone::Accent)),
            Span::raw(format!("  {value}")),
        ])
    };
    let mut lines = vec![row("written", &rates, 1.0, rate(reading.wal_rate)), row("lag", &lag, SMALL_LAG, last)];
    let confirmed: Vec<f64> =
        chosen.and_then(|slot| picture.watcher.history().slot(&slot.name)).map(confirmed).unwrap_or_default();
    let floor = reading.wal_rate.unwrap_or(1.0).max(1.0);
    lines.insert(1, row("confirmed", &confirmed, floor, rate(chosen.and_then(|slot| slot.confirmed_rate))));
    lines.push(held(sample, reading, display, width, theme));
    lines.extend(directory(sample, reading, display).into_iter().map(|text| Line::raw(fit(&text, width, theme))));
    if (9..12).contains(&body.height) {
        lines.extend(freed(reading, display).map(|text| Line::raw(fit(&text, width, theme))));
    }
    let of = |name: &str| sample.server.number(name).map_or_else(|| "?".to_owned(), |limit| limit.to_string());
    let commit = sample.context.known().and_then(|context| {
        let age = context.at.since(context.last_commit?);
        Some(format!("  last commit {} ago", units::span(std::time::Duration::from_secs(age.as_secs()))))
    });
    let used = format!(
        "used      slots {}/{}  walsenders {}/{}{}",
        sample.slots.len(),
        of("max_replication_slots"),
        sample.walsenders,
        of("max_wal_senders"),
        commit.unwrap_or_default(),
    );
    lines.push(Line::styled(fit(&used, width, theme), theme.style(Tone::Dim)));
    if body.height >= 12 {
        lines.extend(everybody(sample, reading, display, width, theme));
    }
    for (row, line) in (0..body.height).zip(&lines) {
        put(line, row, body, buf);
    }
}

/// Bytes per second that a slot's consumer confirmed, between each two samples.
#[expect(clippy::cast_precision_loss, reason = "heights of bars")]
fn confirmed(past: &SlotHistory) -> Vec<f64> {
    let points = past.points().iter().zip(past.points().iter().skip(1));
    let rate = |(before, after): (&SlotPoint, &SlotPoint)| {
        let seconds = after.at.since(before.at).as_secs_f64();
        let bytes = after.reached?.bytes_since(before.reached?);
        (seconds > 0.0).then(|| bytes as f64 / seconds)
    };
    points.filter_map(rate).collect()
}

/// What the slot that holds the most holds, of what slots may hold.
fn held(sample: &Sample, reading: &Reading, display: &Display, width: usize, theme: Theme) -> Line<'static> {
    let held = reading.slots.iter().filter_map(|slot| slot.retained_bytes).max();
    match (sample.server.slot_wal_limit(), held) {
        (Some(limit), Some(held)) if limit > 0 => {
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let share = held as f64 / limit as f64;
            Line::from(vec![
                Span::raw(fit("held", 10, theme)),
                Span::styled(gauge(share, 20.min(width / 3), theme), theme.style(share_tone(share))),
                Span::raw(format!("  {} of {}", display.bytes(held), display.bytes(limit))),
            ])
        }
        (None, _) => Line::styled("held      no limit: max_slot_wal_keep_size is -1", theme.style(Tone::Dim)),
        (Some(limit), _) => Line::raw(format!("held      nothing of {}", display.bytes(limit))),
    }
}

/// What lies in `pg_wal`, who needs it, and how long there is room.
fn directory(sample: &Sample, reading: &Reading, display: &Display) -> Vec<String> {
    let mut lines = Vec::new();
    match &sample.files {
        Seen::Known(files) => {
            let part = |name: &str, bytes: Option<u64>| {
                bytes.map_or_else(String::new, |bytes| format!(", {} {name}", display.bytes(bytes)))
            };
            let growth = reading.directory_growth.filter(|growth| growth.abs() >= 1024.0);
            let growth = growth.map_or_else(String::new, |growth| {
                let sign = if growth < 0.0 { "-" } else { "+" };
                format!(", {sign}{}", display.rate(growth.abs()))
            });
            lines.push(format!(
                "pg_wal    {}{}{}{growth}",
                display.bytes(files.bytes),
                part("needed", files.behind),
                part("recycled", files.ahead)
            ));
        }
        Seen::Hidden(grant) => lines.push(format!("pg_wal    ? ({})", printable(grant))),
        Seen::Failed(reason) => lines.push(format!("pg_wal    ? {}", printable(reason))),
        Seen::NotYet => {}
    }
    let most: Vec<String> =
        reading.wal_holders.iter().take(4).map(|one| format!("{} {}", name(one), display.bytes(one.bytes))).collect();
    if !most.is_empty() {
        lines.push(format!("held by   {}", most.join(", ")));
    }
    if let Some(volume) = sample.wanted.wal_volume {
        let full = reading.volume_full_in.map_or_else(
            || "not growing".to_owned(),
            |left| format!("full in about {} at this rate", units::about(left)),
        );
        lines.push(format!("volume    {} (given), {full}", display.bytes(volume)));
    }
    let spill = sample.files.known().and_then(|files| files.spill.as_ref());
    let spilled: Vec<String> = spill
        .into_iter()
        .flatten()
        .filter(|one| one.files > 0)
        .map(|one| {
            let files = units::counted(one.files, "file");
            format!("{} {} in {files}", printable(&one.slot), display.bytes(one.bytes))
        })
        .collect();
    if !spilled.is_empty() {
        lines.push(format!("spill     {}", spilled.join(", ")));
    }
    lines
}

fn name(holder: &WalHolder) -> String {
    match &holder.slot {
        Some(slot) => printable(slot).into_owned(),
        None => holder.what.to_owned(),
    }
}

/// What would be free at the next checkpoint if the slot that needs the most were dropped.
fn freed(reading: &Reading, display: &Display) -> Option<String> {
    let slot = reading.wal_holders.first()?.slot.as_deref()?;
    let freed = reading.slot(slot)?.freed_by_drop?;
    let when = reading.checkpoint_within.map_or_else(String::new, |time| format!(", within {}", units::about(time)));
    let slot = printable(slot);
    Some(format!("Without slot {slot} the next checkpoint{when} could remove {}.", display.bytes(freed)))
}

/// Everybody who needs log that is written already, what a drop would free, and the checkpoints.
fn everybody(sample: &Sample, reading: &Reading, display: &Display, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let mut say = |text: String| lines.push(Line::raw(fit(&text, width, theme)));
    say("needed by".to_owned());
    for holder in &reading.wal_holders {
        let kind = if holder.slot.is_some() { "slot " } else { "" };
        say(format!("  {} {kind}{}", fit_right(&display.bytes(holder.bytes), 9, theme), name(holder)));
    }
    if let Some(text) = freed(reading, display) {
        say(text);
    }
    if let Some(files) = sample.files.known() {
        let ready = files.ready.map_or_else(|| "?".to_owned(), units::count);
        say(format!("{} in pg_wal; {ready} to be archived", units::counted(files.segments, "file")));
    }
    if let Some(context) = sample.context.known() {
        let count = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), units::count);
        let last = context.checkpointed.map_or_else(
            || "?".to_owned(),
            |at| units::span(std::time::Duration::from_secs(sample.at.since(at).as_secs())),
        );
        say(format!(
            "checkpoint {last} ago; {} by time, {} by the amount of WAL",
            count(context.timed_checkpoints),
            count(context.requested_checkpoints)
        ));
    }
    lines
}
