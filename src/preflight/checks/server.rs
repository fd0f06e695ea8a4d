//! What stands behind the address: whose PostgreSQL it is, whether it is one server, and what its databases are made of.

use super::cause::{cluster, in_words};
use super::outcome::{Judged, Outcome, settle};
use super::setting::Value;
use super::unseen::unseen_setting;
use super::{Check, Family};
use crate::catalog::Facts;
use crate::catalog::ident::quote_ident;
use crate::catalog::probe::SnapshotProbe;
use crate::preflight::finding::{Fix, FixKind, Severity};
use crate::preflight::traps::traps;
use crate::profile::{Method, Profile, Provider};

/// A mark in `version()`, the product, and whether it lacks PostgreSQL's logical replication.
const FORKS: [(&str, &str, bool); 7] = [
    ("-YB-", "YugabyteDB", false),
    ("CockroachDB", "CockroachDB", true),
    ("Redshift", "Amazon Redshift", true),
    ("Greenplum", "Greenplum", true),
    ("Aurora DSQL", "Amazon Aurora DSQL", true),
    ("EnterpriseDB", "EDB Postgres Advanced Server", false),
    ("Babelfish", "Babelfish", false),
];
/// Clocks further apart than this, in seconds, spoil lags that are shown in seconds.
const SKEW_S: f64 = 5.0;
/// So many connections walpilot run opens at the source beside its walsenders.
const CONNECTIONS: i64 = 3;

pub(crate) static IS_FORK: Check = Check {
    id: "server-is-fork",
    family: Family::Connection,
    method: None,
    severity: Severity::Warning,
    why: "Forks answer like PostgreSQL but lack some of its features, or have them with other rules.",
    doc: "https://www.postgresql.org/docs/current/protocol.html",
    judge: |facts, profile| settle(is_fork(facts, profile)),
};

fn is_fork(facts: &Facts, profile: &Profile) -> Judged {
    let version = &cluster(facts)?.full_version;
    let Some((_, product, lacking)) = FORKS.iter().find(|(mark, _, _)| version.contains(mark)) else {
        return Ok(Some(Outcome::pass("it calls itself PostgreSQL")));
    };
    let outcome = if *lacking && profile.method == Method::Cdc {
        Outcome::fail(format!("it is {product}, which has no logical replication slots for pgoutput"))
            .severity(Severity::Blocker)
            .advice("Use the method xmin if it has that column, or the product's own change feed.", "you")
    } else {
        Outcome::warn(format!("it is {product}; walpilot was tested with PostgreSQL only"))
            .advice("Try everything on a copy first.", "you")
    };
    Ok(Some(outcome.evidence("version", version.as_str())))
}

pub(crate) static PROVIDER: Check = Check {
    id: "provider-detect",
    family: Family::Connection,
    method: None,
    severity: Severity::Info,
    why: "Fixes are worded for the platform that the server seems to run on; a restored dump may mislead.",
    doc: "https://www.postgresql.org/docs/current/view-pg-settings.html",
    judge: |facts, profile| settle(provider(facts, profile)),
};

fn provider(facts: &Facts, profile: &Profile) -> Judged {
    if facts.settings.get().is_none() && facts.provider == Provider::SelfHosted && profile.provider.is_none() {
        return Err(unseen_setting(facts, "of the platform's own"));
    }
    let name = facts.provider.name();
    let text = match profile.provider {
        Some(_) => format!("is taken for {name}, as you said"),
        None => format!("looks like {name}"),
    };
    // What is good to know there is no fault of the database.
    let advice = traps(facts.provider);
    let mut outcome = if advice.is_empty() { Outcome::pass(text) } else { Outcome::warn(text) };
    outcome = outcome.severity(Severity::Info).evidence("provider", name);
    for text in advice {
        outcome = outcome.advice(*text, "you");
    }
    if profile.provider.is_none() && !advice.is_empty() {
        outcome = outcome.advice("If it is something else, say so with --provider, for example self-hosted.", "you");
    }
    Ok(Some(outcome))
}

pub(crate) static SINGLE_INSTANCE: Check = Check {
    id: "single-instance-endpoint",
    family: Family::Connection,
    method: None,
    severity: Severity::Blocker,
    why: "A copy over several connections needs all of them on one server: behind a load balancer they end up on different ones.",
    doc: "https://www.postgresql.org/docs/current/functions-admin.html",
    judge: |facts, profile| settle(single_instance(facts, profile)),
};

fn single_instance(facts: &Facts, profile: &Profile) -> Judged {
    let Some(deep) = &facts.deep else { return Ok(None) };
    let host = &profile.source.host;
    Ok(Some(match &deep.snapshot {
        SnapshotProbe::Shared(number) => Outcome::pass(format!("{number} further connections saw the same snapshot"))
            .evidence("connections", *number),
        SnapshotProbe::Lost { reason, other_server } => {
            let text = if *other_server { "reached another server" } else { "did not see the snapshot of the first" };
            Outcome::fail(format!("a second connection to {host} {text}: {reason}"))
                .evidence("other_server", *other_server)
                .advice(
                    "Connect to one server's own host and port, not to a reader endpoint or a list of hosts.",
                    "you",
                )
        }
        SnapshotProbe::NotTried(reason) => Outcome::unseen("whether one server stands behind the address", reason)
            .severity(Severity::Info)
            .advice("Run walpilot check --deep again when connections are free.", "you"),
    }))
}

pub(crate) static CLOCK_SKEW: Check = Check {
    id: "clock-skew",
    family: Family::Connection,
    method: None,
    severity: Severity::Info,
    why: "A lag in seconds is wrong by the difference between the two clocks.",
    doc: "https://www.postgresql.org/docs/current/functions-datetime.html",
    judge: |facts, profile| settle(clock_skew(facts, profile)),
};

