//! Draws the destination screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::text::{paragraph, put, put_lines};
use super::theme::{Theme, Tone};
use super::{form, tried};
use crate::tui::app::destination::unfit;
use crate::tui::app::job::Job;
use crate::tui::app::state::App;

/// Draws the goal, the fields of the destination, and what the last try came to.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    let step = &app.destination;
    put(buf, inner, 0, 0, "Where the rows go", theme.style(Tone::Title));
    let hint = "F8 saves source, method, tables and names as a profile, without secrets.";
    put(buf, inner, 1, 0, hint, theme.style(Tone::Dim));
    let outcome = outcome(app, theme, inner.width);
    let below = u16::try_from(outcome.len()).unwrap_or(3).min(inner.height / 2) + 1;
    // Without a destination there is only the choice.
    let shown = if step.replicates() { step.form.fields.len() } else { 1 };
    let fields: Vec<_> = step.form.fields.iter().take(shown).collect();
    let place = Rect { y: inner.y + 3, height: inner.height.saturating_sub(3 + below), ..inner };
    let used = form::draw(&fields, Some(step.form.focus()), theme, place, buf);
    put_lines(buf, Rect { y: place.y + used + 1, height: below - 1, ..inner }, 0, &outcome);
}

fn outcome(app: &App, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let step = &app.destination;
    let say = |tone, text: &str| paragraph(text, width, 0, theme.style(tone));
    if app.run.is_running() {
        return say(Tone::Accent, "The replication runs already; Enter shows the dashboard.");
    }
    if !step.replicates() {
        return say(Tone::Plain, "Nothing is written anywhere: Enter opens the dashboard of the source.");
    }
    let current = step.current();
    let mut lines = tried::lines(app, theme, Job::TestDestination, current, width);
    if let Some(Ok(tested)) = current.filter(|_| !app.jobs.runs(Job::TestDestination)) {
        if let Some(reason) = unfit(tested, &step.settings()) {
            lines.extend(say(Tone::Bad, &format!("{} {reason}", theme.mark(Tone::Bad))));
        } else {
            lines.push(Line::from(Span::styled(
                format!(
                    "{} It can be written to. Enter on the last field starts the replication.",
                    theme.mark(Tone::Good)
                ),
                theme.style(Tone::Good),
            )));
        }
    }
    lines
}
