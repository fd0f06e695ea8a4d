//! The slot of the run, and the short-lived slots whose snapshots the initial copy reads.
//!
//! The slot of the run may be older than the copy (a setup script makes it with SQL, which exports no snapshot). So each
//! copy gets a **temporary** slot of its own: its snapshot holds exactly the transactions whose commit record begins
//! before its consistent point, and the stream of the run's slot brings all later ones. PostgreSQL's table
//! synchronisation joins copy and stream by the same rule (source file `tablesync.c`).

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::halt::{self, Halt, Side};
use super::patience::FAREWELL;
use super::progress::Teller;
use super::stream::StreamError;
use super::walsender::Walsender;
use super::wire::Rows;
use crate::catalog::Lsn;
use crate::catalog::ident::quote_ident;
use crate::catalog::slot_name::backlog_slot;
use crate::connection::{self, SessionOptions, Settings, printable};

/// What the source says about a slot.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct SlotState {
    pub(super) plugin: Option<String>,
    pub(super) database: Option<String>,
    pub(super) temporary: bool,
    /// Who reads it, or its backlog.
    pub(super) active_pid: Option<i32>,
    pub(super) confirmed: Lsn,
    pub(super) wal_status: Option<String>,
}

/// Reads a slot's state.
pub(super) async fn inspect(client: &Client, slot: &str) -> Result<Option<SlotState>, Halt> {
    let row = client
        .query_opt(
            "SELECT plugin::text, database::text, temporary, \
             COALESCE(active_pid, (SELECT r.active_pid FROM pg_replication_slots r \
             WHERE r.temporary AND r.slot_name = $2::text)), \
             COALESCE(confirmed_flush_lsn, '0/0')::text, wal_status FROM pg_replication_slots \
             WHERE slot_name = $1::text",
            &[&slot, &backlog_slot(slot)],
        )
        .await
        .map_err(|error| halt::query(Side::Source, "looking at the replication slot", &error))?;
    Ok(row.map(|row| SlotState {
        plugin: row.get(0),
        database: row.get(1),
        temporary: row.get(2),
        active_pid: row.get(3),
        confirmed: row.get::<_, &str>(4).parse().unwrap_or_default(),
        wal_status: row.get(5),
    }))
}

/// Whether the stream of the slot can go on at `checkpoint` (`None`: nothing was ever taken from it). Says nothing
/// about who holds it.
pub(super) fn judge(
    name: &str,
    slot: &SlotState,
    database: &str,
    checkpoint: Option<Lsn>,
    forget: &str,
) -> Result<(), Halt> {
    let refuse = |text: String| Err(Halt::Refused(text));
    match slot.plugin.as_deref() {
        None => {
            return refuse(format!("The slot {name} is a physical one; walpilot needs a logical slot. Name another."));
        }
        Some("pgoutput") => {}
        Some(other) => {
            return refuse(format!(
                "The slot {name} belongs to the output plugin {}; walpilot reads pgoutput. Name another slot.",
                printable(other)
            ));
        }
    }
    if slot.temporary {
        return refuse(format!("The slot {name} is temporary and ends with its session. Name another slot."));
    }
    if let Some(other) = slot.database.as_deref().filter(|other| *other != database) {
        return refuse(format!(
            "The slot {name} belongs to the database {}, not to {}. Name another slot, or connect to that database.",
            printable(other),
            printable(database)
        ));
    }
    if slot.wal_status.as_deref() == Some("lost") {
        return refuse(format!(
            "The slot {name} is lost: the source has removed WAL that it still needed (max_slot_wal_keep_size). Drop it \
             with SELECT pg_drop_replication_slot('{name}'). {forget}"
        ));
    }
    match checkpoint {
        Some(checkpoint) if slot.confirmed > checkpoint => refuse(format!(
            "The slot {name} was moved to {} by somebody else, but the destination holds changes only up to \
             {checkpoint}: what lies between is lost. {forget}",
            slot.confirmed
        )),
        _ => Ok(()),
    }
}

/// Makes the slot of the run, unless `stop` comes first.
pub(super) async fn create(
    sender: &mut Walsender,
    client: &Client,
    version: i32,
    slot: &str,
    stop: &CancellationToken,
) -> Result<(), StreamError> {
    let option = if version >= 150_000 { "(SNAPSHOT 'nothing')" } else { "NOEXPORT_SNAPSHOT" };
    let sql = format!("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput {option}", quote_ident(slot));
    let pid = backend(sender).await?;
    until_stopped(sender, client, &pid, &sql, stop).await.map(drop)
}

