//! The setup script: written, rehearsed, applied and undone on real servers.

#[path = "../support/mod.rs"]
mod support;

mod apply;
mod names;
mod offline;
mod people;
mod rehearse;
mod setting_up;
mod slot_order;
mod undo;
