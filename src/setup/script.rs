//! The plan as a commented SQL file that works in psql as it stands.
//!
//! It stops at the first error, refuses to run in another database, gives up on locks before the application queues
//! behind them, and skips what was done already, so it can be run again after an error.

use std::fmt::Write;

use super::condition;
use super::parts::Part;
use super::step::{Form, Person, Plan, Step};
use crate::catalog::ident::quote_literal;
use crate::connection::printable;
use crate::profile::Profile;

const FORTH: &str = "Setup script of walpilot: gets a source ready for replication.";
const BACK: &str = "The way back from walpilot's setup script.";

/// Renders `plan` for `profile`, to be run by one administrator.
#[must_use]
pub fn render(plan: &Plan, profile: &Profile) -> String {
    Page::new(FORTH, profile).whole(plan)
}

/// Renders the way back.
#[must_use]
pub fn render_undo(plan: &Plan, profile: &Profile) -> String {
    Page::new(BACK, profile).whole(plan)
}

/// Renders what one person runs; `undo` says which way it goes.
#[must_use]
pub fn render_part(part: &Part, profile: &Profile, undo: bool) -> String {
    Page::new(if undo { BACK } else { FORTH }, profile).part(part)
}

/// A script that is being written.
struct Page<'a> {
    text: String,
    profile: &'a Profile,
}

impl<'a> Page<'a> {
    fn new(what: &str, profile: &'a Profile) -> Self {
        let mut page = Self { text: String::new(), profile };
        page.line(&format!("-- {what}"));
        page.line(&format!("-- Source: {}, method {}.", profile.source, profile.method.name()));
        page
    }

    fn line(&mut self, line: &str) {
        // Writing into a String can't fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn whole(mut self, plan: &Plan) -> String {
        if plan.is_empty() {
            self.line("-- Nothing is missing: there is nothing to run.");
            return self.text;
        }
        let database = printable(&self.profile.source.database).into_owned();
        self.line(&format!("-- Run it with psql as an administrator, in database {database}."));
        self.body(plan);
        self.text
    }

    fn part(mut self, part: &Part) -> String {
        let database = printable(&self.profile.source.database).into_owned();
        let who = match &part.person {
            Person::Administrator => "an administrator".to_owned(),
            Person::Owner(name) => format!("{0}, or as a role that has {0}'s rights", printable(name)),
            Person::Replication => format!("{}, the replicating role", printable(&self.profile.source.user)),
        };
        let after = if part.number > 1 { format!(", after part {}", part.number - 1) } else { String::new() };
        self.line(&format!("-- Part {} of {}.", part.number, part.of));
        self.line(&format!("-- Run it with psql as {who}, in database {database}{after}."));
        self.body(&part.plan);
        self.text
    }

    fn body(&mut self, plan: &Plan) {
        self.line("-- Passwords stand in it only as SCRAM-SHA-256 verifiers; treat it as confidential all the same.");
        self.by_hand(plan);
        if plan.steps.is_empty() {
            return;
        }
        self.line("");
        self.line("\\set ON_ERROR_STOP on");
        self.line("SET lock_timeout = '2s';");
        self.line("SET standard_conforming_strings = on;");
        let here = format!("current_database() = {}", quote_literal(&self.profile.source.database));
        self.line(&format!("{};", condition::demand(&here, "this script is for another database")));
        for (at, step) in plan.steps.iter().enumerate() {
            self.step(at + 1, step);
        }
    }

    fn by_hand(&mut self, plan: &Plan) {
        if plan.by_hand.is_empty() {
            return;
        }
        self.line("--");
        self.line("-- To do by hand:");
        for note in &plan.by_hand {
            for (at, line) in note.lines().enumerate() {
                let indent = if at == 0 { "  * " } else { "      " };
                self.line(&format!("--{indent}{}", printable(line)));
            }
        }
    }

