//! Finds rows that were deleted at the source, and removes them.
//!
//! The destination's keys are taken in the order of its own index, in ranges. Where the order of the key's types is the
//! same everywhere, count and checksum of a range tell whether anything differs at all. Only then, or where the order
//! may differ (text under two collations), the source is asked which of the keys it has.
//!
//! Why nothing else can be removed: whatever is at the destination was read in this snapshot or an earlier one, because
//! only this run writes there. So a key that this snapshot does not show was deleted, or changed, since. One that is
//! inserted after the snapshot is not at the destination yet; it has a new `xmin` and comes with the next pass.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use tokio_util::sync::CancellationToken;

use super::state::Record;
use super::tables::Job;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::profile::TableName;
use crate::replication::counted::counted;
use crate::replication::halt::{self, Halt, Side};
use crate::replication::progress::Teller;

/// Keys in a range.
const RANGE_KEYS: u64 = 10_000;

/// Types whose values have one text and whose order is the same on every server.
const ORDERED: &[&str] = &["smallint", "integer", "bigint", "uuid", "date", "oid", "boolean"];

/// What a reconciliation needs.
pub(super) struct Reconcile<'a> {
    /// The source, in the pass's snapshot.
    pub(super) here: &'a Client,
    pub(super) there: &'a Client,
    pub(super) slot: &'a str,
    pub(super) tell: &'a Teller,
    pub(super) stop: &'a CancellationToken,
    /// After this time it stops at the end of a range; the next one goes on from there.
    pub(super) limit: Duration,
}

impl Reconcile<'_> {
    /// Compares all tables; returns how many rows of each were removed, and whether all came to their end.
    pub(super) async fn tables(
        &self,
        jobs: &mut (dyn Iterator<Item = &Job> + Send),
    ) -> Result<(Vec<(TableName, u64)>, bool), Halt> {
        let give_up = now() + self.limit;
        let mut removed = Vec::new();
        for job in jobs {
            if job.wanted.materialized {
                continue;
            }
            let (rows, whole) = self.table(job, give_up).await?;
            let name = &job.wanted.source.name;
            if rows > 0 {
                self.tell.note(format!(
                    "Removed {} of {name} that the source does not have any more.",
                    counted(rows, "row")
                ));
            }
            removed.push((name.clone(), rows));
            if !whole {
                self.tell.note(format!(
                    "The comparison of keys stopped in {name}; the next one goes on from there (--reconcile-for gives it \
                     more time)."
                ));
                return Ok((removed, false));
            }
        }
        Ok((removed, true))
    }

    async fn table(&self, job: &Job, give_up: Instant) -> Result<(u64, bool), Halt> {
        let keys = Keys::of(job);
        let record = Record { slot: self.slot, table: &job.wanted.source.name };
        let mut after = job.state.reconcile_after.clone();
        let mut removed = 0;
        loop {
            let to = self.range_end(&keys, after.as_ref()).await?;
            let rows = self.range(&keys, after.as_ref(), to.as_ref(), &record).await?;
            removed += rows;
            if to.is_none() {
                return Ok((removed, true));
            }
            after = to;
            if self.stop.is_cancelled() || now() >= give_up {
                return Ok((removed, false));
            }
        }
    }

    /// The last key of the next range; `None` when the rest is one.
    async fn range_end(&self, keys: &Keys, after: Option<&Vec<String>>) -> Result<Option<Vec<String>>, Halt> {
        let sql = format!(
            "SELECT {} FROM {}{} ORDER BY {} OFFSET {} LIMIT 1",
            keys.texts,
            keys.there,
            keys.within(after.is_some(), false),
            keys.columns,
            RANGE_KEYS - 1
        );
        let row = self.there.query_opt(&sql, &parameters(after, None)).await;
        let row = row.map_err(|error| self.failed(Side::Destination, keys, &error))?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Removes what the source lacks between two keys.
    async fn range(
        &self,
        keys: &Keys,
        after: Option<&Vec<String>>,
        to: Option<&Vec<String>>,
        record: &Record<'_>,
    ) -> Result<u64, Halt> {
        let within = keys.within(after.is_some(), to.is_some());
        let bounds = parameters(after, to);
        if keys.ordered {
            let sum = |from: &str| {
                format!(
                    "SELECT count(*), COALESCE(sum(('x' || left(md5(ROW({})::text), 16))::bit(64)::bigint::numeric), 0)::text \
                     FROM {from}{within}",
                    keys.columns
                )
            };
            let (here, there) = (sum(&keys.here), sum(&keys.there));
            let (here, there) =
                tokio::join!(self.here.query_one(&here, &bounds), self.there.query_one(&there, &bounds));
            let here = here.map_err(|error| self.failed(Side::Source, keys, &error))?;
            let there = there.map_err(|error| self.failed(Side::Destination, keys, &error))?;
            let sums = |row: &tokio_postgres::Row| (row.get::<_, i64>(0), row.get::<_, String>(1));
            if sums(&here) == sums(&there) {
                return self.remove(keys, &[], to, record).await;
            }
        }
        let sql = format!("SELECT {} FROM {}{within}", keys.texts, keys.there);
        let rows = self.there.query(&sql, &bounds).await;
        let rows = rows.map_err(|error| self.failed(Side::Destination, keys, &error))?;
        let all: Vec<Vec<String>> = rows.iter().map(|row| row.get(0)).collect();
        let columns = turned(&all, keys.width);
        let asked: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
        let rows = self.here.query(&keys.missing, &asked).await;
        let rows = rows.map_err(|error| self.failed(Side::Source, keys, &error))?;
        let gone: Vec<Vec<String>> = rows.iter().map(|row| row.get(0)).collect();
        self.remove(keys, &gone, to, record).await
    }

    async fn remove(
        &self,
        keys: &Keys,
        gone: &[Vec<String>],
        to: Option<&Vec<String>>,
        record: &Record<'_>,
    ) -> Result<u64, Halt> {
        let failed = |error| self.failed(Side::Destination, keys, &error);
        let mut removed = 0;
        self.there.batch_execute("BEGIN").await.map_err(failed)?;
        if !gone.is_empty() {
            let columns = turned(gone, keys.width);
            let given: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
            removed = self.there.execute(&keys.delete, &given).await.map_err(failed)?;
        }
        let sql = format!("{}; COMMIT", record.reconciled(to.map(Vec::as_slice), removed));
        self.there.batch_execute(&sql).await.map_err(failed)?;
        Ok(removed)
    }

    fn failed(&self, side: Side, keys: &Keys, error: &tokio_postgres::Error) -> Halt {
        halt::query(side, &format!("comparing the keys of table {}", keys.name), error)
    }
}

