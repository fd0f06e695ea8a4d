//! Rules about the log that a slot holds back, and about its end.

use std::time::Duration;

use super::actions::{drop_slot, raise_limit};
use super::case::{SlotCase, millis, number, percent, worse};
use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::history::{SlotHistory, SlotPoint};
use crate::monitor::slot::WalStatus;
use crate::monitor::state::SlotState;
use crate::monitor::{thresholds, units};
use crate::profile::alerts;

/// R3: the log is gone.
pub(super) fn lost(at: &SlotCase<'_>) -> Option<Finding> {
    if !at.slot.is_lost() {
        return None;
    }
    // Before 17 the server does not say why; and 16 calls every lost logical slot conflicting.
    let reason = match at.slot.invalidation_reason.as_deref() {
        Some("wal_removed") => "invalidation_reason is wal_removed: it fell behind max_slot_wal_keep_size".to_owned(),
        Some("rows_removed") => {
            "invalidation_reason is rows_removed: the primary removed rows that it needed".to_owned()
        }
        Some("wal_level_insufficient") => {
            "invalidation_reason is wal_level_insufficient: wal_level was lowered".to_owned()
        }
        Some("idle_timeout") => {
            "invalidation_reason is idle_timeout: nobody read it for idle_replication_slot_timeout".to_owned()
        }
        Some(reason) => format!("invalidation_reason is {}", printable(reason)),
        None if at.case.sample.server.in_recovery => {
            "wal_status is lost: its log was removed, or recovery was in conflict with it".to_owned()
        }
        None => "wal_status is lost: its log was removed".to_owned(),
    };
    let until = at.case.sample.lsn.map_or_else(String::new, |end| format!(" up to {end} and on"));
    let gap = match at.slot.confirmed_flush_lsn {
        Some(confirmed) => format!("everything after {confirmed}{until} is missing at its consumer"),
        None => "its consumer misses what came since".to_owned(),
    };
    let mut actions = vec![drop_slot("Drop it; then create it anew and copy the tables again", &at.slot.name)];
    if at.slot.invalidation_reason.as_deref() == Some("idle_timeout") {
        actions.push(
            Action::set(
                "Let slots idle for longer than the longest stop of a consumer",
                "idle_replication_slot_timeout = 0",
            )
            .at_risk("a slot that nobody reads then holds log until max_slot_wal_keep_size ends it"),
        );
    }
    let title = "the slot is lost and can't come back";
    Some(at.finding("R3", Severity::Critical, title, format!("Its {reason}; {gap}."), actions))
}

