//! Transactions that are open while a pass reads: their rows must not be missed by the passes after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use walpilot::demo::Cluster;

use super::pass;
use super::replicating::{Pair, Random, execute, value};
use super::support::{destination, session, source_builder, started};

const SCHEMA: &str =
    "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 1000) i";

async fn begin(pair: &Pair, sql: &str) -> walpilot::connection::Session {
    let session = session(&pair.from()).await;
    session.client.batch_execute(&format!("SET search_path = public; BEGIN; {sql}")).await.expect("begins");
    session
}

#[tokio::test]
async fn rows_of_transactions_that_stay_open_across_passes_arrive_when_they_end() {
    let source: Cluster = started(source_builder().setting("max_prepared_transactions", "5")).await;
    let pair = Pair { source, destination: destination().await };
    execute(&pair.from(), SCHEMA).await;
    pass(&pair, &[]).await;
    let first = begin(&pair, "INSERT INTO t VALUES (2001, 'first'); UPDATE t SET v = 'first' WHERE id = 1").await;
    // Subtransactions have ids of their own, later than those of transactions that end before them.
    let second = begin(&pair, "SAVEPOINT a; INSERT INTO t VALUES (2002, 'a')").await;
    execute(&pair.from(), "UPDATE t SET v = 'between' WHERE id = 10").await;
    second.client.batch_execute("SAVEPOINT b; UPDATE t SET v = 'b' WHERE id = 2; SAVEPOINT c; UPDATE t SET v = 'gone' WHERE id = 3; ROLLBACK TO c")
        .await
        .expect("goes on");
    // A lock leaves no trace in xmin; a prepared transaction outlives its session.
    let locker = begin(&pair, "SELECT * FROM t WHERE id = 4 FOR UPDATE").await;
    execute(&pair.from(), "BEGIN; INSERT INTO t VALUES (2003, 'prepared'); UPDATE t SET v = 'prepared' WHERE id = 5; PREPARE TRANSACTION 'p'")
        .await;
    for round in 0..3 {
        execute(&pair.from(), &format!("UPDATE t SET v = 'round {round}' WHERE id BETWEEN 20 AND 25")).await;
        execute(&pair.from(), "VACUUM FREEZE t").await;
        pass(&pair, &[]).await;
        pair.expect_equal().await;
        match round {
            0 => second.client.batch_execute("COMMIT").await.expect("commits"),
            1 => execute(&pair.from(), "COMMIT PREPARED 'p'").await,
            _ => {}
        }
    }
    first.client.batch_execute("COMMIT").await.expect("commits");
    locker.client.batch_execute("COMMIT").await.expect("commits");
    pass(&pair, &[]).await;
    pair.expect_equal().await;
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM t WHERE id > 2000").await, "3");
    // Nothing is open any more: nothing is read again.
    execute(&pair.from(), "VACUUM FREEZE t").await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("0 rows read"), "{}", outcome.stdout);
}

#[tokio::test]
async fn passes_beside_writers_end_with_equal_tables() {
    let pair = super::pair(SCHEMA).await;
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (settings, done) = (pair.from(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut random = Random::new();
                let writer = session(&settings).await;
                let mut written = 0_u64;
                writer.client.batch_execute("SET search_path = public").await.expect("set");
                while !done.load(Ordering::Relaxed) {
                    let (a, b) = (random.below(1000) + 1, random.below(1_000_000) + 2000);
                    let end = if random.below(4) == 0 { "ROLLBACK" } else { "COMMIT" };
                    let sql = format!(
                        "BEGIN; UPDATE t SET v = v || 'x' WHERE id = {a}; SAVEPOINT s; INSERT INTO t VALUES ({b}, 'new') ON CONFLICT \
                         (id) DO UPDATE SET v = 'again'; ROLLBACK TO s; INSERT INTO t VALUES ({b}, 'n') ON CONFLICT DO NOTHING; {end}"
                    );
                    // Two writers may meet in a deadlock; that is theirs to repeat.
                    if writer.client.batch_execute(&sql).await.is_err() {
                        let _ = writer.client.batch_execute("ROLLBACK").await;
                    }
                    written += 1;
                }
                written
            })
        })
        .collect();
    let (mut child, _home) = pair.command(&["--method", "xmin", "--every", "50ms", "--range-pages", "2"]).spawn();
    super::support::await_until("ten passes", async || {
        value(&pair.to(), "SELECT to_regclass('walpilot.xmin_pass') IS NOT NULL").await == "t"
            && value(&pair.to(), "SELECT COALESCE(max(passes), 0) >= 10 FROM walpilot.xmin_pass").await == "t"
    })
    .await;
    done.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.expect("a writer");
    }
    assert!(written > 100, "{written}");
    pair.await_equal().await;
    child.kill().await.expect("it runs");
    let verify = pair.verify(&["--method", "xmin"]).run().await.expect_code(0);
    assert!(verify.stdout.contains("1 of 1 tables are equal"), "{}", verify.stdout);
}
