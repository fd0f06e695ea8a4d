//! Watching real servers: samples, diagnosis, metrics and recordings.

#[path = "../support/mod.rs"]
mod support;

mod diagnosis;
mod limits;
mod metrics;
mod rare;
mod recording;
mod sampling;
mod watch;
mod watching;
