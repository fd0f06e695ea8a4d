//! Whether a table's types at the destination still are those of the stream.
//!
//! `ALTER COLUMN … TYPE` is not in the stream: a relation message merely has another type. A type that would change
//! values unnoticed stops the run before it does ([`lossless`]); of any other difference the statement that ends it is
//! kept, for the case that a value does not fit. New labels of enums are added beforehand.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::destination::DestinationTable;
use super::halt::{self, Halt, Side};
use super::lossless::{self, Kind};
use super::pgoutput::Relation;
use super::progress::Teller;
use super::source::SourceTable;
use crate::catalog::ident::{quote_ident, quote_literal, quote_table};
use crate::connection::printable;
use crate::profile::TableName;

/// Types of this OID and above are not PostgreSQL's own and have other OIDs at the other server.
const FIRST_OWN: u32 = 16_384;

/// Compares the types of `relation` with those of the destination; the statement for what differs without harm.
///
/// # Errors
/// When a column would change values unnoticed.
pub(super) async fn fit(
    client: &Client,
    relation: &Relation,
    there: &DestinationTable,
) -> Result<Option<String>, Halt> {
    let table = TableName::new(relation.schema.as_str(), relation.name.as_str());
    let columns = relation.columns.iter().map(|column| (column.name.as_str(), (column.type_oid, column.type_modifier)));
    let differing = differing(columns, there);
    if differing.is_empty() {
        return Ok(None);
    }
    let mut changes = Vec::new();
    for (name, kind, _) in &differing {
        let row = client
            .query_one("SELECT format_type($1, $2)", &[&kind.0, &kind.1])
            .await
            .map_err(|error| halt::query(Side::Destination, "asking for the name of a type", &error))?;
        changes.push(format!("ALTER COLUMN {} TYPE {}", quote_ident(name), row.get::<_, &str>(0)));
    }
    let statement = printable(&format!("ALTER TABLE {} {}", quote_table(&table), changes.join(", "))).into_owned();
    match differing.iter().find(|(_, _, loud)| !loud) {
        Some((name, ..)) => Err(distorted(&table, name, &statement)),
        None => Ok(Some(statement)),
    }
}

/// Whether the copy would change values unnoticed.
///
/// # Errors
/// With the column and the statement that helps.
pub(super) fn check(source: &SourceTable, there: &DestinationTable) -> Result<(), Halt> {
    let published = source.columns.iter().filter(|column| column.published);
    let columns = published.map(|column| (column.name.as_str(), (column.type_oid, column.type_modifier)));
    for (name, _, loud) in differing(columns, there) {
        if let (false, Some(column)) = (loud, source.columns.iter().find(|column| column.name == name)) {
            let quoted = quote_table(&source.name);
            let statement =
                format!("ALTER TABLE {quoted} ALTER COLUMN {} TYPE {}", quote_ident(name), column.type_name);
            return Err(distorted(&source.name, name, &printable(&statement)));
        }
    }
    Ok(())
}

/// The statement that gives the destination the types of the source where they differ without harm.
pub(super) fn difference(source: &SourceTable, there: &DestinationTable) -> Option<String> {
    let published = source.columns.iter().filter(|column| column.published);
    let columns = published.map(|column| (column.name.as_str(), (column.type_oid, column.type_modifier)));
    let differing = differing(columns, there);
    let type_of = |name: &str| source.columns.iter().find(|column| column.name == name).map(|column| &column.type_name);
    let change =
        |(name, ..): &(&str, Kind, bool)| Some(format!("ALTER COLUMN {} TYPE {}", quote_ident(name), type_of(name)?));
    let changes: Vec<String> = differing.iter().filter_map(change).collect();
    let statement = format!("ALTER TABLE {} {}", quote_table(&source.name), changes.join(", "));
    (!changes.is_empty()).then(|| printable(&statement).into_owned())
}

fn distorted(table: &TableName, column: &str, statement: &str) -> Halt {
    Halt::refused(format!(
        "Column {} of table {table} has a type at the destination that would round or cut values of the source without a \
         word. Run there: {statement}; then start again, nothing is lost.",
        printable(column)
    ))
}

/// The columns whose types of PostgreSQL's own differ, and whether a value that does not fit fails loudly.
fn differing<'a>(
    columns: impl Iterator<Item = (&'a str, Kind)>,
    there: &DestinationTable,
) -> Vec<(&'a str, Kind, bool)> {
    columns
        .filter_map(|(name, kind)| {
            let other = there.columns.iter().find(|other| other.name == name && !other.generated)?;
            let own = kind.0 >= FIRST_OWN || other.kind.0 >= FIRST_OWN;
            (!own && other.kind != kind).then(|| (name, kind, lossless::loud(kind, other.kind)))
        })
        .collect()
}

