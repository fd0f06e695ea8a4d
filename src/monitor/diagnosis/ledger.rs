//! The life of findings: open, acknowledged, muted, resolved; without flapping.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::finding::{Finding, Handling, Severity};
use crate::connection::printable;
use crate::monitor::events::Event;
use crate::monitor::moment::Moment;

/// How many resolved findings are remembered.
const RESOLVED: usize = 200;

type Key = (&'static str, String);

/// Remembers since when each finding stands, and what a person decided about it.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    entries: BTreeMap<Key, Entry>,
    findings: Vec<Finding>,
    muted: Vec<Finding>,
    resolved: VecDeque<Resolved>,
}

#[derive(Clone, Debug)]
struct Entry {
    first: Moment,
    last: Moment,
    told: bool,
    finding: Finding,
}

/// A finding that is gone.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Resolved {
    /// When.
    pub at: Moment,
    /// As it last was.
    pub finding: Finding,
}

impl Diagnosis {
    /// Takes the findings of `now` in and tells what came, got worse or went.
    pub fn update(&mut self, findings: Vec<Finding>, now: Moment) -> Vec<Event> {
        let mut events = Vec::new();
        for mut finding in findings {
            let key = (finding.rule, finding.object.clone());
            let known = self.entries.get(&key);
            let first = known.map_or(now, |known| known.first);
            let told = known.is_some_and(|known| known.told);
            finding.since.get_or_insert(first);
            finding.handling = known.map(|known| known.finding.handling.clone()).unwrap_or_default();
            let before = known.filter(|known| known.told).map(|known| known.finding.severity);
            if before.is_some_and(|before| finding.severity < before) && finding.is_acknowledged() {
                finding.handling = Handling::Open;
            }
            if matches!(finding.handling, Handling::Muted { until: Some(until) } if until <= now) {
                finding.handling = Handling::Open;
            }
            let tells = told || now.since(first) >= finding.lasts;
            if tells && before.is_none_or(|before| finding.severity < before) {
                // What was only worth knowing has not been told of.
                events.extend(opened(&finding, now, before.is_some_and(|before| before < Severity::Info)));
            }
            self.entries.insert(key, Entry { first, last: now, told: tells, finding });
        }
        self.settle(now, &mut events);
        self.list();
        events
    }

    /// Lets go of what has been gone for long enough.
    fn settle(&mut self, now: Moment, events: &mut Vec<Event>) {
        let resolved = &mut self.resolved;
        self.entries.retain(|_, entry| {
            let gone = now.since(entry.last);
            entry.finding.clearing = entry.last != now;
            if !entry.finding.clearing {
                return true;
            }
            if entry.told && gone < entry.finding.lasts * 2 {
                return true;
            }
            if entry.told {
                if entry.finding.severity < Severity::Info {
                    let text = format!("{} {}: resolved.", entry.finding.rule, entry.finding.object);
                    events.push(Event { at: now, trouble: false, text });
                }
                resolved.push_back(Resolved { at: now, finding: entry.finding.clone() });
            }
            false
        });
        while resolved.len() > RESOLVED {
            resolved.pop_front();
        }
    }

    fn list(&mut self) {
        let told = self.entries.values().filter(|entry| entry.told).map(|entry| entry.finding.clone());
        let (muted, mut shown): (Vec<_>, Vec<_>) =
            told.partition(|finding| matches!(finding.handling, Handling::Muted { .. }));
        // What somebody works on stands behind what nobody has seen yet.
        shown.sort_by(|a, b| a.is_acknowledged().cmp(&b.is_acknowledged()).then_with(|| a.worse_first(b)));
        (self.findings, self.muted) = (shown, muted);
    }

    /// How bad the finding of `rule` about `object` is until now.
    pub(super) fn severity(&self, rule: &str, object: &str) -> Option<Severity> {
        let known = |entry: &&Entry| entry.told && entry.finding.rule == rule && entry.finding.object == object;
        self.entries.values().find(known).map(|entry| entry.finding.severity)
    }

