//! `walpilot demo` as a user starts it: without a terminal it goes the whole way, and however it ends, nothing of it
//! is left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::support::PATIENCE;
use crate::support::program::Walpilot;
use crate::support::pty::Terminal;
use crate::support::walpilot;

/// A directory for temporary files of one demo alone, in which the servers' account may write.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory for temporary files");
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o1777)).expect("its mode");
        Self(dir)
    }

    fn path(&self) -> &str {
        self.0.path().to_str().expect("UTF-8")
    }

    /// What the demo has made: the directories of its clusters.
    fn made(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.path()).expect("the directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// The command lines of the processes that work in here: servers and their keepers.
    fn processes(&self) -> Vec<String> {
        let output = Command::new("ps").args(["-e", "-ww", "-o", "stat=,args="]).output().expect("ps");
        let all = String::from_utf8_lossy(&output.stdout).into_owned();
        let here = |line: &&str| line.contains(self.path()) && !line.starts_with('Z');
        all.lines().filter(here).map(str::to_owned).collect()
    }

    #[track_caller]
    fn wait_until_nothing_is_left(&self, what: &str) {
        wait_until(&format!("{what}: the end of {:?} and {:?}", self.made(), self.processes()), || {
            self.made().is_empty() && self.processes().is_empty()
        });
    }
}

#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a deadline for a condition")]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited for {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn demo(place: &Place) -> Walpilot {
    walpilot(["demo", "--for", "3s"]).env("TMPDIR", place.path())
}

/// The demo in a terminal, at its first screen.
fn wizard(place: &Place) -> Terminal {
    let terminal = Terminal::start(&["demo"], &[("TMPDIR", place.path())]);
    terminal.wait_for("The source: the database to replicate from");
    terminal
}

/// Enter by Enter to the dashboard of a running replication.
fn replicating(place: &Place) -> Terminal {
    let mut terminal = wizard(place);
    for (seen, keys) in [
        ("Not tested yet", "\r"),
        ("Connected to PostgreSQL", "\r"),
        ("How the connection is encrypted", "\r"),
        ("10 of 10 tables", "\r"),
        ("passed", "\r"),
        ("statements are missing", "\r"),
        ("Apply the setup script?", "\r"),
        ("Nothing is left that SQL could do", ""),
        ("0 blockers", "\r"),
        ("Where the rows go", "\r"),
        ("It can be written to.", "\r"),
        ("run streaming", ""),
    ] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    terminal
}

#[tokio::test]
async fn without_a_terminal_every_table_ends_with_equal_rows() {
    let place = Place::new();
    let outcome = demo(&place).run().await.expect_code(0);
    let text = &outcome.stdout;
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.ends_with("equal"))
        .map(|line| line.split_whitespace().rev().collect())
        .collect();
    assert_eq!(rows.len(), 10, "{text}");
    for row in &rows {
        assert!(row[3] == row[2] && row[2].parse::<u64>().is_ok(), "{row:?}");
    }
    let changes: u64 = rows.iter().map(|row| row[1].parse::<u64>().expect("a number")).sum();
    assert!(changes > 0, "the workload wrote: {text}");
    for part in
        ["SOURCE ROWS", "checks       before: 6 blockers", "after:  0 blockers", "lag ", "Every table has the same"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("password"), "{text}");
    place.wait_until_nothing_is_left("after its end");
}

/// Sends a signal to a process.
fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    assert!(status.expect("a shell").success());
}

#[tokio::test]
async fn killed_at_any_moment_the_automatic_demo_leaves_nothing() {
    type Moment = (&'static str, fn(&Place) -> bool);
    let server = |place: &Place| place.processes().iter().any(|line| line.contains("/postgres -D"));
    let moments: [Moment; 3] = [
        ("its first directory is made", |place| !place.made().is_empty()),
        ("its first server starts", server),
        ("its servers listen", |place| {
            let ready = |dir: &PathBuf| {
                std::fs::read_to_string(dir.join("data/postmaster.pid")).is_ok_and(|file| file.contains("ready"))
            };
            place.made().iter().filter(|dir| ready(dir)).count() == 2
        }),
    ];
    for name in ["KILL", "TERM", "INT"] {
        for (what, moment) in moments {
            let place = Place::new();
            let (mut child, _home) = demo(&place).spawn();
            wait_until(what, || moment(&place));
            signal(name, child.id().expect("it runs"));
            let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it ends").expect("its status");
            if name != "KILL" {
                assert_eq!(status.code(), Some(130), "{name} when {what}");
                assert_eq!(place.made(), Vec::<PathBuf>::new(), "{name} when {what}: it cleans up before it ends");
            }
            place.wait_until_nothing_is_left(&format!("{name} when {what}"));
        }
    }
}

#[test]
fn killed_in_the_wizard_or_while_it_replicates_the_demo_leaves_nothing() {
    for screen in [wizard as fn(&Place) -> Terminal, replicating] {
        let place = Place::new();
        let terminal = screen(&place);
        assert!(place.processes().iter().any(|line| line.contains("postgres")), "{:?}", place.processes());
        terminal.signals("KILL");
        place.wait_until_nothing_is_left("SIGKILL");
    }
}

#[test]
fn ctrl_c_before_the_wizard_ends_the_demo_and_leaves_nothing() {
    let place = Place::new();
    let mut terminal = Terminal::start(&["demo"], &[("TMPDIR", place.path())]);
    terminal.wait_for("Starting two throwaway");
    wait_until("its first directory", || !place.made().is_empty());
    terminal.types("\u{3}");
    assert_ne!(terminal.ends(), 0);
    place.wait_until_nothing_is_left("Ctrl-C");
}

#[test]
fn sigterm_in_the_wizard_stops_in_order_and_says_where() {
    let place = Place::new();
    let mut terminal = replicating(&place);
    terminal.signals("TERM");
    assert_eq!(terminal.ends(), 130);
    let text = terminal.contents().replace('\n', " ");
    assert!(text.contains("The replication stopped at"), "{text}");
    assert!(text.contains("transactions; its clusters are removed"), "{text}");
    assert_eq!((place.made(), place.processes()), (Vec::new(), Vec::new()), "it cleans up before it ends");
}

#[test]
fn ctrl_c_and_enter_leave_the_running_demo_in_order() {
    let place = Place::new();
    let mut terminal = replicating(&place);
    terminal.types("\u{3}");
    terminal.wait_for("Stop the replication and leave?");
    terminal.types("\r");
    assert_eq!(terminal.ends(), 0);
    assert!(terminal.contents().contains("The replication stopped at"), "{}", terminal.contents());
    assert!(Path::new(place.path()).exists() && place.made().is_empty());
}
