//! Changes on their way into the destination: a batch of them is sent as a pipeline inside one open transaction.
//!
//! What may change places is written in sets ([`super::arranged`]): many rows by one statement, or by COPY. What keeps
//! its order goes as prepared statements, sent without waiting for the answers in between, and runs of inserts as COPY.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use super::arranged::{Batch, Part};
use super::change::{Change, Kind};
use super::halt::{self, Halt, Side};
use super::pgoutput::Value;
use super::refusal::failed;
use super::relation::{Bound, Shape, Target};
use super::{checkpoint, lines};
use crate::catalog::Lsn;
use crate::connection::printable;
use crate::profile::TableName;

/// From this many inserts in a row on, COPY is cheaper than statements of one row.
const COPY_RUN_ROWS: usize = 8;

/// A row that an update or delete meant and that is not at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) table: TableName,
    pub(super) kind: Kind,
}

/// How a batch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its transaction goes on.
    Open,
    /// Its transaction is committed together with this checkpoint and the time of the last commit that it holds.
    Commit(Lsn, Option<i64>),
    /// Its transaction is forgotten.
    RollBack,
}

/// Sends changes to one destination session.
pub(super) struct Writer<'a> {
    client: &'a Client,
    /// Whose checkpoint is committed with the rows, if any.
    slot: Option<&'a str>,
    prepared: HashMap<Shape, Statement>,
    advance: Statement,
    open: bool,
    pub(super) missed: Vec<Missed>,
}

type Answer<'f> = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'f>>;

/// What was sent and not answered yet.
struct Pending<'f> {
    answer: Answer<'f>,
    about: About,
}

/// What an answer is about.
enum About {
    /// The table, and how many rows are meant.
    Rows(Arc<Target>, Kind, u64),
    Transaction(&'static str),
    Checkpoint,
}

impl<'a> Writer<'a> {
    pub(super) async fn new(client: &'a Client, slot: Option<&'a str>) -> Result<Self, Halt> {
        let advance = client
            .prepare(checkpoint::ADVANCE)
            .await
            .map_err(|error| halt::query(Side::Destination, "preparing the checkpoint", &error))?;
        Ok(Self { client, slot, prepared: HashMap::new(), advance, open: false, missed: Vec::new() })
    }

    /// Writes `batch`, in the open transaction or a new one, and ends it as told.
    ///
    /// # Errors
    /// After an error the transaction is of no use: end the session.
    pub(super) async fn carry(&mut self, batch: &Batch, end: End) -> Result<(), Halt> {
        let mut pending = Vec::new();
        if end == End::RollBack && !self.open {
            return Ok(());
        }
        if !self.open {
            self.open = true;
            // Where triggers fire for replicated rows, keys are checked: what the source could defer is looked at when
            // its transaction is whole.
            self.control(&mut pending, "BEGIN; SET CONSTRAINTS ALL DEFERRED", "opening a transaction").await;
        }
        self.write(&mut pending, batch).await?;
        // Sent right behind the changes. Should one of them be refused, the server makes COMMIT a rollback, and the
        // error is read first.
        match end {
            End::Open => {}
            End::Commit(lsn, time) => {
                if let Some(slot) = self.slot {
                    let (client, advance, text) = (self.client, self.advance.clone(), lsn.to_string());
                    let answer = async move { client.execute(&advance, &[&slot, &text, &time]).await };
                    send(&mut pending, About::Checkpoint, Box::pin(answer)).await;
                }
                self.control(&mut pending, "COMMIT", "committing").await;
            }
            End::RollBack => self.control(&mut pending, "ROLLBACK", "rolling back").await,
        }
        self.settle(&mut pending).await?;
        self.open = end == End::Open;
        Ok(())
    }

