//! The parts of a script as files, one for each person who has to run one.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::parts::parts;
use super::script;
use super::step::Plan;
use crate::connection::printable;
use crate::profile::Profile;

/// The files of `plan`: name and text, in the order in which they are run.
#[must_use]
pub fn files(plan: &Plan, profile: &Profile, undo: bool) -> Vec<(String, String)> {
    parts(plan).iter().map(|part| (part.file_name(), script::render_part(part, profile, undo))).collect()
}

/// Writes `files` into `folder`, which must not exist: files of an earlier script would be run along with them.
/// Only their owner can read them, for a verifier allows to guess the password.
///
/// # Errors
/// With a sentence that names the file or the directory.
pub fn write(folder: &Path, files: &[(String, String)]) -> Result<(), String> {
    let shown = |path: &Path| printable(&path.to_string_lossy()).into_owned();
    DirBuilder::new().mode(0o700).create(folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => format!("{} exists already; name a new directory.", shown(folder)),
        _ => format!("{} can't be made: {error}.", shown(folder)),
    })?;
    for (name, text) in files {
        let path = folder.join(name);
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        opened
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|error| format!("{} can't be written: {error}.", shown(&path)))?;
    }
    Ok(())
}
