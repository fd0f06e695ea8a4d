//! `walpilot verify`: equal is called equal, each difference is found by its key, and rows in motion are no difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::replicating::{Pair, execute, value};
use crate::support::program::{Outcome, uri, walpilot};
use crate::support::{await_until, session};
use walpilot::connection::Secret;

async fn verify(pair: &Pair, more: &[&str]) -> Outcome {
    let (from, to) = (uri(&pair.from()), uri(&pair.to()));
    let mut args = vec!["verify", "--from", &from, "--to", &to];
    args.extend(more);
    let word = pair.to().password.as_ref().map_or("", Secret::reveal).to_owned();
    walpilot(args).password(&pair.from()).env("WALPILOT_TO_PASSWORD", &word).run().await
}

fn tables(outcome: &Outcome) -> serde_json::Value {
    let answer: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("one JSON object");
    answer["verification"]["tables"].clone()
}

#[tokio::test]
async fn each_difference_is_found_by_its_key() {
    let pair = Pair::start(
        r#"CREATE TABLE "Odd ""T" (a int, "B" text, v numeric, PRIMARY KEY (a, "B"));
           INSERT INTO "Odd ""T" SELECT i, 'k' || i, i / 7.0 FROM generate_series(1, 5000) i;
           CREATE TABLE loose (v text); ALTER TABLE loose REPLICA IDENTITY FULL; INSERT INTO loose VALUES ('x'), ('x'), (NULL);
           CREATE TABLE parts (id int PRIMARY KEY, made int GENERATED ALWAYS AS (id * 2) STORED) PARTITION BY RANGE (id);
           CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100); INSERT INTO parts VALUES (1), (2);
           CREATE TABLE empty (id int PRIMARY KEY)"#,
    )
    .await;
    let outcome = verify(&pair, &[]).await.expect_code(4);
    assert!(outcome.stderr.contains("no checkpoint of the slot walpilot_slot"), "{}", outcome.stderr);
    pair.catch_up().await;
    let outcome = verify(&pair, &[]).await.expect_code(0);
    assert!(outcome.stdout.contains("4 of 4 tables are equal"), "{}", outcome.stdout);

    // The same number and another scale, one row less, one more, and one of two twins.
    execute(
        &pair.to(),
        r#"UPDATE "Odd ""T" SET v = v::numeric(30, 25) WHERE a = 7; DELETE FROM "Odd ""T" WHERE a = 8;
           INSERT INTO "Odd ""T" VALUES (-1, E'esc\x1b[2J', 0); DELETE FROM loose WHERE ctid = '(0,1)'; DROP TABLE empty"#,
    )
    .await;
    let outcome = verify(&pair, &["--format", "json"]).await.expect_code(1);
    let found = tables(&outcome);
    let odd = &found[0];
    assert_eq!(odd["verdict"], "different", "{found}");
    assert_eq!(odd["keys"].as_array().map(Vec::len), Some(3), "{found}");
    let expected =
        [("(7,k7)", "values"), ("(8,k8)", "only_at_source"), ("(-1,\"esc\u{1b}[2J\")", "only_at_destination")];
    for (key, what) in expected {
        let named = odd["keys"].as_array().expect("keys").iter().any(|pair| {
            pair[1] == what && pair[0].as_str().is_some_and(|text| text.replace('"', "") == key.replace('"', ""))
        });
        assert!(named, "{key} {what}: {found}");
    }
    let verdicts: Vec<_> = found.as_array().expect("tables").iter().map(|table| table["verdict"].clone()).collect();
    assert_eq!(verdicts, ["different", "missing", "different", "equal"], "{found}");
    let outcome = verify(&pair, &["--keys", "1"]).await.expect_code(1);
    assert!(outcome.stdout.contains("--keys names more") && !outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
    let outcome = verify(&pair, &["--tables", "public.parts"]).await.expect_code(0);
    assert!(outcome.stdout.contains("1 of 1 tables"), "{}", outcome.stdout);
}

#[tokio::test]
async fn rows_in_motion_are_no_difference_and_a_true_one_is_found_among_them() {
    let pair = Pair::start(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 2000) i",
    )
    .await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_equal().await;
    let done = Arc::new(AtomicBool::new(false));
    let (settings, stop) = (pair.from(), Arc::clone(&done));
    let writer = tokio::spawn(async move {
        let session = session(&settings).await;
        let mut number = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let sql = format!("UPDATE public.t SET v = v + 1 WHERE id = {}", number % 1000 + 1);
            session.client.batch_execute(&sql).await.expect("it writes");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        number
    });
    await_until("changes arrive", async || value(&pair.to(), "SELECT sum(v) > 100 FROM t").await == "t").await;
    let outcome = verify(&pair, &[]).await;
    // What is written all the time may stay undecided, but is never called different.
    assert!(matches!(outcome.code, 0 | 4), "{outcome:?}");
    execute(&pair.to(), "DELETE FROM t WHERE id = 1500").await;
    let outcome = verify(&pair, &["--format", "json"]).await.expect_code(1);
    let found = tables(&outcome);
    assert_eq!(found[0]["keys"], serde_json::json!([["(1500)", "only_at_source"]]), "{found}");
    done.store(true, Ordering::Relaxed);
    assert!(writer.await.expect("it ends") > 100);
    child.kill().await.expect("it runs");
}
