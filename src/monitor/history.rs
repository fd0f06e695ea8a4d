//! What was sampled of one source, kept long enough to tell rates, ages and changes. Pure: time comes with the samples.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::destination::Destination;
use super::events::{self, Event};
use super::lsn_clock::LsnClock;
use super::moment::Moment;
use super::sample::Sample;
use super::seen::Seen;
use super::slot::Slot;
use super::subscription::Subscription;
use super::table::{self, Table, Tables};
use super::xmin;
use crate::catalog::Lsn;
use crate::profile::TableName;

pub use super::slot_history::{SlotHistory, SlotPoint};

/// How many events and rates are kept.
const EVENTS: usize = 500;
const RATES: usize = 600;
/// Counters of tables are compared over at least this long: from 15 on they may trail a commit by ten seconds.
const TABLE_WINDOW: Duration = Duration::from_secs(20);
/// How long sizes of the WAL directory and counters of subscriptions are kept.
const SIZES_FOR: Duration = Duration::from_secs(900);
/// Over how long the share of whole pages in the log is taken, and what a page takes at the most, in bytes.
const PAGES_FOR: Duration = Duration::from_secs(60);
const BLOCK: f64 = 8192.0;
/// How long a change of the server or the end of a slot is worth a finding.
const CHANGE_FOR: Duration = Duration::from_secs(3600);
/// The source's clock was set when it differs from both clocks of this machine by more than this.
const CLOCK_SET: i64 = 5_000_000;

/// The history of one source.
#[derive(Clone, Debug, Default)]
pub struct History {
    clock: LsnClock,
    began: Moment,
    latest: Option<Sample>,
    slots: BTreeMap<String, SlotHistory>,
    gone: BTreeMap<String, Gone>,
    changes: Vec<ServerChange>,
    tables: VecDeque<Arc<Tables>>,
    table_rates: Arc<HashMap<TableName, TableRates>>,
    wrote: Moment,
    first_tables: Option<Arc<Tables>>,
    at_pass: Option<(u64, Option<Arc<Tables>>)>,
    sizes: VecDeque<(Moment, u64)>,
    errors: VecDeque<Errors>,
    published: BTreeMap<u64, Lsn>,
    rates: VecDeque<f64>,
    pages: VecDeque<(Moment, u64, f64)>,
    events: VecDeque<Event>,
}

/// A slot that is not there any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Gone {
    /// When that was seen.
    pub at: Moment,
    /// As it was.
    pub slot: Slot,
}

/// The errors of each subscription at the destination: when they were seen, on the source's clock, and read, on the
/// destination's.
#[derive(Clone, Debug)]
struct Errors {
    at: Moment,
    read: Moment,
    counts: BTreeMap<String, u64>,
}

/// Something that changed at the source beneath everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerChange {
    /// When that was seen.
    pub at: Moment,
    /// What.
    pub kind: ServerChangeKind,
}

/// See [`ServerChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerChangeKind {
    /// Another cluster answers.
    Cluster,
    /// Another timeline: from, to.
    Timeline(u32, u32),
    /// The end of the log went back on the same timeline: from, to.
    Rewind(Lsn, Lsn),
}

/// Changes of a table per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TableRates {
    /// Rows inserted.
    pub inserts: f64,
    /// Rows updated.
    pub updates: f64,
    /// Rows deleted.
    pub deletes: f64,
}

impl History {
    /// Takes a sample in and tells what changed.
    pub fn push(&mut self, sample: Sample) -> Vec<Event> {
        let mut changes = Vec::new();
        let restarted = self.latest.as_ref().is_some_and(|before| before.server.started != sample.server.started);
        match self.latest.take() {
            Some(before) => {
                self.follow_clock(&before, &sample, &mut changes);
                changes.extend(events::between(&before, &sample));
                self.follow_server(&before, &sample);
                if before.next_xid != sample.next_xid {
                    self.wrote = sample.at;
                }
                self.rates.extend(wal_rate(&before, &sample));
                trim(&mut self.rates, RATES);
            }
            // Who knows what was written just before.
            None => (self.began, self.wrote) = (sample.at, sample.at),
        }
        if let Some(lsn) = sample.lsn {
            self.clock.push(lsn, sample.at, sample.next_xid);
            self.clock.remember(sample.before.clone());
        }
        let first = sample.at == self.began;
        for slot in &sample.slots {
            let history = self.slots.entry(slot.name.clone()).or_default();
            history.push(slot, &sample, first, restarted);
            if let Some(departure) = history.departure().filter(|departure| departure.at == sample.at) {
                changes.extend(events::departed(&slot.name, departure));
            }
        }
        if first {
            self.gone_before(&sample);
        }
        self.slots.retain(|name, _| sample.slots.iter().any(|slot| &slot.name == name));
        self.gone.retain(|name, gone| {
            sample.at.since(gone.at) <= CHANGE_FOR && sample.slots.iter().all(|slot| &slot.name != name)
        });
        self.changes.retain(|change| sample.at.since(change.at) <= CHANGE_FOR);
        self.push_tables(sample.tables.as_ref());
        self.push_pass(&sample);
        self.push_sizes(&sample);
        self.push_pages(&sample);
        self.push_errors(&sample);
        self.push_published(&sample);
        self.events.extend(changes.iter().cloned());
        trim(&mut self.events, EVENTS);
        self.latest = Some(sample);
        changes
    }

