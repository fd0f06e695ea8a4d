//! Deletes: counted by the source, found by comparing keys.

use super::pass;
use super::replicating::{Pair, execute, query, value};
use super::support::await_until;

const SCHEMA: &str = "CREATE TABLE numbers (id bigint PRIMARY KEY, v text); \
    INSERT INTO numbers SELECT i * 3, 'n' FROM generate_series(1, 25000) i; \
    CREATE TABLE words (a text, b int, v int, PRIMARY KEY (a, b)); \
    INSERT INTO words SELECT CASE i % 3 WHEN 0 THEN 'Ä' WHEN 1 THEN 'a''b' ELSE 'Z\\' END || i, i, i FROM generate_series(1, 25000) i; \
    CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent); \
    INSERT INTO parent SELECT generate_series(1, 10); INSERT INTO child SELECT i, i FROM generate_series(1, 10) i";

/// Waits until the source's statistics have counted so many deletes.
async fn counted(pair: &Pair, table: &str, deletes: u32) {
    let sql = format!("SELECT n_tup_del >= {deletes} FROM pg_stat_user_tables WHERE relname = '{table}'");
    await_until("the source counts", async || value(&pair.from(), &sql).await == "t").await;
}

#[tokio::test]
async fn deletes_are_counted_and_exactly_the_deleted_rows_are_removed() {
    let pair = super::pair(SCHEMA).await;
    pass(&pair, &[]).await;
    execute(
        &pair.from(),
        "DELETE FROM numbers WHERE id IN (3, 30000, 75000) OR id BETWEEN 40000 AND 40100; DELETE FROM words WHERE b % 1000 = 7; \
         DELETE FROM child WHERE id > 5; DELETE FROM parent WHERE id > 5; UPDATE numbers SET id = -9 WHERE id = 9; \
         INSERT INTO numbers VALUES (30001, 'new'); DELETE FROM words WHERE b = 20; INSERT INTO words VALUES ('Z\\20', 20, -1)",
    )
    .await;
    counted(&pair, "numbers", 36).await;
    counted(&pair, "words", 26).await;
    counted(&pair, "child", 5).await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("counted 36 deletes in public.numbers"), "{}", outcome.stdout);
    let unseen = "SELECT deletes_unseen FROM walpilot.xmin_table WHERE table_name = 'numbers'";
    assert_eq!(value(&pair.to(), unseen).await, "36");
    // The key that was changed is there with its old and its new value.
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM numbers WHERE id IN (9, -9)").await, "2");
    let outcome = pass(&pair, &["--reconcile"]).await;
    for (rows, table) in [(37, "numbers"), (25, "words"), (5, "child"), (5, "parent")] {
        assert!(
            outcome.stdout.contains(&format!("Removed {rows} rows of public.{table}")),
            "{table}: {}",
            outcome.stdout
        );
    }
    pair.expect_equal().await;
    assert_eq!(value(&pair.to(), unseen).await, "0");
    let outcome = pass(&pair, &["--reconcile"]).await;
    assert!(!outcome.stdout.contains("Removed"), "{}", outcome.stdout);

    // In pieces of time: each pass goes on where the last one stopped.
    execute(&pair.from(), "DELETE FROM numbers WHERE id % 2 = 0").await;
    let mut passes = 0;
    while value(&pair.to(), "SELECT count(*) FROM numbers WHERE id % 2 = 0").await != "0" {
        let outcome = pass(&pair, &["--reconcile", "--reconcile-for", "1ms"]).await;
        passes += 1;
        assert!(passes < 20, "{}", outcome.stdout);
    }
    assert!(passes > 1);
    pass(&pair, &["--reconcile"]).await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn rows_that_come_and_go_beside_a_reconciliation_end_equal() {
    let pair = super::pair(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 20000) i",
    )
    .await;
    pass(&pair, &[]).await;
    let settings = pair.from();
    let writer = tokio::spawn(async move {
        let session = super::support::session(&settings).await;
        session.client.batch_execute("SET search_path = public").await.expect("set");
        for round in 0..400 {
            let at = round * 50;
            let sql = format!(
                "DELETE FROM t WHERE id BETWEEN {at} AND {at} + 20; INSERT INTO t SELECT i, {round} FROM generate_series({at}, {at} + 10) i"
            );
            session.client.batch_execute(&sql).await.expect("writes");
        }
    });
    let (mut child, _home) =
        pair.command(&["--method", "xmin", "--every", "10ms", "--reconcile", "--range-pages", "3"]).spawn();
    writer.await.expect("the writer");
    pair.await_equal().await;
    child.kill().await.expect("it runs");
    let rows = query(&pair.to(), "SELECT rows_removed > 0, deletes_unseen IS NOT NULL FROM walpilot.xmin_table").await;
    assert_eq!(rows, [[Some("t".to_owned()), Some("t".to_owned())]]);
}
