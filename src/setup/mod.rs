//! From facts to the SQL that mends them, and its application through an administrator's connection.

pub mod apply;
pub mod plan;
pub mod record;
pub mod rehearse;
pub mod script;
pub mod undo;

pub use plan::{Coverage, Person, Plan, PlanOptions, Step, Wishes, plan, plan_with};
