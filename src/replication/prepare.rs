//! Everything between the connections and the first row: who owns the destination, whether source, slot and
//! checkpoint belong together, and which tables there are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, Backend, Remembered, TableState};
use super::create::Creator;
use super::destination::{self, Destination, DestinationTable};
use super::follow::Follow;
use super::halt::{self, Halt, Side};
use super::membership::Membership;
use super::progress::{TablePhase, TableProgress, Teller};
use super::slot::{self, SlotState};
use super::source::{self, SourceTable};
use super::stream::StreamError;
use super::types;
use super::walsender::{Identity, Walsender};
use crate::catalog::Lsn;
use crate::connection::{self, Session, SessionOptions, printable};
use crate::profile::{Method, Profile, TableName};

/// How often a lock or a slot that is in use is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The way out when the changes can't be had any more.
pub(super) const FORGET: &str = "start with --copy-again, which copies all tables anew.";

/// A table with what both sides know of it.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) source: SourceTable,
    pub(super) there: DestinationTable,
    pub(super) state: Option<TableState>,
}

impl Table {
    /// Its rows are at the destination.
    pub(super) fn complete(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.complete)
    }

    /// As the progress shows it; `before` are the numbers of an earlier attempt.
    pub(super) fn shown(&self, before: &mut HashMap<TableName, TableProgress>) -> TableProgress {
        let state = self.state.as_ref();
        let complete = self.complete();
        let old = before.remove(&self.source.name);
        let copied = |old: &TableProgress| (TablePhase::Copying, old.rows_copied, old.bytes_copied);
        let (phase, rows_copied, bytes_copied) = match (&old, state) {
            // Its copy may be at work.
            (Some(old), _) if !complete && old.phase == TablePhase::Copying => copied(old),
            (_, Some(state)) if complete => (TablePhase::Streaming, state.rows, state.bytes),
            _ => (TablePhase::Waiting, 0, 0),
        };
        // A table that is copied anew has its changes in the copy.
        let old = old.filter(|_| complete || phase == TablePhase::Copying);
        let old = old.unwrap_or_else(|| TableProgress::of(self.source.name.clone()));
        TableProgress {
            phase,
            rows_copied,
            bytes_copied,
            rows_estimated: self.source.rows,
            copied_by_this_run: !complete || old.copied_by_this_run,
            ..old
        }
    }
}

/// Both sides, checked.
pub(super) struct Ready {
    pub(super) destination: Arc<Destination>,
    pub(super) source: Session,
    /// `server_version_num` of the source.
    pub(super) version: i32,
    pub(super) checkpoint: Lsn,
    pub(super) tables: Vec<Table>,
    /// A difference between types that may explain why a value is refused; one sentence with the next step.
    pub(super) doubt: Option<String>,
}

/// What decides how patient the checks are.
pub(super) struct Wish<'a> {
    pub(super) profile: &'a Profile,
    pub(super) destination: &'a crate::connection::Settings,
    pub(super) create_slot: bool,
    /// The session that owned the destination in an earlier attempt of this run that got so far.
    pub(super) left: Option<&'a Backend>,
    /// Tables that have got a column at this point of the stream.
    pub(super) grown: &'a HashSet<TableName>,
    /// Tables that a copy is at work on at this time, and that nobody else may touch.
    pub(super) joining: &'a HashSet<TableName>,
    /// Set when the slot is made here.
    pub(super) made_slot: &'a AtomicBool,
    pub(super) tell: &'a Teller,
    pub(super) stop: &'a CancellationToken,
}

