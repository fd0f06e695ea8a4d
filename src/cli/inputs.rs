//! What surrounds walpilot: environment, account, files. Read here, and handed as values to `connection::inputs`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::exit::{Exit, Stop};
use super::output::{ColorChoice, Output};
use crate::connection::inputs::{Given, Resolved, Seen, Surroundings, resolve};
use crate::connection::uri;

/// The parameters that are secret, in a connection string that everybody on this machine can read.
const SECRETS: [&str; 5] = ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];

/// Brings together what was given with what surrounds us, and tells the user what they should know about it.
///
/// # Errors
/// When a parameter, variable or file can't be read; the sentence names it and repeats no value.
pub fn resolved(given: &Given) -> Result<Resolved, Stop> {
    let variables = variables();
    let home = directories::BaseDirs::new();
    let account = account();
    let around = Surroundings {
        variables: &variables,
        home: home.as_ref().map(directories::BaseDirs::home_dir),
        account: account.as_deref(),
        read: &read,
        exists: &|path| path.exists(),
    };
    let resolved =
        resolve(given, &around).map_err(|error| Stop::new(Exit::Usage, format!("Connection parameters: {error}.")))?;
    let output = Output::new(ColorChoice::Never);
    for note in &resolved.notes {
        output.note(&format!("walpilot: {note}"));
    }
    for (name, origin) in &resolved.origins {
        tracing::debug!(parameter = name, %origin, "connection parameter");
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

/// libpq's variables; others are nobody's business.
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
fn variables() -> BTreeMap<String, Zeroizing<String>> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| name.starts_with("PG"))
        .filter_map(|name| Some((name.clone(), Zeroizing::new(std::env::var(name).ok()?))))
        .collect()
}

/// The account's name, which libpq takes from the system and not from the environment (`pg_fe_getusername`).
fn account() -> Option<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let known = lines.find(|fields| fields.get(2) == Some(&id.as_str())).map(|fields| fields[0].to_owned());
    // Accounts of a directory service don't stand in the file.
    known.or_else(|| super::source::var("USER")).or_else(|| super::source::var("LOGNAME"))
}

fn read(path: &Path) -> io::Result<Seen> {
    let found = std::fs::metadata(path)?;
    let private = found.permissions().mode() & 0o077 == 0;
    if !found.is_file() {
        return Ok(Seen { text: Zeroizing::default(), plain: false, private });
    }
    let bytes = Zeroizing::new(std::fs::read(path)?);
    Ok(Seen { text: Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()), plain: true, private })
}
