//! What a run remembers, kept at the destination beside the rows it belongs to, in the schema `walpilot`.
//!
//! # The tables (a stable interface: the dashboard and administrators read them)
//!
//! - `walpilot.source`: where the rows come from; one row for each slot. `slot`, `system_identifier` and `timeline`
//!   (as `IDENTIFY_SYSTEM` gives them), `database`, `publication`, `method` (`cdc`, or `xmin`: then the slot is a
//!   mere name, the publication is empty, and `docs/xmin.md` tells of the tables that this method has besides), `started_at`.
//! - `walpilot.checkpoint`: how far the destination is; one row for each slot, written **in the same transaction as
//!   the rows**. `slot`, `lsn` (everything that committed before it at the source is here), `commit_time` (of the last
//!   transaction applied, the source's clock; null before the first), `applied_at` (the destination's clock).
//! - `walpilot.table_state`: one row for each table of the run. `slot`, `schema_name`, `table_name`, `state` (`copying`:
//!   its rows are not here yet, or not all; `streaming`: its rows are here and changes follow; `left`: it is no longer
//!   published or chosen, nothing of it is brought since `changed_at`, and it is copied anew should it come back),
//!   `copied_lsn` (the
//!   snapshot's position; changes of transactions that committed before it are part of the copy; null when nothing was
//!   copied), `rows` and `bytes` copied, `changed_at`, `published_as` (the table's OID at the source, what publishes
//!   it and its columns' numbers, so that a gap is noticed), `created` (walpilot made the table, and makes its key when
//!   the copy ends).
//! - `walpilot.table_piece`: while a large table is copied, one row for each piece of it that is here, written in the
//!   transaction that brought its rows. `slot`, `schema_name`, `table_name`, `first_block` (of the source's table),
//!   `rows`, `bytes`.
//! - `walpilot.progress`: one row for each slot, written about once a second outside the transactions of the rows, so
//!   it may be a little behind or ahead. `slot`, `phase` (`starting`, `copying`, `streaming`, `reading`, `waiting`,
//!   `reconnecting`, `stopping`, `stopped`), `transactions` and `changes` applied by this run, `source_end`, `lag_bytes`,
//!   `lag_millis`, `host`, `pid`, `updated_at`.
//! - `walpilot.table_progress`: one row for each table, written like `progress`. `slot`, `schema_name`, `table_name`,
//!   `phase` (`waiting`, `copying`, `streaming`, `reading`, `current`), `rows_copied`, `bytes_copied`, `rows_estimated`, `inserts`,
//!   `updates`, `deletes`, `truncates`, `updated_at`.
//!
//! One run owns a destination database by an advisory lock of the session that writes the rows. So when the lock is
//! free, the transaction of a run that was killed has ended one way or the other, and the checkpoint is the truth.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::halt::{self, Halt, Side};
use super::membership::Membership;
use super::walsender::Identity;
use crate::catalog::Lsn;
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::connection::{Settings, printable};
use crate::profile::{Method, TableName};

/// The advisory lock of a run: "walpilot" in ASCII.
const OWNER_LOCK: i64 = 0x7761_6c70_696c_6f74;

/// The schema that holds walpilot's tables at the destination; never replicated.
pub(super) const SCHEMA: &str = "walpilot";

