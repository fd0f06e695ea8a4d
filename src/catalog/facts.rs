//! What was read from a server, as values: the only input of the checks.
//!
//! Nothing in here judges. Whatever could not be read is [`Seen::No`] with the reason, never "no problem", so a check
//! can tell a healthy server from one that hides something.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Lsn;
pub use super::cluster::Cluster;
pub use super::columns::{Column, Member};
pub use super::probe::{Deep, OtherSide, SlotOrder};
pub use super::relation::{Identity, Relation};
use crate::connection::Failure;
use crate::profile::Provider;
use crate::profile::TableName;

/// A part of the facts that may be hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It was read.
    Yes(T),
    /// It was not, for this reason (one line, safe to print).
    No(String),
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self::No("it was not asked for".to_owned())
    }
}

impl<T> Seen<T> {
    /// The value, if it was read.
    pub fn get(&self) -> Option<&T> {
        match self {
            Self::Yes(value) => Some(value),
            Self::No(_) => None,
        }
    }
}

/// Everything that the checks judge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The server itself.
    pub server: Server,
    /// Who gathered: the replicating role, or an administrator on its behalf.
    pub reader: Reader,
    /// How the connection is protected.
    pub link: Link,
    /// Whose platform it looks like.
    pub provider: Provider,
    /// The role that will replicate (the profile's user); `None` when there is no such role.
    pub role: Option<Role>,
    /// The database that holds the tables.
    pub database: Seen<Database>,
    /// `pg_settings`, by name: those that the checks ask for, and all that wait for a restart.
    pub settings: Seen<BTreeMap<String, Setting>>,
    /// All replication slots of the cluster.
    pub slots: Seen<Vec<Slot>>,
    /// What is going on in the cluster.
    pub activity: Seen<Activity>,
    /// The profile's publication; `None` when there is none of that name.
    pub publication: Seen<Option<Publication>>,
    /// The schemas that the profile names, and those whose names differ only in case.
    pub schemas: Seen<Vec<Schema>>,
    /// The chosen relations, their partitions, and whatever the publication covers beside them.
    pub relations: Seen<Vec<Relation>>,
    /// Relations with nearly the name of a chosen table that does not exist.
    pub near_misses: Vec<TableName>,
    /// Whether a replication connection opens; `None` when that was not tried.
    pub replication: Option<ReplicationProbe>,
    /// Whether the slot sees the publication; `None` when that was not suspected or could not be found out.
    pub slot_order: Option<SlotOrder>,
    /// What surrounds the tables.
    pub cluster: Seen<Cluster>,
    /// Columns that replication has to be careful with, of the chosen tables and what the publication covers.
    pub columns: Seen<Vec<Column>>,
    /// The tables that the profile's publication lists by themselves.
    pub members: Seen<Vec<Member>>,
    /// How far the server's clock is ahead of ours, in seconds.
    pub clock_skew: Option<f64>,
    /// The deep probes' results; `None` when they were not asked for.
    pub deep: Option<Deep>,
    /// The destination; `None` when none was named.
    pub destination: Option<OtherSide>,
    /// Free bytes on the disk that holds the log, as the user says: no query tells.
    pub free_disk: Option<i64>,
}

/// The server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Server {
    /// `server_version_num`, for example 150018.
    pub version_num: u32,
    /// `server_version`, for example `15.18`.
    pub version: String,
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// The backend's process id changed between two statements: a pooler hands out sessions by transaction.
    #[serde(default)]
    pub pid_changed: bool,
    /// The process id that was announced at the login is another one than that of the backend: somebody in between
    /// answered the login.
    #[serde(default)]
    pub pid_foreign: bool,
}

impl Server {
    /// The major version, for example 15.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.version_num / 10_000
    }
}

/// Who gathered the facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Reader {
    /// The role.
    pub name: String,
    /// Whether it is a superuser.
    pub superuser: bool,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// TLS was negotiated.
    pub encrypted: bool,
    /// A Unix socket or a loopback address: nobody else can listen.
    pub local: bool,
}

