//! The setup script and its application, against real servers: from a source on which everything is wrong to one that
//! is ready.

mod support;

use std::sync::Mutex;

use support::program::uri;
use support::pty::Terminal;
use support::{await_until, prepare, psql, psql_script, session, source, source_builder, started, walpilot};
use tokio_util::sync::CancellationToken;
use walpilot::catalog::Facts;
use walpilot::catalog::gather::{gather, gather_and_probe};
use walpilot::connection::{Secret, SessionOptions, Settings, connect};
use walpilot::demo::Cluster;
use walpilot::preflight::{Report, Severity, Status, Verdict, evaluate};
use walpilot::profile::{Method, Profile, Selection, TableName};
use walpilot::setup::apply::{ApplyEvent, apply};
use walpilot::setup::rehearse::rehearse;
use walpilot::setup::undo::undo;
use walpilot::setup::{Coverage, Person, Plan, PlanOptions, Wishes, plan, plan_with, script};

const PASSWORD: &str = "S3NT1NEL'pass\\word";

/// Everything is wrong: no role, no CONNECT, no USAGE, no SELECT, two creators, row-level security, and tables without
/// a usable identity of every kind, under names that break careless quoting.
const MESS: &str = r#"
CREATE ROLE app; CREATE ROLE "Ad'min ""2""; --";
DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END $$;
CREATE SCHEMA "Sch ""ema; 🧾"; GRANT ALL ON SCHEMA "Sch ""ema; 🧾" TO app, "Ad'min ""2""; --";
SET search_path = "Sch ""ema; 🧾";
SET ROLE app;
CREATE TABLE good(id int PRIMARY KEY, v text);
CREATE TABLE log(line text);
CREATE TABLE "by index"(a int NOT NULL, b int); CREATE UNIQUE INDEX "In""dex;" ON "by index"(a);
CREATE TABLE "select"(a int PRIMARY KEY DEFERRABLE);
CREATE TABLE nothing(a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE U&"new\000Aline\001B[31m\202E"(a int);
CREATE TABLE ääääääääääääääääääääääääääääääx(a int);
CREATE TABLE hidden(id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; INSERT INTO hidden VALUES (1);
CREATE TABLE "Parts"(id int, at int) PARTITION BY RANGE (at);
CREATE TABLE "Parts 1" PARTITION OF "Parts" FOR VALUES FROM (0) TO (10);
CREATE TABLE "Parts 2" PARTITION OF "Parts" FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (at);
CREATE TABLE "Parts 2a" PARTITION OF "Parts 2" FOR VALUES FROM (10) TO (15);
RESET ROLE; SET ROLE "Ad'min ""2""; --";
CREATE TABLE "Other's"(id int PRIMARY KEY)"#;

fn profile(cluster: &Cluster, user: &str) -> Profile {
    Profile {
        selection: Selection::Schemas(vec!["Sch \"ema; 🧾".to_owned()]),
        publication: "Pub \"lication\"; 🧾".to_owned(),
        ..Profile::new(cluster.settings().as_user(user, Some(Secret::new(PASSWORD))))
    }
}

async fn look(as_whom: &Settings, profile: &Profile) -> (Facts, Report) {
    let session = connect(as_whom, &SessionOptions::inspect()).await.unwrap_or_else(|failure| panic!("{failure}"));
    let facts = gather_and_probe(&session, profile).await.expect("facts");
    let report = evaluate(&facts, profile);
    (facts, report)
}

fn planned(facts: &Facts, profile: &Profile) -> Plan {
    plan(facts, profile, &PlanOptions { role_password: profile.source.password.clone() })
}

#[tokio::test]
async fn everything_wrong_becomes_ready_by_the_script_in_psql() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let profile = profile(&cluster, "Re\"pl'; --");
    let (facts, before) = look(&admin, &profile).await;
    assert_eq!((before.verdict, before.findings[0].id), (Verdict::Blocked, "connect-auth"));
    let plan = planned(&facts, &profile);
    assert!(plan.by_hand.is_empty(), "{:?}", plan.by_hand);
    let text = script::render(&plan, &profile);
    assert!(!text.contains("S3NT1NEL") && text.contains("SCRAM-SHA-256$"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text}");
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
    assert!(at("CREATE ROLE") < at("GRANT CONNECT") && at("REPLICA IDENTITY") < at("CREATE PUBLICATION"));
    assert!(at("CREATE PUBLICATION") < at("pg_create_logical_replication_slot("));

    // In another database it stops before it changes anything.
    let (code, stderr) = psql_script(&Settings { database: "template1".into(), ..admin.clone() }, &text);
    assert!(code != 0 && stderr.contains("another database"), "{stderr}");
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication"), "0");
    // Twice: the second time nothing is left to do, and nothing fails.
    for _ in 0..2 {
        let (code, stderr) = psql_script(&admin, &text);
        assert_eq!((code, stderr.as_str()), (0, ""), "{text}");
    }
    // The role logs in with its password, and finds all in order.
    let (facts, after) = look(&profile.source, &profile).await;
    let raised: Vec<_> = after.findings.iter().filter(|finding| finding.status != Status::Pass).collect();
    assert_eq!(after.verdict, Verdict::Ready, "{raised:#?}");
    let more: Vec<_> = raised.iter().filter(|finding| finding.severity != Severity::Info).collect();
    assert!(
        more.is_empty() && after.finding("identity-full-cost").is_some_and(|one| one.status == Status::Warn),
        "{more:#?}"
    );
    let left = planned(&facts, &profile);
    assert!(left.is_empty(), "{left:#?}");
    // What the checks say holds for the application: its updates go on, and the role sees the hidden row.
    prepare(
        &admin,
        "SET search_path = \"Sch \"\"ema; 🧾\"; INSERT INTO log VALUES ('a'); UPDATE log SET line = 'b'; DELETE FROM log;
         INSERT INTO \"Parts\" VALUES (1, 1), (2, 12); UPDATE \"Parts\" SET id = id + 1",
    );
    assert_eq!(psql(&profile.source, "SELECT count(*) FROM \"Sch \"\"ema; 🧾\".hidden"), "1");
    prepare(&admin, "SET ROLE app; CREATE TABLE \"Sch \"\"ema; 🧾\".later(id int PRIMARY KEY)");
    assert_eq!(psql(&profile.source, "SELECT count(*) FROM \"Sch \"\"ema; 🧾\".later"), "0");
    // The new table is not yet in the publication; that is all that is missing.
    let (facts, report) = look(&profile.source, &profile).await;
    assert_eq!(report.finding("publication-covers-tables").expect("it").status, Status::Fail);
    let steps = planned(&facts, &profile).steps;
    assert!(steps.len() == 1 && steps[0].sql.contains("ADD TABLE"), "{steps:#?}");
}

#[tokio::test]
async fn full_is_the_last_resort_and_each_leaf_gets_its_own() {
    let cluster = source().await;
    prepare(&cluster.settings(), MESS);
    let profile = profile(&cluster, "repl");
    let (facts, _) = look(&cluster.settings(), &profile).await;
    let steps = planned(&facts, &profile).steps;
    let sql_of = |table: &str| {
        let wanted = format!("ALTER TABLE ONLY \"Sch \"\"ema; 🧾\".{table} REPLICA IDENTITY ");
        steps.iter().find_map(|step| step.sql.strip_prefix(&wanted).map(str::to_owned))
    };
    assert_eq!(sql_of("\"log\"").as_deref(), Some("FULL"));
    assert_eq!(sql_of("\"by index\"").as_deref(), Some("USING INDEX \"In\"\"dex;\""));
    assert_eq!(sql_of("\"nothing\"").as_deref(), Some("DEFAULT"));
    assert_eq!(sql_of("\"select\"").as_deref(), Some("FULL"));
    assert_eq!(sql_of("\"Parts 1\"").as_deref(), Some("FULL"));
    assert_eq!(sql_of("\"Parts 2a\"").as_deref(), Some("FULL"));
    for without in ["\"Parts\"", "\"Parts 2\"", "\"good\""] {
        assert_eq!(sql_of(without), None, "{without}");
    }
    let publication = steps.iter().find(|step| step.sql.starts_with("CREATE PUBLICATION")).expect("it");
    assert!(publication.sql.contains("\"Parts\"") && !publication.sql.contains("\"Parts 1\""), "{}", publication.sql);
    assert!(publication.sql.ends_with("WITH (publish_via_partition_root = true)"), "{}", publication.sql);
}

#[tokio::test]
async fn chosen_tables_get_no_more_than_they_need() {
    let cluster = source().await;
    prepare(&cluster.settings(), MESS);
    let table = TableName::new("Sch \"ema; 🧾", "good");
    let profile = Profile { selection: Selection::Tables(vec![table]), ..profile(&cluster, "repl") };
    for method in [Method::Cdc, Method::Xmin] {
        let profile = Profile { method, ..profile.clone() };
        let (facts, _) = look(&cluster.settings(), &profile).await;
        let text = script::render(&planned(&facts, &profile), &profile);
        let cdc = method == Method::Cdc;
        assert!(text.contains("GRANT SELECT ON TABLE") && !text.contains("ALL TABLES"), "{text}");
        assert!(
            !text.contains("DEFAULT PRIVILEGES") && !text.contains("POLICY") && !text.contains("IDENTITY"),
            "{text}"
        );
        for word in [" REPLICATION", "CREATE PUBLICATION", "replication_slot"] {
            assert_eq!(text.contains(word), cdc, "{word} in {text}");
        }
    }
}

#[tokio::test]
async fn what_needs_a_restart_is_left_to_the_administrator() {
    let cluster = started(source_builder().setting("wal_level", "replica")).await;
    prepare(&cluster.settings(), "CREATE TABLE t(id int PRIMARY KEY)");
    let profile = Profile::new(cluster.settings().as_user("repl", None));
    let (facts, _) = look(&cluster.settings(), &profile).await;
    let plan = planned(&facts, &profile);
    let text = script::render(&plan, &profile);
    assert!(text.contains("ALTER SYSTEM SET wal_level = 'logical'; Then restart the server."), "{text}");
    assert!(plan.steps.iter().all(|step| !step.sql.contains("replication_slot")), "{text}");
    assert!(text.contains("\\password \"repl\""), "{text}");
    assert_eq!(psql_script(&cluster.settings(), &text).0, 0);
}

#[tokio::test]
async fn a_locked_table_is_waited_for_and_the_application_goes_on() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text)");
    let profile = Profile::new(admin.clone());
    let (facts, _) = look(&admin, &profile).await;
    let plan = planned(&facts, &profile);
    let holder = session(&admin).await;
    holder.client.batch_execute("BEGIN; SELECT * FROM public.log").await.expect("an open SELECT");
    let holder = Mutex::new(Some(holder));
    let events = Mutex::new(Vec::new());
    let session = session(&admin).await;
    apply(&session, &plan, &CancellationToken::new(), |event| {
        if matches!(event, ApplyEvent::Waiting(..)) {
            // The lock goes away once walpilot was seen to wait for it.
            holder.lock().expect("lock").take();
        }
        events.lock().expect("lock").push(event);
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    let events = events.into_inner().expect("lock");
    assert!(events.iter().any(|event| matches!(event, ApplyEvent::Waiting(0, _))), "{events:?}");
    assert_eq!(events.last(), Some(&ApplyEvent::Done(plan.steps.len() - 1)));
}

#[tokio::test]
async fn cancelling_leaves_no_half_made_slot() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY)");
    let profile = Profile::new(admin.clone());
    let (facts, _) = look(&admin, &profile).await;
    let plan = planned(&facts, &profile);
    let writer = session(&admin).await;
    writer.client.batch_execute("BEGIN; INSERT INTO public.t VALUES (1)").await.expect("write");
    let (cancel, session) = (CancellationToken::new(), session(&admin).await);
    let error = apply(&session, &plan, &cancel, |event| {
        if matches!(event, ApplyEvent::Waiting(..)) {
            cancel.cancel();
        }
    })
    .await
    .expect_err("a writer is open");
    assert_eq!((error.number, error.cause.as_str()), (plan.steps.len(), "it was cancelled"));
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_replication_slots"), "0");
    // What came before stays, and going on does only the rest.
    drop(writer);
    let (facts, _) = look(&admin, &profile).await;
    let rest = planned(&facts, &profile);
    assert_eq!(rest.steps.len(), 1);
    apply(&session, &rest, &CancellationToken::new(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_replication_slots"), "1");
}

#[tokio::test]
async fn the_first_error_stops_with_statement_cause_and_next_step() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE ROLE weak LOGIN PASSWORD 'weak'");
    let profile = Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD))));
    let (facts, _) = look(&admin, &profile).await;
    let weak = session(&admin.as_user("weak", Some(Secret::new("weak")))).await;
    let error = apply(&weak, &planned(&facts, &profile), &CancellationToken::new(), |_| {}).await.expect_err("refused");
    assert_eq!(error.number, 1);
    assert!(error.sql.starts_with("CREATE ROLE \"repl\"") && !error.to_string().contains("SCRAM"), "{error:?}");
    assert!(error.cause.contains("42501") && error.next.contains("apply again"), "{error:?}");
}

