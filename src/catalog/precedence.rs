//! Which of a slot and its publication came first, as far as transaction ids and positions tell.

use super::facts::{Facts, Slot};

/// Between the start of a slot's creation and its consistent point lies nothing but one record of running transactions,
/// when no transaction was running (`xl_running_xacts` without ids is 56 bytes long).
const QUIET_START: u64 = 128;

/// Whether the publication may be younger than the slot: its row is younger than the oldest catalog row that the slot
/// still needs, and so is each of its tables' places (ALTER PUBLICATION makes the row young, but not these).
#[must_use]
pub fn suspected(facts: &Facts, slot: &Slot) -> bool {
    let (Some(publication), Some(age)) = (facts.the_publication(), slot.catalog_age) else { return false };
    let members = facts.members.get().map_or(&[][..], Vec::as_slice);
    publication.age <= age && members.iter().all(|member| member.age <= age)
}

/// Whether the slot's horizon is its own and of the moment of its creation: it was never read, it was made while no
/// transaction was running, and no other slot holds the horizon back.
#[must_use]
pub fn horizon_is_exact(facts: &Facts, slot: &Slot) -> bool {
    let alone = facts.slots.get().is_some_and(|all| all.iter().filter(|one| one.catalog_age.is_some()).count() == 1);
    let gap = match (slot.restart_lsn, slot.confirmed_flush_lsn) {
        (Some(start), Some(consistent)) => consistent.0.saturating_sub(start.0),
        _ => u64::MAX,
    };
    alone && !slot.active && slot.decoded_bytes == Some(0) && gap <= QUIET_START
}
