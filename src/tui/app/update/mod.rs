//! What a message does to the state.

mod answers;
mod connection;
mod dashboard;
mod destination;
mod dialog;
mod encryption;
mod leave;
mod palette;
mod preflight;
mod profile;
mod record;
mod script;
mod tables;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::action::Action;
use super::dialog::Dialog;
use super::message::{Effect, Message, Now};
use super::state::App;
use super::step::Step;
use super::zones::zones;
use crate::connection::{Secret, uri};

/// The next state, and what has to be done for it.
pub fn update(app: &mut App, message: Message, now: Now) -> Vec<Effect> {
    app.now = now;
    let mut effects = Vec::new();
    match message {
        Message::Key(key) => self::key(app, key, &mut effects),
        Message::Paste(text) => paste(app, text.reveal(), &mut effects),
        Message::Resized(columns, rows) => app.size = (columns, rows),
        Message::Tick => leave::tick(app, &mut effects),
        Message::Terminate => leave::terminate(app, &mut effects),
        Message::Task(ticket, answer) if app.jobs.wants(ticket) => {
            if ticket.job.ends_with(&answer) {
                app.jobs.end(ticket.job);
            }
            answers::take(app, ticket.job, answer, &mut effects);
        }
        Message::Task(..) => {}
        Message::Asked(event) => dialog::asked(app, event),
    }
    if app.dialog.is_none()
        && let Some(question) = app.asked.pop_front()
    {
        app.dialog = Some(Dialog::ssh(question));
    }
    if std::mem::take(&mut app.opened) {
        match app.step {
            Step::Tables => tables::enter(app, &mut effects),
            Step::Preflight => preflight::enter(app, &mut effects),
            Step::Script => script::enter(app, &mut effects),
            _ => {}
        }
    }
    let reached = app.connection.settings();
    app.encryption.follow(&reached);
    app.destination.show_fields();
    if app.notice.as_ref().is_some_and(|notice| notice.until <= now.monotonic) {
        app.notice = None;
    }
    effects
}

fn key(app: &mut App, key: KeyEvent, effects: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    // Plain letters belong to a focused text field before they are commands.
    let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SUPER);
    if let (KeyCode::Char(c), true) = (key.code, plain)
        && app.leaving.is_none()
        && let Some(field) = app.text_field()
    {
        field.type_char(c);
        app.edited(effects);
    } else if let Some(action) = app.keys.dispatch(&zones(app), key) {
        act(app, action, effects);
    }
}

fn paste(app: &mut App, text: &str, effects: &mut Vec<Effect>) {
    if app.dialog.is_none()
        && matches!(app.step, Step::Connection | Step::Destination)
        && uri::is_connection_string(text)
    {
        connection::offer_to_split(app, Secret::new(text), effects);
    } else if let Some(field) = app.text_field() {
        field.paste(text);
        app.edited(effects);
    }
}

fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    if app.leaving.is_some() && action != Action::Quit {
        return;
    }
    match action {
        Action::Help => app.help = if app.help.is_some() { None } else { Some(0) },
        Action::Quit => leave::quit(app, effects),
        Action::Suspend => effects.push(Effect::Suspend),
        #[cfg(debug_assertions)]
        Action::Panic => panic!("a panic was asked for"),
        _ if app.help.is_some() => scroll_help(app, action),
        _ if app.dialog.is_some() => dialog::act(app, action, effects),
        Action::Edit(edit) => {
            if let Some(field) = app.text_field() {
                field.edit(edit);
                app.edited(effects);
            }
        }
        Action::SaveProfile => profile::ask(app),
        Action::Upgrade => connection::upgrade(app, effects),
        Action::More => connection::more(app),
        Action::StepBack | Action::StepForward => jump(app, action == Action::StepForward),
        _ => match app.step {
            Step::Connection => connection::act(app, action, effects),
            Step::Encryption => encryption::act(app, action, effects),
            Step::Tables => tables::act(app, action, effects),
            Step::Preflight => preflight::act(app, action, effects),
            Step::Script => script::act(app, action, effects),
            Step::Destination => destination::act(app, action, effects),
            Step::Dashboard => dashboard::act(app, action, effects),
        },
    }
}

/// Goes to the step before or after, as far as it was reached. Values stay.
fn jump(app: &mut App, forward: bool) {
    let reached = app.reached;
    if let Some(step) = app.step.neighbour(forward).filter(|step| *step <= reached && !app.only_dashboard) {
        app.show(step);
    }
}

/// How far a page of the help goes: less than the smallest terminal shows of it.
const HELP_PAGE: usize = 10;
/// More lines than any help has; the loop, which knows the screen, stops at the last.
const LONGEST_HELP: usize = 400;

fn scroll_help(app: &mut App, action: Action) {
    match (action, app.help.as_mut()) {
        (Action::Up, Some(scroll)) => *scroll = scroll.saturating_sub(1),
        (Action::Down, Some(scroll)) => *scroll = (*scroll + 1).min(LONGEST_HELP),
        (Action::PageUp, Some(scroll)) => *scroll = scroll.saturating_sub(HELP_PAGE),
        (Action::PageDown, Some(scroll)) => *scroll = (*scroll + HELP_PAGE).min(LONGEST_HELP),
        (Action::First, Some(scroll)) => *scroll = 0,
        (Action::Last, Some(scroll)) => *scroll = LONGEST_HELP,
        (Action::Back | Action::Confirm, _) => app.help = None,
        _ => {}
    }
}
