//! A publication that is younger than its slot is told, with the exact repair; a healthy setup never is.

use crate::setting_up::look;
use crate::support::{self, prepare, psql, psql_script, session, source};
use walpilot::connection::Settings;
use walpilot::preflight::report::{Rank, rank};
use walpilot::preflight::{Finding, Status};
use walpilot::profile::Profile;

const PUBLICATION: &str = "CREATE PUBLICATION walpilot_publication FOR TABLE t";
const SLOT: &str = "SELECT pg_create_logical_replication_slot('walpilot_slot', 'pgoutput')";

async fn order(admin: &Settings) -> Finding {
    let before = psql(admin, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'walpilot_slot'");
    let (_, report) = look(admin, &Profile::new(admin.clone())).await;
    let after = psql(admin, "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'walpilot_slot'");
    assert_eq!(after, before, "the slot stays where it is");
    report.finding("publication-after-slot").expect("judged").clone()
}

#[tokio::test]
async fn the_wrong_order_is_a_blocker_and_the_repair_mends_it() {
    for between in ["", "INSERT INTO t VALUES (1)", "INSERT INTO other VALUES (1)"] {
        let cluster = source().await;
        let admin = cluster.settings();
        prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE other(id int PRIMARY KEY)");
        prepare(&admin, &format!("{SLOT}; {between}; {PUBLICATION}"));
        let finding = order(&admin).await;
        // The server's own verdict where it has one, and in any case a word; without writes PostgreSQL 13 can't tell.
        if between.is_empty() && cluster.major() < 14 {
            assert_eq!(rank(&finding), Rank::Info, "{finding:?}");
        } else {
            assert_eq!(rank(&finding), Rank::Blocker, "{between}: {finding:?}");
            assert!(finding.summary.contains("was created before publication"), "{finding:?}");
        }
        assert_eq!(order(&admin).await, finding, "a second look says the same");
        for fix in &finding.fixes {
            assert_eq!(psql_script(&admin, &fix.text), (0, String::new()));
        }
        prepare(&admin, "INSERT INTO t VALUES (2)");
        assert_eq!(order(&admin).await.status, Status::Pass, "{between}");
    }
}

#[tokio::test]
async fn another_slot_that_lags_is_no_reason_for_alarm() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); SELECT pg_create_logical_replication_slot('other', 'pgoutput');
         INSERT INTO t SELECT generate_series(1, 100)",
    );
    prepare(&admin, &format!("{PUBLICATION}; {SLOT}"));
    assert!(rank(&order(&admin).await) >= Rank::Info);
    prepare(&admin, "INSERT INTO t VALUES (0)");
    assert_eq!(order(&admin).await.status, Status::Pass, "the server has decoded a change");
}

#[tokio::test]
async fn a_transaction_that_was_open_meanwhile_is_no_reason_for_alarm() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE other(id int PRIMARY KEY)");
    let writer = session(&admin).await;
    writer.client.batch_execute("BEGIN; INSERT INTO public.other VALUES (1)").await.expect("written");
    prepare(&admin, PUBLICATION);
    let creator = session(&admin).await;
    let creating = tokio::spawn(async move { creator.client.simple_query(SLOT).await.map(drop) });
    let waits = "SELECT count(*) FROM pg_replication_slots WHERE active AND confirmed_flush_lsn IS NULL";
    support::await_until("the slot waits for the writer", async || psql(&admin, waits) == "1").await;
    writer.client.batch_execute("COMMIT").await.expect("committed");
    creating.await.expect("it ran").expect("created");
    let finding = order(&admin).await;
    assert!(rank(&finding) >= Rank::Info, "{finding:?}");
    prepare(&admin, "INSERT INTO t VALUES (1)");
    assert_eq!(order(&admin).await.status, Status::Pass);
}

#[tokio::test]
async fn a_table_that_joined_later_is_a_note_and_an_alteration_is_no_alarm() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE t(id int PRIMARY KEY); CREATE TABLE late(id int PRIMARY KEY)");
    prepare(&admin, &format!("{PUBLICATION}; {SLOT}"));
    assert_eq!(order(&admin).await.status, Status::Pass);
    prepare(&admin, "ALTER PUBLICATION walpilot_publication ADD TABLE late");
    let finding = order(&admin).await;
    assert!(rank(&finding) >= Rank::Info, "{finding:?}");
    prepare(
        &admin,
        "INSERT INTO t VALUES (1); ALTER PUBLICATION walpilot_publication SET (publish = 'insert, update')",
    );
    let finding = order(&admin).await;
    assert!(rank(&finding) >= Rank::Info, "{finding:?}");
}
