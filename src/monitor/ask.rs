//! One statement, one round trip, one JSON value; and a tier: a value that is asked for at its own pace.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::seen::Seen;
use crate::connection::{Session, SessionOptions, describe};

/// The limit of a statement at the server, and a longer one of ours for a server that does not answer at all.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// A tier that failed (by its time limit, most likely) is left alone for this many times its pace.
const REST_AFTER_FAILURE: u32 = 6;

/// How the monitor connects: read-only, with limits, never waiting for a lock.
pub(super) fn options() -> SessionOptions {
    SessionOptions {
        statement_timeout: STATEMENT_TIMEOUT,
        lock_timeout: Duration::from_millis(200),
        ..SessionOptions::inspect()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct NoAnswer {
    /// One sentence.
    pub(super) reason: String,
    /// The connection is of no use any more.
    pub(super) lost: bool,
    /// The role may not ask this.
    pub(super) forbidden: bool,
}

/// Asks one thing.
pub(super) async fn ask<T: DeserializeOwned>(
    session: &Session,
    statement: &str,
    parameters: &[(&(dyn ToSql + Sync), Type)],
) -> Result<T, NoAnswer> {
    let at = session.settings();
    let no = |reason: String, lost: bool| NoAnswer { reason, lost, forbidden: false };
    let row = match timeout(ANSWER_TIMEOUT, session.client.query_typed_one(statement, parameters)).await {
        Ok(Ok(row)) => row,
        Ok(Err(error)) if session.client.is_closed() => {
            return Err(no(format!("The connection to {at} was lost ({}).", describe(&error)), true));
        }
        Ok(Err(error)) => {
            let reason = format!("{at} refused a query of the dashboard: {}.", describe(&error));
            let forbidden = error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE);
            return Err(NoAnswer { reason, lost: false, forbidden });
        }
        // An answer that comes later would be taken for that of the next question.
        Err(_) => return Err(no(format!("{at} has not answered for {} s.", ANSWER_TIMEOUT.as_secs()), true)),
    };
    let strange = |error: &dyn std::fmt::Display| no(format!("{at} answered strangely: {error}."), false);
    let text: String = row.try_get(0).map_err(|error| strange(&describe(&error)))?;
    serde_json::from_str(&text).map_err(|error| strange(&error))
}

/// A value that is asked for now and then, and stands in between.
#[derive(Debug)]
pub(super) struct Tier<T> {
    every: Duration,
    due: Option<Instant>,
    value: Seen<T>,
    micros: u64,
}

impl<T> Tier<T> {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, due: None, value: Seen::NotYet, micros: 0 }
    }

    pub(super) fn is_due(&self) -> bool {
        self.due.is_none_or(|due| Instant::now() >= due)
    }

    /// Makes it due now.
    pub(super) fn expire(&mut self) {
        self.due = None;
    }

    /// Changes its pace, from the next answer on.
    pub(super) fn pace(&mut self, every: Duration) {
        self.every = every;
    }

    /// Takes an answer in that took since `began`; `grant` opens it, should it be forbidden.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) fn answered(
        &mut self,
        answer: Result<T, NoAnswer>,
        began: Instant,
        grant: impl FnOnce() -> String,
    ) -> Result<(), String> {
        self.micros = micros_since(began);
        self.due = Some(Instant::now() + self.every);
        self.value = match answer {
            Ok(value) => Seen::Known(value),
            Err(no) if no.lost => return Err(no.reason),
            Err(no) if no.forbidden => Seen::Hidden(grant()),
            Err(no) => {
                self.due = Some(Instant::now() + self.every * REST_AFTER_FAILURE);
                Seen::Failed(no.reason)
            }
        };
        Ok(())
    }

    /// It may not be asked at all.
    pub(super) fn hide(&mut self, grant: String) {
        self.value = Seen::Hidden(grant);
    }

    pub(super) fn value(&self) -> &Seen<T> {
        &self.value
    }

    /// What the last answer took, there and back.
    pub(super) fn micros(&self) -> u64 {
        self.micros
    }
}

/// How long ago `began` was.
pub(super) fn micros_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}
