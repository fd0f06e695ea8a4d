//! The publication: what the server lets out.

use super::cause::{publication, relations_unseen};
use super::outcome::{Outcome, count, some_of};
use super::unseen::{Part, unseen};
use super::{Check, Family};
use crate::catalog::relation::Relation;
use crate::catalog::{Facts, Seen, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile, TableName};

const CDC: Option<Method> = Some(Method::Cdc);
const DOC: &str = "https://www.postgresql.org/docs/current/logical-replication-publication.html";

pub(crate) static EXISTS: Check = Check {
    id: "publication-exists",
    family: Family::Publication,
    method: CDC,
    severity: Severity::Blocker,
    why: "A slot decodes changes through a publication; it has to exist before the slot.",
    doc: "https://www.postgresql.org/docs/current/sql-createpublication.html",
    judge: |facts, profile| {
        let name = &profile.publication;
        Some(match &facts.publication {
            Seen::Yes(Some(_)) => Outcome::pass(format!("publication {name} exists")),
            Seen::No(reason) => unseen(facts, Part::Publication, reason),
            Seen::Yes(None) => {
                let tables: Vec<TableName> = publishable(facts).map(Relation::table).collect();
                let outcome =
                    Outcome::fail(format!("publication {name} is missing; walpilot script creates it")).objects([name]);
                if tables.is_empty() {
                    return Some(outcome);
                }
                outcome.sql_with_lock(
                    ddl::create_publication(name, &tables),
                    "superuser, or the tables' owner with CREATE on the database",
                    "SHARE UPDATE EXCLUSIVE on each table",
                )
            }
        })
    },
};

/// The chosen relations that a publication can hold.
pub(crate) fn publishable(facts: &Facts) -> impl Iterator<Item = &Relation> {
    facts.chosen().filter(|relation| relation.publishable)
}

/// Whether everything that is written to `relation` is published.
pub(crate) fn is_covered(relation: &Relation, facts: &Facts) -> bool {
    if relation.published {
        return true;
    }
    // A partitioned table holds nothing itself: it is covered when each of its partitions is.
    let mut below = facts.relations().iter().filter(|other| other.parent == Some(relation.oid)).peekable();
    relation.is_partitioned() && below.peek().is_some() && below.all(|other| is_covered(other, facts))
}

pub(crate) static COVERS_TABLES: Check = Check {
    id: "publication-covers-tables",
    family: Family::Publication,
    method: CDC,
    severity: Severity::Blocker,
    why: "Changes of a table that the publication does not hold never arrive, without any error.",
    doc: DOC,
    judge: |facts, profile| {
        if let Err(skipped) = publication(facts) {
            return Some(skipped);
        }
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        if super::cause::publication_is_empty(facts) {
            return Some(Outcome::skipped("publication-not-empty", "the publication holds no table"));
        }
        let missing: Vec<&Relation> = publishable(facts).filter(|relation| !is_covered(relation, facts)).collect();
        if missing.is_empty() {
            let all = publishable(facts).count();
            let name = &profile.publication;
            return Some(Outcome::pass(format!("publication {name} covers {}", count(all, "table", "tables"))));
        }
        let names: Vec<String> = missing.iter().map(|relation| relation.table().to_string()).collect();
        let mut outcome =
            Outcome::fail(format!("publication {} does not cover {}", profile.publication, some_of(&names)))
                .objects(names);
        for relation in missing {
            outcome = outcome.sql_with_lock(
                ddl::add_table(&profile.publication, &relation.table()),
                "publication owner who also owns the table, or superuser",
                "SHARE UPDATE EXCLUSIVE",
            );
        }
        Some(outcome)
    },
};

pub(crate) static OPERATIONS: Check = Check {
    id: "publication-operations",
    family: Family::Publication,
    method: CDC,
    severity: Severity::Warning,
    why: "Kinds of changes that the publication leaves out never arrive, without any error.",
    doc: "https://www.postgresql.org/docs/current/sql-createpublication.html",
    judge: |facts, profile| {
        let publication = match publication(facts) {
            Ok(publication) => publication,
            Err(skipped) => return Some(skipped),
        };
        let kinds = [
            (publication.pubinsert, "insert"),
            (publication.pubupdate, "update"),
            (publication.pubdelete, "delete"),
            (publication.pubtruncate, "truncate"),
        ];
        let missing: Vec<&str> = kinds.iter().filter(|(on, _)| !on).map(|(_, kind)| *kind).collect();
        if missing.is_empty() {
            return Some(Outcome::pass("insert, update, delete and truncate are published"));
        }
        Some(
            Outcome::warn(format!("publication {} leaves out {}", profile.publication, missing.join(", ")))
                .evidence("missing", missing.join(","))
                .sql(
                    ddl::publish_everything(&profile.publication),
                    &format!("publication owner ({})", publication.owner),
                ),
        )
    },
};

