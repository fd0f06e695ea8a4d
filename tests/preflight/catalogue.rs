//! The rest of the catalogue against real broken databases: each problem is named, and its fix cures it.

use crate::support::preflight::{look, look_deep, mend, rank_of, repl};
use crate::support::{self, destination, prepare, psql, session, source, source_builder, started};
use walpilot::catalog::destination as other_side;
use walpilot::catalog::gather::gather_and_probe;
use walpilot::connection::{Secret, SessionOptions, Settings, connect};
use walpilot::preflight::report::Rank;
use walpilot::preflight::{Status, evaluate};
use walpilot::profile::{Method, Profile, Selection, TableName};

#[tokio::test]
async fn what_the_role_brings_along_is_named_and_mended() {
    let cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(
        &admin,
        "CREATE TABLE pay(id int PRIMARY KEY, salary int); GRANT SELECT (id) ON pay TO repl;
         CREATE TABLE old(id int PRIMARY KEY); GRANT SELECT ON old TO repl;
         CREATE ROLE readers; GRANT readers TO repl; ALTER ROLE repl NOINHERIT;
         ALTER ROLE repl SET idle_in_transaction_session_timeout = '30s'; ALTER ROLE repl SET default_transaction_read_only = on",
    );
    // From 17 on the functions have one argument more.
    if cluster.major() < 17 {
        let functions = "pg_logical_emit_message(boolean, text, text), pg_logical_emit_message(boolean, text, bytea)";
        prepare(&admin, &format!("REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC"));
    }
    let profile = Profile::new(repl);
    let broken = look(&profile).await;
    assert_eq!(broken.finding("column-select").expect("it").objects, ["public.pay (salary)"]);
    // One cause is reported once.
    assert_eq!(rank_of(&broken, "table-select"), Rank::Passed);
    let ids = ["column-select", "default-read-only", "session-timeouts", "role-can-monitor", "never-analyzed"];
    for id in ids {
        // PostgreSQL 13 does not tell a table that was never analysed from an empty one.
        if id == "never-analyzed" && cluster.major() < 14 {
            continue;
        }
        assert_ne!(rank_of(&broken, id), Rank::Passed, "{id}");
        mend(&admin, &broken, id);
    }
    if cluster.major() < 16 {
        assert_ne!(rank_of(&broken, "role-inherit"), Rank::Passed);
        mend(&admin, &broken, "role-inherit");
    }
    if cluster.major() < 17 {
        assert_eq!(rank_of(&broken, "heartbeat-possible"), Rank::Warning);
        mend(&admin, &broken, "heartbeat-possible");
    }
    let mended = look(&profile).await;
    for id in ids.into_iter().chain(["role-inherit", "long-readers"]) {
        assert_eq!(rank_of(&mended, id), Rank::Passed, "{id}: {:#?}", mended.finding(id));
    }
    assert_ne!(rank_of(&mended, "heartbeat-possible"), Rank::Warning);
    // What was set stays listed, for the eye.
    assert_eq!(rank_of(&mended, "role-settings"), Rank::Info);
}

#[tokio::test]
async fn peculiar_tables_are_named() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE typed(id int PRIMARY KEY, m mood, ms mood[], n int GENERATED ALWAYS AS (id * 2) STORED);
         CREATE TABLE bag(doc json, at point); CREATE TABLE parent(id int PRIMARY KEY); CREATE TABLE child() INHERITS (parent);
         ALTER TABLE child ADD PRIMARY KEY (id);
         CREATE TABLE \"Twin\"(id int PRIMARY KEY); CREATE TABLE twin(id int PRIMARY KEY);
         CREATE TABLE wide(a int, b int, c int, d int, PRIMARY KEY (a, b, c, d));
         CREATE TABLE big(id int PRIMARY KEY, v text); ALTER TABLE big ALTER v SET STORAGE EXTERNAL;
         INSERT INTO big VALUES (1, repeat('x', 100000)); VACUUM big;
         CREATE SEQUENCE s; SELECT lo_create(0);
         CREATE FUNCTION t() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION t()",
    );
    let report = look(&Profile::new(admin.clone())).await;
    let objects = |id: &str| report.finding(id).unwrap_or_else(|| panic!("{id}")).objects.join(" | ");
    assert_eq!(objects("unsupported-types"), "public.typed (m, ms)");
    assert_eq!(objects("publication-generated-columns"), "public.typed (n)");
    assert_eq!(objects("json-without-equality-keyless"), "public.bag (doc, at)");
    assert_eq!(objects("inheritance-parent"), "public.parent");
    assert_eq!(objects("name-collisions"), "public.\"Twin\" and public.twin");
    assert_eq!(objects("key-update-and-lob-key"), "public.wide");
    assert!(objects("toast-unchanged").starts_with("public.big ("), "{}", objects("toast-unchanged"));
    assert_eq!(
        report.finding("not-replicated-objects").expect("it").summary,
        "not replicated: 1 sequence and large objects"
    );
    assert_eq!(objects("event-triggers"), "e (ddl_command_end)");
    let xmin = look(&Profile { method: Method::Xmin, ..Profile::new(admin) }).await;
    for id in ["xmin-epoch", "xmin-long-writers"] {
        assert_eq!(rank_of(&xmin, id), Rank::Passed, "{id}");
    }
}

