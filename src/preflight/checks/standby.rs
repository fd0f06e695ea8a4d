//! Standbys: replicating from one, surviving the failover to one, and an upgrade.

use super::cause::{is_on, no_decoding, slots};
use super::outcome::{Judged, Outcome, settle, some_of};
use super::setting::Value;
use super::unseen::unseen_setting;
use super::{Check, Family};
use crate::catalog::Facts;
use crate::preflight::finding::{Fix, Severity};
use crate::profile::{Method, Profile};

/// The fixes, to be run at the standby.
fn feedback(facts: &Facts) -> impl Iterator<Item = Fix> {
    let fixes = Value::at_reload("hot_standby_feedback", "on", "on").fixes(facts);
    fixes.into_iter().map(|fix| Fix { who: format!("{}, at the standby", fix.who), ..fix })
}

pub(crate) static PREREQUISITES: Check = Check {
    id: "standby-decoding-prereqs",
    family: Family::Connection,
    method: Some(Method::Cdc),
    severity: Severity::Blocker,
    why: "A slot on a standby dies as soon as the primary cleans up rows that it still needs; hot_standby_feedback prevents that.",
    doc: "https://www.postgresql.org/docs/current/logicaldecoding-explanation.html",
    judge: |facts, profile| settle(prerequisites(facts, profile)),
};

fn prerequisites(facts: &Facts, _: &Profile) -> Judged {
    if !facts.server.in_recovery {
        return Ok(None);
    }
    if let Some(skipped) = no_decoding(facts) {
        return Ok(Some(skipped));
    }
    let Some(value) = facts.setting("hot_standby_feedback") else {
        return Ok(Some(unseen_setting(facts, "hot_standby_feedback")));
    };
    Ok(Some(if is_on(value) {
        Outcome::pass("hot_standby_feedback is on")
    } else {
        Outcome::fail("the server is a standby with hot_standby_feedback off: a slot on it dies soon")
            .fixes(feedback(facts))
            .advice("Let the standby use a physical slot of the primary as well.", "superuser")
    }))
}

pub(crate) static IDLE_PRIMARY: Check = Check {
    id: "standby-idle-primary",
    family: Family::Connection,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "On a standby the creation of a slot waits until the primary logs its running transactions, for ever if it is idle.",
    doc: "https://www.postgresql.org/docs/current/functions-admin.html",
    judge: |facts, profile| settle(idle_primary(facts, profile)),
};

fn idle_primary(facts: &Facts, profile: &Profile) -> Judged {
    if !facts.server.in_recovery || facts.server.major() < 16 {
        return Ok(None);
    }
    if slots(facts)?.iter().any(|slot| slot.slot_name == profile.slot) {
        return Ok(Some(Outcome::pass("the slot exists: nothing waits for the primary")));
    }
    Ok(Some(
        Outcome::warn("the creation of the slot waits for a sign of the primary")
            .sql("SELECT pg_log_standby_snapshot()", "superuser, at the primary, while the slot is created"),
    ))
}

pub(crate) static FAILOVER: Check = Check {
    id: "failover-slot-readiness",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "A failover loses a logical slot that is not kept in step on the standby, and with it every change not yet read.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-failover.html",
    judge: |facts, profile| settle(failover(facts, profile)),
};

