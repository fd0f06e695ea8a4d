//! What a whole server has wrong: its settings, slots, and open transactions. Each is named, and the fix cures it.

use crate::support::preflight::{facts, finding, look, look_as, look_deep, mend, rank_of, repl};
use crate::support::{self, await_until, destination, prepare, psql, session, source, source_builder, started};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use walpilot::catalog::destination as other_side;
use walpilot::connection::{Settings, attempt};
use walpilot::demo::Cluster;
use walpilot::preflight::report::Rank::{Blocker, Info, Passed, Warning};
use walpilot::preflight::{Status, evaluate};
use walpilot::profile::{Method, Profile, Selection};

#[tokio::test]
async fn a_server_that_can_not_replicate_is_told_how_to() {
    let mut builder = source_builder();
    for (name, value) in [
        ("max_replication_slots", "2"),
        ("max_wal_senders", "1"),
        ("wal_level", "replica"),
        ("max_slot_wal_keep_size", "0"),
        ("wal_sender_timeout", "5s"),
    ] {
        builder = builder.setting(name, value);
    }
    let mut cluster = started(builder).await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); SELECT pg_create_physical_replication_slot('standby', true)");
    let mut ids = vec!["wal-level", "slots-free", "walsenders-free", "slot-wal-keep-size", "wal-sender-timeout"];
    if cluster.major() >= 18 {
        prepare(&admin, "ALTER SYSTEM SET idle_replication_slot_timeout = '1h'; SELECT pg_reload_conf()");
        ids.push("idle-slot-timeout");
        await_until("the setting is in effect", async || psql(&admin, "SHOW idle_replication_slot_timeout") == "1h")
            .await;
    }
    let profile = Profile::new(repl);
    let broken = look(&profile).await;
    for id in &ids {
        let wanted = if matches!(*id, "wal-sender-timeout" | "idle-slot-timeout") { Warning } else { Blocker };
        assert_eq!(rank_of(&broken, id), wanted, "{id}: {:#?}", broken.finding(id));
        mend(&admin, &broken, id);
    }
    // The cause is reported once.
    assert_eq!(finding(&broken, "slot-exists").status, Status::Skipped);
    await_until("what was changed waits for a restart", async || {
        rank_of(&look(&profile).await, "pending-restart") == Warning
    })
    .await;
    cluster.stop_fast().await.unwrap_or_else(|error| panic!("{error}"));
    cluster.start_again().await.unwrap_or_else(|error| panic!("{error}"));
    let mended = look(&profile).await;
    for id in ids.iter().chain(&["pending-restart"]) {
        assert_eq!(rank_of(&mended, id), Passed, "{id}: {:#?}", mended.finding(id));
    }
    assert_eq!(rank_of(&mended, "slot-exists"), Blocker);
}

