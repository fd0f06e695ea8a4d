//! Tables as both sides estimate them. No table is ever counted here: `count(*)` reads it all, and asking for its
//! size waits behind whoever locks it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::profile::TableName;

/// One table, its partitions added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Estimated rows; `None` when the table was never analysed and has no counters.
    pub rows: Option<u64>,
    /// Its main part on disk in bytes, as of the last VACUUM or ANALYZE.
    pub bytes: u64,
    /// Rows inserted since the statistics were reset. From 15 on counters may trail a commit by ten seconds.
    pub inserts: u64,
    /// Rows updated.
    pub updates: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Updates that needed no new index entries.
    #[serde(default)]
    pub hot_updates: u64,
    /// Estimated dead rows.
    #[serde(default)]
    pub dead_rows: u64,
    /// Age of `relfrozenxid` in transactions, the oldest of its partitions.
    #[serde(default)]
    pub frozen_age: Option<i64>,
    /// `pg_class.relreplident`: `d`efault, `n`othing, `f`ull, `i`ndex; of partitions that differ, the last.
    #[serde(default)]
    pub identity: Option<char>,
}

/// The tables of a publication (or the largest ones) at one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tables {
    /// When they were read, on that side's clock.
    pub at: Moment,
    /// `false`: the publication does not exist in this database.
    pub publication_found: bool,
    /// Every table that exists there, by schema and name.
    pub tables: Vec<Table>,
}

impl Tables {
    /// The table called `name`.
    #[must_use]
    pub fn find(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| &table.name == name)
    }
}

/// The counters of a session may trail its commits by this much: from 15 on one that commits twice within a second and goes
/// idle tells of the second commit ten seconds later. Before 15 it tells of it at its next statement, or its end, however
/// late that is: `None` (PostgreSQL source, `pgstat_report_stat`).
#[must_use]
pub fn counters_trail_by(version: u32) -> Option<Duration> {
    (version >= 150_000).then_some(Duration::from_millis(10_500))
}

/// What the catalog and the counters say about one relation.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Counters {
    /// `pg_class.reltuples`: −1 (0 before version 14) when never analysed.
    pub(super) reltuples: f64,
    pub(super) live: u64,
    pub(super) inserts: u64,
    pub(super) updates: u64,
    pub(super) deletes: u64,
    pub(super) hot: u64,
    pub(super) dead: u64,
    /// Whether ANALYZE or VACUUM ever ran, as far as the statistics remember.
    pub(super) analyzed: bool,
}

impl Counters {
    /// The best estimate of the rows.
    ///
    /// `n_live_tup` is what ANALYZE last found plus the inserts and minus the deletes since, so it is the better one
    /// as long as the statistics remember that ANALYZE. When they were reset (a crash does that too) `reltuples`
    /// still stands in the catalog. Without either, nothing is known, unless rows were counted as they came.
    pub(super) fn rows(&self) -> Option<u64> {
        if self.analyzed {
            return Some(self.live);
        }
        let known = (self.reltuples > 0.0).then(|| super::units::round(self.reltuples));
        let counted = (self.inserts + self.deletes > 0).then_some(self.live);
        known.max(counted)
    }
}

#[cfg(test)]
mod tests {
    use super::Counters;

    #[test]
    fn rows_are_estimated_from_the_source_that_knows_more() {
        let base = Counters::default();
        let cases = [
            ("never analysed, nothing counted", Counters { reltuples: -1.0, ..base }, None),
            ("never analysed, version 13", base, None),
            (
                "loaded since it was created",
                Counters { reltuples: -1.0, live: 7, inserts: 9, deletes: 2, ..base },
                Some(7),
            ),
            ("analysed, then written", Counters { reltuples: 100.0, live: 130, analyzed: true, ..base }, Some(130)),
            ("analysed and emptied", Counters { reltuples: 100.0, live: 0, analyzed: true, ..base }, Some(0)),
            ("statistics lost in a crash", Counters { reltuples: 5e6, live: 3, inserts: 3, ..base }, Some(5_000_000)),
        ];
        for (what, counters, rows) in cases {
            assert_eq!(counters.rows(), rows, "{what}");
        }
    }
}