fn failover(facts: &Facts, profile: &Profile) -> Judged {
    if facts.server.in_recovery {
        return Ok(None);
    }
    let slots = slots(facts)?;
    let named = facts.setting("synchronized_standby_slots").unwrap_or("");
    let unknown: Vec<String> = named
        .split(',')
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty() && name != "*" && slots.iter().all(|slot| slot.slot_name != *name))
        .collect();
    if !unknown.is_empty() {
        return Ok(Some(
            Outcome::warn(format!(
                "synchronized_standby_slots names {}, which is no slot: readers wait",
                some_of(&unknown)
            ))
            .objects(unknown)
            .advice("Create that slot, or take its name out of synchronized_standby_slots and reload.", "superuser"),
        ));
    }
    let standbys: Vec<String> =
        slots.iter().filter(|slot| slot.slot_type == "physical").map(|slot| slot.slot_name.clone()).collect();
    let name = &profile.slot;
    let slot = facts.slot(name);
    if standbys.is_empty() {
        return Ok(Some(Outcome::pass("no standby has a slot here")));
    }
    if slot.is_some_and(|slot| slot.failover) {
        return Ok(Some(Outcome::pass(format!("slot {name} is kept in step on standbys"))));
    }
    let outcome = Outcome::warn(format!("slot {name} would be lost at a failover (standbys: {})", some_of(&standbys)))
        .objects(standbys);
    Ok(Some(if facts.server.major() < 17 {
        outcome.severity(Severity::Info).advice(
            "Before PostgreSQL 17 only an extension (pg_failover_slots) or the manager of the standbys can keep it.",
            "superuser",
        )
    } else if slot.is_some() {
        outcome.advice(
            format!("On a replication connection: ALTER_REPLICATION_SLOT {name} (FAILOVER true); at the standby set sync_replication_slots = on."),
            "the replicating role; at the standby superuser",
        )
    } else {
        outcome.advice(
            "walpilot script --failover creates the slot so; at the standby set sync_replication_slots = on.",
            "you; at the standby superuser",
        )
    }))
}

pub(crate) static HA_MANAGER: Check = Check {
    id: "ha-manager-drops-slots",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Warning,
    why: "Programs that manage standbys drop slots that they were not told of, at a failover or at once.",
    doc: "https://www.postgresql.org/docs/current/logical-replication-failover.html",
    judge: |facts, profile| settle(ha_manager(facts, profile)),
};

fn ha_manager(facts: &Facts, profile: &Profile) -> Judged {
    let cluster = super::cause::cluster(facts)?;
    let Some(manager) = &cluster.ha_manager else {
        return Ok(Some(Outcome::pass("no sign of a manager of standbys")));
    };
    Ok(Some(
        Outcome::warn(format!("it looks as if {manager} managed this cluster: it may drop slot {}", profile.slot))
            .evidence("manager", manager.as_str())
            .advice(
                "Name the slot to it: in Patroni under slots or ignore_slots, in CloudNativePG under replicationSlots.",
                "who runs the cluster",
            ),
    ))
}

pub(crate) static XMIN_CONFLICT: Check = Check {
    id: "xmin-standby-conflict",
    family: Family::Xmin,
    method: Some(Method::Xmin),
    severity: Severity::Warning,
    why: "A long read on a standby is cancelled when the primary has removed rows that it would still see.",
    doc: "https://www.postgresql.org/docs/current/hot-standby.html",
    judge: |facts, profile| settle(xmin_conflict(facts, profile)),
};

fn xmin_conflict(facts: &Facts, _: &Profile) -> Judged {
    if !facts.server.in_recovery {
        return Ok(None);
    }
    let Some(value) = facts.setting("hot_standby_feedback") else {
        return Err(unseen_setting(facts, "hot_standby_feedback"));
    };
    Ok(Some(if is_on(value) {
        Outcome::pass("hot_standby_feedback is on")
    } else {
        let delay = facts.number("max_standby_streaming_delay").unwrap_or(0);
        let text = match delay {
            ..0 => return Ok(Some(Outcome::pass("recovery waits for readers (max_standby_streaming_delay = -1)"))),
            _ => format!("hot_standby_feedback is off: reads longer than {} s may be cancelled", delay / 1000),
        };
        Outcome::warn(text).evidence("max_standby_streaming_delay_ms", delay).fixes(feedback(facts))
    }))
}

pub(crate) static UPGRADE: Check = Check {
    id: "upgrade-ahead",
    family: Family::Slot,
    method: Some(Method::Cdc),
    severity: Severity::Info,
    why: "pg_upgrade keeps logical slots only from PostgreSQL 17 on, and only those that are read to the end.",
    doc: "https://www.postgresql.org/docs/current/pgupgrade.html",
    judge: |facts, profile| settle(upgrade(facts, profile)),
};

fn upgrade(facts: &Facts, _: &Profile) -> Judged {
    let major = facts.server.major();
    Ok(Some(if major >= 17 {
        Outcome::pass("pg_upgrade keeps the slot when everything has been read")
    } else {
        Outcome::warn(format!("pg_upgrade from PostgreSQL {major} drops the slot")).advice(
            "Before such an upgrade stop the application, let everything be read, and start anew after it.",
            "you",
        )
    }))
}
