//! What a check came to, before its id and its texts are added; the one place where texts are made safe to print.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Check;
use crate::connection::printable;
use crate::preflight::finding::{Finding, Fix, FixKind, Severity, Status};

/// How many objects a finding lists; `object_count` says how many there are.
pub(crate) const MAX_OBJECTS: usize = 1000;
/// How many objects a summary names.
const NAMED: usize = 3;

/// What a check comes to: an outcome, or `None` where it does not apply. An error is an outcome too, that of another
/// check's cause, so that `?` ends the judgement.
pub(crate) type Judged = Result<Option<Outcome>, Outcome>;

/// Both ways to end are answers.
pub(crate) fn settle(judged: Judged) -> Option<Outcome> {
    judged.unwrap_or_else(Some)
}

/// A check's answer.
pub(crate) struct Outcome {
    status: Status,
    severity: Option<Severity>,
    summary: String,
    evidence: BTreeMap<String, Value>,
    objects: Vec<String>,
    fixes: Vec<Fix>,
}

impl Outcome {
    fn new(status: Status, summary: impl Into<String>) -> Self {
        Self {
            status,
            severity: None,
            summary: summary.into(),
            evidence: BTreeMap::new(),
            objects: Vec::new(),
            fixes: Vec::new(),
        }
    }

    /// It holds.
    pub(crate) fn pass(summary: impl Into<String>) -> Self {
        Self::new(Status::Pass, summary)
    }

    /// It holds, with a risk.
    pub(crate) fn warn(summary: impl Into<String>) -> Self {
        Self::new(Status::Warn, summary)
    }

    /// It does not hold.
    pub(crate) fn fail(summary: impl Into<String>) -> Self {
        Self::new(Status::Fail, summary)
    }

    /// It could not be seen, for that reason. A fix has to say what would open it.
    pub(crate) fn unseen(what: &str, reason: &str) -> Self {
        Self::new(Status::Unseen, format!("{what} can't be seen: {reason}"))
    }

    /// The check of that id owns the cause.
    pub(crate) fn skipped(owner: &'static str, because: &str) -> Self {
        Self::new(Status::Skipped, format!("not judged: {because} (see {owner})")).evidence("owner", owner)
    }

    /// How much it matters in this case.
    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Another summary, where it is known only at the end.
    pub(crate) fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// A value that it was decided on.
    pub(crate) fn evidence(mut self, key: &str, value: impl Into<Value>) -> Self {
        let safe = |value| match value {
            Value::String(text) => Value::String(printable(&text).into_owned()),
            other => other,
        };
        let value = match value.into() {
            Value::Array(values) => Value::Array(values.into_iter().map(safe).collect()),
            other => safe(other),
        };
        self.evidence.insert(key.to_owned(), value);
        self
    }

    /// The objects concerned.
    pub(crate) fn objects(mut self, objects: impl IntoIterator<Item = impl ToString>) -> Self {
        self.objects = objects.into_iter().map(|object| object.to_string()).collect();
        self
    }

    /// A fix in SQL.
    pub(crate) fn sql(self, text: impl Into<String>, who: &str) -> Self {
        self.fix(Fix { kind: FixKind::Sql, text: text.into() + ";", who: who.to_owned(), lock: None, restart: false })
    }

    /// A fix in SQL that others feel while it runs. What keeps even readers out must not wait for its lock for long,
    /// because everybody queues behind it.
    pub(crate) fn sql_with_lock(self, text: impl Into<String>, who: &str, lock: &str) -> Self {
        let limit = if lock.starts_with("ACCESS EXCLUSIVE") { "SET lock_timeout = '2s'; " } else { "" };
        let text = format!("{limit}{};", text.into());
        self.fix(Fix { kind: FixKind::Sql, text, who: who.to_owned(), lock: Some(lock.to_owned()), restart: false })
    }

    /// A fix in words.
    pub(crate) fn advice(self, text: impl Into<String>, who: &str) -> Self {
        self.fix(Fix { kind: FixKind::Text, text: text.into(), who: who.to_owned(), lock: None, restart: false })
    }

    /// A fix.
    pub(crate) fn fix(mut self, fix: Fix) -> Self {
        self.fixes.push(fix);
        self
    }

    /// Fixes that belong together.
    pub(crate) fn fixes(mut self, fixes: impl IntoIterator<Item = Fix>) -> Self {
        self.fixes.extend(fixes);
        self
    }

    /// The finding of `check`.
    pub(crate) fn finding(self, check: &Check) -> Finding {
        let object_count = self.objects.len();
        let safe = |text: String| match printable(&text) {
            std::borrow::Cow::Borrowed(_) => text,
            std::borrow::Cow::Owned(safe) => safe,
        };
        Finding {
            id: check.id,
            status: self.status,
            severity: self.severity.unwrap_or(check.severity),
            summary: safe(self.summary),
            why: check.why.to_owned(),
            evidence: self.evidence,
            objects: self.objects.into_iter().take(MAX_OBJECTS).map(safe).collect(),
            object_count,
            fixes: self.fixes.into_iter().map(|fix| Fix { text: safe(fix.text), who: safe(fix.who), ..fix }).collect(),
            doc: check.doc,
        }
    }
}

/// "a, b, c and 7 more".
pub(crate) fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// "1 table" or "3 tables".
pub(crate) fn count(number: usize, singular: &str, plural: &str) -> String {
    if number == 1 { format!("1 {singular}") } else { format!("{number} {plural}") }
}

/// Bytes for people.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 10 * 1024 {
        return format!("{bytes} bytes");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Seconds for people.
pub(crate) fn duration(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