/// The statements about a table's keys.
struct Keys {
    name: TableName,
    width: usize,
    ordered: bool,
    here: String,
    there: String,
    columns: String,
    texts: String,
    types: Vec<String>,
    missing: String,
    delete: String,
}

impl Keys {
    fn of(job: &Job) -> Self {
        let source = &job.wanted.source;
        let table = quote_table(&source.name);
        let only = |partitioned: bool| if partitioned { "" } else { "ONLY " };
        let (here, there) =
            (format!("{}{table}", only(source.partitioned)), format!("{}{table}", only(job.there.partitioned)));
        let key = job.wanted.key();
        let columns: Vec<String> = key.iter().map(|(name, _)| quote_ident(name)).collect();
        let types: Vec<String> = key.iter().map(|(_, type_name)| type_name.clone()).collect();
        let comparable = |name: &str| job.there.columns.iter().any(|column| column.name == name && column.comparable);
        let given: Vec<String> = (1..=key.len()).map(|at| format!("${at}::text[]")).collect();
        let names: Vec<String> = (1..=key.len()).map(|at| format!("k{at}")).collect();
        let given = format!("unnest({}) AS given ({})", given.join(", "), names.join(", "));
        let same = |side: &str| {
            let pairs = key.iter().zip(&names).map(|((name, type_name), given)| {
                let column = quote_ident(name);
                if comparable(name) {
                    format!("{side}.{column} = given.{given}::{type_name}")
                } else {
                    format!("{side}.{column}::text COLLATE \"C\" = given.{given} COLLATE \"C\"")
                }
            });
            pairs.collect::<Vec<_>>().join(" AND ")
        };
        let texts: Vec<String> = columns.iter().map(|column| format!("{column}::text")).collect();
        let back: Vec<String> = names.iter().map(|name| format!("given.{name}")).collect();
        Self {
            name: source.name.clone(),
            width: key.len(),
            ordered: types.iter().all(|type_name| ORDERED.contains(&type_name.as_str())),
            missing: format!(
                "SELECT ARRAY[{}] FROM {given} WHERE NOT EXISTS (SELECT FROM {here} AS here WHERE {})",
                back.join(", "),
                same("here")
            ),
            delete: format!("DELETE FROM {there} AS there USING {given} WHERE {}", same("there")),
            columns: columns.join(", "),
            texts: format!("ARRAY[{}]", texts.join(", ")),
            types,
            here,
            there,
        }
    }

    /// The condition for a range; its bounds are parameters, one array each.
    fn within(&self, after: bool, to: bool) -> String {
        let row = |parameter: usize| {
            let values: Vec<String> = self
                .types
                .iter()
                .enumerate()
                .map(|(at, type_name)| format!("((${parameter}::text[])[{}])::{type_name}", at + 1))
                .collect();
            values.join(", ")
        };
        let mut conditions = Vec::new();
        if after {
            conditions.push(format!("({}) > ({})", self.columns, row(1)));
        }
        if to {
            conditions.push(format!("({}) <= ({})", self.columns, row(1 + usize::from(after))));
        }
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
    }
}

fn parameters<'a>(after: Option<&'a Vec<String>>, to: Option<&'a Vec<String>>) -> Vec<&'a (dyn ToSql + Sync)> {
    after.into_iter().chain(to).map(|key| key as _).collect()
}

/// Rows of columns as columns of rows.
fn turned(rows: &[Vec<String>], width: usize) -> Vec<Vec<&str>> {
    (0..width).map(|at| rows.iter().filter_map(|row| row.get(at)).map(String::as_str).collect()).collect()
}

fn now() -> Instant {
    Instant::now()
}