impl Wish<'_> {
    fn reconnecting(&self) -> bool {
        self.left.is_some()
    }

    /// Connects both sides and checks everything that has to hold before a row moves. `ours` is the destination with its
    /// lock, if an earlier attempt has left it.
    pub(super) async fn prepare(&self, ours: Option<Arc<Destination>>) -> Result<Ready, Halt> {
        let destination = match ours.filter(|ours| !ours.session.client.is_closed()) {
            Some(ours) => ours,
            None => Arc::new(own(self.destination, self.left, self.stop).await?),
        };
        let client = &destination.session.client;
        if !destination.replica_role && !self.reconnecting() {
            self.tell.trouble(
                "The destination's role may not set session_replication_role: triggers and foreign keys of the \
                 destination's tables fire for replicated rows.",
            );
        }
        checkpoint::ensure_tables(client, self.destination).await?;

        let options = SessionOptions { application_name: "walpilot run".to_owned(), ..SessionOptions::inspect() };
        let unreachable = |failure| Halt::Unreachable(Side::Source, Box::new(failure));
        let source = connection::connect(&self.profile.source, &options).await.map_err(unreachable)?;
        let version = source::version(&source.client, Side::Source).await?;
        if version < 130_000 {
            return Err(Halt::refused(format!(
                "The source runs PostgreSQL {}; walpilot replicates from PostgreSQL 13 on.",
                version / 10_000
            )));
        }
        let mut sender = Walsender::connect(&self.profile.source, version).await.map_err(unreachable)?;
        let identity = sender.identify().await.map_err(|error| halt::stream("asking who the source is", &error))?;
        checkpoint::only_method(client, &self.profile.slot, Method::Cdc).await?;
        let remembered = checkpoint::load(client, &self.profile.slot).await?;
        if let Some(remembered) = &remembered {
            compare(remembered, &identity, &self.profile.slot)?;
        }
        let found = source::tables(&source.client, version, &self.profile.publication, &self.profile.selection).await?;
        let there = self.slot(&source.client, remembered.as_ref(), &identity).await?;
        // The slot is made when nothing else can be refused, so that none is left behind by a wish that can't be met.
        let doubt = types::add_labels(&source.client, client, &found, self.tell).await?;
        if let Some(doubt) = doubt.as_ref().filter(|_| !self.reconnecting()) {
            self.tell.trouble(doubt.clone());
        }
        let tables = self.tables(&source.client, client, found).await?;
        let state = match there {
            Some(state) => state,
            None => self.make_slot(&source.client, &mut sender, version, &identity).await?,
        };
        let checkpoint = if let Some(remembered) = remembered {
            if remembered.publication != self.profile.publication {
                self.tell.note(format!(
                    "The publication was {} before and is {} now.",
                    printable(&remembered.publication),
                    printable(&self.profile.publication)
                ));
                checkpoint::set_publication(client, &self.profile.slot, &self.profile.publication).await?;
            }
            remembered.checkpoint
        } else {
            let (slot, publication) = (&self.profile.slot, &self.profile.publication);
            checkpoint::begin(client, slot, publication, &identity, state.confirmed).await?;
            state.confirmed
        };
        Ok(Ready { destination, source, version, checkpoint, tables, doubt })
    }

    /// Creates and checks the tables, and returns the statements that were run.
    pub(super) async fn schema(&self) -> Result<Vec<String>, Halt> {
        let destination = own(self.destination, None, self.stop).await?;
        let options = SessionOptions { application_name: "walpilot run".to_owned(), ..SessionOptions::inspect() };
        let source = connection::connect(&self.profile.source, &options)
            .await
            .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
        let version = source::version(&source.client, Side::Source).await?;
        let found = source::tables(&source.client, version, &self.profile.publication, &self.profile.selection).await?;
        let client = &destination.session.client;
        let mut creator = Creator::new(&source.client, client, &self.destination.user, self.tell);
        if let Some(doubt) = types::add_labels(&source.client, client, &found, self.tell).await? {
            return Err(Halt::Refused(doubt));
        }
        for table in &found {
            match destination::describe(client, &table.name).await? {
                Some(there) => {
                    destination::check_fit(table, &there)?;
                    types::check(table, &there)?;
                }
                None => creator.create(table, true, "").await?,
            }
        }
        Ok(creator.made)
    }

    /// The slot, held by nobody; `None` when it is to be made.
    async fn slot(
        &self,
        client: &Client,
        remembered: Option<&Remembered>,
        identity: &Identity,
    ) -> Result<Option<SlotState>, Halt> {
        let name = &self.profile.slot;
        let give_up = now() + slot::patience(self.reconnecting());
        loop {
            let Some(state) = slot::inspect(client, name).await? else {
                if let Some(remembered) = remembered {
                    return Err(Halt::refused(format!(
                        "The slot {name} is gone from the source, and with it the changes after {}. To go on, {FORGET}",
                        remembered.checkpoint
                    )));
                }
                if !self.create_slot {
                    return Err(Halt::refused(format!(
                        "The source has no replication slot {name}. Create it there: SELECT \
                         pg_create_logical_replication_slot('{name}', 'pgoutput');"
                    )));
                }
                return Ok(None);
            };
            slot::judge(
                name,
                &state,
                &identity.database,
                remembered.map(|r| r.checkpoint),
                &format!("To go on, {FORGET}"),
            )?;
            let Some(pid) = state.active_pid else { return Ok(Some(state)) };
            if now() >= give_up {
                return Err(Halt::refused(format!(
                    "The slot {name} is in use at the source by process {pid}: another run, or another program, reads \
                     it. Stop that one, or use a slot of its own (--slot)."
                )));
            }
            pause(self.stop).await?;
        }
    }

    /// Makes the slot; waits for the transactions that are open at the source.
    async fn make_slot(
        &self,
        client: &Client,
        sender: &mut Walsender,
        version: i32,
        identity: &Identity,
    ) -> Result<SlotState, Halt> {
        let name = &self.profile.slot;
        loop {
            match slot::create(sender, client, version, name, self.stop).await {
                Ok(()) => {}
                Err(_) if self.stop.is_cancelled() => return Err(Halt::Stopped),
                Err(StreamError::Server(error)) if error.sqlstate == "55P03" => {
                    self.tell.trouble(slot::open_transactions(client).await?);
                    continue;
                }
                Err(error) => return Err(halt::stream(&format!("creating the slot {name}"), &error)),
            }
            self.made_slot.store(true, Ordering::Relaxed);
            self.tell.note(format!("Created the replication slot {name} at the source."));
            if let Some(state) = self.slot(client, None, identity).await? {
                return Ok(state);
            }
        }
    }

    /// Joins the published tables to the destination's and to what is known of them; creates what is missing.
    async fn tables(&self, source: &Client, client: &Client, found: Vec<SourceTable>) -> Result<Vec<Table>, Halt> {
        let slot = &self.profile.slot;
        let mut states: HashMap<TableName, TableState> =
            checkpoint::table_states(client, slot).await?.into_iter().collect();
        let memberships = checkpoint::memberships(client, slot).await?;
        let recording = |error| halt::query(Side::Destination, "recording the state of a table", &error);
        if let Some(table) = found.iter().find(|table| !table.columns.iter().any(|column| column.published)) {
            let why = if table.columns.is_empty() { "no columns" } else { "no columns but generated ones" };
            return Err(Halt::refused(format!(
                "Table {} has {why}, so nothing of it can be copied. Take it out of the publication, or choose others \
                 with --tables.",
                table.name
            )));
        }
        let mut creator = Creator::new(source, client, &self.destination.user, self.tell);
        let mut tables = Vec::new();
        for mut table in found {
            let mut state = states.remove(&table.name);
            if self.joining.contains(&table.name) && !state.as_ref().is_some_and(|state| state.complete) {
                // Its columns and locks are the copy's business.
                tables.push(Table { source: table, there: DestinationTable::default(), state });
                continue;
            }
            if let (Some(state), Some(before)) = (state.as_mut(), memberships.get(&table.name)) {
                self.notice_gap(client, &table, state, before).await?;
                // Columns that were added meanwhile, so that it is noticed when they make room for others.
                if state.complete {
                    table.membership.keep_dropped(before);
                    if table.membership != *before {
                        let sql = checkpoint::set_membership(slot, &table.name, &table.membership);
                        client.batch_execute(&sql).await.map_err(recording)?;
                    }
                }
            } else if state.is_some() {
                let sql = checkpoint::set_membership(slot, &table.name, &table.membership);
                client.batch_execute(&sql).await.map_err(recording)?;
            }
            let mut there = match destination::describe(client, &table.name).await? {
                Some(there) => there,
                None if state.as_ref().is_some_and(|state| state.complete && state.rows > 0) => {
                    return Err(Halt::refused(format!(
                        "Table {} is gone from the destination, with rows that were replicated. To go on, {FORGET}",
                        table.name
                    )));
                }
                None => {
                    // Recorded with it, so that the key is made when the copy ends, whoever ends it.
                    let mut also = String::new();
                    if self.profile.initial_copy {
                        let begun = TableState { created: true, ..TableState::default() };
                        also = format!("{}; ", checkpoint::set_table_state(slot, &table.name, &begun));
                        state = Some(begun);
                    }
                    creator.create(&table, !self.profile.initial_copy, &also).await?;
                    destination::describe(client, &table.name).await?.ok_or_else(|| {
                        Halt::refused(format!("Table {} vanished from the destination. Start again.", table.name))
                    })?
                }
            };
            match &mut state {
                // The catalog may be ahead of the stream: only the stream tells when a column is needed.
                Some(state) if state.complete && !self.grown.contains(&table.name) => {}
                // A table whose copy was not finished is copied anew, and may have grown before.
                Some(state) => {
                    let copying = TableState { complete: false, ..state.clone() };
                    let again = checkpoint::set_table_state(slot, &table.name, &copying);
                    let follow = Follow { source, destination: client, again: &again, tell: self.tell };
                    follow.columns(&mut creator, &table, &there, state).await?;
                    there = destination::describe(client, &table.name).await?.unwrap_or(there);
                }
                None => destination::check_fit(&table, &there)?,
            }
            if !state.as_ref().is_some_and(|state| state.complete) {
                types::check(&table, &there)?;
            }
            let fresh = state.is_none() && self.profile.initial_copy;
            if fresh && destination::has_rows(client, &table.name).await? {
                return Err(Halt::refused(format!(
                    "Table {} at the destination already has rows, and copying would mix them with those of the source. \
                     Empty it there, or start with --no-initial-copy.",
                    table.name
                )));
            }
            tables.push(Table { source: table, there, state });
        }
        // A table that has left the publication misses changes from now on: should it come back, it is copied anew.
        for (name, state) in states.into_iter().filter(|(name, _)| !self.joining.contains(name)) {
            if !checkpoint::leave(client, slot, &name).await? {
                continue;
            }
            let rows = if state.complete {
                "its rows at the destination stay as they are"
            } else {
                "its copy had not come to its end, so its rows at the destination are not complete"
            };
            self.tell.trouble(format!("Table {name} is no longer published or chosen; {rows}."));
        }
        Ok(tables)
    }

    /// Changes were left out while the table was out of the publication, and those of a table that was dropped and made
    /// anew belong to another one.
    async fn notice_gap(
        &self,
        client: &Client,
        table: &SourceTable,
        state: &mut TableState,
        before: &Membership,
    ) -> Result<(), Halt> {
        if !state.complete || table.membership.lasted(before) {
            return Ok(());
        }
        state.complete = false;
        let sql = checkpoint::set_table_state(&self.profile.slot, &table.name, state);
        client
            .batch_execute(&sql)
            .await
            .map_err(|error| halt::query(Side::Destination, "recording the state of a table", &error))?;
        self.tell.trouble(format!(
            "Table {} is copied again: it was not published for a while, or it or one of its columns was dropped and made \
             anew.",
            table.name
        ));
        Ok(())
    }
}

