//! The initial copy: all tables in one snapshot of the source, in pieces that several sessions carry at the same time.
//!
//! A table of one piece is copied in one destination transaction, together with its key and its state: it is there as a
//! whole, or not at all. A table of several pieces is emptied first; each piece is recorded in `walpilot.table_piece` in
//! the transaction that brings its rows; the last one makes the key and ends the copy. While the snapshot is held, a
//! broken connection costs the pieces that were on their way. After a crash of walpilot or of the source the snapshot is
//! gone: what is not complete is emptied and copied in a new one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Amount, TableState};
use super::copy::{Carry, SnapshotSession, writing};
use super::counted::counted;
use super::create;
use super::destination::{self, DestinationTable};
use super::halt::{self, Halt, Side};
use super::pieces::{self, Piece};
use super::prepare::{Ready, Table};
use super::progress::{Phase, Progress, TablePhase, Teller};
use super::slot::{self, Snapshot};
use super::source::{self, SourceTable};
use super::types;
use crate::catalog::Lsn;
use crate::catalog::ident::quote_table;
use crate::connection::{self, SessionOptions, Settings};
use crate::profile::{Profile, TableName};

/// How many pieces are copied at the same time: enough to keep both servers busy, and few for the source's sake.
const COPY_WORKERS: usize = 2;

/// A snapshot that outlives an attempt, with the tables that are copied in it and how they were cut.
pub(super) struct Held {
    snapshot: Snapshot,
    plans: HashMap<TableName, (SourceTable, Vec<Piece>)>,
}

impl Held {
    /// The snapshot alone.
    pub(super) fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }
}

/// What copying needs beside the tables.
pub(super) struct Initial<'a> {
    pub(super) profile: &'a Profile,
    pub(super) destination: &'a Settings,
    pub(super) progress: &'a watch::Sender<Progress>,
    pub(super) tell: &'a Teller,
    pub(super) stop: &'a CancellationToken,
    /// The stream of other tables runs meanwhile. Then the copy does not make a table complete: it has to be joined.
    pub(super) beside: bool,
}

/// A piece that is to be copied.
#[derive(Clone)]
struct Work {
    /// The table's place.
    at: usize,
    piece: Piece,
}

/// What is left of a table.
#[derive(Clone, Copy, Default)]
struct Rest {
    pieces: usize,
    whole: bool,
    copied: Amount,
}

struct Board {
    queue: VecDeque<Work>,
    rests: HashMap<usize, Rest>,
    finished: Vec<(usize, TableState)>,
}

