//! Drawing: pure functions from state to a buffer, one file for each screen. Nothing here changes the state, reads a
//! clock or knows a terminal, so that tests, pictures and the program draw the same.

pub mod chrome;
pub mod connection;
pub mod dashboard;
pub mod destination;
pub mod dialog;
pub mod encryption;
pub mod fleet;
pub mod form;
mod glossary;
pub mod help;
pub mod mode;
pub mod preflight;
mod rehearsal;
pub mod script;
pub mod security;
pub mod sql;
pub mod tables;
pub mod text;
pub mod theme;
pub mod tried;

use std::collections::HashSet;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::app::state::App;
use super::app::step::Step;
use chrome::{breadcrumb, footer, too_small};
pub use theme::Theme;

/// From this size on a source of a fleet has the others in a line above it.
const FLEET: (u16, u16) = (160, 40);

/// What the user chose goes before what the terminal says of itself.
fn chosen(app: &App, theme: Theme) -> Theme {
    Theme {
        color: app.paint.color.unwrap_or(theme.color),
        ascii: app.paint.ascii.unwrap_or(theme.ascii),
        light: app.paint.light.unwrap_or(theme.light),
        ..theme
    }
}

/// The part of the screen that the help may cover: all but the footer.
fn help_area(area: Rect) -> Rect {
    Rect { height: area.height.saturating_sub(2), ..area }
}

/// How far the help can be scrolled on a screen of `area`; the state does not know how long its text is there.
#[must_use]
pub fn furthest_help(app: &App, theme: Theme, area: Rect) -> usize {
    help::furthest(app, chosen(app, theme), help_area(area))
}

/// Draws the whole screen.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    let theme = chosen(app, theme);
    if area.width < chrome::MIN_WIDTH || area.height < chrome::MIN_HEIGHT {
        too_small(area, buf);
        return;
    }
    let head = if app.only_dashboard { 0 } else { 2 };
    let body = Rect { y: area.y + head, height: area.height - head - 2, ..area };
    if !app.only_dashboard {
        breadcrumb(app, theme, Rect { height: head, ..area }, buf);
    }
    match app.step {
        Step::Connection => connection::draw(app, theme, body, buf),
        Step::Encryption => encryption::draw(app, theme, body, buf),
        Step::Tables => tables::draw(app, theme, body, buf),
        Step::Preflight => preflight::draw(app, theme, body, buf),
        Step::Script => script::draw(app, theme, body, buf),
        Step::Destination => destination::draw(app, theme, body, buf),
        Step::Dashboard => {
            if let Some(dashboard) = &app.dashboard {
                let mut body = body;
                if let Some(sources) = app.fleet.as_ref().filter(|_| body.width >= FLEET.0 && body.height >= FLEET.1) {
                    fleet::line(sources, dashboard, theme, Rect { height: 1, ..body }, buf);
                    body = Rect { y: body.y + 1, height: body.height - 1, ..body };
                }
                dashboard::draw(dashboard, theme, app.now.wall, body, buf);
            } else if let Some(sources) = &app.fleet {
                fleet::draw(sources, theme, app.now.wall, body, buf);
            }
        }
    }
    footer(app, theme, Rect { y: area.bottom() - 2, height: 2, ..area }, buf);
    if let Some(question) = &app.dialog {
        dialog::draw(app, question, theme, body, buf);
    }
    if let Some(names) = hidden(app) {
        dashboard::veil(&names, theme, area, buf);
    }
    if let Some(scroll) = app.help {
        help::draw(app, scroll, theme, help_area(area), buf);
    }
}

/// The names that are hidden now, if any are.
fn hidden(app: &App) -> Option<HashSet<String>> {
    let mut names = HashSet::new();
    match (&app.dashboard, &app.fleet) {
        _ if app.step != Step::Dashboard => return None,
        (Some(dashboard), fleet) if dashboard.display().private => {
            dashboard.names(&mut names);
            if let Some(fleet) = fleet {
                fleet.names(&mut names);
            }
        }
        (None, Some(fleet)) if app.private => fleet.names(&mut names),
        _ => return None,
    }
    Some(names)
}
