//! A fixed quarter of an hour of a source with four slots and a run, for pictures of the dashboard.

use std::time::{Duration, SystemTime};

use walpilot::catalog::Lsn;
use walpilot::connection::Settings;
use walpilot::monitor::context::{Context, Copying, Database, Holder, HolderKind, Request};
use walpilot::monitor::count::{Count, Drift, Fence};
use walpilot::monitor::destination::{Account, Destination, Reached, Run, RunState, RunTable};
use walpilot::monitor::files::{Files, Spill};
use walpilot::monitor::lsn_clock::Mark;
use walpilot::monitor::publications::{Publication, Publications, SlotAge};
use walpilot::monitor::server::{Rights, Server, Setting};
use walpilot::monitor::slot::{Consumer, Slot, SlotKind, WalStatus};
use walpilot::monitor::table::{Table, Tables};
use walpilot::monitor::{Moment, Sample, Seen, Target, WalStats};
use walpilot::profile::TableName;
use walpilot::replication::RunEvent;
use walpilot::tui::app::dashboard::Dashboard;

const MB: u64 = 1 << 20;
/// Seconds between two samples.
const PAUSE: u64 = 5;
/// How many samples there are.
const SAMPLES: u64 = 181;
/// When the analytics slot loses its reader.
const DETACHED: u64 = 13;

/// The names, rows at the source, rows at the destination, and changes each second.
const TABLES: [(&str, u64, u64, u64); 10] = [
    ("addresses", 412_906, 412_906, 2),
    ("audit_log", 12_048_113, 12_048_113, 95),
    ("customers", 301_442, 301_442, 3),
    ("inventory", 88_201, 88_201, 41),
    ("invoices", 1_942_377, 1_942_377, 18),
    ("order_items", 9_641_090, 9_640_731, 122),
    ("orders", 3_108_554, 3_108_431, 44),
    ("payments", 2_870_112, 2_870_098, 31),
    ("products", 24_310, 24_310, 0),
    ("shipments", 2_511_903, 1_406_665, 17),
];

/// The time at which the pictures are taken: two seconds after the last sample.
pub(crate) fn now() -> SystemTime {
    time((SAMPLES - 1) * PAUSE + 2)
}

fn time(second: u64) -> SystemTime {
    // 2026-11-22 12:03:41 UTC.
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_349_021 - (SAMPLES - 1) * PAUSE + second)
}

/// A dashboard that has seen nothing.
pub(crate) fn empty() -> Dashboard {
    let settings = |host: &str, database: &str| Settings {
        host: host.to_owned(),
        user: "walpilot".to_owned(),
        database: database.to_owned(),
        ..Settings::default()
    };
    let target = Target {
        source: settings("db.example", "shop"),
        slot: Some("walpilot_slot".to_owned()),
        publication: Some("walpilot_publication".to_owned()),
        destination: Some(settings("warehouse.example", "shop_copy")),
        ..Target::default()
    };
    Dashboard::new(target, false)
}

/// A dashboard that has seen it all.
pub(crate) fn full() -> Dashboard {
    let mut dashboard = empty();
    for number in 0..SAMPLES {
        let lsn = lsn_at(number);
        let second = number * PAUSE;
        dashboard.sampled(sample(number, lsn), time(second));
        if number == 100 {
            let text = "Table public.invoices is copied: 1,942,377 rows.".to_owned();
            dashboard.run_event(RunEvent { trouble: false, text }, time(second));
        }
    }
    dashboard
}

/// Table `name` as it was counted at both sides.
pub(crate) fn count(name: &str) -> Count {
    let (_, source, there, _) = TABLES.into_iter().find(|one| one.0 == name).expect("one of the tables");
    let position = Lsn(lsn_at(SAMPLES - 1));
    Count {
        table: TableName::new("public", name),
        at: Moment::from(now()),
        source,
        position,
        destination: Some(there),
        fence: Fence::Checkpoint(position),
        drift: Drift::Exact(i64::try_from(source - there).expect("small")),
    }
}

/// The end of the log, growing by a rate that swings like a shop's afternoon: 2.6 to 5.4 MB/s.
fn lsn_at(number: u64) -> u64 {
    const WAVE: [u64; 15] = [26, 29, 31, 36, 41, 44, 48, 54, 51, 47, 43, 38, 35, 31, 28];
    let rate = |number: u64| WAVE[usize::try_from(number / 3).expect("small") % WAVE.len()];
    0x6A_0000_0000 + (0..=number).map(|number| rate(number) * PAUSE * MB / 10).sum::<u64>()
}

