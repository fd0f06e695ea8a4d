//! The replicating role and its attributes.

use super::{Planner, Stage};
use crate::catalog::ddl;
use crate::catalog::facts::Role;
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::setup::condition;
use crate::setup::step::{Form, Person, Step};
use crate::setup::wishes::Password;

const ADMIN: &str = "superuser";

impl Planner<'_> {
    /// The role, its attributes, and the roles that it is a member of.
    pub(super) fn role(&mut self) {
        let user = self.user().to_owned();
        let role = self.facts.role.as_ref();
        self.record.role = role.is_none();
        let (step, password) = create(&user, self.cdc() && !self.on_rds(), &self.wishes.password);
        self.step_if(role.is_none(), Stage::Role, step, || condition::role(&user));
        if role.is_none() && !password {
            let hint = format!("Give the new role a password, in psql: \\password {}", quote_ident(&user));
            self.plan.note(&hint, []);
        }
        if role.is_some_and(|role| !role.login) {
            self.record.login = true;
            let sql = format!("ALTER ROLE {} LOGIN", quote_ident(&user));
            let step = Step::new(Person::Administrator, &format!("Let {user} log in"), "it may not", sql, ADMIN);
            self.step(Stage::Role, step);
        }
        self.replication(role);
        self.monitor();
        self.bypass_row_security();
    }

    /// On Amazon RDS a membership stands in for the attribute, which nobody there may set.
    fn on_rds(&self) -> bool {
        self.facts.provider.grants_rds_replication()
    }

    fn replication(&mut self, role: Option<&Role>) {
        let user = self.user().to_owned();
        let title = format!("Let {user} replicate");
        if !self.cdc() {
        } else if self.on_rds() {
            let missing = !role.is_some_and(Role::may_replicate);
            if missing {
                self.record.groups.push("rds_replication".to_owned());
            }
            let why = "on this platform the membership stands in for REPLICATION";
            let sql = ddl::grant_role("rds_replication", &user);
            let step = Step::new(Person::Administrator, &title, why, sql, "a member of rds_superuser");
            self.step_if(missing, Stage::Role, step, || condition::membership(&user, "rds_replication"));
        } else if role.is_some_and(|role| !role.may_replicate()) {
            self.record.replication = true;
            let sql = ddl::alter_role_replication(&user);
            let who = "superuser; from PostgreSQL 16 on also a role with CREATEROLE and REPLICATION";
            let step = Step::new(Person::Administrator, &title, "it lacks REPLICATION", sql, who);
            self.step(Stage::Role, step);
        }
    }

    fn monitor(&mut self) {
        if !self.profile.setup.monitor {
            return;
        }
        let missing = !self.facts.cluster.get().is_some_and(|cluster| cluster.role_monitors);
        let user = self.user().to_owned();
        if missing {
            self.record.groups.push("pg_monitor".to_owned());
        }
        let why = "it was wished; the grant lets it look, and change nothing";
        let title = format!("Let {user} see other sessions and all settings");
        let step = Step::new(Person::Administrator, &title, why, ddl::grant_role("pg_monitor", &user), ADMIN);
        self.step_if(missing, Stage::Role, step, || condition::membership(&user, "pg_monitor"));
    }

    fn bypass_row_security(&mut self) {
        if !self.reads_rows() || !self.facts.chosen().any(|table| table.rls && table.rls_restricted) {
            return;
        }
        let user = self.user().to_owned();
        self.record.bypass_rls = true;
        let why = "a restrictive policy hides rows of a chosen table, and no other policy can open it";
        let title = format!("Exempt {user} from row-level security");
        let step = Step::new(Person::Administrator, &title, why, ddl::alter_role_bypass_rls(&user), ADMIN);
        self.step(Stage::Role, step);
    }
}

/// The statement that creates the role, and whether that gives it a password.
pub(in crate::setup) fn create(user: &str, replication: bool, password: &Password) -> (Step, bool) {
    let replication = if replication { " REPLICATION" } else { "" };
    let (clause, form) = match password {
        Password::Later => (String::new(), Form::Statement),
        // The verifier lets the server check the password; nobody can log in with it.
        Password::Verifier(password) => {
            let verifier = postgres_protocol::password::scram_sha_256(password.reveal().as_bytes());
            (format!(" PASSWORD {}", quote_literal(&verifier)), Form::Statement)
        }
        Password::Asked => (" PASSWORD :'walpilot_password'".to_owned(), Form::AsksPassword),
    };
    let sql = format!("CREATE ROLE {} LOGIN{replication}{clause}", quote_ident(user));
    let step = Step::new(Person::Administrator, &format!("Create role {user}"), "it does not exist", sql, ADMIN);
    (step.form(form).unless(condition::role(user)), !clause.is_empty())
}
