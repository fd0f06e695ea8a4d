//! Each part of a setup script is run in psql by the role that it is meant for, twice, and undone by the same roles.

use crate::setting_up::{MESS, OWNERS, PASSWORD, look, planned, profile};
use crate::support::catalog::catalog;
use crate::support::program::uri;
use crate::support::{prepare, psql, psql_script, source, source_builder, started, walpilot};
use walpilot::connection::{Secret, Settings};
use walpilot::demo::Cluster;
use walpilot::preflight::{Status, Verdict};
use walpilot::profile::{Method, Profile, SetupChoices};
use walpilot::setup::parts::{Part, parts};
use walpilot::setup::script::render_part;
use walpilot::setup::undo::undo;
use walpilot::setup::{Person, Plan};

/// Who a part's person logs in as.
fn login(cluster: &Cluster, part: &Part) -> Settings {
    let admin = cluster.settings();
    match &part.person {
        Person::Administrator => admin,
        Person::Owner(name) => admin.as_user(name, Some(Secret::new(OWNERS))),
        Person::Replication => admin.as_user("Re\"pl'; --", Some(Secret::new(PASSWORD))),
    }
}

fn run_parts(cluster: &Cluster, plan: &Plan, profile: &Profile, undo: bool) {
    for part in parts(plan) {
        let text = render_part(&part, profile, undo);
        assert!(text.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{text}");
        for _ in 0..2 {
            assert_eq!(psql_script(&login(cluster, &part), &text), (0, String::new()), "{text}");
        }
    }
}

#[tokio::test]
async fn every_part_is_run_by_its_role_twice_and_undone() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let before = catalog(&cluster, &admin);
    for method in [Method::Cdc, Method::Xmin] {
        let profile = Profile { method, ..profile(&cluster, "Re\"pl'; --") };
        let (facts, _) = look(&admin, &profile).await;
        let plan = planned(&facts, &profile);
        assert!(plan.by_hand.is_empty(), "{:?}", plan.by_hand);
        let persons: Vec<Person> = parts(&plan).into_iter().map(|part| part.person).collect();
        let owners = ["Ad'min \"2\"; --", "app"].map(|name| Person::Owner(name.to_owned()));
        let [second, app] = owners;
        let all = [Person::Administrator, second, app, Person::Administrator, Person::Replication];
        assert_eq!(persons, all[..if method == Method::Cdc { 5 } else { 3 }]);
        run_parts(&cluster, &plan, &profile, false);
        let (_, after) = look(&profile.source, &profile).await;
        // No script gives a table the key that the method xmin needs.
        let wanted: &[&str] = if method == Method::Cdc { &[] } else { &["xmin-deletes"] };
        let blockers = after.findings.iter().filter(|one| one.status == Status::Fail).map(|one| one.id);
        assert_eq!(blockers.collect::<Vec<_>>(), wanted, "{after:#?}");
        assert_ne!(catalog(&cluster, &admin), before);
        let (facts, _) = look(&admin, &profile).await;
        let back = undo(&facts, &profile);
        assert!(back.by_hand.is_empty(), "{:?}", back.by_hand);
        // The role that dropped the slot is gone at the end, so that part is run only once by it.
        for part in parts(&back) {
            let text = render_part(&part, &profile, true);
            assert_eq!(psql_script(&login(&cluster, &part), &text), (0, String::new()), "{text}");
        }
        assert_eq!(catalog(&cluster, &admin), before, "{}", method.name());
    }
}

#[tokio::test]
async fn parts_in_the_wrong_order_stop_before_they_do_harm() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let profile = profile(&cluster, "Re\"pl'; --");
    let (facts, _) = look(&admin, &profile).await;
    let parts = parts(&planned(&facts, &profile));
    let run = |number: usize| {
        let part = &parts[number - 1];
        psql_script(&login(&cluster, part), &render_part(part, &profile, false))
    };
    assert_eq!(run(1), (0, String::new()));
    // The publication before the identities would break the application's updates.
    let (code, stderr) = run(4);
    assert!(code != 0 && stderr.contains("no usable replica identity") && stderr.contains("owners' part"), "{stderr}");
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication"), "0");
    prepare(&admin, "UPDATE \"Sch \"\"ema; 🧾\".log SET line = 'b'");
    // The slot before the publication could never be read.
    let (code, stderr) = run(5);
    assert!(code != 0 && stderr.contains("publication comes before the slot"), "{stderr}");
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_replication_slots"), "0");
    for number in 2..=5 {
        assert_eq!(run(number), (0, String::new()), "part {number}");
    }
    let (_, after) = look(&profile.source, &profile).await;
    assert_ne!(after.verdict, Verdict::Blocked, "{after:#?}");
}

#[tokio::test]
async fn all_tables_are_not_published_while_one_would_break() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); CREATE SCHEMA other; CREATE TABLE other.keyless(a int); \
         INSERT INTO other.keyless VALUES (1)",
    );
    let repl = admin.as_user("repl", Some(Secret::new(PASSWORD)));
    let password = admin.password.as_ref().map_or("", Secret::reveal);
    let run = |args: &'static [&'static str]| {
        let all = ["script", &uri(&repl), "--admin-user", "postgres", "--cover", "all"].map(str::to_owned);
        let all = all.into_iter().chain(args.iter().map(|arg| (*arg).to_owned()));
        walpilot(all.collect::<Vec<_>>()).password(&repl).env("WALPILOT_ADMIN_PASSWORD", password).run()
    };
    let stopped = run(&["--apply", "--yes"]).await.expect_code(4);
    assert!(stopped.stderr.contains("other.keyless") && stopped.stderr.contains("apply again"), "{stopped:?}");
    prepare(&admin, "UPDATE other.keyless SET a = 2; ALTER TABLE other.keyless REPLICA IDENTITY FULL");
    run(&["--apply", "--yes"]).await.expect_code(0);
    prepare(&admin, "UPDATE other.keyless SET a = 3");
    assert_eq!(psql(&admin, "SELECT puballtables FROM pg_publication"), "t");
}

