//! What to watch, for every command that does, and the samples of it.

use std::time::{Duration, SystemTime};

use super::duration;
use super::exit::{Exit, Stop};
use super::source::{self, SourceArgs};
use crate::connection::Failure;
use crate::monitor::{Moment, Sample, Sampler, Target};
use crate::profile::Method;
use crate::profile::alerts::Alerts;
use crate::profile::configuration::Configuration;
use crate::profile::store::{Store, StoreError};

/// The source, the other side, and what is of interest there.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TargetArgs {
    /// The source: a postgres:// URI or "host=… dbname=…"; parts left out come from the profile, the service file, and libpq's variables (PGHOST, PGUSER, PGPASSWORD, …)
    #[arg(value_name = "URI")]
    pub uri: Option<String>,
    /// A saved profile; what stands beside it on the command line wins
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Reads the source's password from this file's first line (- for standard input)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<std::path::PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub ssh: source::SshArgs,
    /// Where walpilot run writes, to show its progress and the rows there
    #[arg(long, value_name = "URI")]
    pub to: Option<String>,
    /// Reads the destination's password from this file's first line
    #[arg(long, value_name = "FILE")]
    pub to_password_file: Option<std::path::PathBuf>,
    /// The slot of most interest (all slots are shown)
    #[arg(long, value_name = "NAME")]
    pub slot: Option<String>,
    /// The publication whose tables are shown; without it, the largest tables
    #[arg(long, value_name = "NAME")]
    pub publication: Option<String>,
    /// The size of the volume with the source's WAL, like 100GB: PostgreSQL can't tell when it is full
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub wal_volume: Option<u64>,
}

impl TargetArgs {
    /// The saved profiles of these names, each with the rest of these arguments; `all` is every one of them.
    ///
    /// # Errors
    /// When there is none, or one can't be used.
    pub fn fleet(&self, names: &[String]) -> Result<Vec<(String, Target)>, Stop> {
        let mut names = names.to_owned();
        if names == ["all"] {
            let store = Store::of_user().and_then(|store| store.list());
            names = store.map_err(|error| Stop::new(Exit::Usage, error.to_string()))?;
            if names.is_empty() {
                return Err(Stop::new(Exit::Usage, "There is no saved profile; walpilot profiles save keeps one."));
            }
        }
        let target = |name: String| {
            let of_profile = Self { profile: Some(name.clone()), ..self.clone() };
            Ok((name, of_profile.target()?))
        };
        names.into_iter().map(target).collect()
    }

    /// The target that these arguments describe.
    ///
    /// # Errors
    /// When an argument, a variable or a file can't be read; the sentence names it.
    pub fn target(&self) -> Result<Target, Stop> {
        let source = SourceArgs {
            uri: self.uri.clone(),
            profile: self.profile.clone(),
            password_file: self.password_file.clone(),
            ssh: self.ssh.clone(),
            wanted: source::WantedArgs::default(),
        };
        let saved = source.saved()?;
        // What the file names is what the user means; walpilot's own proposals name nothing.
        let named = saved.as_ref().map(|(_, saved)| saved).filter(|saved| saved.method == Method::Cdc);
        let (slot, publication) = named.map_or((None, None), |saved| (saved.slot.clone(), saved.publication.clone()));
        let profile = source.opened_over(saved, true)?.profile;
        let mut destination = self.to.as_deref().map(source::destination).transpose()?;
        match (&self.to_password_file, &mut destination) {
            (Some(file), Some(destination)) => {
                *destination = destination.with_password(Some(source::password_from(file)?));
            }
            (Some(_), None) => return Err(Stop::new(Exit::Usage, "--to-password-file needs --to.")),
            (None, _) => {}
        }
        Ok(Target {
            slot: self.slot.clone().or(slot),
            publication: self.publication.clone().or(publication),
            source: profile.source,
            destination,
            wal_volume: self.wal_volume,
            alerts: alerts(profile.alerts)?,
            memory: crate::monitor::memory::directory(),
        })
    }
}

/// The user's configuration.
///
/// # Errors
/// When the file can't be read.
pub(super) fn configuration() -> Result<Configuration, Stop> {
    match Store::of_user().and_then(|store| store.configuration()) {
        // Whoever has no home directory has no configuration.
        Err(StoreError::NoHome) => Ok(Configuration::default()),
        other => other.map_err(|error| Stop::new(Exit::Usage, error.to_string())),
    }
}

/// The thresholds of a profile over those of the configuration.
fn alerts(own: Alerts) -> Result<Alerts, Stop> {
    let both = own.over(&configuration()?.alerts);
    both.map_err(|error| Stop::new(Exit::Usage, format!("The profile and the configuration together: {error}.")))
}

/// Samples of one target, over as many connections one after the other as it takes.
pub struct Samples {
    target: Target,
    sampler: Option<Sampler>,
}

impl Samples {
    /// Samples of a source that need not answer yet.
    #[must_use]
    pub fn of(target: Target) -> Self {
        Self { target, sampler: None }
    }

    /// Samples of a source that answers now; the destination has answered or failed when the first one is taken.
    ///
    /// # Errors
    /// When the source can't be reached.
    pub async fn connected(target: Target) -> Result<Self, Failure> {
        let mut sampler = Box::pin(Sampler::connect(target.clone())).await?;
        sampler.settle().await;
        Ok(Self { target, sampler: Some(sampler) })
    }

    /// The next sample; connects first if it has to.
    ///
    /// # Errors
    /// One sentence; the next call connects again.
    pub async fn next(&mut self) -> Result<Sample, String> {
        let sampler = match &mut self.sampler {
            Some(sampler) => sampler,
            None => {
                let fresh = Box::pin(Sampler::connect(self.target.clone())).await;
                self.sampler.insert(fresh.map_err(|failure| failure.to_string())?)
            }
        };
        let sample = sampler.sample().await;
        if sample.is_err() {
            self.sampler = None;
        }
        sample
    }
}

/// How often it may be looked, at the most and at the least.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration that is neither a burden for the server nor longer than anybody waits.
///
/// # Errors
/// One sentence that shows how it is written.
pub fn pause(text: &str) -> Result<Duration, String> {
    duration::parse(text)
        .ok()
        .filter(|time| (SHORTEST..=LONGEST).contains(time))
        .ok_or_else(|| "write a time from 500ms to 24h, like 5s or 1m".to_owned())
}

/// Bytes as PostgreSQL's settings write them: `100GB`, with powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let power = ["B", "kB", "MB", "GB", "TB"].iter().position(|unit| *unit == text[digits..].trim());
    let bytes = text[..digits].parse::<u64>().ok().zip(power).and_then(|(number, power)| {
        number.checked_mul(1 << (10 * u32::try_from(power).ok()?)).filter(|bytes| *bytes > 0)
    });
    bytes.ok_or_else(|| "write a size like 500GB or 2TB".to_owned())
}

/// Our clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "commands are where time enters")]
pub fn now() -> Moment {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::{pause, size};
    use std::time::Duration;

    #[test]
    fn sizes_are_read_as_the_server_writes_them() {
        assert_eq!((size("100GB"), size("1 TB"), size("8B")), (Ok(100 << 30), Ok(1 << 40), Ok(8)));
        for bad in ["", "GB", "0GB", "12", "1gb", "-1GB", "99999999999TB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pauses_are_read_with_their_unit_and_within_reason() {
        for (text, millis) in [("500ms", 500), ("5s", 5000), ("5", 5000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(pause(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "0", "1ms", "s", "-5s", "5 s", "48h", "99999999999999999999s", "1d"] {
            assert!(pause(bad).is_err(), "{bad}");
        }
    }
}
