//! Reaching a PostgreSQL server: what to connect to ([`Settings`]), how ([`attempt`]), what protects the connection
//! ([`Security`]), and why it failed ([`Failure`]).
//!
//! This room imports nothing of walpilot's. Everything above reaches a server through [`attempt::connect`] (queries)
//! or [`attempt::connect_replication`] (the walsender protocol), so both take the same decisions about encryption.

pub mod askpass;
pub mod attempt;
mod backend_key;
pub mod cause;
pub mod certificate;
pub mod class;
mod dial;
pub mod hosts;
pub mod identity;
pub mod inputs;
pub mod keyword;
pub mod login;
mod names;
pub mod parameters;
pub mod passfile;
mod process_group;
pub mod provider;
pub mod secret;
pub mod security;
mod server_cause;
pub mod server_error;
pub mod service;
pub mod session;
pub mod settings;
mod silence;
mod sniffer;
mod ssh_cause;
pub mod stream;
pub mod tls;
mod tls_cause;
pub mod tunnel;
pub mod untrusted;
pub mod uri;

pub use attempt::connect;
pub use cause::Failure;
pub use certificate::Certificate;
pub use class::Class;
pub use secret::Secret;
pub use security::Security;
pub use server_error::{ServerError, describe};
pub use session::Session;
pub(crate) use session::session_sql;
pub use settings::{SessionOptions, Settings, SslMode};
pub(crate) use silence::server_asks;
pub use untrusted::{printable, printable_json};
