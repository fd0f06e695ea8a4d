//! Rules whose situations are rare, each turned on by a real one and off again; and a failover to a real standby.

use crate::support::program::uri_with_password;
use crate::support::standby::{append, set_next_xid, standby_with};
use crate::support::{self, await_until, destination, execute, source_builder, started, value, walpilot};
use crate::watching::{SCHEMA, SLOT, Scene, execute_each, reader, statement, target, version, with_slot};
use walpilot::connection::{Secret, Settings, uri};
use walpilot::demo::Cluster;
use walpilot::monitor::diagnosis::Severity;
use walpilot::monitor::exposition::Exposition;
use walpilot::monitor::metrics::Observed;
use walpilot::monitor::reading::Stall;
use walpilot::monitor::state::SlotState;
use walpilot::monitor::{Moment, Target};

#[tokio::test(flavor = "multi_thread")]
async fn r10d_r10e_the_publication_leaves_something_out() {
    let (source, other) = (with_slot().await, destination().await);
    let ((_source, from), to) = (source, other.settings());
    execute(&from, "CREATE TABLE public.events (id int PRIMARY KEY)").await;
    execute(&to, include_str!("../fixtures/run.sql")).await;
    let mut scene = Scene::of(Target { destination: Some(to), ..target(&from) }).await;
    let finding = scene.on("R10d").await;
    assert!(finding.evidence.starts_with("public.events is replicated by the run"), "{}", finding.evidence);
    execute(&from, "ALTER PUBLICATION p ADD TABLE public.events").await;
    scene.off("R10d").await;
    execute(&from, "ALTER PUBLICATION p SET (publish = 'insert, update')").await;
    let finding = scene.on("R10e").await;
    assert!(finding.evidence.contains("does not publish DELETE, TRUNCATE"), "{}", finding.evidence);
    execute(&from, &statement(&finding, "ALTER PUBLICATION")).await;
    scene.off("R10e").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d3_d4_the_account_of_a_run_is_hidden_or_of_another_cluster() {
    let ((_source, from), other) = (with_slot().await, destination().await);
    let to = other.settings();
    execute(&to, include_str!("../fixtures/run.sql")).await;
    execute(&to, "CREATE ROLE plain LOGIN PASSWORD 'looks'").await;
    let plain = to.as_user("plain", Some(Secret::new("looks")));
    let mut scene = Scene::of(Target { destination: Some(plain), ..target(&from) }).await;
    let finding = scene.on("D3").await;
    let grants = finding.evidence.split_once("as its owner: ").expect("the statements").1;
    execute_each(&to, grants).await;
    scene.off("D3").await;
    let finding = scene.on("D4").await;
    assert!(finding.evidence.contains("It was written for system identifier 1"), "{}", finding.evidence);
    let here = value(&from, "SELECT system_identifier FROM pg_control_system()").await;
    execute(&to, &format!("UPDATE walpilot.source SET system_identifier = '{here}'")).await;
    scene.off("D4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r13_decoding_is_too_slow() {
    let source = started(source_builder().setting("logical_decoding_work_mem", "64kB")).await;
    let settings = source.settings();
    execute(&settings, "CREATE TABLE public.t (id int PRIMARY KEY, note text)").await;
    let filters_rows = version(&settings).await >= 150_000;
    let dear = if filters_rows { " WHERE (md5(repeat(note, 1000)) <> '') WITH (publish = 'insert')" } else { "" };
    execute(&settings, &format!("CREATE PUBLICATION p FOR TABLE public.t{dear}")).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await.unhurried();
    let mut reader = reader(&settings, &[]);
    scene.until("it is read", |scene| scene.watcher.sample().unwrap().slots[0].active).await;
    if filters_rows {
        for number in 0..40 {
            let from = number * 1000;
            let sql = format!(
                "INSERT INTO public.t SELECT g, repeat(md5(g::text), 32) FROM generate_series({from} + 1, {from} + 1000) g"
            );
            execute(&settings, &sql).await;
        }
    } else {
        // Before 15 no row filter keeps the walsender busy. What does: it looks for the largest of all subtransactions
        // each time that the memory is used up.
        execute(&settings, "DO $$ BEGIN FOR i IN 1..60000 LOOP BEGIN INSERT INTO public.t VALUES (i, repeat('x', 500)); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$").await;
    }
    scene
        .until("it is the decoder", |scene| {
            scene.watcher.reading().slot("s").is_some_and(|slot| slot.stalled_by == Some(Stall::Decoder))
        })
        .await;
    scene.hurry = std::time::Duration::from_secs(10);
    let finding = scene.on("R13").await;
    assert!(finding.evidence.contains("are not sent"), "{}", finding.evidence);
    reader.kill().await.unwrap();
    scene.off("R13").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r22_a_slot_is_made_anew_where_an_older_one_stood() {
    let (_source, settings) = with_slot().await;
    execute(&settings, "SELECT pg_copy_logical_replication_slot('s', 'old')").await;
    execute(&settings, "INSERT INTO public.t VALUES (1)").await;
    execute(&settings, "SELECT pg_replication_slot_advance('s', pg_current_wal_lsn())").await;
    let mut scene = Scene::source(&settings).await.unhurried();
    scene.step().await;
    assert!(scene.finding("R22").is_none());
    execute(&settings, "SELECT pg_drop_replication_slot('s')").await;
    execute(&settings, "SELECT pg_copy_logical_replication_slot('old', 's')").await;
    let finding = scene.on("R22").await;
    assert_eq!(finding.object, "s");
    assert!(finding.evidence.contains("made anew or restored"), "{}", finding.evidence);
    let _reader = reader(&settings, &[]);
    scene
        .until("it is its word", |scene| {
            scene.watcher.reading().slot("s").is_some_and(|slot| slot.state == SlotState::Rewound)
        })
        .await;
    scene.later(3601);
    scene.off("R22").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x3_a_bound_gets_too_old() {
    // The servers of the matrix may come without the administrator's programs.
    if !support::binaries().dir.join("pg_resetwal").exists() {
        return;
    }
    let (mut source, other) = (started(source_builder()).await, destination().await);
    let (from, to) = (source.settings(), other.settings());
    execute(&from, "CREATE TABLE public.t AS SELECT generate_series(1, 3) AS id").await;
    execute(&from, "ALTER TABLE public.t ADD PRIMARY KEY (id)").await;
    execute(&to, "CREATE TABLE public.t (id int PRIMARY KEY)").await;
    let pass = async || {
        let (from, to) = (uri_with_password(&from), uri_with_password(&to));
        walpilot(["run", "--from", &from, "--to", &to, "--method", "xmin", "--once"]).run().await.expect_code(0);
    };
    pass().await;
    let watched = Target { source: from.clone(), destination: Some(to.clone()), ..Target::default() };
    let mut scene = Scene::of(watched).await;
    scene.step().await;
    assert!(scene.finding("X3").is_none());
    set_next_xid(&mut source, 1_200_000_000, None).await;
    scene.again().await;
    let finding = scene.on_as("X3", Severity::Warning).await;
    assert!(finding.evidence.contains("56 % of the way"), "{}", finding.evidence);
    let report = walpilot::monitor::report::Report::of(&scene.watcher).unwrap();
    let run = report.xmin.and_then(|xmin| xmin.run).expect("a run");
    assert!(run.passes == 1 && (0.55..0.57).contains(&run.wraparound_share), "{run:?}");
    let mut observed = Observed::default();
    observed.take(Ok(scene.step().await), Moment::default());
    let mut page = Exposition::prometheus();
    observed.write(&mut page);
    let page = page.finish();
    for line in ["walpilot_xmin_passes_total 1", "walpilot_xmin_rows_read 3", "walpilot_xmin_wraparound_ratio 0.55"] {
        assert!(page.contains(&format!("\n{line}")), "{line}: {page}");
    }
    pass().await;
    scene.off("X3").await;
}

/// A primary with a standby that keeps its failover slots; both are read through one connection string with two hosts.
struct Pair {
    primary: Cluster,
    standby: Cluster,
    both: Settings,
}

async fn pair() -> Option<Pair> {
    let mut primary = started(source_builder()).await;
    let settings = primary.settings();
    let synchronises = version(&settings).await >= 170_000;
    execute_each(&settings, SCHEMA).await;
    let mut builder = source_builder().setting("hot_standby_feedback", "on");
    if synchronises {
        builder = builder.setting("sync_replication_slots", "on").setting("primary_slot_name", "standby");
        execute(&settings, "SELECT pg_create_physical_replication_slot('standby', true)").await;
    }
    let standby = started(builder).await;
    let standby = standby_with(&mut primary, standby, "dbname=postgres").await;
    let failover = if synchronises { ", false, false, true" } else { "" };
    execute(&settings, &format!("SELECT pg_create_logical_replication_slot('s', 'pgoutput'{failover})")).await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('here_only', 'pgoutput')").await;
    if synchronises {
        await_until("the standby has a copy of the slot", async || {
            execute(&settings, "SELECT pg_log_standby_snapshot()").await;
            value(&standby.settings(), "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary").await
                == "1"
        })
        .await;
    }
    let password = settings.password.as_ref().expect("it has one");
    let text = format!(
        "host=127.0.0.1,127.0.0.1 port={},{} user={} dbname={} target_session_attrs=read-write",
        primary.port(),
        standby.port(),
        settings.user,
        settings.database
    );
    let both = uri::parse(&text, &Settings::default()).expect("it can be read").with_password(Some(password.clone()));
    Some(Pair { primary, standby, both })
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_f1_a_failover_takes_along_only_what_was_synchronised() {
    let Some(Pair { mut primary, standby, both }) = pair().await else { return };
    let synchronises = version(&standby.settings()).await >= 170_000;
    if synchronises {
        // A copy of a slot is no slot that nobody reads.
        let mut there = Scene::source(&standby.settings()).await;
        for _ in 0..10 {
            there.step().await;
        }
        assert_eq!(there.watcher.reading().slot("s").unwrap().state, SlotState::Synced);
        assert!(there.finding("R1").is_none(), "{:?}", there.finding("R1"));
    }
    let mut scene = Scene::source(&both).await.unhurried();
    let before = scene.step().await;
    assert!(!before.server.in_recovery && before.slots.iter().any(|slot| slot.name == "here_only"));
    if synchronises {
        assert!(scene.on("F1").await.evidence.starts_with("here_only: failover is off"));
    }
    primary.stop_immediate().await.unwrap();
    assert!(scene.sampler.sample().await.is_err(), "nobody answers");
    // As after a real failover, the new primary waits for nobody.
    append(&standby.data_directory().join("postgresql.auto.conf"), "primary_slot_name = ''\n");
    execute(&standby.settings(), "SELECT pg_promote()").await;
    scene.again().await;
    let finding = scene.on("R18b").await;
    assert!(finding.evidence.starts_with("Timeline 1 became 2"), "{}", finding.evidence);
    let gone = |scene: &Scene, name: &str| {
        let mut findings = scene.watcher.diagnosis().findings().iter();
        findings.find(|finding| finding.rule == "R18" && finding.object == name).cloned()
    };
    let lost = gone(&scene, "here_only").expect("it did not come along");
    assert!(lost.evidence.contains("it did not come along in the failover"), "{}", lost.evidence);
    assert_eq!(gone(&scene, "s").is_none(), synchronises);
    execute(&standby.settings(), &statement(&lost, "pg_create_logical_replication_slot")).await;
    scene.until("it is there again", |scene| gone(scene, "here_only").is_none()).await;
    if synchronises {
        let slot = scene.watcher.sample().unwrap().slots.iter().find(|slot| slot.name == "s").cloned().unwrap();
        assert_eq!(slot.failover, Some(true));
        // From now on it is an ordinary slot that somebody has to read.
        scene
            .until("nobody reads it", |scene| {
                scene.watcher.reading().slot("s").is_some_and(|slot| slot.state == SlotState::Detached)
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_slot_on_a_standby_is_lost_to_what_the_primary_does() {
    let mut primary = started(source_builder()).await;
    let from = primary.settings();
    let number = version(&from).await;
    // Before 16 a standby has no logical slots.
    if number < 160_000 {
        return;
    }
    execute_each(&from, SCHEMA).await;
    let standby = started(source_builder().setting("hot_standby_feedback", "off")).await;
    let standby = standby_with(&mut primary, standby, "").await;
    let there = standby.settings();
    let mut scene: Option<Scene> = None;
    for reason in ["rows_removed", "wal_level_insufficient"] {
        // It waits for the primary to say which transactions run.
        let making = tokio::spawn({
            let there = there.clone();
            async move { execute(&there, SLOT).await }
        });
        await_until("the standby has a slot", async || {
            execute(&from, "SELECT pg_log_standby_snapshot()").await;
            making.is_finished()
        })
        .await;
        making.await.expect("a slot");
        let scene = match &mut scene {
            Some(scene) => scene,
            none => none.insert(Scene::source(&there).await),
        };
        scene.off("R3").await;
        if reason == "rows_removed" {
            await_until("rows that the slot needs are removed", async || {
                let gone = "CREATE TABLE public.gone (id int); DROP TABLE public.gone;";
                execute_each(&from, &format!("{gone} VACUUM pg_catalog.pg_class; VACUUM pg_catalog.pg_attribute;"))
                    .await;
                scene.step().await;
                scene.finding("R3").is_some()
            })
            .await;
        } else {
            append(&primary.data_directory().join("postgresql.auto.conf"), "wal_level = 'replica'\n");
            primary.stop_fast().await.unwrap();
            primary.start_again().await.unwrap();
        }
        let finding = scene.on_as("R3", Severity::Critical).await;
        // 16 does not say why.
        let why = if number >= 170_000 { format!("invalidation_reason is {reason}") } else { "in conflict".to_owned() };
        assert!(finding.evidence.contains(&why), "{}", finding.evidence);
        assert_eq!(scene.watcher.reading().slot("s").unwrap().state, SlotState::Lost);
        execute(&there, &statement(&finding, "pg_drop_replication_slot")).await;
    }
    scene.expect("it was watched").off("R3").await;
}

/// The programs of a server whose clock is set by what stands in a file: seconds ahead of this machine's clock.
struct SetClock {
    folder: tempfile::TempDir,
}

impl SetClock {
    /// `None` where libfaketime is not installed.
    fn find() -> Option<Self> {
        use std::os::unix::fs::PermissionsExt;
        let mut folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
        let library = folders.find_map(|folder| {
            let library = folder.join("faketime/libfaketime.so.1");
            library.exists().then_some(library)
        })?;
        let open = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(open.clone()).tempdir().expect("a folder");
        let real = support::binaries().dir;
        std::os::unix::fs::symlink(real.join("initdb"), folder.path().join("initdb")).expect("a link");
        let script = format!(
            "#!/bin/sh\nexport LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_RESET=1\nexec {} \"$@\"\n",
            library.display(),
            folder.path().join("clock").display(),
            real.join("postgres").display()
        );
        std::fs::write(folder.path().join("postgres"), script).expect("a file");
        std::fs::set_permissions(folder.path().join("postgres"), open).expect("a file");
        let clock = Self { folder };
        clock.set(0);
        Some(clock)
    }

    /// Sets the server's clock, at once.
    fn set(&self, seconds_ahead: i64) {
        use std::os::unix::fs::PermissionsExt;
        // A server must never read half of it.
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("clock"));
        std::fs::write(&new, format!("{seconds_ahead:+}\n")).expect("a file");
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o644)).expect("a file");
        std::fs::rename(new, file).expect("a file");
    }

    async fn source(&self) -> Cluster {
        let programs = walpilot::demo::Binaries { dir: self.folder.path().to_owned(), ..support::binaries() };
        started(Cluster::builder(&programs).setting("wal_level", "logical")).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_the_sources_clock_is_set_and_apart_from_ours() {
    let Some(clock) = SetClock::find() else { return };
    let source = clock.source().await;
    let settings = source.settings();
    // Before 15 the statistics collector, a process of its own, does not answer under the library.
    if version(&settings).await < 150_000 {
        return;
    }
    execute_each(&settings, SCHEMA).await;
    execute(&settings, SLOT).await;
    let mut scene = Scene::source(&settings).await.unhurried();
    scene.step().await;
    execute(&settings, "INSERT INTO public.t VALUES (1)").await;
    scene.step().await;
    assert!(scene.finding("V2").is_none());
    // The byte that waits is minutes old at the most, however this test is held up.
    let lag = |scene: &Scene| scene.watcher.reading().slot("s").and_then(|slot| slot.lag).expect("it is known").span();
    let alone =
        |scene: &Scene| scene.watcher.reading().slot("s").and_then(|slot| slot.inactive).expect("it is known").span();
    let half_an_hour = std::time::Duration::from_secs(1800);
    let mut told = 0;
    // The server runs on between two looks, so the step may seem a little longer or shorter.
    for (ahead, way, events) in [
        (3600, "ahead of this machine's", ["forward by 59m", "forward by 1h00m", "forward by 1h01m"]),
        (-3600, "behind this machine's", ["back by 1h59m", "back by 2h00m", "back by 2h01m"]),
    ] {
        clock.set(ahead);
        let finding = scene.on("V2").await;
        assert!(finding.evidence.contains(way) && finding.severity == Severity::Info, "{}", finding.evidence);
        let set = scene.watcher.events().iter().filter(|one| one.text.contains("The server's clock was set"));
        let texts: Vec<&str> = set.map(|event| event.text.as_str()).collect();
        told += 1;
        let said = texts.len() == told && events.iter().any(|event| texts[told - 1].contains(event));
        assert!(said, "{texts:?}");
        assert!(lag(&scene) < half_an_hour && lag(&scene) > std::time::Duration::ZERO, "{:?}", lag(&scene));
        // From 17 on the server itself says since when, by the clock that it had then.
        if version(&settings).await < 170_000 {
            assert!(alone(&scene) < half_an_hour, "{:?}", alone(&scene));
        }
        // What is written under the new clock has its age too.
        execute(&settings, "INSERT INTO public.t SELECT coalesce(max(id), 0) + 1 FROM public.t").await;
        scene.step().await;
        assert!(lag(&scene) < half_an_hour, "{:?}", lag(&scene));
    }
    clock.set(0);
    scene.off("V2").await;
    assert!(lag(&scene) < half_an_hour, "{:?}", lag(&scene));
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_and_r1_leave_a_slot_alone_that_is_polled() {
    let (_source, settings) = with_slot().await;
    let mut scene = Scene::source(&settings).await;
    // A session of its own for each poll, and a minute between two of them.
    scene.hurry = std::time::Duration::from_secs(60);
    let poll = "SELECT count(*) FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', 'publication_names', 'p')";
    for number in 0..12 {
        execute(&settings, &format!("INSERT INTO public.t VALUES ({number})")).await;
        execute(&settings, poll).await;
        scene.step().await;
        for rule in ["R8", "R1"] {
            let bad = scene.finding(rule).filter(|finding| finding.severity < Severity::Info);
            assert!(bad.is_none(), "poll {number}: {bad:?}");
        }
        let state = scene.watcher.reading().slot("s").unwrap().state;
        assert!(number < 4 || state == SlotState::Polling, "poll {number}: {state:?}");
    }
    // When nobody comes any more it is left alone like every other one.
    scene.on_as("R1", Severity::Warning).await;
    assert_eq!(scene.watcher.reading().slot("s").unwrap().state, SlotState::Detached);
    execute(&settings, poll).await;
    let _reader = reader(&settings, &[]);
    scene.off("R1").await;
}
