//! A table of the stream joined to its table at the destination, and the statements that carry its changes over.
//!
//! Values go as text parameters whose type the server infers from the column, so that they pass through the same input
//! functions as in COPY, and nothing is cast.

use super::destination::{DestinationTable, missing_column};
use super::halt::Halt;
use super::pgoutput::{Old, Relation, Row, Value};
use crate::catalog::ident::{quote_ident, quote_table};
use crate::profile::TableName;

/// One column of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) quoted: String,
    /// The type at the destination, and whether its values can go as elements of an array.
    pub(super) type_name: String,
    pub(super) element: bool,
    /// Values can be inserted; a generated column of the destination makes its own.
    written: bool,
    /// Updates can't set it, except to DEFAULT.
    always_identity: bool,
    comparable: bool,
    exact: bool,
}

/// A relation of the stream with what the destination needs to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Distinguishes versions of a relation; part of the key of prepared statements.
    pub(super) version: u64,
    pub(super) table: TableName,
    pub(super) quoted: String,
    /// `ONLY` unless it is partitioned: children of an ordinary table have changes of their own.
    pub(super) only: &'static str,
    partitioned: bool,
    pub(super) columns: Vec<Column>,
    /// Places of the columns that tell rows apart.
    pub(super) key: Vec<usize>,
    /// Something runs for its rows (triggers, foreign keys, rules).
    pub(super) fires: bool,
    /// Changes of different rows may change places, and those of one row come to its last state: its key tells rows apart
    /// by the bytes of their text, and nothing else refuses a row because of another.
    pub(super) free: bool,
    /// Nothing tells rows apart: exactly one row that is equal in all columns is meant.
    whole_row: bool,
    /// The statement that gives the destination the types of the stream, where they differ.
    pub(super) retype: Option<String>,
}

/// How a column of the row that is meant is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Match {
    /// It is null.
    Null,
    /// By `=` of its type.
    Native,
    /// By its text, as its type's output function writes it: there is no `=`.
    Text,
    /// By `=` first, which is cheap and may use an index, and by its text, because equal is not the same: 1.0 = 1.00,
    /// and of two such rows the right one has to be hit. Takes two parameters.
    NativeAndText,
}

/// The shape of a statement: which columns are set, and how which are compared. Statements of one shape share one
/// preparation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) version: u64,
    kind: u8,
    set: Box<[u16]>,
    compare: Box<[(u16, Match)]>,
}

/// A statement with its parameters.
pub(super) type Bound = (Shape, Vec<Value>);

impl Target {
    /// Joins `relation` to the destination's table.
    ///
    /// # Errors
    /// When a column is missing there.
    pub(super) fn join(relation: &Relation, there: &DestinationTable, version: u64) -> Result<Self, Halt> {
        let table = TableName::new(relation.schema.as_str(), relation.name.as_str());
        let mut columns = Vec::with_capacity(relation.columns.len());
        for column in &relation.columns {
            let Some(other) = there.columns.iter().find(|other| other.name == column.name) else {
                return Err(Halt::Refused(missing_column(
                    &table,
                    &column.name,
                    "… (the type that it has at the source)",
                )));
            };
            columns.push(Column {
                quoted: quote_ident(&column.name),
                type_name: other.type_name.clone(),
                element: other.element,
                written: !other.generated,
                always_identity: other.always_identity,
                comparable: other.comparable,
                exact: other.exact,
            });
        }
        let full = relation.identity == b'f';
        let place = |name: &String| relation.columns.iter().position(|column| column.name == *name);
        // Under FULL every column is flagged; the destination's primary key tells rows apart with less work.
        let key: Vec<usize> = if full {
            let places: Option<Vec<usize>> = there.primary_key.iter().map(place).collect();
            places.unwrap_or_default()
        } else {
            (0..relation.columns.len()).filter(|at| relation.columns[*at].key).collect()
        };
        let of_key = |name: &String| key.iter().any(|at| relation.columns[*at].name == *name);
        let crossed = |unique: &Vec<String>| unique.len() != key.len() || !unique.iter().all(of_key);
        let plain = |at: &usize| columns[*at].written && columns[*at].exact && columns[*at].element;
        let free = !key.is_empty() && key.iter().all(plain) && !there.fires && !there.unique.iter().any(crossed);
        Ok(Self {
            version,
            fires: there.fires,
            free,
            quoted: quote_table(&table),
            only: if there.partitioned { "" } else { "ONLY " },
            partitioned: there.partitioned,
            whole_row: full && key.is_empty(),
            table,
            columns,
            key,
            retype: None,
        })
    }

