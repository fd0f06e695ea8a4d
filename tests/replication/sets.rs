//! Many changes in one batch: what may be written in sets comes to the same as one by one, and what stands in the way is
//! told the same.

use crate::replicating::{Pair, execute, value};
use crate::support::{PATIENCE, await_until};
use tokio::time::timeout;

const SCHEMA: &str = r#"
CREATE TYPE mood AS ENUM ('ok', 'it''s', 'a"b\c'); CREATE DOMAIN short AS varchar(5); CREATE TYPE pair AS (a int, b text);
CREATE TABLE zoo (id int PRIMARY KEY, m mood, ms mood[], d short, p pair, ia int[][], ta text[], bx box, j json, x xml,
    c char(4), q "char", by bytea, n numeric, at timestamptz, bi bit(3), iv int2vector, r int4range, big text);
ALTER TABLE zoo ALTER big SET STORAGE EXTERNAL;
CREATE TABLE two_keys (a int, b text, v int, PRIMARY KEY (a, b));
CREATE TABLE loose_key (k numeric PRIMARY KEY, v int);
CREATE TABLE mail (id int PRIMARY KEY, email text NOT NULL UNIQUE, place int);
CREATE TABLE odd (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, made int GENERATED ALWAYS AS (v + 1) STORED);
CREATE TABLE whole (a int, b text); ALTER TABLE whole REPLICA IDENTITY FULL;
"#;

