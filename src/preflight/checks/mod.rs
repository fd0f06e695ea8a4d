//! The catalogue of checks. A check is a pure function of the facts and the profile; its place in [`CATALOGUE`] is its
//! place in a report among findings of equal rank.
//!
//! A check answers `None` where it does not apply (an older server, another method). Where another check owns the cause
//! it answers `skipped` and names that check, so that one mistake is reported once.

mod capacity;
mod cause;
mod columns;
mod connection;
pub(crate) mod identity;
mod kinds;
mod membership;
mod other_side;
mod outcome;
pub(crate) mod publication;
mod role;
mod server;
mod session;
mod setting;
mod settings;
mod slot;
mod slot_state;
mod standby;
pub(crate) mod tables;
mod transactions;
mod unseen;
mod xmin;

#[cfg(test)]
mod coverage_tests;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod more_tests;
#[cfg(test)]
mod tests;

pub(super) use connection::owner_of as connection_owner;
use outcome::Outcome;

use super::finding::{Finding, Severity};
use super::traps;
use crate::catalog::Facts;
use crate::profile::{Method, Profile};

/// What a check belongs to; reports for people are grouped by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Family {
    Connection,
    Settings,
    Role,
    Tables,
    Identity,
    Publication,
    Slot,
    Transactions,
    Xmin,
    Destination,
}

impl Family {
    /// The heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "Connection and server",
            Self::Settings => "Server settings",
            Self::Role => "Role",
            Self::Tables => "Tables",
            Self::Identity => "Replica identity",
            Self::Publication => "Publication",
            Self::Slot => "Replication slot",
            Self::Transactions => "Open transactions",
            Self::Xmin => "xmin method",
            Self::Destination => "Destination",
        }
    }
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Its public name, which stands in reports and in the documentation.
    pub id: &'static str,
    /// What it belongs to.
    pub family: Family,
    /// The method that it is for; `None` for all.
    pub method: Option<Method>,
    /// How much it matters when it does not hold, unless the case says otherwise.
    pub severity: Severity,
    /// Why it matters, in one line.
    pub why: &'static str,
    /// Where PostgreSQL's documentation speaks of it.
    pub doc: &'static str,
    judge: fn(&Facts, &Profile) -> Option<Outcome>,
}

impl Check {
    /// Judges; `None` where the check does not apply.
    #[must_use]
    pub fn run(&self, facts: &Facts, profile: &Profile) -> Option<Finding> {
        if self.method.is_some_and(|method| method != profile.method) {
            return None;
        }
        let mut finding = (self.judge)(facts, profile)?.finding(self);
        for fix in &mut finding.fixes {
            if let Some(who) = traps::in_words_of(facts.provider, &fix.who) {
                fix.who = who;
            }
        }
        Some(finding)
    }
}

/// The check of that name.
#[must_use]
pub fn check(id: &str) -> Option<&'static Check> {
    CATALOGUE.iter().copied().find(|check| check.id == id)
}

