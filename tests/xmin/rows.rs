//! What arrives is what was there, whatever the type, the name or the settings.

use super::pass;
use super::replicating::{execute, value, zoo};

/// Beside what every way of replicating carries: a key of two columns, one of them with equal values of different text.
const MORE: &str = r#"
CREATE TABLE two (a text, b numeric, c json, PRIMARY KEY (a, b)); INSERT INTO two VALUES ('x', 1.0, '{"a": 1}'), ('x', 2, NULL);
"#;

#[tokio::test]
async fn every_kind_of_row_arrives_and_changes_follow() {
    let pair = super::pair(&[zoo::TABLES, MORE, zoo::ROWS].concat()).await;
    // Whatever the database's defaults are, values must not change on the way.
    for side in [pair.from(), pair.to()] {
        execute(&side, zoo::ODD_DEFAULTS).await;
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
    execute(
        &pair.from(),
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE u SET mail = 'm' || (401 - id); COMMIT; \
         UPDATE u SET a = -2 WHERE id = 1; UPDATE u SET a = 1 WHERE id = 2; UPDATE u SET a = 2 WHERE id = 1",
    )
    .await;
    pass(&pair, &["--range-pages", "1"]).await;
    same().await;
    execute(&pair.to(), "SET session_replication_role = replica; UPDATE u SET ours = id").await;
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
