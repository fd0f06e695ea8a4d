//! Writes the progress of a run into the destination, for whoever watches from elsewhere.
//!
//! On a session of its own, because the one that carries the rows is in a transaction most of the time. Nothing depends
//! on it: when it fails, the replication goes on and it tries again. Because it writes every few seconds and never waits
//! for a table of the user's, it is what notices that the destination has vanished ([`presence`]).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;
use tokio_util::task::AbortOnDropHandle;

use super::checkpoint;
use super::halt::Halt;
use super::patience::FAREWELL;
use super::presence::{self, UNANSWERED};
use super::progress::{Phase, Progress, TableProgress};
use super::rates::{Rates, TableRate};
use crate::catalog::ident::quote_literal;
use crate::connection::{self, SessionOptions, Settings};
use crate::profile::TableName;

const EVERY: Duration = Duration::from_secs(1);
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);
/// How often it is asked whether the server still has the session that carries the rows. One that has vanished without the
/// others is noticed by the server within a minute (`tcp_keepalives_idle`).
const OWNED_EVERY: Duration = Duration::from_secs(15);

/// The journal of one run, from its first attempt that reached both sides on.
#[derive(Default)]
pub(super) struct Journal {
    keeper: Option<AbortOnDropHandle<()>>,
    gone: Arc<Notify>,
}

impl Journal {
    /// Begins it, if it has not begun.
    pub(super) fn begin(&mut self, destination: &Settings, slot: &str, progress: &watch::Sender<Progress>) {
        self.keeper.get_or_insert_with(|| {
            let keep = keep(destination.clone(), slot.to_owned(), progress.subscribe(), Arc::clone(&self.gone));
            AbortOnDropHandle::new(tokio::spawn(keep))
        });
    }

    /// Waits until the destination has vanished, and says so.
    pub(super) fn gone(&self) -> impl Future<Output = Halt> + use<> {
        let gone = Arc::clone(&self.gone);
        async move {
            gone.notified().await;
            presence::gone()
        }
    }

    /// Ends it with the last state of the run; nothing is waited for long.
    pub(super) async fn end(self, destination: &Settings, slot: &str, progress: &Progress) {
        if self.keeper.is_some() {
            drop(self.keeper);
            let _ = timeout(FAREWELL, close(destination, slot, progress)).await;
        }
    }
}

/// Writes the latest progress about once a second until the future is dropped. Tells `gone` when the destination is not
/// there any more.
async fn keep(settings: Settings, slot: String, mut progress: watch::Receiver<Progress>, gone: Arc<Notify>) {
    let options =
        SessionOptions { application_name: "walpilot run progress".to_owned(), ..SessionOptions::administer() };
    let (mut rates, begun) = (Rates::default(), Instant::now());
    let (mut listed, mut asked) = (HashSet::new(), Instant::now());
    loop {
        if let Ok(session) = connection::connect(&settings, &options).await {
            loop {
                let latest = progress.borrow_and_update().clone();
                rates.look(&latest, begun.elapsed());
                let mut sql = statements(&slot, &latest, &rates, None);
                let tables: HashSet<TableName> = latest.tables.iter().map(|one| one.table.clone()).collect();
                if !tables.is_empty() && tables != listed {
                    sql.push_str(&forget_others(&slot, &tables));
                }
                let ask = asked.elapsed() >= OWNED_EVERY;
                if let Err(why) = write(&session.client, &sql, ask).await {
                    tracing::debug!("no progress is written: {why}");
                    break;
                }
                listed = tables;
                if ask {
                    asked = Instant::now();
                }
                sleep(EVERY).await;
                // A run with nothing to do still gives a sign of life: silence means that it is gone.
                if let Ok(Err(_)) = timeout(SIGN_OF_LIFE, progress.changed()).await {
                    return;
                }
            }
        }
        // An attempt that has only begun notices by itself whether it gets through.
        let underway = !matches!(progress.borrow().phase, Phase::Starting | Phase::Reconnecting);
        if underway && presence::is_gone(&settings).await {
            // Kept for the next attempt when none is under way: the session may have died in a pause.
            gone.notify_one();
        }
        sleep(EVERY * 5).await;
    }
}

