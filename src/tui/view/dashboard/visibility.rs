//! What the role may not see, with the statement that opens it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint::{put, section, wrap};
use crate::connection::printable;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let focused = dashboard.panel() == Panel::Visibility;
    let body = section("Visibility", "what this role sees", focused, theme, area, buf);
    let Some(sample) = dashboard.picture().watcher.sample() else { return };
    let width = usize::from(body.width).saturating_sub(4);
    let role = printable(&sample.server.role);
    let unseen = sample.server.unseen();
    let mut lines = Vec::new();
    if unseen.is_empty() {
        let text = format!("{} {role} sees everything that is shown here.", theme.mark(Tone::Good));
        lines.push(Line::styled(text, theme.style(Tone::Good)));
    }
    for one in unseen {
        let text = format!("{} {role} does not see {}.", theme.mark(Tone::Warn), printable(&one.what));
        lines.extend(wrap(&text, width).into_iter().map(|text| Line::styled(text, theme.style(Tone::Warn))));
        lines.push(Line::styled(format!("    {}", printable(&one.grant)), theme.style(Tone::Accent)));
    }
    lines.push(Line::default());
    let why = "What can't be seen is shown as ?, never as 0. Every statement stands alone, read-only and with a time limit, and none waits behind a lock.";
    lines.extend(wrap(why, width).into_iter().map(|text| Line::styled(text, theme.style(Tone::Dim))));
    for (row, line) in (0..body.height).zip(lines.iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}
