//! The rules that need more than the pulse, on and off.

use std::time::Duration;

use super::Severity;
use super::fixture::{MB, healthy, number_setting, reader, rules, watch};
use crate::catalog::Lsn;
use crate::monitor::context::{Archiver, Context, Holder, HolderKind, Request};
use crate::monitor::destination::{Destination, Reached, Run, RunState, XminRun};
use crate::monitor::files::{Files, Spill};
use crate::monitor::publications::{Gap, Publication, Publications, SlotAge};
use crate::monitor::slot::{Decoding, SlotKind, WalStatus};
use crate::monitor::state::SlotState;
use crate::monitor::subscription::{Subscription, Subscriptions};
use crate::monitor::{Moment, Seen, Watcher};

#[test]
fn readers_that_come_and_go_are_told_and_worse_when_nothing_moves() {
    let loops = |moves: bool| {
        watch(12, move |number, _, sample| {
            healthy(number, sample);
            let slot = &mut sample.slots[0];
            slot.consumer = Some(reader(i32::try_from(number / 3).unwrap()));
            if !moves {
                slot.confirmed_flush_lsn = Some(Lsn(100 * MB));
            }
        })
    };
    assert_eq!(rules(&loops(true)), [("R8", Severity::Warning)]);
    assert_eq!(rules(&loops(false)), [("R8", Severity::Critical)]);
    // From 17 on a reader that lives for less than a sample leaves its mark.
    let fleeting = watch(12, |number, at, sample| {
        let slot = &mut sample.slots[0];
        slot.inactive_since = Some(at.minus(Duration::from_secs(number % 2)));
    });
    assert_eq!(rules(&fleeting)[0], ("R8", Severity::Critical));
}

#[test]
fn a_reader_that_was_silent_until_the_server_hung_up_is_remembered() {
    let watcher = watch(10, |number, at, sample| {
        healthy(number, sample);
        if number >= 8 {
            (sample.slots[0].active, sample.slots[0].consumer) = (false, None);
        } else {
            let silent = Duration::from_secs(if number < 4 { 1 } else { (number - 3) * 10 + 5 });
            sample.slots[0].consumer.as_mut().unwrap().reply_time = Some(at.minus(silent));
        }
    });
    let finding = &watcher.diagnosis().findings()[0];
    assert_eq!(finding.rule, "R1");
    assert!(finding.evidence.contains("which the server ended after"), "{}", finding.evidence);
    assert!(watcher.events().iter().any(|event| event.text.contains("as long as wal_sender_timeout allows")));
}

#[test]
fn an_open_transaction_is_named_with_the_slots_that_it_pins() {
    let open = |minutes: u64, prepared: bool, visible: bool| {
        watch(minutes * 6 + 2, move |number, at, sample| {
            healthy(number, sample);
            sample.slots[0].restart_lsn = Some(Lsn(100 * MB));
            let holder = Holder {
                kind: if prepared { HolderKind::Prepared } else { HolderKind::Session },
                pid: (!prepared).then_some(30_411),
                name: prepared.then(|| "tx'1".into()),
                application: Some("batch".into()),
                state: visible.then(|| "idle in transaction".into()),
                writing_age: Some(i64::try_from(number).unwrap()),
                began: visible.then(|| at.minus(Duration::from_secs(number * 10))),
                ..Holder::default()
            };
            sample.context = Seen::Known(Context { holders: vec![holder], ..Context::default() });
        })
    };
    assert_eq!(rules(&open(2, false, true)), [("R9", Severity::Info)]);
    assert_eq!(rules(&open(11, false, true)), [("R9", Severity::Warning)]);
    let hour = open(61, false, false);
    assert_eq!(rules(&hour), [("R9", Severity::Critical)], "without a privilege its age comes from its xid");
    let finding = &hour.diagnosis().findings()[0];
    assert!(finding.evidence.contains("the restart_lsn of slot s can't pass it"), "{}", finding.evidence);
    assert_eq!(finding.actions[1].sql.as_deref(), Some("SELECT pg_terminate_backend(30411);"));
    let two_phase = open(11, true, true);
    assert_eq!(rules(&two_phase), [("R9b", Severity::Warning)]);
    let sql = two_phase.diagnosis().findings()[0].actions[1].sql.clone();
    assert_eq!(sql.as_deref(), Some("ROLLBACK PREPARED 'tx''1';"));
}

