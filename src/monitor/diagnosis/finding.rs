//! What a rule says.

use serde::Serialize;

use crate::monitor::moment::Moment;

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Replication is broken or will be within the hour, or the source is in danger.
    Critical,
    /// It will become critical by itself.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// The word in exports: `critical`, `warning` or `info`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// Four letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "CRIT",
            Self::Warning => "WARN",
            Self::Info => "INFO",
        }
    }
}

/// One thing that is wrong, with what to do. All texts are safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name; stable.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a slot, the server, the destination.
    pub object: String,
    /// What is wrong, in a few words.
    pub title: String,
    /// How that was seen, in a sentence with numbers.
    pub evidence: String,
    /// Since when; the source's clock.
    pub since: Option<Moment>,
    /// What to do, the best first.
    pub actions: Vec<Action>,
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Action {
    /// What it does.
    pub label: String,
    /// The statement, if it is one.
    pub sql: Option<String>,
    /// Who may run it.
    pub who: Option<&'static str>,
    /// What can go wrong.
    pub risk: Option<&'static str>,
}

impl Action {
    /// Something to do outside the database.
    pub(super) fn advice(label: impl Into<String>) -> Self {
        Self { label: label.into(), sql: None, who: None, risk: None }
    }

    /// A statement.
    pub(super) fn run(label: impl Into<String>, sql: impl Into<String>, who: &'static str) -> Self {
        Self { label: label.into(), sql: Some(sql.into()), who: Some(who), risk: None }
    }

    /// What can go wrong with it.
    pub(super) fn at_risk(self, risk: &'static str) -> Self {
        Self { risk: Some(risk), ..self }
    }
}
