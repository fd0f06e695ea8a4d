//! What has to be done before replication can start, in an order that works: role, grants, default privileges,
//! replica identity, publication **before** slot. Holds only what is missing, unless everything was wished for.
//!
//! The order is that of [`Stage`], and within the owners' stage by owner, so that each person runs one piece after the
//! other: the administrator makes the role, owners open and prepare their tables, the administrator publishes them,
//! the replicating role makes the slot.

mod identity;
mod manual;
mod notes;
mod publication;
mod rights;
mod role;
mod slot;

pub(super) use role::create as create_role;

use super::record::Record;
use super::step::{Person, Plan, Step};
use super::wishes::Wishes;
use crate::catalog::Facts;
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Report, evaluate};
use crate::profile::{Method, Profile};

/// Plans what `profile` needs and `facts` say is missing.
#[must_use]
pub fn plan(facts: &Facts, profile: &Profile, wishes: &Wishes) -> Plan {
    let mut planner = Planner {
        facts,
        profile,
        wishes,
        report: evaluate(facts, profile),
        stages: <[Vec<Step>; 4]>::default(),
        plan: Plan::default(),
        record: Record::default(),
    };
    planner.role();
    planner.connect();
    planner.schemas();
    planner.tables();
    planner.default_privileges();
    planner.row_security();
    if profile.method == Method::Cdc {
        planner.identities();
        planner.publication();
        planner.heartbeat();
        planner.slot();
    }
    planner.note_changes();
    planner.by_hand();
    planner.finish()
}

/// When a step is due.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The role and what belongs to the database.
    Role,
    /// What owners do to their schemas and tables.
    Owners,
    /// The publication.
    Publication,
    /// The slot.
    Slot,
}

struct Planner<'a> {
    facts: &'a Facts,
    profile: &'a Profile,
    wishes: &'a Wishes,
    report: Report,
    stages: [Vec<Step>; 4],
    plan: Plan,
    record: Record,
}

impl Planner<'_> {
    fn user(&self) -> &str {
        &self.profile.source.user
    }

    fn cdc(&self) -> bool {
        self.profile.method == Method::Cdc
    }

    /// Whether rows are read, not only changes.
    fn reads_rows(&self) -> bool {
        !self.cdc() || self.profile.initial_copy
    }

    /// Adds a step.
    fn step(&mut self, stage: Stage, step: Step) {
        self.stages[stage as usize].push(step);
    }

    /// Adds a step if it is `missing`, or if everything is wished for: then with the condition `there`, so that what
    /// exists by another way (a grant to PUBLIC, say) is not made a second time.
    fn step_if(&mut self, missing: bool, stage: Stage, step: Step, there: impl FnOnce() -> String) {
        if missing {
            self.step(stage, step);
        } else if self.wishes.all.is_some() {
            self.step(stage, step.unless(there()).exists(true));
        }
    }

    /// Whether the check `id` found a blocker.
    fn blocked(&self, id: &str) -> bool {
        self.report.finding(id).is_some_and(|finding| rank(finding) == Rank::Blocker)
    }

    /// Who acts as the owner `name`: an administrator who owns something does it along with the rest.
    fn owner(&self, name: &str) -> Person {
        let database = self.facts.database.get();
        // From PostgreSQL 15 on the schema public belongs to this role, whose only member is the database's owner.
        let name = match database.filter(|_| name == "pg_database_owner") {
            Some(database) => database.owner.as_str(),
            None => name,
        };
        let reader = &self.facts.reader;
        if reader.superuser && reader.name == name { Person::Administrator } else { Person::Owner(name.to_owned()) }
    }

    fn finish(mut self) -> Plan {
        // Stable: each owner's steps keep their order.
        self.stages[Stage::Owners as usize].sort_by(|a, b| a.person.owner().cmp(&b.person.owner()));
        self.plan.steps = self.stages.into_iter().flatten().collect();
        self.plan
    }
}