/// The server process of a walsender.
async fn backend(sender: &mut Walsender) -> Result<String, StreamError> {
    let rows = sender.query("SELECT pg_backend_pid()").await?;
    Ok(rows.into_iter().flatten().flatten().next().unwrap_or_default())
}

/// Runs a command that waits for transactions, and has the server give it up when `stop` comes. A server that waits does
/// not notice that its client has gone: it would make the slot later, for nobody. So its answer is read in any case; a
/// command that was given up is an error (57014), and one that was faster has made the slot.
async fn until_stopped(
    sender: &mut Walsender,
    client: &Client,
    pid: &str,
    sql: &str,
    stop: &CancellationToken,
) -> Result<Rows, StreamError> {
    let mut answer = pin!(sender.query(sql));
    tokio::select! {
        answer = &mut answer => return answer,
        () = stop.cancelled() => {}
    }
    let given_up = async {
        // Where this fails, lock_timeout ends the wait.
        let _ = client.execute("SELECT pg_cancel_backend($1::text::int)", &[&pid]).await;
        answer.await
    };
    // A source that has gone gives no answer.
    timeout(2 * FAREWELL, given_up).await.unwrap_or(Err(StreamError::Ended))
}

/// Drops the slot of the run; tells whether it is gone.
pub(super) async fn discard(source: &Settings, slot: &str) -> bool {
    let options = SessionOptions { application_name: "walpilot run".to_owned(), ..SessionOptions::administer() };
    let Ok(session) = connection::connect(source, &options).await else { return false };
    session.client.execute("SELECT pg_drop_replication_slot($1::text::name)", &[&slot]).await.is_ok()
}

/// An exported snapshot; it lives as long as this connection.
pub(super) struct Snapshot {
    /// The name for `SET TRANSACTION SNAPSHOT`.
    pub(super) name: String,
    /// The consistent point: the snapshot holds every transaction whose commit record begins before it.
    pub(super) at: Lsn,
    /// The temporary slot.
    slot: String,
    sender: Walsender,
}

impl Snapshot {
    /// The temporary slot with its connection, for a stream of everything that came later. Sessions that have taken the
    /// snapshot keep it; no other can take it any more.
    pub(super) fn into_slot(self) -> (Walsender, String) {
        (self.sender, self.slot)
    }
}

/// Makes a temporary slot and exports its snapshot. Waits for the transactions that are open at the source, and tells
/// about them, until `stop`.
pub(super) async fn export_snapshot(
    settings: &Settings,
    client: &Client,
    version: i32,
    tell: &Teller,
    stop: &CancellationToken,
) -> Result<Snapshot, Halt> {
    let mut sender = Walsender::connect(settings, version)
        .await
        .map_err(|failure| Halt::Unreachable(Side::Source, Box::new(failure)))?;
    let broken = |error: &StreamError| halt::stream("making a temporary slot for the copy", error);
    let pid = backend(&mut sender).await.map_err(|error| broken(&error))?;
    let option = if version >= 150_000 { "(SNAPSHOT 'export')" } else { "EXPORT_SNAPSHOT" };
    // The server's process id makes the name unique there for as long as the slot can live.
    let slot = format!("walpilot_copy_{pid}");
    let sql = format!("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput {option}", quote_ident(&slot));
    loop {
        match until_stopped(&mut sender, client, &pid, &sql, stop).await {
            _ if stop.is_cancelled() => return Err(Halt::Stopped),
            Ok(rows) => {
                let row = rows.into_iter().next().unwrap_or_default();
                let mut columns = row.into_iter().flatten().skip(1);
                let (Some(at), Some(name)) = (columns.next().and_then(|at| at.parse().ok()), columns.next()) else {
                    return Err(Halt::refused("The source made a slot without a consistent point and a snapshot."));
                };
                return Ok(Snapshot { name, at, slot, sender });
            }
            Err(StreamError::Server(error)) if error.sqlstate == "55P03" => {
                tell.trouble(open_transactions(client).await?);
            }
            Err(StreamError::Server(error)) if error.sqlstate == "53400" => {
                return Err(Halt::refused(format!(
                    "The source has no free replication slot for the copy's snapshot ({error}): drop one that is no \
                     longer used, or raise max_replication_slots and restart."
                )));
            }
            Err(error) => return Err(broken(&error)),
        }
    }
}

