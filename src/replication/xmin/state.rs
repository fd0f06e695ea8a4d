//! What the xmin method remembers, at the destination beside the rows. `docs/xmin.md` describes the tables for readers.
//!
//! `walpilot.source` and `walpilot.checkpoint` are shared with the other method (see `checkpoint`): the method is `xmin`,
//! the slot is a mere name, and the checkpoint's position is one before which everything that was visible at the
//! source is here, but for deletes.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::bound::{Snapshot, Xid};
use super::range::Position;
use super::snapshot::Identity;
use crate::catalog::Lsn;
use crate::catalog::ident::quote_literal;
use crate::profile::TableName;
use crate::replication::halt::{self, Halt, Side};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS walpilot.xmin_pass (
    slot text PRIMARY KEY, passes bigint NOT NULL, running boolean NOT NULL, resumed boolean NOT NULL,
    snapshot_xmin bigint NOT NULL, snapshot_xmax bigint NOT NULL, seen_lsn pg_lsn NOT NULL,
    began_at timestamptz NOT NULL, ended_at timestamptz, next_at timestamptz);
CREATE TABLE IF NOT EXISTS walpilot.xmin_table (
    slot text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
    state text NOT NULL CHECK (state IN ('reading', 'current', 'again')),
    rows_read bigint NOT NULL DEFAULT 0, rows_written bigint NOT NULL DEFAULT 0,
    deletes_counter bigint, deletes_unseen bigint, deletes_since timestamptz,
    reconcile_after text[], reconciled_at timestamptz, rows_removed bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (slot, schema_name, table_name));
CREATE TABLE IF NOT EXISTS walpilot.xmin_relation (
    slot text NOT NULL, relation oid NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
    relation_name text NOT NULL, shape text NOT NULL, bound bigint, pass_bound bigint,
    position_kind text, position text[], changed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (slot, relation));";

/// What is remembered of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) system_identifier: String,
    pub(super) timeline: i32,
    pub(super) database: String,
    pub(super) method: String,
    /// Everything that the last snapshot saw had been logged before this position.
    pub(super) seen: Lsn,
}

/// What is remembered of a table at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TableState {
    /// Every relation of it has been read at least once.
    pub(super) current: bool,
    /// It has to be emptied before it is read.
    pub(super) again: bool,
    /// The source's count of deletes at the last pass.
    pub(super) deletes_counter: Option<i64>,
    /// Deletes that the source has counted since its rows were last known to be the same.
    pub(super) deletes_unseen: Option<i64>,
    /// The last key of a reconciliation that has not come to the end.
    pub(super) reconcile_after: Option<Vec<String>>,
}

/// What is remembered of a relation at the source: a table, or a partition of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RelationState {
    /// The table at the destination that its rows go to.
    pub(super) table: TableName,
    /// What tells whether its rows still lie where they lay.
    pub(super) shape: String,
    /// Everything below is here; `None`: not everything has been read.
    pub(super) bound: Option<Xid>,
    /// A pass that is in its middle: the bound of its first snapshot, and how far it is.
    pub(super) reading: Option<(Xid, Position)>,
}

fn failed(error: &tokio_postgres::Error) -> Halt {
    halt::query(Side::Destination, "using walpilot's own tables in schema walpilot", error)
}

/// Makes the tables of this method that are missing.
pub(super) async fn ensure_tables(client: &Client) -> Result<(), Halt> {
    let sql = "SELECT to_regclass('walpilot.xmin_pass') IS NOT NULL AND to_regclass('walpilot.xmin_table') IS NOT NULL \
               AND to_regclass('walpilot.xmin_relation') IS NOT NULL";
    if client.query_one(sql, &[]).await.map_err(|error| failed(&error))?.get(0) {
        return Ok(());
    }
    client.batch_execute(&format!("BEGIN; {TABLES} COMMIT")).await.map_err(|error| failed(&error))
}

