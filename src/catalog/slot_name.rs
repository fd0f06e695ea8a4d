//! Names of replication slots.

/// The longest name of a slot, in bytes (`NAMEDATALEN` - 1).
const NAME_BYTES: usize = 63;
/// What the name of a slot for reading a backlog ends with.
const BACKLOG: &str = "_backlog";

/// The name of the temporary slot with which `walpilot run` reads the backlog of `slot`: always the same, so that two can't do
/// it at once, and whoever watches the slot sees that it is being read.
#[must_use]
pub fn backlog_slot(slot: &str) -> String {
    // The name of a slot has only characters of one byte (PostgreSQL documentation, "Replication Slots").
    let kept: String = slot.chars().take(NAME_BYTES - BACKLOG.len()).collect();
    format!("{kept}{BACKLOG}")
}

#[cfg(test)]
mod tests {
    use super::{NAME_BYTES, backlog_slot};

    #[test]
    fn the_name_fits_and_begins_as_that_of_the_slot() {
        assert_eq!(backlog_slot("shop"), "shop_backlog");
        let longest = backlog_slot(&"s".repeat(NAME_BYTES));
        assert_eq!(longest.len(), NAME_BYTES);
        assert!(longest.ends_with("ss_backlog"));
    }
}
