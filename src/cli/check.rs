//! `walpilot check`.

use super::exit::{Exit, Stop};
use super::output::Output;

/// Check a source: everything that would make replication fail or hurt the application, with the fix
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: CheckArgs, output: Output) -> Result<Exit, Stop> {
    let _ = (args, output);
    unimplemented!()
}