#[tokio::test]
async fn the_command_asks_applies_and_checks() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE log(line text)");
    let repl = admin.as_user("repl", Some(Secret::new(PASSWORD)));
    let source = uri(&repl);
    let run = |args: &[&str]| {
        let all = ["script", source.as_str()].into_iter().chain(args.iter().copied()).collect::<Vec<_>>();
        let password = admin.password.as_ref().map_or("", Secret::reveal);
        walpilot(all).password(&repl).env("WALPILOT_ADMIN_PASSWORD", password).run()
    };
    let refused = run(&[]).await.expect_code(3);
    assert!(refused.stderr.contains("--admin-user"), "{refused:?}");
    assert!(run(&["--apply"]).await.expect_code(2).stderr.contains("--admin"));
    let refused = run(&["--apply", "--admin-user", "postgres"]).await.expect_code(2);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    let printed = run(&["--admin-user", "postgres"]).await.expect_code(0);
    assert!(printed.stdout.contains("CREATE PUBLICATION") && !printed.stdout.contains("S3NT1NEL"), "{printed:?}");
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication"), "0");
    let applied = run(&["--apply", "--yes", "--admin", &uri(&admin)]).await.expect_code(0);
    assert!(applied.stdout.contains("READY: 0 blockers, 0 warnings"), "{}", applied.stdout);
    assert!(applied.stdout.contains("✔ 1/") && !applied.stdout.contains("S3NT1NEL"), "{}", applied.stdout);
    // Now the role itself may look, and there is nothing left.
    assert!(run(&[]).await.expect_code(0).stdout.contains("Nothing is missing"));
    let json = run(&["--format", "json", "--apply", "--yes", "--admin-user", "postgres"]).await.expect_code(0).stdout;
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&document["applied"], &document["report"]["verdict"]), (&0.into(), &"ready".into()));
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_an_error_that_says_so() {
    let cluster = source().await;
    let admin = cluster.settings();
    let profile = Profile::new(admin.clone());
    let session = connect(&admin, &SessionOptions::inspect()).await.expect("connected");
    let killer = support::session(&admin).await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'walpilot' AND pid <> pg_backend_pid()";
    killer.client.simple_query(sql).await.expect("killed");
    await_until("the session has ended", async || session.client.is_closed()).await;
    let error = gather(&session, &profile).await.expect_err("the session is gone");
    assert!(error.to_string().contains("broke"), "{error}");
}

