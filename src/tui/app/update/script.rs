//! Keys of the setup script's screen.

use std::path::PathBuf;

use crate::setup::files;
use crate::tui::app::action::Action;
use crate::tui::app::choices;
use crate::tui::app::dialog::Dialog;
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::script::{ScriptFocus, StepState};
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

/// The screen was opened, or an answer was given: a plan is made unless there is one for the same answers.
pub(super) fn enter(app: &mut App, effects: &mut Vec<Effect>) {
    choices::show_for(&mut app.script.options, app.tables.method);
    let wanted = (app.profile(), app.script.admin(&app.source()));
    if app.script.planned_for.as_ref() != Some(&wanted) && !app.jobs.runs(Job::Apply) {
        (app.script.applied, app.script.planned) = (None, None);
        app.script.states.clear();
        plan(app, effects);
    }
}

/// Plans anew.
pub(super) fn plan(app: &mut App, effects: &mut Vec<Effect>) {
    let (profile, admin) = (app.profile(), app.script.admin(&app.source()));
    (app.script.error, app.script.rehearsal) = (None, None);
    app.cancel(Job::Rehearse, effects);
    app.script.planned_for = Some((profile.clone(), admin.clone()));
    app.start(Job::Plan, Work::Plan(profile, admin), effects);
}

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let page = isize::try_from(app.size.1 / 2).unwrap_or(8);
    let script = &mut app.script;
    match action {
        Action::NextField | Action::PreviousField => script.cycle(action == Action::NextField),
        Action::Down | Action::Up if script.focus != ScriptFocus::Script => script.cycle(action == Action::Down),
        Action::Left | Action::Right | Action::Toggle if script.focus == ScriptFocus::Options => {
            choose(app, action != Action::Left, effects);
        }
        Action::Confirm if script.focus == ScriptFocus::Administrator && !script.form.at_end() => {
            script.form.step(true);
        }
        Action::Confirm if script.focus != ScriptFocus::Script => {
            script.leave_fields();
            enter(app, effects);
        }
        Action::Back if script.focus != ScriptFocus::Script => script.leave_fields(),
        Action::Up => script.scroll_by(-1),
        Action::Down => script.scroll_by(1),
        Action::PageUp => script.scroll_by(-page),
        Action::PageDown => script.scroll_by(page),
        Action::First => (script.scroll, script.shift) = (0, 0),
        Action::Last => script.scroll_by(isize::MAX),
        Action::Left => script.shift = script.shift.saturating_sub(8),
        Action::Right => script.shift = (script.shift + 8).min(400),
        Action::Back if script.rehearsal.is_some() => (script.rehearsal, script.scroll) = (None, 0),
        Action::Rehearse => rehearse(app, effects),
        Action::Rerun if app.jobs.runs(Job::Apply) => {}
        Action::Rerun => {
            script.states.clear();
            plan(app, effects);
        }
        Action::Copy => {
            if let Some(planned) = &script.planned {
                effects.push(Effect::Copy(planned.script.clone()));
                app.note("Copied, if this terminal allows it (OSC 52); w saves it to a file instead.", false);
            }
        }
        Action::Write if script.planned.is_some() => app.dialog = Some(Dialog::path()),
        Action::Apply => offer(app, true),
        Action::Confirm => confirm(app, effects),
        Action::Back => {
            // The step at hand is finished or taken back by the server; only its task knows which.
            if app.cancel(Job::TestSource, effects) {
                app.note("Trying the role's login was cancelled.", false);
            } else if app.cancel(Job::Rehearse, effects) {
                app.note("The rehearsal was cancelled and rolled back.", false);
            } else if app.ask_to_stop(Job::Apply, effects) {
                app.note("Stopping after the step at hand.", false);
            } else if app.cancel(Job::Plan, effects) {
                app.script.error = Some("Planning was cancelled; r plans again.".to_owned());
            } else {
                app.show(Step::Preflight);
            }
        }
        _ => {}
    }
}

/// Chooses the next word of an option; the script follows at once. What is being applied stays as it was shown.
fn choose(app: &mut App, forward: bool, effects: &mut Vec<Effect>) {
    if app.jobs.runs(Job::Apply) {
        app.note("The script is being applied; Esc stops it after the step at hand.", false);
    } else if let Some(field) = app.script.field_mut() {
        field.cycle(forward);
        app.edited(effects);
        enter(app, effects);
    }
}

