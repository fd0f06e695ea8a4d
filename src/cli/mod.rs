//! The command line. Everything that the wizard does works from here without a terminal.

pub mod check;
pub mod checks;
pub mod connect_only;
pub mod demo;
pub mod duration;
pub mod exit;
pub mod inputs;
pub mod interrupt;
pub mod log;
pub mod output;
pub mod pair;
pub mod profiles;
mod prompt;
mod rehearsal;
mod report_format;
pub mod run;
pub mod script;
pub mod setup;
pub mod source;
pub mod verify;
pub mod watch;
mod watch_text;
pub mod xmin;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::{Exit, Stop};
use output::{ColorChoice, Output};

/// Gets a PostgreSQL database ready for replication, runs the replication, and watches it.
#[derive(Parser, Debug)]
#[command(name = "walpilot", version, about, long_about = None, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// When to use colours; auto is on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, value_name = "auto|always|never", default_value_t)]
    #[arg(hide_possible_values = true, help_heading = EVERYWHERE)]
    pub color: ColorChoice,
    /// Append a log to this file (mode 0600); WALPILOT_LOG sets its level, for example debug
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    pub log_file: Option<std::path::PathBuf>,
    /// What to do; without a command the wizard opens
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EVERYWHERE: &str = "Options of every command";

const EXAMPLES: &str = "\
Examples:
  walpilot                                            open the wizard
  walpilot demo                                       try everything on two throwaway clusters
  walpilot check postgres://repl@db.example/shop      what is wrong, and how to mend it
  walpilot script postgres://repl@db.example/shop     the SQL that gets the source ready
  walpilot run --from postgres://… --to postgres://…  replicate into a destination
  walpilot verify --from postgres://… --to …          compare the rows of both sides
  walpilot watch postgres://repl@db.example/shop      watch slots, lag and rows

Exit codes: 0 fine, 1 blockers found, 2 usage or no terminal, 3 cannot connect, 4 run failed,
130 interrupted. Passwords come from PGPASSWORD, --password-file or the wizard; one on the
command line can be seen by others.";

/// The subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Open the wizard (the default)
    Setup(Box<setup::SetupArgs>),
    /// Check a source: what would make replication fail, with the fix
    Check(Box<check::CheckArgs>),
    /// Explain one check: its rule and its fixes
    Explain(checks::ExplainArgs),
    /// List every check
    Checks(checks::ChecksArgs),
    /// Print the SQL that gets the source ready, or apply it
    Script(Box<script::ScriptArgs>),
    /// Replicate into a destination PostgreSQL
    Run(Box<run::RunArgs>),
    /// Compare the rows of source and destination
    Verify(Box<verify::VerifyArgs>),
    /// Watch slots, lag, WAL and rows
    Watch(Box<watch::WatchArgs>),
    /// Keep sources under a name
    Profiles(Box<profiles::ProfilesArgs>),
    /// Try everything on two throwaway clusters
    Demo(Box<demo::DemoArgs>),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Parses the command line, runs the command, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Fine };
            // Printing the help may fail only because nobody reads it.
            let _ = error.print();
            return code.into();
        }
    };
    let output = Output::new(cli.color);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.note(&format!("walpilot can't start its threads: {error}."));
            return Exit::Failed.into();
        }
    };
    let result = runtime.block_on(logged(cli, output));
    // A name look-up that hangs must not keep the program alive.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match result {
        Ok(exit) => exit.into(),
        Err(stop) => {
            if !stop.message.is_empty() {
                output.note(&format!("walpilot: {}", stop.message));
            }
            stop.exit.into()
        }
    }
}

async fn logged(cli: Cli, output: Output) -> Result<Exit, Stop> {
    if let Some(file) = &cli.log_file {
        log::start(file, source::var("WALPILOT_LOG").as_deref())?;
    }
    run_command(cli.command, output).await
}

async fn run_command(command: Option<Command>, output: Output) -> Result<Exit, Stop> {
    match command {
        None => setup::run(setup::SetupArgs::default(), output).await,
        Some(Command::Setup(args)) => setup::run(*args, output).await,
        Some(Command::Check(args)) => check::run(*args, output).await,
        Some(Command::Explain(args)) => checks::explain(&args, output),
        Some(Command::Checks(args)) => checks::list(&args, output),
        Some(Command::Script(args)) => script::run(*args, output).await,
        Some(Command::Run(args)) => run::run(*args, output).await,
        Some(Command::Verify(args)) => verify::run(*args, output).await,
        Some(Command::Watch(args)) => watch::run(*args, output).await,
        Some(Command::Profiles(args)) => profiles::run(*args, output).await,
        Some(Command::Demo(args)) => Box::pin(demo::run(*args, output)).await,
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "walpilot", &mut script);
            output.raw(&script)?;
            Ok(Exit::Fine)
        }
        Some(Command::Man) => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            output.raw(&page)?;
            Ok(Exit::Fine)
        }
    }
}
