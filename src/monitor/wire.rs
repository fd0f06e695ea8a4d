//! The server's answers as they travel: JSON, with whatever columns its version has.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::destination::{Account, Run, RunTable};
use super::moment::Moment;
use super::server::{Rights, Server, Setting};
use super::slot::{Consumer, Decoding, Slot, SlotKind, WalStatus};
use super::table::{Counters, Table, Tables};
use super::units;
use crate::catalog::Lsn;
use crate::catalog::slot_name::backlog_slot;
use crate::profile::TableName;

/// `text` without the lines that are not for `version` (`server_version_num`): `--15+` marks what needs that major
/// version or a newer one, `--16-` what needs that one or an older one.
pub(super) fn for_version(text: &str, version: u32) -> String {
    let major = version / 10_000;
    let keep = |line: &&str| {
        let Some((_, mark)) = line.rsplit_once("--") else { return true };
        let number = |end| mark.strip_suffix(end).and_then(|number| number.parse::<u32>().ok());
        number('+').is_none_or(|least| major >= least) && number('-').is_none_or(|most| major <= most)
    };
    text.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

#[derive(Deserialize)]
pub(super) struct Probe {
    version: u32,
    started: f64,
    in_recovery: bool,
    system_identifier: String,
    timeline: String,
    database: String,
    role: String,
    superuser: Option<bool>,
    replication: Option<bool>,
    read_all_stats: bool,
    monitor: bool,
    wal_files: bool,
    archive_files: bool,
    slot_files: bool,
    settings: std::collections::BTreeMap<String, WireSetting>,
}

#[derive(Deserialize)]
struct WireSetting {
    value: Option<String>,
    unit: Option<String>,
}

impl From<Probe> for Server {
    fn from(probe: Probe) -> Self {
        let setting = |(name, set): (String, WireSetting)| {
            (name, Setting { value: set.value.unwrap_or_default(), unit: set.unit })
        };
        Self {
            version: probe.version,
            started: Moment::from_epoch(probe.started),
            in_recovery: probe.in_recovery,
            system_identifier: probe.system_identifier,
            timeline: u32::from_str_radix(&probe.timeline, 16).unwrap_or(0),
            database: probe.database,
            role: probe.role,
            rights: Rights {
                superuser: probe.superuser.unwrap_or(false),
                replication: probe.replication.unwrap_or(false),
                read_all_stats: probe.read_all_stats,
                monitor: probe.monitor,
                wal_files: probe.wal_files,
                archive_files: probe.archive_files,
                slot_files: probe.slot_files,
            },
            settings: probe.settings.into_iter().map(setting).collect(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Pulse {
    pub(super) at: f64,
    pub(super) in_recovery: bool,
    pub(super) lsn: Option<Lsn>,
    next_xid: Option<String>,
    oldest_xid: Option<String>,
    #[serde(default)]
    pub(super) open_transactions: u64,
    pub(super) wal: Option<WalStats>,
    slots: Option<Vec<WireSlot>>,
    senders: Option<Vec<WireSender>>,
    sessions: Option<Vec<WireSession>>,
    decoding: Option<Vec<Decoding>>,
    creating: Option<Vec<WireCreating>>,
}

/// `pg_stat_wal`: what was written to the log since the statistics were reset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WalStats {
    /// Records.
    #[serde(rename = "wal_records")]
    pub records: u64,
    /// Whole pages, each after its first change since a checkpoint.
    #[serde(rename = "wal_fpi")]
    pub full_pages: u64,
    /// Bytes.
    #[serde(rename = "wal_bytes")]
    pub bytes: f64,
    /// How often the buffers were full.
    #[serde(rename = "wal_buffers_full")]
    pub buffers_full: u64,
}

#[derive(Deserialize)]
struct WireSlot {
    slot_name: String,
    plugin: Option<String>,
    slot_type: SlotKind,
    database: Option<String>,
    temporary: bool,
    active: bool,
    active_pid: Option<i32>,
    restart_lsn: Option<Lsn>,
    confirmed_flush_lsn: Option<Lsn>,
    wal_status: Option<WalStatus>,
    safe_wal_size: Option<i64>,
    xmin_age: Option<i64>,
    catalog_xmin_age: Option<i64>,
    two_phase: Option<bool>,
    conflicting: Option<bool>,
    inactive_since: Option<Moment>,
    invalidation_reason: Option<String>,
    failover: Option<bool>,
    synced: Option<bool>,
}

/// A row of `pg_stat_get_wal_senders`: all but `pid` is null for a role without `pg_read_all_stats`.
#[derive(Deserialize)]
struct WireSender {
    pid: Option<i32>,
    state: Option<String>,
    sent_lsn: Option<Lsn>,
    flush_lsn: Option<Lsn>,
    reply_time: Option<Moment>,
    sync_state: Option<String>,
    write_seconds: Option<f64>,
    flush_seconds: Option<f64>,
    replay_seconds: Option<f64>,
}

impl WireSender {
    fn round_trips(&self) -> [Option<Duration>; 3] {
        [self.write_seconds, self.flush_seconds, self.replay_seconds].map(|time| time.and_then(units::seconds))
    }
}

#[derive(Deserialize)]
struct WireSession {
    pid: i32,
    usename: Option<String>,
    application_name: Option<String>,
    client_addr: Option<String>,
    backend_type: Option<String>,
    wait_event_type: Option<String>,
    wait_event: Option<String>,
    backend_start: Option<Moment>,
}

#[derive(Deserialize)]
struct WireCreating {
    slot: String,
    by: Option<Vec<i32>>,
}

impl Pulse {
    /// The next transaction id.
    pub(super) fn next_xid(&self) -> u64 {
        self.next_xid.as_deref().and_then(|xid| xid.parse().ok()).unwrap_or(0)
    }

    /// The oldest that is still running.
    pub(super) fn oldest_xid(&self) -> u64 {
        self.oldest_xid.as_deref().and_then(|xid| xid.parse().ok()).unwrap_or(0)
    }

    /// How many walsenders run; they can be counted even where nothing else of them is visible.
    pub(super) fn walsenders(&self) -> u32 {
        self.senders.as_ref().map_or(0, |senders| u32::try_from(senders.len()).unwrap_or(u32::MAX))
    }

    /// The processes that a slot's creation waits for, by slot.
    pub(super) fn blockers(&self) -> Vec<(String, Vec<i32>)> {
        let creating = self.creating.iter().flatten();
        creating.map(|waiting| (waiting.slot.clone(), waiting.by.clone().unwrap_or_default())).collect()
    }

    /// Joins slots, walsenders, sessions and decoding statistics.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = self.slots.iter().flatten().map(|wire| self.slot(wire)).collect();
        fold_backlogs(&mut slots);
        slots.sort_by(|a, b| a.name.cmp(&b.name));
        slots
    }

    fn slot(&self, wire: &WireSlot) -> Slot {
        let decoding = self.decoding.iter().flatten().find(|stats| stats.slot == wire.slot_name);
        Slot {
            name: wire.slot_name.clone(),
            kind: wire.slot_type,
            plugin: wire.plugin.clone(),
            database: wire.database.clone(),
            temporary: wire.temporary,
            active: wire.active,
            restart_lsn: wire.restart_lsn,
            confirmed_flush_lsn: wire.confirmed_flush_lsn,
            wal_status: wire.wal_status,
            safe_wal_size: wire.safe_wal_size,
            xmin_age: wire.xmin_age,
            catalog_xmin_age: wire.catalog_xmin_age,
            two_phase: wire.two_phase,
            conflicting: wire.conflicting,
            inactive_since: wire.inactive_since,
            invalidation_reason: wire.invalidation_reason.clone(),
            failover: wire.failover,
            // A promoted standby still says so of slots that are its own now (documentation of pg_replication_slots).
            synced: wire.synced.map(|synced| synced && self.in_recovery),
            decoding: decoding.cloned(),
            consumer: wire.active_pid.map(|pid| self.consumer(pid)),
        }
    }

    fn consumer(&self, pid: i32) -> Consumer {
        let sender = self.senders.iter().flatten().find(|sender| sender.pid == Some(pid));
        let session = self.sessions.iter().flatten().find(|session| session.pid == pid);
        let wait = session.and_then(|s| Some(format!("{}/{}", s.wait_event_type.as_ref()?, s.wait_event.as_ref()?)));
        Consumer {
            pid,
            user: session.and_then(|s| s.usename.clone()),
            application_name: session.and_then(|s| s.application_name.clone()).filter(|name| !name.is_empty()),
            client_addr: session.and_then(|s| s.client_addr.clone()),
            backend_type: session.and_then(|s| s.backend_type.clone()),
            reads_backlog: false,
            state: sender.and_then(|s| s.state.clone()),
            sent_lsn: sender.and_then(|s| s.sent_lsn),
            flush_lsn: sender.and_then(|s| s.flush_lsn),
            reply_time: sender.and_then(|s| s.reply_time),
            sync_state: sender.and_then(|s| s.sync_state.clone()),
            round_trips: sender.map(WireSender::round_trips).unwrap_or_default(),
            wait,
            backend_start: session.and_then(|s| s.backend_start),
        }
    }
}

/// Whoever reads the backlog of a slot from a temporary copy of it is the slot's own reader.
fn fold_backlogs(slots: &mut Vec<Slot>) {
    let is_copy = |copy: &Slot, slot: &Slot| copy.temporary && copy.active && copy.name == backlog_slot(&slot.name);
    let read: Vec<(String, String, Option<Consumer>)> = slots
        .iter()
        .filter(|slot| !slot.active && !slot.temporary)
        .filter_map(|slot| {
            let copy = slots.iter().find(|copy| is_copy(copy, slot))?;
            Some((slot.name.clone(), copy.name.clone(), copy.consumer.clone()))
        })
        .collect();
    for (name, copy, consumer) in read {
        slots.retain(|slot| slot.name != copy);
        for slot in slots.iter_mut().filter(|slot| slot.name == name) {
            slot.active = true;
            slot.consumer = consumer.clone().map(|consumer| Consumer { reads_backlog: true, ..consumer });
        }
    }
}

/// Whether a run's tables exist and may be read.
#[derive(Deserialize)]
pub(super) struct RunThere {
    pub(super) there: bool,
    pub(super) readable: bool,
    /// The tables of the method `xmin` exist and may be read.
    pub(super) xmin: bool,
}

#[derive(Deserialize)]
pub(super) struct WireRun {
    at: f64,
    slot: String,
    system_identifier: String,
    publication: String,
    method: String,
    checkpoint: Option<Lsn>,
    commit_time: Option<Moment>,
    applied_at: Option<Moment>,
    progress: Option<Account>,
    tables: Option<Vec<WireRunTable>>,
}

#[derive(Deserialize)]
struct WireRunTable {
    schema_name: String,
    table_name: String,
    phase: String,
    rows_copied: u64,
    rows_estimated: Option<u64>,
    #[serde(default)]
    rows_per_second: Option<u64>,
    #[serde(default)]
    eta_seconds: Option<u64>,
    inserts: u64,
    updates: u64,
    deletes: u64,
    truncates: u64,
}

impl From<WireRun> for Run {
    fn from(wire: WireRun) -> Self {
        let table = |table: WireRunTable| RunTable {
            table: TableName::new(table.schema_name, table.table_name),
            phase: table.phase,
            rows_copied: table.rows_copied,
            rows_estimated: table.rows_estimated,
            rows_per_second: table.rows_per_second,
            eta_seconds: table.eta_seconds,
            changes: table.inserts + table.updates + table.deletes + table.truncates,
        };
        Self {
            at: Moment::from_epoch(wire.at),
            slot: wire.slot,
            system_identifier: wire.system_identifier,
            publication: wire.publication,
            method: wire.method,
            xmin: None,
            checkpoint: wire.checkpoint,
            commit_time: wire.commit_time,
            applied_at: wire.applied_at,
            account: wire.progress,
            tables: wire.tables.unwrap_or_default().into_iter().map(table).collect(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct TableList {
    pub(super) found: bool,
    tables: Option<Vec<TableName>>,
}

impl TableList {
    pub(super) fn names(&self) -> &[TableName] {
        self.tables.as_deref().unwrap_or_default()
    }
}

#[derive(Deserialize)]
pub(super) struct WireTables {
    at: f64,
    rows: Option<Vec<WireTable>>,
}

#[derive(Deserialize)]
struct WireTable {
    /// Which of the names that were asked for, from 1 on.
    at: usize,
    leaf: bool,
    bytes: u64,
    frozen_age: Option<i64>,
    identity: String,
    #[serde(flatten)]
    counters: Counters,
}

impl WireTables {
    /// Adds partitions up under the names that were asked for. Names that do not exist are left out.
    pub(super) fn tables(&self, names: &[TableName], publication_found: bool) -> Tables {
        let mut sums: Vec<Option<Table>> = vec![None; names.len()];
        for row in self.rows.iter().flatten() {
            let Some((name, sum)) = row.at.checked_sub(1).and_then(|at| Some((names.get(at)?, sums.get_mut(at)?)))
            else {
                continue;
            };
            let sum = sum.get_or_insert_with(|| Table { name: name.clone(), ..Table::default() });
            // A partitioned table has no rows of its own; what ANALYZE says of it counts its partitions again.
            if row.leaf {
                // Rows are known if they are known for one part: a partition never written to adds nothing.
                if let Some(rows) = row.counters.rows() {
                    sum.rows = Some(sum.rows.unwrap_or(0) + rows);
                }
                sum.bytes += row.bytes;
                sum.inserts += row.counters.inserts;
                sum.updates += row.counters.updates;
                sum.deletes += row.counters.deletes;
                sum.hot_updates += row.counters.hot;
                sum.dead_rows += row.counters.dead;
                sum.frozen_age = sum.frozen_age.max(row.frozen_age);
                sum.identity = row.identity.chars().next();
            }
        }
        Tables { at: Moment::from_epoch(self.at), publication_found, tables: sums.into_iter().flatten().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_other_versions_are_left_out() {
        let text = "a\nb --14+\nc -- a remark\nd --15+\ne --13-";
        assert_eq!(for_version(text, 130_023), "a\nc -- a remark\ne --13-");
        assert_eq!(for_version(text, 140_001), "a\nb --14+\nc -- a remark");
        assert_eq!(for_version(text, 180_004), "a\nb --14+\nc -- a remark\nd --15+");
    }

    /// As PostgreSQL 15 answers a role without `pg_read_all_stats`: the walsender shows its process id only.
    #[test]
    fn what_the_role_may_not_see_is_nothing_instead_of_zero() {
        let pulse: Pulse = serde_json::from_str(
            r#"{"at": 1795337795.5, "in_recovery": false, "lsn": "0/1A2FAB8", "next_xid": "744",
            "slots": [{"slot_name":"s","plugin":"pgoutput","slot_type":"logical","datoid":"16385","database":"shop","temporary":false,
              "active":true,"active_pid":77,"xmin":null,"catalog_xmin":"742","restart_lsn":"0/197A4B8","confirmed_flush_lsn":"0/197A4F0",
              "wal_status":"reserved","safe_wal_size":73205064,"two_phase":false,"catalog_xmin_age":2}],
            "senders": [{"pid":77,"state":null,"sent_lsn":null,"reply_time":null}],
            "sessions": [{"pid":77,"usename":"repl","application_name":"app","client_addr":null,"backend_type":null,
              "wait_event_type":null,"wait_event":null,"backend_start":null}],
            "decoding": [], "creating": null}"#,
        )
        .unwrap();
        let slots = pulse.slots();
        let consumer = slots[0].consumer.as_ref().unwrap();
        assert_eq!((consumer.pid, consumer.user.as_deref()), (77, Some("repl")));
        assert_eq!((consumer.sent_lsn, consumer.reply_time, &consumer.wait), (None, None, &None));
        assert!(!consumer.polls());
        assert_eq!((&slots[0].decoding, slots[0].inactive_since, pulse.walsenders()), (&None, None, 1));
    }

    #[test]
    fn who_reads_the_backlog_of_a_slot_is_its_reader() {
        let slot = |name: &str, temporary, pid: Option<i32>| {
            format!(
                r#"{{"slot_name":"{name}","plugin":"pgoutput","slot_type":"logical","database":"shop","temporary":{temporary},
                "active":{},"active_pid":{},"restart_lsn":"0/1","confirmed_flush_lsn":"0/2","wal_status":"reserved","safe_wal_size":null}}"#,
                pid.is_some(),
                pid.map_or("null".to_owned(), |pid| pid.to_string())
            )
        };
        let seen = |slots: &[String]| {
            let text = format!(
                r#"{{"at": 1795337795.5, "in_recovery": false, "lsn": "0/3", "next_xid": "744", "slots": [{}], "senders": null,
                "sessions": [{{"pid":7,"usename":"repl","application_name":"walpilot run","client_addr":null,
                "backend_type":"client backend","wait_event_type":null,"wait_event":null,"backend_start":null}}],
                "decoding": null, "creating": null}}"#,
                slots.join(",")
            );
            let slots = serde_json::from_str::<Pulse>(&text).unwrap().slots();
            slots.into_iter().map(|slot| (slot.name, slot.consumer.map(|c| (c.pid, c.polls())))).collect::<Vec<_>>()
        };
        let copy = slot("s_backlog", true, Some(7));
        assert_eq!(seen(&[slot("s", false, None), copy.clone()]), [("s".to_owned(), Some((7, false)))]);
        // It is nobody else's, and one that stays is a slot by itself.
        assert_eq!(seen(&[slot("t", false, None), copy]).len(), 2);
        assert_eq!(seen(&[slot("s", false, None), slot("s_backlog", false, Some(7))]).len(), 2);
    }

    /// As PostgreSQL 18 answers, with columns that older versions do not have and words that we do not know.
    #[test]
    fn newer_columns_are_read_where_they_are() {
        let pulse: Pulse = serde_json::from_str(
            r#"{"at": 1795337795.5, "in_recovery": true, "lsn": null, "next_xid": "744",
            "slots": [{"slot_name":"s","plugin":"pgoutput","slot_type":"logical","database":"shop","temporary":false,
              "active":false,"active_pid":null,"restart_lsn":null,"confirmed_flush_lsn":"0/197A4F0","wal_status":"vanished",
              "safe_wal_size":null,"inactive_since":"2026-11-22T08:00:00.5+00:00","invalidation_reason":"idle_timeout",
              "failover":true,"synced":true,"two_phase_at":null,"catalog_xmin_age":2}],
            "senders": null, "sessions": null, "decoding": null, "creating": null}"#,
        )
        .unwrap();
        let slot = pulse.slots().remove(0);
        assert_eq!(slot.wal_status, Some(WalStatus::Unknown));
        assert!(slot.is_lost() && slot.synced == Some(true) && slot.consumer.is_none());
        assert_eq!(slot.inactive_since.unwrap().clock(), "08:00:00");
    }
}
