//! What benchmarks share: sizes from the environment, medians, and lines that compare.
//!
//! A machine is never quiet, so absolute times mean little: each subject is measured in turns with its anchor, and what
//! is reported is the ratio of the medians.

#![allow(dead_code, unreachable_pub, reason = "each benchmark uses a part")]

use std::time::Duration;

/// How often each side is measured, unless `WALPILOT_BENCH_ROUNDS` says otherwise.
const ROUNDS: u64 = 3;

/// A number from the environment.
#[expect(clippy::disallowed_methods, reason = "sizes are chosen in the environment")]
pub fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => default,
    }
}

/// How often each side is measured.
pub fn rounds() -> u64 {
    number("WALPILOT_BENCH_ROUNDS", ROUNDS).max(1)
}

/// Whether the subject `name` is wanted: all are, unless the command line names some
/// (`cargo bench --bench replication -- copy`).
pub fn wanted(name: &str) -> bool {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

/// The median in seconds.
pub fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let middle = times.len() / 2;
    let at = |place: usize| times.get(place).copied().unwrap_or_default().as_secs_f64();
    if times.len() % 2 == 1 { at(middle) } else { (at(middle.saturating_sub(1)) + at(middle)) / 2.0 }
}

/// The value below which `share` of all lie.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Prints how many times as fast as the anchor walpilot is. `target` is the least that is wanted.
pub fn faster(what: &str, anchor: &str, theirs: &[Duration], ours: &[Duration], target: f64) {
    let (theirs, ours) = (median(theirs), median(ours));
    let ratio = theirs / ours;
    let verdict = if ratio >= target { "" } else { "  MISSED" };
    println!(
        "{what:<46} {anchor} {theirs:>7.2} s   walpilot {ours:>7.2} s   {ratio:>5.2} times as fast (wanted: {target}){verdict}"
    );
}

/// Prints a value with the most that is wanted.
pub fn at_most(what: &str, words: &str, value: f64, target: f64) {
    let verdict = if value <= target { "" } else { "  MISSED" };
    println!("{what:<46} {words}   {value:.2} (at most: {target}){verdict}");
}
