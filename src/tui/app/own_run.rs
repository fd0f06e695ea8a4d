//! What this process's own run knows of its tables better than anybody who looks from outside.

use crate::monitor::report::TableLine;
use crate::replication::{Progress, TablePhase, TableProgress};

/// Puts what the run says over what the destination's statistics say.
pub(super) fn overlay(lines: &mut Vec<TableLine>, progress: &Progress) {
    for own in &progress.tables {
        let at = lines.iter().position(|line| line.table == own.table).unwrap_or_else(|| {
            lines.push(TableLine::unknown(own.table.clone()));
            lines.len() - 1
        });
        let line = &mut lines[at];
        line.phase = Some(own.phase.name().to_owned());
        line.rows_copied = Some(own.rows_copied);
        line.changes_applied = Some(own.inserts + own.updates + own.deletes + own.truncates);
        if own.phase != TablePhase::Waiting {
            // The run makes a table before it copies; the sampler may not have looked since.
            line.at_destination = Some(true);
        }
        if let Some(rows) = counted(own) {
            (line.destination_rows, line.destination_rows_counted) = (Some(rows), true);
        }
    }
}

/// The rows as the run has counted them: of a table that it copied itself it knows every one, until a truncate removes
/// an unknown number. The method xmin can't tell a new row from a changed one.
fn counted(own: &TableProgress) -> Option<u64> {
    let followed = matches!(own.phase, TablePhase::Copying | TablePhase::Streaming);
    let known = own.copied_by_this_run && followed && own.truncates == 0;
    known.then(|| (own.rows_copied + own.inserts).saturating_sub(own.deletes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::TableName;

    fn own(
        phase: TablePhase,
        [rows_copied, inserts, deletes, truncates]: [u64; 4],
        copied_by_this_run: bool,
    ) -> TableProgress {
        TableProgress {
            table: TableName::new("shop", "orders"),
            phase,
            rows_copied,
            bytes_copied: 0,
            rows_estimated: None,
            inserts,
            updates: 9,
            deletes,
            truncates,
            copied_by_this_run,
        }
    }

    #[test]
    fn a_run_that_copied_a_table_knows_its_rows_better_than_statistics_do() {
        use TablePhase::{Copying, Streaming, Waiting};
        for (what, own, rows) in [
            ("not begun", own(Waiting, [0, 0, 0, 0], true), (Some(8), false)),
            ("half way", own(Copying, [40, 0, 0, 0], true), (Some(40), true)),
            ("copied and followed", own(Streaming, [40, 5, 2, 0], true), (Some(43), true)),
            ("copied by an earlier run", own(Streaming, [40, 5, 2, 0], false), (Some(8), false)),
            ("truncated on the way", own(Streaming, [40, 5, 2, 1], true), (Some(8), false)),
        ] {
            let mut line = TableLine::unknown(own.table.clone());
            (line.destination_rows, line.at_destination) = (Some(8), Some(false));
            let mut lines = vec![line];
            let begun = own.phase != Waiting;
            overlay(&mut lines, &Progress { tables: vec![own], ..Progress::default() });
            let line = &lines[0];
            assert_eq!((line.destination_rows, line.destination_rows_counted), rows, "{what}");
            assert_eq!(line.at_destination, Some(begun), "{what}");
        }
    }
}
