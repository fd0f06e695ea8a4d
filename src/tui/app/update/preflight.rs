//! Keys of the preflight screen.

use crate::tui::app::action::Action;
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

/// The screen was opened: checks run unless they were run for the same answers.
pub(super) fn enter(app: &mut App, effects: &mut Vec<Effect>) {
    if app.preflight.judged.as_ref() != Some(&app.profile()) && !app.jobs.runs(Job::Preflight) {
        app.preflight.report = None;
        run(app, effects);
    }
}

/// Gathers and judges anew.
pub(super) fn run(app: &mut App, effects: &mut Vec<Effect>) {
    start(app, false, effects);
}

fn start(app: &mut App, deep: bool, effects: &mut Vec<Effect>) {
    (app.preflight.error, app.preflight.deep) = (None, deep);
    let profile = app.profile();
    let reader = app.reader().map_or_else(|| app.source(), |(reader, _)| reader);
    app.start(Job::Preflight, Work::Preflight { profile, reader, deep }, effects);
}

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let page = isize::try_from(app.size.1 / 3).unwrap_or(8);
    match action {
        Action::Up => app.preflight.move_by(-1),
        Action::Down => app.preflight.move_by(1),
        Action::First => app.preflight.move_by(isize::MIN),
        Action::Last => app.preflight.move_by(isize::MAX),
        Action::PageUp => app.preflight.scroll = app.preflight.scroll.saturating_add_signed(-page),
        Action::PageDown => app.preflight.scroll = (app.preflight.scroll + page.unsigned_abs()).min(400),
        Action::Rerun => run(app, effects),
        Action::Deep => start(app, true, effects),
        Action::Back => {
            if app.cancel(Job::Preflight, effects) {
                app.preflight.error = Some("The checks were cancelled; r runs them again.".to_owned());
            } else {
                app.show(Step::Tables);
            }
        }
        Action::Confirm if app.jobs.runs(Job::Preflight) => {
            app.note("The checks are still running; Esc cancels.", false);
        }
        Action::Confirm => match &app.preflight.report {
            Some(report) if app.preflight.error.is_none() => {
                let blockers = report.counts().blockers;
                app.show(Step::Script);
                if blockers > 0 {
                    app.note("Going on with blockers: this script mends what SQL can mend.", false);
                }
            }
            _ => run(app, effects),
        },
        _ => {}
    }
}
