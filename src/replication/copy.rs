//! The initial copy: each table in one destination transaction, all of them read in one snapshot of the source, several
//! at the same time.
//!
//! A table is either copied as a whole, with its position recorded in the same transaction, or not at all; a run that
//! starts again after a crash copies only what is missing, in a new snapshot.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::watch;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::checkpoint::{self, TableState};
use super::destination::{self, DestinationTable};
use super::formats;
use super::halt::{self, Halt, Side};
use super::progress::{Progress, TablePhase, Teller};
use super::slot::Snapshot;
use super::source::SourceTable;
use super::steady;
use crate::catalog::Lsn;
use crate::catalog::ident::{quote_ident, quote_literal, quote_table};
use crate::connection::{self, Session, SessionOptions, Settings};

/// Rows are handed on in pieces of this size.
const PIECE: usize = 64 * 1024;
/// Progress is told after this many bytes.
const TOLD_BYTES: u64 = 1024 * 1024;

/// A session of the source that sees the rows as they were at one position.
pub(super) struct SnapshotSession {
    session: Session,
    at: Lsn,
}

impl SnapshotSession {
    /// Imports `snapshot`, which is of no more use after all sessions have done so.
    pub(super) async fn open(settings: &Settings, snapshot: &Snapshot) -> Result<Self, Halt> {
        let options = SessionOptions { read_only: true, ..SessionOptions::replicate() };
        let session = connection::connect(settings, &options)
            .await
            .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
        // A policy that hides rows from this role must be an error, not a silent gap. What queries comes before the
        // transaction that takes the snapshot, and apart from it.
        let set = format!("SET row_security = off; {}; {}", formats::SESSION, formats::NO_LIMITS);
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            quote_literal(&snapshot.name)
        );
        for sql in [set, begin] {
            session
                .client
                .batch_execute(&sql)
                .await
                .map_err(|error| halt::query(Side::Source, "reading in the copy's snapshot", &error))?;
        }
        Ok(Self { session, at: snapshot.at })
    }
}

/// What a copy needs beside the table.
pub(super) struct Copy<'a> {
    pub(super) source: &'a SnapshotSession,
    pub(super) destination: &'a Client,
    pub(super) slot: &'a str,
    pub(super) progress: &'a watch::Sender<Progress>,
    pub(super) tell: &'a Teller,
    pub(super) stop: &'a CancellationToken,
}

