//! What the tests of `walpilot run` share: a pair of servers, the program on them, and the comparison.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_macros,
    clippy::print_stdout,
    reason = "each test program uses a part"
)]

pub mod tables;
pub mod values;
pub mod zoo;

use std::hash::{BuildHasher, Hasher, RandomState};

use tokio_postgres::SimpleQueryMessage;
use walpilot::connection::{Session, Settings, describe};
use walpilot::demo::Cluster;

use crate::support::program::{Outcome, Walpilot, password, uri, walpilot};
use crate::support::{await_until, destination, session, source, source_builder, started};

/// A source with the publication `walpilot_publication` for all tables, and an empty destination.
pub struct Pair {
    pub source: Cluster,
    pub destination: Cluster,
}

impl Pair {
    pub async fn start(schema: &str) -> Self {
        let pair = Self { source: source().await, destination: destination().await };
        execute(&pair.from(), schema).await;
        execute(
            &pair.from(),
            "CREATE PUBLICATION walpilot_publication FOR ALL TABLES WITH (publish_via_partition_root)",
        )
        .await;
        pair
    }

    /// The same with these settings of the source; what publishes partitions publishes them as leaves.
    pub async fn with(settings: &[(&str, &str)], schema: &str) -> Self {
        let builder = settings.iter().fold(source_builder(), |builder, (name, value)| builder.setting(name, value));
        let pair = Self { source: started(builder).await, destination: destination().await };
        execute(&pair.from(), schema).await;
        execute(&pair.from(), "CREATE PUBLICATION walpilot_publication FOR ALL TABLES").await;
        pair
    }

    pub fn from(&self) -> Settings {
        self.source.settings()
    }

    pub fn to(&self) -> Settings {
        self.destination.settings()
    }

    /// `walpilot run` between the two, with further arguments.
    pub fn command(&self, more: &[&str]) -> Walpilot {
        self.command_to(&self.to(), more)
    }

    /// The same into another database.
    pub fn command_to(&self, to: &Settings, more: &[&str]) -> Walpilot {
        between(&self.from(), to, more)
    }

    /// `walpilot verify` between the two, with further arguments.
    pub fn verify(&self, more: &[&str]) -> Walpilot {
        program("verify", &self.from(), &self.to(), more)
    }

    /// Runs until everything that is at the source now is at the destination.
    pub async fn catch_up(&self) -> Outcome {
        self.command(&["--until-caught-up"]).run().await.expect_code(0)
    }

    /// Fails unless every table of the source has the same rows at both sides.
    pub async fn expect_equal(&self) {
        let tables = tables(&self.from()).await;
        assert!(!tables.is_empty());
        for table in tables {
            let (here, there) = (rows(&self.from(), &table).await, rows(&self.to(), &table).await);
            if here != there {
                let sql = format!("SELECT t::text FROM {table} t ORDER BY 1 LIMIT 10");
                let (a, b) = (query(&self.from(), &sql).await, query(&self.to(), &sql).await);
                panic!("{table}: {here} and {there}\n{a:?}\n{b:?}");
            }
        }
    }

    /// Waits until a run streams.
    pub async fn await_streaming(&self) {
        await_until("the stream", async || {
            let there = "SELECT to_regclass('walpilot.progress') IS NOT NULL";
            let phase = "SELECT COALESCE(min(phase), '') FROM walpilot.progress";
            value(&self.to(), there).await == "t" && value(&self.to(), phase).await == "streaming"
        })
        .await;
    }

