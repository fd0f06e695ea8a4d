//! What the source publishes at this moment, asked for while the stream runs: the catalog is ahead of the stream, and
//! only both together tell what a relation message means.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use super::halt::{self, Halt, Side};
use super::membership::Membership;
use super::source;
use crate::catalog::Lsn;
use crate::connection::{self, SessionOptions};
use crate::profile::{Profile, TableName};

/// A published table.
#[derive(Clone, Debug)]
pub(super) struct Published {
    /// The names of its published columns.
    pub(super) columns: Vec<String>,
    /// As what it is published.
    pub(super) membership: Membership,
}

/// What was published.
pub(super) struct Looked {
    /// The source's log reached this far before the catalog was read: what committed before is in it.
    pub(super) at: Lsn,
    /// The tables of the publication that are wanted.
    pub(super) tables: HashMap<TableName, Published>,
}

/// Asks the source.
pub(super) type Look = Box<dyn Fn() -> BoxFuture<'static, Result<Looked, Halt>> + Send>;

/// A standby decodes what it has replayed (from PostgreSQL 16).
const END: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                   ELSE pg_current_wal_flush_lsn() END)::text";

/// How to ask.
pub(super) fn at(profile: &Profile, version: i32) -> Look {
    let profile = profile.clone();
    Box::new(move || {
        let profile = profile.clone();
        Box::pin(async move {
            let session = connection::connect(&profile.source, &SessionOptions::inspect())
                .await
                .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
            let row = session.client.query_one(END, &[]).await;
            let row = row.map_err(|error| halt::query(Side::Source, "asking how far its log reaches", &error))?;
            let at = row.get::<_, Option<&str>>(0).and_then(|text| text.parse().ok()).unwrap_or_default();
            let found = source::tables(&session.client, version, &profile.publication, &profile.selection).await?;
            let tables = found.into_iter().map(|table| {
                let columns = table.columns.into_iter().filter(|column| column.published).map(|column| column.name);
                (table.name, Published { columns: columns.collect(), membership: table.membership })
            });
            Ok(Looked { at, tables: tables.collect() })
        })
    })
}
