//! The dashboard's keys in a real terminal: recording, commands, privacy, exports, and keys of the user's own.

use std::fs;

use crate::support::program::password;
use crate::support::pty::Terminal;
use crate::support::{self, execute, source, walpilot};
use walpilot::connection::Settings;
use walpilot::demo::Cluster;

const DOWN: &str = "\u{1b}[B";
const ESC: &str = "\u{1b}";

async fn with_a_slot() -> Cluster {
    let cluster = source().await;
    execute(&cluster.settings(), "SELECT pg_create_logical_replication_slot('orphan', 'pgoutput')").await;
    cluster
}

/// A dashboard of `settings` in a terminal of 120 by 40, for the user of this home.
fn watch(settings: &Settings, home: &str) -> Terminal {
    let uri = support::program::uri(settings);
    let mut terminal = Terminal::start(&["watch", uri.as_str()], &[("PGPASSWORD", password(settings)), ("HOME", home)]);
    terminal.resizes(120, 40);
    terminal
}

fn home() -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().expect("a directory");
    let name = home.path().to_string_lossy().into_owned();
    (home, name)
}

/// Writes the configuration file of the user of this home.
fn configure(home: &str, text: &str) {
    let directory = format!("{home}/.config/walpilot");
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(format!("{directory}/config.toml"), text).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_the_screen_is_recorded_and_replayed_and_leaving_asks() {
    let cluster = with_a_slot().await;
    let (_home, name) = home();
    let file = format!("{name}/night.wrec");
    let mut terminal = watch(&cluster.settings(), &name);
    terminal.wait_for("orphan");
    terminal.types("R");
    terminal.wait_for("walpilot replay shows it");
    terminal.types(&format!("\u{15}{file}\r"));
    terminal.wait_for("R ends it");
    terminal.wait_for("Recording into");
    execute(&cluster.settings(), "SELECT pg_create_logical_replication_slot('second', 'pgoutput')").await;
    terminal.wait_for("Slot second was created");
    terminal.types("q");
    terminal.wait_for("End the recording and leave?");
    terminal.types(ESC);
    terminal.wait_until("the question is gone", |screen| !screen.contents().contains("End the recording"));
    terminal.types("R");
    terminal.wait_for(": walpilot replay");
    terminal.types("R");
    terminal.wait_for("walpilot replay shows it");
    terminal.types(&format!("\u{15}{file}\r"));
    terminal.wait_for("exists and was not overwritten");
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
    let replayed = walpilot(["replay", &file, "--format", "text"]).run().await.expect_code(0);
    assert!(replayed.stdout.contains("second"), "{}", replayed.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_ends_a_recording_whose_samples_are_kept() {
    let cluster = with_a_slot().await;
    let (_home, name) = home();
    let file = format!("{name}/night.wrec");
    let mut terminal = watch(&cluster.settings(), &name);
    terminal.wait_for("orphan");
    terminal.types(&format!(":record {file}\r"));
    terminal.wait_for("recording ");
    terminal.types("r");
    terminal.wait_until("a sample in it", |_| fs::read_to_string(&file).is_ok_and(|text| text.lines().count() > 1));
    terminal.types("q");
    terminal.wait_for("End the recording and leave?");
    terminal.types("\r");
    assert_eq!(terminal.ends(), 0);
    assert!(terminal.contents().contains("walpilot replay"), "{}", terminal.contents());
    walpilot(["replay", &file, "--format", "line"]).run().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_columns_times_sizes_and_exports() {
    let cluster = with_a_slot().await;
    let (_home, name) = home();
    let mut terminal = watch(&cluster.settings(), &name);
    terminal.wait_for("orphan");
    terminal.types(":frob");
    terminal.types("\r");
    terminal.wait_for("There is no command frob.");
    terminal.types("\u{15}slot nowhere\r");
    terminal.wait_for("There is no slot nowhere.");
    terminal.types("\u{15}slot orphan\r");
    terminal.wait_for("Slot orphan");
    terminal.wait_for("Position");
    // From an opened page q leads back.
    terminal.types("q");
    terminal.wait_for("Diagnosis");
    assert!(!terminal.contents().contains("WAITS FOR"));
    terminal.types("llllll");
    terminal.wait_for("WAITS FOR");
    terminal.types("hhhhhh");
    terminal.wait_until("the first columns", |screen| !screen.contents().contains("WAITS FOR"));
    terminal.types("b");
    terminal.wait_for("Sizes in bytes");
    terminal.types(":sizes lsn\r");
    terminal.wait_for("0/");
    terminal.types("t");
    terminal.wait_for("Times: ");
    terminal.types(":times relative\r");
    terminal.wait_for("newest first, ago");
    terminal.types("s");
    terminal.wait_for("Sort by");
    // The twelfth column, by its number; a menu takes digits one after the other.
    terminal.types("12");
    terminal.wait_for("> 12  WAL held");
    terminal.types("\r");
    terminal.wait_for("sort: WAL held");
    terminal.types("S");
    terminal.wait_for("sort: WAL held, reversed");
    terminal.types(":sort mauve\r");
    terminal.wait_for("sort takes risk, name, state");
    terminal.types("\u{15}sort name\r");
    terminal.wait_for("sort: name");
    terminal.types("Y");
    terminal.wait_for("the slot's name");
    terminal.types("\r");
    terminal.wait_for("(OSC 52): orphan");
    terminal.types("e");
    terminal.wait_for("an incident report");
    terminal.types(&format!("{DOWN}{DOWN}\r"));
    terminal.wait_for("The export is in walpilot-slots-");
    terminal.types(":theme ascii\r");
    terminal.wait_until("plain characters", |screen| {
        let text = screen.contents();
        text.is_ascii() && text.contains("orphan")
    });
    terminal.types("/nothing\r");
    terminal.wait_for("No slot fits the filter");
    // Letters in their order find it where nothing contains the word.
    terminal.types(":filter rphn\r");
    terminal.wait_for("filter: rphn");
    terminal.wait_until("the slot", |screen| {
        screen.contents().contains("> orphan") || screen.contents().contains(">orphan")
    });
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn privacy_hides_every_name_that_is_drawn() {
    let cluster = with_a_slot().await;
    let settings = cluster.settings();
    execute(&settings, "CREATE TABLE public.clients (id int PRIMARY KEY)").await;
    let (_home, name) = home();
    let mut terminal = watch(&settings, &name);
    terminal.wait_for("orphan");
    terminal.wait_for("clients");
    terminal.types("p");
    terminal.wait_until("no names", |screen| !screen.contents().contains("orphan"));
    for panel in ["1", "2", "3", "4", "5", "6", "7", "8", "0", "v", "x"] {
        terminal.types(panel);
        terminal.wait_until("the panel without names", |screen| {
            let text = screen.contents();
            let named = ["orphan", "clients", settings.host.as_str(), settings.database.as_str()];
            // The server's own superuser is everywhere called postgres, and so is a database.
            named.iter().all(|name| *name == "postgres" || name.is_empty() || !text.contains(name))
        });
    }
    terminal.wait_for("What mends it");
    terminal.types(ESC);
    // Right behind Esc a letter would be one with Alt.
    terminal.wait_until("the dialog is gone", |screen| !screen.contents().contains("What mends it"));
    terminal.types("1p");
    terminal.wait_for("orphan");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_users_own_work_and_are_what_footer_and_help_show() {
    let cluster = with_a_slot().await;
    let (_home, name) = home();
    configure(&name, "[keys]\nfreeze = \"F\"\nhorizon = [\"ctrl-h\", \"H\"]\nfleet = []\n");
    let mut terminal = watch(&cluster.settings(), &name);
    terminal.wait_for("orphan");
    terminal.wait_for("F freeze");
    terminal.types("F");
    terminal.wait_for("FROZEN");
    terminal.types(" ");
    terminal.types("H");
    terminal.wait_for("who holds back vacuum");
    assert!(terminal.contents().contains("FROZEN"));
    terminal.types("?");
    terminal.wait_for("F                     Let the display stand");
    terminal.types("q");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);

    for (text, said) in [
        ("[keys]\nfreeze = \"z\"\n", "z is taken twice: by freeze and by zoom"),
        ("[keys]\nfreese = \"F\"\n", "Did you mean freeze?"),
    ] {
        configure(&name, text);
        let mut terminal = watch(&cluster.settings(), &name);
        assert_eq!(terminal.ends(), 2);
        assert!(terminal.contents().contains("config.toml"), "{}", terminal.contents());
        let flat = terminal.contents().replace('\n', "");
        assert!(flat.contains(said), "{flat}");
    }
}
