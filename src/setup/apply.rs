//! Runs a plan, one statement at a time, and stops at the first error.

use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use crate::connection::Session;

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
    /// The server's reason; safe to print.
    pub cause: String,
    /// How to go on.
    pub next: String,
}

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
    let _ = (admin, plan, cancel);
    on_event(ApplyEvent::Started(0));
    unimplemented!()
}
