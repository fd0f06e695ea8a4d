//! Change data capture into a destination PostgreSQL: initial copy, then the stream, each destination transaction
//! carrying whole source transactions together with the checkpoint.

pub mod compare;
pub mod progress;
pub mod run;

pub use progress::{Phase, Progress, RunEvent, TablePhase, TableProgress};
pub use run::{RunError, RunOptions, Summary, run};
