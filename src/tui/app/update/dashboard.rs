//! The dashboard's keys that concern more than what it shows.

use std::path::PathBuf;

use super::leave;
use crate::monitor::report::Report;
use crate::monitor::{Moment, incident};
use crate::tui::app::action::Action;
use crate::tui::app::dashboard::DashboardAction;
use crate::tui::app::dialog::Dialog;
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::run::RunState;
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let Some(dashboard) = app.dashboard.as_mut() else { return };
    match action {
        Action::Dashboard(action) => {
            let before = dashboard.pace();
            dashboard.act(action);
            if dashboard.pace() != before {
                effects.push(Effect::Pace(dashboard.pace()));
            }
        }
        Action::Confirm => dashboard.keep_filter(),
        Action::Back if dashboard.can_go_back() => dashboard.act(DashboardAction::Back),
        Action::Back if app.only_dashboard => leave::quit(app, effects),
        Action::Back => app.show(Step::Destination),
        Action::StopRun if matches!(app.run, RunState::Running { .. }) => app.dialog = Some(Dialog::stop_run()),
        Action::Rerun if dashboard.replay().is_none() => effects.push(Effect::Refresh),
        Action::Copy => match dashboard.sql() {
            Some(sql) => {
                effects.push(Effect::Copy(sql));
                app.note("Copied, if this terminal allows it (OSC 52); it stands in the diagnosis too.", false);
            }
            None => app.note("There is no SQL to copy for the selected line.", false),
        },
        Action::Write => export(app, effects),
        _ => {}
    }
}

/// Writes what is on the screen as an incident report, under a name with the moment that it tells of.
fn export(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(dashboard) = &app.dashboard else { return };
    let watcher = &dashboard.picture().watcher;
    let Some(report) = Report::of(watcher) else {
        return app.note("There is nothing to tell of yet: no sample has arrived.", true);
    };
    let text = incident::markdown(&report, dashboard.source(), watcher.events());
    let name = format!("walpilot-incident-{}.md", stamp(report.at));
    app.start(Job::Write, Work::Write(PathBuf::from(name), text), effects);
}

/// `20261122-120341`.
fn stamp(at: Moment) -> String {
    at.to_string().chars().filter(|c| c.is_ascii_digit() || *c == 'T').take(15).collect::<String>().replace('T', "-")
}
