//! What a server says about itself: positions, names, and the facts that the checks judge.

pub mod facts;
pub mod gather;
pub mod ident;
pub mod lsn;

pub use facts::Facts;
pub use lsn::Lsn;
