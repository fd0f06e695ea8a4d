//! Why a check is not judged: another one owns the cause. One mistake is then reported once.

use std::collections::BTreeMap;

use super::outcome::Outcome;
use super::unseen::{Part, unseen};
use crate::catalog::facts::{Cluster, Column, Publication, Relation, Role, Slot};
use crate::catalog::{Facts, Seen};
use crate::profile::Profile;

/// The replicating role.
pub(crate) fn role(facts: &Facts) -> Result<&Role, Outcome> {
    facts.role.as_ref().ok_or_else(|| Outcome::skipped("connect-auth", "the role does not exist"))
}

/// Logical decoding is impossible, so a slot can be neither made nor blamed.
pub(crate) fn no_decoding(facts: &Facts) -> Option<Outcome> {
    if facts.setting("wal_level").is_some_and(|level| level != "logical") {
        return Some(Outcome::skipped("wal-level", "wal_level is not logical"));
    }
    if facts.server.in_recovery && facts.server.major() < 16 {
        return Some(Outcome::skipped("in-recovery", "the server is a standby"));
    }
    None
}

/// The profile's slot.
pub(crate) fn slot<'a>(facts: &'a Facts, profile: &Profile) -> Result<&'a Slot, Outcome> {
    match &facts.slots {
        Seen::No(_) => Err(Outcome::skipped("slot-exists", "the slots can't be seen")),
        Seen::Yes(_) => {
            facts.slot(&profile.slot).ok_or_else(|| Outcome::skipped("slot-exists", "the slot does not exist"))
        }
    }
}

/// What `judge` says of the profile's slot; where there is none, the check is skipped.
pub(crate) fn on_slot(facts: &Facts, profile: &Profile, judge: impl FnOnce(&Slot) -> Outcome) -> Option<Outcome> {
    Some(slot(facts, profile).map_or_else(|skipped| skipped, judge))
}

/// All slots of the cluster.
pub(crate) fn slots(facts: &Facts) -> Result<&[Slot], Outcome> {
    match &facts.slots {
        Seen::Yes(slots) => Ok(slots),
        Seen::No(reason) => Err(unseen(facts, Part::Slots, reason)),
    }
}

/// The profile's publication.
pub(crate) fn publication(facts: &Facts) -> Result<&Publication, Outcome> {
    match &facts.publication {
        Seen::Yes(Some(publication)) => Ok(publication),
        Seen::Yes(None) => Err(Outcome::skipped("publication-exists", "the publication does not exist")),
        Seen::No(_) => Err(Outcome::skipped("publication-exists", "the publication can't be seen")),
    }
}

/// What surrounds the tables.
pub(crate) fn cluster(facts: &Facts) -> Result<&Cluster, Outcome> {
    match &facts.cluster {
        Seen::Yes(cluster) => Ok(cluster),
        Seen::No(reason) => Err(unseen(facts, Part::Cluster, reason)),
    }
}

/// The columns that were read.
pub(crate) fn columns(facts: &Facts) -> Result<&[Column], Outcome> {
    match &facts.columns {
        Seen::Yes(columns) => Ok(columns),
        Seen::No(reason) => Err(unseen(facts, Part::Columns, reason)),
    }
}

/// Whether a Boolean setting's text means yes, as the server reads it.
pub(crate) fn is_on(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "yes" | "1" | "t" | "y")
}

/// Whether a time limit's text means none: nought in any unit.
pub(crate) fn switched_off(value: &str) -> bool {
    let digits = value.trim().trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    digits.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// Seconds for people, with a decimal while they are few.
pub(crate) fn in_words(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{seconds:.1} s");
    }
    #[expect(clippy::cast_possible_truncation, reason = "saturating, and for people")]
    super::outcome::duration(seconds as i64)
}

/// The relations were not read: every check on them says so by this.
pub(crate) fn relations_unseen(facts: &Facts) -> Option<Outcome> {
    match &facts.relations {
        Seen::Yes(_) => None,
        Seen::No(reason) => Some(unseen(facts, Part::Relations, reason)),
    }
}

/// The relations by their OID, and what is above and below them. Making it takes one pass; a check that asks of many
/// tables makes it once.
pub(crate) struct Tree<'a> {
    by_oid: BTreeMap<u32, &'a Relation>,
    below: BTreeMap<u32, Vec<&'a Relation>>,
}

impl<'a> Tree<'a> {
    /// All relations that were read.
    pub(crate) fn of(facts: &'a Facts) -> Self {
        let by_oid = facts.relations().iter().map(|one| (one.oid, one)).collect();
        let mut below: BTreeMap<u32, Vec<&Relation>> = BTreeMap::new();
        for one in facts.relations() {
            if let Some(parent) = one.parent {
                below.entry(parent).or_default().push(one);
            }
        }
        Self { by_oid, below }
    }

    /// The relation of that OID.
    pub(crate) fn get(&self, oid: u32) -> Option<&'a Relation> {
        self.by_oid.get(&oid).copied()
    }

    /// Its partitions, one level down.
    pub(crate) fn partitions(&self, oid: u32) -> &[&'a Relation] {
        self.below.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// It, what it is a partition of, and so on up.
    pub(crate) fn with_ancestors(&self, table: &'a Relation) -> impl Iterator<Item = &'a Relation> {
        std::iter::successors(Some(table), |one| self.get(one.parent?))
    }

    /// The tables that hold the rows of a relation: itself, or the partitions below it.
    pub(crate) fn leaves(&self, oid: u32) -> Vec<&'a Relation> {
        let mut leaves = Vec::new();
        let mut todo: Vec<&Relation> = self.get(oid).into_iter().collect();
        while let Some(one) = todo.pop() {
            if one.is_leaf() {
                leaves.push(one);
            }
            todo.extend(self.partitions(one.oid));
        }
        leaves.sort_by_key(|one| (&one.schema, &one.name));
        leaves
    }
}

/// Whether the publication holds nothing, and no whole schemas either.
pub(crate) fn publication_is_empty(facts: &Facts) -> bool {
    facts.the_publication().is_some_and(|one| !one.puballtables && !one.by_schema)
        && facts.members.get().is_some_and(Vec::is_empty)
}
