//! `walpilot script --into`: one file for each person who has to run a part.

use std::path::Path;

use super::failed;
use crate::cli::exit::Stop;
use crate::cli::output::Output;
use crate::connection::printable;
use crate::profile::Profile;
use crate::setup::parts::parts;
use crate::setup::{Person, Plan, files, script};

/// Writes the parts into `folder`, and says who runs what.
pub(super) fn write(folder: &Path, plan: &Plan, profile: &Profile, undo: bool, output: Output) -> Result<(), Stop> {
    let parts = parts(plan);
    if parts.is_empty() {
        let text = if undo { script::render_undo(plan, profile) } else { script::render(plan, profile) };
        output.line(text.trim_end())?;
        return Ok(());
    }
    files::write(folder, &files::files(plan, profile, undo)).map_err(failed)?;
    for part in &parts {
        let who = match &part.person {
            Person::Administrator => "an administrator".to_owned(),
            Person::Owner(name) => printable(name).into_owned(),
            Person::Replication => printable(&profile.source.user).into_owned(),
        };
        let path = folder.join(part.file_name());
        let steps = part.plan.steps.len();
        let many = if steps == 1 { "" } else { "s" };
        let path = printable(&path.to_string_lossy()).into_owned();
        output.line(&format!("{path}  {steps} statement{many}, to be run by {who}"))?;
    }
    for note in &plan.by_hand {
        output.line(&format!("By hand: {note}"))?;
    }
    Ok(())
}
