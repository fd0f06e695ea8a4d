//! Watching real servers: a slot's life as the sampler and `walpilot watch` see it.

use std::process::Stdio;

use crate::support::program::uri;
use crate::support::{await_until, destination, execute, session, short_of_log, source, value, walpilot};
use crate::watching::target;
use walpilot::catalog::Lsn;
use walpilot::connection::{Secret, Settings};
use walpilot::demo::Cluster;
use walpilot::monitor::destination::{Destination, RunState};
use walpilot::monitor::report::{Report, TableLine, known_run, table_lines};
use walpilot::monitor::slot::WalStatus;
use walpilot::monitor::state::SlotState;
use walpilot::monitor::{Moment, Sample, Sampler, Target, Watcher};
use walpilot::profile::TableName;

const SCHEMA: &str = "SET search_path = public; CREATE TABLE orders (id int PRIMARY KEY, note text);
    CREATE TABLE events (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100);
    CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (100) TO (200);
    CREATE TABLE ignored (id int PRIMARY KEY);
    CREATE PUBLICATION p FOR TABLE orders, events WITH (publish_via_partition_root);";

async fn sampler(target: Target) -> Sampler {
    let mut sampler = Sampler::connect(target).await.unwrap_or_else(|failure| panic!("{failure}"));
    sampler.settle().await;
    sampler
}

async fn sample(sampler: &mut Sampler) -> Sample {
    sampler.sample().await.unwrap_or_else(|reason| panic!("{reason}"))
}

/// Samples until the slot is in `state`.
async fn until(sampler: &mut Sampler, watcher: &mut Watcher, state: SlotState) {
    await_until(state.name(), async || {
        watcher.push(sample(sampler).await);
        watcher.reading().slot("s").is_some_and(|slot| slot.state == state)
    })
    .await;
}

fn rules(watcher: &Watcher) -> Vec<&'static str> {
    watcher.diagnosis().findings().iter().map(|finding| finding.rule).collect()
}

/// Waits until the server has counted so many inserts. Up to 14 they arrive some time after the commit, and what arrives
/// after an ANALYZE counts as written after it.
async fn counted(settings: &Settings, inserts: u32) {
    let sum = "SELECT coalesce(sum(n_tup_ins), 0) FROM pg_stat_user_tables";
    await_until("inserts are counted", async || value(settings, sum).await == inserts.to_string()).await;
}

/// A role that may do nothing but log in.
async fn plain_role(cluster: &Cluster) -> Settings {
    execute(&cluster.settings(), "CREATE ROLE plain LOGIN PASSWORD 'only looking'").await;
    cluster.settings().as_user("plain", Some(Secret::new("only looking")))
}