    /// Whether `row` has as many values as the relation has columns.
    pub(super) fn fits(&self, row: &Row) -> bool {
        row.len() == self.columns.len()
    }

    /// Places of the columns that are written.
    pub(super) fn written(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.columns.len()).filter(|at| self.columns[*at].written)
    }

    /// The bytes of the key of `row`, the first value and the others; `None` when one is not known.
    pub(super) fn key_of<'r>(&self, row: &'r Row) -> Option<(&'r [u8], Vec<&'r [u8]>)> {
        let value = |at: &usize| match &row[*at] {
            Value::Text(bytes) => Some(&bytes[..]),
            Value::Null | Value::Unchanged => None,
        };
        let (first, rest) = self.key.split_first()?;
        Some((value(first)?, rest.iter().map(value).collect::<Option<_>>()?))
    }

    /// The columns that an update sets which leaves the key as it is, by the row's new values.
    pub(super) fn set_columns<'r>(&self, value: impl Fn(usize) -> &'r Value) -> Vec<usize> {
        self.written()
            .filter(|at| !self.columns[*at].always_identity && !self.key.contains(at))
            .filter(|at| *value(*at) != Value::Unchanged)
            .collect()
    }

    /// Whether COPY can carry its rows: it needs a column.
    pub(super) fn copies(&self) -> bool {
        self.written().next().is_some()
    }

    /// For `TRUNCATE`.
    pub(super) fn truncated(&self) -> String {
        format!("{}{}", self.only, self.quoted)
    }

    /// The statement that takes inserted rows in COPY's text format.
    pub(super) fn copy_sql(&self) -> String {
        let names: Vec<&str> = self.written().map(|at| self.columns[at].quoted.as_str()).collect();
        format!("COPY {} ({}) FROM STDIN", self.quoted, names.join(", "))
    }

    /// The values of a row that are written, in the order of [`Self::copy_sql`].
    pub(super) fn insert(&self, row: &Row) -> Bound {
        let set: Box<[u16]> = self.written().map(small).collect();
        let values = self.written().map(|at| row[at].clone()).collect();
        (Shape { version: self.version, kind: b'I', set, compare: Box::default() }, values)
    }

    /// `None` when nothing is left to set.
    ///
    /// # Errors
    /// When the row that is meant can't be told.
    pub(super) fn update(&self, old: Option<&Old>, new: &Row) -> Result<Option<Bound>, Halt> {
        let before = match old {
            Some(Old::Key(row) | Old::Full(row)) => row,
            None => new,
        };
        let mut set = Vec::new();
        let mut values = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            if !column.written || new[at] == Value::Unchanged {
                continue;
            }
            // Without an old key the key has not changed, to the byte.
            if old.is_none() && self.key.contains(&at) {
                continue;
            }
            if column.always_identity {
                // Whether a column outside the key has changed can't be told without the old row.
                let known = self.key.contains(&at) || matches!(old, Some(Old::Full(_)));
                if !known || before[at] != new[at] {
                    return Err(Halt::refused(format!(
                        "The source may have changed the identity column {} of a row of table {}, which is GENERATED ALWAYS at \
                         the destination. Run there: ALTER TABLE {} ALTER COLUMN {} SET GENERATED BY DEFAULT; then \
                         start again.",
                        crate::connection::printable(&column.quoted),
                        self.table,
                        crate::connection::printable(&self.quoted),
                        crate::connection::printable(&column.quoted),
                    )));
                }
                continue;
            }
            set.push(small(at));
            values.push(new[at].clone());
        }
        if set.is_empty() {
            return Ok(None);
        }
        let compare = self.compare(before, &mut values)?;
        Ok(Some((Shape { version: self.version, kind: b'U', set: set.into(), compare }, values)))
    }

    /// # Errors
    /// When the row that is meant can't be told.
    pub(super) fn delete(&self, old: &Old) -> Result<Bound, Halt> {
        let (Old::Key(row) | Old::Full(row)) = old;
        let mut values = Vec::new();
        let compare = self.compare(row, &mut values)?;
        Ok((Shape { version: self.version, kind: b'D', set: Box::default(), compare }, values))
    }

    fn compare(&self, before: &Row, values: &mut Vec<Value>) -> Result<Box<[(u16, Match)]>, Halt> {
        let places: Vec<usize> = if self.whole_row { self.written().collect() } else { self.key.clone() };
        let mut compare = Vec::with_capacity(places.len());
        for at in places {
            match &before[at] {
                // Under FULL the old row is complete; a gap can only be in a key, which then can't be told.
                Value::Unchanged if self.whole_row => {}
                Value::Unchanged => return Err(self.no_key()),
                Value::Null => compare.push((small(at), Match::Null)),
                value @ Value::Text(_) => {
                    let column = &self.columns[at];
                    let how = match (column.comparable, column.exact || !self.whole_row) {
                        (true, true) => Match::Native,
                        (true, false) => Match::NativeAndText,
                        (false, _) => Match::Text,
                    };
                    compare.push((small(at), how));
                    if how == Match::NativeAndText {
                        values.push(value.clone());
                    }
                    values.push(value.clone());
                }
            }
        }
        if compare.is_empty() { Err(self.no_key()) } else { Ok(compare.into()) }
    }

    fn no_key(&self) -> Halt {
        Halt::refused(format!(
            "The source changed a row of table {} without telling which: its replica identity has no columns. Give the \
             table a primary key or REPLICA IDENTITY FULL at the source, then copy it again.",
            self.table
        ))
    }

    /// The text of the statement of `shape`.
    pub(super) fn sql(&self, shape: &Shape) -> String {
        let name = |at: &u16| self.columns[usize::from(*at)].quoted.as_str();
        let mut next = 0;
        let mut parameter = || {
            next += 1;
            format!("${next}")
        };
        if shape.kind == b'I' && shape.set.is_empty() {
            return format!("INSERT INTO {} DEFAULT VALUES", self.quoted);
        }
        if shape.kind == b'I' {
            let names: Vec<&str> = shape.set.iter().map(name).collect();
            let values: Vec<String> = shape.set.iter().map(|_| parameter()).collect();
            return format!(
                "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
                self.quoted,
                names.join(", "),
                values.join(", ")
            );
        }
        let set: Vec<String> = shape.set.iter().map(|at| format!("{} = {}", name(at), parameter())).collect();
        let conditions: Vec<String> = shape
            .compare
            .iter()
            .map(|(at, how)| {
                let name = name(at);
                let native = |parameter: String| format!("{name} = {parameter}");
                // Not a cast to text, which trims character(n) and adds to inet what the output function does not.
                // concat() makes an empty text of null, so null is ruled out apart; by IS DISTINCT, because a composite
                // value with a null in it is neither IS NULL nor IS NOT NULL.
                let text = |parameter: String| {
                    format!("{name} IS DISTINCT FROM NULL AND concat({name}) COLLATE \"C\" = {parameter}")
                };
                match how {
                    Match::Null => format!("{name} IS NOT DISTINCT FROM NULL"),
                    Match::Native => native(parameter()),
                    Match::Text => text(parameter()),
                    Match::NativeAndText => format!("{} AND {}", native(parameter()), text(parameter())),
                }
            })
            .collect();
        let (only, quoted) = (self.only, &self.quoted);
        let mut conditions = conditions.join(" AND ");
        if self.whole_row {
            // One of several equal rows; in a partitioned table a ctid is unique only with its partition.
            conditions = if self.partitioned {
                format!("(tableoid, ctid) = (SELECT tableoid, ctid FROM {quoted} WHERE {conditions} LIMIT 1)")
            } else {
                format!("ctid = (SELECT ctid FROM {only}{quoted} WHERE {conditions} LIMIT 1)")
            };
        }
        if shape.kind == b'U' {
            format!("UPDATE {only}{quoted} SET {} WHERE {conditions}", set.join(", "))
        } else {
            format!("DELETE FROM {only}{quoted} WHERE {conditions}")
        }
    }
}

