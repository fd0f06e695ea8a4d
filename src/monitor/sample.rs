//! Reads one [`Sample`] of a source (and of the destination, if there is one) on connections of its own.
//!
//! It never hurts what it looks at: one connection for each side, every statement alone in its own read-only
//! transaction with a time limit, nothing that waits behind another session's lock. The pulse is read each time, and
//! the dearer tiers at their own pace: context, files, tables, catalog.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_postgres::types::Type;

use super::ask::{NoAnswer, Tier, ask, micros_since, options};
use super::context::Context;
use super::destination::Destination;
use super::files::{Files, WireFiles};
use super::lsn_clock::Mark;
use super::memory::{Left, Remembering, SlotMark};
use super::moment::Moment;
use super::publications::Publications;
use super::seen::Seen;
use super::server::Server;
use super::side::{Side, count_tables};
use super::slot::Slot;
use super::table::Tables;
use super::wire::{Probe, Pulse, TableList, WalStats, for_version};
use crate::catalog::Lsn;
use crate::catalog::ident::quote_ident;
use crate::connection::{Failure, Session, Settings, connect};
use crate::profile::alerts::Alerts;

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
    /// The size of the volume that holds `pg_wal`, in bytes: PostgreSQL can't tell it.
    pub wal_volume: Option<u64>,
    /// From when on something is worth a word.
    pub alerts: Alerts,
    /// Where the times of the log are kept between two runs, see [`super::memory::directory`]; `None`: nowhere.
    pub memory: Option<PathBuf>,
}

/// What the person who watches has named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// The slot of most interest.
    pub slot: Option<String>,
    /// The publication.
    pub publication: Option<String>,
    /// The size of the volume that holds `pg_wal`, in bytes.
    pub wal_volume: Option<u64>,
    /// From when on something is worth a word.
    #[serde(skip_serializing_if = "Alerts::is_empty")]
    pub alerts: Alerts,
}

/// One moment of a server, as values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// When it was read, on the source's clock.
    pub at: Moment,
    /// The same moment on this machine's clock.
    pub heard: Moment,
    /// The same moment on a clock of this machine that nobody sets, in microseconds since some beginning. Two samples
    /// of one connection tell by it when the source's clock was set.
    pub steady: u64,
    /// What was asked for.
    pub wanted: Wanted,
    /// Facts that hardly change.
    pub server: Server,
    /// The end of the log: written on a primary, received or replayed on a standby. `None` when it can't be told.
    pub lsn: Option<Lsn>,
    /// The next transaction id; while it stands, nothing was written that anybody waits for.
    pub next_xid: u64,
    /// The oldest transaction id that is still running, or the next one.
    pub oldest_xid: u64,
    /// How many transactions have a transaction id and are open.
    pub open_transactions: u64,
    /// Every slot, by name.
    pub slots: Vec<Slot>,
    /// How many walsenders run.
    pub walsenders: u32,
    /// What was written to the log since the statistics were reset (14 and newer).
    pub wal: Option<WalStats>,
    /// Slots whose creation waits, with the processes that they wait for.
    pub creation_blockers: Vec<(String, Vec<i32>)>,
    /// Who holds back the horizon, what is being copied, checkpoints and archiver; as old as its own `at` says.
    pub context: Seen<Context>,
    /// The WAL directory; as old as its own `at` says.
    pub files: Seen<Files>,
    /// The publications of this database; as old as their own `at` says.
    pub publications: Seen<Publications>,
    /// The tables at the source; as old as their own `at` says. `None` when they could not be read.
    pub tables: Option<Tables>,
    /// Why the tables could not be read; one sentence.
    pub tables_unread: Option<String>,
    /// The other side; `None` when none was named.
    pub destination: Option<Destination>,
    /// What the pulse took in microseconds, there and back.
    pub pulse_micros: u64,
    /// What the last answers of the other tiers took.
    pub costs: Vec<Cost>,
    /// When the log ended where before this sample: by what an earlier run has left, and by the times of the WAL files.
    /// Once for each connection.
    pub before: Vec<Mark>,
    /// The slots as an earlier run has last seen them. Once for each connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slots_before: Vec<SlotMark>,
}

/// What a tier costs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// `context`, `files`, `tables`, `catalog`.
    pub tier: String,
    /// Its last answer in microseconds, there and back.
    pub micros: u64,
}

