//! The connection and the server behind it.

use super::outcome::Outcome;
use super::unseen::{Part, unseen};
use super::{Check, Family};
use crate::catalog::facts::ReplicationProbe;
use crate::catalog::{Facts, Seen, ddl};
use crate::connection::{Class, SslMode};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// The oldest major version that walpilot works with.
const OLDEST: u32 = 13;
/// The newest that it was tested with.
const NEWEST_TESTED: u32 = 18;
/// What the names of providers' poolers hold (Neon, Supabase, Amazon RDS Proxy).
const POOLER_HOSTS: [&str; 3] = ["-pooler.", ".pooler.supabase.com", ".proxy-"];
/// Where poolers listen by default (PgBouncer, Supavisor's transaction mode, DigitalOcean's pools).
const POOLER_PORTS: [u16; 3] = [6432, 6543, 25061];
/// When the community's support of a major version ends, in seconds since 1970 (PostgreSQL, "Versioning Policy").
const SUPPORT_ENDS: [(u32, f64); 6] = [
    (13, 1_762_992_000.0),
    (14, 1_794_441_600.0),
    (15, 1_825_891_200.0),
    (16, 1_857_340_800.0),
    (17, 1_888_790_400.0),
    (18, 1_920_844_800.0),
];

pub(crate) static AUTH: Check = Check {
    id: "connect-auth",
    family: Family::Connection,
    method: None,
    severity: Severity::Blocker,
    why: "Without a login nothing else can be judged.",
    doc: "https://www.postgresql.org/docs/current/client-authentication.html",
    judge: |facts, profile| {
        let (reader, user) = (&facts.reader.name, &profile.source.user);
        let outcome = if facts.role.is_none() {
            // Known only when somebody else gathered.
            Outcome::fail(format!("role {user} does not exist; walpilot script creates it"))
                .advice("Run what walpilot script prints.", "superuser")
        } else if facts.role.as_ref().is_some_and(|role| !role.login) {
            Outcome::fail(format!("role {user} may not log in"))
                .sql(format!("ALTER ROLE {} LOGIN", crate::catalog::ident::quote_ident(user)), "superuser")
        } else if reader == user {
            Outcome::pass(format!("logged in as {user}"))
        } else {
            Outcome::pass(format!("role {user} exists (looked at as {reader})"))
        };
        Some(outcome.evidence("role", user.as_str()).evidence("checked_as", reader.as_str()))
    },
};

pub(crate) static TLS: Check = Check {
    id: "connect-tls",
    family: Family::Connection,
    method: None,
    severity: Severity::Warning,
    why: "Rows and queries that travel unencrypted can be read and changed on the way.",
    doc: "https://www.postgresql.org/docs/current/libpq-ssl.html",
    judge: |facts, profile| {
        let mode = profile.source.ssl_mode;
        let outcome = if facts.link.encrypted && (mode == SslMode::VerifyFull || facts.link.local) {
            Outcome::pass(format!("encrypted with TLS (sslmode {mode})"))
        } else if facts.link.encrypted {
            // Whoever can redirect the connection can read along.
            let unchecked = if mode == SslMode::VerifyCa { "name" } else { "identity" };
            Outcome::warn(format!("encrypted with TLS, but the server's {unchecked} is not checked (sslmode {mode})"))
                .advice(
                    "Connect with sslmode=verify-full and sslrootcert=<the provider's certificate> or system.",
                    "you",
                )
        } else if facts.link.local {
            Outcome::pass("not encrypted, but the server is on this machine")
        } else {
            Outcome::warn(format!("the connection is not encrypted (sslmode {mode})"))
                .advice("Set ssl = on at the server and connect with sslmode=require or stronger.", "superuser")
        };
        Some(outcome.evidence("encrypted", facts.link.encrypted).evidence("sslmode", mode.name()))
    },
};

pub(crate) static VERSION: Check = Check {
    id: "server-version",
    family: Family::Connection,
    method: None,
    severity: Severity::Blocker,
    why: "Older servers lack what walpilot relies on; newer ones may have changed it.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-preset.html",
    judge: |facts, _| {
        let (major, version) = (facts.server.major(), &facts.server.version);
        let outcome = if major < OLDEST {
            Outcome::fail(format!("PostgreSQL {version} is too old; walpilot needs {OLDEST} or later"))
                .advice("Upgrade the server.", "superuser")
        } else if major > NEWEST_TESTED {
            Outcome::warn(format!("PostgreSQL {version} is newer than walpilot was tested with ({NEWEST_TESTED})"))
                .severity(Severity::Info)
        } else if is_out_of_support(major, facts.cluster.get().map(|cluster| cluster.clock)) {
            Outcome::warn(format!("PostgreSQL {version} gets no more fixes: the support of {major} has ended"))
                .severity(Severity::Warning)
                .advice("Plan an upgrade; walpilot itself works with it.", "superuser")
        } else {
            Outcome::pass(format!("PostgreSQL {version}"))
        };
        Some(outcome.evidence("server_version_num", facts.server.version_num))
    },
};

/// By the server's clock.
fn is_out_of_support(major: u32, clock: Option<f64>) -> bool {
    let end = SUPPORT_ENDS.iter().find(|(version, _)| *version == major);
    end.zip(clock).is_some_and(|((_, end), clock)| clock > *end)
}

