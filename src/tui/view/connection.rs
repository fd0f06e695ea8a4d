//! Draws the connection screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::{put, put_lines};
use super::theme::{Theme, Tone};
use super::{form, tried};
use crate::tui::app::job::Job;
use crate::tui::app::state::App;

/// Draws the fields of the source and what the last try came to.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    put(buf, inner, 0, 0, "The source: the database to replicate from", theme.style(Tone::Title));
    put(buf, inner, 1, 0, "Paste a whole postgres:// URI into any field to fill them all.", theme.style(Tone::Dim));
    let source = app.source();
    let tried = app.connection.outcome_of(&source);
    let outcome = tried::lines(app, theme, Job::TestSource, tried, source.is_local(), inner.width);
    let below = u16::try_from(outcome.len()).unwrap_or(3).min(inner.height / 2) + 1;
    let fields: Vec<_> = app.connection.form.fields.iter().collect();
    let place = Rect { y: inner.y + 3, height: inner.height.saturating_sub(3 + below), ..inner };
    let used = form::draw(&fields, Some(app.connection.form.focus()), theme, place, buf);
    let place = Rect { y: place.y + used + 1, height: below - 1, ..inner };
    put_lines(buf, place, 0, &outcome);
}
