//! What the source publishes: tables, columns and keys, read from its catalog.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::checkpoint::SCHEMA;
use super::halt::{self, Halt, Side};
use super::membership::{self, Membership};
use crate::catalog::ident::{quote_ident, quote_table};
use crate::connection::printable;
use crate::profile::{Selection, TableName};

/// A column of a published table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_oid: u32,
    /// `pg_attribute.atttypmod`.
    pub(super) type_modifier: i32,
    /// With its modifier, as `format_type` writes it: qualified unless in pg_catalog.
    pub(super) type_name: String,
    pub(super) not_null: bool,
    /// The options of its identity's sequence where they are not the usual ones, if it has an identity, of either kind.
    pub(super) identity: Option<String>,
    /// The expression of a generated column.
    pub(super) generated: Option<String>,
    /// Its values come with the copy and with the stream.
    pub(super) published: bool,
    /// `pg_attribute.attnum`, which no other column of the table ever has.
    pub(super) number: i16,
}

/// A published table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceTable {
    pub(super) oid: u32,
    pub(super) name: TableName,
    pub(super) partitioned: bool,
    /// Estimated rows; `None` when never analysed.
    pub(super) rows: Option<u64>,
    /// The publication's row filter.
    pub(super) filter: Option<String>,
    pub(super) columns: Vec<Column>,
    /// The primary key's columns, or else those of the replica identity's index. A deferrable key does not count: within a
    /// transaction two rows may have it.
    pub(super) key: Vec<String>,
    /// Whether `key` is the primary key.
    pub(super) key_is_primary: bool,
    /// The primary key, if it is a deferrable one.
    pub(super) deferrable_key: Option<DeferrableKey>,
    /// As what it is published.
    pub(super) membership: Membership,
}

/// A primary key that rows may share until the end of a statement or a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeferrableKey {
    pub(super) columns: Vec<String>,
    pub(super) initially_deferred: bool,
}

impl SourceTable {
    /// The rows as the publication lets them through, of the columns in `names`.
    pub(super) fn select(&self, names: &[&str]) -> String {
        self.select_where(names, None)
    }

    /// The same of the rows for which `condition` is true.
    pub(super) fn select_where(&self, names: &[&str], condition: Option<&str>) -> String {
        // A partitioned table has its rows in its partitions; an ordinary one must not bring those of its children,
        // which are published by themselves.
        let only = if self.partitioned { "" } else { "ONLY " };
        let columns: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
        let conditions: Vec<String> =
            self.filter.as_deref().into_iter().chain(condition).map(|condition| format!("({condition})")).collect();
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        format!("SELECT {} FROM {only}{}{filter}", columns.join(", "), quote_table(&self.name))
    }

    /// Whether the same rows of the same columns are published of it as of `other`, of which only the number of rows is
    /// estimated anew.
    pub(super) fn same_shape(&self, other: &Self) -> bool {
        *self == Self { rows: self.rows, ..other.clone() }
    }
}

/// How large a table is, as the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Blocks of all its partitions together.
    pub(super) blocks: u64,
    /// Blocks of its largest partition; the same for an ordinary table.
    pub(super) largest: u64,
    /// It can be cut by ctid: a server with TID range scans, and heaps only.
    pub(super) divisible: bool,
    /// Where it can be cut by its key instead.
    pub(super) bounds: Option<Bounds>,
}

/// Values of a key's first column that lie about evenly among its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) column: String,
    pub(super) type_name: String,
    /// In their order, each as text.
    pub(super) values: Vec<String>,
}

