//! Tables that are published while a run streams are copied and joined while the others go on.

use crate::replicating::{Pair, execute, query, value};
use crate::support::{await_until, session};

async fn state(pair: &Pair, table: &str) -> String {
    let sql = format!("SELECT COALESCE(max(state), '') FROM walpilot.table_state WHERE table_name = '{table}'");
    value(&pair.to(), &sql).await
}

const BIG: &str = "CREATE TABLE big (id int PRIMARY KEY, v text); \
    INSERT INTO big SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 40000) i";

#[tokio::test]
async fn other_tables_go_on_while_an_added_one_is_copied() {
    let pair = Pair::start("CREATE TABLE other (id int PRIMARY KEY, v int)").await;
    // The copy of the added table can't begin to write before this lock is given back.
    execute(&pair.to(), "CREATE TABLE big (id int PRIMARY KEY, v text)").await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.big IN SHARE MODE").await.expect("locked");
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    execute(&pair.from(), BIG).await;
    execute(&pair.from(), "INSERT INTO big VALUES (0, 'first')").await;
    let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'big'::regclass";
    await_until("the copy waits", async || value(&pair.to(), waits).await == "t").await;
    for round in 1..=20 {
        execute(
            &pair.from(),
            &format!(
                "INSERT INTO other VALUES ({round}, 0); UPDATE big SET v = 'round {round}' WHERE id % 20 = {round} % 20; \
                 DELETE FROM big WHERE id = {round} * 7; INSERT INTO big VALUES (100000 + {round}, 'new')"
            ),
        )
        .await;
    }
    let arrived = "SELECT count(*) FROM other";
    await_until("the other table's rows", async || value(&pair.to(), arrived).await == "20").await;
    assert_eq!(value(&pair.to(), waits).await, "t", "the added table is not copied yet");
    assert_eq!(state(&pair, "big").await, "copying");
    let told =
        "SELECT p.phase || ' ' || t.phase FROM walpilot.progress p, walpilot.table_progress t WHERE table_name = 'big'";
    await_until("a word for whoever watches", async || value(&pair.to(), told).await == "streaming copying").await;
    let verify = pair.verify(&[]).run().await.expect_code(4);
    assert!(
        verify.stdout.contains("copying    public.big") && verify.stdout.contains("equal      public.other"),
        "{verify:?}"
    );
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    pair.await_equal().await;
    await_until("the table has joined", async || state(&pair, "big").await == "streaming").await;
    // Copied rows and changes add up, whoever has applied them.
    let counted = "SELECT rows_copied + inserts - deletes = (SELECT count(*) FROM big) FROM walpilot.table_progress \
                   WHERE table_name = 'big' AND phase = 'streaming'";
    await_until("its numbers add up", async || {
        query(&pair.to(), counted).await.first().is_some_and(|row| row[0].as_deref() == Some("t"))
    })
    .await;
    execute(
        &pair.from(),
        "BEGIN; UPDATE big SET v = 'after'; UPDATE other SET v = 1; DELETE FROM big WHERE id > 39000; COMMIT; \
         TRUNCATE other; INSERT INTO big VALUES (39500, 'again')",
    )
    .await;
    pair.await_equal().await;
    assert!(child.try_wait().expect("its state").is_none(), "one run did it all");
    await_until("the temporary slot is gone", async || {
        query(&pair.from(), "SELECT slot_name FROM pg_replication_slots").await.len() == 1
    })
    .await;
    child.kill().await.expect("it runs");
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
    pair.verify(&[]).run().await.expect_code(0);
}

