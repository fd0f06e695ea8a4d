//! `walpilot script --into`: one file for each person who has to run a part.

use std::fs::DirBuilder;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::failed;
use crate::cli::exit::Stop;
use crate::cli::output::Output;
use crate::connection::printable;
use crate::profile::Profile;
use crate::setup::parts::parts;
use crate::setup::{Person, Plan, script};

/// Writes the parts into `folder`, which must not exist: files of an earlier script would be run along with them.
/// Only their owner can read them, for a verifier allows to guess the password.
pub(super) fn write(folder: &Path, plan: &Plan, profile: &Profile, undo: bool, output: Output) -> Result<(), Stop> {
    let parts = parts(plan);
    if parts.is_empty() {
        let text = if undo { script::render_undo(plan, profile) } else { script::render(plan, profile) };
        output.line(text.trim_end())?;
        return Ok(());
    }
    let shown = |path: &Path| printable(&path.to_string_lossy()).into_owned();
    DirBuilder::new().mode(0o700).create(folder).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => failed(format!("{} exists already; name a new directory.", shown(folder))),
        _ => failed(format!("{} can't be made: {error}.", shown(folder))),
    })?;
    for part in &parts {
        let path = folder.join(part.file_name());
        let text = script::render_part(part, profile, undo);
        let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        written
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|error| failed(format!("{} can't be written: {error}.", shown(&path))))?;
        let who = match &part.person {
            Person::Administrator => "an administrator".to_owned(),
            Person::Owner(name) => printable(name).into_owned(),
            Person::Replication => printable(&profile.source.user).into_owned(),
        };
        let steps = part.plan.steps.len();
        let many = if steps == 1 { "" } else { "s" };
        output.line(&format!("{}  {steps} statement{many}, to be run by {who}", shown(&path)))?;
    }
    for note in &plan.by_hand {
        output.line(&format!("By hand: {note}"))?;
    }
    Ok(())
}
