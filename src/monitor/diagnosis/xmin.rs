//! X1 to X3: what the method xmin can't do, or will not be able to do much longer.

use super::case::{Case, millis, percent};
use super::finding::{Action, Finding, Severity};
use crate::monitor::destination::{Destination, RunState, XminRun};
use crate::monitor::units;
use crate::monitor::xmin::HALF_CIRCLE;
use crate::profile::alerts;

/// The rules of the method, while a run uses it.
pub(super) fn mode(at: &Case<'_>) -> Vec<Finding> {
    let Some(Destination::Reached(reached)) = &at.sample.destination else { return Vec::new() };
    let RunState::Known(run) = &reached.run else { return Vec::new() };
    let Some(xmin) = &run.xmin else { return Vec::new() };
    [held_back(at), deletes(xmin), wraparound(at, xmin)].into_iter().flatten().collect()
}

fn finding(rule: &'static str, severity: Severity, title: &str, evidence: String, action: Action) -> Finding {
    Finding::new(rule, severity, "xmin", title, evidence, vec![action])
}

/// X1: rows of younger transactions are read again in each pass as long as an old one is open.
fn held_back(at: &Case<'_>) -> Option<Finding> {
    let held = at.sample.next_xid.checked_sub(at.sample.oldest_xid).filter(|_| at.sample.open_transactions > 0)?;
    let age = at.history.clock().xid_age(at.sample.oldest_xid)?;
    let severity = at.level("X1", "xmin", &alerts::OPEN_TRANSACTION, millis(age.span()))?;
    let evidence = format!(
        "The oldest open transaction began {} ago; {} transactions since then can't be passed, and a bound taken from the rows themselves would skip the rows of {} open ones for good.",
        age.show(false),
        units::count(held),
        units::count(at.sample.open_transactions),
    );
    let action = Action::advice("End that transaction: the panel of the horizon shows whose it is");
    Some(finding("X1", severity, "an open transaction holds the passes back", evidence, action))
}

/// X2: what xmin can't see.
fn deletes(run: &XminRun) -> Option<Finding> {
    let unseen = run.deletes_unseen.filter(|count| *count > 0)?;
    let evidence = format!(
        "{} rows were deleted at the source and still stand at the destination: a deleted row has no xmin, and TRUNCATE leaves no trace either.",
        units::count(unseen)
    );
    let action = Action::advice("Reconcile the keys (docs/xmin.md), or use the method cdc");
    Some(finding("X2", Severity::Info, "deletes are not seen", evidence, action))
}

/// X3: a bound that is older than half of the circle counts as younger than every row.
fn wraparound(at: &Case<'_>, run: &XminRun) -> Option<Finding> {
    let distance = at.sample.next_xid.checked_sub(run.snapshot_xmin)?;
    let share = percent(distance, HALF_CIRCLE);
    let severity = at.level("X3", "xmin", &alerts::WRAPAROUND, share)?;
    let evidence = format!(
        "{} transactions have passed since the last pass's bound, {:.0} % of the way to where it can't be compared any more.",
        units::count(distance),
        share
    );
    let action = Action::advice("Let a pass come to its end soon; beyond that everything has to be copied again");
    Some(finding("X3", severity, "the bound of the passes is getting too old", evidence, action))
}