    /// Says that somebody works on it. `false`: there is no such finding.
    pub fn acknowledge(&mut self, rule: &str, object: &str, note: &str, now: Moment) -> bool {
        let note = printable(note).into_owned();
        self.decide(rule, object, Handling::Acknowledged { note, at: now })
    }

    /// Hides it for `time`, or until it is resolved. `false`: there is no such finding.
    pub fn mute(&mut self, rule: &str, object: &str, time: Option<Duration>, now: Moment) -> bool {
        self.decide(rule, object, Handling::Muted { until: time.map(|time| now.plus(time)) })
    }

    /// Takes [`Self::acknowledge`] or [`Self::mute`] back. `false`: there is no such finding.
    pub fn reopen(&mut self, rule: &str, object: &str) -> bool {
        self.decide(rule, object, Handling::Open)
    }

    fn decide(&mut self, rule: &str, object: &str, handling: Handling) -> bool {
        let known = |entry: &&mut Entry| entry.finding.rule == rule && entry.finding.object == object;
        let Some(entry) = self.entries.values_mut().find(known) else { return false };
        entry.finding.handling = handling;
        self.list();
        true
    }

    /// What is wrong: first what nobody has acknowledged, the worst first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What is wrong at this moment, also what has not lasted long enough to be told: for whoever looks only once. What
    /// is muted stays out.
    #[must_use]
    pub fn standing(&self) -> Vec<Finding> {
        let seen = self.entries.values().map(|entry| &entry.finding);
        let mut standing: Vec<Finding> =
            seen.filter(|one| !one.clearing && !matches!(one.handling, Handling::Muted { .. })).cloned().collect();
        standing.sort_by(Finding::worse_first);
        standing
    }

    /// What is wrong and nobody wants to hear of.
    #[must_use]
    pub fn muted(&self) -> &[Finding] {
        &self.muted
    }

    /// What was wrong, the latest last.
    #[must_use]
    pub fn resolved(&self) -> &VecDeque<Resolved> {
        &self.resolved
    }

    /// How many findings are of `severity`.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The worst finding, if it is worse than worth knowing; one that nobody has acknowledged, if there is any.
    #[must_use]
    pub fn worst(&self) -> Option<&Finding> {
        let bad = |finding: &&Finding| finding.severity < Severity::Info;
        self.findings
            .iter()
            .find(|finding| bad(finding) && !finding.is_acknowledged())
            .or(self.findings.iter().find(bad))
    }
}

