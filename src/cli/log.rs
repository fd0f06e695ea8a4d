//! The log file, for those who ask for one. It holds hosts, roles, positions and SQLSTATEs; never passwords, never row
//! values.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use super::exit::{Exit, Stop};
use crate::connection::printable;

/// Appends the log to `file`, readable by its owner only. `level` is the value of WALPILOT_LOG, if it is set.
///
/// # Errors
/// When the file can't be opened or the level can't be read.
pub fn start(file: &Path, level: Option<&str>) -> Result<(), Stop> {
    let shown = printable(&file.to_string_lossy()).into_owned();
    let target = open(file).map_err(|error| {
        Stop::new(Exit::Usage, format!("The log file {shown} can't be opened: {error}. Name another with --log-file."))
    })?;
    let filter = EnvFilter::try_new(level.unwrap_or("info")).map_err(|_| {
        Stop::new(Exit::Usage, "WALPILOT_LOG is not a log level; use error, warn, info, debug or trace.")
    })?;
    tracing_subscriber::fmt().with_env_filter(quiet(filter)).with_ansi(false).with_writer(Mutex::new(target)).init();
    Ok(())
}

/// Below WARN the query library logs whole statements, and a CREATE ROLE holds a password verifier.
fn quiet(filter: EnvFilter) -> EnvFilter {
    let ceilings = ["tokio_postgres=warn", "postgres_protocol=warn"];
    ceilings.into_iter().filter_map(|rule| rule.parse::<Directive>().ok()).fold(filter, EnvFilter::add_directive)
}

fn open(file: &Path) -> std::io::Result<File> {
    let target = OpenOptions::new().create(true).append(true).mode(0o600).open(file)?;
    // `mode` counts only for a new file; an old one may be open to everybody.
    target.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(target)
}