/// Writes, and may `ask` whether the session that carries the rows is there. An error says what is wrong.
async fn write(client: &Client, sql: &str, ask: bool) -> Result<(), String> {
    let work = async {
        client.batch_execute(sql).await.map_err(|error| connection::describe(&error))?;
        if ask && !checkpoint::is_owned(client).await.map_err(|halt| halt.what())? {
            return Err("the session that carries the rows is gone".to_owned());
        }
        Ok(())
    };
    timeout(UNANSWERED, work).await.unwrap_or_else(|_| Err("the destination does not answer".to_owned()))
}

/// Writes the last state of a run that has ended.
async fn close(settings: &Settings, slot: &str, progress: &Progress) {
    if let Ok(session) = connection::connect(settings, &SessionOptions::administer()).await {
        let _ = session.client.batch_execute(&statements(slot, progress, &Rates::default(), Some("stopped"))).await;
    }
}

fn statements(slot: &str, progress: &Progress, rates: &Rates, phase: Option<&str>) -> String {
    let slot = quote_literal(slot);
    let phase = phase.unwrap_or(progress.phase.name());
    // It must not make the rows' commits wait for the disk: what a crash takes away is written anew.
    let mut sql = format!(
        "BEGIN; SET LOCAL synchronous_commit = off; {}",
        upsert("progress", "slot", RUN, &[run(&slot, progress, rates, phase)])
    );
    if !progress.tables.is_empty() {
        let rows: Vec<String> = progress.tables.iter().map(|one| table(&slot, one, rates.table(&one.table))).collect();
        sql.push_str(&upsert("table_progress", "slot, schema_name, table_name", TABLE, &rows));
    }
    sql.push_str(" COMMIT");
    sql
}

/// The statement that removes the tables that the run has no longer: they have left the publication.
fn forget_others(slot: &str, tables: &HashSet<TableName>) -> String {
    let named = |one: &TableName| format!("({}, {})", quote_literal(&one.schema), quote_literal(&one.name));
    let names: Vec<String> = tables.iter().map(named).collect();
    format!(
        "; DELETE FROM walpilot.table_progress WHERE slot = {} AND (schema_name, table_name) NOT IN ({})",
        quote_literal(slot),
        names.join(", ")
    )
}

/// The columns of `walpilot.progress` after its key.
const RUN: &[&str] = &[
    "phase",
    "transactions",
    "changes",
    "source_end",
    "lag_bytes",
    "lag_millis",
    "host",
    "pid",
    "rows_per_second",
    "changes_per_second",
    "eta_seconds",
    "updated_at",
];

/// Those of `walpilot.table_progress`.
const TABLE: &[&str] = &[
    "phase",
    "rows_copied",
    "bytes_copied",
    "rows_estimated",
    "inserts",
    "updates",
    "deletes",
    "truncates",
    "rows_per_second",
    "eta_seconds",
    "updated_at",
];

/// The statement that writes `rows`, whose values stand in the order of `key` and `columns`.
fn upsert(table: &str, key: &str, columns: &[&str], rows: &[String]) -> String {
    let set: Vec<String> = columns.iter().map(|column| format!("{column} = excluded.{column}")).collect();
    format!(
        "INSERT INTO walpilot.{table} ({key}, {}) VALUES {} ON CONFLICT ({key}) DO UPDATE SET {};",
        columns.join(", "),
        rows.join(", "),
        set.join(", ")
    )
}

fn run(slot: &str, progress: &Progress, rates: &Rates, phase: &str) -> String {
    format!(
        "({slot}, '{phase}', {}, {}, '{}', {}, {}, NULL, {}, {}, {}, {}, clock_timestamp())",
        progress.transactions,
        progress.changes,
        progress.source_end,
        progress.lag_bytes,
        progress.lag_millis,
        std::process::id(),
        rates.rows_per_second().round(),
        rates.changes_per_second().round(),
        or_null(rates.eta_seconds(progress)),
    )
}

fn table(slot: &str, table: &TableProgress, rate: Option<TableRate>) -> String {
    format!(
        "({slot}, {}, {}, '{}', {}, {}, {}, {}, {}, {}, {}, {}, {}, clock_timestamp())",
        quote_literal(&table.table.schema),
        quote_literal(&table.table.name),
        table.phase.name(),
        table.rows_copied,
        table.bytes_copied,
        or_null(table.rows_estimated),
        table.inserts,
        table.updates,
        table.deletes,
        table.truncates,
        or_null(rate.map(|rate| rate.rows_per_second.round())),
        or_null(rate.and_then(|rate| rate.eta_seconds)),
    )
}

fn or_null(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |value| value.to_string())
}
