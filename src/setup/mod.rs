//! From facts to the SQL that mends them, and its application through an administrator's connection.
//!
//! `plan` decides what is missing, `script` writes it down for psql, `parts` cuts it into one piece for each person, `files` writes those,
//! `rehearse` proves it in a transaction that is rolled back, `apply` runs it, `record` remembers what it changed and
//! `undo` plans the way back. `offline` writes a script without a look at the source.

pub mod apply;
mod condition;
pub mod files;
pub mod offline;
pub mod parts;
mod plan;
pub mod record;
pub mod rehearse;
pub mod script;
mod step;
pub mod undo;
mod wishes;

pub use plan::plan;
pub use step::{Form, Person, Plan, Step};
pub use wishes::{Definition, Password, Published, Wishes};
