//! The terminal wizard and dashboard: pure state, pure drawing, and a thin loop around them.
//!
//! `key or task -> Message -> update(&mut App, Message, now) -> Vec<Effect> -> task -> Message`, and apart from it
//! `view(&App, &Theme, Rect, &mut Buffer)`. Nothing in the interface ever waits for input or output.

pub mod app;
pub mod keymap;
pub mod outcome;
pub mod runtime;
pub mod tasks;
pub mod terminal;
pub mod view;

pub use app::Prefill;
pub use outcome::{Outcome, TuiError};
pub use view::Theme;

use crate::monitor::Target;
use crate::monitor::recording::{Header, Record};
use app::App;

/// Opens the wizard and returns when the user has left it. The terminal is given back before that.
///
/// # Errors
/// Without a terminal, or when it can't be read or written.
pub async fn wizard(prefill: Prefill, theme: Theme) -> Result<Outcome, TuiError> {
    show(App::new(prefill, runtime::now()), Vec::new(), theme).await
}

/// Opens the dashboard of `target` by itself.
///
/// # Errors
/// As [`wizard`].
pub async fn watch(target: Target, theme: Theme) -> Result<Outcome, TuiError> {
    let (app, effects) = App::watching(target, runtime::now());
    show(app, effects, theme).await
}

/// Opens the dashboard on a recording.
///
/// # Errors
/// As [`wizard`].
pub async fn replay(header: &Header, records: Vec<Record>, theme: Theme) -> Result<Outcome, TuiError> {
    show(App::replaying(header, records, runtime::now()), Vec::new(), theme).await
}

async fn show(app: App, effects: Vec<app::message::Effect>, theme: Theme) -> Result<Outcome, TuiError> {
    if !terminal::is_there() {
        return Err(TuiError::NoTerminal);
    }
    let end = Box::pin(runtime::run(app, effects, theme)).await?;
    Ok(Outcome::of(&end.app, end.interrupted))
}
