//! A throwaway source and destination with the usual trouble, and a write workload, to try walpilot on.

mod account;
pub mod binaries;
pub mod cluster;
mod files;
mod keeper;
mod template;

pub use binaries::{Binaries, BinariesError};
pub use cluster::{Cluster, ClusterError};

use crate::connection::Settings;

/// Two running clusters; everything is stopped and removed when it is dropped.
pub struct Demo {
    /// The source, as the role that is to replicate and can't yet.
    pub source: Settings,
    /// The source, as its superuser.
    pub admin: Settings,
    /// The empty destination.
    pub destination: Settings,
}

/// Why the demo can't start; one sentence with the next step.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(pub String);

impl Demo {
    /// Starts both clusters and fills the source. `step` is told what happens, line by line.
    ///
    /// # Errors
    /// When no PostgreSQL server binaries are found or a cluster does not start.
    pub async fn start(mut step: impl FnMut(&str) + Send) -> Result<Self, DemoError> {
        step("");
        unimplemented!()
    }
}
