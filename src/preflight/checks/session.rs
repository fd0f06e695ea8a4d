//! What the replicating role's sessions start with, and what it may see.

use super::cause::{cluster, is_on, role, switched_off};
use super::outcome::{Judged, Outcome, settle, some_of};
use super::setting::Value;
use super::unseen::unseen_setting;
use super::{Check, Family};
use crate::catalog::cluster::Override;
use crate::catalog::ident::quote_ident;
use crate::catalog::{Facts, ddl};
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// Time limits, and whether walpilot's own sessions override them.
const TIMEOUTS: [(&str, bool); 5] = [
    ("transaction_timeout", false),
    ("idle_session_timeout", false),
    ("idle_in_transaction_session_timeout", true),
    ("statement_timeout", true),
    ("lock_timeout", true),
];
/// Idle connections are forgotten by firewalls after about as many seconds.
const NAT_PATIENCE_S: i64 = 350;

pub(crate) static TIMEOUTS_SET: Check = Check {
    id: "session-timeouts",
    family: Family::Role,
    method: None,
    severity: Severity::Warning,
    why: "A time limit that a session starts with ends a long copy; walpilot sets its own where the server lets it.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-client.html",
    judge: |facts, profile| settle(timeouts_set(facts, profile)),
};

fn timeouts_set(facts: &Facts, profile: &Profile) -> Judged {
    let user = &profile.source.user;
    cluster(facts)?;
    if facts.settings.get().is_none() {
        return Err(unseen_setting(facts, "statement_timeout"));
    }
    let mut set = Vec::new();
    for (name, overridden) in TIMEOUTS {
        if let Some(value) = facts.role_setting(name).filter(|value| !switched_off(value)) {
            set.push((name, value, overridden));
        }
    }
    if set.is_empty() {
        return Ok(Some(Outcome::pass(format!("no time limit comes with the sessions of {user}"))));
    }
    let names: Vec<String> = set.iter().map(|(name, value, _)| format!("{name} = {value}")).collect();
    let harmless = set.iter().all(|(_, _, overridden)| *overridden);
    let mut outcome = Outcome::warn(format!("sessions of {user} start with {}", names.join(", ")));
    if harmless {
        outcome = outcome.severity(Severity::Info);
    }
    for (name, value, _) in &set {
        outcome = outcome
            .evidence(name, *value)
            .sql(format!("{} SET {name} = 0", of_role(name, facts, profile)), "superuser, or the role itself");
    }
    Ok(Some(outcome.objects(names)))
}

pub(crate) static READ_ONLY: Check = Check {
    id: "default-read-only",
    family: Family::Role,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "In sessions that start read-only CREATE PUBLICATION and heartbeats fail; a slot can be made all the same.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-client.html",
    judge: |facts, profile| settle(read_only(facts, profile)),
};

fn read_only(facts: &Facts, profile: &Profile) -> Judged {
    let user = &profile.source.user;
    let Some(value) = facts.role_setting("default_transaction_read_only") else {
        return Err(unseen_setting(facts, "default_transaction_read_only"));
    };
    if !is_on(value) {
        return Ok(Some(Outcome::pass(format!("sessions of {user} may write"))));
    }
    Ok(Some(Outcome::warn(format!("sessions of {user} start read-only")).evidence("value", value).sql(
        // Whoever runs it may start read-only as well.
        format!(
            "BEGIN READ WRITE; {} SET default_transaction_read_only = off; COMMIT",
            of_role("default_transaction_read_only", facts, profile)
        ),
        "superuser, or let the administrator run walpilot script",
    )))
}

pub(crate) static SETTINGS: Check = Check {
    id: "role-settings",
    family: Family::Role,
    method: None,
    severity: Severity::Info,
    why: "Settings that come with the role or the database change what its sessions do.",
    doc: "https://www.postgresql.org/docs/current/sql-alterrole.html",
    judge: |facts, profile| settle(settings(facts, profile)),
};

fn settings(facts: &Facts, profile: &Profile) -> Judged {
    let overrides = &cluster(facts)?.overrides;
    if overrides.is_empty() {
        return Ok(Some(Outcome::pass("no settings come with the role or the database")));
    }
    let names: Vec<String> = overrides.iter().map(|one| one.setting.clone()).collect();
    // SET ROLE changes whose rights count, and without row_security a read under a policy is an error.
    let bites = |one: &Override| {
        one.name().eq_ignore_ascii_case("role")
            || (one.name().eq_ignore_ascii_case("row_security") && !is_on(one.value()))
    };
    let mut outcome = Outcome::warn(format!("set by role or database: {}", some_of(&names))).objects(&names);
    if overrides.iter().any(bites) {
        outcome = outcome.severity(Severity::Warning);
    }
    let (user, database) = (quote_ident(&profile.source.user), database_of(facts, profile));
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    for one in overrides.iter().filter(|one| plain(one.name())) {
        let whose = match (one.of_role, one.of_database) {
            (true, true) => format!("ALTER ROLE {user} IN DATABASE {database}"),
            (true, false) => format!("ALTER ROLE {user}"),
            (false, _) => format!("ALTER DATABASE {database}"),
        };
        outcome =
            outcome.sql(format!("{whose} RESET {}", one.name()), "superuser, where it is not meant for replication");
    }
    Ok(Some(outcome))
}

