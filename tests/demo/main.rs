//! The demo and its throwaway clusters.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod command;
mod harness;
mod situation;
