//! Keys of the encryption screen.

use super::connection::{stand_in, stop, test};
use crate::connection::SslMode;
use crate::tui::app::action::Action;
use crate::tui::app::job::Job;
use crate::tui::app::message::Effect;
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

/// How far one key scrolls what was negotiated, and how far it can be scrolled, in lines.
const PAGE: usize = 4;
const LAST: usize = 24;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let testing = [Job::Secrets, Job::TestSource, Job::TestAdmin].into_iter().any(|job| app.jobs.runs(job));
    let entered = app.reader().is_some();
    let step = &mut app.encryption;
    match action {
        Action::Back if step.in_fields && !testing => app.encryption.leave(),
        Action::NextField | Action::PreviousField => move_focus(app, action == Action::NextField),
        Action::Up | Action::Down if step.in_fields => move_focus(app, action == Action::Down),
        Action::Left | Action::Right | Action::Toggle if step.in_fields => {
            if let Some(field) = step.form.focused_mut() {
                field.cycle(action != Action::Left);
            }
            // Whoever says whom to trust has chosen; the mode no longer follows the host.
            step.chosen = true;
            app.edited(effects);
        }
        Action::Up => choose(app, false, effects),
        Action::Down => choose(app, true, effects),
        Action::PageDown => step.scroll = (step.scroll + PAGE).min(LAST),
        Action::PageUp => step.scroll = step.scroll.saturating_sub(PAGE),
        Action::Test => try_it(app, effects),
        Action::Back => {
            let stopped = stop(app, effects);
            if !stopped {
                app.show(Step::Connection);
            }
        }
        Action::StandIn => stand_in(app, effects),
        Action::Confirm if step.in_fields && !step.form.at_end() => move_focus(app, true),
        Action::Confirm if entered => app.show(Step::Tables),
        Action::Confirm => try_it(app, effects),
        _ => {}
    }
}

/// Tries the connection if the files are right.
fn try_it(app: &mut App, effects: &mut Vec<Effect>) {
    app.encryption.scroll = 0;
    if app.encryption.form.validate() {
        test(app, effects);
    } else {
        app.encryption.in_fields = true;
    }
}

/// The ring of the focus: the modes, then the fields that are shown.
fn move_focus(app: &mut App, forward: bool) {
    let step = &mut app.encryption;
    let count = step.form.shown().count() + 1;
    let at = if step.in_fields { step.form.focus_among_shown() + 1 } else { 0 };
    let to = (at + if forward { 1 } else { count - 1 }) % count;
    step.leave();
    if to > 0 {
        step.in_fields = true;
        step.form.focus_on_shown(to - 1);
    }
}

fn choose(app: &mut App, next: bool, effects: &mut Vec<Effect>) {
    let modes = SslMode::ALL;
    let at = modes.iter().position(|mode| *mode == app.encryption.mode).unwrap_or(0);
    let to = if next { (at + 1).min(modes.len() - 1) } else { at.saturating_sub(1) };
    if to != at {
        let step = &mut app.encryption;
        (step.mode, step.chosen, step.origin, step.scroll) = (modes[to], true, None, 0);
        app.edited(effects);
    }
}
