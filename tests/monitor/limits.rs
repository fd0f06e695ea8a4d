//! The rules about limits, each turned on by a real situation and off again; and the limits that a user has set.

use crate::support::program::uri;
use crate::support::{Walpilot, await_until, execute, short_of_log, source, source_builder, started, value, walpilot};
use crate::watching::{SCHEMA, SLOT, Scene, execute_each, fill, reader, statement, target, version, with_slot};
use walpilot::connection::Settings;
use walpilot::monitor::diagnosis::Severity;
use walpilot::monitor::slot::WalStatus;
use walpilot::monitor::state::SlotState;
use walpilot::monitor::{Sample, Target, units};

const SEGMENT: &str = "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000)), pg_switch_wal()";

/// A source of which slots may hold much, and the server keeps little by itself.
async fn small_server(limit: &str) -> (walpilot::demo::Cluster, Settings) {
    let builder = source_builder().setting("min_wal_size", "32MB").setting("max_wal_size", "32MB");
    let source = started(builder.setting("max_slot_wal_keep_size", limit)).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    (source, settings)
}

async fn segments(settings: &Settings, count: u32) {
    for _ in 0..count {
        execute(settings, SEGMENT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r2_an_unreserved_slot_comes_back_when_the_limit_is_raised() {
    // The server's own limit is far away: no checkpoint comes meanwhile, and no slot is ever called extended.
    let source = started(source_builder().setting("max_slot_wal_keep_size", "32MB")).await;
    let settings = source.settings();
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await;
    let mut words = std::collections::BTreeSet::new();
    await_until("R2 is on", async || {
        execute(&settings, SEGMENT).await;
        words.insert(scene.step().await.slots[0].wal_status.map(WalStatus::name));
        scene.finding("R2").is_some()
    })
    .await;
    assert!(!words.contains(&Some("extended")), "{words:?}");
    let finding = scene.on_as("R2", Severity::Critical).await;
    assert!(finding.evidence.contains("do not run CHECKPOINT"), "{}", finding.evidence);
    assert_eq!(scene.watcher.reading().slot("s").unwrap().state, SlotState::Doomed);
    execute_each(&settings, &statement(&finding, "max_slot_wal_keep_size")).await;
    scene.off("R2").await;
    execute(&settings, "CHECKPOINT").await;
    assert_eq!(scene.step().await.slots[0].wal_status, Some(WalStatus::Reserved), "it survives a checkpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_a_slot_that_is_read_will_be_lost() {
    let (_source, settings) = small_server("4GB").await;
    let mut scene = Scene::source(&settings).await;
    let mut mute = reader(&settings, &["--status-interval=0", "--fsync-interval=0"]);
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    await_until("R4 is on", async || {
        execute(&settings, SEGMENT).await;
        scene.step().await;
        scene.finding("R4").is_some()
    })
    .await;
    let finding = scene.finding("R4").unwrap().clone();
    assert!(
        finding.evidence.contains("of max_slot_wal_keep_size (4.0 GB) are left, used up in"),
        "{}",
        finding.evidence
    );
    mute.kill().await.unwrap();
    scene.until("it is left", |scene| !scene.watcher.sample().unwrap().slots[0].active).await;
    let _reader = reader(&settings, &[]);
    scene.off("R4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_r3b_an_idle_slot_is_lost_by_its_time() {
    let (_source, settings) = with_slot().await;
    if version(&settings).await < 180_000 {
        return;
    }
    execute_each(&settings, "ALTER SYSTEM SET idle_replication_slot_timeout = '1h'; SELECT pg_reload_conf();").await;
    let mut scene = Scene::source(&settings).await;
    scene.hurry = std::time::Duration::from_secs(60);
    let finding = scene.on_as("R3b", Severity::Warning).await;
    scene.on_as("R3b", Severity::Critical).await;
    execute_each(&settings, &statement(&finding, "idle_replication_slot_timeout")).await;
    scene.off("R3b").await;
    execute_each(&settings, "ALTER SYSTEM SET idle_replication_slot_timeout = '1s'; SELECT pg_reload_conf();").await;
    await_until("the slot is lost", async || {
        execute(&settings, SEGMENT).await;
        execute(&settings, "CHECKPOINT").await;
        value(&settings, "SELECT invalidation_reason FROM pg_replication_slots").await == "idle_timeout"
    })
    .await;
    let finding = scene.on("R3").await;
    assert!(finding.evidence.contains("invalidation_reason is idle_timeout"), "{}", finding.evidence);
    // The server keeps its restart_lsn, though it holds nothing.
    let slot = scene.watcher.sample().unwrap().slots[0].clone();
    assert!(slot.restart_lsn.is_some() && scene.watcher.reading().slot("s").unwrap().retained_bytes.is_none());
    execute(&settings, &statement(&finding, "pg_drop_replication_slot")).await;
    scene.off("R3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r4b_r4c_a_slot_holds_much() {
    let (_source, settings) = small_server("-1").await;
    let mut scene = Scene::of(Target { wal_volume: Some(256 << 20), ..target(&settings) }).await;
    let mut mute = reader(&settings, &["--status-interval=0", "--fsync-interval=0"]);
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    segments(&settings, 5).await;
    assert!(scene.on("R4c").await.evidence.contains("more than max_wal_size (32 MB)"));
    // 80 of 256 MB are more than a quarter.
    let finding = scene.on_as("R4b", Severity::Warning).await;
    assert!(finding.evidence.contains("max_slot_wal_keep_size is not set"), "{}", finding.evidence);
    // What grows for ten minutes is no hint any more.
    await_until("R4c is a warning", async || {
        execute(&settings, "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 10000))").await;
        scene.step().await;
        scene.finding("R4c").is_some_and(|finding| finding.severity == Severity::Warning)
    })
    .await;
    segments(&settings, 5).await;
    scene.on_as("R4b", Severity::Critical).await;
    mute.kill().await.unwrap();
    scene.until("it is left", |scene| !scene.watcher.sample().unwrap().slots[0].active).await;
    execute(&settings, "SELECT pg_replication_slot_advance('s', pg_current_wal_lsn())").await;
    execute(&settings, "CHECKPOINT").await;
    let _reader = reader(&settings, &[]);
    scene.off("R4b").await;
    scene.off("R4c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r4d_the_budget_is_nearly_used_up() {
    let (_source, settings) = small_server("128MB").await;
    let mut scene = Scene::source(&settings).await;
    let budget = |sample: &Sample| sample.slots[0].safe_wal_size.expect("there is a limit");
    await_until("less than a half is left", async || {
        execute(&settings, SEGMENT).await;
        budget(&scene.step().await) < 60 << 20
    })
    .await;
    let finding = scene.on("R4d").await;
    assert!(finding.evidence.contains("of max_slot_wal_keep_size (128 MB) are left"), "{}", finding.evidence);
    await_until("less than a fifth is left", async || {
        execute(&settings, SEGMENT).await;
        budget(&scene.step().await) < 24 << 20
    })
    .await;
    scene.on_as("R4d", Severity::Critical).await;
    execute_each(&settings, &statement(&finding, "max_slot_wal_keep_size")).await;
    execute_each(&settings, &statement(&finding, "max_slot_wal_keep_size").replace("1024MB", "4GB")).await;
    scene.off("R4d").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17c_the_volume_will_be_full() {
    let (_source, settings) = small_server("-1").await;
    segments(&settings, 2).await;
    execute(&settings, "CHECKPOINT").await;
    let mut scene = Scene::of(Target { wal_volume: Some(1 << 30), ..target(&settings) }).await;
    scene.step().await;
    await_until("R17c is on", async || {
        execute(&settings, SEGMENT).await;
        scene.step().await;
        scene.finding("R17c").is_some()
    })
    .await;
    let finding = scene.on_as("R17c", Severity::Critical).await;
    assert!(finding.evidence.contains("of 1.0 GB and grows by"), "{}", finding.evidence);
    execute(&settings, "SELECT pg_drop_replication_slot('s')").await;
    execute(&settings, "CHECKPOINT").await;
    scene.later(1000);
    scene.off("R17c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17_wal_keep_size_holds_the_most() {
    let builder = source_builder().setting("min_wal_size", "32MB").setting("max_wal_size", "32MB");
    let source = started(builder.setting("wal_keep_size", "64MB")).await;
    let settings = source.settings();
    let mut scene = Scene::of(Target { source: settings.clone(), ..Target::default() }).await;
    for _ in 0..20 {
        scene.step().await;
    }
    assert!(scene.finding("R17").is_none(), "there is not so much yet: {:?}", scene.finding("R17"));
    segments(&settings, 6).await;
    execute(&settings, "CHECKPOINT").await;
    let finding = scene.on("R17").await;
    assert_eq!((finding.severity, finding.object.as_str()), (Severity::Info, "wal_keep_size"));
    assert!(finding.evidence.starts_with("It keeps 64 MB; whatever else needs WAL needs"), "{}", finding.evidence);
    execute_each(&settings, "ALTER SYSTEM SET wal_keep_size = '16MB'; SELECT pg_reload_conf();").await;
    scene.off("R17").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r17d_most_of_the_directory_is_kept_for_log_to_come() {
    let source = started(source_builder().setting("min_wal_size", "32MB").setting("max_wal_size", "96MB")).await;
    let settings = source.settings();
    let mut scene = Scene::of(Target { source: settings.clone(), ..Target::default() }).await;
    scene.step().await;
    assert!(scene.finding("R17d").is_none());
    await_until("R17d is on", async || {
        segments(&settings, 3).await;
        execute(&settings, "CHECKPOINT").await;
        scene.step().await;
        scene.finding("R17d").is_some()
    })
    .await;
    let finding = scene.on("R17d").await;
    assert_eq!((finding.severity, finding.object.as_str()), (Severity::Info, "pg_wal"));
    let (ahead, all) = {
        let files = scene.watcher.sample().unwrap().files.known().unwrap();
        (units::bytes(files.ahead.unwrap()), units::bytes(files.bytes))
    };
    assert!(finding.evidence.starts_with(&format!("{ahead} of {all} are recycled files")), "{}", finding.evidence);
    assert!(finding.evidence.ends_with("down to min_wal_size (32 MB)."), "{}", finding.evidence);
    // So much is nothing to wonder about where more is allowed.
    execute_each(&settings, "ALTER SYSTEM SET max_wal_size = '1GB'; SELECT pg_reload_conf();").await;
    scene.off("R17d").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r21b_r21c_settings_that_are_wanting() {
    let mut source = started(source_builder().setting("wal_level", "replica")).await;
    let settings = source.settings();
    let mut scene = Scene::of(Target { source: settings.clone(), ..Target::default() }).await;
    let finding = scene.on("R21c").await;
    assert!(finding.evidence.contains("wal_level is replica: no logical slot"), "{}", finding.evidence);
    execute_each(&settings, &statement(&finding, "wal_level")).await;
    // The server's own file has it in front: this one counts from now on.
    let conf = source.data_directory().join("postgresql.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text.replace("wal_level = 'replica'", "")).unwrap();
    source.stop_fast().await.unwrap();
    source.start_again().await.unwrap();
    scene.again().await;
    scene.off("R21c").await;
    // Nothing limits what slots hold, unless somebody says so.
    execute(&settings, SLOT).await;
    let finding = scene.on("R21b").await;
    assert_eq!(finding.severity, Severity::Info);
    let sql = statement(&finding, "max_slot_wal_keep_size");
    assert_eq!(sql.lines().count(), 2, "one statement a line: {sql}");
    execute_each(&settings, &sql).await;
    scene.off("R21b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_physical_slot_that_was_never_used_is_not_in_danger() {
    let source = short_of_log().await;
    let settings = source.settings();
    execute(&settings, "SELECT pg_create_physical_replication_slot('standby')").await;
    segments(&settings, 3).await;
    let mut scene = Scene::of(Target { source: settings, ..Target::default() }).await;
    for _ in 0..20 {
        scene.step().await;
    }
    let slot = scene.watcher.reading().slot("standby").unwrap();
    assert_eq!((slot.state, slot.dies_in, slot.safe_bytes), (SlotState::Idle, None, None));
    let about_slots = scene.watcher.diagnosis().findings().iter().filter(|finding| finding.object == "standby");
    assert_eq!(about_slots.count(), 0);
}

/// A home directory with a configuration.
struct Home(tempfile::TempDir);

impl Home {
    fn with(configuration: &str) -> Self {
        let home = tempfile::tempdir().expect("a file");
        std::fs::create_dir_all(home.path().join(".config/walpilot/profiles")).expect("a file");
        let here = Self(home);
        here.write("config.toml", configuration);
        here
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.0.path().join(".config/walpilot").join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a file");
    }

    fn run(&self, settings: &Settings, args: &[&str]) -> Walpilot {
        let home = self.0.path().to_string_lossy().into_owned();
        walpilot(args.to_vec()).password(settings).env("HOME", &home)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_are_set_for_all_slots_and_for_one() {
    let (_source, settings) = with_slot().await;
    execute_each(&settings, "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();").await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('other', 'pgoutput')").await;
    execute(&settings, SEGMENT).await;
    let uri = uri(&settings);
    let home = Home::with("[alerts]\ninactive = { warning = \"1s\", critical = \"1h\" }\n");
    let look = async |args: &[&str]| {
        let mut all = vec!["diagnose", "--for", "4s"];
        all.extend(args);
        home.run(&settings, &all).run().await
    };
    let warned = look(&[&uri]).await.expect_code(1);
    assert!(warned.stdout.starts_with("WALPILOT WARNING - R1 other: nobody reads the slot"), "{}", warned.stdout);
    assert!(warned.stdout.contains("critical=0;;;0 warning=2;;;0"), "{}", warned.stdout);
    // A profile's own words go before the configuration's, and a slot's before those for all.
    home.run(&settings, &["profiles", "save", "shop", &uri, "--slot", "s"]).run().await.expect_code(0);
    let file = home.0.path().join(".config/walpilot/profiles/shop.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    home.write(
        "profiles/shop.toml",
        &(text.clone() + "\n[alerts.slots.s]\ninactive = { warning = \"1s\", critical = \"2s\" }\n[alerts.slots.other]\ninactive = { warning = \"off\" }\n"),
    );
    let worse = look(&["--profile", "shop"]).await.expect_code(2);
    assert!(worse.stdout.starts_with("WALPILOT CRITICAL - R1 s: nobody reads the slot"), "{}", worse.stdout);
    assert!(worse.stdout.contains("critical=1;;;0 warning=0;;;0"), "{}", worse.stdout);
    // Saved again under another name, they come along.
    home.run(&settings, &["profiles", "save", "copy", "--profile", "shop"]).run().await.expect_code(0);
    assert!(
        home.run(&settings, &["profiles", "show", "copy"]).run().await.stdout.contains("[alerts.slots.s.inactive]")
    );
    // The same words in the exports.
    let page =
        home.run(&settings, &["watch", "--profile", "shop", "--once", "--format", "json"]).run().await.expect_code(0);
    let report: serde_json::Value = serde_json::from_str(&page.stdout).unwrap();
    let of_s = report["findings"].as_array().unwrap().iter().find(|one| one["object"] == "s" && one["rule"] == "R1");
    assert!(of_s.is_some_and(|one| one["severity"] != "info"), "{report}");
    // What can't be meant is named, with its file.
    home.write("profiles/shop.toml", &(text + "\n[alerts]\nlag = { warning = \"5MB\" }\n"));
    let bad = look(&["--profile", "shop"]).await.expect_code(3);
    assert!(
        bad.stdout.contains("The profile shop can't be used") && bad.stdout.contains("\"5MB\" is no time"),
        "{}",
        bad.stdout
    );
    home.write("config.toml", "[alerts]\nlags = {}\n");
    let bad = home.run(&settings, &["watch", &uri, "--once"]).run().await.expect_code(2);
    assert!(
        bad.stderr.contains("config.toml") && bad.stderr.contains("alerts.lags is not known; there are lag"),
        "{}",
        bad.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_names_no_slot_expects_none() {
    let source = source().await;
    let settings = source.settings();
    let home = Home::with("");
    home.run(&settings, &["profiles", "save", "plain", &uri(&settings)]).run().await.expect_code(0);
    let fine = home.run(&settings, &["diagnose", "--profile", "plain", "--for", "1s"]).run().await.expect_code(0);
    assert!(fine.stdout.starts_with("WALPILOT OK - 0 slots"), "{}", fine.stdout);
    home.run(&settings, &["profiles", "save", "plain", &uri(&settings), "--slot", "s", "--force"])
        .run()
        .await
        .expect_code(0);
    let missing = home.run(&settings, &["diagnose", "--profile", "plain", "--for", "1s"]).run().await.expect_code(2);
    assert!(missing.stdout.contains("there is no slot \"s\""), "{}", missing.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_is_the_age_of_the_oldest_byte_whatever_write_lag_says() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await.unhurried();
    // Nobody empties its standard output.
    let mut slow = crate::watching::reader_of(&settings, "p", &[], "-");
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    for _ in 0..8 {
        execute(&settings, &fill(2)).await;
    }
    let written: f64 = value(&settings, "SELECT extract(epoch FROM clock_timestamp())").await.parse().unwrap();
    await_until("it is ten seconds behind", async || {
        let sample = scene.step().await;
        // All of it was written before: the oldest byte of it is at least as old.
        let age = sample.at.since(walpilot::monitor::Moment::from_epoch(written)).as_secs_f64();
        let lag = scene.watcher.reading().slot("s").and_then(|slot| slot.lag).expect("it is known");
        assert!(lag.span().as_secs_f64() >= age, "{lag:?} {age}");
        age > 10.0
    })
    .await;
    let write_lag = "SELECT coalesce(extract(epoch FROM write_lag), 0) FROM pg_stat_replication";
    let write_lag: f64 = value(&settings, write_lag).await.parse().unwrap();
    assert!(write_lag < 10.0, "write_lag times the way of what was sent: {write_lag}");
    slow.kill().await.unwrap();
}
