//! Reads [`Facts`] from a server in three round trips, as whoever is logged in.
//!
//! Promises: no query waits for a lock on a user's table, none writes, and each has the session's time limits. A part
//! that can't be read becomes [`Seen::No`]; only a broken connection is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::types::{ToSql, Type};

use super::facts::{Activity, Facts, Link, Publication, Reader, Relation, ReplicationProbe, Role, Seen, Server};
use super::{cluster, columns, order, queries};
use crate::connection::login::server_error;
use crate::connection::{Session, Settings, attempt, describe, printable};
use crate::profile::{Method, Profile, Provider, Selection, TableName};

/// Why the facts could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct GatherError(pub String);

/// A table that could be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChoice {
    /// Its name.
    pub table: TableName,
    /// Estimated rows (`pg_class.reltuples`); `None` when the table was never analysed, or its size says
    /// otherwise.
    pub rows: Option<u64>,
    /// Size on disk in bytes, indexes and TOAST included; estimated where a lock forbids to look. A partitioned table
    /// holds nothing itself: its partitions' sizes are added up.
    pub bytes: u64,
    /// Whether it is a partitioned table (its partitions are not listed by themselves).
    pub partitioned: bool,
}

/// The answer to [`queries::basics`].
#[derive(Deserialize)]
struct Basics {
    server: Server,
    pid: i32,
    reader: Reader,
    role: Option<Role>,
    /// Names that tell the provider.
    signs: Vec<String>,
}

