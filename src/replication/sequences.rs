//! Sequences at the cut-over: what PostgreSQL's logical decoding does not bring.
//!
//! Rows arrive with the numbers that their sequences gave at the source, but the destination's own sequences stand where
//! they stood. Before an application writes there they have to be set, or its first inserts collide. A sequence is never
//! set back, so that it may be done again.

use tokio_postgres::Client;

use super::halt::{self, Halt, Side};
use super::progress::Teller;
use super::source;
use crate::catalog::ident::{quote_ident, quote_literal, quote_table, regclass_text};
use crate::connection::{self, SessionOptions, Settings, printable};
use crate::profile::{Profile, TableName};

/// The sequences that fill columns of the tables in `$1` (OIDs): owned by the column, or named in its default.
const USED: &str = "SELECT DISTINCT d.refobjid, a.attname::text, n.nspname::text, s.relname::text, q.seqincrement > 0 \
     FROM (SELECT d.refobjid, d.refobjsubid, d.objid FROM pg_depend d \
           WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
           UNION ALL SELECT f.adrelid, f.adnum, d.refobjid FROM pg_attrdef f \
           JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass) d \
     JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid \
     JOIN pg_namespace n ON n.oid = s.relnamespace \
     JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
     WHERE d.refobjid = ANY($1) ORDER BY 3, 4";

/// Sets the destination's sequences to where the source's stand; tells each, and how many were set.
pub(super) async fn sync(profile: &Profile, destination: &Settings, tell: &Teller) -> Result<usize, Halt> {
    let connect = async |settings: &Settings, side| {
        let options = SessionOptions { application_name: "walpilot run".to_owned(), ..SessionOptions::administer() };
        connection::connect(settings, &options).await.map_err(|failure| Halt::Unreachable(side, Box::new(failure)))
    };
    let (here, there) = (connect(&profile.source, Side::Source).await?, connect(destination, Side::Destination).await?);
    let (here, there) = (&here.client, &there.client);
    let version = source::version(here, Side::Source).await?;
    let tables = source::tables(here, version, &profile.publication, &profile.selection).await?;
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let rows = here.query(USED, &[&oids]).await;
    let rows = rows.map_err(|error| halt::query(Side::Source, "looking for sequences", &error))?;
    let mut set = 0;
    for row in &rows {
        let Some(table) = tables.iter().find(|table| table.oid == row.get::<_, u32>(0)) else { continue };
        let sequence = TableName::new(row.get::<_, String>(2), row.get::<_, String>(3));
        let (last, called) = position(here, &sequence, Side::Source).await?;
        let Some(other) = counterpart(there, &table.name, row.get(1), &sequence).await? else {
            tell.trouble(format!(
                "The destination has no sequence for column {column} of table {name}. Before an application writes there, \
                 run: CREATE SEQUENCE {quoted}; SELECT setval({literal}, {last}, {called}); ALTER TABLE {table} ALTER COLUMN {column} \
                 SET DEFAULT nextval({literal}).",
                column = printable(&quote_ident(row.get(1))),
                name = table.name,
                quoted = printable(&quote_table(&sequence)),
                literal = printable(&quote_literal(&regclass_text(&sequence))),
                table = printable(&quote_table(&table.name)),
            ));
            continue;
        };
        let (at, at_called) = position(there, &other, Side::Destination).await?;
        let ahead = if row.get(4) { (at, at_called) >= (last, called) } else { (-at, at_called) >= (-last, called) };
        if ahead {
            continue;
        }
        there
            .execute("SELECT setval($1::text::regclass, $2, $3)", &[&regclass_text(&other), &last, &called])
            .await
            .map_err(|error| halt::query(Side::Destination, &format!("setting sequence {other}"), &error))?;
        tell.note(format!("Set sequence {other} at the destination to {last}."));
        set += 1;
    }
    Ok(set)
}

/// Last value, and whether it has been given out.
async fn position(client: &Client, sequence: &TableName, side: Side) -> Result<(i64, bool), Halt> {
    let sql = format!("SELECT last_value, is_called FROM {}", quote_table(sequence));
    let row = client.query_one(&sql, &[]).await;
    let row = row.map_err(|error| halt::query(side, &format!("reading sequence {sequence}"), &error))?;
    Ok((row.get(0), row.get(1)))
}

/// The sequence that fills the same column at the destination, or else the one of the same name.
async fn counterpart(
    client: &Client,
    table: &TableName,
    column: &str,
    sequence: &TableName,
) -> Result<Option<TableName>, Halt> {
    let sql = "SELECT n.nspname::text, s.relname::text FROM pg_class s JOIN pg_namespace n ON n.oid = s.relnamespace \
               WHERE s.relkind = 'S' AND s.oid IN (pg_get_serial_sequence($1::text, $2::text)::regclass, to_regclass($3::text)) \
               ORDER BY s.oid = pg_get_serial_sequence($1::text, $2::text)::regclass DESC NULLS LAST LIMIT 1";
    let row = client.query_opt(sql, &[&regclass_text(table), &column, &regclass_text(sequence)]).await;
    let row = row.map_err(|error| halt::query(Side::Destination, "looking for a sequence", &error))?;
    Ok(row.map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))))
}
