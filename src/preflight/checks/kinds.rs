//! What the chosen tables are beyond their names: inherited, an extension's, large, never analysed, or not alone.

use std::collections::BTreeMap;

use super::cause::{cluster, relations_unseen};
use super::outcome::{Judged, Outcome, count, settle, size, some_of};
use super::{Check, Family};
use crate::catalog::Facts;
use crate::catalog::ident::quote_table;
use crate::catalog::relation::Relation;
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// From this size on the initial copy takes so long that the log kept meanwhile matters.
const HUGE: i64 = 500 * (1 << 30);

fn chosen(facts: &Facts, wanted: impl Fn(&Relation) -> bool) -> Result<Vec<&Relation>, Outcome> {
    match relations_unseen(facts) {
        Some(unseen) => Err(unseen),
        None => Ok(facts.chosen().filter(|table| wanted(table)).collect()),
    }
}

fn names(tables: &[&Relation]) -> Vec<String> {
    tables.iter().map(|table| table.table().to_string()).collect()
}

pub(crate) static EXTENSION: Check = Check {
    id: "extension-owned-table",
    family: Family::Tables,
    method: None,
    severity: Severity::Info,
    why: "A table that belongs to an extension is made and changed by it, also at the destination.",
    doc: "https://www.postgresql.org/docs/current/extend-extensions.html",
    judge: |facts, profile| settle(extension(facts, profile)),
};

fn extension(facts: &Facts, _: &Profile) -> Judged {
    let owned = chosen(facts, |table| table.extension.is_some())?;
    let hypertables = facts.cluster.get().is_some_and(|cluster| cluster.timescaledb);
    if owned.is_empty() && !hypertables {
        return Ok(Some(Outcome::pass("no chosen table belongs to an extension")));
    }
    if owned.is_empty() {
        return Ok(Some(Outcome::warn("TimescaleDB keeps the rows of hypertables in chunks of their own").advice(
            "If a chosen table is a hypertable, publish the schema _timescaledb_internal too, or all tables.",
            "superuser",
        )));
    }
    let list: Vec<String> = owned
        .iter()
        .map(|table| format!("{} ({})", table.table(), table.extension.as_deref().unwrap_or_default()))
        .collect();
    Ok(Some(
        Outcome::warn(format!("tables of extensions: {}", some_of(&list)))
            .objects(names(&owned))
            .advice("Leave them out unless the extension's documentation says otherwise.", "you"),
    ))
}

pub(crate) static INHERITANCE: Check = Check {
    id: "inheritance-parent",
    family: Family::Tables,
    method: None,
    severity: Severity::Warning,
    why: "Rows of tables that inherit from a table are not its own: each has to be chosen and arrives under its own name.",
    doc: "https://www.postgresql.org/docs/current/ddl-inherit.html",
    judge: |facts, profile| settle(inheritance(facts, profile)),
};

fn inheritance(facts: &Facts, _: &Profile) -> Judged {
    let parents = chosen(facts, |table| table.heirs > 0)?;
    let (torn, whole): (Vec<_>, Vec<_>) = parents.into_iter().partition(|table| table.heirs_left_out > 0);
    Ok(Some(if torn.is_empty() && whole.is_empty() {
        Outcome::pass("no chosen table has heirs")
    } else if torn.is_empty() {
        let list = names(&whole);
        Outcome::warn(format!("what inherits from {} is chosen too, and arrives under its own names", some_of(&list)))
            .severity(Severity::Info)
            .objects(list)
            .advice("At the destination read parent and heirs together, or let them inherit there as well.", "you")
    } else {
        let list = names(&torn);
        Outcome::warn(format!("other tables inherit from {}", some_of(&list)))
            .objects(list)
            .advice("Choose the heirs as well; a partitioned table would do without.", "you")
    }))
}

pub(crate) static TABLE_SIZE: Check = Check {
    id: "table-size",
    family: Family::Tables,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "While the initial copy lasts the slot holds back everything that is written meanwhile.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-architecture.html",
    judge: |facts, profile| settle(table_size(facts, profile)),
};

fn table_size(facts: &Facts, profile: &Profile) -> Judged {
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let total: i64 = facts.relations().iter().filter(|table| table.wanted).map(|table| table.bytes).sum();
    let text = format!("the chosen tables hold {}", size(total));
    let outcome = if total >= HUGE && profile.initial_copy {
        Outcome::warn(format!("{text}: the copy will take hours"))
            .advice("See that the disk and max_slot_wal_keep_size bear the log of that time.", "superuser")
    } else {
        Outcome::pass(text)
    };
    Ok(Some(outcome.evidence("bytes", total)))
}

