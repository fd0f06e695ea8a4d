//! The xmin method: rows whose `xmin` is newer than a bound are read again and written over what is there.
//!
//! It needs neither a slot nor a publication, only SELECT, and it sees no deletes. What it promises: a row that was
//! committed at the source is at the destination after a whole pass that began later, whatever else was open,
//! aborted, frozen, rewritten or killed meanwhile. The argument, piece by piece:
//!
//! - **The bound** ([`bound`]). A pass reads in one REPEATABLE READ transaction. Its bound is the `xmin` of that
//!   snapshot: every transaction below it had ended, so what it committed was visible and read (now, or before by the
//!   same argument). A transaction that was still open, prepared ones and subtransactions included, has an id at or
//!   above the bound: its rows are read next time. Neither the snapshot's `xmax` nor the highest `xmin` seen has
//!   this property.
//! - **What a crash of the source can take back** ([`snapshot`]). Ids of transactions whose log was never flushed are
//!   given out again after a crash. So nothing is read before the log is flushed as far as the snapshot sees.
//! - **One relation, one bound** ([`state`]). Bounds are kept by the relation's oid together with its file: a partition
//!   that is attached later, a table that was swapped in by renaming, a rewritten file are read as a whole, because
//!   their rows may carry any `xmin`.
//! - **In the middle of a pass** ([`range`]). Rows and position are committed together. A pass that is taken up in a
//!   later snapshot keeps the bound of the first one, so a row that moved from the part ahead to the part behind is
//!   read next time; and such a pass is followed by another at once.
//! - **Another history** ([`check`]). After a promotion or a restore the same ids may mean other transactions: then
//!   everything is read again. A standby that is behind what was read before is waited for.
//! - **Writing** ([`mod@write`]). Rows are staged and upserted by key; values that are the same are not written, so
//!   reading again costs no writing.
//! - **Deletes** ([`reconcile`]). The destination is written only by this run, and only from earlier snapshots. So a key
//!   that is there and not in the present snapshot was deleted at the source; one that is inserted again later has a
//!   new `xmin` and comes with the next pass.

mod bound;
mod check;
mod deletes;
mod pass;
mod pipe;
mod range;
mod reconcile;
mod relations;
mod run;
mod snapshot;
mod state;
mod tables;
mod telling;
mod unique;
mod write;

use std::time::Duration;

pub(super) use relations::published;
pub(super) use run::{forget, run};

/// How the xmin method runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XminOptions {
    /// From the beginning of one pass to the beginning of the next; `None` for one whole pass and the end.
    pub every: Option<Duration>,
    /// Find and remove rows that were deleted at the source, for so long in each pass.
    pub reconcile: Option<Duration>,
    /// Pages of a table that are read between two checkpoints.
    pub range_pages: u32,
}

impl Default for XminOptions {
    fn default() -> Self {
        Self { every: Some(Duration::from_secs(300)), reconcile: None, range_pages: 8192 }
    }
}
