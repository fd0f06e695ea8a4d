//! `walpilot run` on real servers: every kind of change arrives, and what can't be done is refused with its reason.

use crate::replicating::{Pair, execute, query, value, zoo};
use crate::support::await_until;

/// Beside what every way of replicating carries: replica identities of all kinds, partitions and foreign keys.
const MORE: &str = r#"
CREATE TABLE whole (a int, b text, p point, j json, d numeric, f float8); ALTER TABLE whole REPLICA IDENTITY FULL;
INSERT INTO whole SELECT 1, 'x', '(1,2)', '{"a": 1}', v, 0 FROM unnest('{1.0,1.0,1.00,NaN}'::numeric[]) v;
INSERT INTO whole VALUES (NULL, NULL, NULL, NULL, NULL, '-0'), (NULL, NULL, NULL, NULL, NULL, '0');
CREATE TABLE twins (c char(4), i inet, cp pair, n numeric, k "char", x xml, v varchar, b bool);
ALTER TABLE twins REPLICA IDENTITY FULL;
INSERT INTO twins VALUES ('a', '10.0.0.1', '(1,)', 1.0, 'x', '<a/>', '', true), ('a', '10.0.0.1', '(1,)', 1.00, 'x', '<a/>', '', true),
    ('b', '10.0.0.0/8', '(,)', 'NaN', NULL, NULL, 'v ', false), (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
ALTER TABLE byindex REPLICA IDENTITY USING INDEX byindex_a;
CREATE TABLE parts (id int, r text, v int, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES IN ('a'); CREATE TABLE parts_b PARTITION OF parts FOR VALUES IN ('b');
INSERT INTO parts SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i FROM generate_series(1, 50) i;
CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent);
INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1, 1);
"#;

const CHANGES: &str = r#"
BEGIN; INSERT INTO plain (a, n) VALUES ('new', 1); UPDATE plain SET a = 'changed', n = 7 WHERE id = 5;
    DELETE FROM plain WHERE id = 6; SAVEPOINT s; INSERT INTO plain (a) VALUES ('gone'); DELETE FROM plain; ROLLBACK TO s;
    SAVEPOINT s2; INSERT INTO plain (a) VALUES ('kept'); RELEASE s2; UPDATE "Sales"."Odd ""T." SET "Key" = 'moved' WHERE "Key" = '';
COMMIT;
BEGIN; DELETE FROM plain; ROLLBACK;
UPDATE big SET y = 1; UPDATE big SET id = id + 100 WHERE id < 3; UPDATE big SET x = 'short' WHERE id = 5;
BEGIN; UPDATE big SET id = -1 WHERE id = 3; UPDATE big SET id = 3 WHERE id = 4; UPDATE big SET id = 4 WHERE id = -1; COMMIT;
DELETE FROM whole WHERE ctid = (SELECT min(ctid) FROM whole WHERE d::text = '1.00');
UPDATE whole SET b = 'one of two' WHERE ctid = (SELECT min(ctid) FROM whole WHERE d::text = '1.0');
DELETE FROM whole WHERE f::text = '-0'; UPDATE whole SET j = '{"n":null}' WHERE d = 'NaN';
DELETE FROM twins WHERE n::text = '1.00'; UPDATE twins SET v = 'w' WHERE n = 1; UPDATE twins SET c = 'n' WHERE c IS NULL;
DELETE FROM twins WHERE c = 'b';
UPDATE byindex SET a = 20 WHERE a = 2; UPDATE byindex SET b = NULL WHERE a = 1; DELETE FROM byindex WHERE a = 20;
UPDATE parts SET r = 'a' WHERE id = 1; DELETE FROM parts WHERE id = 2; INSERT INTO parts VALUES (1000, 'b', NULL);
TRUNCATE parent CASCADE; INSERT INTO parent VALUES (9); INSERT INTO child VALUES (9, 9);
UPDATE zoo SET comp = '(2,)', f8 = 'NaN', iv = '-1 day', t = '' WHERE id = 1; DELETE FROM zoo WHERE id = 2;
"#;

