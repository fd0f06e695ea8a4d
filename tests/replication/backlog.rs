//! What has gathered behind the slot is read with SQL, and the stream begins where that ends: nothing is lost between the
//! two or brought twice, whatever ends a run in the middle.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::replicating::{Pair, backlog, execute, query, value, zoo};
use crate::support::{self, PATIENCE, await_until, destination, prepare, session};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::{Instant, sleep};
use walpilot::connection::{Session, Settings};

/// The run says that it reads a backlog.
const SAYS: &str = "gathered behind the slot";
/// The temporary slot with which it does.
const READING: &str = "SELECT count(*) FROM pg_replication_slots WHERE temporary AND slot_name LIKE '%\\_backlog'";
/// More log than is left to the stream.
const BACKLOG_BYTES: u64 = 6_000_000;

/// A table with a key, one whose rows may be doubles, and one that is emptied.
const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, n int, x text); \
    CREATE TABLE twins (n int, x text); ALTER TABLE twins REPLICA IDENTITY FULL; CREATE TABLE emptied (id int PRIMARY KEY); \
    INSERT INTO t SELECT i, 0, 'as copied' FROM generate_series(1, 100) i; INSERT INTO emptied VALUES (1), (2)";

/// Small and large transactions, one that is in parts, and rows that only doubles can tell from being brought twice.
fn write(pair: &Pair, from: u32) {
    let to = from + 30_000;
    let sql = format!(
        "INSERT INTO t SELECT i, 0, repeat('x', 80) FROM generate_series({from}, {to}) i; \
         DO $$ BEGIN FOR i IN 1..500 LOOP INSERT INTO twins VALUES (i % 7, 'twin'); \
             UPDATE t SET n = n + 1 WHERE id = {from} + i; \
             BEGIN DELETE FROM t WHERE id = {from} + i; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END; \
             COMMIT; END LOOP; END $$; \
         UPDATE t SET n = n + 1 WHERE id >= {from}; DELETE FROM t WHERE id >= {from} AND id % 3 = 0; \
         TRUNCATE emptied; INSERT INTO emptied VALUES ({from}); UPDATE t SET id = -id WHERE id BETWEEN 10 AND 20"
    );
    // Each statement is a transaction.
    prepare(&pair.from(), &sql);
}

#[tokio::test]
async fn a_backlog_is_read_with_sql_and_the_stream_goes_on_behind_it() {
    let pair = Pair::with(&[], TABLES).await;
    let first = pair.catch_up().await;
    assert!(!first.stdout.contains(SAYS), "{}", first.stdout);
    // Begun before the backlog is read, and committed when the stream goes on: it must come once.
    let across = session(&pair.from()).await;
    across
        .client
        .batch_execute("SET search_path = public; BEGIN; INSERT INTO twins VALUES (0, 'across')")
        .await
        .expect("begun");
    write(&pair, 1_000);
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_equal().await;
    assert_eq!(value(&pair.from(), READING).await, "0", "only for the backlog");
    let streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    await_until("the stream", async || value(&pair.from(), streams).await == "1").await;
    across.client.batch_execute("INSERT INTO twins VALUES (0, 'across'); COMMIT").await.expect("committed");
    execute(&pair.from(), "UPDATE t SET x = 'in the stream' WHERE id < 50").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
    // And once more, from a slot that the stream has left.
    write(&pair, 50_000);
    let again = pair.catch_up().await;
    assert!(again.stdout.contains(SAYS), "{}", again.stdout);
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn values_of_a_backlog_are_those_of_the_stream() {
    let pair = Pair::start(zoo::TABLES).await;
    for side in [pair.from(), pair.to()] {
        execute(&side, zoo::ODD_DEFAULTS).await;
    }
    pair.catch_up().await;
    execute(&pair.from(), zoo::ROWS).await;
    execute(&pair.from(), "UPDATE big SET y = 1; DELETE FROM plain WHERE n < 9").await;
    execute(&pair.from(), &backlog(BACKLOG_BYTES)).await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains(SAYS), "{}", outcome.stdout);
    pair.expect_equal().await;
    // The same rows in another encoding.
    let latin = "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    execute(&pair.from(), latin).await;
    execute(&pair.to(), "CREATE DATABASE latin").await;
    let latin = |settings| Settings { database: "latin".to_owned(), ..settings };
    let (from, to) = (latin(pair.from()), latin(pair.to()));
    execute(
        &from,
        "CREATE TABLE t (id int PRIMARY KEY, x text); CREATE PUBLICATION walpilot_publication FOR ALL TABLES",
    )
    .await;
    let run = async || {
        crate::replicating::between(&from, &to, &["--slot", "latin", "--until-caught-up"]).run().await.expect_code(0)
    };
    run().await;
    execute(&from, "INSERT INTO t VALUES (1, 'Grüße, ÿ')").await;
    execute(&from, &backlog(BACKLOG_BYTES)).await;
    let outcome = run().await;
    assert!(outcome.stdout.contains(SAYS), "{}", outcome.stdout);
    assert_eq!(query(&from, "SELECT * FROM t").await, query(&to, "SELECT * FROM t").await);
}

