//! What a setup changed, so that it can be undone exactly.
//!
//! It is noted before anything is changed, in the comment of the role: that is there for both methods and as long as
//! there is something to undo. Where the administrator may not comment on the role, because nothing of it had to be
//! changed, the publication's comment holds it. Whatever else the comment says is kept.
//!
//! A note holds names and states, never statements: whoever may change it must not choose what an administrator runs.

use serde::{Deserialize, Serialize};

use crate::catalog::ddl;
use crate::profile::TableName;

/// What the notes begin with.
const MARK: &str = "walpilot setup: ";

/// The changes of one setup, as the way back needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that was done")]
pub struct Record {
    /// The database.
    pub database: String,
    /// The publication; empty for the method xmin.
    pub publication: String,
    /// The publication was created.
    #[serde(skip_serializing_if = "is_false")]
    pub created: bool,
    /// Tables that were added to a publication of somebody else's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<TableName>,
    /// The role was created.
    #[serde(skip_serializing_if = "is_false")]
    pub role: bool,
    /// It was given LOGIN.
    #[serde(skip_serializing_if = "is_false")]
    pub login: bool,
    /// It was given REPLICATION.
    #[serde(skip_serializing_if = "is_false")]
    pub replication: bool,
    /// It was given BYPASSRLS.
    #[serde(skip_serializing_if = "is_false")]
    pub bypass_rls: bool,
    /// Roles that were granted to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// It was given CONNECT.
    #[serde(skip_serializing_if = "is_false")]
    pub connect: bool,
    /// Schemas on which it was given USAGE.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<String>,
    /// Tables on which it was given SELECT.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub select: Vec<TableName>,
    /// Schemas of which it could read no table, and then every one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub select_all: Vec<String>,
    /// Default privileges: who creates, and in which schema.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<(String, String)>,
    /// Tables that got a policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<TableName>,
    /// Tables with the replica identity that they had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Former>,
    /// The table for heartbeats was created.
    #[serde(skip_serializing_if = "is_false")]
    pub heartbeat: bool,
}

/// The replica identity that a table had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The table.
    pub table: TableName,
    /// `pg_class.relreplident`, as it was.
    pub setting: String,
    /// The index that the setting named, if it still served.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index: Option<String>,
    /// `pg_class.relreplident`, as the setup made it: what somebody else has set since is not touched.
    pub made: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Record {
    /// Adds what a later plan for the same publication changes. The earlier state of a table is the one to go back to.
    fn absorb(&mut self, later: &Self) {
        fn join<T: Clone + PartialEq>(all: &mut Vec<T>, more: &[T]) {
            for one in more {
                if !all.contains(one) {
                    all.push(one.clone());
                }
            }
        }
        self.created |= later.created;
        self.role |= later.role;
        self.login |= later.login;
        self.replication |= later.replication;
        self.bypass_rls |= later.bypass_rls;
        self.connect |= later.connect;
        self.heartbeat |= later.heartbeat;
        join(&mut self.added, &later.added);
        join(&mut self.groups, &later.groups);
        join(&mut self.usage, &later.usage);
        join(&mut self.select, &later.select);
        join(&mut self.select_all, &later.select_all);
        join(&mut self.defaults, &later.defaults);
        join(&mut self.policies, &later.policies);
        for former in &later.identities {
            match self.identities.iter_mut().find(|known| known.table == former.table) {
                Some(known) => known.made.clone_from(&former.made),
                None => self.identities.push(former.clone()),
            }
        }
    }

    fn same_setup(&self, other: &Self) -> bool {
        (&self.database, &self.publication) == (&other.database, &other.publication)
    }

    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let named = Self { database: self.database.clone(), publication: self.publication.clone(), ..Self::default() };
        *self == named
    }
}

/// A comment with walpilot's notes in it: one record for each setup that an object takes part in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What the comment says beside them.
    rest: String,
    /// The records.
    pub records: Vec<Record>,
}

impl Notes {
    /// Reads a comment. Notes that can't be read stay as they are.
    #[must_use]
    pub fn read(comment: Option<&str>) -> Self {
        let comment = comment.unwrap_or_default();
        let found = comment.split_once(MARK).and_then(|(rest, notes)| {
            let records = serde_json::from_str(notes).ok()?;
            Some(Self { rest: rest.trim_end().to_owned(), records })
        });
        found.unwrap_or_else(|| Self { rest: comment.to_owned(), records: Vec::new() })
    }

