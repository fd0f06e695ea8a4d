//! A table's name with its schema, as people type it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::connection::printable;

/// A schema-qualified table name, unquoted, exactly as in the catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table.
    pub name: String,
}

impl TableName {
    /// A name from its two parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }
}

/// For people: `schema.table`, with quotes only where a part would otherwise be misread, control characters made
/// visible. Not for SQL; see `catalog::ident::quote_table`.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in [&self.schema, &self.name].into_iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            let plain = part.chars().all(|c| c == '_' || c.is_ascii_lowercase() || c.is_ascii_digit());
            if plain && !part.is_empty() {
                f.write_str(part)?;
            } else {
                write!(f, "\"{}\"", printable(&part.replace('"', "\"\"")))?;
            }
        }
        Ok(())
    }
}

/// Why a text is no table name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a table name; write schema.table, with double quotes around a part that has capitals, dots or blanks"
)]
pub struct BadTableName(String);

impl FromStr for TableName {
    type Err = BadTableName;

    /// Reads `table`, `schema.table` or `"Schema"."Table"` as SQL would: unquoted parts are folded to lower case, and
    /// the schema is `public` when none is named.
    fn from_str(text: &str) -> Result<Self, BadTableName> {
        let bad = || BadTableName(printable(text).into_owned());
        let mut parts = Vec::new();
        let mut rest = text.trim();
        loop {
            let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
                quoted_part(quoted).ok_or_else(bad)?
            } else {
                let end = rest.find('.').unwrap_or(rest.len());
                if rest[..end].contains(['"', ' ']) {
                    return Err(bad());
                }
                (rest[..end].to_lowercase(), &rest[end..])
            };
            if part.is_empty() {
                return Err(bad());
            }
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return Err(bad()),
            }
        }
        match parts.len() {
            1 => Ok(Self::new("public", parts.remove(0))),
            2 => Ok(Self { name: parts.remove(1), schema: parts.remove(0) }),
            _ => Err(bad()),
        }
    }
}

/// The parts of a list as people type it: separated by commas, but not by those between double quotes.
#[must_use]
pub fn split_list(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let separates = |c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    };
    text.split(separates).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A schema's name as people type it: exactly as in the catalog, or between double quotes as in SQL.
#[must_use]
pub fn schema_name(text: &str) -> String {
    match text.strip_prefix('"').and_then(quoted_part) {
        Some((name, "")) => name,
        _ => text.to_owned(),
    }
}

/// Splits the rest of a quoted part (without its opening quote) from what follows its closing quote.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                chars.next();
                part.push('"');
            }
            '"' => return Some((part, &text[at + 1..])),
            _ => part.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{TableName, schema_name, split_list};

    #[test]
    fn lists_are_split_at_commas_that_are_not_quoted() {
        assert_eq!(split_list(r#"a, "b,""c""".d ,,e"#), ["a", r#""b,""c""".d"#, "e"]);
        for (text, name) in [("Sales", "Sales"), (r#""a,""b""""#, "a,\"b\""), (r#"a"b"#, r#"a"b"#), ("\"a", "\"a")] {
            assert_eq!(schema_name(text), name);
        }
    }

    #[test]
    fn names_are_read_as_sql_reads_them() {
        for (text, schema, name) in [
            ("orders", "public", "orders"),
            ("Sales.Orders", "sales", "orders"),
            (r#""Sales"."a ""b"".c""#, "Sales", r#"a "b".c"#),
            (r#"sales."注文""#, "sales", "注文"),
        ] {
            assert_eq!(text.parse(), Ok(TableName::new(schema, name)), "{text}");
        }
        for bad in ["", ".", "a.", "a.b.c", "\"a", "a b", "a.\"b\"c"] {
            assert!(bad.parse::<TableName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_can_be_typed_again() {
        for table in [TableName::new("public", "orders"), TableName::new("Sales", "a \"b\".c")] {
            assert_eq!(table.to_string().parse(), Ok(table));
        }
    }
}
