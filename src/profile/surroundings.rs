//! What surrounds walpilot: environment, account, files. Read here, and handed as values to `connection::inputs`.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::connection::inputs::{Given, Resolved, Seen, Surroundings, resolve};
use crate::connection::uri::UriError;

/// Brings together what was given with libpq's environment variables, service file and password file on this machine.
/// Reads files, so it may block for a moment.
///
/// # Errors
/// When a parameter, variable or file can't be read; the sentence names it and repeats no value.
pub fn resolve_here(given: &Given) -> Result<Resolved, UriError> {
    resolve_with(given, &variables())
}

/// The same for a second server, such as a destination: libpq's variables speak of the first, so only the role's name
/// and those that name files count here.
///
/// # Errors
/// As [`resolve_here`].
pub fn resolve_second(given: &Given) -> Result<Resolved, UriError> {
    let mut variables = variables();
    variables.retain(|name, _| matches!(name.as_str(), "PGUSER" | "PGPASSFILE" | "PGSERVICEFILE" | "PGSYSCONFDIR"));
    resolve_with(given, &variables)
}

fn resolve_with(given: &Given, variables: &BTreeMap<String, Zeroizing<String>>) -> Result<Resolved, UriError> {
    let home = directories::BaseDirs::new();
    let account = account();
    let around = Surroundings {
        variables,
        home: home.as_ref().map(directories::BaseDirs::home_dir),
        account: account.as_deref(),
        read: &read,
        exists: &|path| path.exists(),
    };
    let resolved = resolve(given, &around)?;
    for (name, origin) in &resolved.origins {
        tracing::debug!(parameter = name, %origin, "connection parameter");
    }
    Ok(resolved)
}

/// libpq's variables; others are nobody's business.
fn variables() -> BTreeMap<String, Zeroizing<String>> {
    let all = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG"));
    all.filter_map(|(name, value)| Some((name.into_string().ok()?, Zeroizing::new(value.into_string().ok()?))))
        .collect()
}

/// The account's name, which libpq takes from the system and not from the environment (`pg_fe_getusername`).
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
fn account() -> Option<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let known = lines.find(|fields| fields.get(2) == Some(&id.as_str())).map(|fields| fields[0].to_owned());
    // Accounts of a directory service don't stand in the file.
    let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    known.or_else(|| named("USER")).or_else(|| named("LOGNAME"))
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
