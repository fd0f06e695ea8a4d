//! The wizard's whole way, in a real terminal against real servers: from the first field to the dashboard that shows
//! the lag of a running replication, and out again.

use std::time::Duration;

use crate::support::program::password;
use crate::support::pty::Terminal;
use crate::support::{self, destination, psql, source};
use walpilot::connection::{Secret, Settings};

const F6: &str = "\u{1b}[17~";
const F8: &str = "\u{1b}[19~";

const SCHEMA: &str = "
    CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
    CREATE TABLE events (at timestamptz DEFAULT now(), what text);
    INSERT INTO orders (what) SELECT 'order ' || n FROM generate_series(1, 500) n;
    INSERT INTO events (what) VALUES ('first');
    CREATE ROLE reader LOGIN PASSWORD 'S3NT1NEL';";

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_field_to_the_dashboard() {
    let (from, to) = tokio::join!(source(), destination());
    let (admin, to_settings) = (from.settings(), to.settings());
    psql(&admin, SCHEMA);
    let reader = admin.as_user("reader", Some(Secret::new("S3NT1NEL")));
    let mut terminal = Terminal::start(&["setup"], &[]);
    terminal.wait_for("The source: the database to replicate from");

    // Connection. The focus begins at the password, because everything else has a proposal.
    terminal.types("\t");
    fill(&mut terminal, &reader);
    terminal.types("\r");
    terminal.wait_for("Connected to PostgreSQL");
    terminal.types("\r");

    terminal.wait_for("How the connection is encrypted");
    terminal.types("\r");

    terminal.wait_for("of 2 tables");
    terminal.types("\r");

    terminal.wait_for("blockers");
    terminal.types("\r");

    // Setup script: an administrator is named, the script is shown, asked about and applied.
    terminal.wait_for("Administrator");
    terminal.types(&format!("\t\u{15}{}\r{}\r", admin.user, password(&admin)));
    // The plan of the administrator: the focus is back at the script, and there is a password.
    terminal.wait_until("the plan", |screen| {
        let text = screen.contents();
        text.contains("apply/next") && text.contains("••••") && text.contains("missing; Enter asks")
    });
    terminal.types("\r");
    terminal.wait_for("Apply the setup script?");
    terminal.types("\r");
    terminal.wait_for("The script was applied.");
    terminal.wait_for("Nothing is left that SQL could do");
    terminal.wait_for("0 blockers");
    terminal.types("\r");

    terminal.wait_for("Where the rows go");
    terminal.types("\t");
    fill(&mut terminal, &to_settings);
    terminal.types("\r\r");
    terminal.wait_for("It can be written to.");
    // The configuration is broken meanwhile: the dashboard opens all the same, and says so.
    let directory = terminal.home().join(".config/walpilot");
    std::fs::create_dir_all(&directory).expect("a directory");
    std::fs::write(directory.join("config.toml"), "[alerts]\nlagg = 7\n").expect("a file");
    terminal.types("\r");

    terminal.wait_for("stop");
    terminal.wait_for("The thresholds of the configuration do not count here");
    until_equal(&admin, &to_settings, "SELECT count(*), max(id) FROM public.orders").await;
    psql(
        &admin,
        "INSERT INTO orders (what) SELECT 'later' FROM generate_series(1, 7); DELETE FROM orders WHERE id < 4",
    );
    until_equal(&admin, &to_settings, "SELECT count(*), max(id), min(id) FROM public.orders").await;
    terminal.wait_until("the lag", |screen| screen.contents().to_lowercase().contains("lag"));
    terminal.wait_for("walpilot_slot");

    // Out again: asked once, the batch is finished, and the shell is told where things stand.
    terminal.types("q");
    terminal.wait_for("Stop the replication and leave?");
    terminal.types("\r");
    assert_eq!(terminal.ends(), 0);
    let text = terminal.contents();
    assert!(text.contains("The replication stopped at"), "{text}");
    for secret in ["S3NT1NEL", password(&admin), password(&to_settings)] {
        assert!(secret.is_empty() || !terminal.stream().contains(secret), "a password was drawn");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_does_not_exist_is_made_by_an_administrator_on_the_way() {
    let from = source().await;
    let admin = from.settings();
    psql(&admin, "CREATE TABLE orders (id int PRIMARY KEY)");
    let absent = admin.as_user("reader", Some(Secret::new("S3NT1NEL")));
    let mut terminal = Terminal::start(&["setup"], &[]);
    terminal.wait_for("The source: the database to replicate from");
    terminal.types("\t");
    fill(&mut terminal, &absent);
    terminal.types("\r");
    // From outside a role that does not exist looks like a wrong password.
    terminal.wait_for("refused the password of reader");
    terminal.wait_for("F6: look as an administrator instead");
    terminal.types(F6);
    terminal.wait_for("An administrator looks while the role can't log in");
    // A typing mistake first: the sentence is about the administrator.
    terminal.types(&format!("\u{15}{}\rwrong\r", admin.user));
    terminal.wait_for(&format!("refused the password of {}", admin.user));
    terminal.types(&format!("\u{15}{}\r", password(&admin)));
    terminal.wait_for("Enter goes on as the administrator");
    terminal.types("\r");
    terminal.wait_for("How the connection is encrypted");
    terminal.types("\r");
    terminal.wait_for("1 of 1 table");
    terminal.types("\r");
    terminal.wait_for("blockers");
    terminal.types("\r");
    terminal.wait_for("CREATE ROLE");
    terminal.types("\r");
    terminal.wait_for("Apply the setup script?");
    terminal.types("\r");
    terminal.wait_for("Nothing is left that SQL could do");
    terminal.wait_for("0 blockers");
    terminal.types("\r");
    terminal.wait_for("Where the rows go");
    // The role has the password that was typed, and walpilot looks as that role now.
    assert_eq!(psql(&absent, "SELECT current_user, count(*) FROM orders"), "reader|0");
    terminal.types("\u{11}");
    assert_eq!(terminal.ends(), 0);
    for secret in ["S3NT1NEL", password(&admin)] {
        assert!(!terminal.stream().contains(secret), "a password was drawn");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_login_gets_it_and_a_wrong_password_is_named_after_the_script() {
    let from = source().await;
    let admin = from.settings();
    psql(&admin, "CREATE TABLE orders (id int PRIMARY KEY); CREATE ROLE reader NOLOGIN PASSWORD 'the right one'");
    let reader = admin.as_user("reader", Some(Secret::new("S3NT1NEL")));
    let mut terminal = Terminal::start(&["setup"], &[]);
    terminal.wait_for("The source: the database to replicate from");
    terminal.types("\t");
    fill(&mut terminal, &reader);
    terminal.types("\r");
    terminal.wait_for("F6: look as an administrator instead");
    terminal.types(F6);
    terminal.types(&format!("\u{15}{}\r{}\r", admin.user, password(&admin)));
    terminal.wait_for("Enter goes on as the administrator");
    for (seen, keys) in [
        ("", "\r"),
        ("How the connection is encrypted", "\r"),
        ("1 of 1 table", "\r"),
        ("blockers", "\r"),
        ("statements are missing", "\r"),
        ("Apply the setup script?", "\r"),
        ("Nothing is left that SQL could do.", ""),
        ("0 blockers", ""),
        ("Mend that, or", "\r"),
    ] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    terminal.wait_for("The role has to be able to log in before replication can start");
    psql(&admin, "ALTER ROLE reader PASSWORD 'S3NT1NEL'");
    // Enter tries again, as often as it takes.
    support::await_until("the role logs in", async || {
        let there = terminal.contents().contains("Where the rows go");
        if !there {
            terminal.types("\r");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        there
    })
    .await;
    terminal.types("\u{11}");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_setup_makes_beyond_what_is_missing_is_chosen_applied_and_saved() {
    let from = source().await;
    let admin = from.settings();
    psql(&admin, "CREATE TABLE orders (id int PRIMARY KEY); CREATE ROLE reader LOGIN PASSWORD 'S3NT1NEL'");
    let reader = admin.as_user("reader", Some(Secret::new("S3NT1NEL")));
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path().to_str().expect("UTF-8");
    let mut terminal = Terminal::start(&["setup"], &[("XDG_CONFIG_HOME", home)]);
    terminal.wait_for("The source: the database to replicate from");
    terminal.types("\t");
    fill(&mut terminal, &reader);
    for (seen, keys) in [
        ("", "\r"),
        ("Connected to PostgreSQL", "\r"),
        ("How the connection is encrypted", "\r"),
        ("of 1 table", "\r"),
        ("blockers", "\r"),
    ] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    terminal.wait_for("nothing beyond what is missing");
    terminal.types(&format!("\t\u{15}{}\r{}\r", admin.user, password(&admin)));
    terminal.wait_for("missing; Enter asks");
    // All tables, a heartbeat, and pg_monitor.
    terminal.types("\t\t\t  \t\t\t \t \r");
    terminal.wait_until("the plan with them", |screen| {
        let text = screen.contents();
        text.contains("publishes all tables, heartbeat, monitoring") && text.contains("missing; Enter asks")
    });
    terminal.types("\r");
    terminal.wait_for("Apply the setup script?");
    terminal.types("\r");
    terminal.wait_for("Nothing is left that SQL could do");
    terminal.wait_for("0 blockers");
    assert_eq!(psql(&admin, "SELECT puballtables FROM pg_publication"), "t");
    assert_eq!(psql(&admin, "SELECT pg_has_role('reader', 'pg_monitor', 'MEMBER')"), "t");
    terminal.types("\r");
    terminal.wait_for("Where the rows go");
    terminal.types(F8);
    terminal.wait_for("Save");
    terminal.types("\u{15}shop\r");
    terminal.wait_for("The profile shop is saved");
    terminal.types("\u{11}");
    assert_eq!(terminal.ends(), 0);
    let saved = std::fs::read_to_string(format!("{home}/walpilot/profiles/shop.toml")).expect("a profile");
    let setup = "[setup]\ncover = \"all\"\nleaf_names = false\nfailover = false\nmonitor = true\nheartbeat = true\n";
    assert!(saved.contains(setup) && !saved.contains("S3NT1NEL"), "{saved}");
    // The command line goes on from there: after the way back the same script is written again.
    psql(&admin, "SELECT pg_drop_replication_slot('walpilot_slot'); DROP PUBLICATION walpilot_publication");
    let again =
        support::walpilot(["script", "--profile", "shop"]).env("XDG_CONFIG_HOME", home).env("PGPASSWORD", "S3NT1NEL");
    let script = again.run().await.expect_code(0).stdout;
    assert!(script.contains("FOR ALL TABLES"), "{script}");
}

/// Types host, port, database, user and password, the last without Enter.
fn fill(terminal: &mut Terminal, settings: &Settings) {
    let (host, port) = (&settings.host, settings.port);
    let (database, user) = (&settings.database, &settings.user);
    terminal
        .types(&format!("\u{15}{host}\r\u{15}{port}\r\u{15}{database}\r\u{15}{user}\r\u{15}{}", password(settings)));
}

/// Waits until both servers give the same answer.
async fn until_equal(one: &Settings, other: &Settings, sql: &str) {
    let equal = async {
        loop {
            if exists(other) && psql(one, sql) == psql(other, sql) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(support::PATIENCE, equal).await.is_ok(), "{sql} never agreed");
}

fn exists(settings: &Settings) -> bool {
    psql(settings, "SELECT to_regclass('public.orders') IS NOT NULL").trim() == "t"
}