/// Tries the role's own login while an administrator stands in for it. Returns whether it has to be tried.
pub(super) fn test_the_role(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let source = app.source();
    let needed = app.connection.stand_in.asked && !app.connection.is_proven(&source);
    if needed && !app.jobs.runs(Job::TestSource) {
        app.start(Job::TestSource, Work::Test(source), effects);
    }
    needed
}

fn confirm(app: &mut App, effects: &mut Vec<Effect>) {
    let applied = matches!(app.script.applied, Some(Ok(())));
    if busy(app) || (applied && app.jobs.runs(Job::Preflight)) {
        app.note("Still working; Esc cancels.", false);
    } else if app.script.error.is_some() {
        plan(app, effects);
    } else if applied || app.script.open_steps() == 0 {
        // Replication logs in as the role: nobody can stand in for it there.
        if test_the_role(app, effects) {
            app.note("The role has to be able to log in before replication can start; trying again.", true);
        } else {
            app.show(Step::Destination);
        }
    } else {
        offer(app, false);
    }
}

/// Asks before anything is changed. The statements were on the screen, so that the default is to run them.
fn offer(app: &mut App, explicit: bool) {
    let steps = app.script.open_steps();
    if busy(app) {
        app.note("Still working; Esc cancels.", false);
    } else if app.script.error.is_some() || app.script.planned.is_none() {
        app.note("There is no plan to apply; r plans again.", true);
    } else if steps == 0 {
        app.note("There is nothing to apply.", false);
    } else if app.script.admin(&app.source()).is_some() {
        app.dialog = Some(Dialog::apply());
    } else if explicit {
        ask_for_administrator(app);
    } else {
        app.dialog = Some(Dialog::skip());
    }
}

/// Whether something runs that the plan hangs on.
fn busy(app: &App) -> bool {
    [Job::Apply, Job::Plan, Job::Rehearse].into_iter().any(|job| app.jobs.runs(job))
}

fn ask_for_administrator(app: &mut App) {
    app.note("Name an administrator who may run the script, and the password.", true);
    app.script.focus = ScriptFocus::Administrator;
    app.script.form.focus_on(0);
}

/// Nothing stays of a rehearsal, so that nobody is asked before.
fn rehearse(app: &mut App, effects: &mut Vec<Effect>) {
    let admin = app.script.admin(&app.source());
    match (&app.script.planned, admin) {
        _ if busy(app) => app.note("Still working; Esc cancels.", false),
        (Some(planned), _) if planned.plan.steps.is_empty() => app.note("There is nothing to rehearse.", false),
        (Some(planned), Some(admin)) if app.script.error.is_none() => {
            let work = Work::Rehearse(app.profile(), admin, planned.plan.clone());
            app.script.rehearsal = None;
            app.start(Job::Rehearse, work, effects);
        }
        (Some(_), None) => ask_for_administrator(app),
        _ => app.note("There is no plan to rehearse; r plans again.", true),
    }
}

/// The question was answered with yes.
pub(super) fn apply(app: &mut App, effects: &mut Vec<Effect>) {
    let admin = app.script.admin(&app.source());
    if let (Some(admin), Some(planned)) = (admin, &app.script.planned) {
        let plan = planned.plan.clone();
        app.script.states = vec![StepState::Waiting; plan.steps.len()];
        app.script.titles = plan.steps.iter().map(|step| step.title.clone()).collect();
        (app.script.applied, app.script.rehearsal) = (None, None);
        app.start(Job::Apply, Work::Apply(admin, plan), effects);
    }
}

/// The file's name was given; that of a directory for one file each person.
pub(super) fn write(app: &mut App, path: &str, effects: &mut Vec<Effect>) {
    let Some(planned) = &app.script.planned else { return };
    let work = if path.ends_with('/') {
        let files = files::files(&planned.plan, &app.profile(), false);
        if files.is_empty() {
            app.note("There is nothing to write for anybody.", false);
            return;
        }
        Work::WriteParts(PathBuf::from(path), files)
    } else {
        Work::Write(PathBuf::from(path), planned.script.clone())
    };
    app.start(Job::Write, work, effects);
}
