//! `walpilot check` and the gathering of facts, against real servers.

use crate::support::preflight::inspect;
use crate::support::program::uri;
use crate::support::{await_until, prepare, psql, session, source, source_builder, started, walpilot};
use serde_json::Value;
use tokio_postgres::SimpleQueryMessage;
use walpilot::catalog::gather::{gather, gather_and_probe, list_tables, probe_replication};
use walpilot::catalog::{Facts, Seen};
use walpilot::connection::{Secret, Session, Settings};
use walpilot::demo::Cluster;
use walpilot::preflight::{Report, Severity, Status, Verdict, evaluate};
use walpilot::profile::{Method, Profile, Selection, TableName};

/// A role that may do nothing but log in.
fn with_role(cluster: &Cluster, sql: &str) -> Settings {
    prepare(&cluster.settings(), "CREATE ROLE repl LOGIN PASSWORD 'repl'");
    prepare(&cluster.settings(), sql);
    cluster.settings().as_user("repl", Some(Secret::new("repl")))
}

async fn look(profile: &Profile) -> (Facts, Report) {
    let facts = gather_and_probe(&inspect(&profile.source).await, profile).await.expect("facts");
    let report = evaluate(&facts, profile);
    (facts, report)
}

fn status(report: &Report, id: &str) -> (Status, Severity) {
    let finding = report.finding(id).unwrap_or_else(|| panic!("{id} is not in {report:#?}"));
    (finding.status, finding.severity)
}

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(include_str!("../../assets/check.schema.json")).expect("JSON");
    jsonschema::draft202012::options().build(&schema).expect("a valid schema")
}

#[track_caller]
fn valid(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let errors: Vec<String> = validator().iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
    value
}

#[tokio::test]
async fn json_reports_follow_the_schema_whether_the_server_is_reached_or_not() {
    let cluster = source().await;
    prepare(&cluster.settings(), "CREATE TABLE U&\"We\\001Bird\"(id int); CREATE TABLE good(id int PRIMARY KEY)");
    let source = uri(&cluster.settings());
    let run = walpilot(["check", &source, "--format", "json"]).password(&cluster.settings()).run().await;
    let report = valid(&run.expect_code(1).stdout);
    assert_eq!(report["verdict"], "blocked");
    assert_eq!(report["source"]["provider"], "self-hosted PostgreSQL");
    let xmin = walpilot(["check", &source, "--format", "json", "--method", "xmin"]);
    // Without a key a changed row can't be told from a new one.
    let report = valid(&xmin.password(&cluster.settings()).run().await.expect_code(1).stdout);
    assert_eq!((&report["profile"]["slot"], &report["verdict"]), (&Value::Null, &Value::from("blocked")));

    let run = walpilot(["check", &source, "--format", "json"]).env("PGPASSWORD", "S3NT1NEL").run().await;
    let refused = run.expect_code(3);
    assert!(!refused.stdout.contains("S3NT1NEL") && !refused.stderr.contains("S3NT1NEL"));
    let report = valid(&refused.stdout);
    assert_eq!((&report["findings"][0]["id"], &report["verdict"]), (&"connect-auth".into(), &"blocked".into()));
    assert_eq!(report["findings"][0]["evidence"]["class"], "password_wrong");
    let nowhere = Settings { port: 1, ..cluster.settings() };
    let run = walpilot(["check", &uri(&nowhere), "--format", "json"]).password(&nowhere).run().await;
    let report = valid(&run.expect_code(3).stdout);
    assert_eq!(report["findings"][0]["id"], "connect-dns-tcp");
    // For people it is one sentence, and nothing on standard output.
    let run = walpilot(["check", &uri(&nowhere)]).password(&nowhere).run().await.expect_code(3);
    assert!(run.stdout.is_empty() && run.stderr.contains("Nothing listens on 127.0.0.1:1."), "{run:?}");
}