pub(crate) static RECOVERY: Check = Check {
    id: "in-recovery",
    family: Family::Connection,
    method: None,
    severity: Severity::Blocker,
    why: "A standby takes no publication, and before PostgreSQL 16 no logical slot.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
    judge: |facts, profile| {
        let primary = facts.cluster.get().and_then(|cluster| cluster.primary.as_ref());
        let of = primary.map_or_else(String::new, |address| format!(" ({address})"));
        let outcome = if !facts.server.in_recovery {
            Outcome::pass("the server is a primary")
        } else if profile.method == Method::Xmin {
            Outcome::warn("the server is a standby: a long read may be cancelled by recovery")
                .severity(Severity::Info)
                .advice("Set hot_standby_feedback = on at the standby, or read from the primary.", "superuser")
        } else if facts.server.major() >= 16 {
            Outcome::warn("the server is a standby: publication and grants have to be made on its primary")
                .severity(Severity::Warning)
                .advice(format!("Connect to the primary{of} if you can."), "you")
        } else {
            Outcome::fail("the server is a standby, and logical decoding on standbys needs PostgreSQL 16")
                .advice(format!("Connect to the primary{of}."), "you")
        };
        Some(outcome.evidence("in_recovery", facts.server.in_recovery))
    },
};

pub(crate) static POOLER: Check = Check {
    id: "pooler-detected",
    family: Family::Connection,
    method: None,
    severity: Severity::Blocker,
    why: "A pooler does not carry the replication protocol, and may change the session between two statements.",
    doc: "https://www.postgresql.org/docs/current/protocol-replication.html",
    judge: |facts, profile| {
        let Some((sign, weight)) = pooler_sign(facts, profile) else {
            return Some(Outcome::pass("no connection pooler in between, as far as can be told"));
        };
        let text = format!("{} looks like a connection pooler: {sign}", profile.source.host);
        let outcome = match weight {
            Severity::Blocker if profile.method == Method::Cdc => Outcome::fail(text),
            Severity::Blocker => Outcome::warn(text).severity(Severity::Warning),
            weight => Outcome::warn(text).severity(weight),
        };
        Some(outcome.advice("Connect to the server's own host and port, not to the pooler's.", "you"))
    },
};

/// The strongest sign of a pooler, and how much it says: what the replication connection met decides, a name or a
/// number only makes one wonder.
fn pooler_sign(facts: &Facts, profile: &Profile) -> Option<(String, Severity)> {
    let (host, port) = (&profile.source.host, profile.source.port);
    match &facts.replication {
        Some(ReplicationProbe::NotAWalsender(reason)) => {
            return Some((
                format!("a replication connection opened, but is no walsender: {reason}"),
                Severity::Blocker,
            ));
        }
        Some(ReplicationProbe::Refused(failure)) if failure.sqlstate.as_deref() == Some("08P01") => {
            return Some((format!("the parameter replication was refused: {}", failure.message), Severity::Blocker));
        }
        _ => {}
    }
    if facts.server.pid_changed {
        return Some(("two statements ran in different sessions".to_owned(), Severity::Blocker));
    }
    if facts.server.pid_foreign {
        // It may well carry replication, as PgBouncer does from 1.23 on.
        let text = "the process that was announced at the login is not the one that answers";
        return Some((text.to_owned(), Severity::Warning));
    }
    if matches!(facts.replication, Some(ReplicationProbe::Opened { .. })) {
        return None;
    }
    if let Some(mark) = POOLER_HOSTS.iter().find(|mark| host.contains(*mark)) {
        return Some((format!("its name holds {mark}"), Severity::Blocker));
    }
    POOLER_PORTS.contains(&port).then(|| (format!("poolers listen on port {port}"), Severity::Info))
}

pub(crate) static CONNECT_PRIVILEGE: Check = Check {
    id: "db-connect-privilege",
    family: Family::Connection,
    method: None,
    severity: Severity::Blocker,
    why: "A role needs CONNECT on the database that holds the tables.",
    doc: "https://www.postgresql.org/docs/current/ddl-priv.html",
    judge: |facts, profile| {
        let database = match &facts.database {
            Seen::Yes(database) => database,
            Seen::No(reason) => return Some(unseen(facts, Part::Database, reason)),
        };
        let user = &profile.source.user;
        Some(if database.connect {
            Outcome::pass(format!("{user} may connect to {}", database.name))
        } else {
            Outcome::fail(format!("{user} has no CONNECT privilege on database {}", database.name))
                .objects([&database.name])
                .sql(ddl::grant_connect(&database.name, user), "database owner")
        })
    },
};

/// Which check a failed connection belongs to.
pub(crate) fn owner_of(class: Class) -> &'static Check {
    match class {
        Class::DnsFailure
        | Class::Refused
        | Class::Unreachable
        | Class::Timeout
        | Class::SocketMissing
        | Class::SocketPermission
        | Class::NotPostgres
        | Class::ServerClosed => &DIAL,
        Class::TlsUnsupported | Class::TlsVersion | Class::TlsFailed => &TLS,
        _ => &AUTH,
    }
}

/// Where there are facts the server was reached; see [`owner_of`] for where there are none.
pub(crate) static DIAL: Check = Check {
    id: "connect-dns-tcp",
    family: Family::Connection,
    method: None,
    severity: Severity::Blocker,
    why: "The server has to be reached before anything else can be judged.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-connection.html",
    judge: |_, profile| {
        let source = &profile.source;
        let way = if source.tunnel.is_some() { " through the bastion" } else { "" };
        Some(Outcome::pass(format!("{} was reached on port {}{way}", source.place(), source.port)))
    },
};
