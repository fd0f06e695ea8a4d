//! Trouble as a user meets it in a real terminal: each gets one clear sentence, nothing hangs, and what was typed stays.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::program::{password, uri};
use crate::support::pty::Terminal;
use crate::support::{await_until, destination, execute, prepare, psql, source, value};
use walpilot::connection::{Secret, Settings};

const F5: &str = "\u{1b}[15~";
const CLEAR: &str = "\u{15}";

/// The wizard with everything filled in from the command line.
fn wizard(source: &Settings, more: &[&str]) -> Terminal {
    let uri = uri(source);
    let args: Vec<&str> = ["setup", &uri].into_iter().chain(more.iter().copied()).collect();
    let terminal = Terminal::start(&args, &[("PGPASSWORD", password(source))]);
    terminal.wait_for("The source: the database to replicate from");
    terminal
}

/// A port on which every client gets `answer` after its first bytes, or silence.
fn impostor(answer: Option<&'static [u8]>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut client in listener.incoming().map_while(Result::ok) {
            match answer {
                Some(answer) => {
                    let _ = client.read(&mut [0; 64]);
                    let _ = client.write_all(answer);
                }
                None => held.push(client),
            }
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_the_connection_gets_its_sentence() {
    let server = source().await;
    let right = server.settings();
    let at = |change: fn(&mut Settings)| {
        let mut settings = right.clone();
        change(&mut settings);
        settings
    };
    let not_postgres = Settings { port: impostor(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")), ..right.clone() };
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    for (what, settings, said, next) in [
        (
            "unknown host",
            at(|s| s.host = "nowhere.invalid".into()),
            "The host name nowhere.invalid was not found",
            "Check its spelling",
        ),
        ("wrong port", Settings { port: closed, ..right.clone() }, "Nothing listens on", "Check the port"),
        (
            "wrong password",
            at(|s| s.password = Some(Secret::new("S3NT1NEL"))),
            "refused the password of postgres",
            "Check it",
        ),
        ("missing database", at(|s| s.database = "nowhere".into()), "There is no database nowhere", "psql -l"),
        ("not PostgreSQL", not_postgres, "is not a PostgreSQL server", "Check the port"),
    ] {
        let mut terminal = wizard(&settings, &[]);
        terminal.types(F5);
        terminal.wait_until(what, |screen| {
            // A sentence may be broken anywhere between two words.
            let text = screen.contents().replace('\n', " ");
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            text.contains(said) && text.contains(next)
        });
        assert!(terminal.contents().contains(&settings.database), "the values stay: {}", terminal.contents());
        assert!(!terminal.contents().contains("Error {"), "{}", terminal.contents());
        terminal.types("\u{3}");
        assert_eq!(terminal.ends(), 0, "{what}");
        assert!(!terminal.stream().contains("S3NT1NEL"));
    }
}

#[test]
fn escape_leaves_a_server_that_hangs_and_the_values_stay() {
    let hanging = Settings { port: impostor(None), database: "shop".into(), ..Settings::default() };
    let mut terminal = wizard(&hanging, &[]);
    for _ in 0..2 {
        terminal.types(F5);
        terminal.wait_for("Connecting");
        terminal.types("\u{1b}");
        terminal.wait_until("the end of the try", |screen| {
            screen.contents().contains("Not tested yet") && screen.contents().contains("shop")
        });
    }
    // Leaving does not wait for it either.
    terminal.types(F5);
    terminal.wait_for("Connecting");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

/// A source that is ready but for its slot, and the wizard at its destination screen.
async fn at_the_destination(from: &Settings, more: &[&str]) -> Terminal {
    let mut terminal = wizard(from, more);
    for (seen, keys) in [
        ("Not tested yet", "\r"),
        ("Connected to PostgreSQL", "\r"),
        ("How the connection is encrypted", "\r"),
        ("[✔]", "\r"),
        ("passed", "\r"),
    ] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    terminal.wait_for("Administrator");
    terminal.types(&format!("\t{CLEAR}{}\r{CLEAR}{}\r", from.user, password(from)));
    // The plan of the administrator: the focus is back at the script, and there is a password.
    terminal.wait_until("the plan", |screen| {
        let text = screen.contents();
        text.contains("apply/next") && text.contains("••••") && text.contains("missing; Enter asks")
    });
    terminal.types("\r");
    terminal.wait_for("Apply the setup script?");
    terminal.types("\r");
    terminal.wait_for("Nothing is left that SQL could do");
    terminal.wait_for("0 blockers");
    terminal.types("\r");
    terminal.wait_for("Where the rows go");
    terminal
}

fn fill(terminal: &mut Terminal, to: &Settings) {
    terminal.types(&format!(
        "\t{CLEAR}{}\r{CLEAR}{}\r{CLEAR}{}\r{CLEAR}{}\r{CLEAR}{}\r",
        to.host,
        to.port,
        to.database,
        to.user,
        password(to)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_is_prepared_and_a_destination_without_rights_is_named() {
    let (server, other) = tokio::join!(source(), destination());
    let (from, to) = (server.settings(), other.settings());
    prepare(
        &from,
        "CREATE TABLE public.a (id int PRIMARY KEY); CREATE SCHEMA shop; CREATE TABLE shop.b (id int PRIMARY KEY)",
    );
    prepare(&to, "CREATE ROLE guest LOGIN PASSWORD 'guest'; CREATE DATABASE warehouse");
    let asked = ["--schemas", "public", "--publication", "my pub", "--slot", "my_slot"];
    let mut terminal = at_the_destination(&from, &asked).await;
    assert_eq!(
        psql(&from, "SELECT tablename FROM pg_publication_tables WHERE pubname = 'my pub'"),
        "a",
        "an explicit --schemas public leaves the rest out"
    );
    assert_eq!(psql(&from, "SELECT slot_name FROM pg_replication_slots"), "my_slot");
    let guest = Settings { database: "warehouse".into(), ..to.as_user("guest", Some(Secret::new("guest"))) };
    fill(&mut terminal, &guest);
    terminal.types("\r");
    terminal.wait_until("the missing right", |screen| {
        let text = screen.contents().split_whitespace().collect::<Vec<_>>().join(" ");
        text.contains("may not create schemas in")
            && text.contains("GRANT CREATE ON DATABASE \"warehouse\" TO \"guest\";")
    });
    // What the sentence says helps.
    prepare(&to, "GRANT CREATE ON DATABASE warehouse TO guest");
    terminal.types(F5);
    terminal.wait_for("It can be written to.");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_stops_in_the_middle_is_told_and_gone_on_with() {
    let (mut server, other) = tokio::join!(source(), destination());
    let (from, to) = (server.settings(), other.settings());
    prepare(&from, "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 300)");
    let mut terminal = at_the_destination(&from, &[]).await;
    fill(&mut terminal, &to);
    terminal.types("\r");
    terminal.wait_for("It can be written to.");
    terminal.types("\r");
    terminal.wait_for("run streaming");
    terminal.wait_for("Slots 1");
    terminal.types("6");
    // What the run has counted, with its sign.
    terminal.wait_for("=300");
    terminal.types("1");

    server.stop_immediate().await.expect("it stops");
    terminal.wait_for("No answer for");
    terminal.wait_for("next try in");
    terminal.wait_for("LOST");
    terminal.wait_for("run reconnecting");
    // The interface lives meanwhile.
    terminal.resizes(120, 40);
    terminal.wait_for("Method and tables");

    server.start_again().await.expect("it starts");
    execute(&from, "INSERT INTO public.orders VALUES (301), (302)").await;
    await_until("the rows arrive", async || value(&to, "SELECT count(*) FROM public.orders").await == "302").await;
    terminal.wait_for("run streaming");
    terminal.types("8");
    terminal.wait_for("The source answers again");
    terminal.wait_until("the banner to go", |screen| !screen.contents().contains("No answer for"));
    // Out of the page, then out of the program.
    terminal.types("q");
    terminal.wait_for("Slots 1");
    terminal.types("q");
    terminal.wait_for("Stop the replication and leave?");
    terminal.types("\r");
    assert_eq!(terminal.ends(), 0);
    assert!(terminal.contents().contains("The replication stopped at"), "{}", terminal.contents());
    assert!(!terminal.stream().contains(password(&from)));
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_opens_a_dashboard_that_outlives_a_restart_of_the_source() {
    let mut server = source().await;
    let from = server.settings();
    prepare(&from, "SELECT pg_create_logical_replication_slot('orphan', 'pgoutput')");
    let uri = uri(&from);
    let mut terminal = Terminal::start(&["watch", &uri, "--ascii"], &[("PGPASSWORD", password(&from))]);
    terminal.wait_for("orphan");
    terminal.wait_for("DETACHED");
    let ascii = terminal.contents();
    assert!(ascii.is_ascii(), "{ascii}");
    terminal.types("?");
    terminal.wait_for("how the slot is, in one word");
    terminal.types("\u{1b}");
    server.stop_immediate().await.expect("it stops");
    terminal.wait_for("next try in");
    assert!(terminal.contents().contains("orphan"), "what was seen last stays: {}", terminal.contents());
    server.start_again().await.expect("it starts");
    terminal.wait_until("new data", |screen| {
        screen.contents().contains("DETACHED") && !screen.contents().contains("No answer")
    });
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}
