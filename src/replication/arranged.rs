//! A batch in the form in which it is sent. It is put together while the destination is busy with the one before, so that
//! the destination need not wait for it.

use std::sync::Arc;

use bytes::Bytes;

use super::change::{Change, Kind};
use super::coalesce::{self, Set, Step};
use super::halt::Halt;
use super::lines;
use super::pgoutput::Old;
use super::relation::{Bound, Target};
use super::sets::{self, SetStatement};

/// From this many rows on, one statement is cheaper than statements of one row.
const SET_FROM_ROWS: usize = 4;
/// From this many rows on, COPY is cheaper than one statement: it has to be waited for.
const COPY_FROM_ROWS: usize = 100;

/// Changes, and how they are made.
pub(super) struct Batch {
    pub(super) changes: Vec<Change>,
    /// One after the other; empty when all changes are made in their order.
    pub(super) parts: Vec<Part>,
}

/// A part of a batch.
pub(super) enum Part {
    /// Changes by their places in the batch, in their order.
    InOrder(Vec<usize>),
    /// Statements of one row.
    Rows(Arc<Target>, Kind, Vec<Bound>),
    /// Rows as lines of COPY.
    Copy(Arc<Target>, Vec<Bytes>),
    /// One statement for so many rows.
    Set { target: Arc<Target>, kind: Kind, rows: u64, statement: SetStatement },
}

impl Batch {
    pub(super) fn new(changes: Vec<Change>) -> Self {
        // What can't be made is told in its place, when the changes are made in their order.
        let parts = arrange(&changes).unwrap_or_default();
        Self { changes, parts }
    }
}

fn arrange(changes: &[Change]) -> Result<Vec<Part>, Halt> {
    if changes.len() < SET_FROM_ROWS {
        return Ok(Vec::new());
    }
    let steps = coalesce::plan(changes);
    if let [Step::InOrder(_)] = &steps[..] {
        return Ok(Vec::new());
    }
    steps.into_iter().map(part).collect()
}

fn part(step: Step<'_>) -> Result<Part, Halt> {
    let set = match step {
        Step::InOrder(list) => return Ok(Part::InOrder(list)),
        Step::Set(set) => set,
    };
    let (target, kind) = (Arc::clone(set.target), set.kind);
    Ok(if set.rows.len() < SET_FROM_ROWS {
        Part::Rows(target, kind, one_by_one(&set)?)
    } else if kind == Kind::Insert && set.rows.len() >= COPY_FROM_ROWS {
        let pieces = lines::pieces(&target, set.rows.iter().map(|line| |at| line.value(at))).collect();
        Part::Copy(target, pieces)
    } else {
        Part::Set { target, kind, rows: set.rows.len() as u64, statement: sets::statement(&set) }
    })
}

fn one_by_one(set: &Set<'_>) -> Result<Vec<Bound>, Halt> {
    let mut statements = Vec::new();
    for line in &set.rows {
        let row = line.row(set.target.columns.len());
        statements.extend(match set.kind {
            Kind::Insert => Some(set.target.insert(&row)),
            Kind::Update => set.target.update(None, &row)?,
            Kind::Delete | Kind::Truncate => Some(set.target.delete(&Old::Key(row))?),
        });
    }
    Ok(statements)
}
