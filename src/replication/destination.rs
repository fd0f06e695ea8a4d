//! The session that writes, and whether the destination's tables fit those of the source.

use tokio_postgres::Client;

use super::checkpoint::Backend;
use super::formats;
use super::halt::{self, Halt, Side};
use super::lossless::Kind;
use super::source::SourceTable;
use crate::catalog::ident::{quote_ident, quote_table, regclass_text};
use crate::connection::{self, Session, SessionOptions, Settings, printable};
use crate::profile::TableName;

/// A session that may write.
pub(super) struct Destination {
    pub(super) session: Session,
    /// Triggers and foreign keys rest in this session, as they do for PostgreSQL's own replication.
    pub(super) replica_role: bool,
    /// `server_version_num`.
    pub(super) version: i32,
    pub(super) backend: Backend,
}

/// A column at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DestinationColumn {
    pub(super) name: String,
    pub(super) type_oid: u32,
    /// Qualified unless in pg_catalog, without a modifier.
    pub(super) type_name: String,
    /// Values can go as elements of an array of the type, written with commas.
    pub(super) element: bool,
    pub(super) generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub(super) always_identity: bool,
    /// A row can't be written without a value for it.
    pub(super) required: bool,
    /// `=` of pg_catalog compares its values and may use an index; otherwise they are compared as text.
    pub(super) comparable: bool,
    /// `=` of pg_catalog holds only for values with the same text (not so for 1.0 and 1.00, nor for text whose
    /// collation takes upper and lower case for equal), and may use an index.
    pub(super) exact: bool,
    /// Its type, or that under its domain.
    pub(super) kind: Kind,
}

/// A table at the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DestinationTable {
    pub(super) partitioned: bool,
    pub(super) columns: Vec<DestinationColumn>,
    /// The primary key's columns; none if it is deferrable, because two rows may have such a key for a while.
    pub(super) primary_key: Vec<String>,
    /// It has a primary key, be it deferrable or not.
    pub(super) keyed: bool,
    /// The columns of each index (also of its partitions) that refuses rows because of others: unique and exclusion
    /// constraints. An expression has no name.
    pub(super) unique: Vec<Vec<String>>,
    /// Something runs for its rows in this session: triggers, foreign keys, rules.
    pub(super) fires: bool,
}

/// Connects and sets the session up for writing.
pub(super) async fn open(settings: &Settings) -> Result<Destination, Halt> {
    let session = connection::connect(settings, &SessionOptions::replicate())
        .await
        .map_err(|failure| Halt::Unreachable(Side::Destination, Box::new(failure)))?;
    let failed = |error| halt::query(Side::Destination, "setting the session up", &error);
    // The checkpoint promises durability, whatever the role's default is. The statements of the stream are planned
    // once, perhaps while a table is still empty: they must not scan it when it has grown. A policy that hides rows
    // must be an error, not a silent gap. A scan that is left to a table without an index then costs so much on paper
    // that PostgreSQL would compile each statement anew (JIT), a hundred times the work of the scan itself. A set of rows
    // looks its keys up one by one: with the usual costs of pages, of which most are in memory here, a thousand rows would
    // be joined to all the hundred thousand of their table.
    let sql = format!(
        "SET synchronous_commit = on; SET row_security = off; SET enable_seqscan = off; SET jit = off; \
         SET seq_page_cost = 0.1; SET random_page_cost = 0.1; \
         SET check_function_bodies = off; SET default_transaction_isolation = 'read committed'; \
         SET default_transaction_deferrable = off; {}; {}",
        formats::SESSION,
        formats::NO_LIMITS
    );
    session.client.batch_execute(&sql).await.map_err(failed)?;
    let row = session
        .client
        .query_one(
            "SELECT pg_is_in_recovery(), current_setting('server_version_num')::int, pid, backend_start::text \
             FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[],
        )
        .await
        .map_err(failed)?;
    if row.get(0) {
        return Err(Halt::refused(format!(
            "The destination {settings} is a read-only standby. Connect to its primary instead."
        )));
    }
    let replica_role = match session.client.batch_execute("SET session_replication_role = replica").await {
        Ok(()) => true,
        Err(error) if error.as_db_error().is_some() => false,
        Err(error) => return Err(failed(error)),
    };
    let backend = Backend { pid: row.get(2), started: row.get(3) };
    Ok(Destination { session, replica_role, version: row.get(1), backend })
}

