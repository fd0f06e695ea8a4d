//! Who runs a throwaway server: PostgreSQL refuses to run as root (`src/backend/main/main.c`, `check_root`), so root
//! hands it to an account without rights.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The account that owns a cluster's directory and runs its programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// Whoever runs walpilot.
    Ourselves,
    /// Another one, because we are root.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Account {
    /// The account to use: our own unless we are root, which the owner of a file that we make tells.
    ///
    /// # Errors
    /// When we are root and neither `postgres` nor `nobody` exists.
    pub(super) fn choose() -> io::Result<Self> {
        if tempfile::tempfile()?.metadata()?.uid() != 0 {
            return Ok(Self::Ourselves);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| Some(Self::Other { uid: id("-u", name)?, gid: id("-g", name)? }))
            .ok_or_else(|| {
                io::Error::other("PostgreSQL does not run as root, and there is no account postgres or nobody")
            })
    }

    /// Makes `command` run as this account, without our other groups.
    pub(super) fn run_as(self, command: &mut Command) {
        if let Self::Other { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }

    /// Gives a file or directory to this account.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid } => chown(path, Some(uid), Some(gid)),
        }
    }
}

fn id(flag: &str, name: &str) -> Option<u32> {
    let output = Command::new("id").args([flag, name]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// A directory in which `account` can reach what we put there, with a path short enough for a Unix socket (107 bytes
/// on Linux, 103 on macOS): the usual one for temporary files if it will do, else `/tmp`.
pub(super) fn temporary(account: Account) -> PathBuf {
    let usual = std::env::temp_dir();
    // Room for `/walpilot-XXXXXX/.s.PGSQL.65535`.
    let short = usual.as_os_str().len() <= 60;
    if short && (account == Account::Ourselves || open_to_all(&usual)) { usual } else { PathBuf::from("/tmp") }
}

/// Whether every account may make files in `dir` and pass through all directories above it.
fn open_to_all(dir: &Path) -> bool {
    let writable = std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o002 != 0);
    let open = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0);
    writable && dir.canonicalize().is_ok_and(|dir| dir.ancestors().all(open))
}