/// The pace of the tiers that are dearer than the pulse.
const PROBE_EVERY: Duration = Duration::from_secs(60);
const CONTEXT_EVERY: Duration = Duration::from_secs(10);
const FILES_EVERY: Duration = Duration::from_secs(30);
const MANY_FILES_EVERY: Duration = Duration::from_secs(60);
const TABLES_EVERY: Duration = Duration::from_secs(10);
const MANY_TABLES_EVERY: Duration = Duration::from_secs(60);
const CATALOG_EVERY: Duration = Duration::from_secs(60);
const LARGE_CATALOG_EVERY: Duration = Duration::from_secs(600);
/// From so many WAL files or tables on a tier is asked more seldom (100 ms and more at the server).
const MANY_FILES: u64 = 5000;
const MANY_TABLES: usize = 1000;

/// Keeps the connections open between samples.
pub struct Sampler {
    target: Target,
    source: Session,
    began: Instant,
    server: Server,
    probed: Instant,
    context: Tier<Context>,
    files: Tier<Files>,
    written: Option<Vec<Mark>>,
    remembering: Option<Remembering>,
    publications: Tier<Publications>,
    list: Tier<TableList>,
    tables: Tier<Tables>,
    destination: Option<Side>,
}

impl Sampler {
    /// Connects to the source, read-only and with time limits, and begins to connect to the destination.
    ///
    /// # Errors
    /// When the source can't be reached.
    pub async fn connect(target: Target) -> Result<Self, Failure> {
        let destination = target.destination.as_ref().map(Side::connect);
        let remembering = target.memory.clone().map(Remembering::new);
        let source = connect(&target.source, &options()).await?;
        let now = Instant::now();
        Ok(Self {
            target,
            source,
            began: now,
            server: Server::default(),
            probed: now,
            context: Tier::new(CONTEXT_EVERY),
            files: Tier::new(FILES_EVERY),
            written: None,
            remembering,
            publications: Tier::new(CATALOG_EVERY),
            list: Tier::new(CATALOG_EVERY),
            tables: Tier::new(TABLES_EVERY),
            destination,
        })
    }

    /// Waits until the destination has answered or failed, so that the next sample says which.
    pub async fn settle(&mut self) {
        if let Some(side) = &mut self.destination {
            side.settle().await;
        }
    }

    /// Makes every tier due, so that the next sample is new in all its parts.
    pub fn refresh(&mut self) {
        self.server.version = 0;
        self.context.expire();
        self.files.expire();
        self.publications.expire();
        self.list.expire();
        self.tables.expire();
    }

    /// Reads one sample. A destination that can't be reached is a value in the sample, and so is a tier that can't be
    /// read: its failure (a time limit, a strange catalog) must not blind the rest.
    ///
    /// # Errors
    /// When the source's connection is lost or its answer makes no sense; connect again.
    pub async fn sample(&mut self) -> Result<Sample, String> {
        if self.server.version == 0 || self.probed.elapsed() >= PROBE_EVERY {
            self.probe().await?;
        }
        let began = Instant::now();
        let pulse = self.versioned(include_str!("sql/pulse.sql"));
        let mut pulse: Pulse = ask(&self.source, &pulse, &[]).await.map_err(|no| no.reason)?;
        let pulse_micros = micros_since(began);
        let steady = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let heard = now();
        if pulse.in_recovery != self.server.in_recovery {
            // A promotion: another timeline, and other settings count.
            self.probe().await?;
            self.server.in_recovery = pulse.in_recovery;
        }
        let (at, slots) = (Moment::from_epoch(pulse.at), pulse.slots());
        let left = match (&mut self.remembering, pulse.lsn) {
            (Some(remembering), Some(lsn)) => {
                let here = (self.server.system_identifier.as_str(), self.server.timeline);
                remembering.follow(here, (at, lsn, pulse.next_xid()), &slots).await
            }
            _ => Left::default(),
        };
        let mut before = left.marks;
        before.extend(self.read_tiers().await?);
        let (tables, tables_unread) = match (self.tables.value(), self.list.value()) {
            (_, Seen::Failed(reason)) | (Seen::Failed(reason), _) => (None, Some(reason.clone())),
            (tables, _) => (tables.known().cloned(), None),
        };
        let cost = |tier: &str, micros| Cost { tier: tier.to_owned(), micros };
        Ok(Sample {
            at,
            heard,
            steady,
            lsn: pulse.lsn,
            next_xid: pulse.next_xid(),
            oldest_xid: pulse.oldest_xid(),
            open_transactions: pulse.open_transactions,
            slots,
            walsenders: pulse.walsenders(),
            wal: pulse.wal.take(),
            creation_blockers: pulse.blockers(),
            context: self.context.value().clone(),
            files: self.files.value().clone(),
            publications: self.publications.value().clone(),
            tables,
            tables_unread,
            destination: self.read_destination().await,
            pulse_micros,
            costs: vec![
                cost("context", self.context.micros()),
                cost("files", self.files.micros()),
                cost("tables", self.tables.micros()),
                cost("catalog", self.publications.micros() + self.list.micros()),
            ],
            before,
            slots_before: left.slots,
            wanted: Wanted {
                slot: self.target.slot.clone(),
                publication: self.target.publication.clone(),
                wal_volume: self.target.wal_volume,
                alerts: self.target.alerts.clone(),
            },
            server: self.server.clone(),
        })
    }

