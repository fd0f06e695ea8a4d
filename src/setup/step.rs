//! One thing to do at the source, and a list of them: what is planned, printed, rehearsed and applied.

use serde::Serialize;

use crate::connection::printable;
use crate::profile::TableName;

/// Who has to run a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Person {
    /// The administrator: roles, the database, the publication.
    Administrator,
    /// The owner of schemas and tables, by name.
    Owner(String),
    /// The replicating role.
    Replication,
}

impl Person {
    /// The word for it, as in JSON and in file names.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Owner(_) => "owner",
            Self::Replication => "replication",
        }
    }

    /// The owner's name; sorts those who own nothing before owners by name.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        match self {
            Self::Owner(name) => Some(name),
            Self::Administrator | Self::Replication => None,
        }
    }
}

/// One statement with what a careful administrator wants to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Who has to run it.
    pub person: Person,
    /// What it does, in a few words. Safe to print, also in a SQL comment.
    pub title: String,
    /// Why it is needed, in one line. Safe to print.
    pub why: String,
    /// One SQL statement without a trailing semicolon; runs as it stands.
    pub sql: String,
    /// What `sql` is.
    pub form: Form,
    /// Who may run it, in words. Safe to print.
    pub who: String,
    /// The lock that it takes, where others feel it.
    pub lock: Option<String>,
    /// The table that nobody else can read or write while the lock is held.
    pub locked: Option<TableName>,
    /// A condition in SQL that is true when there is nothing to do any more.
    pub unless: Option<String>,
    /// A statement that fails, with a sentence, while the step would do harm.
    pub guard: Option<String>,
    /// It is done already, and printed because everything was asked for.
    pub exists: bool,
}

/// What a step's SQL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Form {
    /// The statement itself.
    #[default]
    Statement,
    /// The statement itself; psql asks for the password that it names as `:'walpilot_password'`.
    AsksPassword,
    /// A query whose rows are the statements to run, for psql's `\gexec`.
    Writes,
    /// A query whose columns become variables of psql, by `\gset`.
    Remembers,
}

/// What the statements that change a table as a whole take.
const EXCLUSIVE: &str = "ACCESS EXCLUSIVE, for a moment";

impl Step {
    /// A step with its texts made safe to print.
    #[must_use]
    pub fn new(person: Person, title: &str, why: &str, sql: String, who: &str) -> Self {
        Self {
            person,
            title: printable(title).into_owned(),
            why: printable(why).into_owned(),
            sql,
            form: Form::Statement,
            who: printable(who).into_owned(),
            lock: None,
            locked: None,
            unless: None,
            guard: None,
            exists: false,
        }
    }

    /// Says what the SQL is.
    #[must_use]
    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// Says which lock it takes.
    #[must_use]
    pub fn lock(self, lock: &str) -> Self {
        Self { lock: Some(lock.to_owned()), ..self }
    }

    /// Says that it keeps everybody else away from `table`.
    #[must_use]
    pub fn locking(self, table: TableName) -> Self {
        Self { locked: Some(table), ..self.lock(EXCLUSIVE) }
    }

    /// Says when there is nothing to do.
    #[must_use]
    pub fn unless(self, condition: String) -> Self {
        Self { unless: Some(condition), ..self }
    }

    /// Says what has to hold before; see [`super::condition`].
    #[must_use]
    pub fn guard(self, guard: Option<String>) -> Self {
        Self { guard, ..self }
    }

    /// Says whether it is done already.
    #[must_use]
    pub fn exists(self, exists: bool) -> Self {
        Self { exists, ..self }
    }

    /// Whether a transaction can take it back: a slot stays.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        !self.sql.contains("pg_create_logical_replication_slot") && !self.sql.contains("pg_drop_replication_slot")
    }

    /// The statement as it may be shown: a verifier allows to guess the password offline, so it stays out of messages.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.sql.find(" PASSWORD ") {
            Some(at) if self.sql.starts_with("CREATE ROLE ") => format!("{} PASSWORD '…'", &self.sql[..at]),
            _ => self.sql.clone(),
        }
    }
}

impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut step = serializer.serialize_struct("Step", 10)?;
        step.serialize_field("person", self.person.name())?;
        step.serialize_field("owner", &self.person.owner().map(printable))?;
        step.serialize_field("title", &self.title)?;
        step.serialize_field("why", &self.why)?;
        step.serialize_field("sql", &self.sql)?;
        step.serialize_field("who", &self.who)?;
        step.serialize_field("lock", &self.lock)?;
        step.serialize_field("unless", &self.unless)?;
        step.serialize_field("guard", &self.guard)?;
        step.serialize_field("exists", &self.exists)?;
        step.end()
    }
}

/// The steps, in order. Empty when nothing is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Statements in the order in which they have to run.
    pub steps: Vec<Step>,
    /// What walpilot can't do by SQL in this database (a restart, a provider's console), in words. Further lines are
    /// the exact statements or commands. Safe to print.
    pub by_hand: Vec<String>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.by_hand.is_empty()
    }

    /// Adds what is done by hand: a sentence, then exact statements or commands.
    pub fn note<'a>(&mut self, text: &str, commands: impl IntoIterator<Item = &'a str>) {
        let mut note = printable(text).into_owned();
        for command in commands {
            note.push('\n');
            note.push_str(&printable(command));
        }
        self.by_hand.push(note);
    }
}

#[cfg(test)]
mod tests {
    use super::{Person, Step};

    #[test]
    fn a_verifier_is_not_repeated() {
        let step = |sql: &str| Step::new(Person::Administrator, "", "", sql.to_owned(), "");
        let role = step("CREATE ROLE \"r\" LOGIN PASSWORD 'SCRAM-SHA-256$4096:S3NT1NEL'");
        assert_eq!(role.shown(), "CREATE ROLE \"r\" LOGIN PASSWORD '…'");
        assert_eq!(step("SELECT 1").shown(), "SELECT 1");
    }

    #[test]
    fn titles_are_safe_to_print() {
        let step = Step::new(Person::Administrator, "a\nb\u{1b}[31m", "c\rd", String::new(), "e\u{202e}");
        assert!(
            [&step.title, &step.why, &step.who].iter().all(|text| !text.contains(['\n', '\r', '\u{1b}', '\u{202e}']))
        );
    }
}