const TABLES: &str = "
CREATE SCHEMA IF NOT EXISTS walpilot;
CREATE TABLE IF NOT EXISTS walpilot.source (
    slot text PRIMARY KEY, system_identifier text NOT NULL, timeline integer NOT NULL, database text NOT NULL,
    publication text NOT NULL, method text NOT NULL, started_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS walpilot.checkpoint (
    slot text PRIMARY KEY, lsn pg_lsn NOT NULL, commit_time timestamptz,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS walpilot.table_state (
    slot text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL,
    state text NOT NULL,
    copied_lsn pg_lsn, rows bigint NOT NULL DEFAULT 0, bytes bigint NOT NULL DEFAULT 0,
    changed_at timestamptz NOT NULL DEFAULT now(), published_as text, created boolean NOT NULL DEFAULT false,
    PRIMARY KEY (slot, schema_name, table_name));
ALTER TABLE walpilot.table_state DROP CONSTRAINT IF EXISTS table_state_state_check,
    DROP CONSTRAINT IF EXISTS table_state_known,
    ADD CONSTRAINT table_state_known CHECK (state IN ('copying', 'streaming', 'left'));
ALTER TABLE walpilot.table_state ADD COLUMN IF NOT EXISTS published_as text;
ALTER TABLE walpilot.table_state ADD COLUMN IF NOT EXISTS created boolean NOT NULL DEFAULT false;
CREATE TABLE IF NOT EXISTS walpilot.table_piece (
    slot text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL, first_block bigint NOT NULL,
    rows bigint NOT NULL, bytes bigint NOT NULL, PRIMARY KEY (slot, schema_name, table_name, first_block));
CREATE TABLE IF NOT EXISTS walpilot.progress (
    slot text PRIMARY KEY, phase text NOT NULL, transactions bigint NOT NULL, changes bigint NOT NULL,
    source_end pg_lsn NOT NULL, lag_bytes bigint NOT NULL, lag_millis bigint NOT NULL, host text, pid integer,
    updated_at timestamptz NOT NULL);
ALTER TABLE walpilot.progress ADD COLUMN IF NOT EXISTS rows_per_second bigint;
ALTER TABLE walpilot.progress ADD COLUMN IF NOT EXISTS changes_per_second bigint;
ALTER TABLE walpilot.progress ADD COLUMN IF NOT EXISTS eta_seconds bigint;
CREATE TABLE IF NOT EXISTS walpilot.table_progress (
    slot text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL, phase text NOT NULL,
    rows_copied bigint NOT NULL, bytes_copied bigint NOT NULL, rows_estimated bigint, inserts bigint NOT NULL,
    updates bigint NOT NULL, deletes bigint NOT NULL, truncates bigint NOT NULL, updated_at timestamptz NOT NULL,
    PRIMARY KEY (slot, schema_name, table_name));
ALTER TABLE walpilot.table_progress ADD COLUMN IF NOT EXISTS rows_per_second bigint;
ALTER TABLE walpilot.table_progress ADD COLUMN IF NOT EXISTS eta_seconds bigint;";

/// What the destination remembers of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) system_identifier: String,
    pub(super) timeline: i32,
    pub(super) database: String,
    pub(super) publication: String,
    pub(super) checkpoint: Lsn,
}

/// What the destination remembers of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TableState {
    /// Its rows are here.
    pub(super) complete: bool,
    /// Changes of transactions that committed before this position are not to be applied.
    pub(super) copied: Lsn,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// walpilot made the table; its key is made when the copy ends.
    pub(super) created: bool,
}

/// Rows and bytes that were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

fn failed(error: &tokio_postgres::Error) -> Halt {
    halt::query(Side::Destination, "using walpilot's own tables in schema walpilot", error)
}

/// A server process, told from those that get its number after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) pid: i32,
    /// `pg_stat_activity.backend_start`, as text.
    pub(super) started: String,
}

/// Takes the owner's lock, if it is free.
pub(super) async fn take_ownership(client: &Client) -> Result<bool, Halt> {
    let row = client.query_one("SELECT pg_try_advisory_lock($1)", &[&OWNER_LOCK]).await.map_err(|e| failed(&e))?;
    Ok(row.get(0))
}

/// Whether a run owns the destination database.
pub(super) async fn is_owned(client: &Client) -> Result<bool, Halt> {
    // A bigint key is shown as two halves (PostgreSQL documentation, "pg_locks").
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
               WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 1 \
               AND (l.classid::bigint << 32) + l.objid::bigint = $1)";
    let row = client.query_one(sql, &[&OWNER_LOCK]).await.map_err(|error| failed(&error))?;
    Ok(row.get(0))
}

/// Ends `left` if it still owns the destination; nothing happens to any other session.
pub(super) async fn end_owner(client: &Client, left: &Backend) -> Result<(), Halt> {
    // Its transaction is over, or becomes nothing: the new owner reads the checkpoint after it. A role may always end its
    // own sessions (PostgreSQL documentation, "Server Signaling Functions").
    let sql = "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid \
               WHERE a.pid = $1 AND a.backend_start::text = $2 AND l.locktype = 'advisory' AND l.objsubid = 1 \
               AND (l.classid::bigint << 32) + l.objid::bigint = $3";
    client.query(sql, &[&left.pid, &left.started, &OWNER_LOCK]).await.map_err(|error| failed(&error))?;
    Ok(())
}

