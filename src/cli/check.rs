//! `walpilot check`.

use super::connect;
use super::exit::{Exit, Stop};
use super::output::{Format, Output};
use super::source::SourceArgs;

/// Check a source: everything that would make replication fail or hurt the application, with the fix
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub source: SourceArgs,
    /// The report's format
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
    /// Only connect, and say what was negotiated with the server or why it failed
    #[arg(long)]
    pub connect_only: bool,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: CheckArgs, output: Output) -> Result<Exit, Stop> {
    let profile = args.source.profile();
    if args.connect_only {
        return connect::run(profile.map(|profile| profile.source), args.format, output).await;
    }
    unimplemented!()
}