    fn step(&mut self, number: usize, step: &Step) {
        let exists = if step.exists { " (exists already)" } else { "" };
        self.line("");
        self.line(&format!("-- {number}. {}{exists}: {}.", printable(&step.title), printable(&step.why)));
        let lock = step.lock.as_ref().map_or_else(String::new, |lock| format!(" Lock: {}.", printable(lock)));
        self.line(&format!("--    Who: {}.{lock}", printable(&step.who)));
        let Some(done) = &step.unless else {
            self.statement("", step);
            return;
        };
        self.line(&format!("SELECT NOT ({done}) AS walpilot_missing \\gset"));
        self.line("\\if :walpilot_missing");
        self.statement("  ", step);
        self.line("\\endif");
    }

    fn statement(&mut self, indent: &str, step: &Step) {
        if let Some(guard) = &step.guard {
            self.line(&format!("{indent}{guard};"));
        }
        // Nobody queues behind a slot, so that it may wait for the transactions that are under way.
        let waits = step.sql.contains("pg_create_logical_replication_slot");
        if waits {
            self.line(&format!("{indent}SET lock_timeout = '10min';"));
        }
        match step.form {
            Form::Statement => self.line(&format!("{indent}{};", step.sql)),
            Form::Remembers => self.line(&format!("{indent}{} \\gset", step.sql)),
            Form::Writes => self.line(&format!("{indent}{} \\gexec", step.sql)),
            Form::AsksPassword => {
                // The server makes the verifier; PostgreSQL 13 would make an MD5 hash unless it is told.
                self.line(&format!("{indent}\\if :{{?walpilot_password}}"));
                self.line(&format!("{indent}\\else"));
                self.line(&format!("{indent}  \\prompt 'Password of the new role: ' walpilot_password"));
                self.line(&format!("{indent}\\endif"));
                self.line(&format!("{indent}SET password_encryption = 'scram-sha-256';"));
                self.line(&format!("{indent}{};", step.sql));
            }
        }
        if waits {
            self.line(&format!("{indent}SET lock_timeout = '2s';"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::connection::Settings;
    use crate::profile::Profile;
    use crate::setup::step::{Form, Person, Plan, Step};

    fn step(title: &str, unless: Option<&str>) -> Step {
        let step = Step::new(Person::Administrator, title, "it is missing", "SELECT 1".to_owned(), "superuser");
        Step { unless: unless.map(str::to_owned), ..step }
    }

    #[test]
    fn comments_can_not_be_broken_out_of() {
        let mut plan = Plan { steps: vec![step("x\n; DROP TABLE t; --", None)], by_hand: Vec::new() };
        plan.note("a\r\nDROP TABLE t;", ["b\nDROP TABLE t;"]);
        let profile = Profile::new(Settings { user: "r\nDROP".to_owned(), ..Settings::default() });
        let text = render(&plan, &profile);
        assert!(text.lines().all(|line| !line.starts_with("DROP") && !line.starts_with(';')), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }

    #[test]
    fn what_can_not_be_run_twice_is_guarded() {
        let guarded = step("a", Some("EXISTS (SELECT 1)")).guard(Some("DO $$ BEGIN END $$".to_owned()));
        let plan = Plan { steps: vec![guarded, step("b", None)], by_hand: Vec::new() };
        let text = render(&plan, &Profile::new(Settings::default()));
        assert!(text.contains("SELECT NOT (EXISTS (SELECT 1)) AS walpilot_missing \\gset"), "{text}");
        assert!(text.contains("\\if :walpilot_missing\n  DO $$ BEGIN END $$;\n  SELECT 1;\n\\endif"), "{text}");
        assert!(text.ends_with("\nSELECT 1;\n"), "{text}");
    }

    #[test]
    fn psql_is_told_to_ask_and_to_run_what_a_query_writes() {
        let forms = [Form::AsksPassword, Form::Writes].map(|form| step("a", None).form(form));
        let text = render(&Plan { steps: forms.to_vec(), by_hand: Vec::new() }, &Profile::new(Settings::default()));
        assert!(text.contains("\\if :{?walpilot_password}\n\\else\n  \\prompt "), "{text}");
        assert!(text.ends_with("\nSELECT 1 \\gexec\n"), "{text}");
    }

    #[test]
    fn an_empty_plan_is_only_comments() {
        let text = render(&Plan::default(), &Profile::new(Settings::default()));
        assert!(text.lines().all(|line| line.starts_with("--")) && text.contains("Nothing is missing"), "{text}");
    }
}
