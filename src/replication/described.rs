//! The tables that the stream has described, each joined to its table at the destination as it was at this point.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Client;

use super::destination;
use super::halt::Halt;
use super::look::{Looked, Published};
use super::pgoutput::Relation;
use super::relation::Target;
use super::scope::{Elsewhere, InScope, Scope};
use super::types;
use crate::catalog::Lsn;
use crate::profile::TableName;

enum Known {
    Here {
        target: Arc<Target>,
        from: Lsn,
        place: usize,
    },
    /// Described, but not among the tables of the run. That alone says nothing: with publish_via_partition_root the
    /// partitions are described as well, although their changes come under the root's name.
    Unknown(TableName),
    /// Somebody else applies its changes; should that end, this is what it looks like.
    Elsewhere(Box<Relation>),
    Ignored,
}

/// What is to be done with a change.
pub(super) enum Verdict {
    /// With the table's place in the progress.
    Apply(Arc<Target>, usize),
    Skip,
}

/// What the source says about a table that is not among those of the run.
pub(super) enum Asked {
    /// It is among them.
    Known,
    /// From now on its changes are left out.
    Ignored(TableName),
    /// It has to be copied first.
    NewTable(TableName),
}

/// What became of a description.
pub(super) enum Description {
    Known,
    /// The table has to be copied first.
    NewTable,
    /// The destination lacks a column.
    NewColumn {
        table: TableName,
        /// The transaction that brings it.
        commit: Lsn,
        /// The source's catalog has it still.
        published: bool,
        /// The sentence for a column that can't be followed.
        missing: Halt,
    },
}

/// What is known of the stream's tables.
pub(super) struct Described<'a> {
    client: &'a Client,
    scope: Scope,
    looked: Option<Looked>,
    relations: HashMap<u32, Known>,
    version: u64,
}

impl<'a> Described<'a> {
    /// `client` is the session that applies; it must be at rest when a table is described.
    pub(super) fn new(client: &'a Client, scope: Scope) -> Self {
        Self { client, scope, looked: None, relations: HashMap::new(), version: 0 }
    }

    /// Whether a change of the transaction at `commit` is to be applied: not when the checkpoint (`applied`) or the
    /// table's copy holds it. `None` when the source has to be asked first.
    ///
    /// # Errors
    /// When the table was not described.
    pub(super) fn verdict(&self, relation: u32, commit: Lsn, applied: bool) -> Result<Option<Verdict>, Halt> {
        Ok(Some(match self.relations.get(&relation) {
            None => {
                return Err(Halt::refused(
                    "The source sent a change of a table that it has not described. Please report this.",
                ));
            }
            _ if applied => Verdict::Skip,
            Some(Known::Ignored | Known::Elsewhere(_)) => Verdict::Skip,
            Some(Known::Here { from, .. }) if commit < *from => Verdict::Skip,
            Some(Known::Here { target, place, .. }) => Verdict::Apply(Arc::clone(target), *place),
            Some(Known::Unknown(_)) => return Ok(None),
        }))
    }

    /// Asks the source about a table that is not among those of the run.
    ///
    /// # Errors
    /// When the source can't be asked.
    pub(super) async fn ask(&mut self, relation: u32, commit: Lsn) -> Result<Asked, Halt> {
        let Some(Known::Unknown(name)) = self.relations.get(&relation) else { return Ok(Asked::Known) };
        let name = name.clone();
        if self.published(commit, &name).await?.is_some() {
            return Ok(Asked::NewTable(name));
        }
        self.relations.insert(relation, Known::Ignored);
        Ok(Asked::Ignored(name))
    }

    /// Takes a table as it is from now on, in the transaction at `commit`.
    ///
    /// # Errors
    /// When the destination's table is gone or can't take the rows.
    pub(super) async fn describe(&mut self, relation: &Relation, commit: Lsn) -> Result<Description, Halt> {
        let name = TableName::new(relation.schema.as_str(), relation.name.as_str());
        let known = match self.scope.tables.get(&name).cloned() {
            None if self.scope.is_elsewhere(&name) => Known::Elsewhere(Box::new(relation.clone())),
            None => Known::Unknown(name),
            Some(InScope { from, place, membership }) => {
                let published = self.published(commit, &name).await?;
                if published.as_ref().is_some_and(|now| !now.membership.lasted(&membership)) {
                    return Ok(Description::NewTable);
                }
                let Some(there) = destination::describe(self.client, &name).await? else {
                    return Err(Halt::refused(format!(
                        "Table {name} is gone from the destination. Start with --copy-again to create and copy \
                         everything anew."
                    )));
                };
                // A table is described again after every change of its catalog entry, an ANALYZE for example.
                let again = match self.relations.get(&relation.id) {
                    Some(Known::Here { target, .. }) => Some(Arc::clone(target)),
                    _ => None,
                };
                let joined = Target::join(relation, &there, again.as_ref().map_or(0, |target| target.version));
                let lacks = |name: &String| !there.columns.iter().any(|other| other.name == *name);
                let mut joined =
                    match (joined, relation.columns.iter().map(|column| &column.name).find(|name| lacks(name))) {
                        (Err(missing), Some(new)) => {
                            let published = published.is_some_and(|now| now.columns.contains(new));
                            return Ok(Description::NewColumn { table: name, commit, published, missing });
                        }
                        (joined, _) => joined?,
                    };
                joined.retype = types::fit(self.client, relation, &there).await?;
                let target = match again {
                    Some(before) if *before == joined => before,
                    _ => {
                        self.version += 1;
                        joined.version = self.version;
                        Arc::new(joined)
                    }
                };
                Known::Here { target, from, place }
            }
        };
        self.relations.insert(relation.id, known);
        Ok(Description::Known)
    }

    /// Takes a table from somebody else. What was described of it meanwhile is not described again by the stream: it
    /// is to be described from what is returned.
    pub(super) fn take(&mut self, name: &TableName, place: InScope) -> Vec<Relation> {
        // The catalog may have been looked at before the table was published.
        self.looked = None;
        self.scope.tables.insert(name.clone(), place);
        if let Elsewhere::Joining(names) = &mut self.scope.elsewhere {
            names.remove(name);
        }
        let described = self.relations.values().filter_map(|known| match known {
            Known::Elsewhere(relation) if name.schema == relation.schema && name.name == relation.name => {
                Some(Relation::clone(relation))
            }
            _ => None,
        });
        described.collect()
    }

    /// What is published of a table at the commit at `commit` or later, if it is published and wanted.
    async fn published(&mut self, commit: Lsn, name: &TableName) -> Result<Option<Published>, Halt> {
        let looked = match self.looked.take() {
            // The catalog is asked once about everything that had committed by then.
            Some(looked) if commit < looked.at => looked,
            _ => (self.scope.look)().await?,
        };
        Ok(self.looked.insert(looked).tables.get(name).cloned())
    }
}
