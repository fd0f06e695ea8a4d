//! Why a check is not judged: another one owns the cause. One mistake is then reported once.

use super::outcome::Outcome;
use crate::catalog::facts::{Publication, Role, Slot};
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

/// The relations were not read: every check on them says so by this.
pub(crate) fn relations_unseen(facts: &Facts) -> Option<Outcome> {
    match &facts.relations {
        Seen::Yes(_) => None,
        Seen::No(reason) => Some(Outcome::unseen("the tables", reason, None)),
    }
}
