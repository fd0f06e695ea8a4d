//! The numbers of the method xmin: what the next pass may take for certain, what it would miss, how far its bound is from
//! where it can't be compared any more. Also without a run: to judge whether the method would do.

use std::time::Duration;

use serde::Serialize;

use super::context::{Holder, HolderKind};
use super::destination::{Destination, RunState, XminRun};
use super::history::History;
use super::lsn_clock::Age;
use super::sample::Sample;
use super::table::Tables;
use crate::profile::TableName;

/// Half of the circle of transaction ids: a bound that is further away counts as the future.
pub const HALF_CIRCLE: u64 = 1 << 31;

/// What a pass that began now would see. Transaction ids have 64 bits, with their epoch.
#[derive(Clone, Debug, Default, Serialize)]
pub struct XminReading {
    /// The next transaction id.
    pub next_xid: u64,
    /// The safe bound: every transaction below it has ended.
    pub safe_bound: u64,
    /// Transactions from the safe bound to the next one: the next pass reads their rows again, whatever became of them.
    pub held_back: u64,
    /// How long ago the transaction at the safe bound began; `None` before that is known.
    pub held_for: Option<Age>,
    /// Who holds it back; `None` when nobody does, or when that can't be seen.
    pub held_by: Option<Holder>,
    /// Open transactions whose rows a bound of `max(xmin)` would skip for good.
    pub naive_would_skip: u64,
    /// The run that uses the method.
    pub run: Option<XminRunReading>,
}

/// How a run with the method stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct XminRunReading {
    /// The bound of its last pass: the next one reads what is at or above it.
    pub watermark: u64,
    /// Transactions since then.
    pub behind: u64,
    /// The same as a share of the 2^31 after which a bound can't be compared any more.
    pub wraparound_share: f64,
    /// Passes that came to their end.
    pub passes: u64,
    /// Whether one is at work.
    pub running: bool,
    /// Rows that the last pass over each table read.
    pub rows_read: Option<u64>,
    /// Of those, rows that were new or different at the destination.
    pub rows_written: Option<u64>,
    /// Rows inserted and updated at the source since the last pass ended, by the counters; `None` unless that was
    /// watched.
    pub rows_waiting: Option<u64>,
    /// Rows deleted at the source that still stand at the destination; `None` when unknown.
    pub deletes_unseen: Option<u64>,
    /// Time until the next pass; `None` while one is at work, and for a run that ends after one.
    #[serde(serialize_with = "super::reading::in_seconds")]
    pub next_in: Option<Duration>,
}

impl XminReading {
    /// What `history` says now; `None` before the first sample.
    #[must_use]
    pub fn of(history: &History) -> Option<Self> {
        let sample = history.latest()?;
        let held_back = sample.next_xid.saturating_sub(sample.oldest_xid);
        Some(Self {
            next_xid: sample.next_xid,
            safe_bound: sample.oldest_xid,
            held_back,
            held_for: (held_back > 0).then(|| history.clock().xid_age(sample.oldest_xid)).flatten(),
            held_by: holder(sample, held_back),
            naive_would_skip: sample.open_transactions,
            run: run(sample).map(|(at, run)| XminRunReading {
                watermark: run.snapshot_xmin,
                behind: sample.next_xid.saturating_sub(run.snapshot_xmin),
                wraparound_share: share(sample.next_xid.saturating_sub(run.snapshot_xmin)),
                passes: run.passes,
                running: run.running,
                rows_read: run.rows_read,
                rows_written: run.rows_written,
                rows_waiting: history.tables_at_pass().and_then(|before| waiting(before, sample.tables.as_ref()?)),
                deletes_unseen: run.deletes_unseen,
                next_in: run.next_at.filter(|_| !run.running).map(|next| next.since(at)),
            }),
        })
    }
}

