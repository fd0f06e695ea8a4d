//! From facts to findings: pure functions, so that the same check runs in the wizard, on the command line and in tests.

pub mod finding;
pub mod report;

pub use finding::{Finding, Fix, FixKind, Severity, Status};
pub use report::{Report, Verdict};

use crate::catalog::Facts;
use crate::profile::Profile;

/// Judges `facts` for `profile`. Every check of the method gives one finding, worst first.
#[must_use]
pub fn evaluate(facts: &Facts, profile: &Profile) -> Report {
    let _ = (facts, profile);
    unimplemented!()
}
