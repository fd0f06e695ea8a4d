//! Where each connection parameter comes from, in libpq's order: what was given explicitly, the service file, the
//! environment, the defaults (`conninfo_add_defaults` in `fe-connect.c`); a password that none of them has comes from
//! the password file.
//!
//! Pure: strings, variables and files come in as values, so that every rule is a table in a test. Each value keeps its
//! [`Origin`], so that the user can be shown where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keyword::{PARAMETERS, Pair, UriError, wrong};
use super::parameters::{self, Values};
use super::passfile::{self, SOCKET_DIRECTORIES, Wanted};
use super::settings::Settings;
use super::{printable, service, uri};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was given on its own: a field of a form, an option of the command line.
    Field,
    /// It stands in the connection string.
    ConnectionString,
    /// A saved profile of this name.
    Profile(String),
    /// A section of this `pg_service.conf`.
    ServiceFile(PathBuf),
    /// This environment variable.
    Environment(&'static str),
    /// This `~/.pgpass`.
    PasswordFile(PathBuf),
    /// This file, which libpq uses where it exists and none is named (`~/.postgresql/root.crt`).
    DefaultFile(PathBuf),
    /// libpq's default, or walpilot's.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| printable(&path.to_string_lossy()).into_owned();
        match self {
            Self::Field => f.write_str("given"),
            Self::ConnectionString => f.write_str("connection string"),
            Self::Profile(name) => write!(f, "profile {}", printable(name)),
            Self::ServiceFile(path) => write!(f, "service file {}", shown(path)),
            Self::Environment(variable) => f.write_str(variable),
            Self::PasswordFile(path) => write!(f, "password file {}", shown(path)),
            Self::DefaultFile(path) => write!(f, "default file {}", shown(path)),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What was given explicitly.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// A connection string.
    pub text: Option<Zeroizing<String>>,
    /// Single parameters, which win over the connection string. A `dbname` that is itself a connection string is taken
    /// apart, as `PQconnectdbParams` and with it `psql -d` do.
    pub fields: Vec<Pair>,
    /// A saved profile: its name and its parameters, which fill in what neither of the above says.
    pub profile: Option<(String, Vec<Pair>)>,
}

/// A file as it was found.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its content.
    pub text: Zeroizing<String>,
    /// Whether it is a plain file, not a directory, pipe or device.
    pub plain: bool,
    /// Whether group and others have no right on it.
    pub private: bool,
}

/// What surrounds walpilot and libpq looks at.
pub struct Surroundings<'a> {
    /// The environment.
    pub variables: &'a BTreeMap<String, Zeroizing<String>>,
    /// The home directory.
    pub home: Option<&'a Path>,
    /// The name of the operating system's account, libpq's default for `user`.
    pub account: Option<&'a str>,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Seen>,
    /// Whether something is at this path.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

/// What to connect to, and where it was said.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The result.
    pub settings: Settings,
    /// Where each parameter came from, by keyword; what is not in it was left at its default.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What the user should know: a password file that was ignored, a value that looks wrong. Safe to show.
    pub notes: Vec<String>,
}

impl Resolved {
    /// Where the parameter of this keyword came from.
    #[must_use]
    pub fn origin(&self, keyword: &str) -> &Origin {
        self.origins.get(keyword).unwrap_or(&Origin::Default)
    }
}

/// Where Debian's libpq looks for `pg_service.conf` after the home directory, unless PGSYSCONFDIR says otherwise.
const SYSTEM_DIRECTORY: &str = "/etc/postgresql-common";

#[derive(Default)]
struct Collected {
    values: Values,
    origins: BTreeMap<&'static str, Origin>,
    notes: Vec<String>,
}

impl Collected {
    /// Takes what has no value yet.
    fn fill(&mut self, pairs: impl IntoIterator<Item = Pair>, origin: &Origin) {
        for (name, value) in pairs {
            if !self.values.contains_key(name) {
                self.values.insert(name, value);
                self.origins.insert(name, origin.clone());
            }
        }
    }
}

