//! What the command line says about its own inputs: warnings beside the settings.

use super::exit::{Exit, Stop};
use super::output::{ColorChoice, Output};
use crate::connection::inputs::{Given, Resolved};
use crate::connection::uri;
use crate::connection::uri::UriError;
use crate::profile::surroundings::{resolve_here, resolve_second};

/// The parameters that are secret, in a connection string that everybody on this machine can read.
const SECRETS: [&str; 5] = ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];

/// Brings together what was given with what surrounds us, and tells the user what they should know about it.
///
/// # Errors
/// When a parameter, variable or file can't be read; the sentence names it and repeats no value.
pub fn resolved(given: &Given) -> Result<Resolved, Stop> {
    told(resolve_here(given), "Connection parameters")
}

/// The same for a second server, of which libpq's variables do not speak.
///
/// # Errors
/// As [`resolved`].
pub fn second(given: &Given, what: &str) -> Result<Resolved, Stop> {
    told(resolve_second(given), what)
}

fn told(resolved: Result<Resolved, UriError>, what: &str) -> Result<Resolved, Stop> {
    let resolved = resolved.map_err(|error| Stop::new(Exit::Usage, format!("{what}: {error}.")))?;
    for note in &resolved.notes {
        Output::new(ColorChoice::Never).note(&format!("walpilot: {note}"));
    }
    Ok(resolved)
}

/// Warns when a connection string that stands on the command line has a secret: all of this machine's users can read
/// it in the list of processes.
pub fn warn_of_secrets(text: &str) {
    let Ok(pairs) = uri::pairs(text) else { return };
    if let Some((name, _)) = pairs.iter().find(|(name, value)| SECRETS.contains(name) && !value.is_empty()) {
        Output::new(ColorChoice::Never).note(&format!(
            "walpilot: Warning: the {name} on the command line can be seen by others on this machine; use PGPASSWORD, \
             ~/.pgpass, --password-file or a profile."
        ));
    }
}
