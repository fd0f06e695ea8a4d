//! The wizard in a real terminal, against real servers.

#[path = "../support/mod.rs"]
mod support;

mod encryption_step;
mod ssh;
mod terminal;
mod trouble;
mod way;