    /// Notices that the source's clock was set: it went another way than both clocks of this machine. (One of those
    /// alone may be set itself, the other one stands while a laptop sleeps.)
    fn follow_clock(&mut self, before: &Sample, after: &Sample, changes: &mut Vec<Event>) {
        let went = after.at.0 - before.at.0;
        let steady = i64::try_from(after.steady).unwrap_or(0) - i64::try_from(before.steady).unwrap_or(0);
        let heard = after.heard.0 - before.heard.0;
        // A new connection counts from a new beginning.
        if steady <= 0 {
            return;
        }
        let (by, other) = (went - steady, went - heard);
        if by.abs() > CLOCK_SET && other.abs() > CLOCK_SET {
            self.clock.shift(by);
            self.slots.values_mut().for_each(|slot| slot.shift(by));
            self.began = Moment(self.began.0.saturating_add(by));
            changes.push(events::clock_set(after.at, by));
        }
    }

    fn follow_server(&mut self, before: &Sample, after: &Sample) {
        let at = after.at;
        let (old, new) = (&before.server, &after.server);
        if old.system_identifier != new.system_identifier {
            let events = std::mem::take(&mut self.events);
            let changes = vec![ServerChange { at, kind: ServerChangeKind::Cluster }];
            *self = Self { events, changes, began: at, ..Self::default() };
            return;
        }
        if old.timeline != new.timeline {
            self.clock = LsnClock::default();
            self.changes.push(ServerChange { at, kind: ServerChangeKind::Timeline(old.timeline, new.timeline) });
        } else if let (Some(from), Some(to)) = (before.lsn, after.lsn)
            && to < from
            && !new.in_recovery
        {
            self.clock = LsnClock::default();
            self.changes.push(ServerChange { at, kind: ServerChangeKind::Rewind(from, to) });
        }
        for slot in before.slots.iter().filter(|slot| !slot.temporary && !slot.is_table_sync()) {
            if after.slots.iter().all(|is| is.name != slot.name) {
                self.gone.insert(slot.name.clone(), Gone { at, slot: slot.clone() });
            }
        }
    }

    /// Slots that an earlier run has seen and that are not there any more.
    fn gone_before(&mut self, sample: &Sample) {
        let there = |name: &str| sample.slots.iter().any(|slot| slot.name == name);
        let gone = sample.slots_before.iter().filter(|before| !there(&before.slot.name));
        self.gone
            .extend(gone.map(|before| (before.slot.name.clone(), Gone { at: before.at, slot: before.slot.clone() })));
    }

    fn push_tables(&mut self, tables: Option<&Tables>) {
        let Some(tables) = tables else { return };
        if self.tables.back().is_some_and(|last| last.at == tables.at) {
            return;
        }
        // There may be ten thousand of them; copies of this history share them.
        let tables = Arc::new(tables.clone());
        self.first_tables.get_or_insert_with(|| Arc::clone(&tables));
        self.tables.push_back(Arc::clone(&tables));
        // One older than the window stays, to measure from.
        while self.tables.get(1).is_some_and(|second| tables.at.since(second.at) >= TABLE_WINDOW) {
            self.tables.pop_front();
        }
        self.table_rates = Arc::new(self.tables.front().map(|first| rates(first, &tables)).unwrap_or_default());
    }

    /// The counters at the end of a pass of the method xmin that was seen to end.
    fn push_pass(&mut self, sample: &Sample) {
        let Some((_, run)) = xmin::run(sample) else { return };
        if self.at_pass.as_ref().is_none_or(|(passes, _)| *passes != run.passes) {
            let seen = self.at_pass.is_some();
            self.at_pass = Some((run.passes, sample.tables.clone().filter(|_| seen).map(Arc::new)));
        }
    }

