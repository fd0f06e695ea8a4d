//! The publication: what the server lets out.

use super::cause::{publication, relations_unseen};
use super::outcome::{Outcome, count, some_of};
use super::unseen::{Part, unseen};
use super::{Check, Family};
use crate::catalog::facts::SlotOrder;
use crate::catalog::relation::Relation;
use crate::catalog::{Facts, Seen, ddl, precedence};
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
        if profile.setup.leaf_names {
            return Some(Outcome::pass("changes of partitions arrive under the partitions' own names, as chosen"));
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

/// Transaction ids raise the suspicion. That alone proves nothing: the horizon of a new slot is also that of the oldest
/// transaction then running and of every other slot, and a slot that is read moves it only now and then. Where the horizon
/// is not exact the server was asked to decode.
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
    let (name, slot_name) = (&profile.publication, &profile.slot);
    let outcome = match &facts.slot_order {
        _ if !precedence::suspected(facts, slot) => return Some(added_later(facts, profile, age)),
        Some(SlotOrder::Sees) => return Some(Outcome::pass(format!("slot {slot_name} sees publication {name}"))),
        Some(SlotOrder::Misses(reason)) => {
            Outcome::fail(format!("slot {slot_name} was created before publication {name}: {reason}"))
                .severity(Severity::Blocker)
        }
        _ if precedence::horizon_is_exact(facts, slot) => Outcome::fail(format!(
            "slot {slot_name} was created before publication {name}: what is written in between can't be decoded"
        ))
        .severity(Severity::Blocker),
        _ => Outcome::warn(format!("slot {slot_name} may be older than publication {name}, or than its last change"))
            .severity(Severity::Info),
    };
    let who =
        "the replicating role, while nobody reads the slot; what it still held is lost, so copy the tables after it";
    Some(
        outcome
            .evidence("publication_age", publication.age)
            .evidence("slot_catalog_age", age)
            .objects([name.as_str(), slot_name.as_str()])
            .sql(ddl::drop_slot(slot_name), who)
            .sql(ddl::create_slot(slot_name), who),
    )
}

/// The publication is older than the slot; tables may have been added to it since, and are sent from then on.
fn added_later(facts: &Facts, profile: &Profile, age: i64) -> Outcome {
    let members = match &facts.members {
        Seen::Yes(members) => members,
        Seen::No(reason) => return unseen(facts, Part::Members, reason),
    };
    let late: Vec<String> = members
        .iter()
        .filter(|member| member.age <= age)
        .filter_map(|member| facts.relation(member.relation))
        .map(|relation| relation.table().to_string())
        .collect();
    let slot = match super::cause::slot(facts, profile) {
        Ok(slot) if !late.is_empty() && precedence::horizon_is_exact(facts, slot) => slot,
        _ => return Outcome::pass("the publication is older than the slot"),
    };
    Outcome::warn(format!(
        "{} joined publication {} after slot {} was made: what was written before is sent by no one",
        some_of(&late),
        profile.publication,
        slot.slot_name
    ))
    .severity(Severity::Info)
    .objects(late)
    .advice("Copy these tables after they joined, as an initial copy does.", "you")
}
