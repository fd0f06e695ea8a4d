//! The `walpilot` program: error hooks, command line, exit code. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    walpilot::cli::main()
}
