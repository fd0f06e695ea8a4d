//! Writing text into a buffer, safe at every size and for wide characters.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Writes `text` in one line of `area`, cut at its end. Lines outside are not drawn. Returns the columns used.
pub fn put(buf: &mut Buffer, area: Rect, row: u16, column: u16, text: &str, style: Style) -> u16 {
    let area = area.intersection(buf.area);
    if row >= area.height || column >= area.width {
        return 0;
    }
    let (end, _) = buf.set_stringn(area.x + column, area.y + row, text, (area.width - column).into(), style);
    end - area.x - column
}

/// Writes a line of spans; see [`put`].
pub fn put_line(buf: &mut Buffer, area: Rect, row: u16, line: &Line<'_>) {
    let mut column = 0;
    for span in &line.spans {
        column += put(buf, area, row, column, &span.content, line.style.patch(span.style));
    }
}

/// Writes lines from the top of `area`, from line `scroll` on, as far as they fit.
pub fn put_lines(buf: &mut Buffer, area: Rect, scroll: usize, lines: &[Line<'_>]) {
    for (row, line) in (0..area.height).zip(lines.iter().skip(scroll)) {
        put_line(buf, area, row, line);
    }
}

/// Breaks `text` at blanks into lines of at most `width` columns; a word that is too long is broken anywhere.
#[must_use]
pub fn wrap(text: &str, width: u16) -> Vec<String> {
    let width = usize::from(width.max(1));
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        if used > 0 && used + word.trim_end().width() > width {
            lines.push(String::new());
            used = 0;
        }
        for grapheme in word.graphemes(true) {
            let wide = grapheme.width();
            if grapheme == " " && used >= width {
                continue;
            }
            if used + wide > width && used > 0 {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(grapheme);
            }
            used += wide;
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// Wrapped lines in one style, indented by `indent` columns.
#[must_use]
pub fn paragraph(text: &str, width: u16, indent: u16, style: Style) -> Vec<Line<'static>> {
    let blank = " ".repeat(indent.into());
    let lines = wrap(text, width.saturating_sub(indent));
    lines.into_iter().map(|line| Line::from(Span::styled(format!("{blank}{line}"), style))).collect()
}

/// `text` cut to `width` columns, with a mark at the cut.
#[must_use]
pub fn cut(text: &str, width: usize, ascii: bool) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mark = if ascii { "~" } else { "…" };
    let mut short = String::new();
    let mut used = 1;
    for grapheme in text.graphemes(true) {
        used += grapheme.width();
        if used > width {
            break;
        }
        short.push_str(grapheme);
    }
    short.push_str(mark);
    short
}

/// Bytes for people, in powers of 1024: `12 MB` as `pg_size_pretty` would name it.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "a size for people is rounded anyway")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 10.0 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// The first of `height` lines to show so that line `cursor` of `count` is seen, with lines around it.
#[must_use]
pub fn window(cursor: usize, count: usize, height: usize) -> usize {
    cursor.saturating_sub(height / 2).min(count.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    use super::{cut, size, window, wrap};

    #[test]
    fn text_is_broken_at_blanks_and_long_words_anywhere() {
        assert_eq!(wrap("the role may not replicate", 10), ["the role", "may not", "replicate"]);
        assert_eq!(wrap("注文注文注", 4), ["注文", "注文", "注"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("a verylongword", 5), ["a", "veryl", "ongwo", "rd"]);
    }

    #[test]
    fn cut_text_keeps_within_its_columns() {
        assert_eq!(cut("orders", 6, false), "orders");
        assert_eq!(cut("orders", 5, false), "orde…");
        assert_eq!(cut("注文書", 4, true), "注~");
    }

    #[test]
    fn sizes_and_windows() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 kB");
        assert_eq!(size(64 << 30), "64 GB");
        assert_eq!((window(0, 100, 10), window(50, 100, 10), window(99, 100, 10), window(3, 5, 10)), (0, 45, 90, 0));
    }
}
