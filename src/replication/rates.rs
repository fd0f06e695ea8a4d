//! How fast a run gets on, from one look at its progress to the next: rows of each table, changes of the stream, and
//! when the copy will be done. Pure: the caller says when it looked.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::progress::{Phase, Progress, TablePhase};
use crate::profile::TableName;

/// A look that is this much younger than the one before tells little.
const SHORTEST: Duration = Duration::from_millis(200);
/// The share of the newest look in the average.
const NEWEST: f64 = 0.4;

/// The speed of one table's copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TableRate {
    /// Rows in a second.
    pub rows_per_second: f64,
    /// Seconds until its copy is done, as far as the estimated number of rows holds; `None` when nothing is known.
    pub eta_seconds: Option<u64>,
}

/// Speeds, averaged over the last few looks.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    before: Option<(Duration, Progress)>,
    tables: HashMap<TableName, TableRate>,
    changes: f64,
}

impl Rates {
    /// Takes a look at `progress`, at the time `now` of any clock that only goes forward.
    pub fn look(&mut self, progress: &Progress, now: Duration) {
        let Some((then, before)) = &self.before else {
            self.before = Some((now, progress.clone()));
            return;
        };
        let passed = now.saturating_sub(*then);
        if passed < SHORTEST {
            return;
        }
        let seconds = passed.as_secs_f64();
        let old: HashMap<&TableName, u64> =
            before.tables.iter().map(|table| (&table.table, table.rows_copied)).collect();
        let mut tables = HashMap::new();
        for table in progress.tables.iter().filter(|table| table.phase == TablePhase::Copying) {
            let copied = table.rows_copied.saturating_sub(old.get(&table.table).copied().unwrap_or(0));
            let last = self.tables.get(&table.table).map(|rate| rate.rows_per_second);
            let rows_per_second = average(last, copied as f64 / seconds);
            let left = table.rows_estimated.map(|rows| rows.saturating_sub(table.rows_copied));
            let eta_seconds =
                left.filter(|_| rows_per_second >= 1.0).map(|left| (left as f64 / rows_per_second) as u64);
            tables.insert(table.table.clone(), TableRate { rows_per_second, eta_seconds });
        }
        self.tables = tables;
        let applied = progress.changes.saturating_sub(before.changes) as f64 / seconds;
        self.changes = if progress.phase == Phase::Streaming { average(Some(self.changes), applied) } else { 0.0 };
        self.before = Some((now, progress.clone()));
    }

    /// The speed of a table's copy; `None` when it is not being copied.
    #[must_use]
    pub fn table(&self, table: &TableName) -> Option<TableRate> {
        self.tables.get(table).copied()
    }

    /// Rows that are copied in a second, of all tables.
    #[must_use]
    pub fn rows_per_second(&self) -> f64 {
        self.tables.values().map(|rate| rate.rows_per_second).fold(0.0, |sum, rate| sum + rate)
    }

    /// Changes that are applied in a second.
    #[must_use]
    pub fn changes_per_second(&self) -> f64 {
        self.changes
    }

    /// Seconds until everything is copied, as far as estimates hold; `None` when a table's size is not known.
    #[must_use]
    pub fn eta_seconds(&self, progress: &Progress) -> Option<u64> {
        let rate = self.rows_per_second();
        let waiting =
            progress.tables.iter().filter(|table| matches!(table.phase, TablePhase::Waiting | TablePhase::Copying));
        let left =
            waiting.map(|table| Some(table.rows_estimated?.saturating_sub(table.rows_copied))).sum::<Option<u64>>()?;
        (rate >= 1.0).then(|| (left as f64 / rate) as u64)
    }
}

fn average(last: Option<f64>, new: f64) -> f64 {
    last.map_or(new, |last| last * (1.0 - NEWEST) + new * NEWEST)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rates;
    use crate::profile::TableName;
    use crate::replication::{Phase, Progress, TablePhase, TableProgress};

    fn copying(rows: u64) -> Progress {
        let table = |name: &str, phase, rows_copied| TableProgress {
            table: TableName::new("public", name),
            phase,
            rows_copied,
            bytes_copied: 0,
            rows_estimated: Some(1000),
            inserts: 0,
            updates: 0,
            deletes: 0,
            truncates: 0,
            copied_by_this_run: true,
        };
        let tables = vec![table("a", TablePhase::Copying, rows), table("b", TablePhase::Waiting, 0)];
        Progress { phase: Phase::Copying, tables, ..Progress::default() }
    }

    #[test]
    fn rate_and_time_left_follow_from_two_looks() {
        let mut rates = Rates::default();
        rates.look(&copying(0), Duration::from_secs(10));
        assert_eq!(rates.eta_seconds(&copying(0)), None, "one look tells nothing");
        rates.look(&copying(200), Duration::from_secs(12));
        let rate = rates.table(&TableName::new("public", "a")).unwrap();
        assert_eq!((rate.rows_per_second, rate.eta_seconds), (100.0, Some(8)));
        assert_eq!(rates.eta_seconds(&copying(200)), Some(18));
        // A burst counts in part.
        rates.look(&copying(900), Duration::from_secs(13));
        assert!((rates.rows_per_second() - 340.0).abs() < 0.001, "{}", rates.rows_per_second());
        // The streaming table has none any more.
        let mut progress = copying(1000);
        progress.tables[0].phase = TablePhase::Streaming;
        rates.look(&progress, Duration::from_secs(14));
        assert_eq!(rates.table(&TableName::new("public", "a")), None);
    }
}