/// How large tables are, by their object identifiers.
pub(super) async fn sizes(client: &Client, version: i32, tables: &[&SourceTable]) -> Result<HashMap<u32, Size>, Halt> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    // A table that is dropped meanwhile has no size.
    let rows = client
        .query(
            "SELECT t.oid, COALESCE(sum(s.blocks), 0)::bigint, COALESCE(max(s.blocks), 0)::bigint, \
                 COALESCE(bool_and(c.relkind = 'r' AND m.amname = 'heap'), false) \
             FROM unnest($1::oid[]) t(oid) CROSS JOIN LATERAL ( \
                 SELECT p.relid FROM pg_partition_tree(t.oid) p WHERE p.isleaf \
                 UNION SELECT t.oid WHERE NOT EXISTS (SELECT 1 FROM pg_partition_tree(t.oid))) leaf(relid) \
             JOIN pg_class c ON c.oid = leaf.relid LEFT JOIN pg_am m ON m.oid = c.relam \
             CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::bigint) s(blocks) \
             GROUP BY t.oid",
            &[&oids],
        )
        .await
        .map_err(|error| failed(&error))?;
    let mut bounds = if version < 140_000 { bounds(client, tables).await? } else { HashMap::new() };
    let count = |row: &tokio_postgres::Row, at| u64::try_from(row.get::<_, i64>(at)).unwrap_or_default();
    Ok(rows
        .iter()
        .map(|row| {
            let oid = row.get(0);
            let divisible = version >= 140_000 && row.get(3);
            (oid, Size { blocks: count(row, 1), largest: count(row, 2), divisible, bounds: bounds.remove(&oid) })
        })
        .collect())
}

/// Where tables can be cut by their keys. Only statistics are asked, and only where the rows lie in about the order of the
/// key: elsewhere each piece would read most of the table's pages.
async fn bounds(client: &Client, tables: &[&SourceTable]) -> Result<HashMap<u32, Bounds>, Halt> {
    let keyed: Vec<(&SourceTable, &String)> = tables
        .iter()
        .filter(|table| !table.partitioned)
        .filter_map(|table| Some((*table, table.key.first()?)))
        .collect();
    let oids: Vec<u32> = keyed.iter().map(|(table, _)| table.oid).collect();
    let names: Vec<&str> = keyed.iter().map(|(_, name)| name.as_str()).collect();
    let rows = client
        .query(
            "SELECT t.oid, s.histogram_bounds::text::text[] FROM unnest($1::oid[], $2::text[]) t(oid, key) \
             JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = t.key \
             WHERE NOT s.inherited AND abs(s.correlation) > 0.9 AND s.histogram_bounds IS NOT NULL",
            &[&oids, &names],
        )
        .await
        .map_err(|error| failed(&error))?;
    let mut of: HashMap<u32, Vec<String>> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    Ok(keyed
        .into_iter()
        .filter_map(|(table, name)| {
            let type_name = table.columns.iter().find(|column| column.name == *name)?.type_name.clone();
            Some((table.oid, Bounds { column: name.clone(), type_name, values: of.remove(&table.oid)? }))
        })
        .collect())
}

fn failed(error: &tokio_postgres::Error) -> Halt {
    halt::query(Side::Source, "reading what the publication holds", error)
}

/// The server's version as in `server_version_num`.
pub(super) async fn version(client: &Client, side: Side) -> Result<i32, Halt> {
    let row = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .await
        .map_err(|error| halt::query(side, "asking for the version", &error))?;
    Ok(row.get(0))
}