/// Connects to the destination and takes its lock. `left` is the session that had it in an earlier attempt of this run; if
/// the server still keeps that one, it is ended: it may wait for a word from us that it will not get.
pub(super) async fn own(
    settings: &crate::connection::Settings,
    left: Option<&Backend>,
    stop: &CancellationToken,
) -> Result<Destination, Halt> {
    let destination = destination::open(settings).await?;
    let client = &destination.session.client;
    let give_up = now() + slot::patience(left.is_some());
    while !checkpoint::take_ownership(client).await? {
        if let Some(left) = left {
            checkpoint::end_owner(client, left).await?;
        }
        if now() >= give_up {
            return Err(Halt::refused(format!(
                "Another walpilot run writes into the destination {settings}. Stop that one first, or replicate into a \
                 database of its own."
            )));
        }
        pause(stop).await?;
    }
    Ok(destination)
}

/// Whether the source is the one that the checkpoint was made from.
fn compare(remembered: &Remembered, identity: &Identity, slot: &str) -> Result<(), Halt> {
    if remembered.system_identifier != identity.system_identifier || remembered.database != identity.database {
        return Err(Halt::refused(format!(
            "The destination holds rows of another source under the slot {slot}: cluster {}, database {}; this one is \
             cluster {}, database {}. Use another slot name, or {FORGET}",
            printable(&remembered.system_identifier),
            printable(&remembered.database),
            printable(&identity.system_identifier),
            printable(&identity.database),
        )));
    }
    if remembered.timeline != identity.timeline {
        return Err(Halt::refused(format!(
            "The source is on timeline {} and was on timeline {} before: a standby was promoted or a backup restored, \
             and changes may be missing on the new line. To go on, {FORGET}",
            identity.timeline, remembered.timeline
        )));
    }
    if remembered.checkpoint > identity.position {
        return Err(Halt::refused(format!(
            "The source's log ends at {}, before the destination's checkpoint {}: the source was restored from an older \
             state. To go on, {FORGET}",
            identity.position, remembered.checkpoint
        )));
    }
    Ok(())
}

