//! The role that replicates.

use super::cause::role;
use super::outcome::{Judged, Outcome, duration, settle};
use super::{Check, Family};
use crate::catalog::facts::ReplicationProbe;
use crate::catalog::ident::quote_ident;
use crate::catalog::{Facts, ddl};
use crate::connection::Class;
use crate::preflight::finding::Severity;
use crate::profile::{Method, Profile};

/// A password that expires within this many seconds is worth a word.
const SOON: f64 = 90.0 * 86_400.0;

pub(crate) static CAN_REPLICATE: Check = Check {
    id: "role-can-replicate",
    family: Family::Role,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "Only a role with REPLICATION may start a walsender; the attribute is not inherited from other roles.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-security.html",
    judge: |facts, profile| settle(can_replicate(facts, profile)),
};

fn can_replicate(facts: &Facts, profile: &Profile) -> Judged {
    let user = &profile.source.user;
    let role = role(facts)?;
    let evidence =
        |outcome: Outcome| outcome.evidence("rolreplication", role.replication).evidence("rolsuper", role.superuser);
    // What the server does counts for more than what the attributes say.
    let denied = matches!(&facts.replication, Some(ReplicationProbe::Refused(failure))
        if failure.sqlstate.as_deref() == Some("42501"));
    if let Some(ReplicationProbe::Opened { system_id }) = &facts.replication {
        let outcome = evidence(Outcome::pass(format!("{user} may replicate: a replication connection opened")));
        return Ok(Some(outcome.evidence("system_identifier", system_id.as_str())));
    }
    if role.may_replicate() && !denied {
        let how = if role.superuser { "superuser" } else { "REPLICATION" };
        return Ok(Some(evidence(Outcome::pass(format!("{user} may replicate ({how})")))));
    }
    let outcome = evidence(Outcome::fail(format!("{user} may not replicate: it lacks REPLICATION")));
    if facts.provider.grants_rds_replication() {
        return Ok(Some(outcome.sql(ddl::grant_role("rds_replication", user), "superuser")));
    }
    let who = if facts.server.major() >= 16 {
        "superuser, or a role with CREATEROLE, REPLICATION and ADMIN OPTION on it"
    } else {
        "superuser"
    };
    Ok(Some(outcome.sql(ddl::alter_role_replication(user), who)))
}

pub(crate) static HBA: Check = Check {
    id: "replication-hba",
    family: Family::Role,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "Logical replication connections are let in by a pg_hba.conf line for the database; the keyword replication matches only physical ones.",
    doc: "https://www.postgresql.org/docs/current/auth-pg-hba-conf.html",
    judge: |facts, profile| {
        let failure = match facts.replication.as_ref()? {
            ReplicationProbe::Opened { .. } => return Some(Outcome::pass("a replication connection opened")),
            ReplicationProbe::NotAWalsender(_) => {
                return Some(Outcome::skipped("pooler-detected", "a pooler is in between"));
            }
            ReplicationProbe::Refused(failure) => failure,
        };
        Some(match (failure.class, failure.sqlstate.as_deref()) {
            (_, Some("42501")) => Outcome::skipped("role-can-replicate", "the role may not replicate"),
            (_, Some("08P01")) => Outcome::skipped("pooler-detected", "a pooler is in between"),
            (_, Some("53300")) => Outcome::skipped("walsenders-free", "no walsender is free"),
            (Class::NoPgHba | Class::HbaReject, _) => {
                Outcome::fail(format!("pg_hba.conf lets {} query, but not replicate", profile.source.user)).advice(
                    format!(
                        "Add to pg_hba.conf: host {} {} <this address>/32 scram-sha-256, then SELECT pg_reload_conf();",
                        profile.source.database, profile.source.user
                    ),
                    "superuser",
                )
            }
            _ => Outcome::fail(format!("a replication connection did not open: {}", failure.message))
                .advice(failure.remedy.clone(), "you"),
        })
    },
};

pub(crate) static SUPERUSER: Check = Check {
    id: "role-is-superuser",
    family: Family::Role,
    method: None,
    severity: Severity::Warning,
    why: "A superuser may do far more than replication needs, and hides which grants a lesser role would miss.",
    doc: "https://www.postgresql.org/docs/current/role-attributes.html",
    judge: |facts, profile| settle(superuser(facts, profile)),
};

fn superuser(facts: &Facts, profile: &Profile) -> Judged {
    let user = &profile.source.user;
    Ok(Some(if role(facts)?.superuser {
        Outcome::warn(format!("{user} is a superuser"))
            .advice("Replicate as a role of its own; walpilot script creates one if you name it.", "superuser")
    } else {
        Outcome::pass(format!("{user} is no superuser"))
    }))
}

pub(crate) static EXPIRY: Check = Check {
    id: "role-expiry",
    family: Family::Role,
    method: None,
    severity: Severity::Warning,
    why: "When the role's password expires, the next reconnect fails and the slot starts to hold WAL.",
    doc: "https://www.postgresql.org/docs/current/sql-alterrole.html",
    judge: |facts, profile| settle(expiry(facts, profile)),
};

fn expiry(facts: &Facts, profile: &Profile) -> Judged {
    let user = &profile.source.user;
    let Some(left) = role(facts)?.expires_in.filter(|left| *left < SOON) else {
        return Ok(Some(Outcome::pass(format!("the password of {user} does not expire soon"))));
    };
    #[expect(clippy::cast_possible_truncation, reason = "smaller than SOON, and saturating below")]
    let left = left as i64;
    let outcome = if left <= 0 {
        Outcome::fail(format!("the password of {user} has expired")).severity(Severity::Blocker)
    } else {
        Outcome::warn(format!("the password of {user} expires in {}", duration(left)))
    };
    let sql = format!("ALTER ROLE {} VALID UNTIL 'infinity'", quote_ident(user));
    Ok(Some(outcome.evidence("expires_in_s", left).sql(sql, "superuser")))
}
