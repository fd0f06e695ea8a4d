//! Rows on their way from the source's COPY into one of the destination.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::{Client, CopyOutStream};

use crate::profile::TableName;
use crate::replication::halt::{self, Halt, Side};

/// Rows are handed on in pieces of this size.
const PIECE: usize = 64 * 1024;

/// A COPY of the source that has given its first row.
pub(super) struct Pipe<'a> {
    table: &'a TableName,
    out: Pin<Box<CopyOutStream>>,
    first: Bytes,
}

/// What went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl<'a> Pipe<'a> {
    /// Begins to read; `None` when there is no row.
    pub(super) async fn open(source: &Client, read: &str, table: &'a TableName) -> Result<Option<Self>, Halt> {
        let out = source.copy_out(read).await.map_err(|error| reading(table, &error))?;
        let mut out = Box::pin(out);
        match out.next().await {
            Some(first) => {
                let first = first.map_err(|error| reading(table, &error))?;
                Ok(Some(Self { table, out, first }))
            }
            None => Ok(None),
        }
    }

    /// Moves all rows into `write`, a COPY … FROM STDIN. `failed` sorts the destination's errors; `told` hears of rows and
    /// bytes now and then.
    pub(super) async fn into(
        mut self,
        destination: &Client,
        write: &str,
        failed: impl Fn(&tokio_postgres::Error) -> Halt,
        mut told: impl FnMut(Moved),
    ) -> Result<Moved, Halt> {
        let writing = |error| failed(&error);
        let sink = destination.copy_in::<_, Bytes>(write).await.map_err(writing)?;
        tokio::pin!(sink);
        let mut piece = BytesMut::with_capacity(PIECE * 2);
        // The server sends one message for each row.
        let mut moved = Moved { rows: 1, bytes: self.first.len() as u64 };
        piece.extend_from_slice(&self.first);
        while let Some(line) = self.out.next().await {
            let line = line.map_err(|error| reading(self.table, &error))?;
            moved.rows += 1;
            moved.bytes += line.len() as u64;
            piece.extend_from_slice(&line);
            if piece.len() >= PIECE {
                sink.send(piece.split().freeze()).await.map_err(writing)?;
                piece.reserve(PIECE * 2);
                told(moved);
            }
        }
        sink.send(piece.freeze()).await.map_err(writing)?;
        sink.finish().await.map_err(writing)?;
        Ok(moved)
    }
}

/// An error of reading a table's rows.
pub(super) fn reading(table: &TableName, error: &tokio_postgres::Error) -> Halt {
    match error.as_db_error() {
        // The catalog was read a moment ago, so this has changed in between: the next attempt sees it as it is.
        Some(db) if matches!(db.code().code(), "42P01" | "42703" | "3F000") => {
            Halt::Lost(Side::Source, format!("table {table} was changed while it was read ({})", halt::shown(db)))
        }
        _ => halt::query(Side::Source, &format!("reading table {table}"), error),
    }
}
