//! Reads [`Facts`] from a server in few round trips.

use super::facts::Facts;
use crate::connection::Session;
use crate::profile::{Profile, TableName};

/// Why the facts could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GatherError(pub String);

/// A table that could be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChoice {
    /// Its name.
    pub table: TableName,
    /// Estimated rows (`pg_class.reltuples`); `None` when the table was never analysed.
    pub rows: Option<u64>,
    /// Size on disk in bytes, indexes and TOAST included.
    pub bytes: u64,
    /// Whether it is a partitioned table (its partitions are not listed by themselves).
    pub partitioned: bool,
}

/// Reads everything that the checks of `profile` need, as the role that is logged in.
///
/// # Errors
/// When the connection breaks. A missing privilege or a locked table is a value in the facts, not an error.
pub async fn gather(session: &Session, profile: &Profile) -> Result<Facts, GatherError> {
    let _ = (session, profile);
    unimplemented!()
}

/// Lists the ordinary and partitioned tables outside the system schemas, by schema and name.
///
/// # Errors
/// When the connection breaks.
pub async fn list_tables(session: &Session) -> Result<Vec<TableChoice>, GatherError> {
    let _ = session;
    unimplemented!()
}