fn sample(number: u64, lsn: u64) -> Sample {
    let at = Moment::from(time(number * PAUSE));
    let copied = 1_406_665 * number / (SAMPLES - 1);
    Sample {
        at,
        server: server(),
        lsn: Some(Lsn(lsn)),
        next_xid: 88_000_000 + number * 412,
        oldest_xid: 88_000_000 + number * 412 - 3,
        open_transactions: 2,
        context: Seen::Known(context(at, lsn)),
        files: Seen::Known(files(at)),
        slots: slots(number, lsn, at),
        walsenders: if number >= DETACHED { 3 } else { 4 },
        creation_blockers: Vec::new(),
        tables_unread: None,
        tables: Some(tables(at, number, |(_, source, _, _)| *source)),
        destination: Some(Destination::Reached(Box::new(Reached {
            tables: tables(at, number, |(name, _, there, _)| if *name == "shipments" { copied } else { *there }),
            run: RunState::Known(Box::new(run(at, number, lsn, copied))),
            ..Reached::default()
        }))),
        pulse_micros: 2_140,
        wal: Some(WalStats { full_pages: number * PAUSE * 55, bytes: (lsn - lsn_at(0)) as f64, ..WalStats::default() }),
        publications: Seen::Known(publications(at)),
        // Before it began somebody wrote four files, and nobody looked.
        before: if number == 0 {
            vec![Mark::of_file(Lsn(lsn - 64 * MB), at.minus(Duration::from_secs(30)))]
        } else {
            vec![]
        },
        ..Sample::default()
    }
}

fn context(at: Moment, lsn: u64) -> Context {
    let slot = |name: &str, age| Holder {
        kind: HolderKind::Slot,
        name: Some(name.to_owned()),
        age,
        catalog_only: true,
        ..Holder::default()
    };
    let batch = Holder {
        pid: Some(30_411),
        user: Some("batch".to_owned()),
        application: Some("nightly".to_owned()),
        state: Some("idle in transaction".to_owned()),
        age: 1_904,
        writing_age: Some(1_904),
        began: Some(at.minus(Duration::from_secs(22 * 60))),
        ..Holder::default()
    };
    Context {
        at,
        holders: vec![slot("analytics", 340_112), batch, slot("dbz_orders", 812)],
        copies: vec![Copying {
            pid: 22_310,
            schema: Some("public".to_owned()),
            table: Some("shipments".to_owned()),
            command: Some("COPY TO".to_owned()),
            rows: Some(1_406_665),
            estimated_rows: Some(2_511_903.0),
            application: Some("walpilot run".to_owned()),
            ..Copying::default()
        }],
        requests: vec![Request {
            pid: 22_190,
            query: "START_REPLICATION SLOT \"dbz_orders\" LOGICAL 6A/0 (\"proto_version\" '1', \"publication_names\" \
                    'dbz_publication', \"messages\" 'true')"
                .to_owned(),
        }, Request {
            pid: 22_207,
            query: "START_REPLICATION SLOT \"walpilot_slot\" LOGICAL 6A/0 (\"proto_version\" '2', \"publication_names\" \
                    'walpilot_publication')"
                .to_owned(),
        }],
        oldest_database: Some(Database { name: "shop".to_owned(), age: 91_200_000 }),
        redo: Some(Lsn(lsn - 300 * MB)),
        checkpointed: Some(at.minus(Duration::from_secs(134))),
        last_commit: Some(at.minus(Duration::from_secs(1))),
        timed_checkpoints: Some(8_211),
        requested_checkpoints: Some(17),
        ..Context::default()
    }
}

fn publications(at: Moment) -> Publications {
    let publication = |name: &str, tables| Publication {
        name: name.to_owned(),
        inserts: true,
        updates: true,
        deletes: true,
        truncates: true,
        age: 5_000,
        tables: Some(tables),
        ..Publication::default()
    };
    let slot = |name: &str| SlotAge { name: name.to_owned(), age: 2_000 };
    Publications {
        at,
        next_xid: 88_000_000,
        publications: vec![publication("dbz_publication", 4), publication("walpilot_publication", 10)],
        slots: ["analytics", "dbz_orders", "walpilot_slot"].map(slot).to_vec(),
        ..Publications::default()
    }
}

fn files(at: Moment) -> Files {
    Files {
        at,
        segments: 583,
        bytes: 583 * 16 * MB,
        behind: Some(237 * 16 * MB),
        ahead: Some(345 * 16 * MB),
        ready: Some(0),
        spill: Some(vec![Spill { slot: "dbz_orders".to_owned(), files: 14, bytes: 1_940 * MB }]),
    }
}

fn server() -> Server {
    let settings = [
        ("max_slot_wal_keep_size", "13312", Some("MB")),
        ("max_wal_size", "4096", Some("MB")),
        ("max_replication_slots", "10", None),
        ("max_wal_senders", "10", None),
        ("wal_sender_timeout", "60000", Some("ms")),
    ];
    let set = |(name, value, unit): (&str, &str, Option<&str>)| {
        (name.to_owned(), Setting { value: value.to_owned(), unit: unit.map(str::to_owned) })
    };
    Server {
        version: 170_002,
        started: Moment::from(time(0)).minus(Duration::from_secs(41 * 86_400)),
        in_recovery: false,
        system_identifier: "7710915987332435921".to_owned(),
        timeline: 3,
        database: "shop".to_owned(),
        role: "walpilot".to_owned(),
        rights: Rights {
            read_all_stats: true,
            monitor: true,
            wal_files: true,
            archive_files: true,
            slot_files: true,
            ..Rights::default()
        },
        settings: settings.into_iter().map(set).collect(),
    }
}

