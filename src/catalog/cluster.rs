//! What surrounds the tables: the cluster, the sessions on it, and what the role may do beside reading.

use serde::Deserialize;

/// What is read about the cluster beyond its settings and slots, in one query.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact on its own")]
pub struct Cluster {
    /// `version()`, which names forks.
    pub full_version: String,
    /// The server's clock, in seconds since 1970.
    pub clock: f64,
    /// The cluster's identity (`pg_control_system`).
    pub system_id: String,
    /// When the server was started: clones of a cluster share its identity, but not this.
    pub started: String,
    /// The database's encoding, for example `UTF8`.
    pub encoding: String,
    /// The database was made with another version of its collation (PostgreSQL 15 and later).
    pub collation_mismatch: bool,
    /// Sessions that count against `max_connections`.
    pub sessions: i64,
    /// Limits of the role and of the database themselves, where there are any.
    pub limits: Vec<ConnectionLimit>,
    /// Roles of which the replicating role is a member without having their rights.
    pub not_inherited: Vec<String>,
    /// `ALTER ROLE … SET` and `ALTER DATABASE … SET` that reach the replicating role, the weakest first.
    pub overrides: Vec<Override>,
    /// The replicating role has CREATE on the database.
    pub may_create: bool,
    /// The replicating role sees other sessions (`pg_read_all_stats`).
    pub role_monitors: bool,
    /// Whoever gathered sees other sessions.
    pub reader_monitors: bool,
    /// The database nearest to transaction id wraparound.
    pub oldest: Option<FrozenAge>,
    /// Event triggers of the database.
    pub event_triggers: Vec<EventTrigger>,
    /// Sequences outside the system schemas.
    pub sequences: i64,
    /// The database holds large objects.
    pub large_objects: bool,
    /// Subscriptions of this database: it is itself a destination.
    pub subscriptions: i64,
    /// The replicating role may write messages into the log (`pg_logical_emit_message`).
    pub may_emit: bool,
    /// Lower end of the current snapshot, as a 64-bit transaction id.
    pub xid_xmin: i64,
    /// Its upper end.
    pub xid_xmax: i64,
    /// The oldest snapshots that other sessions hold; hidden from roles without `pg_read_all_stats`.
    pub snapshots: Vec<Snapshot>,
    /// Locks that others hold on tables of this database.
    pub locks: Vec<HeldLock>,
    /// A program that manages standbys and may drop slots that it does not know.
    pub ha_manager: Option<String>,
    /// The server that this standby follows, as `host:port`; hidden from roles without `pg_read_all_stats`.
    pub primary: Option<String>,
    /// The extension that keeps rows of its tables in chunks of their own (TimescaleDB) is there.
    pub timescaledb: bool,
    /// Other publications that publish updates or deletes.
    pub others: Vec<OtherPublication>,
}

/// A publication that is not the profile's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OtherPublication {
    /// Its name.
    pub name: String,
    /// FOR ALL TABLES.
    pub all: bool,
    /// The schemas that it holds.
    pub schemas: Vec<String>,
    /// The tables that it lists.
    pub tables: Vec<u32>,
}

/// A limit of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ConnectionLimit {
    /// `role` or `database`.
    pub of: String,
    /// The limit.
    pub limit: i64,
    /// How many are in use.
    pub used: i64,
}

/// A setting that comes with the role or the database (`pg_db_role_setting`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Override {
    /// It belongs to the role.
    pub of_role: bool,
    /// It belongs to this database.
    pub of_database: bool,
    /// `name=value`.
    pub setting: String,
}

impl Override {
    /// The setting.
    #[must_use]
    pub fn name(&self) -> &str {
        self.setting.split_once('=').map_or(self.setting.as_str(), |(name, _)| name)
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &str {
        self.setting.split_once('=').map_or("", |(_, value)| value)
    }
}

/// How far a database is from its last freeze.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct FrozenAge {
    /// The database.
    pub database: String,
    /// In transactions.
    pub age: i64,
}

/// An event trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EventTrigger {
    /// Its name.
    pub name: String,
    /// `ddl_command_end`, …
    pub event: String,
    /// `pg_event_trigger.evtenabled`: `O` in ordinary sessions, `A` always, `R` in replicas, `D` never.
    pub enabled: String,
}

/// A snapshot that a session holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// The session.
    pub pid: i32,
    /// Its database.
    pub database: Option<String>,
    /// Age in transactions.
    pub age: i64,
    /// For how long, in seconds.
    pub seconds: Option<i64>,
}

/// A lock that somebody holds on a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct HeldLock {
    /// The table.
    pub relation: u32,
    /// The mode as `pg_locks` writes it.
    pub mode: String,
    /// The session; `None` for a prepared transaction.
    pub pid: Option<i32>,
}

impl Cluster {
    /// What `name` is set to for the replicating role by role or database; the strongest wins.
    #[must_use]
    pub fn override_of(&self, name: &str) -> Option<&str> {
        self.origin_of(name).map(Override::value)
    }

