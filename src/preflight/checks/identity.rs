//! Replica identity: the group that can break the source's own application.
//!
//! As soon as a table without a usable identity is in a publication that publishes UPDATE or DELETE, those statements
//! fail on the source, with or without a slot (PostgreSQL documentation, "Publication"; the verdict is
//! `CheckCmdReplicaIdentity` in the server's `execReplication.c`). It is decided for each leaf of a partition tree.

use super::cause::{Tree, columns, relations_unseen};
use super::outcome::{Outcome, count, size, some_of};
use super::{Check, Family};
use crate::catalog::cluster::OtherPublication;
use crate::catalog::relation::Relation;
use crate::catalog::{Facts, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

const CDC: Option<Method> = Some(Method::Cdc);
const DOC: &str = "https://www.postgresql.org/docs/current/logical-replication-publication.html";
/// From this size on writing whole rows to the log is worth more than a note.
const BIG: i64 = 1 << 30;

/// Whether updates and deletes are published, or will be: walpilot's own publication publishes everything.
fn publishes_changes(facts: &Facts) -> bool {
    facts.the_publication().is_none_or(|publication| publication.pubupdate || publication.pubdelete)
}

/// How a table without a usable identity is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy<'a> {
    /// The primary key can serve.
    PrimaryKey,
    /// This unique index can serve.
    Index(&'a str),
    /// Nothing identifies a row but the row itself.
    Full,
    /// FULL would fail as well: PostgreSQL 18 refuses it with generated columns that are not published.
    AddKey,
}

impl<'a> Remedy<'a> {
    /// The cheapest way for `table` on a server of major version `major`.
    #[must_use]
    pub(crate) fn for_table(table: &'a Relation, major: u32) -> Self {
        if table.identity.primary_key_usable {
            Self::PrimaryKey
        } else if let Some(index) = table.identity.candidates.first() {
            Self::Index(index)
        } else if table.generated && major >= 18 {
            Self::AddKey
        } else {
            Self::Full
        }
    }

    /// The statement; `None` where none can be written for somebody else's table.
    #[must_use]
    pub(crate) fn sql(self, table: &Relation) -> Option<String> {
        let name = table.table();
        match self {
            Self::PrimaryKey => Some(ddl::identity_default(&name)),
            Self::Index(index) => Some(ddl::identity_index(&name, index)),
            Self::Full => Some(ddl::identity_full(&name)),
            Self::AddKey => None,
        }
    }
}

/// Why the server finds no identity, in a few words.
#[must_use]
pub(crate) fn reason(table: &Relation) -> String {
    let identity = &table.identity;
    match (identity.setting.as_str(), &identity.primary_key) {
        ("n", _) => "its replica identity is NOTHING".to_owned(),
        ("i", _) => "the index of its replica identity is gone or invalid".to_owned(),
        (_, Some(key)) => format!("its primary key {key} is deferrable or invalid"),
        _ => "it has no primary key".to_owned(),
    }
}

fn judge(tables: &[&Relation], fine: &str, facts: &Facts) -> Outcome {
    if tables.is_empty() {
        return Outcome::pass(fine);
    }
    let names: Vec<String> = tables.iter().map(|table| format!("{} ({})", table.table(), reason(table))).collect();
    let summary = format!("no usable replica identity: {}", some_of(&names));
    let objects = tables.iter().map(|table| table.table());
    let broken_by = publications_over(tables, facts);
    let mut outcome = if !broken_by.is_empty() {
        // Whatever the profile's publication sends: their updates fail at this moment.
        let list = some_of(&broken_by);
        Outcome::fail(format!("{summary}; their UPDATE and DELETE fail already, because of publication {list}"))
            .evidence("publications", broken_by)
            .objects(objects)
    } else if publishes_changes(facts) {
        Outcome::fail(summary).objects(objects)
    } else {
        return Outcome::warn(format!("{summary}; harmless while only inserts are published"))
            .severity(Severity::Info)
            .objects(objects);
    };
    for table in tables {
        let who = format!("table owner ({})", table.owner);
        outcome = match Remedy::for_table(table, facts.server.major()).sql(table) {
            Some(sql) => outcome.sql_with_lock(sql, &who, "ACCESS EXCLUSIVE, for a moment"),
            None => outcome.advice(
                format!("Add a primary key to {}: FULL does not work with generated columns.", table.table()),
                &who,
            ),
        };
    }
    outcome
}

/// Other publications of updates or deletes that hold one of these tables, themselves or through what is above them.
fn publications_over(tables: &[&Relation], facts: &Facts) -> Vec<String> {
    let tree = Tree::of(facts);
    let others = facts.cluster.get().map_or(&[][..], |cluster| cluster.others.as_slice());
    let holds = |other: &OtherPublication, table: &Relation| {
        other.all
            || tree
                .with_ancestors(table)
                .any(|one| other.tables.contains(&one.oid) || other.schemas.contains(&one.schema))
    };
    let named = others.iter().filter(|other| tables.iter().any(|table| table.publishable && holds(other, table)));
    named.map(|other| other.name.clone()).collect()
}

pub(crate) static USABLE: Check = Check {
    id: "identity-usable",
    family: Family::Identity,
    method: CDC,
    severity: Severity::Blocker,
    why: "In a publication of updates the application's own UPDATE and DELETE fail on a table without one.",
    doc: DOC,
    judge: |facts, _| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let bad: Vec<_> = facts
            .relations()
            .iter()
            .filter(|table| table.chosen && table.is_leaf() && table.publishable && !table.identity.usable())
            .collect();
        Some(judge(&bad, "every chosen table has a usable replica identity", facts))
    },
};

