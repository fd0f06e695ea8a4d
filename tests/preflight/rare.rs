//! What rarely happens, brought about on real servers: a clock that is wrong, transaction ids that came round, a slot
//! of the time before a failover, a plugin that is gone.

use std::time::Duration;

use crate::support::pki::{Pair, Wanted};
use crate::support::preflight::{facts, finding, inspect, look, look_as, look_deep, mend, rank_of, repl};
use crate::support::standby::{administer, standby_with};
use crate::support::{await_until, prepare, psql, psql_command, session, source, source_builder, started};
use walpilot::catalog::deep;
use walpilot::catalog::gather::gather_and_probe;
use walpilot::connection::{Settings, SslMode};
use walpilot::demo::Cluster;
use walpilot::preflight::evaluate;
use walpilot::preflight::report::Rank::{Blocker, Info, Passed, Warning};
use walpilot::profile::{Method, Profile};

/// Puts a function of ours in the place of one of the server's own, until [`restore`].
fn replace(admin: &Settings, name: &str, returns: &str, body: &str) {
    prepare(
        admin,
        &format!(
            "ALTER FUNCTION pg_catalog.{name}() RENAME TO {name}_0;
             CREATE FUNCTION pg_catalog.{name}() RETURNS {returns} LANGUAGE sql AS $body${body}$body$"
        ),
    );
}

fn restore(admin: &Settings, name: &str) {
    prepare(
        admin,
        &format!("DROP FUNCTION pg_catalog.{name}(); ALTER FUNCTION pg_catalog.{name}_0() RENAME TO {name}"),
    );
}

#[tokio::test]
async fn what_does_not_stay_on_the_machine_has_to_be_encrypted_verified_and_kept_alive() {
    let pair = Pair::issue(&Wanted { common_name: "db", names: &["db"], ..Wanted::default() }, None);
    let tls = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let plain = source().await;
    for cluster in [&plain, &tls] {
        prepare(&cluster.settings(), "CREATE TABLE t(id int PRIMARY KEY)");
    }
    // An address that nobody but the resolver knows as the loopback's.
    let away = |cluster: &Cluster, ssl_mode| Settings { host: "127.1".into(), ssl_mode, ..cluster.settings() };
    let report = look(&Profile::new(away(&plain, SslMode::Prefer))).await;
    assert_eq!(rank_of(&report, "connect-tls"), Warning);
    assert!(finding(&report, "connect-tls").summary.contains("not encrypted"), "{report:#?}");
    let profile = Profile::new(away(&tls, SslMode::Require));
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "connect-tls"), Warning);
    assert!(finding(&report, "connect-tls").summary.contains("identity is not checked"), "{report:#?}");
    assert_eq!(rank_of(&look(&Profile::new(plain.settings())).await, "connect-tls"), Passed);

    assert_eq!(rank_of(&report, "tcp-keepalive"), Info);
    mend(&tls.settings(), &report, "tcp-keepalive");
    await_until("the setting is in effect", async || rank_of(&look(&profile).await, "tcp-keepalive") == Passed).await;
}

#[tokio::test]
async fn a_server_that_is_no_postgresql_or_too_old_for_its_makers_is_named() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY)");
    let profile = Profile::new(admin.clone());
    // The support of 13 has ended for good.
    let ended = rank_of(&look(&profile).await, "server-version");
    assert!(if cluster.major() == 13 { ended == Warning } else { matches!(ended, Warning | Passed) }, "{ended:?}");
    for (version, rank) in [("PostgreSQL 15.2-YB-2.25.0.0-b489 on x86_64", Warning), ("CockroachDB CCL v24", Blocker)] {
        replace(&admin, "version", "text", &format!("SELECT '{version}'::text"));
        assert_eq!(rank_of(&look(&profile).await, "server-is-fork"), rank, "{version}");
        restore(&admin, "version");
    }
    assert_eq!(rank_of(&look(&profile).await, "server-is-fork"), Passed);

    assert_eq!(rank_of(&look(&profile).await, "max-worker-processes"), Passed);
    prepare(&admin, "CREATE ROLE azure_pg_admin");
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "max-worker-processes"), Info);
    let told = finding(&report, "max-worker-processes").fixes.iter().any(|fix| fix.text.contains("az postgres"));
    assert!(told, "{report:#?}");
}

