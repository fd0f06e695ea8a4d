//! Draws the connection screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::text::{cut, paragraph, put, put_lines};
use super::theme::{Theme, Tone};
use super::{form, tried};
use crate::connection::{Settings, parameters, printable};
use crate::tui::app::job::Job;
use crate::tui::app::state::App;

/// Draws the fields of the source and what the last try came to.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    put(buf, inner, 0, 0, "The source: the database to replicate from", theme.style(Tone::Title));
    put(buf, inner, 1, 0, "Paste a whole postgres:// URI into any field to fill them all.", theme.style(Tone::Dim));
    if let Some(text) = others(&app.source()) {
        put(buf, inner, 2, 0, &cut(&text, inner.width.into(), theme.ascii), theme.style(Tone::Accent));
    }
    let outcome = outcome(app, theme, inner.width);
    let below = u16::try_from(outcome.len()).unwrap_or(3).min(inner.height / 2) + 1;
    let (form, stand_in) = (&app.connection.form, &app.connection.stand_in);
    let mut fields: Vec<_> = form.shown().collect();
    let mut focus = form.focus_among_shown();
    if stand_in.in_fields {
        focus = fields.len() + app.script.form.focus();
    }
    if stand_in.asked {
        fields.extend(&app.script.form.fields);
    }
    let place = Rect { y: inner.y + 3, height: inner.height.saturating_sub(3 + below), ..inner };
    let used = form::draw(&fields, Some(focus), theme, place, buf);
    let place = Rect { y: place.y + used + 1, height: below - 1, ..inner };
    put_lines(buf, place, 0, &outcome);
}

/// The parameters that have no field on any screen, as they came with a connection string or from elsewhere.
pub(super) fn others(source: &Settings) -> Option<String> {
    const FIELDS: [&str; 6] = ["dbname", "user", "sslmode", "sslrootcert", "sslcert", "sslkey"];
    let several = !source.alternatives.is_empty();
    let has_no_field = |name: &str| !FIELDS.contains(&name) && (several || !matches!(name, "host" | "port"));
    let all = parameters::without_secrets(source);
    let said: Vec<String> =
        all.iter().filter(|(name, _)| has_no_field(name)).map(|(name, value)| format!("{name}={value}")).collect();
    (!said.is_empty()).then(|| printable(&format!("Also: {}", said.join("  "))).into_owned())
}

fn outcome(app: &App, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let source = app.source();
    let tried = app.connection.outcome_of(&source);
    if app.connection.stand_in.asked && !app.jobs.runs(Job::TestSource) {
        return stand_in(app, theme, width);
    }
    let mut lines = tried::lines(app, theme, Job::TestSource, tried, width);
    if app.mended_by_encryption() && !app.jobs.runs(Job::TestSource) {
        let text = "Enter on the last field goes on to Encryption, where mode and files are chosen.";
        lines.extend(paragraph(text, width, 0, theme.style(Tone::Accent)));
    }
    if app.offers_stand_in() && !app.jobs.runs(Job::TestSource) {
        let text = "F6: look as an administrator instead; the setup script then creates or mends the role.";
        lines.extend(paragraph(text, width, 0, theme.style(Tone::Accent)));
    }
    lines
}

/// What is known of the role and of the administrator who stands in for it.
fn stand_in(app: &App, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let source = app.source();
    let mut lines = match app.connection.mendable(&source) {
        Some(failure) => {
            let text = format!("{} {}", theme.mark(Tone::Warn), failure.message);
            paragraph(&text, width, 0, theme.style(Tone::Warn))
        }
        None => Vec::new(),
    };
    let outcome = app.stand_in_outcome();
    if outcome.is_some() || app.jobs.runs(Job::TestAdmin) {
        lines.extend(tried::lines(app, theme, Job::TestAdmin, outcome, width));
    }
    lines.extend(match outcome {
        Some(Ok(_)) => paragraph(
            "Enter goes on as the administrator, until the setup script has made the role.",
            width,
            0,
            theme.style(Tone::Plain),
        ),
        Some(Err(_)) => Vec::new(),
        None => paragraph(
            "An administrator looks while the role can't log in: name and password, then Enter. What you typed as the \
             role's password becomes its password if the role has to be created.",
            width,
            0,
            theme.style(Tone::Dim),
        ),
    });
    lines
}
