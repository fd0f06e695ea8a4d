//! Exactly once, whatever is killed: the program, the source or the destination, in the middle of copy and stream.

#![expect(clippy::disallowed_macros, reason = "seeds and measurements are printed for whoever reads a failure")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::replicating::{Pair, Random, backlog, between, execute, value, verify};
use crate::support::proxy::Proxy;
use crate::support::{PATIENCE, await_until, session};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};
use walpilot::connection::{Settings, SslMode};

const SCHEMA: &str = "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, filler text);
    INSERT INTO accounts SELECT i, 0, repeat('f', 100) FROM generate_series(1, 80000) i;
    CREATE TABLE history (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int, delta int, at timestamptz DEFAULT now());
    CREATE TABLE loose (a int, b text); ALTER TABLE loose REPLICA IDENTITY FULL;
    CREATE TABLE bulk (id int PRIMARY KEY, v text); INSERT INTO bulk SELECT i, md5(i::text) FROM generate_series(1, 40000) i;";

/// Writes until told to stop: small transactions, key changes, savepoints, rollbacks, truncates and bulk.
fn workload(settings: Settings, done: Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        let mut random = Random::new();
        let mut client = None;
        let mut written = 0;
        while !done.load(Ordering::Relaxed) {
            let (a, b) = (random.below(80_000) + 1, random.below(80_000) + 1);
            let sql = match random.below(20) {
                0 => format!("UPDATE accounts SET id = -id WHERE id IN ({a}, -{a})"),
                1 => format!(
                    "BEGIN; DELETE FROM accounts WHERE id = {a}; SAVEPOINT s; DELETE FROM accounts WHERE id < {b}; ROLLBACK TO s; COMMIT"
                ),
                2 => "BEGIN; DELETE FROM history; ROLLBACK".to_owned(),
                3 => format!("UPDATE bulk SET v = v || 'x' WHERE id % 40 = {}", a % 40),
                4 => format!("INSERT INTO loose SELECT {}, 'same' FROM generate_series(1, 3)", a % 5),
                5 => format!("DELETE FROM loose WHERE ctid IN (SELECT ctid FROM loose WHERE a = {} LIMIT 1)", a % 5),
                6 if a % 10 == 0 => "TRUNCATE loose".to_owned(),
                7 => format!(
                    "INSERT INTO bulk SELECT i, 'n' FROM generate_series({0}, {0} + 200) i ON CONFLICT (id) DO UPDATE SET v = 'again'",
                    40_000 + a
                ),
                _ => format!(
                    "BEGIN; UPDATE accounts SET balance = balance + 1 WHERE id = {a}; UPDATE accounts SET balance = balance - 1 \
                     WHERE id = {b}; INSERT INTO history (account, delta) VALUES ({a}, 1), ({b}, -1); COMMIT"
                ),
            };
            // The source may be away: then another session is opened when it is back.
            let current = match client.take() {
                Some(current) => current,
                None => {
                    match walpilot::connection::connect(&settings, &walpilot::connection::SessionOptions::administer())
                        .await
                    {
                        Ok(session) => {
                            // A session that is lost again is noticed by the next statement.
                            let _ = session.client.batch_execute("SET search_path = public").await;
                            session
                        }
                        Err(_) => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                            continue;
                        }
                    }
                }
            };
            if current.client.batch_execute(&sql).await.is_ok() {
                written += 1;
                client = Some(current);
            }
        }
        written
    })
}

