//! A change of the stream, joined to the table that it is for.

use std::sync::Arc;

use super::pgoutput::{Old, Row};
use super::relation::Target;

/// What happens to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
    Truncate,
}

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Insert(Arc<Target>, Row),
    Update(Arc<Target>, Option<Old>, Row),
    Delete(Arc<Target>, Old),
    /// Several tables, and whether their sequences begin anew.
    Truncate(Vec<Arc<Target>>, bool),
}

impl Change {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Insert(..) => Kind::Insert,
            Self::Update(..) => Kind::Update,
            Self::Delete(..) => Kind::Delete,
            Self::Truncate(..) => Kind::Truncate,
        }
    }

    /// The table; of a truncate the first.
    pub(super) fn target(&self) -> Option<&Arc<Target>> {
        match self {
            Self::Insert(target, _) | Self::Update(target, ..) | Self::Delete(target, _) => Some(target),
            Self::Truncate(targets, _) => targets.first(),
        }
    }
}