/// The passes of the run that is watched, and when they were read, on the destination's clock.
pub(super) fn run(sample: &Sample) -> Option<(super::Moment, &XminRun)> {
    let Some(Destination::Reached(reached)) = &sample.destination else { return None };
    let RunState::Known(run) = &reached.run else { return None };
    Some((run.at, run.xmin.as_ref()?))
}

/// The one whose transaction id is the safe bound: the oldest of those that have written.
fn holder(sample: &Sample, held_back: u64) -> Option<Holder> {
    let writes = |holder: &&Holder| matches!(holder.kind, HolderKind::Session | HolderKind::Prepared);
    let holders = sample.context.known().filter(|_| held_back > 0)?.holders.iter().filter(writes);
    holders.filter(|holder| holder.writing_age.is_some()).max_by_key(|holder| holder.writing_age).cloned()
}

/// Rows inserted and updated between two readings; a table whose counters were reset is left out.
fn waiting(before: &Tables, now: &Tables) -> Option<u64> {
    let known: std::collections::HashMap<&TableName, u64> =
        before.tables.iter().map(|table| (&table.name, table.inserts + table.updates)).collect();
    let grown =
        now.tables.iter().filter_map(|table| (table.inserts + table.updates).checked_sub(*known.get(&table.name)?));
    Some(grown.sum())
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(distance: u64) -> f64 {
    distance as f64 / HALF_CIRCLE as f64
}

#[cfg(test)]
mod tests {
    use super::XminReading;
    use crate::monitor::context::{Context, Holder, HolderKind};
    use crate::monitor::destination::{Destination, Reached, Run, RunState, XminRun};
    use crate::monitor::history::History;
    use crate::monitor::table::{Table, Tables};
    use crate::monitor::{Moment, Sample, Seen};
    use crate::profile::TableName;

    fn sample(second: u64, passes: u64, inserts: u64) -> Sample {
        let at = Moment::from_epoch(1_795_337_532.0).plus(std::time::Duration::from_secs(second));
        let next_at = Some(at.plus(std::time::Duration::from_secs(40)));
        let xmin = XminRun { passes, snapshot_xmin: 1000, next_at, rows_read: Some(7), ..XminRun::default() };
        let run = Run { at, xmin: Some(xmin), ..Run::default() };
        let table = Table { name: TableName::new("public", "t"), inserts, ..Table::default() };
        let old = Holder { pid: Some(7), writing_age: Some(50), ..Holder::default() };
        let young = Holder { pid: Some(8), writing_age: Some(2), ..Holder::default() };
        let reader = Holder { kind: HolderKind::Session, pid: Some(9), age: 99, ..Holder::default() };
        Sample {
            at,
            next_xid: 1000 + (1 << 29),
            oldest_xid: 950 + (1 << 29),
            open_transactions: 2,
            tables: Some(Tables { at, tables: vec![table], ..Tables::default() }),
            context: Seen::Known(Context { holders: vec![young, old, reader], ..Context::default() }),
            destination: Some(Destination::Reached(Box::new(Reached {
                run: RunState::Known(Box::new(run)),
                ..Reached::default()
            }))),
            ..Sample::default()
        }
    }

    #[test]
    fn a_pass_is_held_against_what_came_since() {
        let mut history = History::default();
        history.push(sample(0, 3, 100));
        let reading = XminReading::of(&history).unwrap();
        assert_eq!((reading.held_back, reading.naive_would_skip), (50, 2));
        assert_eq!(reading.held_by.and_then(|holder| holder.pid), Some(7), "the oldest that has written");
        let run = reading.run.unwrap();
        assert_eq!((run.behind, run.rows_read), (1 << 29, Some(7)));
        assert!((run.wraparound_share - 0.25).abs() < 1e-9);
        assert_eq!(run.next_in.map(|time| time.as_secs()), Some(40));
        assert_eq!(run.rows_waiting, None, "nobody has seen that pass end");
        history.push(sample(10, 4, 130));
        history.push(sample(20, 4, 145));
        assert_eq!(XminReading::of(&history).unwrap().run.unwrap().rows_waiting, Some(15));
    }
}
