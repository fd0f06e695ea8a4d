//! Ctrl-C in a terminal before anything is at the destination: one sentence, no slot that nobody needs, and the next run
//! is as good as the first.

use crate::replicating::{Pair, await_value, execute, open, value};
use crate::support::await_until;
use crate::support::program::{password, uri};
use crate::support::pty::Terminal;

const CTRL_C: &str = "\u{3}";
const SLOTS: &str = "SELECT count(*) FROM pg_replication_slots";

/// `walpilot run` between the two in a terminal.
fn run(pair: &Pair) -> Terminal {
    let (from, to) = (uri(&pair.from()), uri(&pair.to()));
    Terminal::start(
        &["run", "--from", &from, "--to", &to],
        &[("PGPASSWORD", password(&pair.from())), ("WALPILOT_TO_PASSWORD", password(&pair.to()))],
    )
}

/// Presses Ctrl-C and waits for the end, which has to say `words`.
fn interrupt(terminal: &mut Terminal, words: &[&str]) {
    terminal.types(CTRL_C);
    assert_eq!(terminal.ends(), 130, "{}", terminal.stream());
    for word in words {
        assert!(terminal.stream().contains(word), "{word:?} is missing: {}", terminal.stream());
    }
}

const NOTHING: &str = "stopped before anything was copied; the next run begins anew";

#[tokio::test]
async fn while_the_slot_waits_for_a_transaction() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let writer = open(&pair.from(), "INSERT INTO t VALUES (2)").await;
    let mut terminal = run(&pair);
    await_value(&pair.from(), SLOTS, "1").await;
    interrupt(&mut terminal, &[NOTHING]);
    assert_eq!(value(&pair.from(), SLOTS).await, "0", "{}", terminal.stream());
    // A server that had gone on waiting would make its slot now.
    writer.client.batch_execute("COMMIT").await.expect("committed");
    await_value(&pair.from(), "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'", "0").await;
    assert_eq!(value(&pair.from(), SLOTS).await, "0");
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

/// A trigger that makes a copy last: 5 ms for each row.
const SLOW: &str = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); RETURN NEW; END'; \
    CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow(); ALTER TABLE t ENABLE ALWAYS TRIGGER slow";

#[tokio::test]
async fn during_the_initial_copy() {
    let pair = Pair::start(
        "CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;
         INSERT INTO t SELECT i, repeat('x', 8000) FROM generate_series(1, 6000) i",
    )
    .await;
    execute(&pair.to(), &format!("CREATE TABLE t (id int PRIMARY KEY, v text); {SLOW}")).await;
    let copies = "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%public%t%'";
    let mut terminal = run(&pair);
    await_value(&pair.to(), copies, "t").await;
    interrupt(&mut terminal, &["Dropped the replication slot walpilot_slot", NOTHING]);
    await_value(&pair.from(), SLOTS, "0").await;
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM t").await, "0");
    // With a table that is there, the slot is needed: the next run goes on.
    execute(&pair.from(), "CREATE TABLE small (id int PRIMARY KEY); INSERT INTO small VALUES (1)").await;
    let mut terminal = run(&pair);
    let small = "SELECT count(*) FROM walpilot.table_state WHERE table_name = 'small' AND state = 'streaming'";
    await_value(&pair.to(), small, "1").await;
    await_value(&pair.to(), copies, "t").await;
    interrupt(&mut terminal, &["the next run goes on from here"]);
    await_value(&pair.from(), SLOTS, "1").await;
    execute(&pair.from(), "UPDATE small SET id = 2; DELETE FROM t WHERE id > 100").await;
    execute(&pair.to(), "ALTER TABLE t DISABLE TRIGGER slow").await;
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_second_one_stops_at_once() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    execute(&pair.to(), "CREATE TABLE t (id int PRIMARY KEY)").await;
    let lock = open(&pair.to(), "LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE").await;
    let mut terminal = run(&pair);
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation IS NOT NULL";
    await_value(&pair.to(), waits, "t").await;
    terminal.types(CTRL_C);
    await_until("the advice", async || terminal.stream().contains("press Ctrl-C again to stop at once")).await;
    interrupt(&mut terminal, &["stopped at once; the next run goes on from the checkpoint"]);
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM t").await, "0");
    drop(lock);
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}
