//! The terminal wizard and dashboard: pure state, pure drawing, and a thin loop around them.
//!
//! `key or task -> Message -> update(&mut App, Message, now) -> Vec<Effect> -> task -> Message`, and apart from it
//! `view(&App, &Theme, Rect, &mut Buffer)`. Nothing in the interface ever waits for input or output.

pub mod app;
mod files;
pub mod keymap;
pub mod outcome;
mod recorder;
pub mod runtime;
pub mod tasks;
pub mod terminal;
pub mod view;

use jiff::tz::TimeZone;

pub use app::Prefill;
pub use outcome::{Outcome, TuiError};
pub use view::Theme;

/// What surrounds the interface.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What the terminal can show.
    pub theme: Theme,
    /// The keys as the user has them.
    pub keys: keymap::Keymap,
    /// The time zone of this machine.
    pub zone: TimeZone,
}

use crate::monitor::Target;
use crate::monitor::recording::{Header, Record};
use app::App;
use app::job::Job;
use app::message::Work;

/// Opens the wizard and returns when the user has left it. The terminal is given back before that.
///
/// # Errors
/// Without a terminal, or when it can't be read or written.
pub async fn wizard(prefill: Prefill, around: Surroundings) -> Result<Outcome, TuiError> {
    let mut app = App::new(prefill, runtime::now());
    let mut effects = Vec::new();
    app.start(Job::Keyring, Work::FindKeyring, &mut effects);
    Box::pin(show(app, effects, around)).await
}

/// Opens the dashboard of `target` by itself; statements of findings run only if they may.
///
/// # Errors
/// As [`wizard`].
pub async fn watch(target: Target, allow_actions: bool, around: Surroundings) -> Result<Outcome, TuiError> {
    let (mut app, effects) = App::watching(target, runtime::now());
    app.allow_actions = allow_actions;
    Box::pin(show(app, effects, around)).await
}

/// Opens the dashboards of several sources, each with its name.
///
/// # Errors
/// As [`wizard`].
pub async fn fleet(
    targets: Vec<(String, Target)>,
    allow_actions: bool,
    around: Surroundings,
) -> Result<Outcome, TuiError> {
    let (mut app, effects) = App::fleet(targets, runtime::now());
    app.allow_actions = allow_actions;
    Box::pin(show(app, effects, around)).await
}

/// Opens the dashboard on a recording.
///
/// # Errors
/// As [`wizard`].
pub async fn replay(header: &Header, records: Vec<Record>, around: Surroundings) -> Result<Outcome, TuiError> {
    Box::pin(show(App::replaying(header, records, runtime::now()), Vec::new(), around)).await
}

async fn show(mut app: App, effects: Vec<app::message::Effect>, around: Surroundings) -> Result<Outcome, TuiError> {
    if !terminal::is_there() {
        return Err(TuiError::NoTerminal);
    }
    (app.keys, app.zone) = (around.keys, around.zone);
    let end = Box::pin(runtime::run(app, effects, around.theme)).await?;
    Ok(Outcome::of(&end.app, end.interrupted))
}
