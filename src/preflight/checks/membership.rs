//! What the publication holds and how it narrows it: tables, rows, columns, owner.

use std::collections::BTreeSet;

use super::cause::{Tree, columns, publication, publication_is_empty, relations_unseen};
use super::outcome::{Judged, Outcome, count, settle, some_of};
use super::publication::publishable;
use super::unseen::{Part, unseen};
use super::{Check, Family};
use crate::catalog::facts::{Member, Publication};
use crate::catalog::ident::quote_ident;
use crate::catalog::probe::Probe;
use crate::catalog::relation::Relation;
use crate::catalog::{Facts, Seen, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile, Selection};

fn members(facts: &Facts) -> Result<&[Member], Outcome> {
    match &facts.members {
        Seen::Yes(members) => Ok(members),
        Seen::No(reason) => Err(unseen(facts, Part::Members, reason)),
    }
}

fn name_of(tree: &Tree<'_>, oid: u32) -> String {
    tree.get(oid).map_or_else(|| format!("table {oid}"), |table| table.table().to_string())
}

/// The columns of a table's replica identity by an index.
fn identity_columns<'a>(facts: &'a Facts, table: &Relation) -> BTreeSet<&'a str> {
    let columns = facts.columns.get().map_or(&[][..], Vec::as_slice);
    columns.iter().filter(|one| one.relation == table.oid && one.identity).map(|one| one.name.as_str()).collect()
}

fn publishes_changes(publication: &Publication) -> bool {
    publication.pubupdate || publication.pubdelete
}

pub(crate) static NOT_EMPTY: Check = Check {
    id: "publication-not-empty",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "Through a publication without tables nothing arrives, without any error.",
    doc: "https://www.postgresql.org/docs/current/sql-createpublication.html",
    judge: |facts, profile| settle(not_empty(facts, profile)),
};

fn not_empty(facts: &Facts, profile: &Profile) -> Judged {
    publication(facts)?;
    let members = members(facts)?;
    let name = &profile.publication;
    if !publication_is_empty(facts) {
        return Ok(Some(Outcome::pass(format!("publication {name} holds tables")).evidence("listed", members.len())));
    }
    let mut outcome = Outcome::fail(format!("publication {name} holds no table")).objects([name]);
    for table in publishable(facts) {
        outcome = outcome.sql_with_lock(
            ddl::add_table(name, &table.table()),
            "publication owner who also owns the table, or superuser",
            "SHARE UPDATE EXCLUSIVE",
        );
    }
    Ok(Some(outcome))
}

pub(crate) static SURPLUS: Check = Check {
    id: "publication-surplus-tables",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "Changes of tables that nobody asked for are decoded and sent all the same.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-publication.html",
    judge: |facts, profile| settle(surplus(facts, profile)),
};

fn surplus(facts: &Facts, profile: &Profile) -> Judged {
    let publication = publication(facts)?;
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    // The table for heartbeats is there to be sent.
    let beat = ddl::heartbeat_table();
    let surplus: Vec<&Relation> = facts
        .relations()
        .iter()
        .filter(|table| table.published && !table.wanted && table.is_leaf() && table.table() != beat)
        .collect();
    let name = &profile.publication;
    if surplus.is_empty() {
        return Ok(Some(Outcome::pass(format!("publication {name} holds nothing that was not chosen"))));
    }
    let names: Vec<String> = surplus.iter().map(|table| table.table().to_string()).collect();
    let text = count(names.len(), "table that was not chosen", "tables that were not chosen");
    let mut outcome =
        Outcome::warn(format!("publication {name} also sends {text}: {}", some_of(&names))).objects(names);
    let members = facts.members.get().into_iter().flatten();
    let listed: BTreeSet<u32> = members.map(|member| member.relation).collect();
    if !publication.puballtables {
        for table in surplus.iter().filter(|table| listed.contains(&table.oid)) {
            outcome = outcome.sql(
                ddl::drop_table(name, &table.table()),
                &format!("publication owner ({}), if nobody else relies on it", publication.owner),
            );
        }
    }
    Ok(Some(outcome.advice("Or choose these tables too, or another publication.", "you")))
}

pub(crate) static OVERLAP: Check = Check {
    id: "publication-ancestor-overlap",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "A partition that is listed beside its partitioned table is published under rules that depend on the version.",
    doc: "https://www.postgresql.org/docs/current/sql-createpublication.html",
    judge: |facts, profile| settle(overlap(facts, profile)),
};

