//! What no statement in this database can mend: a restart, a provider's console, somebody else's decision.

use super::Planner;
use crate::preflight::FixKind;
use crate::preflight::finding::Finding;

/// Blockers of this kind, in the order in which they are best worked off.
const BY_HAND: [&str; 14] = [
    "wal-level",
    "slots-free",
    "walsenders-free",
    "in-recovery",
    "replication-hba",
    "schema-exists",
    "table-exists",
    "relation-publishable",
    "slot-database",
    "slot-type",
    "slot-plugin",
    "slot-lost",
    "publication-after-slot",
    "prepared-transactions",
];

impl Planner<'_> {
    /// Says it with the exact statements or commands.
    pub(super) fn by_hand(&mut self) {
        for id in BY_HAND {
            if !self.blocked(id) {
                continue;
            }
            if let Some(finding) = self.report.finding(id) {
                let (text, commands) = told(finding);
                self.plan.note(&text, commands.iter().map(String::as_str));
            }
        }
    }
}

/// The finding with its best fix, and the further commands of a console.
fn told(finding: &Finding) -> (String, Vec<String>) {
    let Some((first, others)) = finding.fixes.split_first() else { return (finding.summary.clone(), Vec::new()) };
    let by_console = first.kind == FixKind::Console;
    let restart = if first.restart && !by_console { " Then restart the server." } else { "" };
    let further = others.iter().filter(|fix| by_console && fix.kind == FixKind::Console);
    let commands = further.map(|fix| fix.text.clone()).collect();
    (format!("{}: {}{restart}", finding.summary, first.text), commands)
}