fn database_of(facts: &Facts, profile: &Profile) -> String {
    quote_ident(facts.database.get().map_or(profile.source.database.as_str(), |database| &database.name))
}

/// The beginning of the statement that outdoes whatever sets `name` for the role: its own settings beat the database's,
/// those in one database beat its general ones.
fn of_role(name: &str, facts: &Facts, profile: &Profile) -> String {
    let user = quote_ident(&profile.source.user);
    let origin = facts.cluster.get().and_then(|cluster| cluster.origin_of(name));
    match origin {
        Some(one) if one.of_role && one.of_database => {
            format!("ALTER ROLE {user} IN DATABASE {}", database_of(facts, profile))
        }
        _ => format!("ALTER ROLE {user}"),
    }
}

pub(crate) static INHERIT: Check = Check {
    id: "role-inherit",
    family: Family::Role,
    method: None,
    severity: Severity::Info,
    why: "A role without INHERIT has the rights of its groups only after SET ROLE, which replication does not do.",
    doc: "https://www.postgresql.org/docs/current/role-membership.html",
    judge: |facts, profile| settle(inherit(facts, profile)),
};

fn inherit(facts: &Facts, profile: &Profile) -> Judged {
    let own = role(facts)?;
    let groups = &cluster(facts)?.not_inherited;
    let user = &profile.source.user;
    if groups.is_empty() || own.superuser {
        return Ok(Some(Outcome::pass(format!("{user} has the rights of the roles that it is a member of"))));
    }
    let outcome =
        Outcome::warn(format!("{user} is a member of {} without having their rights", some_of(groups))).objects(groups);
    // It matters where a right is missing that a group would give.
    let missing = facts.chosen().any(|table| !table.select);
    let outcome = if missing { outcome.severity(Severity::Warning) } else { outcome };
    Ok(Some(if facts.server.major() >= 16 {
        groups.iter().fold(outcome, |outcome, group| {
            outcome.sql(format!("{} WITH INHERIT TRUE", ddl::grant_role(group, user)), "superuser")
        })
    } else {
        outcome.sql(format!("ALTER ROLE {} INHERIT", quote_ident(user)), "superuser")
    }))
}

pub(crate) static CAN_MONITOR: Check = Check {
    id: "role-can-monitor",
    family: Family::Role,
    method: None,
    severity: Severity::Info,
    why: "With pg_monitor the role sees who delays a slot and for how long; without it some checks stay unseen.",
    doc: "https://www.postgresql.org/docs/current/predefined-roles.html",
    judge: |facts, profile| settle(can_monitor(facts, profile)),
};

fn can_monitor(facts: &Facts, profile: &Profile) -> Judged {
    let own = role(facts)?;
    let user = &profile.source.user;
    if own.superuser || cluster(facts)?.role_monitors {
        return Ok(Some(Outcome::pass(format!("{user} sees other sessions"))));
    }
    let mut grant = ddl::grant_role("pg_monitor", user);
    // Otherwise a role with NOINHERIT would have the membership without the rights.
    if facts.server.major() >= 16 {
        grant.push_str(" WITH INHERIT TRUE");
    }
    Ok(Some(Outcome::warn(format!("{user} does not see what other sessions do")).sql(grant, "superuser")))
}

pub(crate) static KEEPALIVE: Check = Check {
    id: "tcp-keepalive",
    family: Family::Settings,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "A firewall forgets a connection that is idle for minutes, and neither side notices for hours.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-connection.html",
    judge: |facts, profile| settle(keepalive(facts, profile)),
};

fn keepalive(facts: &Facts, _: &Profile) -> Judged {
    if facts.link.local {
        return Ok(Some(Outcome::pass("the server is on this machine")));
    }
    let Some(idle) = facts.number("tcp_keepalives_idle") else {
        return Err(unseen_setting(facts, "tcp_keepalives_idle"));
    };
    if (1..=NAT_PATIENCE_S).contains(&idle) {
        return Ok(Some(Outcome::pass(format!("the server asks idle connections for a sign of life after {idle} s"))));
    }
    let text = if idle == 0 { "left to the operating system".to_owned() } else { format!("{idle} s") };
    Ok(Some(
        Outcome::warn(format!("tcp_keepalives_idle is {text}"))
            .evidence("tcp_keepalives_idle", idle)
            .fixes(Value::at_reload("tcp_keepalives_idle", "60", "60").fixes(facts)),
    ))
}