    async fn probe(&mut self) -> Result<(), String> {
        let probe: Probe = ask(&self.source, include_str!("sql/probe.sql"), &[]).await.map_err(|no| no.reason)?;
        self.server = probe.into();
        self.probed = Instant::now();
        Ok(())
    }

    fn versioned(&self, text: &str) -> String {
        for_version(text, self.server.version)
    }

    /// Reads the tiers that are due. What comes back are the WAL files' times, once.
    async fn read_tiers(&mut self) -> Result<Vec<Mark>, String> {
        let monitor = format!("GRANT pg_monitor TO {};", quote_ident(&self.server.role));
        let grant = || monitor.clone();
        if self.context.is_due() {
            let began = Instant::now();
            let answer = ask(&self.source, &self.versioned(include_str!("sql/context.sql")), &[]).await;
            self.context.answered(answer, began, grant)?;
        }
        let mut before = Vec::new();
        if !self.server.rights.lists_wal() {
            self.files.hide(grant());
        } else if self.files.is_due() {
            let began = Instant::now();
            let answer = self.read_files().await;
            let pace = match &answer {
                Ok(files) if files.segments > MANY_FILES => MANY_FILES_EVERY,
                _ => FILES_EVERY,
            };
            self.files.pace(pace);
            self.files.answered(answer, began, grant)?;
            before = self.written.as_mut().map(std::mem::take).unwrap_or_default();
        }
        self.read_catalog(grant).await?;
        Ok(before)
    }

    async fn read_files(&mut self) -> Result<Files, NoAnswer> {
        let mut statement = self.versioned(include_str!("sql/files.sql"));
        if !self.server.rights.slot_files {
            // The directories of slots have a privilege of their own.
            statement = for_version(include_str!("sql/files.sql"), 140_000);
        }
        let first = self.written.is_none();
        let wire: WireFiles = ask(&self.source, &statement, &[(&first, Type::BOOL)]).await?;
        let segment = self.server.bytes("wal_segment_size").unwrap_or(16 << 20);
        let (files, written) = wire.read(segment, self.server.rights.slot_files);
        if first {
            if let Some(remembering) = &mut self.remembering {
                remembering.remember(written.clone());
            }
            self.written = Some(written);
        }
        Ok(files)
    }

    /// The publications, the list of tables, and their numbers.
    async fn read_catalog(&mut self, grant: impl Fn() -> String) -> Result<(), String> {
        if self.publications.is_due() {
            let began = Instant::now();
            let answer = ask(&self.source, &self.versioned(include_str!("sql/publications.sql")), &[]).await;
            self.publications.answered(answer, began, &grant)?;
        }
        if self.list.is_due() {
            let began = Instant::now();
            let answer: Result<TableList, _> = match &self.target.publication {
                Some(name) => {
                    let text = self.versioned(include_str!("sql/publication.sql"));
                    ask(&self.source, &text, &[(name, Type::TEXT)]).await
                }
                None => ask(&self.source, include_str!("sql/largest.sql"), &[]).await,
            };
            let many = answer.as_ref().is_ok_and(|list| list.names().len() > MANY_TABLES);
            self.list.pace(if many { LARGE_CATALOG_EVERY } else { CATALOG_EVERY });
            self.publications.pace(if many { LARGE_CATALOG_EVERY } else { CATALOG_EVERY });
            self.tables.pace(if many { MANY_TABLES_EVERY } else { TABLES_EVERY });
            self.list.answered(answer, began, &grant)?;
            self.tables.expire();
        }
        if self.tables.is_due()
            && let Some(list) = self.list.value().known()
        {
            let began = Instant::now();
            let answer = count_tables(&self.source, list.names(), list.found).await;
            self.tables.answered(answer, began, &grant)?;
        }
        Ok(())
    }

    async fn read_destination(&mut self) -> Option<Destination> {
        let settings = self.target.destination.as_ref()?;
        let names = self.list.value().known().map(TableList::names).unwrap_or_default();
        let side = self.destination.as_mut()?;
        if side.may_retry() {
            *side = Side::connect(settings);
        }
        Some(side.read(names, self.target.slot.as_deref()).await)
    }
}

#[expect(clippy::disallowed_methods, reason = "a sample says when it was read on this machine's clock too")]
fn now() -> Moment {
    SystemTime::now().into()
}
