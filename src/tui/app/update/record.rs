//! Recording what is on the screen, to replay it later.

use std::path::PathBuf;

use crate::connection::printable;
use crate::monitor::recording::Header;
use crate::monitor::units;
use crate::tui::app::dashboard::{Recording, stamp};
use crate::tui::app::dialog::Dialog;
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::state::App;

/// The key: asks for a file, or ends the recording under way.
pub(super) fn key(app: &mut App, effects: &mut Vec<Effect>) {
    if app.recording.is_some() {
        // Its last answer says what is in the file.
        app.ask_to_stop(Job::Record, effects);
        return;
    }
    match &app.dashboard {
        Some(dashboard) if dashboard.replay().is_some() => app.note("This is a recording already.", false),
        _ => app.dialog = Some(Dialog::record(&format!("walpilot-{}.wrec", stamp(app.now.wall.into())))),
    }
}

/// Begins to record into a new file.
pub(super) fn begin(app: &mut App, file: &str, effects: &mut Vec<Effect>) {
    let Some(target) = &app.watched else { return app.note("There is nothing to record.", true) };
    if let Some((_, recording)) = &app.recording {
        return app.note(format!("It is recorded into {} already; R ends that.", recording.file), true);
    }
    let (header, of) = (Header::of(target), app.shown_job());
    let recording = Recording { file: printable(file).into_owned(), ..Recording::default() };
    app.recording = Some((of, recording));
    app.start(Job::Record, Work::Record { path: PathBuf::from(file), header, of }, effects);
}

/// The recording has grown.
pub(super) fn goes_on(app: &mut App, state: Recording) {
    let wall = app.now.wall;
    let Some((of, recording)) = app.recording.as_mut() else { return };
    let (of, begins) = (*of, state.samples == 0);
    *recording = state.clone();
    let said = format!("Recording into {}; R ends it, walpilot replay shows it.", state.file);
    if let Some(dashboard) = app.dashboard_of(of) {
        dashboard.record(Some(state), wall);
    }
    if begins {
        app.note(said, false);
    }
}

/// The recording ended.
pub(super) fn ended(app: &mut App, result: Result<Recording, String>) {
    let wall = app.now.wall;
    if let Some((of, _)) = app.recording.take()
        && let Some(dashboard) = app.dashboard_of(of)
    {
        dashboard.record(None, wall);
    }
    match result {
        Ok(made) => app.note(
            format!(
                "{}, {}: walpilot replay {}",
                units::exactly(made.samples, "sample"),
                units::bytes(made.bytes),
                made.file
            ),
            false,
        ),
        Err(reason) => app.note(reason, true),
    }
}
