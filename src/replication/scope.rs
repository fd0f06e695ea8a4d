//! What a stream knows about its tables when it starts.

use std::collections::{HashMap, HashSet};

use super::look::Look;
use super::membership::Membership;
use crate::catalog::Lsn;
use crate::profile::TableName;

/// What the applying task is told at its start.
pub(super) struct Scope {
    /// Tables whose rows are at the destination.
    pub(super) tables: HashMap<TableName, InScope>,
    /// Tables whose changes are not this stream's to apply.
    pub(super) elsewhere: Elsewhere,
    /// What is published at this moment.
    pub(super) look: Look,
    /// The transaction with this commit record begins a destination transaction of its own.
    pub(super) fence: Option<Lsn>,
    /// Each of the first transactions is one at the destination, too: one of them may be refused there, and what comes
    /// before it may fit only as long as the destination is as it is.
    pub(super) apart: bool,
}

impl Scope {
    /// Whether somebody else applies the changes of `table`.
    pub(super) fn is_elsewhere(&self, table: &TableName) -> bool {
        match &self.elsewhere {
            Elsewhere::Joining(names) => names.contains(table),
            Elsewhere::Others => !self.tables.contains_key(table),
        }
    }
}

/// Tables whose changes somebody else applies.
#[derive(Clone, Debug)]
pub(super) enum Elsewhere {
    /// In the run's stream: tables that are copied at this time.
    Joining(HashSet<TableName>),
    /// In the stream of a copy: all others.
    Others,
}

/// A table whose rows are at the destination.
#[derive(Clone)]
pub(super) struct InScope {
    /// The position of its copy.
    pub(super) from: Lsn,
    /// Its place in the progress.
    pub(super) place: usize,
    /// As what it was published when the run began.
    pub(super) membership: Membership,
}
