//! The plan as a commented SQL file that works in psql as it stands.
//!
//! It stops at the first error, refuses to run in another database, gives up on locks before the application queues
//! behind them, and skips what was done already, so it can be run again after an error.

use std::fmt::Write;

use super::plan::Plan;
use crate::catalog::ident::quote_literal;
use crate::connection::printable;
use crate::profile::Profile;

/// Renders `plan` for `profile`.
#[must_use]
pub fn render(plan: &Plan, profile: &Profile) -> String {
    render_as("Setup script of walpilot: gets a source ready for replication.", plan, profile)
}

/// Renders the way back.
#[must_use]
pub fn render_undo(plan: &Plan, profile: &Profile) -> String {
    render_as("The way back from walpilot's setup script.", plan, profile)
}

fn render_as(what: &str, plan: &Plan, profile: &Profile) -> String {
    let mut text = String::new();
    let source = &profile.source;
    line(&mut text, &format!("-- {what}"));
    line(&mut text, &format!("-- Source: {source}, method {}.", profile.method.name()));
    if plan.is_empty() {
        line(&mut text, "-- Nothing is missing: there is nothing to run.");
        return text;
    }
    line(&mut text, &format!("-- Run it with psql as an administrator, in database {}.", printable(&source.database)));
    line(&mut text, "-- Passwords stand in it only as SCRAM-SHA-256 verifiers; treat it as confidential all the same.");
    if !plan.by_hand.is_empty() {
        line(&mut text, "--");
        line(&mut text, "-- To do by hand:");
        for note in &plan.by_hand {
            line(&mut text, &format!("--   * {}", printable(note)));
        }
    }
    if plan.steps.is_empty() {
        return text;
    }
    line(&mut text, "");
    line(&mut text, "\\set ON_ERROR_STOP on");
    line(&mut text, "SET lock_timeout = '2s';");
    line(&mut text, "SET standard_conforming_strings = on;");
    line(&mut text, &right_database(&source.database));
    for (at, step) in plan.steps.iter().enumerate() {
        line(&mut text, "");
        line(&mut text, &format!("-- {}. {}: {}.", at + 1, printable(&step.title), printable(&step.why)));
        let lock = step.lock.as_ref().map_or_else(String::new, |lock| format!(" Lock: {}.", printable(lock)));
        line(&mut text, &format!("--    Who: {}.{lock}", printable(&step.who)));
        match &step.unless {
            None => line(&mut text, &format!("{};", step.sql)),
            Some(done) => {
                line(&mut text, &format!("SELECT NOT {done} AS walpilot_missing \\gset"));
                line(&mut text, "\\if :walpilot_missing");
                line(&mut text, &format!("  {};", step.sql));
                line(&mut text, "\\endif");
            }
        }
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing into a String can't fail.
    let _ = writeln!(text, "{line}");
}

/// A statement that fails in any other database: the tables of a script belong to one.
fn right_database(database: &str) -> String {
    let literal = quote_literal(database);
    let mut tag = "walpilot".to_owned();
    while literal.contains(&format!("${tag}$")) {
        tag.push('_');
    }
    format!(
        "DO ${tag}$ BEGIN IF current_database() <> {literal} THEN RAISE EXCEPTION 'this script is for another database'; \
         END IF; END ${tag}$;"
    )
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Plan, Step};
    use super::render;
    use crate::connection::Settings;
    use crate::profile::Profile;

    fn step(title: &str, unless: Option<&str>) -> Step {
        Step {
            title: title.to_owned(),
            why: "it is missing".to_owned(),
            sql: "SELECT 1".to_owned(),
            who: "superuser".to_owned(),
            lock: None,
            unless: unless.map(str::to_owned),
        }
    }

    #[test]
    fn comments_can_not_be_broken_out_of() {
        let plan =
            Plan { steps: vec![step("x\n; DROP TABLE t; --", None)], by_hand: vec!["a\r\nDROP TABLE t;".to_owned()] };
        let profile = Profile::new(Settings { user: "r\nDROP".to_owned(), ..Settings::default() });
        let text = render(&plan, &profile);
        assert!(text.lines().all(|line| !line.starts_with("DROP") && !line.starts_with(';')), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }

    #[test]
    fn what_can_not_be_run_twice_is_guarded() {
        let plan = Plan { steps: vec![step("a", Some("EXISTS (SELECT 1)")), step("b", None)], by_hand: Vec::new() };
        let text = render(&plan, &Profile::new(Settings::default()));
        assert!(text.contains("\\if :walpilot_missing\n  SELECT 1;\n\\endif"), "{text}");
        assert!(text.ends_with("\nSELECT 1;\n"), "{text}");
    }

    #[test]
    fn an_empty_plan_is_only_comments() {
        let text = render(&Plan::default(), &Profile::new(Settings::default()));
        assert!(text.lines().all(|line| line.starts_with("--")) && text.contains("Nothing is missing"), "{text}");
    }
}