/// A wait between two looks at open transactions that are young or hide their age: long enough for ordinary ones to end.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Reads everything that the checks of `profile` need, as the role that is logged in. The privileges are those of the
/// profile's user, whoever asks.
///
/// # Errors
/// When the connection breaks. A missing privilege or a locked table is a value in the facts, not an error.
pub async fn gather(session: &Session, profile: &Profile) -> Result<Facts, GatherError> {
    let user = profile.source.user.as_str();
    let begun = our_clock();
    let basics_sql = queries::basics();
    let basics_args: [(&(dyn ToSql + Sync), Type); 1] = [(&user, Type::TEXT)];
    let (_, basics) = tokio::join!(without_jit(session), read(session, &basics_sql, &basics_args));
    let basics: Basics = match basics? {
        Seen::Yes(Some(basics)) => basics,
        Seen::Yes(None) => return Err(GatherError("The server gave no answer about itself.".to_owned())),
        Seen::No(reason) => return Err(GatherError(format!("The server's catalogs can't be read: {reason}."))),
    };
    let role_oid = basics.role.as_ref().map_or(0, |role| role.oid);
    let (schemas, tables) = match &profile.selection {
        Selection::Schemas(schemas) => (schemas.clone(), Vec::new()),
        Selection::Tables(tables) => (Vec::new(), tables.clone()),
    };
    let table_schemas: Vec<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let table_names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let mut all_schemas: Vec<&str> = schemas.iter().map(String::as_str).chain(table_schemas.iter().copied()).collect();
    all_schemas.sort_unstable();
    all_schemas.dedup();

    // All at once on one connection: the server answers in order, and an error in one leaves the others alone.
    let version = basics.server.version_num;
    let publication_name = if profile.method == Method::Cdc { profile.publication.as_str() } else { "" };
    let slots_sql = queries::slots(version);
    let relations_sql = queries::relations(version);
    let publication_sql = queries::publication(version);
    let cluster_sql = cluster::query(version);
    let members_sql = columns::members(version);
    let oid: (&(dyn ToSql + Sync), Type) = (&role_oid, Type::OID);
    let names = queries::SETTING_NAMES.as_slice();
    let settings_args: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
    let database_args = [oid.clone()];
    let publication_args: [(&(dyn ToSql + Sync), Type); 1] = [(&publication_name, Type::TEXT)];
    let cluster_args: [(&(dyn ToSql + Sync), Type); 2] = [oid.clone(), (&publication_name, Type::TEXT)];
    let schema_args: [(&(dyn ToSql + Sync), Type); 2] = [oid.clone(), (&all_schemas, Type::TEXT_ARRAY)];
    let near_args: [(&(dyn ToSql + Sync), Type); 2] =
        [(&table_schemas, Type::TEXT_ARRAY), (&table_names, Type::TEXT_ARRAY)];
    let relation_args: [(&(dyn ToSql + Sync), Type); 5] = [
        oid.clone(),
        (&schemas, Type::TEXT_ARRAY),
        (&table_schemas, Type::TEXT_ARRAY),
        (&table_names, Type::TEXT_ARRAY),
        (&publication_name, Type::TEXT),
    ];
    let ((), database, settings, slots, activity, publication, schemas, near_misses, relations, around, members) =
        Box::pin(async {
            tokio::try_join!(
                unveil(session),
                read(session, queries::DATABASE, &database_args),
                read(session, queries::SETTINGS, &settings_args),
                read(session, &slots_sql, &[]),
                read(session, queries::ACTIVITY, &[]),
                read::<Publication>(session, &publication_sql, &publication_args),
                read(session, queries::SCHEMAS, &schema_args),
                read(session, queries::NEAR_MISSES, &near_args),
                read(session, &relations_sql, &relation_args),
                read(session, &cluster_sql, &cluster_args),
                read(session, &members_sql, &publication_args),
            )
        })
        .await?;

    let mut facts = Facts {
        server: basics.server,
        reader: basics.reader,
        link: Link { encrypted: session.security.encrypted, local: session.settings().is_local() },
        provider: Provider::default(),
        role: basics.role,
        database: row(database),
        settings: row(settings),
        slots: row(slots),
        activity: row(activity),
        publication,
        schemas: row(schemas),
        near_misses: row(near_misses).get().cloned().unwrap_or_default(),
        relations: row(relations),
        cluster: row(around),
        members: row(members),
        ..Facts::default()
    };
    let ended = our_clock();
    facts.clock_skew = facts.cluster.get().map(|cluster| skew(cluster.clock, begun, ended));
    facts.provider = profile.provider.unwrap_or_else(|| {
        let settings: Vec<&str> = facts.settings.get().into_iter().flat_map(|s| s.keys().map(String::as_str)).collect();
        Provider::detect(&settings, &basics.signs, &session.settings().host)
    });
    if let Some(activity) = facts.activity.get() {
        facts.server.pid_changed = activity.pid != basics.pid;
    }
    facts.server.pid_foreign = session.backend_pid().await.is_some_and(|announced| announced != basics.pid);
    // The second look at open transactions takes a moment: meanwhile the columns are read.
    let (columns, again) = tokio::join!(
        Box::pin(careful_columns(session, &facts, role_oid)),
        Box::pin(second_look(session, facts.activity.get().filter(|_| profile.method == Method::Cdc)))
    );
    facts.columns = columns?;
    if let (Seen::Yes(activity), Some(again)) = (&mut facts.activity, again?) {
        activity.mark_lasting(&again);
    }
    Ok(facts)
}

/// Compiling a query over the catalogs takes the server many times as long as running it. What does not know the
/// setting has no such compiler.
async fn without_jit(session: &Session) {
    let _ = session.client.batch_execute("SET jit = off").await;
}

/// How far `clock` lies outside of the time in which it was read.
fn skew(clock: f64, begun: f64, ended: f64) -> f64 {
    if clock < begun { clock - begun } else { (clock - ended).max(0.0) }
}

/// The columns worth a word of all relations that were read.
async fn careful_columns(
    session: &Session,
    facts: &Facts,
    role: u32,
) -> Result<Seen<Vec<columns::Column>>, GatherError> {
    if let Seen::No(reason) = &facts.relations {
        return Ok(Seen::No(reason.clone()));
    }
    let relations = || facts.relations().iter();
    let all: Vec<u32> = relations().filter(|relation| !relation.beside).map(|relation| relation.oid).collect();
    let partly: Vec<u32> = relations().filter(|relation| relation.select_some).map(|relation| relation.oid).collect();
    // A filter or a list of a partitioned table holds for its partitions, and identity belongs to them.
    let members = facts.members.get().map_or(&[][..], Vec::as_slice);
    let narrowed: BTreeSet<u32> =
        members.iter().filter(|m| m.filter.is_some() || m.columns.is_some()).map(|m| m.relation).collect();
    let parents: BTreeMap<u32, Option<u32>> = relations().map(|relation| (relation.oid, relation.parent)).collect();
    let below = |relation: &&Relation| {
        let mut at = Some(relation.oid);
        while let Some(oid) = at {
            if narrowed.contains(&oid) {
                return true;
            }
            at = parents.get(&oid).copied().flatten();
        }
        false
    };
    let whole: Vec<u32> =
        if narrowed.is_empty() { Vec::new() } else { relations().filter(below).map(|relation| relation.oid).collect() };
    let args: [(&(dyn ToSql + Sync), Type); 4] =
        [(&role, Type::OID), (&all, Type::OID_ARRAY), (&partly, Type::OID_ARRAY), (&whole, Type::OID_ARRAY)];
    Ok(row(read(session, columns::COLUMNS, &args).await?))
}

