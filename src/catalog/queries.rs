//! The text of the catalog queries, by server version.
//!
//! Each answers with one JSON value, so that columns which only some versions have become optional fields instead of
//! different queries. None takes a lock on a user's table: functions that open relations (`pg_relation_size`,
//! `pg_get_replica_identity_index`, `pg_get_publication_tables`, `pg_partition_tree`) would wait behind an ACCESS
//! EXCLUSIVE lock, so sizes come from `relpages` and the server's rules for identity and coverage are followed over
//! the catalogs. Functions that take an OID answer NULL when the relation is dropped meanwhile.

/// Well-known roles, the providers' and PostgreSQL's own, whose existence or membership means something.
const KNOWN_ROLES: &str = "'rds_replication','rds_superuser','rdsadmin','azure_pg_admin','azuresu','cloudsqlsuperuser',\
    'cloudsqladmin','alloydbsuperuser','alloydbadmin','neon_superuser','cloud_admin','supabase_admin','tsdbadmin',\
    'tsdbexplorer','doadmin','_dodb','avnadmin','crunchy_superuser','xata','xata_superuser','dbaas_replication','pg_read_all_data','pg_monitor','pg_read_all_stats'";

/// Databases and a function that only one provider has; their names are told from roles' by a mark.
const OTHER_SIGNS: &str = "SELECT 'database ' || datname FROM pg_database WHERE datname IN ('rdsadmin','cloudsqladmin',
      'alloydbadmin','azure_maintenance','azure_sys','_aiven','tsdb','_dodb')
    UNION ALL SELECT 'schema heroku_ext' FROM pg_namespace WHERE nspname = 'heroku_ext'
    UNION ALL SELECT 'function aurora_version' WHERE to_regproc('pg_catalog.aurora_version') IS NOT NULL";

/// `$1` role: the server, who asks, and the role's attributes.
pub(super) fn basics() -> String {
    format!(
        "SELECT json_build_object(
  'server', json_build_object(
    'version_num', current_setting('server_version_num')::int,
    'version', split_part(current_setting('server_version'), ' ', 1),
    'in_recovery', pg_is_in_recovery()),
  'pid', pg_backend_pid(),
  'reader', json_build_object('name', current_user,
    'superuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)),
  'role', (SELECT json_build_object('oid', r.oid::int8, 'superuser', r.rolsuper, 'replication', r.rolreplication,
      'login', r.rolcanlogin, 'bypass_rls', r.rolbypassrls,
      'comment', shobj_description(r.oid, 'pg_authid'),
      'expires_in', CASE WHEN isfinite(r.rolvaliduntil) THEN extract(epoch FROM r.rolvaliduntil - now()) END,
      'member_of', (SELECT coalesce(json_agg(g.rolname ORDER BY g.rolname), '[]') FROM pg_roles g
                    WHERE g.rolname IN ({KNOWN_ROLES}) AND pg_has_role(r.oid, g.oid, 'MEMBER')))
    FROM pg_roles r WHERE r.rolname = $1),
  'signs', (SELECT coalesce(json_agg(name), '[]') FROM (
    SELECT rolname::text AS name FROM pg_roles WHERE rolname IN ({KNOWN_ROLES}) UNION ALL {OTHER_SIGNS}) k)
)::text"
    )
}

/// `$1` role OID, 0 while there is none: then what everybody may do counts.
pub(super) const DATABASE: &str = "SELECT json_build_object('name', datname, 'owner', pg_get_userbyid(datdba),
  'connect', has_database_privilege($1, oid, 'CONNECT'))::text
FROM pg_database WHERE datname = current_database()";

/// `$1` names. Settings that wait for a restart and those that tell the provider come along.
pub(super) const SETTINGS: &str = "SELECT coalesce(json_object_agg(name, json_build_object('value', coalesce(setting, ''),
  'unit', unit, 'pending_restart', pending_restart, 'initial', reset_val)), '{}')::text
