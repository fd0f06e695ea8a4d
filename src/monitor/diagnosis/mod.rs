//! What is wrong, whose fault it is, how long until something breaks, and which statement mends it.
//!
//! A rule is a pure function of the history and the numbers read out of it. What it can't know it says; it never
//! takes "not visible" for "fine". [`Diagnosis`] keeps what rules say: a finding is told when it has lasted, and
//! resolved when it has been gone for twice as long.

mod actions;
mod capacity;
mod case;
mod cluster;
mod consumer;
mod decoder;
mod finding;
mod ledger;
mod other_side;
mod pins;
mod publication;
mod retention;
mod subscriber;
mod wal;
mod xmin;

pub use finding::{Action, Finding, Handling, Severity};
pub use ledger::{Diagnosis, Resolved};

use super::history::History;
use super::reading::Reading;
use case::{Case, SlotCase};

/// Rules about one slot, by the name that findings carry.
const SLOT_RULES: &[fn(&SlotCase<'_>) -> Option<Finding>] = &[
    retention::lost,
    retention::unreserved,
    retention::detached,
    retention::dies_soon,
    retention::budget,
    retention::extended,
    retention::holds_much,
    retention::idles_out,
    consumer::slow,
    consumer::falls_behind,
    consumer::confirms_nothing,
    consumer::silent,
    consumer::comes_and_goes,
    decoder::spills,
    decoder::is_busy,
    decoder::waits_for_standby,
    pins::creation_waits,
    pins::horizon,
    publication::requested,
    publication::younger,
    cluster::orphan,
    cluster::rewound,
];

/// Rules about the whole.
const RULES: &[fn(&Case<'_>) -> Vec<Finding>] = &[
    capacity::limits,
    capacity::blind,
    capacity::clocks,
    cluster::slot_is_missing,
    cluster::changed,
    cluster::no_failover,
    pins::open_transactions,
    pins::prepared,
    publication::gaps,
    publication::partial,
    publication::not_published,
    wal::held_by_others,
    wal::volume,
    other_side::destination,
    other_side::run,
    subscriber::subscriptions,
    xmin::mode,
];

/// Everything that is wrong now, the worst first, given how things stood in `before`. `since` is set where the rule
/// itself knows it.
#[must_use]
pub fn diagnose(history: &History, reading: &Reading, before: &Diagnosis) -> Vec<Finding> {
    let Some(sample) = history.latest() else { return Vec::new() };
    let severity = |rule: &str, object: &str| before.severity(rule, object);
    let case = Case { sample, history, reading, before: &severity };
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&case)).collect();
    for slot in &sample.slots {
        if let Some(numbers) = reading.slot(&slot.name) {
            let slot_case = SlotCase { case: &case, slot, numbers };
            findings.extend(SLOT_RULES.iter().filter_map(|rule| rule(&slot_case)));
        }
    }
    findings.sort_by(Finding::worse_first);
    findings
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod more_tests;
#[cfg(test)]
mod tests;