/// The enums that the columns in `$1` (OIDs of types) need, also inside arrays, domains, composites and ranges.
const ENUMS: &str = "WITH RECURSIVE needed(oid) AS ( \
     SELECT unnest($1::oid[]) UNION SELECT u.oid FROM needed d JOIN pg_type t ON t.oid = d.oid \
     CROSS JOIN LATERAL (SELECT t.typelem AS oid WHERE t.typelem <> 0 UNION ALL SELECT t.typbasetype WHERE t.typbasetype <> 0 \
         UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 \
             AND NOT a.attisdropped \
         UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid) u) \
     SELECT format_type(t.oid, NULL), ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid \
         ORDER BY e.enumsortorder) FROM needed d JOIN pg_type t ON t.oid = d.oid WHERE t.typtype = 'e'";

/// Adds the labels that enums of the source have and those of the destination lack, at their place. Returns a sentence
/// about an enum whose label may have got another name: what the stream brings from before would not fit any more.
pub(super) async fn add_labels(
    source: &Client,
    destination: &Client,
    tables: &[SourceTable],
    tell: &Teller,
) -> Result<Option<String>, Halt> {
    let mut doubt = None;
    let mut needed: Vec<u32> = tables
        .iter()
        .flat_map(|table| &table.columns)
        .map(|column| column.type_oid)
        .filter(|oid| *oid >= FIRST_OWN)
        .collect();
    needed.sort_unstable();
    needed.dedup();
    if needed.is_empty() {
        return Ok(None);
    }
    let rows = source.query(ENUMS, &[&needed]).await;
    let rows = rows.map_err(|error| halt::query(Side::Source, "reading the labels of enums", &error))?;
    let wanted: HashMap<String, Vec<String>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let names: Vec<&String> = wanted.keys().collect();
    let there = destination
        .query(
            "SELECT w.name, ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = to_regtype(w.name) \
                 ORDER BY e.enumsortorder) \
             FROM unnest($1::text[]) w(name) JOIN pg_type t ON t.oid = to_regtype(w.name) WHERE t.typtype = 'e'",
            &[&names],
        )
        .await
        .map_err(|error| halt::query(Side::Destination, "reading the labels of enums", &error))?;
    for row in &there {
        let (name, labels): (&str, Vec<String>) = (row.get(0), row.get(1));
        let wanted = wanted.get(name).map_or(&[][..], Vec::as_slice);
        let missing = missing_labels(name, wanted, &labels);
        // No label ever leaves an enum, so one that only the destination has may have got another name at the source.
        let new = wanted.iter().find(|label| !labels.contains(label));
        let old = labels.iter().find(|label| !wanted.contains(label));
        if let (Some(new), Some(old), Some(add)) = (new, old, missing.first()) {
            doubt = Some(format!(
                "The enum {name} at the source has the new label {new}, and not the label {old} of the destination. If it \
                 was renamed, run at the destination: ALTER TYPE {name} RENAME VALUE {old} TO {new}; if it is new: {add}; \
                 then start again, nothing is lost.",
                name = printable(name),
                new = printable(&quote_literal(new)),
                old = printable(&quote_literal(old)),
                add = printable(add),
            ));
            continue;
        }
        for statement in missing {
            destination.batch_execute(&statement).await.map_err(|error| {
                let reason = error.as_db_error().map(halt::shown).unwrap_or_default();
                Halt::refused(format!(
                    "The enum {} at the destination lacks a label of the source. As its owner run there: {}; then start \
                     again, nothing is lost. (walpilot tried: {reason})",
                    printable(name),
                    printable(&statement)
                ))
            })?;
            tell.note(format!("Added a label to the enum {} at the destination.", printable(name)));
        }
    }
    Ok(doubt)
}

fn missing_labels(name: &str, wanted: &[String], labels: &[String]) -> Vec<String> {
    let mut statements = Vec::new();
    for (at, label) in wanted.iter().enumerate().filter(|(_, label)| !labels.contains(label)) {
        // What stands before it is there by now; the first one goes before any that is.
        let place = match at.checked_sub(1) {
            Some(before) => format!(" AFTER {}", quote_literal(&wanted[before])),
            None => wanted
                .iter()
                .find(|other| labels.contains(other))
                .map_or_else(String::new, |other| format!(" BEFORE {}", quote_literal(other))),
        };
        statements.push(format!("ALTER TYPE {name} ADD VALUE IF NOT EXISTS {}{place}", quote_literal(label)));
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::missing_labels;

    #[test]
    fn labels_are_added_at_their_place() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            missing_labels("s.mood", &words("worst bad so good best"), &words("so bad")),
            [
                "ALTER TYPE s.mood ADD VALUE IF NOT EXISTS 'worst' BEFORE 'bad'",
                "ALTER TYPE s.mood ADD VALUE IF NOT EXISTS 'good' AFTER 'so'",
                "ALTER TYPE s.mood ADD VALUE IF NOT EXISTS 'best' AFTER 'good'",
            ]
        );
        assert!(missing_labels("m", &words("a b"), &words("b a c")).is_empty());
    }
}
