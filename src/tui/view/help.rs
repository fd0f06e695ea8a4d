//! Draws the help: the keys that work on this screen, from the same table that dispatches them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::dialog::framed;
use super::text::put_lines;
use super::theme::{Theme, Tone};
use crate::tui::app::state::App;
use crate::tui::app::zones::zones_below_help;
use crate::tui::keymap;

/// Draws the help over `area`.
pub fn draw(app: &App, scroll: usize, theme: Theme, area: Rect, buf: &mut Buffer) {
    let width = area.width.min(76);
    let outer = Rect { x: area.x + (area.width - width) / 2, width, ..area };
    let lines = lines(app, theme);
    let outer = Rect { height: outer.height.min(u16::try_from(lines.len() + 2).unwrap_or(u16::MAX)), ..outer };
    Clear.render(outer, buf);
    framed("Help", theme, outer, buf);
    let inner = Rect {
        x: outer.x + 2,
        y: outer.y + 1,
        width: outer.width.saturating_sub(4),
        height: outer.height.saturating_sub(2),
    };
    let scroll = scroll.min(lines.len().saturating_sub(usize::from(inner.height)));
    put_lines(buf, inner, scroll, &lines);
    if lines.len() > scroll + usize::from(inner.height) {
        let more = theme.glyph(" more ↓ ", " more v ");
        super::text::put(buf, outer, outer.height - 1, outer.width.saturating_sub(10), more, theme.style(Tone::Dim));
    }
}

fn lines(app: &App, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut title = "";
    for binding in keymap::active(&zones_below_help(app)) {
        if binding.help.is_empty() {
            continue;
        }
        if binding.zone.title() != title {
            if !title.is_empty() {
                lines.push(Line::default());
            }
            title = binding.zone.title();
            lines.push(Line::from(Span::styled(title, theme.style(Tone::Title))));
        }
        let keys: Vec<String> = binding.keys.iter().take(2).map(|key| key.name(theme.ascii)).collect();
        lines.push(Line::from(vec![
            Span::styled(format!("  {:<22}", keys.join(", ")), theme.style(Tone::Accent)),
            Span::styled(binding.help, theme.style(Tone::Plain)),
        ]));
    }
    lines
}
