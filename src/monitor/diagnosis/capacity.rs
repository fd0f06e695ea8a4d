//! Rules about the server's limits, and about what this role can't see.

use super::case::Case;
use super::finding::{Action, Finding, Severity};
use crate::monitor::thresholds;

/// R21: slots or walsenders run out; R21b: nothing limits what slots hold; R21c: `wal_level`.
pub(super) fn limits(at: &Case<'_>) -> Vec<Finding> {
    let server = &at.sample.server;
    let mut findings = Vec::new();
    let slots = u32::try_from(at.sample.slots.len()).unwrap_or(u32::MAX);
    let pools = [("max_replication_slots", slots, "slots"), ("max_wal_senders", at.sample.walsenders, "walsenders")];
    for (setting, used, what) in pools {
        let Some(limit) = server.number(setting).and_then(|limit| u32::try_from(limit).ok()) else { continue };
        if f64::from(used) < f64::from(limit) * thresholds::CAPACITY_WARN {
            continue;
        }
        let full = used >= limit;
        findings.push(server_finding(
            "R21",
            if full { Severity::Critical } else { Severity::Warning },
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
        findings.push(server_finding(
            "R21b",
            Severity::Info,
            "max_slot_wal_keep_size",
            "nothing limits the log that slots hold".to_owned(),
            "max_slot_wal_keep_size is -1: a slot without a consumer fills the disk, and the server stops.".to_owned(),
            vec![
                Action::run(
                    "Set a limit that the volume can bear",
                    "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf();",
                    "a superuser, or the provider's console",
                )
                .at_risk("beyond the limit a slot is lost"),
            ],
        ));
    }
    findings
}

/// V1: what the role can't see.
pub(super) fn blind(at: &Case<'_>) -> Vec<Finding> {
    let unseen = at.sample.server.unseen();
    let Some(first) = unseen.first() else { return Vec::new() };
    let what: Vec<&str> = unseen.iter().map(|unseen| unseen.what.as_str()).collect();
    vec![server_finding(
        "V1",
        Severity::Info,
        "visibility",
        "part of the picture is hidden from this role".to_owned(),
        format!("Not visible: {}; shown as \"?\".", what.join("; ")),
        vec![Action::run("Open it", first.grant.clone(), "a superuser, or the provider's administrator role")],
    )]
}

fn server_finding(
    rule: &'static str,
    severity: Severity,
    object: &str,
    title: String,
    evidence: String,
    actions: Vec<Action>,
) -> Finding {
    Finding { rule, severity, object: object.to_owned(), title, evidence, since: None, actions }
}
