//! What has to be done before replication can start, in an order that works: role, grants, default privileges,
//! replica identity, publication **before** slot. Holds only what is missing.

use serde::Serialize;

use super::record::{Former, Record};
use crate::catalog::facts::Relation;
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::catalog::{Facts, ddl};
use crate::connection::{Secret, printable};
use crate::preflight::checks::identity::{self, Remedy};
use crate::preflight::checks::publication::{is_covered, publishable};
use crate::preflight::checks::tables::{uncovered_creators, wanted_schemas};
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Report, Status, evaluate};
use crate::profile::{Method, Profile, Selection, TableName};

/// Choices that the facts can't answer.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// The password of the role, if it has to be created; it is written as a SCRAM-SHA-256 verifier.
    pub role_password: Option<Secret>,
}

/// What a user may wish beyond what is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The role is to see other sessions (`pg_monitor`).
    pub monitor: bool,
    /// The slot is to be kept in step on standbys (PostgreSQL 17 and later).
    pub failover: bool,
    /// What a new publication covers.
    pub coverage: Coverage,
}

/// What a new publication covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// The chosen tables, one by one: their owners may create it.
    #[default]
    Listed,
    /// The chosen schemas with the tables that they will have (PostgreSQL 15 and later, superuser).
    Schemas,
    /// Every table of the database (superuser).
    All,
}

/// Who has to run a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// The administrator: roles, the database, the publication.
    Administrator,
    /// The owners of schemas and tables.
    Owners,
    /// The replicating role.
    Replication,
}

/// One statement with what a careful administrator wants to know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it does, in a few words. Safe to print, also in a SQL comment.
    pub title: String,
    /// Why it is needed, in one line. Safe to print.
    pub why: String,
    /// One SQL statement without a trailing semicolon; runs as it stands.
    pub sql: String,
    /// Who may run it.
    pub who: String,
    /// The lock that it takes, where others feel it.
    pub lock: Option<String>,
    /// A condition in SQL that is true when the statement was run already, where running it again would fail.
    pub unless: Option<String>,
}

/// The steps, in order. Empty when nothing is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Statements in the order in which they have to run.
    pub steps: Vec<Step>,
    /// What walpilot can't do by SQL in this database (a restart, a provider's console), in words.
    pub by_hand: Vec<String>,
}

impl Step {
    /// Who has to run it.
    #[must_use]
    pub fn person(&self) -> Person {
        let starts = |words: &[&str]| words.iter().any(|word| self.sql.starts_with(word));
        if self.sql.contains("replication_slot(") {
            Person::Replication
        } else if starts(&[
            "ALTER TABLE ",
            "CREATE POLICY ",
            "GRANT USAGE ",
            "GRANT SELECT ",
            "ALTER DEFAULT PRIVILEGES ",
        ]) {
            Person::Owners
        } else {
            Person::Administrator
        }
    }
}

impl Plan {
    /// The steps of one person alone. What is done by hand is the administrator's.
    #[must_use]
    pub fn only(&self, person: Person) -> Self {
        let by_hand = if person == Person::Administrator { self.by_hand.clone() } else { Vec::new() };
        Self { steps: self.steps.iter().filter(|step| step.person() == person).cloned().collect(), by_hand }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.by_hand.is_empty()
    }
}

/// Plans what `profile` needs and `facts` say is missing.
#[must_use]
pub fn plan(facts: &Facts, profile: &Profile, options: &PlanOptions) -> Plan {
    plan_with(facts, profile, options, Wishes::default())
}

/// [`plan`] with a user's wishes.
#[must_use]
pub fn plan_with(facts: &Facts, profile: &Profile, options: &PlanOptions, wishes: Wishes) -> Plan {
    let report = evaluate(facts, profile);
    let mut planner = Planner { facts, profile, report, wishes, plan: Plan::default(), record: Record::default() };
    planner.role(options);
    planner.monitor();
    planner.grants();
    planner.default_privileges();
    planner.row_security();
    if profile.method == Method::Cdc {
        planner.identities();
        planner.publication();
        planner.slot();
    }
    planner.by_hand();
    planner.plan
}

struct Planner<'a> {
    facts: &'a Facts,
    profile: &'a Profile,
    report: Report,
    wishes: Wishes,
    plan: Plan,
    record: Record,
}

