//! One broken database after another: the problem is named with its object, weighs what it should, and the very text
//! of the fix cures it.
//!
//! [`CASES`] are databases of one cluster, broken in one place each. What needs a cluster, a standby or a session of
//! its own stands in the other tests; [`ELSEWHERE`] names them. Together they are the whole catalogue.

use std::collections::BTreeSet;

use crate::support::preflight::{finding, look_as, mend, rank_of, try_mend};
use crate::support::{prepare, psql_command, source};
use walpilot::connection::{Secret, Settings};
use walpilot::preflight::CATALOGUE;
use walpilot::preflight::report::{Rank, rank};
use walpilot::profile::{Method, Profile, Selection, TableName};

use Rank::{Blocker, Info, Warning};

/// How a database is cured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cure {
    /// By the statements of the fixes, as they stand.
    Fixes,
    /// By hand: what the fix says in words.
    Hand(&'static str),
    /// Not at all: it is a note about how things are.
    Never,
}

use Cure::{Fixes, Hand, Never};

/// A database that is broken in one place.
#[derive(Clone, Copy)]
struct Case {
    id: &'static str,
    /// The first and the last version on which it can be broken so.
    versions: (u32, u32),
    /// Run as the administrator, in a database of its own that is in order otherwise.
    breaks: &'static str,
    rank: Rank,
    /// What the summary or the objects have to name.
    names: &'static str,
    cure: Cure,
}

impl Case {
    fn is_for(&self, major: u32) -> bool {
        (self.versions.0..=self.versions.1).contains(&major)
    }
}

const fn case(id: &'static str, breaks: &'static str, rank: Rank, names: &'static str, cure: Cure) -> Case {
    Case { id, versions: (13, 99), breaks, rank, names, cure }
}

const fn since(first: u32, case: Case) -> Case {
    Case { versions: (first, 99), ..case }
}

const fn until(last: u32, case: Case) -> Case {
    Case { versions: (13, last), ..case }
}

