//! The chosen tables: whether they exist, what they are, and what the role may do with them.

use std::collections::{BTreeMap, BTreeSet};

use super::cause::relations_unseen;
use super::outcome::{Outcome, count, some_of};
use super::unseen::{Part, unseen};
use super::{Check, Family};
use crate::catalog::facts::{Relation, Schema};
use crate::catalog::{Facts, Seen, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile, Selection, TableName};

fn schemas(facts: &Facts) -> Result<&[Schema], Outcome> {
    match &facts.schemas {
        Seen::Yes(schemas) => Ok(schemas),
        Seen::No(reason) => Err(unseen(facts, Part::Schemas, reason)),
    }
}

/// The schemas that the profile names, each once.
pub(crate) fn wanted_schemas(profile: &Profile) -> Vec<&str> {
    let mut names: Vec<&str> = match &profile.selection {
        Selection::Schemas(names) => names.iter().map(String::as_str).collect(),
        Selection::Tables(tables) => tables.iter().map(|table| table.schema.as_str()).collect(),
    };
    names.sort_unstable();
    names.dedup();
    names
}

pub(crate) static SCHEMA_EXISTS: Check = Check {
    id: "schema-exists",
    family: Family::Tables,
    method: None,
    severity: Severity::Blocker,
    why: "Names are compared exactly: what was created with quotes keeps its capitals.",
    doc: "https://www.postgresql.org/docs/current/sql-syntax-lexical.html",
    judge: |facts, profile| {
        let schemas = match schemas(facts) {
            Ok(schemas) => schemas,
            Err(unseen) => return Some(unseen),
        };
        let wanted = wanted_schemas(profile);
        let missing: Vec<String> = wanted
            .iter()
            .filter(|name| schemas.iter().all(|schema| schema.name != **name))
            .map(|name| (*name).to_owned())
            .collect();
        if missing.is_empty() {
            return Some(Outcome::pass(format!("{} found", count(wanted.len(), "schema", "schemas"))));
        }
        let near: Vec<&str> =
            schemas.iter().map(|schema| schema.name.as_str()).filter(|name| !wanted.contains(name)).collect();
        let outcome = Outcome::fail(format!(
            "{} not in this database: {}",
            count(missing.len(), "schema is", "schemas are"),
            some_of(&missing)
        ))
        .objects(&missing);
        Some(if near.is_empty() {
            outcome.advice("Check the name, and that this is the right database.", "you")
        } else {
            outcome.advice(format!("Did you mean {}?", near.join(", ")), "you")
        })
    },
};

pub(crate) static TABLE_EXISTS: Check = Check {
    id: "table-exists",
    family: Family::Tables,
    method: None,
    severity: Severity::Blocker,
    why: "A table that does not exist can't be replicated; names are compared exactly.",
    doc: "https://www.postgresql.org/docs/current/sql-syntax-lexical.html",
    judge: |facts, profile| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let Selection::Tables(tables) = &profile.selection else {
            let chosen = facts.chosen().count();
            return Some(if chosen == 0 {
                Outcome::fail(format!("no table in schema {}", wanted_schemas(profile).join(", ")))
                    .advice("Name other schemas, or create the tables first.", "you")
            } else {
                Outcome::pass(format!("{} chosen by schema", count(chosen, "table", "tables")))
            });
        };
        let found: BTreeSet<TableName> = facts.chosen().map(Relation::table).collect();
        let missing: Vec<String> =
            tables.iter().filter(|table| !found.contains(table)).map(TableName::to_string).collect();
        if tables.is_empty() {
            return Some(Outcome::fail("no table is chosen").advice("Choose tables or a schema.", "you"));
        }
        if missing.is_empty() {
            return Some(Outcome::pass(format!("{} found", count(tables.len(), "table", "tables"))));
        }
        let outcome = Outcome::fail(format!(
            "{} not exist: {}",
            count(missing.len(), "table does", "tables do"),
            some_of(&missing)
        ))
        .objects(&missing);
        Some(if facts.near_misses.is_empty() {
            outcome.advice("Check the name and the schema.", "you")
        } else {
            let near: Vec<String> = facts.near_misses.iter().map(TableName::to_string).collect();
            outcome.advice(format!("Did you mean {}?", near.join(", ")), "you")
        })
    },
};