/// The tables of `publication` that `selection` wants, in the order of their names. An empty list of schemas wants
/// the whole publication.
pub(super) async fn tables(
    client: &Client,
    version: i32,
    publication: &str,
    selection: &Selection,
) -> Result<Vec<SourceTable>, Halt> {
    let shown = printable(publication);
    // Column lists and row filters exist from PostgreSQL 15.
    let lists = if version >= 150_000 { "p.attnames::text[], p.rowfilter" } else { "NULL::text[], NULL::text" };
    let rows = client
        .query(
            &format!(
                "SELECT c.oid, p.schemaname::text, p.tablename::text, c.relkind = 'p', c.reltuples, {lists}, \
                 ARRAY(SELECT an.nspname::text || E'\\n' || ac.relname::text FROM pg_partition_ancestors(c.oid) a \
                       JOIN pg_class ac ON ac.oid = a.relid JOIN pg_namespace an ON an.oid = ac.relnamespace), {} \
                 FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname \
                 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
                 WHERE p.pubname = $1::text ORDER BY 2, 3",
                membership::sql(version)
            ),
            &[&publication],
        )
        .await
        .map_err(|error| failed(&error))?;
    let mut tables = Vec::new();
    let mut lists = HashMap::new();
    for row in &rows {
        let name = TableName::new(row.get::<_, String>(1), row.get::<_, String>(2));
        let ancestors: Vec<String> = row.get(7);
        if !wanted(selection, &name, &ancestors) {
            continue;
        }
        let oid: u32 = row.get(0);
        let estimate: f32 = row.get(4);
        lists.insert(oid, row.get::<_, Option<Vec<String>>>(5));
        tables.push(SourceTable {
            oid,
            name,
            partitioned: row.get(3),
            // -1 from PostgreSQL 14, 0 before: never analysed.
            rows: (estimate > 0.0).then_some(estimate as u64),
            filter: row.get(6),
            columns: Vec::new(),
            key: Vec::new(),
            key_is_primary: false,
            deferrable_key: None,
            membership: Membership::new(oid, row.get(8)),
        });
    }
    if tables.is_empty() {
        // Asked last: a publication that is dropped at this moment is not one without tables.
        let exists = client
            .query_opt("SELECT 1 FROM pg_publication WHERE pubname = $1::text", &[&publication])
            .await
            .map_err(|error| failed(&error))?;
        return Err(Halt::refused(if exists.is_none() {
            format!(
                "The source has no publication \"{shown}\". Create it first; walpilot script prints the statements."
            )
        } else if rows.is_empty() {
            format!("The publication \"{shown}\" holds no table. Add some with ALTER PUBLICATION … ADD TABLE.")
        } else {
            format!("The publication \"{shown}\" holds none of the chosen tables. Choose others, or add them to it.")
        }));
    }
    columns(client, version, &mut tables, &lists).await?;
    keys(client, &mut tables).await?;
    Ok(tables)
}

/// Whether `selection` holds the table or one of the partitioned tables above it.
fn wanted(selection: &Selection, table: &TableName, ancestors: &[String]) -> bool {
    let above = ancestors.iter().filter_map(|text| text.split_once('\n')).map(|(s, n)| TableName::new(s, n));
    let mut candidates = std::iter::once(table.clone()).chain(above);
    if table.schema == SCHEMA {
        return false;
    }
    match selection {
        Selection::Schemas(schemas) => schemas.is_empty() || candidates.any(|table| schemas.contains(&table.schema)),
        Selection::Tables(tables) => candidates.any(|table| tables.contains(&table)),
    }
}

/// The options of the sequence behind the identity of column `a`, as CREATE TABLE takes them, but for the usual ones.
const SEQUENCE_OPTIONS: &str = "SELECT concat_ws(' ', \
     CASE WHEN q.seqincrement <> 1 THEN 'INCREMENT BY ' || q.seqincrement END, \
     CASE WHEN q.seqmin <> 1 THEN 'MINVALUE ' || q.seqmin END, \
     CASE WHEN q.seqmax <> CASE q.seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 \
                           ELSE 9223372036854775807 END THEN 'MAXVALUE ' || q.seqmax END, \
     CASE WHEN q.seqstart <> 1 THEN 'START WITH ' || q.seqstart END, \
     CASE WHEN q.seqcache <> 1 THEN 'CACHE ' || q.seqcache END, CASE WHEN q.seqcycle THEN 'CYCLE' END) \
     FROM pg_depend o JOIN pg_sequence q ON q.seqrelid = o.objid \
     WHERE o.classid = 'pg_class'::regclass AND o.refclassid = 'pg_class'::regclass AND o.deptype = 'i' \
       AND o.refobjid = a.attrelid AND o.refobjsubid = a.attnum";

