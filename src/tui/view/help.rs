//! Draws the help: what the words of the focused panel mean, and the keys that work on this screen, from the same table
//! that dispatches them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::dashboard::paint::spelled;
use super::dialog::framed;
use super::glossary;
use super::text::{put_lines, wrap};
use super::theme::{Theme, Tone};
use crate::tui::app::state::App;
use crate::tui::app::step::Step;
use crate::tui::app::zones::zones_below_help;
use crate::tui::keymap::Active;

/// The widest that it is drawn.
const WIDEST: u16 = 76;

/// How far it can be scrolled in `area`, in lines: to where its last line is the last one shown.
#[must_use]
pub fn furthest(app: &App, theme: Theme, area: Rect) -> usize {
    let lines = lines(app, area.width.min(WIDEST).saturating_sub(4), theme);
    lines.len().saturating_sub(usize::from(area.height.saturating_sub(2)))
}

/// Draws the help over `area`.
pub fn draw(app: &App, scroll: usize, theme: Theme, area: Rect, buf: &mut Buffer) {
    let width = area.width.min(WIDEST);
    let outer = Rect { x: area.x + (area.width - width) / 2, width, ..area };
    let lines = lines(app, width.saturating_sub(4), theme);
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

/// The columns of the words; what they mean stands beside them.
const WORDS: u16 = 16;
/// The columns of the keys; what they do stands beside them.
const KEYS: u16 = 24;

/// What the words and figures of the focused panel mean.
fn words(app: &App, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let panel = match (&app.dashboard, &app.fleet) {
        _ if app.step != Step::Dashboard => return Vec::new(),
        (Some(dashboard), _) => Some(dashboard.panel()),
        (None, Some(_)) => None,
        (None, None) => return Vec::new(),
    };
    let mut lines = vec![Line::styled("The keys stand below: PgDn.", theme.style(Tone::Dim))];
    for (title, terms) in glossary::of(panel) {
        lines.push(Line::default());
        lines.push(Line::from(Span::styled(title, theme.style(Tone::Title))));
        for (term, meaning) in terms {
            let meaning = spelled(meaning, theme);
            for (row, text) in wrap(&meaning, width.saturating_sub(WORDS)).into_iter().enumerate() {
                let term = if row == 0 { *term } else { "" };
                let room = usize::from(WORDS) - 2;
                lines.push(Line::from(vec![
                    Span::styled(format!("  {term:<room$}"), theme.style(Tone::Accent)),
                    Span::styled(text, theme.style(Tone::Plain)),
                ]));
            }
        }
    }
    lines
}

fn lines(app: &App, width: u16, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = words(app, width, theme);
    let mut title = "";
    for Active { binding, keys } in app.keys.active(&zones_below_help(app)) {
        if binding.help.is_empty() {
            continue;
        }
        if binding.zone.title() != title {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            title = binding.zone.title();
            lines.push(Line::from(Span::styled(title, theme.style(Tone::Title))));
        }
        let keys: Vec<String> = keys.iter().take(2).map(|key| key.name(theme.ascii)).collect();
        for (row, text) in wrap(binding.help, width.saturating_sub(KEYS)).into_iter().enumerate() {
            let keys = if row == 0 { keys.join(", ") } else { String::new() };
            let room = usize::from(KEYS) - 2;
            lines.push(Line::from(vec![
                Span::styled(format!("  {keys:<room$}"), theme.style(Tone::Accent)),
                Span::styled(text, theme.style(Tone::Plain)),
            ]));
        }
    }
    lines
}