#[test]
fn publications_are_held_against_what_the_slot_can_read() {
    let publication = |name: &str, age| Publication {
        name: name.into(),
        age,
        inserts: true,
        updates: true,
        deletes: true,
        truncates: true,
        ..Publication::default()
    };
    let with = |version: u32, age: i64, query: &'static str, confirmed: u64| {
        watch(12, move |number, _, sample| {
            healthy(number, sample);
            sample.server.version = version;
            sample.slots[0].confirmed_flush_lsn = Some(Lsn(confirmed * MB));
            let request = Request { pid: 7, query: query.into() };
            sample.context = Seen::Known(Context { requests: vec![request], ..Context::default() });
            sample.publications = Seen::Known(Publications {
                next_xid: 1000,
                publications: vec![publication("p", age)],
                slots: vec![SlotAge { name: "s".into(), age: 50 }],
                ..Publications::default()
            });
        })
    };
    let asks = "START_REPLICATION SLOT s LOGICAL 0/0 (publication_names '\"p\"')";
    assert_eq!(rules(&with(150_000, 51, asks, 290)), [], "older than the slot");
    assert_eq!(rules(&with(150_000, 50, asks, 99)), [("R10b", Severity::Warning)], "the slot does not see its own xid");
    assert_eq!(rules(&with(180_000, 10, asks, 99)), [("R10b", Severity::Critical)], "18 leaves the changes out");
    assert_eq!(rules(&with(180_000, 10, asks, 290)), [], "the slot has passed it");
    let other = "START_REPLICATION SLOT s LOGICAL 0/0 (publication_names 'nothing')";
    assert_eq!(rules(&with(150_000, 51, other, 290)), [("R10", Severity::Critical)]);
    let gap = watch(3, |number, _, sample| {
        healthy(number, sample);
        let gap = |table: &str| Gap { schema: "public".into(), table: table.into(), updates: true, ..Gap::default() };
        let gaps = (0..7).map(|number| gap(&format!("t{number}"))).collect();
        sample.publications = Seen::Known(Publications { gaps, gap_count: 60, ..Publications::default() });
    });
    assert_eq!(rules(&gap), [("R11", Severity::Warning); 6]);
    assert!(gap.diagnosis().findings().iter().any(|finding| finding.evidence.starts_with("55 more tables")));
}

#[test]
fn what_the_walsender_does_is_told_from_what_it_waits_for() {
    let busy = |wait: Option<&'static str>, sent: u64| {
        watch(30, move |number, _, sample| {
            healthy(number, sample);
            let slot = &mut sample.slots[0];
            slot.confirmed_flush_lsn = Some(Lsn(100 * MB));
            let consumer = slot.consumer.as_mut().unwrap();
            (consumer.wait, consumer.sent_lsn) = (wait.map(Into::into), Some(Lsn(sent * MB)));
        })
    };
    assert_eq!(rules(&busy(None, 110)), [("R13", Severity::Warning)]);
    assert_eq!(rules(&busy(Some("IO/WALRead"), 110)), [("R13", Severity::Warning)]);
    assert_eq!(rules(&busy(Some("Client/WaitForStandbyConfirmation"), 110)), [("R14", Severity::Critical)]);
    let spill = |bytes: u64, spilled: u64| {
        watch(70, move |number, _, sample| {
            healthy(number, sample);
            let decoding =
                Decoding { spill_bytes: number * spilled, total_bytes: number * 10 * MB, ..Decoding::default() };
            sample.slots[0].decoding = Some(decoding);
            let spill = Some(vec![Spill { slot: "s".into(), files: 3, bytes }]);
            sample.files = Seen::Known(Files { spill, ..Files::default() });
        })
    };
    assert_eq!(rules(&spill(5 * MB, MB)), []);
    assert_eq!(rules(&spill(2 << 30, 0)), [("R12", Severity::Warning)]);
    assert_eq!(rules(&spill(20 << 30, 0)), [("R12", Severity::Critical)]);
    assert_eq!(rules(&spill(0, 5 * MB)), [("R12", Severity::Warning)]);
}

