//! The lines at the bottom: what can be looked at, and what looking costs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put};
use crate::monitor::units;
use crate::tui::app::dashboard::{Dashboard, Panel};
use crate::tui::view::theme::{Theme, Tone};

/// Draws them; the second one only where there is room for it.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let mut spans = vec![Span::raw(" ")];
    for panel in Panel::ALL.into_iter().chain([Panel::Xmin, Panel::Visibility]) {
        let (digit, word) = panel.name();
        let tone = if panel == dashboard.panel() { Tone::Selected } else { Tone::Dim };
        let (gap, after) = if area.width >= 110 { (" ", "  ") } else { ("", " ") };
        spans.push(Span::styled(format!("{digit}{gap}{word}"), theme.style(tone)));
        spans.push(Span::raw(after));
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

/// What looking costs the source, and how often it is done.
fn costs(dashboard: &Dashboard) -> String {
    let every = units::span(dashboard.pace());
    let Some(sample) = dashboard.picture().watcher.sample() else { return format!("every {every}") };
    let millis = std::time::Duration::from_micros(sample.pulse_micros).as_secs_f64() * 1e3;
    let share = millis / 10.0 / dashboard.pace().as_secs_f64();
    format!("every {every}, {millis:.1} ms each ({share:.1} %), 1 connection, read-only")
}
