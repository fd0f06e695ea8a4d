//! Several sources at once: the worst first, each with a dashboard of its own behind it.

use std::time::SystemTime;

use super::dashboard::Dashboard;
use crate::monitor::Target;
use crate::monitor::diagnosis::Severity;
use crate::monitor::fleet::Health;

/// The sources.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    /// The source that is selected, by its place in `members`: the selection stays on it when the order changes.
    selected: usize,
    open: Option<usize>,
}

/// One source.
#[derive(Debug)]
pub struct Member {
    /// The name of its profile.
    pub name: String,
    target: Target,
    /// `None` while it is the one on the screen.
    dashboard: Option<Dashboard>,
}

/// How the source behind `dashboard` is.
#[must_use]
pub fn health(dashboard: &Dashboard) -> Health {
    let picture = dashboard.picture();
    if picture.failure.is_some() {
        return Health::Unreachable;
    }
    if picture.watcher.sample().is_none() {
        return Health::Waiting;
    }
    match picture.watcher.diagnosis().worst().map(|finding| finding.severity) {
        Some(Severity::Critical) => Health::Critical,
        Some(Severity::Warning) => Health::Warning,
        _ => Health::Fine,
    }
}

impl Fleet {
    /// A fleet of these sources, none of them on the screen.
    #[must_use]
    pub fn new(targets: Vec<(String, Target)>) -> Self {
        let member = |(name, target): (String, Target)| Member {
            name,
            dashboard: Some(Dashboard::new(target.clone(), false)),
            target,
        };
        Self { members: targets.into_iter().map(member).collect(), selected: 0, open: None }
    }

    /// The sources, the worst first; of equally bad ones in the order of their names.
    #[must_use]
    pub fn ranking(&self) -> Vec<(usize, &Member, &Dashboard)> {
        let mut ranking: Vec<_> = self
            .members
            .iter()
            .enumerate()
            .filter_map(|(at, member)| Some((at, member, member.dashboard.as_ref()?)))
            .collect();
        ranking.sort_by_key(|(_, member, dashboard)| (health(dashboard), member.name.clone()));
        ranking
    }

    /// The selected source's place in `members`.
    #[must_use]
    pub fn selected(&self) -> usize {
        self.selected
    }

    /// The name of the source on the screen.
    #[must_use]
    pub fn open_name(&self) -> Option<&str> {
        self.members.get(self.open?).map(|member| member.name.as_str())
    }

    /// What is watched on the screen.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.members.get(self.open?).map(|member| &member.target)
    }

    /// The dashboard of a source that is not on the screen.
    pub fn dashboard_mut(&mut self, at: usize) -> Option<&mut Dashboard> {
        self.members.get_mut(at)?.dashboard.as_mut()
    }

    /// The place of the source on the screen.
    #[must_use]
    pub fn open_at(&self) -> Option<usize> {
        self.open
    }

    /// The names of the sources and all that their dashboards may show.
    pub fn names(&self, names: &mut std::collections::HashSet<String>) {
        for member in &self.members {
            names.insert(member.name.clone());
            if let Some(dashboard) = &member.dashboard {
                dashboard.names(names);
            }
        }
    }

    /// Whether source `at` is on the screen.
    #[must_use]
    pub fn is_open(&self, at: usize) -> bool {
        self.open == Some(at)
    }

    /// Selects the line `by` lines further.
    pub fn step(&mut self, by: isize) {
        let ranking: Vec<usize> = self.ranking().into_iter().map(|(at, _, _)| at).collect();
        let line = ranking.iter().position(|at| *at == self.selected).unwrap_or(0);
        let line = line.saturating_add_signed(by).min(ranking.len().saturating_sub(1));
        self.selected = ranking.get(line).copied().unwrap_or(0);
    }

    /// Takes the selected source's dashboard out, to show it.
    pub fn open(&mut self) -> Option<Dashboard> {
        let dashboard = self.members.get_mut(self.selected)?.dashboard.take()?;
        self.open = Some(self.selected);
        Some(dashboard)
    }

    /// Puts the dashboard on the screen back.
    pub fn close(&mut self, dashboard: Dashboard) {
        if let Some(member) = self.open.take().and_then(|at| self.members.get_mut(at)) {
            member.dashboard = Some(dashboard);
        }
    }

    /// How many sources are of which health, the worst first.
    #[must_use]
    pub fn census(&self) -> Vec<(Health, usize)> {
        let healths: Vec<Health> = self.ranking().iter().map(|(_, _, dashboard)| health(dashboard)).collect();
        [Health::Unreachable, Health::Critical, Health::Warning, Health::Waiting, Health::Fine]
            .into_iter()
            .map(|health| (health, healths.iter().filter(|one| **one == health).count()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// The oldest sample's arrival among the sources that were seen.
    #[must_use]
    pub fn oldest_sample(&self) -> Option<SystemTime> {
        self.ranking().iter().filter_map(|(_, _, dashboard)| dashboard.picture().sampled_at).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::monitor::{Moment, Sample};

    #[test]
    fn the_worst_stands_first_and_the_selection_stays_on_its_source() {
        let names = ["a", "b", "c"];
        let mut fleet = Fleet::new(names.iter().map(|name| ((*name).to_owned(), Target::default())).collect());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let order =
            |fleet: &Fleet| -> String { fleet.ranking().iter().map(|(_, member, _)| member.name.as_str()).collect() };
        assert_eq!(order(&fleet), "abc");
        fleet.step(1);
        assert_eq!(fleet.selected(), 1);
        for at in 0..3 {
            let sample = Sample { at: Moment(1), ..Sample::default() };
            fleet.dashboard_mut(at).unwrap().sampled(sample, now);
        }
        fleet.dashboard_mut(2).unwrap().sample_failed("gone".to_owned(), None, now);
        assert_eq!((order(&fleet).as_str(), fleet.selected()), ("cab", 1));
        fleet.step(-100);
        let dashboard = fleet.open().expect("c");
        assert!(fleet.is_open(2) && fleet.open_name() == Some("c") && fleet.open().is_none());
        fleet.close(dashboard);
        assert_eq!(fleet.ranking().len(), 3);
        assert_eq!(fleet.census(), [(Health::Unreachable, 1), (Health::Fine, 2)]);
    }
}
