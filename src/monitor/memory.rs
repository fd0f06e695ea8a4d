//! What walpilot remembers of a server's log between two runs: when it ended where, so that a new run tells the age of
//! a lag from before its time.
//!
//! One file for each cluster and timeline in the user's state directory, readable by the user alone. It holds positions,
//! times and transaction ids, no names and no data. It is bounded: a week of marks (under 15,000), and files that
//! nobody wrote for a week go. A file that is damaged, or too large to be ours, is as good as none.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lsn_clock::Mark;

/// A file of ours is a few hundred kilobytes.
const LARGEST: u64 = 4 << 20;
/// Marks are not older than this.
const KEEP: Duration = Duration::from_secs(7 * 86_400);
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Remembered {
    format: u32,
    marks: Vec<Mark>,
}

/// The directory for this user, if there is a home.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let directories = directories::ProjectDirs::from("", "", "walpilot")?;
    Some(directories.state_dir().unwrap_or_else(|| directories.data_local_dir()).join("log-times"))
}

/// The marks of a cluster's timeline; none when nothing usable is there.
pub(super) fn load(directory: &Path, cluster: &str, timeline: u32) -> Vec<Mark> {
    let read = || {
        let file = File::open(directory.join(file_name(cluster, timeline)?)).ok()?;
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).ok()?;
        let remembered: Remembered = serde_json::from_str(&text).ok()?;
        (remembered.format == FORMAT).then_some(remembered.marks)
    };
    read().unwrap_or_default()
}

/// Writes the marks of a cluster's timeline in place of those before. A reader sees the old ones or the new ones.
///
/// # Errors
/// When the directory can't be made or written.
pub(super) fn save(directory: &Path, cluster: &str, timeline: u32, marks: Vec<Mark>) -> io::Result<()> {
    let Some(name) = file_name(cluster, timeline) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Made with mode 0600, and removed should something fail.
    let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(directory)?);
    serde_json::to_writer(&mut file, &Remembered { format: FORMAT, marks })?;
    file.flush()?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .persist(directory.join(name))
        .map_err(|error| error.error)?;
    forget_old(directory);
    Ok(())
}

/// A system identifier is a number; whatever else a server says is no file name.
fn file_name(cluster: &str, timeline: u32) -> Option<String> {
    let plain = !cluster.is_empty() && cluster.len() <= 20 && cluster.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| format!("{cluster}-{timeline}.json"))
}

fn forget_old(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let age = entry.metadata().ok().and_then(|file| file.modified().ok()?.elapsed().ok());
        if age.is_some_and(|age| age > KEEP) {
            // Another walpilot may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::catalog::Lsn;
    use crate::monitor::Moment;

    #[test]
    fn marks_are_kept_for_the_same_cluster_and_timeline_by_the_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("state/log-times");
        let marks =
            vec![Mark::of_file(Lsn(5), Moment(7)), Mark { next_xid: Some(9), ..Mark::of_file(Lsn(6), Moment(8)) }];
        assert_eq!(load(&directory, "7394859012", 1), []);
        save(&directory, "7394859012", 1, marks.clone()).unwrap();
        assert_eq!(load(&directory, "7394859012", 1), marks);
        assert_eq!(load(&directory, "7394859012", 2), []);
        assert_eq!(load(&directory, "7394859013", 1), []);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join("7394859012-1.json"))), (0o700, 0o600));
        save(&directory, "../../escape", 1, marks).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "a server's word is no path");
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none_and_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("1-1.json");
        for text in ["", "{", "[1,2]", r#"{"format":2,"marks":[]}"#, r#"{"format":1,"marks":[[1,"x"]]}"#] {
            fs::write(&file, text).unwrap();
            assert_eq!(load(directory.path(), "1", 1), [], "{text}");
        }
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::open(&file).unwrap().set_modified(old).unwrap();
        save(directory.path(), "2", 1, Vec::new()).unwrap();
        assert!(!file.exists());
    }
}