/// Reads the columns of `tables`; `lists` are the publication's column lists, by oid.
pub(super) async fn columns(
    client: &Client,
    version: i32,
    tables: &mut [SourceTable],
    lists: &HashMap<u32, Option<Vec<String>>>,
) -> Result<(), Halt> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let rows = client
        .query(
            &format!("SELECT a.attrelid, a.attname::text, a.atttypid, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
             CASE WHEN a.attidentity <> '' THEN coalesce(({SEQUENCE_OPTIONS}), '') END, CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END, a.atttypmod, a.attnum \
             FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE a.attrelid = ANY($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum"),
            &[&oids],
        )
        .await
        .map_err(|error| failed(&error))?;
    let mut of: HashMap<u32, Vec<Column>> = HashMap::new();
    for row in &rows {
        let oid: u32 = row.get(0);
        let name: String = row.get(1);
        let generated: Option<String> = row.get(6);
        let listed = lists.get(&oid).and_then(Option::as_ref);
        // A publication may hold stored generated columns from PostgreSQL 18, and then lists them.
        let published = match listed {
            Some(list) => list.contains(&name) && (generated.is_none() || version >= 180_000),
            None => generated.is_none(),
        };
        of.entry(oid).or_default().push(Column {
            name,
            type_oid: row.get(2),
            type_modifier: row.get(7),
            type_name: row.get(3),
            not_null: row.get(4),
            identity: row.get(5),
            generated,
            published,
            number: row.get(8),
        });
    }
    for table in tables {
        table.columns = of.remove(&table.oid).unwrap_or_default();
        let name = |column: &Column| if column.published { column.name.clone() } else { String::new() };
        let columns = table.columns.iter().map(|column| (column.number, name(column))).collect();
        table.membership.set_columns(columns);
    }
    Ok(())
}

async fn keys(client: &Client, tables: &mut [SourceTable]) -> Result<(), Halt> {
    let oids: Vec<u32> = tables.iter().map(|table| table.oid).collect();
    let rows = client
        .query(
            "SELECT i.indrelid, i.indisprimary, ARRAY(SELECT a.attname::text \
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) \
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
                 WHERE k.place <= i.indnkeyatts ORDER BY k.place), \
                 i.indimmediate, COALESCE(k.condeferred, false) \
             FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid \
               AND k.contype = 'p' \
             WHERE i.indrelid = ANY($1) AND i.indisvalid AND (i.indisprimary OR i.indisreplident AND i.indimmediate) \
             ORDER BY i.indisprimary",
            &[&oids],
        )
        .await
        .map_err(|error| failed(&error))?;
    // A primary key comes last and wins.
    for row in &rows {
        if let Some(table) = tables.iter_mut().find(|table| table.oid == row.get::<_, u32>(0)) {
            if !row.get::<_, bool>(3) {
                table.deferrable_key = Some(DeferrableKey { columns: row.get(2), initially_deferred: row.get(4) });
                continue;
            }
            table.key_is_primary = row.get(1);
            table.key = row.get(2);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::wanted;
    use crate::profile::{Selection, TableName};

    #[test]
    fn a_partition_is_wanted_with_its_parent_and_our_own_schema_never() {
        let leaf = TableName::new("parts", "p1");
        let above = vec!["parts\np1".to_owned(), "public\nparent".to_owned()];
        let public = Selection::Schemas(vec!["public".to_owned()]);
        assert!(wanted(&public, &leaf, &above));
        assert!(!wanted(&public, &leaf, &[]));
        assert!(wanted(&Selection::Tables(vec![TableName::new("public", "parent")]), &leaf, &above));
        let everything = Selection::Schemas(Vec::new());
        assert!(wanted(&everything, &leaf, &[]));
        assert!(!wanted(&everything, &TableName::new("walpilot", "checkpoint"), &[]));
    }
}
