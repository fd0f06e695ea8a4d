//! Carries batches to the destination, one at a time and in order, while the next one is collected.
//!
//! The destination works in a process of its own: while it writes, the stream is read and decoded. What is on its way
//! keeps its share of the queue, so that memory stays bounded.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::arranged::Batch;
use super::batch::{End, Missed, Writer};
use super::halt::Halt;

/// What a destination transaction holds.
#[derive(Default)]
pub(super) struct Tally {
    /// Inserts, updates, deletes and truncates of each table, by its place in the progress.
    pub(super) counts: HashMap<usize, [u64; 4]>,
    pub(super) transactions: u64,
    pub(super) changes: u64,
}

/// A batch, or the end of a destination transaction, or both.
pub(super) struct Order {
    pub(super) batch: Batch,
    /// The batch's share of the queue.
    pub(super) held: Vec<OwnedSemaphorePermit>,
    pub(super) end: End,
    /// What the transaction holds when it ends.
    pub(super) tally: Tally,
}

/// An order that was carried out.
pub(super) struct Done {
    pub(super) end: End,
    pub(super) tally: Tally,
    pub(super) missed: Vec<Missed>,
}

/// Has one order under way at the most.
pub(super) struct Carrier<'a> {
    writer: Option<Writer<'a>>,
    under_way: Option<BoxFuture<'a, Result<(Writer<'a>, Done), Halt>>>,
}

impl<'a> Carrier<'a> {
    pub(super) fn new(writer: Writer<'a>) -> Self {
        Self { writer: Some(writer), under_way: None }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Sets out with an order. What was under way must have landed.
    pub(super) fn send(&mut self, order: Order) {
        let Some(mut writer) = self.writer.take() else { return };
        self.under_way = Some(Box::pin(async move {
            let Order { batch, held, end, tally } = order;
            writer.carry(&batch, end).await?;
            drop((batch, held));
            let missed = std::mem::take(&mut writer.missed);
            Ok((writer, Done { end, tally, missed }))
        }));
    }

    /// Waits for what is under way; `None` when nothing is. May be dropped at any await.
    ///
    /// # Errors
    /// After an error nothing can be sent any more.
    pub(super) async fn landed(&mut self) -> Result<Option<Done>, Halt> {
        let Some(under_way) = &mut self.under_way else { return Ok(None) };
        let outcome = under_way.await;
        self.under_way = None;
        let (writer, done) = outcome?;
        self.writer = Some(writer);
        Ok(Some(done))
    }

    /// Gets on with what is under way without waiting.
    ///
    /// # Errors
    /// As [`Self::landed`].
    pub(super) fn get_on(&mut self) -> Result<Option<Done>, Halt> {
        self.landed().now_or_never().unwrap_or(Ok(None))
    }
}