fn overlap(facts: &Facts, profile: &Profile) -> Judged {
    publication(facts)?;
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let members = members(facts)?;
    let listed: BTreeSet<u32> = members.iter().map(|member| member.relation).collect();
    let tree = Tree::of(facts);
    let mut twice = Vec::new();
    for table in members.iter().filter_map(|member| tree.get(member.relation)) {
        let above = tree.with_ancestors(table).skip(1).find(|one| listed.contains(&one.oid));
        twice.extend(above.map(|above| (table, format!("{} below {}", table.table(), above.table()))));
    }
    if twice.is_empty() {
        return Ok(Some(Outcome::pass("no table is listed beside its partitioned table")));
    }
    let names: Vec<String> = twice.iter().map(|(_, name)| name.clone()).collect();
    let mut outcome = Outcome::warn(format!("listed twice: {}", some_of(&names))).objects(names);
    for (table, _) in &twice {
        outcome = outcome.sql(ddl::drop_table(&profile.publication, &table.table()), "publication owner");
    }
    Ok(Some(outcome))
}

pub(crate) static ROW_FILTER: Check = Check {
    id: "publication-row-filter",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "Filtered rows never arrive, and a filter on columns outside the replica identity breaks the application's UPDATE and DELETE.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-row-filter.html",
    judge: |facts, profile| settle(row_filter(facts, profile)),
};

fn row_filter(facts: &Facts, _: &Profile) -> Judged {
    let publication = publication(facts)?;
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let filtered: Vec<&Member> = members(facts)?.iter().filter(|member| member.filter.is_some()).collect();
    if filtered.is_empty() {
        return Ok(Some(Outcome::pass("no row is filtered out")));
    }
    columns(facts)?;
    let tree = Tree::of(facts);
    let mut broken = Vec::new();
    for member in &filtered {
        for table in tree.leaves(member.relation) {
            // FULL holds every column; a table without any identity is another check's.
            if table.identity.setting == "f" || !table.identity.usable() {
                continue;
            }
            let identity = identity_columns(facts, table);
            let outside: Vec<&str> =
                member.filter.iter().flatten().map(String::as_str).filter(|one| !identity.contains(one)).collect();
            if !outside.is_empty() {
                broken.push((table, format!("{} ({})", table.table(), outside.join(", "))));
            }
        }
    }
    if broken.is_empty() || !publishes_changes(publication) {
        let names: Vec<String> = filtered.iter().map(|member| name_of(&tree, member.relation)).collect();
        return Ok(Some(
            Outcome::warn(format!("rows are filtered: {}", some_of(&names)))
                .objects(names)
                .advice("See that this is meant; a copy has to apply the same filter.", "you"),
        ));
    }
    let names: Vec<String> = broken.iter().map(|(_, name)| name.clone()).collect();
    let mut outcome =
        Outcome::fail(format!("the row filter reads columns outside the replica identity: {}", some_of(&names)))
            .severity(Severity::Blocker)
            .objects(broken.iter().map(|(table, _)| table.table()));
    for (table, _) in &broken {
        outcome = outcome.sql_with_lock(
            ddl::identity_full(&table.table()),
            &format!("table owner ({})", table.owner),
            "ACCESS EXCLUSIVE, for a moment",
        );
    }
    Ok(Some(outcome.advice("Or drop the filter, or publish inserts only.", "publication owner")))
}

pub(crate) static COLUMN_LIST: Check = Check {
    id: "publication-column-list",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "Columns that are not listed never arrive, and a list without the replica identity breaks the application's UPDATE and DELETE.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-col-lists.html",
    judge: |facts, profile| settle(column_list(facts, profile)),
};

fn column_list(facts: &Facts, profile: &Profile) -> Judged {
    let publication = publication(facts)?;
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    let listed: Vec<&Member> = members(facts)?.iter().filter(|member| member.columns.is_some()).collect();
    if listed.is_empty() {
        return Ok(Some(Outcome::pass("no column is left out by a list")));
    }
    columns(facts)?;
    let tree = Tree::of(facts);
    let mut broken = Vec::new();
    for member in &listed {
        let list: BTreeSet<&str> = member.columns.iter().flatten().map(String::as_str).collect();
        for table in tree.leaves(member.relation) {
            let full = table.identity.setting == "f";
            if full || (table.identity.usable() && !identity_columns(facts, table).is_subset(&list)) {
                broken.push((member.relation, table.table()));
            }
        }
    }
    let owner = format!("publication owner ({})", publication.owner);
    if broken.is_empty() || !publishes_changes(publication) {
        let names: Vec<String> = listed.iter().map(|member| name_of(&tree, member.relation)).collect();
        return Ok(Some(
            Outcome::warn(format!("only listed columns are sent: {}", some_of(&names)))
                .objects(names)
                .advice("See that this is meant, and that the destination's other columns may stay empty.", "you"),
        ));
    }
    let names: Vec<String> = broken.iter().map(|(_, table)| table.to_string()).collect();
    let outcome = Outcome::fail(format!("the column list does not hold the replica identity: {}", some_of(&names)))
        .severity(Severity::Blocker)
        .objects(&names);
    let roots: BTreeSet<u32> = broken.iter().map(|(oid, _)| *oid).collect();
    Ok(Some(roots.iter().filter_map(|oid| tree.get(*oid)).fold(outcome, |outcome, table| {
        let (name, table) = (&profile.publication, table.table());
        // In one go, or changes in between are lost.
        outcome.sql(format!("{}; {}", ddl::drop_table(name, &table), ddl::add_table(name, &table)), &owner)
    })))
}

