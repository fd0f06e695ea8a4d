//! Keeping what was entered: as a profile under a name, and as an unfinished wizard that is taken up again.

use std::path::PathBuf;

use crate::profile::saved::{PasswordSource, Saved};
use crate::tui::app::dialog::Dialog;
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::state::{App, Draft};

/// Asks for the name to save the profile under.
pub(super) fn ask(app: &mut App) {
    if !app.only_dashboard {
        app.dialog = Some(Dialog::save_profile(&app.source().database));
    }
}

/// Saves what all steps together describe, without secrets.
pub(super) fn save(app: &mut App, name: &str, replace: bool, effects: &mut Vec<Effect>) {
    let (profile, from) = (app.profile(), app.password_source());
    let keyring = (from == PasswordSource::Keyring).then(|| Box::new(profile.source.clone()));
    let saved = Box::new(Saved::of(&profile, from));
    app.start(Job::SaveProfile, Work::SaveProfile { name: name.to_owned(), saved, replace, keyring }, effects);
}

/// The profile was saved, or not.
pub(super) fn saved(app: &mut App, result: Result<PathBuf, String>) {
    match result {
        Ok(path) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let secrets = match app.password_source() {
                PasswordSource::Keyring => "its secrets are in the keyring",
                _ => "without its secrets",
            };
            app.note(format!("The profile {name} is saved, {secrets}."), false);
        }
        Err(error) => app.note(error, true),
    }
}

/// There is a profile of this name: replaces it after a question. A question that stands already is not covered.
pub(super) fn exists(app: &mut App, name: String) {
    if app.dialog.is_none() {
        app.dialog = Some(Dialog::replace_profile(name));
    }
}

/// Takes the unfinished wizard up again: every value is back, but for the secrets.
pub(super) fn resume(app: &mut App) {
    let Draft::Waiting(prefill) = std::mem::take(&mut app.draft) else { return };
    let size = app.size;
    *app = App { size, touched: true, ..App::new(*prefill, app.now) };
    app.note("Your values are back; type the password, and Enter tests the connection.", false);
}
