//! Scripts that are written without a look at the source, and the password that psql asks for.

use crate::setting_up::{MESS, PASSWORD, look, profile};
use crate::support::catalog::catalog;
use crate::support::program::uri;
use crate::support::{self, prepare, psql, psql_script, psql_script_with, source, source_builder, started, walpilot};
use walpilot::connection::Secret;
use walpilot::preflight::{Status, Verdict};
use walpilot::profile::{Coverage, Method, Profile, Selection, SetupChoices, TableName};
use walpilot::setup::script::{render, render_undo};
use walpilot::setup::undo::undo;
use walpilot::setup::{Password, Wishes, offline};

fn wishes() -> Wishes {
    Wishes { password: Password::Verifier(Secret::new(PASSWORD)), ..Wishes::default() }
}

#[tokio::test]
async fn a_script_without_a_look_finds_out_by_itself_and_can_be_undone() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let before = catalog(&cluster, &admin);
    for method in [Method::Cdc, Method::Xmin] {
        let setup = SetupChoices { monitor: true, failover: true, heartbeat: true, ..SetupChoices::default() };
        let profile = Profile { method, setup, ..profile(&cluster, "Re\"pl'; --") };
        let text = render(&offline::plan(&profile, &wishes()), &profile);
        for _ in 0..2 {
            assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        }
        let (facts, after) = look(&profile.source, &profile).await;
        let raised: Vec<_> = after.findings.iter().filter(|finding| finding.status != Status::Pass).collect();
        // No script gives a table the key that the method xmin needs.
        let wanted: &[&str] = if method == Method::Cdc { &[] } else { &["xmin-deletes"] };
        let blockers = after.findings.iter().filter(|one| one.status == Status::Fail).map(|one| one.id);
        assert_eq!(blockers.collect::<Vec<_>>(), wanted, "{raised:#?}");
        assert!(method == Method::Xmin || support::preflight::raised(&after).is_empty(), "{raised:#?}");
        if method == Method::Cdc {
            let failover = facts.slot("walpilot_slot").expect("it").failover;
            assert_eq!(failover, cluster.major() >= 17);
            let heartbeats = "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'beat'";
            assert_eq!(psql(&admin, heartbeats), if cluster.major() < 14 { "1" } else { "0" });
            prepare(
                &admin,
                "SET search_path = \"Sch \"\"ema; 🧾\"; UPDATE log SET line = 'b'; UPDATE \"Parts\" SET id = 1",
            );
        }
        assert_eq!(psql(&profile.source, "SELECT count(*) FROM \"Sch \"\"ema; 🧾\".hidden"), "1");
        let (facts, _) = look(&admin, &profile).await;
        let back = undo(&facts, &profile);
        let text = render_undo(&back, &profile);
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        assert_eq!(catalog(&cluster, &admin), before, "{}: {text}", method.name());
    }
}

#[tokio::test]
async fn single_tables_schemas_and_everything_can_be_covered() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE \"We'ird; \"\"\"(a int); CREATE TABLE left_out(a int PRIMARY KEY)",
    );
    let tables = vec![TableName::new("public", "t"), TableName::new("public", "We'ird; \"")];
    let listed = Profile {
        selection: Selection::Tables(tables),
        ..Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD))))
    };
    let schemas = Profile { selection: Selection::Schemas(vec!["public".to_owned()]), ..listed.clone() };
    let cases = [(Coverage::Tables, &listed, "2"), (Coverage::Schemas, &schemas, "3"), (Coverage::All, &schemas, "3")];
    for (cover, profile, covered) in cases {
        let profile = &Profile { setup: SetupChoices { cover, ..SetupChoices::default() }, ..profile.clone() };
        if cover == Coverage::Schemas && cluster.major() < 15 {
            continue;
        }
        let text = render(&offline::plan(profile, &wishes()), profile);
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        assert_eq!(psql(&admin, "SELECT count(*) FROM pg_publication_tables"), covered, "{cover:?}");
        let (facts, report) = look(&profile.source, profile).await;
        assert_ne!(report.verdict, Verdict::Blocked, "{report:#?}");
        let back = render_undo(&undo(&facts, profile), profile);
        assert_eq!(psql_script(&admin, &back), (0, String::new()), "{back}");
    }
    // A later table is added by running the script again; what the publication says of the others stays.
    if cluster.major() >= 15 {
        prepare(&admin, "CREATE PUBLICATION walpilot_publication FOR TABLE t WHERE (id > 5)");
        let text = render(&offline::plan(&listed, &wishes()), &listed);
        assert_eq!(psql_script(&admin, &text), (0, String::new()), "{text}");
        let kept = "SELECT tablename, rowfilter FROM pg_publication_tables ORDER BY 1";
        assert_eq!(psql(&admin, kept), "We'ird; \"|\nt|(id > 5)");
    }
}

#[tokio::test]
async fn psql_asks_for_the_password_and_the_server_keeps_no_hash_of_md5() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY)");
    let repl = admin.as_user("repl", None);
    let password = admin.password.as_ref().map_or("", Secret::reveal);
    for offline in [false, true] {
        let how: &[&str] = if offline { &["--offline"] } else { &["--admin-user", "postgres"] };
        let args = ["script", &uri(&repl), "--prompt"].map(str::to_owned);
        let args = args.into_iter().chain(how.iter().map(|arg| (*arg).to_owned())).collect::<Vec<_>>();
        let text = walpilot(args).env("WALPILOT_ADMIN_PASSWORD", password).run().await.expect_code(0).stdout;
        assert!(text.contains("PASSWORD :'walpilot_password'") && !text.contains("\\password"), "{text}");
        let secret = "it's \\ $1 :x";
        let given = psql_script_with(&admin, &text, &[("walpilot_password", secret)]);
        assert_eq!(given, (0, String::new()), "{text}");
        assert_eq!(psql(&admin, "SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'repl'"), "SCRAM-SHA-256");
        assert_eq!(psql(&admin.as_user("repl", Some(Secret::new(secret))), "SELECT current_user"), "repl");
        let profile = Profile::new(repl.clone());
        let (facts, _) = look(&admin, &profile).await;
        let back = render_undo(&undo(&facts, &profile), &profile);
        assert_eq!(psql_script(&admin, &back), (0, String::new()), "{back}");
        assert_eq!(psql(&admin, "SELECT count(*) FROM pg_roles WHERE rolname = 'repl'"), "0");
    }
}

#[tokio::test]
async fn offline_needs_no_server_and_refuses_what_needs_one() {
    let nowhere = "postgres://repl@db.walpilot.invalid:1/shop";
    let printed = walpilot(["script", nowhere, "--offline"]).run().await.expect_code(0);
    assert!(printed.stdout.contains("CREATE PUBLICATION") && printed.stderr.is_empty(), "{printed:?}");
    for flag in ["--apply", "--rehearse", "--undo", "--all"] {
        let refused = walpilot(["script", nowhere, "--offline", flag]).run().await.expect_code(2);
        assert!(refused.stderr.contains("--offline"), "{refused:?}");
    }
}
