//! One pass over all tables, in one snapshot of the source.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bound::{Reading, Snapshot};
use super::check::{self, Continuation};
use super::pipe::{Form, Moved, Pipe, reading};
use super::range::{Position, Range, Ranges, Split};
use super::reconcile::Reconcile;
use super::relations::{self, Relation};
use super::snapshot::Source;
use super::state::{self, Record, RelationState};
use super::tables::{Job, Join};
use super::telling::Telling;
use super::write::{Manner, Writer};
use super::{XminOptions, deletes};
use crate::profile::{Method, Profile, TableName};
use crate::replication::checkpoint;
use crate::replication::destination::{self, Destination};
use crate::replication::halt::{self, Halt, Side};
use crate::replication::progress::{Phase, Progress, TablePhase, Teller};

/// A range without a row is recorded only after this time: it would be found empty again.
const RECORD_AGAIN: Duration = Duration::from_secs(2);

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The destination is as the source was when it began, but for deletes.
    Whole,
    /// A table was taken up in its middle, so only another pass is whole.
    TakenUp,
    /// `stop` was cancelled, and the range at hand is recorded.
    Stopped,
}

/// What a pass needs.
pub(super) struct Pass<'a> {
    pub(super) profile: &'a Profile,
    pub(super) options: &'a XminOptions,
    pub(super) source: &'a Source,
    pub(super) destination: &'a Destination,
    pub(super) progress: &'a watch::Sender<Progress>,
    pub(super) tell: &'a Teller,
    pub(super) stop: &'a CancellationToken,
    /// Sentences that this run has told already.
    pub(super) told: &'a mut HashSet<String>,
    /// When the next pass begins, for the record.
    pub(super) next_in: Option<Duration>,
}

/// What the pass found when it began.
struct Seen {
    snapshot: Snapshot,
    /// What is remembered of relations, by their oid.
    known: HashMap<u32, RelationState>,
    /// The source's counters of deletes; `None` on a standby, which does not count.
    deletes: Option<HashMap<u32, i64>>,
}

/// Numbers of one table.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    read: u64,
    written: u64,
    taken_up: bool,
    stopped: bool,
}