/// Every check, in the order in which a user would mend things.
pub static CATALOGUE: &[&Check] = &[
    &connection::DIAL,
    &connection::AUTH,
    &connection::TLS,
    &connection::VERSION,
    &server::IS_FORK,
    &server::PROVIDER,
    &connection::RECOVERY,
    &standby::PREREQUISITES,
    &standby::IDLE_PRIMARY,
    &connection::POOLER,
    &server::SINGLE_INSTANCE,
    &server::CLOCK_SKEW,
    &server::ENCODING,
    &server::COLLATION,
    &server::HEADROOM,
    &connection::CONNECT_PRIVILEGE,
    &settings::WAL_LEVEL,
    &settings::PENDING_RESTART,
    &settings::SLOTS_FREE,
    &settings::WALSENDERS_FREE,
    &capacity::SENDERS_BELOW_SLOTS,
    &settings::SLOT_WAL_KEEP_SIZE,
    &capacity::WAL_RATE,
    &settings::DEAD_SLOTS,
    &settings::IDLE_SLOT_TIMEOUT,
    &settings::WAL_SENDER_TIMEOUT,
    &capacity::DECODING_MEMORY,
    &session::KEEPALIVE,
    &capacity::WRAPAROUND,
    &capacity::WORKERS,
    &role::CAN_REPLICATE,
    &role::HBA,
    &role::SUPERUSER,
    &role::EXPIRY,
    &session::INHERIT,
    &session::TIMEOUTS_SET,
    &session::READ_ONLY,
    &session::SETTINGS,
    &session::CAN_MONITOR,
    &tables::SCHEMA_EXISTS,
    &tables::TABLE_EXISTS,
    &tables::SCHEMA_USAGE,
    &tables::TABLE_SELECT,
    &columns::SELECT,
    &tables::DEFAULT_PRIVILEGES,
    &tables::RLS_ACTIVE,
    &tables::PUBLISHABLE,
    &kinds::EXTENSION,
    &kinds::INHERITANCE,
    &columns::TYPES,
    &kinds::TABLE_SIZE,
    &kinds::NEVER_ANALYZED,
    &kinds::COLLISIONS,
    &kinds::NOT_REPLICATED,
    &kinds::EVENT_TRIGGERS,
    &identity::USABLE,
    &identity::LEAF_PARTITIONS,
    &identity::FULL_COST,
    &identity::FULL_GENERATED,
    &identity::AFFECTS_OTHERS,
    &columns::NO_EQUALITY,
    &columns::TOAST,
    &columns::ODD_KEY,
    &publication::EXISTS,
    &membership::NOT_EMPTY,
    &publication::COVERS_TABLES,
    &publication::OPERATIONS,
    &publication::VIA_ROOT,
    &publication::AFTER_SLOT,
    &membership::CAN_CREATE,
    &membership::SURPLUS,
    &membership::OVERLAP,
    &membership::ROW_FILTER,
    &membership::COLUMN_LIST,
    &columns::GENERATED,
    &membership::OWNER_DRIFT,
    &membership::FUTURE_TABLES,
    &other_side::SUBSCRIPTION_LOOP,
    &other_side::HEARTBEAT,
    &slot::NAME_VALID,
    &slot::EXISTS,
    &slot::DATABASE,
    &slot::TYPE,
    &slot::PLUGIN,
    &slot::ACTIVE_ELSEWHERE,
    &slot::LOST,
    &slot_state::SYNCED,
    &slot_state::AHEAD,
    &slot_state::HALF_CREATED,
    &slot_state::RETAINED,
    &slot_state::WITHOUT_SNAPSHOT,
    &capacity::PLUGIN_AVAILABLE,
    &slot_state::CREATE_PROBE,
    &slot_state::DUPLICATE,
    &standby::FAILOVER,
    &standby::HA_MANAGER,
    &standby::UPGRADE,
    &transactions::LONG_WRITERS,
    &transactions::PREPARED,
    &transactions::TWO_PHASE,
    &transactions::LONG_READERS,
    &transactions::DDL_LOCKS,
    &xmin::RELATION_KIND,
    &xmin::DELETES,
    &xmin::FULL_SCAN,
    &xmin::EPOCH,
    &xmin::RATE,
    &xmin::OLD_WRITERS,
    &xmin::REWRITES,
    &standby::XMIN_CONFLICT,
    &other_side::IS_SOURCE,
    &other_side::BASICS,
    &other_side::CAPACITY,
];

#[cfg(test)]
mod catalogue_tests {
    use super::CATALOGUE;

    #[test]
    fn ids_are_unique_and_texts_are_lines() {
        let mut ids: Vec<_> = CATALOGUE.iter().map(|check| check.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), CATALOGUE.len());
        for check in CATALOGUE {
            assert!(check.why.ends_with('.') && !check.why.contains('\n'), "{}", check.id);
            assert!(check.doc.starts_with("https://www.postgresql.org/docs/current/"), "{}", check.id);
        }
    }
}