/// One transaction of many changes of everything, so that all of it is one batch.
const CHANGES: &str = r#"
BEGIN;
INSERT INTO zoo SELECT i, (ARRAY['ok', 'it''s', 'a"b\c']::mood[])[1 + i % 3], ARRAY['a"b\c', NULL, 'ok']::mood[], 'a,"b\',
    ROW(i, 'x"\y')::pair, ARRAY[[i, 2], [NULL, 4]], ARRAY['a b', 'c"d\', NULL, 'NULL', ''], '((1,1),(0,0))', '{"a":  "\u0000"}',
    '<a>&amp;</a>', 'ab', 'x', '\x00ff5c22', i / 3.0, 'infinity', '101', '1 2 3', '[1,5)', repeat(chr(65 + i % 26), 9000)
    FROM generate_series(1, 60) i;
UPDATE zoo SET n = n + 1, p = ROW(NULL, ''), ta = NULL WHERE id % 2 = 0; UPDATE zoo SET m = NULL, at = '-infinity' WHERE id % 3 = 0;
DELETE FROM zoo WHERE id % 7 = 0; INSERT INTO zoo (id, n) SELECT i, 'NaN' FROM generate_series(7, 60, 7) i;
UPDATE zoo SET id = id + 1000 WHERE id % 5 = 0; UPDATE zoo SET c = 'mov' WHERE id > 1000 AND c IS NULL;
INSERT INTO two_keys SELECT i, chr(97 + i % 3) || '"\', 0 FROM generate_series(1, 300) i;
UPDATE two_keys SET v = v + a; UPDATE two_keys SET v = v + 1 WHERE a % 2 = 0; DELETE FROM two_keys WHERE a % 5 = 0;
INSERT INTO loose_key SELECT i + 0.0, 0 FROM generate_series(1, 50) i; UPDATE loose_key SET v = 1 WHERE k <= 20;
DELETE FROM loose_key WHERE k <= 20; INSERT INTO loose_key SELECT i + 0.00, 2 FROM generate_series(1, 20) i; UPDATE loose_key SET v = v + 1;
INSERT INTO mail SELECT i, i || '@x', i FROM generate_series(1, 100) i;
UPDATE mail SET email = 'none' WHERE id = 1; UPDATE mail SET email = '1@x' WHERE id = 2; UPDATE mail SET email = '2@x' WHERE id = 1;
DELETE FROM mail WHERE id = 3; INSERT INTO mail VALUES (1003, '3@x', 0); UPDATE mail SET place = -place;
INSERT INTO odd (v) SELECT i FROM generate_series(1, 40) i; UPDATE odd SET v = v * 2; DELETE FROM odd WHERE id > 30;
INSERT INTO whole SELECT i % 3, 'same' FROM generate_series(1, 30) i; DELETE FROM whole WHERE ctid IN (SELECT ctid FROM whole WHERE a = 1 LIMIT 4);
UPDATE whole SET b = 'other' WHERE ctid IN (SELECT ctid FROM whole WHERE a = 2 LIMIT 3);
COMMIT;
UPDATE zoo SET n = 5 WHERE id < 50; UPDATE zoo SET big = 'short' WHERE id % 2 = 1; UPDATE zoo SET j = NULL, ia = '{}';
BEGIN; INSERT INTO two_keys SELECT i, 'gone', 0 FROM generate_series(1, 50) i; DELETE FROM two_keys WHERE b = 'gone';
    TRUNCATE mail; INSERT INTO mail SELECT i, i || '@x', i FROM generate_series(1, 40) i; COMMIT;
"#;

#[tokio::test]
async fn a_batch_in_sets_comes_to_the_same_as_one_by_one() {
    let pair = Pair::start(SCHEMA).await;
    pair.catch_up().await;
    // The source's own constraints, so that what crosses them on the way would be refused.
    execute(&pair.to(), "ALTER TABLE mail ADD UNIQUE (email)").await;
    execute(&pair.from(), CHANGES).await;
    let outcome = pair.catch_up().await;
    assert!(!outcome.stdout.contains("! "), "no trouble was expected:\n{}", outcome.stdout);
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
    // Rows that are not there are told of, also in a set.
    execute(&pair.to(), "DELETE FROM two_keys WHERE a < 3").await;
    execute(&pair.from(), "UPDATE two_keys SET v = 0 WHERE a <> 1; DELETE FROM two_keys WHERE a IN (1, 3, 4, 6)").await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains("wanted to update in table public.two_keys"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("wanted to delete in table public.two_keys"), "{}", outcome.stdout);
    // The row that stood at the source only.
    execute(&pair.from(), "DELETE FROM two_keys WHERE a = 2").await;
    pair.catch_up().await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn a_collision_within_a_batch_stops_with_the_same_sentence_and_loses_nothing() {
    let pair =
        Pair::start("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v int)").await;
    pair.catch_up().await;
    for (count, rest) in [(20, "DELETE FROM t WHERE id = 7"), (500, "UPDATE t SET v = 'again'")] {
        execute(&pair.to(), "INSERT INTO t VALUES (7, 'mine')").await;
        execute(
            &pair.from(),
            &format!(
                "BEGIN; INSERT INTO u SELECT i, i FROM generate_series(1, {count}) i;
                 INSERT INTO t SELECT i, 'theirs' FROM generate_series(1, {count}) i; {rest}; COMMIT"
            ),
        )
        .await;
        let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
        for word in ["t_pkey", "public.t", "nothing is lost"] {
            assert!(outcome.stderr.contains(word), "{word:?} is missing: {}", outcome.stderr);
        }
        assert_eq!(value(&pair.to(), "SELECT count(*) FROM u").await, "0", "no part of the batch is visible");
        execute(&pair.to(), "DELETE FROM t WHERE v = 'mine'").await;
        pair.catch_up().await;
        pair.expect_equal().await;
        execute(&pair.from(), "TRUNCATE t, u").await;
        pair.catch_up().await;
    }
}

#[tokio::test]
async fn whoever_watches_rows_at_the_destination_sees_them_in_the_order_of_the_source() {
    let pair =
        Pair::start("CREATE TABLE one (id int PRIMARY KEY, v int); CREATE TABLE two (id int PRIMARY KEY, v int)").await;
    pair.catch_up().await;
    let audit = "CREATE TABLE audit (n serial, what text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO public.audit (what) VALUES (TG_TABLE_NAME || ' ' || TG_OP || ' ' || COALESCE(NEW.v, OLD.v)); RETURN NULL; END $$;";
    for side in [pair.from(), pair.to()] {
        if side == pair.to() {
            execute(&side, audit).await;
        } else {
            execute(&side, &audit.replace("CREATE TABLE", "CREATE UNLOGGED TABLE")).await;
        }
        for table in ["one", "two"] {
            execute(
                &side,
                &format!(
                    "CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION note();
                     ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit"
                ),
            )
            .await;
        }
    }
    execute(
        &pair.from(),
        "DO $$ BEGIN FOR i IN 1..40 LOOP INSERT INTO one VALUES (i, i); INSERT INTO two VALUES (i, -i);
             UPDATE one SET v = v + 100 WHERE id = i; IF i % 3 = 0 THEN DELETE FROM two WHERE id = i; END IF; END LOOP; END $$",
    )
    .await;
    pair.catch_up().await;
    let told = "SELECT string_agg(what, ',' ORDER BY n) FROM audit";
    assert_eq!(value(&pair.from(), told).await, value(&pair.to(), told).await);
}

#[tokio::test]
async fn a_large_table_is_copied_in_pieces_and_goes_on_in_its_snapshot_when_the_destination_breaks_off() {
    let mut pair = Pair::start(
        "CREATE TABLE large (id int PRIMARY KEY, v text); ALTER TABLE large ALTER v SET STORAGE PLAIN;
         INSERT INTO large SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 160000) i; ANALYZE large",
    )
    .await;
    let pieces = "SELECT count(*) FROM walpilot.table_piece";
    let (child, _home) = pair.command(&["--until-caught-up", "--format", "json"]).spawn();
    await_until("a piece", async || {
        value(&pair.to(), "SELECT to_regclass('walpilot.table_piece') IS NOT NULL").await == "t"
            && value(&pair.to(), pieces).await != "0"
    })
    .await;
    pair.destination.stop_immediate().await.expect("it stops");
    // What is written meanwhile is not part of the copy and comes with the stream.
    execute(&pair.from(), "UPDATE large SET v = 'changed' WHERE id % 1000 = 0; DELETE FROM large WHERE id % 999 = 0")
        .await;
    pair.destination.start_again().await.expect("it starts");
    let output = timeout(PATIENCE * 3, child.wait_with_output()).await.expect("it ends").expect("its output");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains("\"summary\""), "{output}");
    assert!(output.contains("The copy goes on as of"), "{output}");
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
    assert_eq!(value(&pair.to(), pieces).await, "0", "nothing is left of the copy's account");
    let key = "SELECT count(*) FROM pg_index WHERE indrelid = 'large'::regclass AND indisprimary";
    assert_eq!(value(&pair.to(), key).await, "1", "the key is made after the rows");
}

