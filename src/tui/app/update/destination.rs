//! Keys of the destination screen, and the start of a run.

use super::connection::offer_to_split;
use crate::connection::{Secret, Settings, uri};
use crate::monitor::Target;
use crate::profile::Method;
use crate::replication::{RunOptions, XminOptions};
use crate::tui::app::action::Action;
use crate::tui::app::destination::unfit;
use crate::tui::app::field::{Field, Kind};
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::run::RunState;
use crate::tui::app::state::App;
use crate::tui::app::step::Step;
use crate::tui::app::validate::FieldId;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let watches = !app.destination.replicates();
    let form = &mut app.destination.form;
    match action {
        // The other fields are not shown while the source is only watched.
        Action::NextField | Action::PreviousField | Action::Up | Action::Down if watches => {}
        Action::NextField | Action::Down => form.step(true),
        Action::PreviousField | Action::Up => form.step(false),
        Action::Left | Action::Right | Action::Toggle => {
            if let Some(field) = form.focused_mut() {
                field.cycle(action != Action::Left);
            }
            app.edited(effects);
        }
        Action::Test => test(app, effects),
        Action::Back => {
            let stopped = app.cancel(Job::TestDestination, effects);
            if !stopped {
                app.show(Step::Script);
            }
        }
        Action::Confirm => confirm(app, effects),
        _ => {}
    }
}

fn confirm(app: &mut App, effects: &mut Vec<Effect>) {
    if app.run.is_running() {
        app.show(Step::Dashboard);
        return;
    }
    if !app.destination.replicates() {
        let target = target(app, None);
        app.watch(target, false, effects);
        app.show(Step::Dashboard);
        return;
    }
    let form = &mut app.destination.form;
    let typed = form.focused().filter(|field| field.kind == Kind::Text);
    let typed = typed.map(Field::text).filter(|text| uri::is_connection_string(text)).map(Secret::new);
    if let Some(typed) = typed {
        offer_to_split(app, typed, effects);
    } else if !form.at_end() {
        form.step(true);
    } else {
        let settings = app.destination.settings();
        match app.destination.current() {
            Some(Ok(tested)) if unfit(tested, &settings).is_none() => start(app, settings, effects),
            _ => test(app, effects),
        }
    }
}

/// Tries the destination, if all fields are right.
pub(super) fn test(app: &mut App, effects: &mut Vec<Effect>) {
    if !app.destination.replicates() || !app.destination.form.validate() || app.jobs.runs(Job::TestDestination) {
        return;
    }
    let (source, to) = (app.source(), app.destination.settings());
    if (&source.host, source.port, &source.database) == (&to.host, to.port, &to.database) {
        app.destination.form.blame(
            FieldId::Database,
            "This is the source itself; rows would chase their own copies. Name another database.",
        );
        return;
    }
    app.start(Job::TestDestination, Work::Test(to), effects);
}

fn start(app: &mut App, destination: Settings, effects: &mut Vec<Effect>) {
    let target = target(app, Some(destination.clone()));
    app.watch(target, true, effects);
    let options = RunOptions { profile: app.profile(), destination, create_slot: true, xmin: XminOptions::default() };
    app.run = RunState::Running { progress: None };
    app.start(Job::Run, Work::Run(options), effects);
    app.show(Step::Dashboard);
}

fn target(app: &App, destination: Option<Settings>) -> Target {
    let profile = app.profile();
    let cdc = profile.method == Method::Cdc;
    Target {
        source: profile.source,
        slot: cdc.then_some(profile.slot),
        publication: cdc.then_some(profile.publication),
        destination,
        alerts: profile.alerts,
        ..Target::default()
    }
}