    fn push_sizes(&mut self, sample: &Sample) {
        let Some(files) = sample.files.known() else { return };
        if self.sizes.back().is_none_or(|(at, _)| *at != files.at) {
            self.sizes.push_back((files.at, files.bytes));
        }
        while self.sizes.front().is_some_and(|(at, _)| files.at.since(*at) > SIZES_FOR) {
            self.sizes.pop_front();
        }
    }

    fn push_pages(&mut self, sample: &Sample) {
        let Some(wal) = &sample.wal else { return };
        if self.pages.back().is_some_and(|(_, pages, bytes)| wal.full_pages < *pages || wal.bytes < *bytes) {
            // The statistics were reset.
            self.pages.clear();
        }
        self.pages.push_back((sample.at, wal.full_pages, wal.bytes));
        while self.pages.front().is_some_and(|(at, ..)| sample.at.since(*at) > PAGES_FOR) {
            self.pages.pop_front();
        }
    }

    /// Which share of the log of the last minute was whole pages, at the most: each takes up to a block. `None` before
    /// 14, before two samples, and while nothing is written.
    #[must_use]
    pub fn full_page_share(&self) -> Option<f64> {
        let ((_, pages, bytes), (_, later, more)) = (self.pages.front()?, self.pages.back()?);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let written = (later - pages) as f64 * BLOCK;
        (more > bytes).then(|| (written / (more - bytes)).min(1.0))
    }

    fn push_errors(&mut self, sample: &Sample) {
        let Some(Destination::Reached(reached)) = &sample.destination else { return };
        let Some(there) = reached.subscriptions.known() else { return };
        if self.errors.back().is_some_and(|last| last.read == there.at) {
            return;
        }
        let count = |subscription: &Subscription| {
            let failed = |column| subscription.counter(column).unwrap_or(0);
            failed("apply_error_count") + failed("sync_error_count")
        };
        let counts = there.subscriptions.iter().map(|subscription| (subscription.name.clone(), count(subscription)));
        self.errors.push_back(Errors { at: sample.at, read: there.at, counts: counts.collect() });
        while self.errors.front().is_some_and(|first| sample.at.since(first.at) > SIZES_FOR) {
            self.errors.pop_front();
        }
    }

    /// By which position the transactions that wrote the catalog's younger rows were certainly over.
    fn push_published(&mut self, sample: &Sample) {
        let (Some(catalog), Some(lsn)) = (sample.publications.known(), sample.lsn) else { return };
        let known = std::mem::take(&mut self.published);
        let written = catalog.transactions();
        self.published = written.map(|xid| (xid, known.get(&xid).copied().unwrap_or(lsn))).collect();
    }

    /// Lets go of what is large in the latest sample and comes anew with the next one.
    pub(super) fn lighten(&mut self) {
        if let Some(latest) = &mut self.latest {
            latest.tables = None;
            latest.publications = Seen::default();
            if let Some(Destination::Reached(reached)) = &mut latest.destination {
                reached.tables = Tables::default();
            }
        }
    }

    /// The latest sample.
    #[must_use]
    pub fn latest(&self) -> Option<&Sample> {
        self.latest.as_ref()
    }

    /// When the history began, on the source's clock.
    #[must_use]
    pub fn began(&self) -> Moment {
        self.began
    }

    /// When which byte was written.
    #[must_use]
    pub fn clock(&self) -> &LsnClock {
        &self.clock
    }

    /// WAL bytes per second at each sample, oldest first.
    #[must_use]
    pub fn wal_rates(&self) -> &VecDeque<f64> {
        &self.rates
    }

    /// What happened, oldest first.
    #[must_use]
    pub fn events(&self) -> &VecDeque<Event> {
        &self.events
    }

    /// Remembers what happened outside the samples.
    pub(super) fn tell(&mut self, events: impl IntoIterator<Item = Event>) {
        self.events.extend(events);
        trim(&mut self.events, EVENTS);
    }

