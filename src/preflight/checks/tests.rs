//! Every check on a healthy source spoilt in one place: what it says, and how much it matters.

use super::fixture::{
    Case, healthy, keyless, no, partitioned, profile, publication, quiet, relations, role, set, slot, slots, table,
    young,
};
use crate::catalog::facts::{Facts, Prepared, Relation, ReplicationProbe, Schema, Seen, Slot, SlotOrder, Writer};
use crate::connection::cause::{ServerError, Trouble};
use crate::connection::{Failure, Settings};
use crate::preflight::{Severity, Status, Verdict, evaluate};
use crate::profile::{Method, Selection, TableName};

use Severity::{Blocker, Info, Warning};
use Status::{Fail, Pass, Skipped, Unseen, Warn};

fn schemas(facts: &mut Facts) -> &mut Vec<Schema> {
    let Seen::Yes(schemas) = &mut facts.schemas else { panic!("schemas") };
    schemas
}

fn refused(sqlstate: &str, message: &str) -> ReplicationProbe {
    let error = ServerError { sqlstate: sqlstate.into(), message: message.into(), ..ServerError::default() };
    ReplicationProbe::Refused(Failure::explain(&Trouble::Server(Box::new(error)), &Settings::default()))
}

fn writer(seconds: Option<i64>, lasting: bool) -> Writer {
    Writer { pid: 77, xid: "9".into(), database: Some("other".into()), seconds, lasting, ..Writer::default() }
}