/// Reads slot `s` as an ordinary consumer does, and confirms; ends when it is dropped.
fn consumer(source: &Settings) -> tokio::process::Child {
    let mut command = tokio::process::Command::new("pg_recvlogical");
    command
        .args(["--start", "--slot=s", "--no-loop", "--status-interval=1", "--fsync-interval=1", "--file=/dev/null"])
        .args(["-o", "proto_version=1", "-o", "publication_names=p", "-d", &source.database, "-h", &source.host])
        .args(["-p", &source.port.to_string(), "-U", &source.user])
        .env("PGPASSWORD", source.password.as_ref().map_or("", Secret::reveal))
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().expect("pg_recvlogical comes with psql")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_streams_is_left_alone_and_is_lost() {
    let source = short_of_log().await;
    let settings = source.settings();
    execute(&settings, SCHEMA).await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let mut sampler = sampler(target(&settings)).await;
    let mut watcher = Watcher::default();

    let mut reader = consumer(&settings);
    await_until("the slot is read", async || {
        watcher.push(sample(&mut sampler).await);
        watcher.reading().slot("s").is_some_and(|slot| slot.state.is_good())
    })
    .await;
    let before: Lsn = value(&settings, "SELECT pg_current_wal_lsn()").await.parse().unwrap();
    execute(&settings, "INSERT INTO public.orders SELECT g, 'x' FROM generate_series(1, 1000) g").await;
    await_until("the consumer has confirmed", async || {
        watcher.push(sample(&mut sampler).await);
        watcher.sample().unwrap().slots[0].confirmed_flush_lsn > Some(before)
    })
    .await;
    let seen = watcher.sample().unwrap().slots[0].consumer.clone().expect("a consumer");
    assert_eq!(seen.backend_type.as_deref(), Some("walsender"));
    assert!(seen.sent_lsn > Some(before) && seen.reply_time.is_some(), "{seen:?}");

    reader.kill().await.unwrap();
    until(&mut sampler, &mut watcher, SlotState::Detached).await;
    assert!(rules(&watcher).contains(&"R1"), "{:?}", watcher.diagnosis().findings());
    let alone: Lsn = watcher.sample().unwrap().lsn.unwrap();
    execute(&settings, "INSERT INTO public.orders SELECT g, repeat('x', 100) FROM generate_series(2000, 5000) g").await;
    await_until("its lag grows in bytes and in time", async || {
        watcher.push(sample(&mut sampler).await);
        let slot = watcher.reading().slot("s").unwrap();
        slot.lag_bytes > Some(100_000) && slot.lag.is_some_and(|age| age.millis > 0)
    })
    .await;
    assert!(watcher.sample().unwrap().lsn > Some(alone));

    // More than the limit, segment by segment; the slot is in danger before a checkpoint makes it final.
    for _ in 0..4 {
        execute(&settings, "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000)), pg_switch_wal()").await;
    }
    watcher.push(sample(&mut sampler).await);
    let state = watcher.reading().slot("s").unwrap().state;
    assert!(matches!(state, SlotState::Doomed | SlotState::Lost), "{state:?}");
    if watcher.sample().unwrap().slots[0].wal_status == Some(WalStatus::Unreserved) {
        assert_eq!(rules(&watcher)[0], "R2");
        // The proposed statement revives it at once.
        let finding = &watcher.diagnosis().findings()[0];
        let sql = finding.actions[0].sql.clone().expect("a statement");
        for statement in sql.split_inclusive(';') {
            execute(&settings, statement).await;
        }
        await_until("the slot is reserved again", async || {
            sample(&mut sampler).await.slots[0].wal_status == Some(WalStatus::Reserved)
        })
        .await;
        execute(&settings, "ALTER SYSTEM RESET max_slot_wal_keep_size").await;
        execute(&settings, "SELECT pg_reload_conf()").await;
    }
    await_until("the slot is lost", async || {
        execute(&settings, "CHECKPOINT").await;
        watcher.push(sample(&mut sampler).await);
        watcher.reading().slot("s").unwrap().state == SlotState::Lost
    })
    .await;
    let finding = &watcher.diagnosis().findings()[0];
    assert_eq!(finding.rule, "R3");
    assert_eq!(watcher.reading().slot("s").unwrap().retained_bytes, None, "a lost slot holds nothing");
    let sql = finding.actions[0].sql.clone().expect("a statement");
    execute(&settings, &sql).await;
    watcher.push(sample(&mut sampler).await);
    assert!(watcher.reading().slots.is_empty() && !rules(&watcher).contains(&"R3"));
    let events: Vec<&str> = watcher.events().iter().map(|event| event.text.as_str()).collect();
    assert!(events.contains(&"Slot s was dropped."), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_privileges_sees_the_lag_and_is_told_what_is_hidden() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, SCHEMA).await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let _reader = consumer(&settings);
    let plain = plain_role(&source).await;
    let mut sampler = sampler(target(&plain)).await;
    let mut watcher = Watcher::default();
    await_until("the slot is read", async || {
        watcher.push(sample(&mut sampler).await);
        watcher.sample().unwrap().slots[0].active
    })
    .await;
    let seen = watcher.sample().unwrap();
    let reader = seen.slots[0].consumer.clone().expect("a consumer");
    assert!(reader.pid > 0 && reader.user.as_deref() == Some(settings.user.as_str()), "{reader:?}");
    assert_eq!((reader.sent_lsn, reader.reply_time, reader.wait, reader.state), (None, None, None, None));
    assert_eq!(seen.walsenders, 1, "walsenders can be counted");
    let numbers = watcher.reading().slot("s").unwrap();
    assert!(numbers.lag_bytes.is_some() && numbers.unsent_bytes.is_none());
    assert!(rules(&watcher).contains(&"V1"));

    let output = walpilot(["watch", &uri(&plain), "--once", "--slot", "s", "--publication", "p"])
        .password(&plain)
        .run()
        .await
        .expect_code(0);
    assert!(output.stdout.contains("GRANT pg_monitor TO \"plain\";"), "{}", output.stdout);
    // Its statement opens the rest.
    execute(&settings, "GRANT pg_monitor TO \"plain\";").await;
    let output =
        walpilot(["watch", &uri(&plain), "--once", "--format", "json"]).password(&plain).run().await.expect_code(0);
    let report: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert!(report["slots"][0]["slot"]["consumer"]["sent_lsn"].is_string(), "{report:#}");
    assert_eq!(report["source"]["unseen"].as_array().map(Vec::len), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_stand_at_both_sides_with_partitions_added_up() {
    let (source, other) = (source().await, destination().await);
    let (from, to) = (source.settings(), other.settings());
    execute(&from, SCHEMA).await;
    execute(&from, "INSERT INTO public.orders SELECT g, 'x' FROM generate_series(1, 700) g").await;
    execute(&from, "INSERT INTO public.events SELECT g, g % 200 FROM generate_series(1, 400) g").await;
    counted(&from, 1100).await;
    execute(&from, "ANALYZE").await;
    execute(&to, "CREATE TABLE public.events (id int, at int); INSERT INTO public.events SELECT g, g FROM generate_series(1, 150) g")
        .await;
    counted(&to, 150).await;
    execute(&to, "ANALYZE").await;
    let plain = Target { destination: Some(to.clone()), ..target(&from) };
    let mut sampler = sampler(plain).await;
    let mut watcher = Watcher::default();
    watcher.push(sample(&mut sampler).await);
    let lines = table_lines(&watcher);
    let known =
        |line: &TableLine| (line.table.name.clone(), line.source_rows, line.destination_rows, line.at_destination);
    assert_eq!(
        lines.iter().map(known).collect::<Vec<_>>(),
        [("events".to_owned(), Some(400), Some(150), Some(true)), ("orders".to_owned(), Some(700), None, Some(false)),],
        "the published tables only, and a missing one is no empty one"
    );

    execute(&to, include_str!("../fixtures/run.sql")).await;
    execute(&to, "UPDATE walpilot.progress SET updated_at = now() - interval '1 minute'").await;
    watcher.push(sample(&mut sampler).await);
    let run = known_run(&watcher).expect("the run").clone();
    assert_eq!((run.checkpoint, run.slot.as_str()), (Some("0/15D4A30".parse().unwrap()), "s"));
    assert_eq!(run.account.as_ref().map(|account| (account.changes, account.pid)), Some((12, Some(42))));
    let line = table_lines(&watcher).into_iter().find(|line| line.table == TableName::new("public", "events")).unwrap();
    assert_eq!(
        (line.rows_copied, line.changes_applied, line.phase.as_deref()),
        (Some(150), Some(10), Some("streaming"))
    );
    // A run that is silent for a minute is gone, and its checkpoint is of another cluster.
    assert!(rules(&watcher).contains(&"D2") && rules(&watcher).contains(&"D4"), "{:?}", rules(&watcher));
    execute(&to, "UPDATE walpilot.progress SET updated_at = now() + interval '1 hour'").await;
    watcher.push(sample(&mut sampler).await);
    assert!(!rules(&watcher).contains(&"D2"), "{:?}", rules(&watcher));

    // A role at the destination that may not look.
    let blind = plain_role(&other).await;
    let mut sampler = self::sampler(Target { destination: Some(blind), ..target(&from) }).await;
    match sample(&mut sampler).await.destination {
        Some(Destination::Reached(reached)) => assert!(matches!(reached.run, RunState::Hidden(_)), "{:?}", reached.run),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_away_is_told_and_comes_back() {
    let (source, mut other) = (source().await, destination().await);
    let from = source.settings();
    execute(&from, SCHEMA).await;
    let mut sampler = sampler(Target { destination: Some(other.settings()), ..target(&from) }).await;
    let mut watcher = Watcher::default();
    watcher.push(sample(&mut sampler).await);
    assert!(matches!(watcher.sample().unwrap().destination, Some(Destination::Reached(_))));
    other.stop_immediate().await.unwrap();
    watcher.push(sample(&mut sampler).await);
    assert!(rules(&watcher).contains(&"D1"), "{:?}", watcher.sample().unwrap().destination);
    other.start_again().await.unwrap();
    await_until("the destination is seen again", async || {
        watcher.push(sample(&mut sampler).await);
        !rules(&watcher).contains(&"D1")
            && matches!(watcher.sample().unwrap().destination, Some(Destination::Reached(_)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_stops_is_an_error_and_its_restart_an_event() {
    let mut source = source().await;
    let settings = source.settings();
    execute(&settings, SCHEMA).await;
    let mut first = sampler(target(&settings)).await;
    let mut watcher = Watcher::default();
    watcher.push(sample(&mut first).await);
    source.stop_immediate().await.unwrap();
    let reason = first.sample().await.expect_err("the server is stopped");
    assert!(reason.contains("was lost") && reason.ends_with('.'), "{reason}");
    assert!(Sampler::connect(target(&settings)).await.is_err());
    source.start_again().await.unwrap();
    let mut second = sampler(target(&settings)).await;
    let events = watcher.push(sample(&mut second).await);
    assert!(events.iter().any(|event| event.text.starts_with("The server was restarted at")), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lock_of_another_session_stops_the_samples() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, SCHEMA).await;
    let other = session(&settings).await;
    other
        .client
        .batch_execute("SET search_path = public; BEGIN; LOCK TABLE orders, events, events_1, ignored IN ACCESS EXCLUSIVE MODE; TRUNCATE orders")
        .await
        .unwrap();
    for publication in [Some("p".to_owned()), None] {
        let mut sampler = sampler(Target { publication, ..target(&settings) }).await;
        let tables = sample(&mut sampler).await.tables.expect("the tables");
        assert!(tables.find(&TableName::new("public", "orders")).is_some(), "{tables:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_cannot_be_made_yet_names_the_transaction_in_its_way() {
    let source = source().await;
    let settings = source.settings();
    let holder = session(&settings).await;
    holder.client.batch_execute("BEGIN; CREATE TABLE public.held (id int)").await.unwrap();
    let pid: i32 = holder.client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let maker = session(&settings).await;
    let making = tokio::spawn(async move {
        maker.client.batch_execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await
    });
    let mut sampler = sampler(target(&settings)).await;
    let mut watcher = Watcher::default();
    until(&mut sampler, &mut watcher, SlotState::Creating).await;
    await_until("the blocker is known", async || {
        watcher.push(sample(&mut sampler).await);
        watcher.diagnosis().findings().iter().any(|finding| {
            finding.rule == "R15" && finding.actions[0].sql == Some(format!("SELECT pg_terminate_backend({pid});"))
        })
    })
    .await;
    assert_eq!(watcher.reading().slot("s").unwrap().lag_bytes, None, "unknown is not zero");
    holder.client.batch_execute("COMMIT").await.unwrap();
    making.await.unwrap().unwrap();
    until(&mut sampler, &mut watcher, SlotState::Detached).await;
    assert!(!rules(&watcher).contains(&"R15"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_report_says_what_does_not_exist() {
    let source = source().await;
    let settings = source.settings();
    let output = walpilot(["watch", &uri(&settings), "--once", "--slot", "nobody", "--publication", "nothing"])
        .password(&settings)
        .run()
        .await
        .expect_code(0);
    assert!(output.stderr.contains("There is no slot \"nobody\""), "{}", output.stderr);
    assert!(output.stderr.contains("There is no publication \"nothing\""), "{}", output.stderr);
    assert!(output.stdout.contains("No replication slots."), "{}", output.stdout);
    let gone = walpilot(["watch", "postgres://nobody@127.0.0.1:1/x", "--once"]).run().await.expect_code(3);
    assert_eq!(gone.stdout, "");
    let odd = walpilot(["watch", &uri(&settings), "--interval", "never"]).run().await.expect_code(2);
    assert!(odd.stderr.contains("like 5s or 1m"), "{}", odd.stderr);
    // Without a terminal there is no dashboard.
    let piped = walpilot(["watch", &uri(&settings)]).password(&settings).run().await.expect_code(2);
    assert!(piped.stderr.contains("--once") && piped.stderr.contains("--interval"), "{}", piped.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_look_knows_what_the_first_one_saw() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, SCHEMA).await;
    for name in ["s", "dropped", "old", "remade"] {
        execute(&settings, &format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")).await;
    }
    execute(&settings, "INSERT INTO public.orders VALUES (1, 'x')").await;
    execute(&settings, "SELECT pg_replication_slot_advance('remade', pg_current_wal_lsn())").await;
    // A role without any privilege, which sees no WAL files: all that it knows of the past is its own.
    let plain = plain_role(&source).await;
    let home = tempfile::tempdir().expect("a folder");
    let look = async || -> serde_json::Value {
        let home = home.path().to_string_lossy().into_owned();
        let said = walpilot(["watch", &uri(&plain), "--once", "--format", "json"]).password(&plain).env("HOME", &home);
        serde_json::from_str(&said.run().await.expect_code(0).stdout).expect("JSON")
    };
    let slot = |report: &serde_json::Value, name: &str| -> serde_json::Value {
        let slots = report["slots"].as_array().expect("slots");
        slots.iter().find(|one| one["slot"]["name"] == name).unwrap_or_else(|| panic!("{report}"))["reading"].clone()
    };
    let at = |report: &serde_json::Value| report["at"].as_str().expect("a time").parse::<Moment>().expect("a time");
    let said = |report: &serde_json::Value, rule: &str| -> Vec<String> {
        let findings = report["findings"].as_array().expect("findings").iter().filter(|one| one["rule"] == rule);
        findings.map(|one| format!("{}: {}", one["object"].as_str().unwrap_or("?"), one["evidence"])).collect()
    };
    // What the server writes by itself may come between the slot's position and the first look.
    let mut first = serde_json::Value::Null;
    await_until("the look begins where the slot stands", async || {
        execute(&settings, "SELECT pg_replication_slot_advance('s', pg_current_wal_lsn())").await;
        first = look().await;
        slot(&first, "s")["lag"]["confidence"] != "at_least"
    })
    .await;
    assert_eq!(slot(&first, "old")["lag"]["confidence"], "at_least", "{first}");
    assert!(said(&first, "R18").is_empty() && said(&first, "R22").is_empty(), "{first}");

    execute(&settings, "INSERT INTO public.orders SELECT g, repeat('x', 100) FROM generate_series(2, 2000) g").await;
    execute(&settings, "SELECT pg_drop_replication_slot('dropped'), pg_drop_replication_slot('remade')").await;
    execute(&settings, "SELECT pg_copy_logical_replication_slot('old', 'remade')").await;
    let second = look().await;
    let between = at(&second).since(at(&first)).as_millis();
    assert!(between > 0);
    // When the byte after its position was written: between the two looks.
    let lag = &slot(&second, "s")["lag"];
    assert!(
        lag["confidence"] != "at_least" && u128::from(lag["millis"].as_u64().unwrap()) <= between + 60_000,
        "{lag}"
    );
    // Since when nobody reads it: at least since the first look.
    let alone = &slot(&second, "s")["inactive"];
    assert!(u128::from(alone["millis"].as_u64().unwrap()) >= between, "{alone} {between}");
    let gone = said(&second, "R18");
    assert!(gone.len() == 1 && gone[0].starts_with("dropped: ") && gone[0].contains("somebody dropped it"), "{gone:?}");
    let back = said(&second, "R22");
    assert!(back.len() == 1 && back[0].starts_with("remade: "), "{back:?}");
    // What went back was told, what is gone is told for an hour.
    let third = look().await;
    assert_eq!((said(&third, "R18").len(), said(&third, "R22").len()), (1, 0), "{third}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_lines_ends_with_ctrl_c() {
    use tokio::io::AsyncBufReadExt;
    let source = source().await;
    let settings = source.settings();
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let stream = walpilot(["watch", &uri(&settings), "--interval", "500ms", "--format", "json"]).password(&settings);
    let (mut child, _home) = stream.spawn();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next_line().await.unwrap().expect("a line");
        let report: serde_json::Value = serde_json::from_str(&line).expect("JSON on one line");
        assert_eq!(report["slots"][0]["reading"]["state"], "detached");
    }
    let pid = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_stand_in_the_text_and_their_changes_in_the_stream() {
    use tokio::io::AsyncBufReadExt;
    let source = source().await;
    let settings = source.settings();
    execute(&settings, SCHEMA).await;
    execute(&settings, "INSERT INTO public.orders SELECT g, 'x' FROM generate_series(1, 1700) g").await;
    counted(&settings, 1700).await;
    execute(&settings, "ANALYZE").await;
    let once = walpilot(["watch", &uri(&settings), "--once", "--publication", "p"]).password(&settings);
    let text = once.run().await.expect_code(0).stdout;
    let row = text.lines().find(|line| line.starts_with("public.orders")).unwrap_or_else(|| panic!("{text}"));
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["public.orders", "1,700", "?"], "{text}");
    assert!(text.contains("need two readings of the counters"), "{text}");
    assert!(!text.contains("DESTINATION"), "there is none: {text}");
    let stream = walpilot(["watch", &uri(&settings), "--interval", "1s", "--publication", "p"]).password(&settings);
    let (mut child, _home) = stream.spawn();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    await_until("changes in the stream", async || {
        execute(&settings, "UPDATE public.orders SET note = 'y' WHERE id <= 100").await;
        let line = lines.next_line().await.unwrap().expect("a line");
        line.contains(" changes/s, most in public.orders")
    })
    .await;
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_from_the_server_cannot_act_on_the_terminal() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, "CREATE TABLE public.\"a\u{1b}[2J\u{202e}b\" (id int PRIMARY KEY)").await;
    let output = walpilot(["watch", &uri(&settings), "--once"]).password(&settings).run().await.expect_code(0);
    assert!(output.stdout.contains("a\\u{1b}[2J\\u{202e}b"), "{}", output.stdout);
    assert!(!output.stdout.contains('\u{1b}'), "{}", output.stdout);
    let mut sampler = sampler(Target { publication: None, ..target(&settings) }).await;
    let mut watcher = Watcher::default();
    watcher.push(sample(&mut sampler).await);
    assert!(Report::of(&watcher).is_some());
}
