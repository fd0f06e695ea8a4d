//! Rules about who reads a slot.

use super::case::{SlotCase, millis, number, worse};
use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::reading::Stall;
use crate::monitor::slot_history::Wait;
use crate::monitor::state::SlotState;
use crate::monitor::{thresholds, units};
use crate::profile::alerts;

/// R5: the consumer takes data more slowly than it is written.
pub(super) fn slow(at: &SlotCase<'_>) -> Option<Finding> {
    if at.numbers.stalled_by != Some(Stall::ConsumerSlow) {
        return None;
    }
    let past = at.case.history.slot(&at.slot.name)?;
    let (slow, seen) = past.waited(&[Wait::Client], thresholds::WAIT_SAMPLES);
    let ends = match at.numbers.catches_up_in {
        Some(time) => format!("caught up in about {}", units::about(time)),
        None => "it never catches up at this rate".to_owned(),
    };
    let evidence = format!(
        "Its walsender waited for the consumer (WalSenderWriteData) in {slow} of {} samples; confirmed {} of {} written; {ends}.",
        seen,
        at.numbers.confirmed_rate.map_or_else(|| "?".to_owned(), units::rate),
        at.case.reading.wal_rate.map_or_else(|| "?".to_owned(), units::rate),
    );
    Some(at.finding(
        "R5",
        Severity::Warning,
        "its consumer is too slow",
        evidence,
        vec![Action::advice(
            "At the consumer: larger batches, a faster destination, a nearer network; PostgreSQL itself waits",
        )],
    ))
}

/// R5b: the consumer is late, and gets later, whatever its walsender waits for.
pub(super) fn falls_behind(at: &SlotCase<'_>) -> Option<Finding> {
    let age = at.numbers.lag?;
    // Where another rule knows the reason it says more.
    if !at.slot.active || at.slot.is_lost() || at.numbers.stalled_by.is_some() {
        return None;
    }
    let severity = at.level("R5b", &alerts::LAG, millis(age.span()))?;
    let way = match (at.numbers.trend, at.numbers.catches_up_in) {
        (Some(trend), _) if trend > 0.0 => format!(", growing by {}", units::rate(trend)),
        (_, Some(time)) => format!(", caught up in about {}", units::about(time)),
        _ => String::new(),
    };
    let evidence = format!(
        "It is {} behind, {}{way}; confirmed {} of {} written.",
        age.show(false),
        at.numbers.lag_bytes.map_or_else(|| "?".to_owned(), units::bytes),
        at.numbers.confirmed_rate.map_or_else(|| "?".to_owned(), units::rate),
        at.case.reading.wal_rate.map_or_else(|| "?".to_owned(), units::rate),
    );
    let actions = vec![
        Action::advice("Look at the destination: slow statements, missing indexes, locks, disk; then at the network"),
        Action::advice("Make its batches larger, or write less for a while"),
    ];
    Some(at.finding("R5b", severity, "its consumer is late", evidence, actions).lasting(60))
}

/// R6: everything is sent, nothing is confirmed.
pub(super) fn confirms_nothing(at: &SlotCase<'_>) -> Option<Finding> {
    let stalled = at.numbers.stalled_for.filter(|_| at.numbers.stalled_by == Some(Stall::NotConfirmed))?;
    let evidence = format!(
        "Everything was sent, and nothing has been confirmed for {}; {} wait for it.",
        units::span(stalled),
        at.numbers.lag_bytes.map_or_else(|| "?".to_owned(), units::bytes),
    );
    let actions = vec![
        Action::advice(
            "Only other databases or tables are written: switch the consumer's heartbeat on (Debezium: heartbeat.interval.ms)",
        ),
        Action::run(
            "See whether a message moves it",
            "SELECT pg_logical_emit_message(false, 'walpilot', '');",
            "any role, in the slot's database",
        ),
        Action::advice("Or one long transaction is open: see pg_stat_activity.xact_start and pg_prepared_xacts"),
    ];
    let much = at.numbers.lag_bytes.and_then(|lag| at.level("R6", &alerts::STALLED_BYTES, number(lag)));
    let severity = worse(at.level("R6", &alerts::STALLED, millis(stalled)), much).unwrap_or(Severity::Warning);
    let finding = at.finding("R6", severity, "its consumer confirms nothing", evidence, actions);
    Some(finding.since(Some(at.case.sample.at.minus(stalled))))
}

/// R7: the consumer does not answer; the walsender will be ended.
pub(super) fn silent(at: &SlotCase<'_>) -> Option<Finding> {
    let consumer = at.slot.consumer.as_ref()?;
    let timeout = u32::try_from(at.case.sample.server.number("wal_sender_timeout")?).ok().filter(|limit| *limit > 0)?;
    let silence = at.case.sample.at.since(consumer.reply_time?);
    let severity = at.level("R7", &alerts::SILENCE, millis(silence) * 100.0 / f64::from(timeout))?;
    let evidence = format!(
        "Process {} has heard nothing from it for {}; at wal_sender_timeout ({}) it hangs up.",
        consumer.pid,
        units::span(silence),
        units::span(std::time::Duration::from_millis(u64::from(timeout))),
    );
    let role = consumer.user.as_deref().map_or_else(|| "the_role".to_owned(), crate::catalog::ident::quote_ident);
    Some(at.finding(
        "R7",
        severity,
        "its consumer is silent",
        evidence,
        vec![
            Action::advice("Look at the consumer: it hangs, or a batch downstream takes long"),
            Action::run(
                "If its batches are that long, give it more time",
                format!("ALTER ROLE {role} SET wal_sender_timeout = '5min';"),
                "a superuser, or a role that may alter it",
            ),
        ],
    ))
}

/// R8: its readers come and go.
pub(super) fn comes_and_goes(at: &SlotCase<'_>) -> Option<Finding> {
    if at.numbers.state != SlotState::Flapping {
        return None;
    }
    let past = at.case.history.slot(&at.slot.name)?;
    let got_on = past.readers_got_on() == Some(true);
    let readers = past.readers();
    let times = u64::try_from(readers.saturating_sub(1)).unwrap_or(u64::MAX);
    let many = at.level("R8", &alerts::RECONNECTS, number(times)).unwrap_or(Severity::Warning);
    let severity = if got_on { many } else { Severity::Critical };
    let on = if got_on { "they bring it forward" } else { "none of them has confirmed anything" };
    let last = past.last_reader().map_or_else(String::new, |reader| {
        let name =
            reader.application_name.as_deref().map_or_else(String::new, |name| format!(" ({})", printable(name)));
        format!("; the last one was process {}{name}", reader.pid)
    });
    let evidence =
        format!("{readers} processes have read it one after the other in the last five minutes, {on}{last}.");
    let pid = past.last_reader().map(|reader| format!(" for process {}", reader.pid)).unwrap_or_default();
    let mut actions = vec![Action::advice(format!(
        "Read the server's log{pid}: a publication that does not exist, a slot in use, wal_sender_timeout"
    ))];
    actions
        .push(Action::advice("Read the consumer's log: a change that it can't apply makes it start again and again"));
    Some(at.finding("R8", severity, "its consumer connects again and again", evidence, actions))
}
