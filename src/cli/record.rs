//! `walpilot record` and `walpilot replay`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::diagnose::print;
use super::duration;
use super::exit::{Exit, Stop};
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup::ScreenArgs;
use super::target::{Samples, TargetArgs, now, pause};
use crate::connection::printable;
use crate::monitor::recording::{Header, Reader, Record, Writer};
use crate::monitor::report::Report;
use crate::monitor::{Target, Watcher, units};

/// Record samples into a file, to replay them later
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = RECORD_EXAMPLES)]
pub struct RecordArgs {
    /// The recording: a new file that only you can read
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub target: TargetArgs,
    /// How often the source is looked at
    #[arg(long, value_name = "TIME", value_parser = pause, default_value = "2s")]
    pub interval: Duration,
    /// End after this time instead of with Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub time: Option<Duration>,
}

const RECORD_EXAMPLES: &str = "\
Examples:
  walpilot record night.wrec postgres://watch@db.example/shop --for 8h
  walpilot replay night.wrec

A source that goes away is recorded as such and tried again. There are no passwords in a recording, but names of
hosts, roles and tables, and the beginnings of statements.";

/// Look at a recording on the dashboard's screens
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = REPLAY_EXAMPLES)]
pub struct ReplayArgs {
    /// A file that walpilot record has written
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Print the last moment instead: line, text, json, or markdown (an incident report)
    #[arg(long, value_enum, value_name = "line|text|json|markdown", hide_possible_values = true)]
    pub format: Option<super::diagnose::Format>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub screen: ScreenArgs,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  walpilot replay night.wrec                        the dashboard: < and > step, Space plays
  walpilot replay night.wrec --format markdown      an incident report of its last moment";

/// Runs `walpilot record`.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn record(args: RecordArgs, output: Output) -> Result<Exit, Stop> {
    let target = args.target.target()?;
    let mut interrupt = Interrupt::listen()?;
    let samples = Samples::connected(target.clone()).await?;
    let file = create(&args.file)?;
    let shown = printable(&args.file.to_string_lossy()).into_owned();
    output.line(&format!(
        "Recording {target} into {shown}; Ctrl-C ends it.",
        target = printable(&target.source.to_string())
    ))?;
    let end = args.time.unwrap_or(Duration::MAX);
    let mut tape = Tape { file, writer: Writer::default(), samples: 0, failures: 0, bytes: 0 };
    tape.append(&Header::of(&target).line(), &shown)?;
    let interrupted = tokio::select! {
        ended = tape.fill(samples, args.interval, &shown, output) => match ended? {},
        () = tokio::time::sleep(end) => false,
        () = interrupt.arrived() => true,
    };
    tape.file.sync_all()?;
    let failures = if tape.failures > 0 { format!(", {} tries without one", tape.failures) } else { String::new() };
    output.line(&format!(
        "{} samples{failures}, {}: walpilot replay {shown}",
        tape.samples,
        units::bytes(tape.bytes)
    ))?;
    Ok(if interrupted { Exit::Interrupted } else { Exit::Fine })
}

struct Tape {
    file: File,
    writer: Writer,
    samples: u64,
    failures: u64,
    bytes: u64,
}

impl Tape {
    async fn fill(
        &mut self,
        mut samples: Samples,
        every: Duration,
        shown: &str,
        output: Output,
    ) -> Result<std::convert::Infallible, Stop> {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lost = false;
        loop {
            ticks.tick().await;
            let outcome = samples.next().await;
            match &outcome {
                Ok(_) => self.samples += 1,
                Err(reason) => {
                    self.failures += 1;
                    if !lost {
                        output.note(&format!("walpilot: {} Trying again.", printable(reason)));
                    }
                }
            }
            lost = outcome.is_err();
            let line = self.writer.line(now(), &outcome).map_err(|error| Stop::new(Exit::Failed, error))?;
            self.append(&line, shown)?;
        }
    }

    /// A line at a time, so that a recording that is cut off loses one sample at the most.
    fn append(&mut self, line: &str, shown: &str) -> Result<(), Stop> {
        let text = format!("{line}\n");
        self.bytes += text.len() as u64;
        self.file
            .write_all(text.as_bytes())
            .map_err(|error| Stop::new(Exit::Failed, format!("{shown} can't be written: {error}.")))
    }
}

fn create(path: &Path) -> Result<File, Stop> {
    let shown = printable(&path.to_string_lossy()).into_owned();
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(|error| {
        let why = match error.kind() {
            std::io::ErrorKind::AlreadyExists => format!("{shown} exists and is not overwritten; take another name."),
            _ => format!("{shown} can't be made: {error}."),
        };
        Stop::new(Exit::Usage, why)
    })
}

/// Runs `walpilot replay`.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn replay(args: ReplayArgs, output: Output) -> Result<Exit, Stop> {
    let (header, records) = read(&args.file, output)?;
    if let Some(format) = args.format {
        let mut watcher = Watcher::default();
        for record in records {
            if let Ok(sample) = record.outcome {
                watcher.push(*sample);
            }
        }
        let target = Target { slot: header.slot.clone(), publication: header.publication.clone(), ..Target::default() };
        let Some(report) = Report::of(&watcher) else { return Ok(Exit::Unknown) };
        return print(&target, &header.source, &report, &watcher, format, output);
    }
    if !crate::tui::terminal::is_there() {
        return Err(Stop::new(
            Exit::Usage,
            "The dashboard needs a terminal; --format text prints the recording's last moment.",
        ));
    }
    let around = args.screen.surroundings(output)?;
    let outcome = Box::pin(crate::tui::replay(&header, records, around)).await?;
    super::setup::report(&outcome, output)
}

/// A recording that was cut off is read up to the cut.
fn read(path: &Path, output: Output) -> Result<(Header, Vec<Record>), Stop> {
    let shown = printable(&path.to_string_lossy()).into_owned();
    let cannot = |why: String| Stop::new(Exit::Usage, format!("{shown} can't be replayed: {why}."));
    let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
    let mut lines = BufReader::new(file).lines();
    let first = lines.next().unwrap_or(Ok(String::new())).map_err(|error| cannot(error.to_string()))?;
    let header = Header::read(&first).map_err(cannot)?;
    let (mut reader, mut records) = (Reader::default(), Vec::new());
    for (number, line) in (2..).zip(lines) {
        match line.map_err(|error| error.to_string()).and_then(|line| reader.read(&line)) {
            Ok(record) => records.push(record),
            Err(error) => {
                output.note(&format!(
                    "walpilot: {shown} ends at line {number}, which can't be read ({}).",
                    printable(&error)
                ));
                break;
            }
        }
    }
    if records.iter().all(|record| record.outcome.is_err()) {
        return Err(cannot("there is no sample in it".to_owned()));
    }
    Ok((header, records))
}
