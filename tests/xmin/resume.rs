//! Stopped, killed, cut off: what was read stays read, and nothing is missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::replicating::{Pair, Random, execute, query, value};
use super::support::proxy::Proxy;
use super::support::{await_until, session};
use super::{pass, refusal};
use walpilot::connection::Settings;

const SCHEMA: &str = "CREATE TABLE a (id int PRIMARY KEY, v text, filler text DEFAULT repeat('f', 200)); \
    INSERT INTO a SELECT i, 'old' FROM generate_series(1, 20000) i; \
    CREATE TABLE \"B b\" (id int PRIMARY KEY, v text); INSERT INTO \"B b\" SELECT i, 'old' FROM generate_series(1, 5000) i";

/// How far the pass is in its tables, in pages or keys.
async fn position(pair: &Pair) -> String {
    if value(&pair.to(), "SELECT to_regclass('walpilot.xmin_relation') IS NOT NULL").await == "f" {
        return String::new();
    }
    let sql = "SELECT COALESCE(string_agg(relation || ' ' || COALESCE(position::text, bound::text), ' ' ORDER BY relation), '') \
               FROM walpilot.xmin_relation";
    value(&pair.to(), sql).await
}

#[tokio::test]
async fn a_run_that_is_killed_at_any_range_goes_on_and_loses_nothing() {
    let mut random = Random::new();
    let pair = super::pair(SCHEMA).await;
    let done = Arc::new(AtomicBool::new(false));
    let (settings, stop) = (pair.from(), Arc::clone(&done));
    let writer = tokio::spawn(async move {
        let mut random = Random::new();
        let session = session(&settings).await;
        session.client.batch_execute("SET search_path = public; SET lock_timeout = 0").await.expect("set");
        while !stop.load(Ordering::Relaxed) {
            // Rows change their pages all the time; a VACUUM makes room for them at the front.
            let sql = match random.below(40) {
                0 => "VACUUM a".to_owned(),
                1 => "VACUUM FULL \"B b\"".to_owned(),
                2 => format!("INSERT INTO a (id, v) VALUES ({}, 'new') ON CONFLICT DO NOTHING", random.below(100_000)),
                _ => {
                    let table = if random.below(3) == 0 { "\"B b\"" } else { "a" };
                    format!("UPDATE {table} SET v = v || 'x' WHERE id = {}", random.below(5_000))
                }
            };
            session.client.batch_execute(&sql).await.expect("writes");
        }
    });
    let mut taken_up = 0;
    for _ in 0..12 {
        let (mut child, _home) = pair.command(&["--method", "xmin", "--every", "20ms", "--range-pages", "3"]).spawn();
        for _ in 0..=random.below(6) {
            let before = position(&pair).await;
            await_until("it gets on", async || position(&pair).await != before).await;
        }
        child.kill().await.expect("it was running");
        let sql = "SELECT count(*) FROM walpilot.xmin_relation WHERE position IS NOT NULL";
        await_until("its session ends", async || {
            value(&pair.to(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await == "0"
        })
        .await;
        let middle = value(&pair.to(), sql).await;
        taken_up += u32::from(middle != "0");
    }
    assert!(taken_up > 0, "no kill hit the middle of a table");
    done.store(true, Ordering::Relaxed);
    writer.await.expect("the writer");
    pass(&pair, &[]).await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn a_row_that_moves_behind_the_position_comes_with_the_pass_that_follows() {
    let pair = super::pair(SCHEMA).await;
    if pair.source.major() < 14 {
        // What has changed is read in one piece there.
        return;
    }
    // Room at the front.
    execute(&pair.from(), "DELETE FROM a WHERE id <= 200").await;
    execute(&pair.from(), "VACUUM a").await;
    pass(&pair, &[]).await;
    execute(&pair.from(), "UPDATE a SET v = 'one' WHERE id > 300").await;
    let (mut child, _home) = pair.command(&["--method", "xmin", "--once", "--range-pages", "1"]).spawn();
    let middle = "SELECT count(*) FROM walpilot.xmin_relation WHERE position IS NOT NULL";
    await_until("the middle of a table", async || value(&pair.to(), middle).await == "1").await;
    child.kill().await.expect("it was running");
    // From the end to the front, which is read already.
    for sql in ["UPDATE a SET v = 'two' WHERE id > 19000", "VACUUM a", "UPDATE a SET v = 'three' WHERE id > 19000"] {
        execute(&pair.from(), sql).await;
    }
    let outcome = pass(&pair, &["--range-pages", "1"]).await;
    assert!(outcome.stdout.contains("another one follows at once"), "{}", outcome.stdout);
    pair.expect_equal().await;
}

#[tokio::test]
async fn ctrl_c_finishes_the_range_and_says_where_it_stopped() {
    let pair = super::pair(SCHEMA).await;
    let (child, _home) = pair.command(&["--method", "xmin", "--range-pages", "1"]).spawn();
    // The larger table, which is the last: there is time for a signal before its end.
    let begun = "SELECT count(*) FROM walpilot.xmin_relation WHERE table_name = 'a' AND position IS NOT NULL";
    await_until("its first range", async || !position(&pair).await.is_empty() && value(&pair.to(), begun).await == "1")
        .await;
    let pid = child.id().expect("it runs");
    std::process::Command::new("kill").args(["-INT", &pid.to_string()]).status().expect("kill");
    let output = child.wait_with_output().await.expect("its output");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{stdout}");
    assert!(
        stdout.contains("Stopped in \"public\".") && stdout.contains("the next run goes on from there"),
        "{stdout}"
    );
    assert!(stdout.contains("stopped before the end of the first pass"), "{stdout}");
    assert_eq!(value(&pair.to(), "SELECT phase FROM walpilot.progress").await, "stopped");
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("another one follows at once"), "{}", outcome.stdout);
    pair.expect_equal().await;
}

#[tokio::test]
async fn a_run_outlives_both_servers_and_a_second_one_is_refused() {
    let mut pair = super::pair(SCHEMA).await;
    let (mut child, _home) = pair.command(&["--method", "xmin", "--every", "100ms", "--format", "json"]).spawn();
    await_until("a first pass", async || {
        !position(&pair).await.is_empty()
            && value(&pair.to(), "SELECT COALESCE(max(passes), 0) > 0 FROM walpilot.xmin_pass").await == "t"
    })
    .await;
    let text = refusal(&pair, &[]).await;
    assert!(text.contains("Another walpilot run"), "{text}");
    for round in 0..2 {
        if round == 0 {
            pair.source.stop_immediate().await.expect("the source stops");
            pair.source.start_again().await.expect("the source starts");
        } else {
            pair.destination.stop_immediate().await.expect("the destination stops");
            pair.destination.start_again().await.expect("the destination starts");
        }
        execute(&pair.from(), &format!("UPDATE a SET v = 'round {round}' WHERE id % 100 = {round}")).await;
        pair.await_equal().await;
    }
    let phases = query(&pair.to(), "SELECT DISTINCT phase FROM walpilot.table_progress").await;
    assert!(!phases.is_empty());
    let pid = child.id().expect("it runs");
    std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill");
    assert_eq!(child.wait().await.expect("it ends").code(), Some(130));
}

#[tokio::test]
async fn a_pass_whose_destination_has_vanished_begins_anew() {
    let pair = super::pair("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let network = Proxy::to(pair.to().port).await;
    let to = Settings { port: network.port, ..pair.to() };
    let (mut child, _home) = pair.command_to(&to, &["--method", "xmin", "--every", "1s"]).spawn();
    pair.await_equal().await;
    network.go_silent();
    let sessions = "FROM pg_stat_activity WHERE application_name ~ '^walpilot run'";
    execute(&pair.to(), &format!("SELECT pg_terminate_backend(pid) {sessions}")).await;
    network.come_back();
    execute(&pair.from(), "INSERT INTO t VALUES (2)").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}
