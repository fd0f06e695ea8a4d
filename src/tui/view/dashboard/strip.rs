//! The lines at the bottom: what can be looked at, and what looking costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put};
use super::visibility;
use crate::monitor::units;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// Draws them; the second one only where there is room for it.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let mut spans = vec![Span::raw(" ")];
    for panel in Panel::ALL.into_iter().chain([Panel::Xmin, Panel::Visibility]) {
        let (digit, word) = panel.name();
        let tone = if panel.name() == dashboard.panel().name() { Tone::Selected } else { Tone::Dim };
        spans.push(Span::styled(format!("{digit} {word}"), theme.style(tone)));
        spans.push(Span::raw(if area.width >= 110 { "  " } else { " " }));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let width = usize::from(area.width);
    let room = if area.height > 1 { width.saturating_sub(1) } else { width.saturating_sub(used) };
    let costs = costs(dashboard, room);
    if area.height > 1 {
        put(&Line::styled(format!(" {costs}"), theme.style(Tone::Dim)), 1, area, buf);
    } else if room >= costs.len() {
        spans.push(Span::styled(costs, theme.style(Tone::Dim)));
    } else if room >= 24 {
        spans.push(Span::styled(fit(&costs, room, theme), theme.style(Tone::Dim)));
    }
    put(&Line::from(spans), 0, area, buf);
}

/// What looking costs the source, how often it is done, what can't be seen and what is recorded, as far as it fits into
/// `room` columns.
fn costs(dashboard: &Dashboard, room: usize) -> String {
    let wanted = units::span(dashboard.pace());
    let every = match dashboard.throttled() {
        Some(pause) => format!("every {}, not {wanted}: the source answers slowly", units::span(pause)),
        None => format!("every {wanted}"),
    };
    let Some(sample) = dashboard.picture().watcher.sample() else { return every };
    let recording = dashboard.recording().map_or_else(
        || "not recording".to_owned(),
        |recording| format!("recording {}", dashboard.display().bytes(recording.bytes)),
    );
    let (seen, all) = visibility::score(&sample.server);
    let seen = if seen < all { format!("sees {seen} of {all} facts (v)") } else { format!("sees all {all} facts") };
    let millis = std::time::Duration::from_micros(sample.pulse_micros).as_secs_f64() * 1e3;
    let pause = dashboard.throttled().unwrap_or_else(|| dashboard.pace());
    let share = millis / 10.0 / pause.as_secs_f64();
    let looks = format!("looks {every}: {millis:.1} ms, {share:.1} % of a core");
    let parts = [looks, seen, recording, "1 connection, read-only".to_owned()];
    let mut text = String::new();
    for part in parts {
        let more = if text.is_empty() { part } else { format!("; {part}") };
        // The first one is cut where it has to be, the others are left out.
        if !text.is_empty() && text.len() + more.len() > room {
            break;
        }
        text.push_str(&more);
    }
    text
}
