//! What a user may wish beyond what is missing.

pub use crate::catalog::definition::{Definition, Published};
use crate::connection::Secret;

/// Choices that the facts can't answer.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// The password of the role, if it has to be created.
    pub password: Password,
    /// The role is to see other sessions (`pg_monitor`, which changes nothing).
    pub monitor: bool,
    /// The slot is to be kept in step on standbys (PostgreSQL 17 and later).
    pub failover: bool,
    /// The role is to be able to write a heartbeat.
    pub heartbeat: bool,
    /// What a new publication covers.
    pub coverage: Coverage,
    /// Changes of partitions are to arrive under the partitions' own names.
    pub leaf_names: bool,
    /// Also what is done already; the publication as it is defined now.
    pub all: Option<Definition>,
}

/// How a new role gets its password.
#[derive(Clone, Debug, Default)]
pub enum Password {
    /// Not by the script; a note says how.
    #[default]
    Later,
    /// By a SCRAM-SHA-256 verifier of this password.
    Verifier(Secret),
    /// psql asks for it, or takes it from its variable `walpilot_password`.
    Asked,
}

impl Password {
    /// The password as a verifier, if there is one.
    #[must_use]
    pub fn of(password: Option<&Secret>) -> Self {
        match password.filter(|password| !password.is_empty()) {
            Some(password) => Self::Verifier(password.clone()),
            None => Self::Later,
        }
    }
}

/// What a new publication covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// The chosen tables, one by one: their owners may create it.
    #[default]
    Listed,
    /// The chosen schemas with the tables that they will have (PostgreSQL 15 and later, superuser).
    Schemas,
    /// Every table of the database (superuser).
    All,
}
