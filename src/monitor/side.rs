//! The destination's connection: made beside the samples, which never wait for it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};

use super::ask::{NoAnswer, Tier, ask, options};
use super::destination::{Destination, Reached, RunState};
use super::subscription::Subscriptions;
use super::table::Tables;
use super::wire::{RunThere, WireRun, WireTables, for_version};
use crate::catalog::ident::quote_ident;
use crate::connection::{Failure, Session, Settings, connect};
use crate::profile::TableName;

const TABLES_EVERY: Duration = Duration::from_secs(10);
/// While the destination's tables are still being made or have no numbers, somebody waits for them.
const INCOMPLETE_EVERY: Duration = Duration::from_secs(2);
const SUBSCRIPTIONS_EVERY: Duration = Duration::from_secs(10);
/// How long after a failure the destination is tried again.
const RECONNECT_AFTER: Duration = Duration::from_secs(5);

/// The destination.
pub(super) enum Side {
    Connecting(JoinHandle<Result<Session, Failure>>),
    Open(Box<Open>),
    Failed { since: Instant, reason: String },
}

/// A destination that answers.
pub(super) struct Open {
    session: Session,
    version: u32,
    tables: Option<(Instant, Tables)>,
    subscriptions: Tier<Subscriptions>,
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Self::Connecting(task) = self {
            task.abort();
        }
    }
}

impl Side {
    pub(super) fn connect(settings: &Settings) -> Self {
        let settings = settings.clone();
        Self::Connecting(tokio::spawn(async move { connect(&settings, &options()).await }))
    }

    pub(super) fn may_retry(&self) -> bool {
        matches!(self, Self::Failed { since, .. } if since.elapsed() >= RECONNECT_AFTER)
    }

    /// Waits until the connection is made or has failed.
    pub(super) async fn settle(&mut self) {
        let Self::Connecting(task) = self else { return };
        *self = match task.await {
            Ok(Ok(session)) => Self::Open(Box::new(Open::new(session))),
            Ok(Err(failure)) => Self::Failed { since: Instant::now(), reason: failure.to_string() },
            Err(error) => Self::Failed { since: Instant::now(), reason: format!("Connecting broke off: {error}.") },
        };
    }

    pub(super) async fn read(&mut self, names: &[TableName], slot: Option<&str>) -> Destination {
        if matches!(self, Self::Connecting(task) if task.is_finished()) {
            self.settle().await;
        }
        let outcome = match self {
            Self::Connecting(_) => return Destination::Connecting,
            Self::Failed { reason, .. } => return Destination::Unreachable(reason.clone()),
            Self::Open(open) => open.read(names, slot).await,
        };
        match outcome {
            Ok(reached) => Destination::Reached(Box::new(reached)),
            Err(reason) => {
                *self = Self::Failed { since: Instant::now(), reason: reason.clone() };
                Destination::Unreachable(reason)
            }
        }
    }
}

impl Open {
    fn new(session: Session) -> Self {
        Self { session, version: 0, tables: None, subscriptions: Tier::new(SUBSCRIPTIONS_EVERY) }
    }

    async fn read(&mut self, names: &[TableName], slot: Option<&str>) -> Result<Reached, String> {
        if self.version == 0 {
            let statement = "SELECT current_setting('server_version_num')";
            self.version = ask(&self.session, statement, &[]).await.map_err(|no| no.reason)?;
        }
        let known = |name| self.tables.as_ref().and_then(|(_, tables)| tables.find(name)?.rows).is_some();
        let pace = if names.iter().all(known) { TABLES_EVERY } else { INCOMPLETE_EVERY };
        if self.tables.as_ref().is_none_or(|(read, _)| read.elapsed() >= pace) {
            let tables = count_tables(&self.session, names, true).await.map_err(|no| no.reason)?;
            self.tables = Some((Instant::now(), tables));
        }
        if self.subscriptions.is_due() {
            let began = Instant::now();
            let statement = for_version(include_str!("sql/subscriptions.sql"), self.version);
            let answer = ask(&self.session, &statement, &[]).await;
            let role = quote_ident(&self.session.settings().user);
            self.subscriptions.answered(answer, began, || format!("GRANT pg_monitor TO {role};"))?;
        }
        let run = read_run(&self.session, slot).await.map_err(|no| no.reason)?;
        let tables = self.tables.as_ref().map(|(_, tables)| tables.clone()).unwrap_or_default();
        Ok(Reached { tables, run, subscriptions: self.subscriptions.value().clone() })
    }
}

/// What the run for `slot` has written down (`replication` owns these tables; their absence is a value).
async fn read_run(session: &Session, slot: Option<&str>) -> Result<RunState, NoAnswer> {
    let state: RunThere = ask(session, include_str!("sql/run_there.sql"), &[]).await?;
    if !state.there {
        return Ok(RunState::None);
    }
    if !state.readable {
        let role = quote_ident(&session.settings().user);
        return Ok(RunState::Hidden(format!(
            "The run's progress can't be read; as its owner: GRANT USAGE ON SCHEMA walpilot TO {role}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA walpilot TO {role};"
        )));
    }
    let run: Option<WireRun> = ask(session, include_str!("sql/run.sql"), &[(&slot, Type::TEXT)]).await?;
    Ok(run.map_or(RunState::None, |run| RunState::Known(Box::new(run.into()))))
}

/// Estimates and counters of the named tables, at either side.
pub(super) async fn count_tables(session: &Session, names: &[TableName], found: bool) -> Result<Tables, NoAnswer> {
    let schemas: Vec<&str> = names.iter().map(|table| table.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|table| table.name.as_str()).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&schemas, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)];
    let rows: WireTables = ask(session, include_str!("sql/tables.sql"), &parameters).await?;
    Ok(rows.tables(names, found))
}
