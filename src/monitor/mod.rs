//! Watching: samples of a server, their history, and what is wrong.
//!
//! `Sampler -> Sample -> Watcher (history, events, diagnosis) -> Reading -> text, JSON or dashboard`. Only
//! [`sample`] with its helpers `ask` and `side`, [`count`] and [`act`] talk to servers, and [`memory`] to the disk;
//! everything else takes values and returns values, so that a recorded sample says the same as a live one.

pub mod act;
mod ask;
pub mod context;
pub mod count;
pub mod destination;
pub mod diagnosis;
pub mod events;
pub mod exposition;
pub mod files;
pub mod fleet;
pub mod history;
pub mod incident;
pub mod lsn_clock;
pub mod memory;
pub mod metrics;
pub mod moment;
pub mod pace;
pub mod publications;
pub mod reading;
pub mod recording;
pub mod report;
mod ring;
pub mod sample;
pub mod seen;
pub mod server;
mod side;
pub mod slot;
pub mod slot_history;
pub mod slot_past;
pub mod state;
pub mod subscription;
pub mod table;
mod thresholds;
pub mod units;
pub mod watcher;
mod wire;
pub mod xmin;

pub use moment::Moment;
pub use sample::{Sample, Sampler, Target};
pub use seen::Seen;
pub use watcher::Watcher;
pub use wire::WalStats;
