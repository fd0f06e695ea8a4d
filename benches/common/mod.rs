//! What every measurement needs: throwaway servers (the tests' harness), a clock, and one way to say a result.
//!
//! A measurement compares two things that do the same work, turn by turn on the same machine, so that a busy moment
//! hits both. One subject is one file in `benches/`, named in `Cargo.toml`; `make bench` runs them all.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each measurement uses a part of it")]
#![expect(
    clippy::print_stdout,
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    reason = "it measures, and prints"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "../../tests/support/mod.rs"]
pub mod support;

/// So many turns are measured, after one that only warms the caches.
const TURNS: usize = 5;

/// The times of two contenders that took turns.
pub struct Duel {
    pub ours: Vec<Duration>,
    pub theirs: Vec<Duration>,
}

/// Lets both run in turn.
pub fn duel(mut ours: impl FnMut(), mut theirs: impl FnMut()) -> Duel {
    let mut duel = Duel { ours: Vec::new(), theirs: Vec::new() };
    theirs();
    ours();
    for _ in 0..TURNS {
        duel.theirs.push(timed(&mut theirs));
        duel.ours.push(timed(&mut ours));
    }
    duel
}

fn timed(work: &mut impl FnMut()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

impl Duel {
    /// How many times as long ours takes, by the medians.
    pub fn ratio(&self) -> f64 {
        median(&self.ours).as_secs_f64() / median(&self.theirs).as_secs_f64()
    }

    /// Prints both medians and the ratio, and whether it keeps what is promised.
    pub fn report(&self, subject: &str, ours: &str, theirs: &str, at_most: f64) {
        let verdict = if self.ratio() <= at_most { "kept" } else { "NOT KEPT" };
        println!("{subject}");
        println!("  {ours:<32} {:>8.1} ms", millis(median(&self.ours)));
        println!("  {theirs:<32} {:>8.1} ms", millis(median(&self.theirs)));
        println!("  ratio {:.2}, promised at most {at_most}: {verdict}", self.ratio());
    }
}

/// The middle one; of an even number the lower.
pub fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) / 2]
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Runs a program to its end, its output read and thrown away.
#[track_caller]
pub fn run(command: &mut Command, codes: &[i32]) {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().expect("it starts");
    let code = output.status.code().unwrap_or(-1);
    assert!(codes.contains(&code), "exit code {code}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A runtime for what has to be prepared.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}
