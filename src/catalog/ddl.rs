//! The statements that get a source ready, each in one place, so that a check's fix and the setup script say the same.
//!
//! Every name is quoted. Statements have no trailing semicolon and run as they stand. They contain no control
//! characters, whatever the names are (see [`quote_ident`]).

use super::ident::{quote_ident, quote_literal, quote_table};
use crate::profile::TableName;

/// `REPLICATION` for an existing role; needs a superuser before PostgreSQL 16.
#[must_use]
pub fn alter_role_replication(role: &str) -> String {
    format!("ALTER ROLE {} REPLICATION", quote_ident(role))
}

/// What Amazon RDS has in place of the attribute.
#[must_use]
pub fn grant_role(group: &str, role: &str) -> String {
    format!("GRANT {} TO {}", quote_ident(group), quote_ident(role))
}

/// The right to log in to a database.
#[must_use]
pub fn grant_connect(database: &str, role: &str) -> String {
    format!("GRANT CONNECT ON DATABASE {} TO {}", quote_ident(database), quote_ident(role))
}

/// The right to look up names in a schema.
#[must_use]
pub fn grant_usage(schema: &str, role: &str) -> String {
    format!("GRANT USAGE ON SCHEMA {} TO {}", quote_ident(schema), quote_ident(role))
}

/// The right to read one table.
#[must_use]
pub fn grant_select(table: &TableName, role: &str) -> String {
    format!("GRANT SELECT ON TABLE {} TO {}", quote_table(table), quote_ident(role))
}

/// The right to read every table that a schema has now.
#[must_use]
pub fn grant_select_all(schema: &str, role: &str) -> String {
    format!("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}", quote_ident(schema), quote_ident(role))
}

/// The right to read the tables that `creator` makes in a schema from now on. Without `FOR ROLE` it would cover only
/// the tables of whoever runs it.
#[must_use]
pub fn default_select(creator: &str, schema: &str, role: &str) -> String {
    format!(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT SELECT ON TABLES TO {}",
        quote_ident(creator),
        quote_ident(schema),
        quote_ident(role)
    )
}

/// The name of the policy that lets the replicating role read all rows.
pub const READ_ALL_POLICY: &str = "walpilot_read";

/// A policy that lets the role read all rows of a table under row-level security.
#[must_use]
pub fn create_read_policy(table: &TableName, role: &str) -> String {
    format!(
        "CREATE POLICY {READ_ALL_POLICY} ON {} FOR SELECT TO {} USING (true)",
        quote_table(table),
        quote_ident(role)
    )
}

/// Exempts the role from all row-level security.
#[must_use]
pub fn alter_role_bypass_rls(role: &str) -> String {
    format!("ALTER ROLE {} BYPASSRLS", quote_ident(role))
}

/// The replica identity by the primary key.
#[must_use]
pub fn identity_default(table: &TableName) -> String {
    format!("ALTER TABLE ONLY {} REPLICA IDENTITY DEFAULT", quote_table(table))
}

/// The replica identity by a unique index.
#[must_use]
pub fn identity_index(table: &TableName, index: &str) -> String {
    format!("ALTER TABLE ONLY {} REPLICA IDENTITY USING INDEX {}", quote_table(table), quote_ident(index))
}

/// The replica identity by the whole row.
#[must_use]
pub fn identity_full(table: &TableName) -> String {
    format!("ALTER TABLE ONLY {} REPLICA IDENTITY FULL", quote_table(table))
}

/// No replica identity: updates and deletes can't be published.
#[must_use]
pub fn identity_nothing(table: &TableName) -> String {
    format!("ALTER TABLE ONLY {} REPLICA IDENTITY NOTHING", quote_table(table))
}

/// What a publication of all tables is for, also of later ones; only a superuser may create it.
pub const ALL_TABLES: &str = "ALL TABLES";

/// What a publication of schemas is for, also of their later tables (PostgreSQL 15 and later); only a superuser may
/// create it.
#[must_use]
pub fn tables_in_schemas(schemas: &[String]) -> String {
    format!("TABLES IN SCHEMA {}", schemas.iter().map(|schema| quote_ident(schema)).collect::<Vec<_>>().join(", "))
}

/// What a publication of exactly these tables is for; partitioned ones by their root.
#[must_use]
pub fn tables(tables: &[TableName]) -> String {
    format!("TABLE {}", tables.iter().map(only).collect::<Vec<_>>().join(", "))
}

/// A table as a publication lists it: without ONLY the tables that inherit from it would come (or go) along, chosen or
/// not. A partitioned table's partitions always do.
#[must_use]
pub fn only(table: &TableName) -> String {
    format!("ONLY {}", quote_table(table))
}

/// A publication for `what`; with `via_root` changes of partitions arrive under the name of the table that is listed.
#[must_use]
pub fn create_publication_for(publication: &str, what: &str, via_root: bool) -> String {
    let with = if via_root { " WITH (publish_via_partition_root = true)" } else { "" };
    format!("CREATE PUBLICATION {} FOR {what}{with}", quote_ident(publication))
}

/// Drops a publication.
#[must_use]
pub fn drop_publication(publication: &str) -> String {
    format!("DROP PUBLICATION {}", quote_ident(publication))
}

/// Takes one table out of a publication.
#[must_use]
pub fn drop_table(publication: &str, table: &TableName) -> String {
    format!("ALTER PUBLICATION {} DROP TABLE {}", quote_ident(publication), only(table))
}