async fn pause(stop: &CancellationToken) -> Result<(), Halt> {
    tokio::select! {
        () = sleep(LOOK_AGAIN) => Ok(()),
        () = stop.cancelled() => Err(Halt::Stopped),
    }
}

fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::{Remembered, compare};
    use crate::catalog::Lsn;
    use crate::replication::halt::Halt;
    use crate::replication::walsender::Identity;

    #[test]
    fn a_source_that_does_not_fit_the_checkpoint_is_refused_with_a_way_out() {
        let remembered = Remembered {
            system_identifier: "7".into(),
            timeline: 1,
            database: "shop".into(),
            publication: "p".into(),
            checkpoint: Lsn(100),
        };
        let identity =
            Identity { system_identifier: "7".into(), timeline: 1, position: Lsn(100), database: "shop".into() };
        assert!(compare(&remembered, &identity, "s").is_ok());
        for (other, word) in [
            (Identity { system_identifier: "8".into(), ..identity.clone() }, "another source"),
            (Identity { database: "other".into(), ..identity.clone() }, "another source"),
            (Identity { timeline: 2, ..identity.clone() }, "timeline"),
            (Identity { position: Lsn(99), ..identity.clone() }, "restored"),
        ] {
            let Err(Halt::Refused(text)) = compare(&remembered, &other, "s") else { panic!("{other:?} was accepted") };
            assert!(text.contains(word) && text.contains("--copy-again"), "{text}");
        }
    }
}