#[test]
fn vacuum_that_is_held_back_and_files_that_are_held_by_others_are_told() {
    let old = |age: i64| {
        watch(40, move |number, _, sample| {
            healthy(number, sample);
            sample.slots[0].catalog_xmin_age = Some(age);
            sample.server.settings.insert("autovacuum_freeze_max_age".into(), number_setting("200000000"));
        })
    };
    assert_eq!(rules(&old(9_000_000)), []);
    assert_eq!(rules(&old(11_000_000)), [("R16", Severity::Warning)]);
    assert_eq!(rules(&old(101_000_000)), [("R16", Severity::Critical)]);
    let lost = watch(40, |_, _, sample| {
        let slot = &mut sample.slots[0];
        (slot.wal_status, slot.catalog_xmin_age) = (Some(WalStatus::Lost), Some(190_000_000));
    });
    assert_eq!(rules(&lost), [("R3", Severity::Critical)], "a lost slot holds nothing");
    let archive = |ready: u64, failing: bool| {
        watch(40, move |number, at, sample| {
            healthy(number, sample);
            sample.files = Seen::Known(Files { ready: Some(ready), ..Files::default() });
            let last_failed_at = failing.then_some(at);
            let archiver = Archiver { failed: 3, last_failed_at, ..Archiver::default() };
            sample.context = Seen::Known(Context { archiver: Some(archiver), ..Context::default() });
        })
    };
    assert_eq!(rules(&archive(99, false)), []);
    assert_eq!(rules(&archive(100, false)), [("R17", Severity::Warning)]);
    assert_eq!(rules(&archive(1000, false)), [("R17", Severity::Critical)]);
    assert_eq!(rules(&archive(1, true)), [("R17", Severity::Warning)]);
    let growing = watch(40, |number, at, sample| {
        healthy(number, sample);
        sample.wanted.wal_volume = Some(4 << 30);
        sample.files = Seen::Known(Files { at, bytes: number * 10 * MB, ..Files::default() });
    });
    assert_eq!(rules(&growing), [("R17c", Severity::Critical)]);
    assert_eq!(growing.reading().volume_full_in.map(|left| left.as_secs() / 60), Some(61));
}

#[test]
fn slots_that_vanish_or_go_back_and_failovers_are_told_for_an_hour() {
    let vanished = |wanted: bool, until: u64| {
        watch(until, move |number, _, sample| {
            healthy(number, sample);
            sample.wanted.slot = wanted.then(|| "s".into());
            if number > 3 {
                sample.slots.clear();
            }
        })
    };
    assert_eq!(rules(&vanished(false, 6)), [("R18", Severity::Warning)]);
    assert_eq!(rules(&vanished(false, 370)), []);
    assert_eq!(rules(&vanished(true, 370)), [("R18", Severity::Critical)]);
    let rewound = |restarted: bool| {
        watch(6, move |number, at, sample| {
            healthy(number, sample);
            if number > 3 {
                sample.slots[0].confirmed_flush_lsn = Some(Lsn(90 * MB));
                sample.server.started = if restarted { at } else { Moment::default() };
            }
        })
    };
    assert_eq!(rules(&rewound(false)), [("R22", Severity::Critical)]);
    assert_eq!(rewound(false).reading().slot("s").unwrap().state, SlotState::Rewound);
    assert_eq!(rules(&rewound(true)), [], "after a crash a slot is what it was when it was last saved");
    let failover = watch(6, |number, _, sample| {
        healthy(number, sample);
        sample.server.timeline = if number > 3 { 2 } else { 1 };
    });
    assert_eq!(rules(&failover), [("R18b", Severity::Warning)]);
    let standby = watch(3, |number, _, sample| {
        healthy(number, sample);
        sample.slots[0].failover = Some(false);
        sample.context = Seen::Known(Context { standbys: 1, ..Context::default() });
    });
    assert_eq!(rules(&standby), [("F1", Severity::Info)]);
    let orphan = watch(62, |_, _, sample| {
        sample.slots[0].name = "pg_1_sync_2_3".into();
        sample.context = Seen::Known(Context::default());
    });
    assert_eq!(rules(&orphan), [("R20", Severity::Warning)]);
}

