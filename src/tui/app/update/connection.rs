//! Keys of the connection screen.

use super::destination;
use crate::connection::inputs::Resolved;
use crate::connection::{Class, Failure, Secret, Settings, SslMode, uri};
use crate::profile::saved::PasswordSource;
use crate::profile::secrets::Found;
use crate::tui::app::action::Action;
use crate::tui::app::dialog::Dialog;
use crate::tui::app::field::{Field, Kind};
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::state::App;
use crate::tui::app::step::Step;
use crate::tui::app::validate::FieldId;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::NextField | Action::Down => step(app, true),
        Action::PreviousField | Action::Up => step(app, false),
        Action::Test => test(app, effects),
        Action::StandIn => stand_in(app, effects),
        Action::Bastion => {
            let step = &mut app.connection;
            step.stand_in.in_fields = false;
            step.go_through_ssh(!step.ssh);
            if step.ssh {
                step.form.focus_on_id(FieldId::SshDestination);
            }
            app.edited(effects);
        }
        Action::Left | Action::Right | Action::Toggle => {
            if let Some(field) = app.connection.form.focused_mut() {
                field.cycle(action != Action::Left);
            }
            app.connection.show_fields();
            app.edited(effects);
        }
        Action::Back => {
            let stopped = stop(app, effects);
            if !stopped && app.connection.stand_in.in_fields {
                stand_in(app, effects);
            }
        }
        Action::Confirm => confirm(app, effects),
        _ => {}
    }
}

fn confirm(app: &mut App, effects: &mut Vec<Effect>) {
    let in_stand_in = app.connection.stand_in.in_fields;
    let form = if in_stand_in { &app.script.form } else { &app.connection.form };
    let typed = form.focused().filter(|field| field.kind == Kind::Text);
    let typed = typed.map(Field::text).filter(|text| uri::is_connection_string(text)).map(Secret::new);
    if let Some(typed) = typed.filter(|_| !in_stand_in) {
        offer_to_split(app, typed, effects);
    } else if !form.at_end() {
        step(app, true);
    } else if app.reader().is_some() || app.mended_by_encryption() {
        app.show(Step::Encryption);
    } else if app.connection.stand_in.asked && !in_stand_in {
        step(app, true);
    } else {
        test(app, effects);
    }
}

/// The ring of the focus: the fields of the source, and those of the stand-in where there is one.
fn step(app: &mut App, forward: bool) {
    let (form, stand_in) = (&mut app.connection.form, &mut app.connection.stand_in);
    if !stand_in.asked {
        return form.step(forward);
    }
    let own = form.shown().count();
    let all = own + app.script.form.fields.len();
    let at = if stand_in.in_fields { own + app.script.form.focus() } else { form.focus_among_shown() };
    let to = (at + if forward { 1 } else { all - 1 }) % all;
    form.blur();
    app.script.form.blur();
    stand_in.in_fields = to >= own;
    if to >= own { app.script.form.focus_on(to - own) } else { form.focus_on_shown(to) }
}

/// Shows the administrator's fields and goes there, or gives the stand-in up.
pub(super) fn stand_in(app: &mut App, effects: &mut Vec<Effect>) {
    app.cancel(Job::TestAdmin, effects);
    app.script.form.blur();
    let asked = !app.connection.stand_in.asked;
    let stand_in = &mut app.connection.stand_in;
    (stand_in.asked, stand_in.in_fields, stand_in.outcome) = (asked, asked, None);
    if asked {
        let missing = app.script.form.text(FieldId::AdminUser).is_empty();
        app.script.form.focus_on(usize::from(!missing));
        app.show(Step::Connection);
    }
}

/// The role can't log in: tries the administrator who stands in for it, if there is one.
pub(super) fn test_stand_in(app: &mut App, effects: &mut Vec<Effect>) {
    if !app.connection.stand_in.asked || app.connection.mendable(&app.source()).is_none() {
        return;
    }
    match app.stand_in() {
        Some(admin) => app.start(Job::TestAdmin, Work::Test(admin), effects),
        None => {
            app.show(Step::Connection);
            app.connection.stand_in.in_fields = true;
            app.script.form.blame(FieldId::AdminUser, "Write the role of an administrator.");
        }
    }
}

/// Stops what tries the source. Returns whether something did.
pub(super) fn stop(app: &mut App, effects: &mut Vec<Effect>) -> bool {
    let jobs = [Job::Secrets, Job::TestSource, Job::TestAdmin];
    jobs.into_iter().fold(false, |stopped, job| app.cancel(job, effects) | stopped)
}