/// Reads a slot as a consumer does, until the stream is dropped.
async fn consume(settings: &Settings, slot: &str) -> impl Drop + use<> {
    struct Reader(tokio::task::JoinHandle<()>);
    impl Drop for Reader {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let parameters = [("replication", "database"), ("application_name", "debezium")];
    let (mut stream, mut input, _) = attempt::connect_replication(settings, &parameters).await.expect("a walsender");
    let mut out = bytes::BytesMut::new();
    let sql = format!(
        "START_REPLICATION SLOT {slot} LOGICAL 0/0 (proto_version '1', publication_names 'walpilot_publication')"
    );
    frontend::query(&sql, &mut out).expect("a message");
    stream.write_all(&out).await.expect("sent");
    Reader(tokio::spawn(async move { while stream.read_buf(&mut input).await.is_ok_and(|read| read > 0) {} }))
}

#[tokio::test]
async fn a_slot_is_judged_by_who_made_it_who_reads_it_and_what_it_holds() {
    let cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY, v text); GRANT SELECT ON t TO repl");
    let profile = Profile::new(repl.clone());
    // Bad names.
    let named = Profile { slot: "My-Slot".into(), ..profile.clone() };
    assert_eq!(rank_of(&look(&named).await, "slot-name-valid"), Blocker);
    let elsewhere = Profile { selection: Selection::Schemas(vec!["Public".into()]), ..profile.clone() };
    let report = look(&elsewhere).await;
    assert_eq!(rank_of(&report, "schema-exists"), Blocker);
    assert!(finding(&report, "schema-exists").fixes[0].text.contains("Did you mean public?"));
    // Made in the wrong order.
    let report = look(&profile).await;
    assert_eq!((rank_of(&report, "slot-exists"), rank_of(&report, "schema-exists")), (Blocker, Passed));
    mend(&repl, &report, "slot-exists");
    let report = look(&profile).await;
    assert_eq!((rank_of(&report, "slot-exists"), rank_of(&report, "slot-name-valid")), (Passed, Passed));
    assert_eq!(rank_of(&report, "slot-without-snapshot"), Info);
    mend(&admin, &report, "publication-exists");
    let report = look(&profile).await;
    // 13 can not be asked to decode a little: the suspicion alone blocks nobody.
    let expected = if cluster.major() < 14 { Info } else { Blocker };
    assert_eq!(rank_of(&report, "publication-after-slot"), expected);
    mend(&repl, &report, "publication-after-slot");
    assert_eq!(rank_of(&look(&profile).await, "publication-after-slot"), Passed);
    // Read by somebody else, beside another one of ours.
    prepare(&admin, "SELECT pg_create_logical_replication_slot('walpilot_2', 'pgoutput')");
    let readers = (consume(&repl, "walpilot_slot").await, consume(&repl, "walpilot_2").await);
    await_until("both are read", async || {
        psql(&admin, "SELECT count(*) FROM pg_replication_slots WHERE active") == "2"
    })
    .await;
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "slot-active-elsewhere"), Blocker);
    assert!(finding(&report, "slot-active-elsewhere").summary.contains("(debezium)"), "{report:#?}");
    assert_eq!(finding(&report, "duplicate-consumer").objects, ["walpilot_2"]);
    drop(readers);
    await_until("nobody reads", async || psql(&admin, "SELECT count(*) FROM pg_replication_slots WHERE active") == "0")
        .await;
    prepare(&admin, "SELECT pg_drop_replication_slot('walpilot_2')");
    let report = look(&profile).await;
    for id in ["slot-active-elsewhere", "duplicate-consumer"] {
        assert_eq!(rank_of(&report, id), Passed, "{id}");
    }
    // Behind, and then lost.
    prepare(&admin, "ALTER SYSTEM SET max_slot_wal_keep_size = '20MB'; SELECT pg_reload_conf()");
    prepare(&admin, "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i");
    await_until("it holds more than half", async || rank_of(&look(&profile).await, "slot-retained-now") == Warning)
        .await;
    prepare(&admin, "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(20001, 60000) i");
    await_until("it is lost", async || {
        prepare(&admin, "SELECT pg_switch_wal(); CHECKPOINT");
        rank_of(&look(&profile).await, "slot-lost") == Blocker
    })
    .await;
    mend(&repl, &look(&profile).await, "slot-lost");
    let report = look(&profile).await;
    for id in ["slot-lost", "slot-retained-now", "slot-exists"] {
        assert_eq!(rank_of(&report, id), Passed, "{id}: {:#?}", report.finding(id));
    }
}

