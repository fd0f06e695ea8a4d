//! Every rule on and off, with time as an argument. What real servers say is tested in `tests/monitor/diagnosis.rs`.

use std::time::Duration;

use super::Severity;
use super::fixture::{MB, healthy, reader, rules, watch};
use crate::catalog::Lsn;
use crate::monitor::Sample;
use crate::monitor::reading::Stall;
use crate::monitor::server::{Rights, Setting};
use crate::monitor::slot::{Consumer, WalStatus};
use crate::monitor::state::SlotState;

#[test]
fn a_slot_without_a_reader_gets_worse_with_time_and_says_what_to_do() {
    assert_eq!(rules(&watch(3, |_, _, _| ())), [("R1", Severity::Info)]);
    let later = watch(40, |_, _, _| ());
    assert_eq!(rules(&later), [("R1", Severity::Warning)]);
    let finding = &later.diagnosis().findings()[0];
    assert!(
        finding.evidence.contains("No reader for ≥6m; it holds 400 MB, growing by 1.0 MB/s"),
        "{}",
        finding.evidence
    );
    let sql: Vec<&str> = finding.actions.iter().filter_map(|action| action.sql.as_deref()).collect();
    assert_eq!(
        sql,
        [
            "ALTER SYSTEM SET max_slot_wal_keep_size = '2048MB';\nSELECT pg_reload_conf();",
            "SELECT pg_drop_replication_slot('s');"
        ]
    );
    assert_eq!(finding.since, Some(later.history().began()));
    assert_eq!(rules(&watch(200, |_, _, _| ())), [("R1", Severity::Critical)]);
}

#[test]
fn the_loss_of_a_slot_is_foretold_by_its_budget() {
    // 1 MB each second; 600 MB left are ten minutes.
    let watcher = watch(20, |_, _, sample| sample.slots[0].safe_wal_size = Some((600 * MB).cast_signed()));
    let numbers = watcher.reading().slot("s").unwrap();
    assert_eq!(numbers.dies_in.map(|left| left.as_secs()), Some(600));
    assert_eq!(numbers.state, SlotState::Doomed);
    assert_eq!(rules(&watcher), [("R1", Severity::Critical)]);
    let read = watch(20, |_, _, sample| {
        let slot = &mut sample.slots[0];
        (slot.safe_wal_size, slot.active, slot.consumer) = (Some((600 * MB).cast_signed()), true, Some(reader(7)));
    });
    assert_eq!(rules(&read), [("R4", Severity::Critical), ("R5b", Severity::Warning)]);
    // A consumer that keeps up is in no danger, however its restart_lsn moves: in steps, here of 30 seconds.
    for samples in 2..20 {
        let steps = watch(samples, |number, _, sample| {
            healthy(number, sample);
            let slot = &mut sample.slots[0];
            slot.safe_wal_size = Some((600 * MB).cast_signed());
            slot.restart_lsn = Some(Lsn((100 + 10 * (number / 3 * 3)) * MB));
        });
        assert_eq!(steps.reading().slot("s").unwrap().dies_in, None, "{samples}");
    }
    // One that confirms beside an open transaction, which pins it, is.
    let pinned = watch(20, |number, _, sample| {
        healthy(number, sample);
        let slot = &mut sample.slots[0];
        (slot.safe_wal_size, slot.restart_lsn) = (Some((600 * MB).cast_signed()), Some(Lsn(90 * MB)));
    });
    assert_eq!(pinned.reading().slot("s").unwrap().dies_in.map(|left| left.as_secs()), Some(600));
}

#[test]
fn unreserved_and_lost_slots_are_critical_and_hold_what_they_hold() {
    let unreserved = watch(3, |_, _, sample| {
        sample.slots[0].wal_status = Some(WalStatus::Unreserved);
        sample.slots[0].safe_wal_size = Some(-5_242_880);
    });
    assert_eq!(rules(&unreserved), [("R2", Severity::Critical)]);
    assert!(unreserved.diagnosis().findings()[0].evidence.contains("5.0 MB more than max_slot_wal_keep_size (1.0 GB)"));
    let lost = watch(3, |_, _, sample| {
        let slot = &mut sample.slots[0];
        (slot.wal_status, slot.restart_lsn) = (Some(WalStatus::Lost), None);
    });
    assert_eq!(rules(&lost), [("R3", Severity::Critical)]);
    assert_eq!(lost.reading().slot("s").unwrap().retained_bytes, None);
    // From 18 on a slot lost by its idle time keeps its restart_lsn, and holds nothing all the same.
    let idle = watch(3, |_, _, sample| sample.slots[0].invalidation_reason = Some("idle_timeout".into()));
    assert_eq!(rules(&idle), [("R3", Severity::Critical)]);
    assert_eq!(idle.reading().slot("s").unwrap().retained_bytes, None);
}

