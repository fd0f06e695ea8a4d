//! Rules about the destination and about walpilot's own run.

use super::case::Case;
use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::destination::{Destination, Run, RunState};
use crate::monitor::units;

/// D1: the destination can't be reached; D3: its account of the run can't be read.
pub(super) fn destination(at: &Case<'_>) -> Vec<Finding> {
    match &at.sample.destination {
        Some(Destination::Unreachable(reason)) => vec![finding(
            "D1",
            Severity::Critical,
            "the destination can't be reached",
            printable(reason).into_owned(),
            vec![Action::advice("Start it, or mend the network or the login; walpilot tries again every few seconds")],
        )],
        Some(Destination::Reached(reached)) => match &reached.run {
            RunState::Hidden(reason) => vec![finding(
                "D3",
                Severity::Info,
                "the run's progress is hidden from this role",
                printable(reason).into_owned(),
                Vec::new(),
            )],
            RunState::None | RunState::Known(_) => Vec::new(),
        },
        Some(Destination::Connecting) | None => Vec::new(),
    }
}

/// D2: the run went away.
pub(super) fn run(at: &Case<'_>) -> Vec<Finding> {
    let Some(Destination::Reached(reached)) = &at.sample.destination else { return Vec::new() };
    let RunState::Known(run) = &reached.run else { return Vec::new() };
    let mut findings = Vec::new();
    if let Some(silence) = run.silent_for() {
        findings.push(finding(
            "D2",
            Severity::Critical,
            "the run has gone without a word",
            format!("{} has not written its progress for {}; {}.", who(run), units::span(silence), stands(run)),
            vec![Action::advice(
                "Start walpilot run again: it goes on from the checkpoint, nothing is lost or doubled",
            )],
        ));
    } else if run.has_stopped() {
        findings.push(finding(
            "D2",
            Severity::Warning,
            "the run was stopped",
            format!("It ended in order; {}. The slot holds log until it goes on.", stands(run)),
            vec![Action::advice("Start walpilot run again, or drop the slot if it is not needed any more")],
        ));
    }
    let here = &at.sample.server.system_identifier;
    if !here.is_empty() && &run.system_identifier != here {
        findings.push(finding(
            "D4",
            Severity::Critical,
            "the run's checkpoint is of another cluster",
            format!(
                "It was written for system identifier {}, and the source is {here}.",
                printable(&run.system_identifier)
            ),
            vec![Action::advice("Check that --to and the source belong together")],
        ));
    }
    findings
}

fn who(run: &Run) -> String {
    match run.account.as_ref().map(|account| (account.pid, account.host.as_deref())) {
        Some((Some(pid), Some(host))) => format!("Process {pid} on {}", printable(host)),
        _ => "It".to_owned(),
    }
}

fn stands(run: &Run) -> String {
    match (run.checkpoint, run.commit_time) {
        (Some(lsn), Some(time)) => format!("the destination is at {lsn}, committed at {}", time.clock()),
        (Some(lsn), None) => format!("the destination is at {lsn}"),
        (None, _) => "it has no checkpoint yet".to_owned(),
    }
}

fn finding(rule: &'static str, severity: Severity, title: &str, evidence: String, actions: Vec<Action>) -> Finding {
    Finding::new(rule, severity, "destination", title, evidence, actions)
}
