//! What a run knows about its tables when the stream starts.

use std::collections::HashMap;

use super::look::Look;
use super::membership::Membership;
use crate::catalog::Lsn;
use crate::profile::TableName;

/// What the applying task is told at its start.
pub(super) struct Scope {
    /// Tables whose rows are at the destination.
    pub(super) tables: HashMap<TableName, InScope>,
    /// What is published at this moment.
    pub(super) look: Look,
    /// The transaction with this commit record begins a destination transaction of its own.
    pub(super) fence: Option<Lsn>,
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
