//! The source's side of a pass: who it is, and one snapshot of it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::bound::{Snapshot, Xid};
use crate::catalog::Lsn;
use crate::connection::{self, Session, SessionOptions, Settings};
use crate::replication::halt::{self, Halt, Side};
use crate::replication::source;

/// How long a read may queue behind a change of the table; whoever comes later would queue behind us.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which server, and how far its history goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) system_identifier: String,
    pub(super) timeline: i32,
    pub(super) database: String,
    pub(super) standby: bool,
    /// Everything that was visible before this was asked had been logged before this position.
    pub(super) position: Lsn,
}

/// An open session of the source.
pub(super) struct Source {
    pub(super) session: Session,
    pub(super) version: i32,
    pub(super) identity: Identity,
}

fn failed(error: &tokio_postgres::Error) -> Halt {
    halt::query(Side::Source, "asking who the source is", error)
}

impl Source {
    /// Connects, read-only.
    pub(super) async fn open(settings: &Settings) -> Result<Self, Halt> {
        let options = SessionOptions { read_only: true, lock_timeout: LOCK_TIMEOUT, ..SessionOptions::replicate() };
        let session = connection::connect(settings, &options)
            .await
            .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
        let version = source::version(&session.client, Side::Source).await?;
        if version < 130_000 {
            return Err(Halt::refused(format!(
                "The source runs PostgreSQL {}; walpilot replicates from PostgreSQL 13 on.",
                version / 10_000
            )));
        }
        // A policy that hides rows must be an error, not a silent gap. A read lasts as long as it lasts.
        let limit = if version >= 170_000 { "; SET transaction_timeout = 0" } else { "" };
        let sql = format!("SET row_security = off{limit}");
        session.client.batch_execute(&sql).await.map_err(|error| failed(&error))?;
        let identity = identify(&session.client).await?;
        Ok(Self { session, version, identity })
    }

    /// Begins the transaction of a pass.
    pub(super) async fn begin(&self, stop: &CancellationToken) -> Result<Snapshot, Halt> {
        let failed = |error| halt::query(Side::Source, "taking a snapshot", &error);
        let client = &self.session.client;
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
        let sql = "SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text, pg_is_in_recovery(), \
                   (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text \
                   FROM pg_current_snapshot() s";
        let row = client.query_one(sql, &[]).await.map_err(failed)?;
        let xid = |at| row.get::<_, &str>(at).parse().map(Xid).ok();
        let end = row.get::<_, Option<&str>>(3).and_then(|text| text.parse::<Lsn>().ok());
        let (Some(xmin), Some(xmax), Some(end)) = (xid(0), xid(1), end) else {
            return Err(Halt::refused("The source's snapshot can't be understood. Please report this."));
        };
        // A standby replays only what is flushed.
        let seen = if row.get(2) { end } else { self.flushed(end.before_page_header(), stop).await? };
        Ok(Snapshot { xmin, xmax, seen })
    }

    /// Waits until no crash of the source can take back what the snapshot sees; returns how far the log is flushed.
    ///
    /// A transaction that ended without waiting for its log (`synchronous_commit = off`, or a rollback) is visible before
    /// it is flushed. A crash forgets it, and its id is given out again: a bound above that id would miss the new
    /// owner's rows. The log's writer flushes such ends within three times `wal_writer_delay` (PostgreSQL
    /// documentation, "Asynchronous Commit"); what lies behind them and is not flushed then belongs to transactions
    /// that are still open.
    async fn flushed(&self, end: Lsn, stop: &CancellationToken) -> Result<Lsn, Halt> {
        let failed = |error| halt::query(Side::Source, "waiting for the source's log", &error);
        let sql = "SELECT pg_current_wal_flush_lsn()::text, \
                   (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_writer_delay')";
        let began = now();
        loop {
            let row = self.session.client.query_one(sql, &[]).await.map_err(failed)?;
            let flushed: Lsn = row.get::<_, &str>(0).parse().unwrap_or_default();
            let delay = Duration::from_millis(u64::try_from(row.get::<_, i64>(1)).unwrap_or_default());
            if flushed >= end || began.elapsed() > delay * 3 + Duration::from_secs(1) {
                return Ok(flushed);
            }
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                () = stop.cancelled() => return Err(Halt::Stopped),
            }
        }
    }
}

async fn identify(client: &Client) -> Result<Identity, Halt> {
    // The control file's timeline lags behind after a promotion; on a primary the name of the current file does not. A
    // standby knows its timeline from where it receives, or from its last restart point.
    let sql = "SELECT (SELECT system_identifier::text FROM pg_control_system()), \
               CASE WHEN NOT pg_is_in_recovery() \
                    THEN ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int \
                    ELSE greatest((SELECT timeline_id FROM pg_control_checkpoint()), \
                         (SELECT min_recovery_end_timeline FROM pg_control_recovery()), \
                         (SELECT max(received_tli) FROM pg_stat_wal_receiver)) END, \
               current_database()::text, pg_is_in_recovery(), \
               (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END)::text";
    let row = client.query_one(sql, &[]).await.map_err(|error| failed(&error))?;
    let position: Lsn = row.get::<_, Option<&str>>(4).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(Identity {
        system_identifier: row.get(0),
        timeline: row.get(1),
        database: row.get(2),
        standby: row.get(3),
        position: position.before_page_header(),
    })
}

fn now() -> Instant {
    Instant::now()
}
