//! The slot, last of all, and the table for heartbeats where messages in the log can't serve.

use super::{Planner, Stage};
use crate::catalog::ddl;
use crate::catalog::ident::quote_ident;
use crate::preflight::Status;
use crate::profile::Coverage;
use crate::setup::condition;
use crate::setup::step::{Person, Step};

/// The first version whose pgoutput sends messages (PostgreSQL 14 release notes).
const SENDS_MESSAGES: u32 = 14;
/// The first version whose slots standbys can keep in step (PostgreSQL 17 release notes).
const FAILOVER: u32 = 17;
const WHO: &str = "the replicating role, or superuser";

impl Planner<'_> {
    /// Creates the slot, unless something stands in the way that a restart or somebody else has to clear.
    pub(super) fn slot(&mut self) {
        let name = self.profile.slot.clone();
        let bad_name = self.report.finding("slot-name-valid").is_none_or(|finding| finding.status != Status::Pass);
        if bad_name || self.facts.slots.get().is_none() {
            return;
        }
        let existing = self.facts.slot(&name);
        if existing.is_none() && ["wal-level", "slots-free", "in-recovery"].into_iter().any(|id| self.blocked(id)) {
            let text =
                format!("The slot {name} can't be created yet; after what is said below run walpilot script again.");
            self.plan.note(&text, []);
            return;
        }
        let failover = self.profile.setup.failover && self.facts.server.major() >= FAILOVER;
        if self.profile.setup.failover && !failover {
            let text =
                "Standbys keep a slot in step from PostgreSQL 17 on: the slot is lost when this server fails over.";
            self.plan.note(text, []);
        }
        if failover && existing.is_some_and(|slot| !slot.failover) {
            let alter = format!("ALTER_REPLICATION_SLOT {} ( FAILOVER true );", quote_ident(&name));
            let text = format!(
                "The slot {name} exists, but standbys don't keep it in step; while nobody reads it, run this on a \
                 replication connection (psql \"dbname=… replication=database\"):"
            );
            self.plan.note(&text, [alter.as_str()]);
        }
        let failover = failover || existing.is_some_and(|slot| slot.failover);
        let sql = if failover { ddl::create_failover_slot(&name) } else { ddl::create_slot(&name) };
        let why = "it is missing; waits, 10 minutes at the most, until every transaction that has written is over";
        let publication = &self.profile.publication;
        let guard = condition::demand(
            &condition::publication(publication),
            "The publication comes before the slot: let the administrator's part of this setup run first.",
        );
        let step = Step::new(Person::Replication, &format!("Create slot {name}"), why, sql, WHO);
        let step = step.unless(condition::slot(&name)).guard(Some(guard));
        self.step_if(existing.is_none(), Stage::Slot, step, || condition::slot(&name));
    }

    /// What the role needs to write a heartbeat, if one is wished for: without it the slot of a quiet database on a
    /// busy cluster can't move on. From PostgreSQL 14 on a message in the log is enough.
    pub(super) fn heartbeat(&mut self) {
        if !self.profile.setup.heartbeat {
            return;
        }
        let user = self.user().to_owned();
        let cluster = self.facts.cluster.get();
        if self.facts.server.major() >= SENDS_MESSAGES {
            let missing = cluster.is_some_and(|cluster| !cluster.may_emit);
            let title = format!("Let {user} write a heartbeat into the log");
            // From PostgreSQL 17 on the function has one more argument.
            let flush = if self.facts.server.major() >= 17 { ", boolean" } else { "" };
            let sql = format!(
                "GRANT EXECUTE ON FUNCTION pg_catalog.pg_logical_emit_message(boolean, text, text{flush}) TO {}",
                quote_ident(&user)
            );
            let step = Step::new(Person::Administrator, &title, "it was wished", sql, "superuser");
            self.step_if(missing, Stage::Role, step, || "true".to_owned());
            return;
        }
        let table = ddl::heartbeat_table();
        let exists = self.facts.relations().iter().any(|relation| relation.table() == table);
        self.record.heartbeat |= !exists;
        let why = "pgoutput of PostgreSQL 13 sends no messages, so a heartbeat needs a table";
        let schema = condition::schema(ddl::HEARTBEAT_SCHEMA);
        let steps = [
            ("Create a schema for the heartbeat", ddl::create_heartbeat_schema(), schema),
            ("Create the table for the heartbeat", ddl::create_heartbeat_table(), condition::table(&table)),
        ];
        for (title, sql, there) in steps {
            let step = Step::new(Person::Administrator, title, why, sql, "superuser").unless(there);
            self.step_if(!exists, Stage::Role, step, || condition::table(&table));
        }
        for (title, sql) in ddl::grant_heartbeat(&user) {
            let title = format!("{title} {user}");
            let step = Step::new(Person::Administrator, &title, why, sql, "superuser");
            self.step_if(!exists, Stage::Role, step, || condition::select(&user, std::slice::from_ref(&table)));
        }
        let all = self.profile.setup.cover == Coverage::All
            || self.facts.the_publication().is_some_and(|publication| publication.puballtables);
        if all {
            return;
        }
        let name = self.profile.publication.clone();
        let sql = ddl::add_table(&name, &table);
        let title = format!("Add the heartbeat to publication {name}");
        let step = Step::new(Person::Administrator, &title, why, sql, "publication owner who also owns the table");
        let member = condition::member(&name, &table);
        self.step_if(!exists, Stage::Publication, step.unless(member.clone()), || member);
    }
}
