//! Whether the destination holds what the source publishes, also while the application goes on writing.
//!
//! Both sides are summed up in buckets of the key's hash: a count and a checksum for each. Only where those differ are
//! single keys looked at. Sums of two sides that are read one after the other differ by what was written in between, so
//! a key is called different only by proof: its row was the same at the source before and after the destination was
//! read, and the destination's checkpoint had passed the first of the two positions. A key that is written all the
//! time is looked at again, and called moving in the end.
//!
//! Reads only; every table is scanned once on each side, and once more for each look at differing keys.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_postgres::types::ToSql;

use super::checkpoint;
use super::destination;
use super::formats;
use super::halt::{self, Halt, Side};
use super::run::RunError;
use super::source::{self, SourceTable};
use super::xmin;
use crate::catalog::Lsn;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::connection::{self, Session, SessionOptions, Settings};
use crate::profile::{Method, Profile, TableName};

/// How often keys that are being written are looked at.
const LOOKS: usize = 5;
/// Rows in a bucket, about.
const BUCKET_ROWS: u64 = 500;
/// Rows of differing buckets that are looked at one by one, at the most; what is beyond is not named.
const MOST_ROWS: u64 = 50_000;
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What to compare.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The source, with publication, slot and selection as in the run.
    pub profile: Profile,
    /// The other side.
    pub destination: Settings,
    /// How many differing keys of a table are named, at the most.
    pub keys: usize,
    /// How long the destination may take to pass a position of the source.
    pub patience: Duration,
}

/// How a table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every row is the same.
    Equal,
    /// Some rows differ for certain.
    Different,
    /// Only rows that are written all the time could not be compared.
    Moving,
    /// A run is copying it at this time.
    Copying,
    /// The destination has no such table.
    Missing,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The destination lacks the row.
    OnlyAtSource,
    /// The source has no such row.
    OnlyAtDestination,
    /// Both have a row, with other values.
    Values,
}

/// A table's comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableVerdict {
    /// The table.
    pub table: TableName,
    /// The verdict.
    pub verdict: Verdict,
    /// Published rows at the source when it was read.
    pub source_rows: u64,
    /// Rows at the destination when it was read.
    pub destination_rows: u64,
    /// How many keys are known to differ; with `more` at least so many.
    pub differing: u64,
    /// The first of them, as the text of a row of the key's columns; of a table without a key, the row's MD5.
    pub keys: Vec<(String, Difference)>,
    /// Not every differing row was looked at.
    pub more: bool,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// How far the source's log reached at the end.
    pub source_end: Lsn,
    /// The destination's checkpoint at the end.
    pub checkpoint: Lsn,
    /// Whether a run was going on; without one the destination is compared as it is.
    pub running: bool,
    /// Every table.
    pub tables: Vec<TableVerdict>,
}

/// Compares all tables of the publication that the selection wants. `told` hears of each table when it is done.
///
/// # Errors
/// When a side can't be asked, or the run does not get on.
pub async fn verify(options: &VerifyOptions, mut told: impl FnMut(&TableVerdict)) -> Result<Verification, RunError> {
    let here = open(&options.profile.source, Side::Source).await?;
    let there = open(&options.destination, Side::Destination).await?;
    let version = source::version(&here.client, Side::Source).await?;
    let profile = &options.profile;
    let found = if profile.method == Method::Xmin {
        xmin::published(&here.client, version, &profile.selection).await?
    } else {
        source::tables(&here.client, version, &profile.publication, &profile.selection).await?
    };
    let running = checkpoint::is_owned(&there.client).await?;
    // Checksums are of bytes: of the same text in two encodings they are not the same.
    let recode = encoding(&here, Side::Source).await? != encoding(&there, Side::Destination).await?;
    let sides = Sides { here: &here, there: &there, options, running, recode };
    // Before any table is read: whether this is a destination of the slot at all.
    sides.checkpoint().await?;
    let mut tables = Vec::with_capacity(found.len());
    for table in &found {
        let verdict = sides.table(table).await?;
        told(&verdict);
        tables.push(verdict);
    }
    Ok(Verification { source_end: sides.end().await?, checkpoint: sides.checkpoint().await?, running, tables })
}

async fn open(settings: &Settings, side: Side) -> Result<Session, Halt> {
    let options = SessionOptions {
        application_name: "walpilot verify".to_owned(),
        statement_timeout: Duration::ZERO,
        ..SessionOptions::inspect()
    };
    let session =
        connection::connect(settings, &options).await.map_err(|failure| Halt::Unreachable(side, Box::new(failure)))?;
    // A policy that hides rows must be an error, not a difference.
    let sql = format!("SET row_security = off; {}", formats::SESSION);
    session.client.batch_execute(&sql).await.map_err(|error| halt::query(side, "setting the session up", &error))?;
    Ok(session)
}

