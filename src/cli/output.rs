//! Standard output and standard error: the only place that prints.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use crate::connection::printable_json;

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A few colours of the terminal's own palette; the word beside it always carries the meaning too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Good.
    Good,
    /// A warning.
    Warn,
    /// Bad.
    Bad,
    /// Less important.
    Dim,
    /// A heading.
    Bold,
}

/// Where a command prints to.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    color: bool,
    width: Option<u16>,
}

impl Output {
    /// Decides about colour once.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the environment is read here")]
    pub fn new(choice: ColorChoice) -> Self {
        let color = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        };
        let width = io::stdout().is_terminal().then(crossterm::terminal::size).and_then(Result::ok);
        // A terminal that does not know its size says 0.
        Self { color, width: width.map(|(columns, _)| columns).filter(|columns| *columns > 0) }
    }

    /// Columns of the terminal; `None` where the text goes into a file or a pipe, where no line is broken.
    #[must_use]
    pub fn width(self) -> Option<u16> {
        self.width
    }

    /// Whether colours are used.
    #[must_use]
    pub fn has_color(self) -> bool {
        self.color
    }

    /// Prints one line to standard output.
    ///
    /// # Errors
    /// When it can't be written; `BrokenPipe` when the reader has gone.
    pub fn line(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Prints bytes as they are to standard output.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn raw(self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Prints one line to standard error. Nothing can be done when that fails.
    pub fn note(self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// `text` in a colour, if colours are on.
    #[must_use]
    pub fn paint(self, paint: Paint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Good => "32",
            Paint::Warn => "33",
            Paint::Bad => "31;1",
            Paint::Dim => "2",
            Paint::Bold => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Prints a value as indented JSON.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn json(self, value: &impl serde::Serialize) -> io::Result<()> {
        self.line(&printable_json(&serde_json::to_string_pretty(value).map_err(io::Error::other)?))
    }

    /// Prints a value as JSON in one line.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn json_line(self, value: &impl serde::Serialize) -> io::Result<()> {
        self.line(&printable_json(&serde_json::to_string(value).map_err(io::Error::other)?))
    }
}
