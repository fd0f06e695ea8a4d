//! Columns that replication has to be careful with, and what a publication says about single tables.

use serde::Deserialize;

/// A column worth a word: generated, of a type that is not PostgreSQL's own, without an equality operator, not readable,
/// with a twin, or of a table with a row filter or a column list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Column {
    /// The table.
    pub relation: u32,
    /// Its name.
    pub name: String,
    /// Its type with its modifier, as `format_type` writes it.
    pub data_type: String,
    /// Its type, or that of its elements, is not one of PostgreSQL's own base types.
    pub foreign_type: bool,
    /// Its type has no equality operator, so rows can't be found by it.
    pub no_equality: bool,
    /// `s` stored, `v` virtual (PostgreSQL 18), empty when it is not generated.
    pub generated: String,
    /// The replicating role may read it.
    pub readable: bool,
    /// It belongs to the table's replica identity (by an index).
    pub identity: bool,
    /// Another column of the table has its name but for capitals.
    pub twin: bool,
}

/// A table that is listed in the profile's publication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Member {
    /// The table.
    pub relation: u32,
    /// Transactions since it was added, or since its filter or list was changed.
    pub age: i64,
    /// The columns that its row filter reads; `None` without a filter (PostgreSQL 15 and later).
    pub filter: Option<Vec<String>>,
    /// Its column list; `None` when all columns are published (PostgreSQL 15 and later).
    pub columns: Option<Vec<String>>,
}

/// `$1` role OID, `$2` tables to look at, `$3` those of them that the role may not read as a whole, `$4` those of them of
/// which every column is wanted, because a row filter or a column list concerns them. Of two twins one has capitals.
pub(super) const COLUMNS: &str = "WITH capitals AS (SELECT DISTINCT attrelid FROM pg_attribute
  WHERE attrelid = ANY($2) AND attnum > 0 AND NOT attisdropped AND attname::text <> lower(attname::text))
SELECT coalesce(json_agg(json_build_object('relation', x.attrelid::int8, 'name', x.attname,
  'data_type', format_type(x.atttypid, x.atttypmod), 'foreign_type', x.foreign_type, 'no_equality', x.no_equality,
  'generated', x.attgenerated, 'readable', x.readable, 'twin', x.twin,
  'identity', EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE i.indrelid = x.attrelid AND x.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])
       AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END)
  ) ORDER BY x.attrelid, x.attnum), '[]')::text
FROM (
  SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attgenerated,
    t.typtype NOT IN ('b', 'p') OR t.typnamespace <> 'pg_catalog'::regnamespace
      OR coalesce(e.typtype NOT IN ('b', 'p') OR e.typnamespace <> 'pg_catalog'::regnamespace, false) AS foreign_type,
    a.atttypid IN (114, 142, 600) AS no_equality,
    CASE WHEN a.attrelid IN (SELECT attrelid FROM capitals) THEN EXISTS (SELECT FROM pg_attribute b
      WHERE b.attrelid = a.attrelid AND b.attnum > 0 AND NOT b.attisdropped AND b.attnum <> a.attnum
        AND lower(b.attname::text) = lower(a.attname::text)) ELSE false END AS twin,
    CASE WHEN a.attrelid = ANY($3) THEN coalesce(has_column_privilege($1, a.attrelid, a.attnum, 'SELECT'), false)
         ELSE true END AS readable
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
  WHERE a.attrelid = ANY($2) AND a.attnum > 0 AND NOT a.attisdropped
) x
WHERE x.foreign_type OR x.no_equality OR x.attgenerated <> '' OR NOT x.readable OR x.twin OR x.attrelid = ANY($4)";

/// `$1` publication: the tables that it lists. A filter's columns are read from the stored expression, because
/// `pg_get_expr` would open the table.
pub(super) fn members(version_num: u32) -> String {
    let (filter, columns) = if version_num >= 150_000 {
        (
            "CASE WHEN r.prqual IS NOT NULL THEN (SELECT coalesce(json_agg(DISTINCT a.attname), '[]')
       FROM regexp_matches(r.prqual::text, ':varattno ([0-9]+)', 'g') m
       JOIN pg_attribute a ON a.attrelid = r.prrelid AND a.attnum = m[1]::int2) END",
            "CASE WHEN r.prattrs IS NOT NULL THEN (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]')
       FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY(r.prattrs::int2[])) END",
        )
    } else {
        ("NULL", "NULL")
    };
    format!(
        "SELECT coalesce(json_agg(json_build_object('relation', r.prrelid::int8, 'age', age(r.xmin)::int8,
  'filter', {filter}, 'columns', {columns}) ORDER BY r.prrelid), '[]')::text
FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubname = $1"
    )
}
