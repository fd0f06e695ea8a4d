//! Reads one [`Sample`] of a source (and of the destination, if there is one) on connections of its own.
//!
//! It never hurts what it looks at: one connection for each side, every statement alone in its own read-only
//! transaction with a time limit, nothing that waits behind another session's lock, and the dear queries at a slower
//! pace than the pulse.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_postgres::types::{ToSql, Type};

use super::destination::{Destination, Reached, RunState};
use super::moment::Moment;
use super::server::Server;
use super::slot::Slot;
use super::table::Tables;
use super::wire::{Probe, Pulse, RunThere, TableList, WireRun, WireTables, for_version};
use crate::catalog::Lsn;
use crate::connection::{Failure, Session, SessionOptions, Settings, connect, describe};
use crate::profile::TableName;

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The source.
    pub source: Settings,
    /// The slot of most interest; all slots are sampled.
    pub slot: Option<String>,
    /// The publication whose tables are counted.
    pub publication: Option<String>,
    /// Where `walpilot run` writes, to read its progress and the rows there.
    pub destination: Option<Settings>,
}

/// One moment of a server, as values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was read, on the source's clock.
    pub at: Moment,
    /// Facts that hardly change.
    pub server: Server,
    /// The end of the log: written on a primary, received or replayed on a standby. `None` when it can't be told.
    pub lsn: Option<Lsn>,
    /// The next transaction id; while it stands, nothing was written that anybody waits for.
    pub next_xid: u64,
    /// Every slot, by name.
    pub slots: Vec<Slot>,
    /// How many walsenders run.
    pub walsenders: u32,
    /// Slots whose creation waits, with the processes that they wait for.
    pub creation_blockers: Vec<(String, Vec<i32>)>,
    /// The tables at the source; as old as their own `at` says. `None` when they could not be read.
    pub tables: Option<Tables>,
    /// Why the tables could not be read; one sentence.
    pub tables_unread: Option<String>,
    /// The other side; `None` when none was named.
    pub destination: Option<Destination>,
    /// What the pulse took in microseconds, there and back.
    pub pulse_micros: u64,
}

/// The pace of the tiers that are dearer than the pulse.
const PROBE_EVERY: Duration = Duration::from_secs(60);
const TABLES_EVERY: Duration = Duration::from_secs(10);
/// While the destination's tables are still being made or have no numbers, somebody waits for them.
const INCOMPLETE_EVERY: Duration = Duration::from_secs(2);
const CATALOG_EVERY: Duration = Duration::from_secs(60);
/// How long after a failure the destination is tried again.
const RECONNECT_AFTER: Duration = Duration::from_secs(5);
/// The limit of a statement at the server, and a longer one of ours for a server that does not answer at all.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);

/// Keeps the connections open between samples.
pub struct Sampler {
    target: Target,
    source: Session,
    server: Server,
    probed: Instant,
    list: Option<(Instant, TableList)>,
    tables: Option<(Instant, Tables)>,
    destination: Option<Side>,
}

/// The destination's connection.
enum Side {
    Connecting(JoinHandle<Result<Session, Failure>>),
    Open { session: Box<Session>, tables: Option<(Instant, Tables)> },
    Failed { since: Instant, reason: String },
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Self::Connecting(task) = self {
            task.abort();
        }
    }
}

impl Sampler {
    /// Connects to the source, read-only and with time limits, and begins to connect to the destination.
    ///
    /// # Errors
    /// When the source can't be reached.
    pub async fn connect(target: Target) -> Result<Self, Failure> {
        let destination = target.destination.as_ref().map(Side::connect);
        let source = connect(&target.source, &options()).await?;
        let now = Instant::now();
        let server = Server::default();
        Ok(Self { target, source, server, probed: now, list: None, tables: None, destination })
    }

    /// Waits until the destination has answered or failed, so that the next sample says which.
    pub async fn settle(&mut self) {
        if let Some(side) = &mut self.destination {
            side.settle().await;
        }
    }

    /// Reads one sample. A destination that can't be reached is a value in the sample.
    ///
    /// # Errors
    /// When the source's connection is lost or its answer makes no sense; connect again.
    pub async fn sample(&mut self) -> Result<Sample, String> {
        if self.server.version == 0 || self.probed.elapsed() >= PROBE_EVERY {
            let probe: Probe = ask(&self.source, include_str!("sql/probe.sql"), &[]).await?;
            self.server = probe.into();
            self.probed = Instant::now();
        }
        let began = Instant::now();
        let pulse: Pulse = ask(&self.source, &self.versioned(include_str!("sql/pulse.sql")), &[]).await?;
        let pulse_micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.server.in_recovery = pulse.in_recovery;
        // Tables are a side matter: their failure (a time limit, a strange catalog) must not blind the rest.
        let tables_unread = self.read_tables().await.err();
        if let Some(reason) = &tables_unread {
            if self.source.client.is_closed() {
                return Err(reason.clone());
            }
            self.tables = None;
        }
        Ok(Sample {
            at: Moment::from_epoch(pulse.at),
            server: self.server.clone(),
            lsn: pulse.lsn,
            next_xid: pulse.next_xid.as_deref().and_then(|xid| xid.parse().ok()).unwrap_or(0),
            slots: pulse.slots(),
            walsenders: pulse.walsenders(),
            creation_blockers: pulse.blockers(),
            tables: self.tables.as_ref().map(|(_, tables)| tables.clone()),
            tables_unread,
            destination: self.read_destination().await,
            pulse_micros,
        })
    }

    fn versioned(&self, text: &str) -> String {
        for_version(text, self.server.version)
    }