impl Initial<'_> {
    /// Copies what is not at the destination yet. `held` keeps the snapshot over a broken connection.
    /// Returns the tables that were copied.
    pub(super) async fn copy(&self, ready: &mut Ready, held: &mut Option<Held>) -> Result<Vec<TableName>, Halt> {
        let missing: Vec<usize> = (0..ready.tables.len())
            .filter(|at| !ready.tables[*at].state.as_ref().is_some_and(|state| state.complete))
            .collect();
        if missing.is_empty() {
            *held = None;
            return Ok(Vec::new());
        }
        self.begin(ready, &missing).await?;
        if !self.profile.initial_copy {
            return Ok(Vec::new());
        }
        self.carry(ready, &missing, held).await?;
        *held = None;
        self.raise(ready).await?;
        Ok(missing.iter().map(|at| ready.tables[*at].source.name.clone()).collect())
    }

    /// Copies all tables of `ready` while others are streamed; the states say where they are. Returns the snapshot that
    /// they were copied in.
    pub(super) async fn copy_beside(&self, ready: &mut Ready) -> Result<Snapshot, Halt> {
        let all: Vec<usize> = (0..ready.tables.len()).collect();
        self.begin(ready, &all).await?;
        let mut held = None;
        self.carry(ready, &all, &mut held).await?;
        held.map(Held::into_snapshot).ok_or(Halt::Stopped)
    }

    /// Moves the rows of the missing tables.
    async fn carry(&self, ready: &mut Ready, missing: &[usize], held: &mut Option<Held>) -> Result<(), Halt> {
        let workers = if ready.destination.replica_role { COPY_WORKERS } else { 1 };
        let (current, mut sources, again) = self.snapshot(ready, missing, held, workers).await?;
        let board = self.board(ready, missing, current, again).await?;
        let board = Mutex::new(board);
        let client = &ready.destination.session.client;
        let mut others = Vec::new();
        for _ in 1..sources.len() {
            others.push(destination::open(self.destination).await?);
        }
        let clients = std::iter::once(client).chain(others.iter().map(|other| &other.session.client));
        let flush = ready.destination.version >= 150_000;
        let workers = sources.iter_mut().zip(clients).map(|(source, client)| {
            let worker = Worker { initial: self, tables: &ready.tables, board: &board, client, flush };
            worker.run(source)
        });
        let outcome = try_join_all(workers).await;
        if let Err(Halt::Changed(_)) = outcome {
            *held = None;
        }
        outcome?;
        let board = board.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (at, state) in board.finished {
            ready.tables[at].state = Some(state);
        }
        Ok(())
    }

    /// Recorded before the first row, so that rows of a copy that broke off are known to be ours.
    async fn begin(&self, ready: &mut Ready, missing: &[usize]) -> Result<(), Halt> {
        let client = &ready.destination.session.client;
        for at in missing {
            let table = &mut ready.tables[*at];
            let failed = |error| halt::query(Side::Destination, "recording the state of a table", &error);
            if self.profile.initial_copy {
                client.batch_execute("BEGIN").await.map_err(failed)?;
            } else {
                self.give_up(client, table).await?;
            }
            let created = table.state.as_ref().is_some_and(|state| state.created);
            let begun = TableState { complete: !self.profile.initial_copy, created, ..TableState::default() };
            let (slot, name) = (&self.profile.slot, &table.source.name);
            let state = checkpoint::set_table_state(slot, name, &begun);
            let membership = checkpoint::set_membership(slot, name, &table.source.membership);
            client.batch_execute(&format!("{state}; {membership}; COMMIT")).await.map_err(failed)?;
            table.state = Some(begun);
        }
        Ok(())
    }

    /// Begins a transaction in which a table gets what its copy owes it, because there will be no copy: its key, and a
    /// copy that broke off in its middle leaves no rows behind.
    async fn give_up(&self, client: &Client, table: &Table) -> Result<(), Halt> {
        let name = &table.source.name;
        let failed = |error| halt::query(Side::Destination, &format!("ending the copy of table {name}"), &error);
        let Some(state) = &table.state else { return client.batch_execute("BEGIN").await.map_err(failed) };
        client.batch_execute(&lock(table)).await.map_err(failed)?;
        // A copy that had come to its end has its position; its rows stay, whatever is missing since.
        if state.copied == Lsn::INVALID {
            destination::empty(client, name, &table.there).await?;
            client.batch_execute(&checkpoint::forget_pieces(&self.profile.slot, name)).await.map_err(failed)?;
            self.tell.note(format!("The copy of table {name} had been broken off; what it had copied is removed."));
        }
        if state.created
            && !table.there.keyed
            && let Some(key) = create::add_key(&table.source)
        {
            client.batch_execute(&key).await.map_err(failed)?;
        }
        Ok(())
    }

    /// What committed before the earliest copy is here. The stream need not bring it, and may not be able to: before
    /// the publication was made there is none to look it up in.
    async fn raise(&self, ready: &mut Ready) -> Result<(), Halt> {
        let copied = ready.tables.iter().filter_map(|table| table.state.as_ref()).map(|state| state.copied).min();
        if let Some(copied) = copied.filter(|copied| *copied > ready.checkpoint) {
            checkpoint::raise(&ready.destination.session.client, &self.profile.slot, copied).await?;
            ready.checkpoint = copied;
            self.progress.send_modify(|progress| progress.destination_reaches(copied));
        }
        Ok(())
    }

    /// The snapshot to copy in and the sessions that read in it: that of an earlier attempt, if it is still there and
    /// all tables were planned in it, or else a new one. Also whether it is an earlier one.
    async fn snapshot<'h>(
        &self,
        ready: &Ready,
        missing: &[usize],
        held: &'h mut Option<Held>,
        workers: usize,
    ) -> Result<(&'h Held, Vec<SnapshotSession>, bool), Halt> {
        if !self.beside {
            self.progress.send_modify(|progress| progress.phase = Phase::Copying);
        }
        let source = &self.profile.source;
        if let Some(before) = held.take() {
            // Whoever was published meanwhile, or has changed, is not in that snapshot as it is now.
            let planned = |at: &usize| {
                let table = &ready.tables[*at].source;
                before.plans.get(&table.name).is_some_and(|(then, _)| then.same_shape(table))
            };
            if missing.iter().all(planned)
                && let Ok(sessions) = self.sessions(source, &before.snapshot, workers).await
            {
                self.tell.note(format!("The copy goes on as of {}.", before.snapshot.at));
                return Ok((held.insert(before), sessions, true));
            }
        }
        let snapshot = slot::export_snapshot(source, &ready.source.client, ready.version, self.tell, self.stop).await?;
        let sessions = self.sessions(source, &snapshot, workers).await?;
        self.tell.note(format!("Copying {} as of {}.", counted(missing.len() as u64, "table"), snapshot.at));
        let tables: Vec<&SourceTable> = missing.iter().map(|at| &ready.tables[*at].source).collect();
        let sizes = source::sizes(&ready.source.client, ready.version, &tables).await?;
        let plans = tables
            .into_iter()
            .map(|table| {
                let size = sizes.get(&table.oid).cloned().unwrap_or_default();
                (table.name.clone(), (table.clone(), pieces::cut(&size)))
            })
            .collect();
        Ok((held.insert(Held { snapshot, plans }), sessions, false))
    }

    async fn sessions(
        &self,
        source: &Settings,
        snapshot: &Snapshot,
        workers: usize,
    ) -> Result<Vec<SnapshotSession>, Halt> {
        try_join_all((0..workers).map(|_| SnapshotSession::open(source, snapshot))).await
    }

    /// What is to be done, in order. Tables of several pieces are made ready for their first, or looked at for what is
    /// there from the same snapshot (`again`).
    async fn board(&self, ready: &Ready, missing: &[usize], held: &Held, again: bool) -> Result<Board, Halt> {
        let client = &ready.destination.session.client;
        let mut order = missing.to_vec();
        if ready.destination.replica_role {
            // The biggest first, so that no worker is left with it in the end.
            order.sort_by_key(|at| {
                let table = &ready.tables[*at].source;
                let pieces = held.plans.get(&table.name).map_or(1, |(_, pieces)| pieces.len());
                (std::cmp::Reverse(pieces), std::cmp::Reverse(table.rows))
            });
        } else {
            // Foreign keys are checked: the rows that are pointed to come first, one table after the other.
            let names: Vec<&TableName> = order.iter().map(|at| &ready.tables[*at].source.name).collect();
            let places = destination::foreign_key_order(client, &names).await?;
            order = places.into_iter().map(|place| order[place]).collect();
        }
        let mut board = Board { queue: VecDeque::new(), rests: HashMap::new(), finished: Vec::new() };
        for at in order {
            let table = &ready.tables[at];
            let all = held.plans.get(&table.source.name).map_or(&[Piece::WHOLE][..], |(_, pieces)| pieces);
            let whole = all.len() == 1;
            let done = if whole { HashMap::new() } else { self.open(client, table, again).await? };
            let copied = done.values().fold(Amount::default(), |sum, one: &Amount| Amount {
                rows: sum.rows + one.rows,
                bytes: sum.bytes + one.bytes,
            });
            self.report(&table.source.name, TablePhase::Waiting, copied);
            // When a connection broke after the last piece, there is still the end of the copy to be made.
            let mut left: Vec<Work> = all
                .iter()
                .filter(|piece| !done.contains_key(&piece.first))
                .map(|piece| Work { at, piece: piece.clone() })
                .collect();
            if left.is_empty() {
                left.push(Work { at, piece: Piece::NOTHING });
            }
            board.rests.insert(at, Rest { pieces: left.len(), whole, copied });
            board.queue.extend(left);
        }
        Ok(board)
    }

    /// Empties a table of several pieces, or reads which of them are there.
    async fn open(&self, client: &Client, table: &Table, again: bool) -> Result<HashMap<u64, Amount>, Halt> {
        let name = &table.source.name;
        let failed = |error| halt::query(Side::Destination, &format!("preparing the copy of table {name}"), &error);
        client.batch_execute(&lock(table)).await.map_err(failed)?;
        let done = if again {
            checkpoint::pieces(client, &self.profile.slot, name).await?
        } else {
            destination::empty(client, name, &table.there).await?;
            client.batch_execute(&checkpoint::forget_pieces(&self.profile.slot, name)).await.map_err(failed)?;
            HashMap::new()
        };
        client.batch_execute("COMMIT").await.map_err(failed)?;
        Ok(done)
    }

    fn report(&self, name: &TableName, phase: TablePhase, copied: Amount) {
        self.progress.send_modify(|progress| {
            if let Some(table) = progress.table(name) {
                table.phase = phase;
                table.rows_copied = copied.rows;
                table.bytes_copied = copied.bytes;
            }
        });
    }
}

