//! Statements that write a set of rows: the values of each column go as one array.
//!
//! Arrays are written as text, so that every value passes through the input function of its type, as in COPY. What has
//! no array of its own (arrays themselves, and types whose arrays are not written with commas) goes as text and is
//! converted by the same function.

use bytes::{BufMut, BytesMut};

use super::change::Kind;
use super::coalesce::{Line, Set};
use super::pgoutput::Value;
use super::relation::Target;

/// A statement with one array for each parameter.
pub(super) struct SetStatement {
    pub(super) sql: String,
    pub(super) arrays: Vec<BytesMut>,
}

/// The statement that writes `set`.
pub(super) fn statement(set: &Set<'_>) -> SetStatement {
    let target = set.target.as_ref();
    let columns: Vec<usize> = match set.kind {
        Kind::Insert => target.written().collect(),
        Kind::Update => target.key.iter().chain(&set.columns).copied().collect(),
        Kind::Delete | Kind::Truncate => target.key.clone(),
    };
    let arrays = columns.iter().map(|at| array(&set.rows, *at)).collect();
    SetStatement { sql: sql(target, set, &columns), arrays }
}

fn sql(target: &Target, set: &Set<'_>, columns: &[usize]) -> String {
    let place = |at: usize| columns.iter().position(|other| *other == at).unwrap_or_default();
    let value = |at: usize| {
        let column = &target.columns[at];
        if column.element { format!("u.c{}", place(at)) } else { format!("u.c{}::{}", place(at), column.type_name) }
    };
    let parameters: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(number, at)| {
            let column = &target.columns[*at];
            format!("${}::{}[]", number + 1, if column.element { column.type_name.as_str() } else { "text" })
        })
        .collect();
    let names: Vec<String> = (0..columns.len()).map(|number| format!("c{number}")).collect();
    let rows = format!("unnest({}) AS u({})", parameters.join(", "), names.join(", "));
    let (only, quoted) = (target.only, &target.quoted);
    let same: Vec<String> =
        target.key.iter().map(|at| format!("d.{} = {}", target.columns[*at].quoted, value(*at))).collect();
    let same = same.join(" AND ");
    match set.kind {
        Kind::Insert => {
            let names: Vec<&str> = columns.iter().map(|at| target.columns[*at].quoted.as_str()).collect();
            let values: Vec<String> = columns.iter().map(|at| value(*at)).collect();
            format!(
                "INSERT INTO {quoted} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {rows}",
                names.join(", "),
                values.join(", ")
            )
        }
        Kind::Update => {
            let set: Vec<String> =
                set.columns.iter().map(|at| format!("{} = {}", target.columns[*at].quoted, value(*at))).collect();
            format!("UPDATE {only}{quoted} AS d SET {} FROM {rows} WHERE {same}", set.join(", "))
        }
        Kind::Delete | Kind::Truncate => format!("DELETE FROM {only}{quoted} AS d USING {rows} WHERE {same}"),
    }
}

/// One column of the rows in the text form of an array (PostgreSQL documentation, "Array Input and Output Syntax").
fn array(rows: &[Line<'_>], at: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(rows.len() * 12 + 2);
    out.put_u8(b'{');
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            out.put_u8(b',');
        }
        match row.value(at) {
            Value::Text(bytes) => {
                out.put_u8(b'"');
                let mut rest = &bytes[..];
                while let Some(special) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
                    out.put_slice(&rest[..special]);
                    out.put_u8(b'\\');
                    out.put_u8(rest[special]);
                    rest = &rest[special + 1..];
                }
                out.put_slice(rest);
                out.put_u8(b'"');
            }
            Value::Null | Value::Unchanged => out.put_slice(b"NULL"),
        }
    }
    out.put_u8(b'}');
    out
}