#[tokio::test]
async fn adding_a_partitioned_table_can_be_run_twice_also_without_via_root() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE parts(id int PRIMARY KEY) PARTITION BY LIST (id);
         CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
         CREATE PUBLICATION walpilot_publication FOR TABLE t",
    );
    let profile = Profile::new(admin.clone());
    let (facts, _) = look(&admin, &profile).await;
    let text = script::render(&planned(&facts, &profile), &profile);
    assert!(text.contains("ADD TABLE \"public\".\"parts\""), "{text}");
    for _ in 0..2 {
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
    }
}

#[tokio::test]
async fn the_question_at_the_terminal_is_asked_and_obeyed() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY)");
    let repl = admin.as_user("repl", Some(Secret::new("secret")));
    let source = uri(&repl);
    let password = admin.password.as_ref().map_or("", Secret::reveal);
    let env = [("PGPASSWORD", "secret"), ("WALPILOT_ADMIN_PASSWORD", password)];
    let args = ["script", &source, "--apply", "--admin-user", "postgres"];
    for (answer, code, publications) in [("n\r", 130, "0"), ("\r", 130, "0"), ("y\r", 0, "1")] {
        let mut terminal = Terminal::start(&args, &env);
        terminal.wait_for("[y/N]");
        terminal.types(answer);
        assert_eq!(terminal.ends(), code, "{}", terminal.contents());
        assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication"), publications);
        assert_eq!(terminal.contents().contains("Nothing was changed."), code != 0, "{}", terminal.contents());
    }
}

