//! What `walpilot run` prints: lines off a terminal, one JSON object a line for programs, and on a terminal a view that
//! stays in its place while events pass above it.

use std::io::IsTerminal;
use std::time::Duration;

use clap::ValueEnum;
use serde_json::json;
use tokio::time::Instant;

use super::exit::Stop;
use super::output::{Output, Paint};
use super::run_view;
use super::xmin;
use crate::catalog::Lsn;
use crate::monitor::units;
use crate::replication::{Phase, Progress, Rates, RunEvent, Summary, counted};

/// The format of a run's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum RunFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    #[value(alias = "json")]
    Ndjson,
}

/// Prints what happens, and progress when it has changed.
pub(super) struct Lines {
    output: Output,
    format: RunFormat,
    last: Option<Progress>,
    rates: Rates,
    started: Instant,
    /// How many lines of the view are on the screen; `None` off a terminal.
    shown: Option<usize>,
}

impl Lines {
    pub(super) fn new(output: Output, format: RunFormat, now: Instant) -> Self {
        let view = format == RunFormat::Text && std::io::stdout().is_terminal();
        Self { output, format, last: None, rates: Rates::default(), started: now, shown: view.then_some(0) }
    }

    /// Something happened.
    pub(super) fn event(&mut self, event: &RunEvent) -> Result<(), Stop> {
        self.clear()?;
        match self.format {
            RunFormat::Ndjson => self.json(&json!({ "event": event }))?,
            RunFormat::Text if event.trouble => {
                self.output.line(&self.output.paint(Paint::Warn, &format!("! {}", event.text)))?;
            }
            RunFormat::Text => self.output.line(&format!("- {}", event.text))?,
        }
        self.draw()
    }

    /// The latest progress, about once a second.
    pub(super) fn progress(&mut self, progress: &Progress, now: Instant) -> Result<(), Stop> {
        self.rates.look(progress, now.saturating_duration_since(self.started));
        let same = self.last.as_ref() == Some(progress);
        if same && (self.shown.is_none() || self.rates.changes_per_second() < 1.0) {
            return Ok(());
        }
        let before = self.last.replace(progress.clone());
        if self.shown.is_some() {
            self.clear()?;
            return self.draw();
        }
        match self.format {
            RunFormat::Ndjson => {
                let copying = progress.tables.iter().filter_map(|table| {
                    let rate = self.rates.table(&table.table)?;
                    Some(json!({ "table": table.table, "rows_per_second": rate.rows_per_second.round(),
                        "eta_seconds": rate.eta_seconds }))
                });
                let rates = json!({ "rows_per_second": self.rates.rows_per_second().round(),
                    "changes_per_second": self.rates.changes_per_second().round(),
                    "eta_seconds": self.rates.eta_seconds(progress), "tables": copying.collect::<Vec<_>>() });
                self.json(&json!({ "progress": progress, "rates": rates }))?;
            }
            RunFormat::Text => self.output.line(&line(progress, before.as_ref()))?,
        }
        Ok(())
    }

    /// How it ended.
    pub(super) fn summary(&mut self, summary: &Summary) -> Result<(), Stop> {
        self.end()?;
        match self.format {
            RunFormat::Ndjson => self.json(&json!({ "summary": summary }))?,
            RunFormat::Text if summary.progress.xmin.is_some() => self.output.line(&xmin::summary(summary))?,
            RunFormat::Text if summary.checkpoint == Lsn::INVALID => {
                self.output.line("stopped before anything was copied; the next run begins anew")?;
            }
            RunFormat::Text => {
                let copied: u64 = summary.progress.tables.iter().map(|table| table.rows_copied).sum();
                self.output.line(&format!(
                    "stopped at {}: {}, {} copied, {} and {} applied; the next \
                     run goes on from here",
                    summary.checkpoint,
                    counted(summary.progress.tables.len() as u64, "table"),
                    counted(copied, "row"),
                    counted(summary.progress.transactions, "transaction"),
                    counted(summary.progress.changes, "change")
                ))?;
            }
        }
        Ok(())
    }

    /// Takes the view away, for good.
    pub(super) fn end(&mut self) -> Result<(), Stop> {
        self.clear()?;
        self.shown = None;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Stop> {
        if let Some(lines @ 1..) = self.shown {
            // To the beginning of the line that many lines up, and everything from there on is erased.
            self.output.raw(format!("\u{1b}[{lines}F\u{1b}[J").as_bytes())?;
            self.shown = Some(0);
        }
        Ok(())
    }

    fn draw(&mut self) -> Result<(), Stop> {
        let (Some(_), Some(progress)) = (self.shown, &self.last) else { return Ok(()) };
        let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
        let lines = run_view::lines(progress, &self.rates, usize::from(width), usize::from(height));
        for line in &lines {
            self.output.line(line)?;
        }
        self.shown = Some(lines.len());
        Ok(())
    }

    fn json(&self, value: &serde_json::Value) -> std::io::Result<()> {
        self.output.json_line(value)
    }
}

/// One line for people.
fn line(progress: &Progress, before: Option<&Progress>) -> String {
    let copied = |p: &Progress| p.tables.iter().map(|table| table.rows_copied).sum::<u64>();
    match progress.phase {
        Phase::Starting => "starting".to_owned(),
        Phase::Reconnecting => "reconnecting".to_owned(),
        Phase::Stopping => "stopping".to_owned(),
        Phase::Copying => {
            let done = progress.tables.iter().filter(|table| table.phase.has_all()).count();
            let bytes: u64 = progress.tables.iter().map(|table| table.bytes_copied).sum();
            let rows = copied(progress);
            let rate = rows.saturating_sub(before.map_or(0, copied));
            format!(
                "copying    {done}/{}, {} ({rate}/s), {}",
                counted(progress.tables.len() as u64, "table"),
                counted(rows, "row"),
                units::bytes(bytes)
            )
        }
        Phase::Reading => xmin::reading(progress),
        Phase::Waiting => xmin::waiting(progress),
        Phase::Streaming => {
            let rate = progress.changes.saturating_sub(before.map_or(0, |before| before.changes));
            let beside: Vec<_> = progress.tables.iter().filter(|table| !table.phase.has_all()).collect();
            let beside = match beside.len() {
                0 => String::new(),
                tables => {
                    let rows: u64 = beside.iter().map(|table| table.rows_copied).sum();
                    let tables = counted(tables as u64, "more table");
                    format!("; copying {tables}, {}", counted(rows, "row"))
                }
            };
            format!(
                "streaming  {}, {} ({rate}/s), lag {} {:.1} s, at {}{beside}",
                counted(progress.transactions, "transaction"),
                counted(progress.changes, "change"),
                units::bytes(progress.lag_bytes),
                Duration::from_millis(progress.lag_millis).as_secs_f32(),
                progress.checkpoint
            )
        }
    }
}