impl Copy<'_> {
    /// Copies one table; `place` is its place in the progress.
    pub(super) async fn table(
        &self,
        table: &SourceTable,
        there: &DestinationTable,
        place: usize,
    ) -> Result<TableState, Halt> {
        let failed = |error| writing(table, &error);
        self.report(place, TablePhase::Copying, 0, 0);
        // A session of a run that was killed may still be committing its copy: the lock waits for it, so that its rows
        // are seen and removed.
        let only = if there.partitioned { "" } else { "ONLY " };
        let begin = format!("BEGIN; LOCK TABLE {only}{} IN SHARE ROW EXCLUSIVE MODE", quote_table(&table.name));
        self.destination.batch_execute(&begin).await.map_err(failed)?;
        let copied = self.rows(table, there, place).await;
        let (rows, bytes) = match copied {
            Ok(copied) => copied,
            Err(halt) => {
                // The error says what happened; if the session is broken, its end rolls back as well.
                let _ = self.destination.batch_execute("ROLLBACK").await;
                return Err(halt);
            }
        };
        let state = TableState { complete: true, copied: self.source.at, rows, bytes };
        let finish = format!("{}; COMMIT", checkpoint::set_table_state(self.slot, &table.name, &state));
        self.destination.batch_execute(&finish).await.map_err(failed)?;
        self.report(place, TablePhase::Streaming, rows, bytes);
        // Without statistics the first plans of the stream are guesses.
        self.destination.batch_execute(&format!("ANALYZE {}", quote_table(&table.name))).await.map_err(failed)?;
        self.tell.note(format!("Copied table {}: {rows} rows.", table.name));
        Ok(state)
    }

    async fn rows(&self, table: &SourceTable, there: &DestinationTable, place: usize) -> Result<(u64, u64), Halt> {
        let writing = |error| writing(table, &error);
        let reading = |error| steady::reading(table, &error);
        self.empty(table, there).await?;
        let names: Vec<&str> = table
            .columns
            .iter()
            .filter(|column| column.published)
            .filter(|column| there.columns.iter().any(|other| other.name == column.name && !other.generated))
            .map(|column| column.name.as_str())
            .collect();
        if names.is_empty() {
            return Err(Halt::refused(format!(
                "Table {} has no column that could be copied; leave it out.",
                table.name
            )));
        }
        let quoted: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
        let read = format!("COPY ({}) TO STDOUT", table.select(&names));
        let write = format!("COPY {} ({}) FROM STDIN", quote_table(&table.name), quoted.join(", "));
        let out = self.source.session.client.copy_out(&read).await.map_err(reading)?;
        let sink = self.destination.copy_in::<_, Bytes>(&write).await.map_err(writing)?;
        tokio::pin!(out, sink);
        let (mut rows, mut bytes, mut told) = (0_u64, 0_u64, 0_u64);
        let mut piece = BytesMut::with_capacity(PIECE * 2);
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Halt::Stopped),
                next = out.next() => next,
            };
            let Some(line) = next else { break };
            let line = line.map_err(reading)?;
            // The server sends one message for each row.
            rows += 1;
            bytes += line.len() as u64;
            piece.extend_from_slice(&line);
            if piece.len() >= PIECE {
                sink.send(piece.split().freeze()).await.map_err(writing)?;
                piece.reserve(PIECE * 2);
                if bytes - told >= TOLD_BYTES {
                    told = bytes;
                    self.report(place, TablePhase::Copying, rows, bytes);
                }
            }
        }
        steady::check(&self.source.session.client, table).await?;
        sink.send(piece.freeze()).await.map_err(writing)?;
        let written = sink.finish().await.map_err(writing)?;
        Ok((written, bytes))
    }

    /// Removes what an earlier, unfinished copy may have left.
    async fn empty(&self, table: &SourceTable, there: &DestinationTable) -> Result<(), Halt> {
        if !destination::has_rows(self.destination, &table.name).await? {
            return Ok(());
        }
        let failed = |error| halt::query(Side::Destination, &format!("emptying table {}", table.name), &error);
        let only = if there.partitioned { "" } else { "ONLY " };
        let name = quote_table(&table.name);
        // TRUNCATE refuses a table that a foreign key points to, even from an empty table.
        let referenced = self
            .destination
            .query_one(
                "SELECT EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::text::regclass \
                 AND conrelid <> confrelid)",
                &[&name],
            )
            .await
            .map_err(failed)?;
        let sql =
            if referenced.get(0) { format!("DELETE FROM {only}{name}") } else { format!("TRUNCATE {only}{name}") };
        self.destination.batch_execute(&sql).await.map_err(failed)
    }

    fn report(&self, place: usize, phase: TablePhase, rows: u64, bytes: u64) {
        self.progress.send_modify(|progress| {
            if let Some(table) = progress.tables.get_mut(place) {
                table.phase = phase;
                table.rows_copied = rows;
                table.bytes_copied = bytes;
            }
        });
    }
}

/// An error of the destination, with the next step where there is a known one.
fn writing(table: &SourceTable, error: &tokio_postgres::Error) -> Halt {
    match error.as_db_error().map(|db| db.code().code()) {
        Some("23503") => Halt::refused(format!(
            "A foreign key of the destination refuses the copy of table {}. Let the destination's role set \
             session_replication_role (GRANT SET ON PARAMETER session_replication_role TO the role, PostgreSQL 15 and \
             later), or drop the foreign keys there until the copy is done.",
            table.name
        )),
        _ => halt::query(Side::Destination, &format!("copying table {}", table.name), error),
    }
}
