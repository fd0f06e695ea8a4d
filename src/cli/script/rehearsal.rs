//! `walpilot script --rehearse`.

use crate::cli::exit::{Exit, Stop};
use crate::cli::output::{Output, Paint};
use crate::connection::{SessionOptions, Settings, connect};
use crate::preflight::Report;
use crate::profile::Profile;
use crate::setup::Plan;
use crate::setup::rehearse::rehearse;

/// Rehearses `planned` and prints what it showed.
pub(super) async fn run(
    profile: &Profile,
    admin: &Settings,
    planned: &Plan,
    before: &Report,
    output: Output,
) -> Result<Exit, Stop> {
    let session = connect(admin, &SessionOptions::administer()).await?;
    let shown = Box::pin(rehearse(&session, profile, planned, before)).await.map_err(|reason| {
        Stop::new(Exit::Failed, format!("The rehearsal broke off, nothing was changed: {reason}."))
    })?;
    output.line(&format!("Rehearsed {} statements in one transaction and rolled back.", shown.rehearsed))?;
    for (title, why) in &shown.left_out {
        output.line(&format!("  not rehearsed ({why}): {title}"))?;
    }
    for note in &planned.by_hand {
        output.line(&format!("  not rehearsed (by hand): {note}"))?;
    }
    if let Some((at, reason)) = &shown.failed {
        let step = &planned.steps[*at];
        return Err(Stop::new(
            Exit::Failed,
            format!(
                "Step {} ({}) would fail: {reason}. Nothing was changed. It takes: {}.\n  {}",
                at + 1,
                step.title,
                step.who,
                step.shown()
            ),
        ));
    }
    for id in &shown.cleared {
        output.line(&format!("  {} clears {id}", output.paint(Paint::Good, "✔")))?;
    }
    for (id, summary) in &shown.blocked {
        output.line(&format!("  {} stays: {id} ({summary})", output.paint(Paint::Bad, "✖")))?;
    }
    Ok(if shown.blocked.is_empty() { Exit::Fine } else { Exit::Blockers })
}
