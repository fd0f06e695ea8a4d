//! Writes the progress of a run into the destination, for whoever watches from elsewhere.
//!
//! On a session of its own, because the one that carries the rows is in a transaction most of the time. Nothing depends
//! on it: when it fails, the replication goes on and it tries again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::progress::Progress;
use crate::catalog::ident::quote_literal;
use crate::connection::{self, SessionOptions, Settings};

const EVERY: Duration = Duration::from_secs(1);
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// Writes the latest progress about once a second until the future is dropped.
pub(super) async fn keep(settings: Settings, slot: String, mut progress: watch::Receiver<Progress>) {
    let options =
        SessionOptions { application_name: "walpilot run progress".to_owned(), ..SessionOptions::administer() };
    loop {
        if let Ok(session) = connection::connect(&settings, &options).await {
            loop {
                let sql = statements(&slot, &progress.borrow_and_update(), None);
                if let Err(error) = session.client.batch_execute(&sql).await {
                    tracing::debug!(error = connection::describe(&error), "progress was not written");
                    break;
                }
                sleep(EVERY).await;
                // A run with nothing to do still gives a sign of life: silence means that it is gone.
                if let Ok(Err(_)) = timeout(SIGN_OF_LIFE, progress.changed()).await {
                    return;
                }
            }
        }
        sleep(EVERY * 5).await;
    }
}

/// Writes the last state of a run that has ended.
pub(super) async fn close(settings: &Settings, slot: &str, progress: &Progress) {
    if let Ok(session) = connection::connect(settings, &SessionOptions::administer()).await {
        let _ = session.client.batch_execute(&statements(slot, progress, Some("stopped"))).await;
    }
}

fn statements(slot: &str, progress: &Progress, phase: Option<&str>) -> String {
    let slot = quote_literal(slot);
    let phase = phase.unwrap_or(progress.phase.name());
    let mut sql = format!(
        "BEGIN; INSERT INTO walpilot.progress VALUES ({slot}, '{phase}', {}, {}, '{}', {}, {}, NULL, {}, \
         clock_timestamp()) ON CONFLICT (slot) DO UPDATE SET phase = excluded.phase, transactions = excluded.transactions, \
         changes = excluded.changes, source_end = excluded.source_end, lag_bytes = excluded.lag_bytes, \
         lag_millis = excluded.lag_millis, host = excluded.host, pid = excluded.pid, updated_at = excluded.updated_at;",
        progress.transactions,
        progress.changes,
        progress.source_end,
        progress.lag_bytes,
        progress.lag_millis,
        std::process::id(),
    );
    if !progress.tables.is_empty() {
        let rows: Vec<String> = progress
            .tables
            .iter()
            .map(|table| {
                let phase = table.phase.name();
                let estimated = table.rows_estimated.map_or_else(|| "NULL".to_owned(), |rows| rows.to_string());
                format!(
                    "({slot}, {}, {}, '{phase}', {}, {}, {estimated}, {}, {}, {}, {}, clock_timestamp())",
                    quote_literal(&table.table.schema),
                    quote_literal(&table.table.name),
                    table.rows_copied,
                    table.bytes_copied,
                    table.inserts,
                    table.updates,
                    table.deletes,
                    table.truncates
                )
            })
            .collect();
        sql.push_str(&format!(
            "INSERT INTO walpilot.table_progress VALUES {} ON CONFLICT (slot, schema_name, table_name) DO UPDATE SET \
             phase = excluded.phase, rows_copied = excluded.rows_copied, bytes_copied = excluded.bytes_copied, \
             rows_estimated = excluded.rows_estimated, inserts = excluded.inserts, updates = excluded.updates, \
             deletes = excluded.deletes, truncates = excluded.truncates, updated_at = excluded.updated_at;",
            rows.join(", ")
        ));
    }
    sql.push_str(" COMMIT");
    sql
}
