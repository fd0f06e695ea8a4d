//! Runs a statement of a finding's action, after a person has typed the name of what it concerns.

use tokio_postgres::SimpleQueryMessage;

use crate::connection::{SessionOptions, Settings, connect, describe, printable};

/// Runs the statements of `sql` one after the other, each committed on its own (ALTER SYSTEM takes no transaction), on
/// a connection of its own. Returns what the last one answered.
///
/// # Errors
/// One sentence: which statement failed and why; the ones before it are done.
pub async fn act(settings: &Settings, sql: &str) -> Result<String, String> {
    let session = connect(settings, &SessionOptions::administer()).await.map_err(|failure| failure.to_string())?;
    let mut answer = String::new();
    for statement in statements(sql) {
        let rows =
            session.client.simple_query(statement).await.map_err(|error| {
                format!("{} failed: {}.", printable(statement), describe(&error).trim_end_matches('.'))
            })?;
        let first = rows.iter().find_map(|row| match row {
            SimpleQueryMessage::Row(row) => row.get(0).map(|text| printable(text).into_owned()),
            _ => None,
        });
        answer = first.unwrap_or_else(|| "done".to_owned());
    }
    Ok(answer)
}

/// The statements of a text, split at semicolons outside of quotes.
fn statements(sql: &str) -> Vec<&str> {
    let (mut parts, mut from, mut quote) = (Vec::new(), 0, None);
    for (at, c) in sql.char_indices() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, ';') => {
                parts.push(sql[from..=at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(sql[from..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn statements_are_split_outside_of_quotes() {
        let sql = "ALTER SYSTEM SET max_slot_wal_keep_size = '2048MB'; SELECT pg_reload_conf();";
        assert_eq!(
            statements(sql),
            ["ALTER SYSTEM SET max_slot_wal_keep_size = '2048MB';", "SELECT pg_reload_conf();"]
        );
        let odd = "ALTER TABLE \"a;b\"\"c\" REPLICA IDENTITY FULL; SELECT 'it''s; one'";
        assert_eq!(statements(odd), ["ALTER TABLE \"a;b\"\"c\" REPLICA IDENTITY FULL;", "SELECT 'it''s; one'"]);
        assert!(statements(" ; ").iter().all(|part| *part == ";"));
    }
}
