//! What walpilot remembers of a server between two runs: when its log ended where, so that a new run tells the age of a
//! lag from before its time; and its slots, so that it tells since when nobody reads one, which went back, and which
//! is gone.
//!
//! One file for each cluster and timeline in the user's state directory, readable by the user alone. It holds positions,
//! times, transaction ids and the slots' columns; nothing of who reads them, and no data. It is bounded: a week of marks
//! (under 15,000), and files that nobody wrote for a week go. A file that is damaged, or too large to be ours, is as good
//! as none.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::lsn_clock::{LsnClock, Mark};
use super::moment::Moment;
use super::slot::Slot;
use crate::catalog::Lsn;

/// A file of ours is a few hundred kilobytes.
const LARGEST: u64 = 4 << 20;
/// Marks are not older than this.
const KEEP: Duration = Duration::from_secs(7 * 86_400);
const FORMAT: u32 = 1;
/// How often everything is written down.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// A slot that is gone is remembered for as long as its end is worth a word.
const GONE_FOR: Duration = Duration::from_secs(3600);

/// A slot as it was when it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SlotMark {
    /// When that was, on the source's clock.
    pub at: Moment,
    /// Since when it was seen without a reader, at the same position; `None` while it was read.
    pub unread_since: Option<Moment>,
    /// Its columns, without who read it.
    pub slot: Slot,
}

/// What an earlier run has left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Left {
    /// When the log ended where.
    pub(super) marks: Vec<Mark>,
    /// The slots.
    pub(super) slots: Vec<SlotMark>,
}

/// Notes what is sampled, now and then on disk, and at its end.
pub(super) struct Remembering {
    directory: PathBuf,
    of: Option<(String, u32)>,
    times: LsnClock,
    slots: BTreeMap<String, SlotMark>,
    saved: Instant,
}

impl Remembering {
    pub(super) fn new(directory: PathBuf) -> Self {
        let (times, slots) = (LsnClock::default(), BTreeMap::new());
        Self { directory, of: None, times, slots, saved: Instant::now() }
    }

    /// Notes the end of the log with its time and the next transaction id, and the slots, of this cluster and timeline.
    /// What comes back is what an earlier run has left, once.
    pub(super) async fn follow(
        &mut self,
        here: (&str, u32),
        (at, lsn, next_xid): (Moment, Lsn, u64),
        slots: &[Slot],
    ) -> Left {
        let mut left = Left::default();
        if self.of.as_ref().is_none_or(|(cluster, timeline)| (cluster.as_str(), *timeline) != here) {
            let (from, cluster, timeline) = (self.directory.clone(), here.0.to_owned(), here.1);
            let of = (cluster.clone(), timeline);
            left = spawn_blocking(move || load(&from, &cluster, timeline)).await.unwrap_or_default();
            // The server was restored, or its clock set, since then: that is of another world.
            let later = left.marks.iter().any(|mark| mark.lsn > lsn || mark.last > at);
            if later || left.slots.iter().any(|known| known.at > at) {
                left = Left::default();
            }
            (self.of, self.times, self.saved) = (Some(of), LsnClock::default(), Instant::now());
            self.times.remember(left.marks.clone());
            self.slots = left.slots.iter().map(|known| (known.slot.name.clone(), known.clone())).collect();
        }
        self.times.push(lsn, at, next_xid);
        self.note(slots, at);
        if self.saved.elapsed() >= SAVE_EVERY {
            self.saved = Instant::now();
            if let Some(save) = self.save() {
                // A full disk must not end the watching; the next minute tries again.
                let _ = spawn_blocking(save).await;
            }
        }
        left
    }

    /// Takes the times of the WAL files in.
    pub(super) fn remember(&mut self, written: Vec<Mark>) {
        self.times.remember(written);
    }

    fn note(&mut self, slots: &[Slot], at: Moment) {
        for slot in slots.iter().filter(|slot| !slot.temporary && !slot.is_table_sync()) {
            let known = self.slots.get(&slot.name);
            let stood =
                known.filter(|known| known.slot.reached() == slot.reached()).and_then(|known| known.unread_since);
            let unread_since = if slot.active { None } else { stood.or(Some(at)) };
            let slot = Slot { consumer: None, decoding: None, ..slot.clone() };
            self.slots.insert(slot.name.clone(), SlotMark { at, unread_since, slot });
        }
        self.slots.retain(|_, known| at.since(known.at) <= GONE_FOR);
    }

    /// The writing, to be done where it may block.
    fn save(&self) -> Option<impl FnOnce() -> io::Result<()> + Send + use<>> {
        let (cluster, timeline) = self.of.clone()?;
        let directory = self.directory.clone();
        let marks = self.times.marks().copied().collect();
        let left = Left { marks, slots: self.slots.values().cloned().collect() };
        Some(move || save(&directory, &cluster, timeline, left))
    }
}

