//! Exact rows of one table at both sides, on request: `count(*)` reads the whole table, so nobody asks for it unasked.
//!
//! Two counts of two servers differ by what is under way between them. So they are fenced at one position F of the
//! source's log: the source is counted, F is read after the snapshot, and the destination is counted only when it has
//! passed F. What it has then is all that the source's snapshot had, and what was committed since. When nothing was
//! (no transaction at all, or no change of this table by its counters, which are given the time that they may trail)
//! a difference is drift. When something was, the difference is known to within that many rows, and no nearer.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_postgres::types::Type;

use super::ask::{NoAnswer, ask};
use super::moment::Moment;
use super::sample::Target;
use super::side::count_tables;
use super::table::counters_trail_by;
use crate::catalog::Lsn;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::connection::{Session, SessionOptions, Settings, connect, printable};
use crate::profile::TableName;

/// How long a count may take, and how long the destination may need to pass the fence.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The limit of `count(*)` at each side.
    pub count: Duration,
    /// The time that the destination has to pass the fence.
    pub fence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { count: Duration::from_secs(30), fence: Duration::from_secs(60) }
    }
}

/// Exact rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Count {
    /// The table.
    pub table: TableName,
    /// When the source was counted, on its own clock.
    pub at: Moment,
    /// Its rows.
    pub source: u64,
    /// The fence: every transaction that the count has seen was committed before it.
    pub position: Lsn,
    /// Rows at the destination; `None` when it was not counted.
    pub destination: Option<u64>,
    /// What made sure that the destination had passed the fence.
    pub fence: Fence,
    /// What follows.
    pub drift: Drift,
}

/// What made sure that the destination had passed the position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "position")]
pub enum Fence {
    /// The run's checkpoint, which stands in the same transaction as the rows; read in the same snapshot as the count.
    Checkpoint(Lsn),
    /// The slot's `confirmed_flush_lsn`: a native subscription has flushed everything before it.
    Confirmed(Lsn),
    /// Nothing: the counts are of two different moments.
    None,
}

/// What the two counts say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "detail")]
pub enum Drift {
    /// Source minus destination, and nothing moved: 0 is in step, everything else is drift.
    Exact(i64),
    /// Source minus destination, while this many rows came or went: what lies within that is movement.
    Within {
        /// Source minus destination.
        difference: i64,
        /// Rows inserted and deleted meanwhile.
        moved: u64,
    },
    /// It was not compared; one sentence that says why.
    Unknown(String),
}

impl Drift {
    /// Whether rows are missing or too many for certain.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self {
            Self::Exact(difference) => *difference != 0,
            Self::Within { difference, moved } => difference.unsigned_abs() > *moved,
            Self::Unknown(_) => false,
        }
    }
}

/// Before 15 a session that goes on tells of its commits within this time.
const SOON: Duration = Duration::from_millis(1_500);

#[derive(serde::Deserialize)]
struct Counted {
    rows: u64,
    at: Moment,
    position: Option<Lsn>,
}

#[derive(serde::Deserialize)]
struct Movement {
    next_xid: u64,
    open: u64,
    version: u32,
    confirmed: Option<Lsn>,
    files: Option<i64>,
}

const MOVEMENT: &str = "SELECT json_build_object('version', current_setting('server_version_num')::int,
 'next_xid', pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
 'open', (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot())),
 'confirmed', (SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1),
 'files', (SELECT sum(t.relfilenode::bigint) FROM (
    WITH RECURSIVE tree AS (
      SELECT c.oid, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $2 AND c.relname = $3
      UNION ALL SELECT c.oid, c.relfilenode FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid
    ) SELECT relfilenode FROM tree) t))::text";

/// Counts `table` at both sides of `target`.
///
/// # Errors
/// One sentence: when the source can't be reached or does not count the table.
pub async fn count(target: &Target, table: &TableName, patience: Patience) -> Result<Count, String> {
    let source = open(&target.source, patience).await?;
    let slot = target.slot.as_deref();
    let before = movement(&source, slot, table).await?;
    let counters = counters(&source, table).await?;
    let position = if in_recovery(&source).await? { "pg_last_wal_replay_lsn()" } else { "pg_current_wal_lsn()" };
    let counted = rows(&source, table, position).await?;
    let fence = counted.position.ok_or("The source does not tell the end of its log.")?;
    let mut count = Count {
        table: table.clone(),
        at: counted.at,
        source: counted.rows,
        position: fence,
        destination: None,
        fence: Fence::None,
        drift: Drift::Unknown("No destination was named.".to_owned()),
    };
    let Some(settings) = &target.destination else { return Ok(count) };
    let there = match compare_at(settings, &source, target, &count, patience).await {
        Ok(there) => there,
        Err(reason) => {
            count.drift = Drift::Unknown(reason);
            return Ok(count);
        }
    };
    count.destination = Some(there.rows);
    count.fence = there.fence;
    if count.fence == Fence::None {
        let reason = "No slot tells how far the destination is: the counts are of two moments, and movement may be the difference.";
        count.drift = Drift::Unknown(reason.to_owned());
        return Ok(count);
    }
    let difference = i64::try_from(i128::from(count.source) - i128::from(there.rows)).unwrap_or(i64::MAX);
    let mut after = movement(&source, slot, table).await?;
    let quiet = after.next_xid == before.next_xid && before.open == 0;
    let moved = if quiet {
        Some(0)
    } else {
        sleep(counters_trail_by(after.version).unwrap_or(SOON)).await;
        let now = self::counters(&source, table).await?;
        after = movement(&source, slot, table).await?;
        now.checked_sub(counters)
    };
    count.drift = match moved {
        _ if after.files != before.files => {
            Drift::Unknown("The table was truncated or rewritten meanwhile.".to_owned())
        }
        None => Drift::Unknown("The table's statistics were reset meanwhile.".to_owned()),
        Some(0) if !quiet && difference != 0 && counters_trail_by(after.version).is_none() => Drift::Unknown(format!(
            "The counts differ by {difference}, and something was written meanwhile: before version 15 a session that idles may keep its counters to itself, so this may be movement. Count again when nothing is written."
        )),
        Some(0) => Drift::Exact(difference),
        Some(moved) => Drift::Within { difference, moved },
    };
    Ok(count)
}

