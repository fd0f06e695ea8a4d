//! Whether a table stood still while it was read in the copy's snapshot.
//!
//! A snapshot fixes rows, but not the table. TRUNCATE and every ALTER TABLE that rewrites a table leave a new file,
//! whose rows an older snapshot does not see: the table would be copied as empty, and nothing in the stream would bring
//! the rows back (PostgreSQL documentation, "Caveats" of concurrency control). And a column that was added, and filled,
//! between the look into the catalog and the snapshot would be left out. So both are asked about after reading, under
//! the lock that reading has taken and that the transaction keeps.

use tokio_postgres::Client;

use super::halt::{self, Halt, Side};
use super::source::SourceTable;

/// `$1` the table: the columns as the snapshot sees them, and whether a file of the table is another one now than the
/// snapshot sees. (A query reads the catalog in its snapshot; `pg_relation_filenode` reads it as it is.)
const LOOK: &str = "SELECT ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 \
         AND NOT a.attisdropped ORDER BY a.attnum), \
     EXISTS (SELECT 1 FROM pg_class c WHERE c.relkind = 'r' AND c.relfilenode IS DISTINCT FROM pg_relation_filenode(c.oid) \
         AND (c.oid = $1::oid OR c.oid IN (SELECT relid::oid FROM pg_partition_tree($1::oid::regclass))))";

/// Fails when `table` was not read as it was described; `client` is in the copy's snapshot and has read it.
///
/// # Errors
/// Another attempt, in a new snapshot, may succeed.
pub(super) async fn check(client: &Client, table: &SourceTable) -> Result<(), Halt> {
    let row = client.query_one(LOOK, &[&table.oid]).await;
    let row = row.map_err(|error| halt::query(Side::Source, "looking at a table that was copied", &error))?;
    let columns: Vec<String> = row.get(0);
    if row.get(1) || !columns.iter().eq(table.columns.iter().map(|column| &column.name)) {
        return Err(changed(table));
    }
    Ok(())
}

/// An error of reading: a table or a column that is gone by now is a change of the table, too.
pub(super) fn reading(table: &SourceTable, error: &tokio_postgres::Error) -> Halt {
    match error.as_db_error().map(|db| db.code().code()) {
        // undefined_table, undefined_column
        Some("42P01" | "42703") => changed(table),
        _ => halt::query(Side::Source, &format!("copying table {}", table.name), error),
    }
}

fn changed(table: &SourceTable) -> Halt {
    Halt::Passing(format!("Table {} was altered or truncated at the source while it was copied.", table.name))
}