/// R2: the next checkpoint removes the log.
pub(super) fn unreserved(at: &SlotCase<'_>) -> Option<Finding> {
    if at.slot.wal_status != Some(WalStatus::Unreserved) {
        return None;
    }
    let held = at.numbers.retained_bytes.map_or_else(|| "?".to_owned(), units::bytes);
    let evidence = format!(
        "Its wal_status is unreserved: it holds {held}, {} more than max_slot_wal_keep_size ({}) allows; do not run CHECKPOINT.",
        units::bytes(at.slot.safe_bytes().map_or(0, |safe| safe.min(0).unsigned_abs())),
        limit_text(at),
    );
    let mut actions: Vec<Action> = raise_limit(&at.case.sample.server).into_iter().collect();
    actions.push(Action::advice("Then bring its consumer back, or make it faster"));
    let finding = at.finding("R2", Severity::Critical, "the next checkpoint will destroy the slot", evidence, actions);
    // Nobody knows how soon somebody runs a checkpoint.
    Some(finding.left(Some(Duration::ZERO)))
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
    let dying = at.numbers.dies_in.and_then(|left| at.level("R1", &alerts::TIME_TO_LOSS, millis(left)));
    let dying = dying.filter(|severity| *severity == Severity::Critical);
    let severity = worse(dying, at.level("R1", &alerts::INACTIVE, millis(alone.span()))).unwrap_or(Severity::Info);
    let past = at.case.history.slot(&at.slot.name);
    let last = past.and_then(|past| past.last_reader()).map_or_else(String::new, |reader| {
        let who = reader.application_name.as_deref().map_or_else(String::new, |name| format!(" ({})", printable(name)));
        let from = reader.client_addr.as_deref().map_or_else(String::new, |from| format!(" from {}", printable(from)));
        format!("; last read by process {}{who}{from}{}", reader.pid, departure(past))
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
    let finding = at.finding("R1", severity, "nobody reads the slot", evidence, actions);
    Some(finding.since(past.and_then(SlotHistory::inactive_since)).left(at.numbers.dies_in))
}

/// How the last reader went, as far as it was seen.
fn departure(past: Option<&SlotHistory>) -> String {
    let Some(departure) = past.and_then(SlotHistory::departure) else { return String::new() };
    match departure.silent {
        Some(silent) if departure.timed_out => {
            format!(", which the server ended after {} of silence (wal_sender_timeout)", units::span(silent))
        }
        Some(_) => ", which hung up".to_owned(),
        None => String::new(),
    }
}

/// R4: a slot that is read, but will be lost before it has caught up.
pub(super) fn dies_soon(at: &SlotCase<'_>) -> Option<Finding> {
    let left = at.numbers.dies_in?;
    if !at.slot.active || at.slot.wal_status == Some(WalStatus::Unreserved) {
        return None;
    }
    if at.numbers.catches_up_in.is_some_and(|time| time < left) {
        return None;
    }
    let severity = at.level("R4", &alerts::TIME_TO_LOSS, millis(left))?;
    let evidence = format!(
        "{} of max_slot_wal_keep_size ({}) are left, used up in about {}.",
        units::bytes(at.slot.safe_bytes().and_then(|safe| u64::try_from(safe).ok()).unwrap_or(0)),
        limit_text(at),
        units::about(left),
    );
    let mut actions = vec![Action::advice("Make its consumer faster, or write less for a while")];
    actions.extend(raise_limit(&at.case.sample.server));
    Some(at.finding("R4", severity, "the slot will be lost", evidence, actions).lasting(5).left(Some(left)))
}

/// R4d: much of what the slot may hold is used up, however slowly.
pub(super) fn budget(at: &SlotCase<'_>) -> Option<Finding> {
    let limit = at.case.sample.server.slot_wal_limit()?;
    let safe = at.slot.safe_bytes().and_then(|safe| u64::try_from(safe).ok())?;
    if at.slot.wal_status == Some(WalStatus::Unreserved) {
        return None;
    }
    let severity = at.level("R4d", &alerts::BUDGET_LEFT, percent(safe, limit))?;
    let evidence = format!(
        "{} of max_slot_wal_keep_size ({}) are left, {:.0} %; it holds {}.",
        units::bytes(safe),
        units::bytes(limit),
        percent(safe, limit),
        at.numbers.retained_bytes.map_or_else(|| "?".to_owned(), units::bytes),
    );
    let mut actions = vec![Action::advice("Bring its consumer back, or make it faster")];
    actions.extend(raise_limit(&at.case.sample.server));
    Some(at.finding("R4d", severity, "the slot has used up much of what it may hold", evidence, actions))
}

/// R4c: more than `max_wal_size` is held; a slot with a limit goes on from here to unreserved and lost.
pub(super) fn extended(at: &SlotCase<'_>) -> Option<Finding> {
    if at.slot.wal_status != Some(WalStatus::Extended) || !at.slot.active {
        return None;
    }
    let evidence = format!(
        "Its wal_status is extended: it holds {}, more than max_wal_size ({}); what is left of max_slot_wal_keep_size: {}.",
        at.numbers.retained_bytes.map_or_else(|| "?".to_owned(), units::bytes),
        at.case.sample.server.bytes("max_wal_size").map_or_else(|| "?".to_owned(), units::bytes),
        match at.slot.safe_bytes().and_then(|safe| u64::try_from(safe).ok()) {
            Some(safe) => units::bytes(safe),
            None => "there is no limit".to_owned(),
        },
    );
    let advice = Action::advice("Make its consumer faster; keep max_slot_wal_keep_size at twice max_wal_size or more");
    let severity = if rises(at) { Severity::Warning } else { Severity::Info };
    Some(at.finding("R4c", severity, "the slot holds more than max_wal_size", evidence, vec![advice]).lasting(60))
}

/// Whether what it holds has grown for ten minutes.
fn rises(at: &SlotCase<'_>) -> bool {
    let span = at.case.history.slot(&at.slot.name).and_then(|past| past.span(thresholds::RISING_FOR));
    span.is_some_and(|(first, last)| {
        let held = |point: &SlotPoint| point.restart.map(|restart| point.end.bytes_since(restart));
        last.at.since(first.at) >= thresholds::RISING_FOR.mul_f64(0.9) && held(last) > held(first)
    })
}

/// R3b: nobody reads it, and the server will end it for that (18 and newer).
pub(super) fn idles_out(at: &SlotCase<'_>) -> Option<Finding> {
    let left = at.numbers.idle_out_in?;
    let severity = at.level("R3b", &alerts::IDLE_TIMEOUT_LEFT, millis(left))?;
    let evidence = format!(
        "Nobody has read it for {}; idle_replication_slot_timeout ends it in {}, at the first checkpoint after that.",
        at.numbers.inactive.map_or_else(|| "?".to_owned(), |idle| idle.show(false)),
        units::about(left),
    );
    let actions = vec![
        Action::advice("Start its consumer again"),
        Action::set("Let slots idle for longer", "idle_replication_slot_timeout = 0")
            .at_risk("a slot that nobody reads then holds log until max_slot_wal_keep_size ends it"),
    ];
    Some(at.finding("R3b", severity, "the slot will be lost for being idle", evidence, actions).left(Some(left)))
}

/// R4b: without a limit only the disk ends it.
pub(super) fn holds_much(at: &SlotCase<'_>) -> Option<Finding> {
    let held = at.numbers.retained_bytes?;
    if at.case.sample.server.slot_wal_limit().is_some() {
        return None;
    }
    let severity = match at.case.sample.wanted.wal_volume {
        Some(volume) => at.level("R4b", &alerts::RETAINED_OF_VOLUME, percent(held, volume)),
        None => at.level("R4b", &alerts::RETAINED, number(held)),
    }?;
    let evidence = format!(
        "It holds {} and max_slot_wal_keep_size is not set: only the end of the disk stops it, and then the server too.",
        units::bytes(held)
    );
    let limit = format!("max_slot_wal_keep_size = '{}MB'", (held >> 20).max(512).saturating_mul(2));
    Some(
        at.finding(
            "R4b",
            severity,
            "the slot holds much log, without a limit",
            evidence,
            vec![
                Action::advice("Bring its consumer back, or make it faster"),
                Action::set("Protect the server with a limit", limit).at_risk("beyond the limit the slot is lost"),
                drop_slot("Give its data up", &at.slot.name),
            ],
        )
        .lasting(60),
    )
}

fn limit_text(at: &SlotCase<'_>) -> String {
    at.case.sample.server.slot_wal_limit().map_or_else(|| "?".to_owned(), units::bytes)
}
