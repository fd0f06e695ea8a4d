//! A chart of several lines over time: the chosen one as an area of bars, the others as a mark each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::paint::{fit_right, put};
use crate::tui::view::theme::{Theme, Tone};

/// One line: its values by column, oldest first; `None` where nothing is known.
pub(super) struct Series {
    pub(super) values: Vec<Option<f64>>,
    /// Drawn as an area instead of with its mark.
    pub(super) chosen: bool,
}

/// The marks of the lines that are not chosen, in their order; one that is drawn twice means "one of the rest".
const MARKS: [(&str, &str); 6] = [("●", "o"), ("◆", "+"), ("■", "x"), ("▲", "^"), ("○", "%"), ("·", ".")];

/// The mark of line number `at` among those that are not chosen.
pub(super) fn mark(at: usize, theme: Theme) -> &'static str {
    let (fancy, plain) = MARKS[at.min(MARKS.len() - 1)];
    theme.glyph(fancy, plain)
}

/// The columns that the values of a chart of this width have.
pub(super) fn columns(width: u16) -> usize {
    usize::from(width).saturating_sub(LABEL + 2)
}

/// What the scale at the left needs.
const LABEL: usize = 8;

/// Draws lines over a scale from 0 to their largest value, or to `floor` if that is larger.
pub(super) fn draw(
    series: &[Series],
    floor: f64,
    label: impl Fn(f64) -> String,
    theme: Theme,
    area: Rect,
    buf: &mut Buffer,
) {
    let height = usize::from(area.height);
    if height == 0 {
        return;
    }
    let width = columns(area.width);
    let most = series.iter().flat_map(|one| one.values.iter().flatten()).copied().fold(floor, f64::max);
    for row in 0..height {
        // The value at the upper edge of the row.
        let (upper, lower) = (edge(height - row, height, most), edge(height - row - 1, height, most));
        let named = row == 0 || row + 1 == height || (height >= 5 && row == height / 2);
        let text = match (named, row + 1 == height) {
            (false, _) => String::new(),
            (true, true) => label(0.0),
            (true, false) => label(upper),
        };
        let mut spans = vec![Span::styled(
            format!("{}{}", fit_right(&text, LABEL, theme), theme.glyph("┤", "|")),
            theme.style(Tone::Dim),
        )];
        let mut line = String::new();
        for column in 0..width {
            line.push_str(cell(series, column, lower, upper, row + 1 == height, theme));
        }
        spans.push(Span::styled(line, theme.style(Tone::Accent)));
        put(&Line::from(spans), u16::try_from(row).unwrap_or(u16::MAX), area, buf);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few rows")]
fn edge(rows: usize, height: usize, most: f64) -> f64 {
    most * rows as f64 / height as f64
}

/// What stands in one cell, whose values reach from `lower` to `upper`.
fn cell(series: &[Series], column: usize, lower: f64, upper: f64, lowest: bool, theme: Theme) -> &'static str {
    let others = series.iter().filter(|one| !one.chosen).enumerate();
    for (at, other) in others {
        let value = other.values.get(column).copied().flatten();
        if value.is_some_and(|value| (value > lower || (lowest && value >= lower)) && value <= upper) {
            return mark(at, theme);
        }
    }
    let chosen = series.iter().find(|one| one.chosen).and_then(|one| one.values.get(column).copied().flatten());
    let Some(value) = chosen else { return " " };
    if value >= upper {
        return theme.glyph("█", "#");
    }
    let share = if upper > lower { (value - lower) / (upper - lower) } else { 0.0 };
    let bars: [&str; 8] = if theme.ascii {
        ["_", "_", ".", ".", ":", ":", "#", "#"]
    } else {
        ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
    };
    if share <= 0.0 {
        // The lowest row shows a line where the value is known and 0.
        return if lowest { bars[0] } else { " " };
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 7")]
    let eighth = ((share * 8.0).ceil() as usize).clamp(1, 8) - 1;
    bars[eighth]
}

/// A line of marks below the columns: each `(column, text)` is written where it belongs, as far as it has room.
pub(super) fn below(marks: &[(usize, String)], width: u16) -> String {
    let mut line = " ".repeat(LABEL + 1);
    let mut used = 0;
    for (column, text) in marks {
        if *column < used || column + text.width() > columns(width) {
            continue;
        }
        line.push_str(&" ".repeat(column - used));
        line.push_str(text);
        used = column + text.width();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(series: &[Series], height: u16, theme: Theme) -> Vec<String> {
        let area = Rect::new(0, 0, 14, height);
        let mut buffer = Buffer::empty(area);
        draw(series, 1.0, |value| format!("{value:.0}"), theme, area, &mut buffer);
        (0..height).map(|y| (0..14).map(|x| buffer[(x, y)].symbol()).collect()).collect()
    }

    #[test]
    fn the_chosen_line_is_an_area_and_the_others_are_marks() {
        let chosen = Series { values: vec![Some(0.0), Some(4.0), None, Some(8.0)], chosen: true };
        let other = Series { values: vec![Some(8.0), None, Some(0.0), None], chosen: false };
        let both = [chosen, other];
        assert_eq!(drawn(&both, 2, Theme::default()), ["       8┤●  █ ", "       0┤▁█●█ "]);
        assert_eq!(
            drawn(&both, 2, Theme { color: false, ascii: true, ..Theme::default() }),
            ["       8|o  # ", "       0|_#o# "]
        );
    }

    #[test]
    fn marks_stand_below_their_columns_and_never_on_each_other() {
        let marks = [(0, "11:40".to_owned()), (3, "11:41".to_owned()), (6, "A".to_owned())];
        assert_eq!(below(&marks, 30), "         11:40 A");
    }
}
