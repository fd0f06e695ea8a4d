//! Which server: from the command line, a saved profile, the environment, service and password files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use zeroize::Zeroizing;

use super::exit::{Exit, Stop};
use super::{inputs, prompt};
use crate::connection::inputs::{Given, Origin, Resolved};
use crate::connection::settings::Tunnel;
use crate::connection::{Secret, Settings, parameters, printable};
use crate::profile::saved::{PasswordSource, Saved};
use crate::profile::secrets::{self, Found};
use crate::profile::store::Store;
use crate::profile::{Method, Profile, Provider, Selection, TableName, schema_name, split_list};

/// The source and what is wanted from it, for every command that takes a URI.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// The source: a postgres:// URI or "host=… dbname=…"; parts left out come from the profile, the service file, and libpq's variables (PGHOST, PGUSER, PGPASSWORD, …)
    #[arg(value_name = "URI")]
    pub uri: Option<String>,
    /// A saved profile; what stands beside it on the command line wins
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Reads the password from this file's first line (- for standard input) instead of anywhere else
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub ssh: SshArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub wanted: WantedArgs,
}

/// A bastion on the way to the source.
#[derive(Args, Clone, Debug, Default)]
pub struct SshArgs {
    /// Goes through this bastion with ssh: a host or an alias of your ssh configuration
    #[arg(long, value_name = "[USER@]HOST[:PORT]", allow_hyphen_values = true)]
    pub ssh: Option<String>,
    /// The private key for the bastion, if not the configured one
    #[arg(long, value_name = "FILE", requires = "ssh")]
    pub ssh_key: Option<PathBuf>,
    /// A jump host in front of the bastion
    #[arg(long, value_name = "[USER@]HOST[:PORT]", requires = "ssh", allow_hyphen_values = true)]
    pub ssh_jump: Option<String>,
    /// An ssh configuration file instead of your own
    #[arg(long, value_name = "FILE", requires = "ssh")]
    pub ssh_config: Option<PathBuf>,
}

/// A profile with where its parts came from.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The profile.
    pub profile: Profile,
    /// Whether somebody said which tables.
    pub asked: bool,
    /// Where the source's parameters came from, by libpq's keyword.
    pub origins: BTreeMap<&'static str, Origin>,
    /// Where the password comes from when the profile is saved.
    pub password: PasswordSource,
}

impl SshArgs {
    /// The bastion that these arguments describe, if one.
    ///
    /// # Errors
    /// When its port is no number.
    pub fn tunnel(&self) -> Result<Option<Tunnel>, Stop> {
        let Some(text) = &self.ssh else { return Ok(None) };
        // An address of IPv6 has colons of its own; one with a port is written in brackets.
        let (destination, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (text.as_str(), None),
        };
        let number = |port: &str| {
            port.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                usage(format!("The port of --ssh \"{}\" is no number from 1 to 65535.", printable(text)))
            })
        };
        Ok(Some(Tunnel {
            destination: destination.replace(['[', ']'], ""),
            port: port.map(number).transpose()?,
            identity: self.ssh_key.clone(),
            jump: self.ssh_jump.clone(),
            config: self.ssh_config.clone(),
        }))
    }
}

/// What is wanted from the source.
#[derive(Args, Clone, Debug, Default)]
pub struct WantedArgs {
    /// How changes are found: cdc (write-ahead log, sees deletes) or xmin (re-reads newer rows) [default: cdc]
    #[arg(long, value_name = "METHOD", value_parser = ["cdc", "xmin"])]
    pub method: Option<String>,
    /// Every table of these schemas, double quotes around a name with a comma [default: public; for run, the whole publication]
    #[arg(long, value_name = "S1,S2", conflicts_with = "tables")]
    pub schemas: Vec<String>,
    /// Exactly these tables
    #[arg(long, value_name = "S.T,…")]
    pub tables: Vec<String>,
    /// The publication's name [default: walpilot_publication]
    #[arg(long, value_name = "NAME")]
    pub publication: Option<String>,
    /// The replication slot's name [default: walpilot_slot]
    #[arg(long, value_name = "NAME")]
    pub slot: Option<String>,
    /// Follow changes only, without copying the rows that exist
    #[arg(long)]
    pub no_initial_copy: bool,
    /// Word fixes for this platform, whatever the server looks like
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Provider::ALL.map(|(_, key, _)| key)), hide_possible_values = true)]
    pub provider: Option<String>,
}

