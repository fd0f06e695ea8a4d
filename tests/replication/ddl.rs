//! Changes of the schema while a run streams: what can be followed is followed, the rest stops with the statement to run.

use crate::replicating::{Pair, execute, query, value};
use crate::support::await_until;
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

#[tokio::test]
async fn a_column_that_is_another_one_under_its_name_has_its_table_copied_again() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t SELECT i, i, -i FROM generate_series(1, 50) i";
    let pair = Pair::start(schema).await;
    let (mut child, _home) = pair.command(&[]).spawn();
    equal_before_the_end(&pair, &mut child).await;
    // Not as rows: the columns have another order at the source by now.
    let rows = "SELECT id, a, b FROM t ORDER BY id";
    let same = async || query(&pair.from(), rows).await == query(&pair.to(), rows).await;
    for changes in [
        // The rows from before hold nothing, or what the new column's default says.
        ["ALTER TABLE t DROP a", "ALTER TABLE t ADD a int", "INSERT INTO t (id, a) VALUES (100, 1)"],
        ["ALTER TABLE t DROP a", "ALTER TABLE t ADD a int DEFAULT 7", "UPDATE t SET a = 8 WHERE id = 3"],
        [
            "BEGIN; ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME x TO b; COMMIT",
            "UPDATE t SET a = 5 WHERE id = 4",
            "DELETE FROM t WHERE id = 5",
        ],
        // The values of a column that came and went belong to no other.
        [
            "ALTER TABLE t ADD c int; UPDATE t SET c = 1",
            "ALTER TABLE t DROP c; ALTER TABLE t ADD c int",
            "INSERT INTO t (id) VALUES (101)",
        ],
    ] {
        for sql in changes {
            execute(&pair.from(), sql).await;
        }
        await_until("equal columns", same).await;
    }
    await_until("the column that came last", async || {
        let there = "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'c'";
        value(&pair.to(), there).await == "1" && value(&pair.to(), "SELECT count(c) FROM t").await == "0"
    })
    .await;
    assert!(child.try_wait().expect("its state").is_none(), "one run did it all");
    child.kill().await.expect("it runs");
    // Its values stay at the destination, which is a run later still the same.
    execute(&pair.from(), "ALTER TABLE t DROP b; DELETE FROM t WHERE id = 6").await;
    pair.catch_up().await;
    execute(&pair.from(), "ALTER TABLE t ADD b int; DELETE FROM t WHERE id = 7").await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains("one of its columns was dropped and made anew"), "{}", outcome.stdout);
    assert!(same().await);
    let outcome = pair.catch_up().await;
    assert!(!outcome.stdout.contains("copied again"), "{}", outcome.stdout);
}

#[tokio::test]
async fn a_generated_column_that_is_added_does_not_disturb_and_follows_where_it_is_published() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    equal_before_the_end(&pair, &mut child).await;
    let virtual_too =
        if pair.source.major() < 18 { "" } else { ", ADD thrice int GENERATED ALWAYS AS (n * 3) VIRTUAL" };
    let add = format!("ALTER TABLE t ADD twice int GENERATED ALWAYS AS (n * 2) STORED{virtual_too}");
    for sql in [add.as_str(), "INSERT INTO t VALUES (2, 2)", "UPDATE t SET n = 5 WHERE id = 1"] {
        execute(&pair.from(), sql).await;
    }
    let plain = "SELECT id, n FROM t ORDER BY id";
    let same = async || query(&pair.from(), plain).await == query(&pair.to(), plain).await;
    await_until("the plain columns", same).await;
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0";
    assert_eq!(value(&pair.to(), columns).await, "2", "it is not noticed");
    // As the documentation says: add it there, too. Nothing has to be stopped for it.
    execute(&pair.to(), &add).await;
    for sql in ["INSERT INTO t VALUES (3, 3)", "UPDATE t SET n = 6 WHERE id = 1", "DELETE FROM t WHERE id = 2"] {
        execute(&pair.from(), sql).await;
    }
    equal_before_the_end(&pair, &mut child).await;
    assert!(child.try_wait().expect("its state").is_none(), "one run did it all");
    child.kill().await.expect("it runs");
    pair.catch_up().await;
    pair.expect_equal().await;
    if pair.source.major() < 18 {
        return;
    }
    execute(&pair.from(), "ALTER PUBLICATION walpilot_publication SET (publish_generated_columns = stored)").await;
    execute(&pair.from(), "ALTER TABLE t ADD half int GENERATED ALWAYS AS (n / 2) STORED; INSERT INTO t VALUES (4, 4)")
        .await;
    pair.catch_up().await;
    pair.expect_equal().await;
    execute(&pair.from(), "UPDATE t SET n = n + 10; INSERT INTO t VALUES (5, 5)").await;
    pair.catch_up().await;
    pair.expect_equal().await;
}