struct There {
    rows: u64,
    fence: Fence,
}

/// Waits until the destination has passed the fence, then counts it.
async fn compare_at(
    settings: &Settings,
    source: &Session,
    target: &Target,
    count: &Count,
    patience: Patience,
) -> Result<There, String> {
    let there = open(settings, patience).await?;
    let slot = target.slot.as_deref();
    let began = Instant::now();
    let has_run: bool = asked(&there, "SELECT (to_regclass('walpilot.checkpoint') IS NOT NULL)::text", &[]).await?;
    loop {
        let confirmed = movement(source, slot, &count.table).await?.confirmed;
        let checkpoint = checkpoint(&there, slot, has_run).await?;
        if confirmed.max(checkpoint) >= Some(count.position) {
            break;
        }
        if slot.is_none() || (confirmed.is_none() && checkpoint.is_none()) {
            return Ok(There { rows: rows(&there, &count.table, "NULL::pg_lsn").await?.rows, fence: Fence::None });
        }
        if began.elapsed() >= patience.fence {
            let reached = confirmed.max(checkpoint).unwrap_or_default();
            return Err(format!(
                "The destination has not passed {} within {} s: it is at {reached}.",
                count.position,
                patience.fence.as_secs()
            ));
        }
        sleep(Duration::from_millis(300)).await;
    }
    // The checkpoint of the same snapshot as the rows, where there is one.
    let position = match slot.filter(|_| has_run) {
        Some(slot) => {
            format!("(SELECT lsn FROM walpilot.checkpoint WHERE slot = {})", crate::catalog::ident::quote_literal(slot))
        }
        None => "NULL::pg_lsn".to_owned(),
    };
    let counted = rows(&there, &count.table, &position).await?;
    let fence = match counted.position.filter(|reached| *reached >= count.position) {
        Some(checkpoint) => Fence::Checkpoint(checkpoint),
        None => Fence::Confirmed(movement(source, slot, &count.table).await?.confirmed.unwrap_or(count.position)),
    };
    Ok(There { rows: counted.rows, fence })
}

async fn checkpoint(there: &Session, slot: Option<&str>, has_run: bool) -> Result<Option<Lsn>, String> {
    if !has_run {
        return Ok(None);
    }
    let statement = "SELECT coalesce((SELECT to_json(lsn)::text FROM walpilot.checkpoint WHERE slot = $1), 'null')";
    asked(there, statement, &[(&slot, Type::TEXT)]).await
}

async fn movement(source: &Session, slot: Option<&str>, table: &TableName) -> Result<Movement, String> {
    let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
        [(&slot, Type::TEXT), (&table.schema, Type::TEXT), (&table.name, Type::TEXT)];
    asked(source, MOVEMENT, &parameters).await
}

async fn counters(source: &Session, table: &TableName) -> Result<u64, String> {
    let tables = count_tables(source, std::slice::from_ref(table), true).await.map_err(|no| no.reason)?;
    tables
        .find(table)
        .map(|table| table.inserts + table.deletes)
        .ok_or_else(|| format!("There is no table {} on {}.", printable(&table.to_string()), source.settings()))
}

async fn in_recovery(source: &Session) -> Result<bool, String> {
    asked(source, "SELECT pg_is_in_recovery()::text", &[]).await
}

/// The rows and, of the same snapshot, a position.
async fn rows(session: &Session, table: &TableName, position: &str) -> Result<Counted, String> {
    let statement = format!(
        "SELECT json_build_object('rows', count(*), 'position', {position}, 'at', clock_timestamp())::text FROM {}",
        quote_table(table)
    );
    asked(session, &statement, &[]).await
}

async fn asked<T: serde::de::DeserializeOwned>(
    session: &Session,
    statement: &str,
    parameters: &[(&(dyn tokio_postgres::types::ToSql + Sync), Type)],
) -> Result<T, String> {
    ask(session, statement, parameters).await.map_err(|no| explained(session, no))
}

fn explained(session: &Session, no: NoAnswer) -> String {
    if no.forbidden {
        let role = quote_ident(&session.settings().user);
        return format!("{} To count it: GRANT SELECT ON it TO {role};", no.reason);
    }
    no.reason
}

async fn open(settings: &Settings, patience: Patience) -> Result<Session, String> {
    let options = SessionOptions {
        statement_timeout: patience.count,
        lock_timeout: Duration::from_millis(200),
        ..SessionOptions::inspect()
    };
    let session = connect(settings, &options).await.map_err(|failure| failure.to_string())?;
    // A policy would hide rows; this makes it an error instead.
    let set = session.client.batch_execute("SET row_security = off").await;
    set.map_err(|error| format!("{settings} refused: {}.", crate::connection::describe(&error)))?;
    Ok(session)
}
