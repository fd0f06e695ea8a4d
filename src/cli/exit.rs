//! Exit codes: part of the interface, documented in the README.

use std::process::ExitCode;

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Fine.
    Fine,
    /// The checks found blockers, or the rows of two sides differ.
    Blockers,
    /// The command line can't be understood, or a terminal is needed and there is none.
    Usage,
    /// A server can't be reached.
    CannotConnect,
    /// A run, an application or a reading failed.
    Failed,
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// `walpilot diagnose`: something will become critical by itself.
    Warning,
    /// `walpilot diagnose`: something is broken, or will be soon.
    Critical,
    /// `walpilot diagnose`: it could not be found out.
    Unknown,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Blockers | Self::Warning => 1,
            Self::Usage | Self::Critical => 2,
            Self::CannotConnect | Self::Unknown => 3,
            Self::Failed => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ended early: the exit code and one clear sentence for standard error.
#[derive(Debug)]
pub struct Stop {
    /// The exit code.
    pub exit: Exit,
    /// The sentence; safe to print.
    pub message: String,
}

impl Stop {
    /// Ends with `exit` and `message`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<crate::connection::Failure> for Stop {
    fn from(failure: crate::connection::Failure) -> Self {
        Self::new(Exit::CannotConnect, failure.to_string())
    }
}

/// A stream that was closed by its reader (`| head`) is no error of ours; anything else is.
impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Fine, "");
        }
        Self::new(Exit::Failed, format!("Writing the output failed: {error}."))
    }
}
