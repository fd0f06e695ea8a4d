//! Random tables and random transactions: both sides hold the same rows afterwards, by our own comparison and by
//! `walpilot verify`, and so does a subscription of PostgreSQL's own where that can follow.
//!
//! A failure prints its seed; `WALPILOT_TEST_SEED=… cargo test --test replication_property` repeats it, and
//! `WALPILOT_TEST_ROUNDS=…` (`make soak`) tries more.

#![expect(clippy::disallowed_macros, clippy::disallowed_methods, reason = "seeds are printed and chosen")]

use std::time::Duration;

use crate::replicating::tables::{Table, transaction};
use crate::replicating::values::TYPES;
use crate::replicating::{Pair, Random, backlog, execute, program, rows};
use crate::support::program::Walpilot;
use crate::support::{PATIENCE, await_until, session};
use tokio::time::Instant;
use walpilot::connection::{Secret, Settings};

/// Seeds that are tried in every build, beside one that nobody has seen before.
const SEEDS: [u64; 4] = [1, 2, 3, 4];

#[tokio::test]
async fn random_transactions_on_random_tables_give_equal_tables() {
    let chosen = std::env::var("WALPILOT_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let more = std::env::var("WALPILOT_TEST_ROUNDS").map_or(1, |rounds| rounds.parse().expect("a number"));
    let pair = Pair::start("").await;
    let mut seeds: Vec<u64> = SEEDS.to_vec();
    seeds.extend((0..more).map(|_| Random::new().below(u64::MAX)));
    if let Some(seed) = chosen {
        seeds = vec![seed];
    }
    for (number, seed) in seeds.into_iter().enumerate() {
        println!("WALPILOT_TEST_SEED={seed}");
        World::build(&pair, number, seed).await.play().await;
    }
}

/// A database on each side, and a third one that PostgreSQL's own subscription fills.
struct World<'a> {
    pair: &'a Pair,
    random: Random,
    from: Settings,
    to: Settings,
    native: Settings,
    slot: String,
    tables: Vec<Table>,
    /// Statements that the server has taken.
    written: u64,
}

impl<'a> World<'a> {
    async fn build(pair: &'a Pair, number: usize, seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let name = format!("p{number}");
        let major = pair.source.major();
        let in_database = |settings: Settings, name: &str| Settings { database: name.to_owned(), ..settings };
        execute(&pair.from(), &format!("CREATE DATABASE {name}")).await;
        execute(&pair.to(), &format!("CREATE DATABASE {name}")).await;
        execute(&pair.to(), &format!("CREATE DATABASE native_{name}")).await;
        let (from, to) = (in_database(pair.from(), &name), in_database(pair.to(), &name));
        let native = in_database(pair.to(), &format!("native_{name}"));
        let count = 3 + random.below(3) as usize;
        let tables: Vec<Table> = (0..count).map(|at| Table::random(&mut random, at, major)).collect();
        let root = random.below(2) == 0;
        let with = format!("WITH (publish_via_partition_root = {root})");
        let schema: String = tables.iter().map(|table| table.create() + ";").collect();
        for side in [&from, &native] {
            execute(side, TYPES).await;
            execute(side, &schema).await;
        }
        for table in &tables {
            let sql = table.insert(&mut random, 1, 40);
            execute(&from, &sql).await;
        }
        execute(&from, &format!("CREATE PUBLICATION walpilot_publication FOR ALL TABLES {with}")).await;
        let followed: Vec<String> =
            tables.iter().filter(|table| table.native()).map(|table| table.name.clone()).collect();
        let world = Self { pair, random, from, to, native, slot: format!("slot_{name}"), tables, written: 0 };
        if !followed.is_empty() {
            let sql = format!("CREATE PUBLICATION for_native FOR TABLE {} {with}", followed.join(", "));
            execute(&world.from, &sql).await;
            let word = world.from.password.as_ref().map_or("", Secret::reveal);
            let Settings { host, port, user, database, .. } = &world.from;
            execute(
                &world.native,
                &format!(
                    "CREATE SUBSCRIPTION native_{name} CONNECTION 'host={host} port={port} user={user} dbname={database} \
                     password=''{word}''' PUBLICATION for_native"
                ),
            )
            .await;
            // Until 13 a TRUNCATE of two tables during their copies locks PostgreSQL's own workers against each other for ever.
            if major < 14 {
                let ready = "SELECT bool_and(srsubstate = 'r')::text FROM pg_subscription_rel";
                await_until("the oracle has copied", async || {
                    crate::replicating::value(&world.native, ready).await == "true"
                })
                .await;
            }
        }
        world
    }