/// What an administrator would see of all that a setup changes. Privileges are spelt out, because those that were never
/// changed stand in the catalog as NULL.
fn catalog(admin: &Settings) -> String {
    let acl = |column: &str, kind: &str, owner: &str| {
        format!(
            "(SELECT string_agg(a.grantee::regrole || ' ' || a.privilege_type, ', ' ORDER BY a.grantee, a.privilege_type)
              FROM aclexplode(coalesce({column}, acldefault('{kind}', {owner}))) a)"
        )
    };
    psql(
        admin,
        &format!(
            "SELECT 'role', rolname::text, rolreplication::text FROM pg_roles WHERE rolname !~ '^pg_'
             UNION ALL SELECT 'publication', pubname, '' FROM pg_publication
             UNION ALL SELECT 'slot', slot_name, '' FROM pg_replication_slots
             UNION ALL SELECT 'schema', nspname, {} FROM pg_namespace WHERE nspname !~ '^pg_t'
             UNION ALL SELECT 'table', relname, relreplident::text || {} FROM pg_class WHERE relkind IN ('r', 'p') AND oid >= 16384
             UNION ALL SELECT 'policy', polname, '' FROM pg_policy
             UNION ALL SELECT 'default', defaclnamespace::regnamespace::text, defaclacl::text FROM pg_default_acl
             UNION ALL SELECT 'database', datname, {} FROM pg_database ORDER BY 1, 2, 3",
            acl("nspacl", "n", "nspowner"),
            acl("relacl", "r", "relowner"),
            acl("datacl", "d", "datdba")
        ),
    )
}