#[tokio::test]
async fn a_run_that_is_killed_anywhere_loses_and_doubles_nothing() {
    let mut random = Random::new();
    let pair = Pair::start(SCHEMA).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = workload(pair.from(), Arc::clone(&done));
    for round in 0..9 {
        let (mut child, _home) = pair.command(&[]).spawn();
        // Four rounds while the first, second, third and fourth table is copied, and five in the stream.
        await_until("the copy comes so far", async || {
            states(&pair, "true").await == 4 && states(&pair, "state = 'streaming'").await >= round.min(4)
        })
        .await;
        let pause = random.below(if round < 4 { 400 } else { 2_500 });
        tokio::time::sleep(Duration::from_millis(pause)).await;
        child.kill().await.expect("it was running");
        let (copied, known) = (states(&pair, "state = 'streaming'").await, states(&pair, "true").await);
        println!("round {round}: killed with {copied} of {known} tables copied");
    }
    done.store(true, Ordering::Relaxed);
    let written = writer.await.expect("the workload");
    assert!(written > 100, "the workload must have written: {written}");
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_run_outlives_crashes_of_both_servers_and_stops_orderly() {
    let mut pair = Pair::start(SCHEMA).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = workload(pair.from(), Arc::clone(&done));
    let (child, _home) = pair.command(&[]).spawn();
    for round in 0..2 {
        let before = progress(&pair).await;
        await_until("changes arrive", async || progress(&pair).await > before).await;
        pair.source.stop_immediate().await.expect("the source stops");
        pair.source.start_again().await.expect("the source starts");
        let before = progress(&pair).await;
        await_until("changes arrive after the source's crash", async || progress(&pair).await > before).await;
        if round == 0 {
            pair.destination.stop_immediate().await.expect("the destination stops");
        } else {
            pair.destination.stop_fast().await.expect("the destination stops");
        }
        pair.destination.start_again().await.expect("the destination starts");
    }
    done.store(true, Ordering::Relaxed);
    writer.await.expect("the workload");
    pair.await_equal().await;
    let pid = child.id().expect("it runs");
    std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill");
    let output = child.wait_with_output().await.expect("its output");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{stdout}\n{stderr}");
    assert!(stdout.contains("stopped at") && stdout.contains("Trying again in"), "{stdout}");
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
    // What was told to the slot at the end is the checkpoint itself.
    let confirmed = value(&pair.from(), "SELECT confirmed_flush_lsn FROM pg_replication_slots").await;
    assert_eq!(value(&pair.to(), "SELECT lsn FROM walpilot.checkpoint").await, confirmed);
}

/// Kills and cuts whatever a run depends on, at random moments, in the copy as well as in the stream.
#[tokio::test]
async fn whatever_is_killed_or_cut_at_whatever_moment_the_tables_are_equal_in_the_end() {
    let rounds = rounds();
    let mut random = Random::new();
    let mut pair = Pair::start(SCHEMA).await;
    let (near, far) = (Proxy::to(pair.from().port).await, Proxy::to(pair.to().port).await);
    let (from, to) = (
        Settings { port: near.port, ssl_mode: SslMode::Disable, ..pair.from() },
        Settings { port: far.port, ssl_mode: SslMode::Disable, ..pair.to() },
    );
    let done = Arc::new(AtomicBool::new(false));
    let writer = workload(pair.from(), Arc::clone(&done));
    let watcher = watch_feedback(pair.from(), pair.to(), Arc::clone(&done));
    let mut run = None;
    for round in 0..rounds {
        // Now and then everything is copied anew, so that the copy is hit, too.
        let again = round % 5 == 4;
        if again {
            run = None;
        }
        let ended = match run.as_mut() {
            Some((child, _home)) => ended(child).await,
            None => None,
        };
        if let Some((code, reason)) = ended {
            // A run that has not begun tells at once that a side can't be reached (3), and what was killed may be noticed
            // late by the servers; nothing else may end a run.
            let late = reason.contains("Another walpilot run") || reason.contains("in use");
            assert!(code == 3 || late, "round {round}: {code} {reason}");
            run = None;
        }
        if run.is_none() {
            // A backlog is read in another way than the stream.
            execute(&pair.from(), &backlog(6_000_000 * random.below(2))).await;
            let more: &[&str] = if again { &["--copy-again"] } else { &[] };
            run = Some(between(&from, &to, more).spawn());
        }
        // Long enough, now and then, for the stream to be reached.
        tokio::time::sleep(Duration::from_millis(random.below(if again { 1_000 } else { 5_000 }))).await;
        let harm = random.below(5);
        match harm {
            0 => run = None,
            1 => near.cut(),
            2 => far.cut(),
            3 => {
                pair.source.stop_immediate().await.expect("the source stops");
                pair.source.start_again().await.expect("the source starts");
            }
            _ => {
                pair.destination.stop_immediate().await.expect("the destination stops");
                pair.destination.start_again().await.expect("the destination starts");
            }
        }
        let what = ["killed", "source cut", "destination cut", "source crashed", "destination crashed"][harm as usize];
        println!("round {round}: {what}, {} tables copied", states(&pair, "state = 'streaming'").await);
    }
    drop(run);
    done.store(true, Ordering::Relaxed);
    assert!(writer.await.expect("the workload") > 50, "the workload must have written");
    assert!(watcher.await.expect("the watcher") > 50, "the watcher must have seen the slot");
    // No walsender has lived long enough to move restart_lsn far: the last one reads all the log of the test again.
    let patience = PATIENCE + Duration::from_secs(6 * rounds);
    let undisturbed = async {
        loop {
            let outcome = pair.command(&["--until-caught-up"]).run().await;
            assert!(matches!(outcome.code, 0 | 4), "{outcome:?}");
            if outcome.code == 0 {
                break;
            }
        }
    };
    assert!(timeout(patience, undisturbed).await.is_ok(), "a run without disturbance did not catch up");
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
    verify(&pair.from(), &pair.to()).run().await.expect_code(0);
}

/// Rounds of the test above; `make soak` asks for more.
#[expect(clippy::disallowed_methods, reason = "the environment chooses")]
fn rounds() -> u64 {
    std::env::var("WALPILOT_TEST_ROUNDS").map_or(20, |rounds| rounds.parse().expect("a number"))
}

/// Exit code and last words of a run that has ended.
async fn ended(child: &mut tokio::process::Child) -> Option<(i32, String)> {
    let status = child.try_wait().expect("its state")?;
    let mut reason = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut reason).await.expect("UTF-8");
    Some((status.code().unwrap_or(-1), reason))
}