/// Has the destination look at the tables that were copied, beside the stream, which does not need it. The server goes
/// on with it should walpilot end meanwhile.
pub(super) async fn analyze(destination: Settings, tables: Vec<TableName>) {
    let names: Vec<String> = tables.iter().map(quote_table).collect();
    let options = SessionOptions { statement_timeout: Duration::ZERO, ..SessionOptions::administer() };
    let done = match connection::connect(&destination, &options).await {
        Ok(session) => session.client.batch_execute(&format!("ANALYZE {}", names.join(", "))).await,
        Err(failure) => return tracing::debug!(failure = failure.message, "the copied tables are not analysed"),
    };
    if let Err(error) = done {
        tracing::debug!(error = connection::describe(&error), "the copied tables are not analysed");
    }
}

/// Begins a transaction that waits for whoever still writes the table: a session of a run that was killed, or of a
/// connection that broke, may be committing its rows, which have to be seen.
fn lock(table: &Table) -> String {
    lock_in(table, "SHARE ROW EXCLUSIVE")
}

fn lock_in(table: &Table, mode: &str) -> String {
    let only = if table.there.partitioned { "" } else { "ONLY " };
    format!("BEGIN; LOCK TABLE {only}{} IN {mode} MODE", quote_table(&table.source.name))
}