#[tokio::test]
async fn the_way_back_leaves_the_catalog_as_it_was() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let before = catalog(&admin);
    let profile = profile(&cluster, "Re\"pl'; --");
    let (facts, _) = look(&admin, &profile).await;
    let forth = script::render(&planned(&facts, &profile), &profile);
    assert_eq!(psql_script(&admin, &forth), (0, String::new()), "{forth}");
    assert_ne!(catalog(&admin), before);
    let (facts, _) = look(&admin, &profile).await;
    let plan = undo(&facts, &profile);
    assert!(plan.by_hand.is_empty(), "{:?}", plan.by_hand);
    let back = script::render_undo(&plan, &profile);
    let at = |what: &str| back.find(what).unwrap_or_else(|| panic!("{what} in {back}"));
    assert!(
        at("pg_drop_replication_slot(") < at("DROP PUBLICATION") && at("DROP PUBLICATION") < at("REPLICA IDENTITY")
    );
    assert!(at("REPLICA IDENTITY") < at("DROP ROLE"), "{back}");
    for _ in 0..2 {
        assert_eq!(psql_script(&admin, &back), (0, String::new()), "{back}");
    }
    assert_eq!(catalog(&admin), before);
}

#[tokio::test]
async fn a_slot_that_is_read_and_objects_without_a_record_are_left_alone() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE PUBLICATION walpilot_publication FOR TABLE t");
    let profile = Profile::new(admin.clone());
    let (facts, _) = look(&admin, &profile).await;
    let plan = undo(&facts, &profile);
    assert_eq!(plan.steps.len(), 1);
    assert!(plan.by_hand[0].contains("No record"), "{plan:?}");
}

