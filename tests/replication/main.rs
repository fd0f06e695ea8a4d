//! `walpilot run` by CDC, and `walpilot verify`, on real servers.

#[path = "../replicating/mod.rs"]
mod replicating;
#[path = "../support/mod.rs"]
mod support;

mod backlog;
mod changes;
mod chaos;
mod ddl;
mod decoder;
mod ends;
mod gaps;
mod interrupt;
mod join;
mod options;
mod paths;
mod property;
mod sets;
mod trouble;
mod verify;
