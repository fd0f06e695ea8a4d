//! More cases for `tests`: the server around the tables, the publication's narrowings, deep probes, the destination.

use super::fixture::{
    Case, deep, destination, keyless, no, partitioned, publication, quiet, relations, role, set, slot, slots, table,
};
use crate::catalog::Lsn;
use crate::catalog::cluster::{
    ConnectionLimit, EventTrigger, FrozenAge, HeldLock, OtherPublication, Override, Snapshot,
};
use crate::catalog::facts::{Cluster, Column, Facts, Member, OtherSide, Relation, ReplicationProbe, Seen, Slot};
use crate::catalog::facts::{Link, Prepared};
use crate::catalog::probe::{Probe, Rate, SnapshotProbe};
use crate::connection::SslMode;
use crate::preflight::{Severity, Status};
use crate::profile::Provider;
use crate::profile::{Method, Profile, Selection};

use Severity::{Blocker, Info, Warning};
use Status::{Fail, Pass, Skipped, Unseen, Warn};

fn cluster(facts: &mut Facts) -> &mut Cluster {
    let Seen::Yes(cluster) = &mut facts.cluster else { panic!("cluster") };
    cluster
}

fn members(facts: &mut Facts) -> &mut Vec<Member> {
    let Seen::Yes(members) = &mut facts.members else { panic!("members") };
    members
}

/// Adds a column to the first table.
fn column(facts: &mut Facts, column: Column) {
    let relation = relations(facts)[0].oid;
    let Seen::Yes(columns) = &mut facts.columns else { panic!("columns") };
    columns.push(Column { relation, ..column });
}

fn named(name: &str) -> Column {
    Column { name: name.into(), data_type: "text".into(), readable: true, ..Column::default() }
}

fn refused(sqlstate: &str) -> Probe {
    Probe::Refused { sqlstate: sqlstate.into(), reason: "the server's reason".into() }
}

fn setting(text: &str) -> Override {
    Override { of_role: true, of_database: false, setting: text.into() }
}

fn lock(facts: &mut Facts, mode: &str) {
    let relation = relations(facts)[0].oid;
    cluster(facts).locks.push(HeldLock { relation, mode: mode.into(), pid: Some(9) });
}

fn xmin(profile: &mut Profile) {
    profile.method = Method::Xmin;
}

