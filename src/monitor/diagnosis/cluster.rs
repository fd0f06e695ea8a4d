//! Rules about what happened to the server and to slots as such: gone, gone back, forgotten.

use super::actions::drop_slot;
use super::case::{Case, SlotCase, millis};
use super::finding::{Action, Finding, Severity};
use crate::catalog::ident::quote_literal;
use crate::connection::printable;
use crate::monitor::history::{Gone, ServerChangeKind};
use crate::monitor::lsn_clock::Age;
use crate::monitor::slot::SlotKind;
use crate::monitor::{thresholds, units};
use crate::profile::alerts;

/// R18: a slot is not there: the one that was asked for, or one that was there.
pub(super) fn slot_is_missing(at: &Case<'_>) -> Vec<Finding> {
    let there = |name: &str| at.sample.slots.iter().any(|slot| slot.name == name);
    let wanted = at.sample.wanted.slot.as_deref().filter(|name| !there(name));
    let mut findings: Vec<Finding> = at
        .history
        .gone()
        .iter()
        .filter(|(name, _)| Some(name.as_str()) != wanted)
        .map(|(name, gone)| vanished(at, name, gone, Severity::Warning))
        .collect();
    if let Some(name) = wanted {
        findings.push(match at.history.gone().get(name) {
            Some(gone) => vanished(at, name, gone, Severity::Critical),
            None => Finding::new(
                "R18",
                Severity::Critical,
                printable(name),
                "the slot does not exist",
                format!("There is no slot {} on this server.", printable(name)),
                vec![Action::advice("Create it (walpilot setup), and copy the tables; or correct its name")],
            ),
        });
    }
    findings
}

fn vanished(at: &Case<'_>, name: &str, gone: &Gone, severity: Severity) -> Finding {
    let shown = printable(name).into_owned();
    let position = gone.slot.reached().map_or_else(String::new, |lsn| format!(" Its consumer had reached {lsn}."));
    let failover =
        at.history.server_changes().iter().any(|change| matches!(change.kind, ServerChangeKind::Timeline(..)));
    let why = if failover { "it did not come along in the failover" } else { "somebody dropped it" };
    let evidence = format!("It was there until {}; {why}.{position}", gone.at.clock());
    let mut actions =
        vec![Action::advice("Create it anew and copy the tables again: what came in between is not decoded")];
    if gone.slot.kind == SlotKind::Logical {
        let plugin = quote_literal(gone.slot.plugin.as_deref().unwrap_or("pgoutput"));
        let create = if at.sample.server.version >= 170_000 {
            format!("SELECT pg_create_logical_replication_slot({}, {plugin}, false, false, true);", quote_literal(name))
        } else {
            format!("SELECT pg_create_logical_replication_slot({}, {plugin});", quote_literal(name))
        };
        actions.push(
            Action::run("Create it (17 and newer: as a failover slot)", create, "a role with REPLICATION")
                .at_risk("it begins at the present: everything before has to be copied"),
        );
    }
    Finding::new("R18", severity, shown, "the slot has vanished", evidence, actions).since(Some(gone.at))
}

/// R18b: another timeline or another cluster answers; R22: its log went back.
pub(super) fn changed(at: &Case<'_>) -> Vec<Finding> {
    let one = |kind: ServerChangeKind| match kind {
        ServerChangeKind::Timeline(from, to) => (
            "R18b",
            Severity::Warning,
            "a failover happened",
            format!(
                "Timeline {from} became {to}; lags in seconds start anew. Of logical slots only synchronised failover slots (17 and newer) came along."
            ),
            Action::advice(
                "Check each slot and its consumer; a slot that is missing has to be made anew, with a new copy",
            ),
        ),
        ServerChangeKind::Cluster => (
            "R18b",
            Severity::Critical,
            "another cluster answers",
            format!(
                "Its system identifier is {} now; nothing known of the other one holds here.",
                printable(&at.sample.server.system_identifier)
            ),
            Action::advice("Check the address: a restored copy, or another server behind the same name"),
        ),
        ServerChangeKind::Rewind(from, to) => (
            "R22",
            Severity::Critical,
            "the server's log went back",
            format!("The log ended at {from} and ends at {to} now, on the same timeline: it was restored from a copy."),
            Action::advice("Consumers are ahead of this server: make the slots anew and copy again"),
        ),
    };
    let changes = at.history.server_changes().iter();
    changes
        .map(|change| {
            let (rule, severity, title, evidence, action) = one(change.kind);
            Finding::new(rule, severity, "server", title, evidence, vec![action]).since(Some(change.at))
        })
        .collect()
}