#[tokio::test]
async fn a_low_privileged_role_sees_everything_that_is_judged() {
    let cluster = source().await;
    let repl = with_role(
        &cluster,
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE ROLE app; GRANT ALL ON SCHEMA public TO app; SET ROLE app;
         CREATE TABLE orders(id int PRIMARY KEY); CREATE TABLE log(line text);
         CREATE TABLE secret(id int PRIMARY KEY); ALTER TABLE secret ENABLE ROW LEVEL SECURITY",
    );
    let (facts, report) = look(&Profile::new(repl.clone())).await;
    let unseen: Vec<_> = report.findings.iter().filter(|finding| finding.status == Status::Unseen).collect();
    // Other sessions' snapshots are the one thing that nobody sees without a grant, and it is only good to know.
    assert_eq!(unseen.iter().map(|finding| finding.id).collect::<Vec<_>>(), ["long-readers"], "{unseen:#?}");
    assert_eq!(facts.reader.name, "repl");
    for id in ["role-can-replicate", "schema-usage", "table-select", "rls-active", "identity-usable", "slot-exists"] {
        assert_eq!(status(&report, id), (Status::Fail, Severity::Blocker), "{id}");
    }
    assert_eq!(status(&report, "replication-hba").0, Status::Skipped);
    assert_eq!(status(&report, "default-privileges"), (Status::Warn, Severity::Warning));
    assert_eq!(report.finding("identity-usable").expect("it").objects, ["public.log"]);
    assert_eq!(report.finding("rls-active").expect("it").objects, ["public.secret"]);
    // The administrator, looking on behalf of the role, comes to the same about its privileges.
    let profile = Profile::new(repl);
    let through_admin = gather(&inspect(&cluster.settings()).await, &profile).await.expect("facts");
    assert_eq!(through_admin.relations, facts.relations);
    assert_eq!(through_admin.schemas, facts.schemas);
    assert_eq!(through_admin.role, facts.role);
}

#[tokio::test]
async fn the_lock_free_verdict_on_identity_is_the_servers_own() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE pk(a int PRIMARY KEY); CREATE TABLE none(a int); CREATE TABLE deferred(a int PRIMARY KEY DEFERRABLE);
         CREATE TABLE whole(a int); ALTER TABLE whole REPLICA IDENTITY FULL;
         CREATE TABLE nothing(a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
         CREATE TABLE by_index(a int NOT NULL, CONSTRAINT u UNIQUE (a)); ALTER TABLE by_index REPLICA IDENTITY USING INDEX u;
         CREATE TABLE lost(a int NOT NULL, CONSTRAINT l UNIQUE (a)); ALTER TABLE lost REPLICA IDENTITY USING INDEX l;
         ALTER TABLE lost DROP CONSTRAINT l;
         CREATE TABLE nullable(a int UNIQUE); CREATE TABLE partial(a int NOT NULL); CREATE UNIQUE INDEX ON partial(a) WHERE a > 0;
         CREATE TABLE expression(a int NOT NULL); CREATE UNIQUE INDEX ON expression((a + 1));
         CREATE TABLE included(a int NOT NULL, b int); CREATE UNIQUE INDEX inc ON included(a) INCLUDE (b);
         CREATE TABLE parts(a int, b int, PRIMARY KEY (a)) PARTITION BY LIST (a);
         CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
         CREATE TABLE loose(a int) PARTITION BY LIST (a); CREATE TABLE loose_1 PARTITION OF loose FOR VALUES IN (1)",
    );
    let (facts, report) = look(&Profile::new(admin.clone())).await;
    let mut compared = 0;
    for table in facts.relations().iter().filter(|table| table.is_leaf()) {
        let sql = format!(
            "SELECT relreplident = 'f' OR pg_get_replica_identity_index(oid) IS NOT NULL FROM pg_class WHERE oid = {}",
            table.oid
        );
        let server = psql(&admin, &sql) == "t";
        assert_eq!(table.identity.usable(), server, "{table:#?}");
        // A candidate is what ALTER TABLE takes.
        for index in &table.identity.candidates {
            prepare(
                &admin,
                &format!("BEGIN; ALTER TABLE \"{}\" REPLICA IDENTITY USING INDEX \"{index}\"; ROLLBACK", table.name),
            );
        }
        compared += 1;
    }
    assert_eq!(compared, 13);
    let candidates = |name: &str| {
        facts.relations().iter().find(|table| table.name == name).map(|table| table.identity.candidates.clone())
    };
    assert_eq!(candidates("included"), Some(vec!["inc".to_owned()]));
    for name in ["nullable", "partial", "expression"] {
        assert_eq!(candidates(name), Some(Vec::new()), "{name}");
    }
    assert_eq!(report.finding("identity-leaf-partitions").expect("it").objects, ["public.loose_1"]);
}

