//! Why a check is not judged: another one owns the cause. One mistake is then reported once.

use super::outcome::Outcome;
use crate::catalog::facts::{Cluster, Publication, Role, Slot};
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
    facts.slot(&profile.slot).ok_or_else(|| Outcome::skipped("slot-exists", "the slot does not exist"))
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
        Seen::No(reason) => Err(Outcome::unseen("the cluster", reason, None)),
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
        Seen::No(reason) => Some(Outcome::unseen("the tables", reason, None)),
    }
}

/// Whether the publication holds nothing, and no whole schemas either.
pub(crate) fn publication_is_empty(facts: &Facts) -> bool {
    facts.the_publication().is_some_and(|one| !one.puballtables && !one.by_schema)
        && facts.members.get().is_some_and(Vec::is_empty)
}
