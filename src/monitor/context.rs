//! Who holds back vacuum and decoding, which copies run, and what checkpointer and archiver do: read every ten seconds.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use crate::catalog::Lsn;
use crate::profile::TableName;

/// The surroundings of the slots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// When it was read, on the source's clock.
    pub at: Moment,
    /// Who holds back the horizon, the oldest first.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub holders: Vec<Holder>,
    /// The statements of the walsenders, as far as they can be seen.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub requests: Vec<Request>,
    /// COPY commands that run (14 and newer).
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub copies: Vec<Copying>,
    /// The database whose oldest row is nearest to the wraparound.
    pub oldest_database: Option<Database>,
    /// Where recovery after a crash would begin.
    pub redo: Option<Lsn>,
    /// When the last checkpoint began.
    pub checkpointed: Option<Moment>,
    /// When a transaction was committed last; known where `track_commit_timestamp` is on.
    pub last_commit: Option<Moment>,
    /// Checkpoints because of the time, since the statistics were reset.
    pub timed_checkpoints: Option<u64>,
    /// Checkpoints because of the amount of WAL or a command.
    pub requested_checkpoints: Option<u64>,
    /// What the archiver did.
    pub archiver: Option<Archiver>,
    /// Settings that were changed and wait for a restart.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub pending_restart: Vec<String>,
    /// Standbys, by connection or by slot.
    #[serde(default)]
    pub standbys: u32,
}

/// What keeps old rows from being removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// An open transaction.
    #[default]
    Session,
    /// A transaction prepared for two-phase commit.
    Prepared,
    /// A slot.
    Slot,
    /// A standby with `hot_standby_feedback` and no slot.
    Standby,
}

/// Somebody who holds back the horizon. What the role may not see is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// What it is.
    pub kind: HolderKind,
    /// Its process.
    pub pid: Option<i32>,
    /// The slot, or the identifier of the prepared transaction.
    pub name: Option<String>,
    /// Its role.
    pub user: Option<String>,
    /// Its `application_name`.
    pub application: Option<String>,
    /// Its database.
    pub database: Option<String>,
    /// What kind of process it is.
    pub backend_type: Option<String>,
    /// `active`, `idle in transaction`, …
    pub state: Option<String>,
    /// The age in transactions of the oldest row version that it may still see.
    pub age: i64,
    /// The age in transactions of its own transaction id; `None` when it has written nothing.
    pub writing_age: Option<i64>,
    /// Only catalogs are held back, not tables.
    pub catalog_only: bool,
    /// When its transaction began.
    pub began: Option<Moment>,
    /// Since when it is in this state.
    pub state_change: Option<Moment>,
    /// The beginning of its last statement.
    pub query: Option<String>,
}

/// What a reader of a slot asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its process.
    pub pid: i32,
    /// `START_REPLICATION …`
    pub query: String,
}

/// A COPY that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Copying {
    /// Its process.
    pub pid: i32,
    /// The table's schema; `None` for a query, and in another database.
    pub schema: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// `COPY TO` or `COPY FROM`.
    pub command: Option<String>,
    /// Rows so far.
    pub rows: Option<u64>,
    /// Bytes so far.
    pub bytes: Option<u64>,
    /// The table's rows as last estimated; negative when never.
    pub estimated_rows: Option<f64>,
    /// Whose it is.
    pub application: Option<String>,
    /// Its role.
    pub user: Option<String>,
    /// When its transaction began.
    pub began: Option<Moment>,
}

impl Copying {
    /// The table, if it is one of this database.
    #[must_use]
    pub fn name(&self) -> Option<TableName> {
        Some(TableName::new(self.schema.clone()?, self.table.clone()?))
    }

    /// The share that is done, 0 to 1, by the estimated rows.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        let all = self.estimated_rows.filter(|rows| *rows > 0.0)?;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        Some((self.rows? as f64 / all).min(1.0))
    }
}

/// A database and the age of its oldest transaction id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// `age(datfrozenxid)`.
    pub age: i64,
}

