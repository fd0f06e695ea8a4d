//! `walpilot check` and the gathering of facts, against real servers.

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod catalogue;
mod check;
mod healthy;
mod rare;
mod servers;
mod trouble;
