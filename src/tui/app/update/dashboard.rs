//! The dashboard's keys that concern more than what it shows.

use std::path::PathBuf;

use super::{leave, record};
use crate::monitor::count::{Count, Drift};
use crate::monitor::units;
use crate::tui::app::action::Action;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::app::dialog::{Dialog, Proposal};
use crate::tui::app::job::Job;
use crate::tui::app::menu::{Choice, Menu};
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::run::RunState;
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let zone = app.zone.clone();
    let Some(dashboard) = app.dashboard.as_mut() else { return fleet(app, action, effects) };
    match action {
        Action::Fleet if app.fleet.is_some() => close(app),
        Action::Fleet => {
            app.note("One source is watched here; walpilot watch --fleet all watches every saved profile.", false);
        }
        Action::Apply => propose(app),
        Action::Acknowledge | Action::Mute | Action::MuteForGood if dashboard.replay().is_some() => {
            app.note("Nothing can be decided about the past.", false);
        }
        Action::Acknowledge => ask_about(app, "acknowledge", Dialog::acknowledge),
        Action::Mute => ask_about(app, "mute", |finding| Dialog::menu(Menu::mute(finding))),
        Action::Count => count(app, effects),
        Action::Confirm => dashboard.keep_filter(),
        Action::Back if dashboard.can_go_back() => dashboard.act(Action::Back),
        Action::Leave if dashboard.has_page() => dashboard.act(Action::Leave),
        Action::Back | Action::Leave if app.fleet.is_some() => close(app),
        Action::Leave => leave::quit(app, effects),
        Action::Back if app.only_dashboard => leave::quit(app, effects),
        Action::Back => app.show(Step::Destination),
        Action::StopRun if matches!(app.run, RunState::Running { .. }) => app.dialog = Some(Dialog::stop_run()),
        Action::Rerun if dashboard.replay().is_none() => effects.push(Effect::Refresh),
        Action::Copy => match dashboard.sql() {
            Some(sql) => copy(app, sql, effects),
            None => app.note("There is no SQL to copy for the selected line.", false),
        },
        Action::CopyWhat => match Menu::copy(dashboard) {
            Some(menu) => app.dialog = Some(Dialog::menu(menu)),
            None => app.note("There is nothing to copy yet.", false),
        },
        Action::Export => app.dialog = Some(Dialog::menu(Menu::export())),
        Action::Sort => app.dialog = Some(Dialog::menu(Menu::sort(dashboard))),
        Action::Record => record::key(app, effects),
        Action::Command => app.dialog = Some(Dialog::command()),
        Action::Times => {
            let display = dashboard.display_mut();
            display.times = display.times.next(&zone);
            let text = format!("Times: {}.", display.times.name());
            app.note(text, false);
        }
        Action::Sizes => {
            dashboard.act(action);
            let text = format!("Sizes {}.", dashboard.display().sizes.name());
            app.note(text, false);
        }
        Action::Slower | Action::Faster => {
            let before = dashboard.pace();
            dashboard.act(action);
            if dashboard.pace() != before {
                effects.push(Effect::Pace(dashboard.pace()));
            }
        }
        action => dashboard.act(action),
    }
}

/// Opens a question about the selected finding.
fn ask_about(app: &mut App, what: &str, question: impl Fn(String) -> Dialog) {
    let finding = app.dashboard.as_ref().and_then(Dashboard::finding);
    match finding.map(|finding| format!("{} {}: {}", finding.rule, finding.object, finding.title)) {
        Some(finding) => app.dialog = Some(question(finding)),
        None => app.note(format!("Nothing is wrong, so there is nothing to {what}."), false),
    }
}

/// An answer of a menu was chosen.
pub(super) fn chosen(app: &mut App, choice: Choice, effects: &mut Vec<Effect>) {
    match (choice, app.dashboard.as_mut()) {
        (Choice::Mute(time), Some(dashboard)) if dashboard.replay().is_none() => dashboard.mute(time),
        (Choice::Slots(order), Some(dashboard)) => dashboard.sort_by(order),
        (Choice::Tables(order), Some(dashboard)) => dashboard.sort_tables_by(order),
        (Choice::Mute(_) | Choice::Slots(_) | Choice::Tables(_), _) => {}
        (Choice::Export(format), dashboard) => match dashboard.and_then(|dashboard| dashboard.export(format)) {
            Some((name, text)) => app.start(Job::Write, Work::Write(PathBuf::from(name), text), effects),
            None => app.note("There is nothing to tell of yet: no sample has arrived.", true),
        },
        (Choice::Copy(text), _) => {
            let shown = text.clone();
            effects.push(Effect::Copy(text));
            app.note(format!("Copied, if this terminal allows it (OSC 52): {shown}"), false);
        }
    }
}

