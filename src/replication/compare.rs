//! Whether two servers hold the same rows, table by table: counts, and a checksum that does not depend on the order.
//!
//! Both sides are read one after the other, so the answer is about replication only while nobody writes; the caller
//! sees to that.

use serde::Serialize;

use crate::catalog::ident::{quote_ident, quote_literal, quote_table, regclass_text};
use crate::connection::{Session, describe};
use crate::profile::TableName;

/// One table's rows on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The table.
    pub table: TableName,
    /// Rows at the source.
    pub source_rows: u64,
    /// Rows at the destination.
    pub destination_rows: u64,
    /// Whether every row is the same, by checksum.
    pub equal: bool,
}

/// Compares `tables`. Generated columns take part, columns that only the destination has do not.
///
/// # Errors
/// One sentence that names the side and the table; safe to print.
pub async fn compare(source: &Session, destination: &Session, tables: &[TableName]) -> Result<Vec<Comparison>, String> {
    let mut comparisons = Vec::with_capacity(tables.len());
    for table in tables {
        let columns = columns(source, table).await.map_err(|error| wrong("source", table, &error))?;
        let sql = checksum_sql(table, &columns);
        let left = checksum(source, &sql).await.map_err(|error| wrong("source", table, &error))?;
        let right = checksum(destination, &sql).await.map_err(|error| wrong("destination", table, &error))?;
        comparisons.push(Comparison {
            table: table.clone(),
            source_rows: left.0,
            destination_rows: right.0,
            equal: left == right,
        });
    }
    Ok(comparisons)
}

fn wrong(side: &str, table: &TableName, error: &tokio_postgres::Error) -> String {
    format!("The rows of {table} can't be compared at the {side}: {}.", describe(error))
}

/// The tables that a publication covers, under the names with which their changes are sent.
///
/// # Errors
/// When the source can't be asked.
pub async fn published_tables(source: &Session, publication: &str) -> Result<Vec<TableName>, String> {
    let sql = "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = $1 ORDER BY 1, 2";
    let rows = source.client.query(sql, &[&publication]).await.map_err(|error| {
        format!(
            "The tables of publication {} can't be listed: {}.",
            crate::connection::printable(publication),
            describe(&error)
        )
    })?;
    Ok(rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
}

async fn columns(session: &Session, table: &TableName) -> Result<Vec<String>, tokio_postgres::Error> {
    let sql = format!(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped \
         ORDER BY attnum",
        quote_literal(&regclass_text(table))
    );
    Ok(session.client.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// Adds up the first half of each row's MD5: the same for the same rows in any order, and duplicates count.
fn checksum_sql(table: &TableName, columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quote_ident(column)).collect();
    format!(
        "SELECT count(*), coalesce(sum(('x' || left(md5(ROW({})::text), 16))::bit(64)::bigint::numeric), 0)::text FROM {}",
        columns.join(", "),
        quote_table(table)
    )
}

async fn checksum(session: &Session, sql: &str) -> Result<(u64, String), tokio_postgres::Error> {
    let row = session.client.query_one(sql, &[]).await?;
    Ok((u64::try_from(row.get::<_, i64>(0)).unwrap_or_default(), row.get(1)))
}
