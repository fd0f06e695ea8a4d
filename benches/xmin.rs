//! A first and a later pass of `walpilot run --method xmin` against `COPY | COPY` of two psql, which is all that somebody
//! without it could do: copy the whole table each time.
//!
//! `WALPILOT_BENCH_SCALE` (1 unless set; 3 for three million rows) makes it larger, `WALPILOT_BENCH_ROUNDS` (3) more
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

use std::time::{Duration, Instant};

use measure::{faster, number, rounds};
use replicating::{Pair, execute, rows};
use support::started;
use tokio::process::Command;
use walpilot::connection::Settings;
use walpilot::demo::Cluster;

const TABLE: &str = "CREATE TABLE events (id bigint PRIMARY KEY, account int NOT NULL, amount numeric(12,2), \
    at timestamptz NOT NULL, kind text, note text)";

#[tokio::main]
async fn main() {
    let count = 1_000_000 * number("WALPILOT_BENCH_SCALE", 1);
    println!("{} rounds of each; times are medians", rounds());
    let pair = Pair { source: server().await, destination: server().await };
    execute(&pair.from(), TABLE).await;
    execute(
        &pair.from(),
        &format!(
            "INSERT INTO events SELECT i, i % 5000, (i % 100000) / 7.0, timestamptz '2024-01-01' + i * interval '1 second', \
             'kind ' || i % 7, repeat(md5(i::text), 2) FROM generate_series(1, {count}) i"
        ),
    )
    .await;
    execute(&pair.from(), "VACUUM ANALYZE").await;
    let (mut theirs, mut first, mut later, mut still) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds() {
        theirs.push(copied(&pair, round).await);
        let name = format!("ours{round}");
        execute(&pair.to(), &format!("CREATE DATABASE {name}")).await;
        let to = Settings { database: name, ..pair.to() };
        first.push(pass(&pair, &to).await);
        still.push(pass(&pair, &to).await);
        execute(&pair.from(), "UPDATE events SET account = account + 1 WHERE id % 20 = 0").await;
        later.push(pass(&pair, &to).await);
        assert_eq!(rows(&pair.from(), "events").await, rows(&to, "events").await);
        execute(&pair.to(), &format!("DROP DATABASE ours{round}")).await;
        execute(&pair.from(), "VACUUM events").await;
    }
    faster(&format!("xmin, first pass, {count} rows"), "COPY | COPY", &theirs, &first, 1.0);
    faster("xmin, a pass when nothing has changed", "COPY | COPY", &theirs, &still, 5.0);
    faster("xmin, a pass when 5 % have changed", "COPY | COPY", &theirs, &later, 1.5);
}

async fn server() -> Cluster {
    let builder = Cluster::builder(&support::binaries());
    let roomy = builder.setting("shared_buffers", "256MB").setting("max_wal_size", "8GB");
    started(roomy.setting("autovacuum", "off")).await
}

async fn pass(pair: &Pair, to: &Settings) -> Duration {
    let begun = Instant::now();
    pair.command_to(to, &["--method", "xmin", "--once"]).run().await.expect_code(0);
    begun.elapsed()
}

/// The whole table by two psql, into a table with its key.
async fn copied(pair: &Pair, round: u64) -> Duration {
    let name = format!("theirs{round}");
    execute(&pair.to(), &format!("CREATE DATABASE {name}")).await;
    let to = Settings { database: name.clone(), ..pair.to() };
    execute(&to, TABLE).await;
    let side = |settings: &Settings, sql: &str| {
        let word = settings.password.as_ref().map_or("", |word| word.reveal());
        let Settings { host, port, user, database, .. } = settings;
        format!("psql -X -q 'host={host} port={port} user={user} password={word} dbname={database}' -c '{sql}'")
    };
    let pipe = format!("{} | {}", side(&pair.from(), "COPY events TO STDOUT"), side(&to, "COPY events FROM STDIN"));
    let begun = Instant::now();
    let status = Command::new("sh").args(["-c", &pipe]).status().await.expect("a shell");
    let time = begun.elapsed();
    assert!(status.success());
    execute(&pair.to(), &format!("DROP DATABASE {name}")).await;
    time
}