fn physical(name: &str) -> Slot {
    Slot { slot_name: name.into(), slot_type: "physical".into(), active: true, ..Slot::default() }
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    ("connect-dns-tcp", |_, _| (), Pass, Blocker, "was reached on port"),
    ("connect-tls", |_, p| p.source.ssl_mode = SslMode::Require, Warn, Warning, "server's identity is not checked"),
    ("connect-tls", |_, p| p.source.ssl_mode = SslMode::VerifyCa, Warn, Warning, "server's name is not checked"),
    ("connect-tls", |f, _| f.link = Link { encrypted: false, local: true }, Pass, Warning, "on this machine"),
    ("server-version", |f, _| { f.server.version_num = 140_023; cluster(f).clock = 1_800_000_000.0; }, Warn, Warning, "support of 14 has ended"),
    ("server-version", |f, _| { f.server.version_num = 140_023; cluster(f).clock = 1_790_000_000.0; }, Pass, Blocker, "PostgreSQL"),
    ("in-recovery", |f, _| { f.server.in_recovery = true; f.server.version_num = 150_000; cluster(f).primary = Some("10.0.0.1:5432".into()); }, Fail, Blocker, "the primary (10.0.0.1:5432)."),
    ("pooler-detected", |f, _| f.server.pid_foreign = true, Warn, Warning, "announced at the login"),
    ("pooler-detected", |_, p| p.source.port = 6543, Warn, Info, "port 6543"),
    ("pooler-detected", |f, p| { p.source.port = 6543; f.replication = Some(ReplicationProbe::Opened { system_id: "7".into() }); }, Pass, Blocker, "no connection pooler"),
    ("pooler-detected", |_, p| p.source.host = "ep-x-pooler.eu.neon.tech".into(), Fail, Blocker, "-pooler."),
    ("replication-hba", |f, _| f.replication = Some(ReplicationProbe::Opened { system_id: "7".into() }), Pass, Blocker, "opened"),
    ("wal-level", |f, _| { set(f, "wal_level", "replica"); f.provider = Provider::AzureFlexible; }, Fail, Blocker, "az postgres flexible-server parameter set"),
    ("slots-free", |f, _| { set(f, "max_replication_slots", "1"); f.provider = Provider::CloudSql; }, Fail, Blocker, "--database-flags=max_replication_slots=2"),
    ("slot-wal-keep-size", |f, _| { set(f, "max_slot_wal_keep_size", "-1"); f.provider = Provider::AzureFlexible; }, Warn, Warning, "keeps max_slot_wal_keep_size at -1"),
    ("dead-slots-present", |f, _| slots(f).push(Slot { slot_name: "standby".into(), slot_type: "physical".into(), ..Slot::default() }), Warn, Info, "standby"),
    ("connections-headroom", |f, _| cluster(f).limits.push(ConnectionLimit { of: "role".into(), limit: 0, used: 0 }), Fail, Blocker, "ALTER ROLE \"repl\" CONNECTION LIMIT -1;"),
    ("connections-headroom", |f, _| cluster(f).limits.push(ConnectionLimit { of: "database".into(), limit: 5, used: 4 }), Warn, Warning, "ALTER DATABASE \"shop\" CONNECTION LIMIT -1;"),
    ("wal-rate-and-disk", |f, _| { deep(f).rate = Some(Rate { seconds: 1.0, wal_bytes: 1 << 20, xids: 1, directory_bytes: None }); f.free_disk = Some(1 << 30); }, Warn, Warning, "the free disk lasts 17 min"),
    ("logical-decoding-work-mem", |f, _| { slot(f).spill_bytes = Some(2 << 30); slot(f).spill_txns = Some(3); }, Warn, Info, "walpilot_slot (2.0 GB in 3 transactions)"),
    ("autovacuum-wraparound-risk", |f, _| { cluster(f).oldest = Some(FrozenAge { database: "old".into(), age: 1_500_000_000 }); slot(f).catalog_age = Some(1_400_000_000); }, Warn, Warning, "slot walpilot_slot"),
    ("default-privileges", |f, _| { role(f).member_of = vec!["pg_read_all_data".into()]; cluster(f).not_inherited = vec!["pg_read_all_data".into()]; let Seen::Yes(s) = &mut f.schemas else { return }; s[0].covered.clear(); }, Warn, Warning, "FOR ROLE \"app\""),
    ("relation-publishable", |f, _| relations(f).push(Relation { kind: "v".into(), beside: true, chosen: false, wanted: false, publishable: false, ..table("report") }), Warn, Info, "public.report is a view"),
    ("relation-publishable", |f, _| relations(f).push(Relation { kind: "f".into(), beside: true, chosen: false, wanted: false, publishable: false, ..table("remote") }), Warn, Warning, "public.remote is a foreign table"),
    ("name-collisions", |f, _| { column(f, Column { twin: true, ..named("Id") }); column(f, Column { twin: true, ..named("id") }); }, Warn, Warning, "public.orders (Id, id)"),
    ("identity-usable", |f, _| { relations(f)[0] = keyless("orders"); publication(f).pubupdate = false; publication(f).pubdelete = false; cluster(f).others.push(OtherPublication { name: "dbz".into(), all: true, ..OtherPublication::default() }); }, Fail, Blocker, "fail already, because of publication dbz"),
    ("identity-usable", |f, _| { relations(f)[0] = keyless("orders"); publication(f).pubupdate = false; publication(f).pubdelete = false; cluster(f).others.push(OtherPublication { name: "dbz".into(), tables: vec![1], ..OtherPublication::default() }); }, Warn, Info, "harmless"),
    ("identity-full-generated-18", |f, _| { relations(f)[0].identity.setting = "f".into(); relations(f)[0].generated = true; column(f, Column { generated: "s".into(), ..named("sum") }); }, Fail, Blocker, "REPLICA IDENTITY DEFAULT;"),
    ("identity-full-generated-18", |f, _| { relations(f)[0] = Relation { generated: true, ..keyless("orders") }; relations(f)[0].identity.setting = "f".into(); column(f, Column { generated: "s".into(), ..named("sum") }); }, Fail, Blocker, "publish_generated_columns = stored"),
    ("identity-full-generated-18", |f, _| { relations(f)[0] = Relation { generated: true, ..keyless("orders") }; relations(f)[0].identity.setting = "f".into(); column(f, Column { generated: "v".into(), ..named("sum") }); publication(f).pubgencols = Some("s".into()); }, Fail, Blocker, "virtual columns can't be published"),
    ("slot-lost", |f, _| slot(f).conflicting = true, Fail, Blocker, "the primary removed rows"),
    ("prepared-transactions", |f, _| if let Seen::Yes(a) = &mut f.activity { a.prepared.push(Prepared { gid: "xa".into(), seconds: 1, lasting: true, ..Prepared::default() }) }, Fail, Blocker, "xa"),
    ("prepared-transactions", |f, _| if let Seen::Yes(a) = &mut f.activity { a.prepared.push(Prepared { gid: "xa".into(), seconds: 1, ..Prepared::default() }) }, Pass, Blocker, "no transaction"),
    ("server-is-fork", |_, _| (), Pass, Warning, "PostgreSQL"),
    ("server-is-fork", |f, _| cluster(f).full_version = "PostgreSQL 11.2-YB-2.1".into(), Warn, Warning, "YugabyteDB"),
    ("server-is-fork", |f, _| cluster(f).full_version = "CockroachDB CCL v23".into(), Fail, Blocker, "CockroachDB"),
    ("server-is-fork", |f, _| f.cluster = Seen::No(no()), Unseen, Warning, "permission denied"),
    ("provider-detect", |f, _| f.provider = Provider::Neon, Warn, Info, "removed after about 40 hours"),
    ("provider-detect", |f, p| { f.provider = Provider::Neon; p.provider = Some(Provider::Neon); }, Warn, Info, "as you said"),
    ("provider-detect", |_, p| p.provider = Some(Provider::SelfHosted), Pass, Info, "taken for self-hosted"),
    ("role-can-replicate", |f, _| { role(f).replication = false; f.provider = Provider::CloudSql; }, Fail, Blocker, "REPLICATION"),
    ("single-instance-endpoint", |f, _| { deep(f); }, Pass, Blocker, "4 further"),
    ("single-instance-endpoint", |f, _| deep(f).snapshot = SnapshotProbe::Lost { reason: "gone".into(), other_server: true }, Fail, Blocker, "another server"),
    ("single-instance-endpoint", |f, _| deep(f).snapshot = SnapshotProbe::NotTried("too many".into()), Unseen, Info, "too many"),
    ("clock-skew", |f, _| f.clock_skew = Some(-61.04), Warn, Info, "61.0 s behind"),
    ("clock-skew", |_, _| (), Pass, Info, "agree"),
    ("server-encoding", |f, _| cluster(f).encoding = "SQL_ASCII".into(), Warn, Warning, "SQL_ASCII"),
    ("server-encoding", |f, _| cluster(f).encoding = "LATIN1".into(), Warn, Info, "converted"),
    ("collation-version-mismatch", |f, _| cluster(f).collation_mismatch = true, Warn, Warning, "REFRESH COLLATION VERSION;"),
    ("collation-version-mismatch", |_, _| (), Pass, Warning, "version"),
    ("connections-headroom", |f, _| cluster(f).sessions = 95, Warn, Warning, "2 of 100 connections free"),
    ("connections-headroom", |f, _| cluster(f).sessions = 97, Fail, Blocker, "0 of 100"),
    ("connections-headroom", |f, _| cluster(f).limits.push(ConnectionLimit { of: "role".into(), limit: 2, used: 1 }), Warn, Warning, "1 of 2 connections free, 3 needed (bound by the role's own limit)"),
    ("standby-decoding-prereqs", |f, _| { f.server.in_recovery = true; set(f, "hot_standby_feedback", "off"); }, Fail, Blocker, "hot_standby_feedback = 'on'"),
    ("standby-decoding-prereqs", |f, _| f.server.in_recovery = true, Pass, Blocker, "is on"),
    ("standby-decoding-prereqs", |f, _| { f.server.in_recovery = true; set(f, "wal_level", "replica"); }, Skipped, Blocker, "wal-level"),
    ("standby-idle-primary", |f, _| { f.server.in_recovery = true; f.slots = Seen::Yes(vec![]); }, Warn, Warning, "pg_log_standby_snapshot()"),
    ("failover-slot-readiness", |_, _| (), Pass, Warning, "no standby"),
    ("failover-slot-readiness", |f, _| slots(f).push(physical("s1")), Warn, Warning, "FAILOVER true"),
    ("failover-slot-readiness", |f, _| { slots(f).push(physical("s1")); slot(f).failover = true; }, Pass, Warning, "in step"),
    ("failover-slot-readiness", |f, _| { slots(f).push(physical("s1")); f.server.version_num = 150_000; }, Warn, Info, "pg_failover_slots"),
    ("failover-slot-readiness", |f, _| set(f, "synchronized_standby_slots", "gone"), Warn, Warning, "names gone"),
    ("ha-manager-drops-slots", |f, _| cluster(f).ha_manager = Some("Patroni".into()), Warn, Warning, "Patroni"),
    ("ha-manager-drops-slots", |_, _| (), Pass, Warning, "no sign"),
    ("upgrade-ahead", |f, _| f.server.version_num = 160_000, Warn, Info, "drops the slot"),
    ("upgrade-ahead", |_, _| (), Pass, Info, "keeps"),
    ("walsenders-below-slots", |f, _| set(f, "max_wal_senders", "5"), Warn, Info, "below"),
    ("walsenders-below-slots", |f, _| set(f, "max_wal_senders", "0"), Warn, Warning, "below"),
    ("walsenders-below-slots", |_, _| (), Pass, Warning, "10 walsenders"),
    ("wal-rate-and-disk", |f, _| { deep(f); }, Pass, Warning, "a day"),
    ("wal-rate-and-disk", |f, _| deep(f).rate = Some(Rate { seconds: 1.0, wal_bytes: 100 << 20, xids: 1, directory_bytes: None }), Warn, Warning, "lasts 8 min"),
    ("wal-rate-and-disk", |f, _| deep(f).rate = None, Unseen, Info, "how fast"),
    ("logical-decoding-work-mem", |f, _| set(f, "logical_decoding_work_mem", "1024"), Warn, Warning, "1.0 MB"),
    ("logical-decoding-work-mem", |_, _| (), Pass, Warning, "64.0 MB"),
    ("autovacuum-wraparound-risk", |f, _| cluster(f).oldest = Some(FrozenAge { database: "old".into(), age: 1_500_000_000 }), Warn, Warning, "VACUUM (FREEZE);"),
    ("autovacuum-wraparound-risk", |f, _| cluster(f).oldest = Some(FrozenAge { database: "shop".into(), age: 9 }), Pass, Warning, "9 transactions"),
    ("output-plugin-available", |f, _| { deep(f); }, Pass, Blocker, "pgoutput"),
    ("output-plugin-available", |f, _| deep(f).slot = refused("58P01"), Fail, Blocker, "does not have pgoutput"),
    ("max-worker-processes", |f, _| f.provider = Provider::AzureFlexible, Warn, Info, "Azure asks for 16"),
    ("max-worker-processes", |_, _| (), Pass, Info, "is 8"),
    ("tcp-keepalive", |f, _| set(f, "tcp_keepalives_idle", "7200"), Warn, Info, "7200 s"),
    ("tcp-keepalive", |f, _| f.link.local = true, Pass, Info, "this machine"),
    ("session-timeouts", |f, _| cluster(f).overrides.push(setting("transaction_timeout=30s")), Warn, Warning, "ALTER ROLE \"repl\" SET transaction_timeout = 0;"),
    ("session-timeouts", |f, _| cluster(f).overrides.push(setting("statement_timeout=5min")), Warn, Info, "statement_timeout = 5min"),
    ("session-timeouts", |f, _| cluster(f).overrides.push(setting("statement_timeout=0ms")), Pass, Warning, "no time limit"),
    ("default-read-only", |f, _| cluster(f).overrides.push(setting("default_transaction_read_only=true")), Warn, Warning, "read-only"),
    ("session-timeouts", |f, _| cluster(f).overrides.push(Override { of_database: true, ..setting("lock_timeout=1s") }), Warn, Info, "ALTER ROLE \"repl\" IN DATABASE \"shop\" SET lock_timeout = 0;"),
    ("role-settings", |f, _| cluster(f).overrides.push(Override { of_role: false, of_database: true, ..setting("search_path=app") }), Warn, Info, "ALTER DATABASE \"shop\" RESET search_path;"),
    ("default-read-only", |_, _| (), Pass, Warning, "may write"),
    ("role-settings", |f, _| cluster(f).overrides.push(setting("search_path=app")), Warn, Info, "search_path=app"),
    ("role-settings", |f, _| cluster(f).overrides.push(setting("role=app")), Warn, Warning, "role=app"),
    ("role-settings", |_, _| (), Pass, Info, "no settings"),
    ("role-inherit", |f, _| cluster(f).not_inherited.push("readers".into()), Warn, Info, "readers"),
    ("role-inherit", |f, _| { cluster(f).not_inherited.push("readers".into()); relations(f)[0].select = false; }, Warn, Warning, "WITH INHERIT TRUE;"),
    ("role-inherit", |f, _| { cluster(f).not_inherited.push("readers".into()); f.server.version_num = 150_000; }, Warn, Info, "ALTER ROLE \"repl\" INHERIT;"),
    ("role-inherit", |_, _| (), Pass, Info, "has the rights"),
    ("role-can-monitor", |f, _| cluster(f).role_monitors = false, Warn, Info, "GRANT \"pg_monitor\" TO \"repl\" WITH INHERIT TRUE;"),
    ("role-can-monitor", |f, _| role(f).superuser = true, Pass, Info, "sees"),
    ("column-select", |f, _| column(f, Column { readable: false, ..named("salary") }), Fail, Blocker, "public.orders (salary)"),
    ("column-select", |f, p| { column(f, Column { readable: false, ..named("salary") }); p.initial_copy = false; }, Fail, Info, "salary"),
    ("column-select", |f, _| f.columns = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("table-select", |f, _| { relations(f)[0].select = false; relations(f)[0].select_some = true; }, Pass, Blocker, "may read"),
    ("unsupported-types", |f, _| column(f, Column { data_type: "app.mood".into(), foreign_type: true, ..named("m") }), Warn, Info, "app.mood"),
    ("unsupported-types", |_, _| (), Pass, Info, "own"),
    ("extension-owned-table", |f, _| relations(f)[0].extension = Some("postgis".into()), Warn, Info, "public.orders (postgis)"),
    ("extension-owned-table", |f, _| cluster(f).timescaledb = true, Warn, Info, "_timescaledb_internal"),
    ("extension-owned-table", |_, _| (), Pass, Info, "no chosen table"),
    ("inheritance-parent", |f, _| (relations(f)[0].heirs, relations(f)[0].heirs_left_out) = (2, 1), Warn, Warning, "public.orders"),
    ("inheritance-parent", |f, _| relations(f)[0].heirs = 2, Warn, Info, "chosen too"),
    ("inheritance-parent", |_, _| (), Pass, Warning, "no chosen"),
    ("table-size", |f, _| relations(f)[0].bytes = 1 << 40, Warn, Warning, "1.0 TB"),
    ("table-size", |_, _| (), Pass, Warning, "16.0 kB"),
    ("never-analyzed", |f, _| relations(f)[0].rows = Some(-1.0), Warn, Info, "ANALYZE \"public\".\"orders\";"),
    ("never-analyzed", |_, _| (), Pass, Info, "known"),
    ("name-collisions", |f, _| relations(f).push(table("Orders")), Warn, Warning, "public.orders and public.\"Orders\""),
    ("name-collisions", |_, _| (), Pass, Warning, "no two"),
    ("not-replicated-objects", |f, _| { cluster(f).sequences = 2; cluster(f).large_objects = true; }, Warn, Info, "2 sequences and large objects"),
    ("not-replicated-objects", |_, _| (), Pass, Info, "no sequences"),
    ("event-triggers", |f, _| cluster(f).event_triggers.push(EventTrigger { name: "audit".into(), event: "ddl_command_end".into(), enabled: "O".into() }), Warn, Info, "audit (ddl_command_end)"),
    ("event-triggers", |f, _| cluster(f).event_triggers.push(EventTrigger { enabled: "D".into(), ..EventTrigger::default() }), Pass, Info, "no event"),
    ("json-without-equality-keyless", |f, _| { relations(f)[0] = keyless("orders"); column(f, Column { no_equality: true, ..named("doc") }); }, Warn, Warning, "public.orders (doc)"),
    ("json-without-equality-keyless", |f, _| column(f, Column { no_equality: true, ..named("doc") }), Pass, Warning, "told apart"),
    ("toast-unchanged", |f, _| relations(f)[0].toast_bytes = 1 << 20, Warn, Info, "public.orders (1.0 MB)"),
    ("toast-unchanged", |f, _| { relations(f)[0].toast_bytes = 1 << 20; relations(f)[0].identity.setting = "f".into(); }, Pass, Info, "no chosen"),
    ("key-update-and-lob-key", |f, _| relations(f)[0].odd_key = true, Warn, Info, "public.orders"),
    ("key-update-and-lob-key", |_, _| (), Pass, Info, "no primary key"),
    ("publication-not-empty", |f, _| members(f).clear(), Fail, Blocker, "ADD TABLE ONLY \"public\".\"orders\";"),
    ("publication-not-empty", |f, _| { members(f).clear(); publication(f).puballtables = true; }, Pass, Blocker, "holds"),
    ("publication-not-empty", |f, _| f.members = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("publication-covers-tables", |f, _| members(f).clear(), Skipped, Blocker, "publication-not-empty"),
    ("publication-surplus-tables", |f, _| relations(f).push(Relation { chosen: false, wanted: false, ..table("queue") }), Warn, Warning, "public.queue"),
    ("publication-surplus-tables", |_, _| (), Pass, Warning, "nothing"),
    ("publication-ancestor-overlap", |f, _| { partitioned(f); *members(f) = vec![Member { relation: 1, ..Member::default() }, Member { relation: 2, ..Member::default() }]; }, Warn, Warning, "public.events_1 below public.events"),
    ("publication-ancestor-overlap", |_, _| (), Pass, Warning, "no table"),
    ("publication-row-filter", |f, _| { members(f)[0].filter = Some(vec!["state".into()]); column(f, Column { identity: true, ..named("id") }); }, Fail, Blocker, "public.orders (state)"),
    ("publication-row-filter", |f, _| { members(f)[0].filter = Some(vec!["id".into()]); column(f, Column { identity: true, ..named("id") }); }, Warn, Warning, "rows are filtered"),
    ("publication-row-filter", |f, _| { members(f)[0].filter = Some(vec!["state".into()]); relations(f)[0].identity.setting = "f".into(); }, Warn, Warning, "rows are filtered"),
    ("publication-row-filter", |_, _| (), Pass, Warning, "no row"),
    ("publication-column-list", |f, _| { members(f)[0].columns = Some(vec!["state".into()]); column(f, Column { identity: true, ..named("id") }); }, Fail, Blocker, "does not hold the replica identity"),
    ("publication-column-list", |f, _| { members(f)[0].columns = Some(vec!["id".into()]); column(f, Column { identity: true, ..named("id") }); }, Warn, Warning, "only listed"),
    ("publication-column-list", |f, _| { members(f)[0].columns = Some(vec!["id".into()]); relations(f)[0].identity.setting = "f".into(); }, Fail, Blocker, "DROP TABLE"),
    ("publication-column-list", |_, _| (), Pass, Warning, "no column"),
    ("publication-generated-columns", |f, _| column(f, Column { generated: "s".into(), ..named("total") }), Warn, Info, "publish_generated_columns = stored"),
    ("publication-generated-columns", |f, _| { column(f, Column { generated: "s".into(), ..named("total") }); publication(f).pubgencols = Some("s".into()); }, Pass, Info, "no generated"),
    ("publication-generated-columns", |f, _| { column(f, Column { generated: "s".into(), ..named("total") }); f.server.version_num = 170_000; }, Warn, Info, "at the destination"),
    ("publication-owner-drift", |f, _| publication(f).puballtables = true, Warn, Info, "OWNER TO CURRENT_USER;"),
    ("publication-owner-drift", |_, _| (), Pass, Info, "may own"),
    ("can-create-publication", |f, _| f.publication = Seen::Yes(None), Warn, Info, "no CREATE on the database; it does not own"),
    ("can-create-publication", |f, _| { f.publication = Seen::Yes(None); cluster(f).may_create = true; relations(f).iter_mut().for_each(|table| table.owned = true); }, Pass, Info, "may create"),
    ("can-create-publication", |f, _| { f.publication = Seen::Yes(None); deep(f).publication = refused("42501"); }, Warn, Info, "the server's reason"),
    ("future-tables", |_, _| (), Warn, Info, "ADD TABLES IN SCHEMA \"public\";"),
    ("future-tables", |f, _| publication(f).by_schema = true, Pass, Info, "later"),
    ("future-tables", |f, p| { f.server.version_num = 140_000; p.selection = Selection::Schemas(vec!["public".into()]); }, Warn, Info, "run walpilot script again"),
    ("existing-subscription-loop", |f, _| cluster(f).subscriptions = 1, Warn, Warning, "1 subscription"),
    ("existing-subscription-loop", |_, _| (), Pass, Warning, "no other"),
    ("heartbeat-possible", |f, _| cluster(f).may_emit = false, Warn, Warning, "text, boolean) TO \"repl\";"),
    ("heartbeat-possible", |f, _| f.server.version_num = 130_000, Warn, Info, "needs a table"),
    ("heartbeat-possible", |_, _| (), Pass, Warning, "may write"),
    ("publication-after-slot", |f, _| { members(f)[0].age = 5; quiet(f); }, Warn, Info, "public.orders joined publication"),
    ("publication-after-slot", |f, _| members(f)[0].age = 5, Pass, Warning, "older than the slot"),
    ("slot-ahead-of-state", |f, _| { slot(f).confirmed_flush_lsn = Some(Lsn(200)); destination(f, |d| d.saved_lsn = Some(Lsn(100))); }, Fail, Blocker, "are lost"),
    ("slot-ahead-of-state", |f, _| { slot(f).confirmed_flush_lsn = Some(Lsn(100)); destination(f, |d| d.saved_lsn = Some(Lsn(100))); }, Pass, Blocker, "still has"),
    ("slot-ahead-of-state", |f, _| destination(f, |d| { d.saved_lsn = Some(Lsn(1)); d.saved_system_id = Some("9".into()); }), Fail, Blocker, "another cluster"),
    ("slot-half-created", |f, _| { slot(f).active = true; slot(f).active_pid = Some(5); }, Warn, Warning, "pg_cancel_backend(5);"),
    ("slot-half-created", |_, _| (), Pass, Warning, "no slot"),
    ("slot-retained-now", |f, _| slot(f).retained = Some(40 << 30), Warn, Warning, "40.0 GB of 50.0 GB allowed"),
    ("slot-retained-now", |_, _| (), Pass, Warning, "0 bytes"),
    ("slot-without-snapshot", |_, _| (), Warn, Info, "temporary slot"),
    ("slot-without-snapshot", |_, p| p.initial_copy = false, Pass, Info, "no initial copy"),
    ("slot-create-probe", |f, _| { deep(f); }, Pass, Blocker, "made and dropped"),
    ("slot-create-probe", |f, _| deep(f).slot = refused("55P03"), Warn, Warning, "open transactions"),
    ("slot-create-probe", |f, _| deep(f).slot = refused("53400"), Skipped, Blocker, "slots-free"),
    ("slot-create-probe", |f, _| deep(f).slot = refused("XX000"), Fail, Blocker, "the server's reason"),
    ("slot-create-probe", |f, _| deep(f).slot = Probe::NotTried("a standby".into()), Unseen, Info, "a standby"),
    ("duplicate-consumer", |f, _| slots(f).push(Slot { slot_name: "walpilot_2".into(), active: true, database: Some("shop".into()), ..Slot::default() }), Warn, Warning, "walpilot_2"),
    ("duplicate-consumer", |_, _| (), Pass, Warning, "no other"),
    ("two-phase-in-use", |f, _| set(f, "max_prepared_transactions", "5"), Warn, Info, "up to 5"),
    ("two-phase-in-use", |_, _| (), Pass, Info, "off"),
    ("long-readers", |f, _| cluster(f).snapshots.push(Snapshot { pid: 8, database: Some("shop".into()), age: 9, seconds: Some(7200) }), Warn, Info, "process 8 in shop (for 2 h)"),
    ("long-readers", |f, _| cluster(f).reader_monitors = false, Unseen, Info, "GRANT pg_read_all_stats TO \"repl\";"),
    ("long-readers", |_, _| (), Pass, Info, "no session"),
    ("ddl-lock-conflict", |f, _| { relations(f)[0] = keyless("orders"); lock(f, "AccessShareLock"); }, Warn, Info, "AccessShareLock by process 9"),
    ("ddl-lock-conflict", |f, _| { relations(f)[0].published = false; lock(f, "AccessExclusiveLock"); }, Warn, Warning, "AccessExclusiveLock"),
    ("ddl-lock-conflict", |f, _| lock(f, "AccessExclusiveLock"), Pass, Warning, "no lock"),
    ("xmin-relation-kind", |f, p| { xmin(p); relations(f)[0].access_method = Some("columnar".into()); }, Fail, Blocker, "columnar"),
    ("xmin-epoch", |f, p| { xmin(p); cluster(f).xid_xmin = 3 << 32; }, Warn, Warning, "3 times"),
    ("xmin-epoch", |_, p| xmin(p), Pass, Warning, "not come round"),
    ("xmin-rate", |f, p| { xmin(p); deep(f).rate = Some(Rate { seconds: 1.0, wal_bytes: 1, xids: 10_000, directory_bytes: None }); }, Warn, Warning, "864000000"),
    ("can-create-publication", |f, _| { f.publication = Seen::Yes(None); f.cluster = Seen::No(no()); }, Unseen, Info, "GRANT SELECT"),
    ("xmin-rate", |f, p| { xmin(p); deep(f).rate = None; }, Unseen, Info, "--deep"),
    ("xmin-rate", |f, p| { xmin(p); deep(f); }, Pass, Warning, "86400"),
    ("xmin-long-writers", |f, p| { xmin(p); cluster(f).xid_xmax = 9_000_000; }, Warn, Warning, "8999000 transactions old"),
    ("xmin-long-writers", |_, p| xmin(p), Pass, Warning, "1 transactions"),
    ("xmin-rewrite-events", |_, p| xmin(p), Warn, Info, "dump and reload"),
    ("xmin-rewrite-events", |f, p| { xmin(p); relations(f)[0].kind = "m".into(); }, Warn, Info, "REFRESH"),
    ("xmin-standby-conflict", |f, p| { xmin(p); f.server.in_recovery = true; set(f, "hot_standby_feedback", "off"); }, Warn, Warning, "longer than 30 s"),
    ("xmin-standby-conflict", |f, p| { xmin(p); f.server.in_recovery = true; }, Pass, Warning, "is on"),
    ("target-is-source", |f, _| destination(f, |d| d.system_id = "7".into()), Fail, Blocker, "the source itself"),
    ("target-is-source", |f, _| destination(f, |_| ()), Pass, Blocker, "another"),
    ("subscriber-capacity", |f, _| destination(f, |d| d.workers = (8, 8, 10)), Warn, Info, "too few"),
    ("subscriber-capacity", |f, _| destination(f, |_| ()), Pass, Info, "4 logical"),
    ("destination-basics", |f, _| destination(f, |_| ()), Pass, Blocker, "can take"),
    ("destination-basics", |f, _| destination(f, |d| d.in_recovery = true), Fail, Blocker, "standby"),
    ("destination-basics", |f, _| destination(f, |d| d.closed = vec!["public.orders".into()]), Fail, Blocker, "public.orders"),
    ("destination-basics", |f, _| destination(f, |d| d.filled = vec!["public.orders".into()]), Warn, Warning, "hold rows"),
    ("destination-basics", |f, _| destination(f, |d| d.may_create = false), Warn, Warning, "create schemas"),
    ("destination-basics", |f, _| destination(f, |d| d.version_num = 150_000), Warn, Info, "older"),
    ("destination-basics", |f, _| f.destination = Some(OtherSide::Unreadable(no())), Unseen, Blocker, "permission denied"),
];