/// At every moment the slot is told no more than what is committed at the destination. The slot is read first, and the
/// checkpoint only grows.
fn watch_feedback(from: Settings, to: Settings, done: Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        let mut seen = 0;
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let options = walpilot::connection::SessionOptions::administer();
            let (Ok(here), Ok(there)) = (
                walpilot::connection::connect(&from, &options).await,
                walpilot::connection::connect(&to, &options).await,
            ) else {
                continue;
            };
            loop {
                let slot = "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = 'walpilot_slot' AND confirmed_flush_lsn IS NOT NULL";
                let Ok(Some(slot)) = here.client.query_opt(slot, &[]).await else { break };
                let confirmed: String = slot.get(0);
                let sql = format!("SELECT lsn >= '{confirmed}', lsn::text FROM walpilot.checkpoint");
                // Between --copy-again and the new beginning there is no checkpoint.
                let Ok(Some(checkpoint)) = there.client.query_opt(&sql, &[]).await else { break };
                assert!(checkpoint.get::<_, bool>(0), "told {confirmed}, has {}", checkpoint.get::<_, &str>(1));
                seen += 1;
                if done.load(Ordering::Relaxed) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        seen
    })
}

#[tokio::test]
async fn transactions_become_visible_in_the_order_of_their_commits() {
    let pair = Pair::start("CREATE TABLE a (n int PRIMARY KEY); CREATE TABLE b (n int PRIMARY KEY)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    await_until("the stream", async || states(&pair, "state = 'streaming'").await == 2).await;
    let (settings, done) = (pair.from(), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&done);
    let writer = tokio::spawn(async move {
        let session = session(&settings).await;
        let mut number = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let table = if number.is_multiple_of(3) { "a" } else { "b" };
            let sql = format!("INSERT INTO public.{table} VALUES ({number})");
            session.client.batch_execute(&sql).await.expect("it writes");
        }
    });
    // One writer, so the numbers are the order of the commits: what is visible must have no gap.
    let mut last = 0;
    await_until("enough rows", async || {
        let sql = "SELECT count(*) || ' ' || COALESCE(max(n), 0) FROM (SELECT n FROM a UNION ALL SELECT n FROM b) both_of_them";
        let seen = value(&pair.to(), sql).await;
        let (count, max) = seen.split_once(' ').expect("two numbers");
        assert_eq!(count, max, "a later transaction is visible before an earlier one");
        last = count.parse().expect("a number");
        last > 2_000
    })
    .await;
    done.store(true, Ordering::Relaxed);
    writer.await.expect("the writer");
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}

