//! Conditions in SQL: whether something is there already, and what has to hold before a step.
//!
//! They are asked by the script in psql and by walpilot when it applies a plan, so that both can be run again after an
//! error. Names stand in them as string constants, never as identifiers: a table that is gone is an answer, not an error.

use crate::catalog::ddl;
use crate::catalog::ident::{quote_literal, regclass_text};
use crate::profile::TableName;

/// The role exists.
pub(super) fn role(name: &str) -> String {
    format!("EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})", quote_literal(name))
}

/// The publication exists.
pub(super) fn publication(name: &str) -> String {
    format!("EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = {})", quote_literal(name))
}

/// The publication lists the table. Not by `pg_publication_tables`: without `publish_via_partition_root` that view has
/// the partitions in place of the partitioned table.
pub(super) fn member(publication: &str, table: &TableName) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
         JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE p.pubname = {} AND n.nspname = {} AND c.relname = {})",
        quote_literal(publication),
        quote_literal(&table.schema),
        quote_literal(&table.name)
    )
}

/// The slot exists.
pub(super) fn slot(name: &str) -> String {
    format!("EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = {})", quote_literal(name))
}

/// walpilot's policy is on the table.
pub(super) fn policy(table: &TableName) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_policies WHERE schemaname = {} AND tablename = {} AND policyname = {})",
        quote_literal(&table.schema),
        quote_literal(&table.name),
        quote_literal(ddl::READ_ALL_POLICY)
    )
}

/// The schema exists.
pub(super) fn schema(name: &str) -> String {
    format!("EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = {})", quote_literal(name))
}

/// The table's object identifier, NULL when there is none of the name.
pub(super) fn table_oid(table: &TableName) -> String {
    format!("pg_catalog.to_regclass({})", quote_literal(&regclass_text(table)))
}

/// The table exists.
pub(super) fn table(table: &TableName) -> String {
    format!("{} IS NOT NULL", table_oid(table))
}

/// The table has the replica identity `setting` (`pg_class.relreplident`).
pub(super) fn identity(table: &TableName, setting: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = {} AND relreplident = {})",
        table_oid(table),
        quote_literal(setting)
    )
}

/// The role has a privilege, by `check` over `pg_roles r`.
fn holds(user: &str, check: &str) -> String {
    format!("EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = {} AND {check})", quote_literal(user))
}

/// The role may connect to this database.
pub(super) fn connect(user: &str) -> String {
    holds(user, "pg_catalog.has_database_privilege(r.oid, current_database(), 'CONNECT')")
}

/// The role is a member of the group.
pub(super) fn membership(user: &str, group: &str) -> String {
    holds(user, &format!("pg_catalog.pg_has_role(r.oid, {}, 'MEMBER')", quote_literal(group)))
}

/// The role has USAGE on the schema.
pub(super) fn usage(user: &str, schema: &str) -> String {
    let schema = quote_literal(schema);
    holds(
        user,
        &format!(
            "pg_catalog.has_schema_privilege(r.oid, (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {schema}), 'USAGE')"
        ),
    )
}

/// The role may read the tables.
pub(super) fn select(user: &str, tables: &[TableName]) -> String {
    let names = tables.iter().map(|table| quote_literal(&regclass_text(table))).collect::<Vec<_>>().join(", ");
    holds(
        user,
        &format!(
            "(SELECT bool_and(pg_catalog.has_table_privilege(r.oid, pg_catalog.to_regclass(t), 'SELECT')) \
             FROM unnest(ARRAY[{names}]) t)"
        ),
    )
}

/// The role may read all tables of the schema.
pub(super) fn select_all(user: &str, schema: &str) -> String {
    holds(
        user,
        &format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = {} AND c.relkind IN ('r', 'p') AND NOT pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT'))",
            quote_literal(schema)
        ),
    )
}

