//! What arrives is what was there, whatever the type, the name or the settings.

use super::pass;
use super::replicating::{execute, value};

const SCHEMA: &str = r#"
CREATE SCHEMA "Sales"; CREATE TYPE "Sales"."Mood" AS ENUM ('ok', 'it''s', 'a,b');
CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TYPE pair AS (a int, b text);
CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, n int,
    made int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO plain (a, n) SELECT 'row ' || i, i FROM generate_series(1, 500) i;
CREATE TABLE "Sales"."Odd ""T." ("Key" text PRIMARY KEY, "the value" "Sales"."Mood", tail "Sales"."Mood"[]);
INSERT INTO "Sales"."Odd ""T." VALUES (E'tab\t nl\n bs\\ cr\r', 'it''s', '{ok,"a,b",NULL}'), ('', NULL, '{}');
CREATE TABLE big (id int PRIMARY KEY, x text, y int); ALTER TABLE big ALTER x SET STORAGE EXTERNAL;
INSERT INTO big SELECT i, repeat(chr(65 + i), 20000), 0 FROM generate_series(1, 5) i;
CREATE TABLE byindex (a int NOT NULL, b text, c int); CREATE UNIQUE INDEX byindex_a ON byindex (a);
INSERT INTO byindex VALUES (1, 'a', 1), (2, 'b', 2);
CREATE TABLE two (a text, b numeric, c json, PRIMARY KEY (a, b)); INSERT INTO two VALUES ('x', 1.0, '{"a": 1}'), ('x', 2, NULL);
CREATE TABLE zoo (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, num numeric(20,5), t text, v varchar(9),
    c char(5), nm name, oc "char", by bytea, d date, tm time, tz timetz, ts timestamp, tstz timestamptz(3), iv interval, u uuid,
    j json, jb jsonb, x xml, ia int[], ta text[][], r int4range, mr tstzrange, pt point, bx box, pl polygon, inet inet,
    mac macaddr, bi bit(3), vb varbit, mo money, tv tsvector, dom positive, comp pair, comps pair[], ln pg_lsn);
INSERT INTO zoo VALUES (1, true, -32768, 9223372036854775807, 'NaN', '-Infinity', 123456789012345.54321, E'ü\t\\N "q"', 'varchar',
    'ab', 'name', 'x', '\x00ff5c', 'infinity', '23:59:59.999999', '12:00:00+05:30', '-infinity', '2000-01-01 00:00:00.123+14',
    '1 year -2 mons 3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"z": "\u0000", "a":  1}', '{"b": [1, null]}',
    '<a>x</a>', '{1,NULL,3}', '{{"a b","c\"d"},{"\\",NULL}}', '[1,5)', '[2001-01-01 00:00+00,)', '(0.1,1e-300)', '((1,1),(0,0))',
    '((0,0),(1,0),(1,1))', '10.0.0.0/8', '08:00:2b:01:02:03', '101', '10101', '12.34', 'a:1 b:2', 5, '(1,"x,y")',
    '{"(1,\"a \"\"b\"\"\")",NULL}', '16/B374D848');
INSERT INTO zoo (id) VALUES (2);
INSERT INTO zoo (id, f8, d, c) SELECT i, random() / 3, 'epoch', 'a  ' FROM generate_series(10, 40) i;
"#;

#[tokio::test]
async fn every_kind_of_row_arrives_and_changes_follow() {
    let pair = super::pair(SCHEMA).await;
    // Whatever the database's defaults are, values must not change on the way.
    for side in [pair.from(), pair.to()] {
        execute(
            &side,
            "ALTER DATABASE postgres SET DateStyle = 'SQL, DMY'; ALTER DATABASE postgres SET IntervalStyle = iso_8601; \
             ALTER DATABASE postgres SET extra_float_digits = -3; ALTER DATABASE postgres SET bytea_output = escape",
        )
        .await;
    }
    execute(&pair.from(), "ALTER DATABASE postgres SET TimeZone = 'Asia/Kathmandu'").await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("Copied table public.plain: 500 rows"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("! "), "no trouble was expected:\n{}", outcome.stdout);
    pair.expect_equal().await;

    execute(
        &pair.from(),
        r#"BEGIN; INSERT INTO plain (a, n) VALUES ('new', 1); UPDATE plain SET a = 'changed', n = 7 WHERE id = 5; SAVEPOINT s;
           UPDATE plain SET a = 'gone'; ROLLBACK TO s; UPDATE plain SET n = NULL WHERE id = 6; COMMIT;
           BEGIN; UPDATE plain SET a = 'never'; ROLLBACK;
           UPDATE "Sales"."Odd ""T." SET "the value" = 'a,b' WHERE "Key" = ''; UPDATE big SET y = 1 WHERE id < 4;
           UPDATE big SET x = 'short' WHERE id = 5; UPDATE byindex SET b = NULL WHERE a = 1; INSERT INTO byindex VALUES (3, 'c', 3);
           UPDATE two SET b = 1.00, c = '{"a":1}' WHERE b = 1; UPDATE two SET c = '[]' WHERE b = 2;
           UPDATE zoo SET comp = '(2,)', f8 = '-0', iv = '-1 day', t = '', num = 'NaN' WHERE id = 1; UPDATE zoo SET f8 = 0 WHERE id = 10"#,
    )
    .await;
    let outcome = pass(&pair, &[]).await;
    // What stood still was neither read nor written: 3 of plain, 1, 4, 2, 2 and 2 of the others.
    assert!(outcome.stdout.contains("14 rows read, 14 written"), "{}", outcome.stdout);
    pair.expect_equal().await;
    let outcome = pass(&pair, &[]).await;
    assert!(outcome.stdout.contains("0 rows read, 0 written"), "{}", outcome.stdout);
    assert_eq!(value(&pair.to(), "SELECT method FROM walpilot.source").await, "xmin");
    // Its own comparison says the same.
    let verify = pair.verify(&["--method", "xmin"]).run().await.expect_code(0);
    assert!(verify.stdout.contains("6 of 6 tables are equal"), "{}", verify.stdout);
}

