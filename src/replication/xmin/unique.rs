//! The destination's unique indexes: the one that upserts go by, and those that rows could collide on.
//!
//! Between two snapshots rows may exchange the values of a unique column, or a new row may have taken those of one
//! that was deleted. Then the row that still holds them at the destination is stale: either its new version comes with
//! this pass or the next, or it was deleted. That is certain only where the source has the same unique index.

use tokio_postgres::Client;

use crate::catalog::ident::{quote_ident, quote_table};
use crate::connection::printable;
use crate::profile::TableName;
use crate::replication::halt::{self, Halt, Side};

/// The unique indexes besides the key's that both sides have, each by its columns.
///
/// # Errors
/// When the destination has none on the key: nothing would keep a row from being written twice.
pub(super) async fn shared(
    client: &Client,
    table: &TableName,
    key: &[String],
    at_source: &[Vec<String>],
) -> Result<Vec<Vec<String>>, Halt> {
    let rows = client
        .query(
            "SELECT i.indimmediate, array_agg(a.attname::text ORDER BY k.place) FROM pg_index i \
             JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
             CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE n.nspname = $1::text AND c.relname = $2::text AND i.indisunique AND i.indisvalid \
             AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts \
             GROUP BY i.indexrelid, i.indimmediate",
            &[&table.schema, &table.name],
        )
        .await
        .map_err(|error| halt::query(Side::Destination, &format!("looking at the indexes of {table}"), &error))?;
    let indexes: Vec<(bool, Vec<String>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    if !indexes.iter().any(|(immediate, columns)| *immediate && same(columns, key)) {
        let columns: Vec<String> = key.iter().map(|name| quote_ident(name)).collect();
        return Err(Halt::refused(format!(
            "Table {table} at the destination has no unique index on its key, so rows could be there twice. Run there: \
             ALTER TABLE {} ADD PRIMARY KEY ({}); then start again.",
            printable(&quote_table(table)),
            printable(&columns.join(", "))
        )));
    }
    let shared = indexes.into_iter().map(|(_, columns)| columns).filter(|columns| !same(columns, key));
    Ok(shared.filter(|columns| at_source.iter().any(|other| same(other, columns))).collect())
}

fn same(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|name| other.contains(name))
}