/// Count and checksum.
type Sum = (u64, String);

struct Sides<'a> {
    here: &'a Session,
    there: &'a Session,
    options: &'a VerifyOptions,
    running: bool,
    recode: bool,
}

impl Sides<'_> {
    async fn table(&self, table: &SourceTable) -> Result<TableVerdict, Halt> {
        let mut verdict = TableVerdict {
            table: table.name.clone(),
            verdict: Verdict::Missing,
            source_rows: 0,
            destination_rows: 0,
            differing: 0,
            keys: Vec::new(),
            more: false,
        };
        let Some(found) = destination::describe(&self.there.client, &table.name).await? else { return Ok(verdict) };
        if self.running
            && self.options.profile.method == Method::Cdc
            && checkpoint::is_copying(&self.there.client, &self.options.profile.slot, &table.name).await?
        {
            verdict.verdict = Verdict::Copying;
            return Ok(verdict);
        }
        let (here, there) = rows(table, &found, self.recode)?;
        let buckets = (table.rows.unwrap_or_default() / BUCKET_ROWS).next_power_of_two().clamp(64, 65_536);
        let first = sums(self.here, Side::Source, &here.buckets(buckets), &[], &table.name).await?;
        self.wait().await?;
        let second = sums(self.there, Side::Destination, &there.buckets(buckets), &[], &table.name).await?;
        verdict.source_rows = first.values().map(|(count, _)| count).sum();
        verdict.destination_rows = second.values().map(|(count, _)| count).sum();
        let mut chosen = Vec::new();
        let mut looked = 0;
        for bucket in first.keys().chain(second.keys()).collect::<BTreeSet<_>>() {
            if first.get(bucket) == second.get(bucket) {
                continue;
            }
            looked += [&first, &second].iter().filter_map(|side| side.get(bucket)).map(|sum| sum.0).max().unwrap_or(0);
            if looked > MOST_ROWS && !chosen.is_empty() {
                verdict.more = true;
                break;
            }
            chosen.push(bucket.clone());
        }
        verdict.verdict = Verdict::Equal;
        if !chosen.is_empty() {
            self.look(&mut verdict, &here.keys(buckets), &there.keys(buckets), &chosen).await?;
        }
        Ok(verdict)
    }

    /// Looks at the single keys of the `chosen` buckets.
    async fn look(&self, verdict: &mut TableVerdict, here: &str, there: &str, chosen: &[String]) -> Result<(), Halt> {
        let name = verdict.table.clone();
        let mut wrong: BTreeMap<String, Difference> = BTreeMap::new();
        let mut moving = BTreeSet::new();
        let mut before = sums(self.here, Side::Source, here, chosen, &name).await?;
        for _ in 0..LOOKS {
            self.wait().await?;
            let copy = sums(self.there, Side::Destination, there, chosen, &name).await?;
            let after = sums(self.here, Side::Source, here, chosen, &name).await?;
            moving.clear();
            wrong.clear();
            for key in before.keys().chain(copy.keys()).chain(after.keys()).collect::<BTreeSet<_>>() {
                let (old, new, copied) = (before.get(key), after.get(key), copy.get(key));
                if copied == old || copied == new {
                    continue;
                }
                if old != new {
                    moving.insert(key.clone());
                    continue;
                }
                let difference = match (old, copied) {
                    (_, None) => Difference::OnlyAtSource,
                    (None, _) => Difference::OnlyAtDestination,
                    _ => Difference::Values,
                };
                wrong.insert(key.clone(), difference);
            }
            if moving.is_empty() {
                break;
            }
            before = after;
        }
        verdict.differing = wrong.len() as u64;
        verdict.keys = wrong.into_iter().take(self.options.keys).collect();
        verdict.verdict = match (verdict.differing, moving.is_empty()) {
            (0, true) if !verdict.more => Verdict::Equal,
            (0, _) => Verdict::Moving,
            _ => Verdict::Different,
        };
        Ok(())
    }

    /// Waits until everything that was visible at the source before this call is at the destination.
    async fn wait(&self) -> Result<(), Halt> {
        if !self.running {
            return Ok(());
        }
        let goal = self.end().await?;
        let give_up = now() + self.options.patience;
        loop {
            let reached = self.checkpoint().await?;
            if reached >= goal {
                return Ok(());
            }
            if now() >= give_up {
                return Err(Halt::refused(format!(
                    "The destination has come to {reached} and not to {goal} within {} s. Look at the run, or give it \
                     more time with --wait.",
                    self.options.patience.as_secs()
                )));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// A position after the commit of everything that is visible at the source now.
    async fn end(&self) -> Result<Lsn, Halt> {
        // Not the flushed position: with synchronous_commit = off a transaction is visible before it is flushed.
        let sql = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                   ELSE pg_current_wal_insert_lsn() END)::text";
        let row = self.here.client.query_one(sql, &[]).await;
        let row = row.map_err(|error| halt::query(Side::Source, "asking how far its log reaches", &error))?;
        let end: Lsn = row.get::<_, Option<&str>>(0).and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(end.before_page_header())
    }

    async fn checkpoint(&self) -> Result<Lsn, Halt> {
        let slot = &self.options.profile.slot;
        let client = &self.there.client;
        let there = checkpoint::is_there(client).await?;
        let remembered = if there { checkpoint::load(client, slot).await? } else { None };
        remembered.map(|remembered| remembered.checkpoint).ok_or_else(|| {
            Halt::refused(format!(
                "The destination {} holds no checkpoint of the slot {slot}: no run has written into it. Name the right \
                 destination, or the slot with --slot.",
                self.options.destination
            ))
        })
    }
}

/// The rows of one side.
struct Rows {
    /// Everything that is compared.
    select: String,
    /// The expression that tells rows apart, as text.
    key: String,
    key_digest: String,
    row_digest: String,
}

/// Both sides' rows of a table, by the columns that are published and not computed by the destination itself.
fn rows(table: &SourceTable, there: &destination::DestinationTable, recode: bool) -> Result<(Rows, Rows), Halt> {
    let names: Vec<&str> = table
        .columns
        .iter()
        .filter(|column| column.published && there.columns.iter().any(|other| other.name == column.name))
        .map(|column| column.name.as_str())
        .collect();
    if let Some(column) = table.columns.iter().find(|c| c.published && !names.contains(&c.name.as_str())) {
        return Err(Halt::Refused(destination::missing_column(&table.name, &column.name, &column.type_name)));
    }
    let list = |names: &[&str]| names.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ");
    let row = format!("ROW({})::text", list(&names));
    let keyed: Vec<&str> = table.key.iter().map(String::as_str).filter(|name| names.contains(name)).collect();
    let key = if keyed.is_empty() || keyed.len() < table.key.len() {
        digest(&row, recode)
    } else {
        format!("ROW({})::text", list(&keyed))
    };
    let only = if there.partitioned { "" } else { "ONLY " };
    let copy = format!("SELECT {} FROM {only}{}", list(&names), quote_table(&table.name));
    let side =
        |select| Rows { select, key_digest: digest(&key, recode), row_digest: digest(&row, recode), key: key.clone() };
    Ok((side(table.select(&names)), side(copy)))
}

impl Rows {
    const fn checksum() -> &'static str {
        "count(*), sum(('x' || left(row, 16))::bit(64)::bigint::numeric)::text"
    }

    fn inner(&self, buckets: u64) -> String {
        format!(
            "SELECT {key} AS key, {row} AS row, (('x' || left({digest}, 8))::bit(32)::int & {mask})::text AS bucket \
             FROM ({select}) published",
            key = self.key,
            row = self.row_digest,
            digest = self.key_digest,
            select = self.select,
            mask = buckets - 1,
        )
    }

    /// A sum for each bucket.
    fn buckets(&self, buckets: u64) -> String {
        format!("SELECT bucket, {} FROM ({}) hashed GROUP BY bucket", Self::checksum(), self.inner(buckets))
    }

    /// A sum for each key of the buckets `$1`.
    fn keys(&self, buckets: u64) -> String {
        let (sum, inner) = (Self::checksum(), self.inner(buckets));
        format!("SELECT key, {sum} FROM ({inner}) hashed WHERE bucket = ANY($1::text[]) GROUP BY key")
    }
}

/// The MD5 of a text, over its bytes in UTF-8 when the two sides have different encodings.
fn digest(text: &str, recode: bool) -> String {
    if recode { format!("md5(convert_to({text}, 'UTF8'))") } else { format!("md5({text})") }
}

async fn encoding(session: &Session, side: Side) -> Result<String, Halt> {
    let row = session.client.query_one("SELECT getdatabaseencoding()::text", &[]).await;
    Ok(row.map_err(|error| halt::query(side, "asking for the encoding", &error))?.get(0))
}

async fn sums(
    session: &Session,
    side: Side,
    sql: &str,
    buckets: &[String],
    table: &TableName,
) -> Result<BTreeMap<String, Sum>, Halt> {
    let parameters: &[&(dyn ToSql + Sync)] = if buckets.is_empty() { &[] } else { &[&buckets] };
    let rows = session.client.query(sql, parameters).await;
    let rows = rows.map_err(|error| halt::query(side, &format!("comparing table {table}"), &error))?;
    let sum = |row: &tokio_postgres::Row| (u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(), row.get(2));
    Ok(rows.iter().map(|row| (row.get(0), sum(row))).collect())
}

fn now() -> Instant {
    Instant::now()
}