/// The role may read what the creator will make in the schema.
pub(super) fn default_select(user: &str, creator: &str, schema: &str) -> String {
    holds(
        user,
        &format!(
            "EXISTS (SELECT FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles c ON c.oid = d.defaclrole, aclexplode(d.defaclacl) x \
             WHERE c.rolname = {} AND d.defaclobjtype = 'r' AND x.privilege_type = 'SELECT' AND d.defaclnamespace IN \
             (0, (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {})) AND x.grantee IN (0, r.oid))",
            quote_literal(creator),
            quote_literal(schema)
        ),
    )
}

/// The table has the index.
pub(super) fn index(table: &TableName, index: &str) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid \
         WHERE i.indrelid = {} AND x.relname = {})",
        table_oid(table),
        quote_literal(index)
    )
}

/// Another publication than `name` sends updates or deletes of the table, under its own name or a root's.
pub(super) fn published_elsewhere(table: &TableName, name: &str, major: u32) -> String {
    let by_schema = if major >= 15 {
        " OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_class c ON c.relnamespace = \
         s.pnnspid WHERE s.pnpubid = p.oid AND c.oid IN (SELECT oid FROM up))"
    } else {
        ""
    };
    let oid = table_oid(table);
    format!(
        "EXISTS (WITH up AS (SELECT {oid}::pg_catalog.oid AS oid UNION SELECT relid FROM \
         pg_catalog.pg_partition_ancestors({oid})) SELECT FROM pg_catalog.pg_publication p WHERE p.pubname <> {} \
         AND (p.pubupdate OR p.pubdelete) AND (p.puballtables OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r \
         WHERE r.prpubid = p.oid AND r.prrelid IN (SELECT oid FROM up)){by_schema}))",
        quote_literal(name)
    )
}

/// A statement that fails with `message` unless `condition` holds.
pub(super) fn demand(condition: &str, message: &str) -> String {
    block(&format!("IF NOT ({condition}) THEN RAISE EXCEPTION USING MESSAGE = {}; END IF;", quote_literal(message)), "")
}

/// A statement that fails, with their names, when tables that `which` describes (over `pg_class c` and
/// `pg_namespace n`) have no usable replica identity: published, their UPDATE and DELETE would fail.
pub(super) fn demand_identities(which: &str, hint: &str) -> String {
    block(
        &format!(
            "SELECT string_agg(regexp_replace(n.nspname || '.' || c.relname, '[[:cntrl:]]', '?', 'g'), ', ' ORDER BY n.nspname, c.relname) \
             INTO bad FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND c.relreplident <> 'f' AND ({which}) AND CASE WHEN c.relkind = 'r' \
             THEN pg_catalog.pg_get_replica_identity_index(c.oid) END IS NULL; \
             IF bad IS NOT NULL THEN RAISE EXCEPTION USING MESSAGE = 'no usable replica identity: ' || left(bad, 500), \
             HINT = {}; END IF;",
            quote_literal(hint)
        ),
        "DECLARE bad text; ",
    )
}

/// `statement`, which may fail for want of a privilege without stopping anything.
pub(super) fn if_allowed(statement: &str, otherwise: &str) -> String {
    block(
        &format!(
            "{statement}; EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING USING MESSAGE = {};",
            quote_literal(otherwise)
        ),
        "",
    )
}

/// A block of PL/pgSQL in dollar quotes that its text can't end.
fn block(text: &str, declare: &str) -> String {
    let mut tag = "walpilot".to_owned();
    while text.contains(&format!("${tag}$")) {
        tag.push('_');
    }
    format!("DO ${tag}$ {declare}BEGIN {text} END ${tag}$")
}

#[cfg(test)]
mod tests {
    use super::{demand, table_oid};
    use crate::profile::TableName;

    #[test]
    fn a_block_can_not_be_ended_by_a_name() {
        let block = demand("true", "$walpilot$; DROP TABLE t; --");
        assert!(block.starts_with("DO $walpilot_$ ") && block.ends_with(" $walpilot_$"), "{block}");
        assert!(!demand("true", "a\nb").contains('\n'));
    }

    #[test]
    fn a_table_is_looked_up_by_a_constant() {
        let table = TableName::new("a", "b\"'");
        assert_eq!(table_oid(&table), "pg_catalog.to_regclass('\"a\".\"b\"\"''\"')");
    }
}
