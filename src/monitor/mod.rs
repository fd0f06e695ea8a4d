//! Watching: samples of a server, their history, and what is wrong.
//!
//! `Sampler -> Sample -> Watcher (history, events, diagnosis) -> Reading -> text, JSON or dashboard`. Only
//! [`sample`] talks to a server; everything else takes values and returns values, so that a recorded sample says the
//! same as a live one.

pub mod destination;
pub mod moment;
pub mod sample;
pub mod server;
pub mod slot;
pub mod table;
pub mod units;
mod wire;

pub use moment::Moment;
pub use sample::{Sample, Sampler, Target};
