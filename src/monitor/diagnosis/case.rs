//! What a rule sees.

use std::time::Duration;

use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::history::History;
use crate::monitor::reading::{Reading, SlotReading};
use crate::monitor::sample::Sample;
use crate::monitor::slot::Slot;
use crate::profile::alerts::Alert;

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
    /// How bad `value` is, in the unit of `alert`; by the thresholds for `slot`, if it is of one.
    pub(super) fn judge(
        &self,
        rule: &str,
        object: &str,
        alert: &Alert,
        slot: Option<&str>,
        value: f64,
    ) -> Option<Severity> {
        let limits = self.sample.wanted.alerts.limits(alert, slot);
        let sign = if alert.unit.less_is_worse() { -1.0 } else { 1.0 };
        #[expect(clippy::cast_precision_loss, reason = "a threshold")]
        let threshold = |limit: Option<u64>| limit.map_or(f64::INFINITY, |limit| limit as f64 * sign);
        level(value * sign, threshold(limits.warning), threshold(limits.critical), (self.before)(rule, object))
    }

    /// The same for something of the server.
    pub(super) fn level(&self, rule: &str, object: &str, alert: &Alert, value: f64) -> Option<Severity> {
        self.judge(rule, object, alert, None, value)
    }
}

/// A time in the unit of alerts.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A size or a number in the unit of alerts.
#[expect(clippy::cast_precision_loss, reason = "a value beside a threshold")]
pub(super) fn number(value: u64) -> f64 {
    value as f64
}

/// A share in the unit of alerts.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

/// The worse of two.
pub(super) fn worse(one: Option<Severity>, other: Option<Severity>) -> Option<Severity> {
    one.into_iter().chain(other).min()
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

    /// How bad `value` is for this slot, in the unit of `alert`.
    pub(super) fn level(&self, rule: &str, alert: &Alert, value: f64) -> Option<Severity> {
        self.case.judge(rule, &self.object(), alert, Some(&self.slot.name), value)
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