#[tokio::test]
async fn a_narrowed_publication_is_told_from_one_that_breaks_the_application() {
    let cluster = source().await;
    let admin = cluster.settings();
    let profile = Profile::new(admin.clone());
    let narrow = cluster.major() >= 15;
    prepare(
        &admin,
        "CREATE TABLE orders(id int PRIMARY KEY, state text, note text); INSERT INTO orders VALUES (1, 'new', '');
         CREATE TABLE parts(id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
         CREATE SCHEMA other; CREATE TABLE other.queue(id int PRIMARY KEY); CREATE PUBLICATION walpilot_publication",
    );
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "publication-not-empty"), Rank::Blocker);
    assert_eq!(report.finding("publication-covers-tables").expect("it").status, Status::Skipped);
    mend(&admin, &report, "publication-not-empty");
    assert_eq!(rank_of(&look(&profile).await, "publication-not-empty"), Rank::Passed);

    prepare(
        &admin,
        "ALTER PUBLICATION walpilot_publication ADD TABLE part_1; ALTER PUBLICATION walpilot_publication ADD TABLE other.queue",
    );
    let report = look(&profile).await;
    assert_eq!(
        report.finding("publication-ancestor-overlap").expect("it").objects,
        ["public.part_1 below public.parts"]
    );
    assert_eq!(report.finding("publication-surplus-tables").expect("it").objects, ["other.queue"]);
    mend(&admin, &report, "publication-ancestor-overlap");
    mend(&admin, &report, "publication-surplus-tables");
    let report = look(&profile).await;
    for id in ["publication-ancestor-overlap", "publication-surplus-tables", "publication-covers-tables"] {
        assert_eq!(rank_of(&report, id), Rank::Passed, "{id}");
    }
    if !narrow {
        return;
    }
    let update = async || {
        let session = session(&admin).await;
        session.client.batch_execute("UPDATE public.orders SET note = note || 'x'").await.is_ok()
    };
    for (definition, id, breaks) in [
        ("orders WHERE (state = 'new'), parts", "publication-row-filter", true),
        ("orders WHERE (id > 0), parts", "publication-row-filter", false),
        ("orders (state), parts", "publication-column-list", true),
        ("orders (id, state), parts", "publication-column-list", false),
    ] {
        prepare(&admin, &format!("ALTER PUBLICATION walpilot_publication SET TABLE {definition}"));
        let report = look(&profile).await;
        let expected = if breaks { Rank::Blocker } else { Rank::Warning };
        assert_eq!(rank_of(&report, id), expected, "{definition}: {:#?}", report.finding(id));
        // The verdict is the server's own: the application's UPDATE fails exactly where it is a blocker.
        assert_eq!(update().await, !breaks, "{definition}");
        if breaks {
            mend(&admin, &report, id);
            assert!(update().await, "{definition}");
            assert_ne!(rank_of(&look(&profile).await, id), Rank::Blocker, "{definition}");
            prepare(&admin, "ALTER TABLE orders REPLICA IDENTITY DEFAULT");
        }
    }
    // Schemas take in what comes later.
    prepare(&admin, "ALTER PUBLICATION walpilot_publication SET TABLE orders, parts");
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "future-tables"), Rank::Info);
    mend(&admin, &report, "future-tables");
    prepare(&admin, "CREATE TABLE later(id int PRIMARY KEY)");
    let report = look(&profile).await;
    assert_eq!(rank_of(&report, "future-tables"), Rank::Passed);
    assert_eq!(rank_of(&report, "publication-covers-tables"), Rank::Passed, "{report:#?}");
}

#[tokio::test]
async fn the_servers_own_settings_are_judged() {
    let mut builder = source_builder();
    for (name, value) in [
        ("logical_decoding_work_mem", "1MB"),
        ("max_prepared_transactions", "5"),
        ("max_wal_senders", "4"),
        ("max_connections", "8"),
        ("superuser_reserved_connections", "6"),
    ] {
        builder = builder.setting(name, value);
    }
    let cluster = started(builder).await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    let report = look(&Profile::new(admin.clone())).await;
    for id in ["logical-decoding-work-mem", "two-phase-in-use", "walsenders-below-slots", "connections-headroom"] {
        assert_ne!(rank_of(&report, id), Rank::Passed, "{id}: {:#?}", report.finding(id));
    }
    mend(&admin, &report, "logical-decoding-work-mem");
    let again = async || look(&Profile::new(admin.clone())).await;
    support::await_until("the setting is in effect", async || {
        rank_of(&again().await, "logical-decoding-work-mem") == Rank::Passed
    })
    .await;
    let ascii = Profile::new(Settings { database: "ascii".into(), ..admin.clone() });
    assert_eq!(rank_of(&look(&ascii).await, "server-encoding"), Rank::Warning);
    prepare(&admin, "SELECT pg_create_physical_replication_slot('standby')");
    assert_ne!(rank_of(&again().await, "failover-slot-readiness"), Rank::Passed);
}

