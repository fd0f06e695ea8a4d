//! What a server is and what the role may see of it: read at connect and once a minute.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::moment::Moment;

/// Facts that hardly change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// `server_version_num`: 150018.
    pub version: u32,
    /// When the postmaster started.
    pub started: Moment,
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// `pg_control_system().system_identifier`; another one under the same name is another cluster.
    pub system_identifier: String,
    /// The timeline; a higher one means a promotion.
    pub timeline: u32,
    /// The database that is connected to.
    pub database: String,
    /// The role that is logged in.
    pub role: String,
    /// What the role may see.
    pub rights: Rights,
    /// The settings that matter to replication.
    pub settings: BTreeMap<String, Setting>,
}

/// What the role may see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct Rights {
    /// A superuser.
    pub superuser: bool,
    /// The REPLICATION attribute.
    pub replication: bool,
    /// `pg_read_all_stats`, also through `pg_monitor`: other roles' sessions and walsenders.
    pub read_all_stats: bool,
    /// `pg_monitor`: also the WAL directory.
    pub monitor: bool,
    /// May call `pg_ls_waldir`.
    pub wal_files: bool,
    /// May call `pg_ls_archive_statusdir`.
    pub archive_files: bool,
    /// May call `pg_ls_replslotdir` (15 and newer).
    pub slot_files: bool,
}

impl Rights {
    /// Whether the role may list `pg_wal` and the archiver's queue.
    #[must_use]
    pub fn lists_wal(self) -> bool {
        self.wal_files && self.archive_files
    }

    /// Whether the role sees other roles' sessions and walsenders.
    #[must_use]
    pub fn sees_sessions(self) -> bool {
        self.read_all_stats || self.superuser
    }
}

/// A setting as in `pg_settings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its value in `unit`.
    pub value: String,
    /// `8kB`, `MB`, `ms`, …; `None` for plain numbers and words.
    pub unit: Option<String>,
}

/// What can't be seen, and what would open it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unseen {
    /// What is blind.
    pub what: String,
    /// The statement that opens it.
    pub grant: String,
}

impl Server {
    /// `15.18`.
    #[must_use]
    pub fn version_text(&self) -> String {
        format!("{}.{}", self.version / 10_000, self.version % 10_000)
    }

    /// `primary` or `standby`.
    #[must_use]
    pub fn recovery_role(&self) -> &'static str {
        if self.in_recovery { "standby" } else { "primary" }
    }

    /// A setting as a number in its own unit.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.settings.get(name)?.value.parse().ok()
    }

    /// A setting in bytes; `None` when it is unknown or negative (which stands for "no limit" or "automatic").
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<u64> {
        let setting = self.settings.get(name)?;
        let factor = match setting.unit.as_deref() {
            Some("B") => 1,
            Some("kB") => 1024,
            Some("8kB") => 8192,
            Some("MB") => 1 << 20,
            _ => return None,
        };
        setting.value.parse::<u64>().ok()?.checked_mul(factor)
    }

    /// `max_slot_wal_keep_size` in bytes; `None` when there is no limit or it is unknown.
    #[must_use]
    pub fn slot_wal_limit(&self) -> Option<u64> {
        self.bytes("max_slot_wal_keep_size")
    }

    /// What this role can't see (PostgreSQL documentation, "Predefined Roles"; `pg_stat_get_wal_senders` hides all
    /// but the process id).
    #[must_use]
    pub fn unseen(&self) -> Vec<Unseen> {
        let grant = format!("GRANT pg_monitor TO {};", crate::catalog::ident::quote_ident(&self.role));
        let mut unseen = Vec::new();
        if !self.rights.sees_sessions() {
            let what = "state, sent position and last reply of walsenders, and the sessions of other roles".to_owned();
            unseen.push(Unseen { what, grant: grant.clone() });
        }
        if !self.rights.lists_wal() {
            unseen.push(Unseen { what: "the WAL directory, the archiver's queue and spill files".to_owned(), grant });
        }
        unseen
    }
}

#[cfg(test)]
mod tests {
    use super::{Server, Setting};

    #[test]
    fn settings_come_in_bytes_whatever_their_unit() {
        let mut server = Server { version: 150_018, ..Server::default() };
        let mut set = |name: &str, value: &str, unit: &str| {
            server.settings.insert(name.into(), Setting { value: value.into(), unit: Some(unit.into()) });
        };
        set("max_slot_wal_keep_size", "64", "MB");
        set("wal_segment_size", "16777216", "B");
        set("wal_keep_size", "-1", "MB");
        assert_eq!(server.slot_wal_limit(), Some(64 << 20));
        assert_eq!(server.bytes("wal_segment_size"), Some(16 << 20));
        assert_eq!(server.bytes("wal_keep_size"), None, "-1 is no size");
        assert_eq!(server.bytes("work_mem"), None);
        assert_eq!(server.version_text(), "15.18");
    }
}