#[tokio::test]
async fn columns_that_are_added_are_followed_and_old_rows_have_their_value() {
    let pair = super::pair(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i",
    )
    .await;
    pass(&pair, &[]).await;
    execute(
        &pair.from(),
        "ALTER TABLE t ADD a int; ALTER TABLE t ADD b text DEFAULT 'it''s'; UPDATE t SET a = 1 WHERE id = 1",
    )
    .await;
    pass(&pair, &[]).await;
    pair.expect_equal().await;
    // Computed for each row: the table is rewritten.
    execute(&pair.from(), "ALTER TABLE t ADD c double precision DEFAULT random()").await;
    pass(&pair, &[]).await;
    pair.expect_equal().await;
    execute(&pair.from(), "ALTER TABLE t RENAME v TO w").await;
    let text = super::refusal(&pair, &[]).await;
    assert!(text.contains("RENAME COLUMN \"v\" TO \"w\""), "{text}");
    execute(&pair.to(), "ALTER TABLE t RENAME v TO w").await;
    pass(&pair, &[]).await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn values_of_unique_columns_may_change_hands() {
    let schema = "CREATE TABLE u (id int PRIMARY KEY, mail text UNIQUE DEFERRABLE, a int, b int, UNIQUE (a, b)); \
                  INSERT INTO u SELECT i, 'm' || i, i, 0 FROM generate_series(1, 400) i";
    let pair = super::pair(schema).await;
    // Triggers and foreign keys rest, a column that only the destination has stays as it is.
    execute(
        &pair.to(),
        "CREATE TABLE u (id int PRIMARY KEY, mail text UNIQUE, a int, b int, ours int DEFAULT 7, UNIQUE (a, b)); \
         CREATE TABLE log (n int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''fired''; END'; \
         CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON u FOR EACH ROW EXECUTE FUNCTION f(); \
         CREATE TABLE other (id int REFERENCES u)",
    )
    .await;
    let same = async || {
        let sql = "SELECT md5(string_agg(id || ' ' || mail || ' ' || a || ' ' || b, ',' ORDER BY id)) FROM u";
        assert_eq!(value(&pair.from(), sql).await, value(&pair.to(), sql).await);
    };
    // One page to a range, so that rows that exchange values are in different ranges, too.
    pass(&pair, &["--range-pages", "1"]).await;
    same().await;
    execute(&pair.to(), "SET session_replication_role = replica; UPDATE u SET ours = id").await;
    execute(
        &pair.from(),
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE u SET mail = 'm' || (401 - id); COMMIT; \
         UPDATE u SET a = -2 WHERE id = 1; UPDATE u SET a = 1 WHERE id = 2; UPDATE u SET a = 2 WHERE id = 1",
    )
    .await;
    pass(&pair, &["--range-pages", "1"]).await;
    same().await;
    // One that is gone has left its value to a new one.
    execute(
        &pair.from(),
        "UPDATE u SET a = -1 WHERE id = 9; DELETE FROM u WHERE id = 7; INSERT INTO u VALUES (999, 'm394', 7, 0)",
    )
    .await;
    pass(&pair, &[]).await;
    same().await;
    assert_eq!(value(&pair.to(), "SELECT ours FROM u WHERE id = 9").await, "9");

    // Where only the destination is strict, nothing is guessed.
    execute(&pair.from(), "ALTER TABLE u DROP CONSTRAINT u_mail_key; UPDATE u SET mail = 'same' WHERE id < 3").await;
    let text = super::refusal(&pair, &[]).await;
    assert!(text.contains("u_mail_key") && text.contains("Nothing is lost"), "{text}");
}