pub(crate) static SCHEMA_USAGE: Check = Check {
    id: "schema-usage",
    family: Family::Tables,
    method: None,
    severity: Severity::Blocker,
    why: "Without USAGE on the schema no table in it can be read, whatever was granted on the table.",
    doc: "https://www.postgresql.org/docs/current/ddl-priv.html",
    judge: |facts, profile| {
        let schemas = match schemas(facts) {
            Ok(schemas) => schemas,
            Err(unseen) => return Some(unseen),
        };
        let user = &profile.source.user;
        let wanted = wanted_schemas(profile);
        let closed: Vec<&Schema> =
            schemas.iter().filter(|schema| wanted.contains(&schema.name.as_str()) && !schema.usage).collect();
        if closed.is_empty() {
            return Some(Outcome::pass(format!("{user} has USAGE on the chosen schemas")));
        }
        let names: Vec<String> = closed.iter().map(|schema| schema.name.clone()).collect();
        let mut outcome = Outcome::fail(format!("{user} has no USAGE on schema {}", some_of(&names))).objects(&names);
        for schema in closed {
            outcome = outcome.sql(ddl::grant_usage(&schema.name, user), &format!("schema owner ({})", schema.owner));
        }
        Some(outcome)
    },
};

pub(crate) static TABLE_SELECT: Check = Check {
    id: "table-select",
    family: Family::Tables,
    method: None,
    severity: Severity::Blocker,
    why: "The initial copy and the xmin method read the tables; following changes alone needs no SELECT.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-security.html",
    judge: |facts, profile| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let user = &profile.source.user;
        let closed: Vec<&Relation> =
            facts.chosen().filter(|relation| !relation.select && !relation.select_some).collect();
        if closed.is_empty() {
            return Some(Outcome::pass(format!("{user} may read the chosen tables")));
        }
        let names: Vec<String> = closed.iter().map(|relation| relation.table().to_string()).collect();
        let mut outcome = Outcome::fail(format!(
            "{user} may not read {}: {}",
            count(names.len(), "table", "tables"),
            some_of(&names)
        ))
        .objects(&names);
        if profile.method == Method::Cdc && !profile.initial_copy {
            outcome = outcome.severity(Severity::Info);
        }
        for (sql, who) in select_grants(&closed, profile) {
            outcome = outcome.sql(sql, &who);
        }
        Some(outcome)
    },
};

/// For whole schemas one statement each, for chosen tables one each, with who may run it: neither grants more than was
/// asked for.
fn select_grants(closed: &[&Relation], profile: &Profile) -> Vec<(String, String)> {
    let user = &profile.source.user;
    if let Selection::Tables(_) = &profile.selection {
        let grant =
            |table: &&Relation| (ddl::grant_select(&table.table(), user), format!("table owner ({})", table.owner));
        return closed.iter().map(grant).collect();
    }
    let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for table in closed {
        owners.entry(&table.schema).or_default().insert(&table.owner);
    }
    let who = |owners: &BTreeSet<&str>| match owners.len() {
        1 => format!("table owner ({})", owners.iter().copied().collect::<String>()),
        _ => format!(
            "superuser, or each owner of tables ({})",
            some_of(&owners.iter().map(ToString::to_string).collect::<Vec<_>>())
        ),
    };
    owners.iter().map(|(schema, owners)| (ddl::grant_select_all(schema, user), who(owners))).collect()
}

pub(crate) static DEFAULT_PRIVILEGES: Check = Check {
    id: "default-privileges",
    family: Family::Tables,
    method: None,
    severity: Severity::Warning,
    why: "Tables created tomorrow are unreadable unless each role that creates them has default privileges for it.",
    doc: "https://www.postgresql.org/docs/current/sql-alterdefaultprivileges.html",
    judge: |facts, profile| {
        // Exactly the chosen tables are wanted: later ones are not.
        let Selection::Schemas(wanted) = &profile.selection else { return None };
        if reads_all(facts) {
            return Some(Outcome::pass(format!("{} reads all tables anyway", profile.source.user)));
        }
        let schemas = match schemas(facts) {
            Ok(schemas) => schemas,
            Err(unseen) => return Some(unseen),
        };
        let mut outcome = None;
        let mut names = Vec::new();
        for (creator, schema) in uncovered_creators(schemas, wanted) {
            names.push(format!("{creator} in {}", schema.name));
            let fix = ddl::default_select(creator, &schema.name, &profile.source.user);
            let so_far = outcome.take().unwrap_or_else(|| Outcome::warn(""));
            outcome = Some(so_far.sql(fix, &format!("{creator}, or superuser")));
        }
        Some(match outcome {
            None => Outcome::pass("new tables will be readable"),
            Some(outcome) => outcome
                .summary(format!("{} will not be able to read new tables of {}", profile.source.user, some_of(&names)))
                .objects(names),
        })
    },
};