#[test]
fn a_reader_that_keeps_up_is_healthy_and_one_that_does_not_is_behind() {
    let healthy = watch(20, |number, _, sample| {
        let slot = &mut sample.slots[0];
        (slot.active, slot.consumer, slot.confirmed_flush_lsn) =
            (true, Some(reader(7)), Some(Lsn((95 + 10 * number) * MB)));
    });
    assert_eq!(rules(&healthy), []);
    let numbers = healthy.reading().slot("s").unwrap();
    assert_eq!((numbers.state, numbers.lag_bytes), (SlotState::Streaming, Some(5 * MB)));
    assert_eq!(numbers.lag.unwrap().millis, 5000);
    let lagging = |number, _, sample: &mut Sample| {
        let slot = &mut sample.slots[0];
        (slot.active, slot.consumer, slot.confirmed_flush_lsn) =
            (true, Some(reader(7)), Some(Lsn((100 + 5 * number) * MB)));
    };
    let behind = watch(20, lagging);
    assert_eq!(behind.reading().slot("s").unwrap().state, SlotState::Behind);
    assert_eq!(behind.reading().slot("s").unwrap().catches_up_in, None);
    assert_eq!(rules(&behind), [], "a minute and a half is no trouble yet");
    let later = watch(40, lagging);
    assert_eq!(rules(&later), [("R5b", Severity::Warning)]);
    let evidence = &later.diagnosis().findings()[0].evidence;
    assert!(evidence.contains("It is 3m15s behind, 195 MB, growing by 512 kB/s"), "{evidence}");
    assert_eq!(rules(&watch(200, lagging)), [("R5b", Severity::Critical)]);
}

#[test]
fn a_silent_reader_is_noticed_before_the_server_hangs_up() {
    let silent = |seconds: u64| {
        watch(3, move |_, at, sample| {
            let slot = &mut sample.slots[0];
            slot.active = true;
            slot.consumer = Some(Consumer { reply_time: Some(at.minus(Duration::from_secs(seconds))), ..reader(7) });
        })
    };
    assert_eq!(rules(&silent(20)), []);
    assert_eq!(rules(&silent(31)), [("R7", Severity::Warning)]);
    assert_eq!(rules(&silent(55)), [("R7", Severity::Critical)]);
}

#[test]
fn a_client_that_does_not_read_is_named_as_the_brake() {
    let slow = |waits: u64| {
        watch(30, move |number, _, sample| {
            let wait = if number % 10 < waits { "Client/WalSenderWriteData" } else { "Activity/WalSenderMain" };
            let slot = &mut sample.slots[0];
            (slot.active, slot.consumer) = (true, Some(Consumer { wait: Some(wait.into()), ..reader(7) }));
        })
    };
    assert_eq!(rules(&slow(5)), [("R5b", Severity::Warning)], "it is late, but not by its own fault alone");
    assert_eq!(rules(&slow(7)), [("R5", Severity::Warning)]);
    assert_eq!(slow(7).reading().slot("s").unwrap().stalled_by, Some(Stall::ConsumerSlow));
}

#[test]
fn a_creation_that_waits_names_whom_it_waits_for() {
    let creating = |_, _, sample: &mut Sample| {
        let slot = &mut sample.slots[0];
        (slot.active, slot.consumer, slot.confirmed_flush_lsn) = (true, Some(reader(7)), None);
        sample.creation_blockers = vec![("s".into(), vec![4711])];
    };
    let waiting = watch(3, creating);
    assert_eq!(rules(&watch(5, creating)), [("R15", Severity::Warning)]);
    assert_eq!(rules(&watch(62, creating)), [("R15", Severity::Critical)]);
    assert_eq!(rules(&waiting), [("R15", Severity::Info)], "that is how it begins, always");
    let finding = &waiting.diagnosis().findings()[0];
    assert_eq!(finding.actions[0].sql.as_deref(), Some("SELECT pg_terminate_backend(4711);"));
    assert_eq!(waiting.reading().slot("s").unwrap().lag_bytes, None, "unknown is not zero");
}

#[test]
fn limits_of_the_server_and_of_the_role_are_told() {
    let crowded = watch(3, |_, _, sample| {
        sample.server.settings.remove("max_slot_wal_keep_size");
        sample.slots.clear();
        sample.walsenders = 10;
        sample.server.rights = Rights::default();
    });
    assert_eq!(rules(&crowded), [("R21", Severity::Critical), ("V1", Severity::Info)]);
    let unlimited = watch(3, |_, _, sample| {
        sample
            .server
            .settings
            .insert("max_slot_wal_keep_size".into(), Setting { value: "-1".into(), unit: Some("MB".into()) });
        sample.slots[0].temporary = true;
    });
    assert_eq!(rules(&unlimited), [("R21b", Severity::Info)]);
}

#[test]
fn another_cluster_under_the_same_name_starts_a_new_history() {
    let watcher = watch(20, |number, _, sample| {
        if number == 19 {
            sample.server.system_identifier = "2".into();
            sample.lsn = Some(Lsn(MB));
        }
    });
    assert_eq!(watcher.history().clock().reach(), Duration::ZERO);
    assert_eq!(rules(&watcher)[0], ("R18b", Severity::Critical));
}