    async fn read_tables(&mut self) -> Result<(), String> {
        if self.list.as_ref().is_none_or(|(read, _)| read.elapsed() >= CATALOG_EVERY) {
            let list = match &self.target.publication {
                Some(name) => {
                    let text = self.versioned(include_str!("sql/publication.sql"));
                    ask(&self.source, &text, &[(name, Type::TEXT)]).await?
                }
                None => ask(&self.source, include_str!("sql/largest.sql"), &[]).await?,
            };
            self.list = Some((Instant::now(), list));
            self.tables = None;
        }
        if self.tables.as_ref().is_some_and(|(read, _)| read.elapsed() < TABLES_EVERY) {
            return Ok(());
        }
        let Some((_, list)) = &self.list else { return Ok(()) };
        let tables = count_tables(&self.source, list.tables.as_deref().unwrap_or_default(), list.found).await?;
        self.tables = Some((Instant::now(), tables));
        Ok(())
    }

    async fn read_destination(&mut self) -> Option<Destination> {
        let settings = self.target.destination.as_ref()?;
        let names = self.list.as_ref().and_then(|(_, list)| list.tables.as_deref()).unwrap_or_default();
        let side = self.destination.as_mut()?;
        if side.may_retry() {
            *side = Side::connect(settings);
        }
        Some(side.read(names, self.target.slot.as_deref()).await)
    }
}

impl Side {
    /// Connecting happens beside the samples, which never wait for it.
    fn connect(settings: &Settings) -> Self {
        let settings = settings.clone();
        Self::Connecting(tokio::spawn(async move { connect(&settings, &options()).await }))
    }

    fn may_retry(&self) -> bool {
        matches!(self, Self::Failed { since, .. } if since.elapsed() >= RECONNECT_AFTER)
    }

    async fn settle(&mut self) {
        let Self::Connecting(task) = self else { return };
        *self = match task.await {
            Ok(Ok(session)) => Self::Open { session: Box::new(session), tables: None },
            Ok(Err(failure)) => Self::Failed { since: Instant::now(), reason: failure.to_string() },
            Err(error) => Self::Failed { since: Instant::now(), reason: format!("Connecting broke off: {error}.") },
        };
    }

    async fn read(&mut self, names: &[TableName], slot: Option<&str>) -> Destination {
        if matches!(self, Self::Connecting(task) if task.is_finished()) {
            self.settle().await;
        }
        let outcome = match self {
            Self::Connecting(_) => return Destination::Connecting,
            Self::Failed { reason, .. } => return Destination::Unreachable(reason.clone()),
            Self::Open { session, tables } => read_open(session, tables, names, slot).await,
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

async fn read_open(
    session: &Session,
    tables: &mut Option<(Instant, Tables)>,
    names: &[TableName],
    slot: Option<&str>,
) -> Result<Reached, String> {
    let known = |name| tables.as_ref().and_then(|(_, tables)| tables.find(name)?.rows).is_some();
    let pace = if names.iter().all(known) { TABLES_EVERY } else { INCOMPLETE_EVERY };
    if tables.as_ref().is_none_or(|(read, _)| read.elapsed() >= pace) {
        *tables = Some((Instant::now(), count_tables(session, names, true).await?));
    }
    let run = read_run(session, slot).await?;
    let tables = tables.as_ref().map(|(_, tables)| tables.clone()).unwrap_or_default();
    Ok(Reached { tables, run })
}

/// What the run for `slot` has written down (`replication` owns these tables; their absence is a value).
async fn read_run(session: &Session, slot: Option<&str>) -> Result<RunState, String> {
    let state: RunThere = ask(session, include_str!("sql/run_there.sql"), &[]).await?;
    if !state.there {
        return Ok(RunState::None);
    }
    if !state.readable {
        let role = crate::catalog::ident::quote_ident(&session.settings().user);
        return Ok(RunState::Hidden(format!(
            "The run's progress can't be read; as its owner: GRANT USAGE ON SCHEMA walpilot TO {role}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA walpilot TO {role};"
        )));
    }
    let run: Option<WireRun> = ask(session, include_str!("sql/run.sql"), &[(&slot, Type::TEXT)]).await?;
    Ok(run.map_or(RunState::None, |run| RunState::Known(Box::new(run.into()))))
}

async fn count_tables(session: &Session, names: &[TableName], found: bool) -> Result<Tables, String> {
    let schemas: Vec<&str> = names.iter().map(|table| table.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|table| table.name.as_str()).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&schemas, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)];
    let rows: WireTables = ask(session, include_str!("sql/tables.sql"), &parameters).await?;
    Ok(rows.tables(names, found))
}

/// One statement, one round trip, one JSON value.
async fn ask<T: DeserializeOwned>(
    session: &Session,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<T, String> {
    let at = session.settings();
    let row = match timeout(ANSWER_TIMEOUT, session.client.query_typed_one(statement, parameters)).await {
        Ok(Ok(row)) => row,
        Ok(Err(error)) if session.client.is_closed() => {
            return Err(format!("The connection to {at} was lost ({}).", describe(&error)));
        }
        Ok(Err(error)) => return Err(format!("{at} refused a query of the dashboard: {}.", describe(&error))),
        Err(_) => return Err(format!("{at} has not answered for {} s.", ANSWER_TIMEOUT.as_secs())),
    };
    let text: String = row.try_get(0).map_err(|error| format!("{at} answered strangely: {}.", describe(&error)))?;
    serde_json::from_str(&text).map_err(|error| format!("{at} answered strangely: {error}."))
}

fn options() -> SessionOptions {
    SessionOptions {
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: Duration::from_millis(200),
        ..SessionOptions::inspect()
    }
}
