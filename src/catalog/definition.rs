//! What a publication was created for, with row filters and column lists as PostgreSQL writes them.
//!
//! Asked for only when everything is to be printed: writing a row filter opens its table, which waits while somebody
//! holds an ACCESS EXCLUSIVE lock on it (for the session's `lock_timeout` at most).

use crate::connection::{Session, describe};
use crate::profile::TableName;

/// What a publication was created for, beside FOR ALL TABLES.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// Tables that it lists.
    pub tables: Vec<Published>,
    /// Schemas of which it publishes every table (PostgreSQL 15 and later).
    pub schemas: Vec<String>,
}

/// A table as a publication lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The table.
    pub table: TableName,
    /// Its column list; `None` for all columns.
    pub columns: Option<Vec<String>>,
    /// Its row filter; `None` for all rows.
    pub filter: Option<String>,
}

/// `$1` publication. Before PostgreSQL 15 there were neither filters nor lists nor schemas.
fn tables(version_num: u32) -> String {
    let (filter, columns) = if version_num >= 150_000 {
        (
            "pg_get_expr(r.prqual, r.prrelid)",
            "CASE WHEN r.prattrs IS NOT NULL THEN ARRAY(SELECT a.attname::text FROM pg_attribute a
               WHERE a.attrelid = r.prrelid AND a.attnum = ANY(r.prattrs::int2[]) ORDER BY a.attnum) END",
        )
    } else {
        ("NULL::text", "NULL::text[]")
    };
    format!(
        "SELECT n.nspname::text, c.relname::text, {columns}, {filter}
FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = $1 ORDER BY 1, 2"
    )
}

const SCHEMAS: &str =
    "SELECT n.nspname::text FROM pg_publication p JOIN pg_publication_namespace s ON s.pnpubid = p.oid
JOIN pg_namespace n ON n.oid = s.pnnspid WHERE p.pubname = $1 ORDER BY 1";

/// Reads the definition of a publication; empty when there is none of the name.
///
/// # Errors
/// With one sentence when it can't be read.
pub async fn read(session: &Session, publication: &str, version_num: u32) -> Result<Definition, String> {
    let failed = |error| format!("The publication's definition can't be read: {}.", describe(&error));
    let rows = session.client.query(&tables(version_num), &[&publication]).await.map_err(failed)?;
    let mut definition = Definition::default();
    for row in rows {
        let read = || {
            Ok(Published {
                table: TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?),
                columns: row.try_get(2)?,
                filter: row.try_get(3)?,
            })
        };
        definition.tables.push(read().map_err(failed)?);
    }
    if version_num >= 150_000 {
        let rows = session.client.query(SCHEMAS, &[&publication]).await.map_err(failed)?;
        let names: Result<_, _> = rows.iter().map(|row| row.try_get(0)).collect();
        definition.schemas = names.map_err(failed)?;
    }
    Ok(definition)
}
