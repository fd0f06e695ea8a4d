//! A throwaway source and destination with the usual trouble, and a write workload, to try walpilot on.
//!
//! [`Cluster`] is also what all tests run on. The promise of this room: nothing that it starts survives walpilot.

mod account;
pub mod binaries;
pub mod cluster;
mod error;
mod files;
mod keeper;
mod schema;
mod template;
mod workload;

pub use binaries::{Binaries, BinariesError};
pub use cluster::Cluster;
pub use error::{ClusterError, DemoError};
pub use workload::Workload;

use crate::connection::{Secret, Settings};

/// Two running clusters; everything is stopped and removed when it is dropped.
pub struct Demo {
    /// The source, as the role that is to replicate and can't yet.
    pub source: Settings,
    /// The source, as its superuser.
    pub admin: Settings,
    /// The empty destination, as its superuser.
    pub destination: Settings,
    /// The source, as the role of the application that owns the tables.
    application: Settings,
    source_cluster: Cluster,
    destination_cluster: Cluster,
}

impl Demo {
    /// Starts both clusters and fills the source. `step` is told what happens, line by line.
    ///
    /// # Errors
    /// When a cluster does not start.
    pub async fn start(binaries: &Binaries, mut step: impl FnMut(&str) + Send) -> Result<Self, DemoError> {
        step(&format!("Starting two throwaway PostgreSQL {} clusters on 127.0.0.1", binaries.major));
        let source = Cluster::builder(binaries).setting("wal_level", "logical").start();
        let destination = Cluster::builder(binaries).start();
        let (source_cluster, destination_cluster) = tokio::try_join!(source, destination).map_err(failed)?;
        step("Filling the source with a shop and its billing");
        let passwords = schema::Passwords {
            application: files::random_password().map_err(failed)?,
            replicator: files::random_password().map_err(failed)?,
        };
        let admin = schema::create(&source_cluster.settings(), &passwords).await?;
        let destination = schema::create_empty(&destination_cluster.settings()).await?;
        step(&format!(
            "The source is at 127.0.0.1:{}, the empty destination at 127.0.0.1:{}",
            admin.port, destination.port
        ));
        Ok(Self {
            source: admin.as_user(schema::REPLICATOR, Some(passwords.replicator)),
            application: admin.as_user(schema::APPLICATION, Some(passwords.application)),
            admin,
            destination,
            source_cluster,
            destination_cluster,
        })
    }

    /// The schemas of the source in which the application's tables are.
    #[must_use]
    pub fn schemas(&self) -> &'static [&'static str] {
        &schema::SCHEMAS
    }

    /// Begins to write into the source, as the application that owns the tables, about `per_second` transactions
    /// each second.
    ///
    /// # Errors
    /// When the source can't be reached.
    pub async fn workload(&self, per_second: u32) -> Result<Workload, DemoError> {
        Workload::start(&self.application, per_second).await
    }

    /// The cluster of the source, to stop and start it.
    pub fn source_cluster(&mut self) -> &mut Cluster {
        &mut self.source_cluster
    }

    /// The cluster of the destination, to stop and start it.
    pub fn destination_cluster(&mut self) -> &mut Cluster {
        &mut self.destination_cluster
    }

    /// Stops both servers and removes everything. Dropping does the same, but makes its thread wait.
    pub async fn stop(self) {
        // A panic in there has nobody left to tell.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

/// Removes what was prepared for further clusters. Call it at the end, when all clusters are dropped.
pub async fn clear() {
    template::forget().await;
}

/// A failure that is only passed on.
fn failed(error: impl std::fmt::Display) -> DemoError {
    DemoError(error.to_string())
}

/// Hashes a password as the server would (SCRAM-SHA-256), so that no statement carries it in clear text.
fn verifier(password: &Secret) -> String {
    postgres_protocol::password::scram_sha_256(password.reveal().as_bytes())
}
