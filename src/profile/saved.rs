//! A profile as it stands in a file: everything but secrets, in the words of the command line and of libpq.
//!
//! ```toml
//! method = "cdc"
//! schemas = ["public"]
//! publication = "walpilot_publication"
//! slot = "walpilot_slot"
//!
//! [source]
//! host = "db.example"
//! dbname = "shop"
//! user = "repl"
//! sslmode = "verify-full"
//!
//! [password]
//! source = "command"
//! command = ["/usr/bin/pass", "show", "shop/repl"]
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::alerts::Alerts;
use super::{Method, Profile, Provider, Selection, SetupChoices, TableName};
use crate::connection::keyword::{self, Pair};
use crate::connection::parameters;
use crate::connection::printable;
use crate::connection::settings::{Settings, Tunnel};

/// Where the password comes from when the profile is used; never the password itself.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase", deny_unknown_fields)]
pub enum PasswordSource {
    /// From PGPASSWORD or the password file if they have one, else it is asked for on the terminal.
    #[default]
    Prompt,
    /// From PGPASSWORD.
    Env,
    /// From the password file (`~/.pgpass`).
    Pgpass,
    /// From the system's keyring, and asked for if it has none.
    Keyring,
    /// The first line that a program prints.
    Command {
        /// The program, by its absolute path, and its arguments; no shell reads them.
        command: Vec<String>,
    },
}

/// A bastion, as in [`Tunnel`].
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of Tunnel")]
pub struct SavedTunnel {
    pub destination: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
}

/// A profile without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Saved {
    /// How changes are found.
    pub method: Method,
    /// Whole schemas.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<String>,
    /// Single tables, as people type them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// The publication's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publication: Option<String>,
    /// The slot's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Whether changes are followed without copying the rows that exist.
    pub no_initial_copy: bool,
    /// Whose platform the source runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// What the setup makes beyond what is missing.
    #[serde(skip_serializing_if = "SetupChoices::is_default")]
    pub setup: SetupChoices,
    /// The source: libpq's parameters.
    pub source: BTreeMap<String, String>,
    /// Where the password comes from.
    pub password: PasswordSource,
    /// A bastion on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SavedTunnel>,
    /// Thresholds of the diagnosis.
    #[serde(skip_serializing_if = "Alerts::is_empty")]
    pub alerts: Alerts,
}

/// Why a profile can't be used; one sentence without a full stop, safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadProfile(pub(super) String);

/// Parameters that never stand in a profile: libpq's secrets, and those that would bring other sources into play.
const NEVER: [&str; 6] =
    ["password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key", "service"];

impl Saved {
    /// What is worth keeping of `profile`.
    #[must_use]
    pub fn of(profile: &Profile, password: PasswordSource) -> Self {
        let source = parameters::without_secrets(&profile.source);
        let (schemas, tables) = match &profile.selection {
            Selection::Schemas(names) => (names.clone(), Vec::new()),
            Selection::Tables(tables) => (Vec::new(), tables.iter().map(ToString::to_string).collect()),
        };
        Self {
            method: profile.method,
            schemas,
            tables,
            publication: Some(profile.publication.clone()),
            slot: Some(profile.slot.clone()),
            no_initial_copy: !profile.initial_copy,
            provider: profile.provider,
            setup: profile.setup,
            source: source.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            password,
            ssh: profile.source.tunnel.as_ref().map(|tunnel| SavedTunnel {
                destination: tunnel.destination.clone(),
                port: tunnel.port,
                identity: tunnel.identity.clone(),
                jump: tunnel.jump.clone(),
                config: tunnel.config.clone(),
            }),
            alerts: profile.alerts.clone(),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// When it is not such a profile; the sentence gives the line.
    pub fn from_toml(text: &str) -> Result<Self, BadProfile> {
        let saved: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].lines().count().max(1));
            let at = line.map_or_else(String::new, |line| format!("line {line}: "));
            // The library's message repeats names that it does not know, and no values of known ones.
            BadProfile(format!("{at}{}", printable(error.message().trim_end_matches('.'))))
        })?;
        saved.pairs()?;
        saved.selection()?;
        if let PasswordSource::Command { command } = &saved.password
            && command.first().is_none_or(|program| !program.starts_with('/'))
        {
            return Err(BadProfile("the password command must begin with the absolute path of a program".to_owned()));
        }
        Ok(saved)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// When a value can't stand in the file, which no value that was read can cause.
    pub fn to_toml(&self) -> Result<String, BadProfile> {
        toml::to_string(self).map_err(|error| BadProfile(printable(&error.to_string()).into_owned()))
    }

    /// The source's parameters.
    ///
    /// # Errors
    /// When one is unknown, or a secret.
    pub fn pairs(&self) -> Result<Vec<Pair>, BadProfile> {
        let pair = |(name, value): (&String, &String)| {
            if NEVER.contains(&name.as_str()) {
                return Err(BadProfile(format!("{name} must not stand in a profile; see [password]")));
            }
            keyword::pair(name, Zeroizing::new(value.clone())).map_err(|error| BadProfile(error.to_string()))
        };
        self.source.iter().map(pair).collect()
    }

    /// The bastion.
    #[must_use]
    pub fn tunnel(&self) -> Option<Tunnel> {
        self.ssh.as_ref().map(|ssh| Tunnel {
            destination: ssh.destination.clone(),
            port: ssh.port,
            identity: ssh.identity.clone(),
            jump: ssh.jump.clone(),
            config: ssh.config.clone(),
        })
    }

    fn selection(&self) -> Result<Selection, BadProfile> {
        if self.tables.is_empty() {
            return Ok(if self.schemas.is_empty() {
                Selection::default()
            } else {
                Selection::Schemas(self.schemas.clone())
            });
        }
        if !self.schemas.is_empty() {
            return Err(BadProfile("there are both schemas and tables; name one of the two".to_owned()));
        }
        let tables: Result<Vec<TableName>, _> = self.tables.iter().map(|text| text.parse()).collect();
        tables.map(Selection::Tables).map_err(|error| BadProfile(error.to_string()))
    }

    /// The profile with this source, which was brought together from [`Self::pairs`] and what else is known.
    ///
    /// # Errors
    /// When a table's name can't be read.
    pub fn profile(&self, source: Settings) -> Result<Profile, BadProfile> {
        let mut profile = Profile::new(source);
        profile.method = self.method;
        profile.selection = self.selection()?;
        if let Some(name) = &self.publication {
            profile.publication.clone_from(name);
        }
        if let Some(name) = &self.slot {
            profile.slot.clone_from(name);
        }
        profile.initial_copy = !self.no_initial_copy;
        profile.setup = self.setup;
        profile.alerts = self.alerts.clone();
        profile.provider = self.provider;
        Ok(profile)
    }
}

