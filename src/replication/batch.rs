//! Changes on their way into the destination: collected, then sent as a pipeline inside one open transaction.
//!
//! Order is kept. Runs of inserts into one table go as one COPY; everything else as prepared statements, sent without
//! waiting for the answers in between.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::checkpoint;
use super::halt::{self, Halt, Side};
use super::pgoutput::{Row, Value};
use super::relation::{Bound, Shape, Target};
use crate::catalog::Lsn;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::connection::printable;
use crate::profile::TableName;

/// From this many inserts in a row on, COPY is cheaper than statements.
const COPY_FROM_ROWS: usize = 8;
/// COPY data is handed over in pieces of this size.
const COPY_PIECE: usize = 64 * 1024;

/// What happens to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
    Truncate,
}

/// One change, ready to be sent.
pub(super) enum Change {
    Insert(Arc<Target>, Row),
    /// An update or delete.
    Statement(Arc<Target>, Kind, Bound),
    Truncate(Vec<Arc<Target>>, bool),
}

/// A row that an update or delete meant and that is not at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) table: TableName,
    pub(super) kind: Kind,
}

/// Sends changes to one destination session.
pub(super) struct Writer<'a> {
    client: &'a Client,
    prepared: HashMap<Shape, Statement>,
    advance: Statement,
    open: bool,
    pub(super) missed: Vec<Missed>,
}

type Answer<'f> = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'f>>;

/// What was sent and not answered yet.
struct Pending<'f> {
    answer: Answer<'f>,
    about: Option<(Arc<Target>, Kind)>,
}

impl<'a> Writer<'a> {
    pub(super) async fn new(client: &'a Client) -> Result<Self, Halt> {
        let advance = client
            .prepare(checkpoint::ADVANCE)
            .await
            .map_err(|error| halt::query(Side::Destination, "preparing the checkpoint", &error))?;
        Ok(Self { client, prepared: HashMap::new(), advance, open: false, missed: Vec::new() })
    }

    /// Sends `changes`, opening a transaction if there is none.
    ///
    /// # Errors
    /// After an error the transaction is of no use: roll back or end the session.
    pub(super) async fn write(&mut self, changes: Vec<Change>) -> Result<(), Halt> {
        // All statements are prepared before anything is sent, so that the pipeline is not interrupted.
        for change in &changes {
            if let Change::Statement(target, _, (shape, _)) = change {
                self.prepare(target, shape).await?;
            }
        }
        let client = self.client;
        let mut pending = Vec::with_capacity(changes.len() + 1);
        if !self.open {
            self.open = true;
            send(&mut pending, None, Box::pin(async move { client.batch_execute("BEGIN").await.map(|()| 0) })).await?;
        }
        let mut changes = changes.into_iter().peekable();
        while let Some(change) = changes.next() {
            match change {
                Change::Insert(target, row) => {
                    let mut rows = vec![row];
                    while let Some(Change::Insert(_, row)) = changes
                        .next_if(|next| matches!(next, Change::Insert(other, _) if other.version == target.version))
                    {
                        rows.push(row);
                    }
                    if rows.len() >= COPY_FROM_ROWS && target.copies() {
                        self.settle(&mut pending).await?;
                        self.copy(&target, &rows).await?;
                        continue;
                    }
                    for row in rows {
                        let (shape, values) = target.insert(row);
                        if !self.prepared.contains_key(&shape) {
                            self.settle(&mut pending).await?;
                            self.prepare(&target, &shape).await?;
                        }
                        self.statement(&mut pending, &target, Kind::Insert, (shape, values)).await?;
                    }
                }
                Change::Statement(target, kind, bound) => self.statement(&mut pending, &target, kind, bound).await?,
                Change::Truncate(targets, restart) => {
                    self.settle(&mut pending).await?;
                    let names: Vec<String> = targets.iter().map(|target| target.truncated()).collect();
                    let restart = if restart { " RESTART IDENTITY" } else { "" };
                    // Like PostgreSQL's own apply: what CASCADE reached at the source is listed in the message, and
                    // tables that only the destination has must not be emptied by it.
                    client
                        .batch_execute(&format!("TRUNCATE {}{restart}", names.join(", ")))
                        .await
                        .map_err(|error| failed(targets.first(), Kind::Truncate, &error))?;
                }
            }
        }
        self.settle(&mut pending).await
    }

