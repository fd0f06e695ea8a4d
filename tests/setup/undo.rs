//! The way back, also when the source has changed since.

use crate::setting_up::{MESS, PASSWORD, look, planned, profile};
use crate::support::catalog::catalog;
use crate::support::program::uri;
use crate::support::{await_until, prepare, psql, psql_script, session, source, source_builder, started, walpilot};
use tokio_util::sync::CancellationToken;
use walpilot::connection::{Secret, Settings};
use walpilot::demo::Cluster;
use walpilot::profile::{Profile, Selection, TableName};
use walpilot::setup::apply::{ApplyEvent, apply};
use walpilot::setup::undo::undo;
use walpilot::setup::{Plan, script};

async fn set_up(cluster: &Cluster, profile: &Profile) {
    let admin = cluster.settings();
    let (facts, _) = look(&admin, profile).await;
    let plan = planned(&facts, profile);
    let session = session(&admin).await;
    apply(&session, &plan, &CancellationToken::new(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
}

async fn back(admin: &Settings, profile: &Profile) -> Plan {
    let (facts, _) = look(admin, profile).await;
    undo(&facts, profile)
}

fn repl(admin: &Settings) -> Profile {
    Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD))))
}

#[tokio::test]
async fn the_way_back_leaves_the_catalog_as_it_was() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let before = catalog(&cluster, &admin);
    let profile = profile(&cluster, "Re\"pl'; --");
    set_up(&cluster, &profile).await;
    assert_ne!(catalog(&cluster, &admin), before);
    let plan = back(&admin, &profile).await;
    assert!(plan.by_hand.is_empty(), "{:?}", plan.by_hand);
    let text = script::render_undo(&plan, &profile);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
    assert!(
        at("pg_drop_replication_slot(") < at("DROP PUBLICATION") && at("DROP PUBLICATION") < at("REPLICA IDENTITY")
    );
    assert!(at("REPLICA IDENTITY") < at("DROP ROLE"), "{text}");
    for _ in 0..2 {
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
    }
    assert_eq!(catalog(&cluster, &admin), before);
}

#[tokio::test]
async fn without_a_note_nothing_is_dropped() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE PUBLICATION walpilot_publication FOR TABLE t");
    let profile = Profile::new(admin.clone());
    let plan = back(&admin, &profile).await;
    assert!(plan.steps.is_empty(), "{plan:?}");
    assert!(plan.by_hand[0].contains("No record"), "{plan:?}");
    assert!(plan.by_hand[0].ends_with("\nDROP PUBLICATION \"walpilot_publication\";"), "{plan:?}");
}

#[tokio::test]
async fn a_slot_that_is_read_stops_the_way_back_before_it_begins() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text)");
    let profile = repl(&admin);
    set_up(&cluster, &profile).await;
    let port = admin.port.to_string();
    let mut reader = tokio::process::Command::new("pg_recvlogical")
        .args(["--start", "-S", "walpilot_slot", "-h", &admin.host, "-p", &port, "-U", "repl", "-d", &admin.database])
        .args(["-o", "proto_version=1", "-o", "publication_names=walpilot_publication", "-f", "/dev/null"])
        .env("PGPASSWORD", PASSWORD)
        .kill_on_drop(true)
        .spawn()
        .expect("pg_recvlogical is installed with psql");
    let active = "SELECT active FROM pg_replication_slots";
    await_until("the slot is read", async || psql(&admin, active) == "t").await;
    let password = admin.password.as_ref().map_or("", Secret::reveal);
    let undo = || {
        walpilot(["script", &uri(&profile.source), "--undo", "--apply", "--yes", "--admin-user", "postgres"])
            .password(&profile.source)
            .env("WALPILOT_ADMIN_PASSWORD", password)
            .run()
    };
    let refused = undo().await.expect_code(1);
    assert!(refused.stdout.contains("is being read by process") && refused.stdout.contains("Nothing was undone."));
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication"), "1");
    // A script of before stops at the slot as well, and leaves the publication to its reader.
    let written = "SELECT pg_catalog.pg_drop_replication_slot('walpilot_slot');";
    let (code, stderr) = psql_script(&admin, &format!("\\set ON_ERROR_STOP on\n{written}"));
    assert!(code != 0 && stderr.contains("is active"), "{stderr}");
    reader.kill().await.expect("stopped");
    await_until("nobody reads the slot", async || psql(&admin, active) == "f").await;
    let undone = undo().await.expect_code(0);
    assert!(undone.stdout.contains("Undone."), "{undone:?}");
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_roles WHERE rolname = 'repl'"), "0");
}