pub(crate) static VIA_ROOT: Check = Check {
    id: "publication-via-root",
    family: Family::Publication,
    method: CDC,
    severity: Severity::Warning,
    why: "Without it changes of a partitioned table arrive under the names of its partitions.",
    doc: "https://www.postgresql.org/docs/current/sql-createpublication.html",
    judge: |facts, profile| {
        let publication = match publication(facts) {
            Ok(publication) => publication,
            Err(skipped) => return Some(skipped),
        };
        if let Some(unseen) = relations_unseen(facts) {
            return Some(unseen);
        }
        let roots: Vec<String> =
            facts.chosen().filter(|table| table.is_partitioned()).map(|table| table.table().to_string()).collect();
        if roots.is_empty() {
            return Some(Outcome::pass("no chosen table is partitioned"));
        }
        if publication.pubviaroot {
            return Some(Outcome::pass("changes of partitions arrive under the partitioned table's name"));
        }
        Some(
            Outcome::warn(format!(
                "publication {} sends changes of {} under the partitions' names",
                profile.publication,
                some_of(&roots)
            ))
            .objects(roots)
            .sql(ddl::publish_via_root(&profile.publication), &format!("publication owner ({})", publication.owner)),
        )
    },
};

pub(crate) static AFTER_SLOT: Check = Check {
    id: "publication-after-slot",
    family: Family::Publication,
    method: CDC,
    severity: Severity::Warning,
    why: "A slot sees the catalogs as they were: before PostgreSQL 18 it fails on a publication that is younger, since then it drops the changes silently.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
    judge: |facts, profile| after_slot(facts, profile),
};

/// A slot that was never read and is older than the publication can't work. One that is read lags behind the
/// publication's last ALTER for a while, and is fine.
fn after_slot(facts: &Facts, profile: &Profile) -> Option<Outcome> {
    let publication = match publication(facts) {
        Ok(publication) => publication,
        Err(skipped) => return Some(skipped),
    };
    let slot = match super::cause::slot(facts, profile) {
        Ok(slot) => slot,
        Err(skipped) => return Some(skipped),
    };
    let age = slot.catalog_age?;
    // Each table is published from the moment on at which it was added.
    let members = match &facts.members {
        Seen::Yes(members) => members,
        Seen::No(reason) => return Some(unseen(facts, Part::Members, reason)),
    };
    let youngest = members.iter().map(|member| member.age).chain([publication.age]).min().unwrap_or(publication.age);
    if youngest > age {
        return Some(Outcome::pass("the publication is older than the slot"));
    }
    let (name, slot_name) = (&profile.publication, &profile.slot);
    // A new slot inherits the horizon of those that are there: then its own says nothing about when it was made.
    let mut others = facts.slots.get().into_iter().flatten().filter(|other| other.slot_name != *slot_name);
    let inherited = others.any(|other| other.catalog_age.is_some());
    let outcome = if inherited {
        Outcome::warn(format!(
            "whether slot {slot_name} is older than publication {name} can't be told: other slots hide it"
        ))
        .severity(Severity::Info)
    } else if !slot.active && slot.decoded_bytes == Some(0) {
        Outcome::fail(format!("slot {slot_name} was created before publication {name}")).severity(Severity::Blocker)
    } else if !slot.active && slot.decoded_bytes.is_none() {
        // PostgreSQL 13 does not tell whether it was ever read.
        Outcome::warn(format!("slot {slot_name} is older than publication {name}: if it was never read, it can't be"))
            .severity(Severity::Warning)
    } else {
        Outcome::warn(format!("slot {slot_name} may be older than publication {name}, or than its last change"))
            .severity(Severity::Info)
    };
    Some(
        outcome
            .evidence("publication_age", youngest)
            .evidence("slot_catalog_age", age)
            .objects([name.as_str(), slot_name.as_str()])
            .sql(ddl::drop_slot(slot_name), "the replicating role, if nothing has been replicated through the slot yet")
            .sql(ddl::create_slot(slot_name), "the replicating role; then the copy has to be made anew"),
    )
}
