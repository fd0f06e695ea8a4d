//! Which slots and tables are listed, and in which order.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::time::Duration;

use crate::monitor::Watcher;
use crate::monitor::history::TableRates;
use crate::monitor::reading::SlotReading;
use crate::monitor::report::TableLine;
use crate::monitor::slot::Slot;
use crate::monitor::table::Table;
use crate::profile::TableName;
use crate::tui::app::fuzzy::{self, Fit};

/// What slots are sorted by. Of numbers the largest stands first, and before it what is not known: it may be the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "`words` says them")]
pub enum SlotOrder {
    #[default]
    Risk,
    Name,
    State,
    Plugin,
    Database,
    Reader,
    LagTime,
    Lag,
    Unsent,
    Redo,
    Confirmed,
    Held,
    Safe,
    Loss,
    Horizon,
}

impl SlotOrder {
    /// All of them, in the order of the columns.
    pub const ALL: [Self; 15] = [
        Self::Risk,
        Self::Name,
        Self::State,
        Self::Plugin,
        Self::Database,
        Self::Reader,
        Self::LagTime,
        Self::Lag,
        Self::Unsent,
        Self::Redo,
        Self::Confirmed,
        Self::Held,
        Self::Safe,
        Self::Loss,
        Self::Horizon,
    ];

    /// The word for the command line below, and what stands first.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Risk => ("risk", "worst first"),
            Self::Name => ("name", "name"),
            Self::State => ("state", "state"),
            Self::Plugin => ("plugin", "plugin"),
            Self::Database => ("database", "database"),
            Self::Reader => ("reader", "reader"),
            Self::LagTime => ("lag", "lag in time"),
            Self::Lag => ("bytes", "bytes not confirmed"),
            Self::Unsent => ("unsent", "bytes not sent"),
            Self::Redo => ("redo", "bytes to read again"),
            Self::Confirmed => ("confirmed", "bytes confirmed a second"),
            Self::Held => ("held", "WAL held"),
            Self::Safe => ("safe", "least WAL left"),
            Self::Loss => ("loss", "soonest lost"),
            Self::Horizon => ("xmin", "age of xmin"),
        }
    }
}

/// What tables are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "`words` says them")]
pub enum TableOrder {
    #[default]
    Rate,
    Name,
    Rows,
    Drift,
    Phase,
    Dead,
    Size,
}

impl TableOrder {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::Rate, Self::Name, Self::Rows, Self::Drift, Self::Phase, Self::Dead, Self::Size];

    /// The word for the command line below, and what stands first.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Rate => ("rate", "most changed first"),
            Self::Name => ("name", "name"),
            Self::Rows => ("rows", "most rows"),
            Self::Drift => ("drift", "largest difference"),
            Self::Phase => ("phase", "phase of the run"),
            Self::Dead => ("dead", "most dead rows"),
            Self::Size => ("size", "largest"),
        }
    }
}

/// Sorts tables, which come by name; `counted` is the difference of an exact count.
pub(super) fn sort_tables(
    lines: &mut [TableLine],
    watcher: &Watcher,
    counted: impl Fn(&TableLine) -> Option<u64>,
    order: TableOrder,
    reversed: bool,
) {
    let tables = watcher.sample().and_then(|sample| sample.tables.as_ref());
    // There may be ten thousand: each is found at once.
    let known = || -> HashMap<&TableName, &Table> {
        tables.into_iter().flat_map(|tables| &tables.tables).map(|table| (&table.name, table)).collect()
    };
    let rate = |line: &TableLine| {
        let rates = watcher.history().table_rates(&line.table);
        let sum = |rates: TableRates| rates.inserts + rates.updates + rates.deletes;
        // A tenth of a change a second is a difference, less is noise that would let lines jump.
        rates.map_or(0, |rates| crate::monitor::units::round(sum(rates) * 10.0))
    };
    let drift = |line: &TableLine| counted(line).or_else(|| Some(line.source_rows?.abs_diff(line.destination_rows?)));
    match order {
        TableOrder::Rate => lines.sort_by_cached_key(|line| Reverse(rate(line))),
        TableOrder::Name => lines.sort_by(|a, b| a.table.cmp(&b.table)),
        TableOrder::Rows => lines.sort_by_key(|line| Reverse(line.source_rows)),
        TableOrder::Drift => lines.sort_by_cached_key(|line| Reverse(drift(line))),
        TableOrder::Phase => lines.sort_by(|a, b| a.phase.cmp(&b.phase)),
        TableOrder::Dead => {
            let known = known();
            lines.sort_by_cached_key(|line| Reverse(known.get(&line.table).map(|table| table.dead_rows)));
        }
        TableOrder::Size => {
            let known = known();
            lines.sort_by_cached_key(|line| Reverse(known.get(&line.table).map(|table| table.bytes)));
        }
    }
    if reversed {
        lines.reverse();
    }
}

