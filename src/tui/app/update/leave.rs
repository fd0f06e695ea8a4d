//! The end of a replication, and leaving walpilot.

use std::time::Duration;

use crate::tui::app::dialog::{Dialog, Question};
use crate::tui::app::message::Effect;
use crate::tui::app::run::Leaving;
use crate::tui::app::state::App;

/// How long a replication gets to finish its batch before walpilot leaves in any case. Leaving at once is as safe,
/// because rows and checkpoint are committed together; it only means that the batch is sent again.
const GRACE: Duration = Duration::from_secs(5);

/// The quit key: asks once while a replication or a recording runs; a second press means yes, a third does not wait.
pub(super) fn quit(app: &mut App, effects: &mut Vec<Effect>) {
    let asked = app.dialog.as_ref().map(|dialog| &dialog.question);
    let asked = matches!(asked, Some(Question::Leave | Question::LeaveRecording));
    let (runs, records) = (app.run.is_running(), app.recording.is_some());
    if app.leaving.is_some() {
        effects.push(Effect::Quit);
    } else if asked || !(runs || records) {
        leave(app, effects);
    } else {
        app.help = None;
        app.dialog = Some(if runs { Dialog::leave() } else { Dialog::leave_recording() });
    }
}

/// Leaves; a replication finishes its batch first.
pub(super) fn leave(app: &mut App, effects: &mut Vec<Effect>) {
    app.dialog = None;
    if app.run.is_running() {
        app.leaving = Some(Leaving { until: app.now.monotonic + GRACE });
        stop_run(app, effects);
    } else {
        effects.push(Effect::Quit);
    }
}

/// A signal asks to end: no questions.
pub(super) fn terminate(app: &mut App, effects: &mut Vec<Effect>) {
    if app.leaving.is_some() {
        effects.push(Effect::Quit);
    } else {
        leave(app, effects);
    }
}

/// Lets the replication finish its batch and end.
pub(super) fn stop_run(app: &mut App, effects: &mut Vec<Effect>) {
    app.run.stop();
    effects.push(Effect::StopRun);
}

/// A deadline has passed.
pub(super) fn tick(app: &mut App, effects: &mut Vec<Effect>) {
    let wall = app.now.wall;
    if let Some(dashboard) = app.dashboard.as_mut() {
        dashboard.tick(wall);
    }
    if app.leaving.is_some_and(|leaving| leaving.until <= app.now.monotonic) {
        effects.push(Effect::Quit);
    }
}