#[cfg(test)]
mod tests {
    use super::{PasswordSource, Saved};
    use crate::connection::{Secret, Settings, parameters, uri};
    use crate::profile::{Coverage, Method, Profile, Selection, SetupChoices, TableName};

    fn full() -> Profile {
        let text = "host=a,b port=1,2 user=u dbname='we\"ird' sslmode=verify-full sslrootcert=/r.pem password=S3NT1NEL \
                    sslpassword=S3NT1NEL";
        let mut profile = Profile::new(uri::parse(text, &Settings::default()).unwrap());
        profile.method = Method::Xmin;
        profile.selection = Selection::Tables(vec![TableName::new("Sales", "a.b")]);
        profile.initial_copy = false;
        profile.setup = SetupChoices { cover: Coverage::Schemas, heartbeat: true, ..SetupChoices::default() };
        profile
    }

    #[test]
    fn a_profile_comes_back_without_its_secrets() {
        let profile = full();
        for password in [
            PasswordSource::Prompt,
            PasswordSource::Keyring,
            PasswordSource::Command { command: vec!["/bin/x".into(), "y z".into()] },
        ] {
            let text = Saved::of(&profile, password.clone()).to_toml().unwrap();
            assert!(!text.contains("S3NT1NEL"), "{text}");
            let saved = Saved::from_toml(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(saved.password, password);
            let values: parameters::Values = saved.pairs().unwrap().into_iter().collect();
            let mut source = parameters::apply(&values, &Settings::default()).unwrap();
            source.password = Some(Secret::new("S3NT1NEL"));
            source.tls.key_passphrase.clone_from(&profile.source.tls.key_passphrase);
            assert_eq!(saved.profile(source).unwrap(), profile);
        }
    }

    #[test]
    fn what_does_not_belong_there_is_named() {
        for (text, named) in [
            ("[source]\npassword = \"S3NT1NEL\"", "password"),
            ("[source]\nsslpassword = \"S3NT1NEL\"", "sslpassword"),
            ("[source]\nhots = \"S3NT1NEL\"", "hots"),
            ("slots = \"S3NT1NEL\"", "slots"),
            ("\n\nmethod = \"sideways\"", "line 3"),
            ("[password]\nsource = \"vault\"", "vault"),
            ("[password]\nsource = \"command\"\ncommand = [\"pass\"]", "absolute"),
            ("[password]\nsource = \"command\"\ncommand = []", "absolute"),
            ("[setup]\ncover = \"everything\"", "everything"),
            ("[alerts]\nlag = { warning = \"5MB\" }", "alerts.lag.warning"),
            ("schemas = [\"a\"]\ntables = [\"b\"]", "both"),
            ("tables = [\"a.b.c\"]", "a.b.c"),
        ] {
            let error = Saved::from_toml(text).expect_err(text).to_string();
            assert!(error.contains(named) && !error.contains("S3NT1NEL"), "{text}: {error}");
        }
    }
}
