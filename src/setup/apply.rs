//! Runs a plan, one statement at a time, and stops at the first error.
//!
//! The session's `lock_timeout` bounds each wait, because the application queues behind a statement that waits for a
//! lock; between the tries the queue can drain. Creating a slot waits for open transactions in the same way and leaves
//! no half-made slot behind when it gives up.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plan::{Plan, Step};
use crate::connection::{Session, describe};

/// How far an application has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyEvent {
    /// Step number (from 0) has begun.
    Started(usize),
    /// A lock was not free; the step will be tried again.
    Waiting(usize, String),
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

/// How long the queue behind a lock may drain before each further try.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

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
        run_step(admin, at, step, cancel, &mut on_event).await?;
        on_event(ApplyEvent::Done(at));
    }
    Ok(())
}

async fn run_step(
    admin: &Session,
    at: usize,
    step: &Step,
    cancel: &CancellationToken,
    on_event: &mut (impl FnMut(ApplyEvent) + Send),
) -> Result<(), ApplyError> {
    let failed = |cause: String, next: &str| ApplyError {
        number: at + 1,
        title: step.title.clone(),
        sql: without_verifier(&step.sql),
        cause,
        next: next.to_owned(),
    };
    let cancelled = || failed("it was cancelled".to_owned(), "What was done before stays; apply again to go on.");
    let mut pauses = PAUSES.iter();
    loop {
        let error = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                // The server would go on by itself. If it can't be told, its own time limit ends the statement.
                let _ = admin.cancel().await;
                return Err(cancelled());
            }
            result = admin.client.batch_execute(&step.sql) => match result {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
        };
        let lock_timeout = error.code().is_some_and(|code| code.code() == "55P03");
        let slot = step.sql.contains("pg_create_logical_replication_slot");
        let next = match (lock_timeout, slot, admin.client.is_closed()) {
            (_, _, true) => "The connection is gone; connect again, and apply again to go on.",
            (true, true, _) => {
                "A transaction that has written stays open (see the check long-writers); apply again when it is over."
            }
            (true, false, _) => "Somebody holds a lock on the table for long; apply again when it is free.",
            _ => "What was done before stays; mend the cause and apply again.",
        };
        let Some(pause) = pauses.next().filter(|_| lock_timeout) else {
            return Err(failed(describe(&error), next));
        };
        let held = if slot { "an open transaction delays the slot" } else { "the table is locked" };
        on_event(ApplyEvent::Waiting(at, format!("{held}; trying again in {} s", pause.as_secs())));
        tokio::select! {
            () = cancel.cancelled() => return Err(cancelled()),
            () = tokio::time::sleep(*pause) => {}
        }
    }
}

/// A verifier allows to guess the password offline, so it stays out of messages.
fn without_verifier(sql: &str) -> String {
    match sql.find(" PASSWORD ") {
        Some(at) if sql.starts_with("CREATE ROLE ") => format!("{} PASSWORD '…'", &sql[..at]),
        _ => sql.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_verifier;

    #[test]
    fn a_verifier_is_not_repeated() {
        let sql = "CREATE ROLE \"r\" LOGIN PASSWORD 'SCRAM-SHA-256$4096:S3NT1NEL'";
        assert_eq!(without_verifier(sql), "CREATE ROLE \"r\" LOGIN PASSWORD '…'");
        assert_eq!(without_verifier("SELECT 1"), "SELECT 1");
    }
}
