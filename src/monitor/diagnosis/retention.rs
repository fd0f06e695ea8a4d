//! Rules about the log that a slot holds back, and about its end.

use super::actions::{drop_slot, raise_limit};
use super::case::SlotCase;
use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::history::SlotHistory;
use crate::monitor::slot::WalStatus;
use crate::monitor::state::SlotState;
use crate::monitor::{thresholds, units};

/// R3: the log is gone.
pub(super) fn lost(at: &SlotCase<'_>) -> Option<Finding> {
    if !at.slot.is_lost() {
        return None;
    }
    let reason = match at.slot.invalidation_reason.as_deref() {
        Some(reason) => format!("invalidation_reason is {}", printable(reason)),
        None => "wal_status is lost: its log was removed".to_owned(),
    };
    let gap = match at.slot.confirmed_flush_lsn {
        Some(confirmed) => format!("everything after {confirmed} is missing at its consumer"),
        None => "its consumer misses what came since".to_owned(),
    };
    Some(at.finding(
        "R3",
        Severity::Critical,
        "the slot is lost and can't come back",
        format!("Its {reason}; {gap}."),
        vec![drop_slot("Drop it; then create it anew and copy the tables again", &at.slot.name)],
    ))
}

/// R2: the next checkpoint removes the log.
pub(super) fn unreserved(at: &SlotCase<'_>) -> Option<Finding> {
    if at.slot.wal_status != Some(WalStatus::Unreserved) {
        return None;
    }
    let held = at.numbers.retained_bytes.map_or_else(|| "?".to_owned(), units::bytes);
    let evidence = format!(
        "Its wal_status is unreserved: it holds {held}, {} more than max_slot_wal_keep_size ({}) allows; do not run CHECKPOINT.",
        units::bytes(at.slot.safe_wal_size.map_or(0, |safe| safe.min(0).unsigned_abs())),
        limit_text(at),
    );
    let mut actions: Vec<Action> = raise_limit(&at.case.sample.server).into_iter().collect();
    actions.push(Action::advice("Then bring its consumer back, or make it faster"));
    Some(at.finding("R2", Severity::Critical, "the next checkpoint will destroy the slot", evidence, actions))
}

/// R1: nobody reads it, and it holds log.
pub(super) fn detached(at: &SlotCase<'_>) -> Option<Finding> {
    if at.slot.active || !matches!(at.numbers.state, SlotState::Detached | SlotState::Doomed) {
        return None;
    }
    // An unreserved slot has its own, more urgent words.
    if at.slot.wal_status == Some(WalStatus::Unreserved) || at.slot.temporary || at.slot.synced == Some(true) {
        return None;
    }
    let held = at.numbers.retained_bytes?;
    let alone = at.numbers.inactive?;
    let severity = if at.numbers.dies_in.is_some_and(|left| left < thresholds::DIES_CRITICAL)
        || alone.span() >= thresholds::DETACHED_CRITICAL
    {
        Severity::Critical
    } else if alone.span() >= thresholds::DETACHED_WARN {
        Severity::Warning
    } else {
        Severity::Info
    };
    let past = at.case.history.slot(&at.slot.name);
    let last = past.and_then(|past| past.last_reader()).map_or_else(String::new, |reader| {
        let who = reader.application_name.as_deref().map_or_else(String::new, |name| format!(" ({})", printable(name)));
        format!("; last read by process {}{who}", reader.pid)
    });
    let evidence = format!(
        "No reader for {}{}; it holds {}{}{last}.",
        alone.show(false),
        at.numbers.dies_in.map_or_else(String::new, |left| format!("; lost in about {}", units::about(left))),
        units::bytes(held),
        at.case.reading.wal_rate.map_or_else(String::new, |rate| format!(", growing by {}", units::rate(rate))),
    );
    let mut actions = vec![Action::advice("Start its consumer again")];
    actions.extend(raise_limit(&at.case.sample.server));
    actions.push(drop_slot("Give its data up, if the consumer never comes back", &at.slot.name));
    let mut finding = at.finding("R1", severity, "nobody reads the slot", evidence, actions);
    finding.since = past.and_then(SlotHistory::inactive_since);
    Some(finding)
}

/// R4: a slot that is read, but will be lost before it has caught up.
pub(super) fn dies_soon(at: &SlotCase<'_>) -> Option<Finding> {
    let left = at.numbers.dies_in?;
    if !at.slot.active || left >= thresholds::DIES_WARN || at.slot.wal_status == Some(WalStatus::Unreserved) {
        return None;
    }
    if at.numbers.catches_up_in.is_some_and(|time| time < left) {
        return None;
    }
    let severity = if left < thresholds::DIES_CRITICAL { Severity::Critical } else { Severity::Warning };
    let evidence = format!(
        "{} of max_slot_wal_keep_size ({}) are left, used up in about {}.",
        units::bytes(at.slot.safe_wal_size.and_then(|safe| u64::try_from(safe).ok()).unwrap_or(0)),
        limit_text(at),
        units::about(left),
    );
    let mut actions = vec![Action::advice("Make its consumer faster, or write less for a while")];
    actions.extend(raise_limit(&at.case.sample.server));
    Some(at.finding("R4", severity, "the slot will be lost", evidence, actions))
}

/// R4b: without a limit only the disk ends it.
pub(super) fn holds_much(at: &SlotCase<'_>) -> Option<Finding> {
    let held = at.numbers.retained_bytes.filter(|held| *held >= thresholds::HELD_WARN)?;
    if at.case.sample.server.slot_wal_limit().is_some() {
        return None;
    }
    let severity = if held >= thresholds::HELD_CRITICAL { Severity::Critical } else { Severity::Warning };
    let evidence = format!(
        "It holds {} and max_slot_wal_keep_size is not set: only the end of the disk stops it, and then the server too.",
        units::bytes(held)
    );
    let limit = format!("ALTER SYSTEM SET max_slot_wal_keep_size = '{}GB'; SELECT pg_reload_conf();", (held >> 30) * 2);
    Some(at.finding(
        "R4b",
        severity,
        "the slot holds much log, without a limit",
        evidence,
        vec![
        Action::advice("Bring its consumer back, or make it faster"),
        Action::run("Protect the server with a limit", limit, "a superuser, or the provider's console")
            .at_risk("beyond the limit the slot is lost"),
        drop_slot("Give its data up", &at.slot.name),
    ],
    ))
}

fn limit_text(at: &SlotCase<'_>) -> String {
    at.case.sample.server.slot_wal_limit().map_or_else(|| "?".to_owned(), units::bytes)
}