FROM pg_settings
WHERE name = ANY($1) OR pending_restart OR name ~ '^(rds\\.|apg_|cloudsql\\.|alloydb\\.|azure\\.|neon\\.|supautils\\.|timescaledb\\.|aiven\\.|extwlist\\.|xata\\.)'";

/// The names for [`SETTINGS`].
pub(super) const SETTING_NAMES: [&str; 27] = [
    "wal_level",
    "max_replication_slots",
    "max_wal_senders",
    "max_slot_wal_keep_size",
    "max_wal_size",
    "idle_replication_slot_timeout",
    "wal_sender_timeout",
    "max_prepared_transactions",
    "max_connections",
    "superuser_reserved_connections",
    "reserved_connections",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
    "default_transaction_read_only",
    "hot_standby_feedback",
    "sync_replication_slots",
    "synchronized_standby_slots",
    "logical_decoding_work_mem",
    "tcp_keepalives_idle",
    "autovacuum_freeze_max_age",
    "max_worker_processes",
    "max_logical_replication_workers",
    "max_active_replication_origins",
    "max_standby_streaming_delay",
];

/// All slots, with what they hold back. On a primary `synced` may be left over from the time before a failover, and
/// means nothing (PostgreSQL documentation, "pg_replication_slots").
pub(super) fn slots(version_num: u32) -> String {
    let (decoded, stats) = if version_num >= 140_000 {
        (
            "'decoded_bytes', t.total_bytes, 'spill_bytes', t.spill_bytes, 'spill_txns', t.spill_txns",
            "LEFT JOIN pg_stat_replication_slots t ON t.slot_name = s.slot_name",
        )
    } else {
        ("'decoded_bytes', NULL", "")
    };
    format!(
        "SELECT coalesce(json_agg(to_jsonb(s) || jsonb_build_object(
    'retained', pg_wal_lsn_diff(
        CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, s.restart_lsn)::int8,
    'catalog_age', age(s.catalog_xmin)::int8,
    'synced', pg_is_in_recovery() AND coalesce((to_jsonb(s) ->> 'synced')::bool, false),
    'failover', coalesce((to_jsonb(s) ->> 'failover')::bool, false),
    'conflicting', coalesce((to_jsonb(s) ->> 'conflicting')::bool, false),
    'reader', (SELECT a.application_name FROM pg_stat_activity a WHERE a.pid = s.active_pid),
    {decoded}) ORDER BY s.slot_name), '[]')::text
FROM pg_replication_slots s {stats}"
    )
}

/// Walsenders, writers and prepared transactions. Writers are read from `pg_locks`, because `pg_stat_activity` hides
/// other roles' transactions: every transaction that has written holds an ExclusiveLock on its own id.
pub(super) const ACTIVITY: &str = "SELECT json_build_object(
  'walsenders', (SELECT count(*) FROM pg_stat_replication),
  'pid', pg_backend_pid(),
  'writers', (SELECT coalesce(json_agg(w ORDER BY w.seconds DESC NULLS LAST, w.pid), '[]') FROM (
     SELECT l.pid, min(l.transactionid::text) AS xid, a.datname AS database, a.usename AS user,
            extract(epoch FROM clock_timestamp() - a.xact_start)::int8 AS seconds,
            a.state ~ '^idle in transaction' AS idle
     FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted
       AND l.pid IS NOT NULL AND l.pid <> pg_backend_pid()
     GROUP BY l.pid, a.datname, a.usename, a.xact_start, a.state) w),
  'prepared', (SELECT coalesce(json_agg(json_build_object('gid', gid, 'database', database, 'owner', owner,
       'seconds', extract(epoch FROM clock_timestamp() - prepared)::int8) ORDER BY prepared), '[]')
     FROM pg_prepared_xacts))::text";

/// `$1` publication.
pub(super) fn publication(version_num: u32) -> String {
    let by_schema = if version_num >= 150_000 {
        "EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid)"
    } else {
        "false"
    };
    format!(
        "SELECT (to_jsonb(p) || jsonb_build_object('owner', pg_get_userbyid(p.pubowner), 'age', age(p.xmin)::int8,
  'comment', obj_description(p.oid, 'pg_publication'), 'by_schema', {by_schema},
  'owner_superuser', coalesce((SELECT rolsuper FROM pg_roles r WHERE r.oid = p.pubowner), false)))::text
