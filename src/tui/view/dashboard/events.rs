//! What happened, the newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put, section};
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let log = &dashboard.picture().log;
    let body = section(
        &format!("Events {}", log.len()),
        &format!("newest first, {}", dashboard.display().times.name()),
        dashboard.panel() == Panel::Events,
        theme,
        area,
        buf,
    );
    if log.is_empty() {
        put(&Line::styled("  Nothing has happened yet.", theme.style(Tone::Dim)), 0, body, buf);
    }
    let width = usize::from(body.width);
    let now = dashboard.picture().watcher.sample().map(|sample| sample.at).unwrap_or_default();
    let shown = log.iter().rev().skip(dashboard.selected_event()).take(usize::from(body.height));
    for (row, event) in shown.enumerate() {
        let tone = if event.trouble { Tone::Warn } else { Tone::Dim };
        let line = Line::from(vec![
            Span::styled(
                format!(" {:>8} {} ", dashboard.display().times.show(event.at, now), theme.mark(tone)),
                theme.style(tone),
            ),
            Span::raw(fit(&event.text, width.saturating_sub(12), theme)),
        ]);
        put(&line, u16::try_from(row).unwrap_or(u16::MAX), body, buf);
    }
}
