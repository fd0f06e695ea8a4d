//! What to watch, for every command that does, and the samples of it.

use std::time::{Duration, SystemTime};

use super::duration;
use super::exit::{Exit, Stop};
use super::source::{self, SourceArgs};
use crate::connection::Failure;
use crate::monitor::{Moment, Sample, Sampler, Target};

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
}

impl TargetArgs {
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
        let profile = source.profile()?;
        // A profile names the slot and the publication that the user means; walpilot's own proposals name nothing.
        let of_profile = |name: &str| self.profile.is_some().then(|| name.to_owned());
        let mut destination = self.to.as_deref().map(source::destination).transpose()?;
        match (&self.to_password_file, &mut destination) {
            (Some(file), Some(destination)) => {
                *destination = destination.with_password(Some(source::password_from(file)?));
            }
            (Some(_), None) => return Err(Stop::new(Exit::Usage, "--to-password-file needs --to.")),
            (None, _) => {}
        }
        Ok(Target {
            slot: self.slot.clone().or_else(|| of_profile(&profile.slot)),
            publication: self.publication.clone().or_else(|| of_profile(&profile.publication)),
            source: profile.source,
            destination,
        })
    }
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

/// Our clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "commands are where time enters")]
pub fn now() -> Moment {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::pause;
    use std::time::Duration;

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
