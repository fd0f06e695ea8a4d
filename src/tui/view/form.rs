//! Draws the fields of a form. A form that is higher than its place scrolls with the focus.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::text::{paragraph, put_lines, window};
use super::theme::{Theme, Tone};
use crate::tui::app::field::{Field, Kind};

/// The columns of the labels.
pub const LABEL: u16 = 16;
const MASK: &str = "••••••••";
const ASCII_MASK: &str = "********";

/// The lines of `fields`, the focused one marked; and which of them belong to the focus.
#[must_use]
pub fn lines(fields: &[&Field], focus: Option<usize>, theme: Theme, width: u16) -> (Vec<Line<'static>>, Range<usize>) {
    let mut lines = Vec::new();
    let mut focused = 0..0;
    for (at, field) in fields.iter().enumerate() {
        let from = lines.len();
        lines.push(line(field, focus == Some(at), theme, width));
        if let Some(error) = &field.error {
            let style = theme.style(Tone::Bad);
            lines.extend(paragraph(&format!("{} {error}", theme.mark(Tone::Bad)), width, LABEL, style));
        }
        if focus == Some(at) {
            focused = from..lines.len();
        }
    }
    (lines, focused)
}

/// Draws `fields` into `area`. Returns the rows used.
pub fn draw(fields: &[&Field], focus: Option<usize>, theme: Theme, area: Rect, buf: &mut Buffer) -> u16 {
    let (lines, focused) = lines(fields, focus, theme, area.width);
    let height = usize::from(area.height);
    let scroll = if lines.len() > height { window(focused.start, lines.len(), height) } else { 0 };
    put_lines(buf, area, scroll, &lines);
    u16::try_from(lines.len().min(height)).unwrap_or(area.height)
}

fn line(field: &Field, focused: bool, theme: Theme, width: u16) -> Line<'static> {
    let marker = if focused { theme.glyph("▸ ", "> ") } else { "  " };
    let label = format!("{marker}{:<1$}", field.id.label(), usize::from(LABEL) - 2);
    let tone = if focused { Tone::Title } else { Tone::Plain };
    let mut spans = vec![Span::styled(label, theme.style(tone))];
    let origin = field.origin.as_ref().map_or_else(String::new, |origin| format!("  {origin}"));
    let room = usize::from(width.saturating_sub(LABEL + 1)).min(60).saturating_sub(origin.width());
    if let Kind::Choice(words) = field.kind {
        // A choice that is too wide shows what is chosen.
        let fits = words.iter().map(|word| word.width() + 7).sum::<usize>() <= usize::from(width.saturating_sub(LABEL));
        for (at, word) in words.iter().enumerate() {
            let chosen = at == field.chosen();
            if !fits && !chosen {
                continue;
            }
            let mark = if chosen { theme.glyph("◉ ", "(*) ") } else { theme.glyph("○ ", "( ) ") };
            let tone = match (chosen, focused) {
                (true, true) => Tone::Selected,
                (true, false) => Tone::Plain,
                _ => Tone::Dim,
            };
            spans.push(Span::styled(format!("{mark}{word}"), theme.style(tone)));
            spans.push(Span::raw("   "));
        }
        if !fits {
            let count = format!("{} of {}: Space", field.chosen() + 1, words.len());
            spans.push(Span::styled(count, theme.style(Tone::Dim)));
        }
        spans.push(Span::styled(origin, theme.style(Tone::Dim)));
    } else {
        spans.extend(value(field, focused, theme, room));
        spans.push(Span::styled(origin, theme.style(Tone::Dim)));
    }
    Line::from(spans)
}

/// The visible part of a value, with the cursor where the focus is.
fn value(field: &Field, focused: bool, theme: Theme, room: usize) -> Vec<Span<'static>> {
    let box_style = theme.style(Tone::Plain).add_modifier(Modifier::UNDERLINED);
    let masked = field.kind == Kind::Secret && !(focused && field.revealed);
    if masked {
        // A fixed length: the mask says whether there is a password, not how long it is.
        let mask = if field.text().is_empty() { "" } else { theme.glyph(MASK, ASCII_MASK) };
        let rest = room.saturating_sub(mask.width() + 1);
        let cursor = if focused { theme.style(Tone::Selected) } else { box_style };
        return vec![
            Span::styled(mask.to_owned(), box_style),
            Span::styled(" ".to_owned(), cursor),
            Span::styled(" ".repeat(rest), box_style),
        ];
    }
    let text = field.text();
    let (before, after) = text.split_at(if focused { field.cursor() } else { text.len() });
    let under = after.graphemes(true).next().unwrap_or(" ");
    // The end of what stands before the cursor is what matters.
    let mut left = String::new();
    let space = room.saturating_sub(under.width().max(1));
    for grapheme in before.graphemes(true).rev() {
        if left.width() + grapheme.width() > space {
            break;
        }
        left.insert_str(0, grapheme);
    }
    if !focused && left.len() < before.len() {
        // Without the cursor in it a value is shown from its beginning.
        left = super::text::cut(text, room.saturating_sub(1), theme.ascii);
    }
    let mut right = String::new();
    let space = room.saturating_sub(left.width() + under.width().max(1));
    for grapheme in after.graphemes(true).skip(1) {
        if right.width() + grapheme.width() > space {
            break;
        }
        right.push_str(grapheme);
    }
    let rest = space.saturating_sub(right.width());
    let cursor = if focused { theme.style(Tone::Selected) } else { box_style };
    vec![
        Span::styled(left, box_style),
        Span::styled(under.to_owned(), cursor),
        Span::styled(format!("{right}{}", " ".repeat(rest)), box_style),
    ]
}
