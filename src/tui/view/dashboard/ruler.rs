//! The selected slot's positions in the log, and who owns the stretch between each two.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::paint::{fit, gauge, put, section};
use super::{horizon, slots};
use crate::catalog::Lsn;
use crate::connection::printable;
use crate::monitor::Sample;
use crate::monitor::reading::SlotReading;
use crate::monitor::slot::{Slot, SlotKind};
use crate::monitor::units;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::{Dashboard, Display};
use crate::tui::view::theme::{Theme, Tone};

/// A stretch shorter than a WAL segment worries nobody.
const CALM: u64 = 16 << 20;

/// A stretch of the log.
struct Stretch {
    /// The name of its beginning.
    mark: &'static str,
    from: Lsn,
    to: Lsn,
    /// Whose turn it is.
    owner: &'static str,
    tone: Tone,
}

/// Draws the section.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let slots = dashboard.slots();
    let chosen = slots.get(dashboard.selected_slot()).copied();
    let name = chosen.map_or_else(String::new, |(slot, _)| format!(" of {}", printable(&slot.name)));
    let focused = dashboard.panel() == Panel::Slot;
    let body = section(&format!("Log{name}"), "", focused, theme, area, buf);
    let (Some(sample), Some((slot, numbers))) = (dashboard.picture().watcher.sample(), chosen) else { return };
    let display = dashboard.display();
    positions(slot, sample, display, theme, body, buf);
    let width = usize::from(body.width);
    put(&Line::styled(fit(&about(slot, sample), width, theme), theme.style(Tone::Dim)), 3, body, buf);
    put(&Line::raw(fit(&speed(numbers, display), width, theme)), 4, body, buf);
    put(&budget(slot, numbers, sample, display, width, theme), 5, body, buf);
    put(&Line::raw(fit(&asked(slot, sample), width, theme)), 6, body, buf);
    put(&Line::styled(fit(&decoded(slot, numbers, display), width, theme), theme.style(Tone::Dim)), 7, body, buf);
    put(&Line::raw(fit(&pinned(slot, sample), width, theme)), 8, body, buf);
}

/// How fast its consumer gets on, and where that leads.
fn speed(numbers: &SlotReading, display: &Display) -> String {
    let rate = |rate: Option<f64>| rate.map_or_else(|| "?".to_owned(), |rate| display.rate(rate));
    let calm = numbers.lag_bytes.is_some_and(|lag| lag < CALM);
    let trend = match numbers.trend.filter(|_| !calm) {
        Some(trend) if trend > 0.0 => format!(", lag grows by {}", display.rate(trend)),
        Some(trend) if trend < 0.0 => format!(", lag shrinks by {}", display.rate(-trend)),
        _ => String::new(),
    };
    let catch = match slots::catches_up(numbers).as_str() {
        "-" => String::new(),
        "never" => ", never caught up at this rate".to_owned(),
        time => format!(", caught up in about {time}"),
    };
    format!("confirms {}{trend}{catch}", rate(numbers.confirmed_rate))
}

/// How much of what slots may hold it holds.
fn budget(
    slot: &Slot,
    numbers: &SlotReading,
    sample: &Sample,
    display: &Display,
    width: usize,
    theme: Theme,
) -> Line<'static> {
    let dies = numbers.dies_in.map_or_else(String::new, |left| format!(", lost in about {}", units::about(left)));
    match (sample.server.slot_wal_limit(), numbers.retained_bytes) {
        _ if slot.is_lost() => Line::styled("budget    gone", theme.style(Tone::Bad)),
        (Some(limit), Some(held)) if limit > 0 => {
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let share = held as f64 / limit as f64;
            let tone = share_tone(share);
            Line::from(vec![
                Span::raw(fit("budget", 10, theme)),
                Span::styled(gauge(share, 20.min(width / 3), theme), theme.style(tone)),
                Span::raw(format!("  {} of {}{dies}", display.bytes(held), display.bytes(limit))),
            ])
        }
        (None, Some(held)) => Line::raw(format!("budget    {} held, no limit: only the disk's", display.bytes(held))),
        _ => Line::default(),
    }
}

/// From half of the budget on it is worth a look, from four fifths on a hurry.
pub(super) fn share_tone(share: f64) -> Tone {
    if share >= 0.8 {
        Tone::Bad
    } else if share >= 0.5 {
        Tone::Warn
    } else {
        Tone::Good
    }
}

