//! Why a run can't go on at this moment, told apart by what to do next: wait and try again, or give up.

use std::fmt;

use tokio_postgres::error::DbError;

use super::stream::StreamError;
use crate::connection::{Class, Failure, ServerError, describe, printable};

/// One of the two servers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What ended one attempt of a run.
#[derive(Debug)]
pub(super) enum Halt {
    /// A side could not be connected to.
    Unreachable(Side, Box<Failure>),
    /// A connection broke, or a server said something that passes by itself. The state at the destination is whole,
    /// so trying again is safe.
    Lost(Side, String),
    /// Something else that passes by itself: one sentence, safe to print.
    Passing(String),
    /// A table is not what it was in the copy's snapshot: another attempt needs another one. One sentence, safe to print.
    Changed(String),
    /// Starting anew from the catalog as it is now may help; when it does not, this is the reason to give up, with the
    /// next step.
    Again(String),
    /// Waiting would not help: one sentence with the next step, safe to print.
    Refused(String),
    /// The user asked for the end before there was anything to finish.
    Stopped,
}

impl Halt {
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    /// What happened, in one sentence; safe to print.
    pub(super) fn what(&self) -> String {
        match self {
            Self::Unreachable(side, failure) => format!("The {side} can't be reached: {}", failure.message),
            Self::Lost(side, text) => format!("The connection to the {side} broke: {text}."),
            Self::Again(text) | Self::Passing(text) | Self::Changed(text) | Self::Refused(text) => text.clone(),
            Self::Stopped => String::new(),
        }
    }

    /// Whether another attempt may succeed without anybody's help. `started` tells that an attempt has succeeded
    /// before, so that the settings are known to be right.
    pub(super) fn heals(&self, started: bool) -> bool {
        match self {
            Self::Lost(..) | Self::Passing(_) | Self::Changed(_) => true,
            Self::Unreachable(_, failure) => started && passes(failure.class),
            Self::Again(_) | Self::Refused(_) | Self::Stopped => false,
        }
    }
}

fn passes(class: Class) -> bool {
    matches!(
        class,
        Class::DnsFailure
            | Class::Refused
            | Class::Unreachable
            | Class::Timeout
            | Class::SocketMissing
            | Class::ServerClosed
            | Class::TooManyConnections
            | Class::CannotConnectNow
    )
}

/// SQLSTATEs of what passes by itself or by an administrator's hand without a change of walpilot's settings
/// (PostgreSQL documentation, appendix "PostgreSQL Error Codes"): lost connections, shutdown and crash of a server,
/// conflicts with other transactions, lack of resources (a full disk among them), a slot that is still in use.
fn state_passes(sqlstate: &str) -> bool {
    matches!(sqlstate.get(..2), Some("08" | "53" | "40"))
        || matches!(sqlstate, "57P01" | "57P02" | "57P03" | "57P05" | "55P03" | "55006" | "57014" | "58030")
        // 53400 ("all replication slots are in use") needs a change of configuration, yet may pass as well.
        || sqlstate == "25P03"
}

/// Sorts an error of a query. `doing` completes "… failed while {doing}".
pub(super) fn query(side: Side, doing: &str, error: &tokio_postgres::Error) -> Halt {
    match error.as_db_error() {
        None if error.is_closed() || io_cause(error) => Halt::Lost(side, format!("lost while {doing}")),
        None => Halt::Refused(format!("The {side} failed while {doing}: {}.", describe(error))),
        Some(db) if state_passes(db.code().code()) => {
            Halt::Passing(format!("The {side} reported while {doing}: {}.", shown(db)))
        }
        Some(db) => Halt::Refused(format!("The {side} refused while {doing}: {}.", shown(db))),
    }
}

fn io_cause(error: &tokio_postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Sorts an error of the running stream.
pub(super) fn reading(publication: &str, error: &StreamError) -> Halt {
    match error {
        // Undefined object; not in prerequisite state, a warning of PostgreSQL 18: the publication was not there when
        // a change was written. PostgreSQL looks at the catalog as it was then, so making it anew does not help.
        StreamError::Server(error) if matches!(error.sqlstate.as_str(), "42704" | "55000") => Halt::Again(format!(
            "The publication \"{}\" was not there when changes were written at the source ({error}), so the source can't \
             send them. If it is gone, create it; to go on, start with --copy-again, which copies all tables anew.",
            printable(publication)
        )),
        error => stream("reading the stream", error),
    }
}

/// Sorts an error of the replication connection.
pub(super) fn stream(doing: &str, error: &StreamError) -> Halt {
    match error {
        StreamError::Io(error) => Halt::Lost(Side::Source, format!("lost while {doing} ({error})")),
        StreamError::Ended | StreamError::ReadUp => {
            Halt::Lost(Side::Source, format!("closed by the server while {doing}"))
        }
        StreamError::Server(error) if state_passes(&error.sqlstate) => {
            Halt::Passing(format!("The source reported while {doing}: {error}."))
        }
        StreamError::Server(error) => {
            let hint = error.hint.as_deref().map(|hint| format!(" {}", printable(hint))).unwrap_or_default();
            Halt::Refused(format!("The source refused while {doing}: {error}.{hint}"))
        }
        StreamError::Protocol(text) => {
            Halt::Refused(format!("The source's replication stream can't be understood while {doing}: {text}."))
        }
    }
}

/// A server's error without row values: messages of class 22 (data exceptions) quote the value.
pub(super) fn shown(db: &DbError) -> String {
    let error = ServerError::from(db);
    if error.sqlstate.starts_with("22") {
        let column = db.column().map(|name| format!(" for column {}", printable(name))).unwrap_or_default();
        return format!("a value is not valid{column} (SQLSTATE {})", printable(&error.sqlstate));
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Halt, state_passes, stream};
    use crate::connection::ServerError;
    use crate::replication::stream::StreamError;

    #[test]
    fn what_passes_is_waited_for_and_what_does_not_is_refused() {
        for state in ["57P01", "08006", "53100", "40001", "55006"] {
            assert!(state_passes(state), "{state}");
        }
        for state in ["23505", "42P01", "42501", "28P01", "", "é"] {
            assert!(!state_passes(state), "{state}");
        }
        let server = |sqlstate: &str| {
            StreamError::Server(Box::new(ServerError { sqlstate: sqlstate.to_owned(), ..ServerError::default() }))
        };
        assert!(matches!(stream("x", &server("57P01")), Halt::Passing(_)));
        assert!(matches!(stream("x", &server("42704")), Halt::Refused(_)));
    }
}
