//! Each rule of the diagnosis turned on by a real situation on a real server, and off again.

use crate::support::{self, await_until, destination, execute, session, source, source_builder, started, value};
use crate::watching::{SCHEMA, SLOT, Scene, execute_each, fill, reader, reader_of, signal, statement, with_slot};
use walpilot::connection::Secret;
use walpilot::monitor::diagnosis::Severity;
use walpilot::monitor::reading::Stall;
use walpilot::monitor::state::SlotState;
use walpilot::monitor::{Seen, Target};

#[tokio::test(flavor = "multi_thread")]
async fn r1_nobody_reads_the_slot() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await;
    assert_eq!(scene.on("R1").await.severity, Severity::Info);
    scene.on_as("R1", Severity::Warning).await;
    let finding = scene.on_as("R1", Severity::Critical).await;
    assert!(finding.evidence.contains("No reader for"), "{}", finding.evidence);
    assert_eq!(statement(&finding, "drop"), "SELECT pg_drop_replication_slot('s');");
    let _reader = reader(&settings, &[]);
    scene.off("R1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_the_consumer_is_slow() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await;
    // Nobody empties its standard output.
    let mut slow = reader_of(&settings, "p", &[], "-");
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    // One large transaction would be confirmed up to its end before it is sent.
    for _ in 0..15 {
        execute(&settings, &fill(4)).await;
    }
    let finding = scene.on("R5").await;
    assert!(finding.evidence.contains("WalSenderWriteData"), "{}", finding.evidence);
    assert_eq!(scene.watcher.reading().slot("s").unwrap().stalled_by, Some(Stall::ConsumerSlow));
    slow.kill().await.unwrap();
    scene.off("R5").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r6_the_consumer_confirms_nothing() {
    let source = started(source_builder().setting("wal_sender_timeout", "0")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await;
    let mut mute = reader(&settings, &["--status-interval=0", "--fsync-interval=0"]);
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    execute(&settings, &fill(70)).await;
    let finding = scene.on("R6").await;
    assert!(finding.evidence.contains("nothing has been confirmed"), "{}", finding.evidence);
    assert_eq!(scene.watcher.reading().slot("s").unwrap().state, SlotState::Stalled);
    mute.kill().await.unwrap();
    scene.off("R6").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r5b_the_consumer_is_late_though_little_waits_for_it() {
    let source = started(source_builder().setting("wal_sender_timeout", "0")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await;
    let mut late = reader(&settings, &["--status-interval=0", "--fsync-interval=0"]);
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    execute(&settings, &fill(1)).await;
    let finding = scene.on("R5b").await;
    assert!(finding.evidence.contains(" behind, 1."), "{}", finding.evidence);
    assert_eq!(scene.watcher.reading().slot("s").unwrap().stalled_by, None);
    late.kill().await.unwrap();
    let _prompt = reader(&settings, &[]);
    scene.off("R5b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r7_the_consumer_is_silent_and_the_server_hangs_up() {
    let source = started(source_builder().setting("wal_sender_timeout", "6s")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await.unhurried();
    let mut frozen = reader(&settings, &[]);
    scene
        .until("it answers", |scene| {
            let slots = &scene.watcher.sample().unwrap().slots;
            slots[0].consumer.as_ref().is_some_and(|reader| reader.reply_time.is_some())
        })
        .await;
    let pid = frozen.id().expect("it runs");
    signal("-STOP", pid);
    let finding = scene.on("R7").await;
    assert!(finding.evidence.contains("wal_sender_timeout (6s)"), "{}", finding.evidence);
    assert!(scene.watcher.reading().slot("s").unwrap().hangs_up_in.is_some());
    scene
        .until("the server has hung up", |scene| {
            scene.watcher.events().iter().any(|event| event.text.contains("the server ended it"))
        })
        .await;
    scene.off("R7").await;
    assert!(scene.on("R1").await.evidence.contains("which the server ended after"));
    signal("-CONT", pid);
    frozen.kill().await.unwrap();
    let _again = reader(&settings, &[]);
    scene.off("R1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_the_consumer_connects_again_and_again() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await.unhurried();
    for _ in 0..4 {
        let mut short = reader(&settings, &[]);
        scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
        short.kill().await.unwrap();
        scene.until("it is left", |scene| !scene.watcher.sample().unwrap().slots[0].active).await;
    }
    let finding = scene.on("R8").await;
    assert!(finding.evidence.contains("one after the other"), "{}", finding.evidence);
    assert_eq!(scene.watcher.reading().slot("s").unwrap().state, SlotState::Flapping);
    scene.later(301);
    scene.off("R8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r9_an_open_transaction_pins_the_slot() {
    let source = started(source_builder().setting("logical_decoding_work_mem", "64kB")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await.unhurried();
    let _reader = reader(&settings, &[]);
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    let holder = session(&settings).await;
    holder.client.batch_execute(&format!("BEGIN; {}", fill(30))).await.unwrap();
    execute(&settings, "CHECKPOINT").await;
    scene.step().await;
    scene.hurry = std::time::Duration::from_secs(20);
    let finding = scene.on_as("R9", Severity::Warning).await;
    assert!(
        finding.evidence.contains("idle in transaction") && finding.evidence.contains("slot s"),
        "{}",
        finding.evidence
    );
    if scene.watcher.sample().unwrap().server.version >= 150_000 {
        let spill = scene.watcher.reading().slot("s").unwrap().spill.clone().expect("spill files are listed");
        assert!(spill.files > 0 && finding.evidence.contains("spilled to disk"), "{spill:?} {}", finding.evidence);
    }
    // Its statement ends it.
    execute(&settings, &statement(&finding, "pg_terminate_backend")).await;
    await_until("R9 is off", async || {
        execute(&settings, "CHECKPOINT").await;
        scene.step().await;
        scene.finding("R9").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r9b_a_prepared_transaction_is_left_open() {
    let source = started(source_builder().setting("max_prepared_transactions", "5")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    let holder = session(&settings).await;
    holder
        .client
        .batch_execute("BEGIN; INSERT INTO public.t VALUES (1); PREPARE TRANSACTION 'left''over'")
        .await
        .unwrap();
    let mut scene = Scene::of(Target { slot: None, ..crate::watching::target(&settings) }).await;
    let finding = scene.on("R9b").await;
    execute(&settings, &statement(&finding, "ROLLBACK")).await;
    scene.off("R9b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r10_the_publication_is_missing_or_too_young() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await;
    let mut wrong = reader_of(&settings, "elsewhere", &[], "/dev/null");
    let finding = scene.on("R10").await;
    assert!(finding.evidence.starts_with("There is no publication elsewhere"), "{}", finding.evidence);
    execute(&settings, "CREATE PUBLICATION elsewhere FOR TABLE public.t").await;
    scene.off("R10").await;
    wrong.kill().await.unwrap();
    execute(&settings, "DROP PUBLICATION elsewhere").await;
    // Made after the slot, which nobody reads: the slot stands before it.
    scene.until("it is left", |scene| !scene.watcher.sample().unwrap().slots[0].active).await;
    execute_each(&settings, "DROP PUBLICATION p; SELECT pg_drop_replication_slot('s');").await;
    execute(&settings, SLOT).await;
    execute(&settings, "CREATE PUBLICATION p FOR TABLE public.t").await;
    let young = scene.on("R10b").await;
    let silent = scene.watcher.sample().unwrap().server.version >= 180_000;
    assert_eq!(young.severity, if silent { Severity::Critical } else { Severity::Warning });
    let _reader = reader(&settings, &[]);
    await_until("the slot has passed it", async || {
        execute(&settings, "INSERT INTO public.t VALUES (0) ON CONFLICT (id) DO UPDATE SET note = excluded.note").await;
        scene.step().await;
        scene.finding("R10b").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r10c_a_table_was_added_after_the_slot() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await;
    execute_each(&settings, "CREATE TABLE public.u (id int PRIMARY KEY); ALTER PUBLICATION p ADD TABLE public.u;")
        .await;
    let finding = scene.on("R10c").await;
    assert!(finding.evidence.starts_with("public.u came into the publication"), "{}", finding.evidence);
    execute(&settings, "ALTER PUBLICATION p DROP TABLE public.u").await;
    scene.off("R10c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r11_a_table_refuses_updates() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await;
    execute_each(
        &settings,
        "CREATE TABLE public.\"no \"\"key\" (a int); ALTER PUBLICATION p ADD TABLE public.\"no \"\"key\";",
    )
    .await;
    let finding = scene.on("R11").await;
    execute(&settings, &statement(&finding, "REPLICA IDENTITY FULL")).await;
    execute(&settings, "UPDATE public.\"no \"\"key\" SET a = 1").await;
    scene.off("R11").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_transactions_are_spilled() {
    let source = started(source_builder().setting("logical_decoding_work_mem", "64kB")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await.unhurried();
    if scene.step().await.server.version < 140_000 {
        return;
    }
    let _reader = reader(&settings, &[]);
    execute(&settings, &fill(80)).await;
    let finding = scene.on("R12").await;
    assert!(finding.evidence.contains("were spilled; logical_decoding_work_mem is 64 kB"), "{}", finding.evidence);
    scene.later(601);
    scene.off("R12").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_the_slot_waits_for_a_standby() {
    let source = started(source_builder()).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    if value(&settings, "SHOW server_version_num").await.parse::<u32>().unwrap() < 170_000 {
        return;
    }
    execute(&settings, "SELECT pg_create_physical_replication_slot('standby', true)").await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput', false, false, true)").await;
    execute_each(&settings, "ALTER SYSTEM SET synchronized_standby_slots = 'standby'; SELECT pg_reload_conf();").await;
    let mut scene = Scene::source(&settings).await;
    let _reader = reader(&settings, &[]);
    execute(&settings, &fill(1)).await;
    let finding = scene.on("R14").await;
    assert!(finding.evidence.contains("no standby reads slot standby"), "{}", finding.evidence);
    execute_each(&settings, &statement(&finding, "synchronized_standby_slots")).await;
    scene.off("R14").await;
    // F1: a slot that a failover would lose.
    execute(&settings, "SELECT pg_create_logical_replication_slot('here_only', 'pgoutput')").await;
    assert!(scene.on("F1").await.evidence.starts_with("here_only: failover is off"));
    execute(&settings, "SELECT pg_drop_replication_slot('here_only')").await;
    scene.off("F1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r16_the_slot_holds_vacuum_back() {
    let source = started(source_builder().setting("autovacuum_freeze_max_age", "100000")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await;
    scene.step().await;
    // Each block of a loop that may fail is a transaction of its own.
    execute(&settings, "DO $$ BEGIN FOR i IN 1..52000 LOOP BEGIN INSERT INTO public.t VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$").await;
    let finding = scene.on("R16").await;
    assert_eq!(finding.severity, Severity::Critical);
    assert!(finding.evidence.contains("system catalogs"), "{}", finding.evidence);
    let _reader = reader(&settings, &[]);
    await_until("R16 is off", async || {
        execute(&settings, "UPDATE public.t SET note = 'x' WHERE id = 1").await;
        execute(&settings, "CHECKPOINT").await;
        scene.step().await;
        scene.finding("R16").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_the_archiver_fails() {
    let source = started(source_builder().setting("archive_mode", "on").setting("archive_command", "false")).await;
    let settings = source.settings();
    let mut scene = Scene::of(Target { slot: None, ..crate::watching::target(&settings) }).await;
    execute(&settings, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()").await;
    let finding = scene.on("R17").await;
    assert!(finding.evidence.contains("wait to be archived"), "{}", finding.evidence);
    execute_each(&settings, "ALTER SYSTEM SET archive_command = 'true'; SELECT pg_reload_conf();").await;
    await_until("R17 is off", async || {
        execute(&settings, "SELECT pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()").await;
        scene.step().await;
        scene.finding("R17").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_the_slot_vanishes_and_a_failover_happens() {
    let (mut source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await.unhurried();
    scene.step().await;
    assert!(scene.finding("R18").is_none());
    execute(&settings, "SELECT pg_drop_replication_slot('s')").await;
    let finding = scene.on("R18").await;
    assert!(finding.evidence.contains("somebody dropped it"), "{}", finding.evidence);
    execute(&settings, &statement(&finding, "pg_create_logical_replication_slot")).await;
    scene.off("R18").await;
    execute(&settings, "SELECT pg_drop_replication_slot('s')").await;

    source.stop_fast().await.unwrap();
    support::servers::make_standby(&source);
    source.start_again().await.unwrap();
    scene.again().await;
    assert!(scene.step().await.server.in_recovery);
    execute(&settings, "SELECT pg_promote()").await;
    let finding = scene.on("R18b").await;
    assert!(finding.evidence.starts_with("Timeline 1 became 2"), "{}", finding.evidence);
    assert!(scene.watcher.history().clock().marks().count() < 3, "the times of another timeline are none of this one");
    scene.later(3601);
    scene.off("R18b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r19_the_subscription_fails_and_is_switched_off() {
    let (source, other) = (source().await, destination().await);
    let (from, to) = (source.settings(), other.settings());
    execute_each(&from, SCHEMA).await;
    execute(&to, "CREATE TABLE public.t (id int PRIMARY KEY, note text)").await;
    let password = from.password.as_ref().map_or("", Secret::reveal);
    let conninfo = format!(
        "host={} port={} user={} dbname={} password={password}",
        from.host, from.port, from.user, from.database
    );
    execute(&to, &format!("CREATE SUBSCRIPTION s CONNECTION '{conninfo}' PUBLICATION p")).await;
    let mut scene = Scene::of(Target { destination: Some(to.clone()), ..crate::watching::target(&from) }).await;
    scene
        .until("it is in step", |scene| there(scene).is_some_and(|sub| sub.pid.is_some() && sub.unfinished() == (0, 1)))
        .await;
    scene.off("R19").await;
    execute(&to, "INSERT INTO public.t VALUES (1, 'in the way')").await;
    execute(&from, "INSERT INTO public.t VALUES (1, 'from the source')").await;
    let finding = scene.on("R19").await;
    assert_eq!(finding.severity, Severity::Critical);
    if value(&to, "SHOW server_version_num").await.parse::<u32>().unwrap() >= 180_000 {
        assert!(scene.on("R19b").await.evidence.contains("insert exists"));
    }
    execute(&to, "DELETE FROM public.t").await;
    scene.hurry = std::time::Duration::from_secs(60);
    scene.off("R19").await;
    execute(&to, "ALTER SUBSCRIPTION s DISABLE").await;
    let finding = scene.on("R19").await;
    assert!(finding.evidence.contains("it is switched off"), "{}", finding.evidence);
    execute(&to, &statement(&finding, "ENABLE")).await;
    scene.off("R19").await;
    if scene.watcher.diagnosis().findings().iter().any(|finding| finding.rule == "R19b") {
        let finding = scene.on("R19b").await;
        execute(&to, &statement(&finding, "pg_stat_reset_subscription_stats")).await;
        scene.off("R19b").await;
    }
    execute(&to, "DROP SUBSCRIPTION s").await;
}

fn there(scene: &Scene) -> Option<&walpilot::monitor::subscription::Subscription> {
    let Some(walpilot::monitor::destination::Destination::Reached(reached)) = &scene.watcher.sample()?.destination
    else {
        return None;
    };
    match &reached.subscriptions {
        Seen::Known(there) => there.subscriptions.first(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_r21_forgotten_slots_and_no_free_ones() {
    let source = started(source_builder().setting("max_replication_slots", "2")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    let mut scene = Scene::of(Target { slot: None, ..crate::watching::target(&settings) }).await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('pg_1_sync_2_3', 'pgoutput')").await;
    let orphan = scene.on("R20").await;
    execute(&settings, SLOT).await;
    assert_eq!(scene.on("R21").await.severity, Severity::Critical);
    execute(&settings, &statement(&orphan, "drop")).await;
    scene.off("R20").await;
    scene.off("R21").await;
    execute_each(&settings, "ALTER SYSTEM SET wal_level = 'replica'; SELECT pg_reload_conf();").await;
    assert!(scene.on("R21c").await.evidence.contains("was changed for the next restart"));
    execute_each(&settings, "ALTER SYSTEM RESET wal_level; SELECT pg_reload_conf();").await;
    scene.off("R21c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r22_the_server_was_restored_from_a_copy() {
    let (mut source, settings) = with_slot().await;
    source.stop_fast().await.unwrap();
    let data = source.data_directory();
    let copy = data.with_extension("copy");
    let copied = |from: &std::path::Path, to: &std::path::Path| {
        let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
        assert!(status.success());
    };
    copied(&data, &copy);
    source.start_again().await.unwrap();
    let mut scene = Scene::source(&settings).await.unhurried();
    execute(&settings, &fill(2)).await;
    scene.step().await;
    assert!(scene.finding("R22").is_none());
    source.stop_fast().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    copied(&copy, &data);
    source.start_again().await.unwrap();
    scene.again().await;
    let finding = scene.on("R22").await;
    assert!(finding.evidence.contains("on the same timeline"), "{}", finding.evidence);
    scene.later(3601);
    scene.off("R22").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x1_x2_what_the_method_xmin_cannot_do() {
    let (source, other) = (source().await, destination().await);
    let (from, to) = (source.settings(), other.settings());
    execute_each(&from, SCHEMA).await;
    execute(&to, include_str!("../fixtures/xmin_run.sql")).await;
    let mut scene = Scene::of(Target { destination: Some(to.clone()), ..crate::watching::target(&from) }).await;
    assert!(scene.on("X2").await.evidence.starts_with("7 rows were deleted"));
    execute(&to, "UPDATE walpilot.xmin_table SET deletes_unseen = 0").await;
    scene.off("X2").await;
    let holder = session(&from).await;
    holder.client.batch_execute("BEGIN; INSERT INTO public.t VALUES (1)").await.unwrap();
    // What is committed after it is what has to wait.
    execute(&from, "INSERT INTO public.t VALUES (2)").await;
    let finding = scene.on("X1").await;
    assert!(finding.evidence.contains("would skip the rows of 1 open ones"), "{}", finding.evidence);
    holder.client.batch_execute("COMMIT").await.unwrap();
    scene.off("X1").await;
}
