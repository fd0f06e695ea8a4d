//! What would lose or distort rows without a word: gaps in a publication, tables rewritten under the copy's snapshot,
//! types that round, defaults of roles, encodings; and what a failed start leaves behind.

use crate::replicating::{Pair, execute, query, value};
use crate::support::program::{uri, walpilot};
use crate::support::{await_until, session};
use tokio::io::{AsyncBufReadExt, BufReader};
use walpilot::connection::{Secret, Settings};

/// Each statement in a transaction of its own.
async fn one_by_one(settings: &Settings, statements: &[&str]) {
    for sql in statements {
        execute(settings, sql).await;
    }
}

/// A pair whose publication lists its tables.
async fn listed(schema: &str, tables: &str) -> Pair {
    let pair = Pair::start(schema).await;
    execute(
        &pair.from(),
        &format!("DROP PUBLICATION walpilot_publication; CREATE PUBLICATION walpilot_publication FOR TABLE {tables}"),
    )
    .await;
    pair
}

#[tokio::test]
async fn a_table_that_left_the_publication_and_came_back_is_copied_again() {
    let pair =
        listed("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)", "t, other")
            .await;
    execute(&pair.from(), "INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    // In one breath, so that the run sees the catalog only as it is afterwards.
    one_by_one(
        &pair.from(),
        &[
            "INSERT INTO t VALUES (3, 'c')",
            "ALTER PUBLICATION walpilot_publication DROP TABLE t",
            "INSERT INTO t VALUES (4, 'unseen')",
            "DELETE FROM t WHERE id = 1",
            "ALTER PUBLICATION walpilot_publication ADD TABLE t",
            "UPDATE t SET v = 'after' WHERE id = 2",
            "INSERT INTO other VALUES (1)",
        ],
    )
    .await;
    pair.await_equal().await;
    // Another table of the same name.
    one_by_one(
        &pair.from(),
        &[
            "DROP TABLE t",
            "CREATE TABLE t (id int PRIMARY KEY, v text)",
            "INSERT INTO t VALUES (1, 'new')",
            "ALTER PUBLICATION walpilot_publication ADD TABLE t",
            "INSERT INTO t VALUES (2, 'new')",
        ],
    )
    .await;
    pair.await_equal().await;
    assert!(child.try_wait().expect("its state").is_none(), "one run did it all");
    let states = "SELECT bool_and(state = 'streaming') FROM walpilot.table_state";
    await_until("the copy has joined", async || value(&pair.to(), states).await == "t").await;
    child.kill().await.expect("it runs");
    // And while no run is there.
    one_by_one(
        &pair.from(),
        &[
            "ALTER PUBLICATION walpilot_publication DROP TABLE t",
            "UPDATE t SET v = 'unseen'",
            "ALTER PUBLICATION walpilot_publication ADD TABLE t",
        ],
    )
    .await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains("public.t is copied again"), "{}", outcome.stdout);
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_publication_that_was_dropped_stops_the_run_and_its_gap_is_filled() {
    let pair = listed("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)", "t").await;
    let (child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    one_by_one(
        &pair.from(),
        &["INSERT INTO t VALUES (2)", "DROP PUBLICATION walpilot_publication", "INSERT INTO t VALUES (3)"],
    )
    .await;
    let output = child.wait_with_output().await.expect("it ends");
    let reason = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{reason}");
    assert!(reason.contains("no publication") && reason.trim_end().lines().count() == 1, "{reason}");
    // What is decoded before it was made anew still lacks it; only copying helps, and it helps.
    one_by_one(&pair.from(), &["CREATE PUBLICATION walpilot_publication FOR TABLE t", "INSERT INTO t VALUES (4)"])
        .await;
    pair.catch_up().await;
    pair.expect_equal().await;
    execute(&pair.from(), "DELETE FROM t WHERE id = 3").await;
    let outcome = pair.catch_up().await;
    assert!(!outcome.stdout.contains("Copying"), "{}", outcome.stdout);
    pair.expect_equal().await;
}

#[tokio::test]
async fn a_table_that_is_rewritten_while_the_copy_waits_for_it_is_not_copied_as_empty() {
    // The bigger one comes first and is held up at the destination, with the snapshot already taken.
    let pair = Pair::start(
        "CREATE TABLE small (id int PRIMARY KEY, n int); INSERT INTO small SELECT i, i FROM generate_series(1, 100) i;
         CREATE TABLE mid (id int PRIMARY KEY, v text); INSERT INTO mid SELECT i, 'v' FROM generate_series(1, 5000) i;
         CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT i, 'v' FROM generate_series(1, 9000) i; ANALYZE",
    )
    .await;
    execute(&pair.to(), "CREATE TABLE big (id int PRIMARY KEY, v text); CREATE TABLE mid (id int PRIMARY KEY, v text)")
        .await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.big, public.mid IN SHARE MODE").await.expect("locked");
    let (mut child, _home) = pair.command(&["--until-caught-up"]).spawn();
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'big'::regclass";
    await_until("the copy waits", async || value(&pair.to(), waits).await == "t").await;
    one_by_one(
        &pair.from(),
        &[
            "ALTER TABLE small ALTER n TYPE bigint",
            "ALTER TABLE small ADD COLUMN late int DEFAULT 7",
            "UPDATE small SET late = 8 WHERE id < 10",
        ],
    )
    .await;
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    assert!(child.wait().await.expect("it ends").success());
    // The destination's table was made before the type was changed.
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM small").await, "100");
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_type_that_rounds_or_cuts_is_refused_before_it_does() {
    let pair = Pair::start(
        "CREATE TYPE mood AS ENUM ('b', 'd'); CREATE TABLE t (id int PRIMARY KEY, n numeric(10,2), at timestamp(0), m mood);
         INSERT INTO t VALUES (1, 1.25, '2024-01-01 00:00:01', 'b')",
    )
    .await;
    let refused = async |words: &[&str]| {
        let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
        for word in words {
            assert!(outcome.stderr.contains(word), "{word:?} is missing: {}", outcome.stderr);
        }
    };
    execute(&pair.to(), "CREATE TYPE mood AS ENUM ('b', 'd'); CREATE TABLE t (id int PRIMARY KEY, n numeric(10,1), at timestamp(0), m mood)").await;
    refused(&["Column n of table public.t", r#"ALTER COLUMN "n" TYPE numeric(10,2)"#]).await;
    execute(&pair.to(), "ALTER TABLE t ALTER COLUMN n TYPE numeric(10,2)").await;
    pair.catch_up().await;
    // Changed at the source: the stream tells.
    execute(&pair.from(), "ALTER TABLE t ALTER n TYPE numeric(12,4), ALTER at TYPE timestamp(3)").await;
    execute(&pair.from(), "INSERT INTO t VALUES (2, 1.2345, '2024-01-01 00:00:01.234', 'd')").await;
    refused(&[
        "round or cut",
        r#"ALTER COLUMN "n" TYPE numeric(12,4), ALTER COLUMN "at" TYPE timestamp(3) without time zone"#,
    ])
    .await;
    execute(&pair.to(), "ALTER TABLE t ALTER n TYPE numeric(12,4), ALTER at TYPE timestamp(3)").await;
    // Labels of enums follow by themselves, at their place.
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_equal().await;
    one_by_one(
        &pair.from(),
        &[
            "ALTER TYPE mood ADD VALUE 'a' BEFORE 'b'",
            "ALTER TYPE mood ADD VALUE 'c' AFTER 'b'",
            "INSERT INTO t (id, m) VALUES (3, 'a'), (4, 'c')",
        ],
    )
    .await;
    pair.await_equal().await;
    assert_eq!(value(&pair.to(), "SELECT enum_range(NULL::mood)").await, "{a,b,c,d}");
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn a_start_that_fails_leaves_no_slot_behind() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let slots = async || query(&pair.from(), "SELECT slot_name FROM pg_replication_slots").await.len();
    // Refused before a slot is needed.
    execute(&pair.to(), "CREATE TABLE t (id int PRIMARY KEY, more int NOT NULL)").await;
    let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
    assert!(outcome.stderr.contains("column more") || outcome.stderr.contains("Column more"), "{}", outcome.stderr);
    assert_eq!(slots().await, 0);
    // Refused by the first row.
    execute(&pair.to(), "ALTER TABLE t DROP COLUMN more, ADD CHECK (id > 1)").await;
    let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
    assert!(outcome.stdout.contains("Dropped the replication slot"), "{}", outcome.stdout);
    assert_eq!(slots().await, 0);
    // Nothing is remembered either: the next start begins from the beginning.
    execute(&pair.to(), "ALTER TABLE t DROP CONSTRAINT t_id_check").await;
    pair.catch_up().await;
    pair.expect_equal().await;
    // A slot that somebody else made is never dropped.
    execute(&pair.to(), "CREATE DATABASE second").await;
    let second = Settings { database: "second".to_owned(), ..pair.to() };
    execute(&second, "CREATE TABLE t (id int PRIMARY KEY CHECK (id > 1))").await;
    execute(&pair.from(), "SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')").await;
    pair.command_to(&second, &["--until-caught-up", "--slot", "theirs"]).run().await.expect_code(4);
    assert_eq!(slots().await, 2);
}

#[tokio::test]
async fn a_prepared_transaction_is_named_while_the_copy_waits_for_it_and_arrives_when_it_commits() {
    let mut pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY)").await;
    execute(&pair.from(), "ALTER SYSTEM SET max_prepared_transactions = 5").await;
    pair.source.stop_fast().await.expect("stops");
    pair.source.start_again().await.expect("starts");
    execute(&pair.from(), "BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'the first'").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    loop {
        let line = lines.next_line().await.expect("UTF-8").expect("it waits");
        if line.contains("the first") {
            break;
        }
    }
    execute(&pair.from(), "COMMIT PREPARED 'the first'").await;
    await_until("the copy", async || {
        value(&pair.to(), "SELECT to_regclass('t') IS NOT NULL").await == "t"
            && value(&pair.to(), "SELECT count(*) FROM t").await == "1"
    })
    .await;
    execute(&pair.from(), "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'one'").await;
    execute(&pair.from(), "BEGIN; INSERT INTO t VALUES (3); PREPARE TRANSACTION 'two'").await;
    execute(&pair.from(), "INSERT INTO t VALUES (4)").await;
    execute(&pair.from(), "ROLLBACK PREPARED 'two'").await;
    execute(&pair.from(), "COMMIT PREPARED 'one'").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn defaults_of_roles_and_databases_change_nothing() {
    let pair = Pair::start("").await;
    for side in [pair.from(), pair.to()] {
        for setting in [
            "DateStyle = 'SQL, DMY'",
            "IntervalStyle = sql_standard",
            "TimeZone = 'Asia/Kathmandu'",
            "bytea_output = escape",
            "extra_float_digits = -5",
            "array_nulls = off",
            "xmloption = document",
            "default_transaction_isolation = serializable",
            "default_transaction_read_only = on",
            "statement_timeout = '300ms'",
            "search_path = nowhere",
            "standard_conforming_strings = off",
        ] {
            let open = "SET default_transaction_read_only = off; SET statement_timeout = 0;";
            for of in ["DATABASE postgres", "ROLE postgres IN DATABASE postgres"] {
                execute(&side, &format!("{open} ALTER {of} SET {setting}")).await;
            }
        }
    }
    // On at the source alone, and off for the comparison: with it on both sides the text would be the same again.
    let quoting = async |on: &str| {
        let open = "SET default_transaction_read_only = off; SET statement_timeout = 0;";
        execute(&pair.from(), &format!("{open} ALTER DATABASE postgres SET quote_all_identifiers = {on}")).await;
    };
    quoting("on").await;
    let open = "SET default_transaction_read_only = off; SET statement_timeout = 0; SET array_nulls = on; SET xmloption = content;
        SET standard_conforming_strings = on; SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY';";
    let rows = r#"SELECT i, '2024-02-03', '2024-02-03 04:05:06.789+05:45', '1 year -3 days', 0.1::float8 / 3, '\x00ff5c',
        'a <b/> c', '{NULL,"NULL","a\\b"}', 12.34, '[2001-02-03 00:00+03,)', '{"\\x00ff"}', '{NaN,-Infinity,0.1}' FROM"#;
    execute(
        &pair.from(),
        &format!(
            "{open} CREATE TABLE z (id int PRIMARY KEY, d date, t timestamptz, i interval, f float8, b bytea, x xml, a text[],
             m money, r tstzrange, ba bytea[], fa float8[]); INSERT INTO z {rows} generate_series(1, 30) i;
             CREATE TABLE n (r regclass, v text); ALTER TABLE n REPLICA IDENTITY FULL;
             INSERT INTO n VALUES ('pg_class', 'a'), ('pg_type', 'b')"
        ),
    )
    .await;
    pair.catch_up().await;
    quoting("off").await;
    pair.expect_equal().await;
    quoting("on").await;
    execute(
        &pair.from(),
        &format!(
            "{open} INSERT INTO z {rows} generate_series(31, 50) i; UPDATE z SET f = f / 7, m = m / 7;
             UPDATE n SET v = 'c' WHERE v = 'a'; DELETE FROM n WHERE v = 'b'"
        ),
    )
    .await;
    pair.catch_up().await;
    quoting("off").await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn encodings_of_both_sides_are_bridged_and_what_has_no_place_is_told() {
    let pair = Pair::start("").await;
    for (number, (from, to, word)) in [
        ("LATIN1", "UTF8", "déjà ñ"),
        ("EUC_JP", "UTF8", "日本"),
        ("UTF8", "LATIN1", "déjà"),
        ("SQL_ASCII", "UTF8", "é日"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("e{number}");
        for (side, encoding) in [(pair.from(), from), (pair.to(), to)] {
            let sql =
                format!("CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
            execute(&side, &sql).await;
        }
        let [here, there] = [pair.from(), pair.to()].map(|side| Settings { database: name.clone(), ..side });
        execute(
            &here,
            &format!(
                "CREATE TABLE \"t{word}\" (id int PRIMARY KEY, \"{word}\" text, j json); INSERT INTO \"t{word}\" SELECT i, '{word}' || i, \
                 '{{\"a\": \"{word}\"}}' FROM generate_series(1, 20) i; CREATE PUBLICATION walpilot_publication FOR ALL TABLES"
            ),
        )
        .await;
        let program = |command: &str, more: &[&str]| {
            let (here_uri, there_uri) = (uri(&here), uri(&there));
            let mut args = vec![command, "--from", &here_uri, "--to", &there_uri, "--slot", &name];
            args.extend(more);
            let word = pair.to().password.as_ref().map_or("", Secret::reveal).to_owned();
            walpilot(args).password(&pair.from()).env("WALPILOT_TO_PASSWORD", &word)
        };
        program("run", &["--until-caught-up"]).run().await.expect_code(0);
        execute(&here, &format!("UPDATE \"t{word}\" SET \"{word}\" = \"{word}\" || '{word}' WHERE id % 3 = 0")).await;
        program("run", &["--until-caught-up"]).run().await.expect_code(0);
        program("verify", &[]).run().await.expect_code(0);
        if to == "LATIN1" {
            execute(&here, &format!("INSERT INTO \"t{word}\" VALUES (100, '日本')")).await;
            let outcome = program("run", &["--until-caught-up"]).run().await.expect_code(4);
            assert!(outcome.stderr.contains("encoding"), "{}", outcome.stderr);
        }
    }
}

#[tokio::test]
async fn a_table_that_has_left_the_publication_is_said_to_have_left() {
    let pair = listed("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)", "t, other").await;
    execute(&pair.from(), "INSERT INTO t VALUES (1); INSERT INTO other VALUES (1)").await;
    let state = async |wanted: &str| {
        let sql = "SELECT string_agg(state, ',') FROM walpilot.table_state WHERE table_name = 't'";
        await_until(wanted, async || value(&pair.to(), sql).await == wanted).await;
    };
    let shown = "SELECT string_agg(table_name || ' ' || phase, ',' ORDER BY table_name) FROM walpilot.table_progress";
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    state("streaming").await;
    // Nobody writes: only a look at the publication can tell.
    execute(&pair.from(), "ALTER PUBLICATION walpilot_publication DROP TABLE t").await;
    state("left").await;
    await_until("the progress has forgotten it", async || value(&pair.to(), shown).await == "other streaming").await;
    one_by_one(&pair.from(), &["INSERT INTO t VALUES (2)", "ALTER PUBLICATION walpilot_publication ADD TABLE t"]).await;
    state("streaming").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
    execute(&pair.from(), "ALTER PUBLICATION walpilot_publication DROP TABLE t").await;
    let outcome = pair.catch_up().await;
    assert!(outcome.stdout.contains("public.t is no longer published or chosen"), "{}", outcome.stdout);
    state("left").await;
    let outcome = pair.command(&["--until-caught-up", "--copy-again"]).run().await.expect_code(0);
    assert!(!outcome.stdout.contains("no longer published"), "told once: {}", outcome.stdout);
    state("left").await;
    execute(&pair.from(), "ALTER PUBLICATION walpilot_publication ADD TABLE t").await;
    pair.catch_up().await;
    pair.expect_equal().await;
}