#[tokio::test]
async fn a_copy_is_handed_over_under_load_and_tables_that_are_added_meanwhile_join_too() {
    let pair = Pair::start("CREATE TABLE other (id int PRIMARY KEY, v int); CREATE SEQUENCE s").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    // Writers never rest, so that the copy has to catch up with a stream that moves.
    let mut writers = tokio::task::JoinSet::new();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for number in 1..=3 {
        let name = format!("added{number}");
        execute(
            &pair.from(),
            &format!("CREATE TABLE {name} (id int PRIMARY KEY, v int); INSERT INTO {name} SELECT i, 0 FROM generate_series(1, 30000) i"),
        )
        .await;
        let (settings, done) = (pair.from(), std::sync::Arc::clone(&done));
        writers.spawn(async move {
            let writer = session(&settings).await;
            writer.client.batch_execute("SET search_path = public").await.expect("set");
            let mut written = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let sql = format!(
                    "BEGIN; INSERT INTO {name} SELECT 100000 + nextval('s'), 1; UPDATE {name} SET v = v + 1 WHERE id % 1000 = {0} % 1000; \
                     DELETE FROM {name} WHERE id = {0} * 3; INSERT INTO other SELECT nextval('s'), {0}; COMMIT",
                    written % 9000
                );
                writer.client.batch_execute(&sql).await.expect("writes");
                written += 1;
            }
            written
        });
        let name = format!("added{number}");
        await_until("the next is seen", async || !state(&pair, &name).await.is_empty()).await;
    }
    for number in 1..=3 {
        let name = format!("added{number}");
        await_until("all have joined", async || state(&pair, &name).await == "streaming").await;
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    while let Some(written) = writers.join_next().await {
        assert!(written.expect("the writer") > 10);
    }
    pair.await_equal().await;
    assert!(child.try_wait().expect("its state").is_none(), "one run did it all");
    child.kill().await.expect("it runs");
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_run_that_is_killed_while_a_table_joins_copies_it_anew() {
    let pair = Pair::start("CREATE TABLE other (id int PRIMARY KEY)").await;
    pair.catch_up().await;
    execute(&pair.from(), BIG).await;
    let lock = session(&pair.to()).await;
    let held = async |begin: bool| {
        let sql = if begin { "BEGIN; LOCK TABLE public.big IN SHARE MODE" } else { "ROLLBACK" };
        lock.client.batch_execute(sql).await.expect("a lock");
    };
    execute(&pair.to(), "CREATE TABLE big (id int PRIMARY KEY, v text)").await;
    held(true).await;
    for round in 1..=3 {
        let (mut child, _home) = pair.command(&[]).spawn();
        let waits = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'big'::regclass";
        await_until("the copy waits", async || value(&pair.to(), waits).await == "t").await;
        execute(
            &pair.from(),
            &format!("INSERT INTO other VALUES ({round}); UPDATE big SET v = 'x' WHERE id % 9 = {round}"),
        )
        .await;
        let arrived = format!("SELECT count(*) FROM other WHERE id = {round}");
        await_until("the other table goes on", async || value(&pair.to(), &arrived).await == "1").await;
        child.kill().await.expect("it runs");
        assert_eq!(state(&pair, "big").await, "copying");
    }
    held(false).await;
    // In an orderly end everything is there, the added table too.
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
    assert_eq!(state(&pair, "big").await, "streaming");
}

#[tokio::test]
async fn a_copy_that_breaks_beside_the_stream_begins_anew_and_what_can_not_be_copied_stops_the_run() {
    let pair = Pair::start("CREATE TABLE other (id int PRIMARY KEY)").await;
    execute(&pair.to(), "CREATE TABLE big (id int PRIMARY KEY, v text)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.big IN SHARE MODE").await.expect("locked");
    execute(&pair.from(), BIG).await;
    let waiting = "SELECT COALESCE((SELECT string_agg(pid::text, ',') FROM pg_locks WHERE NOT granted AND relation = 'big'::regclass), '')";
    await_until("the copy waits", async || !value(&pair.to(), waiting).await.is_empty()).await;
    let first = value(&pair.to(), waiting).await;
    execute(&pair.to(), &format!("SELECT pg_terminate_backend(pid) FROM unnest('{{{first}}}'::int[]) pid")).await;
    execute(&pair.from(), "INSERT INTO other VALUES (1)").await;
    await_until("the stream goes on", async || value(&pair.to(), "SELECT count(*) FROM other").await == "1").await;
    await_until("another copy", async || {
        let now = value(&pair.to(), waiting).await;
        !now.is_empty() && now != first
    })
    .await;
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    pair.await_equal().await;
    assert!(child.try_wait().expect("its state").is_none(), "one run did it all");
    // A table whose rows are refused at the destination.
    execute(&pair.to(), "CREATE TABLE bad (id int PRIMARY KEY CHECK (id > 5))").await;
    execute(&pair.from(), "CREATE TABLE bad (id int PRIMARY KEY); INSERT INTO bad VALUES (1)").await;
    let output = child.wait_with_output().await.expect("it ends");
    let reason = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{reason}");
    assert!(reason.contains("public.bad") && reason.trim_end().lines().count() == 1, "{reason}");
    execute(&pair.to(), "ALTER TABLE bad DROP CONSTRAINT bad_id_check").await;
    pair.catch_up().await;
    pair.expect_equal().await;
    pair.expect_orderly_slots().await;
}

#[tokio::test]
async fn a_table_that_nobody_writes_is_found_when_it_is_published() {
    let pair = Pair::start(
        "CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE still (id int PRIMARY KEY); \
        INSERT INTO still SELECT generate_series(1, 10)",
    )
    .await;
    execute(
        &pair.from(),
        "DROP PUBLICATION walpilot_publication; CREATE PUBLICATION walpilot_publication FOR TABLE other",
    )
    .await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    assert_eq!(state(&pair, "still").await, "");
    execute(&pair.from(), "ALTER PUBLICATION walpilot_publication ADD TABLE still").await;
    pair.await_equal().await;
    await_until("it has joined", async || state(&pair, "still").await == "streaming").await;
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn a_copy_that_broke_off_and_is_given_up_leaves_a_table_with_its_key_and_no_old_rows() {
    let pair = Pair::start("CREATE TABLE other (id int PRIMARY KEY)").await;
    pair.catch_up().await;
    // The end of a copy can't be recorded before this lock is given back.
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE walpilot.table_piece IN EXCLUSIVE MODE").await.expect("locked");
    execute(&pair.from(), BIG).await;
    let end = value(&pair.from(), "SELECT pg_current_wal_lsn()").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'walpilot.table_piece'::regclass";
    await_until("the copy is nearly done", async || value(&pair.to(), waits).await == "1").await;
    // Otherwise the stream would bring the rows once more.
    let left_behind = format!("SELECT lsn >= '{end}' FROM walpilot.checkpoint");
    await_until("the stream is past the rows", async || value(&pair.to(), &left_behind).await == "t").await;
    child.kill().await.expect("it runs");
    // The server would finish what it has been told, when the lock is gone.
    execute(
        &pair.to(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'walpilot run%'",
    )
    .await;
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    await_until("its sessions end", async || {
        value(&pair.to(), "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'walpilot run%'").await
            == "0"
    })
    .await;
    let key = "SELECT count(*) FROM pg_index WHERE indrelid = 'big'::regclass AND indisprimary";
    assert_eq!((state(&pair, "big").await.as_str(), value(&pair.to(), key).await.as_str()), ("copying", "0"));
    // As a piece would have left it.
    execute(
        &pair.to(),
        "INSERT INTO big VALUES (7, 'of the copy'); INSERT INTO walpilot.table_piece VALUES ('walpilot_slot', 'public', 'big', 0, 1, 1)",
    )
    .await;
    let outcome = pair.command(&["--until-caught-up", "--no-initial-copy"]).run().await.expect_code(0);
    assert!(outcome.stdout.contains("public.big had been broken off"), "{}", outcome.stdout);
    assert_eq!(value(&pair.to(), key).await, "1");
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM walpilot.table_piece").await, "0");
    execute(&pair.from(), "INSERT INTO big VALUES (50001, 'new'); UPDATE big SET v = 'changed' WHERE id = 50001").await;
    pair.command(&["--until-caught-up", "--no-initial-copy"]).run().await.expect_code(0);
    let rows = "SELECT string_agg(id || ' ' || v, ',') FROM big WHERE id = 7 OR id > 50000";
    assert_eq!(value(&pair.to(), rows).await, "50001 changed");
}

#[tokio::test]
async fn a_column_that_is_changed_at_the_destination_between_two_pieces_is_noticed() {
    let pair = Pair::start("CREATE TABLE other (id int PRIMARY KEY)").await;
    pair.catch_up().await;
    // No piece can be recorded before this lock is given back.
    execute(
        &pair.to(),
        "CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS \
            'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN new; END'; \
         CREATE TRIGGER held BEFORE INSERT ON walpilot.table_piece FOR EACH ROW EXECUTE FUNCTION held(); \
         ALTER TABLE walpilot.table_piece ENABLE ALWAYS TRIGGER held",
    )
    .await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("SELECT pg_advisory_lock(7)").await.expect("locked");
    execute(
        &pair.from(),
        "CREATE TABLE wide (id int PRIMARY KEY, n bigint, v text); ALTER TABLE wide ALTER v SET STORAGE PLAIN; \
         INSERT INTO wide SELECT i, 4611686018427387905, repeat('x', 3900) FROM generate_series(1, 34000) i; ANALYZE wide",
    )
    .await;
    let (child, _home) = pair.command(&[]).spawn();
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'";
    await_until("two pieces are written", async || value(&pair.to(), waits).await == "2").await;
    // Binary forms of the same width: the rows would be taken without a word.
    let to = pair.to();
    let dba = tokio::spawn(async move { execute(&to, "ALTER TABLE wide ALTER n TYPE double precision").await });
    let queued = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'wide'::regclass";
    await_until("the change is queued", async || value(&pair.to(), queued).await == "1").await;
    lock.client.batch_execute("SELECT pg_advisory_unlock(7)").await.expect("unlocked");
    dba.await.expect("it is made");
    let output = child.wait_with_output().await.expect("it ends");
    let reason = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{reason}");
    for word in ["Column n of table public.wide", "round or cut", r#"ALTER COLUMN "n" TYPE bigint"#] {
        assert!(reason.contains(word), "{word} is missing: {reason}");
    }
    execute(&pair.to(), "ALTER TABLE wide ALTER n TYPE bigint").await;
    pair.catch_up().await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn rates_and_the_time_left_stand_at_the_destination() {
    let pair = Pair::start("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    pair.catch_up().await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE walpilot.table_piece IN EXCLUSIVE MODE").await.expect("locked");
    let schema = "CREATE TABLE u (id int PRIMARY KEY, v text); INSERT INTO u SELECT i, repeat('x', 200) FROM generate_series(1, 60000) i";
    for sql in [schema, "ANALYZE u", "DELETE FROM u WHERE id > 30000"] {
        execute(&pair.from(), sql).await;
    }
    let (mut child, _home) = pair.command(&[]).spawn();
    // Half of what the statistics know of is there, so the copy seems to have as much before it.
    let copied = "SELECT COALESCE(bool_or(rows_per_second > 0 AND eta_seconds >= 0 AND rows_copied > 0), false) \
                  FROM walpilot.table_progress WHERE table_name = 'u' AND phase = 'copying'";
    await_until("the copy's rate", async || value(&pair.to(), copied).await == "t").await;
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    pair.await_equal().await;
    let mut number = 0;
    let applied = "SELECT changes_per_second > 0 AND eta_seconds IS NULL FROM walpilot.progress";
    await_until("the rate of the stream", async || {
        number += 1;
        execute(&pair.from(), &format!("INSERT INTO t SELECT {number} * 1000 + i, 'x' FROM generate_series(1, 500) i"))
            .await;
        value(&pair.to(), applied).await == "t"
    })
    .await;
    child.kill().await.expect("it runs");
}
