//! `walpilot demo`.

use super::exit::{Exit, Stop};
use super::output::Output;

/// Try everything on two throwaway clusters
#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: DemoArgs, output: Output) -> Result<Exit, Stop> {
    let _ = (args, output);
    unimplemented!()
}