/// A table has at most 1,600 columns.
fn small(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::Target;
    use crate::replication::destination::{DestinationColumn, DestinationTable};
    use crate::replication::pgoutput::{Old, Relation, RelationColumn, Value};

    fn column(name: &str) -> DestinationColumn {
        DestinationColumn {
            name: name.into(),
            generated: name == "made",
            always_identity: false,
            required: false,
            comparable: name != "doc",
            exact: name != "doc",
            kind: (25, -1),
            ..DestinationColumn::default()
        }
    }

    fn target(identity: u8, primary_key: &[&str]) -> Target {
        let names = ["id", "doc", "made"];
        let relation = Relation {
            id: 1,
            schema: "s".into(),
            name: "T\"".into(),
            identity,
            columns: names
                .iter()
                .map(|name| RelationColumn {
                    name: (*name).into(),
                    key: identity == b'f' || *name == "id",
                    type_oid: 25,
                    type_modifier: -1,
                })
                .collect(),
        };
        let there = DestinationTable {
            partitioned: false,
            columns: names.iter().map(|name| column(name)).collect(),
            primary_key: primary_key.iter().map(|name| (*name).to_owned()).collect(),
            ..DestinationTable::default()
        };
        Target::join(&relation, &there, 7).unwrap_or_else(|halt| panic!("{halt:?}"))
    }

    fn text(value: &'static str) -> Value {
        Value::Text(Bytes::from_static(value.as_bytes()))
    }

    #[test]
    fn statements_name_what_they_must_and_leave_out_the_rest() {
        let target = target(b'd', &["id"]);
        let (shape, values) = target.insert(&vec![text("1"), Value::Null, text("x")]);
        assert_eq!(
            target.sql(&shape),
            r#"INSERT INTO "s"."T""" ("id", "doc") OVERRIDING SYSTEM VALUE VALUES ($1, $2)"#
        );
        assert_eq!(values, [text("1"), Value::Null]);
        assert_eq!(target.copy_sql(), r#"COPY "s"."T""" ("id", "doc") FROM STDIN"#);
        // An unchanged TOAST value is left out; the old key finds the row.
        let old = Old::Key(vec![text("1"), Value::Null, Value::Null]);
        let bound = target.update(Some(&old), &vec![text("2"), Value::Unchanged, text("x")]).unwrap().unwrap();
        assert_eq!(target.sql(&bound.0), r#"UPDATE ONLY "s"."T""" SET "id" = $1 WHERE "id" = $2"#);
        assert_eq!(bound.1, [text("2"), text("1")]);
        assert!(target.update(None, &vec![Value::Unchanged, text("{}"), text("x")]).is_err(), "no key is known");
    }

    #[test]
    fn a_whole_row_is_matched_once_with_nulls_and_by_text_where_there_is_no_equality() {
        let whole = target(b'f', &[]);
        let old = Old::Full(vec![Value::Null, text("{}"), text("x")]);
        let (shape, values) = whole.delete(&old).unwrap();
        assert_eq!(
            whole.sql(&shape),
            r#"DELETE FROM ONLY "s"."T""" WHERE ctid = (SELECT ctid FROM ONLY "s"."T""" WHERE "id" IS NOT DISTINCT FROM NULL AND "doc" IS DISTINCT FROM NULL AND concat("doc") COLLATE "C" = $1 LIMIT 1)"#
        );
        assert_eq!(values, [text("{}")]);
        // With a primary key at the destination that key is enough.
        let keyed = target(b'f', &["id"]);
        let (shape, _) = keyed.delete(&Old::Full(vec![text("1"), text("{}"), Value::Null])).unwrap();
        assert_eq!(keyed.sql(&shape), r#"DELETE FROM ONLY "s"."T""" WHERE "id" = $1"#);
    }
}