impl Drop for Remembering {
    fn drop(&mut self) {
        if let Some(save) = self.save() {
            let _ = save();
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    format: u32,
    marks: Vec<Mark>,
    #[serde(default)]
    slots: Vec<SlotMark>,
}

/// The directory for this user, if there is a home.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let directories = directories::ProjectDirs::from("", "", "walpilot")?;
    Some(directories.state_dir().unwrap_or_else(|| directories.data_local_dir()).join("log-times"))
}

/// What is known of a cluster's timeline; nothing when nothing usable is there.
fn load(directory: &Path, cluster: &str, timeline: u32) -> Left {
    let read = || {
        let file = File::open(directory.join(file_name(cluster, timeline)?)).ok()?;
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).ok()?;
        let remembered: Remembered = serde_json::from_str(&text).ok()?;
        (remembered.format == FORMAT).then_some(Left { marks: remembered.marks, slots: remembered.slots })
    };
    read().unwrap_or_default()
}

/// Writes what is known of a cluster's timeline in place of what was. A reader sees the old or the new.
///
/// # Errors
/// When the directory can't be made or written.
fn save(directory: &Path, cluster: &str, timeline: u32, left: Left) -> io::Result<()> {
    let Some(name) = file_name(cluster, timeline) else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    // Made with mode 0600, and removed should something fail.
    let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(directory)?);
    let Left { marks, slots } = left;
    serde_json::to_writer(&mut file, &Remembered { format: FORMAT, marks, slots })?;
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
    use crate::monitor::slot::Consumer;

    fn marks() -> Left {
        let marks =
            vec![Mark::of_file(Lsn(5), Moment(7)), Mark { next_xid: Some(9), ..Mark::of_file(Lsn(6), Moment(8)) }];
        Left { marks, slots: Vec::new() }
    }

    #[test]
    fn what_is_known_is_kept_for_the_same_cluster_and_timeline_by_the_user_alone() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("state/log-times");
        let none = Left::default();
        let slots = vec![SlotMark { at: Moment(8), unread_since: Some(Moment(7)), slot: Slot::default() }];
        let left = Left { slots, ..marks() };
        assert_eq!(load(&directory, "7394859012", 1), none);
        save(&directory, "7394859012", 1, left.clone()).unwrap();
        assert_eq!(load(&directory, "7394859012", 1), left);
        assert_eq!(load(&directory, "7394859012", 2), none);
        assert_eq!(load(&directory, "7394859013", 1), none);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&directory.join("7394859012-1.json"))), (0o700, 0o600));
        save(&directory, "../../escape", 1, left).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "a server's word is no path");
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none_and_old_ones_go() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("1-1.json");
        for text in ["", "{", "[1,2]", r#"{"format":2,"marks":[]}"#, r#"{"format":1,"marks":[[1,"x"]]}"#] {
            fs::write(&file, text).unwrap();
            assert_eq!(load(directory.path(), "1", 1), Left::default(), "{text}");
        }
        // As it was written before there were slots in it.
        fs::write(&file, r#"{"format":1,"marks":[[5,7,7,null],[6,8,8,9]]}"#).unwrap();
        assert_eq!(load(directory.path(), "1", 1), marks());
        let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::open(&file).unwrap().set_modified(old).unwrap();
        save(directory.path(), "2", 1, Left::default()).unwrap();
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn slots_are_noted_without_their_readers_and_forgotten_an_hour_after_their_end() {
        let home = tempfile::tempdir().unwrap();
        let at = |second: u64| Moment::default().plus(Duration::from_secs(second));
        let slot = |reached, active| Slot {
            name: "s".into(),
            active,
            confirmed_flush_lsn: Some(Lsn(reached)),
            consumer: active.then(|| Consumer { pid: 7, user: Some("kim".into()), ..Consumer::default() }),
            ..Slot::default()
        };
        let run = async |steps: &[(u64, Option<Slot>)]| {
            let mut remembering = Remembering::new(home.path().to_owned());
            let mut left = Vec::new();
            for (second, slot) in steps {
                let slots: Vec<Slot> = slot.iter().cloned().collect();
                left.push(remembering.follow(("1", 1), (at(*second), Lsn(100 + second), 9), &slots).await.slots);
            }
            left.into_iter().next().unwrap()
        };
        assert_eq!(run(&[(0, Some(slot(5, true))), (10, Some(slot(5, false))), (20, Some(slot(5, false)))]).await, []);
        let text = fs::read_to_string(home.path().join("1-1.json")).unwrap();
        assert!(!text.contains("kim"), "{text}");
        let known = run(&[(60, Some(slot(5, false)))]).await;
        assert_eq!((known[0].at, known[0].unread_since), (at(20), Some(at(10))));
        // Somebody has read it meanwhile.
        assert_eq!(run(&[(90, Some(slot(6, false)))]).await[0].unread_since, Some(at(10)));
        assert_eq!(run(&[(120, None)]).await[0].unread_since, Some(at(90)));
        assert_eq!(run(&[(3600, None)]).await[0].at, at(90), "it is gone, and that is worth a word");
        run(&[(3700, None)]).await;
        assert_eq!(run(&[(3710, None)]).await, []);
    }
}