/// Puts a statement on the terminal's clipboard.
pub(super) fn copy(app: &mut App, sql: String, effects: &mut Vec<Effect>) {
    effects.push(Effect::Copy(sql));
    app.note("Copied, if this terminal allows it (OSC 52); it stands in the diagnosis too.", false);
}

/// Counts the selected table; the count runs beside the samples.
fn count(app: &mut App, effects: &mut Vec<Effect>) {
    let table = app.dashboard.as_ref().filter(|dashboard| dashboard.replay().is_none()).and_then(Dashboard::table);
    match (table, app.watched.clone()) {
        (Some(table), Some(target)) => {
            app.note(format!("{table} is being counted; that reads all of it, for half a minute at the most."), false);
            app.start(Job::Count, Work::Count(Box::new(target), table), effects);
        }
        _ => app.note("There is no table to count.", false),
    }
}

/// A table was counted.
pub(super) fn counted(app: &mut App, result: Result<Box<Count>, String>) {
    match result {
        Ok(count) => {
            app.note(drift(&count), count.drift.is_certain());
            if let Some(dashboard) = app.dashboard.as_mut() {
                dashboard.counted(*count);
            }
        }
        Err(reason) => app.note(reason, true),
    }
}

/// What a count says, in a sentence.
fn drift(count: &Count) -> String {
    let rows = units::exactly(count.source, "row");
    let more = |difference: i64| {
        let word = if difference > 0 { "more" } else { "fewer" };
        format!("{} {word} than there", units::grouped(difference.unsigned_abs()))
    };
    match &count.drift {
        Drift::Exact(0) => format!("{}: {rows} at both sides.", count.table),
        Drift::Exact(difference) => {
            format!("{}: {rows} at the source, {}.", count.table, more(*difference))
        }
        Drift::Within { difference, moved } => {
            let moved = units::exactly(*moved, "row");
            format!("{}: {rows} at the source, {}, while {moved} came or went.", count.table, more(*difference))
        }
        Drift::Unknown(why) => format!("{}: {rows} at the source. {why}", count.table),
    }
}

/// Shows the statements of the selected finding.
fn propose(app: &mut App) {
    let Some(dashboard) = &app.dashboard else { return };
    let Some(finding) = dashboard.finding() else {
        return app.note("Nothing is wrong, so there is nothing to run.", false);
    };
    let actions: Vec<_> = finding.actions.iter().filter(|action| action.sql.is_some()).cloned().collect();
    if actions.is_empty() {
        let text = format!("No statement mends {} {}; the diagnosis says what does.", finding.rule, finding.object);
        return app.note(text, false);
    }
    let allowed = app.allow_actions && app.watched.is_some() && dashboard.replay().is_none();
    let (object, title) = (finding.object.clone(), finding.title.clone());
    app.dialog = Some(Dialog::act(Proposal { object, title, actions, at: 0, allowed }));
}

/// Runs a statement whose object's name was typed.
pub(super) fn run(app: &mut App, proposal: &Proposal, effects: &mut Vec<Effect>) {
    let Some(target) = app.watched.clone() else { return };
    app.start(Job::Act, Work::Act(target.source, proposal.sql().to_owned()), effects);
    app.note("The statement is under way.", false);
}

/// A statement was run.
pub(super) fn acted(app: &mut App, result: Result<String, String>, effects: &mut Vec<Effect>) {
    match result {
        Ok(answer) => app.note(format!("Done; the server answered: {answer}"), false),
        Err(reason) => app.note(reason, true),
    }
    effects.push(Effect::Refresh);
}

/// Keys of the fleet.
fn fleet(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let Some(fleet) = app.fleet.as_mut() else { return };
    match action {
        Action::Up => fleet.step(-1),
        Action::Down => fleet.step(1),
        Action::First => fleet.step(isize::MIN),
        Action::Last => fleet.step(isize::MAX),
        Action::Confirm => {
            app.dashboard = fleet.open();
            app.watched = app.fleet.as_ref().and_then(|fleet| fleet.target().cloned());
        }
        Action::Rerun => effects.push(Effect::Refresh),
        Action::Privacy => app.private = !app.private,
        Action::Back => leave::quit(app, effects),
        _ => {}
    }
}

/// Back to the fleet.
fn close(app: &mut App) {
    if let (Some(fleet), Some(dashboard)) = (app.fleet.as_mut(), app.dashboard.take()) {
        fleet.close(dashboard);
    }
}