/// The replicating role's attributes (`pg_roles`).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Role {
    /// Its object identifier.
    pub oid: u32,
    /// `rolsuper`.
    pub superuser: bool,
    /// `rolreplication`; not inherited through membership.
    pub replication: bool,
    /// `rolcanlogin`.
    pub login: bool,
    /// `rolbypassrls`.
    pub bypass_rls: bool,
    /// Seconds until its password expires, negative when it has; `None` for never.
    pub expires_in: Option<f64>,
    /// Those well-known roles (providers' and predefined ones) of which it is a member.
    pub member_of: Vec<String>,
    /// Its comment, where walpilot keeps what its setup changed.
    pub comment: Option<String>,
}

impl Role {
    /// Whether the server lets it start a walsender, as far as attributes tell. On Amazon RDS the membership counts.
    #[must_use]
    pub fn may_replicate(&self) -> bool {
        self.superuser || self.replication || self.member_of.iter().any(|role| role == "rds_replication")
    }
}

/// The database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Whether the replicating role (or everybody, while there is no such role) has CONNECT.
    pub connect: bool,
}

/// A setting of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Setting {
    /// The value in effect, in `unit`.
    pub value: String,
    /// `MB`, `ms`, …; `None` for plain numbers and words.
    pub unit: Option<String>,
    /// A new value waits for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// What a new session of whoever gathered starts with; walpilot's own session has its own limits.
    #[serde(default)]
    pub initial: Option<String>,
}

/// A replication slot (`pg_replication_slots`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Slot {
    /// Its name.
    pub slot_name: String,
    /// The output plugin; `None` for physical slots.
    pub plugin: Option<String>,
    /// `logical` or `physical`.
    pub slot_type: String,
    /// The database of a logical slot.
    pub database: Option<String>,
    /// Dropped at the end of its session.
    pub temporary: bool,
    /// Somebody reads it.
    pub active: bool,
    /// Who.
    pub active_pid: Option<i32>,
    /// Up to where its reader has confirmed.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// The oldest WAL that it holds.
    pub restart_lsn: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// Why it was invalidated (PostgreSQL 17 and later).
    pub invalidation_reason: Option<String>,
    /// A copy that the standby keeps in step (17 and later); can't be read there.
    pub synced: bool,
    /// Bytes of WAL that it holds back.
    pub retained: Option<i64>,
    /// It is kept in step on standbys (17 and later).
    pub failover: bool,
    /// Age of `catalog_xmin` in transactions.
    pub catalog_age: Option<i64>,
    /// Bytes decoded so far (14 and later).
    pub decoded_bytes: Option<i64>,
    /// Bytes of transactions that did not fit into memory while they were decoded (14 and later).
    pub spill_bytes: Option<i64>,
    /// How many such transactions there were.
    pub spill_txns: Option<i64>,
    /// It was invalidated on a standby, because the primary removed what it needs (16).
    pub conflicting: bool,
    /// The `application_name` of its reader; `None` while nobody reads it, or where that is hidden.
    pub reader: Option<String>,
}

/// What is going on in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Activity {
    /// Walsenders in use.
    pub walsenders: u32,
    /// Sessions with a transaction that has written, in any database.
    pub writers: Vec<Writer>,
    /// Prepared transactions, in any database.
    pub prepared: Vec<Prepared>,
    /// The backend that answered.
    pub pid: i32,
}

impl Activity {
    /// Whether one look can't tell what lasts from what is passing by.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.writers.iter().any(|one| one.seconds.is_none_or(|seconds| seconds < LONG_S))
            || self.prepared.iter().any(|one| one.seconds < LONG_S)
    }

    /// Marks what a later look still finds.
    pub fn mark_lasting(&mut self, later: &Self) {
        for one in &mut self.writers {
            one.lasting = later.writers.iter().any(|other| (other.pid, &other.xid) == (one.pid, &one.xid));
        }
        for one in &mut self.prepared {
            let same = |other: &Prepared| (&other.gid, &other.database) == (&one.gid, &one.database);
            one.lasting = later.prepared.iter().any(same);
        }
    }
}

/// From this age on, in seconds, an open transaction is more than a passing one.
pub const LONG_S: i64 = 10;