pub(crate) static LEAF_PARTITIONS: Check = Check {
    id: "identity-leaf-partitions",
    family: Family::Identity,
    method: CDC,
    severity: Severity::Blocker,
    why: "Replica identity belongs to each partition; setting it on the partitioned table does not reach them.",
    doc: DOC,
    judge: |facts, _| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let leaves: Vec<_> =
            facts.relations().iter().filter(|table| table.wanted && !table.chosen && table.is_leaf()).collect();
        if leaves.is_empty() {
            return Some(Outcome::pass("no chosen table has partitions"));
        }
        let bad: Vec<_> =
            leaves.iter().copied().filter(|table| table.publishable && !table.identity.usable()).collect();
        let fine = format!("{} a usable replica identity", count(leaves.len(), "partition has", "partitions have"));
        Some(judge(&bad, &fine, facts))
    },
};

pub(crate) static FULL_COST: Check = Check {
    id: "identity-full-cost",
    family: Family::Identity,
    method: CDC,
    severity: Severity::Info,
    why: "FULL writes the whole old row into the log at each update and delete, and the reader has to search by it.",
    doc: DOC,
    judge: |facts, _| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let full: Vec<_> = facts
            .relations()
            .iter()
            .filter(|table| table.wanted && table.is_leaf() && table.identity.setting == "f")
            .collect();
        if full.is_empty() {
            return Some(Outcome::pass("no chosen table uses REPLICA IDENTITY FULL"));
        }
        let better = |table: &Relation| table.identity.primary_key_usable || !table.identity.candidates.is_empty();
        let dear = full.iter().any(|table| better(table) || table.bytes >= BIG);
        let names: Vec<String> =
            full.iter().map(|table| format!("{} ({})", table.table(), size(table.bytes))).collect();
        let mut outcome = Outcome::warn(format!("REPLICA IDENTITY FULL: {}", some_of(&names)))
            .severity(if dear { Severity::Warning } else { Severity::Info })
            .objects(full.iter().map(|table| table.table()));
        for table in full.iter().filter(|table| better(table)) {
            if let Some(sql) = Remedy::for_table(table, facts.server.major()).sql(table) {
                outcome = outcome.sql_with_lock(sql, &format!("table owner ({})", table.owner), "ACCESS EXCLUSIVE");
            }
        }
        Some(outcome)
    },
};