/// Whether any run has written into the destination.
pub(super) async fn is_there(client: &Client) -> Result<bool, Halt> {
    let sql = "SELECT to_regclass('walpilot.checkpoint') IS NOT NULL";
    Ok(client.query_one(sql, &[]).await.map_err(|error| failed(&error))?.get(0))
}

/// Makes the tables that are missing.
pub(super) async fn ensure_tables(client: &Client, settings: &Settings) -> Result<(), Halt> {
    let there = client
        .query_one(
            "SELECT (SELECT count(*) FROM pg_constraint WHERE conname = 'table_state_known' \
                 AND conrelid = to_regclass('walpilot.table_state')) + count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN (VALUES ('source', 'slot'), ('checkpoint', 'slot'), ('table_piece', 'slot'), \
                 ('table_state', 'published_as'), ('table_state', 'created'), ('progress', 'eta_seconds'), \
                 ('table_progress', 'eta_seconds')) newest(table_name, column_name) ON newest.table_name = c.relname \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = newest.column_name AND NOT a.attisdropped \
             WHERE n.nspname = 'walpilot'",
            &[],
        )
        .await
        .map_err(|error| failed(&error))?;
    if there.get::<_, i64>(0) == 8 {
        return Ok(());
    }
    client.batch_execute(&format!("BEGIN; {TABLES} COMMIT")).await.map_err(|error| match error.as_db_error() {
        Some(db) if db.code().code() == "42501" => Halt::refused(format!(
            "The destination's role may not create the schema walpilot ({}). As the owner of the database run there: \
             GRANT CREATE ON DATABASE {} TO {}; then start again.",
            halt::shown(db),
            printable(&quote_ident(&settings.database)),
            printable(&quote_ident(&settings.user))
        )),
        _ => failed(&error),
    })
}

/// Refuses a name under which the other method has written: neither could go on from where the other is.
pub(super) async fn only_method(client: &Client, slot: &str, method: Method) -> Result<(), Halt> {
    let sql = "SELECT method FROM walpilot.source WHERE slot = $1";
    let row = client.query_opt(sql, &[&slot]).await.map_err(|error| failed(&error))?;
    match row.as_ref().map(|row| row.get::<_, &str>(0)) {
        Some(other) if other != method.name() => Err(Halt::refused(format!(
            "The destination holds rows that the method {} has replicated under the name {slot}. Go on with --method {0}, \
             use another name (--slot) and another destination, or start with --copy-again, which reads everything anew.",
            printable(other)
        ))),
        _ => Ok(()),
    }
}

/// What is known of `slot`; `None` when no run has begun with it.
pub(super) async fn load(client: &Client, slot: &str) -> Result<Option<Remembered>, Halt> {
    let row = client
        .query_opt(
            "SELECT s.system_identifier, s.timeline, s.database, s.publication, c.lsn::text \
             FROM walpilot.source s JOIN walpilot.checkpoint c USING (slot) WHERE slot = $1",
            &[&slot],
        )
        .await
        .map_err(|error| failed(&error))?;
    Ok(row.map(|row| Remembered {
        system_identifier: row.get(0),
        timeline: row.get(1),
        database: row.get(2),
        publication: row.get(3),
        checkpoint: lsn(row.get(4)),
    }))
}

/// Remembers a new source that starts at `from`.
pub(super) async fn begin(
    client: &Client,
    slot: &str,
    publication: &str,
    identity: &Identity,
    from: Lsn,
) -> Result<(), Halt> {
    let text = |value: &str| quote_literal(value);
    let sql = format!(
        "BEGIN; INSERT INTO walpilot.source (slot, system_identifier, timeline, database, publication, method) \
         VALUES ({slot}, {}, {}, {}, {}, 'cdc'); \
         INSERT INTO walpilot.checkpoint (slot, lsn) VALUES ({slot}, '{from}'); COMMIT",
        text(&identity.system_identifier),
        identity.timeline,
        text(&identity.database),
        text(publication),
        slot = text(slot),
    );
    client.batch_execute(&sql).await.map_err(|error| failed(&error))
}

