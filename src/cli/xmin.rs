//! What `walpilot run` takes and says beside the rest for the method xmin.

use std::time::Duration;

use clap::Args;

use super::duration;
use crate::replication::{PassProgress, Progress, Summary, TablePhase, XminOptions, counted};

/// How the method xmin runs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of --method xmin")]
pub struct XminArgs {
    /// From the beginning of one pass to the beginning of the next
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    pub every: Duration,
    /// Stop after one whole pass
    #[arg(long, conflicts_with = "every")]
    pub once: bool,
    /// After each pass find the rows that the source does not have any more, and remove them
    #[arg(long)]
    pub reconcile: bool,
    /// How long a pass may look for such rows; the next one goes on from there
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse, requires = "reconcile")]
    pub reconcile_for: Duration,
    /// Pages of a table that are read between two checkpoints
    #[arg(long, value_name = "NUMBER", default_value_t = XminOptions::default().range_pages, value_parser = clap::value_parser!(u32).range(1..))]
    pub range_pages: u32,
}

impl XminArgs {
    /// Whether something was said that only this method understands.
    #[must_use]
    pub fn asks_for_something(&self) -> bool {
        self.once || self.reconcile
    }

    /// The options; `once` in any case when the run is to stop when it has caught up.
    #[must_use]
    pub fn options(&self, until_caught_up: bool) -> XminOptions {
        XminOptions {
            every: (!self.once && !until_caught_up).then_some(self.every),
            reconcile: self.reconcile.then_some(self.reconcile_for),
            range_pages: self.range_pages,
        }
    }
}

/// One line about a pass at work.
#[must_use]
pub fn reading(progress: &Progress) -> String {
    let pass = progress.xmin.clone().unwrap_or_default();
    let done = progress.tables.iter().filter(|table| table.phase == TablePhase::Current).count();
    format!("reading    {done}/{} tables, {}", progress.tables.len(), rows(&pass))
}

/// One line about the time between two passes.
#[must_use]
pub fn waiting(progress: &Progress) -> String {
    let pass = progress.xmin.clone().unwrap_or_default();
    format!("waiting    after pass {}: {}", pass.passes, rows(&pass))
}

/// The last line.
#[must_use]
pub fn summary(summary: &Summary) -> String {
    let pass = summary.progress.xmin.clone().unwrap_or_default();
    let at = if summary.checkpoint == crate::catalog::Lsn::INVALID {
        "before the end of the first pass".to_owned()
    } else {
        format!("at {}", summary.checkpoint)
    };
    format!(
        "stopped {at}: {}, {} in this run, the last one with {}; the next run goes on from here",
        counted(summary.progress.tables.len() as u64, "table"),
        counted(pass.passes, "pass"),
        rows(&pass)
    )
}

fn rows(pass: &PassProgress) -> String {
    let held = pass.snapshot_xmax.saturating_sub(pass.snapshot_xmin);
    let mut text = format!("{} read, {} written", counted(pass.rows_read, "row"), pass.rows_written);
    if pass.rows_removed > 0 {
        text.push_str(&format!(", {} removed", pass.rows_removed));
    }
    match pass.deletes_unseen {
        Some(0) | None => {}
        Some(unseen) => text.push_str(&format!(", {} not seen", counted(unseen, "delete"))),
    }
    if held > 1 {
        text.push_str(&format!(", {} since the oldest open one", counted(held, "transaction")));
    }
    text
}
