//! Looks now and then whether tables have been added to the publication, or have left it.
//!
//! The stream tells of a table when it changes. One that nobody writes would wait for its copy until the next start, and
//! of one that has left there is nothing to tell.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_postgres::Client;

use super::handover::Word;
use super::progress::Teller;
use super::source;
use crate::connection::{self, SessionOptions};
use crate::profile::{Profile, TableName};

/// Each look is a connection of its own, so that none stays open for it.
const EVERY: Duration = Duration::from_secs(15);

/// Looks until a wanted table is published that is not in `known`, or one of `known` is published no longer, tells the
/// stream, and ends. Nothing depends on it: what fails is tried again.
pub(super) async fn look(
    profile: Profile,
    version: i32,
    known: HashSet<TableName>,
    words: mpsc::Sender<Word>,
    tell: Teller,
) {
    let mut seen = HashSet::new();
    loop {
        sleep(EVERY).await;
        let options = SessionOptions { application_name: "walpilot run".to_owned(), ..SessionOptions::inspect() };
        let Ok(session) = connection::connect(&profile.source, &options).await else { continue };
        let Some(names) = published(&session.client, &profile.publication).await else { continue };
        // Without any table there is nothing to go on with; the stream tells if the publication itself is gone.
        if !names.is_empty() && !known.is_subset(&names) {
            let _ = words.send(Word::Published).await;
            return;
        }
        if names.is_subset(&seen) {
            continue;
        }
        // Which of them are wanted takes a closer look.
        let found = source::tables(&session.client, version, &profile.publication, &profile.selection).await;
        let Ok(found) = found else { continue };
        let new: Vec<TableName> =
            found.into_iter().map(|table| table.name).filter(|name| !known.contains(name)).collect();
        for name in &new {
            tell.note(format!("Table {name} is new in the publication; its rows are copied now."));
        }
        if !new.is_empty() {
            // The stream that has ended by now has a successor that finds the table by itself.
            let _ = words.send(Word::Published).await;
            return;
        }
        seen = names;
    }
}

async fn published(client: &Client, publication: &str) -> Option<HashSet<TableName>> {
    let sql = "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = $1::text";
    let rows = client.query(sql, &[&publication]).await.ok()?;
    Some(rows.iter().map(|row| TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))).collect())
}