fn clock_skew(facts: &Facts, _: &Profile) -> Judged {
    cluster(facts)?;
    let Some(skew) = facts.clock_skew else { return Ok(None) };
    let outcome = if skew.abs() < SKEW_S {
        Outcome::pass("the server's clock and ours agree")
    } else {
        let way = if skew > 0.0 { "ahead of" } else { "behind" };
        Outcome::warn(format!("the server's clock is {} {way} ours", in_words(skew.abs())))
            .advice("Let both machines take the time from the network (NTP).", "administrators of both machines")
    };
    Ok(Some(outcome.evidence("seconds", (skew * 10.0).round() / 10.0)))
}

pub(crate) static ENCODING: Check = Check {
    id: "server-encoding",
    family: Family::Connection,
    method: None,
    severity: Severity::Warning,
    why: "In SQL_ASCII the server checks no bytes, so rows may hold what no destination accepts as text.",
    doc: "https://www.postgresql.org/docs/current/multibyte.html",
    judge: |facts, profile| settle(encoding(facts, profile)),
};

fn encoding(facts: &Facts, _: &Profile) -> Judged {
    let encoding = &cluster(facts)?.encoding;
    let outcome = match encoding.as_str() {
        "UTF8" => Outcome::pass("the database is in UTF8"),
        "SQL_ASCII" => Outcome::warn("the database is in SQL_ASCII: its bytes may be no valid text")
            .advice("Test the copy with all rows; cure it by a dump and reload into UTF8.", "database owner"),
        other => Outcome::warn(format!("the database is in {other}: texts are converted on the way"))
            .severity(Severity::Info),
    };
    Ok(Some(outcome.evidence("encoding", encoding.as_str())))
}

pub(crate) static COLLATION: Check = Check {
    id: "collation-version-mismatch",
    family: Family::Connection,
    method: None,
    severity: Severity::Warning,
    why: "An index built with another version of the collation may miss rows, also for a copy that reads by key.",
    doc: "https://www.postgresql.org/docs/current/sql-altercollation.html",
    judge: |facts, profile| settle(collation(facts, profile)),
};

fn collation(facts: &Facts, profile: &Profile) -> Judged {
    if facts.server.major() < 15 {
        return Ok(None);
    }
    if !cluster(facts)?.collation_mismatch {
        return Ok(Some(Outcome::pass("the collation has the version that the database was made with")));
    }
    let name = facts.database.get().map_or(profile.source.database.as_str(), |database| &database.name);
    let quoted = quote_ident(name);
    Ok(Some(
        Outcome::warn(format!("database {name} was made with another version of its collation"))
            .objects([name])
            .sql_with_lock(
                format!("REINDEX DATABASE CONCURRENTLY {quoted}"),
                "database owner",
                "SHARE UPDATE EXCLUSIVE on each table, for as long as its indexes are built",
            )
            .sql(format!("ALTER DATABASE {quoted} REFRESH COLLATION VERSION"), "database owner"),
    ))
}

pub(crate) static HEADROOM: Check = Check {
    id: "connections-headroom",
    family: Family::Connection,
    method: None,
    severity: Severity::Warning,
    why: "When no connection is left, neither walpilot nor the application gets one.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-connection.html",
    judge: |facts, profile| settle(headroom(facts, profile)),
};

/// How the limit that binds is raised.
fn more_connections(of: &str, max: i64, facts: &Facts, profile: &Profile) -> Vec<Fix> {
    let database = facts.database.get().map_or(profile.source.database.as_str(), |database| &database.name);
    let (text, who) = match of {
        "role" => (format!("ALTER ROLE {} CONNECTION LIMIT -1;", quote_ident(&profile.source.user)), "superuser"),
        "database" => (format!("ALTER DATABASE {} CONNECTION LIMIT -1;", quote_ident(database)), "database owner"),
        _ => return Value::at_restart("max_connections", &(max + 20).to_string()).fixes(facts),
    };
    vec![Fix { kind: FixKind::Sql, text, who: who.to_owned(), lock: None, restart: false }]
}

fn headroom(facts: &Facts, profile: &Profile) -> Judged {
    let cluster = cluster(facts)?;
    let Some(max) = facts.number("max_connections") else { return Err(unseen_setting(facts, "max_connections")) };
    let reserved =
        facts.number("superuser_reserved_connections").unwrap_or(0) + facts.number("reserved_connections").unwrap_or(0);
    let free = (max - reserved - cluster.sessions).max(0);
    let own = cluster.limits.iter().map(|one| (one.limit - one.used, one.limit, one.of.as_str()));
    let (left, limit, of) = own.chain([(free, max, "")]).min().unwrap_or((free, max, ""));
    let which = if of.is_empty() { "max_connections".to_owned() } else { format!("the {of}'s own limit") };
    let summary = format!("{} of {limit} connections free, {CONNECTIONS} needed", left.max(0));
    let outcome = match left {
        ..=0 => Outcome::fail(format!("{summary} (bound by {which})")).severity(Severity::Blocker),
        1..CONNECTIONS => Outcome::warn(format!("{summary} (bound by {which})")),
        _ => return Ok(Some(Outcome::pass(summary).evidence("free", left))),
    };
    Ok(Some(
        outcome
            .evidence("free", left)
            .evidence("bound_by", which)
            .fixes(more_connections(of, max, facts, profile))
            .advice("Or end sessions that lie idle.", "their owners"),
    ))
}
