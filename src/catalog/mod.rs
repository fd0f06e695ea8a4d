//! What a server says about itself: positions, names, and the facts that the checks judge.

pub mod cluster;
pub mod columns;
pub mod ddl;
pub mod deep;
pub mod definition;
pub mod destination;
pub mod facts;
pub mod gather;
pub mod ident;
pub mod lsn;
mod order;
pub mod precedence;
pub mod probe;
mod queries;
pub mod relation;
pub mod slot_name;

pub use facts::{Facts, Seen};
pub use lsn::Lsn;
