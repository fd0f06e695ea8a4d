//! The lines at the bottom: what can be looked at, and what looking costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put};
use crate::monitor::units;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// Draws them; the second one only where there is room for it.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let mut spans = vec![Span::raw(" ")];
    for panel in Panel::ALL.into_iter().chain([Panel::Xmin, Panel::Visibility]) {
        let (digit, word) = panel.name();
        let tone = if panel == dashboard.panel() { Tone::Selected } else { Tone::Dim };
        spans.push(Span::styled(format!("{digit} {word}"), theme.style(tone)));
        spans.push(Span::raw(if area.width >= 110 { "  " } else { " " }));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let costs = costs(dashboard);
    let room = usize::from(area.width).saturating_sub(used);
    if area.height > 1 {
        put(&Line::styled(format!(" {costs}"), theme.style(Tone::Dim)), 1, area, buf);
    } else if room >= costs.len() {
        spans.push(Span::styled(costs, theme.style(Tone::Dim)));
    } else if room >= 24 {
        spans.push(Span::styled(fit(&costs, room, theme), theme.style(Tone::Dim)));
    }
    put(&Line::from(spans), 0, area, buf);
}

/// What looking costs the source, how often it is done, what is recorded and what can't be seen.
fn costs(dashboard: &Dashboard) -> String {
    let wanted = units::span(dashboard.pace());
    let every = match dashboard.throttled() {
        Some(pause) => format!("every {}, not {wanted}: the source answers slowly", units::span(pause)),
        None => format!("every {wanted}"),
    };
    let Some(sample) = dashboard.picture().watcher.sample() else { return every };
    let recording = dashboard.recording().map_or_else(String::new, |recording| {
        let size = dashboard.display().bytes(recording.bytes);
        format!("recording {size}, ")
    });
    let blind = match sample.server.unseen().len() {
        0 => String::new(),
        count => format!(", {count} blind spots (v)"),
    };
    let millis = std::time::Duration::from_micros(sample.pulse_micros).as_secs_f64() * 1e3;
    let pause = dashboard.throttled().unwrap_or_else(|| dashboard.pace());
    let share = millis / 10.0 / pause.as_secs_f64();
    format!("{recording}{every}, {millis:.1} ms each ({share:.1} %){blind}, 1 connection, read-only")
}
