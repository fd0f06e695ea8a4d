//! What happened, the newest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put, section};
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// From this width on there are two columns.
const WIDE: usize = 160;

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
    // On a wide screen the older half stands beside the newer one.
    let columns = if width >= WIDE { 2 } else { 1 };
    let (height, wide) = (usize::from(body.height), width / columns);
    let shown = log.iter().rev().skip(dashboard.selected_event()).take(height * columns);
    for (number, event) in shown.enumerate() {
        let tone = if event.trouble { Tone::Warn } else { Tone::Dim };
        let line = Line::from(vec![
            Span::styled(
                format!(" {:>8} {} ", dashboard.display().times.show(event.at, now), theme.mark(tone)),
                theme.style(tone),
            ),
            Span::raw(fit(&event.text, wide.saturating_sub(13), theme)),
        ]);
        let (Ok(row), Ok(x)) = (u16::try_from(number % height.max(1)), u16::try_from(number / height.max(1) * wide))
        else {
            return;
        };
        put(&line, row, Rect { x: body.x + x, width: body.width.saturating_sub(x), ..body }, buf);
    }
}
