//! The fourth screen: what stands in the way of replication.

use crate::preflight::{Finding, Report};
use crate::profile::Profile;

/// The last report.
#[derive(Debug, Default)]
pub struct PreflightStep {
    /// The findings, worst first.
    pub report: Option<Report>,
    /// The profile that was judged.
    pub judged: Option<Profile>,
    /// Whether what replication will do is tried as well.
    pub deep: bool,
    /// Whether the report says what came of it.
    pub deep_report: bool,
    /// Why the facts could not be gathered.
    pub error: Option<String>,
    /// The selected finding.
    pub cursor: usize,
    /// How far the details are scrolled.
    pub scroll: usize,
}

impl PreflightStep {
    /// The selected finding.
    #[must_use]
    pub fn selected(&self) -> Option<&Finding> {
        self.report.as_ref()?.findings.get(self.cursor)
    }

    /// Moves the selection.
    pub fn move_by(&mut self, lines: isize) {
        let last = self.report.as_ref().map_or(0, |report| report.findings.len().saturating_sub(1));
        self.cursor = self.cursor.saturating_add_signed(lines).min(last);
        self.scroll = 0;
    }

    /// Takes a new report of `profile`.
    pub fn take(&mut self, profile: Profile, result: Result<Report, String>) {
        match result {
            Ok(report) => (self.report, self.error, self.deep_report) = (Some(report), None, self.deep),
            Err(error) => self.error = Some(error),
        }
        self.judged = Some(profile);
        self.move_by(0);
    }
}
