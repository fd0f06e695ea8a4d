//! Whether a table stood still while it was read in the copy's snapshot.
//!
//! A snapshot fixes rows, but not the table. TRUNCATE and every ALTER TABLE that rewrites a table leave a new file,
//! whose rows an older snapshot does not see: the table would be copied as empty, and nothing in the stream would bring
//! the rows back (PostgreSQL documentation, "Caveats" of concurrency control). And a column that was added, and filled,
//! between the look into the catalog and the snapshot would be left out; one whose type was changed then would be taken
//! for what it was, which in COPY's binary form can be another value. So both are asked about after reading, under
//! the lock that reading has taken and that the transaction keeps.

use super::halt::{self, Halt};
use super::source::{Column, SourceTable};
use super::stream::StreamError;
use super::wire::Wire;
use crate::catalog::ident::quote_literal;

/// Whether the columns or their types are others, as the snapshot sees them, and whether a file of the table is another one now than
/// the snapshot sees. (A query reads the catalog in its snapshot; `pg_relation_filenode` reads it as it is.)
fn look(table: &SourceTable) -> String {
    let described =
        |column: &Column| quote_literal(&format!("{} {} {}", column.type_oid, column.type_modifier, column.name));
    let columns: Vec<String> = table.columns.iter().map(described).collect();
    format!(
        "SELECT ARRAY(SELECT concat(a.atttypid, ' ', a.atttypmod, ' ', a.attname) FROM pg_attribute a WHERE a.attrelid = {oid} AND a.attnum > 0 \
             AND NOT a.attisdropped ORDER BY a.attnum) IS DISTINCT FROM ARRAY[{}]::text[] \
         OR EXISTS (SELECT 1 FROM pg_class c \
             WHERE c.relkind = 'r' AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid) \
             AND (c.oid = {oid} OR c.oid IN (SELECT relid::oid FROM pg_partition_tree({oid}::oid::regclass))))",
        columns.join(", "),
        oid = table.oid,
    )
}

/// Fails when `table` was not read as it was described; `session` is in the copy's snapshot and has read it, or a piece
/// of it.
///
/// # Errors
/// Another attempt, in a new snapshot, may succeed.
pub(super) async fn check(session: &mut Wire, table: &SourceTable) -> Result<(), Halt> {
    let rows = session.query(&look(table)).await;
    let rows = rows.map_err(|error| halt::stream("looking at a table that was copied", &error))?;
    match rows.first().and_then(|row| row.first()) {
        Some(Some(other)) if other == "f" => Ok(()),
        _ => Err(changed(table)),
    }
}

/// An error of reading: a table or a column that is gone by now is a change of the table, too.
pub(super) fn reading(table: &SourceTable, error: &StreamError) -> Halt {
    match error {
        // undefined_table, undefined_column
        StreamError::Server(server) if matches!(server.sqlstate.as_str(), "42P01" | "42703") => changed(table),
        error => halt::stream(&format!("copying table {}", table.name), error),
    }
}

fn changed(table: &SourceTable) -> Halt {
    Halt::Changed(format!("Table {} was altered or truncated at the source while it was copied.", table.name))
}
