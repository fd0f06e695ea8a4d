//! A run's own numbers for monitoring systems (`walpilot run --metrics ADDRESS:PORT`).

use tokio::sync::watch;

use super::http::Monitored;
use crate::monitor::exposition::{Exposition, Kind};
use crate::replication::{Phase, Progress, TablePhase};

/// The run, as it is watched.
pub(super) struct WatchedRun {
    pub(super) slot: String,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Monitored for WatchedRun {
    fn metrics(&self, exposition: &mut Exposition) {
        let progress = self.progress.borrow().clone();
        let slot = self.slot.as_str();
        let mut one = |name: &str, kind, help: &str, value: f64| {
            exposition.family(name, kind, help).sample(&[("slot", slot)], value);
        };
        let streaming = f64::from(u8::from(progress.phase == Phase::Streaming));
        one("walpilot_run_streaming", Kind::Gauge, "Whether changes are being applied.", streaming);
        one(
            "walpilot_run_transactions",
            Kind::Counter,
            "Source transactions applied by this run.",
            progress.transactions as f64,
        );
        one("walpilot_run_changes", Kind::Counter, "Row changes applied by this run.", progress.changes as f64);
        one(
            "walpilot_run_checkpoint_lsn_bytes",
            Kind::Gauge,
            "Position of the last source transaction that is committed at the destination.",
            progress.checkpoint.0 as f64,
        );
        one(
            "walpilot_run_lag_bytes",
            Kind::Gauge,
            "WAL of the source that is not yet at the destination.",
            progress.lag_bytes as f64,
        );
        one(
            "walpilot_run_lag_seconds",
            Kind::Gauge,
            "Age of the oldest transaction that is received and not committed at the destination.",
            progress.lag_millis as f64 / 1000.0,
        );
        let name = |at: usize| progress.tables[at].table.to_string();
        let mut family =
            exposition.family("walpilot_run_table_copied", Kind::Gauge, "Whether the table's rows are there.");
        for (at, table) in progress.tables.iter().enumerate() {
            let copied = f64::from(u8::from(!matches!(table.phase, TablePhase::Waiting | TablePhase::Copying)));
            family.sample(&[("slot", slot), ("table", &name(at))], copied);
        }
        let mut family =
            exposition.family("walpilot_run_table_copied_rows", Kind::Gauge, "Rows of the table that were copied.");
        for (at, table) in progress.tables.iter().enumerate() {
            family.sample(&[("slot", slot), ("table", &name(at))], table.rows_copied as f64);
        }
        let mut family = exposition.family("walpilot_run_table_changes", Kind::Counter, "Changes applied by this run.");
        for (at, table) in progress.tables.iter().enumerate() {
            for (what, value) in [
                ("insert", table.inserts),
                ("update", table.updates),
                ("delete", table.deletes),
                ("truncate", table.truncates),
            ] {
                family.sample(&[("slot", slot), ("table", &name(at)), ("change", what)], value as f64);
            }
        }
    }

    fn health(&self) -> Result<String, String> {
        let progress = self.progress.borrow();
        match progress.phase {
            Phase::Reconnecting => Err("reconnecting".to_owned()),
            _ => Ok(format!("at {}", progress.checkpoint)),
        }
    }
}