/// Number of tables in a state.
async fn states(pair: &Pair, condition: &str) -> u64 {
    if value(&pair.to(), "SELECT to_regclass('walpilot.table_state') IS NOT NULL").await == "f" {
        return 0;
    }
    let sql = format!("SELECT count(*) FROM walpilot.table_state WHERE {condition}");
    value(&pair.to(), &sql).await.parse().expect("a number")
}

/// Number of rows in the table that only grows; 0 before it is there.
async fn progress(pair: &Pair) -> u64 {
    if value(&pair.to(), "SELECT to_regclass('history') IS NOT NULL").await == "f" {
        return 0;
    }
    value(&pair.to(), "SELECT count(*) FROM history").await.parse().expect("a number")
}

#[tokio::test]
async fn a_transaction_far_larger_than_the_queue_is_applied_in_bounded_memory() {
    let pair = Pair::start("CREATE TABLE big (id int PRIMARY KEY, v text); CREATE TABLE seen (n bigint)").await;
    pair.catch_up().await;
    // 100,000 rows and 200 MB in one transaction with a thousand savepoints, a part of them rolled back.
    let writer = session(&pair.from()).await;
    writer.client.batch_execute("SET search_path = public; BEGIN").await.expect("begins");
    for part in 0..1000 {
        let end = if part % 10 == 9 { "ROLLBACK TO s" } else { "RELEASE s" };
        let sql = format!(
            "SAVEPOINT s; INSERT INTO big SELECT {part} * 110 + i, repeat(md5(i::text), 64) FROM generate_series(1, 110) i; {end}"
        );
        writer.client.batch_execute(&sql).await.expect("inserts");
    }
    writer.client.batch_execute("UPDATE big SET v = 'short' WHERE id % 100 = 0; COMMIT").await.expect("commits");
    execute(&pair.from(), "INSERT INTO seen VALUES (1)").await;

    // The destination must not show a part of the transaction.
    let rows = "SELECT count(*) FROM big";
    expect_bounded_memory(&pair, async || {
        let rows: u64 = value(&pair.to(), rows).await.parse().expect("a number");
        assert!(rows == 0 || rows == 99_000, "half a transaction is visible: {rows} rows");
    })
    .await;
}

#[tokio::test]
async fn large_transactions_of_small_rows_are_applied_in_bounded_memory() {
    let pair = Pair::start("CREATE TABLE small (id int PRIMARY KEY, n int, at timestamptz, kind text)").await;
    pair.catch_up().await;
    // A small row costs the more memory beside its bytes; each statement is several times what the queue holds.
    for sql in [
        "INSERT INTO small SELECT i, i, now(), 'kind ' || i % 7 FROM generate_series(1, 200000) i",
        "UPDATE small SET n = n + 1",
        "DELETE FROM small WHERE id % 2 = 0",
    ] {
        execute(&pair.from(), sql).await;
    }
    expect_bounded_memory(&pair, async || {}).await;
}

/// Catches up, looking at `look` all the time; then the tables are equal, and the run never had more than 64 MiB.
async fn expect_bounded_memory(pair: &Pair, look: impl AsyncFn()) {
    let (mut child, _home) = pair.command(&["--until-caught-up"]).spawn();
    let status = format!("/proc/{}/status", child.id().expect("it runs"));
    let mut peak = 0_u64;
    while child.try_wait().expect("its state").is_none() {
        if let Some(kilobytes) = std::fs::read_to_string(&status).ok().and_then(|text| peak_of(&text)) {
            peak = peak.max(kilobytes);
        }
        look().await;
        sleep(Duration::from_millis(10)).await;
    }
    assert!(child.wait().await.expect("its state").success());
    pair.expect_equal().await;
    assert!(peak > 0 && peak < 64 * 1024, "{peak} kB");
}

fn peak_of(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").trim().parse().ok()
}
