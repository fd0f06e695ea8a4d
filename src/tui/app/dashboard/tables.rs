//! The tables as they are listed: at both sides, narrowed and sorted.

use super::{Dashboard, TableOrder, order};
use crate::monitor::count::Drift;
use crate::monitor::report::{TableLine, table_lines};
use crate::profile::TableName;
use crate::tui::app::{fuzzy, own_run};

impl Dashboard {
    /// The tables at both sides; what this process's own run says is fresher than what it has written down.
    #[must_use]
    pub fn tables(&self) -> Vec<TableLine> {
        let picture = self.picture();
        let mut lines = table_lines(&picture.watcher);
        if let Some(progress) = &picture.progress {
            own_run::overlay(&mut lines, progress);
        }
        fuzzy::retain(&mut lines, self.look.table_filter.text(), |line| line.table.to_string());
        let counted = |line: &TableLine| match picture.counts.get(&line.table)?.drift {
            Drift::Exact(difference) | Drift::Within { difference, .. } => Some(difference.unsigned_abs()),
            Drift::Unknown(_) => None,
        };
        let (order, reversed) = self.look.table_order;
        order::sort_tables(&mut lines, &picture.watcher, counted, order, reversed);
        lines
    }

    /// The selected table.
    #[must_use]
    pub fn table(&self) -> Option<TableName> {
        let lines = self.tables();
        lines.get(self.selected_table(&lines)).map(|line| line.table.clone())
    }

    /// The selected one of these lines: the table that was chosen, else the first.
    #[must_use]
    pub fn selected_table(&self, lines: &[TableLine]) -> usize {
        let chosen = |name| lines.iter().position(|line| &line.table == name);
        self.look.table.as_ref().and_then(chosen).unwrap_or(0)
    }

    /// How the tables are sorted, and whether the other way round.
    #[must_use]
    pub fn table_order(&self) -> (TableOrder, bool) {
        self.look.table_order
    }

    /// The filter of the tables.
    #[must_use]
    pub fn table_filter(&self) -> &str {
        self.look.table_filter.text()
    }
}
