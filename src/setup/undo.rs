//! The way back: slot, publication, replica identity as it was, policies, grants, role.
//!
//! The slot goes first, because it holds log back; the publication goes before the replica identities, because without
//! an identity the application's UPDATE fails for as long as the table is published; the role goes last. While the slot
//! is being read nothing is undone: its reader would fail for want of the publication.
//!
//! Undone is only what a setup has noted (see [`super::record`]): grants that were there before stay, and so does what
//! somebody else has changed since. Each step can be run again, and is skipped where its object is gone.

use super::condition;
use super::record::{Notes, Record};
use super::step::{Person, Plan, Step};
use crate::catalog::ident::{quote_ident, quote_literal, quote_table};
use crate::catalog::{Facts, ddl};
use crate::connection::printable;
use crate::profile::{Method, Profile};

const ADMIN: &str = "superuser";

/// Plans the way back from what `facts` say exists.
#[must_use]
pub fn undo(facts: &Facts, profile: &Profile) -> Plan {
    let mut back = Back { facts, profile, plan: Plan::default() };
    if profile.method == Method::Cdc && !back.slot() {
        return back.plan;
    }
    let notes = Notes::read(facts.role.as_ref().and_then(|role| role.comment.as_deref()));
    let on_publication = Notes::read(facts.the_publication().and_then(|publication| publication.comment.as_deref()));
    let database = facts.database.get().map_or("", |database| database.name.as_str());
    let publication = if profile.method == Method::Cdc { profile.publication.as_str() } else { "" };
    match notes.find(database, publication).or_else(|| on_publication.find(database, publication)) {
        Some(record) => back.undo(record, &notes),
        None => back.no_record(),
    }
    back.plan
}

struct Back<'a> {
    facts: &'a Facts,
    profile: &'a Profile,
    plan: Plan,
}

