//! What a source looks like to Prometheus. Names follow its conventions: base units, `_total` for what only grows, an
//! `_info` for words. `assets/` has a dashboard and alert rules that use them.
//!
//! The series of a slot stay as long as the slot does, and also after it is lost: a lost slot holds 0 bytes, is 0 bytes
//! and 0 seconds from its loss, and says `walpilot_slot_lost 1`. What can't be known is `NaN`, never 0.

use std::collections::BTreeSet;

use super::exposition::{Exposition, Family, Kind};
use super::moment::Moment;
use super::report::{Report, SlotReport};
use super::slot::{SlotKind, WalStatus};
use super::state::SlotState;
use super::table::Tables;
use super::watcher::Watcher;
use super::xmin::XminReading;

/// What is known of one source, and how the sampling goes.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Samples, numbers and findings.
    pub watcher: Watcher,
    /// When the latest sample arrived, on our clock.
    pub sampled_at: Option<Moment>,
    /// Why there was none at the last try.
    pub failure: Option<String>,
    /// Samples taken so far.
    pub samples: u64,
    /// Tries that brought none.
    pub failures: u64,
    /// Every slot that was seen, or is wanted.
    pub slots: BTreeSet<String>,
}

impl Observed {
    /// Takes the outcome of a try in.
    pub fn take(&mut self, outcome: Result<super::Sample, String>, now: Moment) {
        match outcome {
            Ok(sample) => {
                let names = sample.slots.iter().filter(|slot| !slot.temporary).map(|slot| slot.name.clone());
                self.slots.extend(names);
                self.watcher.push(sample);
                (self.sampled_at, self.failure) = (Some(now), None);
                self.samples += 1;
            }
            Err(reason) => {
                self.failure = Some(reason);
                self.failures += 1;
            }
        }
    }

    /// Writes everything. While the source can't be read only that is told: numbers of the past would look like new
    /// ones.
    pub fn write(&self, page: &mut Exposition) {
        let report = Report::of(&self.watcher).filter(|_| self.failure.is_none());
        page.number(
            "walpilot_source_up",
            Kind::Gauge,
            "Whether the last try to read the source brought a sample.",
            flag(report.is_some()),
        );
        #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
        let sampled_at = self.sampled_at.map(|at| at.0 as f64 / 1e6);
        page.number(
            "walpilot_sample_timestamp_seconds",
            Kind::Gauge,
            "When the latest sample arrived, by walpilot's clock.",
            sampled_at,
        );
        page.number("walpilot_samples", Kind::Counter, "Samples taken.", number(self.samples));
        page.number("walpilot_sample_failures", Kind::Counter, "Tries that brought no sample.", number(self.failures));
        let Some(report) = report else { return };
        source(page, &self.watcher, &report);
        let mut present = page.family(
            "walpilot_slot_present",
            Kind::Gauge,
            "Whether the slot exists; 0 for one that is wanted, or was seen before, and is not there.",
        );
        for name in &self.slots {
            present.sample(&[("slot", name)], flag(report.slots.iter().any(|one| &one.slot.name == name)));
        }
        slots(page, &report);
        findings(page, &report);
        tables(page, &self.watcher, &report);
        run(page, &report);
    }
}

