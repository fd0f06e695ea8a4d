//! `walpilot script`.

use super::exit::{Exit, Stop};
use super::output::Output;

/// Print the SQL that gets the source ready; --apply runs it
#[derive(clap::Args, Clone, Debug)]
pub struct ScriptArgs {}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: ScriptArgs, output: Output) -> Result<Exit, Stop> {
    let _ = (args, output);
    unimplemented!()
}
