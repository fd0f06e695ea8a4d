//! What a rule sees.

use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::history::History;
use crate::monitor::reading::{Reading, SlotReading};
use crate::monitor::sample::Sample;
use crate::monitor::slot::Slot;

/// What every rule sees.
pub(super) struct Case<'a> {
    pub(super) sample: &'a Sample,
    pub(super) history: &'a History,
    pub(super) reading: &'a Reading,
}

/// A slot with its numbers.
pub(super) struct SlotCase<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) slot: &'a Slot,
    pub(super) numbers: &'a SlotReading,
}

impl SlotCase<'_> {
    /// A finding about this slot.
    pub(super) fn finding(
        &self,
        rule: &'static str,
        severity: Severity,
        title: &str,
        evidence: String,
        actions: Vec<Action>,
    ) -> Finding {
        let object = printable(&self.slot.name).into_owned();
        Finding { rule, severity, object, title: title.to_owned(), evidence, since: None, actions }
    }
}