/// A session with an open transaction that has written (`pg_locks` shows it to everybody).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Writer {
    /// Its process.
    pub pid: i32,
    /// Its oldest transaction id.
    pub xid: String,
    /// Its database.
    pub database: Option<String>,
    /// Its role.
    pub user: Option<String>,
    /// For how long, in seconds; hidden from roles without `pg_read_all_stats`.
    pub seconds: Option<i64>,
    /// It is a transaction that waits for its client (`idle in transaction`); hidden as well.
    #[serde(default)]
    pub idle: Option<bool>,
    /// It was still there when walpilot looked again.
    #[serde(default)]
    pub lasting: bool,
}

/// A prepared transaction (`pg_prepared_xacts`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Prepared {
    /// Its global identifier.
    pub gid: String,
    /// Its database.
    pub database: String,
    /// Who prepared it.
    pub owner: String,
    /// For how long, in seconds.
    pub seconds: i64,
    /// It was still there when walpilot looked again.
    #[serde(default)]
    pub lasting: bool,
}

/// A publication (`pg_publication`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "these are the columns of the catalog")]
pub struct Publication {
    /// Its name.
    pub pubname: String,
    /// Its owner.
    pub owner: String,
    /// FOR ALL TABLES.
    pub puballtables: bool,
    /// Publishes INSERT.
    pub pubinsert: bool,
    /// Publishes UPDATE.
    pub pubupdate: bool,
    /// Publishes DELETE.
    pub pubdelete: bool,
    /// Publishes TRUNCATE.
    pub pubtruncate: bool,
    /// Changes of partitions arrive under their root's name.
    pub pubviaroot: bool,
    /// Generated columns: `n` not published, `s` the stored ones (PostgreSQL 18 and later).
    pub pubgencols: Option<String>,
    /// Its owner is a superuser.
    pub owner_superuser: bool,
    /// Its comment, where walpilot keeps what its setup changed.
    pub comment: Option<String>,
    /// It holds whole schemas (PostgreSQL 15 and later).
    pub by_schema: bool,
    /// Transactions since its row was last written.
    pub age: i64,
}

/// A schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Whether the replicating role has USAGE.
    pub usage: bool,
    /// Roles that own tables in it, without the replicating role and roles whose rights it has.
    pub creators: Vec<String>,
    /// Those whose new tables the replicating role may read (default privileges).
    pub covered: Vec<String>,
    /// More than one role owns tables or views in it.
    #[serde(default)]
    pub mixed: bool,
}

/// Whether a replication connection (`replication=database`) opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicationProbe {
    /// It opened, and the server answered IDENTIFY_SYSTEM.
    Opened {
        /// The cluster's identity.
        system_id: String,
    },
    /// The server, or something in between, said no.
    Refused(Failure),
    /// It opened, but IDENTIFY_SYSTEM was not understood: the parameter was dropped on the way.
    NotAWalsender(String),
}

impl Facts {
    /// A setting's value; `None` when it is hidden or unknown to this version.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get()?.get(name).map(|setting| setting.value.as_str())
    }

    /// A setting that is a number, in its own unit.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.setting(name)?.parse().ok()
    }

    /// The relations that the profile asks for; partitions only where they were chosen by themselves.
    pub fn chosen(&self) -> impl Iterator<Item = &Relation> {
        self.relations().iter().filter(|relation| relation.chosen)
    }

    /// All relations that were read; none when they could not be.
    #[must_use]
    pub fn relations(&self) -> &[Relation] {
        self.relations.get().map_or(&[], Vec::as_slice)
    }

    /// The relation of that OID.
    #[must_use]
    pub fn relation(&self, oid: u32) -> Option<&Relation> {
        self.relations().iter().find(|relation| relation.oid == oid)
    }

    /// A setting as the replicating role's own sessions start with it: what comes with the role or the database
    /// before what the server has. Only what whoever gathered starts with is known otherwise.
    #[must_use]
    pub fn role_setting(&self, name: &str) -> Option<&str> {
        let own = self.cluster.get().and_then(|cluster| cluster.override_of(name));
        own.or_else(|| self.settings.get()?.get(name)?.initial.as_deref())
    }

    /// The slot of that name.
    #[must_use]
    pub fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.get()?.iter().find(|slot| slot.slot_name == name)
    }

    /// The profile's publication, if it was read and exists.
    #[must_use]
    pub fn the_publication(&self) -> Option<&Publication> {
        self.publication.get()?.as_ref()
    }
}