/// Copies pieces until there is none left.
struct Worker<'a> {
    initial: &'a Initial<'a>,
    tables: &'a [Table],
    board: &'a Mutex<Board>,
    client: &'a Client,
    /// The server can be asked to count at once.
    flush: bool,
}

impl Worker<'_> {
    async fn run(self, source: &mut SnapshotSession) -> Result<(), Halt> {
        while let Some(work) = self.next() {
            let outcome = self.piece(source, work).await;
            if let Err(halt) = outcome {
                // The error says what happened; if the session is broken, its end rolls back as well.
                let _ = self.client.batch_execute("ROLLBACK").await;
                return Err(halt);
            }
        }
        Ok(())
    }

    fn next(&self) -> Option<Work> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).queue.pop_front()
    }

    fn rest(&self, at: usize) -> Rest {
        let board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.rests.get(&at).copied().unwrap_or_default()
    }

    async fn piece(&self, source: &mut SnapshotSession, work: Work) -> Result<(), Halt> {
        let table = &self.tables[work.at];
        let (name, slot) = (&table.source.name, &self.initial.profile.slot);
        let failed = |error| writing(&table.source, &error);
        let whole = self.rest(work.at).whole;
        self.initial.progress.send_modify(|progress| {
            if let Some(table) = progress.table(name) {
                table.phase = TablePhase::Copying;
            }
        });
        let begin = if whole { lock(table) } else { lock_in(table, "ROW EXCLUSIVE") };
        self.client.batch_execute(&begin).await.map_err(failed)?;
        let there = self.fit(table).await?;
        let freeze = whole && destination::empty(self.client, name, &there).await?;
        let carry = Carry {
            table: &table.source,
            there: &there,
            freeze,
            progress: self.initial.progress,
            stop: self.initial.stop,
        };
        let copied = if work.piece == Piece::NOTHING {
            Amount::default()
        } else {
            carry.rows(source, self.client, &work.piece).await?
        };
        if whole {
            return self.finish(work.at, source.at, copied).await;
        }
        let record = checkpoint::add_piece(slot, name, work.piece.first, copied);
        self.client.batch_execute(&format!("{record}; COMMIT")).await.map_err(failed)?;
        self.count().await.map_err(failed)?;
        let ended = {
            let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
            let rest = board.rests.entry(work.at).or_default();
            rest.pieces = rest.pieces.saturating_sub(1);
            rest.copied.rows += copied.rows;
            rest.copied.bytes += copied.bytes;
            (rest.pieces == 0).then_some(rest.copied)
        };
        if let Some(all) = ended {
            self.client.batch_execute("BEGIN").await.map_err(failed)?;
            self.finish(work.at, source.at, all).await?;
        }
        Ok(())
    }

    /// The destination's table as it is in the open transaction, which holds a lock on it: somebody may have changed it
    /// since it was looked at last, even between two pieces.
    async fn fit(&self, table: &Table) -> Result<DestinationTable, Halt> {
        let name = &table.source.name;
        let there = destination::describe(self.client, name).await?;
        let there = there.ok_or_else(|| {
            Halt::refused(format!("Table {name} vanished from the destination while it was copied. Start again."))
        })?;
        if there.columns != table.there.columns {
            destination::check_fit(&table.source, &there)?;
            types::check(&table.source, &there)?;
        }
        Ok(there)
    }

    /// Ends the copy of a table in the open transaction: its key, if walpilot made the table, and its state.
    async fn finish(&self, at: usize, position: Lsn, copied: Amount) -> Result<(), Halt> {
        let table = &self.tables[at];
        let (name, slot) = (&table.source.name, &self.initial.profile.slot);
        let failed = |error| writing(&table.source, &error);
        let created = table.state.as_ref().is_some_and(|state| state.created);
        // Made in one go after the rows it costs much less than row by row.
        if created
            && !table.there.keyed
            && let Some(key) = create::add_key(&table.source)
        {
            self.client.batch_execute(&key).await.map_err(failed)?;
        }
        let state = TableState { complete: true, copied: position, rows: copied.rows, bytes: copied.bytes, created };
        let beside = self.initial.beside;
        let finish = format!(
            "{}; {}; COMMIT",
            checkpoint::set_table_state(slot, name, &TableState { complete: !beside, ..state.clone() }),
            checkpoint::forget_pieces(slot, name)
        );
        self.client.batch_execute(&finish).await.map_err(failed)?;
        self.initial.report(name, if beside { TablePhase::Copying } else { TablePhase::Streaming }, copied);
        self.count().await.map_err(failed)?;
        self.initial.tell.note(format!("Copied table {name}: {}.", counted(copied.rows, "row")));
        self.board.lock().unwrap_or_else(PoisonError::into_inner).finished.push((at, state));
        Ok(())
    }

    /// Sends the server's counters off now: those that come after ANALYZE ([`analyze`]) would be added to what it has
    /// found.
    async fn count(&self) -> Result<(), tokio_postgres::Error> {
        if self.flush {
            self.client.batch_execute("SELECT pg_stat_force_next_flush()").await?;
        }
        Ok(())
    }
}
