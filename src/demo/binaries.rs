//! Where the programs of a PostgreSQL server are on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory with a server's programs, and their version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    /// Holds at least `initdb` and `postgres`.
    pub dir: PathBuf,
    /// The major version, for example 17.
    pub major: u32,
}

/// Why no server programs can be used; one sentence with the next step.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinariesError {
    /// The directory that the user named is not one.
    #[error(
        "{0} does not hold the PostgreSQL server programs initdb and postgres: \
         name their directory, for example /usr/lib/postgresql/17/bin"
    )]
    NotThere(PathBuf),
    /// Nothing was found anywhere.
    #[error(
        "no PostgreSQL server programs (initdb and postgres) were found: install them \
         (Debian and Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17), \
         or name their directory in WALPILOT_PG_BIN"
    )]
    NoneFound,
    /// `postgres --version` did not answer as PostgreSQL does.
    #[error("{} does not run or does not tell its version: {reason}", .program.display())]
    Unusable {
        /// The program.
        program: PathBuf,
        /// What it said instead, or why it could not be started.
        reason: String,
    },
}

/// Directories that packages use, with one `*` for what differs between versions.
const USUAL: [&str; 5] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

impl Binaries {
    /// Looks in `explicit` only, if given (`$WALPILOT_PG_BIN`); else in `search_path` (`$PATH`), then in the usual
    /// places of packages, where the newest version wins.
    ///
    /// # Errors
    /// [`BinariesError`].
    pub fn find(explicit: Option<&Path>, search_path: Option<&OsStr>) -> Result<Self, BinariesError> {
        if let Some(dir) = explicit {
            let dir = programs_in(dir).ok_or_else(|| BinariesError::NotThere(dir.to_owned()))?;
            return Self::of(dir);
        }
        if let Some(dir) = search_path.into_iter().flat_map(std::env::split_paths).find_map(|dir| programs_in(&dir)) {
            return Self::of(dir);
        }
        let found = USUAL.iter().flat_map(|pattern| expand(pattern)).filter_map(|dir| programs_in(&dir));
        // A broken installation must not hide a good one.
        found.filter_map(|dir| Self::of(dir).ok()).max_by_key(|it| it.major).ok_or(BinariesError::NoneFound)
    }

    /// The path of one of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn of(dir: PathBuf) -> Result<Self, BinariesError> {
        let program = dir.join("postgres");
        let unusable = |reason: String| BinariesError::Unusable { program: program.clone(), reason };
        let output = Command::new(&program).arg("--version").output().map_err(|error| unusable(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let major = major(&text).ok_or_else(|| {
            unusable(crate::connection::printable(&format!("{text}{}", String::from_utf8_lossy(&output.stderr))).into())
        })?;
        Ok(Self { dir, major })
    }
}

/// The directory with both programs, where `dir` holds `postgres` or a link to it. Links are followed because a
/// directory of links often holds only some of the programs.
fn programs_in(dir: &Path) -> Option<PathBuf> {
    let complete = |dir: &Path| dir.join("postgres").is_file() && dir.join("initdb").is_file();
    let resolved = dir.join("postgres").canonicalize().ok()?.parent()?.to_owned();
    if complete(&resolved) { Some(resolved) } else { complete(dir).then(|| dir.canonicalize().ok()).flatten() }
}

/// The directories that match `pattern`, in no order.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let entries = std::fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .collect()
}

/// The major version in the output of `postgres --version`, such as `postgres (PostgreSQL) 18beta1`.
fn major(text: &str) -> Option<u32> {
    let version = text.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Binaries, BinariesError, expand, major};

    #[test]
    fn versions_of_all_kinds_of_builds_are_read() {
        for (text, version) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (PostgreSQL) 17\n", Some(17)),
            ("postgres (EvilSQL) 17.1\n", None),
            ("", None),
        ] {
            assert_eq!(major(text), version, "{text}");
        }
    }

    #[test]
    fn a_named_directory_without_the_programs_is_refused_and_nothing_else_is_searched() {
        let empty = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(empty.path()), Some("/usr/bin".as_ref())).expect_err("nothing is there");
        assert_eq!(error, BinariesError::NotThere(empty.path().to_owned()));
    }

    #[test]
    fn a_program_that_is_no_postgres_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["postgres", "initdb"] {
            std::os::unix::fs::symlink("/bin/echo", dir.path().join(name)).unwrap();
        }
        let error = Binaries::find(Some(dir.path()), None).expect_err("echo is no server").to_string();
        assert!(error.contains("postgres does not run or does not tell its version"), "{error}");
    }

    #[test]
    fn the_star_stands_for_a_version() {
        let dir = tempfile::tempdir().unwrap();
        for version in ["pgsql-13", "pgsql-17", "other-1"] {
            std::fs::create_dir(dir.path().join(version)).unwrap();
        }
        let mut found = expand(&format!("{}/pgsql-*/bin", dir.path().display()));
        found.sort();
        assert_eq!(found, [dir.path().join("pgsql-13/bin"), dir.path().join("pgsql-17/bin")]);
    }
}
