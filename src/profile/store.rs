//! Saved profiles and unfinished wizards, in the user's configuration directory.
//!
//! Promises: a file appears whole or not at all (written beside, synced, renamed), nobody else may read it (0600 from
//! its first byte), no link is followed, and a file that somebody else could have changed is not believed, because a
//! profile can name a program to run.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::saved::{BadProfile, Saved};
use crate::connection::printable;

/// Why a profile can't be kept or found; one sentence with the next step.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The name can't be a file's.
    #[error(
        "\"{0}\" is no name for a profile: use letters, digits, dots, dashes and underscores, not first a dot or dash, 64 at the most."
    )]
    Name(String),
    /// There is none.
    #[error("There is no profile {0}; walpilot profiles list shows those that are there.")]
    Missing(String),
    /// There is one already.
    #[error("There is a profile {0} already; use --force to replace it, or another name.")]
    Exists(String),
    /// It can't be read as a profile.
    #[error("The profile {0} can't be used: {1}.")]
    Bad(String, BadProfile),
    /// The configuration can't be read as one.
    #[error("The configuration {0} can't be used: {1}.")]
    Configuration(String, String),
    /// Somebody else could have changed it.
    #[error("The file {0} is not used: {1}.")]
    NotOurs(String, &'static str),
    /// The system refused.
    #[error("{0}: {1}.")]
    Files(String, io::Error),
    /// The system knows no home directory.
    #[error("This account has no home directory to keep profiles in; set HOME or XDG_CONFIG_HOME.")]
    NoHome,
}

/// A wizard that was left before its end.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Draft {
    /// The step that was open, in the wizard's own words.
    pub step: String,
    /// What was entered so far, without secrets.
    pub entered: Saved,
}

/// The directory with a user's profiles.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The store of the user who runs walpilot (on Linux `~/.config/walpilot`).
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn of_user() -> Result<Self, StoreError> {
        let directories = directories::ProjectDirs::from("", "", "walpilot").ok_or(StoreError::NoHome)?;
        Ok(Self::at(directories.config_dir()))
    }

    /// A store in this directory, which is made when something is saved.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The names of all profiles, sorted.
    ///
    /// # Errors
    /// When the directory can't be read.
    pub fn list(&self) -> Result<Vec<String>, StoreError> {
        let dir = self.profiles();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(files("The profiles can't be listed", &dir)(error)),
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            name.strip_suffix(".toml").filter(|name| is_name(name)).map(str::to_owned)
        };
        let mut names: Vec<String> = entries.filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    /// The file of a profile, which need not exist.
    ///
    /// # Errors
    /// When `name` is none.
    pub fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        if !is_name(name) {
            return Err(StoreError::Name(printable(name).into_owned()));
        }
        Ok(self.profiles().join(format!("{name}.toml")))
    }

    /// Reads a profile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(&self, name: &str) -> Result<Saved, StoreError> {
        let path = self.path(name)?;
        let text = read(&path)?.ok_or_else(|| StoreError::Missing(name.to_owned()))?;
        Saved::from_toml(&text).map_err(|error| StoreError::Bad(name.to_owned(), error))
    }

    /// Keeps a profile; replaces one of the same name only with `replace`.
    ///
    /// # Errors
    /// [`StoreError`]; an older file is untouched then.
    pub fn save(&self, name: &str, saved: &Saved, replace: bool) -> Result<PathBuf, StoreError> {
        let path = self.path(name)?;
        let text = saved.to_toml().map_err(|error| StoreError::Bad(name.to_owned(), error))?;
        if !replace && fs::symlink_metadata(&path).is_ok() {
            return Err(StoreError::Exists(name.to_owned()));
        }
        self.write(&path, &text)?;
        Ok(path)
    }

    /// Removes a profile.
    ///
    /// # Errors
    /// When there is none, or the file can't be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing(name.to_owned())),
            other => other.map_err(files("The profile can't be removed", &path)),
        }
    }

    /// Keeps an unfinished wizard, instead of an earlier one.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn save_draft(&self, draft: &Draft) -> Result<(), StoreError> {
        let text = toml::to_string(draft).map_err(|error| {
            StoreError::Bad("draft".to_owned(), BadProfile(printable(&error.to_string()).into_owned()))
        })?;
        self.write(&self.draft(), &text)
    }

    /// The unfinished wizard, if there is one that this version can read.
    ///
    /// # Errors
    /// When the file is there and can't be read.
    pub fn load_draft(&self) -> Result<Option<Draft>, StoreError> {
        Ok(read(&self.draft())?.and_then(|text| toml::from_str(&text).ok()))
    }

    /// Forgets the unfinished wizard.
    ///
    /// # Errors
    /// When the file can't be removed.
    pub fn remove_draft(&self) -> Result<(), StoreError> {
        match fs::remove_file(self.draft()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.map_err(files("The unfinished wizard can't be removed", &self.draft())),
        }
    }

    /// What holds for every source; the defaults when there is no such file.
    ///
    /// # Errors
    /// When the file is there and can't be used.
    pub fn configuration(&self) -> Result<Configuration, StoreError> {
        let path = self.dir.join("config.toml");
        let Some(text) = read(&path)? else { return Ok(Configuration::default()) };
        Configuration::from_toml(&text).map_err(|why| StoreError::Configuration(shown(&path), why))
    }

    fn profiles(&self) -> PathBuf {
        self.dir.join("profiles")
    }

    fn draft(&self) -> PathBuf {
        self.dir.join("unfinished.toml")
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), StoreError> {
        let failed = || files("The file can't be written", path);
        let dir = path.parent().unwrap_or(&self.dir);
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed())?;
        if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(StoreError::NotOurs(shown(path), "it is a link or no plain file; remove it first"));
        }
        // A new file of its own, readable by nobody else from the start; the rename also replaces the rights of an
        // older one.
        let mut file = tempfile::Builder::new().prefix(".walpilot-").tempfile_in(dir).map_err(failed())?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed())?;
        file.write_all(text.as_bytes()).map_err(failed())?;
        file.as_file().sync_all().map_err(failed())?;
        file.persist(path).map_err(|error| failed()(error.error))?;
        // The rename itself is durable when the directory is; where that can't be had, the file is whole all the same.
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
        Ok(())
    }
}

