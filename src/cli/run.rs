//! `walpilot run`.

use super::exit::{Exit, Stop};
use super::output::Output;

/// Replicate into a destination PostgreSQL
#[derive(clap::Args, Clone, Debug)]
pub struct RunArgs {}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: RunArgs, output: Output) -> Result<Exit, Stop> {
    let _ = (args, output);
    unimplemented!()
}
