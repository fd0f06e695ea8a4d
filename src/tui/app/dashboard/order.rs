//! Which slots are listed, and in which order.

use std::cmp::Ordering;
use std::time::Duration;

use crate::monitor::Watcher;
use crate::monitor::reading::SlotReading;
use crate::monitor::slot::Slot;

/// What slots are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SlotOrder {
    /// The worst first.
    #[default]
    Risk,
    /// By name.
    Name,
    /// The largest lag in bytes first.
    Lag,
    /// The largest lag in time first.
    LagTime,
    /// What holds most of the log first.
    Held,
    /// What is lost soonest first.
    Loss,
}

impl SlotOrder {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Risk => Self::Name,
            Self::Name => Self::Lag,
            Self::Lag => Self::LagTime,
            Self::LagTime => Self::Held,
            Self::Held => Self::Loss,
            Self::Loss => Self::Risk,
        }
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Risk => "worst first",
            Self::Name => "by name",
            Self::Lag => "by bytes",
            Self::LagTime => "by lag",
            Self::Held => "by what they hold",
            Self::Loss => "by time to loss",
        }
    }
}

/// A filter: words that all have to fit. `state:behind`, `lag>60` (seconds), `bytes>1000000`, or a part of a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    State(String),
    Number(fn(&SlotReading) -> Option<f64>, bool, f64),
    Text(String),
}

impl Filter {
    /// Reads what was typed; what makes no sense is a part of a name.
    pub(super) fn read(text: &str) -> Self {
        Self { terms: text.split_whitespace().map(Term::read).collect() }
    }

    fn fits(&self, slot: &Slot, numbers: &SlotReading) -> bool {
        self.terms.iter().all(|term| term.fits(slot, numbers))
    }
}

impl Term {
    fn read(word: &str) -> Self {
        let word = word.to_lowercase();
        if let Some(state) = word.strip_prefix("state:") {
            return Self::State(state.to_owned());
        }
        if let Some(at) = word.find(['>', '<'])
            && let Ok(limit) = word[at + 1..].parse::<f64>()
        {
            let larger = word.as_bytes()[at] == b'>';
            match &word[..at] {
                "lag" => return Self::Number(|n| n.lag.map(|age| age.span().as_secs_f64()), larger, limit),
                "bytes" => return Self::Number(|n| n.lag_bytes.map(float), larger, limit),
                "held" => return Self::Number(|n| n.retained_bytes.map(float), larger, limit),
                _ => {}
            }
        }
        Self::Text(word)
    }

    fn fits(&self, slot: &Slot, numbers: &SlotReading) -> bool {
        match self {
            Self::State(state) => numbers.state.name().to_lowercase().replace(' ', "_").starts_with(state.as_str()),
            Self::Number(read, larger, limit) => {
                read(numbers).is_some_and(|value| if *larger { value > *limit } else { value < *limit })
            }
            Self::Text(part) => {
                let reader = slot.consumer.as_ref();
                let texts = [
                    Some(&slot.name),
                    slot.database.as_ref(),
                    slot.plugin.as_ref(),
                    reader.and_then(|reader| reader.application_name.as_ref()),
                ];
                texts.into_iter().flatten().any(|text| text.to_lowercase().contains(part.as_str()))
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "compared with what somebody typed")]
fn float(value: u64) -> f64 {
    value as f64
}

/// The slots to list, as places in the reading.
pub(super) fn listed(
    watcher: &Watcher,
    filter: &Filter,
    problems: bool,
    order: SlotOrder,
    reversed: bool,
) -> Vec<usize> {
    let Some(sample) = watcher.sample() else { return Vec::new() };
    let slots = &watcher.reading().slots;
    let mut places: Vec<usize> = (0..slots.len())
        .filter(|at| {
            let numbers = &slots[*at];
            let slot = sample.slots.iter().find(|slot| slot.name == numbers.name);
            !(problems && numbers.state.is_good()) && slot.is_some_and(|slot| filter.fits(slot, numbers))
        })
        .collect();
    // The reading is sorted by risk already, and sorting is stable.
    places.sort_by(|a, b| compare(&slots[*a], &slots[*b], order));
    if reversed {
        places.reverse();
    }
    places
}

/// What is not known stands first: it may be the worst.
fn compare(a: &SlotReading, b: &SlotReading, order: SlotOrder) -> Ordering {
    let unknown_first = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => b.cmp(&a),
    };
    match order {
        SlotOrder::Risk => Ordering::Equal,
        SlotOrder::Name => a.name.cmp(&b.name),
        SlotOrder::Lag => unknown_first(a.lag_bytes, b.lag_bytes),
        SlotOrder::LagTime => unknown_first(a.lag.map(|age| age.millis), b.lag.map(|age| age.millis)),
        SlotOrder::Held => b.retained_bytes.cmp(&a.retained_bytes),
        SlotOrder::Loss => {
            let left = |one: &SlotReading| one.dies_in.unwrap_or(Duration::MAX);
            left(a).cmp(&left(b))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Lsn;
    use crate::monitor::{Moment, Sample};

    fn watcher() -> Watcher {
        let slot = |name: &str, confirmed: Option<u64>| Slot {
            name: name.to_owned(),
            database: Some("shop".to_owned()),
            restart_lsn: Some(Lsn(10)),
            confirmed_flush_lsn: confirmed.map(Lsn),
            ..Slot::default()
        };
        let slots = vec![slot("alpha", Some(900)), slot("beta", Some(100)), slot("gamma", None)];
        let mut watcher = Watcher::default();
        watcher.push(Sample { at: Moment(1), lsn: Some(Lsn(1000)), slots, ..Sample::default() });
        watcher
    }

    fn names(filter: &str, order: SlotOrder, reversed: bool) -> Vec<String> {
        let watcher = watcher();
        let places = listed(&watcher, &Filter::read(filter), false, order, reversed);
        places.into_iter().map(|at| watcher.reading().slots[at].name.clone()).collect()
    }

    #[test]
    fn filters_are_names_states_and_numbers() {
        for (filter, left) in [
            ("", vec!["alpha", "beta", "gamma"]),
            ("ALP", vec!["alpha"]),
            ("shop beta", vec!["beta"]),
            ("bytes>500", vec!["beta"]),
            ("bytes<500", vec!["alpha"]),
            ("state:det bytes<500", vec!["alpha"]),
            ("state:lost", vec![]),
            ("lag>", vec![]),
        ] {
            assert_eq!(names(filter, SlotOrder::Name, false), left, "{filter}");
        }
    }

    #[test]
    fn what_is_not_known_stands_before_what_is_large() {
        assert_eq!(names("", SlotOrder::Lag, false), ["gamma", "beta", "alpha"]);
        assert_eq!(names("", SlotOrder::Lag, true), ["alpha", "beta", "gamma"]);
    }
}
