//! Whether the source is the one that was read before, and whether its history goes on from there. Pure.

use super::snapshot::Identity;
use super::state::Remembered;
use crate::connection::printable;
use crate::replication::halt::{Halt, Side};

/// What follows from comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Continuation {
    /// Its history goes on from what was read.
    Same,
    /// It is the same cluster, but the same transaction ids may mean other transactions now. One sentence with the
    /// reason.
    Again(String),
}

/// Compares the source with what is remembered of it.
///
/// # Errors
/// When it is another source, or a standby that is behind what was read.
pub(super) fn compare(remembered: &Remembered, now: &Identity, slot: &str) -> Result<Continuation, Halt> {
    if remembered.system_identifier != now.system_identifier || remembered.database != now.database {
        return Err(Halt::refused(format!(
            "The destination holds rows of another source under the name {slot}: cluster {}, database {}; this one is \
             cluster {}, database {}. (pg_upgrade makes a new cluster as well.) Use another name (--slot), or start with \
             --copy-again, which empties the tables and reads everything anew.",
            printable(&remembered.system_identifier),
            printable(&remembered.database),
            printable(&now.system_identifier),
            printable(&now.database),
        )));
    }
    if remembered.timeline != now.timeline {
        return Ok(Continuation::Again(format!(
            "The source is on timeline {} and was on timeline {} before (a standby was promoted or a backup restored): \
             everything is read again. Rows that only the old line had stay until --reconcile.",
            now.timeline, remembered.timeline
        )));
    }
    if remembered.seen <= now.position {
        return Ok(Continuation::Same);
    }
    if now.standby {
        return Err(Halt::Lost(
            Side::Source,
            format!(
                "the standby has replayed up to {}, and the destination holds what was committed up to {}",
                now.position, remembered.seen
            ),
        ));
    }
    Ok(Continuation::Again(format!(
        "The source's log ends at {}, before {} where it was read last (it was restored from an older state): everything \
         is read again. Rows that only the lost state had stay until --reconcile.",
        now.position, remembered.seen
    )))
}

#[cfg(test)]
mod tests {
    use super::{Continuation, Identity, Remembered, compare};
    use crate::catalog::Lsn;
    use crate::replication::halt::Halt;

    #[test]
    fn another_history_is_read_again_and_another_source_is_refused() {
        let remembered = Remembered {
            system_identifier: "7".into(),
            timeline: 1,
            database: "shop".into(),
            method: "xmin".into(),
            seen: Lsn(100),
        };
        let same = Identity {
            system_identifier: "7".into(),
            timeline: 1,
            database: "shop".into(),
            standby: false,
            position: Lsn(100),
        };
        let compare = |now: &Identity| compare(&remembered, now, "s");
        assert!(matches!(compare(&same), Ok(Continuation::Same)));
        for other in [
            Identity { system_identifier: "8".into(), ..same.clone() },
            Identity { database: "other".into(), ..same.clone() },
        ] {
            let Err(Halt::Refused(text)) = compare(&other) else { panic!("{other:?} was accepted") };
            assert!(text.contains("--copy-again"), "{text}");
        }
        for (other, word) in [
            (Identity { timeline: 2, ..same.clone() }, "timeline"),
            (Identity { timeline: 2, position: Lsn(5), standby: true, ..same.clone() }, "timeline"),
            (Identity { position: Lsn(99), ..same.clone() }, "restored"),
        ] {
            let Ok(Continuation::Again(text)) = compare(&other) else { panic!("{other:?}") };
            assert!(text.contains(word), "{text}");
        }
        let behind = Identity { position: Lsn(99), standby: true, ..same };
        assert!(matches!(compare(&behind), Err(Halt::Lost(..))));
    }
}