    /// The record of a setup.
    #[must_use]
    pub fn find(&self, database: &str, publication: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.database == database && record.publication == publication)
    }

    /// With the changes of `record` as well.
    #[must_use]
    pub fn with(mut self, record: &Record) -> Self {
        match self.records.iter_mut().find(|known| known.same_setup(record)) {
            Some(known) => known.absorb(record),
            None => self.records.push(record.clone()),
        }
        self
    }

    /// Without the record of a setup.
    #[must_use]
    pub fn without(mut self, record: &Record) -> Self {
        self.records.retain(|known| !known.same_setup(record));
        self
    }

    /// What is left to undo of a setup that was struck out goes to another one: rights to one of the same database, what
    /// belongs to the role itself to any.
    #[must_use]
    pub fn inherit(mut self, record: &Record) -> Self {
        let at = self.records.iter().position(|heir| heir.database == record.database);
        let left = match at {
            Some(_) => Record { created: false, added: Vec::new(), heartbeat: false, ..record.clone() },
            None => Record {
                role: record.role,
                login: record.login,
                replication: record.replication,
                bypass_rls: record.bypass_rls,
                groups: record.groups.clone(),
                ..Record::default()
            },
        };
        if let Some(heir) = self.records.get_mut(at.unwrap_or(0)) {
            heir.absorb(&left);
        }
        self
    }

    /// The comment; `None` when nothing is left to say.
    #[must_use]
    pub fn comment(&self) -> Option<String> {
        if self.records.is_empty() {
            return (!self.rest.is_empty()).then(|| self.rest.clone());
        }
        // Names and flags always serialise.
        let notes = serde_json::to_string(&self.records).unwrap_or_default();
        let between = if self.rest.is_empty() { "" } else { " " };
        Some(format!("{}{between}{MARK}{notes}", self.rest))
    }
}

impl Former {
    /// The statement that brings it back; `None` where it can't be brought back, because its index is gone.
    #[must_use]
    pub fn sql(&self) -> Option<String> {
        Some(match (self.setting.as_str(), &self.index) {
            ("d", _) => ddl::identity_default(&self.table),
            ("n", _) => ddl::identity_nothing(&self.table),
            ("f", _) => ddl::identity_full(&self.table),
            ("i", Some(index)) => ddl::identity_index(&self.table, index),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Former, Notes, Record};
    use crate::profile::TableName;

    fn record() -> Record {
        let table = TableName::new("s'x", "t\n\"; DROP");
        let former = Former { table, setting: "n".to_owned(), index: None, made: "f".to_owned() };
        let identities = vec![former];
        Record {
            database: "shop".to_owned(),
            role: true,
            usage: vec!["s'x".to_owned()],
            identities,
            ..Record::default()
        }
    }

    #[test]
    fn what_is_noted_comes_back_and_the_rest_of_the_comment_stays() {
        for comment in [None, Some("somebody's own words")] {
            let notes = Notes::read(comment).with(&record());
            let read = Notes::read(notes.comment().as_deref());
            assert_eq!(read, notes);
            assert_eq!(read.find("shop", ""), Some(&record()));
            assert_eq!(read.find("other", ""), None);
            assert_eq!(read.without(&record()).comment().as_deref(), comment);
        }
        assert!(Notes::read(Some("walpilot setup: not JSON")).records.is_empty());
    }

    #[test]
    fn a_second_script_keeps_the_first_state_of_a_table() {
        let mut later = record();
        later.role = false;
        later.identities[0].setting = "f".to_owned();
        later.identities[0].made = "i".to_owned();
        let notes = Notes::default().with(&record()).with(&later);
        assert_eq!(notes.records.len(), 1);
        let kept = &notes.records[0];
        assert!(kept.role && kept.identities.len() == 1);
        assert_eq!((kept.identities[0].setting.as_str(), kept.identities[0].made.as_str()), ("n", "i"));
        let elsewhere = Record { database: "other".to_owned(), ..record() };
        assert_eq!(notes.with(&elsewhere).records.len(), 2);
    }
}
