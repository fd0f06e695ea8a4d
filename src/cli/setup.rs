//! `walpilot setup`.

use super::exit::{Exit, Stop};
use super::output::Output;

/// Open the wizard (the default)
#[derive(clap::Args, Clone, Debug, Default)]
pub struct SetupArgs {}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: SetupArgs, output: Output) -> Result<Exit, Stop> {
    let _ = (args, output);
    unimplemented!()
}
