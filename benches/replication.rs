//! `walpilot run` against its peers on throwaway clusters of this machine: PostgreSQL's own logical replication,
//! `COPY | COPY` of two psql, and `pg_recvlogical`.
//!
//! `make bench` runs it, `cargo bench --bench replication -- copy` a part of it: copy, backlog, decode, latency, memory.
//! `WALPILOT_BENCH_SCALE` (1 unless set) makes it larger, `WALPILOT_BENCH_ROUNDS` (3) more
//! certain. The targets stand beside the ratios.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "it measures and prints"
)]

mod measure;
#[path = "../tests/replicating/mod.rs"]
mod replicating;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use measure::{at_most, faster, median, number, quantile, rounds, wanted};
use replicating::{Pair, execute, value};
use support::{psql, session, source_builder, started};
use tokio::process::Command;
use tokio::time::sleep;
use walpilot::connection::Settings;
use walpilot::demo::cluster::Builder;

const PUBLICATION: &str = "walpilot_publication";
const MIB: f64 = 1024.0 * 1024.0;

/// The tables of the copy; `{rows}` of them in all, the big one has half.
const TABLES: [(&str, &str, u64); 5] = [
    (
        "events",
        "id bigint PRIMARY KEY, account int NOT NULL, amount numeric(12,2), at timestamptz NOT NULL, kind text, note text",
        50,
    ),
    ("invoices", "id uuid PRIMARY KEY, customer int NOT NULL, total numeric(12,2), due date, paid bool, doc jsonb", 15),
    ("lines", "invoice int, position int, sku varchar(20), price float8, PRIMARY KEY (invoice, position)", 20),
    ("customers", "id int PRIMARY KEY, name text NOT NULL, email text, tags text[], since timestamp", 10),
    ("sessions", "token text PRIMARY KEY, customer int, started timestamptz, seen inet", 5),
];

fn row_of(table: &str) -> &'static str {
    match table {
        "events" => {
            "i, i % 5000, (i % 100000) / 7.0, timestamptz '2024-01-01' + i * interval '1 second', 'kind ' || i % 7, repeat(md5(i::text), 2)"
        }
        "invoices" => {
            "md5(i::text)::uuid, i % 5000, i / 3.0, date '2024-01-01' + i % 700, i % 2 = 0, jsonb_build_object('n', i, 'state', 'open')"
        }
        "lines" => "i / 10, i % 10, 'sku-' || i % 900, i / 7.0",
        "customers" => {
            "i, 'Customer ' || i, i || '@example.com', ARRAY['a', 'b' || i % 9], timestamp '2020-01-01' + i * interval '1 minute'"
        }
        _ => "md5(i::text), i % 5000, timestamptz '2024-01-01' + i * interval '1 second', '10.0.0.1'",
    }
}

fn create_tables() -> String {
    TABLES.iter().map(|(name, columns, _)| format!("CREATE TABLE {name} ({columns});")).collect()
}

fn roomy(builder: Builder) -> Builder {
    builder
        .setting("shared_buffers", "256MB")
        .setting("max_wal_size", "8GB")
        .setting("track_commit_timestamp", "on")
        .setting("autovacuum", "off")
}

#[tokio::main]
async fn main() {
    let scale = number("WALPILOT_BENCH_SCALE", 1);
    println!("{} rounds of each, scale {scale}; times are medians", rounds());
    if wanted("copy-tables") {
        // As many rows as the target speaks of.
        copy_of_tables(5_000_000 * scale).await;
    }
    if wanted("copy-one") {
        copy_of_one(1_000_000 * scale).await;
    }
    if wanted("backlog-small") {
        backlog("backlog of small transactions", 3.0, 100_000 * scale, &small_transactions(25_000 * scale)).await;
    }
    if wanted("backlog-single") {
        let count = 200_000 * scale;
        backlog("backlog of transactions of one row", 3.0, count, &single_rows(count)).await;
    }
    if wanted("backlog-bulk") {
        let rows = 200_000 * scale;
        backlog("backlog of bulk transactions", 2.0, rows * 5 / 2, &bulk_transactions(rows)).await;
    }
    if wanted("decode") {
        decode(1_000_000 * scale).await;
    }
    if wanted("latency") {
        latency(200).await;
    }
    if wanted("memory") {
        memory(256 * scale).await;
    }
}

