//! `walpilot script --rehearse`.

use super::exit::{Exit, Stop};
use super::output::{Output, Paint};
use crate::connection::{SessionOptions, Settings, connect};
use crate::preflight::Report;
use crate::preflight::report::{Rank, rank};
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
    let shown = rehearse(&session, profile, planned, before).await.map_err(|reason| {
        Stop::new(Exit::Failed, format!("The rehearsal broke off, nothing was changed: {reason}."))
    })?;
    let skipped = shown.not_rehearsed.len();
    output
        .line(&format!("Rehearsed {} statements in one transaction and rolled back.", planned.steps.len() - skipped))?;
    for title in &shown.not_rehearsed {
        output.line(&format!("  not rehearsed (not possible in a transaction): {title}"))?;
    }
    for note in &planned.by_hand {
        output.line(&format!("  not rehearsed (by hand): {}", crate::connection::printable(note)))?;
    }
    if let Some((at, reason)) = &shown.failed {
        let step = &planned.steps[*at];
        return Err(Stop::new(
            Exit::Failed,
            format!("Step {} ({}) would fail: {reason}. Nothing was changed.", at + 1, step.title),
        ));
    }
    for id in &shown.cleared {
        output.line(&format!("  {} clears {id}", output.paint(Paint::Good, "✔")))?;
    }
    let mut blocked = false;
    for finding in shown.after.iter().flat_map(|report| &report.findings) {
        // The slot is not part of the rehearsal.
        let pending = skipped > 0 && finding.id == "slot-exists";
        if rank(finding) == Rank::Blocker && !pending {
            blocked = true;
            output.line(&format!("  {} stays: {} ({})", output.paint(Paint::Bad, "✖"), finding.id, finding.summary))?;
        }
    }
    Ok(if blocked { Exit::Blockers } else { Exit::Fine })
}