    /// Waits until all tables agree while a run goes on.
    pub async fn await_equal(&self) {
        let tables = tables(&self.from()).await;
        await_until("equal tables", async || {
            for table in &tables {
                if rows(&self.from(), table).await != rows(&self.to(), table).await {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// What the slot was told is committed at the destination, and no slot but ours is left.
    pub async fn expect_orderly_slots(&self) {
        let slots = query(&self.from(), "SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots").await;
        assert_eq!(slots.len(), 1, "{slots:?}");
        let confirmed = slots[0][1].clone().expect("a position");
        let behind = format!("SELECT '{confirmed}'::pg_lsn <= lsn FROM walpilot.checkpoint");
        assert_eq!(value(&self.to(), &behind).await, "t", "feedback went beyond the checkpoint");
    }
}

/// `walpilot run` between any two.
pub fn between(from: &Settings, to: &Settings, more: &[&str]) -> Walpilot {
    program("run", from, to, more)
}

/// `walpilot verify` of the two.
pub fn verify(from: &Settings, to: &Settings) -> Walpilot {
    program("verify", from, to, &[])
}

/// A command of walpilot with a source and a destination.
pub fn program(command: &str, from: &Settings, to: &Settings, more: &[&str]) -> Walpilot {
    let (from_uri, to_uri) = (uri(from), uri(to));
    let mut args = vec![command, "--from", &from_uri, "--to", &to_uri];
    args.extend(more);
    walpilot(args).password(from).env("WALPILOT_TO_PASSWORD", password(to))
}

/// The source's tables outside the system schemas, quoted; partitions only by their root.
async fn tables(settings: &Settings) -> Vec<String> {
    let sql = "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
               AND n.nspname !~ '^pg_|^information_schema$' ORDER BY 1";
    query(settings, sql).await.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// Number and digest of a table's rows. `ONLY` would miss partitions, and there is no inheritance in these tests.
pub async fn rows(settings: &Settings, table: &str) -> String {
    let exists = value(settings, &format!("SELECT to_regclass('{}') IS NOT NULL", table.replace('\'', "''"))).await;
    if exists == "f" {
        return "missing".to_owned();
    }
    let sql = format!(
        "SELECT count(*) || ' rows ' || COALESCE(md5(string_agg(md5(r), '' ORDER BY r COLLATE \"C\")), '') \
         FROM (SELECT t::text AS r FROM {table} t) x"
    );
    value(settings, &sql).await
}

/// A small generator whose seed is printed, so that a failure can be looked at again.
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        let seed = RandomState::new().build_hasher().finish() | 1;
        println!("seed {seed}");
        Self(seed)
    }

    /// The generator that a seed gives. Neighbouring seeds have nothing in common.
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Runs statements as an application would, with `public` in the search path, and returns all rows as text.
pub async fn query(settings: &Settings, sql: &str) -> Vec<Vec<Option<String>>> {
    let session = session(settings).await;
    session.client.batch_execute("SET search_path = public").await.expect("the session is there");
    let messages = session.client.simple_query(sql).await;
    let messages = messages.unwrap_or_else(|error| panic!("{}: {sql}", describe(&error)));
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    rows.collect()
}

/// The statement that writes so many bytes to the log without a row: what has gathered behind a slot is then not left to the
/// stream.
pub fn backlog(bytes: u64) -> String {
    format!("SELECT pg_logical_emit_message(false, 'filler', repeat('x', {bytes}))")
}

/// [`query`] for its effect.
pub async fn execute(settings: &Settings, sql: &str) {
    query(settings, sql).await;
}

/// The first column of the first row, as text.
pub async fn value(settings: &Settings, sql: &str) -> String {
    let rows = query(settings, sql).await;
    rows.first().and_then(|row| row.first()?.clone()).unwrap_or_else(|| panic!("no value: {sql}"))
}

/// A transaction of an application that is open until its session is dropped.
pub async fn open(settings: &Settings, sql: &str) -> Session {
    let session = session(settings).await;
    session.client.batch_execute(&format!("SET search_path = public; BEGIN; {sql}")).await.expect("begun");
    session
}

/// Waits until [`value`] gives this.
pub async fn await_value(settings: &Settings, sql: &str, wanted: &str) {
    await_until(sql, async || value(settings, sql).await == wanted).await;
}
