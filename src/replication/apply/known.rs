//! What is known of the relations of a stream, and what it says about their changes.

use std::sync::Arc;

use super::{Applier, Ended, Then};
use crate::catalog::Lsn;
use crate::profile::TableName;
use crate::replication::destination;
use crate::replication::halt::Halt;
use crate::replication::look::Published;
use crate::replication::pgoutput::Relation;
use crate::replication::relation::Target;
use crate::replication::scope::InScope;
use crate::replication::types;

pub(super) enum Known {
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
    Apply(Arc<Target>, usize),
    Skip,
    /// Its table has to be copied first.
    NewTable,
}

impl Applier<'_> {
    /// Whether a change is to be applied: not when the checkpoint or the table's copy holds it.
    pub(super) async fn verdict(&mut self, relation: u32) -> Result<Verdict, Halt> {
        let Some(commit) = self.reading else {
            return Err(Halt::refused("The source sent a change outside a transaction. Please report this."));
        };
        let name = match self.relations.get(&relation) {
            None => {
                return Err(Halt::refused(
                    "The source sent a change of a table that it has not described. Please report this.",
                ));
            }
            _ if commit < self.checkpoint => return Ok(Verdict::Skip),
            Some(Known::Ignored | Known::Elsewhere(_)) => return Ok(Verdict::Skip),
            Some(Known::Here { from, .. }) if commit < *from => return Ok(Verdict::Skip),
            Some(Known::Here { target, place, .. }) => return Ok(Verdict::Apply(Arc::clone(target), *place)),
            Some(Known::Unknown(name)) => name.clone(),
        };
        if self.published(commit, &name).await?.is_some() {
            self.tell.note(format!("Table {name} is new in the publication; its rows are copied now."));
            return Ok(Verdict::NewTable);
        }
        self.tell_once(&name, "ignored", |name| {
            format!("Changes of table {name} are left out: it is not among the chosen tables of the publication.")
        });
        self.relations.insert(relation, Known::Ignored);
        Ok(Verdict::Skip)
    }

    pub(super) async fn relation(&mut self, relation: &Relation) -> Result<Then, Halt> {
        let name = TableName::new(relation.schema.as_str(), relation.name.as_str());
        let known = match self.scope.tables.get(&name).cloned() {
            None if self.scope.is_elsewhere(&name) => Known::Elsewhere(Box::new(relation.clone())),
            None => Known::Unknown(name),
            Some(InScope { from, place, membership }) => {
                let commit = self.reading.unwrap_or_default();
                let published = self.published(commit, &name).await?;
                if published.as_ref().is_some_and(|now| !now.membership.lasted(&membership)) {
                    return Ok(Some(Ended::NewTable));
                }
                let Some(there) = destination::describe(self.client, &name).await? else {
                    return Err(Halt::refused(format!(
                        "Table {name} is gone from the destination. Start with --copy-again to create and copy \
                         everything anew."
                    )));
                };
                let lacks = |name: &String| !there.columns.iter().any(|other| other.name == *name);
                if let Some(new) = relation.columns.iter().map(|column| &column.name).find(|name| lacks(name)) {
                    // Whatever becomes of it, what committed before must not be held up by it.
                    if self.uncommitted.is_some() {
                        return Ok(Some(Ended::CommitBefore(commit)));
                    }
                    if published.is_some_and(|now| now.columns.contains(new)) {
                        return Ok(Some(Ended::NewColumn(name)));
                    }
                }
                // A table is described again after every change of its catalog entry, an ANALYZE for example.
                let again = match self.relations.get(&relation.id) {
                    Some(Known::Here { target, .. }) => Some(Arc::clone(target)),
                    _ => None,
                };
                let mut joined = Target::join(relation, &there, again.as_ref().map_or(0, |target| target.version))?;
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
        Ok(None)
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