/// A filter: words that all have to fit. `state:behind`, `lag>60` (seconds), `bytes>1000000`, or letters of a name as
/// [`fuzzy`] takes them.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    State(String),
    Number(fn(&SlotReading) -> Option<f64>, bool, f64),
    /// A word, and how near it has to come.
    Text(String, Option<Fit>),
}

impl Filter {
    /// Reads what was typed; what makes no sense is a part of a name.
    pub(super) fn read(text: &str) -> Self {
        Self { terms: text.split_whitespace().map(Term::read).collect() }
    }

    /// The filter for these slots: each word as near as any of them comes.
    fn of(mut self, slots: &[Slot]) -> Self {
        for term in &mut self.terms {
            if let Term::Text(word, wanted) = term {
                *wanted = slots.iter().filter_map(|slot| fuzzy::best(word, texts(slot))).max();
            }
        }
        self
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
        Self::Text(word, None)
    }

    fn fits(&self, slot: &Slot, numbers: &SlotReading) -> bool {
        match self {
            Self::State(state) => numbers.state.name().to_lowercase().replace(' ', "_").starts_with(state.as_str()),
            Self::Number(read, larger, limit) => {
                read(numbers).is_some_and(|value| if *larger { value > *limit } else { value < *limit })
            }
            Self::Text(word, wanted) => wanted.is_some() && fuzzy::best(word, texts(slot)) >= *wanted,
        }
    }
}

/// What a word of the filter may stand in.
fn texts(slot: &Slot) -> impl Iterator<Item = &str> {
    let reader = slot.consumer.as_ref().and_then(|reader| reader.application_name.as_deref());
    [Some(slot.name.as_str()), slot.database.as_deref(), slot.plugin.as_deref(), reader].into_iter().flatten()
}

#[expect(clippy::cast_precision_loss, reason = "compared with what somebody typed")]
fn float(value: u64) -> f64 {
    value as f64
}

/// The slots to list, as places in the reading.
pub(super) fn listed(
    watcher: &Watcher,
    filter: Filter,
    problems: bool,
    order: SlotOrder,
    reversed: bool,
) -> Vec<usize> {
    let Some(sample) = watcher.sample() else { return Vec::new() };
    let filter = filter.of(&sample.slots);
    let slots = &watcher.reading().slots;
    let mut places: Vec<(usize, &Slot)> = (0..slots.len())
        .filter_map(|at| Some((at, sample.slots.iter().find(|slot| slot.name == slots[at].name)?)))
        .filter(|(at, slot)| !(problems && slots[*at].state.is_good()) && filter.fits(slot, &slots[*at]))
        .collect();
    // The reading is sorted by risk already, and sorting is stable.
    places.sort_by(|(a, of_a), (b, of_b)| compare((&slots[*a], of_a), (&slots[*b], of_b), order));
    if reversed {
        places.reverse();
    }
    places.into_iter().map(|(at, _)| at).collect()
}

fn compare((a, of_a): (&SlotReading, &Slot), (b, of_b): (&SlotReading, &Slot), order: SlotOrder) -> Ordering {
    let most = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(a), Some(b)) => b.cmp(&a),
    };
    let reader = |slot: &Slot| slot.consumer.as_ref().and_then(|reader| reader.application_name.clone());
    match order {
        SlotOrder::Risk => Ordering::Equal,
        SlotOrder::Name => a.name.cmp(&b.name),
        SlotOrder::State => a.state.name().cmp(b.state.name()),
        SlotOrder::Plugin => of_a.plugin.cmp(&of_b.plugin),
        SlotOrder::Database => of_a.database.cmp(&of_b.database),
        SlotOrder::Reader => reader(of_a).cmp(&reader(of_b)),
        SlotOrder::Lag => most(a.lag_bytes, b.lag_bytes),
        SlotOrder::LagTime => most(a.lag.map(|age| age.millis), b.lag.map(|age| age.millis)),
        SlotOrder::Unsent => b.unsent_bytes.cmp(&a.unsent_bytes),
        SlotOrder::Redo => b.redo_bytes.cmp(&a.redo_bytes),
        SlotOrder::Confirmed => b.confirmed_rate.unwrap_or(-1.0).total_cmp(&a.confirmed_rate.unwrap_or(-1.0)),
        SlotOrder::Held => b.retained_bytes.cmp(&a.retained_bytes),
        SlotOrder::Safe => a.safe_bytes.unwrap_or(i64::MAX).cmp(&b.safe_bytes.unwrap_or(i64::MAX)),
        SlotOrder::Horizon => b.horizon.cmp(&a.horizon),
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
        let places = listed(&watcher, Filter::read(filter), false, order, reversed);
        places.into_iter().map(|at| watcher.reading().slots[at].name.clone()).collect()
    }

    #[test]
    fn filters_are_names_states_and_numbers() {
        for (filter, left) in [
            ("", vec!["alpha", "beta", "gamma"]),
            ("ALP", vec!["alpha"]),
            ("lph", vec!["alpha"]),
            ("bt", vec!["beta"]),
            ("gma sop", vec!["gamma"]),
            ("aa", vec!["alpha", "gamma"]),
            ("alphas", vec![]),
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