/// `pg_stat_archiver`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archiver {
    /// Files archived.
    pub archived: u64,
    /// The last of them.
    pub last_archived: Option<String>,
    /// When.
    pub last_archived_at: Option<Moment>,
    /// Failed attempts.
    pub failed: u64,
    /// What failed last.
    pub last_failed: Option<String>,
    /// When.
    pub last_failed_at: Option<Moment>,
}

impl Archiver {
    /// Whether the last attempt failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.last_failed_at.is_some_and(|failed| self.last_archived_at.is_none_or(|archived| failed > archived))
    }
}

impl Context {
    /// The publications that the reader with process `pid` asked for: `publication_names` of its `START_REPLICATION`.
    /// `None` when its statement can't be seen or names none.
    #[must_use]
    pub fn requested_publications(&self, pid: i32) -> Option<Vec<String>> {
        let request = self.requests.iter().find(|request| request.pid == pid)?;
        publication_names(&request.query)
    }

    /// The plain options that the reader with process `pid` gave, without its publications: `proto_version 1`. `None`
    /// when its statement can't be seen.
    #[must_use]
    pub fn requested_options(&self, pid: i32) -> Option<Vec<String>> {
        let request = self.requests.iter().find(|request| request.pid == pid)?;
        // What stands before it is the slot's name, which may be that of an option.
        let (_, options) = request.query.split_once(" LOGICAL ").unwrap_or_default();
        Some(
            ["proto_version", "streaming", "two_phase", "binary", "messages", "origin"]
                .into_iter()
                .filter_map(|name| {
                    let rest = &options[options.find(name)? + name.len()..];
                    let value = rest.trim_start_matches(['"', ' ']).strip_prefix('\'')?;
                    Some(format!("{name} {}", &value[..value.find('\'')?]))
                })
                .collect(),
        )
    }
}

/// The value of `publication_names` in a `START_REPLICATION` command: a quoted literal that holds quoted identifiers.
fn publication_names(query: &str) -> Option<Vec<String>> {
    let from = query.find("publication_names")? + "publication_names".len();
    let rest = query[from..].trim_start_matches(['"', ' ']).strip_prefix('\'')?;
    let mut literal = String::new();
    let mut chars = rest.chars().peekable();
    loop {
        match chars.next()? {
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
                literal.push('\'');
            }
            '\'' => break,
            c => literal.push(c),
        }
    }
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = literal.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if !quoted && c.is_whitespace() => {}
            c if quoted => name.push(c),
            c => name.extend(c.to_lowercase()),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    Some(names)
}

/// `json_agg` over nothing is null.
pub(super) fn nothing_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Context, Request, publication_names};

    #[test]
    fn a_slot_that_is_called_like_an_option_hides_none() {
        let query = r#"START_REPLICATION SLOT "binary" LOGICAL 0/0 (proto_version '1', binary 'true')"#.to_owned();
        let context = Context { requests: vec![Request { pid: 7, query }], ..Context::default() };
        assert_eq!(context.requested_options(7).unwrap(), ["proto_version 1", "binary true"]);
        assert_eq!(context.requested_options(8), None);
    }

    #[test]
    fn the_publications_that_a_reader_asked_for_are_read_from_its_command() {
        let native =
            r#"START_REPLICATION SLOT "sub" LOGICAL 0/0 (proto_version '4', publication_names '"p","it''s, ""x"""')"#;
        assert_eq!(publication_names(native).unwrap(), ["p", "it's, \"x\""]);
        let tool = r#"START_REPLICATION SLOT "s" LOGICAL 0/0 ("proto_version" '1', "publication_names" 'P, q')"#;
        assert_eq!(publication_names(tool).unwrap(), ["p", "q"]);
        for none in ["START_REPLICATION SLOT s LOGICAL 0/0", "publication_names 'cut off", "publication_names"] {
            assert_eq!(publication_names(none), None, "{none}");
        }
    }
}