#[tokio::test]
async fn a_table_that_is_rewritten_between_two_of_its_pieces_is_copied_in_a_new_snapshot() {
    let mut pair = Pair::start(
        "CREATE TABLE large (id int PRIMARY KEY, v text); ALTER TABLE large ALTER v SET STORAGE PLAIN;
         INSERT INTO large SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 160000) i; ANALYZE large",
    )
    .await;
    let (child, _home) = pair.command(&["--until-caught-up", "--format", "json"]).spawn();
    await_until("a piece", async || {
        value(&pair.to(), "SELECT to_regclass('walpilot.table_piece') IS NOT NULL").await == "t"
            && value(&pair.to(), "SELECT count(*) FROM walpilot.table_piece").await != "0"
    })
    .await;
    pair.destination.stop_immediate().await.expect("it stops");
    // The catalog looks the same afterwards, and the snapshot that is held sees no row any more.
    execute(&pair.from(), "ALTER TABLE large ALTER v TYPE text USING left(v, 200)").await;
    pair.destination.start_again().await.expect("it starts");
    let output = timeout(PATIENCE * 3, child.wait_with_output()).await.expect("it ends").expect("its output");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains("was altered or truncated at the source"), "{output}");
    assert!(output.contains("\"summary\""), "{output}");
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM large").await, "160000");
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_value_that_does_not_fit_stops_a_batch_in_sets_with_the_statement_that_helps() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY, v bigint)").await;
    execute(&pair.to(), "CREATE TABLE t (id int PRIMARY KEY, v int)").await;
    pair.catch_up().await;
    execute(
        &pair.from(),
        "BEGIN; INSERT INTO t SELECT i, i FROM generate_series(1, 500) i; UPDATE t SET v = 5000000000 WHERE id > 400; COMMIT",
    )
    .await;
    let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
    for word in [r#"ALTER TABLE "public"."t" ALTER COLUMN "v" TYPE bigint"#, "22003", "nothing is lost"] {
        assert!(outcome.stderr.contains(word), "{word:?} is missing: {}", outcome.stderr);
    }
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM t").await, "0");
    execute(&pair.to(), "ALTER TABLE t ALTER COLUMN v TYPE bigint").await;
    execute(&pair.from(), "UPDATE t SET v = v + 5000000000").await;
    pair.catch_up().await;
    pair.expect_equal().await;
}