fn source(page: &mut Exposition, watcher: &Watcher, report: &Report) {
    let Some(sample) = watcher.sample() else { return };
    let (server, source) = (&sample.server, &report.source);
    let timeline = source.timeline.to_string();
    let labels = [
        ("version", source.version.as_str()),
        ("role", source.role),
        ("database", &source.database),
        ("system_identifier", &source.system_identifier),
        ("timeline", &timeline),
    ];
    page.family("walpilot_source_info", Kind::Gauge, "What the source is.").sample(&labels, 1.0);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
    let started = server.started.0 as f64 / 1e6;
    let limit = |name| server.number(name).and_then(|value| u32::try_from(value).ok()).map(f64::from);
    let known = server.settings.contains_key("max_slot_wal_keep_size");
    let budget = known.then(|| server.slot_wal_limit().map_or(f64::INFINITY, number));
    let seconds = std::time::Duration::from_micros(sample.pulse_micros).as_secs_f64();
    let used = u32::try_from(sample.slots.len()).ok().map(f64::from);
    for (name, kind, help, value) in [
        (
            "walpilot_source_start_time_seconds",
            Kind::Gauge,
            "When the server was started, by its clock.",
            Some(started),
        ),
        ("walpilot_source_in_recovery", Kind::Gauge, "Whether it is a standby.", Some(flag(server.in_recovery))),
        (
            "walpilot_source_wal_bytes",
            Kind::Counter,
            "The end of the log as a number of bytes; its rate is the rate at which log is written.",
            sample.lsn.map(|lsn| number(lsn.0)),
        ),
        ("walpilot_source_slots", Kind::Gauge, "Replication slots.", used),
        (
            "walpilot_source_slots_limit",
            Kind::Gauge,
            "The setting max_replication_slots.",
            limit("max_replication_slots"),
        ),
        ("walpilot_source_walsenders", Kind::Gauge, "Walsenders.", Some(f64::from(sample.walsenders))),
        ("walpilot_source_walsenders_limit", Kind::Gauge, "The setting max_wal_senders.", limit("max_wal_senders")),
        (
            "walpilot_source_slot_wal_limit_bytes",
            Kind::Gauge,
            "The setting max_slot_wal_keep_size; +Inf without a limit.",
            budget,
        ),
        ("walpilot_pulse_duration_seconds", Kind::Gauge, "What the last query of slots took.", Some(seconds)),
    ] {
        page.number(name, kind, help, value);
    }
}

/// A number of a slot: its name, its kind, its help, and how it is read.
type SlotNumber = (&'static str, Kind, &'static str, fn(&SlotReport) -> Option<f64>);

const SLOT_NUMBERS: [SlotNumber; 14] = [
    ("walpilot_slot_active", Kind::Gauge, "Whether somebody reads the slot.", |one| Some(flag(one.slot.active))),
    ("walpilot_slot_lost", Kind::Gauge, "Whether the slot is lost: its log is gone for good.", |one| {
        Some(flag(one.slot.is_lost()))
    }),
    ("walpilot_slot_lag_bytes", Kind::Gauge, "Log that the consumer has not confirmed.", |one| {
        one.reading.lag_bytes.map(number)
    }),
    (
        "walpilot_slot_lag_seconds",
        Kind::Gauge,
        "Age of the oldest log that the consumer has not confirmed; a lower bound while walpilot has not seen it written.",
        |one| one.reading.lag.map(|age| age.span().as_secs_f64()),
    ),
    (
        "walpilot_slot_retained_bytes",
        Kind::Gauge,
        "Log that the slot keeps from being removed; a lost slot keeps none.",
        |one| if one.slot.is_lost() { Some(0.0) } else { one.reading.retained_bytes.map(number) },
    ),
    ("walpilot_slot_unsent_bytes", Kind::Gauge, "Log not sent to the consumer yet; NaN without one.", |one| {
        one.reading.unsent_bytes.map(number)
    }),
    (
        "walpilot_slot_safe_bytes",
        Kind::Gauge,
        "Log that may be written before the slot is in danger; +Inf without a limit, 0 once it is lost.",
        #[expect(clippy::cast_precision_loss, reason = "a size")]
        |one| match (one.slot.is_lost(), one.slot.safe_bytes()) {
            (true, _) => Some(0.0),
            (false, Some(bytes)) => Some(bytes as f64),
            (false, None) => Some(f64::INFINITY),
        },
    ),
    (
        "walpilot_slot_time_to_loss_seconds",
        Kind::Gauge,
        "Time until the slot is lost at the rate of the last minutes; +Inf while no loss is in sight.",
        |one| {
            let left = one.reading.dies_in.map_or(f64::INFINITY, |left| left.as_secs_f64());
            Some(if one.slot.is_lost() { 0.0 } else { left })
        },
    ),
    (
        "walpilot_slot_catch_up_seconds",
        Kind::Gauge,
        "Time until the consumer has caught up; +Inf while it does not come closer, 0 when it keeps up.",
        |one| {
            let keeps_up = one.reading.state.is_good();
            Some(
                one.reading.catches_up_in.map_or(if keeps_up { 0.0 } else { f64::INFINITY }, |left| left.as_secs_f64()),
            )
        },
    ),
    (
        "walpilot_slot_inactive_seconds",
        Kind::Gauge,
        "For how long nobody has read the slot; 0 while it is read.",
        |one| {
            if one.slot.active { Some(0.0) } else { one.reading.inactive.map(|age| age.span().as_secs_f64()) }
        },
    ),
    (
        "walpilot_slot_confirmed_position_bytes",
        Kind::Gauge,
        "The position that the consumer has confirmed, as a number of bytes.",
        |one| one.slot.reached().map(|lsn| number(lsn.0)),
    ),
    (
        "walpilot_slot_catalog_xmin_age",
        Kind::Gauge,
        "Age in transactions of the oldest catalog row kept for it.",
        |one| one.slot.catalog_xmin_age.and_then(|age| u32::try_from(age).ok()).map(f64::from),
    ),
    (
        "walpilot_slot_spilled_bytes",
        Kind::Counter,
        "Decoded changes that did not fit into logical_decoding_work_mem (PostgreSQL 14 and newer).",
        |one| one.slot.decoding.as_ref().map(|decoding| number(decoding.spill_bytes)),
    ),
    ("walpilot_slot_decoded_bytes", Kind::Counter, "Decoded changes (PostgreSQL 14 and newer).", |one| {
        one.slot.decoding.as_ref().map(|decoding| number(decoding.total_bytes))
    }),
];

