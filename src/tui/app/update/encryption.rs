//! Keys of the encryption screen.

use super::connection::{stand_in, test};
use crate::connection::SslMode;
use crate::tui::app::action::Action;
use crate::tui::app::job::Job;
use crate::tui::app::message::Effect;
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Up => choose(app, false, effects),
        Action::Down => choose(app, true, effects),
        Action::Test => test(app, effects),
        Action::Back => {
            let stopped = app.cancel(Job::TestSource, effects) | app.cancel(Job::TestAdmin, effects);
            if !stopped {
                app.show(Step::Connection);
            }
        }
        Action::StandIn => stand_in(app, effects),
        Action::Confirm if app.reader().is_some() => app.show(Step::Tables),
        Action::Confirm => test(app, effects),
        _ => {}
    }
}

fn choose(app: &mut App, next: bool, effects: &mut Vec<Effect>) {
    let modes = SslMode::ALL;
    let at = modes.iter().position(|mode| *mode == app.ssl_mode).unwrap_or(0);
    let to = if next { (at + 1).min(modes.len() - 1) } else { at.saturating_sub(1) };
    if to != at {
        app.ssl_mode = modes[to];
        app.edited(effects);
    }
}