/// Sets or, with `None`, removes the comment of a role.
#[must_use]
pub fn comment_on_role(role: &str, comment: Option<&str>) -> String {
    format!("COMMENT ON ROLE {} IS {}", quote_ident(role), comment.map_or_else(|| "NULL".to_owned(), quote_literal))
}

/// Sets or, with `None`, removes the comment of a publication.
#[must_use]
pub fn comment_on_publication(publication: &str, comment: Option<&str>) -> String {
    let comment = comment.map_or_else(|| "NULL".to_owned(), quote_literal);
    format!("COMMENT ON PUBLICATION {} IS {comment}", quote_ident(publication))
}

/// A logical slot that standbys keep in step (PostgreSQL 17 and later).
#[must_use]
pub fn create_failover_slot(slot: &str) -> String {
    format!(
        "SELECT pg_catalog.pg_create_logical_replication_slot({}, 'pgoutput', false, false, true)",
        quote_literal(slot)
    )
}

/// A publication of exactly these tables; partitioned ones by their root, under whose name changes arrive.
#[must_use]
pub fn create_publication(publication: &str, listed: &[TableName]) -> String {
    create_publication_for(publication, &tables(listed), true)
}

/// The schema of the table for heartbeats; the table has no other purpose.
pub const HEARTBEAT_SCHEMA: &str = "walpilot_heartbeat";

/// The table for heartbeats, where pgoutput does not send messages (PostgreSQL 13).
#[must_use]
pub fn heartbeat_table() -> TableName {
    TableName::new(HEARTBEAT_SCHEMA, "beat")
}

/// Creates its schema.
#[must_use]
pub fn create_heartbeat_schema() -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {HEARTBEAT_SCHEMA}")
}

/// Creates it: one row, whose time is updated.
#[must_use]
pub fn create_heartbeat_table() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {HEARTBEAT_SCHEMA}.beat (id integer PRIMARY KEY CHECK (id = 1), \
         at timestamp with time zone NOT NULL)"
    )
}

/// What the role needs on it: a title without the role's name, and the statement.
#[must_use]
pub fn grant_heartbeat(role: &str) -> [(&'static str, String); 2] {
    let role = quote_ident(role);
    [
        ("Open the heartbeat's schema to", format!("GRANT USAGE ON SCHEMA {HEARTBEAT_SCHEMA} TO {role}")),
        ("Open the heartbeat's table to", format!("GRANT SELECT, INSERT, UPDATE ON {HEARTBEAT_SCHEMA}.beat TO {role}")),
    ]
}

/// Drops the table for heartbeats with its schema, unless something else is in there.
#[must_use]
pub fn drop_heartbeat() -> [String; 2] {
    [format!("DROP TABLE IF EXISTS {HEARTBEAT_SCHEMA}.beat"), format!("DROP SCHEMA IF EXISTS {HEARTBEAT_SCHEMA}")]
}

/// Adds one table to a publication.
#[must_use]
pub fn add_table(publication: &str, table: &TableName) -> String {
    format!("ALTER PUBLICATION {} ADD TABLE {}", quote_ident(publication), only(table))
}

/// Adds a schema to a publication, with the tables that it will have (PostgreSQL 15 and later, superuser).
#[must_use]
pub fn add_schema(publication: &str, schema: &str) -> String {
    format!("ALTER PUBLICATION {} ADD TABLES IN SCHEMA {}", quote_ident(publication), quote_ident(schema))
}

/// Publishes all four kinds of changes.
#[must_use]
pub fn publish_everything(publication: &str) -> String {
    format!("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')", quote_ident(publication))
}

/// Publishes stored generated columns too (PostgreSQL 18 and later).
#[must_use]
pub fn publish_stored(publication: &str) -> String {
    format!("ALTER PUBLICATION {} SET (publish_generated_columns = stored)", quote_ident(publication))
}

/// Lets changes of partitions arrive under their root's name.
#[must_use]
pub fn publish_via_root(publication: &str) -> String {
    format!("ALTER PUBLICATION {} SET (publish_via_partition_root = true)", quote_ident(publication))
}

/// A logical slot for `pgoutput`.
#[must_use]
pub fn create_slot(slot: &str) -> String {
    format!("SELECT pg_catalog.pg_create_logical_replication_slot({}, 'pgoutput')", quote_literal(slot))
}

/// Drops a slot; what it still held is lost for its reader.
#[must_use]
pub fn drop_slot(slot: &str) -> String {
    format!("SELECT pg_catalog.pg_drop_replication_slot({})", quote_literal(slot))
}

#[cfg(test)]
mod tests {
    use super::{create_publication, create_slot, identity_index};
    use crate::profile::TableName;

    #[test]
    fn names_are_quoted_and_stay_on_one_line() {
        let table = TableName::new("Sales; DROP", "a \"b\"\n🧾");
        assert_eq!(
            identity_index(&table, "i"),
            "ALTER TABLE ONLY \"Sales; DROP\".U&\"a \"\"b\"\"\\+00000A🧾\" REPLICA IDENTITY USING INDEX \"i\""
        );
        assert_eq!(
            create_publication("p", &[TableName::new("s", "a"), TableName::new("s", "b")]),
            "CREATE PUBLICATION \"p\" FOR TABLE ONLY \"s\".\"a\", ONLY \"s\".\"b\" WITH (publish_via_partition_root = true)"
        );
        assert_eq!(create_slot("s"), "SELECT pg_catalog.pg_create_logical_replication_slot('s', 'pgoutput')");
    }
}