/// What is remembered under this name, whatever the method.
pub(super) async fn load(client: &Client, slot: &str) -> Result<Option<Remembered>, Halt> {
    let sql = "SELECT s.system_identifier, s.timeline, s.database, s.method, COALESCE(p.seen_lsn, '0/0')::text \
               FROM walpilot.source s LEFT JOIN walpilot.xmin_pass p USING (slot) WHERE slot = $1";
    let row = client.query_opt(sql, &[&slot]).await.map_err(|error| failed(&error))?;
    Ok(row.map(|row| Remembered {
        system_identifier: row.get(0),
        timeline: row.get(1),
        database: row.get(2),
        method: row.get(3),
        seen: row.get::<_, &str>(4).parse().unwrap_or_default(),
    }))
}

/// Remembers a new source.
pub(super) async fn begin(client: &Client, slot: &str, identity: &Identity) -> Result<(), Halt> {
    let sql = format!(
        "BEGIN; INSERT INTO walpilot.source (slot, system_identifier, timeline, database, publication, method) \
         VALUES ({slot}, {}, {}, {}, '', 'xmin'); INSERT INTO walpilot.checkpoint (slot, lsn) VALUES ({slot}, '0/0'); COMMIT",
        quote_literal(&identity.system_identifier),
        identity.timeline,
        quote_literal(&identity.database),
        slot = quote_literal(slot),
    );
    client.batch_execute(&sql).await.map_err(|error| failed(&error))
}

/// Remembers a new history of the same source: no bound counts any more.
pub(super) async fn read_again(client: &Client, slot: &str, identity: &Identity) -> Result<(), Halt> {
    let sql = format!(
        "BEGIN; UPDATE walpilot.source SET timeline = {} WHERE slot = {slot}; \
         UPDATE walpilot.xmin_pass SET seen_lsn = '0/0' WHERE slot = {slot}; \
         UPDATE walpilot.xmin_relation SET bound = NULL, pass_bound = NULL, position_kind = NULL, position = NULL \
         WHERE slot = {slot}; COMMIT",
        identity.timeline,
        slot = quote_literal(slot),
    );
    client.batch_execute(&sql).await.map_err(|error| failed(&error))
}

/// Forgets how far everything is, so that all tables, also those of the other method, are emptied and read anew.
pub(super) async fn forget(client: &Client, slot: &str) -> Result<(), Halt> {
    let sql = format!(
        "BEGIN; DELETE FROM walpilot.checkpoint WHERE slot = {slot}; DELETE FROM walpilot.source WHERE slot = {slot}; \
         DELETE FROM walpilot.xmin_relation WHERE slot = {slot}; DELETE FROM walpilot.xmin_pass WHERE slot = {slot}; \
         UPDATE walpilot.xmin_table SET state = 'again', deletes_counter = NULL, deletes_unseen = NULL, \
         reconcile_after = NULL, changed_at = now() WHERE slot = {slot}; \
         INSERT INTO walpilot.xmin_table (slot, schema_name, table_name, state) \
         SELECT slot, schema_name, table_name, 'again' FROM walpilot.table_state WHERE slot = {slot} \
         ON CONFLICT DO NOTHING; DELETE FROM walpilot.table_state WHERE slot = {slot}; COMMIT",
        slot = quote_literal(slot)
    );
    client.batch_execute(&sql).await.map_err(|error| failed(&error))
}

/// The tables of this name.
pub(super) async fn tables(client: &Client, slot: &str) -> Result<HashMap<TableName, TableState>, Halt> {
    let sql = "SELECT schema_name, table_name, state, deletes_counter, deletes_unseen, reconcile_after \
               FROM walpilot.xmin_table WHERE slot = $1";
    let rows = client.query(sql, &[&slot]).await.map_err(|error| failed(&error))?;
    let state = |row: &tokio_postgres::Row| TableState {
        current: row.get::<_, &str>(2) == "current",
        again: row.get::<_, &str>(2) == "again",
        deletes_counter: row.get(3),
        deletes_unseen: row.get(4),
        reconcile_after: row.get(5),
    };
    Ok(rows.iter().map(|row| (TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)), state(row))).collect())
}

