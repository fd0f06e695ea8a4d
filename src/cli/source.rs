//! Which server: from the command line, the environment and a password file.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Exit, Stop};
use crate::connection::{Secret, Settings, printable, uri};
use crate::profile::{Method, Profile, Selection, TableName};

/// The source and what is wanted from it, for every command that takes a URI.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// The source: a postgres:// URI or "host=… dbname=…"; parts left out come from PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD and PGSSLMODE
    #[arg(value_name = "URI")]
    pub uri: Option<String>,
    /// Reads the password from this file's first line (- for standard input) instead of the URI or PGPASSWORD
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub wanted: WantedArgs,
}

/// What is wanted from the source.
#[derive(Args, Clone, Debug, Default)]
pub struct WantedArgs {
    /// How changes are found: cdc (write-ahead log, sees deletes) or xmin (re-reads newer rows)
    #[arg(long, value_name = "METHOD", default_value = "cdc", value_parser = ["cdc", "xmin"])]
    pub method: Option<String>,
    /// Every table of these schemas [default: public; for run, the whole publication]
    #[arg(long, value_name = "S1,S2", value_delimiter = ',', conflicts_with = "tables")]
    pub schemas: Vec<String>,
    /// Exactly these tables
    #[arg(long, value_name = "S.T,…", value_delimiter = ',')]
    pub tables: Vec<String>,
    /// The publication's name
    #[arg(long, value_name = "NAME", default_value = Profile::DEFAULT_PUBLICATION)]
    pub publication: Option<String>,
    /// The replication slot's name
    #[arg(long, value_name = "NAME", default_value = Profile::DEFAULT_SLOT)]
    pub slot: Option<String>,
    /// Follow changes only, without copying the rows that exist
    #[arg(long)]
    pub no_initial_copy: bool,
}

impl SourceArgs {
    /// The profile that these arguments describe.
    ///
    /// # Errors
    /// When an argument can't be read; the sentence names it.
    pub fn profile(&self) -> Result<Profile, Stop> {
        let mut source = settings(self.uri.as_deref())?;
        if let Some(file) = &self.password_file {
            source.password = Some(password_from(file)?);
        }
        self.wanted.profile(source)
    }
}

impl WantedArgs {
    /// The profile that these arguments describe, of `source`.
    ///
    /// # Errors
    /// When an argument can't be read; the sentence names it.
    pub fn profile(&self, source: Settings) -> Result<Profile, Stop> {
        let mut profile = Profile::new(source);
        if self.method.as_deref() == Some("xmin") {
            profile.method = Method::Xmin;
        }
        if !self.tables.is_empty() {
            let tables: Result<Vec<TableName>, _> = self.tables.iter().map(|text| text.parse()).collect();
            profile.selection = Selection::Tables(tables.map_err(|error| usage(error.to_string()))?);
        } else if !self.schemas.is_empty() {
            profile.selection = Selection::Schemas(self.schemas.clone());
        }
        if let Some(name) = &self.publication {
            profile.publication.clone_from(name);
        }
        if let Some(name) = &self.slot {
            profile.slot.clone_from(name);
        }
        if !crate::catalog::ident::is_slot_name(&profile.slot) {
            return Err(usage(format!(
                "The slot name \"{}\" is not valid: use 1 to 63 lower-case letters, digits and underscores.",
                printable(&profile.slot)
            )));
        }
        profile.initial_copy = !self.no_initial_copy;
        Ok(profile)
    }
}

/// Connection settings from a connection string over the environment.
///
/// # Errors
/// When the string or a variable can't be read.
pub fn settings(text: Option<&str>) -> Result<Settings, Stop> {
    let defaults = from_environment()?;
    let settings = match text {
        Some(text) => uri::parse(text, &defaults).map_err(|error| usage(format!("The connection string: {error}.")))?,
        None => defaults,
    };
    Ok(settings)
}

/// libpq's environment variables (PostgreSQL documentation, "Environment Variables").
fn from_environment() -> Result<Settings, Stop> {
    let mut settings = Settings::default();
    if let Some(user) = var("PGUSER").or_else(|| var("USER")) {
        settings.database.clone_from(&user);
        settings.user = user;
    }
    if let Some(host) = var("PGHOST") {
        settings.host = host;
    }
    if let Some(port) = var("PGPORT") {
        settings.port = port.parse().map_err(|_| usage("PGPORT is not a port number."))?;
    }
    if let Some(database) = var("PGDATABASE") {
        settings.database = database;
    }
    if let Some(mode) = var("PGSSLMODE") {
        settings.ssl_mode = mode.parse().map_err(|error| usage(format!("PGSSLMODE: {error}.")))?;
    }
    settings.password = var("PGPASSWORD").map(Secret::new);
    Ok(settings)
}

/// An environment variable that is set, not empty and UTF-8.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a password from a file's first line.
///
/// # Errors
/// When the file can't be read or its first line is empty.
pub fn password_from(file: &Path) -> Result<Secret, Stop> {
    let shown = printable(&file.to_string_lossy()).into_owned();
    let text = if file == Path::new("-") {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    } else {
        std::fs::read_to_string(file)
    };
    let text = Secret::new(text.map_err(|error| usage(format!("The password file {shown} can't be read: {error}.")))?);
    match text.reveal().lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(usage(format!("The password file {shown} has an empty first line."))),
    }
}

fn usage(message: impl Into<String>) -> Stop {
    Stop::new(Exit::Usage, message)
}
