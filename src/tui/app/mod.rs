//! What is on the screen, and what a message does to it: pure state. No clock, no input, no output, no drawing.
//!
//! Each screen has its data in a file here and what keys do to it in `update/`. [`update()`] is total: every message in
//! every state gives a next state and a list of effects, and never fails.

pub mod action;
pub mod choices;
pub mod connection;
pub mod dashboard;
pub mod destination;
pub mod dialog;
pub mod encryption;
pub mod field;
pub mod fleet;
pub mod form;
pub mod fuzzy;
pub mod job;
pub mod menu;
pub mod message;
mod own_run;
pub mod palette;
pub mod preflight;
pub mod run;
pub mod script;
pub mod state;
pub mod step;
pub mod tables;
pub mod tls_fields;
pub mod update;
pub mod validate;
pub mod zones;

pub use state::{App, Prefill};
pub use update::update;
