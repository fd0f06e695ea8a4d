//! A run of the method xmin, as it has written itself down at the destination. Pure; `docs/xmin.md` tells of the tables.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::profile::TableName;

/// The pass at work, or the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// Passes that have come to their end.
    pub passes: u64,
    /// Whether it is at work, or was when the run was killed.
    pub running: bool,
    /// It had begun in an earlier snapshot, so only the next one is whole.
    pub resumed: bool,
    /// Every transaction below this had ended when it began (64 bits): what the next pass does not read again.
    pub snapshot_xmin: u64,
    /// The first id that was not given out yet.
    pub snapshot_xmax: u64,
    /// When it began, on the destination's clock.
    pub began_at: Option<Moment>,
    /// When it ended; `None` while it is at work.
    pub ended_at: Option<Moment>,
    /// When the next one begins; `None` when none is meant to.
    pub next_at: Option<Moment>,
    /// Its tables, by name; `None` before the first.
    pub tables: Option<Vec<PassTable>>,
}

/// One table of such a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassTable {
    /// The table.
    pub table: TableName,
    /// `reading` until it has been read once, then `current`; `again` when it will be emptied.
    pub state: String,
    /// Rows that the last pass has read.
    pub rows_read: u64,
    /// Rows that it has inserted or changed at the destination.
    pub rows_written: u64,
    /// Deletes that the source has counted and this method can't see; `None` when it does not tell.
    pub deletes_unseen: Option<u64>,
    /// Since when they are counted, on the destination's clock.
    pub deletes_since: Option<Moment>,
    /// When the keys were last compared to the end.
    pub reconciled_at: Option<Moment>,
    /// Rows that comparisons have removed.
    pub rows_removed: u64,
}

/// The distance at which 32-bit ids can't be compared any more.
const COMPARABLE: u64 = 1 << 31;

impl Pass {
    /// How many transactions the oldest open one holds back: rows that they write are read again by each pass.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.snapshot_xmax.saturating_sub(self.snapshot_xmin)
    }

    /// The way to the point where everything has to be read again, from 0 to 1 and beyond; `next_xid` is the source's
    /// next transaction id with its epoch.
    #[must_use]
    pub fn share_of_circle(&self, next_xid: u64) -> f64 {
        next_xid.saturating_sub(self.snapshot_xmin) as f64 / COMPARABLE as f64
    }

    /// Deletes that are not seen, in all tables that tell.
    #[must_use]
    pub fn deletes_unseen(&self) -> u64 {
        self.tables.iter().flatten().filter_map(|table| table.deletes_unseen).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Pass;

    #[test]
    fn a_pass_is_read_as_it_was_written() {
        let text = r#"{"passes": 3, "running": false, "resumed": false, "snapshot_xmin": 4294967300, "snapshot_xmax": 4294967310,
            "began_at": "2026-11-22T12:00:00.5+00:00", "ended_at": null, "next_at": null, "tables": [{"table":
            {"schema": "public", "name": "t"}, "state": "current", "rows_read": 5, "rows_written": 4, "deletes_unseen": 7,
            "deletes_since": null, "reconciled_at": null, "rows_removed": 0}]}"#;
        let pass: Pass = serde_json::from_str(text).expect("a pass");
        assert_eq!((pass.held_back(), pass.deletes_unseen()), (10, 7));
        assert!((pass.share_of_circle(4_294_967_300 + (1 << 30)) - 0.5).abs() < 1e-9);
        let none: Pass =
            serde_json::from_str(&text.replace(&text[text.find("[{").expect("it")..], "null}")).expect("a pass");
        assert_eq!(none.deletes_unseen(), 0);
    }
}