/// The sentence about what the making of a slot waits for.
pub(super) async fn open_transactions(client: &Client) -> Result<String, Halt> {
    let row = client
        .query_one(
            "SELECT count(*), min(xact_start) IS NOT NULL, COALESCE(extract(epoch FROM now() - min(xact_start)), 0)::bigint, \
             (array_agg(pid ORDER BY xact_start))[1], \
             (SELECT min(p.gid || ' in database ' || p.database) FROM pg_prepared_xacts p) FROM pg_stat_activity \
             WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()",
            &[],
        )
        .await
        .map_err(|error| halt::query(Side::Source, "looking for open transactions", &error))?;
    let count: i64 = row.get(0);
    let prepared = row
        .get::<_, Option<&str>>(4)
        .map(|gid| format!(" A prepared transaction is among them: {}; commit it, or roll it back.", printable(gid)));
    let prepared = prepared.unwrap_or_default();
    Ok(match row.get::<_, Option<i32>>(3) {
        Some(pid) if row.get(1) => format!(
            "The snapshot waits for {count} transactions that were open at the source when it was asked for; the oldest \
             is {} s old (process {pid}).{prepared}",
            row.get::<_, i64>(2)
        ),
        _ => format!(
            "The snapshot waits for transactions that are open at the source, in this or another database.{prepared}"
        ),
    })
}

/// How often the reader of a stream says how far it is: a third of `wal_sender_timeout`, so that one lost answer does no
/// harm, and a few seconds at the most.
pub(super) async fn feedback_interval(client: &Client) -> Result<Duration, Halt> {
    let row = client
        .query_one("SELECT setting::bigint FROM pg_settings WHERE name = 'wal_sender_timeout'", &[])
        .await
        .map_err(|error| halt::query(Side::Source, "asking for wal_sender_timeout", &error))?;
    let limit = u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
    let longest = Duration::from_secs(5);
    Ok(if limit == 0 { longest } else { (Duration::from_millis(limit) / 3).min(longest) })
}

/// How long a slot that is still in use is waited for: the walsender of a run that was killed needs a moment to
/// notice; after a network cut it notices at `wal_sender_timeout` (60 s unless set otherwise).
pub(super) fn patience(reconnecting: bool) -> Duration {
    if reconnecting { Duration::from_secs(90) } else { Duration::from_secs(5) }
}

#[cfg(test)]
mod tests {
    use super::{SlotState, judge};
    use crate::catalog::Lsn;
    use crate::replication::halt::Halt;

    fn good() -> SlotState {
        SlotState {
            plugin: Some("pgoutput".into()),
            database: Some("shop".into()),
            confirmed: Lsn(100),
            wal_status: Some("reserved".into()),
            ..SlotState::default()
        }
    }

    fn refusal(slot: &SlotState, checkpoint: Option<Lsn>) -> String {
        match judge("s", slot, "shop", checkpoint, "reset") {
            Err(Halt::Refused(text)) => text,
            _ => String::new(),
        }
    }

    #[test]
    fn a_slot_that_can_not_serve_is_refused_with_its_reason() {
        assert_eq!(refusal(&good(), None), "");
        assert_eq!(refusal(&good(), Some(Lsn(100))), "");
        assert_eq!(refusal(&good(), Some(Lsn(200))), "");
        assert!(refusal(&good(), Some(Lsn(99))).contains("0/64"));
        let lost = SlotState { wal_status: Some("lost".into()), ..good() };
        assert!(refusal(&lost, None).contains("max_slot_wal_keep_size"));
        assert!(refusal(&SlotState { plugin: Some("wal2json".into()), ..good() }, None).contains("wal2json"));
        assert!(refusal(&SlotState { plugin: None, ..good() }, None).contains("physical"));
        assert!(refusal(&SlotState { database: Some("other".into()), ..good() }, None).contains("other"));
        assert!(refusal(&SlotState { temporary: true, ..good() }, None).contains("temporary"));
    }
}