/// Whether the role reads every table, whoever makes it. A membership that is not inherited opens nothing.
fn reads_all(facts: &Facts) -> bool {
    let inherits = |group: &String| facts.cluster.get().is_none_or(|cluster| !cluster.not_inherited.contains(group));
    facts.role.as_ref().is_some_and(|role| {
        role.superuser || role.member_of.iter().any(|group| group == "pg_read_all_data" && inherits(group))
    })
}

/// Roles that create tables in a wanted schema without default privileges for the replicating role.
pub(crate) fn uncovered_creators<'a>(
    schemas: &'a [Schema],
    wanted: &'a [String],
) -> impl Iterator<Item = (&'a str, &'a Schema)> {
    schemas.iter().filter(|schema| wanted.contains(&schema.name)).flat_map(|schema| {
        let open = schema.creators.iter().filter(|creator| !schema.covered.contains(creator));
        open.map(move |creator| (creator.as_str(), schema))
    })
}

pub(crate) static RLS_ACTIVE: Check = Check {
    id: "rls-active",
    family: Family::Tables,
    method: None,
    severity: Severity::Blocker,
    why: "Row-level security hides rows from the copy without an error; the log itself is not filtered.",
    doc: "https://www.postgresql.org/docs/current/ddl-rowsecurity.html",
    judge: |facts, profile| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let user = &profile.source.user;
        let hidden: Vec<_> =
            facts.chosen().filter(|table| table.rls && (!table.rls_open || table.rls_restricted)).collect();
        if hidden.is_empty() {
            return Some(Outcome::pass(format!("row-level security hides nothing from {user}")));
        }
        let names: Vec<String> = hidden.iter().map(|table| table.table().to_string()).collect();
        let mut outcome = Outcome::fail(format!("row-level security may hide rows of {} from {user}", some_of(&names)))
            .objects(names);
        if profile.method == Method::Cdc && !profile.initial_copy {
            outcome = outcome.severity(Severity::Info);
        }
        for table in hidden.iter().filter(|table| !table.rls_restricted) {
            outcome = outcome.sql_with_lock(
                ddl::create_read_policy(&table.table(), user),
                &format!("table owner ({})", table.owner),
                "ACCESS EXCLUSIVE",
            );
        }
        Some(outcome.sql(ddl::alter_role_bypass_rls(user), "superuser"))
    },
};

pub(crate) static PUBLISHABLE: Check = Check {
    id: "relation-publishable",
    family: Family::Tables,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "Only permanent tables write changes into the log; views, unlogged and foreign tables can't be in a publication.",
    doc: "https://www.postgresql.org/docs/current/sql-createpublication.html",
    judge: |facts, profile| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let bad: Vec<_> = facts
            .relations()
            .iter()
            .filter(|relation| relation.beside || (relation.wanted && !relation.publishable))
            .collect();
        if bad.is_empty() {
            return Some(Outcome::pass("every chosen table can be published"));
        }
        let names: Vec<String> =
            bad.iter().map(|relation| format!("{} is {}", relation.table(), relation.kind_name())).collect();
        let objects: Vec<TableName> = bad.iter().map(|relation| relation.table()).collect();
        // Chosen by schema it is left out; chosen by name it was wanted. That a view is left out surprises nobody.
        let mut outcome = if matches!(profile.selection, Selection::Schemas(_)) {
            let has_rows = bad.iter().any(|relation| !matches!(relation.kind.as_str(), "v" | "m"));
            Outcome::warn(format!("left out: {}", some_of(&names))).severity(if has_rows {
                Severity::Warning
            } else {
                Severity::Info
            })
        } else {
            Outcome::fail(format!("can't be published: {}", some_of(&names)))
        };
        outcome = outcome.objects(objects);
        for relation in bad.iter().filter(|relation| relation.persistence == "u" && relation.is_leaf()) {
            let table = crate::catalog::ident::quote_table(&relation.table());
            outcome = outcome.sql_with_lock(
                format!("ALTER TABLE {table} SET LOGGED"),
                &format!("table owner ({})", relation.owner),
                "ACCESS EXCLUSIVE, for as long as the table is rewritten",
            );
        }
        Some(outcome.advice("Or leave it out; of a view, choose the tables behind it.", "you"))
    },
};
