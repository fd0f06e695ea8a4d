//! What a setup makes beyond what is missing: choices that neither the source nor the other answers give.

use serde::{Deserialize, Serialize};

/// Choices for the setup script; walpilot's own are the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct SetupChoices {
    /// What a new publication covers.
    pub cover: Coverage,
    /// Changes of partitions are to arrive under the partitions' own names, not under the partitioned table's.
    pub leaf_names: bool,
    /// The slot is to be kept in step on standbys (PostgreSQL 17 and later).
    pub failover: bool,
    /// The role is to see other sessions and all settings (`pg_monitor`, which changes nothing).
    pub monitor: bool,
    /// The role is to be able to write a heartbeat.
    pub heartbeat: bool,
}

/// What a new publication covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// The chosen tables, one by one: their owners may create it.
    #[default]
    Tables,
    /// The chosen schemas with the tables that they will have (PostgreSQL 15 and later, superuser).
    Schemas,
    /// Every table of the database (superuser).
    All,
}

impl SetupChoices {
    /// Whether nothing was chosen.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