#[tokio::test]
async fn a_clock_that_goes_wrong_and_a_snapshot_that_is_old_are_seen() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY)");
    let profile = Profile::new(admin.clone());
    let reader = session(&admin).await;
    reader.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").await.expect("a snapshot");
    let report = look(&profile).await;
    assert_eq!((rank_of(&report, "clock-skew"), rank_of(&report, "long-readers")), (Passed, Passed));
    replace(&admin, "clock_timestamp", "timestamptz", "SELECT pg_catalog.clock_timestamp_0() + interval '20 minutes'");
    let report = look(&profile).await;
    assert_eq!((rank_of(&report, "clock-skew"), rank_of(&report, "long-readers")), (Info, Info));
    assert!(finding(&report, "clock-skew").summary.contains("min ahead"), "{report:#?}");
    assert_eq!(finding(&report, "long-readers").object_count, 1, "{report:#?}");
    drop(reader);
    await_until("its reader has gone", async || rank_of(&look(&profile).await, "long-readers") == Passed).await;
    restore(&admin, "clock_timestamp");
    assert_eq!(rank_of(&look(&profile).await, "clock-skew"), Passed);
}

#[tokio::test]
async fn a_collation_of_another_version_is_mended_by_its_fixes() {
    let cluster = source().await;
    if cluster.major() < 15 {
        return;
    }
    let admin = cluster.settings();
    // The locales of a small machine have no versions; those of ICU have, where the server was built with it.
    let icu = "CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'";
    let made = psql_command(&admin).args(["-v", "ON_ERROR_STOP=1", "-c", icu]).output().expect("psql");
    if !made.status.success() {
        let stderr = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(stderr.contains("ICU is not supported"), "{stderr}");
        return;
    }
    let here = Settings { database: "icu".into(), ..admin.clone() };
    prepare(&here, "CREATE TABLE t(id text PRIMARY KEY)");
    let profile = Profile::new(here.clone());
    assert_eq!(rank_of(&look(&profile).await, "collation-version-mismatch"), Passed);
    prepare(&here, "UPDATE pg_database SET datcollversion = '0' WHERE datname = current_database()");
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "collation-version-mismatch"), Warning);
    mend(&here, &report, "collation-version-mismatch");
    assert_eq!(rank_of(&look(&profile).await, "collation-version-mismatch"), Passed);
}

#[tokio::test]
async fn queries_may_be_let_in_and_replication_kept_out() {
    let mut cluster = source().await;
    let repl = repl(&cluster);
    prepare(&cluster.settings(), "CREATE TABLE t(id int PRIMARY KEY)");
    let profile = Profile::new(repl.clone());
    assert_eq!(rank_of(&look(&profile).await, "replication-hba"), Passed);
    // The line has changed since the session was opened: that one goes on, the next is refused.
    let open = inspect(&repl).await;
    cluster.set_hba(&["host all repl all reject"]).expect("pg_hba.conf");
    cluster.reload().expect("a reload");
    let refused = async || {
        let seen = gather_and_probe(&open, &profile).await.expect("facts");
        rank_of(&evaluate(&seen, &profile), "replication-hba") == Blocker
    };
    await_until("replication is kept out", refused).await;
    let seen = gather_and_probe(&open, &profile).await.expect("facts");
    let report = evaluate(&seen, &profile);
    assert!(finding(&report, "replication-hba").summary.contains("query, but not replicate"), "{report:#?}");
    cluster.set_hba(&[]).expect("pg_hba.conf");
    cluster.reload().expect("a reload");
    await_until("it is let in", async || {
        psql_command(&repl).args(["-c", "SELECT 1"]).output().is_ok_and(|output| output.status.success())
    })
    .await;
    assert_eq!(rank_of(&look(&profile).await, "replication-hba"), Passed);
}

#[tokio::test]
async fn without_its_plugin_the_server_makes_no_slot() {
    let cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY)");
    let profile = Profile::new(repl);
    assert_eq!(rank_of(&look_deep(&profile).await, "output-plugin-available"), Passed);
    prepare(&admin, "ALTER SYSTEM SET dynamic_library_path = '/nowhere'; SELECT pg_reload_conf()");
    await_until("it is not found", async || {
        let report = look_deep(&profile).await;
        let missing = report
            .finding("output-plugin-available")
            .is_some_and(|_| rank_of(&report, "output-plugin-available") == Blocker);
        missing
            && report.finding("slot-create-probe").is_some_and(|one| one.summary.contains("output-plugin-available"))
    })
    .await;
    prepare(&admin, "ALTER SYSTEM RESET dynamic_library_path; SELECT pg_reload_conf()");
    await_until("it is found", async || {
        let report = look_deep(&profile).await;
        report.finding("output-plugin-available").is_some_and(|_| rank_of(&report, "output-plugin-available") == Passed)
    })
    .await;
}

