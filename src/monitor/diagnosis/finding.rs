//! What a rule says.

use std::cmp::Ordering;
use std::time::Duration;

use serde::Serialize;

use crate::monitor::moment::Moment;
use crate::monitor::reading::in_seconds;
use crate::monitor::thresholds;

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
    /// How long until what it warns of has happened: a slot that is lost, a volume that is full. `None` where no time can
    /// be told.
    #[serde(rename = "left_seconds", serialize_with = "in_seconds")]
    pub left: Option<Duration>,
    /// What to do, the best first.
    pub actions: Vec<Action>,
    /// What a person decided about it.
    pub handling: Handling,
    /// It is not seen any more, and will be resolved when that lasts.
    pub clearing: bool,
    /// How long it has to last before it is told; twice as long it has to be gone before it is resolved.
    #[serde(skip)]
    pub(super) lasts: Duration,
}

/// What a person decided about a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Handling {
    /// Nothing yet.
    #[default]
    Open,
    /// Somebody knows and works on it. A worse severity opens it again.
    Acknowledged {
        /// What they say.
        note: String,
        /// When.
        at: Moment,
    },
    /// Nobody wants to hear of it.
    Muted {
        /// Until when; `None`: until it is resolved.
        until: Option<Moment>,
    },
}

impl Finding {
    /// A finding about `object`, told at once.
    pub(super) fn new(
        rule: &'static str,
        severity: Severity,
        object: impl Into<String>,
        title: impl Into<String>,
        evidence: String,
        actions: Vec<Action>,
    ) -> Self {
        Self {
            rule,
            severity,
            object: object.into(),
            title: title.into(),
            evidence,
            since: None,
            left: None,
            actions,
            handling: Handling::Open,
            clearing: false,
            lasts: Duration::ZERO,
        }
    }

    /// Told only when it has lasted for so many seconds.
    pub(super) fn lasting(self, seconds: u64) -> Self {
        Self { lasts: Duration::from_secs(seconds), ..self }
    }

    /// Since when it stands, where the rule knows it.
    pub(super) fn since(self, since: Option<Moment>) -> Self {
        Self { since, ..self }
    }

    /// How long until it has happened.
    pub(super) fn left(self, left: Option<Duration>) -> Self {
        Self { left, ..self }
    }

    /// The order in which findings are told: the worse one first; of equally bad ones what is lost soonest, while it can
    /// still be saved; the rest by rule and object, so that nothing jumps about.
    pub(super) fn worse_first(&self, other: &Self) -> Ordering {
        let urgent = |finding: &Self| finding.left.filter(|left| *left <= thresholds::URGENT).unwrap_or(Duration::MAX);
        let order = |finding: &Self| (finding.severity, urgent(finding), finding.rule);
        order(self).cmp(&order(other)).then_with(|| self.object.cmp(&other.object))
    }

    /// Whether somebody has acknowledged it.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        matches!(self.handling, Handling::Acknowledged { .. })
    }
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

    /// A setting of the server, which takes effect without a restart. One statement each line: ALTER SYSTEM runs in no
    /// transaction, so both can't be sent as one.
    pub(super) fn set(label: impl Into<String>, setting: impl std::fmt::Display) -> Self {
        let sql = format!("ALTER SYSTEM SET {setting};\nSELECT pg_reload_conf();");
        Self::run(label, sql, "a superuser, or the provider's console")
    }

    /// What can go wrong with it.
    pub(super) fn at_risk(self, risk: &'static str) -> Self {
        Self { risk: Some(risk), ..self }
    }
}
