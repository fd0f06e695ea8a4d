//! What stands around every screen: breadcrumb above, notice and key hints below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::text::{cut, put};
use super::theme::{Theme, Tone};
use crate::tui::app::state::App;
use crate::tui::app::step::Step;
use crate::tui::app::zones::zones;

/// The smallest terminal on which everything can be used.
pub const MIN_WIDTH: u16 = 60;
/// See [`MIN_WIDTH`].
pub const MIN_HEIGHT: u16 = 16;

/// Says that the terminal is too small, and how large it has to be.
pub fn too_small(area: Rect, buf: &mut Buffer) {
    let text = [
        "This terminal is too small.".to_owned(),
        format!("walpilot needs {MIN_WIDTH}x{MIN_HEIGHT};"),
        format!("this is {}x{}.", area.width, area.height),
        "Ctrl-Q leaves.".to_owned(),
    ];
    let top = area.height.saturating_sub(4) / 2;
    for (row, line) in (top..).zip(&text) {
        let column = area.width.saturating_sub(u16::try_from(line.width()).unwrap_or(0)) / 2;
        put(buf, area, row, column, line, Style::new());
    }
}

/// The steps with what is done, where the user is, and what is still ahead.
pub fn breadcrumb(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let wide = area.width >= 110;
    let narrow = area.width < 76;
    let mut column = 1;
    for (at, step) in Step::ALL.into_iter().enumerate() {
        let (mark, style) = if step == app.step {
            (theme.glyph("●", "*"), theme.style(Tone::Selected))
        } else if step < app.step {
            (theme.glyph("✔", "+"), theme.style(Tone::Good))
        } else if step <= app.reached {
            (theme.glyph("○", "o"), theme.style(Tone::Plain))
        } else {
            (" ", theme.style(Tone::Dim))
        };
        if narrow {
            // Only a count and the current name have room.
            if step == app.step {
                let text = format!("{} of {}: {}", at + 1, Step::ALL.len(), step.title().0);
                put(buf, area, 0, 1, &text, theme.style(Tone::Title));
            }
            continue;
        }
        let (long, short) = step.title();
        let text = format!("{mark}{}{}", if wide { " " } else { "" }, if wide { long } else { short });
        column += put(buf, area, 0, column, &text, style);
        let gap = match (wide, at + 1 < Step::ALL.len()) {
            (_, false) => "",
            (true, true) => theme.glyph(" › ", " > "),
            (false, true) => " ",
        };
        column += put(buf, area, 0, column, gap, theme.style(Tone::Dim));
    }
    rule(theme, area, 1, buf);
}

/// A line across.
pub fn rule(theme: Theme, area: Rect, row: u16, buf: &mut Buffer) {
    let line = theme.glyph("─", "-").repeat(area.width.into());
    put(buf, area, row, 0, &line, theme.style(Tone::Dim));
}

/// The notice, and as many key hints as fit: the last are left out first, but help and quit always stay.
pub fn footer(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    rule(theme, area, 0, buf);
    if app.leaving.is_some() {
        let text = "Stopping: the batch at hand is finished and its checkpoint kept. Ctrl-C leaves at once.";
        put(buf, area, 0, 1, &format!(" {text} "), theme.style(Tone::Warn));
    } else if let Some(notice) = &app.notice {
        let tone = if notice.trouble { Tone::Warn } else { Tone::Good };
        let text = cut(&notice.text, usize::from(area.width.saturating_sub(6)), theme.ascii);
        put(buf, area, 0, 1, &format!(" {} {text} ", theme.mark(tone)), theme.style(tone));
    }
    let hints: Vec<(String, &str)> = app
        .keys
        .active(&zones(app))
        .into_iter()
        .filter(|one| !one.binding.hint.is_empty())
        .filter_map(|one| one.keys.first().map(|key| (key.name(theme.ascii), one.binding.hint)))
        .collect();
    let width = |(key, hint): &(String, &str)| key.width() + hint.width() + 3;
    let (kept, others): (Vec<_>, Vec<_>) = hints.into_iter().partition(|(_, hint)| matches!(*hint, "help" | "quit"));
    let mut room = usize::from(area.width.saturating_sub(1)).saturating_sub(kept.iter().map(width).sum());
    let fits = others.into_iter().take_while(|hint| {
        let fits = width(hint) <= room;
        room = room.saturating_sub(width(hint));
        fits
    });
    let mut column = 1;
    for (key, hint) in fits.chain(kept) {
        column += put(buf, area, 1, column, &key, theme.style(Tone::Title));
        column += put(buf, area, 1, column, &format!(" {hint}  "), theme.style(Tone::Dim));
    }
}

/// A sign that something moves: its picture follows the time that has passed.
#[must_use]
pub fn spinner(theme: Theme, millis: u128) -> &'static str {
    const FANCY: [&str; 8] = ["⣾", "⣽", "⣻", "⢿", "⡿", "⣟", "⣯", "⣷"];
    const PLAIN: [&str; 4] = ["|", "/", "-", "\\"];
    let at = usize::try_from(millis / 120).unwrap_or(0);
    if theme.ascii { PLAIN[at % PLAIN.len()] } else { FANCY[at % FANCY.len()] }
}

/// A line for a job under way: spinner, words, elapsed time.
#[must_use]
pub fn working(app: &App, theme: Theme, job: crate::tui::app::job::Job, doing: &str) -> Option<String> {
    let elapsed = app.now.monotonic.saturating_duration_since(app.jobs.since(job)?);
    let sign = spinner(theme, elapsed.as_millis());
    Some(format!("{sign} {doing} {:.1} s (Esc cancels)", elapsed.as_secs_f32()))
}

/// `area` without a margin of one column and one row above.
#[must_use]
pub fn inset(area: Rect) -> Rect {
    Rect { x: area.x + 1, y: area.y, width: area.width.saturating_sub(2), height: area.height }
}
