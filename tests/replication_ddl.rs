//! Changes of the schema while a run streams: what can be followed is followed, the rest stops with the statement to run.

mod replicating;
mod support;

use replicating::{Pair, execute, query, value};
use support::await_until;
use tokio::io::AsyncReadExt;

/// Waits until both sides agree; a run that ends before has its reason shown.
async fn equal_before_the_end(pair: &Pair, child: &mut tokio::process::Child) {
    tokio::select! {
        () = pair.await_equal() => {}
        status = child.wait() => {
            let (mut told, mut reason) = (String::new(), String::new());
            child.stdout.take().expect("piped").read_to_string(&mut told).await.expect("UTF-8");
            child.stderr.take().expect("piped").read_to_string(&mut reason).await.expect("UTF-8");
            panic!("the run ended: {status:?}\n{told}\n{reason}");
        }
    }
}

#[tokio::test]
async fn added_columns_are_followed_with_what_they_hold_in_old_rows() {
    let pair = Pair::start(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i;
         CREATE TABLE other (id int PRIMARY KEY)",
    )
    .await;
    let (mut child, _home) = pair.command(&[]).spawn();
    equal_before_the_end(&pair, &mut child).await;
    // A type of its own, a constant, a value that was computed once, an array, and no default at all. Rows from before
    // a column are written in the same breath, so that the stream brings them after the catalog has changed.
    for sql in [
        "INSERT INTO t SELECT i, 'w' FROM generate_series(101, 200) i; CREATE TYPE mood AS ENUM ('so', 'la''la')",
        r#"ALTER TABLE t ADD COLUMN "The mood" mood DEFAULT 'la''la'"#,
        "INSERT INTO t (id) VALUES (201)",
        "INSERT INTO other VALUES (1); INSERT INTO t (id) VALUES (202); ALTER TABLE t ADD COLUMN at timestamptz NOT NULL \
         DEFAULT now(); INSERT INTO t (id) VALUES (203)",
        r#"ALTER TABLE t ADD COLUMN tags text[] DEFAULT '{"a b",NULL}', ADD COLUMN empty text"#,
        "UPDATE t SET empty = 'x' WHERE id = 7; DELETE FROM t WHERE id = 8",
    ] {
        execute(&pair.from(), sql).await;
    }
    equal_before_the_end(&pair, &mut child).await;
    // Computed for each row: only copying again can tell.
    execute(
        &pair.from(),
        "ALTER TABLE t ADD COLUMN serial bigserial; INSERT INTO t (id) VALUES (204); INSERT INTO other VALUES (2)",
    )
    .await;
    equal_before_the_end(&pair, &mut child).await;
    execute(
        &pair.from(),
        "UPDATE t SET serial = serial + 1; ALTER TABLE t DROP COLUMN v; INSERT INTO t (id) VALUES (205)",
    )
    .await;
    await_until("the last row", async || value(&pair.to(), "SELECT count(*) FROM t WHERE id = 205").await == "1").await;
    let columns =
        r#"SELECT md5(string_agg(ROW(id, "The mood", at, tags, empty, serial)::text, '' ORDER BY id)) FROM t"#;
    assert_eq!(value(&pair.from(), columns).await, value(&pair.to(), columns).await);
    assert!(child.try_wait().expect("its state").is_none(), "one run did it all");
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn what_can_not_be_followed_stops_with_the_statement_and_goes_on_after_it() {
    let pair = Pair::start(
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL, n int); INSERT INTO t VALUES (1, 'one', 1);
         CREATE TABLE other (id int PRIMARY KEY)",
    )
    .await;
    pair.catch_up().await;
    let stops = async |words: &[&str]| {
        let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
        for word in words {
            assert!(outcome.stderr.contains(word), "{word:?} is missing: {}", outcome.stderr);
        }
        assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{}", outcome.stderr);
        outcome.stdout
    };
    // A rename looks like a new column. What was written before it carries the old name and must not get stuck.
    for sql in [
        "INSERT INTO t VALUES (2, 'two', 2); INSERT INTO other VALUES (1)",
        r#"ALTER TABLE t RENAME COLUMN a TO "B""#,
        "INSERT INTO t VALUES (3, 'three', 3)",
    ] {
        execute(&pair.from(), sql).await;
    }
    let told = stops(&["public.t", r#"RENAME COLUMN "a" TO "B""#, r#"ADD COLUMN "B" text"#, "nothing is lost"]).await;
    assert_eq!(value(&pair.to(), "SELECT max(id) FROM t").await, "2", "{told}");
    execute(&pair.to(), r#"ALTER TABLE t RENAME COLUMN a TO "B""#).await;
    pair.catch_up().await;
    pair.expect_equal().await;

    execute(&pair.from(), "ALTER TABLE t ALTER n TYPE bigint; INSERT INTO t VALUES (4, 'four', 4444444444444)").await;
    stops(&["public.t", "22003", r#"ALTER TABLE "public"."t" ALTER COLUMN "n" TYPE bigint"#]).await;
    execute(&pair.to(), "ALTER TABLE t ALTER n TYPE bigint").await;
    pair.catch_up().await;
    pair.expect_equal().await;

    // Both values are in one batch, and each fits only on its side of the new name.
    let enums =
        "CREATE TYPE mood AS ENUM ('so', 'la'); ALTER TABLE t ADD m mood; INSERT INTO t VALUES (5, 'five', 5, 'la')";
    execute(&pair.from(), enums).await;
    pair.catch_up().await;
    for sql in [
        "INSERT INTO t VALUES (6, 'six', 6, 'la')",
        "ALTER TYPE mood RENAME VALUE 'la' TO 'lala'",
        "INSERT INTO t VALUES (7, 'seven', 7, 'lala')",
    ] {
        execute(&pair.from(), sql).await;
    }
    stops(&["public.t", "ALTER TYPE public.mood RENAME VALUE 'la' TO 'lala'", "ADD VALUE"]).await;
    assert_eq!(value(&pair.to(), "SELECT max(id) FROM t").await, "6");
    execute(&pair.to(), "ALTER TYPE mood RENAME VALUE 'la' TO 'lala'").await;
    pair.catch_up().await;
    pair.expect_equal().await;

    execute(&pair.from(), r#"ALTER TABLE t DROP COLUMN "B"; INSERT INTO t VALUES (8, 8)"#).await;
    stops(&[r#"ALTER TABLE "public"."t" ALTER COLUMN "B" DROP NOT NULL"#]).await;
    execute(&pair.to(), r#"ALTER TABLE t ALTER COLUMN "B" DROP NOT NULL"#).await;
    pair.catch_up().await;
    let rows = "SELECT id, n FROM t ORDER BY id";
    assert_eq!(query(&pair.from(), rows).await, query(&pair.to(), rows).await);
}
