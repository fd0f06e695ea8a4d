//! Keys of the connection screen.

use crate::connection::{Secret, Settings, uri};
use crate::tui::app::action::Action;
use crate::tui::app::dialog::Dialog;
use crate::tui::app::field::{Field, Kind};
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::state::App;
use crate::tui::app::step::Step;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let form = &mut app.connection.form;
    match action {
        Action::NextField | Action::Down => form.step(true),
        Action::PreviousField | Action::Up => form.step(false),
        Action::Test => test(app, effects),
        Action::Back => {
            app.cancel(Job::TestSource, effects);
        }
        Action::Confirm => {
            let typed = form.focused().filter(|field| field.kind == Kind::Text);
            let typed = typed.map(Field::text).filter(|text| uri::is_connection_string(text)).map(Secret::new);
            let source = app.source();
            if let Some(typed) = typed {
                offer_to_split(app, typed.reveal());
            } else if !app.connection.form.at_end() {
                app.connection.form.step(true);
            } else if app.connection.is_proven(&source) {
                app.show(Step::Encryption);
            } else {
                test(app, effects);
            }
        }
        _ => {}
    }
}

/// Tries the source's settings, if all fields are right.
pub(super) fn test(app: &mut App, effects: &mut Vec<Effect>) {
    if !app.connection.form.validate() {
        app.show(Step::Connection);
    } else if !app.jobs.runs(Job::TestSource) {
        let source = app.source();
        app.start(Job::TestSource, Work::Test(source), effects);
    }
}

/// A whole connection string stands where one value belongs: offers to put its parts into the fields.
pub(super) fn offer_to_split(app: &mut App, text: &str) {
    let form = if app.step == Step::Destination { &mut app.destination.form } else { &mut app.connection.form };
    // What the string does not name gets PostgreSQL's defaults, not what happens to stand in the fields: a password
    // must not go to another host than the one it was typed for.
    match uri::parse(text, &Settings::default()) {
        Ok(settings) => app.dialog = Some(Dialog::split(settings)),
        Err(error) => {
            if let Some(field) = form.focused_mut() {
                field.error = Some(format!("The connection string: {error}."));
            }
        }
    }
}