#[expect(clippy::disallowed_methods, reason = "the clock is read here, and judged by a check")]
fn our_clock() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// [`gather`], and for CDC [`probe_replication`] where that makes sense: as the replicating role itself, and while a
/// walsender is free.
///
/// # Errors
/// As [`gather`].
pub async fn gather_and_probe(session: &Session, profile: &Profile) -> Result<Facts, GatherError> {
    let mut facts = gather(session, profile).await?;
    // A connection more would be one walsender too many.
    let free = match (facts.number("max_wal_senders"), facts.activity.get()) {
        (Some(max), Some(activity)) => i64::from(activity.walsenders) < max,
        _ => true,
    };
    if profile.method == Method::Cdc && free && session.settings().user == profile.source.user {
        facts.replication = Some(Box::pin(probe_replication(session.settings())).await);
    }
    if profile.method == Method::Cdc && free && !facts.server.in_recovery {
        facts.slot_order = Box::pin(order::ask(session.settings(), profile, &facts)).await;
    }
    Ok(facts)
}

/// What is still going on a moment later; `None` where the first look told everything.
async fn second_look(session: &Session, first: Option<&Activity>) -> Result<Option<Activity>, GatherError> {
    if !first.is_some_and(Activity::is_doubtful) {
        return Ok(None);
    }
    tokio::time::sleep(SECOND_LOOK).await;
    let again: Seen<Option<Activity>> = read(session, queries::ACTIVITY, &[]).await?;
    Ok(again.get().cloned().flatten())
}

/// Runs one query that answers with at most one row of JSON text.
pub(super) async fn read<T: DeserializeOwned>(
    session: &Session,
    sql: &str,
    args: &[(&(dyn ToSql + Sync), Type)],
) -> Result<Seen<Option<T>>, GatherError> {
    let text = match session.client.query_typed(sql, args).await {
        Ok(rows) => match rows.first().map(|row| row.try_get::<_, String>(0)) {
            None => return Ok(Seen::Yes(None)),
            Some(Ok(text)) => text,
            Some(Err(error)) => return Ok(Seen::No(describe(&error))),
        },
        Err(error) if session.client.is_closed() || error.as_db_error().is_none() => {
            return Err(GatherError(format!("The connection to {} broke: {}.", session.settings(), describe(&error))));
        }
        Err(error) => return Ok(Seen::No(describe(&error))),
    };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Seen::Yes(Some(value))),
        Err(error) => Ok(Seen::No(format!("the server's answer has an unexpected shape ({error})"))),
    }
}

/// Takes back what walpilot sets for its session and the server's own value of which is judged. The time limits have a
/// `reset_val` for that; here 0 would be one, the operating system's, and only the socket knows it.
async fn unveil(session: &Session) -> Result<(), GatherError> {
    // When the connection broke, the queries after it say so.
    let _ = session.client.batch_execute("RESET tcp_keepalives_idle").await;
    Ok(())
}

/// A part that always has a row.
pub(super) fn row<T>(seen: Seen<Option<T>>) -> Seen<T> {
    match seen {
        Seen::Yes(Some(value)) => Seen::Yes(value),
        Seen::Yes(None) => Seen::No("the server gave no answer".to_owned()),
        Seen::No(reason) => Seen::No(reason),
    }
}