#[test]
fn subscriptions_that_stop_are_told() {
    let with = |enabled: bool, pid: Option<i32>, errors: fn(u64) -> u64, conflicts: u64| {
        watch(10, move |number, at, sample| {
            healthy(number, sample);
            let counts =
                [("apply_error_count", errors(number)), ("sync_error_count", 0), ("confl_insert_exists", conflicts)];
            let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
            let subscription =
                Subscription { name: "sub".into(), enabled, pid, counts: Some(counts), ..Subscription::default() };
            let there = Subscriptions { at, subscriptions: vec![subscription], copies: Vec::new() };
            let reached = Reached { subscriptions: Seen::Known(there), ..Reached::default() };
            sample.destination = Some(Destination::Reached(Box::new(reached)));
        })
    };
    assert_eq!(rules(&with(true, Some(1), |_| 4, 0)), []);
    assert_eq!(rules(&with(true, None, |_| 4, 0)), [("R19", Severity::Critical)]);
    assert_eq!(rules(&with(true, Some(1), |number| number, 0)), [("R19", Severity::Critical)]);
    assert_eq!(rules(&with(false, None, |_| 0, 2)), [("R19", Severity::Critical), ("R19b", Severity::Warning)]);
}

#[test]
fn the_method_xmin_has_rules_of_its_own() {
    let with = |bound: u64, unseen: u64, open: bool| {
        watch(80, move |number, _, sample| {
            healthy(number, sample);
            sample.next_xid = 3_000_000_000 + number;
            sample.oldest_xid = if open { 3_000_000_001 } else { sample.next_xid };
            sample.open_transactions = u64::from(open);
            let xmin = XminRun { snapshot_xmin: bound, deletes_unseen: Some(unseen), ..XminRun::default() };
            let run = Run { xmin: Some(xmin), system_identifier: "1".into(), ..Run::default() };
            let reached = Reached { run: RunState::Known(Box::new(run)), ..Reached::default() };
            sample.destination = Some(Destination::Reached(Box::new(reached)));
        })
    };
    assert_eq!(rules(&with(2_999_000_000, 0, false)), []);
    assert_eq!(rules(&with(2_999_000_000, 9, true)), [("X1", Severity::Warning), ("X2", Severity::Info)]);
    assert_eq!(rules(&with(1_800_000_000, 0, false)), [("X3", Severity::Warning)]);
    assert_eq!(rules(&with(1_000_000_000, 0, false)), [("X3", Severity::Critical)]);
}

#[test]
fn settings_that_forbid_logical_replication_are_told() {
    let level = watch(3, |number, _, sample| {
        healthy(number, sample);
        sample.server.settings.insert("wal_level".into(), number_setting("replica"));
    });
    assert_eq!(rules(&level), [("R21c", Severity::Critical)]);
    let pending = watch(3, |number, _, sample| {
        healthy(number, sample);
        sample.server.settings.insert("wal_level".into(), number_setting("logical"));
        sample.context = Seen::Known(Context { pending_restart: vec!["wal_level".into()], ..Context::default() });
    });
    assert_eq!(rules(&pending), [("R21c", Severity::Critical)]);
    let idle = watch(3, |_, at, sample| {
        sample.slots[0].kind = SlotKind::Logical;
        sample.slots[0].inactive_since = Some(at.minus(Duration::from_secs(3000)));
        sample.server.settings.insert("idle_replication_slot_timeout".into(), number_setting("3600"));
    });
    assert!(rules(&idle).contains(&("R3b", Severity::Critical)), "{:?}", rules(&idle));
}

#[test]
fn the_clock_of_the_server_may_be_set_and_a_laptop_may_sleep() {
    let set = |server: u64, heard: u64| {
        watch(10, move |number, at, sample| {
            healthy(number, sample);
            sample.slots[0].confirmed_flush_lsn = Some(Lsn(100 * MB));
            sample.steady = (number + 1) * 10_000_000;
            let late = |by: u64| Duration::from_secs(if number > 4 { by } else { 0 });
            sample.at = at.plus(late(server));
            sample.heard = at.plus(late(heard));
        })
    };
    let lag = |watcher: &Watcher| watcher.reading().slot("s").unwrap().lag.unwrap().millis;
    let plain = set(0, 0);
    assert_eq!(lag(&plain), 90_000);
    let jump = set(3600, 0);
    assert_eq!(lag(&jump), 90_000);
    assert!(jump.events().iter().any(|event| event.text.contains("set forward by 1h00m")));
    let slept = set(3600, 3600);
    assert_eq!(lag(&slept), 90_000 + 3_600_000, "that hour was a real one");
}