impl Back<'_> {
    fn step(&mut self, step: Step) {
        self.plan.steps.push(step);
    }

    fn role(&self) -> String {
        quote_ident(&self.profile.source.user)
    }

    /// Drops the slot. Returns whether the rest may follow.
    fn slot(&mut self) -> bool {
        let name = &self.profile.slot;
        let Some(slot) = self.facts.slot(name) else { return true };
        let here = self.facts.database.get().map(|database| database.name.as_str());
        if slot.slot_type != "logical" || slot.database.as_deref() != here {
            self.plan.note(&format!("Slot {name} belongs to something else; it is left as it is."), []);
            return true;
        }
        if slot.active {
            let pid = slot.active_pid.map_or_else(String::new, |pid| format!(" by process {pid}"));
            let text = format!(
                "Slot {name} is being read{pid}. Nothing is undone before its reader has stopped: stop it, then run the \
                 way back again."
            );
            self.plan.note(&text, []);
            return false;
        }
        let why = "it holds back log; what it still held is lost";
        let title = format!("Drop slot {name}");
        let step =
            Step::new(Person::Replication, &title, why, ddl::drop_slot(name), "the replicating role, or superuser");
        self.step(step.unless(format!("NOT {}", condition::slot(name))));
        true
    }

    /// Without a note nobody knows what was there before.
    fn no_record(&mut self) {
        let user = printable(&self.profile.source.user).into_owned();
        if self.profile.method == Method::Xmin {
            let text = format!("No note of walpilot's was found on role {user}: what it may do is left as it is.");
            return self.plan.note(&text, []);
        }
        let name = &self.profile.publication;
        if self.facts.the_publication().is_none() {
            let text =
                format!("No note of walpilot's was found on role {user}: grants and identities are left as they are.");
            return self.plan.note(&text, []);
        }
        let text = format!(
            "No record of walpilot's was found on publication {} and role {user}: the publication, what the role was \
             granted, and the tables' replica identities are left as they are. If nobody else reads the publication:",
            printable(name)
        );
        self.plan.note(&text, [format!("{};", ddl::drop_publication(name)).as_str()]);
    }

    fn undo(&mut self, record: &Record, notes: &Notes) {
        self.publication(record);
        self.heartbeat(record);
        let owners = self.plan.steps.len();
        self.identities(record);
        let others = notes.clone().without(record);
        let elsewhere: Vec<&Record> = others.records.iter().filter(|other| other.database == record.database).collect();
        if let Some(other) = elsewhere.first() {
            let which = if other.publication.is_empty() { "the method xmin" } else { &other.publication };
            let text = format!(
                "The role {} also serves {which} in this database: what it may read stays as it is.",
                self.profile.source.user
            );
            self.plan.note(&text, []);
        } else {
            self.policies(record);
            self.privileges(record);
        }
        // Each owner's steps in one piece; none depends on another's.
        self.plan.steps[owners..].sort_by(|a, b| a.person.owner().cmp(&b.person.owner()));
        if elsewhere.is_empty() {
            self.connect(record);
        }
        if others.records.is_empty() {
            self.attributes(record);
        }
        self.forget(record, &others);
    }

    fn publication(&mut self, record: &Record) {
        let Some(publication) = self.facts.the_publication() else { return };
        let name = &self.profile.publication;
        let gone = format!("NOT {}", condition::publication(name));
        let who = format!("publication owner ({})", publication.owner);
        if !record.created {
            for table in &record.added {
                let title = format!("Take {table} out of publication {name}");
                let why = "the setup had added it; the publication itself was there before";
                let step = Step::new(Person::Administrator, &title, why, ddl::drop_table(name, table), &who);
                self.step(step.unless(format!("NOT {}", condition::member(name, table))));
            }
            return;
        }
        let strangers = self.facts.relations().iter().filter(|table| table.member && !table.wanted);
        let strangers: Vec<String> = strangers.take(5).map(|table| table.table().to_string()).collect();
        if !strangers.is_empty() && !publication.puballtables && !publication.by_schema {
            let text = format!(
                "Publication {name} also holds {}, which was not chosen: whoever added it loses it with the publication.",
                strangers.join(", ")
            );
            self.plan.note(&text, []);
        }
        let title = format!("Drop publication {name}");
        let why = "nothing is published any more";
        let step = Step::new(Person::Administrator, &title, why, ddl::drop_publication(name), &who);
        self.step(step.unless(gone));
    }

    fn heartbeat(&mut self, record: &Record) {
        if !record.heartbeat {
            return;
        }
        for sql in ddl::drop_heartbeat() {
            self.step(Step::new(Person::Administrator, "Drop the heartbeat's table", "the setup made it", sql, ADMIN));
        }
    }

    /// As they were, unless somebody has set them since, or another publication needs them.
    fn identities(&mut self, record: &Record) {
        for former in &record.identities {
            let table = &former.table;
            let Some(sql) = former.sql() else {
                let text =
                    format!("The index of {table}'s former replica identity was gone already; the identity stays.");
                self.plan.note(&text, []);
                continue;
            };
            let mut skip = format!(
                "NOT {} OR {}",
                condition::identity(table, &former.made),
                condition::published_elsewhere(table, &self.profile.publication, self.facts.server.major())
            );
            if let Some(index) = &former.index {
                skip.push_str(&format!(" OR NOT {}", condition::index(table, index)));
            }
            let title = format!("Give {table} back its replica identity");
            let why = "it was changed for the publication; skipped if it was changed since, or is needed elsewhere";
            let owner = self.owner_of(table);
            let step = Step::new(owner, &title, why, sql, "table owner").unless(skip);
            self.step(step.locking(table.clone()));
        }
    }

    fn policies(&mut self, record: &Record) {
        for table in &record.policies {
            let sql = format!("DROP POLICY {} ON {}", ddl::READ_ALL_POLICY, quote_table(table));
            let title = format!("Drop the policy on {table}");
            let step = Step::new(self.owner_of(table), &title, "the role reads no more", sql, "table owner");
            self.step(step.unless(format!("NOT {}", condition::policy(table))).locking(table.clone()));
        }
    }

    /// What the role was granted, and what default privileges have granted to it since.
    fn privileges(&mut self, record: &Record) {
        let role = self.role();
        let user = self.profile.source.user.clone();
        let gone = format!("NOT {}", condition::role(&user));
        for (creator, schema) in &record.defaults {
            let sql = format!(
                "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} REVOKE SELECT ON TABLES FROM {role}",
                quote_ident(creator),
                quote_ident(schema)
            );
            let title = format!("Take back default privileges in {schema}");
            let skip = format!("{gone} OR NOT {} OR NOT {}", condition::role(creator), condition::schema(schema));
            let why = "they were given for replication";
            let person = Person::Owner(creator.clone());
            self.step(Step::new(person, &title, why, sql, creator).unless(skip));
        }
        for table in &record.select {
            let sql = format!("REVOKE SELECT ON TABLE {} FROM {role}", quote_table(table));
            let title = format!("Take back SELECT on {table}");
            let skip = format!("{gone} OR NOT {}", condition::table(table));
            self.step(Step::new(self.owner_of(table), &title, "it was granted", sql, "table owner").unless(skip));
        }
        let mut schemas: Vec<&String> = record.select_all.iter().collect();
        if record.role {
            // Tables that came later were opened by the default privileges.
            schemas.extend(record.defaults.iter().map(|(_, schema)| schema));
        }
        schemas.sort_unstable();
        schemas.dedup();
        for schema in schemas {
            let sql = format!("REVOKE SELECT ON ALL TABLES IN SCHEMA {} FROM {role}", quote_ident(schema));
            let title = format!("Take back SELECT in {schema}");
            let skip = format!("{gone} OR NOT {}", condition::schema(schema));
            let step = Step::new(self.owner_in(schema), &title, "it was granted", sql, "table owners");
            self.step(step.unless(skip));
        }
        for schema in &record.usage {
            let sql = format!("REVOKE USAGE ON SCHEMA {} FROM {role}", quote_ident(schema));
            let title = format!("Close schema {schema} to {user}");
            let skip = format!("{gone} OR NOT {}", condition::schema(schema));
            let step = Step::new(self.owner_in(schema), &title, "USAGE was granted", sql, "schema owner");
            self.step(step.unless(skip));
        }
    }

    fn connect(&mut self, record: &Record) {
        let Some(database) = self.facts.database.get().filter(|_| record.connect) else { return };
        let sql = format!("REVOKE CONNECT ON DATABASE {} FROM {}", quote_ident(&database.name), self.role());
        let title = format!("Take back CONNECT on {}", database.name);
        let step = Step::new(Person::Administrator, &title, "it was granted", sql, "database owner");
        self.step(step.unless(format!("NOT {}", condition::role(&self.profile.source.user))));
    }

    /// What belongs to the role in all databases. A role that was created goes as a whole.
    fn attributes(&mut self, record: &Record) {
        let (role, user) = (self.role(), self.profile.source.user.clone());
        let gone = format!("NOT {}", condition::role(&user));
        if record.role {
            let why = "it was created for replication; it stays, with the reason, while something else belongs to it";
            let title = format!("Drop role {user}");
            let step = Step::new(Person::Administrator, &title, why, format!("DROP ROLE {role}"), ADMIN);
            return self.step(step.unless(gone));
        }
        for group in &record.groups {
            let sql = format!("REVOKE {} FROM {role}", quote_ident(group));
            let title = format!("Take {user} out of {group}");
            let step = Step::new(Person::Administrator, &title, "it was granted", sql, ADMIN);
            self.step(step.unless(gone.clone()));
        }
        for (given, word) in
            [(record.bypass_rls, "NOBYPASSRLS"), (record.replication, "NOREPLICATION"), (record.login, "NOLOGIN")]
        {
            if given {
                let title = format!("Give {user} {word} back");
                let sql = format!("ALTER ROLE {role} {word}");
                let step = Step::new(Person::Administrator, &title, "it was so before", sql, ADMIN);
                self.step(step.unless(gone.clone()));
            }
        }
    }

    /// Strikes the record out of the role's comment, last of all: until then the way back can be run again.
    fn forget(&mut self, record: &Record, others: &Notes) {
        let user = self.profile.source.user.clone();
        let Some(comment) = self.facts.role.as_ref().and_then(|role| role.comment.as_deref()) else { return };
        let noted = Notes::read(Some(comment)).find(&record.database, &record.publication).is_some();
        if !noted || (record.role && others.records.is_empty()) {
            return;
        }
        if record.role {
            let databases: Vec<&str> = others.records.iter().map(|other| other.database.as_str()).collect();
            let text = format!("The role {user} stays: it still serves {}.", databases.join(", "));
            self.plan.note(&text, []);
        }
        let sql = ddl::comment_on_role(&user, others.clone().inherit(record).comment().as_deref());
        let title = format!("Strike the note on role {user}");
        let step = Step::new(Person::Administrator, &title, "all that it says is undone", sql, ADMIN);
        self.step(step.unless(format!(
            "(SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname = {}) \
             IS DISTINCT FROM {}",
            quote_literal(&user),
            quote_literal(comment)
        )));
    }

    fn owner_of(&self, table: &crate::profile::TableName) -> Person {
        let found = self.facts.relations().iter().find(|relation| relation.table() == *table);
        found.map_or(Person::Administrator, |relation| self.person(&relation.owner))
    }

    fn owner_in(&self, schema: &str) -> Person {
        let found = self.facts.schemas.get().into_iter().flatten().find(|one| one.name == schema && !one.mixed);
        found.map_or(Person::Administrator, |schema| self.person(&schema.owner))
    }

    fn person(&self, owner: &str) -> Person {
        let reader = &self.facts.reader;
        if reader.superuser && reader.name == owner { Person::Administrator } else { Person::Owner(owner.to_owned()) }
    }
}