#[tokio::test]
async fn locks_in_the_way_of_the_script_are_seen_without_waiting() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text)");
    let holder = session(&admin).await;
    holder.client.batch_execute("BEGIN; SELECT * FROM public.log").await.expect("an open SELECT");
    let profile = Profile::new(admin.clone());
    assert_eq!(look(&profile).await.finding("ddl-lock-conflict").expect("it").object_count, 1);
    holder.client.batch_execute("LOCK public.log IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    assert_eq!(rank_of(&look(&profile).await, "ddl-lock-conflict"), Rank::Warning);
    drop(holder);
    support::await_until("the lock is gone", async || {
        rank_of(&look(&profile).await, "ddl-lock-conflict") == Rank::Passed
    })
    .await;
}

#[tokio::test]
async fn deep_probes_answer_for_the_server_and_leave_no_trace() {
    let cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); GRANT SELECT ON t TO repl");
    let before =
        psql(&admin, "SELECT count(*) FROM pg_publication UNION ALL SELECT count(*) FROM pg_replication_slots");
    let weak = look_deep(&Profile::new(repl)).await;
    assert_eq!(rank_of(&weak, "can-create-publication"), Rank::Info);
    assert!(weak.finding("can-create-publication").expect("it").evidence.contains_key("sqlstate"));
    for id in ["slot-create-probe", "single-instance-endpoint", "output-plugin-available", "wal-rate-and-disk"] {
        assert_eq!(rank_of(&weak, id), Rank::Passed, "{id}: {:#?}", weak.finding(id));
    }
    let strong = look_deep(&Profile::new(admin.clone())).await;
    assert_eq!(rank_of(&strong, "can-create-publication"), Rank::Passed);
    // A writer that stays delays a slot: the probe gives up by itself, and nothing is left half made.
    let writer = session(&admin).await;
    writer.client.batch_execute("BEGIN; INSERT INTO public.t VALUES (1)").await.expect("write");
    let delayed = look_deep(&Profile::new(admin.clone())).await;
    assert_eq!(rank_of(&delayed, "slot-create-probe"), Rank::Warning, "{:#?}", delayed.finding("slot-create-probe"));
    drop(writer);
    let after = psql(&admin, "SELECT count(*) FROM pg_publication UNION ALL SELECT count(*) FROM pg_replication_slots");
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_destination_is_looked_at_too() {
    let (from, to) = (source().await, destination().await);
    prepare(&from.settings(), "CREATE TABLE t(id int PRIMARY KEY)");
    prepare(
        &to.settings(),
        "CREATE TABLE t(id int PRIMARY KEY); INSERT INTO t VALUES (1); ANALYZE t; CREATE ROLE weak LOGIN PASSWORD 'weak'",
    );
    let profile =
        Profile { selection: Selection::Tables(vec![TableName::new("public", "t")]), ..Profile::new(from.settings()) };
    let look = async |settings: Settings| {
        let session = connect(&profile.source, &SessionOptions::inspect()).await.expect("connected");
        let mut facts = gather_and_probe(&session, &profile).await.expect("facts");
        facts.destination = Some(other_side::look(&settings, &profile, &facts).await);
        evaluate(&facts, &profile)
    };
    let report = look(to.settings()).await;
    assert_eq!(report.finding("destination-basics").expect("it").objects, ["public.t"]);
    assert_eq!(rank_of(&report, "destination-basics"), Rank::Warning);
    assert_eq!(rank_of(&report, "target-is-source"), Rank::Passed);
    assert_eq!(rank_of(&look(from.settings()).await, "target-is-source"), Rank::Blocker);
    let weak = to.settings().as_user("weak", Some(Secret::new("weak")));
    assert_eq!(rank_of(&look(weak).await, "destination-basics"), Rank::Blocker);
    let nowhere = Settings { port: 1, ..to.settings() };
    assert_eq!(rank_of(&look(nowhere).await, "destination-basics"), Rank::Blocker);
    prepare(&to.settings(), "TRUNCATE t; ANALYZE t");
    support::await_until("the statistics know that it is empty", async || {
        rank_of(&look(to.settings()).await, "destination-basics") == Rank::Passed
    })
    .await;
    // What walpilot noted there is compared with the slot.
    prepare(&from.settings(), "SELECT pg_create_logical_replication_slot('walpilot_slot', 'pgoutput')");
    prepare(
        &to.settings(),
        "CREATE SCHEMA walpilot; CREATE TABLE walpilot.checkpoint(slot text, lsn pg_lsn);
         CREATE TABLE walpilot.source(slot text, system_identifier text); INSERT INTO walpilot.checkpoint VALUES ('walpilot_slot', '0/1')",
    );
    assert_eq!(rank_of(&look(to.settings()).await, "slot-ahead-of-state"), Rank::Blocker);
    prepare(&to.settings(), "UPDATE walpilot.checkpoint SET lsn = 'FFFF/0'");
    assert_eq!(rank_of(&look(to.settings()).await, "slot-ahead-of-state"), Rank::Passed);
}