impl Pass<'_> {
    /// Reads everything that has changed.
    pub(super) async fn run(self) -> Result<Ended, Halt> {
        let (client, here) = (&self.destination.session.client, &self.source.session.client);
        let slot = self.profile.slot.as_str();
        self.join_history().await?;
        let snapshot = self.source.begin(self.stop).await?;
        let found = relations::find(here, self.source.version, &self.profile.selection).await?;
        for sentence in found.left_out {
            if self.told.insert(sentence.clone()) {
                self.tell.trouble(sentence);
            }
        }
        let join = Join {
            source: here,
            destination: client,
            settings: self.destination.session.settings(),
            slot,
            tell: self.tell,
            initial_copy: self.profile.initial_copy,
        };
        let mut jobs = join.tables(found.tables).await?;
        if !self.destination.replica_role {
            // Foreign keys are checked: the rows that are pointed to come first.
            let names: Vec<&TableName> = jobs.iter().map(|job| &job.wanted.source.name).collect();
            let order = destination::foreign_key_order(client, &names).await?;
            let mut slots: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
            jobs = order.into_iter().filter_map(|at| slots[at].take()).collect();
        }
        let oids: Vec<u32> = jobs.iter().flat_map(|job| &job.wanted.relations).map(|relation| relation.oid).collect();
        let seen = Seen {
            snapshot,
            known: state::relations(client, slot).await?,
            deletes: if self.source.identity.standby { None } else { Some(deletes::counters(here, &oids).await?) },
        };
        self.record(&state::pass_begins(slot, snapshot)).await?;
        self.telling().begin(&jobs, snapshot);
        let mut taken_up = false;
        for (place, job) in jobs.iter().enumerate() {
            let counts = self.table(job, place, &seen).await?;
            taken_up |= counts.taken_up;
            if counts.stopped {
                return Ok(Ended::Stopped);
            }
            if self.stop.is_cancelled() && place + 1 < jobs.len() {
                self.telling().stopped_after(&job.wanted.source.name, place + 1, jobs.len());
                return Ok(Ended::Stopped);
            }
        }
        if let Some(limit) = self.options.reconcile {
            self.progress.send_modify(|progress| progress.phase = Phase::Reading);
            let reconcile = Reconcile { here, there: client, slot, tell: self.tell, stop: self.stop, limit };
            self.tell.note("Comparing keys to find rows that were deleted at the source.");
            // Rows that point to others go first.
            let (removed, all) = reconcile.tables(&mut jobs.iter().rev()).await?;
            self.telling().removed(&removed, all);
        }
        here.batch_execute("COMMIT").await.map_err(|error| halt::query(Side::Source, "ending the snapshot", &error))?;
        let next = if taken_up { Some(Duration::ZERO) } else { self.next_in };
        self.record(&state::pass_ends(slot, self.source.identity.position, taken_up, next)).await?;
        self.progress.send_modify(|progress| {
            if !taken_up {
                progress.destination_reaches(self.source.identity.position);
            }
            if let Some(pass) = &mut progress.xmin {
                pass.passes += 1;
            }
        });
        Ok(if taken_up { Ended::TakenUp } else { Ended::Whole })
    }

    /// Whether the source's history goes on from what was read.
    async fn join_history(&self) -> Result<(), Halt> {
        let (client, slot) = (&self.destination.session.client, self.profile.slot.as_str());
        let identity = &self.source.identity;
        checkpoint::only_method(client, slot, Method::Xmin).await?;
        match state::load(client, slot).await? {
            None => state::begin(client, slot, identity).await,
            Some(remembered) => match check::compare(&remembered, identity, slot)? {
                Continuation::Same => Ok(()),
                Continuation::Again(reason) => {
                    self.tell.trouble(reason);
                    state::read_again(client, slot, identity).await
                }
            },
        }
    }

    /// Reads one table.
    async fn table(&self, job: &Job, place: usize, seen: &Seen) -> Result<Counts, Halt> {
        let (client, here) = (&self.destination.session.client, &self.source.session.client);
        let name = &job.wanted.source.name;
        let manner = Manner { fresh: job.fresh, replica_role: self.destination.replica_role };
        let mut writer = Writer::new(client, &job.wanted, &job.there, &job.shared, manner);
        let failed = |error| reading(name, &error);
        let begin = if job.state.current { TablePhase::Reading } else { TablePhase::Copying };
        self.telling().phase(place, begin);
        let mut counts = Counts::default();
        for relation in &job.wanted.relations {
            // Rolling back to the savepoint gives the table's lock back and keeps the snapshot.
            here.batch_execute("SAVEPOINT walpilot").await.map_err(failed)?;
            self.relation(job, relation, seen, &mut writer, (place, &mut counts)).await?;
            let sql = "ROLLBACK TO SAVEPOINT walpilot; RELEASE SAVEPOINT walpilot";
            here.batch_execute(sql).await.map_err(failed)?;
            if counts.stopped {
                return Ok(counts);
            }
        }
        writer.finish().await?;
        let mut state = job.state.clone();
        let counter = seen
            .deletes
            .as_ref()
            .map(|counters| job.wanted.relations.iter().filter_map(|relation| counters.get(&relation.oid)).sum());
        deletes::counted(&mut state, counter);
        if job.wanted.materialized {
            // What it has lost is removed at once.
            state.deletes_unseen = counter.map(|_| 0);
        }
        let record = Record { slot: &self.profile.slot, table: name };
        self.record(&record.read(counts.read, counts.written, &state)).await?;
        self.telling().read(place, job, counts.read, state.deletes_unseen);
        Ok(counts)
    }

    /// Reads a table, or a partition of it, in ranges.
    async fn relation(
        &self,
        job: &Job,
        relation: &Relation,
        seen: &Seen,
        writer: &mut Writer<'_>,
        (place, counts): (usize, &mut Counts),
    ) -> Result<(), Halt> {
        let here = &self.source.session.client;
        let name = &job.wanted.source.name;
        let (shape, pages) = relation.look(here, name).await?;
        let record = Record { slot: &self.profile.slot, table: name };
        let bare = relation.from.trim_start_matches("ONLY ");
        let snapshot = seen.snapshot;
        // What is known of it counts only for the table that it belonged to, and as long as its file is the same.
        let known =
            seen.known.get(&relation.oid).filter(|known| !job.fresh && known.table == *name && known.shape == shape);
        let before = known.and_then(|known| known.bound).filter(|_| !job.wanted.materialized);
        let what = Reading::of(before, snapshot);
        let before = if what == Reading::Everything { None } else { before };
        // A first read, or one that has to be repeated, goes on only where the one before was the same.
        let taken_up = known
            .and_then(|known| known.reading.as_ref().filter(|_| known.bound == before && !job.wanted.materialized));
        let split = Split::of(self.source.version, relation.stored, what);
        let (bound, mut from) = match taken_up {
            Some((bound, position @ Position::Page(_))) if split == Split::Pages => {
                (snapshot.xmin.min(*bound), Some(position.clone()))
            }
            Some((bound, position @ Position::Key(_))) if split == Split::Keys => {
                (snapshot.xmin.min(*bound), Some(position.clone()))
            }
            _ => (snapshot.xmin, None),
        };
        counts.taken_up |= from.is_some();
        let end = RelationState { table: name.clone(), shape: shape.clone(), bound: Some(bound), reading: None };
        if known.is_none() && !self.profile.initial_copy && !job.state.current {
            return self.record(&record.relation(relation.oid, bare, &end)).await;
        }
        let key = job.wanted.key();
        let ranges =
            Ranges { split, relation: &relation.from, key: &key, pages, range_pages: self.options.range_pages };
        let telling = self.telling();
        let mut recorded = now();
        loop {
            let range = ranges.next(here, from).await?;
            let state = match &range.to {
                None => end.clone(),
                Some(to) => RelationState { bound: before, reading: Some((bound, to.clone())), ..end.clone() },
            };
            let form = writer.form();
            let sql = select(writer.columns(), form, relation, what, &ranges, &range);
            let pipe = Pipe::open(here, &sql, form, name).await?;
            let last = range.to.is_none();
            let stopped = !last && self.stop.is_cancelled();
            if pipe.is_some() || last || stopped || recorded.elapsed() >= RECORD_AGAIN {
                let mut shown = Moved::default();
                let told = |moved: Moved| telling.moved(place, moved, std::mem::replace(&mut shown, moved));
                let record = record.relation(relation.oid, bare, &state);
                let (moved, written) = writer.write(pipe, &record, told).await?;
                telling.moved(place, moved, shown);
                telling.written(place, written);
                counts.read += moved.rows;
                counts.written += written;
                recorded = now();
                if !last && self.stop.is_cancelled() {
                    counts.stopped = true;
                    telling.stopped(bare, range.to.as_ref(), pages);
                    return Ok(());
                }
            }
            if last {
                return Ok(());
            }
            from = range.to;
        }
    }

    fn telling(&self) -> Telling<'_> {
        Telling { progress: self.progress, tell: self.tell, reconciles: self.options.reconcile.is_some() }
    }

    async fn record(&self, sql: &str) -> Result<(), Halt> {
        let failed = |error| halt::query(Side::Destination, "recording how far the pass is", &error);
        self.destination.session.client.batch_execute(sql).await.map_err(failed)
    }
}

fn now() -> Instant {
    Instant::now()
}

/// The statement that reads a range.
fn select(columns: &str, form: Form, relation: &Relation, what: Reading, ranges: &Ranges<'_>, range: &Range) -> String {
    let conditions: Vec<String> = what.condition().into_iter().chain(ranges.condition(range)).collect();
    let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    format!("COPY (SELECT {columns} FROM {}{filter}) TO STDOUT {}", relation.from, form.option())
}