fn opened(finding: &Finding, now: Moment, worse: bool) -> Option<Event> {
    if finding.severity == Severity::Info {
        return None;
    }
    let how = if worse { format!(" ({} now)", finding.severity.name()) } else { String::new() };
    let text = format!("{} {}: {}{how}.", finding.rule, finding.object, finding.title);
    Some(Event { at: now, trouble: true, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Moment {
        Moment::default().plus(Duration::from_secs(second))
    }

    fn lag(severity: Severity) -> Finding {
        Finding::new("R5b", severity, "s", "it is late", String::new(), Vec::new()).lasting(60)
    }

    fn shown(diagnosis: &Diagnosis) -> Vec<(Severity, bool)> {
        diagnosis.findings().iter().map(|finding| (finding.severity, finding.clearing)).collect()
    }

    #[test]
    fn it_has_to_last_before_it_is_told_and_to_be_gone_twice_as_long() {
        let mut diagnosis = Diagnosis::default();
        let mut texts = Vec::new();
        let mut step = |diagnosis: &mut Diagnosis, second: u64, there: bool| {
            let findings = if there { vec![lag(Severity::Warning)] } else { Vec::new() };
            texts.extend(diagnosis.update(findings, at(second)).into_iter().map(|event| event.text));
        };
        step(&mut diagnosis, 0, true);
        step(&mut diagnosis, 59, true);
        assert_eq!(shown(&diagnosis), []);
        step(&mut diagnosis, 60, true);
        assert_eq!(shown(&diagnosis), [(Severity::Warning, false)]);
        assert_eq!(diagnosis.findings()[0].since, Some(at(0)), "it stands since it was first seen");
        step(&mut diagnosis, 62, false);
        step(&mut diagnosis, 170, false);
        assert_eq!(shown(&diagnosis), [(Severity::Warning, true)]);
        step(&mut diagnosis, 172, true);
        assert_eq!(shown(&diagnosis), [(Severity::Warning, false)], "it was the same trouble all the time");
        step(&mut diagnosis, 174, false);
        step(&mut diagnosis, 292, false);
        assert_eq!(shown(&diagnosis), []);
        assert_eq!(diagnosis.resolved().len(), 1);
        // A moment of trouble is none.
        step(&mut diagnosis, 300, true);
        step(&mut diagnosis, 302, false);
        step(&mut diagnosis, 365, true);
        assert_eq!(shown(&diagnosis), []);
        assert_eq!(texts, ["R5b s: it is late.", "R5b s: resolved."]);
    }

    #[test]
    fn of_equally_bad_ones_the_one_that_is_lost_soonest_comes_first() {
        let bad = |rule, object: &str, left: Option<u64>| {
            let finding = Finding::new(rule, Severity::Critical, object, "", String::new(), Vec::new());
            finding.left(left.map(Duration::from_secs))
        };
        let mut diagnosis = Diagnosis::default();
        let names = |diagnosis: &Diagnosis| -> Vec<String> {
            diagnosis.findings().iter().map(|finding| finding.object.clone()).collect()
        };
        diagnosis.update(vec![bad("R1", "in an hour", Some(3600)), bad("R3", "lost", None)], at(0));
        let newest = bad("R4", "in ten minutes", Some(600));
        let far = bad("R1", "in a week", Some(604_800));
        let all = vec![far, bad("R1", "in an hour", Some(3500)), bad("R3", "lost", None), newest];
        diagnosis.update(all.clone(), at(100));
        let order = ["in ten minutes", "in an hour", "in a week", "lost"];
        assert_eq!(names(&diagnosis), order, "not the newest, and not by rule");
        assert_eq!(diagnosis.standing().iter().map(|finding| finding.object.as_str()).collect::<Vec<_>>(), order);
        assert_eq!(diagnosis.worst().map(|worst| worst.object.as_str()), Some("in ten minutes"));
        // Who has been heard stands back.
        diagnosis.acknowledge("R4", "in ten minutes", "", at(101));
        assert_eq!(names(&diagnosis), ["in an hour", "in a week", "lost", "in ten minutes"]);
    }

    #[test]
    fn acknowledged_is_known_until_it_gets_worse_and_muted_is_silent_until_its_time() {
        let mut diagnosis = Diagnosis::default();
        let warning = || vec![lag(Severity::Warning).lasting(0)];
        diagnosis.update(warning(), at(0));
        assert!(!diagnosis.acknowledge("R1", "s", "", at(1)), "there is no such finding");
        assert!(diagnosis.acknowledge("R5b", "s", "sink\u{1b}[2J grows", at(1)));
        diagnosis.update(warning(), at(2));
        let note = "sink\\u{1b}[2J grows".to_owned();
        assert_eq!(diagnosis.findings()[0].handling, Handling::Acknowledged { note, at: at(1) });
        let events = diagnosis.update(vec![lag(Severity::Critical).lasting(0)], at(3));
        assert_eq!(diagnosis.findings()[0].handling, Handling::Open, "worse than what was acknowledged");
        assert_eq!(events[0].text, "R5b s: it is late (CRIT now).");

        diagnosis.mute("R5b", "s", Some(Duration::from_secs(10)), at(4));
        assert_eq!((diagnosis.findings().len(), diagnosis.muted().len()), (0, 1));
        diagnosis.update(warning(), at(13));
        assert_eq!(diagnosis.worst(), None);
        diagnosis.update(warning(), at(14));
        assert_eq!(diagnosis.findings().len(), 1, "its time is over");
        diagnosis.mute("R5b", "s", None, at(15));
        diagnosis.update(Vec::new(), at(16));
        diagnosis.update(warning(), at(17));
        assert_eq!(diagnosis.findings().len(), 1, "muted until it was resolved");
        diagnosis.mute("R5b", "s", None, at(18));
        assert!(diagnosis.reopen("R5b", "s"));
        assert_eq!((diagnosis.findings().len(), diagnosis.muted().len()), (1, 0));
    }
}
