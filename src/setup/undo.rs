//! The way back: slot, publication, replica identity as it was, policies, grants, role.
//!
//! The slot goes first, because it holds log back; the publication goes before the replica identities, because without
//! an identity the application's UPDATE fails for as long as the table is published; the role goes last. Undone is only
//! what walpilot recorded in the publication's comment: grants that were there before stay.

use super::plan::{Plan, Step};
use super::record::Record;
use crate::catalog::ident::{quote_ident, quote_literal, quote_table};
use crate::catalog::{Facts, ddl};
use crate::connection::printable;
use crate::profile::{Method, Profile};

const ADMIN: &str = "superuser";

/// Plans the way back from what `facts` say exists.
#[must_use]
pub fn undo(facts: &Facts, profile: &Profile) -> Plan {
    let mut plan = Plan::default();
    if profile.method == Method::Cdc {
        slot(&mut plan, facts, profile);
    }
    let publication = facts.the_publication();
    let comment = publication.and_then(|publication| publication.comment.as_deref());
    let record = comment.and_then(Record::from_comment);
    if publication.is_some() {
        let name = &profile.publication;
        let sql = format!("DROP PUBLICATION {}", quote_ident(name));
        let title = format!("Drop publication {name}");
        step(&mut plan, &title, "nothing is published any more", sql, "publication owner").unless =
            Some(format!("NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = {})", quote_literal(name)));
    }
    match record {
        Some(record) => way_back(&mut plan, &record, facts, profile),
        None => plan.by_hand.push(format!(
            "No record of walpilot's was found on publication {}: what {} was granted before it existed, and the tables' \
             replica identities, are left as they are.",
            printable(&profile.publication),
            printable(&profile.source.user)
        )),
    }
    plan
}

fn step<'a>(plan: &'a mut Plan, title: &str, why: &str, sql: String, who: &str) -> &'a mut Step {
    plan.steps.push(Step {
        title: printable(title).into_owned(),
        why: printable(why).into_owned(),
        sql,
        who: printable(who).into_owned(),
        lock: None,
        unless: None,
    });
    let last = plan.steps.len() - 1;
    &mut plan.steps[last]
}

fn slot(plan: &mut Plan, facts: &Facts, profile: &Profile) {
    let Some(slot) = facts.slot(&profile.slot) else { return };
    let name = &profile.slot;
    let here = facts.database.get().map(|database| database.name.as_str());
    if slot.active {
        plan.by_hand.push(format!("Slot {name} is being read: stop its reader, then run the way back again."));
    } else if slot.slot_type != "logical" || slot.database.as_deref() != here {
        plan.by_hand.push(format!("Slot {name} belongs to something else; it is left as it is."));
    } else {
        let why = "it holds back log; what it still held is lost";
        let step = step(plan, &format!("Drop slot {name}"), why, ddl::drop_slot(name), "the replicating role");
        step.unless = Some(format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = {})",
            quote_literal(name)
        ));
    }
}

fn way_back(plan: &mut Plan, record: &Record, facts: &Facts, profile: &Profile) {
    let user = profile.source.user.as_str();
    let role = quote_ident(user);
    let table_gone = |table: &crate::profile::TableName| {
        format!("pg_catalog.to_regclass({}) IS NULL", quote_literal(&quote_table_plain(table)))
    };
    for former in &record.identities {
        let Some(sql) = former.sql() else { continue };
        let title = format!("Give {} back its replica identity", former.table);
        let made = step(plan, &title, "it was changed for the publication", sql, "table owner");
        made.lock = Some("ACCESS EXCLUSIVE, for a moment".to_owned());
        made.unless = Some(table_gone(&former.table));
    }
    for table in &record.policies {
        let sql = format!("DROP POLICY {} ON {}", ddl::READ_ALL_POLICY, quote_table(table));
        let made = step(plan, &format!("Drop the policy on {table}"), "the role reads no more", sql, "table owner");
        made.lock = Some("ACCESS EXCLUSIVE, for a moment".to_owned());
        made.unless = Some(format!(
            "NOT EXISTS (SELECT FROM pg_catalog.pg_policies WHERE schemaname = {} AND tablename = {} AND policyname = {})",
            quote_literal(&table.schema),
            quote_literal(&table.name),
            quote_literal(ddl::READ_ALL_POLICY)
        ));
    }
    let first_grant = plan.steps.len();
    for (creator, schema) in &record.defaults {
        let sql = format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} REVOKE SELECT ON TABLES FROM {role}",
            quote_ident(creator),
            quote_ident(schema)
        );
        step(
            plan,
            &format!("Take back default privileges in {schema}"),
            "they were given for replication",
            sql,
            creator,
        );
    }
    for table in &record.select {
        let sql = format!("REVOKE SELECT ON TABLE {} FROM {role}", quote_table(table));
        let done = format!("({} OR {})", table_gone(table), role_gone(user));
        step(plan, &format!("Take back SELECT on {table}"), "it was granted", sql, "table owner").unless = Some(done);
    }
    // Tables that came later were opened by the default privileges.
    let mut schemas: Vec<&String> = record.defaults.iter().map(|(_, schema)| schema).collect();
    schemas.sort_unstable();
    schemas.dedup();
    for schema in schemas {
        let sql = format!("REVOKE SELECT ON ALL TABLES IN SCHEMA {} FROM {role}", quote_ident(schema));
        if record.role {
            step(plan, &format!("Take back SELECT in {schema}"), "default privileges gave it", sql, "table owners");
        }
    }
    for schema in &record.usage {
        let sql = format!("REVOKE USAGE ON SCHEMA {} FROM {role}", quote_ident(schema));
        step(plan, &format!("Close schema {schema} to {user}"), "USAGE was granted", sql, "schema owner");
    }
    if let Some(database) = facts.database.get().filter(|_| record.connect) {
        let sql = format!("REVOKE CONNECT ON DATABASE {} FROM {role}", quote_ident(&database.name));
        step(plan, &format!("Take back CONNECT on {}", database.name), "it was granted", sql, "database owner");
    }
    for group in &record.groups {
        let sql = format!("REVOKE {} FROM {role}", quote_ident(group));
        step(plan, &format!("Take {user} out of {group}"), "it was granted", sql, ADMIN);
    }
    for (given, word) in
        [(record.bypass_rls, "NOBYPASSRLS"), (record.replication, "NOREPLICATION"), (record.login, "NOLOGIN")]
    {
        if given && !record.role {
            step(
                plan,
                &format!("Take an attribute from {user}"),
                "it was given",
                format!("ALTER ROLE {role} {word}"),
                ADMIN,
            );
        }
    }
    for made in &mut plan.steps[first_grant..] {
        made.unless.get_or_insert_with(|| role_gone(user));
    }
    if record.role {
        let why = "it was created for replication; fails if something else belongs to it";
        step(plan, &format!("Drop role {user}"), why, format!("DROP ROLE {role}"), ADMIN).unless =
            Some(role_gone(user));
    }
}

fn role_gone(user: &str) -> String {
    format!("NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})", quote_literal(user))
}

/// A table's name as `to_regclass` reads it: plain double quotes, without escapes, for it reads no `U&`.
fn quote_table_plain(table: &crate::profile::TableName) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}
