//! Columns that need care, and what tells rows apart.

use std::collections::BTreeMap;

use super::cause::{Tree, columns, relations_unseen};
use super::identity::Remedy;
use super::outcome::{Judged, Outcome, settle, size, some_of};
use super::{Check, Family};
use crate::catalog::facts::Column;
use crate::catalog::{Facts, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// The columns that `wanted` picks, by their table, as far as the table is chosen or below a chosen one.
fn by_table(facts: &Facts, wanted: impl Fn(&Column) -> bool) -> Result<Vec<(u32, Vec<&Column>)>, Outcome> {
    if let Some(unseen) = relations_unseen(facts) {
        return Err(unseen);
    }
    let mut tables: BTreeMap<u32, Vec<&Column>> = BTreeMap::new();
    for column in columns(facts)?.iter().filter(|column| wanted(column)) {
        tables.entry(column.relation).or_default().push(column);
    }
    let chosen: std::collections::BTreeSet<u32> = facts.chosen().map(|table| table.oid).collect();
    Ok(tables.into_iter().filter(|(oid, _)| chosen.contains(oid)).collect())
}

/// "s.t (a, b)" for each table.
fn named(facts: &Facts, tables: &[(u32, Vec<&Column>)]) -> Vec<String> {
    let tree = Tree::of(facts);
    let name = |(oid, columns): &(u32, Vec<&Column>)| {
        let list: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let table = tree.get(*oid).map(|table| table.table().to_string()).unwrap_or_default();
        format!("{table} ({})", some_of(&list))
    };
    tables.iter().map(name).collect()
}

/// Columns of a chosen table whose names differ only in capitals, together with their table.
pub(crate) fn twins(facts: &Facts) -> Result<Vec<String>, Outcome> {
    Ok(named(facts, &by_table(facts, |column| column.twin)?))
}

pub(crate) static SELECT: Check = Check {
    id: "column-select",
    family: Family::Tables,
    method: None,
    severity: Severity::Blocker,
    why: "Where only some columns may be read, the copy of the whole row fails.",
    doc: "https://www.postgresql.org/docs/current/ddl-priv.html",
    judge: |facts, profile| settle(select(facts, profile)),
};

fn select(facts: &Facts, profile: &Profile) -> Judged {
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let user = &profile.source.user;
    let closed = by_table(facts, |column| !column.readable)?;
    if closed.is_empty() {
        return Ok(Some(Outcome::pass(format!("{user} may read whole rows where it may read at all"))));
    }
    let names = named(facts, &closed);
    let mut outcome = Outcome::fail(format!("{user} may not read all columns of {}", some_of(&names))).objects(names);
    if profile.method == Method::Cdc && !profile.initial_copy {
        outcome = outcome.severity(Severity::Info);
    }
    let tree = Tree::of(facts);
    for table in closed.iter().filter_map(|(oid, _)| tree.get(*oid)) {
        outcome = outcome.sql(ddl::grant_select(&table.table(), user), &format!("table owner ({})", table.owner));
    }
    Ok(Some(outcome))
}

pub(crate) static TYPES: Check = Check {
    id: "unsupported-types",
    family: Family::Tables,
    method: None,
    severity: Severity::Info,
    why: "A type that somebody made has to exist at the destination as well; ranges and composites not every destination knows.",
    doc: "https://www.postgresql.org/docs/current/datatype.html",
    judge: |facts, profile| settle(types(facts, profile)),
};

fn types(facts: &Facts, _: &Profile) -> Judged {
    let odd = by_table(facts, |column| column.foreign_type)?;
    if odd.is_empty() {
        return Ok(Some(Outcome::pass("all columns have plain types of PostgreSQL's own")));
    }
    let mut types: Vec<String> =
        odd.iter().flat_map(|(_, columns)| columns.iter().map(|column| column.data_type.clone())).collect();
    types.sort_unstable();
    types.dedup();
    Ok(Some(
        Outcome::warn(format!("types that not every destination knows: {}", some_of(&types)))
            .evidence("types", types)
            .objects(named(facts, &odd))
            .advice("Create these types or their extension at the destination first.", "destination's administrator"),
    ))
}

pub(crate) static NO_EQUALITY: Check = Check {
    id: "json-without-equality-keyless",
    family: Family::Identity,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "Rows that only the whole row identifies are found by comparing every column; json, xml and point can't be compared.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-publication.html",
    judge: |facts, profile| settle(no_equality(facts, profile)),
};

fn no_equality(facts: &Facts, _: &Profile) -> Judged {
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let major = facts.server.major();
    let tree = Tree::of(facts);
    let by_whole_row = |oid: u32| {
        tree.get(oid).is_some_and(|table| {
            table.identity.setting == "f"
                || (!table.identity.usable() && Remedy::for_table(table, major) == Remedy::Full)
        })
    };
    let mut bad = by_table(facts, |column| column.no_equality)?;
    bad.retain(|(oid, _)| by_whole_row(*oid));
    if bad.is_empty() {
        return Ok(Some(Outcome::pass("rows can be told apart by columns that can be compared")));
    }
    let names = named(facts, &bad);
    Ok(Some(
        Outcome::warn(format!("no key, and columns that can't be compared: {}", some_of(&names)))
            .objects(names)
            .advice("Add a primary key, or a unique index over columns that are NOT NULL.", "table owner"),
    ))
}

pub(crate) static TOAST: Check = Check {
    id: "toast-unchanged",
    family: Family::Identity,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "A large value that an UPDATE leaves as it was is not sent again: the reader has to keep the one that it has.",
    doc: "https://www.postgresql.org/docs/current/storage-toast.html",
    judge: |facts, profile| settle(toast(facts, profile)),
};

fn toast(facts: &Facts, _: &Profile) -> Judged {
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let big: Vec<String> = facts
        .relations()
        .iter()
        .filter(|table| table.wanted && table.is_leaf() && table.identity.setting != "f" && table.toast_bytes > 0)
        .map(|table| format!("{} ({})", table.table(), size(table.toast_bytes)))
        .collect();
    Ok(Some(if big.is_empty() {
        Outcome::pass("no chosen table stores values out of line, as far as is known")
    } else {
        Outcome::warn(format!("large values stored out of line: {}", some_of(&big)))
            .objects(big)
            .advice("walpilot run keeps such values; see to it that any other reader does.", "you")
    }))
}

pub(crate) static ODD_KEY: Check = Check {
    id: "key-update-and-lob-key",
    family: Family::Identity,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "A key of many or large columns makes each update and delete dear to find at the destination.",
    doc: "https://www.postgresql.org/docs/current/ddl-constraints.html",
    judge: |facts, profile| settle(odd_key(facts, profile)),
};

fn odd_key(facts: &Facts, _: &Profile) -> Judged {
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let odd: Vec<String> =
        facts.chosen().filter(|table| table.odd_key).map(|table| table.table().to_string()).collect();
    Ok(Some(if odd.is_empty() {
        Outcome::pass("no primary key is wide or of a large type")
    } else {
        Outcome::warn(format!("wide primary keys: {}", some_of(&odd)))
            .objects(odd)
            .advice("Where a narrower unique index exists, make it the replica identity.", "table owner")
    }))
}

pub(crate) static GENERATED: Check = Check {
    id: "publication-generated-columns",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "Generated columns are not sent before PostgreSQL 18, and virtual ones never: the destination has to compute them.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-gencols.html",
    judge: |facts, profile| settle(generated(facts, profile)),
};

fn generated(facts: &Facts, profile: &Profile) -> Judged {
    let sends_stored = facts.the_publication().is_some_and(|one| one.pubgencols.as_deref() == Some("s"));
    let kept = by_table(facts, |column| match column.generated.as_str() {
        "" => false,
        "s" => !sends_stored,
        _ => true,
    })?;
    if kept.is_empty() {
        return Ok(Some(Outcome::pass("no generated column is left out")));
    }
    let names = named(facts, &kept);
    let outcome = Outcome::warn(format!("generated columns that are not sent: {}", some_of(&names))).objects(names);
    let stored = kept.iter().any(|(_, columns)| columns.iter().any(|column| column.generated == "s"));
    Ok(Some(if facts.server.major() >= 18 && facts.the_publication().is_some() && stored {
        outcome.sql(
            ddl::publish_stored(&profile.publication),
            "publication owner; virtual columns are never sent, so let the destination generate those",
        )
    } else {
        outcome.advice("Generate them at the destination as well.", "destination's administrator")
    }))
}