/// Uses up transaction ids by subtransactions that write.
const BURN: &str = "DO $$ BEGIN FOR i IN 1..100000 LOOP
    BEGIN INSERT INTO public.burnt VALUES (i); EXCEPTION WHEN others THEN NULL; END; END LOOP; END $$; TRUNCATE public.burnt";

#[tokio::test]
async fn transaction_ids_that_run_and_those_that_came_round_matter_to_the_method_xmin() {
    let mut cluster = started(source_builder().setting("fsync", "off").setting("autovacuum", "off")).await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); CREATE SCHEMA aside; CREATE UNLOGGED TABLE public.burnt(i int); CREATE TABLE aside.open(i int)",
    );
    let tables = walpilot::profile::Selection::Tables(vec![walpilot::profile::TableName::new("public", "t")]);
    let profile = Profile { method: Method::Xmin, selection: tables, ..Profile::new(admin.clone()) };
    let quiet = look_deep(&profile).await;
    assert_eq!((rank_of(&quiet, "xmin-rate"), rank_of(&quiet, "xmin-long-writers")), (Passed, Passed));

    let open = session(&admin).await;
    open.client.batch_execute("BEGIN; INSERT INTO aside.open VALUES (1)").await.expect("a writer");
    let writer = session(&admin).await;
    let busy = tokio::spawn(async move { while writer.client.batch_execute(BURN).await.is_ok() {} });
    await_until("the ids run", async || {
        let mut seen = facts(&admin, &profile).await;
        seen.deep = Some(deep::probe(&profile, &seen, Duration::from_secs(3)).await);
        let report = evaluate(&seen, &profile);
        rank_of(&report, "xmin-rate") == Warning && rank_of(&report, "xmin-long-writers") == Warning
    })
    .await;
    busy.abort();
    drop(open);
    let over = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL";
    await_until("nobody writes", async || psql(&admin, over) == "0").await;
    let after = look_deep(&profile).await;
    assert_eq!((rank_of(&after, "xmin-rate"), rank_of(&after, "xmin-long-writers")), (Passed, Passed));

    assert_eq!(rank_of(&after, "xmin-epoch"), Passed);
    // The servers of the matrix may come without the administrator's programs.
    if !cluster.binaries().dir.join("pg_resetwal").exists() {
        return;
    }
    cluster.stop_fast().await.unwrap_or_else(|error| panic!("{error}"));
    administer(&cluster, "pg_resetwal", &["-f", "-e", "3"]);
    cluster.start_again().await.unwrap_or_else(|error| panic!("{error}"));
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "xmin-epoch"), Warning);
    assert!(finding(&report, "xmin-epoch").summary.contains("3 times"), "{report:#?}");
}

#[tokio::test]
async fn a_slot_that_a_standby_keeps_in_step_is_read_only_after_the_failover() {
    let mut primary = source().await;
    if primary.major() < 17 {
        return;
    }
    let admin = primary.settings();
    psql(&admin, "SELECT pg_create_physical_replication_slot('standby', true)");
    let standby = source_builder().setting("hot_standby_feedback", "on");
    let standby = standby.setting("sync_replication_slots", "on").setting("primary_slot_name", "standby");
    let standby = standby_with(&mut primary, started(standby).await, "dbname=postgres").await;
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); CREATE PUBLICATION walpilot_publication FOR TABLE t;
         SELECT pg_create_logical_replication_slot('walpilot_slot', 'pgoutput', false, false, true)",
    );
    let there = standby.settings();
    await_until("the slot is in step", async || {
        // The standby keeps less of the catalog's past than a slot needs that nobody has read since.
        psql(&admin, "SELECT pg_log_standby_snapshot()");
        psql(&admin, "SELECT pg_replication_slot_advance('walpilot_slot', pg_current_wal_lsn())");
        psql(&there, "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary") == "1"
    })
    .await;
    let profile = Profile::new(there.clone());
    assert_eq!(rank_of(&look(&profile).await, "slot-synced-copy"), Blocker);
    assert_eq!(rank_of(&look_as(&admin, &Profile::new(admin.clone())).await, "slot-synced-copy"), Passed);
    psql(&there, "SELECT pg_promote()");
    // The mark stays, and means nothing any more.
    assert_eq!(psql(&there, "SELECT synced FROM pg_replication_slots WHERE slot_name = 'walpilot_slot'"), "t");
    assert_eq!(rank_of(&look(&profile).await, "slot-synced-copy"), Passed);
}