#[tokio::test]
async fn coverage_is_what_the_server_publishes() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY); CREATE SCHEMA other; CREATE TABLE other.c(id int);
         CREATE TABLE root(id int) PARTITION BY LIST (id); CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1);
         CREATE UNLOGGED TABLE scratch(id int); CREATE VIEW v AS SELECT 1 AS one",
    );
    let mut definitions = vec!["FOR TABLE a, root", "FOR TABLE leaf", "FOR ALL TABLES"];
    if cluster.major() >= 15 {
        definitions.push("FOR TABLES IN SCHEMA other");
    }
    for definition in definitions {
        for via_root in ["true", "false"] {
            let sql = format!("CREATE PUBLICATION p {definition} WITH (publish_via_partition_root = {via_root})");
            prepare(&admin, &format!("DROP PUBLICATION IF EXISTS p; {sql}"));
            let selection = Selection::Schemas(vec!["public".into(), "other".into()]);
            let profile = Profile { publication: "p".into(), selection, ..Profile::new(admin.clone()) };
            let (facts, _) = look(&profile).await;
            let mut covered: Vec<String> = facts
                .relations()
                .iter()
                .filter(|table| table.published && table.is_leaf())
                .map(|table| format!("{}.{}", table.schema, table.name))
                .collect();
            covered.sort_unstable();
            // With the root published, the view names the root: its leaves are what is written to.
            let server = psql(
                &admin,
                "SELECT DISTINCT coalesce(t.relid, c.oid)::regclass::text FROM pg_publication_tables p
                 JOIN pg_namespace n ON n.nspname = schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = tablename
                 LEFT JOIN LATERAL pg_partition_tree(c.oid) t ON t.isleaf WHERE pubname = 'p'",
            );
            let mut server: Vec<String> = server
                .lines()
                .map(|name| if name.contains('.') { name.into() } else { format!("public.{name}") })
                .collect();
            server.sort_unstable();
            assert_eq!(covered, server, "{sql}");
        }
    }
}

#[tokio::test]
async fn a_locked_table_delays_nothing() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE locked(id int PRIMARY KEY); CREATE TABLE parts(id int) PARTITION BY LIST (id);
         CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1); CREATE PUBLICATION walpilot_publication FOR ALL TABLES",
    );
    let holder = session(&admin).await;
    holder
        .client
        .batch_execute("BEGIN; LOCK public.locked, public.parts, public.part_1 IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("locked");
    // Waiting for no lock at all, it must work with the shortest limit.
    let reader = inspect(&admin).await;
    reader.client.batch_execute("SET lock_timeout = 1").await.expect("set");
    let facts = gather(&reader, &Profile::new(admin.clone())).await.expect("facts");
    assert!(matches!(&facts.relations, Seen::Yes(tables) if tables.len() == 3), "{:?}", facts.relations);
    let tables = list_tables(&reader).await.expect("tables");
    assert_eq!(tables.len(), 2);
    drop(holder);
}

#[tokio::test]
async fn a_broken_catalog_view_is_unseen_and_not_in_order() {
    let cluster = source().await;
    let repl = with_role(&cluster, "REVOKE SELECT ON pg_catalog.pg_replication_slots FROM PUBLIC");
    let (_, report) = look(&Profile::new(repl)).await;
    let finding = report.finding("slot-exists").expect("it");
    assert_eq!(finding.status, Status::Unseen);
    assert!(finding.summary.contains("permission denied"), "{finding:?}");
}

#[tokio::test]
async fn an_open_transaction_that_has_written_is_told_from_one_that_reads() {
    let cluster = source().await;
    let repl = with_role(&cluster, "ALTER ROLE repl REPLICATION; CREATE TABLE t(id int PRIMARY KEY)");
    let (reader, writer) = (session(&cluster.settings()).await, session(&cluster.settings()).await);
    reader.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM public.t").await.expect("read");
    let (_, report) = look(&Profile::new(repl.clone())).await;
    assert_eq!(status(&report, "long-writers").0, Status::Pass);
    writer.client.batch_execute("BEGIN; INSERT INTO public.t VALUES (1)").await.expect("write");
    // Its age is hidden from this role, so it is looked at twice.
    let (_, report) = look(&Profile::new(repl)).await;
    assert_eq!(status(&report, "long-writers"), (Status::Warn, Severity::Warning));
    let rows = writer.client.simple_query("SELECT pg_backend_pid()").await.expect("pid");
    let pid = rows.iter().find_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    let pid = pid.expect("pid");
    assert!(report.finding("long-writers").expect("it").summary.contains(&format!("process {pid}")));
}