/// A file's text, if it is there and only its owner, who is this account or root, could have written it.
fn read(path: &Path) -> Result<Option<String>, StoreError> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(files("The file can't be read", path))?,
    };
    if !found.is_file() {
        return Err(StoreError::NotOurs(shown(path), "it is a link or no plain file"));
    }
    if found.permissions().mode() & 0o022 != 0 {
        return Err(StoreError::NotOurs(
            shown(path),
            "group or others may write it; check it, then run chmod 0600 on it",
        ));
    }
    if found.uid() != 0 && found.uid() != rustix::process::geteuid().as_raw() {
        return Err(StoreError::NotOurs(shown(path), "it belongs to somebody else"));
    }
    fs::read_to_string(path).map(Some).map_err(files("The file can't be read", path))
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=64).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with(['.', '-'])
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

fn files(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let what = format!("{what} ({})", shown(path));
    move |error| StoreError::Files(what, error)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{Draft, Store, StoreError};
    use crate::connection::Settings;
    use crate::profile::Profile;
    use crate::profile::saved::{PasswordSource, Saved};

    fn saved() -> Saved {
        Saved::of(&Profile::new(Settings::default()), PasswordSource::Pgpass)
    }

    #[test]
    fn profiles_are_kept_listed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(&dir.path().join("deep/down"));
        assert!(store.list().unwrap().is_empty());
        store.save("shop", &saved(), false).unwrap();
        store.save("A-1.x_y", &saved(), false).unwrap();
        assert_eq!(store.list().unwrap(), ["A-1.x_y", "shop"]);
        assert_eq!(store.load("shop").unwrap(), saved());
        assert!(matches!(store.save("shop", &saved(), false), Err(StoreError::Exists(_))));
        store.save("shop", &saved(), true).unwrap();
        store.remove("shop").unwrap();
        for missing in [store.load("shop").err(), store.remove("shop").err()] {
            assert!(matches!(missing, Some(StoreError::Missing(_))));
        }
        let left: Vec<_> = fs::read_dir(dir.path().join("deep/down/profiles")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_file_is_private_whatever_stood_there() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        let path = store.save("shop", &saved(), false).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(store.load("shop"), Err(StoreError::NotOurs(..))), "anybody could have changed it");
        store.save("shop", &saved(), true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        let path = store.save("shop", &saved(), false).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        let before = fs::read(&elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(matches!(store.load("shop"), Err(StoreError::NotOurs(..))));
        assert!(matches!(store.save("shop", &Saved::default(), true), Err(StoreError::NotOurs(..))));
        assert_eq!(fs::read(&elsewhere).unwrap(), before);
    }

    #[test]
    fn a_name_can_not_leave_the_directory() {
        let store = Store::at(std::path::Path::new("/nonexistent"));
        for name in ["", ".", "..", "../x", "a/b", "-x", ".x", "a b", "é", "a\0", &"x".repeat(65)] {
            assert!(matches!(store.path(name), Err(StoreError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn the_configuration_holds_for_every_source() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        assert!(store.configuration().unwrap().alerts.is_empty());
        fs::write(dir.path().join("config.toml"), "[alerts]\nlag = { critical = \"1h\" }").unwrap();
        assert!(!store.configuration().unwrap().alerts.is_empty());
        for (text, named) in [
            ("\n[alert]", "line 2: unknown field `alert`"),
            ("[alerts]\nlag = { critical = 1 }", "alerts.lag.critical: 1"),
        ] {
            fs::write(dir.path().join("config.toml"), text).unwrap();
            let error = store.configuration().expect_err(text).to_string();
            assert!(error.contains("config.toml") && error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn an_unfinished_wizard_is_kept_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path());
        assert_eq!(store.load_draft().unwrap(), None);
        let draft = Draft { step: "tables".into(), entered: saved() };
        store.save_draft(&draft).unwrap();
        assert_eq!(store.load_draft().unwrap(), Some(draft));
        assert!(store.list().unwrap().is_empty());
        store.remove_draft().unwrap();
        store.remove_draft().unwrap();
        assert_eq!(store.load_draft().unwrap(), None);
    }
}