/// The relations of this name, by their oid at the source.
pub(super) async fn relations(client: &Client, slot: &str) -> Result<HashMap<u32, RelationState>, Halt> {
    let sql = "SELECT relation, shape, bound, pass_bound, position_kind, position, schema_name, table_name FROM walpilot.xmin_relation \
               WHERE slot = $1";
    let rows = client.query(sql, &[&slot]).await.map_err(|error| failed(&error))?;
    let state = |row: &tokio_postgres::Row| {
        let pass_bound: Option<i64> = row.get(3);
        let (kind, values): (Option<&str>, Option<Vec<String>>) = (row.get(4), row.get(5));
        let position = kind.zip(values).and_then(|(kind, values)| Position::decode(kind, &values));
        RelationState {
            table: TableName::new(row.get::<_, String>(6), row.get::<_, String>(7)),
            shape: row.get(1),
            bound: row.get::<_, Option<i64>>(2).map(Xid::from_bigint),
            reading: pass_bound.map(Xid::from_bigint).zip(position),
        }
    };
    Ok(rows.iter().map(|row| (row.get(0), state(row))).collect())
}

/// Writes the statements that record what was reached; they run in the transaction of the rows.
pub(super) struct Record<'a> {
    pub(super) slot: &'a str,
    pub(super) table: &'a TableName,
}

impl Record<'_> {
    fn place(&self) -> String {
        let text = quote_literal;
        format!("{}, {}, {}", text(self.slot), text(&self.table.schema), text(&self.table.name))
    }

    /// How far a relation is.
    pub(super) fn relation(&self, oid: u32, name: &str, state: &RelationState) -> String {
        debug_assert_eq!(*self.table, state.table);
        let bigint = |xid: Option<Xid>| xid.map_or_else(|| "NULL".to_owned(), |xid| xid.as_bigint().to_string());
        let (kind, position) = match state.reading.as_ref().map(|(_, position)| position.encode()) {
            Some((kind, values)) => (quote_literal(kind), array(&values)),
            None => ("NULL".to_owned(), "NULL".to_owned()),
        };
        let [slot, schema, table] = [self.slot, &self.table.schema, &self.table.name].map(quote_literal);
        format!(
            "INSERT INTO walpilot.xmin_relation (slot, relation, schema_name, table_name, relation_name, shape, bound, \
             pass_bound, position_kind, position) VALUES ({slot}, {oid}, {schema}, {table}, {}, {}, {}, {}, {kind}, \
             {position}) ON CONFLICT (slot, relation) DO UPDATE SET schema_name = excluded.schema_name, \
             table_name = excluded.table_name, relation_name = excluded.relation_name, shape = excluded.shape, \
             bound = excluded.bound, pass_bound = excluded.pass_bound, position_kind = excluded.position_kind, \
             position = excluded.position, changed_at = now()",
            quote_literal(name),
            quote_literal(&state.shape),
            bigint(state.bound),
            bigint(state.reading.as_ref().map(|(bound, _)| *bound)),
        )
    }

    /// That rows of a table may be here, before the first one is; its relations are read from their beginning.
    pub(super) fn begun(&self) -> String {
        let [slot, schema, table] = [self.slot, &self.table.schema, &self.table.name].map(quote_literal);
        format!(
            "INSERT INTO walpilot.xmin_table (slot, schema_name, table_name, state) VALUES ({}, 'reading') \
             ON CONFLICT (slot, schema_name, table_name) DO UPDATE SET state = 'reading', changed_at = now(); \
             DELETE FROM walpilot.xmin_relation WHERE slot = {slot} AND schema_name = {schema} AND table_name = {table}",
            self.place()
        )
    }

    /// That all rows of a table are to be read again, and written over what is there.
    pub(super) fn again(&self) -> String {
        let [slot, schema, table] = [self.slot, &self.table.schema, &self.table.name].map(quote_literal);
        format!(
            "DELETE FROM walpilot.xmin_relation WHERE slot = {slot} AND schema_name = {schema} AND table_name = {table}"
        )
    }

    /// That a relation is no part of the table any more. Should it come back, it is read as a whole: its rows may have
    /// been removed meanwhile, because the table did not have them.
    pub(super) fn left(&self, oid: u32) -> String {
        format!("DELETE FROM walpilot.xmin_relation WHERE slot = {} AND relation = {oid}", quote_literal(self.slot))
    }

    /// That a pass has read the whole table, and what the source has counted.
    pub(super) fn read(&self, rows_read: u64, rows_written: u64, state: &TableState) -> String {
        let number = |value: Option<i64>| value.map_or_else(|| "NULL".to_owned(), |value| value.to_string());
        format!(
            "INSERT INTO walpilot.xmin_table (slot, schema_name, table_name, state, rows_read, rows_written, \
             deletes_counter, deletes_unseen, deletes_since) VALUES ({}, 'current', {rows_read}, {rows_written}, {}, {}, \
             now()) ON CONFLICT (slot, schema_name, table_name) DO UPDATE SET state = 'current', \
             rows_read = excluded.rows_read, rows_written = excluded.rows_written, \
             deletes_counter = excluded.deletes_counter, deletes_unseen = excluded.deletes_unseen, \
             deletes_since = COALESCE(xmin_table.deletes_since, now()), changed_at = now()",
            self.place(),
            number(state.deletes_counter),
            number(state.deletes_unseen),
        )
    }

    /// How far the reconciliation of a table is; `None`: it came to the end, so no delete before it is unseen.
    pub(super) fn reconciled(&self, after: Option<&[String]>, removed: u64) -> String {
        let [slot, schema, table] = [self.slot, &self.table.schema, &self.table.name].map(quote_literal);
        let rest = match after {
            Some(after) => format!("reconcile_after = {}", array(after)),
            None => "reconcile_after = NULL, reconciled_at = now(), deletes_unseen = 0 * deletes_counter, \
                     deletes_since = now()"
                .to_owned(),
        };
        format!(
            "UPDATE walpilot.xmin_table SET rows_removed = rows_removed + {removed}, {rest} \
             WHERE slot = {slot} AND schema_name = {schema} AND table_name = {table}"
        )
    }
}