#[tokio::test]
async fn settings_slots_and_senders_are_judged_on_what_is_left() {
    let mut builder = source_builder();
    for (name, value) in [
        ("max_replication_slots", "2"),
        ("max_wal_senders", "1"),
        ("wal_level", "replica"),
        ("max_slot_wal_keep_size", "0"),
    ] {
        builder = builder.setting(name, value);
    }
    let cluster = started(builder).await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); ALTER SYSTEM SET wal_level = logical; SELECT pg_reload_conf();
         SELECT pg_create_physical_replication_slot('standby')",
    );
    await_until("the new value waits for a restart", async || {
        psql(&admin, "SELECT pending_restart FROM pg_settings WHERE name = 'wal_level'") == "t"
    })
    .await;
    let (_, report) = look(&Profile::new(admin)).await;
    assert_eq!(status(&report, "wal-level"), (Status::Fail, Severity::Blocker));
    assert!(report.finding("wal-level").expect("it").summary.contains("waits for a restart"));
    assert_eq!(report.finding("slots-free").expect("it").summary, "1 of 2 replication slots free, 2 needed");
    assert_eq!(status(&report, "walsenders-free").0, Status::Fail);
    assert_eq!(status(&report, "slot-wal-keep-size"), (Status::Fail, Severity::Blocker));
    assert_eq!(report.finding("dead-slots-present").expect("it").objects, ["standby"]);
    // The cause is reported once.
    assert_eq!(status(&report, "slot-exists").0, Status::Skipped);
}

#[tokio::test]
async fn wrong_slots_and_names_are_told_apart() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE DATABASE other");
    let other = Settings { database: "other".into(), ..admin.clone() };
    prepare(&other, "SELECT pg_create_logical_replication_slot('elsewhere', 'pgoutput')");
    prepare(
        &admin,
        "CREATE TABLE \"Orders\"(id int PRIMARY KEY); CREATE VIEW report AS SELECT 1 AS one;
         SELECT pg_create_physical_replication_slot('physical');
         SELECT pg_create_logical_replication_slot('decoding', 'test_decoding');
         CREATE PUBLICATION walpilot_publication FOR TABLE \"Orders\" WITH (publish = 'insert')",
    );
    let base = Profile::new(admin);
    for (slot, id) in [("elsewhere", "slot-database"), ("physical", "slot-type"), ("decoding", "slot-plugin")] {
        let (_, report) = look(&Profile { slot: slot.into(), ..base.clone() }).await;
        assert_eq!(status(&report, id).0, Status::Fail, "{slot}: {report:#?}");
    }
    let tables = vec![TableName::new("public", "orders"), TableName::new("public", "report")];
    let (_, report) = look(&Profile { selection: Selection::Tables(tables.clone()), ..base.clone() }).await;
    let finding = report.finding("table-exists").expect("it");
    assert_eq!(finding.objects, ["public.orders"]);
    assert!(finding.fixes[0].text.contains("public.\"Orders\""), "{finding:?}");
    assert_eq!(report.finding("relation-publishable").expect("it").objects, ["public.report"]);
    assert_eq!(status(&report, "publication-operations").0, Status::Warn);
    let xmin = Profile { method: Method::Xmin, selection: Selection::Tables(tables), ..base };
    let (_, report) = look(&xmin).await;
    assert_eq!(report.finding("xmin-relation-kind").expect("it").object_count, 1);
}

#[tokio::test]
async fn the_replication_connection_is_tried_for_real() {
    let cluster = started(source_builder().hba("host walled repl all reject")).await;
    let repl = with_role(&cluster, "ALTER ROLE repl REPLICATION; CREATE TABLE t(id int PRIMARY KEY)");
    let identity = psql(&cluster.settings(), "SELECT system_identifier FROM pg_control_system()");
    let walpilot::catalog::facts::ReplicationProbe::Opened { system_id } = probe_replication(&repl).await else {
        panic!("it did not open")
    };
    assert_eq!(system_id, identity);
    let (_, report) = look(&Profile::new(repl)).await;
    assert_eq!(status(&report, "replication-hba").0, Status::Pass);
    assert_ne!(report.verdict, Verdict::Ready);
}

#[tokio::test]
async fn a_partitioned_table_is_as_big_as_its_partitions() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE parts(id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
         CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (500);
         CREATE TABLE part_2 PARTITION OF parts FOR VALUES FROM (500) TO (9999) PARTITION BY RANGE (id);
         CREATE TABLE part_2a PARTITION OF part_2 FOR VALUES FROM (500) TO (9999);
         INSERT INTO parts SELECT i, repeat('x', 100) FROM generate_series(1, 1000) i; VACUUM ANALYZE parts",
    );
    let parts = async |session: &Session| list_tables(session).await.expect("tables").remove(0);
    let reader = inspect(&admin).await;
    let table = parts(&reader).await;
    let server = psql(&admin, "SELECT pg_total_relation_size('part_1') + pg_total_relation_size('part_2a')")
        .parse()
        .expect("a size");
    assert_eq!((table.bytes, table.rows, table.partitioned), (server, Some(1000), true));
    // A locked partition is estimated; the others are still measured.
    let holder = session(&admin).await;
    holder.client.batch_execute("BEGIN; LOCK public.part_1 IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    let locked = parts(&reader).await;
    assert!(locked.bytes > server / 2 && locked.bytes <= server, "{locked:?}, {server}");
}
