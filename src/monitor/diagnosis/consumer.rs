//! Rules about who reads a slot.

use super::case::SlotCase;
use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::state::SlotState;
use crate::monitor::{thresholds, units};

/// R5: the consumer takes data more slowly than it is written.
pub(super) fn slow(at: &SlotCase<'_>) -> Option<Finding> {
    let past = at.case.history.slot(&at.slot.name)?;
    let seen: Vec<bool> = past
        .points()
        .iter()
        .rev()
        .take(thresholds::SLOW_CLIENT_SAMPLES)
        .filter_map(|point| point.client_is_slow)
        .collect();
    if !at.slot.active || seen.len() < thresholds::SLOW_CLIENT_SAMPLES / 2 {
        return None;
    }
    let slow = seen.iter().filter(|slow| **slow).count();
    #[expect(clippy::cast_precision_loss, reason = "a share of thirty")]
    let share = slow as f64 / seen.len() as f64;
    if share < thresholds::SLOW_CLIENT_SHARE || at.numbers.lag_bytes? < thresholds::LARGE_LAG_BYTES {
        return None;
    }
    let ends = match at.numbers.catches_up_in {
        Some(time) => format!("caught up in about {}", units::about(time)),
        None => "it never catches up at this rate".to_owned(),
    };
    let evidence = format!(
        "Its walsender waited for the consumer (WalSenderWriteData) in {slow} of {} samples; confirmed {} of {} written; {ends}.",
        seen.len(),
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
    let age = at.numbers.lag.filter(|age| age.span() >= thresholds::LATE_WARN)?;
    // Where R5 knows the reason it says more.
    if at.numbers.state != SlotState::Behind || slow(at).is_some() {
        return None;
    }
    let evidence = format!(
        "It is {} behind, {} growing by {}; confirmed {} of {} written.",
        age.show(false),
        at.numbers.lag_bytes.map_or_else(|| "?".to_owned(), units::bytes),
        at.numbers.trend.map_or_else(|| "?".to_owned(), units::rate),
        at.numbers.confirmed_rate.map_or_else(|| "?".to_owned(), units::rate),
        at.case.reading.wal_rate.map_or_else(|| "?".to_owned(), units::rate),
    );
    Some(at.finding(
        "R5b",
        Severity::Warning,
        "its consumer falls behind",
        evidence,
        vec![
            Action::advice(
                "Look at the destination: slow statements, missing indexes, locks, disk; then at the network",
            ),
            Action::advice("Make its batches larger, or write less for a while"),
        ],
    ))
}

/// R6: everything is sent, nothing is confirmed.
pub(super) fn confirms_nothing(at: &SlotCase<'_>) -> Option<Finding> {
    let stalled = at.numbers.stalled_for?;
    let evidence = format!(
        "Everything was sent, and nothing has been confirmed for {}; {} wait for it.",
        units::span(stalled),
        at.numbers.lag_bytes.map_or_else(|| "?".to_owned(), units::bytes),
    );
    let mut finding = at.finding("R6", Severity::Warning, "its consumer confirms nothing", evidence, vec![
        Action::advice("Only other databases or tables are written: switch the consumer's heartbeat on (Debezium: heartbeat.interval.ms)"),
        Action::run(
            "See whether a message moves it",
            "SELECT pg_logical_emit_message(false, 'walpilot', '');",
            "any role, in the slot's database",
        ),
        Action::advice("Or one long transaction is open: see pg_stat_activity.xact_start and pg_prepared_xacts"),
    ]);
    finding.since = Some(at.case.sample.at.minus(stalled));
    Some(finding)
}

/// R7: the consumer does not answer; the walsender will be ended.
pub(super) fn silent(at: &SlotCase<'_>) -> Option<Finding> {
    let consumer = at.slot.consumer.as_ref()?;
    let timeout = u32::try_from(at.case.sample.server.number("wal_sender_timeout")?).ok().filter(|limit| *limit > 0)?;
    let silence = at.case.sample.at.since(consumer.reply_time?);
    let share = silence.as_secs_f64() * 1000.0 / f64::from(timeout);
    if share < thresholds::SILENT_WARN {
        return None;
    }
    let severity = if share >= thresholds::SILENT_CRITICAL { Severity::Critical } else { Severity::Warning };
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

/// R15: making the slot waits for transactions to end.
pub(super) fn creation_waits(at: &SlotCase<'_>) -> Option<Finding> {
    if !at.slot.is_being_created() {
        return None;
    }
    let blockers = at.case.sample.creation_blockers.iter().find(|(name, _)| name == &at.slot.name);
    let pids: Vec<i32> = blockers.map(|(_, pids)| pids.clone()).unwrap_or_default();
    let who = if pids.is_empty() {
        "for older transactions".to_owned()
    } else {
        format!("for process {}", pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    let maker = at.slot.consumer.as_ref().map_or_else(String::new, |maker| {
        let name = maker.application_name.as_deref().map_or_else(String::new, |name| format!(" ({})", printable(name)));
        format!("; process {}{name} is creating it", maker.pid)
    });
    let evidence = format!(
        "A logical slot can start only when every transaction open at its creation has ended; it waits {who}{maker}."
    );
    let mut actions: Vec<Action> = Vec::new();
    for pid in pids.iter().filter(|pid| **pid != 0) {
        actions.push(
            Action::run(
                format!("End the session of process {pid}"),
                format!("SELECT pg_terminate_backend({pid});"),
                "the same role, or pg_signal_backend",
            )
            .at_risk("its transaction is rolled back"),
        );
    }
    if pids.is_empty() || pids.contains(&0) {
        actions.push(Action::run(
            "Look for a prepared transaction",
            "SELECT gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY prepared;",
            "any role",
        ));
    }
    Some(at.finding("R15", Severity::Warning, "its creation waits for open transactions", evidence, actions))
}