pub(crate) static NEVER_ANALYZED: Check = Check {
    id: "never-analyzed",
    family: Family::Tables,
    method: None,
    severity: Severity::Info,
    why: "Without statistics the number of rows is unknown, and the progress of a copy can't be told.",
    doc: "https://www.postgresql.org/docs/current/sql-analyze.html",
    judge: |facts, profile| settle(never_analyzed(facts, profile)),
};

fn never_analyzed(facts: &Facts, _: &Profile) -> Judged {
    let unknown = chosen(facts, |table| {
        table.is_leaf() && table.rows.is_none_or(|rows| rows < 0.0 || (rows == 0.0 && table.bytes > 1 << 20))
    })?;
    if unknown.is_empty() {
        return Ok(Some(Outcome::pass("the number of rows is known")));
    }
    let list = names(&unknown);
    let outcome = Outcome::warn(format!("never analysed: {}", some_of(&list))).objects(list);
    Ok(Some(unknown.iter().fold(outcome, |outcome, table| {
        outcome.sql(format!("ANALYZE {}", quote_table(&table.table())), &format!("table owner ({})", table.owner))
    })))
}

pub(crate) static COLLISIONS: Check = Check {
    id: "name-collisions",
    family: Family::Tables,
    method: None,
    severity: Severity::Warning,
    why: "Names that differ only in capitals become one name in a destination that folds them.",
    doc: "https://www.postgresql.org/docs/current/sql-syntax-lexical.html",
    judge: |facts, profile| settle(collisions(facts, profile)),
};

fn collisions(facts: &Facts, _: &Profile) -> Judged {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in chosen(facts, |_| true)? {
        groups
            .entry(format!("{}.{}", table.schema, table.name).to_lowercase())
            .or_default()
            .push(table.table().to_string());
    }
    let mut twins: Vec<String> =
        groups.into_values().filter(|names| names.len() > 1).map(|names| names.join(" and ")).collect();
    twins.extend(super::columns::twins(facts)?);
    Ok(Some(if twins.is_empty() {
        Outcome::pass("no two chosen tables or columns have names that differ only in capitals")
    } else {
        Outcome::warn(format!("names that differ only in capitals: {}", some_of(&twins)))
            .objects(twins)
            .advice("Rename one of them, or see that the destination keeps capitals.", "you")
    }))
}

pub(crate) static NOT_REPLICATED: Check = Check {
    id: "not-replicated-objects",
    family: Family::Tables,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "Sequences, large objects, roles and DDL are no part of logical replication.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-restrictions.html",
    judge: |facts, profile| settle(not_replicated(facts, profile)),
};

fn not_replicated(facts: &Facts, _: &Profile) -> Judged {
    let cluster = cluster(facts)?;
    let sequences = usize::try_from(cluster.sequences).unwrap_or(0);
    if sequences == 0 && !cluster.large_objects {
        return Ok(Some(Outcome::pass("the database has no sequences and no large objects")));
    }
    let mut parts = Vec::new();
    if sequences > 0 {
        parts.push(count(sequences, "sequence", "sequences"));
    }
    if cluster.large_objects {
        parts.push("large objects".to_owned());
    }
    Ok(Some(
        Outcome::warn(format!("not replicated: {}", parts.join(" and ")))
            .evidence("sequences", cluster.sequences)
            .evidence("large_objects", cluster.large_objects)
            .advice("Before the destination takes over, set its sequences and copy large objects by hand.", "you"),
    ))
}

pub(crate) static EVENT_TRIGGERS: Check = Check {
    id: "event-triggers",
    family: Family::Tables,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "An event trigger runs at the DDL of the setup script as well, and may refuse it or belong to another tool.",
    doc: "https://www.postgresql.org/docs/current/event-triggers.html",
    judge: |facts, profile| settle(event_triggers(facts, profile)),
};

fn event_triggers(facts: &Facts, _: &Profile) -> Judged {
    let active: Vec<String> = cluster(facts)?
        .event_triggers
        .iter()
        .filter(|trigger| trigger.enabled != "D")
        .map(|trigger| format!("{} ({})", trigger.name, trigger.event))
        .collect();
    Ok(Some(if active.is_empty() {
        Outcome::pass("no event trigger is active")
    } else {
        Outcome::warn(format!("event triggers: {}", some_of(&active)))
            .objects(active)
            .advice("Read what they do before the script is run.", "superuser")
    }))
}
