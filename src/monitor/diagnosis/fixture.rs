//! What the tests of rules share: a source that is sampled each ten seconds.

use std::time::Duration;

use super::Severity;
use crate::catalog::Lsn;
use crate::monitor::server::{Rights, Server, Setting};
use crate::monitor::slot::{Consumer, Slot, WalStatus};
use crate::monitor::{Moment, Sample, Watcher};

pub(super) const MB: u64 = 1 << 20;

pub(super) fn server() -> Server {
    let set = |value: &str, unit: Option<&str>| Setting { value: value.into(), unit: unit.map(Into::into) };
    let settings = [
        ("max_slot_wal_keep_size", set("1024", Some("MB"))),
        ("max_replication_slots", set("10", None)),
        ("max_wal_senders", set("10", None)),
        ("wal_sender_timeout", set("60000", Some("ms"))),
    ];
    Server {
        version: 150_018,
        system_identifier: "1".into(),
        timeline: 1,
        role: "watch".into(),
        rights: Rights { read_all_stats: true, wal_files: true, archive_files: true, ..Rights::default() },
        settings: settings.into_iter().map(|(name, set)| (name.to_owned(), set)).collect(),
        ..Server::default()
    }
}

pub(super) fn slot() -> Slot {
    Slot {
        name: "s".into(),
        database: Some("shop".into()),
        restart_lsn: Some(Lsn(90 * MB)),
        confirmed_flush_lsn: Some(Lsn(100 * MB)),
        wal_status: Some(WalStatus::Reserved),
        ..Slot::default()
    }
}

pub(super) fn reader(pid: i32) -> Consumer {
    Consumer { pid, backend_type: Some("walsender".into()), ..Consumer::default() }
}

/// A sample each ten seconds, with 10 MB of log and one transaction between two of them.
pub(super) fn watch(count: u64, change: impl Fn(u64, Moment, &mut Sample)) -> Watcher {
    let mut watcher = Watcher::default();
    for number in 0..count {
        let at = Moment::from_epoch(1_795_337_532.0).plus(Duration::from_secs(10 * number));
        let lsn = Some(Lsn((100 + 10 * number) * MB));
        let mut sample = Sample { at, lsn, next_xid: number, server: server(), ..Sample::default() };
        sample.slots = vec![slot()];
        change(number, at, &mut sample);
        watcher.push(sample);
    }
    watcher
}

pub(super) fn rules(watcher: &Watcher) -> Vec<(&'static str, Severity)> {
    watcher.diagnosis().findings().iter().map(|finding| (finding.rule, finding.severity)).collect()
}

/// A slot that is read and up to date.
pub(super) fn healthy(number: u64, sample: &mut Sample) {
    let end = Lsn((100 + 10 * number) * MB);
    let slot = &mut sample.slots[0];
    (slot.active, slot.confirmed_flush_lsn, slot.restart_lsn) = (true, Some(end), Some(end));
    slot.plugin = Some("pgoutput".into());
    slot.consumer =
        Some(Consumer { sent_lsn: Some(end), wait: Some("Activity/WalSenderWaitForWal".into()), ..reader(7) });
    sample.server.database = "shop".into();
}

/// A setting without a unit.
pub(super) fn number_setting(value: &str) -> Setting {
    Setting { value: value.into(), unit: None }
}
