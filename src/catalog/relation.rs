//! A relation as the catalogs describe it, with its replica identity.

use serde::Deserialize;

use crate::profile::TableName;

/// A table, a partitioned table, or something else that was chosen in its place.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the catalog on its own")]
pub struct Relation {
    /// Its object identifier.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `pg_class.relkind`: `r` table, `p` partitioned table, `v` view, `m` materialised view, `f` foreign table.
    pub kind: String,
    /// `pg_class.relpersistence`: `p` permanent, `u` unlogged, `t` temporary.
    pub persistence: String,
    /// Its owner.
    pub owner: String,
    /// The profile asks for it, by name or by schema.
    pub chosen: bool,
    /// It is a chosen relation or a partition of one.
    pub wanted: bool,
    /// It is a view or a foreign table in a chosen schema: not chosen, because replication can't hold it.
    pub beside: bool,
    /// The partitioned table that it is a partition of.
    pub parent: Option<u32>,
    /// The server's own verdict whether a publication may hold it (`pg_relation_is_publishable`).
    pub publishable: bool,
    /// Whether the replicating role may read it.
    pub select: bool,
    /// Row-level security applies to the replicating role.
    pub rls: bool,
    /// A policy lets the replicating role see all rows, and no restrictive policy narrows that.
    pub rls_open: bool,
    /// A restrictive policy narrows what the replicating role sees.
    pub rls_restricted: bool,
    /// Its changes are published by the profile's publication, under its own name or its root's.
    pub published: bool,
    /// It is listed in the profile's publication itself (or its schema is, or all tables are).
    pub member: bool,
    /// It has generated columns.
    pub generated: bool,
    /// The replicating role may read some of its columns, but not all.
    pub select_some: bool,
    /// The replicating role has its owner's rights.
    pub owned: bool,
    /// How its rows are stored, `heap` unless an extension stores them.
    pub access_method: Option<String>,
    /// The extension that it belongs to.
    pub extension: Option<String>,
    /// Tables that inherit from it and are no partitions.
    pub heirs: i64,
    /// Those of them that are not chosen.
    pub heirs_left_out: i64,
    /// Estimated bytes of values stored out of line.
    pub toast_bytes: i64,
    /// Its primary key has more than three columns, or one of a type that makes a poor key.
    pub odd_key: bool,
    /// Its replica identity.
    pub identity: Identity,
    /// Estimated rows; negative or `None` when never analysed.
    pub rows: Option<f64>,
    /// Estimated bytes on disk with indexes and TOAST, from `relpages`: reading the real size would wait for locks.
    pub bytes: i64,
}

/// How changed rows can be told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// `pg_class.relreplident`: `d` primary key, `i` an index, `f` the full row, `n` nothing.
    pub setting: String,
    /// The index that the server would use.
    pub index: Option<String>,
    /// The primary key's index.
    pub primary_key: Option<String>,
    /// The primary key can serve: it is valid and not deferrable.
    pub primary_key_usable: bool,
    /// Other indexes that could be the identity: unique, immediate, valid, whole table, only columns that are NOT NULL.
    pub candidates: Vec<String>,
}

impl Identity {
    /// Whether the server accepts UPDATE and DELETE once they are published.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.setting == "f" || self.index.is_some()
    }
}

impl Relation {
    /// Its name.
    #[must_use]
    pub fn table(&self) -> TableName {
        TableName::new(&self.schema, &self.name)
    }

    /// Whether it holds rows itself, so that its own replica identity counts.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.kind == "r"
    }

    /// Whether it is a partitioned table.
    #[must_use]
    pub fn is_partitioned(&self) -> bool {
        self.kind == "p"
    }

    /// What it is, in words.
    #[must_use]
    pub fn kind_name(&self) -> &'static str {
        match (self.kind.as_str(), self.persistence.as_str()) {
            ("r", "u") => "an unlogged table",
            ("r", "t") => "a temporary table",
            ("r", _) => "a table",
            ("p", _) => "a partitioned table",
            ("v", _) => "a view",
            ("m", _) => "a materialized view",
            ("f", _) => "a foreign table",
            _ => "not a table",
        }
    }
}
