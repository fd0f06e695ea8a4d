//! `walpilot run --method xmin` on real servers.

#[path = "../replicating/mod.rs"]
mod replicating;
#[path = "../support/mod.rs"]
mod support;

mod history;
mod kinds;
mod open;
mod reconcile;
mod resume;
mod rows;

use replicating::{Pair, execute};
use support::program::{Outcome, Walpilot};
use walpilot::connection::Settings;

/// Two servers with PostgreSQL's own defaults: this method needs neither a publication nor `wal_level = logical`.
async fn pair(schema: &str) -> Pair {
    let pair = Pair { source: support::destination().await, destination: support::destination().await };
    execute(&pair.from(), schema).await;
    pair
}

/// `walpilot run` between any two databases.
fn between(from: &Settings, to: &Settings, more: &[&str]) -> Walpilot {
    replicating::between(from, to, &[&["--method", "xmin"], more].concat())
}

/// Another database of the same server, made empty.
async fn database(of: &Settings, name: &str) -> Settings {
    execute(of, &format!("CREATE DATABASE {name}")).await;
    Settings { database: name.to_owned(), ..of.clone() }
}

/// One whole pass, with further arguments.
async fn pass(pair: &Pair, more: &[&str]) -> Outcome {
    let mut args = vec!["--method", "xmin", "--once"];
    args.extend(more);
    pair.command(&args).run().await.expect_code(0)
}

/// A pass that must be refused; returns the sentence.
async fn refusal(pair: &Pair, more: &[&str]) -> String {
    let mut args = vec!["--method", "xmin", "--once"];
    args.extend(more);
    let outcome = pair.command(&args).run().await.expect_code(4);
    assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "one sentence: {}", outcome.stderr);
    outcome.stderr
}