/// Tries the source's settings, if all fields are right. A password that is elsewhere is fetched before: a token may
/// be another one each time.
pub(super) fn test(app: &mut App, effects: &mut Vec<Effect>) {
    if !app.connection.form.validate() {
        app.show(Step::Connection);
        return;
    }
    if app.jobs.runs(Job::TestSource) || app.jobs.runs(Job::Secrets) {
        return;
    }
    let source = app.source();
    match app.password_source() {
        from @ PasswordSource::Command { .. } => {
            app.start(Job::Secrets, Work::FetchSecrets(from, source), effects);
        }
        from @ PasswordSource::Keyring if source.password.is_none() => {
            app.start(Job::Secrets, Work::FetchSecrets(from, source), effects);
        }
        _ => app.start(Job::TestSource, Work::Test(source), effects),
    }
}

/// The keyring or the program has answered.
pub(super) fn fetched(app: &mut App, result: Result<Found, String>, effects: &mut Vec<Effect>) {
    let from = app.password_source();
    let form = &mut app.connection.form;
    match result {
        Ok(Found { password: Some(password), key_passphrase }) => {
            form.set(FieldId::Password, password.reveal());
            if let (Some(passphrase), "") = (key_passphrase, app.encryption.form.text(FieldId::KeyPassphrase)) {
                app.encryption.form.set(FieldId::KeyPassphrase, passphrase.reveal());
            }
            let source = app.source();
            app.start(Job::TestSource, Work::Test(source), effects);
        }
        Ok(_) => {
            app.show(Step::Connection);
            let text = "The keyring has no password for this server and role. Type it; saving the profile keeps it.";
            app.connection.form.blame(FieldId::Password, text);
        }
        Err(error) => {
            app.connection.more = true;
            app.connection.show_fields();
            app.show(Step::Connection);
            let command = matches!(from, PasswordSource::Command { .. });
            let field = if command { FieldId::PasswordCommand } else { FieldId::PasswordFrom };
            app.connection.form.blame(field, error);
        }
    }
}

/// TLS was given up for plain text: from now on it is insisted on.
pub(super) fn upgrade(app: &mut App, effects: &mut Vec<Effect>) {
    if app.step == Step::Destination {
        app.destination.form.set(FieldId::Encryption, SslMode::Require.name());
        app.edited(effects);
        destination::test(app, effects);
    } else {
        let step = &mut app.encryption;
        (step.mode, step.chosen, step.origin, step.scroll) = (SslMode::Require, true, None, 0);
        app.edited(effects);
        test(app, effects);
    }
}

/// Shows or hides the fields that few servers need.
pub(super) fn more(app: &mut App) {
    match app.step {
        Step::Connection => {
            app.connection.more = !app.connection.more;
            app.connection.show_fields();
        }
        Step::Encryption => app.encryption.more = !app.encryption.more,
        Step::Destination => app.destination.more = !app.destination.more,
        _ => {}
    }
}

/// The key of the client certificate is encrypted, and its passphrase is missing or wrong: asks for it.
pub(super) fn ask_for_passphrase(app: &mut App, source: bool, failure: &Failure) {
    if failure.class == Class::ClientKeyPassphrase && app.dialog.is_none() {
        app.dialog = Some(Dialog::key_passphrase(source, failure.message.clone()));
    }
}

/// A whole connection string stands where one value belongs: takes it apart, to offer its parts to the fields.
///
/// What the string does not name comes from libpq's variables and files, not from what happens to stand in the fields: a
/// password must not go to another host than the one it was typed for.
pub(super) fn offer_to_split(app: &mut App, text: Secret, effects: &mut Vec<Effect>) {
    let second = app.step == Step::Destination;
    app.start(Job::Resolve, Work::Resolve(text, second), effects);
}

/// A connection string was taken apart.
pub(super) fn resolved(app: &mut App, result: Result<Box<Resolved>, String>) {
    let form = match app.step {
        Step::Connection => &mut app.connection.form,
        Step::Destination => &mut app.destination.form,
        _ => return,
    };
    match result {
        Ok(resolved) => app.dialog = Some(Dialog::split(*resolved)),
        Err(error) => {
            if let Some(field) = form.focused_mut() {
                field.error = Some(format!("The connection string: {error}."));
            }
        }
    }
}

/// Puts the parts of a connection string into the fields.
pub(super) fn split(app: &mut App, resolved: &Resolved, effects: &mut Vec<Effect>) {
    let settings = &resolved.settings;
    if app.step == Step::Destination {
        app.destination.fill(settings);
        app.destination.form.tell_origins(&resolved.origins);
        app.destination.form.focus_on_what_is_missing();
    } else {
        // The bastion is no part of a connection string: it stays.
        let tunnel = app.connection.settings().tunnel;
        app.connection.fill(&Settings { tunnel, ..settings.clone() });
        app.connection.form.tell_origins(&resolved.origins);
        app.encryption.fill(settings, resolved.origins.contains_key("sslmode"));
        app.encryption.origin = resolved.origins.get("sslmode").map(ToString::to_string);
        app.encryption.form.tell_origins(&resolved.origins);
    }
    app.edited(effects);
}
