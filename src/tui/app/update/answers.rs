//! What the answers of tasks do to the state. Whether an answer is still wanted was decided before.

use super::{connection, preflight, profile, record, script};
use crate::setup::apply::ApplyEvent;
use crate::tui::app::connection::StandIn;
use crate::tui::app::job::Job;
use crate::tui::app::message::{Answer, Effect};
use crate::tui::app::run::RunState;
use crate::tui::app::script::StepState;
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

pub(super) fn take(app: &mut App, job: Job, answer: Answer, effects: &mut Vec<Effect>) {
    let wall = app.now.wall;
    match answer {
        // Editing cancels a try, so that the fields are still those that were tried.
        Answer::Tested(outcome) if job == Job::TestDestination => {
            if let Err(failure) = &outcome {
                connection::ask_for_passphrase(app, false, failure);
            }
            app.destination.outcome = Some((app.destination.settings(), outcome));
        }
        Answer::Tested(outcome) if job == Job::TestAdmin => {
            app.connection.stand_in.outcome = app.stand_in().map(|admin| (admin, outcome));
        }
        Answer::Tested(outcome) => {
            let entered = outcome.is_ok();
            if let Err(failure) = &outcome {
                connection::ask_for_passphrase(app, true, failure);
            }
            app.connection.outcome = Some((app.source(), outcome));
            tried(app, entered, effects);
        }
        Answer::Keyring(there) => {
            if there {
                app.connection.offer_keyring();
            }
        }
        Answer::Secrets(result) => connection::fetched(app, result, effects),
        Answer::Resolved(result) => connection::resolved(app, result),
        Answer::ProfileSaved(result) => profile::saved(app, result),
        Answer::ProfileExists(name) => profile::exists(app, name),
        Answer::Tables(Ok(choices)) => {
            let source = app.source();
            app.tables.take(source, choices);
        }
        Answer::Tables(Err(error)) => app.tables.error = Some(error),
        Answer::Checked(result) => {
            let profile = app.profile();
            app.preflight.take(profile, result.map(|report| *report));
        }
        Answer::Planned(Ok(planned)) => {
            let script = &mut app.script;
            (script.planned, script.error, script.scroll, script.shift) = (Some(*planned), None, 0, 0);
        }
        Answer::Planned(Err(error)) => app.script.error = Some(error),
        Answer::Rehearsed(result) => (app.script.rehearsal, app.script.scroll) = (Some(result), 0),
        Answer::Applying(event) => applying(app, event),
        Answer::Applied(result) => applied(app, result, effects),
        Answer::Written(Ok(path)) => {
            let what = if app.step == Step::Dashboard { "export" } else { "script" };
            app.note(format!("The {what} is in {}; only you can read it.", path.display()), false);
        }
        Answer::Written(Err(error)) => app.note(error, true),
        Answer::Progress(progress) => {
            if let Some(dashboard) = app.dashboard.as_mut() {
                dashboard.progress((*progress).clone(), wall);
            }
            app.run.take(progress);
        }
        Answer::RunEvent(event) => {
            if let Some(dashboard) = app.dashboard.as_mut() {
                dashboard.run_event(event, wall);
            }
        }
        Answer::RunEnded(result) => run_ended(app, result, effects),
        Answer::Counted(result) => super::dashboard::counted(app, result),
        Answer::Acted(result) => super::dashboard::acted(app, result, effects),
        Answer::Sampled(sample) => {
            if let Some(dashboard) = app.dashboard_of(job) {
                dashboard.sampled(*sample, wall);
            }
        }
        Answer::SampleFailed(reason, pause) => {
            if let Some(dashboard) = app.dashboard_of(job) {
                dashboard.sample_failed(reason, Some(wall + pause), wall);
            }
        }
        Answer::Throttled(pause) => {
            if let Some(dashboard) = app.dashboard_of(job) {
                dashboard.throttle(pause, wall);
            }
        }
        Answer::Unconfigured(reason) => {
            if let Some(dashboard) = app.dashboard_of(job) {
                dashboard.unconfigured(&reason, wall);
            }
            app.note(reason, true);
        }
        Answer::Recording(state) => record::goes_on(app, state),
        Answer::Recorded(result) => record::ended(app, result),
        Answer::Died(reason) => died(app, job, reason, effects),
    }
}

/// The source was tried. A role that may log in needs nobody who stands in for it.
fn tried(app: &mut App, entered: bool, effects: &mut Vec<Effect>) {
    if !entered && app.step < Step::Tables {
        connection::test_stand_in(app, effects);
    }
    if entered && app.connection.stand_in.asked {
        app.connection.stand_in = StandIn::default();
        if app.step == Step::Script {
            // What the administrator has seen, the role has to see too.
            preflight::run(app, effects);
        }
    }
}

fn applying(app: &mut App, event: ApplyEvent) {
    let (at, state) = match event {
        ApplyEvent::Started(at) => (at, StepState::Running(None)),
        ApplyEvent::Waiting { at, reason, left, .. } => {
            (at, StepState::Running(Some(format!("again in {left} s, {reason}"))))
        }
        ApplyEvent::Skipped(at) => (at, StepState::Skipped),
        ApplyEvent::Done(at) => (at, StepState::Done),
    };
    if let Some(slot) = app.script.states.get_mut(at) {
        *slot = state;
    }
}

/// The checks run again, and what is still missing is planned again: what is shown is what the server says.
fn applied(app: &mut App, result: Result<(), String>, effects: &mut Vec<Effect>) {
    if result.is_err() {
        for state in &mut app.script.states {
            if matches!(state, StepState::Running(_)) {
                *state = StepState::Failed;
            }
        }
    }
    app.script.applied = Some(result);
    script::plan(app, effects);
    preflight::run(app, effects);
    script::test_the_role(app, effects);
}

fn run_ended(app: &mut App, result: Result<Box<crate::replication::Summary>, String>, effects: &mut Vec<Effect>) {
    if let Some(dashboard) = app.dashboard.as_mut() {
        dashboard.run_ended(result.clone().map(|summary| *summary), app.now.wall);
    }
    match &result {
        Ok(summary) => {
            app.note(format!("The replication stopped at {}; its checkpoint is kept.", summary.checkpoint), false);
        }
        Err(error) => app.note(format!("The replication ended: {error}"), true),
    }
    app.run.end(result);
    if app.leaving.is_some() {
        effects.push(Effect::Quit);
    }
}

fn died(app: &mut App, job: Job, reason: String, effects: &mut Vec<Effect>) {
    match job {
        Job::Preflight => app.preflight.error = Some(reason),
        Job::Plan => app.script.error = Some(reason),
        Job::Rehearse => app.script.rehearsal = Some(Err(reason)),
        Job::Apply => applied(app, Err(reason), effects),
        Job::ListTables => app.tables.error = Some(reason),
        Job::Run => run_ended(app, Err(reason), effects),
        Job::Watch | Job::Member(_) => {
            let wall = app.now.wall;
            if let Some(dashboard) = app.dashboard_of(job) {
                dashboard.sample_failed(reason, None, wall);
            }
        }
        Job::Count => super::dashboard::counted(app, Err(reason)),
        Job::Act => super::dashboard::acted(app, Err(reason), effects),
        Job::Record => record::ended(app, Err(reason)),
        Job::Keyring | Job::Secrets | Job::Resolve | Job::SaveProfile | Job::Write => app.note(reason, true),
        Job::TestSource | Job::TestAdmin | Job::TestDestination => app.note(reason, true),
    }
    if matches!(app.run, RunState::Ended { .. }) && app.leaving.is_some() && job != Job::Run {
        effects.push(Effect::Quit);
    }
}
