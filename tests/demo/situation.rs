//! The demo's clusters: the trouble that walpilot is to find is there, and the application's writes work.

use crate::support::{await_until, binaries, execute, query, value};
use walpilot::connection::SessionOptions;
use walpilot::connection::attempt::connect_replication;
use walpilot::connection::{Settings, connect};
use walpilot::demo::Demo;

async fn demo() -> Demo {
    Demo::start(&binaries(), |_| {}).await.unwrap_or_else(|error| panic!("{error}"))
}

/// The rows of every table of the application, partitions apart.
async fn rows(settings: &Settings) -> Vec<(String, u64)> {
    let tables = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname IN ('shop', 'billing') AND c.relkind = 'r' ORDER BY 1";
    let mut rows = Vec::new();
    for row in query(settings, tables).await {
        let table = row[0].clone().expect("a name");
        let count = value(settings, &format!("SELECT count(*) FROM {table}")).await;
        rows.push((table, count.parse().expect("a number")));
    }
    rows
}

#[tokio::test]
async fn the_source_has_the_usual_trouble() {
    let demo = demo().await;
    let rows = rows(&demo.admin).await;
    assert_eq!(rows.len(), 12, "nine plain tables and three partitions: {rows:?}");
    assert!(rows.iter().all(|(_, count)| *count > 0), "every table and every partition has rows: {rows:?}");
    assert!(rows.iter().map(|(_, count)| count).sum::<u64>() > 10_000, "{rows:?}");

    for (what, sql, expected) in [
        (
            "the role may not replicate",
            "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = 'zenskar'",
            "f",
        ),
        (
            "it sees no schema",
            "SELECT bool_or(has_schema_privilege('zenskar', n, 'USAGE')) FROM unnest(ARRAY['shop', 'billing']) n",
            "f",
        ),
        (
            "it may read no table",
            "SELECT bool_or(has_table_privilege('zenskar', c.oid, 'SELECT')) FROM pg_class c \
             WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p')",
            "f",
        ),
        (
            "one table has no key",
            "SELECT string_agg(c.oid::regclass::text, ',') FROM pg_class c WHERE relnamespace IN ('shop'::regnamespace, 'billing'::regnamespace) \
             AND relkind IN ('r', 'p') AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)",
            "shop.page_views",
        ),
        (
            "values are stored out of line",
            "SELECT pg_relation_size(reltoastrelid) > 1000000 FROM pg_class WHERE oid = 'shop.documents'::regclass",
            "t",
        ),
        ("nothing is published", "SELECT count(*) FROM pg_publication", "0"),
        ("no slot exists", "SELECT count(*) FROM pg_replication_slots", "0"),
        ("wal_level", "SHOW wal_level", "logical"),
    ] {
        assert_eq!(value(&demo.admin, sql).await, expected, "{what}");
    }
    connect(&demo.source, &SessionOptions::inspect()).await.expect("the role may log in");
    let refused =
        connect_replication(&demo.source, &[("replication", "database")]).await.err().expect("no REPLICATION");
    assert_eq!(refused.sqlstate.as_deref(), Some("42501"), "{refused}");
    let tables = value(&demo.destination, "SELECT count(*) FROM pg_stat_user_tables").await;
    assert_eq!(tables, "0", "the destination is empty");
    demo.stop().await;
}

#[tokio::test]
async fn the_workload_writes_everywhere_and_nothing_it_does_is_refused() {
    let demo = demo().await;
    let before = rows(&demo.admin).await;
    execute(&demo.admin, "SELECT pg_stat_reset()").await;
    let workload = demo.workload(2000).await.unwrap();
    let committed = "SELECT pg_stat_get_db_xact_commit(oid) FROM pg_database WHERE datname = current_database()";
    await_until("every kind of transaction had its turn", async || workload.committed() > 1500).await;
    let count = workload.stop().await.unwrap_or_else(|error| panic!("{error}"));
    assert!(count > 1500 && value(&demo.admin, committed).await.parse::<u64>().unwrap() >= count);
    assert_ne!(rows(&demo.admin).await, before);
    // What was written where, from the WAL's point of view; TRUNCATE leaves the small table at most a few rows.
    for (table, kinds) in [
        ("shop.orders", "ins upd del"),
        ("shop.documents", "upd"),
        ("shop.page_views", "ins upd del"),
        ("shop.\"Stock Levels\"", "upd"),
        ("shop.carts", "ins"),
        ("shop.order_items", "ins del"),
        ("billing.invoices", "ins del"),
        ("billing.payments_old", "del"),
        ("billing.payments_new", "ins"),
    ] {
        for kind in kinds.split(' ') {
            let column = format!("n_tup_{kind}");
            let sql = format!("SELECT {column} > 0 FROM pg_stat_user_tables WHERE relid = '{table}'::regclass");
            await_until(&format!("{table} {kind}"), async || value(&demo.admin, &sql).await == "t").await;
        }
    }
    assert!(value(&demo.admin, "SELECT count(*) FROM shop.carts").await.parse::<u64>().unwrap() < 500);
}

#[tokio::test]
async fn the_workload_outlives_a_restart_and_reports_what_the_server_refuses() {
    let mut demo = demo().await;
    let workload = demo.workload(500).await.unwrap();
    await_until("it writes", async || workload.committed() > 10).await;
    demo.source_cluster().stop_immediate().await.unwrap();
    demo.source_cluster().start_again().await.unwrap();
    let before = workload.committed();
    await_until("it writes again", async || workload.committed() > before).await;
    assert_eq!(workload.failed(), 0);
    // A published table without a key refuses updates: that is what setup has to prevent.
    execute(&demo.admin, "CREATE PUBLICATION careless FOR TABLE shop.page_views").await;
    await_until("an update is refused", async || workload.failed() > 0).await;
    let error = workload.stop().await.err().unwrap().to_string();
    assert!(error.contains("replica identity") && error.contains("55000"), "{error}");
}