fn wait(facts: &mut Facts, seconds: Option<i64>, lasting: bool) {
    if let Seen::Yes(activity) = &mut facts.activity {
        activity.writers.push(writer(seconds, lasting));
    }
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    ("connect-auth", |f, _| f.role = None, Fail, Blocker, "repl does not exist"),
    ("connect-auth", |f, _| role(f).login = false, Fail, Blocker, "LOGIN"),
    ("connect-tls", |f, _| f.link.encrypted = false, Warn, Warning, "not encrypted"),
    ("server-version", |f, _| f.server.version_num = 120_022, Fail, Blocker, "too old"),
    ("server-version", |f, _| f.server.version_num = 190_000, Warn, Info, "newer"),
    ("in-recovery", |f, _| { f.server.in_recovery = true; f.server.version_num = 150_000; }, Fail, Blocker, "standby"),
    ("in-recovery", |f, _| f.server.in_recovery = true, Warn, Warning, "primary"),
    ("in-recovery", |f, p| { f.server.in_recovery = true; p.method = Method::Xmin; }, Warn, Info, "cancelled"),
    ("pooler-detected", |f, _| f.server.pid_changed = true, Fail, Blocker, "different sessions"),
    ("pooler-detected", |f, p| { f.server.pid_changed = true; p.method = Method::Xmin; }, Warn, Warning, "pooler"),
    ("pooler-detected", |f, _| f.replication = Some(refused("08P01", "unsupported startup parameter")), Fail, Blocker, "refused"),
    ("pooler-detected", |f, _| f.replication = Some(ReplicationProbe::NotAWalsender("syntax error".into())), Fail, Blocker, "no walsender"),
    ("db-connect-privilege", |f, _| if let Seen::Yes(d) = &mut f.database { d.connect = false }, Fail, Blocker, "GRANT CONNECT ON DATABASE \"shop\" TO \"repl\";"),
    ("db-connect-privilege", |f, _| f.database = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("wal-level", |f, _| set(f, "wal_level", "replica"), Fail, Blocker, "ALTER SYSTEM SET wal_level = 'logical';"),
    ("wal-level", |f, _| { set(f, "wal_level", "replica"); f.provider = crate::profile::Provider::AmazonRds; }, Fail, Blocker, "rds.logical_replication"),
    ("wal-level", |f, _| f.settings = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("pending-restart", |f, _| if let Seen::Yes(s) = &mut f.settings { s.entry("shared_buffers".into()).or_default().pending_restart = true }, Warn, Info, "shared_buffers"),
    ("pending-restart", |f, _| if let Seen::Yes(s) = &mut f.settings { s.entry("wal_level".into()).or_default().pending_restart = true }, Warn, Warning, "wal_level"),
    ("slots-free", |f, _| set(f, "max_replication_slots", "1"), Fail, Blocker, "0 of 1 replication slots free, 1 needed"),
    ("slots-free", |f, p| { set(f, "max_replication_slots", "1"); p.initial_copy = false; }, Pass, Blocker, "0 needed"),
    ("slots-free", |f, _| f.slots = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("walsenders-free", |f, _| { set(f, "max_wal_senders", "3"); if let Seen::Yes(a) = &mut f.activity { a.walsenders = 2 } }, Fail, Blocker, "1 of 3 walsenders free, 2 needed"),
    ("walsenders-free", |f, _| f.activity = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("slot-wal-keep-size", |f, _| set(f, "max_slot_wal_keep_size", "-1"), Warn, Warning, "fill the disk"),
    ("slot-wal-keep-size", |f, _| set(f, "max_slot_wal_keep_size", "0"), Fail, Blocker, "first checkpoint"),
    ("slot-wal-keep-size", |f, _| set(f, "max_slot_wal_keep_size", "64"), Warn, Warning, "64 MB"),
    ("dead-slots-present", |f, _| if let Seen::Yes(s) = &mut f.slots { s.push(Slot { slot_name: "old".into(), retained: Some(1 << 30), ..Slot::default() }) }, Warn, Warning, "old (holds 1.0 GB)"),
    ("dead-slots-present", |f, _| if let Seen::Yes(s) = &mut f.slots { s.push(Slot { slot_name: "used".into(), active: true, ..Slot::default() }) }, Pass, Warning, "no other slot"),
    ("idle-slot-timeout", |f, _| set(f, "idle_replication_slot_timeout", "3600"), Warn, Warning, "60 min"),
    ("wal-sender-timeout", |f, _| set(f, "wal_sender_timeout", "5000"), Warn, Warning, "5000 ms"),
    ("wal-sender-timeout", |f, _| set(f, "wal_sender_timeout", "0"), Pass, Warning, "off"),
    ("role-can-replicate", |f, _| role(f).replication = false, Fail, Blocker, "ALTER ROLE \"repl\" REPLICATION;"),
    ("role-can-replicate", |f, _| { role(f).replication = false; f.provider = crate::profile::Provider::AmazonRds; }, Fail, Blocker, "GRANT \"rds_replication\" TO \"repl\";"),
    ("role-can-replicate", |f, _| { role(f).replication = false; role(f).member_of = vec!["rds_replication".into()]; }, Pass, Blocker, "may replicate"),
    ("role-can-replicate", |f, _| { role(f).replication = false; f.replication = Some(ReplicationProbe::Opened { system_id: "7".into() }); }, Pass, Blocker, "connection opened"),
    ("role-can-replicate", |f, _| f.replication = Some(refused("42501", "permission denied to start WAL sender")), Fail, Blocker, "REPLICATION"),
    ("role-can-replicate", |f, _| f.role = None, Skipped, Blocker, "connect-auth"),
    ("replication-hba", |f, _| f.replication = Some(refused("28000", "no pg_hba.conf entry for replication connection")), Fail, Blocker, "host shop repl"),
    ("replication-hba", |f, _| f.replication = Some(refused("42501", "denied")), Skipped, Blocker, "role-can-replicate"),
    ("replication-hba", |f, _| f.replication = Some(refused("53300", "too many")), Skipped, Blocker, "walsenders-free"),
    ("role-is-superuser", |f, _| role(f).superuser = true, Warn, Warning, "superuser"),
    ("role-expiry", |f, _| role(f).expires_in = Some(86_400.0 * 5.0), Warn, Warning, "5 days"),
    ("role-expiry", |f, _| role(f).expires_in = Some(-5.0), Fail, Blocker, "has expired"),
    ("role-expiry", |f, _| role(f).expires_in = Some(1e9), Pass, Warning, "not expire soon"),
    ("schema-exists", |f, p| { p.selection = Selection::Schemas(vec!["Public".into()]); schemas(f)[0].name = "public".into(); }, Fail, Blocker, "Did you mean public?"),
    ("schema-exists", |f, _| f.schemas = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("table-exists", |f, _| relations(f).clear(), Fail, Blocker, "no table in schema public"),
    ("table-exists", |f, p| { p.selection = Selection::Tables(vec![TableName::new("public", "Orders")]); f.near_misses = vec![TableName::new("public", "orders")]; }, Fail, Blocker, "Did you mean public.orders?"),
    ("table-exists", |f, _| f.relations = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("schema-usage", |f, _| schemas(f)[0].usage = false, Fail, Blocker, "GRANT USAGE ON SCHEMA \"public\" TO \"repl\";"),
    ("table-select", |f, _| relations(f)[0].select = false, Fail, Blocker, "GRANT SELECT ON ALL TABLES IN SCHEMA \"public\" TO \"repl\";"),
    ("table-select", |f, p| { relations(f)[0].select = false; p.selection = Selection::Tables(vec![]); }, Fail, Blocker, "GRANT SELECT ON TABLE \"public\".\"orders\" TO \"repl\";"),
    ("table-select", |f, p| { relations(f)[0].select = false; p.initial_copy = false; }, Fail, Info, "may not read"),
    ("default-privileges", |f, _| schemas(f)[0].creators.push("etl".into()), Warn, Warning, "FOR ROLE \"etl\""),
    ("default-privileges", |f, _| { schemas(f)[0].creators.push("etl".into()); role(f).member_of = vec!["pg_read_all_data".into()]; }, Pass, Warning, "anyway"),
    ("rls-active", |f, _| relations(f)[0].rls = true, Fail, Blocker, "CREATE POLICY walpilot_read ON \"public\".\"orders\""),
    ("rls-active", |f, _| { relations(f)[0].rls = true; relations(f)[0].rls_open = true; }, Pass, Blocker, "hides nothing"),
    ("rls-active", |f, _| { let t = &mut relations(f)[0]; (t.rls, t.rls_open, t.rls_restricted) = (true, true, true); }, Fail, Blocker, "BYPASSRLS"),
    ("rls-active", |f, p| { relations(f)[0].rls = true; p.initial_copy = false; }, Fail, Info, "may hide"),
    ("relation-publishable", |f, _| { relations(f)[0].persistence = "u".into(); relations(f)[0].publishable = false; }, Warn, Warning, "unlogged"),
    ("relation-publishable", |f, p| { relations(f)[0].kind = "v".into(); relations(f)[0].publishable = false; p.selection = Selection::Tables(vec![]); }, Fail, Blocker, "a view"),
    ("identity-usable", |f, _| relations(f)[0] = keyless("log"), Fail, Blocker, "ALTER TABLE ONLY \"public\".\"log\" REPLICA IDENTITY FULL;"),
    ("identity-usable", |f, _| { relations(f)[0] = keyless("log"); publication(f).pubupdate = false; publication(f).pubdelete = false; }, Warn, Info, "harmless"),
    ("identity-usable", |f, _| { relations(f)[0] = keyless("log"); relations(f)[0].identity.candidates = vec!["log_u".into()]; }, Fail, Blocker, "USING INDEX \"log_u\";"),
    ("identity-usable", |f, _| { relations(f)[0].identity.index = None; relations(f)[0].identity.setting = "n".into(); }, Fail, Blocker, "REPLICA IDENTITY DEFAULT;"),
    ("identity-usable", |f, _| { relations(f)[0].identity.index = None; relations(f)[0].identity.primary_key_usable = false; }, Fail, Blocker, "deferrable"),
    ("identity-usable", |f, _| { relations(f)[0] = keyless("log"); relations(f)[0].generated = true; }, Fail, Blocker, "Add a primary key"),
    ("identity-usable", |f, _| { relations(f)[0] = keyless("log"); relations(f)[0].identity.setting = "f".into(); }, Pass, Blocker, "usable"),
    ("identity-leaf-partitions", |f, _| partitioned(f), Fail, Blocker, "\"events_1\" REPLICA IDENTITY FULL;"),
    ("identity-leaf-partitions", |f, _| { partitioned(f); relations(f)[1].identity.setting = "f".into(); }, Pass, Blocker, "1 partition has"),
    ("identity-usable", |f, _| partitioned(f), Pass, Blocker, "usable"),
    ("identity-full-cost", |f, _| { relations(f)[0] = keyless("log"); relations(f)[0].identity.setting = "f".into(); }, Warn, Info, "log (8192 bytes)"),
    ("identity-full-cost", |f, _| relations(f)[0].identity.setting = "f".into(), Warn, Warning, "REPLICA IDENTITY DEFAULT;"),
    ("identity-full-generated-18", |f, _| { relations(f)[0].identity.setting = "f".into(); relations(f)[0].generated = true; }, Fail, Blocker, "generated"),
    ("identity-full-generated-18", |f, _| { relations(f)[0].identity.setting = "f".into(); relations(f)[0].generated = true; f.server.version_num = 170_000; }, Warn, Info, "upgrade"),
    ("publish-affects-others", |f, _| relations(f).push(Relation { chosen: false, wanted: false, ..keyless("queue") }), Fail, Blocker, "public.queue"),
    ("publication-exists", |f, _| f.publication = Seen::Yes(None), Fail, Blocker, "missing; walpilot script creates it"),
    ("publication-exists", |f, _| f.publication = Seen::Yes(None), Fail, Blocker, "CREATE PUBLICATION \"walpilot_publication\" FOR TABLE ONLY \"public\".\"orders\", ONLY \"public\".\"customers\" WITH (publish_via_partition_root = true);"),
    ("publication-exists", |f, _| f.publication = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("publication-covers-tables", |f, _| relations(f)[1].published = false, Fail, Blocker, "ALTER PUBLICATION \"walpilot_publication\" ADD TABLE ONLY \"public\".\"customers\";"),
    ("publication-covers-tables", |f, _| f.publication = Seen::Yes(None), Skipped, Blocker, "publication-exists"),
    ("publication-covers-tables", |f, _| { partitioned(f); relations(f)[0].published = false; }, Pass, Blocker, "covers 1 table"),
    ("publication-covers-tables", |f, _| { partitioned(f); relations(f)[0].published = false; relations(f)[1].published = false; }, Fail, Blocker, "public.events"),
    ("publication-operations", |f, _| publication(f).pubtruncate = false, Warn, Warning, "leaves out truncate"),
    ("publication-via-root", |f, _| { partitioned(f); publication(f).pubviaroot = false; }, Warn, Warning, "public.events"),
    ("publication-after-slot", |f, _| { young(f); f.slot_order = Some(SlotOrder::Misses("it does not exist".into())); }, Fail, Blocker, "was created before publication walpilot_publication: it does not exist"),
    ("publication-after-slot", |f, _| { young(f); quiet(f); f.slot_order = Some(SlotOrder::NothingWritten); }, Fail, Blocker, "pg_drop_replication_slot('walpilot_slot')"),
    ("publication-after-slot", |f, _| { young(f); quiet(f); f.slot_order = Some(SlotOrder::Sees); }, Pass, Warning, "sees publication"),
    ("publication-after-slot", |f, _| { young(f); quiet(f); slot(f).decoded_bytes = Some(99); }, Warn, Info, "may be older"),
    ("publication-after-slot", |f, _| { young(f); quiet(f); slot(f).confirmed_flush_lsn = Some(crate::catalog::Lsn(90_000)); }, Warn, Info, "may be older"),
    ("publication-after-slot", |f, _| { young(f); quiet(f); let other = Slot { slot_name: "other".into(), ..slot(f).clone() }; slots(f).push(other); }, Warn, Info, "may be older"),
    ("publication-after-slot", |f, _| f.slots = Seen::Yes(vec![]), Skipped, Warning, "slot-exists"),
    ("slot-name-valid", |_, p| p.slot = "My-Slot".into(), Fail, Blocker, "My-Slot"),
    ("slot-exists", |f, _| f.slots = Seen::Yes(vec![]), Fail, Blocker, "missing; walpilot script creates it"),
    ("slot-exists", |f, _| { f.slots = Seen::Yes(vec![]); set(f, "wal_level", "replica"); }, Skipped, Blocker, "wal-level"),
    ("slot-exists", |f, _| f.slots = Seen::No(no()), Unseen, Blocker, "permission denied"),
    ("slot-database", |f, _| slot(f).database = Some("crm".into()), Fail, Blocker, "belongs to database crm"),
    ("slot-type", |f, _| { slot(f).slot_type = "physical".into(); slot(f).plugin = None; }, Fail, Blocker, "physical"),
    ("slot-synced-copy", |f, _| slot(f).synced = true, Fail, Blocker, "standby's copy"),
    ("slot-synced-copy", |f, _| f.server.in_recovery = true, Pass, Blocker, "own"),
    ("slot-plugin", |f, _| slot(f).plugin = Some("wal2json".into()), Fail, Blocker, "wal2json"),
    ("slot-plugin", |f, _| slot(f).plugin = None, Skipped, Blocker, "slot-type"),
    ("slot-active-elsewhere", |f, _| { slot(f).active = true; slot(f).active_pid = Some(42); }, Fail, Blocker, "process 42"),
    ("slot-active-elsewhere", |f, _| { slot(f).active = true; slot(f).reader = Some("debezium".into()); }, Fail, Blocker, "(debezium)"),
    ("slot-active-elsewhere", |f, _| { slot(f).active = true; slot(f).reader = Some("walpilot run".into()); }, Pass, Blocker, "walpilot run"),
    ("slot-lost", |f, _| slot(f).wal_status = Some("lost".into()), Fail, Blocker, "is lost"),
    ("slot-lost", |f, _| slot(f).wal_status = Some("unreserved".into()), Warn, Warning, "about to be lost"),
    ("slot-lost", |f, _| slot(f).invalidation_reason = Some("idle_timeout".into()), Fail, Blocker, "idle_timeout"),
    ("long-writers", |f, _| wait(f, Some(60), false), Warn, Warning, "process 77 in other (for 60 s)"),
    ("long-writers", |f, _| wait(f, Some(600), false), Fail, Blocker, "pg_terminate_backend(77);"),
    ("long-writers", |f, _| wait(f, None, true), Warn, Warning, "pg_read_all_stats"),
    ("long-writers", |f, _| wait(f, None, false), Pass, Warning, "no open"),
    ("long-writers", |f, _| wait(f, Some(1), true), Warn, Warning, "for 1 s"),
    ("long-writers", |f, _| wait(f, Some(1), false), Pass, Warning, "no open"),
    ("long-writers", |f, p| { wait(f, Some(600), false); p.initial_copy = false; }, Pass, Warning, "no open"),
    ("long-writers", |f, _| f.activity = Seen::No(no()), Unseen, Warning, "permission denied"),
    ("prepared-transactions", |f, _| if let Seen::Yes(a) = &mut f.activity { a.prepared.push(Prepared { gid: "it's".into(), seconds: 90, ..Prepared::default() }) }, Fail, Blocker, "ROLLBACK PREPARED 'it''s';"),
    ("xmin-relation-kind", |f, p| { p.method = Method::Xmin; relations(f)[0].kind = "v".into(); }, Fail, Blocker, "a view"),
    ("xmin-relation-kind", |_, p| p.method = Method::Xmin, Pass, Blocker, "every"),
    ("xmin-deletes", |f, p| { p.method = Method::Xmin; relations(f)[0] = keyless("log"); }, Fail, Blocker, "public.log"),
    ("xmin-deletes", |_, p| p.method = Method::Xmin, Warn, Info, "deletes"),
    ("xmin-full-scan", |f, p| { p.method = Method::Xmin; relations(f)[0].bytes = 1 << 41; }, Warn, Warning, "2.0 TB"),
    ("xmin-full-scan", |_, p| p.method = Method::Xmin, Pass, Warning, "16.0 kB"),
];

#[test]
fn a_healthy_source_is_ready_and_raises_nothing() {
    let report = evaluate(&healthy(), &profile());
    // Notes may remain: that an existing slot brings no snapshot, that later tables are not taken in.
    let raised: Vec<_> =
        report.findings.iter().filter(|finding| finding.status != Pass && finding.severity != Info).collect();
    assert!(raised.is_empty() && report.verdict == Verdict::Ready, "{raised:#?}");
}

#[test]
fn what_belongs_to_cdc_stays_out_of_xmin() {
    let (mut facts, mut profile) = (healthy(), profile());
    profile.method = Method::Xmin;
    set(&mut facts, "wal_level", "minimal");
    (facts.publication, facts.slots) = (Seen::Yes(None), Seen::Yes(vec![]));
    role(&mut facts).replication = false;
    relations(&mut facts)[0] = Relation { select: true, ..table("orders") };
    let report = evaluate(&facts, &profile);
    assert_eq!(report.verdict, Verdict::Ready, "{:#?}", report.findings);
    assert!(report.findings.iter().all(|finding| !finding.id.starts_with("slot") && !finding.id.starts_with("publ")));
}

#[test]
fn the_worst_comes_first_and_decides() {
    let (mut facts, profile) = (healthy(), profile());
    set(&mut facts, "max_slot_wal_keep_size", "-1");
    assert_eq!(evaluate(&facts, &profile).verdict, Verdict::Warnings);
    slot(&mut facts).wal_status = Some("lost".into());
    let report = evaluate(&facts, &profile);
    assert_eq!((report.verdict, report.findings[0].id), (Verdict::Blocked, "slot-lost"));
    assert_eq!(report.findings[1].id, "slot-wal-keep-size");
}

#[test]
fn nothing_that_a_server_says_reaches_a_screen_raw() {
    let evil = "x\u{1b}[31m\n\u{202e}y";
    let (mut facts, mut profile) = (healthy(), profile());
    profile.source.user = evil.into();
    profile.source.database = evil.into();
    profile.publication = evil.into();
    facts.server.version = evil.into();
    facts.reader.name = evil.into();
    facts.settings = Seen::No(evil.into());
    facts.publication = Seen::Yes(None);
    schemas(&mut facts)[0] = Schema { owner: evil.into(), creators: vec![evil.into()], ..Schema::default() };
    schemas(&mut facts)[0].name = "public".into();
    relations(&mut facts)[0] = Relation { owner: evil.into(), select: false, rls: true, ..keyless(evil) };
    slot(&mut facts).plugin = Some(evil.into());
    slot(&mut facts).database = Some(evil.into());
    let report = serde_json::to_value(evaluate(&facts, &profile)).expect("serialises");
    fn walk(value: &serde_json::Value) {
        match value {
            serde_json::Value::String(text) => {
                assert!(!text.contains(['\u{1b}', '\n', '\u{202e}']), "{text:?}");
            }
            serde_json::Value::Array(values) => values.iter().for_each(walk),
            serde_json::Value::Object(values) => values.values().for_each(walk),
            _ => {}
        }
    }
    walk(&report);
}
