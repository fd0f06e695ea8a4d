//! Rules about what the walsender itself does with the log.

use std::time::Duration;

use super::case::{SlotCase, number, percent, worse};
use super::finding::{Action, Finding, Severity};
use crate::catalog::ident::quote_ident;
use crate::monitor::reading::Stall;
use crate::monitor::slot_history::Wait;
use crate::monitor::{thresholds, units};
use crate::profile::alerts;

/// Over how long spilling is told.
const SPILL_WINDOW: Duration = Duration::from_secs(600);

/// R12: transactions do not fit into memory and go to disk.
pub(super) fn spills(at: &SlotCase<'_>) -> Option<Finding> {
    let (live, share) = (live(at), share(at));
    let severity = [&live, &share].into_iter().flatten().map(|(severity, _)| *severity).min()?;
    let lasts = if live.is_some() { 60 } else { 0 };
    let parts: Vec<String> = [live, share].into_iter().flatten().map(|(_, text)| text).collect();
    let memory = at.case.sample.server.bytes("logical_decoding_work_mem");
    let evidence = format!(
        "{}; logical_decoding_work_mem is {}.",
        parts.join("; "),
        memory.map_or_else(|| "?".to_owned(), units::bytes)
    );
    let user = at.slot.consumer.as_ref().and_then(|consumer| consumer.user.as_deref());
    let role = user.map_or_else(|| "the_role".to_owned(), quote_ident);
    let actions = vec![
        Action::run(
            "Give decoding more memory; the consumer has to connect again",
            format!("ALTER ROLE {role} SET logical_decoding_work_mem = '256MB';"),
            "a superuser, or a role that may alter it",
        )
        .at_risk("each walsender of the role may use that much"),
        Action::advice("Let the consumer take open transactions (streaming = on, 14 and newer), if it can"),
        Action::advice("Split large batch jobs into smaller transactions"),
    ];
    Some(at.finding("R12", severity, "large transactions are spilled to disk", evidence, actions).lasting(lasts))
}

/// What lies on disk now.
fn live(at: &SlotCase<'_>) -> Option<(Severity, String)> {
    let spill = at.numbers.spill.as_ref()?;
    let size = at.level("R12", &alerts::SPILLED, number(spill.bytes));
    let volume = at.case.sample.wanted.wal_volume;
    let share = volume.and_then(|volume| at.level("R12", &alerts::SPILLED_OF_VOLUME, percent(spill.bytes, volume)));
    let severity = worse(size, share)?;
    Some((severity, format!("{} in {} files are on disk now", units::bytes(spill.bytes), spill.files)))
}

/// The share that went to disk.
fn share(at: &SlotCase<'_>) -> Option<(Severity, String)> {
    let (first, last) = at.case.history.slot(&at.slot.name)?.span(SPILL_WINDOW)?;
    let (before, after) = (first.decoded?, last.decoded?);
    let spilled = after.0.checked_sub(before.0).filter(|bytes| *bytes >= thresholds::SPILL_AT_LEAST)?;
    // What is decoded counts when its transaction ends; until then the spilled part may be the larger one.
    let decoded = after.1.checked_sub(before.1)?.max(spilled);
    let severity = at.level("R12", &alerts::SPILLED_SHARE, percent(spilled, decoded))?;
    let time = units::about(last.at.since(first.at));
    Some((severity, format!("{} of {} decoded in {time} were spilled", units::bytes(spilled), units::bytes(decoded))))
}

/// R13: decoding is slower than writing.
pub(super) fn is_busy(at: &SlotCase<'_>) -> Option<Finding> {
    if at.numbers.stalled_by != Some(Stall::Decoder) {
        return None;
    }
    let (busy, seen) = at.case.history.slot(&at.slot.name)?.waited(&[Wait::Cpu, Wait::Disk], thresholds::WAIT_SAMPLES);
    let evidence = format!(
        "Its walsender computed or read in {busy} of {seen} samples, and {} are not sent; sent {} of {} written.",
        at.numbers.unsent_bytes.map_or_else(|| "?".to_owned(), units::bytes),
        at.numbers.sent_rate.map_or_else(|| "?".to_owned(), units::rate),
        at.case.reading.wal_rate.map_or_else(|| "?".to_owned(), units::rate),
    );
    let actions = vec![
        Action::advice("A slot is decoded by one core: publish fewer tables, or spread them over several slots"),
        Action::advice("Each slot decodes the whole log again: drop slots that nobody needs"),
        Action::advice("Many subtransactions and temporary tables make decoding slow"),
    ];
    Some(at.finding("R13", Severity::Warning, "the server decodes too slowly", evidence, actions).lasting(30))
}

/// R14: a standby has to have the log before the consumer may (17 and newer).
pub(super) fn waits_for_standby(at: &SlotCase<'_>) -> Option<Finding> {
    let past = at.case.history.slot(&at.slot.name)?;
    if past.points().back()?.wait != Some(Wait::Standby) {
        return None;
    }
    let server = &at.case.sample.server;
    let setting = server.settings.get("synchronized_standby_slots").map(|set| set.value.as_str()).unwrap_or_default();
    let named = setting.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty());
    let away: Vec<String> = named
        .filter(|name| !at.case.sample.slots.iter().any(|slot| slot.name == *name && slot.active))
        .map(|name| crate::connection::printable(name).into_owned())
        .collect();
    let why = if away.is_empty() {
        "the standbys of synchronized_standby_slots are behind".to_owned()
    } else {
        format!("no standby reads slot {}", away.join(", "))
    };
    let evidence = format!(
        "Its walsender waits in WaitForStandbyConfirmation: {why}; {} are not confirmed.",
        at.numbers.lag_bytes.map_or_else(|| "?".to_owned(), units::bytes)
    );
    let actions = vec![
        Action::advice("Start that standby"),
        Action::set("Do not wait for it", "synchronized_standby_slots = ''")
            .at_risk("after a failover consumers may have changes that the new primary does not have"),
    ];
    Some(at.finding("R14", Severity::Critical, "it waits for a standby", evidence, actions).lasting(10))
}
