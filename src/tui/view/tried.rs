//! What trying a connection came to, in lines.

use ratatui::text::{Line, Span};

use super::chrome::working;
use super::security::Panel;
use super::text::paragraph;
use super::theme::{Theme, Tone};
use crate::connection::{Failure, SslMode};
use crate::tui::app::job::Job;
use crate::tui::app::message::Tested;
use crate::tui::app::state::App;

/// Lines about a try: under way, a success, a failure with its remedy, or nothing yet.
#[must_use]
pub fn lines(
    app: &App,
    theme: Theme,
    job: Job,
    outcome: Option<&Result<Tested, Box<Failure>>>,
    width: u16,
) -> Vec<Line<'static>> {
    let asking = working(app, theme, Job::Secrets, "Getting the password").filter(|_| job == Job::TestSource);
    if let Some(text) = asking.or_else(|| working(app, theme, job, "Connecting")) {
        return vec![Line::from(Span::styled(text, theme.style(Tone::Accent)))];
    }
    let local = match job {
        Job::TestDestination => app.destination.settings().is_local(),
        _ => app.source().is_local(),
    };
    match outcome {
        None => paragraph("Not tested yet: Enter on the last field, or F5.", width, 0, theme.style(Tone::Dim)),
        Some(Ok(tested)) => success(app, tested, theme, width, local),
        Some(Err(failure)) => {
            let mark = theme.mark(Tone::Bad);
            let mut lines = paragraph(&format!("{mark} {}", failure.message), width, 0, theme.style(Tone::Bad));
            lines.extend(paragraph(&failure.remedy, width, 2, theme.style(Tone::Plain)));
            lines
        }
    }
}

fn success(app: &App, tested: &Tested, theme: Theme, width: u16, local: bool) -> Vec<Line<'static>> {
    let text = format!("{} Connected to PostgreSQL {}.", theme.mark(Tone::Good), tested.version);
    let mut lines = paragraph(&text, width, 0, theme.style(Tone::Good));
    let panel = Panel { theme, width, now: app.now.wall, local };
    lines.extend(panel.short(&tested.security));
    if app.offers_upgrade() {
        lines.extend(upgrade(theme, width));
    }
    lines
}

/// What to do where TLS was given up.
#[must_use]
pub fn upgrade(theme: Theme, width: u16) -> Vec<Line<'static>> {
    let text = format!("{} F4: upgrade to require, which is encrypted or not at all.", theme.mark(Tone::Bad));
    paragraph(&text, width, 0, theme.style(Tone::Bad))
}

/// What a mode risks on the way to a server that is not on this machine.
#[must_use]
pub fn risk(mode: SslMode) -> Option<&'static str> {
    match mode {
        SslMode::Disable => {
            Some("This server is not on this machine: passwords and rows would cross the network readable.")
        }
        SslMode::Allow | SslMode::Prefer => {
            Some("This server is not on this machine: whoever sits in between can force plain text. Choose require.")
        }
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => None,
    }
}