/// Describes a table; `None` when there is none of that name.
pub(super) async fn describe(client: &Client, table: &TableName) -> Result<Option<DestinationTable>, Halt> {
    let failed = |error| halt::query(Side::Destination, &format!("looking at table {table}"), &error);
    let row = client
        .query_opt(
            "SELECT c.oid, c.relkind::text, ARRAY(SELECT a.attname::text FROM pg_index i \
                 CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) \
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
                 WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND k.place <= i.indnkeyatts ORDER BY k.place), \
                 c.relhasrules OR EXISTS (SELECT 1 FROM pg_trigger g \
                     WHERE g.tgrelid IN (SELECT c.oid UNION SELECT p.relid FROM pg_partition_tree(c.oid) p) \
                     AND g.tgenabled::text IN ('A', left(current_setting('session_replication_role'), 1), \
                         upper(left(current_setting('session_replication_role'), 1)))), \
                 EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1::text AND c.relname = $2::text AND c.relkind NOT IN ('i', 'I', 't')",
            &[&table.schema, &table.name],
        )
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let kind: &str = row.get(1);
    if !matches!(kind, "r" | "p") {
        return Err(Halt::refused(format!(
            "{table} at the destination is not a table. Rename it, or replicate into another database."
        )));
    }
    let oid: u32 = row.get(0);
    // Equality without surprises: types of pg_catalog that have a default B-tree order, and enums; everything else
    // (json, xml, point, composites, types of extensions outside the search path) is compared by its text.
    let columns = client
        .query(
            "SELECT a.attname::text, a.attgenerated <> '', a.attidentity = 'a', \
                 a.attnotnull AND NOT a.atthasdef AND a.attidentity = '', \
                 t.typtype = 'e' OR t.oid = 'character varying'::regtype OR (n.nspname = 'pg_catalog' AND EXISTS ( \
                     SELECT 1 FROM pg_opclass o JOIN pg_am m ON m.oid = o.opcmethod WHERE m.amname = 'btree' \
                     AND o.opcdefault AND o.opcintype = t.oid)), \
                 (t.typtype = 'e' OR t.oid = ANY('{boolean,bytea,smallint,integer,bigint,oid,text,character varying,\
                     character,name,date,time without time zone,timestamp without time zone,\
                     timestamp with time zone,uuid}'::regtype[])) \
                     AND NOT EXISTS (SELECT 1 FROM pg_collation l WHERE l.oid = a.attcollation \
                         AND NOT l.collisdeterministic), t.oid, \
                 CASE WHEN c.typtype = 'd' THEN c.typtypmod ELSE a.atttypmod END, \
                 a.atttypid, format_type(a.atttypid, -1), c.typarray <> 0 AND c.typdelim = ',' \
             FROM pg_attribute a JOIN pg_type c ON c.oid = a.atttypid \
             JOIN pg_type t ON t.oid = CASE WHEN c.typtype = 'd' THEN c.typbasetype ELSE c.oid END \
             JOIN pg_namespace n ON n.oid = t.typnamespace \
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&oid],
        )
        .await
        .map_err(failed)?;
    let columns = columns
        .iter()
        .map(|row| DestinationColumn {
            name: row.get(0),
            generated: row.get(1),
            always_identity: row.get(2),
            required: row.get(3),
            comparable: row.get(4),
            exact: row.get(5),
            kind: (row.get(6), row.get(7)),
            type_oid: row.get(8),
            type_name: row.get(9),
            element: row.get(10),
        })
        .collect();
    let unique = client
        .query(
            "SELECT ARRAY(SELECT COALESCE((SELECT a.attname::text FROM pg_attribute a \
                     WHERE a.attrelid = i.indrelid AND a.attnum = k.attnum), '') \
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) WHERE k.place <= i.indnkeyatts) \
             FROM pg_index i WHERE i.indrelid IN (SELECT $1::oid UNION SELECT p.relid FROM pg_partition_tree($1::oid) p) \
             AND (i.indisunique OR i.indisexclusion)",
            &[&oid],
        )
        .await
        .map_err(failed)?;
    Ok(Some(DestinationTable {
        partitioned: kind == "p",
        columns,
        primary_key: row.get(2),
        keyed: row.get(4),
        unique: unique.iter().map(|row| row.get(0)).collect(),
        fires: row.get(3),
    }))
}

