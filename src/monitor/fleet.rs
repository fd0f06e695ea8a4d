//! Several sources watched at once, the worst first.

use std::time::SystemTime;

use super::diagnosis::{Finding, Severity};
use super::events::Event;
use super::moment::Moment;
use super::sample::Sample;
use super::watcher::Watcher;
use crate::connection::printable;

/// Several sources.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    members: Vec<Member>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its profile's name.
    pub name: String,
    /// All that is known of it, also while it can't be reached.
    pub watcher: Watcher,
    /// Why it can't be reached, if so.
    pub trouble: Option<Trouble>,
    /// When it was last heard of, on this machine's clock.
    pub heard: Option<SystemTime>,
}

/// A source that can't be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One sentence, safe to print.
    pub reason: String,
    /// Since when.
    pub since: SystemTime,
    /// When it is tried again.
    pub next_try: Option<SystemTime>,
}

/// How a source is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It can't be reached.
    Unreachable,
    /// Something is critical.
    Critical,
    /// Something will be.
    Warning,
    /// Nothing was heard yet.
    Waiting,
    /// All is well.
    Fine,
}

impl Health {
    /// A word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "UNREACHABLE",
            Self::Critical => "CRIT",
            Self::Warning => "WARN",
            Self::Waiting => "…",
            Self::Fine => "OK",
        }
    }
}

impl Fleet {
    /// Sources of which nothing is known yet.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let member = |name| Member { name, watcher: Watcher::default(), trouble: None, heard: None };
        Self { members: names.into_iter().map(member).collect() }
    }

    /// A sample of member number `at` arrived; tells what changed.
    pub fn sampled(&mut self, at: usize, sample: Sample, now: SystemTime) -> Vec<Event> {
        let Some(member) = self.members.get_mut(at) else { return Vec::new() };
        member.trouble = None;
        member.heard = Some(now);
        member.watcher.push(sample)
    }

    /// Member number `at` can't be reached.
    pub fn failed(&mut self, at: usize, reason: &str, next_try: Option<SystemTime>, now: SystemTime) {
        let Some(member) = self.members.get_mut(at) else { return };
        let since = member.trouble.as_ref().map_or(now, |trouble| trouble.since);
        member.trouble = Some(Trouble { reason: printable(reason).into_owned(), since, next_try });
    }

    /// The members, in the order in which they were named.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The members' numbers, the worst first; among equals the one with more, or older, trouble.
    #[must_use]
    pub fn worst_first(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_cached_key(|at| {
            let member = &self.members[*at];
            let count = |severity| std::cmp::Reverse(member.watcher.diagnosis().count(severity));
            let since = member.worst().and_then(|finding| finding.since).unwrap_or(Moment(i64::MAX));
            (member.health(), count(Severity::Critical), count(Severity::Warning), since, *at)
        });
        order
    }
}

impl Member {
    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        match (&self.trouble, self.worst().map(|finding| finding.severity)) {
            (Some(_), _) => Health::Unreachable,
            (None, Some(Severity::Critical)) => Health::Critical,
            (None, Some(_)) => Health::Warning,
            (None, None) if self.heard.is_none() => Health::Waiting,
            (None, None) => Health::Fine,
        }
    }

    /// Its worst finding.
    #[must_use]
    pub fn worst(&self) -> Option<&Finding> {
        self.watcher.diagnosis().worst()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::slot::{Slot, WalStatus};

    #[test]
    fn the_worst_comes_first_and_a_lost_connection_keeps_what_is_known() {
        let now = SystemTime::UNIX_EPOCH;
        let mut fleet = Fleet::new(["calm", "lost", "away", "new"].map(str::to_owned));
        let with = |slots: Vec<Slot>| Sample { at: Moment(1), slots, ..Sample::default() };
        let lost = Slot { name: "s".into(), wal_status: Some(WalStatus::Lost), ..Slot::default() };
        fleet.sampled(0, with(Vec::new()), now);
        fleet.sampled(1, with(vec![lost]), now);
        fleet.sampled(2, with(Vec::new()), now);
        fleet.failed(2, "The connection\u{7} was lost.", None, now);
        let later = now + std::time::Duration::from_secs(9);
        fleet.failed(2, "It refuses.", Some(later), later);
        let names: Vec<&str> = fleet.worst_first().into_iter().map(|at| fleet.members()[at].name.as_str()).collect();
        assert_eq!(names, ["away", "lost", "new", "calm"]);
        let away = &fleet.members()[2];
        let trouble = Trouble { reason: "It refuses.".into(), since: now, next_try: Some(later) };
        assert_eq!(away.trouble, Some(trouble));
        assert!(away.watcher.sample().is_some());
        fleet.sampled(2, with(Vec::new()), later);
        assert_eq!(fleet.members()[2].health(), Health::Fine);
    }
}