FROM pg_publication p WHERE p.pubname = $1"
    )
}

/// `$1` role OID, `$2` schema names: those schemas, and others that differ only in case.
///
/// The default privileges of a creator cover the role when they grant SELECT to it, to everybody, or to a role whose
/// rights it has, in this schema or in all.
pub(super) const SCHEMAS: &str = "SELECT coalesce(json_agg(json_build_object(
  'name', n.nspname, 'owner', pg_get_userbyid(n.nspowner), 'usage', has_schema_privilege($1, n.oid, 'USAGE'),
  'mixed', (SELECT count(DISTINCT c.relowner) > 1 FROM pg_class c
     WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')),
  'creators', (SELECT coalesce(json_agg(DISTINCT pg_get_userbyid(c.relowner)), '[]') FROM pg_class c
     WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
       AND NOT CASE WHEN $1 = 0 THEN false ELSE pg_has_role($1, c.relowner, 'USAGE') END),
  'covered', (SELECT coalesce(json_agg(DISTINCT pg_get_userbyid(d.defaclrole)), '[]')
     FROM pg_default_acl d, aclexplode(d.defaclacl) x
     WHERE d.defaclobjtype = 'r' AND d.defaclnamespace IN (0, n.oid) AND x.privilege_type = 'SELECT'
       AND CASE WHEN x.grantee = 0 THEN true WHEN $1 = 0 THEN false ELSE pg_has_role($1, x.grantee, 'USAGE') END)
  ) ORDER BY n.nspname), '[]')::text
FROM pg_namespace n WHERE lower(n.nspname) IN (SELECT lower(s) FROM unnest($2) s)";

/// `$1` schema names, `$2` table names, pairwise: relations of other spelling, or of the same name elsewhere.
pub(super) const NEAR_MISSES: &str =
    "SELECT coalesce(json_agg(json_build_object('schema', x.nspname, 'name', x.relname)), '[]')::text
FROM (SELECT DISTINCT n.nspname, c.relname
  FROM unnest($1, $2) AS w(schema, name)
  JOIN pg_class c ON lower(c.relname) = lower(w.name) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (n.nspname, c.relname) <> (w.schema, w.name) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_class e JOIN pg_namespace m ON m.oid = e.relnamespace
                    WHERE m.nspname = w.schema AND e.relname = w.name)
  ORDER BY 1, 2 LIMIT 20) x";

/// A policy's condition that is the constant TRUE. `pg_get_expr` would open the table.
const CONSTANT_TRUE: &str =
    "^\\{CONST :consttype 16 .*:constisnull false .*:constvalue 1 \\[ (1( 0){7}|(0 ){7}1) \\]\\}$";

