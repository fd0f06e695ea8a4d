//! Draws the encryption screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{paragraph, put_lines};
use super::theme::{Theme, Tone};
use super::tried;
use crate::connection::SslMode;
use crate::tui::app::job::Job;
use crate::tui::app::state::App;

/// Lines from which on every mode explains itself.
const ROOM_FOR_ALL: u16 = 28;

/// Draws the modes, what the chosen one risks, and what was really negotiated.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    let source = app.source();
    let mut lines = vec![Line::from(Span::styled("How the connection is encrypted", theme.style(Tone::Title)))];
    lines.push(Line::default());
    // On a low terminal only the chosen mode explains itself, so that the outcome below stays on the screen.
    let all = inner.height >= ROOM_FOR_ALL;
    for mode in SslMode::ALL {
        let chosen = mode == app.ssl_mode;
        let mark = if chosen { theme.glyph("◉ ", "(*) ") } else { theme.glyph("○ ", "( ) ") };
        let tone = if chosen { Tone::Selected } else { Tone::Plain };
        lines.push(Line::from(Span::styled(format!("{mark}{}", mode.name()), theme.style(tone))));
        if all || chosen {
            lines.extend(paragraph(mode.meaning(), inner.width, 4, theme.style(Tone::Dim)));
        }
    }
    lines.push(Line::default());
    if let Some(risk) = tried::risk(app.ssl_mode).filter(|_| !source.is_local()) {
        let text = format!("{} {risk}", theme.mark(Tone::Warn));
        lines.extend(paragraph(&text, inner.width, 0, theme.style(Tone::Warn)));
        lines.push(Line::default());
    }
    let local = source.is_local();
    match (app.reader(), app.connection.outcome_of(&source)) {
        _ if app.jobs.runs(Job::TestAdmin) => {
            lines.extend(tried::lines(app, theme, Job::TestAdmin, None, local, inner.width));
        }
        (Some((_, tested)), _) if !app.jobs.runs(Job::TestSource) => {
            lines.extend(tried::security(tested, theme, inner.width, local));
        }
        (_, None) if !app.jobs.runs(Job::TestSource) => {
            let text = "Not tested with this mode yet: Enter tests, and goes on when it works.";
            lines.extend(paragraph(text, inner.width, 0, theme.style(Tone::Dim)));
        }
        (_, outcome) => {
            // Where an administrator stands in for the role, it is that login that has to work.
            let outcome = app.stand_in_outcome().or(outcome);
            lines.extend(tried::lines(app, theme, Job::TestSource, outcome, local, inner.width));
        }
    }
    let height = usize::from(inner.height);
    // On a low terminal the outcome matters more than the heading.
    put_lines(buf, inner, lines.len().saturating_sub(height), &lines);
}