    fn program(&self, command: &str, more: &[&str]) -> Walpilot {
        program(command, &self.from, &self.to, &[&["--slot", self.slot.as_str()], more].concat())
    }

    /// Runs random transactions; what the server refuses is rolled back.
    async fn write(&mut self, transactions: std::ops::Range<u64>) {
        let session = session(&self.from).await;
        session.client.batch_execute("SET search_path = public").await.expect("the session is there");
        for number in transactions {
            for statement in transaction(&mut self.random, &self.tables, number) {
                let inside = number % 2 == 0 && statement != "BEGIN" && statement != "COMMIT";
                let savepoint = inside && !statement.contains("SAVEPOINT") && !statement.contains(" TO ");
                // Half of the transactions go on after an error, half of them are lost to it.
                if savepoint {
                    let _ = session.client.batch_execute("SAVEPOINT each").await;
                }
                match session.client.batch_execute(&statement).await {
                    Ok(()) => self.written += 1,
                    Err(_) if savepoint => drop(session.client.batch_execute("ROLLBACK TO each").await),
                    Err(_) => {}
                }
            }
            let _ = session.client.batch_execute("ROLLBACK").await;
        }
    }

    async fn play(mut self) {
        self.write(0..4).await;
        let (mut child, _home) = self.program("run", &[]).spawn();
        // During the copy and the stream, and beside a run that was killed.
        self.write(4..24).await;
        child.kill().await.expect("it runs");
        self.write(24..40).await;
        self.program("run", &["--until-caught-up"]).run().await.expect_code(0);
        self.write(40..60).await;
        // A backlog is read in another way than the stream.
        execute(&self.from, &backlog(6_000_000)).await;
        let outcome = self.program("run", &["--until-caught-up"]).run().await.expect_code(0);
        assert!(outcome.stdout.contains("gathered behind the slot"), "{}", outcome.stdout);
        self.program("verify", &[]).run().await.expect_code(0);
        for table in &self.tables {
            self.compare(&self.to, table, "walpilot").await;
        }
        assert!(self.written > 150, "only {} statements were taken", self.written);
        if self.tables.iter().any(Table::native) {
            // Its position tells little: PostgreSQL 13 learns only twice a minute that nothing more has come.
            let give_up = Instant::now() + PATIENCE;
            for table in self.tables.iter().filter(|table| table.native()) {
                while !self.equal(&self.native, table).await && Instant::now() < give_up {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                self.compare(&self.native, table, "the oracle").await;
            }
            let name = self.native.database.clone();
            execute(&self.native, &format!("DROP SUBSCRIPTION {name}")).await;
        }
        execute(&self.from, &format!("SELECT pg_drop_replication_slot('{}')", self.slot)).await;
        for (side, name) in [(self.pair.to(), &self.native.database), (self.pair.to(), &self.to.database)] {
            execute(&side, &format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
        execute(&self.pair.from(), &format!("DROP DATABASE {} WITH (FORCE)", self.from.database)).await;
    }

    async fn equal(&self, there: &Settings, table: &Table) -> bool {
        for name in self.places(table).await {
            if rows(&self.from, &name).await != rows(there, &name).await {
                return false;
            }
        }
        true
    }

    async fn compare(&self, there: &Settings, table: &Table, who: &str) {
        for name in self.places(table).await {
            let (a, b) = (rows(&self.from, &name).await, rows(there, &name).await);
            if a != b {
                panic!("{name} as {who} has it: {a} and {b}\n{:?}\n{}", table.identity, table.create());
            }
        }
    }

    /// The tables under which a table's changes arrive.
    async fn places(&self, table: &Table) -> Vec<String> {
        let literal = table.name.replace('\'', "''");
        let sql = format!(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_publication_tables \
             WHERE pubname = 'walpilot_publication' AND to_regclass(quote_ident(schemaname) || '.' || quote_ident(tablename)) \
                 IN (SELECT relid FROM pg_partition_tree('{literal}'))"
        );
        crate::replicating::query(&self.from, &sql)
            .await
            .into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect()
    }
}
