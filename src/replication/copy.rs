//! Rows of one piece of a table on their way from a snapshot of the source into a destination transaction.
//!
//! The rows are handed on as they come: their form is the same at both sides, and nothing looks at a value.

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use tokio::sync::watch;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::checkpoint::Amount;
use super::destination::DestinationTable;
use super::formats;
use super::halt::{self, Halt, Side};
use super::pieces::{self, Piece};
use super::progress::Progress;
use super::slot::Snapshot;
use super::source::SourceTable;
use super::steady;
use super::types;
use super::wire::Wire;
use crate::catalog::Lsn;
use crate::catalog::ident::{quote_ident, quote_literal, quote_table};
use crate::connection::{SessionOptions, Settings, session_sql};

/// Rows are handed on in pieces of this size.
const PIECE: usize = 64 * 1024;
/// Progress is told after this many bytes.
const TOLD_BYTES: u64 = 1024 * 1024;

/// A session of the source that sees the rows as they were at one position.
pub(super) struct SnapshotSession {
    wire: Wire,
    pub(super) at: Lsn,
}

impl SnapshotSession {
    /// Imports `snapshot`.
    pub(super) async fn open(settings: &Settings, snapshot: &Snapshot) -> Result<Self, Halt> {
        let options = SessionOptions { read_only: true, ..SessionOptions::replicate() };
        let mut wire = Wire::connect(settings, &[("application_name", &options.application_name)])
            .await
            .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
        // A policy that hides rows from this role must be an error, not a silent gap. What queries comes before the
        // transaction that takes the snapshot, and apart from it.
        let set =
            format!("{}; SET row_security = off; {}; {}", session_sql(&options), formats::SESSION, formats::NO_LIMITS);
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            quote_literal(&snapshot.name)
        );
        for sql in [set, begin] {
            wire.query(&sql).await.map_err(|error| halt::stream("reading in the copy's snapshot", &error))?;
        }
        Ok(Self { wire, at: snapshot.at })
    }
}

/// What carrying a piece needs beside the session that reads.
#[derive(Clone, Copy)]
pub(super) struct Carry<'a> {
    pub(super) table: &'a SourceTable,
    pub(super) there: &'a DestinationTable,
    /// The rows may be written frozen: nobody else can see the table as it was before.
    pub(super) freeze: bool,
    pub(super) progress: &'a watch::Sender<Progress>,
    pub(super) stop: &'a CancellationToken,
}

impl Carry<'_> {
    /// Copies the rows of `piece` into the transaction that is open at `destination`.
    pub(super) async fn rows(
        &self,
        source: &mut SnapshotSession,
        destination: &Client,
        piece: &Piece,
    ) -> Result<Amount, Halt> {
        let table = self.table;
        let writing = |error: tokio_postgres::Error| {
            let halt = writing(table, &error);
            let value = error.as_db_error().is_some_and(|db| db.code().code().starts_with("22"));
            match types::difference(table, self.there) {
                Some(statement) if value => Halt::refused(format!(
                    "{} The source has other types; run at the destination: {statement}; then start again, nothing is lost.",
                    halt.what()
                )),
                _ => halt,
            }
        };
        let reading = |error| steady::reading(table, &error);
        let columns = pieces::carried(table, &self.there.columns);
        if columns.is_empty() {
            return Err(Halt::refused(format!(
                "Table {} has no column that could be copied; leave it out.",
                table.name
            )));
        }
        let form = if pieces::binary(columns.iter().copied()) { "binary" } else { "text" };
        let names: Vec<&str> = columns.iter().map(|(column, _)| column.name.as_str()).collect();
        let quoted: Vec<String> = names.iter().map(|name| quote_ident(name)).collect();
        let read = format!("COPY ({}) TO STDOUT (FORMAT {form})", table.select_where(&names, piece.condition()));
        let freeze = if self.freeze { ", FREEZE true" } else { "" };
        let write =
            format!("COPY {} ({}) FROM STDIN (FORMAT {form}{freeze})", quote_table(&table.name), quoted.join(", "));
        if piece.by_key() {
            source.wire.query("SET LOCAL enable_seqscan = off; SET LOCAL jit = off").await.map_err(reading)?;
        }
        source.wire.copy_out(&read).await.map_err(reading)?;
        let sink = destination.copy_in::<_, Bytes>(&write).await.map_err(writing)?;
        tokio::pin!(sink);
        let mut told = Amount::default();
        let mut copied = Amount::default();
        let mut buffer = BytesMut::with_capacity(PIECE * 2);
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Halt::Stopped),
                next = source.wire.copy_rows(&mut buffer, PIECE) => next,
            };
            let Some(rows) = next.map_err(reading)? else { break };
            copied.rows += rows;
            copied.bytes += buffer.len() as u64;
            sink.send(buffer.split().freeze()).await.map_err(writing)?;
            buffer.reserve(PIECE * 2);
            if copied.bytes - told.bytes >= TOLD_BYTES {
                self.tell(told, copied);
                told = copied;
            }
        }
        if piece.by_key() {
            source
                .wire
                .query("SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL jit TO DEFAULT")
                .await
                .map_err(reading)?;
        }
        steady::check(&mut source.wire, table).await?;
        // Messages and rows need not be the same (a binary copy ends with a message of its own).
        copied.rows = sink.finish().await.map_err(writing)?;
        self.tell(told, copied);
        Ok(copied)
    }

    /// Several sessions may copy the same table: what came since the last time is added.
    fn tell(&self, told: Amount, copied: Amount) {
        self.progress.send_modify(|progress| {
            if let Some(table) = progress.table(&self.table.name) {
                table.rows_copied = table.rows_copied.saturating_sub(told.rows).saturating_add(copied.rows);
                table.bytes_copied = table.bytes_copied.saturating_sub(told.bytes).saturating_add(copied.bytes);
            }
        });
    }
}

/// An error of the destination, with the next step where there is a known one.
pub(super) fn writing(table: &SourceTable, error: &tokio_postgres::Error) -> Halt {
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