/// Brings together everything that says what to connect to.
///
/// # Errors
/// One sentence that names the parameter, variable or file that can't be read; it repeats no value.
pub fn resolve(given: &Given, around: &Surroundings<'_>) -> Result<Resolved, UriError> {
    let mut all = Collected::default();
    explicit(given, &mut all)?;
    from_service(around, &mut all)?;
    from_environment(around, &mut all);
    let base = defaults(&all.values, around)?;
    let mut settings = parameters::apply(&all.values, &base).map_err(|error| named(error, &all))?;
    from_password_file(around, &mut all, &mut settings);
    default_files(around, &mut all);
    Ok(Resolved { settings, origins: all.origins, notes: all.notes })
}

fn explicit(given: &Given, all: &mut Collected) -> Result<(), UriError> {
    let origin = Origin::Field;
    let whole = |pair: &&Pair| pair.0 == "dbname" && uri::is_connection_string(&pair.1);
    all.fill(given.fields.iter().filter(|pair| !whole(pair)).cloned(), &origin);
    for (_, text) in given.fields.iter().filter(whole) {
        all.fill(last_of_each(uri::pairs(text)?), &origin);
    }
    if let Some(text) = &given.text {
        let pairs = uri::pairs(text)?;
        let swallowed = |value: &str| {
            value.split_once('=').is_some_and(|(name, _)| PARAMETERS.iter().any(|parameter| parameter.name == name))
        };
        if pairs.iter().any(|(name, value)| *name == "password" && swallowed(value)) {
            all.notes.push(
                "The password begins like another parameter: in \"password= user=x\" all after the sign is the \
                 password; write password='' for none."
                    .to_owned(),
            );
        }
        all.fill(last_of_each(pairs), &Origin::ConnectionString);
    }
    if let Some((name, pairs)) = &given.profile {
        all.fill(pairs.iter().cloned(), &Origin::Profile(name.clone()));
    }
    Ok(())
}

/// Of several values for one parameter in a connection string the last counts.
fn last_of_each(pairs: Vec<Pair>) -> Values {
    pairs.into_iter().collect()
}

fn variable<'a>(around: &Surroundings<'a>, name: &str) -> Option<&'a str> {
    around.variables.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
}

fn from_service(around: &Surroundings<'_>, all: &mut Collected) -> Result<(), UriError> {
    let name = match all.values.get("service") {
        Some(name) => name.to_string(),
        None => match variable(around, "PGSERVICE") {
            Some(name) => name.to_owned(),
            None => return Ok(()),
        },
    };
    let shown = printable(&name).into_owned();
    let unreadable = |path: &Path, error: &io::Error| {
        wrong(format!("the service file {} can't be read: {error}", printable(&path.to_string_lossy())))
    };
    let system = variable(around, "PGSYSCONFDIR").unwrap_or(SYSTEM_DIRECTORY);
    let own = match variable(around, "PGSERVICEFILE") {
        Some(file) => {
            let path = PathBuf::from(file);
            // Only a file that was named must exist.
            (around.read)(&path).map_err(|error| unreadable(&path, &error))?;
            Some(path)
        }
        None => around.home.map(|home| home.join(".pg_service.conf")),
    };
    for path in own.into_iter().chain([Path::new(system).join("pg_service.conf")]) {
        let seen = match (around.read)(&path) {
            Ok(seen) => seen,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let found = service::section(&seen.text, &name)
            .map_err(|error| wrong(format!("{}: {error}", printable(&path.to_string_lossy()))))?;
        if let Some(pairs) = found {
            all.fill(pairs, &Origin::ServiceFile(path));
            return Ok(());
        }
    }
    Err(wrong(format!(
        "there is no service \"{shown}\" in ~/.pg_service.conf (PGSERVICEFILE) or {system}/pg_service.conf"
    )))
}

fn from_environment(around: &Surroundings<'_>, all: &mut Collected) {
    for parameter in PARAMETERS {
        let Some(name) = parameter.variable else { continue };
        if let Some(value) = variable(around, name) {
            all.fill([(parameter.name, Zeroizing::new(value.to_owned()))], &Origin::Environment(name));
        }
    }
    if variable(around, "PGREQUIRESSL").is_some_and(|value| value.starts_with('1')) {
        all.fill([("sslmode", Zeroizing::new("require".to_owned()))], &Origin::Environment("PGREQUIRESSL"));
    }
}

/// Settings with libpq's defaults: the account's name for the role, the role's for the database, and the local socket.
fn defaults(values: &Values, around: &Surroundings<'_>) -> Result<Settings, UriError> {
    let given = |name: &str| values.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty());
    let Some(user) = given("user").or(around.account) else {
        return Err(wrong("no user name is given, and this account has none; use user=… or PGUSER"));
    };
    let port = given("port").and_then(|port| port.split(',').next()).filter(|port| !port.is_empty()).unwrap_or("5432");
    let socket = |directory: &&str| (around.exists)(&Path::new(directory).join(format!(".s.PGSQL.{port}")));
    let directory = SOCKET_DIRECTORIES
        .iter()
        .find(|directory| socket(directory))
        .or_else(|| SOCKET_DIRECTORIES.iter().find(|directory| (around.exists)(Path::new(directory))))
        .unwrap_or(&SOCKET_DIRECTORIES[0]);
    Ok(Settings {
        host: (*directory).to_owned(),
        user: user.to_owned(),
        database: given("dbname").unwrap_or(user).to_owned(),
        ..Settings::default()
    })
}