impl SourceArgs {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let wanted = &self.wanted;
        let named = wanted.method.is_none()
            && wanted.publication.is_none()
            && wanted.slot.is_none()
            && wanted.provider.is_none();
        let nothing =
            self.uri.is_none() && self.profile.is_none() && self.password_file.is_none() && self.ssh.ssh.is_none();
        nothing && named && wanted.schemas.is_empty() && wanted.tables.is_empty() && !wanted.no_initial_copy
    }

    /// The profile that these arguments describe.
    ///
    /// # Errors
    /// When an argument, a variable or a file can't be read; the sentence names it.
    pub fn profile(&self) -> Result<Profile, Stop> {
        self.opened(true).map(|opened| opened.profile)
    }

    /// The same with where its values came from. `ask`: a password that nothing else gives is asked for.
    ///
    /// # Errors
    /// As [`Self::profile`].
    pub fn opened(&self, ask: bool) -> Result<Opened, Stop> {
        self.opened_over(self.saved()?, ask)
    }

    /// The same over a profile that is given with its name.
    ///
    /// # Errors
    /// As [`Self::profile`].
    pub fn opened_over(&self, saved: Option<(String, Saved)>, ask: bool) -> Result<Opened, Stop> {
        let mut resolved = self.resolved(saved.as_ref())?;
        let kept = saved.as_ref().map(|(_, saved)| saved.password.clone());
        let found = self.secrets(kept.as_ref(), &resolved.settings, ask)?;
        if let Some(password) = found.password {
            resolved.settings = resolved.settings.with_password(Some(password));
            resolved.origins.insert("password", Origin::Field);
        }
        let passphrase = &mut resolved.settings.tls.key_passphrase;
        *passphrase = passphrase.take().or(found.key_passphrase);
        let found = match resolved.origins.get("password") {
            Some(Origin::Environment(_)) => PasswordSource::Env,
            Some(Origin::PasswordFile(_)) => PasswordSource::Pgpass,
            _ => PasswordSource::Prompt,
        };
        let asked = !self.wanted.schemas.is_empty() || !self.wanted.tables.is_empty() || saved.is_some();
        let profile = self.over(saved, resolved.settings)?;
        Ok(Opened { profile, asked, origins: resolved.origins, password: kept.unwrap_or(found) })
    }

    fn over(&self, saved: Option<(String, Saved)>, source: Settings) -> Result<Profile, Stop> {
        let base = match saved {
            Some((name, saved)) => {
                saved.profile(source).map_err(|error| usage(format!("The profile {name}: {error}.")))?
            }
            None => Profile::new(source),
        };
        self.wanted.over(base)
    }

    /// The saved profile that is named, with its name.
    ///
    /// # Errors
    /// When there is none, or it can't be used.
    pub fn saved(&self) -> Result<Option<(String, Saved)>, Stop> {
        let Some(name) = &self.profile else { return Ok(None) };
        let saved = Store::of_user().and_then(|store| store.load(name)).map_err(|error| usage(error.to_string()))?;
        Ok(Some((name.clone(), saved)))
    }

    /// The source without what has to be asked for: the settings that arguments, profile and surroundings give.
    ///
    /// # Errors
    /// As [`Self::profile`].
    pub fn source(&self, saved: Option<&(String, Saved)>) -> Result<Settings, Stop> {
        self.resolved(saved).map(|resolved| resolved.settings)
    }

    fn resolved(&self, saved: Option<&(String, Saved)>) -> Result<Resolved, Stop> {
        let profile = saved.map(|(name, saved)| Ok((name.clone(), saved.pairs()?))).transpose();
        let profile =
            profile.map_err(|error: crate::profile::saved::BadProfile| usage(format!("The profile: {error}.")))?;
        let mut resolved = given(self.uri.as_deref(), profile)?;
        resolved.settings.tunnel = self.ssh.tunnel()?.or_else(|| saved.and_then(|(_, saved)| saved.tunnel()));
        Ok(resolved)
    }

    /// Secrets that come from none of libpq's places. `ask`: now, also from the user; the wizard does it itself.
    fn secrets(&self, source: Option<&PasswordSource>, settings: &Settings, ask: bool) -> Result<Found, Stop> {
        let only = |password| Found { password, key_passphrase: None };
        if let Some(file) = &self.password_file {
            return password_from(file).map(|password| only(Some(password)));
        }
        let Some(source) = source.filter(|_| ask) else { return Ok(Found::default()) };
        let fetching = async { secrets::fetch(source, settings).await };
        let mut found =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(fetching)).map_err(usage)?;
        let asked = matches!(source, PasswordSource::Prompt | PasswordSource::Keyring);
        if asked && found.password.is_none() && settings.password.is_none() {
            found.password = prompt::secret(&format!("Password for {settings}"))?;
        }
        Ok(found)
    }
}

