//! `walpilot watch`.

use super::exit::{Exit, Stop};
use super::output::Output;

/// Watch slots, lag, WAL and rows
#[derive(clap::Args, Clone, Debug)]
pub struct WatchArgs {}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: WatchArgs, output: Output) -> Result<Exit, Stop> {
    let _ = (args, output);
    unimplemented!()
}
