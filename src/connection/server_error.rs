//! An error that a server sent, with the fields that identify it in every language.

use std::fmt;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use super::printable;

/// An error that the server sent (PostgreSQL documentation, "Error and Notice Message Fields").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    /// Five characters, PostgreSQL documentation appendix "PostgreSQL Error Codes".
    pub sqlstate: String,
    /// The primary message, in the server's language.
    pub message: String,
    /// More about it; may quote row values, so it is shown on request only and never logged.
    pub detail: Option<String>,
    /// The server's own advice.
    pub hint: Option<String>,
    /// The function of the server's source that raised it; never translated, and absent when a pooler speaks.
    pub routine: Option<String>,
}

impl ServerError {
    /// Whether `routine` raised it.
    #[must_use]
    pub fn raised_by(&self, routine: &str) -> bool {
        self.routine.as_deref() == Some(routine)
    }
}

impl ServerError {
    /// Whether the server saw another TLS connection than the client (`auth-scram.c`).
    #[must_use]
    pub fn is_channel_binding(&self) -> bool {
        self.sqlstate == "28000" && self.raised_by("read_client_final_message")
    }
}

impl From<&tokio_postgres::error::DbError> for ServerError {
    fn from(error: &tokio_postgres::error::DbError) -> Self {
        Self {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().map(str::to_owned),
            hint: error.hint().map(str::to_owned),
            routine: error.routine().map(str::to_owned),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", printable(&self.message), printable(&self.sqlstate))
    }
}

impl std::error::Error for ServerError {}

/// Reads the server's error fields.
///
/// # Errors
/// When the message is malformed.
pub fn server_error(mut fields: ErrorFields<'_>) -> std::io::Result<ServerError> {
    let mut error = ServerError::default();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => error.sqlstate = value,
            b'M' => error.message = value,
            b'D' => error.detail = Some(value),
            b'H' => error.hint = Some(value),
            b'R' => error.routine = Some(value),
            _ => {}
        }
    }
    Ok(error)
}

/// One clear line for an error of the query library: the server's message where there is one, else the whole chain
/// of causes (the library's own `Display` leaves them out).
#[must_use]
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => ServerError::from(db).to_string(),
        None => printable(&chain(error)).into_owned(),
    }
}

/// An error and what caused it, without repetitions. Not yet safe to show.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}