/// The tables of a slot.
pub(super) async fn table_states(client: &Client, slot: &str) -> Result<Vec<(TableName, TableState)>, Halt> {
    let rows = client
        .query(
            "SELECT schema_name, table_name, state, COALESCE(copied_lsn, '0/0')::text, rows, bytes, created \
             FROM walpilot.table_state WHERE slot = $1",
            &[&slot],
        )
        .await
        .map_err(|error| failed(&error))?;
    let count = |value: i64| u64::try_from(value).unwrap_or_default();
    Ok(rows
        .iter()
        .map(|row| {
            let state = TableState {
                complete: row.get::<_, &str>(2) == "streaming",
                copied: lsn(row.get(3)),
                rows: count(row.get(4)),
                bytes: count(row.get(5)),
                created: row.get(6),
            };
            (TableName::new(row.get::<_, String>(0), row.get::<_, String>(1)), state)
        })
        .collect())
}

/// Whether a table's rows are on their way, so that they are of no position yet.
pub(super) async fn is_copying(client: &Client, slot: &str, table: &TableName) -> Result<bool, Halt> {
    let sql = "SELECT EXISTS (SELECT 1 FROM walpilot.table_state WHERE slot = $1::text AND schema_name = $2::text \
               AND table_name = $3::text AND state = 'copying')";
    let row = client.query_one(sql, &[&slot, &table.schema, &table.name]).await.map_err(|error| failed(&error))?;
    Ok(row.get(0))
}