/// A run that reads a backlog and waits for a lock at the destination.
async fn held_up(pair: &Pair) -> (Child, tempfile::TempDir, Session) {
    held_up_as(pair, pair.command(&[])).await
}

async fn held_up_as(pair: &Pair, command: support::program::Walpilot) -> (Child, tempfile::TempDir, Session) {
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.t IN SHARE MODE").await.expect("locked");
    let (child, home) = command.spawn();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
    await_until("the apply waits", async || value(&pair.to(), waits).await == "1").await;
    assert_eq!(value(&pair.from(), READING).await, "1");
    (child, home, lock)
}

#[tokio::test]
async fn a_run_may_end_in_the_middle_of_a_backlog() {
    let pair = Pair::with(&[], TABLES).await;
    pair.catch_up().await;
    write(&pair, 1_000);

    // Somebody else may not take the slot meanwhile.
    let (mut child, _home, lock) = held_up(&pair).await;
    let elsewhere = destination().await;
    let other = pair.command_to(&elsewhere.settings(), &[]).run().await;
    assert!(other.code != 0 && other.stderr.contains("is in use at the source by process"), "{}", other.stderr);
    child.kill().await.expect("it runs");
    await_until("the slot of a killed run is gone", async || value(&pair.from(), READING).await == "0").await;
    drop(lock);

    // The first Ctrl-C finishes the batch at hand.
    let (mut child, _home, lock) = held_up(&pair).await;
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("it runs");
    kill_process(pid, Signal::INT).expect("it runs");
    drop(lock);
    assert_eq!(child.wait().await.expect("it ends").code(), Some(130));
    assert_eq!(value(&pair.from(), READING).await, "0", "an orderly end leaves no slot");
    pair.expect_orderly_slots().await;

    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

/// Whether a process has a file in this directory that is only its own.
fn private_file_in(child: &Child, dir: &str) -> bool {
    let descriptors = format!("/proc/{}/fd", child.id().expect("it runs"));
    let mut files = std::fs::read_dir(descriptors).expect("it runs").filter_map(Result::ok);
    files.any(|file| {
        let name = std::fs::read_link(file.path()).unwrap_or_default();
        let mode = std::fs::metadata(file.path()).map(|data| data.permissions().mode() & 0o777);
        name.starts_with(dir) && name.to_string_lossy().ends_with("(deleted)") && matches!(mode, Ok(0o600))
    })
}

/// Sessions of the run that hold back vacuum at the source.
const HOLDS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'walpilot run%' AND backend_xmin IS NOT NULL";

/// More than fits into the queue and the sockets.
const MUCH: &str = "INSERT INTO t SELECT i, 0, repeat('x', 300) FROM generate_series(1000, 100000) i";

/// A pair whose run, with its temporary files in `dir`, has read some of a large transaction and waits for a lock.
async fn much_held_up(dir: &str) -> (Pair, (Child, tempfile::TempDir, Session)) {
    let pair = Pair::with(&[], TABLES).await;
    pair.catch_up().await;
    execute(&pair.from(), MUCH).await;
    let held = held_up_as(&pair, pair.command(&[]).env("TMPDIR", dir)).await;
    (pair, held)
}

/// Lets the run go on, and looks at what it leaves.
async fn let_go(pair: &Pair, (mut child, _home, lock): (Child, tempfile::TempDir, Session)) {
    drop(lock);
    pair.await_equal().await;
    child.kill().await.expect("it runs");
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_destination_that_takes_nothing_does_not_hold_a_snapshot_at_the_source() {
    let kept = tempfile::tempdir().expect("a directory for temporary files");
    let dir = kept.path().to_str().expect("a path in UTF-8");
    let (pair, held) = much_held_up(dir).await;
    await_until("what the source has sent waits here", async || value(&pair.from(), HOLDS).await == "0").await;
    assert_eq!(value(&pair.from(), READING).await, "1", "it was not given up");
    // In a file that nobody else can open.
    assert!(private_file_in(&held.0, dir), "there is no file");
    assert_eq!(std::fs::read_dir(dir).expect("it is there").count(), 0, "the file has a name");
    // More of it than is asked for while so much waits comes afterwards.
    execute(&pair.from(), "UPDATE t SET n = 1 WHERE id > 1000").await;
    let_go(&pair, held).await;
}

#[tokio::test]
async fn an_answer_that_finds_no_room_is_given_up_in_time() {
    // Nowhere to keep what the destination does not take.
    let (pair, held) = much_held_up("/nonexistent").await;
    assert_eq!(value(&pair.from(), HOLDS).await, "1");
    // A minute, and what a loaded machine needs.
    let give_up = Instant::now() + 3 * PATIENCE;
    while value(&pair.from(), HOLDS).await != "0" {
        assert!(Instant::now() < give_up, "the answer is not given up");
        sleep(Duration::from_millis(200)).await;
    }
    await_until("the slot ends with its session", async || value(&pair.from(), READING).await == "0").await;
    let_go(&pair, held).await;
}

#[tokio::test]
async fn a_table_that_joins_while_a_backlog_is_read_goes_on_in_the_stream() {
    let pair = Pair::with(&[], TABLES).await;
    pair.catch_up().await;
    execute(&pair.from(), "CREATE TABLE added (id int PRIMARY KEY, n int)").await;
    execute(&pair.from(), "INSERT INTO added SELECT i, 0 FROM generate_series(1, 1000) i").await;
    write(&pair, 1_000);
    let (mut child, _home, lock) = held_up(&pair).await;
    let there = "SELECT to_regclass('added') IS NOT NULL";
    let copied = "SELECT count(*) FROM added";
    await_until("the copy", async || {
        value(&pair.to(), there).await == "t" && value(&pair.to(), copied).await == "1000"
    })
    .await;
    // So the position of the copy is passed while the backlog is read.
    for round in 0..3 {
        execute(&pair.from(), &format!("UPDATE added SET n = n + 1 WHERE id % 7 = {round}")).await;
        execute(&pair.from(), &backlog(BACKLOG_BYTES)).await;
    }
    drop(lock);
    let state = "SELECT state FROM walpilot.table_state WHERE table_name = 'added'";
    await_until("it has joined", async || value(&pair.to(), state).await == "streaming").await;
    await_until("the stream", async || {
        let senders = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        value(&pair.from(), READING).await == "0" && value(&pair.from(), senders).await == "1"
    })
    .await;
    execute(&pair.from(), "UPDATE added SET n = n + 100; DELETE FROM added WHERE id % 5 = 0").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn without_room_for_one_more_slot_the_stream_brings_it_all() {
    let pair = Pair::with(&[("max_replication_slots", "2")], TABLES).await;
    pair.catch_up().await;
    execute(&pair.from(), "SELECT pg_create_physical_replication_slot('taken')").await;
    write(&pair, 1_000);
    let outcome = pair.catch_up().await;
    assert!(!outcome.stdout.contains(SAYS), "{}", outcome.stdout);
    pair.expect_equal().await;
}

#[tokio::test]
async fn what_would_have_to_be_read_again_and_again_is_left_to_the_stream() {
    let pair = Pair::with(&[("max_wal_size", "4GB")], TABLES).await;
    pair.catch_up().await;
    let old = session(&pair.from()).await;
    old.client
        .batch_execute("SET search_path = public; BEGIN; INSERT INTO twins VALUES (1, 'old')")
        .await
        .expect("begun");
    for round in 0..40 {
        // A checkpoint's worth of log each time, with a position at which decoding could begin were it not for `old`.
        execute(&pair.from(), &format!("INSERT INTO twins VALUES ({round}, 'new')")).await;
        execute(&pair.from(), "SELECT pg_switch_wal()").await;
    }
    execute(&pair.from(), "INSERT INTO t VALUES (-1, 0, 'last')").await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains(SAYS) && outcome.stdout.contains("Streaming from"), "{}", outcome.stdout);
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM twins WHERE x = 'new'").await, "40");
    old.client.batch_execute("COMMIT").await.expect("committed");
    pair.catch_up().await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn what_the_source_does_not_give_by_sql_the_stream_brings() {
    // The rows of an answer are gathered in a temporary file.
    let pair = Pair::with(&[("temp_file_limit", "64kB")], TABLES).await;
    pair.catch_up().await;
    write(&pair, 1_000);
    execute(&pair.from(), "INSERT INTO t SELECT i, 0, repeat('y', 80) FROM generate_series(100000, 150000) i").await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains(SAYS) && outcome.stdout.contains("Streaming from"), "{}", outcome.stdout);
    for sql in ["ALTER SYSTEM SET temp_file_limit = -1", "SELECT pg_reload_conf()"] {
        execute(&pair.from(), sql).await;
    }
    let limit = "SHOW temp_file_limit";
    await_until("no limit", async || value(&pair.from(), limit).await == "-1").await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}
