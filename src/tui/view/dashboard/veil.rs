//! Privacy: names of hosts, roles and objects give way to dots, on whatever is drawn. It works on the cells of the
//! screen, so that nothing that is drawn can be forgotten, and everything stays in its place.

use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::tui::view::theme::Theme;

/// A part of a name is as telling as the name from so many letters on.
const PART: usize = 4;

/// Hides every word of `area` that is one of `names`, a part of one, or the beginning of one that was cut. A name of
/// digits alone hides every number that is the same: one number too few on the screen is better than one name too many.
pub(in crate::tui::view) fn draw(names: &HashSet<String>, theme: Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    let telling = |word: &&str| word.chars().any(|c| !c.is_ascii_digit());
    let mut words: HashSet<&str> = names.iter().map(String::as_str).collect();
    let parts = names.iter().flat_map(|name| name.split(|c: char| !inside(c) || c == '.'));
    words.extend(parts.filter(|part| part.chars().count() >= PART).filter(telling));
    for y in area.top()..area.bottom() {
        let mut word: Vec<u16> = Vec::new();
        let mut x = area.left();
        while x < area.right() {
            let symbol = buf[(x, y)].symbol();
            // The cell behind a wide character is its second half.
            let next = x + u16::try_from(symbol.width()).unwrap_or(1).max(1);
            if symbol.chars().all(inside) {
                word.push(x);
            } else {
                let cut = symbol == theme.glyph("…", "~");
                hide(&words, &std::mem::take(&mut word), cut, y, theme, buf);
            }
            x = next;
        }
        hide(&words, &word, false, y, theme, buf);
    }
}

/// Whether `c` can stand in a word; a host's name has dots.
fn inside(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '-' | '.')
}

fn hide(words: &HashSet<&str>, cells: &[u16], cut: bool, y: u16, theme: Theme, buf: &mut Buffer) {
    let whole: String = cells.iter().map(|x| buf[(*x, y)].symbol()).collect();
    // What ends a sentence, or a rule beside a title, is no part of a name.
    let first = whole.chars().take_while(|c| matches!(c, '.' | '-')).count();
    let name = whole.trim_matches(['.', '-']);
    let count = name.chars().count();
    let known = |text: &str| words.contains(text);
    let begun = |text: &str| cut && !text.is_empty() && words.iter().any(|word| word.starts_with(text));
    if known(name) || begun(name) {
        return blot(&cells[first..(first + count).min(cells.len())], y, theme, buf);
    }
    let mut at = first;
    for part in name.split('.') {
        let end = at + part.chars().count();
        if known(part) || (end == first + count && begun(part)) {
            blot(&cells[at.min(cells.len())..end.min(cells.len())], y, theme, buf);
        }
        at = end + 1;
    }
}

fn blot(cells: &[u16], y: u16, theme: Theme, buf: &mut Buffer) {
    let dot = theme.glyph("•", "*");
    for x in cells {
        let wide = buf[(*x, y)].symbol().width() > 1;
        buf[(*x, y)].set_symbol(dot);
        if wide {
            buf[(*x + 1, y)].set_symbol(dot);
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::text::Line;

    use super::*;

    #[test]
    fn names_go_and_everything_else_stays_where_it_is() {
        let names = ["prod-orders", "db.example.com", "10.4.1.9", "注文", "walpilot_publication", "public"];
        let names: HashSet<String> = names.into_iter().map(str::to_owned).collect();
        let area = Rect::new(0, 0, 64, 4);
        let mut buffer = Buffer::empty(area);
        for (row, text) in [
            (0, "slot prod-orders: walpilot@db.example.com:5432, 10 of 104 rows."),
            (1, "-- walpilot_pub… -- from 10.4.1.9, not 10.4.1.99, prod-ord"),
            (2, "注文 is a table, 注 is none"),
            (3, "public.items of prod-orders."),
        ] {
            buffer.set_line(0, row, &Line::raw(text), 64);
        }
        draw(&names, Theme::default(), area, &mut buffer);
        let line = |y: u16| (0..64).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        assert_eq!(line(0), "slot •••••••••••: walpilot@••••••••••••••:5432, 10 of 104 rows.");
        assert_eq!(line(1), "-- ••••••••••••… -- from ••••••••, not 10.4.1.99, prod-ord");
        assert!(!line(2).contains('文') && line(2).contains('注'), "{}", line(2));
        assert_eq!(line(3), "••••••.items of •••••••••••.");
    }

    #[test]
    fn a_name_of_digits_goes_too_and_other_numbers_stay() {
        let names: HashSet<String> = ["20261", "10.4.1.9"].into_iter().map(str::to_owned).collect();
        let area = Rect::new(0, 0, 40, 2);
        let mut buffer = Buffer::empty(area);
        buffer.set_line(0, 0, &Line::raw("slot 20261 holds 202610 kB, 20261, 2026"), 40);
        buffer.set_line(0, 1, &Line::raw("public.20261: 2026… 12:03:41 6A/20261"), 40);
        draw(&names, Theme::default(), area, &mut buffer);
        let line = |y: u16| (0..40).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        assert_eq!(line(0), "slot ••••• holds 202610 kB, •••••, 2026");
        assert_eq!(line(1), "public.•••••: ••••… 12:03:41 6A/•••••");
    }
}
