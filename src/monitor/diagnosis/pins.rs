//! Rules about open transactions: they keep slots from being made, from letting log go, and vacuum from its work.

use std::time::Duration;

use super::case::{Case, SlotCase, millis, number, percent, worse};
use super::finding::{Action, Finding, Severity};
use crate::catalog::ident::quote_literal;
use crate::connection::printable;
use crate::monitor::context::{Holder, HolderKind};
use crate::monitor::lsn_clock::Age;
use crate::monitor::slot::SlotKind;
use crate::monitor::slot_history::SlotHistory;
use crate::monitor::{thresholds, units};
use crate::profile::alerts;

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
    let since = at.case.history.slot(&at.slot.name).and_then(SlotHistory::creating_since);
    let waits = since.map(|since| at.case.sample.at.since(since)).unwrap_or_default();
    let evidence = format!(
        "A logical slot can start only when every transaction open at its creation has ended; it has waited {} {who}{maker}.",
        units::span(waits)
    );
    let mut actions: Vec<Action> = pids.iter().filter(|pid| **pid != 0).map(|pid| terminate(*pid)).collect();
    if pids.is_empty() || pids.contains(&0) {
        actions.push(Action::run(
            "Look for a prepared transaction",
            "SELECT gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY prepared;",
            "any role",
        ));
    }
    if at.case.sample.server.in_recovery && at.case.sample.server.version >= 160_000 {
        actions.push(Action::run(
            "On the primary: log what runs, which a standby waits for",
            "SELECT pg_log_standby_snapshot();",
            "a superuser, on the primary",
        ));
    }
    let severity = at.level("R15", &alerts::SLOT_CREATION, millis(waits)).unwrap_or(Severity::Info);
    let finding = at.finding("R15", severity, "its creation waits for open transactions", evidence, actions);
    Some(finding.since(since))
}

/// R9: an open transaction that has written keeps slots from letting log go.
pub(super) fn open_transactions(at: &Case<'_>) -> Vec<Finding> {
    let Some(context) = at.sample.context.known() else { return Vec::new() };
    let sessions = context.holders.iter().filter(|holder| holder.kind == HolderKind::Session);
    sessions.filter_map(|holder| open_transaction(at, holder)).collect()
}

fn open_transaction(at: &Case<'_>, holder: &Holder) -> Option<Finding> {
    let (pid, _) = (holder.pid?, holder.writing_age?);
    let age = open_for(at, holder)?;
    let pinned = pinned(at, age);
    let object = format!("process {pid}");
    if pinned.is_empty() || age.span() < thresholds::OPEN_WORTH_KNOWING {
        return None;
    }
    let severity = at.level("R9", &object, &alerts::OPEN_TRANSACTION, millis(age.span())).unwrap_or(Severity::Info);
    let held = pinned.iter().map(|(_, held)| *held).max().unwrap_or(0);
    let names: Vec<String> = pinned.iter().map(|(name, _)| printable(name).into_owned()).collect();
    let spilled: u64 = at.reading.slots.iter().filter_map(|slot| Some(slot.spill.as_ref()?.bytes)).sum();
    let evidence = format!(
        "Its transaction{}{} is open for {}; the restart_lsn of {} can't pass it, {} of log are held{}.",
        who(holder),
        holder.state.as_deref().map_or_else(String::new, |state| format!(", {},", printable(state))),
        age.show(false),
        list(&names),
        units::bytes(held),
        if spilled > 0 { format!(", {} are spilled to disk", units::bytes(spilled)) } else { String::new() },
    );
    let actions = vec![
        Action::run(
            "Stop its statement, if one runs",
            format!("SELECT pg_cancel_backend({pid});"),
            "the same role, or pg_signal_backend",
        )
        .at_risk("its transaction is rolled back by most applications"),
        terminate(pid),
        Action::set("End transactions that nobody goes on with", "idle_in_transaction_session_timeout = '10min'")
            .at_risk("ends every session that idles in a transaction for so long"),
    ];
    let finding = Finding::new("R9", severity, object, "an open transaction pins slots", evidence, actions);
    Some(finding.since(holder.began))
}

