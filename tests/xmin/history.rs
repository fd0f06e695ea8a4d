//! Ids that come round, histories that fork, and servers that crash.

use walpilot::demo::Cluster;

use super::replicating::{Pair, execute, value};
use super::support::standby::{set_next_xid, standby_of};
use super::support::{await_until, destination, source_builder, started};
use super::{between, database, pass};

/// Freezes everything, so that ids may go on by half a circle.
async fn freeze(pair: &Pair) {
    execute(&pair.from(), "UPDATE pg_database SET datallowconn = true").await;
    for database in ["template0", "template1", "postgres"] {
        let settings = walpilot::connection::Settings { database: database.to_owned(), ..pair.from() };
        execute(&settings, "VACUUM FREEZE").await;
    }
}

#[tokio::test]
async fn ids_come_round_and_epochs_are_counted() {
    // The servers of the matrix may come without the administrator's programs.
    if !super::support::binaries().dir.join("pg_resetwal").exists() {
        return;
    }
    let mut pair = super::pair(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 300) i; \
         CREATE TABLE still (id int PRIMARY KEY); INSERT INTO still SELECT generate_series(1, 50)",
    )
    .await;
    pass(&pair, &[]).await;
    // Close to the end of the first epoch: further away than ids can be compared.
    for xid in [1_500_000_000, 3_000_000_000, 4_294_967_000] {
        freeze(&pair).await;
        set_next_xid(&mut pair.source, xid, None).await;
    }
    execute(&pair.from(), "UPDATE t SET v = 'late' WHERE id = 1; INSERT INTO t VALUES (1001, 'late')").await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("351 rows read, 2 written"), "everything is read again: {}", outcome.stdout);
    pair.expect_equal().await;
    // Across the end: each statement is a transaction of its own.
    let epoch = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint >> 32";
    assert_eq!(value(&pair.from(), epoch).await, "0");
    for round in 0..4 {
        let statements: Vec<String> =
            (0..100).map(|i| format!("UPDATE t SET v = '{round}' WHERE id = {}", round * 50 + i % 50 + 1)).collect();
        for statement in &statements {
            execute(&pair.from(), statement).await;
        }
        let outcome = pass(&pair, &[]).await;
        assert!(outcome.stdout.contains("50 rows read"), "round {round}: {}", outcome.stdout);
        pair.expect_equal().await;
    }
    assert_eq!(value(&pair.from(), epoch).await, "1");
    // A frozen row keeps an xmin of the first epoch; it is neither missed nor read again.
    freeze(&pair).await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("0 rows read"), "{}", outcome.stdout);
    // A new destination of an old cluster: the first pass has no filter.
    let other = database(&pair.to(), "other").await;
    between(&pair.from(), &other, &["--once"]).run().await.expect_code(0);
    assert_eq!(value(&other, "SELECT count(*) FROM t").await, "301");
    // Five epochs further.
    set_next_xid(&mut pair.source, 5_000_000, Some(6)).await;
    execute(&pair.from(), "UPDATE t SET v = 'far' WHERE id = 7").await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("351 rows read, 1 written"), "{}", outcome.stdout);
    pair.expect_equal().await;
}

async fn replayed(primary: &Cluster, standby: &Cluster) {
    let end = value(&primary.settings(), "SELECT pg_current_wal_insert_lsn()").await;
    await_until("the standby has replayed", async || {
        value(&standby.settings(), &format!("SELECT pg_last_wal_replay_lsn() >= '{end}'")).await == "t"
    })
    .await;
}

