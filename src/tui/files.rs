//! Files of the interface. What it writes is new: nobody else may read it, and what is there already stays.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::connection::printable;
use crate::profile::alerts::Alerts;
use crate::profile::store::{Store, StoreError};
use crate::setup;

/// The file's name; safe to print.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// The thresholds of a profile over those of the configuration.
///
/// # Errors
/// One sentence, when the configuration can't be used; the profile's own thresholds hold then.
pub(super) fn alerts(own: &Alerts) -> Result<Alerts, String> {
    let lead = "The thresholds of the configuration do not count here";
    match Store::of_user().and_then(|store| store.configuration()) {
        // Whoever has no home directory has no configuration.
        Err(StoreError::NoHome) => Ok(own.clone()),
        Err(error) => Err(format!("{lead}. {error}")),
        Ok(configured) => own.clone().over(&configured.alerts).map_err(|error| format!("{lead}: {error}.")),
    }
}

/// Makes a file.
///
/// # Errors
/// One sentence.
pub(super) fn create(path: &Path) -> Result<File, String> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} exists and was not overwritten; take another name.", shown(path)),
        _ => format!("{} could not be written: {error}.", shown(path)),
    })
}

/// Writes a file beside the interface.
///
/// # Errors
/// One sentence.
pub(super) async fn write(path: PathBuf, text: String) -> Result<PathBuf, String> {
    let name = shown(&path);
    let work = move || {
        let mut file = create(&path)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map(|()| path.clone()).map_err(|error| format!("{} could not be written: {error}.", shown(&path)))
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(format!("{name} could not be written.")))
}

/// Writes the parts of a setup script beside the interface, into a folder of their own.
///
/// # Errors
/// One sentence.
pub(super) async fn write_parts(folder: PathBuf, parts: Vec<(String, String)>) -> Result<PathBuf, String> {
    let work = move || setup::files::write(&folder, &parts).map(|()| folder);
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err("The files could not be written.".to_owned()))
}