/// R9b: a prepared transaction that nobody ends.
pub(super) fn prepared(at: &Case<'_>) -> Vec<Finding> {
    let Some(context) = at.sample.context.known() else { return Vec::new() };
    let prepared = context.holders.iter().filter(|holder| holder.kind == HolderKind::Prepared);
    prepared
        .filter_map(|holder| {
            let gid = holder.name.as_deref()?;
            let object = printable(gid).into_owned();
            let age = open_for(at, holder)?;
            let severity = at.level("R9b", &object, &alerts::PREPARED_TRANSACTION, millis(age.span()))?;
            let names: Vec<String> = pinned(at, age).iter().map(|(name, _)| printable(name).into_owned()).collect();
            let pins = if names.is_empty() { String::new() } else { format!(" It pins {}.", list(&names)) };
            let evidence = format!(
                "It is prepared{} for {} and holds its locks, vacuum and the log until it is ended; that survives restarts.{pins}",
                who(holder),
                age.show(false),
            );
            let end = |label: &str, verb: &str, risk| {
                let sql = format!("{verb} PREPARED {};", quote_literal(gid));
                Action::run(label, sql, "its owner or a superuser, in its database").at_risk(risk)
            };
            let actions = vec![
                Action::advice("Ask the transaction manager that prepared it how it ended"),
                end("If it failed", "ROLLBACK", "its changes are lost"),
                end("If it succeeded elsewhere", "COMMIT", "its changes stand"),
            ];
            let title = "a prepared transaction is left open";
            Some(Finding::new("R9b", severity, object, title, evidence, actions).since(holder.began))
        })
        .collect()
}

/// R16: what the slot holds back from vacuum is old.
pub(super) fn horizon(at: &SlotCase<'_>) -> Option<Finding> {
    let xids = at.numbers.horizon?;
    let time = at.numbers.horizon_age.map(Age::span).unwrap_or_default();
    let freeze = at.case.sample.server.number("autovacuum_freeze_max_age").unwrap_or(200_000_000);
    let held = xids.unsigned_abs();
    let long = Some(time).filter(|_| xids >= thresholds::HORIZON_TIME_XIDS);
    let severity = worse(
        at.level("R16", &alerts::HORIZON, number(held)),
        at.level("R16", &alerts::HORIZON_OF_FREEZE, percent(held, freeze.unsigned_abs())),
    );
    let severity = worse(severity, long.and_then(|time| at.level("R16", &alerts::HORIZON_TIME, millis(time))))?;
    let what = match (at.slot.xmin_age, at.slot.kind) {
        (Some(_), _) => "rows of all tables can't be vacuumed (xmin, by hot_standby_feedback of its standby)",
        (None, SlotKind::Logical) => "rows of the system catalogs can't be vacuumed; tables of users are not held back",
        (None, SlotKind::Physical) => "rows can't be vacuumed",
    };
    let evidence = format!(
        "It holds back {} transactions{}: {what}; autovacuum_freeze_max_age is {}.",
        units::count(xids.unsigned_abs()),
        at.numbers.horizon_age.map_or_else(String::new, |age| format!(", {}", age.show(false))),
        units::count(freeze.unsigned_abs()),
    );
    let actions = vec![
        Action::advice("Bring its consumer back or make it faster; or end the transaction that pins it (R9)"),
        super::actions::drop_slot("Give its data up", &at.slot.name),
    ];
    Some(at.finding("R16", severity, "it holds vacuum back", evidence, actions).lasting(300))
}

/// For how long a transaction is open: by its own time, or by when its transaction id was the next one, which needs no
/// privilege.
fn open_for(at: &Case<'_>, holder: &Holder) -> Option<Age> {
    if let Some(began) = holder.began {
        return Some(Age::exact(at.sample.at.since(began)));
    }
    let xid = at.sample.next_xid.saturating_add_signed(-holder.writing_age?);
    at.history.clock().xid_age(xid)
}

/// The logical slots that hold log as old as a transaction of this age, and how much; little is no matter.
fn pinned(at: &Case<'_>, age: Age) -> Vec<(String, u64)> {
    // A slot's restart_lsn moves at running-xacts records, every 15 seconds.
    let slack = Duration::from_secs(20);
    let slots = at.sample.slots.iter().filter(|slot| slot.kind == SlotKind::Logical && !slot.is_lost());
    slots
        .filter_map(|slot| {
            let restart = at.history.clock().age(slot.restart_lsn?)?;
            let held = at.sample.lsn?.bytes_since(slot.restart_lsn?);
            let old = restart.span() + slack >= age.span();
            (old && held >= thresholds::LARGE_LAG_BYTES).then(|| (slot.name.clone(), held))
        })
        .collect()
}

fn who(holder: &Holder) -> String {
    let name = holder.application.as_deref().filter(|name| !name.is_empty()).or(holder.user.as_deref());
    name.map_or_else(String::new, |name| format!(" ({})", printable(name)))
}

fn list(names: &[String]) -> String {
    match names {
        [name] => format!("slot {name}"),
        [first, .., last] if names.len() > 3 => format!("slots {first} … {last} ({} of them)", names.len()),
        _ => format!("slots {}", names.join(", ")),
    }
}

fn terminate(pid: i32) -> Action {
    Action::run(
        format!("End the session of process {pid}"),
        format!("SELECT pg_terminate_backend({pid});"),
        "the same role, or pg_signal_backend",
    )
    .at_risk("its transaction is rolled back")
}
