//! Connecting as a user does it: what comes in as strings, variables and files, and what servers, tunnels and listeners do
//! with it.

#[path = "../support/mod.rs"]
mod support;

mod connection;
mod conninfo;
mod fakes;
mod forms;
mod hosts;
mod inputs;
mod keyring;
mod report;
mod tls_table;
mod tls_threats;
mod tunnel;
