//! walpilot gets a PostgreSQL database ready for replication, runs the replication, and watches it.
//!
//! The rooms carry the names of what the user does, in the order in which the user does it. A room imports only
//! rooms that stand below it in this list; `tests/architecture.rs` holds them to that and names the files that may
//! do input and output. All other files are pure: values in, values out, time included.
//!
//! - [`cli`]: the command line, one file for each subcommand.
//! - [`tui`]: the wizard and the dashboard in a terminal.
//! - [`demo`]: throwaway PostgreSQL clusters with a write workload.
//! - [`replication`]: change data capture into a destination PostgreSQL.
//! - [`monitor`]: samples of a running replication, their history, and what is wrong.
//! - [`setup`]: from findings to the SQL that mends them, and its application.
//! - [`preflight`]: from facts to findings.
//! - [`catalog`]: what a server says about itself.
//! - [`profile`]: what to replicate: source, method, tables, publication and slot.
//! - [`connection`]: reaching a server, and saying why when that fails.

pub mod catalog;
pub mod cli;
pub mod connection;
pub mod demo;
pub mod monitor;
pub mod preflight;
pub mod profile;
pub mod replication;
pub mod setup;
pub mod tui;