    async fn write<'f>(&mut self, pending: &mut Vec<Pending<'f>>, batch: &'f Batch) -> Result<(), Halt>
    where
        'a: 'f,
    {
        if batch.parts.is_empty() {
            return self.in_order(pending, batch.changes.iter().collect()).await;
        }
        // Should a set be refused after all, the changes are made one by one: then what stands in the way, if it still
        // does, is what would have stood in the way of PostgreSQL's own replication.
        let doing = "opening a transaction";
        self.control(pending, "SAVEPOINT walpilot", doing).await;
        let (missed, outcome) = (self.missed.len(), self.parts(pending, batch).await);
        let outcome = match outcome {
            Ok(()) => {
                self.control(pending, "RELEASE SAVEPOINT walpilot", doing).await;
                self.settle(pending).await
            }
            Err(halt) => self.settle(pending).await.and(Err(halt)),
        };
        let Err(halt) = outcome else { return Ok(()) };
        if self.client.batch_execute("ROLLBACK TO SAVEPOINT walpilot").await.is_err() {
            return Err(halt);
        }
        tracing::debug!("a set of changes was refused; they are made one by one");
        self.missed.truncate(missed);
        self.in_order(pending, batch.changes.iter().collect()).await
    }

    /// Sends a command without parameters.
    async fn control<'f>(&self, pending: &mut Vec<Pending<'f>>, sql: &'static str, doing: &'static str)
    where
        'a: 'f,
    {
        let client = self.client;
        let answer = async move { client.batch_execute(sql).await.map(|()| 0) };
        send(pending, About::Transaction(doing), Box::pin(answer)).await;
    }

    /// Writes sets and what keeps its order.
    async fn parts<'f>(&mut self, pending: &mut Vec<Pending<'f>>, batch: &'f Batch) -> Result<(), Halt>
    where
        'a: 'f,
    {
        for part in &batch.parts {
            match part {
                Part::InOrder(list) => {
                    self.in_order(pending, list.iter().map(|at| &batch.changes[*at]).collect()).await?;
                }
                Part::Rows(target, kind, rows) => {
                    for (shape, values) in rows {
                        self.statement(pending, target, *kind, (shape.clone(), values.clone())).await?;
                    }
                }
                Part::Copy(target, pieces) => {
                    self.settle(pending).await?;
                    self.copy(target, pieces.iter().cloned()).await?;
                }
                Part::Set { target, kind, rows, statement } => {
                    let client = self.client;
                    let answer = async move {
                        let arrays: Vec<Array<'_>> = statement.arrays.iter().map(|array| Array(array)).collect();
                        // The server infers the types from the casts.
                        let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
                            arrays.iter().map(|array| (array as &(dyn ToSql + Sync), Type::UNKNOWN)).collect();
                        client.execute_typed(&statement.sql, &parameters).await
                    };
                    send(pending, About::Rows(Arc::clone(target), *kind, *rows), Box::pin(answer)).await;
                }
            }
        }
        Ok(())
    }

