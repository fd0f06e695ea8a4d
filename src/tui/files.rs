//! New files for what the interface writes: nobody else may read them, and what is there already stays.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::connection::printable;
use crate::setup;

/// The file's name; safe to print.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
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
