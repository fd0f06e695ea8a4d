//! The plan as a commented SQL file that works in psql as it stands.

use super::plan::Plan;
use crate::profile::Profile;

/// Renders `plan` for `profile`.
#[must_use]
pub fn render(plan: &Plan, profile: &Profile) -> String {
    let _ = (plan, profile);
    unimplemented!()
}
