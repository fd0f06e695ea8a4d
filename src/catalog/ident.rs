//! Names and values as they have to stand in SQL.

use crate::connection::printable;
use crate::profile::TableName;

/// The longest identifier in bytes (`NAMEDATALEN` - 1); the server cuts longer ones silently.
pub const MAX_IDENTIFIER_BYTES: usize = 63;

/// An identifier in double quotes, always quoted, so that no list of keywords has to be kept.
///
/// Characters that a terminal would act on or a reader could not see (PostgreSQL allows them in names) are written as
/// Unicode escapes, `U&"a\+00000Ab"`: the statement stays exact, and safe to print and to put into a script
/// (PostgreSQL documentation, "Lexical Structure"; needs `standard_conforming_strings`, which sessions set).
#[must_use]
pub fn quote_ident(name: &str) -> String {
    let quoted = postgres_protocol::escape::escape_identifier(name);
    if printable(name) == name {
        return quoted;
    }
    let mut escaped = String::from("U&");
    let mut buffer = [0; 4];
    for c in quoted.chars() {
        let c_text: &str = c.encode_utf8(&mut buffer);
        if c == '\\' {
            escaped.push_str("\\\\");
        } else if printable(c_text) == c_text {
            escaped.push(c);
        } else {
            escaped.push_str(&format!("\\+{:06X}", u32::from(c)));
        }
    }
    escaped
}

/// A string constant in single quotes; safe whatever `standard_conforming_strings` is. Characters that must not reach
/// a terminal are written as escapes, see [`quote_ident`].
#[must_use]
pub fn quote_literal(text: &str) -> String {
    if printable(text) == text {
        return postgres_protocol::escape::escape_literal(text).trim_start().to_owned();
    }
    let mut escaped = String::from("E'");
    let mut buffer = [0; 4];
    for c in text.chars() {
        let c_text: &str = c.encode_utf8(&mut buffer);
        match c {
            '\'' | '\\' => escaped.extend([c, c]),
            _ if printable(c_text) == c_text => escaped.push(c),
            _ => escaped.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    escaped.push('\'');
    escaped
}

/// A table with its schema, both quoted.
#[must_use]
pub fn quote_table(table: &TableName) -> String {
    format!("{}.{}", quote_ident(&table.schema), quote_ident(&table.name))
}

/// A table or sequence as the text of a `regclass`: plain double quotes, for `regclass` reads no `U&` ([`quote_ident`]). It
/// goes into a parameter or through [`quote_literal`].
#[must_use]
pub fn regclass_text(table: &TableName) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

/// Whether `name` may name a replication slot: `[a-z0-9_]`, 1 to 63 bytes (PostgreSQL source,
/// `ReplicationSlotValidateName`).
#[must_use]
pub fn is_slot_name(name: &str) -> bool {
    (1..=MAX_IDENTIFIER_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::{is_slot_name, quote_ident, quote_literal, regclass_text};
    use crate::profile::TableName;

    #[test]
    fn quotes_are_doubled_and_backslashes_are_escaped() {
        assert_eq!(quote_ident(r#"we"ird; --"#), r#""we""ird; --""#);
        assert_eq!(quote_ident("a\\\nb"), r#"U&"a\\\+00000Ab""#);
        assert_eq!(quote_ident(r"a\b"), r#""a\b""#);
        assert_eq!(quote_literal("o'clock"), "'o''clock'");
        assert_eq!(quote_literal(r"a\b"), r"E'a\\b'");
        assert_eq!(quote_literal("a'\\\n"), r"E'a''\\\U0000000A'");
    }

    #[test]
    fn regclass_gets_plain_quotes() {
        assert_eq!(regclass_text(&TableName::new("a\\", "b\"\n")), "\"a\\\".\"b\"\"\n\"");
    }

    #[test]
    fn slot_names_are_what_the_server_accepts() {
        assert!(is_slot_name("walpilot_1") && is_slot_name(&"a".repeat(63)));
        for bad in ["", "Orders", "a-b", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_slot_name(bad), "{bad:?}");
        }
    }
}