/// A fresh pair whose source has this schema and a publication for all of it.
///
/// A subscription that is enabled soon after another has started waits for `wal_retrieve_retry_interval` (5 s unless
/// set): that would be counted as work.
async fn pair(schema: &str) -> Pair {
    let source = started(roomy(source_builder())).await;
    let destination = roomy(support::source_builder().setting("wal_level", "replica"));
    let destination = started(destination.setting("wal_retrieve_retry_interval", "10ms")).await;
    let pair = Pair { source, destination };
    execute(&pair.from(), schema).await;
    execute(&pair.from(), &format!("CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES")).await;
    pair
}

/// A database of its own at the destination.
async fn database(pair: &Pair, name: &str) -> Settings {
    execute(&pair.to(), &format!("CREATE DATABASE {name}")).await;
    Settings { database: name.to_owned(), ..pair.to() }
}

/// Runs walpilot to its end; also its peak of memory in bytes.
async fn walpilot(pair: &Pair, to: &Settings, slot: &str, more: &[&str]) -> (Duration, f64) {
    let mut args = vec!["--until-caught-up", "--slot", slot];
    args.extend(more);
    let begun = Instant::now();
    let (child, _home) = pair.command_to(to, &args).spawn();
    let pid = child.id().expect("it runs");
    let watched = tokio::spawn(async move {
        let mut peak = 0.0_f64;
        while let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
            peak = peak.max(line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0.0) * 1024.0);
            sleep(Duration::from_millis(20)).await;
        }
        peak
    });
    let output = child.wait_with_output().await.expect("its output");
    let time = begun.elapsed();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    (time, watched.await.expect("its memory"))
}

/// How libpq reaches the source, for a subscription.
fn conninfo(from: &Settings) -> String {
    let password = from.password.as_ref().map_or("", |word| word.reveal());
    format!("host={} port={} user={} password={password} dbname={}", from.host, from.port, from.user, from.database)
}

async fn subscribe(pair: &Pair, to: &Settings, name: &str, with: &str) {
    let sql = format!(
        "CREATE SUBSCRIPTION {name} CONNECTION '{}' PUBLICATION {PUBLICATION} WITH (slot_name = '{name}'{with})",
        conninfo(&pair.from())
    );
    execute(to, &sql).await;
}

async fn unsubscribe(to: &Settings, name: &str) {
    execute(to, &format!("ALTER SUBSCRIPTION {name} DISABLE")).await;
    execute(to, &format!("DROP SUBSCRIPTION {name}")).await;
}

