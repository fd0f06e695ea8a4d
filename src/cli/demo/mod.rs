//! `walpilot demo`: the whole main job on two throwaway clusters. On a terminal it opens the wizard, filled in; without
//! one it goes the same way by itself and compares the rows at the end.

mod automatic;

use std::io::IsTerminal;
use std::time::Duration;

use super::duration;
use super::exit::{Exit, Stop};
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup::{self, ScreenArgs};
use super::source;
use crate::demo::{Binaries, Demo};
use crate::profile::{Profile, Selection};
use crate::tui::{self, Prefill};

/// Starts a source with the usual trouble, an empty destination and a write workload, all of it throwaway. On a
/// terminal the wizard opens on them; without one (or with --for) everything runs by itself, and the exit code is 0
/// only if every table's rows agree at the end.
#[derive(clap::Args, Clone, Debug)]
#[command(about = "Try everything on two throwaway clusters")]
pub struct DemoArgs {
    /// Run by itself for this long instead of opening the wizard [default without a terminal: 20s]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub run_for: Option<Duration>,
    /// Transactions per second that the workload writes
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub rate: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub screen: ScreenArgs,
}

/// How long the automatic demo writes unless told otherwise.
const DEFAULT_RUN: Duration = Duration::from_secs(20);

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: DemoArgs, output: Output) -> Result<Exit, Stop> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let explicit = source::var("WALPILOT_PG_BIN").map(std::path::PathBuf::from);
    let search = source::var("PATH").map(std::ffi::OsString::from);
    let binaries = Binaries::find(explicit.as_deref(), search.as_deref())
        .map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
    let outcome = Box::pin(play(&binaries, args, terminal, output)).await;
    crate::demo::clear().await;
    outcome
}

async fn play(binaries: &Binaries, args: DemoArgs, terminal: bool, output: Output) -> Result<Exit, Stop> {
    match args.run_for {
        // Ctrl-C before the wizard has the keyboard ends the program; the keepers of the clusters clear up.
        None if terminal => {
            let demo = start(binaries, output).await?;
            let outcome = wizard(&demo, args, output).await;
            demo.stop().await;
            outcome
        }
        run_for => {
            let mut interrupt = Interrupt::listen()?;
            let work = async {
                let demo = start(binaries, output).await?;
                let outcome = automatic::run(&demo, args.rate, run_for.unwrap_or(DEFAULT_RUN), output).await;
                demo.stop().await;
                outcome
            };
            // Dropping the work drops the demo, which stops and removes the clusters.
            tokio::select! {
                outcome = work => outcome,
                () = interrupt.arrived() => {
                    Err(Stop::new(Exit::Interrupted, "The demo was interrupted; its clusters are removed."))
                }
            }
        }
    }
}

async fn start(binaries: &Binaries, output: Output) -> Result<Demo, Stop> {
    Demo::start(binaries, |step| output.note(step)).await.map_err(|error| failed(&error))
}

/// Opens the wizard with everything filled in, while the application writes.
async fn wizard(demo: &Demo, args: DemoArgs, output: Output) -> Result<Exit, Stop> {
    let workload = demo.workload(args.rate).await.map_err(|error| failed(&error))?;
    let profile = profile(demo);
    let prefill = Prefill {
        selection: Some(profile.selection.clone()),
        profile: Some(profile),
        admin: Some(demo.admin.clone()),
        destination: Some(demo.destination.clone()),
        ..Prefill::default()
    };
    let around = args.screen.surroundings(output)?;
    let outcome = Box::pin(tui::wizard(prefill, around)).await;
    let written = workload.stop().await.map_err(|error| failed(&error))?;
    let exit = setup::report(&outcome?, output)?;
    output.note(&format!("The demo wrote {written} transactions; its clusters are removed."));
    Ok(exit)
}

/// Everything that the demo's application owns.
fn profile(demo: &Demo) -> Profile {
    let mut profile = Profile::new(demo.source.clone());
    profile.selection = Selection::Schemas(demo.schemas().iter().map(|&schema| schema.to_owned()).collect());
    profile
}

fn failed(error: &dyn std::fmt::Display) -> Stop {
    Stop::new(Exit::Failed, error.to_string())
}