impl Planner<'_> {
    fn user(&self) -> &str {
        &self.profile.source.user
    }

    fn step(&mut self, title: &str, why: &str, sql: String, who: &str) -> &mut Step {
        self.plan.steps.push(Step {
            title: printable(title).into_owned(),
            why: printable(why).into_owned(),
            sql,
            who: printable(who).into_owned(),
            lock: None,
            unless: None,
        });
        let last = self.plan.steps.len() - 1;
        &mut self.plan.steps[last]
    }

    /// Whether the check `id` found a blocker.
    fn blocked(&self, id: &str) -> bool {
        self.report.finding(id).is_some_and(|finding| rank(finding) == Rank::Blocker)
    }

    fn role(&mut self, options: &PlanOptions) {
        let user = self.user().to_owned();
        let cdc = self.profile.method == Method::Cdc;
        let rds = self.facts.provider.grants_rds_replication();
        match &self.facts.role {
            None => {
                let replication = if cdc && !rds { " REPLICATION" } else { "" };
                // The verifier lets the server check the password; nobody can log in with it.
                let password = options
                    .role_password
                    .as_ref()
                    .filter(|password| !password.is_empty())
                    .map(|password| postgres_protocol::password::scram_sha_256(password.reveal().as_bytes()));
                let clause = password
                    .as_ref()
                    .map_or_else(String::new, |verifier| format!(" PASSWORD {}", quote_literal(verifier)));
                if password.is_none() {
                    let hint = format!("Give the new role a password, in psql: \\password {}", quote_ident(&user));
                    self.plan.by_hand.push(hint);
                }
                self.record.role = true;
                let sql = format!("CREATE ROLE {} LOGIN{replication}{clause}", quote_ident(&user));
                self.step(&format!("Create role {user}"), "it does not exist", sql, "superuser").unless =
                    Some(format!("EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = {})", quote_literal(&user)));
            }
            Some(role) => {
                if !role.login {
                    self.record.login = true;
                    let sql = format!("ALTER ROLE {} LOGIN", quote_ident(&user));
                    self.step(&format!("Let {user} log in"), "it may not", sql, "superuser");
                }
                if cdc && !rds && !role.may_replicate() {
                    self.record.replication = true;
                    self.step(
                        &format!("Let {user} replicate"),
                        "it lacks REPLICATION",
                        ddl::alter_role_replication(&user),
                        "superuser",
                    );
                }
            }
        }
        if cdc && rds && !self.facts.role.as_ref().is_some_and(crate::catalog::facts::Role::may_replicate) {
            self.record.groups.push("rds_replication".to_owned());
            let why = "on this platform the membership stands in for REPLICATION";
            self.step(
                &format!("Let {user} replicate"),
                why,
                ddl::grant_role("rds_replication", &user),
                "a member of rds_superuser",
            );
        }
    }

    fn monitor(&mut self) {
        let sees = self.facts.cluster.get().is_some_and(|cluster| cluster.role_monitors);
        if !self.wishes.monitor || sees {
            return;
        }
        let user = self.user().to_owned();
        self.record.groups.push("pg_monitor".to_owned());
        let title = format!("Let {user} see other sessions");
        self.step(&title, "it was wished", ddl::grant_role("pg_monitor", &user), "superuser");
    }

    /// Whether the role reads everything already.
    fn reads_all(&self) -> bool {
        self.facts
            .role
            .as_ref()
            .is_some_and(|role| role.superuser || role.member_of.iter().any(|group| group == "pg_read_all_data"))
    }

    fn grants(&mut self) {
        let user = self.user().to_owned();
        if let Some(database) = self.facts.database.get().filter(|database| !database.connect) {
            self.record.connect = true;
            let title = format!("Let {user} connect to {}", database.name);
            let sql = ddl::grant_connect(&database.name, &user);
            self.step(&title, "it has no CONNECT", sql, &format!("database owner ({})", database.owner));
        }
        let wanted = wanted_schemas(self.profile);
        for schema in self.facts.schemas.get().into_iter().flatten() {
            if wanted.contains(&schema.name.as_str()) && !schema.usage {
                self.record.usage.push(schema.name.clone());
                let title = format!("Open schema {} to {user}", schema.name);
                let sql = ddl::grant_usage(&schema.name, &user);
                self.step(&title, "it has no USAGE", sql, &format!("schema owner ({})", schema.owner));
            }
        }
        let closed: Vec<&Relation> = self.facts.chosen().filter(|relation| !relation.select).collect();
        if closed.is_empty() || (self.profile.method == Method::Cdc && !self.profile.initial_copy) {
            return;
        }
        self.record.select = closed.iter().map(|relation| relation.table()).collect();
        if matches!(self.profile.selection, Selection::Schemas(_)) {
            let mut schemas: Vec<&str> = closed.iter().map(|relation| relation.schema.as_str()).collect();
            schemas.dedup();
            for schema in schemas {
                let title = format!("Let {user} read the tables of {schema}");
                self.step(&title, "it has no SELECT", ddl::grant_select_all(schema, &user), "table owners");
            }
        } else {
            for relation in closed {
                let title = format!("Let {user} read {}", relation.table());
                let who = format!("table owner ({})", relation.owner);
                self.step(&title, "it has no SELECT", ddl::grant_select(&relation.table(), &user), &who);
            }
        }
    }

    fn default_privileges(&mut self) {
        let Selection::Schemas(wanted) = &self.profile.selection else { return };
        if self.reads_all() {
            return;
        }
        let user = self.user().to_owned();
        for (creator, schema) in uncovered_creators(self.facts.schemas.get().map_or(&[], Vec::as_slice), wanted) {
            self.record.defaults.push((creator.to_owned(), schema.name.clone()));
            let title = format!("Let {user} read what {creator} will create in {}", schema.name);
            let sql = ddl::default_select(creator, &schema.name, &user);
            self.step(&title, "new tables would be unreadable", sql, &format!("{creator}, or superuser"));
        }
    }

    fn row_security(&mut self) {
        if self.profile.method == Method::Cdc && !self.profile.initial_copy {
            return;
        }
        let user = self.user().to_owned();
        let hidden: Vec<&Relation> = self.facts.chosen().filter(|table| table.rls).collect();
        if hidden.iter().any(|table| table.rls_restricted) {
            self.record.bypass_rls = true;
            let why = "a restrictive policy hides rows of a chosen table, and no other policy can open it";
            let sql = ddl::alter_role_bypass_rls(&user);
            self.step(&format!("Exempt {user} from row-level security"), why, sql, "superuser");
            return;
        }
        for table in hidden.into_iter().filter(|table| !table.rls_open) {
            let name = table.table();
            self.record.policies.push(name.clone());
            let step = self.step(
                &format!("Let {user} see all rows of {name}"),
                "row-level security would hide rows from the copy",
                ddl::create_read_policy(&name, &user),
                &format!("table owner ({})", table.owner),
            );
            step.lock = Some("ACCESS EXCLUSIVE, for a moment".to_owned());
            step.unless = Some(format!(
                "EXISTS (SELECT FROM pg_catalog.pg_policies WHERE schemaname = {} AND tablename = {} AND policyname = {})",
                quote_literal(&name.schema),
                quote_literal(&name.name),
                quote_literal(ddl::READ_ALL_POLICY)
            ));
        }
    }

    fn identities(&mut self) {
        let ids = ["identity-usable", "identity-leaf-partitions", "publish-affects-others"];
        if !ids.into_iter().any(|id| self.blocked(id)) {
            return;
        }
        let major = self.facts.server.major();
        let bad = self.facts.relations().iter().filter(|table| {
            table.is_leaf() && table.publishable && !table.identity.usable() && (table.wanted || table.published)
        });
        for table in bad.collect::<Vec<_>>() {
            let name = table.table();
            let remedy = Remedy::for_table(table, major);
            let reason = identity::reason(table);
            let Some(sql) = remedy.sql(table) else {
                let text = format!("Add a primary key to {name}: {reason}, and FULL fails with generated columns.");
                self.plan.by_hand.push(text);
                continue;
            };
            let why = match remedy {
                Remedy::Full => format!("{reason} and no unique index without NULLs, so the whole row has to do"),
                Remedy::Index(index) => format!("{reason}; the unique index {index} can serve"),
                _ => format!("{reason}; its primary key can serve"),
            };
            let index = table.identity.index.clone().filter(|_| table.identity.setting == "i");
            let setting = table.identity.setting.clone();
            self.record.identities.push(Former { table: name.clone(), setting, index });
            let beside = if table.wanted { "" } else { " (not chosen, but in the publication)" };
            let who = format!("table owner ({})", table.owner);
            let step = self.step(&format!("Set the replica identity of {name}{beside}"), &why, sql, &who);
            step.lock = Some("ACCESS EXCLUSIVE, for a moment".to_owned());
        }
    }

    fn publication(&mut self) {
        let name = self.profile.publication.clone();
        let Some(existing) = self.facts.publication.get() else { return };
        let lock = Some("SHARE UPDATE EXCLUSIVE on the table; reads and writes go on".to_owned());
        let who = "superuser, or the tables' owner with CREATE on the database";
        if existing.is_none() {
            let tables: Vec<TableName> = publishable(self.facts).map(Relation::table).collect();
            if tables.is_empty() {
                return;
            }
            let sql = match (self.wishes.coverage, &self.profile.selection) {
                (Coverage::All, _) => ddl::create_publication_of_all(&name),
                (Coverage::Schemas, Selection::Schemas(schemas)) if self.facts.server.major() >= 15 => {
                    ddl::create_publication_of_schemas(&name, schemas)
                }
                _ => ddl::create_publication(&name, &tables),
            };
            let step = self.step(&format!("Create publication {name}"), "it is missing", sql, who);
            step.lock = lock;
            step.unless = Some(format!(
                "EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = {})",
                quote_literal(&name)
            ));
            let why = "walpilot script --undo reads it there";
            let title = format!("Note on publication {name} what was changed");
            self.step(&title, why, self.record.comment(&name), "publication owner");
            return;
        }
        let missing = publishable(self.facts).filter(|relation| !is_covered(relation, self.facts));
        for relation in missing.collect::<Vec<_>>() {
            let table = relation.table();
            let title = format!("Add {table} to publication {name}");
            let step = self.step(&title, "the publication does not cover it", ddl::add_table(&name, &table), who);
            step.lock.clone_from(&lock);
            step.unless = Some(format!(
                // Not pg_publication_tables: without publish_via_partition_root it lists the partitions in place of
                // the partitioned table that was added.
                "EXISTS (SELECT FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid \
                 JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE p.pubname = {} AND n.nspname = {} AND c.relname = {})",
                quote_literal(&name),
                quote_literal(&table.schema),
                quote_literal(&table.name)
            ));
        }
        for (id, sql) in [
            ("publication-operations", ddl::publish_everything(&name)),
            ("publication-via-root", ddl::publish_via_root(&name)),
        ] {
            if let Some(finding) = self.report.finding(id).filter(|finding| finding.status == Status::Warn) {
                // Others may read this publication: changing what it sends is theirs to decide.
                let text = format!("If nobody else relies on it, {}: {sql};", finding.summary);
                self.plan.by_hand.push(text);
            }
        }
    }

    fn slot(&mut self) {
        let name = self.profile.slot.clone();
        let bad_name = self.report.finding("slot-name-valid").is_none_or(|finding| finding.status != Status::Pass);
        if bad_name || self.facts.slots.get().is_none() || self.facts.slot(&name).is_some() {
            return;
        }
        if ["wal-level", "slots-free", "in-recovery"].into_iter().any(|id| self.blocked(id)) {
            let text =
                format!("The slot {name} can't be created yet; after what is said below run walpilot script again.");
            self.plan.by_hand.push(text);
            return;
        }
        let step = self.step(
            &format!("Create slot {name}"),
            "it is missing; waits until every transaction that has written is over",
            if self.wishes.failover && self.facts.server.major() >= 17 {
                ddl::create_failover_slot(&name)
            } else {
                ddl::create_slot(&name)
            },
            "the replicating role, or superuser",
        );
        step.unless = Some(format!(
            "EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = {})",
            quote_literal(&name)
        ));
    }

    /// What the report complains of and no statement in this database can mend.
    fn by_hand(&mut self) {
        for id in [
            "wal-level",
            "slots-free",
            "walsenders-free",
            "in-recovery",
            "replication-hba",
            "schema-exists",
            "table-exists",
            "relation-publishable",
            "slot-database",
            "slot-type",
            "slot-plugin",
            "slot-lost",
            "publication-after-slot",
            "prepared-transactions",
        ] {
            if !self.blocked(id) {
                continue;
            }
            let Some(finding) = self.report.finding(id) else { continue };
            let Some(fix) = finding.fixes.first() else { continue };
            let restart = if fix.restart { " Then restart the server." } else { "" };
            self.plan.by_hand.push(format!("{}: {}{restart}", finding.summary, fix.text));
        }
    }
}
