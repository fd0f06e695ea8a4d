//! Which tables are read, by which key their rows are told apart, and of which relations they consist.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Client;

use crate::catalog::ident::quote_table;
use crate::connection::printable;
use crate::profile::{Selection, TableName};
use crate::replication::checkpoint::SCHEMA;
use crate::replication::halt::{self, Halt, Side};
use crate::replication::membership::Membership;
use crate::replication::source::{self, SourceTable};

/// A table that is read.
pub(super) struct Wanted {
    pub(super) source: SourceTable,
    /// A materialized view: it is always read as a whole, and what it has lost is removed.
    pub(super) materialized: bool,
    /// The columns of each of its unique indexes that cover all rows.
    pub(super) uniques: Vec<Vec<String>>,
    pub(super) relations: Vec<Relation>,
}

impl Wanted {
    /// The key's columns with their types.
    pub(super) fn key(&self) -> Vec<(String, String)> {
        let type_of = |name: &String| {
            let column = self.source.columns.iter().find(|column| column.name == *name);
            column.map_or_else(String::new, |column| column.type_name.clone())
        };
        self.source.key.iter().map(|name| (name.clone(), type_of(name))).collect()
    }
}

/// What is read in ranges: a table, a partition, or a partitioned table as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) oid: u32,
    /// As it stands behind FROM.
    pub(super) from: String,
    /// It has pages of its own.
    pub(super) stored: bool,
}

impl Relation {
    /// What tells whether its rows still lie where they lay, and its pages; holds its lock until the transaction, or its
    /// savepoint, ends.
    ///
    /// The shape is the relation's file: CLUSTER and VACUUM FULL move rows without a new `xmin`, and extensions exchange
    /// whole files. Of a partitioned table that is read as a whole it is the set of its partitions' files.
    pub(super) async fn look(&self, client: &Client, table: &TableName) -> Result<(String, u32), Halt> {
        let failed = |error| super::pipe::reading(table, &error);
        // Changes of the file wait for this lock, so what is asked next stays true.
        client.batch_execute(&format!("SELECT FROM {} LIMIT 0", self.from)).await.map_err(failed)?;
        let sql = if self.stored {
            "SELECT pg_relation_filenode($1::oid)::text, pg_relation_size($1::oid) / current_setting('block_size')::bigint"
        } else {
            "WITH RECURSIVE tree (oid) AS (SELECT $1::oid \
                 UNION ALL SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid) \
             SELECT md5(string_agg(oid || ':' || COALESCE(pg_relation_filenode(oid)::text, ''), ',' ORDER BY oid)), \
                 0::bigint FROM tree"
        };
        let row = client.query_one(sql, &[&self.oid]).await.map_err(failed)?;
        let shape: Option<String> = row.get(0);
        Ok((shape.unwrap_or_default(), u32::try_from(row.get::<_, i64>(1)).unwrap_or(u32::MAX)))
    }
}

/// Everything that was chosen, with what is left out and why.
pub(super) struct Found {
    pub(super) tables: Vec<Wanted>,
    /// Sentences about relations of a chosen schema that can't be read this way and are no tables.
    pub(super) left_out: Vec<String>,
}

fn failed(error: &tokio_postgres::Error) -> Halt {
    halt::query(Side::Source, "looking for the chosen tables", error)
}

/// The tables with columns and key, for whoever compares them.
pub(in crate::replication) async fn published(
    client: &Client,
    version: i32,
    selection: &Selection,
) -> Result<Vec<SourceTable>, Halt> {
    Ok(find(client, version, selection).await?.tables.into_iter().map(|wanted| wanted.source).collect())
}

