//! Reaching a PostgreSQL server: what to connect to ([`Settings`]), how ([`attempt`]), and why it failed ([`Failure`]).
//!
//! This room imports nothing of walpilot's. Everything above reaches a server through [`attempt::connect`] (queries)
//! or [`attempt::connect_replication`] (the walsender protocol), so both take the same decisions about encryption.

pub mod attempt;
pub mod cause;
pub mod class;
pub mod hosts;
pub mod inputs;
pub mod keyword;
pub mod login;
pub mod parameters;
pub mod passfile;
pub mod secret;
pub mod service;
pub mod settings;
mod ssh_cause;
pub mod stream;
pub mod tunnel;
pub mod untrusted;
pub mod uri;

pub use attempt::{Security, Session, connect};
pub use cause::{Class, Failure};
pub use cause::{ServerError, describe};
pub use secret::Secret;
pub use settings::{SessionOptions, Settings, SslMode};
pub use untrusted::printable;