#[tokio::test]
async fn every_kind_of_change_arrives_as_it_was() {
    let pair = Pair::start(&[zoo::TABLES, MORE].concat()).await;
    execute(&pair.from(), zoo::ROWS).await;
    // Whatever the database's defaults are, values must not change on the way.
    for side in [pair.from(), pair.to()] {
        execute(&side, zoo::ODD_DEFAULTS).await;
    }
    execute(&pair.from(), "ALTER DATABASE postgres SET TimeZone = 'Asia/Kathmandu'").await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains("stopped at"), "{}", outcome.stdout);
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;

    execute(
        &pair.from(),
        &zoo::ROWS.replace("(2)", "(3)").replace("VALUES (1,", "VALUES (4,").replace("10, 40", "50, 60"),
    )
    .await;
    execute(&pair.from(), CHANGES).await;
    let outcome = pair.catch_up().await;
    assert!(!outcome.stdout.contains("! "), "no trouble was expected:\n{}", outcome.stdout);
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
    // A second look must find nothing to do.
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains("0 changes applied"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_table_that_is_published_later_is_copied_and_joined_while_the_run_goes_on() {
    let pair = Pair::start("CREATE TABLE first (id int PRIMARY KEY)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    execute(&pair.from(), "INSERT INTO first VALUES (1)").await;
    await_until("the first row", async || pair_has(&pair, "first", 1).await).await;
    execute(
        &pair.from(),
        "CREATE TABLE later (id int PRIMARY KEY, v int); INSERT INTO later SELECT i, 0 FROM generate_series(1, 1000) i; \
         UPDATE later SET v = 1 WHERE id <= 10; INSERT INTO first VALUES (2)",
    )
    .await;
    pair.await_equal().await;
    execute(&pair.from(), "UPDATE later SET v = v + 1; DELETE FROM later WHERE id > 900; INSERT INTO first VALUES (3)")
        .await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}

async fn pair_has(pair: &Pair, table: &str, rows: u32) -> bool {
    let sql = format!("SELECT to_regclass('{table}') IS NOT NULL");
    value(&pair.to(), &sql).await == "t"
        && value(&pair.to(), &format!("SELECT count(*) FROM {table}")).await == rows.to_string()
}

#[tokio::test]
async fn what_can_not_be_done_is_refused_with_its_reason() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'S3NT1NEL')").await;
    let refused = async |more: &[&str], code: i32, words: &[&str]| {
        let mut args = vec!["--until-caught-up"];
        args.extend(more);
        let outcome = pair.command(&args).run().await.expect_code(code);
        for word in words {
            assert!(outcome.stderr.contains(word), "{word:?} is missing: {}", outcome.stderr);
        }
        assert!(!outcome.stderr.contains("S3NT1NEL") && !outcome.stdout.contains("S3NT1NEL"), "{outcome:?}");
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "one sentence: {}", outcome.stderr);
    };
    refused(&["--publication", "nothing"], 4, &["no publication \"nothing\""]).await;
    refused(&["--no-create-slot"], 4, &["pg_create_logical_replication_slot"]).await;
    refused(&["--reconcile"], 2, &["--method xmin"]).await;
    pair.command(&["--for", "0s"]).run().await.expect_code(2);
    execute(&pair.to(), "CREATE TABLE t (id int PRIMARY KEY)").await;
    refused(&[], 4, &["public.t", "column v", "ADD COLUMN \"v\" text"]).await;
    execute(&pair.to(), "ALTER TABLE t ADD COLUMN v text; INSERT INTO t VALUES (7, 'mine')").await;
    refused(&[], 4, &["public.t", "already has rows"]).await;
    execute(&pair.to(), "TRUNCATE t").await;
    pair.catch_up().await;
    pair.expect_equal().await;

    // A row that only the destination has.
    execute(&pair.to(), "INSERT INTO t VALUES (2, 'mine')").await;
    execute(&pair.from(), "INSERT INTO t VALUES (2, 'S3NT1NEL')").await;
    refused(&[], 4, &["t_pkey", "public.t", "nothing is lost"]).await;
    execute(&pair.to(), "DELETE FROM t WHERE id = 2").await;
    pair.catch_up().await;
    pair.expect_equal().await;

    // Somebody else moved the slot.
    execute(&pair.from(), "INSERT INTO t VALUES (3, 'lost')").await;
    execute(&pair.from(), "SELECT pg_replication_slot_advance('walpilot_slot', pg_current_wal_lsn())").await;
    refused(&[], 4, &["was moved to", "--copy-again"]).await;
    pair.command(&["--until-caught-up", "--copy-again"]).run().await.expect_code(0);
    pair.expect_equal().await;

    // The slot is gone.
    execute(&pair.from(), "SELECT pg_drop_replication_slot('walpilot_slot')").await;
    refused(&[], 4, &["is gone", "--copy-again"]).await;
}

#[tokio::test]
async fn a_second_run_is_refused() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    await_until("the first run streams", async || {
        value(&pair.from(), "SELECT count(*) FROM pg_replication_slots WHERE active AND NOT temporary").await == "1"
    })
    .await;
    let outcome = pair.command(&[]).run().await.expect_code(4);
    assert!(outcome.stderr.contains("Another walpilot run"), "{}", outcome.stderr);
    // The slot also keeps out a run into another database.
    execute(&pair.to(), "CREATE DATABASE other").await;
    let other = walpilot::connection::Settings { database: "other".to_owned(), ..pair.to() };
    let outcome = pair.command_to(&other, &[]).run().await.expect_code(4);
    assert!(outcome.stderr.contains("in use"), "{}", outcome.stderr);
    child.kill().await.expect("it runs");
    let slots = query(&pair.from(), "SELECT slot_name FROM pg_replication_slots").await;
    assert_eq!(slots.len(), 1, "{slots:?}");
}

#[tokio::test]
async fn nothing_is_committed_without_its_checkpoint() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY)").await;
    pair.catch_up().await;
    let (child, _home) = pair.command(&[]).spawn();
    await_until("a stream", async || value(&pair.to(), "SELECT phase FROM walpilot.progress").await == "streaming")
        .await;
    execute(&pair.to(), "DELETE FROM walpilot.checkpoint").await;
    execute(&pair.from(), "INSERT INTO t VALUES (1)").await;
    let output = child.wait_with_output().await.expect("its output");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("is gone from walpilot.checkpoint"), "{said}");
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM t").await, "0");
}
