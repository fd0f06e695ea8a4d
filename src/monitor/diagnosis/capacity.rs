//! Rules about the server's limits, and about what this role can't see.

use std::time::Duration;

use super::case::{Case, percent};
use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::moment::Moment;
use crate::monitor::slot::SlotKind;
use crate::monitor::{thresholds, units};
use crate::profile::alerts;

/// R21: slots or walsenders run out; R21b: nothing limits what slots hold; R21c: `wal_level` is too low or will be.
pub(super) fn limits(at: &Case<'_>) -> Vec<Finding> {
    let server = &at.sample.server;
    let mut findings = Vec::new();
    let slots = u32::try_from(at.sample.slots.len()).unwrap_or(u32::MAX);
    let pools = [("max_replication_slots", slots, "slots"), ("max_wal_senders", at.sample.walsenders, "walsenders")];
    for (setting, used, what) in pools {
        let Some(limit) = server.number(setting).and_then(|limit| u32::try_from(limit).ok()) else { continue };
        let share = percent(u64::from(used), u64::from(limit));
        let Some(severity) = at.level("R21", setting, &alerts::SLOTS_USED, share) else { continue };
        let full = used >= limit;
        findings.push(Finding::new(
            "R21",
            severity,
            setting,
            format!("{} {what}", if full { "there are no free" } else { "there are few free" }),
            format!("{used} of {limit} are in use."),
            vec![
                Action::run(
                    "Raise it",
                    format!("ALTER SYSTEM SET {setting} = {};", limit.saturating_mul(2).max(10)),
                    "a superuser, or the provider's console",
                )
                .at_risk("takes effect at the next restart of the server"),
            ],
        ));
    }
    if server.settings.contains_key("max_slot_wal_keep_size")
        && server.slot_wal_limit().is_none()
        && !at.sample.slots.is_empty()
    {
        findings.push(Finding::new(
            "R21b",
            Severity::Info,
            "max_slot_wal_keep_size",
            "nothing limits the log that slots hold".to_owned(),
            "max_slot_wal_keep_size is -1: a slot without a consumer fills the disk, and the server stops.".to_owned(),
            vec![
                Action::set("Set a limit that the volume can bear", "max_slot_wal_keep_size = '50GB'")
                    .at_risk("beyond the limit a slot is lost"),
            ],
        ));
    }
    findings.extend(wal_level(at));
    findings
}

fn wal_level(at: &Case<'_>) -> Option<Finding> {
    let server = &at.sample.server;
    let level = server.settings.get("wal_level").map(|level| level.value.as_str())?;
    let pending =
        at.sample.context.known().is_some_and(|context| context.pending_restart.iter().any(|name| name == "wal_level"));
    let logical = at.sample.slots.iter().filter(|slot| slot.kind == SlotKind::Logical).count();
    let evidence = match (level, pending) {
        ("logical", true) => {
            format!("wal_level is logical now and was changed for the next restart; {logical} logical slots need it.")
        }
        ("logical", false) => return None,
        (level, true) => format!("wal_level is {}, and a change of it waits for a restart.", printable(level)),
        (level, false) => format!("wal_level is {}: no logical slot can be made or read.", printable(level)),
    };
    let severity = if logical > 0 { Severity::Critical } else { Severity::Info };
    let action =
        Action::run("Set it", "ALTER SYSTEM SET wal_level = logical;", "a superuser, or the provider's console");
    let actions = vec![action.at_risk("takes effect at the next restart of the server")];
    Some(Finding::new(
        "R21c",
        severity,
        "wal_level",
        "logical replication is not possible, or will not be",
        evidence,
        actions,
    ))
}

/// V1: what the role can't see.
pub(super) fn blind(at: &Case<'_>) -> Vec<Finding> {
    let unseen = at.sample.server.unseen();
    let Some(first) = unseen.first() else { return Vec::new() };
    let what: Vec<&str> = unseen.iter().map(|unseen| unseen.what.as_str()).collect();
    vec![Finding::new(
        "V1",
        Severity::Info,
        "visibility",
        "part of the picture is hidden from this role".to_owned(),
        format!("Not visible: {}; shown as \"?\". {}", what.join("; "), cannot_tell(at)),
        vec![Action::run("Open it", first.grant.clone(), "a superuser, or the provider's administrator role")],
    )]
}

/// V2: the source's clock and this machine's are apart. Lags and ages are not wrong for that, they are differences on one
/// clock; the times of day are, beside those of other machines.
pub(super) fn clocks(at: &Case<'_>) -> Vec<Finding> {
    // A recording of an early version does not say when it was heard.
    if at.sample.heard == Moment::default() {
        return Vec::new();
    }
    let (source, here) = (at.sample.at, at.sample.heard);
    let (apart, way) = if source > here { (source.since(here), "ahead of") } else { (here.since(source), "behind") };
    // The answer was under way for a part of that.
    let apart = apart.saturating_sub(Duration::from_micros(at.sample.pulse_micros));
    if apart < thresholds::CLOCKS_APART {
        return Vec::new();
    }
    let evidence = format!(
        "The source's clock is {} {way} this machine's. Lags and ages here are right, they come from the source's clock alone; so do the times of day, which differ from those in logs of other machines by that much.",
        units::span(apart)
    );
    let actions =
        vec![Action::advice("Synchronise both machines (chronyc tracking, timedatectl status): one of them is wrong")];
    let title = "the clocks are apart".to_owned();
    vec![Finding::new("V2", Severity::Info, "clock", title, evidence, actions)]
}

/// The rules that see nothing without a privilege: their silence is no good news.
fn cannot_tell(at: &Case<'_>) -> String {
    let rights = at.sample.server.rights;
    let mut rules = Vec::new();
    if !rights.sees_sessions() {
        rules.push("why a slot is behind (R5, R6, R13, R14) and whether its consumer is silent (R7)");
    }
    if !rights.lists_wal() {
        rules.push("spilled transactions (R12), the archiver's queue (R17) and when the volume is full");
    }
    format!("Can't be told: {}.", rules.join("; "))
}