/// Says where a bad value came from, if not from the connection string itself.
fn named(error: UriError, all: &Collected) -> UriError {
    let text = error.to_string();
    let origin = all.origins.iter().find(|(name, _)| text.starts_with(&format!("{name} "))).map(|(_, origin)| origin);
    match origin {
        Some(origin @ (Origin::Environment(_) | Origin::ServiceFile(_) | Origin::Profile(_))) => {
            wrong(format!("{text} (from {origin})"))
        }
        _ => error,
    }
}

/// Notes libpq's default files that are there, because they are used without a word.
fn default_files(around: &Surroundings<'_>, all: &mut Collected) {
    let Some(folder) = around.home.map(|home| home.join(".postgresql")) else { return };
    for (name, file) in [("sslrootcert", "root.crt"), ("sslcert", "postgresql.crt"), ("sslkey", "postgresql.key")] {
        let path = folder.join(file);
        if all.values.get(name).is_none_or(|value| value.is_empty()) && (around.exists)(&path) {
            all.origins.insert(name, Origin::DefaultFile(path));
        }
    }
}

fn from_password_file(around: &Surroundings<'_>, all: &mut Collected, settings: &mut Settings) {
    if settings.password.is_some() {
        return;
    }
    let named = all.values.get("passfile").filter(|path| !path.is_empty()).map(|path| PathBuf::from(path.as_str()));
    let Some(path) = named.or_else(|| around.home.map(|home| home.join(".pgpass"))) else { return };
    // libpq says nothing about a file that is not there.
    let Ok(seen) = (around.read)(&path) else { return };
    let shown = printable(&path.to_string_lossy()).into_owned();
    if !seen.plain {
        all.notes.push(format!("The password file {shown} was ignored: it is not a plain file."));
        return;
    }
    if !seen.private {
        all.notes
            .push(format!("The password file {shown} was ignored: group or others may read it; run chmod 0600 on it."));
        return;
    }
    let look_up = |host: &str, port: u16| {
        let wanted = Wanted { host, port, database: &settings.database, user: &settings.user };
        passfile::look_up(&seen.text, wanted)
    };
    let first = look_up(settings.place(), settings.port);
    let others: Vec<_> = settings.alternatives.iter().map(|other| look_up(other.place(), other.port)).collect();
    if first.is_none() && others.iter().all(Option::is_none) {
        return;
    }
    settings.password = first;
    for (other, password) in settings.alternatives.iter_mut().zip(others) {
        other.password = password;
    }
    settings.password_file = Some(path.clone());
    all.origins.insert("password", Origin::PasswordFile(path));
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