/// As what the tables of a slot were published when their copy began.
pub(super) async fn memberships(client: &Client, slot: &str) -> Result<HashMap<TableName, Membership>, Halt> {
    let sql = "SELECT schema_name, table_name, published_as FROM walpilot.table_state \
               WHERE slot = $1 AND published_as IS NOT NULL";
    let rows = client.query(sql, &[&slot]).await.map_err(|error| failed(&error))?;
    let read = |row: &tokio_postgres::Row| {
        let name = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        Some((name, Membership::parse(row.get(2))?))
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// The statement that records as what a table is published; the table has a row in `walpilot.table_state`.
pub(super) fn set_membership(slot: &str, table: &TableName, membership: &Membership) -> String {
    format!(
        "UPDATE walpilot.table_state SET published_as = {} WHERE slot = {} AND schema_name = {} AND table_name = {}",
        quote_literal(&membership.to_string()),
        quote_literal(slot),
        quote_literal(&table.schema),
        quote_literal(&table.name),
    )
}

/// Moves the checkpoint ahead to `lsn`: all tables were copied there or later, so what committed before it is here.
pub(super) async fn raise(client: &Client, slot: &str, lsn: Lsn) -> Result<(), Halt> {
    client
        .execute(
            "UPDATE walpilot.checkpoint SET lsn = $2::text::pg_lsn, applied_at = clock_timestamp() \
             WHERE slot = $1::text AND lsn < $2::text::pg_lsn",
            &[&slot, &lsn.to_string()],
        )
        .await
        .map(drop)
        .map_err(|error| failed(&error))
}

/// The statement that records a table's state; runs alone or inside the copy's transaction.
pub(super) fn set_table_state(slot: &str, table: &TableName, state: &TableState) -> String {
    let copied = if state.copied == Lsn::INVALID { "NULL".to_owned() } else { format!("'{}'", state.copied) };
    format!(
        "INSERT INTO walpilot.table_state (slot, schema_name, table_name, state, copied_lsn, rows, bytes, created) \
         VALUES ({}, {}, {}, '{}', {copied}, {}, {}, {}) ON CONFLICT (slot, schema_name, table_name) DO UPDATE \
         SET state = excluded.state, copied_lsn = excluded.copied_lsn, rows = excluded.rows, bytes = excluded.bytes, \
         created = excluded.created, changed_at = now()",
        quote_literal(slot),
        quote_literal(&table.schema),
        quote_literal(&table.name),
        if state.complete { "streaming" } else { "copying" },
        state.rows,
        state.bytes,
        state.created,
    )
}

/// Records that a table is no longer published or chosen; false when that stands there already.
pub(super) async fn leave(client: &Client, slot: &str, table: &TableName) -> Result<bool, Halt> {
    let sql = "UPDATE walpilot.table_state SET state = 'left', changed_at = now() WHERE slot = $1::text \
               AND schema_name = $2::text AND table_name = $3::text AND state <> 'left'";
    let changed = client.execute(sql, &[&slot, &table.schema, &table.name]).await;
    changed.map(|rows| rows > 0).map_err(|error| failed(&error))
}

/// The pieces of a table that are here, by their first block.
pub(super) async fn pieces(client: &Client, slot: &str, table: &TableName) -> Result<HashMap<u64, Amount>, Halt> {
    let rows = client
        .query(
            "SELECT first_block, rows, bytes FROM walpilot.table_piece \
             WHERE slot = $1::text AND schema_name = $2::text AND table_name = $3::text",
            &[&slot, &table.schema, &table.name],
        )
        .await
        .map_err(|error| failed(&error))?;
    let count = |row: &tokio_postgres::Row, at| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    Ok(rows.iter().map(|row| (count(row, 0), Amount { rows: count(row, 1), bytes: count(row, 2) })).collect())
}

/// The statement that records a piece; runs in the transaction of its rows.
pub(super) fn add_piece(slot: &str, table: &TableName, first_block: u64, copied: Amount) -> String {
    format!(
        "INSERT INTO walpilot.table_piece (slot, schema_name, table_name, first_block, rows, bytes) \
         VALUES ({}, {}, {}, {first_block}, {}, {}) ON CONFLICT DO NOTHING",
        quote_literal(slot),
        quote_literal(&table.schema),
        quote_literal(&table.name),
        copied.rows,
        copied.bytes,
    )
}

/// The statement that forgets the pieces of a table: it is complete, or emptied.
pub(super) fn forget_pieces(slot: &str, table: &TableName) -> String {
    format!(
        "DELETE FROM walpilot.table_piece WHERE slot = {} AND schema_name = {} AND table_name = {}",
        quote_literal(slot),
        quote_literal(&table.schema),
        quote_literal(&table.name),
    )
}

/// Moves the checkpoint: `$1` slot, `$2` position, `$3` microseconds since 2000-01-01 UTC of the source's commit, or
/// null to keep the time of the transaction before.
///
/// When the slot has no checkpoint it fails with `division_by_zero`, so that a COMMIT behind it commits nothing.
pub(super) const ADVANCE: &str = "WITH advanced AS (UPDATE walpilot.checkpoint SET lsn = $2::text::pg_lsn, commit_time = \
     COALESCE('2000-01-01 00:00:00+00'::timestamptz + $3::bigint * interval '1 microsecond', commit_time), \
     applied_at = clock_timestamp() WHERE slot = $1::text RETURNING 1) SELECT 1 / count(*) FROM advanced";

fn lsn(text: &str) -> Lsn {
    text.parse().unwrap_or_default()
}

/// Follows a change of the publication's name.
pub(super) async fn set_publication(client: &Client, slot: &str, publication: &str) -> Result<(), Halt> {
    client
        .execute("UPDATE walpilot.source SET publication = $2::text WHERE slot = $1::text", &[&slot, &publication])
        .await
        .map(drop)
        .map_err(|error| failed(&error))
}

/// Forgets how far a slot is, so that all its tables are emptied and copied anew.
pub(super) async fn forget(client: &Client, slot: &str) -> Result<(), Halt> {
    let sql = format!(
        "BEGIN; DELETE FROM walpilot.checkpoint WHERE slot = {slot}; DELETE FROM walpilot.source WHERE slot = {slot}; \
         UPDATE walpilot.table_state SET state = 'copying', changed_at = now() WHERE slot = {slot} \
         AND state <> 'left'; COMMIT",
        slot = quote_literal(slot)
    );
    client.batch_execute(&sql).await.map_err(|error| failed(&error))
}