/// Every database has a table `orders` with a primary key, owned by `app`, in a publication, readable by `repl`.
const IN_ORDER: &str = "CREATE TABLE orders(id int PRIMARY KEY, state text, note text); ALTER TABLE orders OWNER TO app;
    INSERT INTO orders VALUES (1, 'new', ''); ANALYZE orders; GRANT USAGE ON SCHEMA public TO repl;
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO repl; ALTER DEFAULT PRIVILEGES FOR ROLE app, postgres GRANT SELECT ON TABLES TO repl;
    CREATE PUBLICATION walpilot_publication FOR TABLE orders WITH (publish_via_partition_root = true)";

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("connect-auth", "ALTER ROLE repl NOLOGIN", Blocker, "repl may not log in", Fixes),
    case("db-connect-privilege", "DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END $$", Blocker, "repl has no CONNECT", Fixes),
    case("connections-headroom", "ALTER ROLE repl CONNECTION LIMIT 0", Blocker, "the role's own limit", Fixes),
    case("connections-headroom", "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 3', current_database()); END $$", Warning, "the database's own limit", Fixes),
    case("role-can-replicate", "ALTER ROLE repl NOREPLICATION", Blocker, "repl may not replicate", Fixes),
    case("role-expiry", "ALTER ROLE repl VALID UNTIL '2020-01-01'", Blocker, "has expired", Fixes),
    case("role-expiry", "DO $$ BEGIN EXECUTE format('ALTER ROLE repl VALID UNTIL %L', now() + '20 days'); END $$", Warning, "expires in 19 days", Fixes),
    case("role-is-superuser", "ALTER ROLE repl SUPERUSER", Warning, "repl is a superuser", Hand("ALTER ROLE repl NOSUPERUSER")),
    case("role-can-monitor", "", Info, "does not see", Fixes),
    until(15, case("role-inherit", "REVOKE SELECT ON orders FROM repl; GRANT SELECT ON orders TO readers; GRANT readers TO repl; ALTER ROLE repl NOINHERIT", Warning, "readers", Fixes)),
    since(16, case("role-inherit", "REVOKE SELECT ON orders FROM repl; GRANT SELECT ON orders TO readers; GRANT readers TO repl WITH INHERIT FALSE", Warning, "readers", Fixes)),
    case("session-timeouts", "ALTER ROLE repl SET idle_in_transaction_session_timeout = '30s'", Info, "idle_in_transaction_session_timeout = 30s", Fixes),
    case("session-timeouts", "DO $$ BEGIN EXECUTE format('ALTER ROLE repl IN DATABASE %I SET statement_timeout = 5000', current_database()); END $$", Info, "statement_timeout = 5000", Fixes),
    since(17, case("session-timeouts", "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET transaction_timeout = 60000', current_database()); END $$", Warning, "transaction_timeout = 60000", Fixes)),
    case("default-read-only", "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$", Warning, "start read-only", Fixes),
    case("role-settings", "ALTER ROLE repl SET role = 'readers'", Warning, "role=readers", Fixes),
    case("role-settings", "DO $$ BEGIN EXECUTE format('ALTER ROLE repl IN DATABASE %I SET search_path = app', current_database()); END $$", Info, "search_path=app", Fixes),
    case("schema-usage", "REVOKE ALL ON SCHEMA public FROM repl, PUBLIC", Blocker, "public", Fixes),
    case("table-select", "REVOKE SELECT ON orders FROM repl", Blocker, "public.orders", Fixes),
    case("column-select", "REVOKE SELECT ON orders FROM repl; GRANT SELECT (id) ON orders TO repl", Blocker, "public.orders (state, note)", Fixes),
    case("default-privileges", "CREATE TABLE later(id int PRIMARY KEY); ALTER TABLE later OWNER TO etl", Warning, "etl in public", Fixes),
    case("rls-active", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", Blocker, "public.orders", Fixes),
    case("rls-active", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON orders USING (id > 5)", Blocker, "public.orders", Fixes),
    case("rls-active", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY full_view ON orders USING (true); CREATE POLICY narrow ON orders AS RESTRICTIVE USING (id > 5)", Blocker, "public.orders", Fixes),
    case("relation-publishable", "CREATE UNLOGGED TABLE scratch(id int PRIMARY KEY)", Warning, "public.scratch is an unlogged table", Fixes),
    case("relation-publishable", "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE remote(id int) SERVER s", Warning, "public.remote is a foreign table", Hand("DROP FOREIGN TABLE remote")),
    case("relation-publishable", "CREATE VIEW report AS SELECT 1 AS one; CREATE MATERIALIZED VIEW sums AS SELECT 1 AS one", Info, "public.report is a view", Hand("DROP VIEW report; DROP MATERIALIZED VIEW sums")),
    case("extension-owned-table", "ALTER EXTENSION plpgsql ADD TABLE orders", Info, "public.orders (plpgsql)", Hand("ALTER EXTENSION plpgsql DROP TABLE orders")),
    case("inheritance-parent", "CREATE SCHEMA old; CREATE TABLE old.archive() INHERITS (orders)", Warning, "public.orders", Hand("ALTER TABLE old.archive NO INHERIT orders")),
    case("unsupported-types", "CREATE TYPE mood AS ENUM ('ok'); ALTER TABLE orders ADD m mood", Info, "mood", Hand("ALTER TABLE orders ALTER m TYPE text")),
    case("table-size", "UPDATE pg_class SET relpages = 70000000 WHERE relname = 'orders'", Warning, "534.1 GB", Hand("VACUUM orders")),
    since(14, case("never-analyzed", "CREATE TABLE fresh(id int PRIMARY KEY)", Info, "public.fresh", Fixes)),
    case("name-collisions", "CREATE TABLE \"Orders\"(id int PRIMARY KEY)", Warning, "public.\"Orders\" and public.orders", Hand("DROP TABLE \"Orders\"")),
    case("name-collisions", "ALTER TABLE orders ADD \"STATE\" text", Warning, "public.orders (state, STATE)", Hand("ALTER TABLE orders DROP \"STATE\"")),
    case("not-replicated-objects", "CREATE SEQUENCE s; SELECT lo_create(0)", Info, "1 sequence and large objects", Hand("DROP SEQUENCE s; SELECT lo_unlink(oid) FROM pg_largeobject_metadata")),
    case("event-triggers", "CREATE FUNCTION t() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION t()", Info, "e (ddl_command_end)", Hand("ALTER EVENT TRIGGER e DISABLE")),
    case("identity-usable", "CREATE TABLE log(line text)", Blocker, "public.log (it has no primary key)", Fixes),
    case("identity-usable", "ALTER TABLE orders REPLICA IDENTITY NOTHING", Blocker, "NOTHING", Fixes),
    case("identity-usable", "CREATE TABLE deferred(a int PRIMARY KEY DEFERRABLE)", Blocker, "deferred_pkey is deferrable", Fixes),
    case("identity-usable", "CREATE TABLE lost(a int NOT NULL, CONSTRAINT u UNIQUE (a)); ALTER TABLE lost REPLICA IDENTITY USING INDEX u; ALTER TABLE lost DROP CONSTRAINT u", Blocker, "is gone or invalid", Fixes),
    case("identity-usable", "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_pkey'::regclass", Blocker, "deferrable or invalid", Fixes),
    case("identity-usable", "CREATE TABLE log(line text); ALTER PUBLICATION walpilot_publication SET (publish = 'insert')", Info, "harmless", Never),
    case("identity-usable", "CREATE TABLE log(line text); ALTER PUBLICATION walpilot_publication SET (publish = 'insert'); CREATE PUBLICATION others FOR ALL TABLES", Blocker, "because of publication others", Fixes),
    case("identity-leaf-partitions", "CREATE TABLE parts(id int) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1); ALTER TABLE parts REPLICA IDENTITY FULL", Blocker, "public.part_1", Fixes),
    case("identity-full-cost", "ALTER TABLE orders REPLICA IDENTITY FULL", Warning, "public.orders", Fixes),
    since(18, case("identity-full-generated-18", "ALTER TABLE orders REPLICA IDENTITY FULL; ALTER TABLE orders ADD g int GENERATED ALWAYS AS (id * 2) STORED", Blocker, "public.orders", Fixes)),
    since(18, case("identity-full-generated-18", "ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders REPLICA IDENTITY FULL; ALTER TABLE orders ADD g int GENERATED ALWAYS AS (id * 2) STORED", Blocker, "public.orders", Fixes)),
    until(17, case("identity-full-generated-18", "ALTER TABLE orders REPLICA IDENTITY FULL; ALTER TABLE orders ADD g int GENERATED ALWAYS AS (id * 2) STORED", Info, "an upgrade to 18", Hand("ALTER TABLE orders REPLICA IDENTITY DEFAULT"))),
    case("publish-affects-others", "DROP PUBLICATION walpilot_publication; CREATE PUBLICATION walpilot_publication FOR ALL TABLES; CREATE SCHEMA other; CREATE TABLE other.queue(job text)", Blocker, "other.queue", Fixes),
    since(15, case("publish-affects-others", "CREATE SCHEMA other; CREATE TABLE other.queue(job text); ALTER PUBLICATION walpilot_publication ADD TABLES IN SCHEMA other", Blocker, "other.queue", Fixes)),
    case("json-without-equality-keyless", "CREATE TABLE bag(doc json); ALTER TABLE bag REPLICA IDENTITY FULL", Warning, "public.bag (doc)", Hand("ALTER TABLE bag ADD id int PRIMARY KEY; ALTER TABLE bag REPLICA IDENTITY DEFAULT")),
    case("toast-unchanged", "ALTER TABLE orders ALTER note SET STORAGE EXTERNAL; UPDATE orders SET note = repeat('x', 100000); VACUUM orders", Info, "public.orders (", Hand("ALTER TABLE orders REPLICA IDENTITY FULL")),
    case("key-update-and-lob-key", "CREATE TABLE wide(a int, b int, c int, d int, PRIMARY KEY (a, b, c, d))", Info, "public.wide", Hand("ALTER TABLE wide DROP CONSTRAINT wide_pkey, ADD PRIMARY KEY (a)")),
    case("publication-exists", "DROP PUBLICATION walpilot_publication", Blocker, "walpilot_publication is missing", Fixes),
    case("publication-not-empty", "ALTER PUBLICATION walpilot_publication DROP TABLE orders", Blocker, "holds no table", Fixes),
    case("publication-covers-tables", "CREATE TABLE more(id int PRIMARY KEY)", Blocker, "public.more", Fixes),
    case("publication-operations", "ALTER PUBLICATION walpilot_publication SET (publish = 'insert, update')", Warning, "delete, truncate", Fixes),
    case("publication-via-root", "CREATE TABLE parts(id int PRIMARY KEY) PARTITION BY LIST (id); ALTER PUBLICATION walpilot_publication ADD TABLE parts; ALTER PUBLICATION walpilot_publication SET (publish_via_partition_root = false)", Warning, "public.parts", Fixes),
    case("publication-surplus-tables", "CREATE SCHEMA other; CREATE TABLE other.queue(id int PRIMARY KEY); ALTER PUBLICATION walpilot_publication ADD TABLE other.queue", Warning, "other.queue", Fixes),
    case("publication-ancestor-overlap", "CREATE TABLE parts(id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1); ALTER PUBLICATION walpilot_publication ADD TABLE parts, part_1", Warning, "public.part_1 below public.parts", Fixes),
    since(15, case("publication-row-filter", "ALTER PUBLICATION walpilot_publication SET TABLE orders WHERE (state = 'new')", Blocker, "public.orders (state)", Hand("ALTER TABLE orders REPLICA IDENTITY FULL; ALTER PUBLICATION walpilot_publication SET TABLE orders"))),
    since(15, case("publication-column-list", "ALTER PUBLICATION walpilot_publication SET TABLE orders (state)", Blocker, "public.orders", Fixes)),
    case("publication-generated-columns", "ALTER TABLE orders ADD g int GENERATED ALWAYS AS (id * 2) STORED", Info, "public.orders (g)", Hand("ALTER TABLE orders ALTER g DROP EXPRESSION")),
    since(18, case("publication-generated-columns", "ALTER TABLE orders ADD g int GENERATED ALWAYS AS (id * 2) STORED", Info, "public.orders (g)", Fixes)),
    case("publication-owner-drift", "DROP PUBLICATION walpilot_publication; CREATE PUBLICATION walpilot_publication FOR ALL TABLES; ALTER ROLE boss SUPERUSER; ALTER PUBLICATION walpilot_publication OWNER TO boss; ALTER ROLE boss NOSUPERUSER", Info, "boss", Fixes),
    since(15, case("future-tables", "", Info, "walpilot_publication", Fixes)),
    until(14, case("future-tables", "", Info, "walpilot_publication", Never)),
    case("can-create-publication", "DROP PUBLICATION walpilot_publication", Info, "no CREATE on the database", Hand("DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO repl', current_database()); END $$; GRANT app TO repl")),
    case("existing-subscription-loop", "CREATE SUBSCRIPTION feed CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)", Warning, "1 subscription", Hand("ALTER SUBSCRIPTION feed SET (slot_name = NONE); DROP SUBSCRIPTION feed")),
    until(16, case("heartbeat-possible", "REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text), pg_logical_emit_message(boolean, text, bytea) FROM PUBLIC", Warning, "repl may not write messages", Fixes)),
    since(17, case("heartbeat-possible", "REVOKE EXECUTE ON FUNCTION pg_logical_emit_message(boolean, text, text, boolean), pg_logical_emit_message(boolean, text, bytea, boolean) FROM PUBLIC", Warning, "repl may not write messages", Fixes)),
    case("ha-manager-drops-slots", "CREATE SCHEMA repmgr", Warning, "repmgr", Hand("DROP SCHEMA repmgr")),
    until(16, case("failover-slot-readiness", "SELECT pg_create_physical_replication_slot('standby_1')", Info, "standby_1", Hand("SELECT pg_drop_replication_slot('standby_1')"))),
    since(17, case("failover-slot-readiness", "SELECT pg_create_physical_replication_slot('standby_1')", Warning, "standby_1", Hand("SELECT pg_drop_replication_slot('standby_1')"))),
    case("dead-slots-present", "SELECT pg_create_logical_replication_slot('old', 'test_decoding')", Warning, "old (holds ", Fixes),
    case("autovacuum-wraparound-risk", "UPDATE pg_database SET datfrozenxid = '2794968046' WHERE datname = 'template1'", Warning, "database template1 is 1", Hand("UPDATE pg_database SET datfrozenxid = (SELECT datfrozenxid FROM pg_database WHERE datname = 'template0') WHERE datname = 'template1'")),
    case("provider-detect", "CREATE ROLE rds_replication", Info, "Amazon RDS", Hand("DROP ROLE rds_replication")),
    case("role-can-replicate", "CREATE ROLE rds_replication; ALTER ROLE repl NOREPLICATION", Blocker, "repl may not replicate", Fixes),
];

/// What is built by other tests, because it needs more than a database.
const ELSEWHERE: &[(&str, &str)] = &[
    ("connect-dns-tcp", "preflight/check.rs"),
    ("in-recovery", "preflight/trouble.rs"),
    ("standby-decoding-prereqs", "preflight/trouble.rs"),
    ("standby-idle-primary", "preflight/trouble.rs"),
    ("pooler-detected", "preflight/trouble.rs"),
    ("single-instance-endpoint", "preflight/trouble.rs"),
    ("server-encoding", "preflight/catalogue.rs"),
    ("wal-level", "preflight/servers.rs"),
    ("pending-restart", "preflight/servers.rs"),
    ("slots-free", "preflight/servers.rs"),
    ("walsenders-free", "preflight/servers.rs"),
    ("walsenders-below-slots", "preflight/catalogue.rs"),
    ("slot-wal-keep-size", "preflight/servers.rs"),
    ("wal-rate-and-disk", "preflight/servers.rs"),
    ("idle-slot-timeout", "preflight/servers.rs"),
    ("wal-sender-timeout", "preflight/servers.rs"),
    ("logical-decoding-work-mem", "preflight/catalogue.rs"),
    ("schema-exists", "preflight/servers.rs"),
    ("table-exists", "preflight/check.rs"),
    ("publication-after-slot", "preflight/servers.rs"),
    ("slot-name-valid", "preflight/servers.rs"),
    ("slot-exists", "preflight/servers.rs"),
    ("slot-database", "preflight/check.rs"),
    ("slot-type", "preflight/check.rs"),
    ("slot-plugin", "preflight/check.rs"),
    ("slot-active-elsewhere", "preflight/servers.rs"),
    ("slot-lost", "preflight/servers.rs"),
    ("slot-ahead-of-state", "preflight/catalogue.rs"),
    ("slot-half-created", "preflight/servers.rs"),
    ("slot-retained-now", "preflight/servers.rs"),
    ("slot-without-snapshot", "preflight/servers.rs"),
    ("slot-create-probe", "preflight/catalogue.rs"),
    ("duplicate-consumer", "preflight/servers.rs"),
    ("upgrade-ahead", "preflight/trouble.rs"),
    ("long-writers", "preflight/servers.rs"),
    ("prepared-transactions", "preflight/servers.rs"),
    ("two-phase-in-use", "preflight/catalogue.rs"),
    ("ddl-lock-conflict", "preflight/catalogue.rs"),
    ("xmin-relation-kind", "preflight/check.rs"),
    ("xmin-deletes", "preflight/servers.rs"),
    ("xmin-full-scan", "preflight/servers.rs"),
    ("xmin-rewrite-events", "preflight/servers.rs"),
    ("xmin-standby-conflict", "preflight/trouble.rs"),
    ("target-is-source", "preflight/catalogue.rs"),
    ("destination-basics", "preflight/catalogue.rs"),
    ("subscriber-capacity", "preflight/servers.rs"),
    ("connect-tls", "preflight/rare.rs"),
    ("server-version", "preflight/rare.rs"),
    ("server-is-fork", "preflight/rare.rs"),
    ("clock-skew", "preflight/rare.rs"),
    ("collation-version-mismatch", "preflight/rare.rs"),
    ("tcp-keepalive", "preflight/rare.rs"),
    ("max-worker-processes", "preflight/rare.rs"),
    ("replication-hba", "preflight/rare.rs"),
    ("slot-synced-copy", "preflight/rare.rs"),
    ("output-plugin-available", "preflight/rare.rs"),
    ("long-readers", "preflight/rare.rs"),
    ("xmin-epoch", "preflight/rare.rs"),
    ("xmin-rate", "preflight/rare.rs"),
    ("xmin-long-writers", "preflight/rare.rs"),
];

#[test]
fn every_check_is_built_somewhere() {
    let mut known: Vec<&str> = CASES.iter().map(|case| case.id).collect::<BTreeSet<_>>().into_iter().collect();
    for (id, file) in ELSEWHERE {
        let text = std::fs::read_to_string(format!("tests/{file}")).expect("a test");
        assert!(text.contains(&format!("\"{id}\"")), "{file} does not speak of {id}");
        known.push(id);
    }
    known.sort_unstable();
    let mut catalogue: Vec<&str> = CATALOGUE.iter().map(|check| check.id).collect();
    catalogue.sort_unstable();
    assert_eq!(known, catalogue);
}

#[tokio::test]
async fn each_broken_database_is_named_and_cured() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'repl'; CREATE ROLE app; CREATE ROLE etl; CREATE ROLE readers; CREATE ROLE boss;
         ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; ALTER SYSTEM SET autovacuum = off; SELECT pg_reload_conf();
         CREATE DATABASE whole",
    );
    let whole = Settings { database: "whole".into(), ..admin.clone() };
    prepare(&whole, IN_ORDER);
    let mut before = None;
    let mut wrong = Vec::new();
    for (number, case) in CASES.iter().enumerate().filter(|(_, case)| case.is_for(cluster.major())) {
        // The roles are the cluster's: each case finds them as they were.
        let name = format!("case_{number}");
        prepare(
            &admin,
            &format!(
                "CREATE DATABASE {name} TEMPLATE whole; REVOKE readers, app, pg_monitor FROM repl; ALTER ROLE repl RESET ALL;
                 ALTER ROLE repl LOGIN REPLICATION INHERIT NOBYPASSRLS CONNECTION LIMIT -1 VALID UNTIL 'infinity'; DROP ROLE IF EXISTS rds_replication"
            ),
        );
        let here = Settings { database: name, ..admin.clone() };
        let selection = Selection::Schemas(vec!["public".into()]);
        let repl = here.as_user("repl", Some(Secret::new("repl")));
        let profile = Profile { selection, ..Profile::new(repl) };
        if before.is_none() {
            before = Some(look_as(&here, &profile).await);
        }
        let before = before.as_ref().expect("looked");
        if !case.breaks.is_empty() {
            prepare(&here, case.breaks);
        }
        // On behalf of the role: some of them can't even log in.
        let broken = look_as(&here, &profile).await;
        let found = finding(&broken, case.id);
        let named = found.summary.contains(case.names) || found.objects.iter().any(|one| one.contains(case.names));
        if rank(found) != case.rank || !named {
            wrong.push(format!("{number} {}: wanted {:?} and {:?}: {found:#?}", case.id, case.rank, case.names));
            continue;
        }
        // Nothing else was raised by it, except where one break has several consequences.
        let others = broken.findings.iter().filter(|one| rank(one) == Blocker && one.id != case.id);
        let fresh: Vec<_> = others.filter(|one| rank_of(before, one.id) != Blocker).map(|one| one.id).collect();
        if !fresh.iter().all(|id| expected_beside(case.id, id)) {
            wrong.push(format!("{number} {}: {fresh:?} as well", case.id));
        }
        match case.cure {
            Never => continue,
            Fixes => {
                if let Err(error) = try_mend(&here, &broken, case.id) {
                    wrong.push(format!("{number} {error}"));
                    continue;
                }
            }
            Hand(sql) => prepare(&here, sql),
        }
        let cured = look_as(&here, &profile).await;
        let after = finding(&cured, case.id);
        let gone = !after.summary.contains(case.names) && rank(after) > case.rank || rank(after) == Rank::Passed;
        if !gone || (case.rank == Rank::Passed && after.summary.contains(case.names)) {
            wrong.push(format!("{number} {}: not cured: {after:#?}\nby {:#?}", case.id, found.fixes));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What a break brings about beside its own finding, rightly.
fn expected_beside(id: &str, other: &str) -> bool {
    match id {
        // The new table is not in the publication yet.
        "identity-usable"
        | "identity-leaf-partitions"
        | "name-collisions"
        | "json-without-equality-keyless"
        | "key-update-and-lob-key"
        | "never-analyzed"
        | "default-privileges"
        | "relation-publishable" => other == "publication-covers-tables",
        // Its rights come from the group alone.
        "role-inherit" => other == "table-select",
        "can-create-publication" => other == "publication-exists",
        _ => false,
    }
}

#[tokio::test]
async fn what_breaks_the_application_is_what_the_server_says_too() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE ROLE repl LOGIN REPLICATION; CREATE ROLE app; CREATE ROLE etl; CREATE ROLE readers; CREATE ROLE boss",
    );
    let fails = |here: &Settings, table: &str| {
        let mut command = psql_command(here);
        let sql = format!("DELETE FROM {table}");
        !command.args(["-v", "ON_ERROR_STOP=1", "-c", &sql]).output().expect("psql").status.success()
    };
    let ids = [
        "identity-usable",
        "identity-leaf-partitions",
        "identity-full-generated-18",
        "publish-affects-others",
        "publication-column-list",
    ];
    for (number, case) in CASES.iter().enumerate() {
        if !ids.contains(&case.id) || !case.is_for(cluster.major()) || case.breaks.contains("pg_index") {
            continue;
        }
        let here = Settings { database: format!("case_{number}"), ..admin.clone() };
        prepare(&admin, &format!("CREATE DATABASE {}", here.database));
        prepare(&here, IN_ORDER);
        prepare(&here, case.breaks);
        let profile = Profile::new(here.as_user("repl", None));
        // As soon as the tables are published the server refuses what the report calls a blocker.
        let report = look_as(&here, &profile).await;
        if report.finding("publication-covers-tables").is_some_and(|one| rank(one) == Blocker) {
            mend(&here, &report, "publication-covers-tables");
        }
        for table in &finding(&report, case.id).objects {
            let refused = fails(&here, table);
            assert_eq!(refused, case.rank == Blocker, "{number} {}: {table}", case.id);
        }
    }
}

#[tokio::test]
async fn chosen_by_name_and_by_xmin_the_same_database_weighs_otherwise() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE log(line text); CREATE VIEW report AS SELECT 1 AS one; CREATE UNLOGGED TABLE scratch(id int PRIMARY KEY)",
    );
    let tables = ["log", "report", "scratch"].map(|name| TableName::new("public", name)).to_vec();
    let cdc = Profile { selection: Selection::Tables(tables), ..Profile::new(admin.clone()) };
    let report = look_as(&admin, &cdc).await;
    assert_eq!(rank_of(&report, "relation-publishable"), Blocker);
    assert_eq!(finding(&report, "relation-publishable").objects, ["public.report", "public.scratch"]);
    let xmin = Profile { method: Method::Xmin, ..cdc };
    let report = look_as(&admin, &xmin).await;
    assert_eq!(finding(&report, "xmin-relation-kind").objects.join(" "), "public.report is a view");
    // A table without a key can't be followed by this method at all.
    assert_eq!(rank_of(&report, "xmin-deletes"), Blocker);
}
