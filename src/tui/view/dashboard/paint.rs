//! Small drawing tools: text that fits, sections with a title, sparklines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::tui::view::theme::{Theme, Tone};

/// Cuts `text` to `width` columns, with a mark where something is missing, and fills it up with blanks.
pub(in crate::tui::view) fn fit(text: &str, width: usize, theme: Theme) -> String {
    let wide = text.width();
    if wide <= width {
        return format!("{text}{}", " ".repeat(width - wide));
    }
    let mark = theme.glyph("…", "~");
    let mut shown = String::new();
    let mut used = 0;
    for piece in text.graphemes(true) {
        if used + piece.width() + 1 > width {
            break;
        }
        used += piece.width();
        shown.push_str(piece);
    }
    if width > 0 {
        shown.push_str(mark);
        used += 1;
    }
    shown.push_str(&" ".repeat(width.saturating_sub(used)));
    shown
}

/// `text` of the monitor, which writes "at least" as one sign, for a terminal that may not have it.
pub(in crate::tui::view) fn spelled(text: &str, theme: Theme) -> String {
    if theme.ascii { text.replace('≥', ">=") } else { text.to_owned() }
}

/// As [`fit`], with the blanks before the text: for numbers.
pub(in crate::tui::view) fn fit_right(text: &str, width: usize, theme: Theme) -> String {
    let wide = text.width();
    if wide <= width { format!("{}{text}", " ".repeat(width - wide)) } else { fit(text, width, theme) }
}

/// Breaks `text` at blanks into lines of at most `width` columns; a word that is too long is cut.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        if used > 0 && used + 1 + word.width() > width {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            push(&mut lines, " ");
            used += 1;
        }
        for piece in word.graphemes(true) {
            if used + piece.width() > width && used > 0 {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, piece);
            used += piece.width();
        }
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// A label in so many columns, and beside it a text that wraps within `width`.
pub(super) fn labelled(
    (label, columns): (&str, usize),
    text: &str,
    tone: Tone,
    width: usize,
    theme: Theme,
) -> Vec<Line<'static>> {
    let line = |(row, text): (usize, String)| {
        let label = fit(if row == 0 { label } else { "" }, columns, theme);
        Line::from(vec![Span::styled(label, theme.style(Tone::Dim)), Span::styled(text, theme.style(tone))])
    };
    wrap(text, width.saturating_sub(columns)).into_iter().enumerate().map(line).collect()
}

/// The last `width` values as a line of bars, the tallest being the largest of them, or `floor` if that is larger.
/// Nothing is drawn where there is no value yet.
pub(super) fn spark(values: &[f64], width: usize, floor: f64, theme: Theme) -> String {
    let bars: [&str; 8] = if theme.ascii {
        ["_", ".", ":", "-", "=", "+", "*", "#"]
    } else {
        ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
    };
    let shown = &values[values.len().saturating_sub(width)..];
    let most = shown.iter().copied().fold(floor, f64::max);
    let bar = |value: &f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
        let height = if most > 0.0 { (value / most * 7.0).round().clamp(0.0, 7.0) as usize } else { 0 };
        bars[height]
    };
    let line: String = shown.iter().map(bar).collect();
    format!("{}{line}", " ".repeat(width - shown.len()))
}

/// All `values` in at most `width` steps, each the largest of its share, so that a peak is never lost.
pub(super) fn squeeze(values: &[f64], width: usize) -> Vec<f64> {
    if values.len() <= width || width == 0 {
        return values.to_vec();
    }
    (0..width)
        .map(|step| &values[step * values.len() / width..(step + 1) * values.len() / width])
        .map(|share| share.iter().copied().fold(0.0, f64::max))
        .collect()
}

/// A bar of `width` columns filled to `share`.
pub(super) fn gauge(share: f64, width: usize, theme: Theme) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a width"
    )]
    let full = ((share.clamp(0.0, 1.0) * width as f64).round() as usize).min(width);
    format!("{}{}", theme.glyph("█", "#").repeat(full), theme.glyph("░", ".").repeat(width - full))
}

/// Draws `line` as line number `row` of `area`; beyond its edges nothing is drawn.
pub(in crate::tui::view) fn put(line: &Line<'_>, row: u16, area: Rect, buf: &mut Buffer) {
    if row < area.height && area.width > 0 {
        buf.set_line(area.x, area.y + row, line, area.width);
    }
}

/// Draws a section's title over a rule, and returns what is left for its body.
pub(in crate::tui::view) fn section(
    title: &str,
    right: &str,
    focused: bool,
    theme: Theme,
    area: Rect,
    buf: &mut Buffer,
) -> Rect {
    if area.height == 0 || area.width == 0 {
        return Rect { height: 0, ..area };
    }
    let rule = theme.glyph("─", "-");
    let width = usize::from(area.width);
    let lead = format!("{} ", theme.glyph("──", "--"));
    let title = fit(title, title.width().min(width.saturating_sub(lead.width() + 1)), theme);
    let used = lead.width() + title.width() + 1;
    let right =
        if used + right.width() + 4 <= width && !right.is_empty() { format!(" {right} ") } else { String::new() };
    let tail = if right.is_empty() { 0 } else { 1 };
    let fill = rule.repeat(width.saturating_sub(used + right.width() + tail));
    let tone = if focused { Tone::Selected } else { Tone::Title };
    let line = Line::from(vec![
        Span::styled(lead, theme.style(Tone::Dim)),
        Span::styled(title, theme.style(tone)),
        Span::styled(format!(" {fill}"), theme.style(Tone::Dim)),
        Span::styled(right, theme.style(Tone::Dim)),
        Span::styled(rule.repeat(tail), theme.style(Tone::Dim)),
    ]);
    put(&line, 0, area, buf);
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// The first line to show, so that line `selected` is among `height` lines.
pub(in crate::tui::view) fn first_line(selected: usize, height: usize) -> usize {
    (selected + 1).saturating_sub(height.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Theme = Theme { color: false, ascii: true, light: false, rich: false };

    #[test]
    fn text_fits_by_columns_not_by_characters() {
        let fancy = Theme::default();
        assert_eq!(fit("orders", 8, fancy), "orders  ");
        assert_eq!(fit("orders_archive", 8, fancy), "orders_…");
        assert_eq!(fit("注文明細", 6, fancy), "注文… ");
        assert_eq!(fit("abc", 0, fancy), "");
        assert_eq!(fit_right("42", 5, PLAIN), "   42");
    }

    #[test]
    fn words_wrap_and_long_words_break() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn sparklines_scale_to_their_largest_value() {
        assert_eq!(spark(&[0.0, 1.0, 7.0], 5, 0.0, PLAIN), "  _.#");
        assert_eq!(spark(&[0.0, 0.0], 2, 0.0, Theme::default()), "▁▁");
        assert_eq!(squeeze(&[1.0, 9.0, 2.0, 3.0, 4.0], 2), [9.0, 4.0]);
        assert_eq!(gauge(0.5, 4, PLAIN), "##..");
    }
}