    /// Where what [`Self::override_of`] says comes from.
    #[must_use]
    pub fn origin_of(&self, name: &str) -> Option<&Override> {
        self.overrides.iter().rev().find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

/// `$1` role OID, 0 while there is none; `$2` the profile's publication.
pub(super) fn query(version_num: u32) -> String {
    let collation = if version_num >= 150_000 {
        // As the server itself warns at a login: only where both versions are known.
        "(SELECT coalesce(datcollversion <> pg_database_collation_actual_version(oid), false) FROM here)"
    } else {
        "false"
    };
    let schemas = if version_num >= 150_000 {
        "(SELECT coalesce(json_agg(n.nspname), '[]') FROM pg_publication_namespace m JOIN pg_namespace n ON n.oid = m.pnnspid
       WHERE m.pnpubid = p.oid)"
    } else {
        "json_build_array()"
    };
    let role_may = |group: &str| format!("CASE WHEN $1 = 0 THEN false ELSE pg_has_role($1, '{group}', 'USAGE') END");
    let monitors = role_may("pg_read_all_stats");
    format!(
        "WITH here AS (SELECT * FROM pg_database WHERE datname = current_database())
SELECT json_build_object(
  'full_version', version(),
  'clock', extract(epoch FROM clock_timestamp())::float8,
  'system_id', (SELECT system_identifier::text FROM pg_control_system()), 'started', pg_postmaster_start_time()::text,
  'encoding', (SELECT pg_encoding_to_char(encoding) FROM here),
  'collation_mismatch', {collation},
  'sessions', (SELECT count(*) FROM pg_stat_activity a WHERE a.datid IS NOT NULL
     AND a.pid NOT IN (SELECT pid FROM pg_stat_replication)),
  'limits', (SELECT coalesce(json_agg(l), '[]') FROM (
     SELECT 'role' AS of, r.rolconnlimit AS limit,
            (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid) AS used
     FROM pg_roles r WHERE r.oid = $1 AND r.rolconnlimit >= 0 AND NOT r.rolsuper
     UNION ALL SELECT 'database', h.datconnlimit, (SELECT count(*) FROM pg_stat_activity a WHERE a.datid = h.oid)
     FROM here h WHERE h.datconnlimit >= 0) l),
  'not_inherited', (SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]') FROM pg_auth_members m
     JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member
     WHERE m.member = $1 AND NOT coalesce((to_jsonb(m) ->> 'inherit_option')::bool, r.rolinherit)),
  'overrides', (SELECT coalesce(json_agg(json_build_object('of_role', s.setrole <> 0, 'of_database', s.setdatabase <> 0,
       'setting', c) ORDER BY s.setrole <> 0, s.setdatabase <> 0), '[]')
     FROM pg_db_role_setting s, unnest(s.setconfig) c
     WHERE s.setrole IN (0, $1) AND s.setdatabase IN (0, (SELECT oid FROM here)) AND (s.setrole <> 0 OR s.setdatabase <> 0)),
  'may_create', has_database_privilege($1, current_database(), 'CREATE'),
  'role_monitors', {monitors},
  'reader_monitors', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
  'oldest', (SELECT json_build_object('database', datname, 'age', age(datfrozenxid)) FROM pg_database
     ORDER BY age(datfrozenxid) DESC LIMIT 1),
  'event_triggers', (SELECT coalesce(json_agg(json_build_object('name', evtname, 'event', evtevent,
       'enabled', evtenabled) ORDER BY evtname), '[]') FROM pg_event_trigger),
  'sequences', (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'S' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'),
  'large_objects', EXISTS (SELECT FROM pg_largeobject_metadata),
  'subscriptions', (SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM here)),
  'may_emit', (SELECT coalesce(bool_or(has_function_privilege($1, p.oid, 'EXECUTE')), false) FROM pg_proc p
     WHERE p.proname = 'pg_logical_emit_message'),
  'xid_xmin', pg_snapshot_xmin(pg_current_snapshot())::text::int8,
  'xid_xmax', pg_snapshot_xmax(pg_current_snapshot())::text::int8,
  'snapshots', (SELECT coalesce(json_agg(s), '[]') FROM (
     SELECT pid, datname AS database, age(backend_xmin)::int8 AS age,
            extract(epoch FROM clock_timestamp() - xact_start)::int8 AS seconds
     FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
     ORDER BY age(backend_xmin) DESC LIMIT 5) s),
  'locks', (SELECT coalesce(json_agg(l), '[]') FROM (
     SELECT l.relation::int8 AS relation, l.mode, l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
     WHERE l.database = (SELECT oid FROM here) AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
       AND c.relkind IN ('r', 'p') AND c.oid >= 16384 LIMIT 1000) l),
  'ha_manager', CASE
     WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name ~* '^patroni') THEN 'Patroni'
     WHEN EXISTS (SELECT FROM pg_replication_slots WHERE slot_name ~ '^_cnpg_') THEN 'CloudNativePG'
     WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = 'repmgr') THEN 'repmgr' END,
  'primary', (SELECT sender_host || ':' || sender_port FROM pg_stat_wal_receiver),
  'timescaledb', EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'),
  'others', (SELECT coalesce(json_agg(json_build_object('name', p.pubname, 'all', p.puballtables, 'schemas', {schemas},
       'tables', (SELECT coalesce(json_agg(r.prrelid::int8), '[]') FROM pg_publication_rel r WHERE r.prpubid = p.oid))
       ORDER BY p.pubname), '[]') FROM pg_publication p WHERE p.pubname <> $2 AND (p.pubupdate OR p.pubdelete))
)::text"
    )
}
