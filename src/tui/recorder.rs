//! Writes what is sampled for the dashboard into a file, as `walpilot record` does: a line at a time, so that nothing
//! but the last sample is lost however it ends.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::app::dashboard::Recording;
use super::files;
use crate::monitor::recording::{Header, Writer};
use crate::monitor::{Moment, Sample};

/// The outcome of one try to sample, and when it came in.
pub(super) type Outcome = (Moment, Result<Sample, String>);

/// A recording that is being written.
pub(super) struct Recorder {
    file: File,
    writer: Writer,
    state: Recording,
}

impl Recorder {
    /// Makes the file; nobody else may read it, and an older one stays as it is.
    pub(super) fn begin(path: &Path, header: &Header) -> Result<Self, String> {
        let file = files::create(path)?;
        let state = Recording { file: files::shown(path), ..Recording::default() };
        let mut recorder = Self { file, writer: Writer::default(), state };
        recorder.append(&header.line())?;
        Ok(recorder)
    }

    /// Adds one try.
    pub(super) fn add(&mut self, (heard, outcome): &Outcome) -> Result<(), String> {
        let line = self.writer.line(*heard, outcome)?;
        self.append(&line)?;
        self.state.samples += u64::from(outcome.is_ok());
        Ok(())
    }

    /// How it stands.
    pub(super) fn state(&self) -> Recording {
        self.state.clone()
    }

    fn append(&mut self, line: &str) -> Result<(), String> {
        let text = format!("{line}\n");
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| format!("{} can't be written any more: {error}.", self.state.file))?;
        self.state.bytes += text.len() as u64;
        Ok(())
    }
}
