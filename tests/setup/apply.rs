//! The setup script and its application, against real servers: from a source on which everything is wrong to one that
//! is ready.

use std::sync::Mutex;

use crate::setting_up::{MESS, PASSWORD, look, planned, profile, wishes};
use crate::support::program::uri;
use crate::support::pty::Terminal;
use crate::support::{
    self, await_until, prepare, psql, psql_script, session, source, source_builder, started, walpilot,
};
use tokio_util::sync::CancellationToken;
use walpilot::catalog::gather::gather;
use walpilot::connection::{Secret, SessionOptions, Settings, connect};
use walpilot::preflight::{Severity, Status, Verdict};
use walpilot::profile::{Coverage, Method, Profile, Selection, SetupChoices, TableName};
use walpilot::setup::apply::{ApplyEvent, apply};
use walpilot::setup::parts::parts;
use walpilot::setup::undo::undo;
use walpilot::setup::{plan, script};

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
    assert_eq!(support::preflight::raised(&after), Vec::<String>::new());
    let more: Vec<_> =
        raised.iter().filter(|one| one.severity != Severity::Info && one.id != "server-version").collect();
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
        if matches!(event, ApplyEvent::Waiting { .. }) {
            // The lock goes away once walpilot was seen to wait for it.
            holder.lock().expect("lock").take();
        }
        events.lock().expect("lock").push(event);
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    let events = events.into_inner().expect("lock");
    assert!(events.iter().any(|event| matches!(event, ApplyEvent::Waiting { at: 1, .. })), "{events:?}");
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
        if matches!(event, ApplyEvent::Waiting { .. }) {
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
    // The support of old servers has ended, which is a warning.
    let old = cluster.major() < 15;
    assert!(applied.stdout.contains(&format!(": 0 blockers, {} warning", u8::from(old))), "{}", applied.stdout);
    assert!(applied.stdout.contains("✔ 1/") && !applied.stdout.contains("S3NT1NEL"), "{}", applied.stdout);
    // Now the role itself may look, and there is nothing left.
    assert!(run(&[]).await.expect_code(0).stdout.contains("Nothing is missing"));
    let json = run(&["--format", "json", "--apply", "--yes", "--admin-user", "postgres"]).await.expect_code(0).stdout;
    let document: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let verdict = if old { "warnings" } else { "ready" };
    assert_eq!((&document["applied"], &document["report"]["verdict"]), (&0.into(), &verdict.into()));
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
    assert!(text.contains("ADD TABLE ONLY \"public\".\"parts\""), "{text}");
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

#[tokio::test]
async fn wishes_are_fulfilled_and_each_person_gets_a_part() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text)");
    let profile = Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD))));
    let (facts, _) = look(&admin, &profile).await;
    for cover in [Coverage::Tables, Coverage::Schemas, Coverage::All] {
        let setup = SetupChoices { cover, monitor: true, failover: true, ..SetupChoices::default() };
        let profile = Profile { setup, ..profile.clone() };
        let plan = plan(&facts, &profile, &wishes(&profile));
        let text = script::render(&plan, &profile);
        assert!(text.contains("GRANT \"pg_monitor\""), "{text}");
        assert_eq!(text.contains("false, false, true"), cluster.major() >= 17, "{text}");
        let whole: Vec<_> = parts(&plan).into_iter().flat_map(|part| part.plan.steps).collect();
        assert_eq!(whole, plan.steps);
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        let (facts, report) = look(&profile.source, &profile).await;
        assert_ne!(report.verdict, Verdict::Blocked, "{cover:?}: {report:#?}");
        assert_eq!(psql_script(&admin, &script::render_undo(&undo(&facts, &profile), &profile)), (0, String::new()));
    }
}
