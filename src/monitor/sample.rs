//! Reads one [`Sample`] of a source (and of the destination, if there is one) on connections of its own.

use crate::connection::{Failure, Settings};

/// What to watch.
#[derive(Clone, Debug)]
pub struct Target {
    /// The source.
    pub source: Settings,
    /// The slot of most interest; all slots are sampled.
    pub slot: Option<String>,
    /// The publication whose tables are counted.
    pub publication: Option<String>,
    /// Where `walpilot run` writes, to read its progress and the rows there.
    pub destination: Option<Settings>,
}

/// One moment of a server, as values.
#[derive(Clone, Debug, Default)]
pub struct Sample {}

/// Keeps the connections open between samples.
pub struct Sampler {}

impl Sampler {
    /// Connects to the source, read-only and with time limits.
    ///
    /// # Errors
    /// When the source can't be reached.
    pub async fn connect(target: Target) -> Result<Self, Failure> {
        let _ = target;
        unimplemented!()
    }

    /// Reads one sample. A destination that can't be reached is a value in the sample.
    ///
    /// # Errors
    /// When the source's connection is lost; connect again.
    pub async fn sample(&mut self) -> Result<Sample, String> {
        unimplemented!()
    }
}
