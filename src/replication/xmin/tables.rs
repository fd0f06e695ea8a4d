//! Joins the source's tables to the destination's and to what is remembered of them; creates what is missing.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::relations::Wanted;
use super::state::{self, Record, RelationState, TableState};
use super::unique;
use crate::connection::Settings;
use crate::profile::TableName;
use crate::replication::checkpoint;
use crate::replication::create::Creator;
use crate::replication::destination::{self, DestinationTable};
use crate::replication::follow::Follow;
use crate::replication::halt::{self, Halt, Side};
use crate::replication::progress::Teller;
use crate::replication::source::Column;

/// A table that is ready to be read.
pub(super) struct Job {
    pub(super) wanted: Wanted,
    pub(super) there: DestinationTable,
    /// Unique indexes besides the key's that both sides have.
    pub(super) shared: Vec<Vec<String>>,
    pub(super) state: TableState,
    /// It is empty, and recorded as ours.
    pub(super) fresh: bool,
}

/// What joining needs.
pub(super) struct Join<'a> {
    pub(super) source: &'a Client,
    pub(super) destination: &'a Client,
    pub(super) settings: &'a Settings,
    pub(super) slot: &'a str,
    pub(super) tell: &'a Teller,
    /// Rows that exist are read, and not only what changes from now on.
    pub(super) initial_copy: bool,
}

impl Join<'_> {
    /// Prepares `found`, in its order.
    pub(super) async fn tables(&self, found: Vec<Wanted>) -> Result<Vec<Job>, Halt> {
        let mut known = state::tables(self.destination, self.slot).await?;
        let relations = state::relations(self.destination, self.slot).await?;
        let mut creator = Creator::new(self.source, self.destination, &self.settings.user, self.tell);
        let mut jobs = Vec::new();
        for wanted in found {
            let state = known.remove(&wanted.source.name);
            jobs.push(self.table(&mut creator, wanted, state, &relations).await?);
        }
        Ok(jobs)
    }

    async fn table(
        &self,
        creator: &mut Creator<'_>,
        wanted: Wanted,
        mut state: Option<TableState>,
        relations: &HashMap<u32, RelationState>,
    ) -> Result<Job, Halt> {
        let (source, client) = (&wanted.source, self.destination);
        let name = &source.name;
        let record = Record { slot: self.slot, table: name };
        let mut created = false;
        let mut there = match destination::describe(client, name).await? {
            Some(there) => there,
            None => {
                created = true;
                creator.create(source, true, "").await?;
                let there = destination::describe(client, name).await?;
                let there = there.ok_or_else(|| vanished(name))?;
                if state.is_some() {
                    // Its rows went with the table: what was read is not here any more.
                    self.whole(name, &record.begun()).await?;
                    state = Some(TableState::default());
                }
                there
            }
        };
        if state.is_some() {
            let left = relations.iter().filter(|(oid, state)| {
                state.table == *name && !wanted.relations.iter().any(|relation| relation.oid == **oid)
            });
            for (oid, _) in left {
                self.whole(name, &record.left(*oid)).await?;
            }
            let lacks = |column: &Column| !there.columns.iter().any(|other| other.name == column.name);
            if source.columns.iter().any(|column| column.published && lacks(column)) {
                let follow =
                    Follow { source: self.source, destination: client, again: &record.again(), tell: self.tell };
                let mut complete = checkpoint::TableState { complete: true, ..checkpoint::TableState::default() };
                follow.columns(creator, source, &there, &mut complete).await?;
                there = destination::describe(client, name).await?.ok_or_else(|| vanished(name))?;
            }
        }
        destination::check_fit(source, &there)?;
        let shared = unique::shared(client, name, &source.key, &wanted.uniques).await?;
        let known = wanted.relations.iter().any(|relation| relations.contains_key(&relation.oid));
        let fresh = match &state {
            None if !self.initial_copy => false,
            None if destination::has_rows(client, name).await? => {
                return Err(Halt::refused(format!(
                    "Table {name} at the destination already has rows, and copying would mix them with those of the \
                     source. Empty it there, or start with --no-initial-copy."
                )));
            }
            None => true,
            Some(state) if state.again => true,
            Some(state) if state.current => false,
            // Rows that were read before a table vanished are not in the new one.
            Some(_) if created => true,
            Some(_) => !known && !destination::has_rows(client, name).await?,
        };
        if fresh {
            self.run(name, "BEGIN").await?;
            if state.as_ref().is_some_and(|state| state.again) {
                destination::empty(client, name, &there).await?;
            }
            self.run(name, &format!("{}; COMMIT", record.begun())).await?;
        }
        Ok(Job { shared, state: state.unwrap_or_default(), fresh, there, wanted })
    }

    async fn whole(&self, name: &TableName, sql: &str) -> Result<(), Halt> {
        self.run(name, &format!("BEGIN; {sql}; COMMIT")).await
    }

    async fn run(&self, name: &TableName, sql: &str) -> Result<(), Halt> {
        let failed = |error| halt::query(Side::Destination, &format!("recording the state of table {name}"), &error);
        self.destination.batch_execute(sql).await.map_err(failed)
    }
}

fn vanished(name: &TableName) -> Halt {
    Halt::refused(format!("Table {name} vanished from the destination. Start again."))
}