/// Looks for the tables of `selection`; an empty list of schemas wants all of them.
///
/// # Errors
/// When something that was chosen can't be read by this method; the sentence says why and what to do.
pub(super) async fn find(client: &Client, version: i32, selection: &Selection) -> Result<Found, Halt> {
    let rows = client
        .query(
            "SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence = 'u', c.reltuples, \
             am.amname::text, pg_is_in_recovery(), \
             ARRAY(SELECT an.nspname::text || E'\\n' || ac.relname::text FROM pg_partition_ancestors(c.oid) a \
                   JOIN pg_class ac ON ac.oid = a.relid JOIN pg_namespace an ON an.oid = ac.relnamespace \
                   WHERE a.relid <> c.oid) \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am am ON am.oid = c.relam \
             WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f') AND c.relpersistence <> 't' \
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND n.nspname <> $1::text ORDER BY 2, 3",
            &[&SCHEMA],
        )
        .await
        .map_err(|error| failed(&error))?;
    let named = matches!(selection, Selection::Tables(_));
    let (mut found, mut left_out, mut candidates) = (HashSet::new(), Vec::new(), Vec::new());
    for row in &rows {
        let name = TableName::new(row.get::<_, String>(1), row.get::<_, String>(2));
        if !chosen(selection, &name) {
            continue;
        }
        found.insert(name.clone());
        let above: Vec<String> = row.get(8);
        let above = above.iter().filter_map(|text| text.split_once('\n')).map(|(s, n)| TableName::new(s, n));
        // The rows of a partition come with the table that it is a part of.
        if above.into_iter().any(|parent| chosen(selection, &parent)) {
            continue;
        }
        let (kind, unlogged, standby): (&str, bool, bool) = (row.get(3), row.get(4), row.get(7));
        let method: Option<&str> = row.get(6);
        let unfit = match kind {
            "v" => Some("is a view, and a view's rows have no xmin; choose the tables behind it"),
            "f" => Some("is a foreign table, whose rows have no xmin of this server; replicate it from its own server"),
            "r" if method.is_some_and(|method| method != "heap") => {
                Some("is not stored as a heap, so its rows' xmin may not tell when they changed; use --method cdc")
            }
            _ if unlogged && standby => Some("is unlogged, and a standby has no rows of it; read from the primary"),
            _ => None,
        };
        if let Some(why) = unfit {
            if named || kind == "r" {
                return Err(Halt::refused(format!("{name} {why}, or leave it out.")));
            }
            left_out.push(format!("{name} is left out: it {why}."));
            continue;
        }
        let estimate: f32 = row.get(5);
        let source = SourceTable {
            oid: row.get(0),
            name,
            partitioned: kind == "p",
            // -1 from PostgreSQL 14, 0 before: never analysed.
            rows: (estimate > 0.0).then_some(estimate as u64),
            filter: None,
            columns: Vec::new(),
            key: Vec::new(),
            key_is_primary: false,
            deferrable_key: None,
            membership: Membership::default(),
        };
        candidates.push((source, kind == "m"));
    }
    if let Selection::Tables(names) = selection
        && let Some(missing) = names.iter().find(|name| !found.contains(name))
    {
        return Err(Halt::refused(format!("The source has no table {missing}, or hides it from this role.")));
    }
    let tables = describe(client, version, candidates, named, &mut left_out).await?;
    if tables.is_empty() {
        return Err(Halt::refused("The source has none of the chosen tables. Choose others (--schemas, --tables)."));
    }
    Ok(Found { tables, left_out })
}

fn chosen(selection: &Selection, table: &TableName) -> bool {
    match selection {
        Selection::Schemas(schemas) => schemas.is_empty() || schemas.contains(&table.schema),
        Selection::Tables(tables) => tables.contains(table),
    }
}

/// Adds columns, keys and relations.
async fn describe(
    client: &Client,
    version: i32,
    candidates: Vec<(SourceTable, bool)>,
    named: bool,
    left_out: &mut Vec<String>,
) -> Result<Vec<Wanted>, Halt> {
    let (mut sources, materialized): (Vec<SourceTable>, Vec<bool>) = candidates.into_iter().unzip();
    source::columns(client, version, &mut sources, &HashMap::new()).await?;
    let oids: Vec<u32> = sources.iter().map(|table| table.oid).collect();
    let mut indexes = indexes(client, &oids).await?;
    let mut parts = parts(client, version, &oids).await?;
    let mut tables = Vec::new();
    for (mut source, materialized) in sources.into_iter().zip(materialized) {
        let of = indexes.remove(&source.oid).unwrap_or_default();
        // A materialized view's columns are never NOT NULL for the catalog.
        let key = of.iter().find(|index| index.not_null || materialized);
        let Some(key) = key else {
            let name = &source.name;
            if materialized && !named {
                left_out.push(format!("{name} is left out: it is a materialized view without a unique index."));
                continue;
            }
            return Err(Halt::refused(format!(
                "{name} has no {}, so a changed row can't be told from a new one. {}, or leave it out.",
                if materialized { "unique index" } else { "primary key and no unique index on NOT NULL columns" },
                if materialized { "Create one" } else { "Add a primary key, use --method cdc" },
            )));
        };
        source.key.clone_from(&key.columns);
        source.key_is_primary = key.primary;
        if let Some(column) =
            source.columns.iter().find(|column| !column.published && source.key.contains(&column.name))
        {
            return Err(Halt::refused(format!(
                "The key of {} has the generated column {}, which can't be written at the destination. Add a primary key \
                 of stored columns, or leave the table out.",
                source.name,
                printable(&column.name)
            )));
        }
        let relations = relations(&source, materialized, parts.remove(&source.oid).unwrap_or_default())?;
        let uniques = of.into_iter().map(|index| index.columns).collect();
        tables.push(Wanted { source, materialized, uniques, relations });
    }
    Ok(tables)
}