/// That a pass begins.
pub(super) fn pass_begins(slot: &str, snapshot: Snapshot) -> String {
    format!(
        "INSERT INTO walpilot.xmin_pass (slot, passes, running, resumed, snapshot_xmin, snapshot_xmax, seen_lsn, began_at) \
         VALUES ({}, 0, true, false, {}, {}, '{}', clock_timestamp()) ON CONFLICT (slot) DO UPDATE SET running = true, \
         resumed = false, snapshot_xmin = excluded.snapshot_xmin, snapshot_xmax = excluded.snapshot_xmax, \
         seen_lsn = excluded.seen_lsn, began_at = excluded.began_at, ended_at = NULL, next_at = NULL",
        quote_literal(slot),
        snapshot.xmin.as_bigint(),
        snapshot.xmax.as_bigint(),
        snapshot.seen
    )
}

/// That a pass has come to its end. `resumed`: it had begun in an earlier snapshot, so only the next one is whole.
pub(super) fn pass_ends(slot: &str, position: Lsn, resumed: bool, next_in: Option<std::time::Duration>) -> String {
    let slot = quote_literal(slot);
    let next = next_in.map_or_else(
        || "NULL".to_owned(),
        |pause| format!("clock_timestamp() + interval '{} milliseconds'", pause.as_millis()),
    );
    let checkpoint = if resumed {
        String::new()
    } else {
        format!(
            "; UPDATE walpilot.checkpoint SET lsn = '{position}', applied_at = clock_timestamp() WHERE slot = {slot}"
        )
    };
    format!(
        "BEGIN; UPDATE walpilot.xmin_pass SET passes = passes + 1, running = false, resumed = {resumed}, \
         ended_at = clock_timestamp(), next_at = {next} WHERE slot = {slot}{checkpoint}; COMMIT"
    )
}

fn array(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quote_literal(value)).collect();
    format!("ARRAY[{}]::text[]", values.join(", "))
}
