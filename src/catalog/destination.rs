//! A look at the destination before rows are sent there: whether it is the source itself, whether it can take them, and
//! up to where walpilot says to have replicated.

use tokio_postgres::types::{ToSql, Type};

use super::facts::{Facts, Seen};
use super::gather::read;
use super::probe::{Destination, OtherSide};
use crate::connection::{Session, SessionOptions, Settings, connect};
use crate::profile::Profile;

/// `$1` and `$2` the chosen tables, schemas and names pairwise.
const LOOK: &str = "SELECT json_build_object(
  'system_id', (SELECT system_identifier::text FROM pg_control_system()), 'started', pg_postmaster_start_time()::text,
  'database', current_database(),
  'version_num', current_setting('server_version_num')::int,
  'in_recovery', pg_is_in_recovery(),
  'may_create', has_database_privilege(current_database(), 'CREATE'),
  'closed', (SELECT coalesce(json_agg(n.nspname || '.' || c.relname ORDER BY 1), '[]')
     FROM unnest($1::text[], $2::text[]) w(schema, name) JOIN pg_namespace n ON n.nspname = w.schema
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
     WHERE NOT (has_schema_privilege(n.oid, 'USAGE') AND c.relkind IN ('r', 'p')
            AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
            AND has_table_privilege(c.oid, 'DELETE'))),
  'filled', (SELECT coalesce(json_agg(n.nspname || '.' || c.relname ORDER BY 1), '[]')
     FROM unnest($1::text[], $2::text[]) w(schema, name) JOIN pg_namespace n ON n.nspname = w.schema
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name WHERE c.relkind = 'r'
       AND (c.reltuples > 0 OR pg_stat_get_live_tuples(c.oid) > 0)),
  'workers', json_build_array(current_setting('max_logical_replication_workers')::int,
     current_setting('max_worker_processes')::int,
     coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int)
)::text";

/// `$1` slot: what walpilot noted there when it replicated before.
const SAVED: &str = "SELECT json_build_object('lsn', (SELECT lsn::text FROM walpilot.checkpoint WHERE slot = $1),
  'system_id', (SELECT system_identifier FROM walpilot.source WHERE slot = $1))::text";

#[derive(serde::Deserialize)]
struct Saved {
    lsn: Option<super::Lsn>,
    system_id: Option<String>,
}

/// Looks at the destination; changes nothing there.
pub async fn look(settings: &Settings, profile: &Profile, facts: &Facts) -> OtherSide {
    let session = match connect(settings, &SessionOptions::inspect()).await {
        Ok(session) => session,
        Err(failure) => return OtherSide::Unreachable(failure),
    };
    match seen(&session, profile, facts).await {
        Ok(destination) => OtherSide::Seen(destination),
        Err(reason) => OtherSide::Unreadable(reason),
    }
}

async fn seen(session: &Session, profile: &Profile, facts: &Facts) -> Result<Destination, String> {
    let schemas: Vec<&str> = facts.chosen().map(|table| table.schema.as_str()).collect();
    let names: Vec<&str> = facts.chosen().map(|table| table.name.as_str()).collect();
    let args: [(&(dyn ToSql + Sync), Type); 2] = [(&schemas, Type::TEXT_ARRAY), (&names, Type::TEXT_ARRAY)];
    let look = read::<Destination>(session, LOOK, &args).await.map_err(|error| error.to_string())?;
    let mut destination = match look {
        Seen::Yes(Some(destination)) => destination,
        Seen::Yes(None) => return Err("the server gave no answer".to_owned()),
        Seen::No(reason) => return Err(reason),
    };
    destination.place = session.settings().to_string();
    // Before the first run there are no such tables: then nothing is noted.
    let slot: [(&(dyn ToSql + Sync), Type); 1] = [(&profile.slot, Type::TEXT)];
    if let Ok(Seen::Yes(Some(saved))) = read::<Saved>(session, SAVED, &slot).await {
        destination.saved_lsn = saved.lsn;
        destination.saved_system_id = saved.system_id;
    }
    Ok(destination)
}