/// `$1` role OID, `$2` wanted schemas, `$3` and `$4` wanted tables (schemas and names, pairwise), `$5` publication.
///
/// `member` is what the publication lists, `down` that with all partitions below: their changes are published, under
/// one name or the other. `wanted` is what was chosen, `tree` that with the partitions; `beside` are the views and
/// foreign tables of a chosen schema. A partition is not chosen by its schema when a partitioned table above it is.
///
/// The rules of identity are those of `RelationGetIndexList` in the server's `relcache.c`; those of row-level security
/// of `check_enable_rls` in `rls.c`.
pub(super) fn relations(version_num: u32) -> String {
    let by_schema = if version_num >= 150_000 {
        "UNION SELECT c.oid FROM pg_publication p JOIN pg_publication_namespace pn ON pn.pnpubid = p.oid
         JOIN pg_class c ON c.relnamespace = pn.pnnspid AND c.relkind IN ('r', 'p') AND pg_relation_is_publishable(c.oid)
         WHERE p.pubname = $5"
    } else {
        ""
    };
    format!(
        "WITH RECURSIVE member AS (
  SELECT c.oid FROM pg_publication p JOIN pg_class c ON p.puballtables AND c.relkind IN ('r', 'p')
    AND pg_relation_is_publishable(c.oid) WHERE p.pubname = $5
  UNION SELECT r.prrelid FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid WHERE p.pubname = $5
  {by_schema}
), down AS (
  SELECT oid FROM member
  UNION SELECT i.inhrelid FROM down d JOIN pg_class c ON c.oid = d.oid AND c.relkind = 'p'
    JOIN pg_inherits i ON i.inhparent = d.oid
), up AS (
  SELECT i.inhrelid AS oid, i.inhparent AS above FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE c.relispartition
  UNION SELECT u.oid, i.inhparent FROM up u JOIN pg_class c ON c.oid = u.above AND c.relispartition
    JOIN pg_inherits i ON i.inhrelid = u.above
), named AS (
  SELECT c.oid FROM unnest($3, $4) AS w(schema, name) JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
), wanted AS (
  SELECT oid FROM named
  UNION SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($2) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM up u JOIN pg_class a ON a.oid = u.above JOIN pg_namespace an ON an.oid = a.relnamespace
                      WHERE u.oid = c.oid AND an.nspname = ANY($2))
), tree AS (
  SELECT oid FROM wanted
  UNION SELECT i.inhrelid FROM tree t JOIN pg_class c ON c.oid = t.oid AND c.relkind = 'p'
    JOIN pg_inherits i ON i.inhparent = t.oid
), beside AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY($2) AND c.relkind IN ('v', 'm', 'f') AND NOT c.relispartition
), me AS (
  SELECT coalesce((SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE oid = $1), false) AS sees_all
)
SELECT coalesce(json_agg(json_build_object(
  'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, 'persistence', c.relpersistence,
  'owner', pg_get_userbyid(c.relowner),
  'chosen', c.oid IN (SELECT oid FROM wanted),
  'wanted', c.oid IN (SELECT oid FROM tree),
  'beside', c.oid IN (SELECT oid FROM beside),
  'parent', (SELECT i.inhparent::int8 FROM pg_inherits i WHERE c.relispartition AND i.inhrelid = c.oid),
  'publishable', coalesce(pg_relation_is_publishable(c.oid), false),
  'select', coalesce(has_table_privilege($1, c.oid, 'SELECT'), false),
  'rls', c.relrowsecurity AND NOT me.sees_all AND (c.relforcerowsecurity
     OR NOT CASE WHEN $1 = 0 THEN false ELSE pg_has_role($1, c.relowner, 'USAGE') END),
  'rls_open', c.relrowsecurity AND EXISTS (SELECT FROM pg_policy y WHERE y.polrelid = c.oid AND y.polpermissive
     AND y.polcmd IN ('r', '*') AND (y.polqual IS NULL OR y.polqual::text ~ '{CONSTANT_TRUE}')
     AND EXISTS (SELECT FROM unnest(y.polroles) g WHERE CASE WHEN g = 0 THEN true WHEN $1 = 0 THEN false
                 ELSE pg_has_role($1, g, 'USAGE') END)),
  'rls_restricted', c.relrowsecurity AND EXISTS (SELECT FROM pg_policy y WHERE y.polrelid = c.oid
     AND NOT y.polpermissive AND y.polcmd IN ('r', '*')
     AND EXISTS (SELECT FROM unnest(y.polroles) g WHERE CASE WHEN g = 0 THEN true WHEN $1 = 0 THEN false
                 ELSE pg_has_role($1, g, 'USAGE') END)),
  'published', c.oid IN (SELECT oid FROM down),
  'member', c.oid IN (SELECT oid FROM member),
  'generated', EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     AND a.attgenerated <> ''),
  'select_some', NOT coalesce(has_table_privilege($1, c.oid, 'SELECT'), false)
     AND coalesce(has_any_column_privilege($1, c.oid, 'SELECT'), false),
  'owned', CASE WHEN $1 = 0 THEN false ELSE pg_has_role($1, c.relowner, 'USAGE') END,
  'access_method', (SELECT m.amname FROM pg_am m WHERE m.oid = c.relam),
  'extension', (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
       AND d.refclassid = 'pg_extension'::regclass),
  'heirs', CASE WHEN c.relkind = 'r' AND c.relhassubclass
     THEN (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = c.oid) ELSE 0 END,
  'heirs_left_out', CASE WHEN c.relkind = 'r' AND c.relhassubclass THEN (SELECT count(*) FROM pg_inherits i
     WHERE i.inhparent = c.oid AND i.inhrelid NOT IN (SELECT oid FROM tree)) ELSE 0 END,
  'toast_bytes', coalesce((SELECT x.relpages FROM pg_class x WHERE x.oid = c.reltoastrelid), 0)::int8
     * current_setting('block_size')::int8,
  'odd_key', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND (i.indnkeyatts > 3
     OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid
        AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) AND (t.typcategory = 'A' OR a.atttypid IN (17, 3802))))),
  'rows', c.reltuples,
  'bytes', (c.relpages::int8 + coalesce((SELECT sum(x.relpages) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
       WHERE i.indrelid = c.oid), 0) + coalesce((SELECT x.relpages FROM pg_class x WHERE x.oid = c.reltoastrelid), 0))::int8
     * current_setting('block_size')::int8,
  'identity', json_build_object('setting', c.relreplident,
     'index', (SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND {SERVES}
          AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END LIMIT 1),
     'primary_key', (SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND i.indisprimary),
     'primary_key_usable', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND {SERVES}),
     'candidates', (SELECT coalesce(json_agg(x.relname ORDER BY i.indnkeyatts, x.relname), '[]')
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
        WHERE i.indrelid = c.oid AND {SERVES} AND NOT i.indisprimary AND i.indexprs IS NULL
          AND NOT EXISTS (SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) k
            LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k
            WHERE k <= 0 OR NOT coalesce(a.attnotnull, false))))
  ) ORDER BY n.nspname, c.relname), '[]')::text