    /// Commits what is open together with the checkpoint.
    pub(super) async fn commit(&mut self, slot: &str, lsn: Lsn, time: Option<i64>) -> Result<(), Halt> {
        let doing = "committing";
        let text = lsn.to_string();
        let client = self.client;
        if !self.open {
            client.batch_execute("BEGIN").await.map_err(|error| halt::query(Side::Destination, doing, &error))?;
        }
        self.open = true;
        let advanced = client
            .execute(&self.advance, &[&slot, &text, &time])
            .await
            .map_err(|error| halt::query(Side::Destination, doing, &error))?;
        if advanced != 1 {
            return Err(Halt::refused(format!(
                "The checkpoint of slot {} is gone from walpilot.checkpoint at the destination; somebody removed it. \
                 Start again to see what can be done.",
                printable(slot)
            )));
        }
        client.batch_execute("COMMIT").await.map_err(|error| halt::query(Side::Destination, doing, &error))?;
        self.open = false;
        Ok(())
    }

    /// Forgets what is open.
    pub(super) async fn roll_back(&mut self) -> Result<(), Halt> {
        if self.open {
            self.client
                .batch_execute("ROLLBACK")
                .await
                .map_err(|error| halt::query(Side::Destination, "rolling back", &error))?;
            self.open = false;
        }
        Ok(())
    }

    async fn prepare(&mut self, target: &Target, shape: &Shape) -> Result<(), Halt> {
        if !self.prepared.contains_key(shape) {
            let doing = format!("preparing a change of table {}", target.table);
            let statement = self
                .client
                .prepare(&target.sql(shape))
                .await
                .map_err(|error| halt::query(Side::Destination, &doing, &error))?;
            self.prepared.insert(shape.clone(), statement);
        }
        Ok(())
    }

    async fn statement<'f>(
        &self,
        pending: &mut Vec<Pending<'f>>,
        target: &Arc<Target>,
        kind: Kind,
        (shape, values): Bound,
    ) -> Result<(), Halt>
    where
        'a: 'f,
    {
        let client = self.client;
        let Some(statement) = self.prepared.get(&shape).cloned() else {
            return Err(Halt::refused(
                "A statement was not prepared; this is a mistake in walpilot, please report it.",
            ));
        };
        let answer = async move { client.execute_raw(&statement, values.iter().map(Parameter)).await };
        send(pending, Some((Arc::clone(target), kind)), Box::pin(answer)).await
    }

    /// Waits for every answer, in order.
    async fn settle(&mut self, pending: &mut Vec<Pending<'_>>) -> Result<(), Halt> {
        for Pending { answer, about } in pending.drain(..) {
            match (answer.await, about) {
                (Ok(0), Some((target, kind @ (Kind::Update | Kind::Delete)))) => {
                    self.missed.push(Missed { table: target.table.clone(), kind });
                }
                (Ok(_), _) => {}
                (Err(error), Some((target, kind))) => return Err(failed(Some(&target), kind, &error)),
                (Err(error), None) => return Err(halt::query(Side::Destination, "opening a transaction", &error)),
            }
        }
        Ok(())
    }

    async fn copy(&self, target: &Arc<Target>, rows: &[Row]) -> Result<(), Halt> {
        let failed = |error| failed(Some(target), Kind::Insert, &error);
        let sink = self.client.copy_in::<_, Bytes>(&target.copy_sql()).await.map_err(failed)?;
        let mut sink = pin!(sink);
        let mut buffer = BytesMut::with_capacity(COPY_PIECE + 1024);
        for row in rows {
            copy_line(target.copied(row), &mut buffer);
            if buffer.len() >= COPY_PIECE {
                sink.send(buffer.split().freeze()).await.map_err(failed)?;
            }
        }
        sink.send(buffer.freeze()).await.map_err(failed)?;
        sink.finish().await.map(drop).map_err(failed)
    }
}

/// Polls once, which sends; the answer is waited for later.
async fn send<'f>(
    pending: &mut Vec<Pending<'f>>,
    about: Option<(Arc<Target>, Kind)>,
    mut answer: Answer<'f>,
) -> Result<(), Halt> {
    let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
    if let Poll::Ready(result) = first {
        answer = Box::pin(std::future::ready(result));
    }
    pending.push(Pending { answer, about });
    Ok(())
}

