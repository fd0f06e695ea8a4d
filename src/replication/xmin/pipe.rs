//! Rows on their way from the source's COPY into one of the destination.

use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::{Client, CopyOutStream};

use crate::profile::TableName;
use crate::replication::halt::{self, Halt, Side};

/// Rows are handed on in pieces of this size.
const PIECE: usize = 64 * 1024;
/// What stands before the first row of COPY's binary form (PostgreSQL documentation, "COPY": signature, flags, length of
/// the extension, which no server writes).
const HEADER: usize = 19;

/// The form of rows between both servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Binary,
}

impl Form {
    /// As an option of COPY.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Text => "(FORMAT text)",
            Self::Binary => "(FORMAT binary)",
        }
    }

    /// Whether a first message holds no row: the binary form has a header and an end even then.
    fn is_empty(self, first: &[u8]) -> bool {
        self == Self::Binary && first.get(HEADER..HEADER + 2) == Some(&[0xff, 0xff])
    }
}

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
    pub(super) async fn open(
        source: &Client,
        read: &str,
        form: Form,
        table: &'a TableName,
    ) -> Result<Option<Self>, Halt> {
        let out = source.copy_out(read).await.map_err(|error| reading(table, &error))?;
        let mut out = Box::pin(out);
        match out.next().await {
            Some(first) => {
                let first = first.map_err(|error| reading(table, &error))?;
                if !form.is_empty(&first) {
                    return Ok(Some(Self { table, out, first }));
                }
                // Its end has to be read before the session can do anything else.
                while let Some(rest) = out.next().await {
                    rest.map_err(|error| reading(table, &error))?;
                }
                Ok(None)
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
        // The server sends one message for each row; the exact number is known at the end.
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
        // The end of the binary form is a message, but no row.
        moved.rows = sink.finish().await.map_err(writing)?;
        Ok(moved)
    }
}

/// An error of reading a table's rows.
pub(super) fn reading(table: &TableName, error: &tokio_postgres::Error) -> Halt {
    match error.as_db_error() {
        // The catalog was read a moment ago, so this has changed in between: the next attempt sees it as it is.
        Some(db) if matches!(db.code().code(), "42P01" | "42703" | "3F000") => {
            Halt::Passing(format!("Table {table} was changed at the source while it was read ({}).", halt::shown(db)))
        }
        _ => halt::query(Side::Source, &format!("reading table {table}"), error),
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn a_copy_without_rows_is_told_from_one_with_rows() {
        let mut head = b"PGCOPY\n\xff\r\n\0".to_vec();
        head.extend([0; 8]);
        let with = |more: &[u8]| [&head[..], more].concat();
        assert!(Form::Binary.is_empty(&with(&[0xff, 0xff])));
        assert!(!Form::Binary.is_empty(&with(&[0, 1, 0xff, 0xff, 0xff, 0xff])));
        assert!(!Form::Text.is_empty(&with(&[0xff, 0xff])));
    }
}
