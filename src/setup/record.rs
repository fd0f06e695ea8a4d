//! What a setup script changed, so that it can be undone exactly.
//!
//! It is kept as the publication's comment, where it lives as long as there is something to undo. It holds names and
//! states, never statements: whoever may change the comment must not choose what an administrator runs.

use serde::{Deserialize, Serialize};

use crate::catalog::ddl;
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::profile::TableName;

/// What the comment begins with.
const MARK: &str = "walpilot setup: ";

/// The changes of one script, as the way back needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
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
    /// Default privileges: who creates, and in which schema.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<(String, String)>,
    /// Tables that got a policy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<TableName>,
    /// Tables with the replica identity that they had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Former>,
}

/// The replica identity that a table had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The table.
    pub table: TableName,
    /// `pg_class.relreplident`.
    pub setting: String,
    /// The index that the setting named, if it still served.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Record {
    /// The statement that keeps it.
    #[must_use]
    pub fn comment(&self, publication: &str) -> String {
        // Names and flags always serialise.
        let text = serde_json::to_string(self).unwrap_or_default();
        format!("COMMENT ON PUBLICATION {} IS {}", quote_ident(publication), quote_literal(&format!("{MARK}{text}")))
    }

    /// The record in a comment; `None` when it holds none.
    #[must_use]
    pub fn from_comment(comment: &str) -> Option<Self> {
        serde_json::from_str(comment.strip_prefix(MARK)?).ok()
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
    use super::{Former, Record};
    use crate::profile::TableName;

    #[test]
    fn what_is_kept_comes_back() {
        let table = TableName::new("s'x", "t\n\"; DROP");
        let record = Record {
            role: true,
            usage: vec!["s'x".to_owned()],
            identities: vec![Former { table, setting: "n".to_owned(), index: None }],
            ..Record::default()
        };
        let comment = format!("walpilot setup: {}", serde_json::to_string(&record).expect("JSON"));
        assert_eq!(Record::from_comment(&comment), Some(record.clone()));
        assert_eq!(Record::from_comment("anything else"), None);
        assert!(!record.comment("p").contains('\n'));
    }
}
