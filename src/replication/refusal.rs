//! What it means when the destination refuses a change, with the next step where there is a known one.

use std::sync::Arc;

use super::change::Kind;
use super::halt::{self, Halt, Side};
use super::relation::Target;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::connection::printable;

/// An error of a change of `target`.
pub(super) fn failed(target: Option<&Arc<Target>>, kind: Kind, error: &tokio_postgres::Error) -> Halt {
    let Some(target) = target else { return halt::query(Side::Destination, "applying a change", error) };
    let table = &target.table;
    let doing = match kind {
        Kind::Insert => format!("inserting into table {table}"),
        Kind::Update => format!("updating table {table}"),
        Kind::Delete => format!("deleting from table {table}"),
        Kind::Truncate => format!("truncating table {table}"),
    };
    match error.as_db_error() {
        Some(db) if db.code().code() == "23505" => Halt::refused(format!(
            "A row from the source collides with a row that only the destination has: {} in table {table}. Remove the \
             destination's row, then start again; nothing is lost.",
            match db.constraint() {
                Some(key) => format!("the key {} is taken", printable(key)),
                None => "its key is taken".to_owned(),
            }
        )),
        Some(db) if db.code().code() == "23503" => Halt::refused(format!(
            "A foreign key of the destination refuses a change: {} of table {table}. Let the destination's role set \
             session_replication_role (GRANT SET ON PARAMETER session_replication_role TO the role, PostgreSQL 15 and \
             later), or drop the foreign key there.",
            printable(db.constraint().unwrap_or("a constraint"))
        )),
        Some(db) if db.code().code() == "0A000" && kind == Kind::Truncate => Halt::refused(format!(
            "The source emptied table {table} with TRUNCATE, and a table that only the destination has points to it with a \
             foreign key. Drop that key or that table, then start again; nothing is lost."
        )),
        // Characters that the destination's encoding does not have, or bytes that are none in its own.
        Some(db) if matches!(db.code().code(), "22P05" | "22021") => Halt::refused(format!(
            "The encoding of the destination's database lacks a character that the source sent ({}) while {doing}. \
             Replicate into a database with encoding UTF8; nothing is lost.",
            halt::shown(db)
        )),
        Some(db) if db.code().code().starts_with("22") => Halt::Again(format!(
            "The destination refused while {doing}: {}. {}; then start again, nothing is lost.",
            halt::shown(db),
            match &target.retype {
                Some(statement) => format!("The source has other types; run at the destination: {statement}"),
                None => format!(
                    "If a type was changed at the source, change it at the destination, too (ALTER TABLE {} ALTER COLUMN … \
                     TYPE …, or ALTER TYPE for a type of your own)",
                    printable(&quote_table(table))
                ),
            }
        )),
        Some(db) if db.code().code() == "23502" => {
            let column = quote_ident(db.column().unwrap_or("…"));
            let column = printable(&column);
            Halt::refused(format!(
                "The destination wants a value for column {column} of table {table}, and the source sends none: it has \
                 dropped the column or allows null there. Run at the destination: ALTER TABLE {} ALTER COLUMN {column} DROP \
                 NOT NULL; then start again, nothing is lost.",
                printable(&quote_table(table))
            ))
        }
        _ => halt::query(Side::Destination, &doing, error),
    }
}