/// The oldest open transaction that has written: `restart_lsn` can't pass its beginning.
fn pinned(slot: &Slot, sample: &Sample) -> String {
    let Some(context) = sample.context.known().filter(|_| slot.kind == SlotKind::Logical && !slot.is_lost()) else {
        return String::new();
    };
    let writing = context.holders.iter().filter(|holder| holder.writing_age.is_some());
    writing.max_by_key(|holder| holder.writing_age).map_or_else(
        || "pinned by no open transaction".to_owned(),
        |holder| {
            let since = holder.began.map(|began| std::time::Duration::from_secs(sample.at.since(began).as_secs()));
            let since = since.map_or_else(String::new, |since| format!(", open for {}", units::span(since)));
            format!("pinned by {}{since}", horizon::name(holder))
        },
    )
}

/// What its reader asked for, as far as that can be seen: its `START_REPLICATION` stands in `pg_stat_activity` for the
/// role itself and for those with `pg_read_all_stats`.
pub(super) fn asked(slot: &Slot, sample: &Sample) -> String {
    let Some(reader) = slot.consumer.as_ref().filter(|_| slot.kind == SlotKind::Logical) else { return String::new() };
    let Some(context) = sample.context.known() else { return String::new() };
    let (names, options) = (context.requested_publications(reader.pid), context.requested_options(reader.pid));
    let Some(names) = names else {
        return match options {
            Some(options) if !options.is_empty() => format!("asked for {}", printable(&options.join(", "))),
            _ if reader.reads_backlog => "reads what has gathered by function, from a copy of the slot".to_owned(),
            _ if reader.polls() => "asked for  reads by function, not by a walsender".to_owned(),
            _ => String::new(),
        };
    };
    let known = sample.publications.known();
    let name = |name: &String| {
        let Some(all) = known else { return printable(name).into_owned() };
        let Some(publication) = all.find(name) else { return format!("{} (does not exist)", printable(name)) };
        let tables = publication.tables.map(|tables| units::counted(tables, "table"));
        // A slot does not see a publication that was made after its position.
        let age = all.slot_age(&slot.name).map(|slot| if publication.age < slot { "newer" } else { "older" });
        let about: Vec<String> = tables.into_iter().chain(age.map(|age| format!("{age} than the slot"))).collect();
        if about.is_empty() {
            return printable(name).into_owned();
        }
        format!("{} ({})", printable(name), about.join(", "))
    };
    let names: Vec<String> = names.iter().map(name).collect();
    let word = if names.len() == 1 { "publication" } else { "publications" };
    let options = options.filter(|options| !options.is_empty());
    let options = options.map_or_else(String::new, |options| format!("; {}", printable(&options.join(", "))));
    format!("asked for {word} {}{options}", names.join(", "))
}

/// What it has decoded, and what of that lies on disk.
fn decoded(slot: &Slot, numbers: &SlotReading, display: &Display) -> String {
    let Some(done) = &slot.decoding else { return String::new() };
    let now = numbers.spill.as_ref().filter(|spill| spill.files > 0);
    let now = now.map_or_else(String::new, |spill| {
        format!(", {} in {} now", display.bytes(spill.bytes), units::counted(spill.files, "file"))
    });
    format!(
        "decoded   {} in {}, spilled {}{now}",
        display.bytes(done.total_bytes),
        units::counted(done.total_txns, "transaction"),
        display.bytes(done.spill_bytes)
    )
}

/// The slot's positions in three lines.
pub(super) fn positions(slot: &Slot, sample: &Sample, display: &Display, theme: Theme, body: Rect, buf: &mut Buffer) {
    let Some(now) = sample.lsn else { return };
    let stretches = stretches(slot, now);
    if stretches.is_empty() {
        let why =
            if slot.is_lost() { "  Its log is gone; the slot holds nothing." } else { "  It has no position yet." };
        put(&Line::styled(why, theme.style(Tone::Dim)), 0, body, buf);
    } else {
        bar(&stretches, now, display, theme, body, buf);
    }
}

fn stretches(slot: &Slot, now: Lsn) -> Vec<Stretch> {
    let mut list = Vec::new();
    if slot.is_lost() {
        return list;
    }
    let sent = slot.consumer.as_ref().and_then(|consumer| consumer.sent_lsn);
    let Some(restart) = slot.restart_lsn else { return list };
    let mut from = restart;
    if slot.kind == SlotKind::Logical {
        let Some(confirmed) = slot.confirmed_flush_lsn else { return list };
        list.push(Stretch { mark: "restart", from, to: confirmed, owner: "read again", tone: Tone::Dim });
        from = confirmed;
    }
    let mark = if slot.kind == SlotKind::Logical { "confirmed" } else { "restart" };
    match sent.filter(|sent| *sent >= from) {
        Some(sent) => {
            list.push(Stretch { mark, from, to: sent, owner: "not confirmed", tone: Tone::Warn });
            list.push(Stretch { mark: "sent", from: sent, to: now, owner: "not sent", tone: Tone::Bad });
        }
        None => list.push(Stretch { mark, from, to: now, owner: "not confirmed", tone: Tone::Warn }),
    }
    list
}