/// Tries what a replication client does first: opens a walsender connection to the database and sends
/// IDENTIFY_SYSTEM. It costs one walsender for a moment and leaves nothing behind.
pub async fn probe_replication(settings: &Settings) -> ReplicationProbe {
    let opened = attempt::connect_replication(settings, &[("replication", "database")]).await;
    let (mut stream, mut input, _) = match opened {
        Ok(opened) => opened,
        Err(failure) => return ReplicationProbe::Refused(failure),
    };
    let ask = async {
        let mut out = bytes::BytesMut::new();
        frontend::query("IDENTIFY_SYSTEM", &mut out)?;
        stream.write_all(&out).await?;
        stream.flush().await?;
        let mut answer = Err("no row came back".to_owned());
        loop {
            match Message::parse(&mut input)? {
                Some(Message::DataRow(body)) => {
                    let first = body.ranges().next()?.flatten();
                    let text = first.map(|range| String::from_utf8_lossy(&body.buffer()[range]).into_owned());
                    answer = text.ok_or_else(|| "the system identifier is empty".to_owned());
                }
                Some(Message::ErrorResponse(body)) => answer = Err(server_error(body.fields())?.to_string()),
                Some(Message::ReadyForQuery(_)) => return std::io::Result::Ok(answer),
                Some(_) => {}
                None if stream.read_buf(&mut input).await? == 0 => {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                None => {}
            }
        }
    };
    match tokio::time::timeout(settings.connect_timeout, ask).await {
        Ok(Ok(Ok(system_id))) => ReplicationProbe::Opened { system_id },
        Ok(Ok(Err(reason))) => ReplicationProbe::NotAWalsender(reason),
        Ok(Err(error)) => ReplicationProbe::NotAWalsender(printable(&error.to_string()).into_owned()),
        Err(_) => ReplicationProbe::NotAWalsender("no answer in time".to_owned()),
    }
}

/// Lists the ordinary and partitioned tables outside the system schemas, by schema and name.
///
/// # Errors
/// When the connection breaks or the catalogs can't be read.
pub async fn list_tables(session: &Session) -> Result<Vec<TableChoice>, GatherError> {
    let failed = |error| GatherError(format!("The tables can't be listed: {}.", describe(&error)));
    without_jit(session).await;
    let rows = match session.client.query_typed(&queries::tables(true), &[]).await {
        Ok(rows) => rows,
        // A lock was taken between the look at pg_locks and the size, or the table was dropped.
        Err(error) if error.as_db_error().is_some() => {
            session.client.query_typed(&queries::tables(false), &[]).await.map_err(failed)?
        }
        Err(error) => return Err(failed(error)),
    };
    rows.iter()
        .map(|row| {
            let estimate: f64 = row.try_get(3)?;
            let bytes: Option<i64> = row.try_get(4)?;
            let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
            Ok(TableChoice {
                table: TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?),
                rows: rows_estimate(estimate, bytes),
                bytes,
                partitioned: row.try_get(2)?,
            })
        })
        .collect::<Result<_, _>>()
        .map_err(failed)
}

/// Beyond so many bytes a table with its indexes is not empty, whatever its statistics say.
const EMPTY_BYTES: u64 = 1 << 20;

/// `reltuples` as a count. Negative means never analysed (PostgreSQL 14 and later). So may 0 (before 14), or the table was
/// empty when it was vacuumed last.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range, and an estimate")]
fn rows_estimate(reltuples: f64, bytes: u64) -> Option<u64> {
    let stale = reltuples == 0.0 && bytes > EMPTY_BYTES;
    ((0.0..1e18).contains(&reltuples) && !stale).then_some(reltuples as u64)
}

#[cfg(test)]
mod tests {
    use super::rows_estimate;

    #[test]
    fn statistics_that_contradict_the_size_say_nothing() {
        for (reltuples, bytes, expected) in [
            (-1.0, 0, None),
            (0.0, 24_576, Some(0)),
            (0.0, 1_010_827_264, None),
            (7.0, 8_192, Some(7)),
            (f64::NAN, 0, None),
        ] {
            assert_eq!(rows_estimate(reltuples, bytes), expected, "{reltuples} rows in {bytes} bytes");
        }
    }
}