#[tokio::test]
async fn open_transactions_are_seen_at_once_and_ended_by_the_fix() {
    let cluster = started(source_builder().setting("max_prepared_transactions", "5")).await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE DATABASE other");
    let profile = Profile::new(repl.clone());
    // In another database of the cluster, and a moment ago.
    let other = Settings { database: "other".into(), ..admin.clone() };
    let writer = session(&other).await;
    writer.client.batch_execute("BEGIN; CREATE TABLE public.x()").await.expect("written");
    let (by_role, by_admin) = (look(&profile).await, look_as(&admin, &profile).await);
    for (whom, report) in [("role", &by_role), ("administrator", &by_admin)] {
        assert_eq!(rank_of(report, "long-writers"), Warning, "{whom}: {:#?}", report.finding("long-writers"));
        assert!(finding(report, "long-writers").summary.contains("process "), "{whom}");
    }
    assert!(finding(&by_admin, "long-writers").summary.contains("of postgres in other"), "{by_admin:#?}");
    // Meanwhile a slot is only half made.
    let making = session(&admin).await;
    let made = tokio::spawn(async move {
        making.client.batch_execute("SELECT pg_create_logical_replication_slot('waits', 'pgoutput')").await
    });
    await_until("it waits", async || rank_of(&look_as(&admin, &profile).await, "slot-half-created") == Warning).await;
    mend(&admin, &look_as(&admin, &profile).await, "slot-half-created");
    assert!(made.await.expect("ended").is_err());
    assert_eq!(rank_of(&look_as(&admin, &profile).await, "slot-half-created"), Passed);
    mend(&admin, &by_admin, "long-writers");
    await_until("it is over", async || rank_of(&look(&profile).await, "long-writers") == Passed).await;
    drop(writer);

    prepare(&admin, "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'it''s'");
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "prepared-transactions"), Blocker);
    assert_eq!(finding(&report, "prepared-transactions").objects, ["it's"]);
    mend(&admin, &report, "prepared-transactions");
    assert_eq!(rank_of(&look(&profile).await, "prepared-transactions"), Passed);
}

#[tokio::test]
async fn a_busy_application_is_no_long_transaction() {
    let cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE t(id serial PRIMARY KEY)");
    let writer = session(&admin).await;
    let busy = tokio::spawn(async move {
        while writer.client.batch_execute("INSERT INTO public.t DEFAULT VALUES").await.is_ok() {}
    });
    let profile = Profile::new(repl);
    for _ in 0..3 {
        assert_eq!(rank_of(&look(&profile).await, "long-writers"), Passed);
        assert_eq!(rank_of(&look_as(&admin, &profile).await, "long-writers"), Passed);
    }
    busy.abort();
}

#[tokio::test]
async fn what_only_the_xmin_method_minds() {
    let cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(
        &admin,
        "CREATE TABLE log(line text); GRANT SELECT ON log TO repl; CREATE TABLE big(id int PRIMARY KEY); GRANT SELECT ON big TO repl;
         UPDATE pg_class SET relpages = 70000000 WHERE relname = 'big'",
    );
    let profile = Profile { method: Method::Xmin, ..Profile::new(repl) };
    let report = look(&profile).await;
    assert_eq!(finding(&report, "xmin-deletes").objects, ["public.log"]);
    assert_eq!((rank_of(&report, "xmin-full-scan"), rank_of(&report, "xmin-rewrite-events")), (Warning, Info));
    prepare(&admin, "ALTER TABLE log ADD id int PRIMARY KEY; VACUUM big");
    let report = look(&profile).await;
    assert_eq!((rank_of(&report, "xmin-deletes"), rank_of(&report, "xmin-full-scan")), (Info, Passed));
}

#[tokio::test]
async fn the_disk_and_a_native_subscriber_are_judged_when_they_are_named() {
    let cluster: Cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE t(id serial PRIMARY KEY, v text)");
    let profile = Profile::new(repl);
    let writer = session(&admin).await;
    let busy = tokio::spawn(async move {
        while writer.client.batch_execute("INSERT INTO public.t(v) VALUES (repeat('x', 1000))").await.is_ok() {}
    });
    let mut seen = facts(&profile.source, &profile).await;
    seen.deep = Some(walpilot::catalog::deep::probe(&profile, &seen, std::time::Duration::from_millis(300)).await);
    busy.abort();
    for (free, wanted) in [(1 << 20, Warning), (i64::MAX, Passed)] {
        seen.free_disk = Some(free);
        assert_eq!(rank_of(&evaluate(&seen, &profile), "wal-rate-and-disk"), wanted);
    }
    assert_eq!(rank_of(&look_deep(&profile).await, "wal-rate-and-disk"), Passed);

    let narrow = started(Cluster::builder(&support::binaries()).setting("max_logical_replication_workers", "0")).await;
    let wide = destination().await;
    for (to, wanted) in [(narrow.settings(), Info), (wide.settings(), Passed)] {
        seen.destination = Some(other_side::look(&to, &profile, &seen).await);
        assert_eq!(rank_of(&evaluate(&seen, &profile), "subscriber-capacity"), wanted);
    }
}