/// Three lines: positions, lengths, owners. Each stretch is as wide as its texts at least, and the rest of the width
/// goes by length, so that nothing is ever squeezed out of sight.
fn bar(stretches: &[Stretch], now: Lsn, display: &Display, theme: Theme, area: Rect, buf: &mut Buffer) {
    let total = usize::from(area.width);
    let end = format!("now {now}");
    let sizes: Vec<String> = stretches.iter().map(|one| display.bytes(one.to.bytes_since(one.from))).collect();
    let least = |marks: &[String]| -> Vec<usize> {
        let texts = marks.iter().zip(&sizes).zip(stretches);
        texts.map(|((mark, size), one)| mark.width().max(size.width() + 4).max(one.owner.width()) + 2).collect()
    };
    let mut marks: Vec<String> = stretches.iter().map(|one| format!("{} {}", one.mark, one.from)).collect();
    if least(&marks).iter().sum::<usize>() + 1 > total {
        marks = stretches.iter().map(|one| one.mark.to_owned()).collect();
    }
    let least = least(&marks);
    let needed: usize = least.iter().sum();
    let spare = total.saturating_sub(needed.max(1)).saturating_sub(1);
    let length: u64 = stretches.iter().map(|one| one.to.bytes_since(one.from)).sum();
    let (mut at, mut mark_end) = (0_usize, 0_usize);
    let last = stretches.len() - 1;
    for (number, ((one, mark), size)) in stretches.iter().zip(&marks).zip(&sizes).enumerate() {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the width"
        )]
        let share = if length == 0 {
            0
        } else {
            (spare as f64 * (one.to.bytes_since(one.from) as f64 / length as f64)) as usize
        };
        // The last one ends at the edge, whatever was lost in rounding.
        let width = if number == last { total.saturating_sub(at + 1) } else { least[number] + share };
        let Ok(x) = u16::try_from(at) else { return };
        if x >= area.width {
            return;
        }
        let place = Rect { x: area.x + x, width: area.width - x, ..area };
        let start = if number == 0 { theme.glyph("├", "|") } else { theme.glyph("┼", "|") };
        let fill = width.saturating_sub(size.width() + 3);
        let rule = theme.glyph("─", "-");
        let drawn = format!("{} {size} {}", rule.repeat(fill / 2), rule.repeat(fill - fill / 2));
        put(&Line::raw(mark.clone()), 0, place, buf);
        // What is in flight between two answers of a healthy consumer is no reason for a colour.
        let tone = if one.to.bytes_since(one.from) < CALM { Tone::Dim } else { one.tone };
        let line = Line::from(vec![Span::raw(start), Span::styled(drawn, theme.style(tone))]);
        put(&line, 1, place, buf);
        put(&Line::styled(one.owner, theme.style(tone)), 2, place, buf);
        mark_end = at + mark.width();
        at += width;
    }
    let edge = Rect { x: area.right().saturating_sub(1), width: 1, ..area };
    put(&Line::raw(theme.glyph("┤", "|")), 1, edge, buf);
    let wide = u16::try_from(end.width()).unwrap_or(u16::MAX);
    let Some(x) = area.width.checked_sub(wide) else { return };
    if usize::from(x) > mark_end {
        put(&Line::styled(end, theme.style(Tone::Title)), 0, Rect { x: area.x + x, width: wide, ..area }, buf);
    }
}

/// What the slot is and who reads it.
pub(super) fn about(slot: &Slot, sample: &Sample) -> String {
    let mut parts = Vec::new();
    if let Some(plugin) = &slot.plugin {
        parts.push(printable(plugin).into_owned());
    }
    if let Some(database) = &slot.database {
        parts.push(format!("database {}", printable(database)));
    }
    if let Some(status) = slot.wal_status {
        parts.push(format!("WAL {}", status.name()));
    }
    match &slot.consumer {
        Some(reader) => {
            let mut text = format!("process {}", reader.pid);
            if let Some(reply) = reader.reply_time {
                let limit = sample.server.number("wal_sender_timeout").and_then(|limit| u64::try_from(limit).ok());
                let limit = limit.filter(|limit| *limit > 0).map(std::time::Duration::from_millis);
                let limit = limit.map_or_else(String::new, |limit| format!(" of {}", units::about(limit)));
                let heard = std::time::Duration::from_secs(sample.at.since(reply).as_secs());
                text = format!("{text}, heard {} ago{limit},", units::span(heard));
            }
            for (lead, value) in [
                (" as ", &reader.user),
                (" app ", &reader.application_name),
                (" from ", &reader.client_addr),
                (" ", &reader.state),
            ] {
                if let Some(value) = value {
                    text = format!("{text}{lead}{}", printable(value));
                }
            }
            parts.push(text);
        }
        None => parts.push("nobody reads it".to_owned()),
    }
    parts.join(", ")
}