#[tokio::test]
async fn a_rehearsal_shows_what_the_script_clears_and_leaves_nothing() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let profile = profile(&cluster, "repl");
    let (facts, report) = look(&admin, &profile).await;
    let before = catalog(&admin);
    let plan = planned(&facts, &profile);
    let session = connect(&admin, &SessionOptions::administer()).await.unwrap_or_else(|failure| panic!("{failure}"));
    let shown = rehearse(&session, &profile, &plan, &report).await.expect("rehearsed");
    assert_eq!(shown.failed, None);
    assert_eq!(shown.not_rehearsed, ["Create slot walpilot_slot"]);
    for id in ["connect-auth", "identity-usable", "identity-leaf-partitions", "publication-exists"] {
        assert!(shown.cleared.contains(&id), "{id}: {:?}", shown.cleared);
    }
    assert_eq!(catalog(&admin), before);
    // A table that is locked makes it give up, not wait.
    let holder = support::session(&admin).await;
    holder.client.batch_execute("BEGIN; SELECT * FROM \"Sch \"\"ema; 🧾\".log").await.expect("an open SELECT");
    let shown = rehearse(&session, &profile, &plan, &report).await.expect("rehearsed");
    assert!(shown.failed.is_some_and(|(_, reason)| reason.contains("55P03")), "lock_timeout");
    assert_eq!(catalog(&admin), before);
}

#[tokio::test]
async fn wishes_are_fulfilled_and_each_person_gets_a_part() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text)");
    let profile = Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD))));
    let (facts, _) = look(&admin, &profile).await;
    let options = PlanOptions { role_password: profile.source.password.clone() };
    for coverage in [Coverage::Listed, Coverage::Schemas, Coverage::All] {
        let wishes = Wishes { monitor: true, failover: true, coverage };
        let plan = plan_with(&facts, &profile, &options, wishes);
        let text = script::render(&plan, &profile);
        assert!(text.contains("GRANT \"pg_monitor\""), "{text}");
        assert_eq!(text.contains("false, false, true"), cluster.major() >= 17, "{text}");
        let whole: Vec<_> = [Person::Administrator, Person::Owners, Person::Replication]
            .into_iter()
            .flat_map(|person| plan.only(person).steps)
            .collect();
        assert_eq!(whole.len(), plan.steps.len());
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        let (facts, report) = look(&profile.source, &profile).await;
        assert_ne!(report.verdict, Verdict::Blocked, "{coverage:?}: {report:#?}");
        assert_eq!(psql_script(&admin, &script::render_undo(&undo(&facts, &profile), &profile)), (0, String::new()));
    }
}