/// R22: the slot's position went back.
pub(super) fn rewound(at: &SlotCase<'_>) -> Option<Finding> {
    let rewind = at.case.history.slot(&at.slot.name)?.rewound()?;
    if at.case.sample.at.since(rewind.at) >= thresholds::REWOUND_FOR {
        return None;
    }
    let evidence = format!(
        "It went from {} back to {} at {} without a restart of the server: it was made anew or restored.",
        rewind.from,
        rewind.to,
        rewind.at.clock()
    );
    let actions = vec![Action::advice(
        "Its consumer gets changes twice, or misses some: compare both sides (walpilot verify), copy again if they differ",
    )];
    let finding = at.finding("R22", Severity::Critical, "its position went back", evidence, actions);
    Some(finding.since(Some(rewind.at)))
}

/// F1: there are standbys, and a failover would lose these slots (17 and newer).
pub(super) fn no_failover(at: &Case<'_>) -> Vec<Finding> {
    let Some(context) = at.sample.context.known().filter(|context| context.standbys > 0) else { return Vec::new() };
    let names: Vec<String> = at
        .sample
        .slots
        .iter()
        .filter(|slot| slot.kind == SlotKind::Logical && slot.failover == Some(false) && !slot.temporary)
        .filter(|slot| !slot.is_lost() && !slot.is_table_sync())
        .map(|slot| printable(&slot.name).into_owned())
        .collect();
    let Some(first) = names.first() else { return Vec::new() };
    let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
    let standbys =
        if context.standbys == 1 { "a standby".to_owned() } else { format!("{} standbys", context.standbys) };
    let evidence = format!(
        "{first}{more}: failover is off, and this server has {standbys}. After a failover the consumer has to begin anew."
    );
    let actions = vec![Action::advice(
        "Create it with failover = true; on the standby: sync_replication_slots = on, hot_standby_feedback = on, and dbname in primary_conninfo",
    )];
    vec![Finding::new("F1", Severity::Info, "failover", "slots would be lost in a failover", evidence, actions)]
}

/// R20: a slot that a subscription made for the copy of one table was left behind.
pub(super) fn orphan(at: &SlotCase<'_>) -> Option<Finding> {
    if !at.slot.is_table_sync() || at.slot.active {
        return None;
    }
    let idle = at.numbers.inactive.map(Age::span)?;
    let severity = at.case.level("R20", &at.object(), &alerts::ORPHAN, millis(idle))?;
    // The slot is inactive while its COPY runs. Before 14 no COPY can be seen.
    if at.case.sample.context.known().is_some_and(|context| !context.copies.is_empty()) {
        return None;
    }
    let evidence = format!(
        "A subscription made it to copy one table; nobody has read it for {}, no COPY runs, and it holds {}.",
        units::about(idle),
        at.numbers.retained_bytes.map_or_else(|| "?".to_owned(), units::bytes),
    );
    let actions = vec![
        Action::advice(
            "Look at the subscription: pg_subscription_rel shows a table in state d or f while it still needs the slot",
        ),
        drop_slot("Drop it, if the subscription is gone", &at.slot.name),
    ];
    Some(at.finding("R20", severity, "a slot of a table's first copy was left behind", evidence, actions))
}
