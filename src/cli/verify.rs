//! `walpilot verify`.

use std::time::Duration;

use serde_json::json;

use super::duration;
use super::exit::{Exit, Stop};
use super::output::{Format, Output, Paint};
use super::pair::PairArgs;
use super::run;

use crate::connection::printable;
use crate::replication::counted;
use crate::replication::verify::{self, Difference, TableVerdict, Verdict, Verification, VerifyOptions};

/// Compare the rows of source and destination
///
/// Counts and checksums of every published table, then the keys that differ. It may run beside a running replication and
/// a writing application: a key is called different only when its row stood still while the destination caught up. Exit
/// code 1 tells that rows differ.
#[derive(clap::Args, Clone, Debug)]
#[command(mut_arg("no_initial_copy", |arg| arg.hide(true)), mut_arg("provider", |arg| arg.hide(true)))]
pub struct VerifyArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub pair: PairArgs,
    /// How many differing keys of a table are named
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub keys: usize,
    /// How long the destination may take to catch up with what was read, for example 30s or 5m
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration::parse)]
    pub wait: Duration,
    /// Lines for people, or one JSON object
    #[arg(long, value_enum, value_name = "text|json", default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: VerifyArgs, output: Output) -> Result<Exit, Stop> {
    let (profile, destination) = args.pair.opened()?;
    let options = VerifyOptions { profile, destination, keys: args.keys, patience: args.wait };
    let mut failed = Ok(());
    let result = verify::verify(&options, |table| {
        if args.format == Format::Text && failed.is_ok() {
            failed = lines(table, output);
        }
    })
    .await
    .map_err(|error| run::stopped_by(&error))?;
    failed?;
    let count = |verdict| result.tables.iter().filter(|table| table.verdict == verdict).count();
    let copying = count(Verdict::Copying);
    let moving = count(Verdict::Moving) + copying;
    let wrong = count(Verdict::Different) + count(Verdict::Missing);
    match args.format {
        Format::Json => output.json_line(&json!({ "equal": moving + wrong == 0, "verification": result }))?,
        Format::Text => output.line(&last_line(&result, moving, wrong))?,
    }
    if wrong > 0 {
        Ok(Exit::Blockers)
    } else if copying > 0 {
        Err(Stop::new(Exit::Failed, "Some tables are being copied at this time and could not be compared; try again."))
    } else if moving > 0 {
        Err(Stop::new(Exit::Failed, "Some rows are written all the time and could not be compared; try again."))
    } else {
        Ok(Exit::Fine)
    }
}

fn lines(table: &TableVerdict, output: Output) -> std::io::Result<()> {
    let rows = |count| counted(count, "row");
    let (paint, text) = match table.verdict {
        Verdict::Equal => (Paint::Good, format!("equal      {}: {}", table.table, rows(table.source_rows))),
        Verdict::Missing => (Paint::Bad, format!("missing    {}: the destination has no such table", table.table)),
        Verdict::Moving => (Paint::Warn, format!("moving     {}: its rows are written all the time", table.table)),
        Verdict::Copying => (Paint::Warn, format!("copying    {}: a run is copying its rows", table.table)),
        Verdict::Different => (
            Paint::Bad,
            format!(
                "different  {}: {} at the source, {} at the destination, {}{} differ",
                table.table,
                rows(table.source_rows),
                rows(table.destination_rows),
                if table.more { "at least " } else { "" },
                rows(table.differing)
            ),
        ),
    };
    output.line(&output.paint(paint, &text))?;
    for (key, difference) in &table.keys {
        let what = match difference {
            Difference::OnlyAtSource => "is only at the source",
            Difference::OnlyAtDestination => "is only at the destination",
            Difference::Values => "has other values",
        };
        output.line(&format!("             {} {what}", printable(key)))?;
    }
    if table.differing > table.keys.len() as u64 {
        output.line("             … (--keys names more)")?;
    }
    Ok(())
}

fn last_line(result: &Verification, moving: usize, wrong: usize) -> String {
    let equal = result.tables.len() - moving - wrong;
    let run = if result.running { "" } else { "; no run is going on" };
    format!(
        "{equal} of {} tables are equal; source at {}, checkpoint {}{run}",
        result.tables.len(),
        result.source_end,
        result.checkpoint
    )
}
