//! From facts to findings: pure functions, so that the same check runs in the wizard, on the command line and in tests.

pub mod checks;
mod console;
pub mod finding;
pub mod guide;
pub mod report;
mod traps;
mod unreachable;

pub use checks::{CATALOGUE, Check, Family, check};
pub use finding::{Finding, Fix, FixKind, Severity, Status};
pub use report::{Report, Verdict};
pub use unreachable::unreachable;

use crate::catalog::Facts;
use crate::profile::Profile;

/// Judges `facts` for `profile`. Every check that applies gives one finding, worst first.
#[must_use]
pub fn evaluate(facts: &Facts, profile: &Profile) -> Report {
    let findings = CATALOGUE.iter().filter_map(|check| check.run(facts, profile)).collect();
    Report::new(findings, report::source(profile, Some(facts)), profile)
}
