//! What to replicate: a source, the method, the tables, and the names of publication and slot.

mod alert_values;
pub mod alerts;
pub mod configuration;
pub mod keyring;
pub mod password_command;
mod provider;
pub mod saved;
pub mod secrets;
mod setup;
pub mod store;
pub mod surroundings;
mod table;

use serde::{Deserialize, Serialize};

use crate::connection::Settings;
use alerts::Alerts;
pub use provider::Provider;
pub use setup::{Coverage, SetupChoices};
pub use table::{BadTableName, TableName, schema_name, split_list};

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Change data capture: the write-ahead log is read through a logical replication slot; deletes are seen.
    #[default]
    Cdc,
    /// Rows whose `xmin` is newer are read again; needs no slot, and sees no deletes.
    Xmin,
}

impl Method {
    /// The name as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cdc => "cdc",
            Self::Xmin => "xmin",
        }
    }
}

/// Which tables are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selection {
    /// Every table of these schemas; also those that are created later, where the publication can follow.
    Schemas(Vec<String>),
    /// Exactly these tables.
    Tables(Vec<TableName>),
}

impl Default for Selection {
    fn default() -> Self {
        Self::Schemas(vec!["public".to_owned()])
    }
}

/// One source and what is wanted from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The source, logging in as the role that will replicate.
    pub source: Settings,
    /// How changes are found.
    pub method: Method,
    /// Which tables.
    pub selection: Selection,
    /// The publication's name (any identifier).
    pub publication: String,
    /// The slot's name (`[a-z0-9_]`).
    pub slot: String,
    /// Whether existing rows are copied before changes are followed.
    pub initial_copy: bool,
    /// What the setup makes beyond what is missing.
    pub setup: SetupChoices,
    /// From when on something is worth a word.
    pub alerts: Alerts,
    /// Whose platform the source runs on, where the user knows better than what it looks like.
    pub provider: Option<Provider>,
}

impl Profile {
    /// The names that walpilot proposes for publication and slot.
    pub const DEFAULT_PUBLICATION: &'static str = "walpilot_publication";
    /// See [`Self::DEFAULT_PUBLICATION`].
    pub const DEFAULT_SLOT: &'static str = "walpilot_slot";

    /// A profile for `source` with walpilot's proposals for everything else.
    #[must_use]
    pub fn new(source: Settings) -> Self {
        Self {
            source,
            method: Method::default(),
            selection: Selection::default(),
            publication: Self::DEFAULT_PUBLICATION.to_owned(),
            slot: Self::DEFAULT_SLOT.to_owned(),
            initial_copy: true,
            setup: SetupChoices::default(),
            alerts: Alerts::default(),
            provider: None,
        }
    }
}