#[tokio::test]
async fn what_was_dropped_or_changed_meanwhile_is_skipped_and_what_others_need_stays() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE gone(line text); CREATE TABLE changed(a int NOT NULL); CREATE UNIQUE INDEX u ON changed(a);
         CREATE TABLE shared(line text); CREATE TABLE own(line text);
         CREATE TABLE hidden(id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY",
    );
    let profile = repl(&admin);
    set_up(&cluster, &profile).await;
    prepare(
        &admin,
        "DROP TABLE gone; DROP POLICY walpilot_read ON hidden; ALTER TABLE changed REPLICA IDENTITY FULL;
         CREATE PUBLICATION theirs FOR TABLE shared; CREATE TABLE stranger(id int PRIMARY KEY);
         ALTER PUBLICATION walpilot_publication ADD TABLE stranger; CREATE SCHEMA elsewhere",
    );
    let chosen = Selection::Tables(vec![TableName::new("public", "own")]);
    let plan = back(&admin, &Profile { selection: chosen, ..profile.clone() }).await;
    assert!(plan.by_hand.iter().any(|note| note.contains("public.stranger")), "{:?}", plan.by_hand);
    let session = session(&admin).await;
    let mut skipped = Vec::new();
    apply(&session, &plan, &CancellationToken::new(), |event| {
        if let ApplyEvent::Skipped(at) = event {
            skipped.push(plan.steps[at].title.clone());
        }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    for title in ["public.gone", "public.changed", "public.shared"] {
        assert!(skipped.iter().any(|one| one.contains("identity") && one.contains(title)), "{title}: {skipped:?}");
    }
    assert!(skipped.iter().any(|one| one.contains("policy")), "{skipped:?}");
    let identities =
        "SELECT relname, relreplident FROM pg_class WHERE relname IN ('changed', 'shared', 'own') ORDER BY 1";
    assert_eq!(psql(&admin, identities), "changed|f\nown|d\nshared|f");
    prepare(&admin, "INSERT INTO shared VALUES ('a'); UPDATE shared SET line = 'b'");
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_roles WHERE rolname = 'repl'"), "0");
}

#[tokio::test]
async fn a_role_that_owns_something_stays_with_the_reason_and_the_way_back_goes_on_later() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text)");
    let before = catalog(&cluster, &admin);
    let profile = repl(&admin);
    set_up(&cluster, &profile).await;
    prepare(&admin, "CREATE SCHEMA its AUTHORIZATION repl");
    let plan = back(&admin, &profile).await;
    let session = session(&admin).await;
    let error = apply(&session, &plan, &CancellationToken::new(), |_| {}).await.expect_err("it owns a schema");
    assert!(error.sql.starts_with("DROP ROLE") && error.cause.contains("owner of schema its"), "{error}");
    assert!(error.next.contains("REASSIGN OWNED BY"), "{error}");
    assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication"), "0");
    assert_eq!(psql(&admin, "SELECT relreplident FROM pg_class WHERE relname = 'log'"), "d");
    // Everything else is done; once the cause is mended, the same way goes to its end.
    prepare(&admin, "DROP SCHEMA its");
    let plan = back(&admin, &profile).await;
    apply(&session, &plan, &CancellationToken::new(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(catalog(&cluster, &admin), before);
}

#[tokio::test]
async fn a_setup_that_broke_off_is_undone_too() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let before = catalog(&cluster, &admin);
    let profile = profile(&cluster, "Re\"pl'; --");
    let (facts, _) = look(&admin, &profile).await;
    let plan = planned(&facts, &profile);
    let session = session(&admin).await;
    // It ends after ten steps, goes on with a new plan for three, and is given up.
    for steps in [10, 3] {
        let (facts, _) = look(&admin, &profile).await;
        let rest = planned(&facts, &profile);
        let part = Plan { steps: rest.steps.into_iter().take(steps).collect(), ..Plan::default() };
        apply(&session, &part, &CancellationToken::new(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(plan.steps.len() > 13);
    let plan = back(&admin, &profile).await;
    apply(&session, &plan, &CancellationToken::new(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(catalog(&cluster, &admin), before);
}

#[tokio::test]
async fn two_setups_share_a_role_and_a_publication_of_others_is_kept() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE log(line text); CREATE ROLE repl LOGIN PASSWORD 'x';
         COMMENT ON ROLE repl IS 'the role of Ms Doe'; CREATE PUBLICATION theirs FOR TABLE t",
    );
    let before = catalog(&cluster, &admin);
    let first = Profile::new(admin.as_user("repl", Some(Secret::new("x"))));
    let second = Profile { publication: "theirs".to_owned(), slot: "second".to_owned(), ..first.clone() };
    set_up(&cluster, &first).await;
    set_up(&cluster, &second).await;
    let note = "SELECT shobj_description('repl'::regrole, 'pg_authid')";
    assert!(psql(&admin, note).starts_with("the role of Ms Doe walpilot setup: [{"), "{}", psql(&admin, note));
    let session = session(&admin).await;
    let plan = back(&admin, &first).await;
    assert!(plan.by_hand.iter().any(|note| note.contains("also serves theirs")), "{:?}", plan.by_hand);
    apply(&session, &plan, &CancellationToken::new(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    // The second still works.
    let (_, report) = look(&second.source, &second).await;
    assert_ne!(report.verdict, walpilot::preflight::Verdict::Blocked, "{report:#?}");
    let plan = back(&admin, &second).await;
    assert!(plan.steps.iter().all(|step| !step.sql.starts_with("DROP PUBLICATION")), "{plan:#?}");
    apply(&session, &plan, &CancellationToken::new(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(catalog(&cluster, &admin), before);
}
