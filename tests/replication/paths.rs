//! `walpilot run` off the main road: TLS, publications that hold a part, roles with few rights, destinations that can't
//! be written, and how a run ends.

use std::process::Stdio;

use crate::replicating::{Pair, execute, query, value};
use crate::support::program::{Walpilot, uri, walpilot};
use crate::support::{await_until, certificates, destination, session, source, source_builder, started};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use walpilot::connection::{Secret, Settings, SslMode};
use walpilot::monitor::{Sampler, Target, Watcher};

const PUBLICATION: &str = "CREATE PUBLICATION walpilot_publication FOR ALL TABLES";

/// `walpilot run` between any two, as these users.
fn run_between(from: &Settings, to: &Settings, more: &[&str]) -> Walpilot {
    let word = |settings: &Settings| settings.password.as_ref().map_or("", Secret::reveal).to_owned();
    let (from_uri, to_uri) = (uri(from), uri(to));
    let mut args = vec!["run", "--from", &from_uri, "--to", &to_uri];
    args.extend(more);
    walpilot(args).env("PGPASSWORD", &word(from)).env("WALPILOT_TO_PASSWORD", &word(to))
}

#[tokio::test]
async fn the_stream_is_encrypted_where_the_user_wants_it() {
    let certificate = certificates::self_signed("somebody.else");
    let builder = source_builder().tls(&certificate.certificate, &certificate.key);
    let pair =
        Pair { source: started(builder.hba("hostnossl all all all reject")).await, destination: destination().await };
    execute(&pair.from(), "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, repeat('x', 100000))")
        .await;
    execute(&pair.from(), PUBLICATION).await;
    let with = |ssl_mode| Settings { ssl_mode, ..pair.from() };
    let outcome = run_between(&with(SslMode::Disable), &pair.to(), &["--until-caught-up"]).run().await.expect_code(3);
    assert!(outcome.stderr.starts_with("walpilot: source: "), "{}", outcome.stderr);

    let (mut child, _home) = run_between(&with(SslMode::Require), &pair.to(), &[]).spawn();
    let encrypted = "SELECT count(*) FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) WHERE ssl";
    await_until("an encrypted stream", async || value(&pair.from(), encrypted).await == "1").await;
    execute(&pair.from(), "INSERT INTO t SELECT i, repeat('y', 1000) FROM generate_series(2, 5000) i").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn partitions_that_are_published_by_themselves_arrive_by_themselves() {
    let pair = Pair { source: source().await, destination: destination().await };
    let schema = "CREATE TABLE parts (id int, r text, v int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
        CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a');
        CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');";
    execute(&pair.from(), schema).await;
    execute(&pair.from(), "INSERT INTO parts SELECT i, chr(97 + i % 2), i FROM generate_series(1, 50) i").await;
    execute(&pair.from(), PUBLICATION).await;
    // Once into tables that walpilot makes, once into the same partitions.
    execute(&pair.to(), "CREATE DATABASE twin").await;
    let twin = Settings { database: "twin".to_owned(), ..pair.to() };
    execute(&twin, schema).await;
    let changes = "UPDATE parts SET r = 'a' WHERE id % 5 = 1; UPDATE parts SET v = v + 1; DELETE FROM parts WHERE id = 7;
        INSERT INTO parts VALUES (100, 'a', 1), (100, 'b', 2); TRUNCATE parts_b; INSERT INTO parts VALUES (101, 'b', 3)";
    let both = "SELECT 'a', t::text FROM parts_a t UNION ALL SELECT 'b', t::text FROM parts_b t ORDER BY 1, 2";
    for round in 0..2 {
        for (to, slot) in [(pair.to(), "one"), (twin.clone(), "two")] {
            pair.command_to(&to, &["--until-caught-up", "--slot", slot]).run().await.expect_code(0);
            assert_eq!(query(&pair.from(), both).await, query(&to, both).await, "round {round}, slot {slot}");
        }
        if round == 0 {
            execute(&pair.from(), changes).await;
        }
    }
    assert_eq!(value(&pair.to(), "SELECT to_regclass('parts') IS NULL").await, "t", "the root is not published");
}

#[tokio::test]
async fn row_filters_and_column_lists_hold_in_copy_and_stream() {
    let pair = Pair { source: source().await, destination: destination().await };
    if pair.source.major() < 15 {
        return;
    }
    execute(
        &pair.from(),
        "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, hidden text, v text); ALTER TABLE t REPLICA IDENTITY FULL;
         CREATE TABLE k (id int PRIMARY KEY, hidden text NOT NULL, v text);
         INSERT INTO t SELECT i, i, 'S3NT1NEL', 'v' FROM generate_series(1, 100) i;
         INSERT INTO k SELECT i, 'S3NT1NEL', 'v' FROM generate_series(1, 100) i;
         CREATE PUBLICATION walpilot_publication FOR TABLE t WHERE (n > 50), k (id, v)",
    )
    .await;
    let same = async || {
        let filtered = "SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM t WHERE n > 50";
        let listed = "SELECT md5(string_agg(ROW(id, v)::text, ',' ORDER BY id)) FROM k";
        for sql in [filtered, listed] {
            assert_eq!(value(&pair.from(), sql).await, value(&pair.to(), sql).await, "{sql}");
        }
        assert_eq!(value(&pair.to(), "SELECT count(*) FROM t WHERE n <= 50").await, "0");
        let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'k'::regclass AND attname = 'hidden'";
        assert_eq!(value(&pair.to(), columns).await, "0", "a column that is not published stays out");
    };
    pair.catch_up().await;
    same().await;
    execute(
        &pair.from(),
        "UPDATE t SET n = 60 WHERE id = 1; UPDATE t SET n = 40 WHERE id = 99; DELETE FROM t WHERE id IN (2, 98);
         UPDATE t SET v = 'w'; INSERT INTO t VALUES (200, 1, 'x', 'x'), (201, 99, 'x', 'x');
         UPDATE k SET hidden = 'other' WHERE id = 1; UPDATE k SET v = 'w' WHERE id = 2; DELETE FROM k WHERE id = 3;
         INSERT INTO k VALUES (300, 'S3NT1NEL', NULL)",
    )
    .await;
    pair.catch_up().await;
    same().await;
}

#[tokio::test]
async fn a_role_that_can_not_silence_foreign_keys_keeps_their_order() {
    let pair = Pair::start(
        "CREATE TABLE b_parent (id int PRIMARY KEY); CREATE TABLE a_child (id int PRIMARY KEY, p int NOT NULL);
         INSERT INTO b_parent SELECT generate_series(1, 100); INSERT INTO a_child SELECT i, i FROM generate_series(1, 100) i",
    )
    .await;
    execute(&pair.to(), "CREATE ROLE writer LOGIN PASSWORD 'w'").await;
    execute(&pair.to(), "CREATE DATABASE d OWNER writer").await;
    execute(&pair.to(), "CREATE DATABASE circle OWNER writer").await;
    let to = |database: &str| Settings {
        database: database.to_owned(),
        ..pair.to().as_user("writer", Some(Secret::new("w")))
    };
    execute(
        &Settings { database: "d".into(), ..pair.to() },
        "GRANT CREATE ON SCHEMA public TO writer; SET ROLE writer; CREATE TABLE public.b_parent (id int PRIMARY KEY);
         CREATE TABLE public.a_child (id int PRIMARY KEY, p int NOT NULL REFERENCES public.b_parent)",
    )
    .await;
    let outcome = run_between(&pair.from(), &to("d"), &["--until-caught-up"]).run().await.expect_code(0);
    assert!(outcome.stdout.contains("session_replication_role"), "{}", outcome.stdout);
    execute(
        &pair.from(),
        "BEGIN; INSERT INTO b_parent VALUES (500); INSERT INTO a_child VALUES (500, 500); UPDATE a_child SET p = 500 WHERE id < 9;
            DELETE FROM b_parent WHERE id < 9; COMMIT; TRUNCATE a_child; DELETE FROM b_parent WHERE id > 90;
         INSERT INTO a_child VALUES (1, 50)",
    )
    .await;
    run_between(&pair.from(), &to("d"), &["--until-caught-up"]).run().await.expect_code(0);
    for table in ["a_child", "b_parent"] {
        let sql = format!("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {table} t");
        assert_eq!(value(&pair.from(), &sql).await, value(&to("d"), &sql).await, "{table}");
    }
    // The other way round there is no order that holds.
    execute(
        &Settings { database: "circle".into(), ..pair.to() },
        "GRANT CREATE ON SCHEMA public TO writer; SET ROLE writer; CREATE TABLE public.b_parent (id int PRIMARY KEY);
         CREATE TABLE public.a_child (id int PRIMARY KEY, p int NOT NULL REFERENCES public.b_parent);
         ALTER TABLE public.b_parent ADD FOREIGN KEY (id) REFERENCES public.a_child DEFERRABLE INITIALLY DEFERRED",
    )
    .await;
    let outcome = run_between(&pair.from(), &to("circle"), &["--slot", "circle"]).run().await.expect_code(4);
    assert!(outcome.stderr.contains("foreign key") && outcome.stderr.contains("GRANT SET ON"), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_destination_that_can_not_be_written_is_one_clear_sentence() {
    let mut pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    execute(&pair.to(), "CREATE ROLE guest LOGIN PASSWORD 'g'; REVOKE CREATE ON SCHEMA public FROM public").await;
    let refused = async |to: Settings, words: &[&str]| {
        let outcome = run_between(&pair.from(), &to, &["--until-caught-up"]).run().await.expect_code(4);
        for word in words {
            assert!(outcome.stderr.contains(word), "{word:?} is missing: {}", outcome.stderr);
        }
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{}", outcome.stderr);
    };
    let guest = pair.to().as_user("guest", Some(Secret::new("g")));
    refused(guest.clone(), &["GRANT CREATE ON DATABASE \"postgres\" TO \"guest\""]).await;
    execute(&pair.to(), "GRANT CREATE ON DATABASE postgres TO guest").await;
    refused(guest.clone(), &["public.t", "GRANT CREATE ON SCHEMA \"public\" TO \"guest\""]).await;
    execute(&pair.to(), "CREATE TABLE t (id int PRIMARY KEY)").await;
    refused(guest, &["public.t", "permission denied"]).await;

    // A standby: nothing of it can be written.
    pair.destination.stop_fast().await.expect("stops");
    std::fs::write(pair.destination.data_directory().join("standby.signal"), "").expect("written");
    pair.destination.start_again().await.expect("starts");
    let outcome = pair.command(&[]).run().await.expect_code(4);
    assert!(outcome.stderr.contains("read-only standby"), "{}", outcome.stderr);
    assert_eq!(query(&pair.from(), "SELECT slot_name FROM pg_replication_slots WHERE temporary").await.len(), 0);
    // And one that is not there.
    pair.destination.stop_fast().await.expect("stops");
    let outcome = pair.command(&[]).run().await.expect_code(3);
    assert!(outcome.stderr.starts_with("walpilot: destination: "), "{}", outcome.stderr);
}

#[tokio::test]
async fn another_source_is_refused() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    pair.catch_up().await;
    let refused = async |from: &Settings| {
        let outcome = run_between(from, &pair.to(), &["--until-caught-up"]).run().await.expect_code(4);
        assert!(outcome.stderr.contains("another source"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("--copy-again"), "{}", outcome.stderr);
        let slots = "SELECT slot_name FROM pg_replication_slots";
        assert_eq!(query(&pair.from(), slots).await.len(), 1, "no slot is left behind");
    };
    execute(&pair.from(), "CREATE DATABASE elsewhere").await;
    let elsewhere = Settings { database: "elsewhere".to_owned(), ..pair.from() };
    execute(&elsewhere, "CREATE TABLE t (id int PRIMARY KEY)").await;
    execute(&elsewhere, PUBLICATION).await;
    refused(&elsewhere).await;
    // Test clusters are copies of one template and share its identifier, so it is the remembered one that changes.
    execute(&pair.to(), "UPDATE walpilot.source SET system_identifier = '7'").await;
    refused(&pair.from()).await;
}

#[tokio::test]
async fn json_is_one_object_a_line_and_a_run_ends_when_its_time_is_over() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)").await;
    let outcome = pair.command(&["--for", "2s", "--format", "json"]).run().await.expect_code(0);
    let lines: Vec<serde_json::Value> = outcome
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.iter().any(|line| line["event"]["text"].is_string()), "{}", outcome.stdout);
    assert!(lines.iter().any(|line| line["progress"]["phase"].is_string()), "{}", outcome.stdout);
    let summary = &lines.last().expect("a line")["summary"];
    assert_eq!(summary["progress"]["tables"][0]["rows_copied"], 10, "{}", outcome.stdout);
    let checkpoint = value(&pair.to(), "SELECT lsn FROM walpilot.checkpoint").await;
    assert_eq!(summary["checkpoint"], checkpoint.as_str());
    assert!(outcome.stderr.is_empty(), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_second_interrupt_ends_at_once_and_loses_nothing() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.t IN SHARE MODE").await.expect("locked");
    execute(&pair.from(), "INSERT INTO t VALUES (1)").await;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
    await_until("the apply waits", async || value(&pair.to(), waits).await == "1").await;
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let interrupt = |child: &tokio::process::Child| {
        let pid = child.id().expect("it runs").to_string();
        let done = std::process::Command::new("kill").args(["-INT", &pid]).stdout(Stdio::null()).status();
        assert!(done.expect("kill").success());
    };
    interrupt(&child);
    let mut line = String::new();
    stderr.read_line(&mut line).await.expect("its answer");
    assert!(line.contains("press Ctrl-C again"), "{line}");
    interrupt(&child);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).await.expect("its end");
    assert!(rest.contains("stopped at once"), "{rest}");
    assert_eq!(child.wait().await.expect("it ends").code(), Some(130));
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    pair.catch_up().await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn the_lag_grows_while_the_destination_does_not_get_on() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE unpublished (v text)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.t IN SHARE MODE").await.expect("locked");
    // More than the queue holds, so that the socket is not read to its end.
    let more = "INSERT INTO t SELECT i, repeat(md5(i::text), 100) FROM generate_series((SELECT count(*) FROM t) + 1, \
                (SELECT count(*) FROM t) + 10000) i";
    execute(&pair.from(), more).await;
    let lag = "SELECT lag_millis > 3000 FROM walpilot.progress";
    await_until("the age of what waits", async || {
        query(&pair.to(), lag).await.first().is_some_and(|row| row[0].as_deref() == Some("t"))
    })
    .await;
    for _ in 0..3 {
        execute(&pair.from(), more).await;
        let end = value(&pair.from(), "SELECT pg_current_wal_lsn()").await;
        let told = format!(
            "SELECT p.source_end >= '{end}' AND p.lag_bytes >= p.source_end - c.lsn AND p.lag_millis > 3000 \
             FROM walpilot.progress p, walpilot.checkpoint c"
        );
        await_until("what is not even read is counted", async || value(&pair.to(), &told).await == "t").await;
    }
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    pair.await_equal().await;
    await_until("no lag", async || {
        value(&pair.to(), "SELECT lag_millis = 0 AND lag_bytes < 100000 FROM walpilot.progress").await == "t"
    })
    .await;
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn an_idle_database_beside_a_busy_one_lets_the_source_forget() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY)").await;
    execute(&pair.from(), "CREATE DATABASE busy").await;
    let busy = Settings { database: "busy".to_owned(), ..pair.from() };
    execute(&busy, "CREATE TABLE w (v text)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    for _ in 0..3 {
        execute(&busy, "INSERT INTO w SELECT repeat(md5(i::text), 30) FROM generate_series(1, 5000) i").await;
        let end = value(&busy, "SELECT pg_current_wal_lsn()").await;
        let moved = format!("SELECT bool_and(confirmed_flush_lsn >= '{end}') FROM pg_replication_slots");
        await_until("the slot moves", async || value(&pair.from(), &moved).await == "t").await;
    }
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn an_idle_run_is_not_taken_for_one_that_has_gone() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    let begun = value(&pair.to(), "SELECT updated_at FROM walpilot.progress").await;
    // Longer than a watcher waits for a word (15 s), and nothing happens meanwhile.
    let later = format!("SELECT updated_at > '{begun}'::timestamptz + interval '20 seconds' FROM walpilot.progress");
    await_until("a sign of life after a long rest", async || value(&pair.to(), &later).await == "t").await;
    assert_eq!(value(&pair.to(), "SELECT changes FROM walpilot.progress").await, "0", "it was idle");
    let watched = Target {
        source: pair.from(),
        slot: Some("walpilot_slot".into()),
        publication: Some("walpilot_publication".into()),
        destination: Some(pair.to()),
        ..Target::default()
    };
    let mut sampler = Sampler::connect(watched).await.unwrap_or_else(|failure| panic!("{failure}"));
    sampler.settle().await;
    let mut watcher = Watcher::default();
    watcher.push(sampler.sample().await.unwrap_or_else(|reason| panic!("{reason}")));
    let rules: Vec<&str> = watcher.diagnosis().findings().iter().map(|finding| finding.rule).collect();
    assert!(!rules.contains(&"D2"), "{rules:?}");
    child.kill().await.expect("it runs");
    let silent = "SELECT clock_timestamp() > updated_at + interval '16 seconds' FROM walpilot.progress";
    await_until("silence", async || value(&pair.to(), silent).await == "t").await;
    watcher.push(sampler.sample().await.unwrap_or_else(|reason| panic!("{reason}")));
    let rules: Vec<&str> = watcher.diagnosis().findings().iter().map(|finding| finding.rule).collect();
    assert!(rules.contains(&"D2"), "and one that has gone is: {rules:?}");
}