/// Waits until `sql` is true, asking one session again and again.
async fn await_true(settings: &Settings, sql: &str) {
    let session = session(settings).await;
    session.client.batch_execute("SET search_path = public").await.expect("the session is there");
    loop {
        if session.client.query_one(sql, &[]).await.expect("an answer").get(0) {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

const ALL_READY: &str = "SELECT count(*) > 0 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel";

async fn copy_of_tables(rows: u64) {
    let pair = pair(&create_tables()).await;
    for (name, _, share) in TABLES {
        let sql =
            format!("INSERT INTO {name} SELECT {} FROM generate_series(1, {}) i", row_of(name), rows * share / 100);
        execute(&pair.from(), &sql).await;
    }
    execute(&pair.from(), "VACUUM ANALYZE").await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds() {
        let to = database(&pair, &format!("native{round}")).await;
        execute(&to, &create_tables()).await;
        let begun = Instant::now();
        subscribe(&pair, &to, "native", "").await;
        await_true(&to, ALL_READY).await;
        theirs.push(begun.elapsed());
        unsubscribe(&to, "native").await;
        execute(&pair.to(), &format!("DROP DATABASE native{round}")).await;

        let to = database(&pair, &format!("ours{round}")).await;
        ours.push(copied(&pair, &to, &format!("ours{round}"), TABLES.len()).await);
        compare(&pair.from(), &to, &TABLES.map(|(name, _, _)| name)).await;
        forget(&pair, &format!("ours{round}")).await;
    }
    faster(&format!("initial copy, 5 tables, {rows} rows"), "subscription", &theirs, &ours, 1.5);
}

/// The time that walpilot takes from its start until so many tables are there with all their rows, which is when a
/// subscription calls them ready.
async fn copied(pair: &Pair, to: &Settings, slot: &str, tables: usize) -> Duration {
    let begun = Instant::now();
    let (child, _home) = pair.command_to(to, &["--until-caught-up", "--slot", slot]).spawn();
    await_true(to, "SELECT to_regclass('walpilot.table_state') IS NOT NULL").await;
    let ready = format!("SELECT count(*) FILTER (WHERE state = 'streaming') = {tables} FROM walpilot.table_state");
    await_true(to, &ready).await;
    let time = begun.elapsed();
    let output = child.wait_with_output().await.expect("its output");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    time
}

async fn forget(pair: &Pair, name: &str) {
    execute(&pair.from(), &format!("SELECT pg_drop_replication_slot('{name}')")).await;
    execute(&pair.to(), &format!("DROP DATABASE {name} WITH (FORCE)")).await;
}

async fn copy_of_one(rows: u64) {
    let (name, columns, _) = TABLES[0];
    let pair = pair(&format!("CREATE TABLE {name} ({columns});")).await;
    execute(&pair.from(), &format!("INSERT INTO {name} SELECT {} FROM generate_series(1, {rows}) i", row_of(name)))
        .await;
    execute(&pair.from(), "VACUUM ANALYZE").await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds() {
        let to = database(&pair, &format!("theirs{round}")).await;
        execute(&to, &format!("CREATE TABLE {name} ({columns});")).await;
        let side = |settings: &Settings, sql: &str| format!("psql -X -q '{}' -c '{sql}'", conninfo(settings));
        let pipe = format!(
            "{} | {}",
            side(&pair.from(), &format!("COPY {name} TO STDOUT")),
            side(&to, &format!("COPY {name} FROM STDIN"))
        );
        let begun = Instant::now();
        let status = Command::new("sh").args(["-c", &pipe]).status().await.expect("a shell");
        assert!(status.success());
        theirs.push(begun.elapsed());
        execute(&pair.to(), &format!("DROP DATABASE theirs{round}")).await;

        let to = database(&pair, &format!("ours{round}")).await;
        ours.push(copied(&pair, &to, &format!("ours{round}"), 1).await);
        compare(&pair.from(), &to, &[name]).await;
        forget(&pair, &format!("ours{round}")).await;
    }
    faster(&format!("initial copy, one table, {rows} rows"), "COPY | COPY  ", &theirs, &ours, 1.0);
}

/// A measurement of something that is not equal is worth nothing.
async fn compare(from: &Settings, to: &Settings, tables: &[&str]) {
    for table in tables {
        let sql =
            format!("SELECT count(*) || ' ' || COALESCE(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {table} t");
        assert_eq!(value(from, &sql).await, value(to, &sql).await, "{table}");
    }
}

const BANK: &str = "CREATE TABLE accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84));
    CREATE TABLE tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84));
    CREATE TABLE branches (bid int PRIMARY KEY, bbalance int, filler char(88));
    CREATE TABLE history (id bigint PRIMARY KEY, tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
    CREATE TABLE sentinel (id int PRIMARY KEY);
    CREATE SEQUENCE numbers;";

/// The transactions of pgbench, in one procedure at the server.
fn small_transactions(count: u64) -> Vec<String> {
    vec![format!(
        "DO $$ DECLARE a int; t int; b int; d int; BEGIN FOR i IN 1..{count} LOOP
            a := 1 + random() * 99999; t := 1 + random() * 99; b := 1 + random() * 9; d := random() * 1000 - 500;
            UPDATE accounts SET abalance = abalance + d WHERE aid = a;
            UPDATE tellers SET tbalance = tbalance + d WHERE tid = t;
            UPDATE branches SET bbalance = bbalance + d WHERE bid = b;
            INSERT INTO history VALUES (nextval('numbers'), t, b, a, d, clock_timestamp());
            COMMIT; END LOOP; END $$"
    )]
}

/// Transactions of one row each, as in the measurement from which the target stems.
fn single_rows(count: u64) -> Vec<String> {
    vec![format!(
        "DO $$ BEGIN FOR i IN 1..{count} LOOP INSERT INTO history VALUES (nextval('numbers'), 1, 1, i, i, clock_timestamp()); \
         COMMIT; END LOOP; END $$"
    )]
}

/// Large transactions that insert, change and remove.
fn bulk_transactions(rows: u64) -> Vec<String> {
    vec![
        format!("INSERT INTO history SELECT nextval('numbers'), i, i, i, i, now() FROM generate_series(1, {rows}) i"),
        format!("UPDATE history SET delta = delta + 1 WHERE id > (SELECT max(id) - {rows} FROM history)"),
        format!("DELETE FROM history WHERE id % 2 = 0 AND id > (SELECT max(id) - {rows} FROM history)"),
    ]
}

async fn fill_bank(pair: &Pair) {
    execute(
        &pair.from(),
        "INSERT INTO accounts SELECT i, 1, 0, '' FROM generate_series(1, 100000) i;
         INSERT INTO tellers SELECT i, 1, 0, '' FROM generate_series(1, 100) i;
         INSERT INTO branches SELECT i, 0, '' FROM generate_series(1, 10) i",
    )
    .await;
    execute(&pair.from(), "VACUUM ANALYZE").await;
}

/// Both have copied; then a backlog is written, and each drains it alone.
async fn backlog(what: &str, target: f64, changes: u64, transactions: &[String]) {
    let pair = pair(BANK).await;
    fill_bank(&pair).await;
    let (native, to) = (database(&pair, "native").await, database(&pair, "ours").await);
    execute(&native, &BANK.replace("CREATE SEQUENCE numbers;", "")).await;
    subscribe(&pair, &native, "native", "").await;
    await_true(&native, ALL_READY).await;
    walpilot(&pair, &to, "ours", &[]).await;
    let (mut theirs, mut ours, mut alone, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    execute(&pair.from(), "SELECT pg_create_logical_replication_slot('alone', 'pgoutput')").await;
    for round in 0..rounds() {
        execute(&native, "ALTER SUBSCRIPTION native DISABLE").await;
        await_true(&pair.from(), "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'native'").await;
        for statement in transactions {
            execute(&pair.from(), statement).await;
        }
        execute(&pair.from(), &format!("INSERT INTO sentinel VALUES ({round})")).await;
        alone.push(recvlogical(&pair, "alone").await);
        let begun = Instant::now();
        execute(&native, "ALTER SUBSCRIPTION native ENABLE").await;
        await_true(&native, &format!("SELECT EXISTS (SELECT 1 FROM sentinel WHERE id = {round})")).await;
        theirs.push(begun.elapsed());
        // As with native apply, what counts is when the last row is there.
        let begun = Instant::now();
        let last = format!("SELECT EXISTS (SELECT 1 FROM sentinel WHERE id = {round})");
        let there = async {
            await_true(&to, &last).await;
            begun.elapsed()
        };
        let ((_, memory), time) = tokio::join!(walpilot(&pair, &to, "ours", &[]), there);
        ours.push(time);
        peak = peak.max(memory);
    }
    let tables = ["accounts", "tellers", "branches", "history"];
    compare(&pair.from(), &to, &tables).await;
    compare(&pair.from(), &native, &tables).await;
    faster(&format!("{what}, {changes} changes"), "native apply ", &theirs, &ours, target);
    // Nobody is faster than the source's walsender.
    let (limit, native_time) = (median(&alone), median(&theirs));
    let most = native_time / limit;
    println!("{:<46} walsender alone {limit:>7.2} s   {most:>5.2} times as fast at the most", format!("{what}, limit"));
    at_most(&format!("{what}, memory"), "walpilot's peak, MiB", peak / MIB, 64.0);
    unsubscribe(&native, "native").await;
}

/// The time that `pg_recvlogical` takes to drain a slot into /dev/null.
async fn recvlogical(pair: &Pair, slot: &str) -> Duration {
    let end = value(&pair.from(), "SELECT pg_current_wal_lsn()").await;
    execute(&pair.from(), "CHECKPOINT").await;
    let begun = Instant::now();
    let status = Command::new(pair.source.binaries().dir.join("pg_recvlogical"))
        .args(["-d", &conninfo(&pair.from()), "-S", slot, "--start", "-f", "/dev/null", "--no-loop"])
        .args(["-o", "proto_version=1", "-o", &format!("publication_names={PUBLICATION}"), "--endpos", &end])
        .stdout(Stdio::null())
        .status()
        .await
        .expect("pg_recvlogical is installed with the server");
    assert!(status.success());
    begun.elapsed()
}

/// Everything is read and decoded, and belongs to a table that is not wanted.
async fn decode(changes: u64) {
    let pair = pair(BANK).await;
    let to = database(&pair, "ours").await;
    let only = ["--tables", "public.sentinel"];
    walpilot(&pair, &to, "ours", &only).await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds() {
        let theirs_slot = format!("theirs{round}");
        execute(&pair.from(), &format!("SELECT pg_create_logical_replication_slot('{theirs_slot}', 'pgoutput')")).await;
        execute(
            &pair.from(),
            &format!(
                "INSERT INTO history SELECT nextval('numbers'), i, i, i, i, now() FROM generate_series(1, {changes}) i"
            ),
        )
        .await;
        execute(&pair.from(), &format!("INSERT INTO sentinel VALUES ({round})")).await;
        theirs.push(recvlogical(&pair, &theirs_slot).await);
        ours.push(walpilot(&pair, &to, "ours", &only).await.0);
        execute(&pair.from(), &format!("SELECT pg_drop_replication_slot('{theirs_slot}')")).await;
    }
    faster(&format!("decode only, {changes} changes"), "recvlogical  ", &theirs, &ours, 0.95);
}

/// One row after the other into an idle source: how much later than there it is committed at the destination.
async fn latency(rows: u64) {
    let pair = pair("CREATE TABLE beat (id int PRIMARY KEY)").await;
    let (native, to) = (database(&pair, "native").await, database(&pair, "ours").await);
    for side in [&native, &to] {
        // Filled by the destination itself when the row is written: the commit time of a subscription is the source's.
        let table = "CREATE TABLE beat (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())";
        execute(side, table).await;
    }
    subscribe(&pair, &native, "native", "").await;
    await_true(&native, ALL_READY).await;
    let theirs = delays(&pair, &native, 0, rows).await;
    unsubscribe(&native, "native").await;
    let (mut child, _home) = pair.command_to(&to, &["--slot", "ours"]).spawn();
    await_true(&to, "SELECT to_regclass('walpilot.progress') IS NOT NULL").await;
    await_true(&to, "SELECT COALESCE(min(phase), '') = 'streaming' FROM walpilot.progress").await;
    let ours = delays(&pair, &to, rows, rows).await;
    child.kill().await.expect("it runs");
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        let (theirs, ours) = (quantile(&mut theirs.clone(), share), quantile(&mut ours.clone(), share));
        let words = format!("subscription {theirs:.2} ms   walpilot {ours:.2} ms");
        at_most(&format!("latency of one row when idle, {what}"), &words, ours / theirs, 2.0);
    }
}

/// Milliseconds between the commits at the source and the writing at `to`.
async fn delays(pair: &Pair, to: &Settings, from: u64, rows: u64) -> Vec<f64> {
    let writer = session(&pair.from()).await;
    // The first rows make the connections warm and are not counted.
    let warm = 20;
    for id in from..from + rows {
        writer.client.batch_execute(&format!("INSERT INTO public.beat VALUES ({id})")).await.expect("inserted");
        sleep(Duration::from_millis(31)).await;
    }
    let last = from + rows - 1;
    await_true(to, &format!("SELECT EXISTS (SELECT 1 FROM beat WHERE id = {last})")).await;
    let read = |settings: &Settings, time: &str| -> Vec<f64> {
        let sql = format!(
            "SELECT extract(epoch FROM {time}) FROM public.beat WHERE id >= {} AND id <= {last} ORDER BY id",
            from + warm
        );
        psql(settings, &sql).lines().map(|line| line.parse().expect("a time")).collect()
    };
    let (here, there) = (read(&pair.from(), "pg_xact_commit_timestamp(xmin)"), read(to, "at"));
    here.iter().zip(there).map(|(here, there)| (there - here) * 1000.0).collect()
}

/// One transaction of this many MiB.
async fn memory(size: u64) {
    let pair = pair("CREATE TABLE big (id int PRIMARY KEY, v text)").await;
    let to = database(&pair, "ours").await;
    walpilot(&pair, &to, "ours", &[]).await;
    let sql = format!("INSERT INTO big SELECT i, repeat(md5(i::text), 64) FROM generate_series(1, {}) i", size * 512);
    execute(&pair.from(), &sql).await;
    let (time, peak) = walpilot(&pair, &to, "ours", &[]).await;
    compare(&pair.from(), &to, &["big"]).await;
    let words = format!("{:.1} MiB/s, peak in MiB", size as f64 / median(&[time]));
    at_most(&format!("one transaction of {size} MiB"), &words, peak / MIB, 64.0);
}