/// A unique index over plain columns and all rows.
struct Index {
    primary: bool,
    not_null: bool,
    columns: Vec<String>,
}

async fn indexes(client: &Client, oids: &[u32]) -> Result<HashMap<u32, Vec<Index>>, Halt> {
    let rows = client
        .query(
            "SELECT i.indrelid, i.indisprimary, bool_and(a.attnotnull), \
                 array_agg(a.attname::text ORDER BY k.place) \
             FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
             WHERE i.indrelid = ANY($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL \
             AND i.indexprs IS NULL AND k.place <= i.indnkeyatts \
             GROUP BY i.indexrelid, i.indrelid, i.indisprimary, i.indisreplident \
             ORDER BY i.indisprimary DESC, i.indisreplident DESC, i.indexrelid",
            &[&oids],
        )
        .await
        .map_err(|error| failed(&error))?;
    let mut of: HashMap<u32, Vec<Index>> = HashMap::new();
    for row in &rows {
        let index = Index { primary: row.get(1), not_null: row.get(2), columns: row.get(3) };
        of.entry(row.get(0)).or_default().push(index);
    }
    Ok(of)
}

/// A partition that holds rows itself.
struct Part {
    oid: u32,
    name: TableName,
    /// A heap of this server.
    heap: bool,
    readable: bool,
}

async fn parts(client: &Client, version: i32, oids: &[u32]) -> Result<HashMap<u32, Vec<Part>>, Halt> {
    let attached = if version >= 140_000 { "AND NOT i.inhdetachpending" } else { "" };
    let sql = format!(
        "WITH RECURSIVE tree (root, oid) AS ( \
             SELECT c.oid, c.oid FROM pg_class c WHERE c.oid = ANY($1) AND c.relkind = 'p' \
             UNION ALL SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid {attached}) \
         SELECT t.root, c.oid, n.nspname::text, c.relname::text, c.relkind = 'r' AND am.amname = 'heap', \
             has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AND NOT c.relrowsecurity \
         FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_am am ON am.oid = c.relam WHERE c.relkind <> 'p' ORDER BY 3, 4"
    );
    let rows = client.query(&sql, &[&oids]).await.map_err(|error| failed(&error))?;
    let mut of: HashMap<u32, Vec<Part>> = HashMap::new();
    for row in &rows {
        let name = TableName::new(row.get::<_, String>(2), row.get::<_, String>(3));
        let part = Part { oid: row.get(1), name, heap: row.get(4), readable: row.get(5) };
        of.entry(row.get(0)).or_default().push(part);
    }
    Ok(of)
}

fn relations(table: &SourceTable, materialized: bool, parts: Vec<Part>) -> Result<Vec<Relation>, Halt> {
    let own = quote_table(&table.name);
    if !table.partitioned {
        return Ok(vec![Relation { oid: table.oid, from: format!("ONLY {own}"), stored: !materialized }]);
    }
    if let Some(part) = parts.iter().find(|part| !part.heap) {
        return Err(Halt::refused(format!(
            "The partition {} of {} is no heap of this server, so its rows' xmin may not tell when they changed. Detach \
             it, or leave the table out.",
            part.name, table.name
        )));
    }
    // Rights on the whole do not give rights on its parts when they are named.
    if parts.iter().any(|part| !part.readable) {
        return Ok(vec![Relation { oid: table.oid, from: own, stored: false }]);
    }
    let leaf = |part: Part| Relation { oid: part.oid, from: format!("ONLY {}", quote_table(&part.name)), stored: true };
    Ok(parts.into_iter().map(leaf).collect())
}