    /// Makes changes in their order: runs of inserts as one COPY, everything else as prepared statements, sent without
    /// waiting for the answers in between.
    async fn in_order<'f>(&mut self, pending: &mut Vec<Pending<'f>>, changes: Vec<&Change>) -> Result<(), Halt>
    where
        'a: 'f,
    {
        let mut rest = &changes[..];
        while let Some((change, after)) = rest.split_first() {
            rest = after;
            match change {
                Change::Insert(target, _) => {
                    let same =
                        |other: &&&Change| matches!(other, Change::Insert(next, _) if next.version == target.version);
                    let more = after.iter().take_while(same).count();
                    rest = &after[more..];
                    let run = &changes[changes.len() - after.len() - 1..][..=more];
                    let rows = run.iter().filter_map(|change| match change {
                        Change::Insert(_, row) => Some(row),
                        _ => None,
                    });
                    if run.len() >= COPY_RUN_ROWS && target.copies() {
                        self.settle(pending).await?;
                        self.copy(target, lines::pieces(target, rows.map(|row| |at: usize| &row[at]))).await?;
                        continue;
                    }
                    for row in rows {
                        self.statement(pending, target, Kind::Insert, target.insert(row)).await?;
                    }
                }
                Change::Update(target, old, new) => {
                    if let Some(bound) = target.update(old.as_ref(), new)? {
                        self.statement(pending, target, Kind::Update, bound).await?;
                    }
                }
                Change::Delete(target, old) => {
                    self.statement(pending, target, Kind::Delete, target.delete(old)?).await?;
                }
                Change::Truncate(targets, restart) => {
                    self.settle(pending).await?;
                    let names: Vec<String> = targets.iter().map(|target| target.truncated()).collect();
                    let restart = if *restart { " RESTART IDENTITY" } else { "" };
                    // Like PostgreSQL's own apply: what CASCADE reached at the source is listed in the message, and
                    // tables that only the destination has must not be emptied by it.
                    self.client
                        .batch_execute(&format!("TRUNCATE {}{restart}", names.join(", ")))
                        .await
                        .map_err(|error| failed(targets.first(), Kind::Truncate, &error))?;
                }
            }
        }
        Ok(())
    }

    /// Sends a statement of one row. What is pending is settled first when the statement has to be prepared.
    async fn statement<'f>(
        &mut self,
        pending: &mut Vec<Pending<'f>>,
        target: &Arc<Target>,
        kind: Kind,
        (shape, values): Bound,
    ) -> Result<(), Halt>
    where
        'a: 'f,
    {
        let client = self.client;
        let statement = match self.prepared.get(&shape) {
            Some(statement) => statement.clone(),
            None => {
                self.settle(pending).await?;
                let doing = format!("preparing a change of table {}", target.table);
                let statement = client
                    .prepare(&target.sql(&shape))
                    .await
                    .map_err(|error| halt::query(Side::Destination, &doing, &error))?;
                self.prepared.insert(shape, statement.clone());
                statement
            }
        };
        let answer = async move { client.execute_raw(&statement, values.iter().map(Parameter)).await };
        send(pending, About::Rows(Arc::clone(target), kind, 1), Box::pin(answer)).await;
        Ok(())
    }

    /// Waits for every answer, in order.
    async fn settle(&mut self, pending: &mut Vec<Pending<'_>>) -> Result<(), Halt> {
        for Pending { answer, about } in pending.drain(..) {
            match (answer.await, about) {
                (Ok(hit), About::Rows(target, kind @ (Kind::Update | Kind::Delete), rows)) if hit < rows => {
                    self.missed.push(Missed { table: target.table.clone(), kind });
                }
                (Ok(_), _) => {}
                (Err(error), About::Rows(target, kind, _)) => return Err(failed(Some(&target), kind, &error)),
                (Err(error), About::Transaction(doing)) => return Err(halt::query(Side::Destination, doing, &error)),
                (Err(error), About::Checkpoint) if error.code() == Some(&SqlState::DIVISION_BY_ZERO) => {
                    return Err(Halt::refused(format!(
                        "The checkpoint of slot {} is gone from walpilot.checkpoint at the destination; somebody removed \
                         it. Start again to see what can be done.",
                        printable(self.slot.unwrap_or_default())
                    )));
                }
                (Err(error), About::Checkpoint) => {
                    return Err(halt::query(Side::Destination, "committing", &error));
                }
            }
        }
        Ok(())
    }

    async fn copy(&self, target: &Arc<Target>, pieces: impl Iterator<Item = Bytes>) -> Result<(), Halt> {
        let failed = |error| failed(Some(target), Kind::Insert, &error);
        let sink = self.client.copy_in::<_, Bytes>(&target.copy_sql()).await.map_err(failed)?;
        let mut sink = pin!(sink);
        for piece in pieces {
            sink.send(piece).await.map_err(failed)?;
        }
        sink.finish().await.map(drop).map_err(failed)
    }
}

/// Polls once, which sends; the answer is waited for later.
async fn send<'f>(pending: &mut Vec<Pending<'f>>, about: About, mut answer: Answer<'f>) {
    let first = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
    if let Poll::Ready(result) = first {
        answer = Box::pin(std::future::ready(result));
    }
    pending.push(Pending { answer, about });
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

/// An array as a parameter in text format.
#[derive(Debug)]
struct Array<'v>(&'v [u8]);

impl ToSql for Array<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