/// Whether the rows of `source` can be written into `there`.
pub(super) fn check_fit(source: &SourceTable, there: &DestinationTable) -> Result<(), Halt> {
    let table = &source.name;
    for column in source.columns.iter().filter(|column| column.published) {
        if !there.columns.iter().any(|other| other.name == column.name) {
            return Err(Halt::Refused(missing_column(table, &column.name, &column.type_name)));
        }
    }
    for column in there.columns.iter().filter(|column| column.required) {
        if !source.columns.iter().any(|other| other.published && other.name == column.name) {
            return Err(Halt::refused(format!(
                "Column {} of table {table} at the destination is NOT NULL without a default, and the source does not \
                 publish it. Give it a default, or drop the constraint.",
                printable(&column.name)
            )));
        }
    }
    Ok(())
}

/// The sentence about a column that the destination lacks, with the statement that mends it.
pub(super) fn missing_column(table: &TableName, column: &str, type_name: &str) -> String {
    format!(
        "Table {table} at the destination has no column {}. Run there: ALTER TABLE {} ADD COLUMN {} {}; then start \
         again, nothing is lost.",
        printable(column),
        printable(&quote_table(table)),
        printable(&quote_ident(column)),
        printable(type_name)
    )
}

/// An order in which no foreign key of the destination points to a table that comes later; as far as there is one.
pub(super) async fn foreign_key_order(client: &Client, tables: &[&TableName]) -> Result<Vec<usize>, Halt> {
    let rows = client
        .query(
            "SELECT n.nspname::text, c.relname::text, fn.nspname::text, fc.relname::text FROM pg_constraint k \
             JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_class fc ON fc.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace \
             WHERE k.contype = 'f' AND k.conrelid <> k.confrelid",
            &[],
        )
        .await
        .map_err(|error| halt::query(Side::Destination, "looking for foreign keys", &error))?;
    let place = |row: &tokio_postgres::Row, at| {
        let (schema, name): (&str, &str) = (row.get(at), row.get(at + 1));
        tables.iter().position(|table| table.schema == schema && table.name == name)
    };
    let keys: Vec<(usize, usize)> = rows.iter().filter_map(|row| place(row, 0).zip(place(row, 2))).collect();
    Ok(parents_first(tables.len(), &keys))
}

/// Orders `count` things by pairs of (child, parent); in a circle the first one comes first.
fn parents_first(count: usize, keys: &[(usize, usize)]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..count).collect();
    let mut order = Vec::with_capacity(count);
    while !left.is_empty() {
        let free = |child: &usize| !keys.iter().any(|(c, parent)| c == child && left.contains(parent));
        let next = left.iter().position(free).unwrap_or_default();
        order.push(left.remove(next));
    }
    order
}

