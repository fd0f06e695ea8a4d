//! What has to be done before replication can start, in an order that works: role, grants, default privileges,
//! replica identity, publication **before** slot. Holds only what is missing.

use crate::catalog::Facts;
use crate::connection::Secret;
use crate::profile::Profile;

/// Choices that the facts can't answer.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// The password of the role, if it has to be created; it is written as a SCRAM-SHA-256 verifier.
    pub role_password: Option<Secret>,
}

/// One statement with what a careful administrator wants to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
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
}

/// The steps, in order. Empty when nothing is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Statements in the order in which they have to run.
    pub steps: Vec<Step>,
    /// What walpilot can't do by SQL in this database (a restart, a provider's console), in words.
    pub by_hand: Vec<String>,
}

/// Plans what `profile` needs and `facts` say is missing.
#[must_use]
pub fn plan(facts: &Facts, profile: &Profile, options: &PlanOptions) -> Plan {
    let _ = (facts, profile, options);
    unimplemented!()
}