    /// The history of one slot.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<&SlotHistory> {
        self.slots.get(name)
    }

    /// Slots that have gone within the last hour.
    #[must_use]
    pub fn gone(&self) -> &BTreeMap<String, Gone> {
        &self.gone
    }

    /// What changed beneath everything within the last hour.
    #[must_use]
    pub fn server_changes(&self) -> &[ServerChange] {
        &self.changes
    }

    /// By which position transaction `xid`, which wrote a row of the catalog's publications, was over.
    #[must_use]
    pub fn published_by(&self, xid: u64) -> Option<Lsn> {
        self.published.get(&xid).copied()
    }

    /// Bytes per second by which the WAL directory grows (below zero: shrinks); `None` before there are two readings.
    #[must_use]
    pub fn directory_growth(&self) -> Option<f64> {
        let ((first, small), (last, large)) = (self.sizes.front()?, self.sizes.back()?);
        let seconds = last.since(*first).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        (seconds > 0.0).then(|| (*large as f64 - *small as f64) / seconds)
    }

    /// Errors of a subscription within the last quarter of an hour, as far as it was watched.
    #[must_use]
    pub fn subscription_errors(&self, name: &str) -> u64 {
        let count = |reading: Option<&Errors>| reading.and_then(|reading| reading.counts.get(name).copied());
        count(self.errors.back()).unwrap_or(0).saturating_sub(count(self.errors.front()).unwrap_or(0))
    }

    /// Changes of a table per second; `None` before there are two readings, or after the counters were reset. While
    /// [`Self::counters_trail`] 0 means: none that was told of yet.
    #[must_use]
    pub fn table_rates(&self, name: &TableName) -> Option<TableRates> {
        self.table_rates.get(name).copied()
    }

    /// Whether something was written so shortly before the tables' counters were read (or since then) that they may not
    /// tell of it yet: then a rate of 0 is no fact. `false` without any counters.
    #[must_use]
    pub fn counters_trail(&self) -> bool {
        let (Some(latest), Some(first), Some(last)) = (&self.latest, self.tables.front(), self.tables.back()) else {
            return false;
        };
        match table::counters_trail_by(latest.server.version) {
            Some(by) => last.at.since(self.wrote) < by,
            // Whatever was written within the window of the rates, or just before it.
            None => first.at.since(self.wrote) < Duration::from_secs(1),
        }
    }

    /// Inserts, updates and deletes of a table per second, together.
    #[must_use]
    pub fn table_rate(&self, name: &TableName) -> Option<f64> {
        self.table_rates(name).map(|rates| rates.inserts + rates.updates + rates.deletes)
    }

    /// The tables as they were when a pass of the method xmin was last seen to end.
    pub(super) fn tables_at_pass(&self) -> Option<&Tables> {
        self.at_pass.as_ref()?.1.as_deref()
    }

    /// Rows deleted from all tables since they are watched, and since when.
    #[must_use]
    pub fn deletes_watched(&self) -> Option<(u64, Moment)> {
        let (first, last) = (self.first_tables.as_ref()?, self.tables.back()?);
        let before: HashMap<&TableName, u64> = first.tables.iter().map(|table| (&table.name, table.deletes)).collect();
        let deletes = last.tables.iter().filter_map(|table| table.deletes.checked_sub(*before.get(&table.name)?));
        Some((deletes.sum(), first.at))
    }
}

/// What changed between two readings, per second; nothing of a table whose counters were reset. One pass: there may be
/// ten thousand of them.
fn rates(first: &Tables, last: &Tables) -> HashMap<TableName, TableRates> {
    let seconds = last.at.since(first.at).as_secs_f64();
    if seconds <= 0.0 {
        return HashMap::new();
    }
    let before: HashMap<&TableName, &Table> = first.tables.iter().map(|table| (&table.name, table)).collect();
    let rate = |was: u64, is: u64| {
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        is.checked_sub(was).map(|changes| changes as f64 / seconds)
    };
    let of = |table: &Table| {
        let was = before.get(&table.name)?;
        let inserts = rate(was.inserts, table.inserts)?;
        let updates = rate(was.updates, table.updates)?;
        let deletes = rate(was.deletes, table.deletes)?;
        Some((table.name.clone(), TableRates { inserts, updates, deletes }))
    };
    last.tables.iter().filter_map(of).collect()
}

/// WAL bytes per second between two samples; `None` when they are of different servers or out of order.
fn wal_rate(before: &Sample, after: &Sample) -> Option<f64> {
    if before.server.system_identifier != after.server.system_identifier {
        return None;
    }
    let bytes = after.lsn?.0.checked_sub(before.lsn?.0)?;
    let seconds = after.at.since(before.at).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    (seconds > 0.0).then(|| bytes as f64 / seconds)
}

fn trim<T>(ring: &mut VecDeque<T>, most: usize) {
    while ring.len() > most {
        ring.pop_front();
    }
}
