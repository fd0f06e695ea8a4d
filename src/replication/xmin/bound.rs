//! Which rows have to be read, by their 32-bit `xmin` against a 64-bit bound. Pure.

use crate::catalog::Lsn;

/// A transaction id with its epoch (`xid8`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Xid(pub(super) u64);

impl Xid {
    /// As PostgreSQL stores it where there is no `xid8` to bind: ids stay below 2^63.
    pub(super) fn as_bigint(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    pub(super) fn from_bigint(value: i64) -> Self {
        Self(u64::try_from(value).unwrap_or_default())
    }
}

/// A snapshot: everything below `xmin` has ended, nothing at or above `xmax` is visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) xmin: Xid,
    pub(super) xmax: Xid,
    /// Everything that is visible had been logged before this position, and survives a crash.
    pub(super) seen: Lsn,
}

/// From this distance on a 32-bit `xmin` can't be compared any more. PostgreSQL's own limit is 2^31; the eighth below it
/// is for transactions that begin between the snapshot and the comparison.
const COMPARABLE: u64 = (1 << 31) - (1 << 28);

/// What of a relation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// All rows: nothing was read before, or it can't be told what is new.
    Everything,
    /// Rows written by this transaction or a later one.
    Since(Xid),
}

impl Reading {
    /// What has to be read when everything below `bound` is known to be there.
    pub(super) fn of(bound: Option<Xid>, snapshot: Snapshot) -> Self {
        match bound {
            // A bound beyond the snapshot comes from a history that this server does not have.
            Some(bound) if bound <= snapshot.xmax && snapshot.xmax.0 - bound.0 < COMPARABLE => Self::Since(bound),
            _ => Self::Everything,
        }
    }

    /// The condition in SQL; `None` for all rows.
    ///
    /// `age(xid)` is the distance to the next id, in signed 32-bit arithmetic, and stands still within a transaction.
    /// Rows at or above the bound are no older than the bound, and none is younger than 0. Frozen rows keep their
    /// `xmin` (since 9.4), so one from an earlier epoch may look as new as these: it is read again for nothing, while
    /// a new row can never look old.
    pub(super) fn condition(self) -> Option<String> {
        match self {
            Self::Everything => None,
            // The low half is a normal id: 0, 1 and 2 are never given out, in any epoch.
            Self::Since(Xid(bound)) => {
                Some(format!("pg_catalog.age(xmin) BETWEEN 0 AND pg_catalog.age('{}'::xid)", bound & 0xffff_ffff))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{COMPARABLE, Reading, Snapshot, Xid};

    fn snapshot(xmax: u64) -> Snapshot {
        Snapshot { xmin: Xid(xmax - 1), xmax: Xid(xmax), ..Snapshot::default() }
    }

    #[test]
    fn what_can_not_be_compared_is_read_as_a_whole() {
        let at = 5 * (1_u64 << 32) + 100;
        for (bound, expected) in [
            (None, Reading::Everything),
            (Some(at), Reading::Since(Xid(at))),
            (Some(at - 1), Reading::Since(Xid(at - 1))),
            // Across the end of an epoch.
            (Some(at - 1_000), Reading::Since(Xid(at - 1_000))),
            (Some(at - COMPARABLE + 1), Reading::Since(Xid(at - COMPARABLE + 1))),
            (Some(at - COMPARABLE), Reading::Everything),
            (Some(at - (1 << 32)), Reading::Everything),
            (Some(3), Reading::Everything),
            // The server's ids went back.
            (Some(at + 1), Reading::Everything),
        ] {
            assert_eq!(Reading::of(bound.map(Xid), snapshot(at)), expected, "{bound:?}");
        }
    }

    #[test]
    fn the_condition_has_the_low_half_of_the_bound() {
        assert_eq!(Reading::Everything.condition(), None);
        let condition = Reading::Since(Xid((7 << 32) + 4_294_967_295)).condition().expect("a condition");
        assert!(condition.contains("'4294967295'::xid"), "{condition}");
    }
}