impl WantedArgs {
    /// The profile that these arguments describe, of `source`.
    ///
    /// # Errors
    /// When an argument can't be read; the sentence names it.
    pub fn profile(&self, source: Settings) -> Result<Profile, Stop> {
        self.over(Profile::new(source))
    }

    /// `profile` with what these arguments say instead.
    ///
    /// # Errors
    /// As [`Self::profile`].
    pub fn over(&self, mut profile: Profile) -> Result<Profile, Stop> {
        match self.method.as_deref() {
            Some("xmin") => profile.method = Method::Xmin,
            Some(_) => profile.method = Method::Cdc,
            None => {}
        }
        if !self.tables.is_empty() {
            let tables: Result<Vec<TableName>, _> = listed(&self.tables).map(str::parse).collect();
            profile.selection = Selection::Tables(tables.map_err(|error| usage(error.to_string()))?);
        } else if !self.schemas.is_empty() {
            profile.selection = Selection::Schemas(listed(&self.schemas).map(schema_name).collect());
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
        profile.initial_copy &= !self.no_initial_copy;
        profile.provider = self.provider.as_deref().and_then(Provider::of_key).or(profile.provider);
        Ok(profile)
    }
}

/// The names in lists that may be given several times.
fn listed(lists: &[String]) -> impl Iterator<Item = &str> {
    lists.iter().flat_map(|list| split_list(list))
}

/// Connection settings from a connection string of the command line over what surrounds us.
///
/// # Errors
/// When the string, a variable or a file can't be read.
pub fn settings(text: Option<&str>) -> Result<Settings, Stop> {
    given(text, None).map(|resolved| resolved.settings)
}

/// Settings of a destination: libpq's variables speak of the source, so of them only the role's name and those that
/// name files count. WALPILOT_TO_PASSWORD is its password, unless the string has one.
///
/// # Errors
/// As [`settings`].
pub fn destination(text: &str) -> Result<Settings, Stop> {
    inputs::warn_of_secrets(text);
    let given = Given { text: Some(Zeroizing::new(text.to_owned())), ..Given::default() };
    let resolved = inputs::second(&given, "The destination's connection parameters")?;
    let explicit = *resolved.origin("password") == Origin::ConnectionString;
    Ok(match var("WALPILOT_TO_PASSWORD") {
        Some(password) if !explicit => resolved.settings.with_password(Some(Secret::new(password))),
        _ => resolved.settings,
    })
}

/// Settings of another role at the source: what `text` does not say is as there, but for the password.
///
/// # Errors
/// As [`settings`].
pub fn beside(text: &str, source: &Settings, what: &str) -> Result<Settings, Stop> {
    inputs::warn_of_secrets(text);
    let pairs = parameters::without_secrets(source).into_iter().map(|(name, value)| (name, Zeroizing::new(value)));
    let given = Given {
        text: Some(Zeroizing::new(text.to_owned())),
        profile: Some(("the source".to_owned(), pairs.collect())),
        ..Given::default()
    };
    let mut settings = inputs::second(&given, what)?.settings;
    settings.tunnel.clone_from(&source.tunnel);
    settings.tls.key_passphrase = settings.tls.key_passphrase.or_else(|| source.tls.key_passphrase.clone());
    Ok(settings)
}

fn given(
    text: Option<&str>,
    profile: Option<(String, Vec<crate::connection::keyword::Pair>)>,
) -> Result<Resolved, Stop> {
    if let Some(text) = text {
        inputs::warn_of_secrets(text);
    }
    let text = text.map(|text| Zeroizing::new(text.to_owned()));
    inputs::resolved(&Given { text, profile, ..Given::default() })
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
