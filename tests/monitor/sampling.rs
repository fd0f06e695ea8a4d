//! The monitor in trouble and between two runs: rights that go, servers that fall silent, what is remembered, exact
//! counts.

use std::time::Duration;

use crate::support::{await_until, destination, execute, session, source, value};
use crate::watching::{Scene, signal, target};
use walpilot::connection::Secret;
use walpilot::monitor::count::{Drift, Fence, Patience, count};
use walpilot::monitor::lsn_clock::Confidence;
use walpilot::monitor::{Sampler, Seen, Target, Watcher};
use walpilot::profile::TableName;

const TABLE: &str = "CREATE TABLE public.t (id int PRIMARY KEY, note text)";

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_go_while_it_watches_hide_a_part_and_nothing_else() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, TABLE).await;
    execute(&settings, "CREATE PUBLICATION p FOR TABLE public.t").await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    execute(&settings, "CREATE ROLE onlooker LOGIN PASSWORD 'looks'; GRANT pg_monitor TO onlooker").await;
    let onlooker = settings.as_user("onlooker", Some(Secret::new("looks")));
    let mut scene = Scene::source(&onlooker).await;
    let seen = scene.step().await;
    assert!(seen.files.known().is_some_and(|files| files.segments > 0 && files.ready == Some(0)), "{:?}", seen.files);
    assert!(seen.context.known().is_some() && seen.publications.known().is_some(), "{seen:?}");
    assert!(scene.finding("V1").is_none());

    execute(&settings, "REVOKE pg_monitor FROM onlooker").await;
    let finding = scene.on("V1").await;
    assert!(
        finding.evidence.contains("Can't be told: why a slot is behind (R5, R6, R13, R14)"),
        "{}",
        finding.evidence
    );
    let seen = scene.step().await;
    assert_eq!(seen.files, Seen::Hidden("GRANT pg_monitor TO \"onlooker\";".to_owned()));
    assert!(seen.context.known().is_some() && seen.publications.known().is_some() && seen.tables.is_some(), "{seen:?}");
    assert!(scene.watcher.reading().slot("s").is_some_and(|slot| slot.lag.is_some()), "the lag needs no privilege");
    execute(&settings, crate::watching::statement(&finding, "GRANT").as_str()).await;
    scene.off("V1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tier_waits_for_a_lock_of_another_session() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, "CREATE TABLE public.t (id int PRIMARY KEY) PARTITION BY RANGE (id)").await;
    execute(&settings, "CREATE TABLE public.t1 PARTITION OF public.t FOR VALUES FROM (0) TO (9)").await;
    execute(&settings, "CREATE PUBLICATION p FOR ALL TABLES").await;
    let other = session(&settings).await;
    let lock = "BEGIN; LOCK TABLE public.t, public.t1 IN ACCESS EXCLUSIVE MODE; TRUNCATE public.t; ALTER TABLE public.t1 SET (fillfactor = 50)";
    other.client.batch_execute(lock).await.unwrap();
    let mut scene = Scene::of(Target { destination: Some(settings.clone()), ..target(&settings) }).await;
    let seen = scene.step().await;
    assert!(seen.context.known().is_some() && seen.publications.known().is_some() && seen.files.known().is_some());
    assert_eq!((seen.tables_unread, seen.tables.map(|tables| tables.tables.len())), (None, Some(1)));
    let Some(walpilot::monitor::destination::Destination::Reached(there)) = seen.destination else {
        panic!("{:?}", seen.destination)
    };
    assert!(there.subscriptions.known().is_some(), "{:?}", there.subscriptions);

    // Samples keep coming, each of them new in all its parts, as long as the lock is held; and nobody waits for it.
    execute(&settings, "CREATE TABLE public.free (id int)").await;
    let mut end = scene.step().await.lsn;
    for number in 0..15 {
        execute(&settings, &format!("INSERT INTO public.free VALUES ({number})")).await;
        let seen = scene.step().await;
        assert!(seen.lsn > end, "sample {number}: {:?} after {end:?}", seen.lsn);
        end = seen.lsn;
        let read =
            seen.context.known().is_some() && seen.files.known().is_some() && seen.publications.known().is_some();
        assert!(read && seen.tables_unread.is_none(), "sample {number}: {seen:?}");
        assert_eq!(value(&settings, "SELECT count(*) FROM pg_locks WHERE NOT granted").await, "0");
    }
    assert_ne!(
        value(&settings, "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted").await,
        "0"
    );
    other.client.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_whose_catalog_is_locked_gives_up_by_its_own_time_limit() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, TABLE).await;
    execute(&settings, "CREATE PUBLICATION p FOR TABLE public.t").await;
    execute(&settings, "CREATE TABLE public.free (id int)").await;
    let mut scene = Scene::of(target(&settings)).await;
    scene.step().await;
    // As VACUUM FULL does.
    let other = session(&settings).await;
    other
        .client
        .batch_execute("BEGIN; LOCK TABLE pg_catalog.pg_publication_rel IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut end = scene.watcher.sample().unwrap().lsn;
    for _ in 0..3 {
        execute(&settings, "INSERT INTO public.free VALUES (1)").await;
        let seen = scene.step().await;
        assert!(seen.lsn > end, "{:?} after {end:?}", seen.lsn);
        end = seen.lsn;
        let Seen::Failed(reason) = &seen.publications else { panic!("{:?}", seen.publications) };
        assert!(reason.contains("lock timeout"), "{reason}");
        assert!(seen.tables_unread.as_ref().is_some_and(|reason| reason.contains("lock timeout")), "{seen:?}");
        assert!(seen.context.known().is_some() && seen.files.known().is_some(), "{seen:?}");
    }
    other.client.batch_execute("ROLLBACK").await.unwrap();
    let seen = scene.step().await;
    assert!(seen.publications.known().is_some() && seen.tables.is_some(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_not_counted_yet_is_not_told_as_no_change() {
    let source = source().await;
    let settings = source.settings();
    let told_while_idle = value(&settings, "SHOW server_version_num").await.parse::<u32>().unwrap() >= 150_000;
    execute(&settings, TABLE).await;
    execute(&settings, "CREATE TABLE public.u (id int)").await;
    execute(&settings, "CREATE PUBLICATION p FOR TABLE public.t, public.u").await;
    let mut scene = Scene::of(target(&settings)).await.unhurried();
    scene.step().await;
    let table = TableName::new("public", "t");
    let mut writer = Some(session(&settings).await);
    let (mut committed, mut trailed) = (0, false);
    // Two commits of one session within half a second: from 15 on the second one is told of after ten seconds, before that
    // by the session's next statement.
    await_until("a zero that is none", async || {
        committed += 1;
        let client = &writer.as_ref().expect("it is there").client;
        client.batch_execute("INSERT INTO public.u VALUES (1)").await.unwrap();
        client.batch_execute(&format!("INSERT INTO public.t (id) VALUES ({committed})")).await.unwrap();
        let seen = scene.step().await;
        let counted = seen.tables.as_ref().and_then(|tables| tables.find(&table)).expect("it is there").inserts;
        let history = scene.watcher.history();
        if counted < committed {
            assert!(history.counters_trail(), "{counted} of {committed} are counted and nothing is said of the rest");
            trailed |= history.table_rates(&table).is_some_and(|rates| rates.inserts == 0.0);
        }
        trailed
    })
    .await;
    assert!(walpilot::monitor::report::Report::of(&scene.watcher).unwrap().counters_trail);
    // Then it is idle: ten seconds later everything is counted, and a zero is a fact.
    if !told_while_idle {
        drop(writer.take());
    }
    scene
        .until("all is counted", |scene| {
            let tables = scene.watcher.sample().unwrap().tables.clone().expect("the tables");
            let counted = tables.find(&table).expect("it is there").inserts;
            let trail = scene.watcher.history().counters_trail();
            assert!(counted == committed || trail, "{counted} of {committed}");
            counted == committed && !trail
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answering_is_an_error_in_a_sentence() {
    let source = source().await;
    let settings = source.settings();
    let mut sampler = Sampler::connect(Target { source: settings.clone(), ..Target::default() }).await.unwrap();
    sampler.sample().await.unwrap();
    let pid = "SELECT pid FROM pg_stat_activity WHERE application_name = 'walpilot' AND pid <> pg_backend_pid() ORDER BY backend_start LIMIT 1";
    let backend: u32 = value(&settings, pid).await.parse().unwrap();
    signal("-STOP", backend);
    let reason = sampler.sample().await.expect_err("nobody answers");
    signal("-CONT", backend);
    assert!(reason.contains("has not answered for 8 s"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_run_knows_when_the_log_was_written_before_it_came() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, TABLE).await;
    // Segments before the slot and after it: their times tell of both.
    let switch = "SELECT txid_current(), pg_logical_emit_message(false, 'x', repeat('x', 100000)), pg_switch_wal()";
    execute(&settings, switch).await;
    execute(&settings, switch).await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    for _ in 0..3 {
        execute(&settings, switch).await;
    }
    let lag = |watcher: &Watcher| watcher.reading().slot("s").unwrap().lag.unwrap();
    let first = async |target: &Target| {
        let mut sampler = Sampler::connect(target.clone()).await.unwrap();
        let mut watcher = Watcher::default();
        watcher.push(sampler.sample().await.unwrap());
        (sampler, watcher)
    };
    let (_, watcher) = first(&target(&settings)).await;
    assert_eq!(lag(&watcher).confidence, Confidence::Coarse, "by the times of the files: {:?}", lag(&watcher));

    // A role that may not list files has only its own past.
    execute(&settings, "CREATE ROLE plain LOGIN PASSWORD 'looks'").await;
    let state = tempfile::tempdir().unwrap();
    let memory = Some(state.path().join("log-times"));
    let plain = Target { memory, ..target(&settings.as_user("plain", Some(Secret::new("looks")))) };
    let (mut sampler, watcher) = first(&plain).await;
    assert_eq!(lag(&watcher).confidence, Confidence::AtLeast);
    let began = tokio::time::Instant::now();
    execute(&settings, "SELECT pg_replication_slot_advance('s', pg_current_wal_lsn())").await;
    sampler.sample().await.unwrap();
    execute(&settings, switch).await;
    sampler.sample().await.unwrap();
    drop(sampler);
    let (_, watcher) = first(&plain).await;
    assert_ne!(lag(&watcher).confidence, Confidence::AtLeast, "{:?}", lag(&watcher));
    assert!(lag(&watcher).span() <= began.elapsed(), "{:?}", lag(&watcher));
    assert!(watcher.sample().unwrap().before.len() >= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn exact_counts_tell_drift_from_movement() {
    let (source, other) = (source().await, destination().await);
    let (from, to) = (source.settings(), other.settings());
    execute(&from, TABLE).await;
    execute(&from, "INSERT INTO public.t SELECT g FROM generate_series(1, 500) g").await;
    execute(&from, "CREATE PUBLICATION p FOR TABLE public.t").await;
    execute(&to, TABLE).await;
    let table = TableName::new("public", "t");
    let patience = Patience { count: Duration::from_secs(30), fence: Duration::from_secs(60) };
    let target = Target { destination: Some(to.clone()), ..target(&from) };

    // Nothing tells where the destination is.
    let unfenced = count(&target, &table, patience).await.unwrap();
    assert_eq!((unfenced.source, unfenced.destination, &unfenced.fence), (500, Some(0), &Fence::None));
    assert!(matches!(unfenced.drift, Drift::Unknown(_)) && !unfenced.drift.is_certain());

    let password = from.password.as_ref().map_or("", Secret::reveal);
    let conninfo = format!(
        "host={} port={} user={} dbname={} password={password}",
        from.host, from.port, from.user, from.database
    );
    execute(&to, &format!("CREATE SUBSCRIPTION s CONNECTION '{conninfo}' PUBLICATION p")).await;
    let ready = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
    await_until("the copy is done", async || value(&to, ready).await == "0").await;
    let equal = count(&target, &table, patience).await.unwrap();
    assert_eq!((equal.source, equal.destination, &equal.drift), (500, Some(500), &Drift::Exact(0)), "{equal:?}");
    assert!(matches!(equal.fence, Fence::Confirmed(by) if by >= equal.position), "{equal:?}");
    execute(&to, "DELETE FROM public.t WHERE id <= 3").await;
    let drifted = count(&target, &table, patience).await.unwrap();
    assert_eq!(drifted.drift, Drift::Exact(3), "{drifted:?}");
    assert!(drifted.drift.is_certain());

    // While somebody writes, three rows are within the movement, or known to within it.
    let writing = from.clone();
    let writer = tokio::spawn(async move {
        let session = session(&writing).await;
        for id in 1000.. {
            if session.client.execute("INSERT INTO public.t VALUES ($1)", &[&id]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    // On a busy machine the writer may stand still for the length of a count, which is exact then.
    await_until("a count meets movement", async || {
        let moving = count(&target, &table, patience).await.unwrap();
        match moving.drift {
            Drift::Within { difference, moved } => {
                assert!(moved > 0 && (difference - 3).unsigned_abs() <= moved, "{moving:?}");
                true
            }
            ref other => {
                // Before 15 nobody can tell that the writer stands still.
                assert!(matches!(other, Drift::Exact(3) | Drift::Unknown(_)), "{moving:?}");
                false
            }
        }
    })
    .await;
    writer.abort();

    // What a run writes down stands in the snapshot of the count.
    execute(
        &to,
        "CREATE SCHEMA walpilot; CREATE TABLE walpilot.checkpoint (slot text PRIMARY KEY, lsn pg_lsn NOT NULL)",
    )
    .await;
    execute(&to, "INSERT INTO walpilot.checkpoint VALUES ('s', 'FFFF/0')").await;
    let _ = writer.await;
    let of_run = count(&target, &table, patience).await.unwrap();
    assert_eq!(of_run.fence, Fence::Checkpoint("FFFF/0".parse().unwrap()));
    execute(&to, "DROP SUBSCRIPTION s").await;
    assert!(
        count(&target, &TableName::new("public", "no table"), patience)
            .await
            .unwrap_err()
            .contains("There is no table")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_has_as_many_tables_as_the_server_lists() {
    let source = source().await;
    let settings = source.settings();
    let in_schema = value(&settings, "SELECT current_setting('server_version_num')::int >= 150000").await == "t";
    let mut script = "CREATE SCHEMA more; CREATE TABLE more.a (id int PRIMARY KEY); CREATE TABLE more.b (id int);
        CREATE TABLE public.parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE more.part_1 PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
        CREATE TABLE more.part_2 PARTITION OF public.parted FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
        CREATE TABLE more.part_2a PARTITION OF more.part_2 FOR VALUES FROM (10) TO (20);
        CREATE UNLOGGED TABLE public.unlogged (id int);
        CREATE PUBLICATION nothing; CREATE PUBLICATION everything FOR ALL TABLES;
        CREATE PUBLICATION roots FOR ALL TABLES WITH (publish_via_partition_root);
        CREATE PUBLICATION one FOR TABLE more.b WITH (publish = 'insert');
        CREATE PUBLICATION parts FOR TABLE public.parted, more.a;
        CREATE PUBLICATION mixed FOR TABLE public.parted, more.part_1, more.a WITH (publish_via_partition_root);
        CREATE PUBLICATION below FOR TABLE more.part_2, more.part_2a, more.part_1 WITH (publish_via_partition_root);"
        .to_owned();
    if in_schema {
        script.push_str("CREATE PUBLICATION schema_wise FOR TABLES IN SCHEMA more;");
        script.push_str("CREATE PUBLICATION schema_root FOR TABLES IN SCHEMA more, TABLE public.parted WITH (publish_via_partition_root);");
    }
    for statement in script.split_inclusive(';') {
        execute(&settings, statement).await;
    }
    let listed = value(
        &settings,
        "SELECT string_agg(p.pubname || ' ' || (SELECT count(*) FROM pg_publication_tables t WHERE t.pubname = p.pubname),
         ', ' ORDER BY p.pubname COLLATE \"C\") FROM pg_publication p",
    )
    .await;
    let mut scene = Scene::source(&settings).await;
    let sample = scene.step().await;
    let mut counted: Vec<(&str, u64)> = sample
        .publications
        .known()
        .expect("they can be read")
        .publications
        .iter()
        .map(|publication| (publication.name.as_str(), publication.tables.expect("counted")))
        .collect();
    counted.sort_unstable();
    let counted: Vec<String> = counted.iter().map(|(name, tables)| format!("{name} {tables}")).collect();
    assert_eq!(counted.join(", "), listed);
}