fn slots(page: &mut Exposition, report: &Report) {
    let mut info = page.family("walpilot_slot_info", Kind::Gauge, "What the slot is.");
    for one in &report.slots {
        let kind = match one.slot.kind {
            SlotKind::Logical => "logical",
            SlotKind::Physical => "physical",
        };
        let (plugin, database) = (one.slot.plugin.as_deref(), one.slot.database.as_deref());
        let labels = [
            ("slot", one.slot.name.as_str()),
            ("slot_type", kind),
            ("plugin", plugin.unwrap_or_default()),
            ("database", database.unwrap_or_default()),
        ];
        info.sample(&labels, 1.0);
    }
    for (name, kind, help, read) in SLOT_NUMBERS {
        let mut family = page.family(name, kind, help);
        for one in &report.slots {
            family.sample(&[("slot", &one.slot.name)], read(one));
        }
    }
    let mut state = page.family("walpilot_slot_state", Kind::Gauge, "1 for the word that says how the slot is.");
    for one in &report.slots {
        for word in SlotState::ALL {
            let label = word.name().to_lowercase().replace(' ', "_");
            state.sample(&[("slot", &one.slot.name), ("state", &label)], flag(word == one.reading.state));
        }
    }
    let mut status = page.family("walpilot_slot_wal_status", Kind::Gauge, "1 for the slot's wal_status.");
    for one in &report.slots {
        for word in [WalStatus::Reserved, WalStatus::Extended, WalStatus::Unreserved, WalStatus::Lost] {
            let is = one.slot.wal_status.map(|status| flag(status == word));
            status.sample(&[("slot", &one.slot.name), ("status", word.name())], is);
        }
    }
}

fn findings(page: &mut Exposition, report: &Report) {
    let mut counts = page.family("walpilot_findings", Kind::Gauge, "Findings of a severity.");
    for severity in ["critical", "warning", "info"] {
        let count = report.findings.iter().filter(|finding| finding.severity.word() == severity).count();
        counts.sample(&[("severity", severity)], u32::try_from(count).ok().map(f64::from));
    }
    let mut each = page.family("walpilot_finding", Kind::Gauge, "1 for each finding; its rule is stable.");
    for finding in &report.findings {
        let labels =
            [("rule", finding.rule), ("severity", finding.severity.word()), ("object", finding.object.as_str())];
        each.sample(&labels, 1.0);
    }
}

fn tables(page: &mut Exposition, watcher: &Watcher, report: &Report) {
    let mut rows = page.family(
        "walpilot_table_rows",
        Kind::Gauge,
        "Estimated rows of a table at the source and at the destination.",
    );
    for line in &report.tables {
        let mut side = |side, value: Option<u64>| {
            rows.sample(
                &[("schema", &line.table.schema), ("table", &line.table.name), ("side", side)],
                value.map(number),
            );
        };
        side("source", line.source_rows);
        if report.destination.is_some() {
            side("destination", line.destination_rows);
        }
    }
    let counted = watcher.sample().and_then(|sample| sample.tables.as_ref());
    let mut changes = page.family(
        "walpilot_table_changes",
        Kind::Counter,
        "Rows changed at the source; counters may trail a commit by ten seconds (PostgreSQL 15 and newer).",
    );
    if let Some(tables) = counted {
        operations(&mut changes, tables);
    }
}

