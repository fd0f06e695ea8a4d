//! What a rule sees.

use std::time::Duration;

use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::history::History;
use crate::monitor::reading::{Reading, SlotReading};
use crate::monitor::sample::Sample;
use crate::monitor::slot::Slot;

/// What stands stays until it is this much better, so that a value on the threshold does not flap.
const BETTER: f64 = 0.9;

/// What every rule sees.
pub(super) struct Case<'a> {
    pub(super) sample: &'a Sample,
    pub(super) history: &'a History,
    pub(super) reading: &'a Reading,
    /// How bad a finding of this rule about this object is until now.
    pub(super) before: &'a dyn Fn(&str, &str) -> Option<Severity>,
}

impl Case<'_> {
    /// How bad `value` is, where more is worse.
    pub(super) fn over(&self, rule: &str, object: &str, value: f64, warn: f64, critical: f64) -> Option<Severity> {
        level(value, warn, critical, (self.before)(rule, object))
    }

    /// How bad a span of time is, where more is worse.
    pub(super) fn longer(
        &self,
        rule: &str,
        object: &str,
        time: Duration,
        warn: Duration,
        critical: Duration,
    ) -> Option<Severity> {
        self.over(rule, object, time.as_secs_f64(), warn.as_secs_f64(), critical.as_secs_f64())
    }

    /// How bad a span of time is, where less is worse.
    pub(super) fn sooner(
        &self,
        rule: &str,
        object: &str,
        time: Duration,
        warn: Duration,
        critical: Duration,
    ) -> Option<Severity> {
        self.over(rule, object, -time.as_secs_f64(), -warn.as_secs_f64(), -critical.as_secs_f64())
    }
}

fn level(value: f64, warn: f64, critical: f64, before: Option<Severity>) -> Option<Severity> {
    let reaches = |threshold: f64, severity: Severity| {
        let stands = before.is_some_and(|before| before <= severity);
        // Of a threshold below zero a better value is further below.
        let eased = if threshold < 0.0 { threshold / BETTER } else { threshold * BETTER };
        value >= if stands { eased } else { threshold }
    };
    [(critical, Severity::Critical), (warn, Severity::Warning)]
        .into_iter()
        .find(|(threshold, severity)| reaches(*threshold, *severity))
        .map(|(_, severity)| severity)
}

/// A slot with its numbers.
pub(super) struct SlotCase<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) slot: &'a Slot,
    pub(super) numbers: &'a SlotReading,
}

impl SlotCase<'_> {
    /// The name that findings about this slot carry.
    pub(super) fn object(&self) -> String {
        printable(&self.slot.name).into_owned()
    }

    /// A finding about this slot.
    pub(super) fn finding(
        &self,
        rule: &'static str,
        severity: Severity,
        title: &str,
        evidence: String,
        actions: Vec<Action>,
    ) -> Finding {
        Finding::new(rule, severity, self.object(), title, evidence, actions)
    }
}

#[cfg(test)]
mod tests {
    use super::{Severity, level};

    #[test]
    fn what_stands_stays_until_it_is_a_tenth_better() {
        let warning = Some(Severity::Warning);
        let critical = Some(Severity::Critical);
        for (value, before, now) in [
            (99.0, None, None),
            (100.0, None, warning),
            (91.0, warning, warning),
            (89.0, warning, None),
            (950.0, warning, warning),
            (1000.0, warning, critical),
            (901.0, critical, critical),
            (899.0, critical, warning),
            (95.0, critical, warning),
        ] {
            assert_eq!(level(value, 100.0, 1000.0, before), now, "{value} {before:?}");
        }
        // Time that is left: less is worse.
        assert_eq!(level(-59.0, -60.0, -10.0, None), warning);
        assert_eq!(level(-65.0, -60.0, -10.0, warning), warning);
        assert_eq!(level(-67.0, -60.0, -10.0, warning), None);
    }
}
