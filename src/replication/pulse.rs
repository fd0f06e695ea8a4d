//! Asks the source how far its log reaches while the stream runs.
//!
//! The stream alone can't tell: when the queue is full the socket is not read, and what was sent last looks like the
//! end of the log although the source is far ahead. The session is one of its own and only reads.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::progress::Progress;
use crate::catalog::Lsn;
use crate::connection::{self, Session, SessionOptions, Settings};

const EVERY: Duration = Duration::from_secs(1);
/// After a failure; nothing depends on the answer.
const LATER: Duration = Duration::from_secs(10);

/// A standby decodes what it has replayed (from PostgreSQL 16).
const END: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                   ELSE pg_current_wal_flush_lsn() END)::text";

/// Keeps `progress.source_end` true until the future is dropped.
pub(super) async fn keep(mut session: Session, settings: Settings, progress: watch::Sender<Progress>) {
    loop {
        while let Some(end) = ask(&session).await {
            progress.send_if_modified(|progress| {
                let before = (progress.source_end, progress.lag_bytes);
                progress.source_reaches(end);
                before != (progress.source_end, progress.lag_bytes)
            });
            sleep(EVERY).await;
        }
        sleep(LATER).await;
        let options = SessionOptions { application_name: "walpilot run".to_owned(), ..SessionOptions::inspect() };
        if let Ok(again) = connection::connect(&settings, &options).await {
            session = again;
        }
    }
}

async fn ask(session: &Session) -> Option<Lsn> {
    let row = session.client.query_one(END, &[]).await.ok()?;
    row.get::<_, Option<&str>>(0)?.parse().ok()
}