FROM (SELECT oid FROM tree UNION SELECT oid FROM down UNION SELECT oid FROM beside) every
JOIN pg_class c ON c.oid = every.oid JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN me"
    )
}

/// An index `i` that the server accepts as an identity.
const SERVES: &str = "i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL";

/// What can be chosen, partitioned tables with the sum of their partitions. Exact sizes are read only where nobody holds
/// or awaits an ACCESS EXCLUSIVE lock; with `exact` false no table is opened at all.
pub(super) fn tables(exact: bool) -> String {
    let estimate = "(c.relpages::int8 + coalesce((SELECT sum(x.relpages) FROM pg_index i
        JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid), 0)
      + coalesce((SELECT x.relpages FROM pg_class x WHERE x.oid = c.reltoastrelid), 0))::int8
      * current_setting('block_size')::int8";
    let size = if exact {
        format!(
            "CASE WHEN c.oid IN (SELECT l.relation FROM pg_locks l WHERE l.relation IS NOT NULL
       AND l.mode = 'AccessExclusiveLock' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
     THEN {estimate} ELSE pg_total_relation_size(c.oid) END"
        )
    } else {
        estimate.to_owned()
    };
    format!(
        "WITH RECURSIVE tree AS (
  SELECT c.oid AS root, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  UNION ALL
  SELECT t.root, i.inhrelid FROM tree t JOIN pg_class c ON c.oid = t.oid AND c.relkind = 'p'
    JOIN pg_inherits i ON i.inhparent = t.oid
)
SELECT n.nspname, r.relname, r.relkind = 'p',
  CASE WHEN r.relkind = 'r' OR r.reltuples > 0 THEN r.reltuples
       WHEN bool_and(c.reltuples >= 0) THEN sum(c.reltuples) ELSE -1 END::float8,
  coalesce(sum(CASE WHEN c.relkind = 'r' THEN {size} END), 0)::int8
FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_class r ON r.oid = t.root
JOIN pg_namespace n ON n.oid = r.relnamespace
GROUP BY r.oid, n.nspname, r.relname, r.relkind, r.reltuples
ORDER BY 1, 2"
    )
}
