//! What is on the screen as a file: an incident report, or values for programs.

use super::Dashboard;
use crate::connection::printable;
use crate::monitor::exposition::Exposition;
use crate::monitor::metrics::Observed;
use crate::monitor::report::{Report, SlotReport};
use crate::monitor::{Moment, incident};

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// An incident report to read and to send.
    Markdown,
    /// Everything, as `walpilot watch --once --format json`.
    Json,
    /// A line for each slot.
    Csv,
    /// Metrics, as `walpilot watch --once --format prometheus`.
    Prometheus,
}

impl Export {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Markdown, Self::Json, Self::Csv, Self::Prometheus];

    /// The word after `:export`, and what it is.
    #[must_use]
    pub fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Markdown => ("markdown", "an incident report to read and to send"),
            Self::Json => ("json", "everything, for programs"),
            Self::Csv => ("csv", "a line for each slot, for spreadsheets"),
            Self::Prometheus => ("prometheus", "metrics as text"),
        }
    }

    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Markdown => ("incident", "md"),
            Self::Json => ("report", "json"),
            Self::Csv => ("slots", "csv"),
            Self::Prometheus => ("metrics", "prom"),
        }
    }
}

impl Dashboard {
    /// What is shown in this format, and a name for the file with the moment that it tells of; `None` before the first
    /// sample.
    #[must_use]
    pub fn export(&self, format: Export) -> Option<(String, String)> {
        let picture = self.picture();
        let report = Report::of(&picture.watcher)?;
        let (what, ending) = format.file();
        let name = format!("walpilot-{what}-{}.{ending}", stamp(report.at));
        let text = match format {
            Export::Markdown => incident::markdown(&report, self.source(), picture.watcher.events()),
            Export::Json => format!("{}\n", serde_json::to_string_pretty(&report).ok()?),
            Export::Csv => csv(&report),
            Export::Prometheus => {
                let observed = Observed {
                    watcher: picture.watcher.clone(),
                    sampled_at: picture.sampled_at.map(Moment::from),
                    slots: report.slots.iter().map(|one| one.slot.name.clone()).collect(),
                    samples: 1,
                    ..Observed::default()
                };
                let mut page = Exposition::prometheus();
                observed.write(&mut page);
                page.finish()
            }
        };
        Some((name, text))
    }
}

/// `20261122-120341`.
pub(in crate::tui::app) fn stamp(at: Moment) -> String {
    at.to_string().chars().filter(|c| c.is_ascii_digit() || *c == 'T').take(15).collect::<String>().replace('T', "-")
}

/// The columns of [`csv`], each with its value.
type Column = (&'static str, fn(&SlotReport) -> Option<String>);
const COLUMNS: [Column; 15] = [
    ("slot", |one| Some(one.slot.name.clone())),
    ("state", |one| Some(one.reading.state.name().to_owned())),
    ("plugin", |one| one.slot.plugin.clone()),
    ("database", |one| one.slot.database.clone()),
    ("pid", |one| Some(one.slot.consumer.as_ref()?.pid.to_string())),
    ("application", |one| one.slot.consumer.as_ref()?.application_name.clone()),
    ("wal_status", |one| Some(one.slot.wal_status?.name().to_owned())),
    ("restart_lsn", |one| Some(one.slot.restart_lsn?.to_string())),
    ("confirmed_flush_lsn", |one| Some(one.slot.confirmed_flush_lsn?.to_string())),
    ("lag_seconds", |one| Some((one.reading.lag?.millis / 1000).to_string())),
    ("lag_bytes", |one| Some(one.reading.lag_bytes?.to_string())),
    ("unsent_bytes", |one| Some(one.reading.unsent_bytes?.to_string())),
    ("retained_bytes", |one| Some(one.reading.retained_bytes?.to_string())),
    ("safe_bytes", |one| Some(one.reading.safe_bytes?.to_string())),
    ("lost_in_seconds", |one| Some(one.reading.dies_in?.as_secs().to_string())),
];

/// RFC 4180 with a head; what is not known is empty.
fn csv(report: &Report) -> String {
    let row = |cells: Vec<String>| format!("{}\r\n", cells.join(","));
    let mut text = row(["at", "source"].into_iter().chain(COLUMNS.map(|(name, _)| name)).map(str::to_owned).collect());
    for one in &report.slots {
        let lead = [report.at.to_string(), report.source.system_identifier.clone()];
        let values = COLUMNS.iter().map(|(_, value)| value(one).map_or_else(String::new, |value| cell(&value)));
        text.push_str(&row(lead.into_iter().chain(values).collect()));
    }
    text
}

/// A value between quotes where it needs them. A spreadsheet takes what begins like a formula for one; a quote before
/// it says that it is text.
fn cell(value: &str) -> String {
    let safe = printable(value);
    let guard = if safe.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if guard.is_empty() && !safe.contains(['"', ',']) {
        return safe.into_owned();
    }
    format!("\"{guard}{}\"", safe.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::catalog::Lsn;
    use crate::monitor::slot::Slot;
    use crate::monitor::{Sample, Target};

    #[test]
    fn every_format_has_a_name_with_its_moment_and_hostile_names_stay_text() {
        let mut dashboard = Dashboard::new(Target::default(), false);
        assert_eq!(dashboard.export(Export::Csv), None);
        let slot = Slot {
            name: "s".to_owned(),
            database: Some("=1+\"x\",\n".to_owned()),
            confirmed_flush_lsn: Some(Lsn(7)),
            ..Slot::default()
        };
        let at = Moment(1_795_349_021_000_000);
        dashboard
            .sampled(Sample { at, lsn: Some(Lsn(9)), slots: vec![slot], ..Sample::default() }, SystemTime::UNIX_EPOCH);
        let (name, text) = dashboard.export(Export::Csv).unwrap();
        assert_eq!(name, "walpilot-slots-20261122-120341.csv");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("at,source,slot,state,"), "{text}");
        assert!(lines[1].contains(",s,DETACHED,,\"'=1+\"\"x\"\",\\u{a}\","), "{text}");
        assert_eq!(lines.len(), 2);
        for format in Export::ALL {
            let (name, text) = dashboard.export(format).unwrap();
            assert!(name.contains("20261122-120341") && text.len() > 50, "{name}: {text}");
        }
    }
}
