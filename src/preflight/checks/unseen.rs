//! What a role may not see: which part of the facts is missing, and the grant that would open it.
//!
//! Any role may read the catalogs of a PostgreSQL that nobody narrowed. Where a privilege was taken away the fix is the
//! very GRANT; where it was a time limit or a lock, to look again.

use super::outcome::Outcome;
use crate::catalog::Facts;
use crate::catalog::ident::quote_ident;

/// A part of the facts, each read by a query of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `Facts::database`.
    Database,
    /// `Facts::settings`.
    Settings,
    /// `Facts::slots`.
    Slots,
    /// `Facts::activity`.
    Activity,
    /// `Facts::publication`.
    Publication,
    /// `Facts::members`.
    Members,
    /// `Facts::schemas`.
    Schemas,
    /// `Facts::relations`.
    Relations,
    /// `Facts::columns`.
    Columns,
    /// `Facts::cluster`.
    Cluster,
}

impl Part {
    /// What it is called, and the catalogs and views that its query reads.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Database => ("the database's privileges", "pg_database"),
            Self::Settings => ("the server's settings", "pg_settings"),
            Self::Slots => {
                ("the replication slots", "pg_replication_slots, pg_stat_replication_slots, pg_stat_replication")
            }
            Self::Activity => {
                ("what goes on in the cluster", "pg_stat_replication, pg_stat_activity, pg_locks, pg_prepared_xacts")
            }
            Self::Publication => ("the publication", "pg_publication, pg_publication_namespace, pg_roles"),
            Self::Members => ("the publication's tables", "pg_publication, pg_publication_rel, pg_attribute"),
            Self::Schemas => ("the schemas", "pg_namespace, pg_class, pg_default_acl"),
            Self::Relations => (
                "the tables",
                "pg_class, pg_namespace, pg_index, pg_inherits, pg_policy, pg_attribute, pg_type, pg_am, pg_depend, \
                 pg_extension, pg_publication, pg_publication_rel, pg_publication_namespace, pg_roles",
            ),
            Self::Columns => ("the columns", "pg_attribute, pg_type, pg_index, pg_class"),
            Self::Cluster => (
                "the cluster",
                "pg_database, pg_stat_activity, pg_stat_replication, pg_stat_wal_receiver, pg_roles, pg_auth_members, \
                 pg_db_role_setting, pg_event_trigger, pg_largeobject_metadata, pg_subscription, pg_proc, pg_locks, \
                 pg_replication_slots, pg_namespace, pg_class, pg_extension, pg_publication, pg_publication_rel",
            ),
        }
    }

    /// What is newer than 13, with the version that brought it.
    const NEWER: [(&'static str, u32); 2] = [("pg_stat_replication_slots", 14), ("pg_publication_namespace", 15)];

    fn grant(self, facts: &Facts) -> String {
        let major = facts.server.major();
        let known = |name: &&str| Self::NEWER.iter().all(|(newer, since)| newer != name || major >= *since);
        let list: Vec<String> =
            self.words().1.split(", ").filter(known).map(|name| format!("pg_catalog.{name}")).collect();
        format!("GRANT SELECT ON {} TO {}", list.join(", "), quote_ident(&facts.reader.name))
    }
}

/// The answer of a check whose part of the facts could not be read, for that reason.
pub(crate) fn unseen(facts: &Facts, part: Part, reason: &str) -> Outcome {
    let outcome = Outcome::unseen(part.words().0, reason);
    if !is_denied(reason) {
        return outcome.advice("Run walpilot check again; if it stays so, look into the server's log.", "you");
    }
    let outcome = outcome.sql(part.grant(facts), "superuser");
    if part != Part::Cluster {
        return outcome;
    }
    let functions = "pg_catalog.pg_control_system(), pg_catalog.pg_postmaster_start_time()";
    outcome.sql(
        format!("GRANT EXECUTE ON FUNCTION {functions} TO {}", quote_ident(&facts.reader.name)),
        "superuser, where that is what was denied",
    )
}

/// A setting that the role may not read, or that was not read at all.
pub(crate) fn unseen_setting(facts: &Facts, name: &str) -> Outcome {
    if let crate::catalog::Seen::No(reason) = &facts.settings {
        return unseen(facts, Part::Settings, reason);
    }
    Outcome::unseen(&format!("setting {name}"), "this role may not read it")
        .sql(format!("GRANT pg_read_all_settings TO {}", quote_ident(&facts.reader.name)), "superuser")
}

/// Whether a privilege was missing: the SQLSTATE is the same in every language.
fn is_denied(reason: &str) -> bool {
    reason.contains("42501")
}