pub(crate) static FULL_GENERATED: Check = Check {
    id: "identity-full-generated-18",
    family: Family::Identity,
    method: CDC,
    severity: Severity::Blocker,
    why: "From PostgreSQL 18 on UPDATE and DELETE fail where FULL includes generated columns that are not published.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-gencols.html",
    judge: |facts, profile| {
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        if let Err(unseen) = columns(facts) {
            return Some(unseen);
        }
        // Stored ones may be published, virtual ones never.
        let stored_sent = facts.the_publication().is_some_and(|one| one.pubgencols.as_deref() == Some("s"));
        let kept_back = |table: &Relation| {
            let columns = facts.columns.get().map_or(&[][..], Vec::as_slice);
            !stored_sent || columns.iter().any(|column| column.relation == table.oid && column.generated == "v")
        };
        let bad: Vec<_> = facts
            .relations()
            .iter()
            .filter(|table| table.wanted && table.is_leaf() && table.identity.setting == "f" && table.generated)
            .filter(|table| kept_back(table))
            .collect();
        if bad.is_empty() {
            return Some(Outcome::pass("no chosen table has both REPLICA IDENTITY FULL and generated columns"));
        }
        let names: Vec<String> = bad.iter().map(|table| table.table().to_string()).collect();
        let text = format!("REPLICA IDENTITY FULL and generated columns: {}", some_of(&names));
        let outcome = if facts.server.major() < 18 {
            Outcome::warn(format!("{text}; an upgrade to 18 makes their updates fail")).severity(Severity::Info)
        } else if publishes_changes(facts) {
            Outcome::fail(text)
        } else {
            Outcome::warn(format!("{text}; harmless while only inserts are published")).severity(Severity::Info)
        };
        Some(full_generated_fixes(outcome.objects(names), &bad, facts, profile))
    },
};

/// A key where there is one; else the publication may send stored columns, but virtual ones never.
fn full_generated_fixes(mut outcome: Outcome, tables: &[&Relation], facts: &Facts, profile: &Profile) -> Outcome {
    let known = facts.columns.get().map_or(&[][..], Vec::as_slice);
    let mut stored = false;
    for table in tables {
        let who = format!("table owner ({})", table.owner);
        if let Some(sql) = by_key(table) {
            outcome = outcome.sql_with_lock(sql, &who, "ACCESS EXCLUSIVE, for a moment");
        } else if known.iter().any(|column| column.relation == table.oid && column.generated == "v") {
            let text = format!("Add a primary key to {}: virtual columns can't be published.", table.table());
            outcome = outcome.advice(text, &who);
        } else {
            stored = true;
        }
    }
    if !stored || facts.server.major() < 18 {
        return outcome.advice("Or make a primary key or a unique index the identity.", "table owner");
    }
    match facts.the_publication() {
        Some(publication) => outcome
            .sql(ddl::publish_stored(&profile.publication), &format!("publication owner ({})", publication.owner)),
        None => outcome.advice("Create the publication WITH (publish_generated_columns = stored).", "superuser"),
    }
}

/// The identity by a key, where the table has a usable one.
fn by_key(table: &Relation) -> Option<String> {
    match Remedy::for_table(table, 0) {
        Remedy::Full | Remedy::AddKey => None,
        key => key.sql(table),
    }
}

pub(crate) static AFFECTS_OTHERS: Check = Check {
    id: "publish-affects-others",
    family: Family::Identity,
    method: CDC,
    severity: Severity::Blocker,
    why: "A publication breaks UPDATE and DELETE also on tables that were not chosen but that it covers.",
    doc: DOC,
    judge: |facts: &Facts, profile: &Profile| {
        if let Err(skipped) = super::cause::publication(facts) {
            return Some(skipped);
        }
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let bad: Vec<_> = facts
            .relations()
            .iter()
            .filter(|table| table.published && !table.wanted && table.is_leaf() && !table.identity.usable())
            .collect();
        let fine = format!("publication {} endangers no other table", profile.publication);
        Some(judge(&bad, &fine, facts))
    },
};
