//! From facts to the SQL that mends them, and its application through an administrator's connection.

pub mod apply;
pub mod plan;
pub mod script;

pub use plan::{Plan, PlanOptions, Step, plan};
