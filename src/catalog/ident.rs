//! Names and values as they have to stand in SQL.

use crate::profile::TableName;

/// The longest identifier in bytes (`NAMEDATALEN` - 1); the server cuts longer ones silently.
pub const MAX_IDENTIFIER_BYTES: usize = 63;

/// An identifier in double quotes, always quoted, so that no list of keywords has to be kept.
#[must_use]
pub fn quote_ident(name: &str) -> String {
    postgres_protocol::escape::escape_identifier(name)
}

/// A string constant in single quotes; safe whatever `standard_conforming_strings` is.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    postgres_protocol::escape::escape_literal(text).trim_start().to_owned()
}

/// A table with its schema, both quoted.
#[must_use]
pub fn quote_table(table: &TableName) -> String {
    format!("{}.{}", quote_ident(&table.schema), quote_ident(&table.name))
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
    use super::{is_slot_name, quote_ident, quote_literal};

    #[test]
    fn quotes_are_doubled_and_backslashes_are_escaped() {
        assert_eq!(quote_ident(r#"we"ird; --"#), r#""we""ird; --""#);
        assert_eq!(quote_literal("o'clock"), "'o''clock'");
        assert_eq!(quote_literal(r"a\b"), r"E'a\\b'");
    }

    #[test]
    fn slot_names_are_what_the_server_accepts() {
        assert!(is_slot_name("walpilot_1") && is_slot_name(&"a".repeat(63)));
        for bad in ["", "Orders", "a-b", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_slot_name(bad), "{bad:?}");
        }
    }
}