fn slots(number: u64, lsn: u64, at: Moment) -> Vec<Slot> {
    let reader = |pid: i32, name: &str, from: &str, sent: u64| Consumer {
        pid,
        user: Some(name.to_owned()),
        application_name: Some(name.to_owned()),
        client_addr: Some(from.to_owned()),
        backend_type: Some("walsender".to_owned()),
        state: Some("streaming".to_owned()),
        sent_lsn: Some(Lsn(sent)),
        reply_time: Some(at.minus(Duration::from_millis(400))),
        round_trips: [Some(Duration::from_millis(1_200)), Some(Duration::from_millis(1_400)), None],
        wait: Some("Activity/WalSenderMain".to_owned()),
        backend_start: Some(Moment::from(time(0)).minus(Duration::from_secs(u64::from(pid.unsigned_abs()) * 12))),
        ..Consumer::default()
    };
    let slot = |name: &str, restart: u64, confirmed: u64, consumer: Option<Consumer>| Slot {
        name: name.to_owned(),
        plugin: Some("pgoutput".to_owned()),
        database: Some("shop".to_owned()),
        active: consumer.is_some(),
        restart_lsn: Some(Lsn(restart)),
        confirmed_flush_lsn: Some(Lsn(confirmed)),
        wal_status: Some(WalStatus::Reserved),
        safe_wal_size: Some(i64::try_from((13_312 * MB).saturating_sub(lsn - restart)).expect("small")),
        catalog_xmin_age: Some(2_000),
        failover: Some(false),
        synced: Some(false),
        consumer,
        ..Slot::default()
    };
    // Its reader went at sample DETACHED.
    let stopped = lsn_at(DETACHED - 1);
    let analytics = if number < DETACHED {
        slot("analytics", lsn - 60 * MB, lsn - MB, Some(reader(21_877, "analytics", "10.4.1.9", lsn)))
    } else {
        let since = Moment::from(time(DETACHED * PAUSE));
        Slot { inactive_since: Some(since), ..slot("analytics", stopped - 60 * MB, stopped - MB, None) }
    };
    let behind = (number * 900 * 1024).min(number * PAUSE * MB);
    let debezium = reader(22_190, "debezium", "10.4.2.3", lsn - behind * 9 / 10);
    let lag = [41, 58, 33, 90, 47, 120, 61][usize::try_from(number).expect("small") % 7] * 1024;
    let own = reader(22_207, "walpilot run", "10.4.7.2", lsn);
    let standby = Slot {
        kind: SlotKind::Physical,
        plugin: None,
        database: None,
        confirmed_flush_lsn: None,
        ..slot("standby_1", lsn - 16 * 1024, 0, Some(reader(22_101, "standby_1", "10.4.0.2", lsn)))
    };
    vec![
        analytics,
        slot("dbz_orders", lsn - behind - 90 * MB, lsn - behind, Some(debezium)),
        standby,
        slot("walpilot_slot", lsn - 18 * MB, lsn - lag, Some(own)),
    ]
}

fn tables(at: Moment, number: u64, rows: impl Fn(&(&str, u64, u64, u64)) -> u64) -> Tables {
    let table = |one: &(&str, u64, u64, u64)| Table {
        name: TableName::new("public", one.0),
        rows: Some(rows(one)),
        bytes: one.1 * 96,
        inserts: number * PAUSE * one.3,
        updates: number * PAUSE * one.3 / 3,
        hot_updates: number * PAUSE * one.3 / 4,
        deletes: number * PAUSE * one.3 / 40,
        dead_rows: one.1 / 300,
        identity: Some(if one.0 == "audit_log" { 'n' } else { 'd' }),
        ..Table::default()
    };
    Tables { at, publication_found: true, tables: TABLES.iter().map(table).collect() }
}

fn run(at: Moment, number: u64, lsn: u64, copied: u64) -> Run {
    let table = |one: &(&str, u64, u64, u64)| RunTable {
        table: TableName::new("public", one.0),
        phase: if one.0 == "shipments" { "copying" } else { "streaming" }.to_owned(),
        rows_copied: if one.0 == "shipments" { copied } else { one.2 },
        rows_estimated: Some(one.1),
        rows_per_second: None,
        eta_seconds: None,
        changes: if one.0 == "shipments" { 0 } else { number * PAUSE * one.3 },
    };
    Run {
        at,
        slot: "walpilot_slot".to_owned(),
        system_identifier: "7710915987332435921".to_owned(),
        publication: "walpilot_publication".to_owned(),
        checkpoint: Some(Lsn(lsn - 41 * 1024)),
        commit_time: Some(at.minus(Duration::from_millis(180))),
        applied_at: Some(at),
        account: Some(Account {
            rows_per_second: None,
            changes_per_second: None,
            eta_seconds: None,
            phase: "streaming".to_owned(),
            transactions: number * PAUSE * 82,
            changes: number * PAUSE * 356,
            source_end: Lsn(lsn),
            lag_bytes: 41 * 1024,
            lag_millis: 180,
            host: Some("worker-1".to_owned()),
            pid: Some(4021),
            updated_at: at,
        }),
        tables: TABLES.iter().map(table).collect(),
        ..Run::default()
    }
}