#[tokio::test]
async fn a_standby_serves_and_its_promotion_is_read_as_another_history() {
    let mut primary = started(source_builder()).await;
    execute(
        &primary.settings(),
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 100) i",
    )
    .await;
    let mut standby = standby_of(&mut primary).await;
    // A transaction that is open on the primary is not missed by whoever reads the standby.
    let open = super::support::session(&primary.settings()).await;
    open.client
        .batch_execute("SET search_path = public; BEGIN; INSERT INTO t VALUES (1001, 'open'); SAVEPOINT s; INSERT INTO t VALUES (1002, 'sub')")
        .await
        .expect("begins");
    execute(&primary.settings(), "UPDATE t SET v = 'one' WHERE id = 1").await;
    replayed(&primary, &standby).await;
    let pair = Pair { source: standby, destination: destination().await };
    pass(&pair, &[]).await;
    pair.expect_equal().await;
    execute(&primary.settings(), "UPDATE t SET v = 'two' WHERE id = 2").await;
    open.client.batch_execute("COMMIT").await.expect("commits");
    replayed(&primary, &pair.source).await;
    pass(&pair, &[]).await;
    pair.expect_equal().await;
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM t").await, "102");

    // The primary goes on alone and is read; what the standby has not got is lost with it.
    standby = pair.source;
    standby.stop_fast().await.expect("it stops");
    let mut pair = Pair { source: primary, destination: pair.destination };
    execute(
        &pair.from(),
        "UPDATE t SET v = 'lost' WHERE id = 3; INSERT INTO t VALUES (2000, 'lost'); SELECT pg_current_xact_id()",
    )
    .await;
    pass(&pair, &[]).await;
    pair.expect_equal().await;
    // A standby that is behind is waited for, not believed.
    std::mem::swap(&mut pair.source, &mut standby);
    let mut primary = standby;
    let conf = pair.source.data_directory().join("postgresql.auto.conf");
    std::fs::write(&conf, "primary_conninfo = ''\n").expect("written");
    pair.source.start_again().await.expect("the standby starts");
    let outcome = pair.command(&["--method", "xmin", "--once", "--for", "3s"]).run().await.expect_code(0);
    assert!(outcome.stdout.contains("a standby that has replayed up to"), "{}", outcome.stdout);
    primary.stop_immediate().await.expect("it is gone");
    // Promoted, the same ids belong to other transactions: the first two are those that were lost.
    execute(&pair.from(), "SELECT pg_promote()").await;
    execute(&pair.from(), "UPDATE t SET v = 'new' WHERE id = 4; INSERT INTO t VALUES (3000, 'new')").await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("timeline 2"), "{}", outcome.stdout);
    assert_eq!(
        value(&pair.to(), "SELECT string_agg(v, ',' ORDER BY id) FROM t WHERE id IN (3, 4, 2000, 3000)").await,
        "old,new,lost,new"
    );
    pass(&pair, &["--reconcile"]).await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn nothing_is_read_that_a_crash_of_the_source_could_take_back() {
    let source = started(source_builder().setting("synchronous_commit", "off").setting("wal_writer_delay", "3s")).await;
    let mut pair = Pair { source, destination: destination().await };
    execute(
        &pair.from(),
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 10) i",
    )
    .await;
    pass(&pair, &[]).await;
    execute(
        &pair.from(),
        "INSERT INTO t VALUES (100, 'not flushed'); BEGIN; INSERT INTO t VALUES (101, 'aborted'); ROLLBACK",
    )
    .await;
    pass(&pair, &[]).await;
    let seen = value(&pair.to(), "SELECT count(*) FROM t").await;
    pair.source.stop_immediate().await.expect("it crashes");
    pair.source.start_again().await.expect("it starts");
    assert_eq!(value(&pair.from(), "SELECT count(*) FROM t").await, seen);
    // Had the ids been given out again, this row would look old.
    execute(&pair.from(), "INSERT INTO t VALUES (102, 'after')").await;
    pass(&pair, &[]).await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn another_source_is_refused_and_can_be_copied_anew() {
    let schema =
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'old' FROM generate_series(1, 10) i";
    let pair = super::pair(schema).await;
    pass(&pair, &[]).await;
    let other = database(&pair.from(), "other").await;
    execute(&other, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (77, 'other')").await;
    let text = between(&other, &pair.to(), &["--once"]).run().await.expect_code(4).stderr;
    assert!(text.contains("another source") && text.contains("--copy-again"), "{text}");
    between(&other, &pair.to(), &["--once", "--copy-again"]).run().await.expect_code(0);
    assert_eq!(value(&pair.to(), "SELECT string_agg(id || v, ',') FROM t").await, "77other");
    // The other method can't go on from here.
    let text = pair.command(&["--until-caught-up"]).run().await.expect_code(4).stderr;
    assert!(text.contains("--method xmin"), "{text}");
}