/// Empties a table in the open transaction. Tells whether rows can be written frozen: it was truncated, so that nobody
/// can see it as it was before.
pub(super) async fn empty(client: &Client, table: &TableName, there: &DestinationTable) -> Result<bool, Halt> {
    let failed = |error| halt::query(Side::Destination, &format!("emptying table {table}"), &error);
    let name = quote_table(table);
    let only = if there.partitioned { "" } else { "ONLY " };
    // TRUNCATE refuses a table that a foreign key points to, even from an empty table.
    let row = client
        .query_one(
            &format!(
                "SELECT EXISTS (SELECT 1 FROM {name}), EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f' \
                 AND confrelid = $1::text::regclass AND conrelid <> confrelid), has_table_privilege($1::text, 'TRUNCATE')"
            ),
            &[&regclass_text(table)],
        )
        .await
        .map_err(failed)?;
    let (rows, referenced, allowed): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    if rows {
        let sql = if referenced { format!("DELETE FROM {only}{name}") } else { format!("TRUNCATE {only}{name}") };
        client.batch_execute(&sql).await.map_err(failed)?;
        return Ok(!referenced && !there.partitioned);
    }
    if referenced || there.partitioned || !allowed {
        return Ok(false);
    }
    // There is nothing to remove: whoever looks at the table at this moment is not waited for.
    let lock =
        format!("SAVEPOINT alone; LOCK TABLE ONLY {name} IN ACCESS EXCLUSIVE MODE NOWAIT; RELEASE SAVEPOINT alone");
    match client.batch_execute(&lock).await {
        Ok(()) => {}
        Err(error) if error.as_db_error().is_some() => {
            client.batch_execute("ROLLBACK TO SAVEPOINT alone").await.map_err(failed)?;
            return Ok(false);
        }
        Err(error) => return Err(failed(error)),
    }
    client.batch_execute(&format!("TRUNCATE ONLY {name}")).await.map_err(failed)?;
    Ok(true)
}

/// Whether a table holds any row.
pub(super) async fn has_rows(client: &Client, table: &TableName) -> Result<bool, Halt> {
    let row = client
        .query_one(&format!("SELECT EXISTS (SELECT 1 FROM {})", quote_table(table)), &[])
        .await
        .map_err(|error| halt::query(Side::Destination, &format!("looking into table {table}"), &error))?;
    Ok(row.get(0))
}

#[cfg(test)]
mod tests {
    use super::{DestinationColumn, DestinationTable, check_fit, parents_first};
    use crate::profile::TableName;
    use crate::replication::halt::Halt;
    use crate::replication::source::{Column, SourceTable};

    #[test]
    fn parents_come_before_children_and_a_circle_ends() {
        assert_eq!(parents_first(4, &[(0, 2), (2, 3)]), [1, 3, 2, 0]);
        assert_eq!(parents_first(3, &[(0, 1), (1, 0), (2, 0)]), [0, 1, 2]);
        assert_eq!(parents_first(2, &[]), [0, 1]);
    }

    #[test]
    fn a_misfit_names_table_and_column() {
        let column = |name: &str, published| Column {
            name: name.into(),
            type_oid: 23,
            type_modifier: -1,
            type_name: "integer".into(),
            not_null: true,
            identity: None,
            generated: None,
            published,
            number: 1,
        };
        let source = SourceTable {
            oid: 1,
            name: TableName::new("public", "Orders"),
            partitioned: false,
            rows: None,
            filter: None,
            columns: vec![column("id", true), column("hidden", false)],
            key: vec!["id".into()],
            key_is_primary: true,
            deferrable_key: None,
            membership: crate::replication::membership::Membership::default(),
        };
        let there = |names: &[(&str, bool)]| DestinationTable {
            partitioned: false,
            columns: names
                .iter()
                .map(|(name, required)| DestinationColumn {
                    name: (*name).into(),
                    generated: false,
                    always_identity: false,
                    required: *required,
                    comparable: true,
                    exact: true,
                    kind: (23, -1),
                    ..DestinationColumn::default()
                })
                .collect(),
            ..DestinationTable::default()
        };
        let refusal = |names: &[(&str, bool)]| match check_fit(&source, &there(names)) {
            Err(Halt::Refused(text)) => text,
            _ => String::new(),
        };
        assert_eq!(refusal(&[("id", true), ("extra", false)]), "");
        let missing = refusal(&[("other", false)]);
        assert!(missing.contains("public.\"Orders\"") && missing.contains("ADD COLUMN \"id\" integer"), "{missing}");
        assert!(refusal(&[("id", true), ("hidden", true)]).contains("hidden"));
    }
}
