//! Runs a plan, one statement at a time, and stops at the first error.
//!
//! The session's `lock_timeout` bounds each wait, because the application queues behind a statement that waits for a
//! lock; between the tries the queue can drain. Creating a slot waits for open transactions in the same way and leaves
//! no half-made slot behind when it gives up. What is done already is skipped, so a plan can be applied again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::step::{Form, Plan, Step};
use crate::connection::{Session, describe, printable};

/// How far an application has come. Steps count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyEvent {
    /// The step has begun.
    Started(usize),
    /// A lock was not free; told once in each second until the step is tried again.
    Waiting {
        /// The step.
        at: usize,
        /// What is waited for.
        reason: &'static str,
        /// Seconds until the next try.
        left: u64,
        /// How many seconds this pause has.
        pause: u64,
    },
    /// There is nothing to do: it was done before, or its object is gone.
    Skipped(usize),
    /// The step is done.
    Done(usize),
}

/// The step that failed, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {number} ({title}) failed: {cause}. {next}")]
pub struct ApplyError {
    /// Counted from 1.
    pub number: usize,
    /// The step's title.
    pub title: String,
    /// The statement, with the password's verifier left out; safe to print.
    pub sql: String,
    /// The server's reason; safe to print.
    pub cause: String,
    /// How to go on.
    pub next: String,
}

/// For how many seconds the queue behind a lock may drain before each further try.
const PAUSES: [u64; 4] = [1, 2, 4, 8];
const SECOND: Duration = Duration::from_secs(1);

/// Runs `plan` through the administrator's session; what was done before an error stays, and applying again does
/// only what is still missing.
///
/// # Errors
/// The first step that failed, or the step at which `cancel` was called.
pub async fn apply(
    admin: &Session,
    plan: &Plan,
    cancel: &CancellationToken,
    mut on_event: impl FnMut(ApplyEvent) + Send,
) -> Result<(), ApplyError> {
    for (at, step) in plan.steps.iter().enumerate() {
        on_event(ApplyEvent::Started(at));
        let done = run_step(admin, at, step, cancel, &mut on_event).await?;
        on_event(if done { ApplyEvent::Done(at) } else { ApplyEvent::Skipped(at) });
    }
    Ok(())
}

/// Why a statement did not do what it should.
enum Obstacle {
    Cancelled,
    Refused(tokio_postgres::Error),
}

/// Runs a step, trying again while a lock is held. Returns false when there was nothing to do.
async fn run_step(
    admin: &Session,
    at: usize,
    step: &Step,
    cancel: &CancellationToken,
    on_event: &mut (impl FnMut(ApplyEvent) + Send),
) -> Result<bool, ApplyError> {
    let failed = |cause: String, next: String| ApplyError {
        number: at + 1,
        title: step.title.clone(),
        sql: step.shown(),
        cause,
        next,
    };
    let cancelled =
        || failed("it was cancelled".to_owned(), "What was done before stays; apply again to go on.".into());
    if step.form != Form::Statement {
        return Err(failed("only psql can run it".to_owned(), "Print the script and run it with psql.".to_owned()));
    }
    let mut pauses = PAUSES.into_iter();
    loop {
        let error = match until_cancelled(admin, cancel, once(admin, step)).await {
            Ok(done) => return Ok(done),
            Err(Obstacle::Cancelled) => return Err(cancelled()),
            Err(Obstacle::Refused(error)) => error,
        };
        let locked = error.code().is_some_and(|code| code.code() == "55P03");
        let Some(pause) = pauses.next().filter(|_| locked) else {
            return Err(failed(cause(&error), next(step, &error, admin.client.is_closed())));
        };
        let reason = if step.in_transaction() { "the table is locked" } else { "an open transaction delays the slot" };
        for left in (1..=pause).rev() {
            on_event(ApplyEvent::Waiting { at, reason, left, pause });
            tokio::select! {
                () = cancel.cancelled() => return Err(cancelled()),
                () = tokio::time::sleep(SECOND) => {}
            }
        }
    }
}

/// One try. Returns false when there is nothing to do.
async fn once(admin: &Session, step: &Step) -> Result<bool, tokio_postgres::Error> {
    if is_done(admin, step).await? {
        return Ok(false);
    }
    if let Some(guard) = &step.guard {
        admin.client.batch_execute(guard).await?;
    }
    admin.client.batch_execute(&step.sql).await?;
    Ok(true)
}

/// Whether the step's condition says that there is nothing to do.
pub(super) async fn is_done(admin: &Session, step: &Step) -> Result<bool, tokio_postgres::Error> {
    let Some(unless) = &step.unless else { return Ok(false) };
    admin.client.query_one(&format!("SELECT {unless}"), &[]).await?.try_get(0)
}

async fn until_cancelled<T>(
    admin: &Session,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Obstacle> {
    match cancel.run_until_cancelled(work).await {
        Some(result) => result.map_err(Obstacle::Refused),
        None => {
            // The server would go on by itself. If it can't be told, its own time limit ends the statement.
            let _ = admin.cancel().await;
            Err(Obstacle::Cancelled)
        }
    }
}

/// The server's reason with its detail, which names what depends on what.
fn cause(error: &tokio_postgres::Error) -> String {
    let detail = error.as_db_error().and_then(tokio_postgres::error::DbError::detail);
    let detail = detail.map_or_else(String::new, |detail| format!(": {}", printable(&detail.replace('\n', "; "))));
    describe(error) + &detail
}

/// How to go on after `error`.
fn next(step: &Step, error: &tokio_postgres::Error, gone: bool) -> String {
    let code = error.code().map_or("", |code| code.code());
    let text = match code {
        _ if gone => "The connection is gone; connect again, and apply again to go on.",
        "55P03" if step.in_transaction() => "Somebody holds a lock on the table for long; apply again when it is free.",
        "55P03" => {
            "A transaction that has written stays open (see the check long-writers); apply again when it is over."
        }
        // object_in_use
        "55006" => "Stop whoever reads it, then apply again.",
        // dependent_objects_still_exist
        "2BP01" => {
            "Give away or drop what is left, in every database that is named (REASSIGN OWNED BY, REVOKE), then apply \
             again: everything else is done."
        }
        "42501" => {
            return format!("It takes: {}. What was done before stays; apply again as somebody who may.", step.who);
        }
        _ => "What was done before stays; mend the cause and apply again.",
    };
    text.to_owned()
}
