//! The publications of the source's database, and what is wrong with them: read every minute.

use serde::{Deserialize, Serialize};

use super::context::nothing_is_empty;
use super::moment::Moment;
use crate::profile::TableName;

/// All publications of the database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Publications {
    /// When they were read, on the source's clock.
    pub at: Moment,
    /// The next transaction id then: `next_xid - age` is the transaction that wrote a row.
    pub next_xid: u64,
    /// The publications, by name.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub publications: Vec<Publication>,
    /// Logical slots of this database and the age of their `catalog_xmin`, of the same moment.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub slots: Vec<SlotAge>,
    /// Tables that were added to a publication after the oldest slot's position, at the most a hundred.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub added: Vec<Added>,
    /// Tables whose updates or deletes fail because nothing identifies their rows, at the most fifty.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub gaps: Vec<Gap>,
    /// How many such tables there are.
    pub gap_count: u64,
}

/// One publication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// FOR ALL TABLES.
    pub all_tables: bool,
    /// Whether INSERT is published.
    pub inserts: bool,
    /// Whether UPDATE is published.
    pub updates: bool,
    /// Whether DELETE is published.
    pub deletes: bool,
    /// Whether TRUNCATE is published.
    pub truncates: bool,
    /// How many transactions ago its row was written.
    pub age: i64,
    /// How many tables `pg_publication_tables` lists; `None` in recordings of before this was read.
    #[serde(default)]
    pub tables: Option<u64>,
}

/// A slot and the age of its `catalog_xmin`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotAge {
    /// The slot.
    pub name: String,
    /// In transactions.
    pub age: i64,
}

/// A table's entry in a publication.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The publication.
    pub publication: String,
    /// The table's schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// How many transactions ago it was added.
    pub age: i64,
}

/// A table that refuses updates or deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// A publication that publishes them.
    pub publication: String,
    /// The table's schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// Whether updates are published.
    pub updates: bool,
    /// Whether deletes are published.
    pub deletes: bool,
    /// `pg_class.relreplident`.
    pub identity: String,
}

impl Gap {
    /// The table.
    #[must_use]
    pub fn name(&self) -> TableName {
        TableName::new(self.schema.clone(), self.table.clone())
    }
}

impl Publications {
    /// The transaction that wrote a row of this age.
    #[must_use]
    pub fn transaction(&self, age: i64) -> u64 {
        self.next_xid.saturating_add_signed(-age)
    }

    /// The transactions that wrote the publications, and the entries of tables younger than the oldest slot.
    pub fn transactions(&self) -> impl Iterator<Item = u64> {
        let publications = self.publications.iter().map(|publication| publication.age);
        publications.chain(self.added.iter().map(|added| added.age)).map(|age| self.transaction(age))
    }

    /// The publication called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Publication> {
        self.publications.iter().find(|publication| publication.name == name)
    }

    /// The age of a slot's `catalog_xmin`, if the slot is one of this database.
    #[must_use]
    pub fn slot_age(&self, slot: &str) -> Option<i64> {
        self.slots.iter().find(|known| known.name == slot).map(|known| known.age)
    }
}