#[tokio::test]
async fn the_command_writes_one_file_for_each_person() {
    use std::os::unix::fs::PermissionsExt;
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("parts");
    let repl = admin.as_user("Re\"pl'; --", Some(Secret::new(PASSWORD)));
    let password = admin.password.as_ref().map_or("", Secret::reveal);
    let run = |more: &[&str]| {
        let args = ["script", &uri(&repl), "--schemas", "Sch \"ema; 🧾", "--admin-user", "postgres"].map(str::to_owned);
        let args = args.into_iter().chain(more.iter().map(|arg| (*arg).to_owned()));
        walpilot(args.collect::<Vec<_>>()).password(&repl).env("WALPILOT_ADMIN_PASSWORD", password).run()
    };
    let into_text = into.display().to_string();
    let written = run(&["--into", &into_text]).await.expect_code(0);
    assert_eq!(written.stdout.lines().count(), 5, "{}", written.stdout);
    let mut files: Vec<_> = std::fs::read_dir(&into).expect("it").map(|file| file.expect("one").path()).collect();
    files.sort();
    let names: Vec<String> =
        files.iter().map(|file| file.file_name().expect("named").to_string_lossy().into_owned()).collect();
    let wanted = [
        "1-administrator.sql",
        "2-owner-Ad-min--2-----.sql",
        "3-owner-app.sql",
        "4-administrator.sql",
        "5-replication.sql",
    ];
    assert_eq!(names, wanted);
    for file in &files {
        let mode = std::fs::metadata(file).expect("it").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = run(&["--into", &into_text]).await.expect_code(4);
    assert!(again.stderr.contains("exists already"), "{again:?}");
    let owners = run(&["--person", "owners"]).await.expect_code(0).stdout;
    assert!(owners.contains("-- Part 2 of 5.") && owners.contains("-- Part 3 of 5."), "{owners}");
    assert!(!owners.contains("CREATE ROLE") && !owners.contains("replication_slot("), "{owners}");
    assert!(owners.contains("-- Run it with psql as app, or as a role that has app's rights"), "{owners}");
}

#[tokio::test]
async fn with_all_what_exists_is_printed_and_changes_nothing() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    let filter = if cluster.major() >= 15 { "(id, v) WHERE (id > 10)" } else { "" };
    prepare(
        &admin,
        &format!(
            "CREATE TABLE t(id int PRIMARY KEY, v text, secret text); CREATE TABLE \"Log\"(line text);
             ALTER TABLE \"Log\" REPLICA IDENTITY FULL;
             CREATE PUBLICATION walpilot_publication FOR TABLE t {filter}, \"Log\" WITH (publish = 'insert, update, delete');
             SELECT pg_create_logical_replication_slot('walpilot_slot', 'pgoutput')"
        ),
    );
    let before = catalog(&cluster, &admin);
    let password = admin.password.as_ref().map_or("", Secret::reveal);
    let missing = walpilot(["script", &uri(&admin)]).env("PGPASSWORD", password).run().await.expect_code(0).stdout;
    assert!(!missing.contains("CREATE PUBLICATION") && !missing.contains("CREATE ROLE"), "{missing}");
    let all = walpilot(["script", &uri(&admin), "--all"]).env("PGPASSWORD", password).run().await.expect_code(0).stdout;
    for part in [
        "CREATE ROLE \"postgres\"",
        "REPLICA IDENTITY FULL",
        "pg_create_logical_replication_slot(",
        "(exists already)",
        "publish = 'insert, update, delete'",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    if cluster.major() >= 15 {
        assert!(all.contains("\"t\" (\"id\", \"v\") WHERE ((id > 10))"), "{all}");
    }
    assert_eq!(psql_script(&admin, &all), (0, String::new()), "{all}");
    assert_eq!(catalog(&cluster, &admin), before);
    // On a copy of the tables alone it makes the same publication.
    prepare(
        &admin,
        "SELECT pg_drop_replication_slot('walpilot_slot'); DROP PUBLICATION walpilot_publication;
         ALTER TABLE \"Log\" REPLICA IDENTITY DEFAULT",
    );
    assert_eq!(psql_script(&admin, &all), (0, String::new()), "{all}");
    assert_eq!(catalog(&cluster, &admin), before);
}

#[tokio::test]
async fn a_heartbeat_gets_what_it_needs_where_messages_can_not_serve() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY)");
    let before = catalog(&cluster, &admin);
    let setup = SetupChoices { heartbeat: true, ..SetupChoices::default() };
    let profile = Profile { setup, ..Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD)))) };
    let (facts, _) = look(&admin, &profile).await;
    let wishes = crate::setting_up::wishes(&profile);
    let text = walpilot::setup::script::render(&walpilot::setup::plan(&facts, &profile, &wishes), &profile);
    for _ in 0..2 {
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
    }
    let (facts, report) = look(&profile.source, &profile).await;
    if cluster.major() < 14 {
        psql(
            &profile.source,
            "INSERT INTO walpilot_heartbeat.beat VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = now()",
        );
        assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'beat'"), "1");
    } else {
        assert!(!text.contains("walpilot_heartbeat"), "{text}");
        assert_eq!(report.finding("heartbeat-possible").expect("it").status, Status::Pass);
    }
    let back = walpilot::setup::script::render_undo(&undo(&facts, &profile), &profile);
    assert_eq!(psql_script(&admin, &back), (0, String::new()), "{back}");
    assert_eq!(catalog(&cluster, &admin), before);
}