/// An error of a change, with the next step where there is a known one.
fn failed(target: Option<&Arc<Target>>, kind: Kind, error: &tokio_postgres::Error) -> Halt {
    let Some(target) = target else { return halt::query(Side::Destination, "applying a change", error) };
    let table = &target.table;
    let doing = match kind {
        Kind::Insert => format!("inserting into table {table}"),
        Kind::Update => format!("updating table {table}"),
        Kind::Delete => format!("deleting from table {table}"),
        Kind::Truncate => format!("truncating table {table}"),
    };
    match error.as_db_error() {
        Some(db) if db.code().code() == "23505" => Halt::refused(format!(
            "A row from the source collides with a row that only the destination has: {} in table {table}. Remove the \
             destination's row, then start again; nothing is lost.",
            match db.constraint() {
                Some(key) => format!("the key {} is taken", printable(key)),
                None => "its key is taken".to_owned(),
            }
        )),
        Some(db) if db.code().code() == "23503" => Halt::refused(format!(
            "A foreign key of the destination refuses a change: {} of table {table}. Let the destination's role set \
             session_replication_role (GRANT SET ON PARAMETER session_replication_role TO the role, PostgreSQL 15 and \
             later), or drop the foreign key there.",
            printable(db.constraint().unwrap_or("a constraint"))
        )),
        Some(db) if db.code().code() == "0A000" && kind == Kind::Truncate => Halt::refused(format!(
            "The source emptied table {table} with TRUNCATE, and a table that only the destination has points to it with a \
             foreign key. Drop that key or that table, then start again; nothing is lost."
        )),
        // Characters that the destination's encoding does not have, or bytes that are none in its own.
        Some(db) if matches!(db.code().code(), "22P05" | "22021") => Halt::refused(format!(
            "The encoding of the destination's database lacks a character that the source sent ({}) while {doing}. \
             Replicate into a database with encoding UTF8; nothing is lost.",
            halt::shown(db)
        )),
        Some(db) if db.code().code().starts_with("22") => Halt::Again(format!(
            "The destination refused while {doing}: {}. {}; then start again, nothing is lost.",
            halt::shown(db),
            match &target.retype {
                Some(statement) => format!("The source has other types; run at the destination: {statement}"),
                None => format!(
                    "If a type was changed at the source, change it at the destination, too (ALTER TABLE {} ALTER COLUMN … \
                     TYPE …, or ALTER TYPE for a type of your own)",
                    printable(&quote_table(table))
                ),
            }
        )),
        Some(db) if db.code().code() == "23502" => {
            let column = quote_ident(db.column().unwrap_or("…"));
            let column = printable(&column);
            Halt::refused(format!(
                "The destination wants a value for column {column} of table {table}, and the source sends none: it has \
                 dropped the column or allows null there. Run at the destination: ALTER TABLE {} ALTER COLUMN {column} DROP \
                 NOT NULL; then start again, nothing is lost.",
                printable(&quote_table(table))
            ))
        }
        _ => halt::query(Side::Destination, &doing, error),
    }
}

/// Writes a row as a line of COPY's text format (PostgreSQL documentation, "COPY").
fn copy_line<'v>(values: impl Iterator<Item = &'v Value>, out: &mut BytesMut) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.put_u8(b'\t');
        }
        match value {
            Value::Text(bytes) => {
                out.reserve(bytes.len());
                let mut rest = &bytes[..];
                while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
                    out.put_slice(&rest[..at]);
                    out.put_u8(b'\\');
                    out.put_u8(match rest[at] {
                        b'\t' => b't',
                        b'\n' => b'n',
                        b'\r' => b'r',
                        other => other,
                    });
                    rest = &rest[at + 1..];
                }
                out.put_slice(rest);
            }
            Value::Null | Value::Unchanged => out.put_slice(b"\\N"),
        }
    }
    out.put_u8(b'\n');
}

/// A value as a parameter in text format, whatever its type: the type's input function reads it.
#[derive(Debug)]
struct Parameter<'v>(&'v Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Value::Text(bytes) => {
                out.put_slice(bytes);
                Ok(IsNull::No)
            }
            Value::Null | Value::Unchanged => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{Value, copy_line};

    #[test]
    fn copy_lines_escape_what_copy_would_read_otherwise() {
        let mut out = BytesMut::new();
        let text = |value: &'static str| Value::Text(Bytes::from_static(value.as_bytes()));
        copy_line([text("a\tb\nc\\d\re"), Value::Null, text(""), text("\\N"), text("\\.")].iter(), &mut out);
        assert_eq!(&out[..], b"a\\tb\\nc\\\\d\\re\t\\N\t\t\\\\N\t\\\\.\n");
    }
}
