//! What is wrong, whose fault it is, how long until something breaks, and which statement mends it.
//!
//! A rule is a pure function of the history and the numbers read out of it. What it can't know it says; it never
//! takes "not visible" for "fine".

mod actions;
mod capacity;
mod case;
mod consumer;
mod finding;
mod other_side;
mod retention;

use std::collections::BTreeMap;

pub use finding::{Action, Finding, Severity};

use super::history::History;
use super::moment::Moment;
use super::reading::Reading;
use case::{Case, SlotCase};

/// Rules about one slot, by the name that findings carry.
const SLOT_RULES: [fn(&SlotCase<'_>) -> Option<Finding>; 10] = [
    retention::lost,
    retention::unreserved,
    retention::detached,
    retention::dies_soon,
    retention::holds_much,
    consumer::slow,
    consumer::falls_behind,
    consumer::confirms_nothing,
    consumer::silent,
    consumer::creation_waits,
];

/// Rules about the whole.
const RULES: [fn(&Case<'_>) -> Vec<Finding>; 4] =
    [capacity::limits, other_side::destination, other_side::run, capacity::blind];

/// Everything that is wrong now, the worst first. `since` is set where the rule itself knows it.
#[must_use]
pub fn diagnose(history: &History, reading: &Reading) -> Vec<Finding> {
    let Some(sample) = history.latest() else { return Vec::new() };
    let case = Case { sample, history, reading };
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&case)).collect();
    for slot in &sample.slots {
        if let Some(numbers) = reading.slot(&slot.name) {
            let slot_case = SlotCase { case: &case, slot, numbers };
            findings.extend(SLOT_RULES.iter().filter_map(|rule| rule(&slot_case)));
        }
    }
    findings.sort_by(|a, b| (a.severity, a.rule, &a.object).cmp(&(b.severity, b.rule, &b.object)));
    findings
}

/// Remembers since when each finding stands.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    open: BTreeMap<(&'static str, String), Moment>,
    findings: Vec<Finding>,
}

impl Diagnosis {
    /// Takes the findings of `now` in.
    pub fn update(&mut self, mut findings: Vec<Finding>, now: Moment) {
        let before = std::mem::take(&mut self.open);
        for finding in &mut findings {
            let key = (finding.rule, finding.object.clone());
            let first = before.get(&key).copied().unwrap_or(now);
            finding.since.get_or_insert(first);
            self.open.insert(key, first);
        }
        self.findings = findings;
    }

    /// What is wrong, the worst first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many findings are of `severity`.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The worst finding, if it is worse than worth knowing.
    #[must_use]
    pub fn worst(&self) -> Option<&Finding> {
        self.findings.first().filter(|finding| finding.severity < Severity::Info)
    }
}