pub(crate) static OWNER_DRIFT: Check = Check {
    id: "publication-owner-drift",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "Only a superuser may own a publication of all tables or of schemas: anybody else can't change it any more.",
    doc: "https://www.postgresql.org/docs/current/sql-alterpublication.html",
    judge: |facts, profile| settle(owner_drift(facts, profile)),
};

fn owner_drift(facts: &Facts, profile: &Profile) -> Judged {
    let publication = publication(facts)?;
    let name = &profile.publication;
    let wide = publication.puballtables || publication.by_schema;
    Ok(Some(if !wide || publication.owner_superuser {
        Outcome::pass(format!("{} may own publication {name}", publication.owner))
    } else {
        Outcome::warn(format!(
            "publication {name} of all tables or schemas belongs to {}, who is no superuser",
            publication.owner
        ))
        .objects([name])
        .sql(format!("ALTER PUBLICATION {} OWNER TO CURRENT_USER", quote_ident(name)), "superuser")
    }))
}

pub(crate) static CAN_CREATE: Check = Check {
    id: "can-create-publication",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "Creating a publication takes CREATE on the database and the ownership of every table in it.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-security.html",
    judge: |facts, profile| settle(can_create(facts, profile)),
};

fn can_create(facts: &Facts, profile: &Profile) -> Judged {
    if facts.publication.get().is_none_or(Option::is_some) {
        return Ok(None);
    }
    let user = &profile.source.user;
    let own = super::cause::role(facts)?;
    if let Some(unseen) = relations_unseen(facts) {
        return Ok(Some(unseen));
    }
    match facts.deep.as_ref().map(|deep| &deep.publication) {
        Some(Probe::Worked) => {
            return Ok(Some(Outcome::pass(format!("{user} may create the publication (tried, rolled back)"))));
        }
        Some(Probe::Refused { reason, sqlstate }) => {
            return Ok(Some(
                Outcome::warn(format!("{user} can't create the publication: {reason}"))
                    .evidence("sqlstate", sqlstate.as_str())
                    .advice("Let an administrator run what walpilot script prints.", "superuser"),
            ));
        }
        _ => {}
    }
    let foreign: Vec<String> =
        publishable(facts).filter(|table| !table.owned).map(|table| table.table().to_string()).collect();
    let create = super::cause::cluster(facts)?.may_create;
    if own.superuser || (create && foreign.is_empty()) {
        return Ok(Some(Outcome::pass(format!("{user} may create the publication"))));
    }
    let mut reasons = Vec::new();
    if !create {
        reasons.push("it has no CREATE on the database".to_owned());
    }
    if !foreign.is_empty() {
        reasons.push(format!("it does not own {}", some_of(&foreign)));
    }
    Ok(Some(
        Outcome::warn(format!("{user} can't create the publication: {}", reasons.join("; "))).objects(foreign).advice(
            "Let an administrator run what walpilot script prints; the role needs no more rights.",
            "superuser",
        ),
    ))
}

pub(crate) static FUTURE_TABLES: Check = Check {
    id: "future-tables",
    family: Family::Publication,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "A publication of listed tables does not take in tables that are created later.",
    doc: "https://www.postgresql.org/docs/current/sql-createpublication.html",
    judge: |facts, profile| settle(future_tables(facts, profile)),
};

fn future_tables(facts: &Facts, profile: &Profile) -> Judged {
    let publication = publication(facts)?;
    let Selection::Schemas(schemas) = &profile.selection else { return Ok(None) };
    if publication.puballtables || publication.by_schema {
        return Ok(Some(Outcome::pass("tables that are created later are published too")));
    }
    let outcome =
        Outcome::warn(format!("publication {} does not take in tables that are created later", profile.publication));
    Ok(Some(if facts.server.major() >= 15 {
        schemas.iter().fold(outcome, |outcome, schema| {
            outcome.sql(
                ddl::add_schema(&profile.publication, schema),
                "superuser; covers all tables of the schema from then on",
            )
        })
    } else {
        outcome.advice("After new tables run walpilot script again; it adds them.", "you")
    }))
}
