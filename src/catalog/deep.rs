//! Probes that ask the server to do what replication will do, and undo it. Run only when the user asks for them.
//!
//! Promises: none leaves a trace (the publication is rolled back, the slot is temporary), none waits for more than its
//! time limit, and none takes a lock that the application would wait for: CREATE PUBLICATION takes SHARE UPDATE
//! EXCLUSIVE, which lets reads and writes go on, and gives up when it does not get it at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::probe::{Deep, Probe, Rate, SnapshotProbe};
use super::{Facts, Lsn, ddl};
use crate::connection::{Session, SessionOptions, Settings, connect, describe};
use crate::profile::{Profile, TableName};

/// For how long the server is watched.
pub const WATCH: Duration = Duration::from_secs(10);
/// How long the creation of the temporary slot may wait for open transactions.
const SLOT_PATIENCE: Duration = Duration::from_secs(5);
/// Further connections that import the snapshot.
const CONNECTIONS: usize = 4;

/// Runs all probes as the profile's user, watching the server for `watch`.
pub async fn probe(profile: &Profile, facts: &Facts, watch: Duration) -> Deep {
    let settings = &profile.source;
    // One after the other beside the watch, so that at most CONNECTIONS + 2 sessions are open.
    let asked = async {
        let snapshot = snapshot(settings).await;
        let publication = publication(profile, facts).await;
        (publication, slot(settings, facts).await, snapshot)
    };
    let ((publication, slot, snapshot), rate) = tokio::join!(asked, rate(settings, watch));
    Deep { publication, slot, snapshot, rate }
}

fn refused(error: &tokio_postgres::Error) -> Probe {
    Probe::Refused {
        sqlstate: error.code().map_or_else(String::new, |code| code.code().to_owned()),
        reason: describe(error),
    }
}

/// CREATE PUBLICATION, rolled back in the same message: decides permission exactly, and nobody else ever sees it. One
/// table of each owner is enough for that; thousands would need more locks than a server has for all of its sessions.
async fn publication(profile: &Profile, facts: &Facts) -> Probe {
    if facts.the_publication().is_some() {
        return Probe::NotTried("the publication exists already".to_owned());
    }
    if facts.server.in_recovery {
        return Probe::NotTried("the server is a standby".to_owned());
    }
    let mut owners = BTreeSet::new();
    let tables: Vec<TableName> = facts
        .chosen()
        .filter(|table| table.publishable && owners.insert(table.owner.as_str()))
        .map(super::relation::Relation::table)
        .collect();
    if tables.is_empty() {
        return Probe::NotTried("no chosen table can be published".to_owned());
    }
    let options = SessionOptions { lock_timeout: Duration::from_millis(200), ..SessionOptions::administer() };
    let session = match connect(&profile.source, &options).await {
        Ok(session) => session,
        Err(failure) => return Probe::NotTried(failure.message),
    };
    let sql = format!("BEGIN; {}; ROLLBACK", ddl::create_publication(&profile.publication, &tables));
    // Where it fails the end of the session rolls back.
    match session.client.batch_execute(&sql).await {
        Ok(()) => Probe::Worked,
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Probe::NotTried("a table is locked by others".to_owned())
        }
        Err(error) => refused(&error),
    }
}

/// A temporary slot, made within a time limit and gone at once.
async fn slot(settings: &Settings, facts: &Facts) -> Probe {
    // On a standby the wait could not be ended from here before PostgreSQL 16.4.
    if facts.server.in_recovery {
        return Probe::NotTried("the server is a standby".to_owned());
    }
    if facts.setting("wal_level").is_some_and(|level| level != "logical") {
        return Probe::NotTried("wal_level is not logical".to_owned());
    }
    let options = SessionOptions {
        lock_timeout: SLOT_PATIENCE,
        statement_timeout: SLOT_PATIENCE * 2,
        ..SessionOptions::administer()
    };
    let session = match connect(settings, &options).await {
        Ok(session) => session,
        Err(failure) => return Probe::NotTried(failure.message),
    };
    let sql = "SELECT pg_drop_replication_slot(slot_name) FROM pg_create_logical_replication_slot(
                 'walpilot_probe_' || pg_backend_pid(), 'pgoutput', true)";
    match session.client.batch_execute(sql).await {
        Ok(()) => Probe::Worked,
        Err(error) => refused(&error),
    }
}

/// Exports a snapshot and imports it on further connections: behind a load balancer that fails.
async fn snapshot(settings: &Settings) -> SnapshotProbe {
    let options = SessionOptions::inspect();
    let first = match connect(settings, &options).await {
        Ok(session) => session,
        Err(failure) => return SnapshotProbe::NotTried(failure.message),
    };
    let exported = async {
        first.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let row = first.client.query_one("SELECT pg_export_snapshot()", &[]).await?;
        row.try_get::<_, String>(0)
    };
    let name = match exported.await {
        Ok(name) => name,
        Err(error) => return SnapshotProbe::NotTried(describe(&error)),
    };
    let home = member(&first).await;
    for _ in 0..CONNECTIONS {
        let session = match connect(settings, &options).await {
            Ok(session) => session,
            Err(failure) => return SnapshotProbe::NotTried(failure.message),
        };
        let import = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}; SELECT 1; ROLLBACK",
            super::ident::quote_literal(&name)
        );
        if let Err(error) = session.client.batch_execute(&import).await {
            let _ = session.client.batch_execute("ROLLBACK").await;
            let other_server = member(&session).await != home;
            return SnapshotProbe::Lost { reason: describe(&error), other_server };
        }
    }
    SnapshotProbe::Shared(CONNECTIONS)
}

/// Which member of which cluster answers.
async fn member(session: &Session) -> Option<(i64, bool, Option<String>)> {
    let sql = "SELECT (SELECT system_identifier FROM pg_control_system()), pg_is_in_recovery(),
               inet_server_addr()::text || ':' || inet_server_port()";
    let row = session.client.query_one(sql, &[]).await.ok()?;
    Some((row.try_get(0).ok()?, row.try_get(1).ok()?, row.try_get(2).ok()?))
}

/// Watches the log and the transaction ids.
#[expect(clippy::disallowed_methods, reason = "the time between two readings")]
async fn rate(settings: &Settings, watch: Duration) -> Option<Rate> {
    let session = connect(settings, &SessionOptions::inspect()).await.ok()?;
    let begun = Instant::now();
    let before = position(&session).await?;
    tokio::time::sleep(watch).await;
    let after = position(&session).await?;
    Some(Rate {
        seconds: begun.elapsed().as_secs_f64(),
        wal_bytes: i64::try_from(after.0.0.saturating_sub(before.0.0)).unwrap_or(i64::MAX),
        xids: after.1 - before.1,
        directory_bytes: directory_bytes(&session).await,
    })
}

/// Denied to roles without `pg_monitor`.
async fn directory_bytes(session: &Session) -> Option<i64> {
    let row = session.client.query_one("SELECT sum(size)::int8 FROM pg_catalog.pg_ls_waldir()", &[]).await.ok()?;
    row.try_get(0).ok()
}

async fn position(session: &Session) -> Option<(Lsn, i64)> {
    let sql =
        "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text,
               pg_snapshot_xmax(pg_current_snapshot())::text::int8";
    let row = session.client.query_one(sql, &[]).await.ok()?;
    Some((row.try_get::<_, String>(0).ok()?.parse().ok()?, row.try_get(1).ok()?))
}