fn operations(changes: &mut Family<'_>, tables: &Tables) {
    for table in &tables.tables {
        for (operation, count) in [("insert", table.inserts), ("update", table.updates), ("delete", table.deletes)] {
            let labels =
                [("schema", table.name.schema.as_str()), ("table", &table.name.name), ("operation", operation)];
            changes.sample(&labels, number(count));
        }
    }
}

/// A run as it has written itself down at the destination.
fn run(page: &mut Exposition, report: &Report) {
    let Some(destination) = &report.destination else { return };
    page.number(
        "walpilot_destination_up",
        Kind::Gauge,
        "Whether the destination answers.",
        flag(destination.state == "reached"),
    );
    let Some(run) = &report.run else { return };
    let account = run.account.as_ref();
    let silence = account.map(|account| run.at.since(account.updated_at).as_secs_f64());
    for (name, kind, help, value) in [
        (
            "walpilot_run_checkpoint_bytes",
            Kind::Counter,
            "The run's checkpoint as a number of bytes.",
            run.checkpoint.map(|lsn| number(lsn.0)),
        ),
        (
            "walpilot_run_applied_changes",
            Kind::Counter,
            "Row changes that the run has applied.",
            account.map(|account| number(account.changes)),
        ),
        (
            "walpilot_run_applied_transactions",
            Kind::Counter,
            "Source transactions that the run has applied.",
            account.map(|account| number(account.transactions)),
        ),
        (
            "walpilot_run_lag_bytes",
            Kind::Gauge,
            "Log that the run has not confirmed, by its own account.",
            account.map(|account| number(account.lag_bytes)),
        ),
        (
            "walpilot_run_lag_seconds",
            Kind::Gauge,
            "Age of the oldest transaction received and not committed, by the run's own account.",
            account.map(|account| number(account.lag_millis) / 1e3),
        ),
        ("walpilot_run_silence_seconds", Kind::Gauge, "How long ago the run wrote its account.", silence),
    ] {
        page.number(name, kind, help, value);
    }
    if let Some(xmin) = &report.xmin {
        passes(page, xmin);
    }
    let mut copied = page.family("walpilot_run_copied_rows", Kind::Counter, "Rows that the run has copied.");
    for table in &run.tables {
        copied.sample(&[("schema", &table.table.schema), ("table", &table.table.name)], number(table.rows_copied));
    }
}

/// A run with the method xmin.
fn passes(page: &mut Exposition, xmin: &XminReading) {
    let Some(run) = &xmin.run else { return };
    for (name, kind, help, value) in [
        ("walpilot_xmin_passes", Kind::Counter, "Passes that came to their end.", Some(number(run.passes))),
        (
            "walpilot_xmin_rows_read",
            Kind::Gauge,
            "Rows that the last pass over each table read.",
            run.rows_read.map(number),
        ),
        (
            "walpilot_xmin_rows_written",
            Kind::Gauge,
            "Of those, rows that were new or different at the destination.",
            run.rows_written.map(number),
        ),
        (
            "walpilot_xmin_deletes_unseen",
            Kind::Gauge,
            "Rows deleted at the source that still stand at the destination.",
            run.deletes_unseen.map(number),
        ),
        (
            "walpilot_xmin_held_back_transactions",
            Kind::Gauge,
            "Transactions since the oldest open one: the next pass reads their rows again.",
            Some(number(xmin.held_back)),
        ),
        (
            "walpilot_xmin_open_transactions",
            Kind::Gauge,
            "Open transactions whose rows a bound of max(xmin) would skip.",
            Some(number(xmin.naive_would_skip)),
        ),
        (
            "walpilot_xmin_bound",
            Kind::Gauge,
            "The transaction id, with its epoch, from which on the next pass reads.",
            Some(number(run.watermark)),
        ),
        (
            "walpilot_xmin_behind_transactions",
            Kind::Gauge,
            "Transactions since the bound of the last pass.",
            Some(number(run.behind)),
        ),
        (
            "walpilot_xmin_wraparound_ratio",
            Kind::Gauge,
            "Transactions since the bound of the last pass, as a share of those after which it can't be compared.",
            Some(run.wraparound_share),
        ),
    ] {
        page.number(name, kind, help, value);
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[expect(clippy::cast_precision_loss, reason = "a sample is a float; beyond 2^53 the last bytes are rounded")]
fn number(value: u64) -> f64 {
    value as f64
}
