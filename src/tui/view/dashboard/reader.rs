//! Who reads the selected slot: what it asked for, how it answers, and what its walsender waited for.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, fit_right, gauge, labelled, put, section};
use super::{ruler, slots};
use crate::connection::printable;
use crate::monitor::reading::SlotReading;
use crate::monitor::slot::{Consumer, Slot};
use crate::monitor::slot_history::{SlotHistory, Wait};
use crate::monitor::{Sample, units};
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// How many of the last samples tell what a walsender waits for.
const SAMPLES: usize = 300;
/// What stands before the value in a line.
const LABEL: usize = 14;

/// Draws the page.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let listed = dashboard.slots();
    let chosen = listed.get(dashboard.selected_slot()).copied();
    let gone = dashboard.dropped_slot().map(|(slot, _)| slot);
    let name = gone.or(chosen.map(|(slot, _)| slot));
    let name = name.map_or_else(String::new, |slot| format!(" of {}", printable(&slot.name)));
    let body =
        section(&format!("Reader{name}"), "Enter: who holds transactions open, Esc goes back", true, theme, area, buf);
    if let Some(slot) = gone {
        let text = format!("{} Slot {} is not there any more.", theme.mark(Tone::Bad), printable(&slot.name));
        put(&Line::styled(fit(&text, usize::from(body.width), theme), theme.style(Tone::Bad)), 0, body, buf);
        return;
    }
    let (Some(sample), Some((slot, numbers))) = (dashboard.picture().watcher.sample(), chosen) else { return };
    let past = dashboard.picture().watcher.history().slot(&slot.name);
    let width = usize::from(body.width);
    let mut lines = match &slot.consumer {
        Some(reader) => known(dashboard, slot, reader, numbers, sample, theme),
        None => {
            let alone = numbers.inactive.map_or_else(String::new, |age| format!(" for {}", age.show(theme.ascii)));
            vec![(String::new(), format!("Nobody reads this slot{alone}."), Tone::Warn)]
        }
    }
    .into_iter()
    .flat_map(|(label, text, tone)| labelled((&label, LABEL), &text, tone, width.saturating_sub(1), theme))
    .collect::<Vec<_>>();
    lines.extend(past.map(|past| waits(past, width, theme)).unwrap_or_default());
    for (row, line) in (0..body.height).zip(lines.iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}

/// Label, value and tone of each line about a reader.
fn known(
    dashboard: &Dashboard,
    slot: &Slot,
    reader: &Consumer,
    numbers: &SlotReading,
    sample: &Sample,
    theme: Theme,
) -> Vec<(String, String, Tone)> {
    let text =
        |value: &Option<String>| value.as_ref().map_or_else(|| "?".to_owned(), |text| printable(text).into_owned());
    let seconds = |time: Duration| units::span(Duration::from_secs(time.as_secs()));
    let known = |value: Option<String>| value.unwrap_or_else(|| "?".to_owned());
    let display = dashboard.display();
    let mut lines = Vec::new();
    let mut say = |label: &str, value: String, tone: Tone| lines.push((label.to_owned(), value, tone));
    let process =
        format!("{}, role {}, application {}", reader.pid, text(&reader.user), text(&reader.application_name));
    say("process", process, Tone::Plain);
    // Without the right to see sessions an address is hidden, with it there is none over a Unix socket.
    let from = match (&reader.client_addr, sample.server.rights.sees_sessions()) {
        (Some(from), _) => printable(from).into_owned(),
        (None, true) => "this host, by its socket".to_owned(),
        (None, false) => "?".to_owned(),
    };
    say("from", format!("{from}, connected for {}", known(numbers.connected_for.map(seconds))), Tone::Plain);
    let asked = ruler::asked(slot, sample);
    let asked = asked.strip_prefix("asked for ").unwrap_or("?").to_owned();
    say("asked for", asked, Tone::Plain);
    let how = match reader.sync_state.as_deref() {
        Some("async") | None => String::new(),
        Some(other) => format!(", {} standby", printable(other)),
    };
    say("state", format!("{}{how}, now waits for {}", text(&reader.state), text(&reader.wait)), Tone::Plain);
    let patience = numbers.hangs_up_in.map_or_else(String::new, |left| {
        format!("; the server hangs up in {} unless it answers (wal_sender_timeout, its own may differ)", seconds(left))
    });
    say("answered", format!("{} ago{patience}", known(numbers.silent_for.map(units::span))), slots::patience(numbers));
    let rate = |rate: Option<f64>| known(rate.map(|rate| display.rate(rate)));
    say("is sent", rate(numbers.sent_rate), Tone::Plain);
    say("confirms", rate(numbers.confirmed_rate), Tone::Plain);
    let flushed = reader.flush_lsn.zip(reader.sent_lsn).map(|(flushed, sent)| display.bytes(sent.bytes_since(flushed)));
    say("in flight", format!("{} sent, and not reported as flushed", known(flushed)), Tone::Plain);
    let age = numbers.lag.map_or_else(|| "?".to_owned(), |age| age.show(theme.ascii));
    say("lag", format!("{age}: the age of the oldest byte that is not confirmed"), Tone::Plain);
    let trip = |time: Duration| {
        if time < Duration::from_secs(60) { format!("{:.1}s", time.as_secs_f64()) } else { units::span(time) }
    };
    let [write, flush, replay] = reader.round_trips.map(|time| known(time.map(trip)));
    let trips = format!(
        "write {write}, flush {flush}, replay {replay}: times from sending on (pg_stat_replication), not of the backlog"
    );
    say("round trip", trips, Tone::Plain);
    lines
}

/// What its walsender waited for in the samples that could tell, the most frequent first.
fn waits(past: &SlotHistory, width: usize, theme: Theme) -> Vec<Line<'static>> {
    const WAITS: [(Wait, &str); 6] = [
        (Wait::Client, "for its client to take data"),
        (Wait::Log, "for more log"),
        (Wait::Disk, "for the disk"),
        (Wait::Cpu, "for nothing: it computed"),
        (Wait::Standby, "for a standby"),
        (Wait::Other, "for something else"),
    ];
    let all = past.waited(&[], SAMPLES).1;
    let mut counts: Vec<(usize, &str)> =
        WAITS.iter().map(|(wait, name)| (past.waited(&[*wait], SAMPLES).0, *name)).collect();
    counts.retain(|(count, _)| *count > 0);
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    if all == 0 || counts.is_empty() {
        return Vec::new();
    }
    let samples = units::counted(all as u64, "sample");
    let mut lines = vec![
        Line::default(),
        Line::styled(format!("What its walsender waited for in the last {samples}"), theme.style(Tone::Title)),
    ];
    let wide = width.saturating_sub(36).clamp(8, 40);
    for (count, name) in counts {
        #[expect(clippy::cast_precision_loss, reason = "a share of a few hundred")]
        let share = count as f64 / all as f64;
        lines.push(Line::from(vec![
            Span::raw(format!("{} ", fit_right(&format!("{} %", count * 100 / all), 5, theme))),
            Span::styled(gauge(share, wide, theme), theme.style(Tone::Accent)),
            Span::raw(format!(" {name}")),
        ]));
    }
    lines
}
