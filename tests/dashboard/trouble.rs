//! The dashboard in a real terminal while its source gets into trouble: what it says, and that it goes on.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::program::password;
use crate::support::pty::Terminal;
use crate::support::{self, execute, query, source, walpilot};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use walpilot::connection::{Secret, Settings};
use walpilot::demo::Cluster;

const DOWN: &str = "\u{1b}[B";

/// A dashboard of `settings` in a terminal of 120 by 40.
fn watch_source(settings: &Settings, more: &[&str]) -> Terminal {
    let uri = support::program::uri(settings);
    let mut args = vec!["watch", uri.as_str()];
    args.extend(more);
    let mut terminal = Terminal::start(&args, &[("PGPASSWORD", password(settings))]);
    terminal.resizes(120, 40);
    terminal
}

async fn with_slots(names: &[&str]) -> Cluster {
    let cluster = source().await;
    for name in names {
        execute(&cluster.settings(), &format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")).await;
    }
    cluster
}

/// What a line to a server does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// It leads to this port.
    To(u16),
    /// It takes bytes and brings none.
    Silent,
}

/// A line to one server after the other, that can also fall silent.
struct Switch {
    address: SocketAddr,
    line: watch::Sender<Line>,
}

impl Switch {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (line, state) = watch::channel(Line::To(port));
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { return };
                tokio::spawn(carry(client, state.clone()));
            }
        });
        Self { address, line }
    }

    /// The settings of a server as they are over this line.
    fn settings(&self, of: &Settings) -> Settings {
        Settings { host: "127.0.0.1".to_owned(), port: self.address.port(), ..of.clone() }
    }
}

/// Carries bytes both ways until the line leads elsewhere; while it is silent nothing is carried.
async fn carry(client: TcpStream, mut state: watch::Receiver<Line>) {
    let Line::To(port) = *state.borrow_and_update() else {
        let _ = state.wait_for(|line| *line != Line::Silent).await;
        return;
    };
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (client, server) = (Arc::new(client), Arc::new(server));
    let one = pump(Arc::clone(&client), Arc::clone(&server), state.clone(), port);
    let other = pump(server, client, state.clone(), port);
    tokio::select! {
        () = one => {}
        () = other => {}
        _ = state.wait_for(|line| matches!(line, Line::To(now) if *now != port)) => {}
    }
}

async fn pump(from: Arc<TcpStream>, to: Arc<TcpStream>, mut state: watch::Receiver<Line>, port: u16) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if from.readable().await.is_err() || state.wait_for(|line| *line == Line::To(port)).await.is_err() {
            return;
        }
        let mut rest = match from.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => &buffer[..count],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        };
        while !rest.is_empty() {
            if to.writable().await.is_err() {
                return;
            }
            match to.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_answering_is_told_with_the_age_of_the_data_and_comes_back() {
    let cluster = with_slots(&["orphan"]).await;
    let switch = Switch::to(cluster.port()).await;
    let mut terminal = watch_source(&switch.settings(&cluster.settings()), &[]);
    terminal.wait_for("orphan");
    terminal.wait_for("DETACHED");
    switch.line.send(Line::Silent).unwrap();
    terminal.wait_for("has not answered");
    let lost = terminal.contents();
    assert!(lost.contains("LOST") && lost.contains("orphan") && lost.contains(" old"), "{lost}");
    switch.line.send(Line::To(cluster.port())).unwrap();
    terminal.wait_until("new data", |screen| {
        let text = screen.contents();
        text.contains("The source answers again") && !text.contains("LOST")
    });
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_behind_the_same_name_is_trouble() {
    let first = with_slots(&["only_here"]).await;
    // Clusters of one process and version are copies of one initdb; now it runs again.
    walpilot::demo::clear().await;
    let second = with_slots(&["only_there"]).await;
    // One role with one password at both, as after a failover that went wrong.
    for cluster in [&first, &second] {
        execute(&cluster.settings(), "CREATE ROLE watcher LOGIN PASSWORD 'the same'").await;
    }
    let switch = Switch::to(first.port()).await;
    let settings = switch.settings(&first.settings().as_user("watcher", Some(Secret::new("the same"))));
    let mut terminal = watch_source(&settings, &[]);
    terminal.wait_for("only_here");
    switch.line.send(Line::To(second.port())).unwrap();
    terminal.wait_for("only_there");
    terminal.wait_for("Another cluster answers under this name");
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_dropped_while_it_is_looked_at_is_told() {
    let cluster = with_slots(&["alpha", "beta"]).await;
    let mut terminal = watch_source(&cluster.settings(), &["--slot", "beta"]);
    terminal.wait_for("beta");
    terminal.types("\r");
    terminal.wait_for("Slot beta");
    terminal.wait_for("Position");
    execute(&cluster.settings(), "SELECT pg_drop_replication_slot('beta')").await;
    terminal.wait_for("not there any more");
    terminal.types("\u{1b}");
    terminal.wait_for("Slot beta was dropped");
    terminal.wait_for("alpha");
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_revoked_turns_numbers_into_questions() {
    let cluster = with_slots(&["orphan"]).await;
    execute(&cluster.settings(), "CREATE ROLE watcher LOGIN PASSWORD 'looks'; GRANT pg_monitor TO watcher").await;
    let settings = cluster.settings().as_user("watcher", Some(Secret::new("looks")));
    let mut terminal = watch_source(&settings, &[]);
    terminal.wait_for("orphan");
    terminal.types("v");
    terminal.wait_for("Role watcher sees all 2");
    execute(&cluster.settings(), "REVOKE pg_monitor FROM watcher").await;
    // What the role may see is asked once a minute, or when somebody wants to know.
    terminal.types("r");
    terminal.wait_for("GRANT pg_monitor TO \"watcher\"");
    execute(&cluster.settings(), "GRANT pg_monitor TO watcher").await;
    terminal.types("r");
    terminal.wait_for("Role watcher sees all 2");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_runs_only_when_it_may_and_its_object_was_named() {
    let cluster = with_slots(&["orphan"]).await;
    let settings = cluster.settings();
    execute(&settings, "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'").await;
    execute(&settings, "SELECT pg_reload_conf()").await;
    let slots = async || query(&settings, "SELECT slot_name FROM pg_replication_slots").await.len();
    let mut terminal = watch_source(&settings, &[]);
    terminal.wait_for("orphan");
    terminal.wait_for("nobody reads the slot");
    terminal.types("x");
    terminal.wait_for("--allow-actions");
    terminal.types("\r");
    terminal.wait_for("OSC 52");
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(slots().await, 1);

    let mut terminal = watch_source(&settings, &["--allow-actions"]);
    terminal.wait_for("nobody reads the slot");
    terminal.types("x");
    terminal.wait_for("What mends it");
    terminal.types(DOWN);
    terminal.wait_for("> Give its data up");
    terminal.types("orphen\r");
    terminal.wait_for("This is not the name; nothing was run.");
    assert_eq!(slots().await, 1);
    terminal.types("\u{15}orphan\r");
    terminal.wait_for("Slot orphan was dropped");
    assert_eq!(slots().await, 0);
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_acknowledged_muted_and_taken_back_and_a_table_is_counted() {
    let cluster = with_slots(&["orphan"]).await;
    let settings = cluster.settings();
    execute(
        &settings,
        "CREATE TABLE public.orders (id int PRIMARY KEY); INSERT INTO public.orders SELECT generate_series(1, 1234)",
    )
    .await;
    let mut terminal = watch_source(&settings, &[]);
    terminal.wait_for("orphan: nobody reads the slot");
    terminal.types("5a");
    terminal.wait_for("Acknowledge a finding");
    terminal.types("we buy a disk\r");
    terminal.wait_for("acknowledged at ");
    terminal.wait_for("we buy a disk");
    terminal.types("m");
    terminal.wait_for("Mute a finding");
    terminal.types(&format!("{DOWN}\r"));
    terminal.wait_for("1 muted, u shows them");
    terminal.types("u");
    terminal.wait_until("it is back", |screen| {
        let text = screen.contents();
        text.contains("orphan: nobody reads the slot") && !text.contains("muted, u shows them")
    });
    terminal.types("6");
    terminal.wait_for("public.orders");
    terminal.types("c");
    terminal.wait_for("=1,234");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_shows_the_worst_first_and_opens_what_is_chosen() {
    let (calm, troubled) = (with_slots(&["orphan"]).await, with_slots(&["orphan"]).await);
    let home = tempfile::tempdir().unwrap();
    let home_name = home.path().to_string_lossy().into_owned();
    for (name, cluster) in [("a-calm", &calm), ("b-troubled", &troubled)] {
        // One role with one password, so that one PGPASSWORD opens both.
        execute(&cluster.settings(), "CREATE ROLE watcher LOGIN PASSWORD 'looks'; GRANT pg_monitor TO watcher").await;
        execute(&cluster.settings(), "CREATE PUBLICATION p").await;
        execute(&cluster.settings(), "ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'").await;
        execute(&cluster.settings(), "SELECT pg_reload_conf()").await;
        let settings = cluster.settings().as_user("watcher", Some(Secret::new("looks")));
        let uri = support::program::uri(&settings);
        walpilot(["profiles", "save", name, &uri, "--slot", "orphan", "--publication", "p"])
            .env("HOME", &home_name)
            .env("PGPASSWORD", "looks")
            .run()
            .await
            .expect_code(0);
    }
    execute(&troubled.settings(), "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000)), pg_switch_wal()")
        .await;
    for _ in 0..5 {
        execute(
            &troubled.settings(),
            "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000)), pg_switch_wal()",
        )
        .await;
    }
    let mut terminal =
        Terminal::start(&["watch", "--fleet", "all"], &[("PGPASSWORD", "looks"), ("HOME", home_name.as_str())]);
    terminal.resizes(120, 40);
    terminal.wait_until("both sources, the worst first", |screen| {
        let text = screen.contents();
        match (text.find("b-troubled"), text.find("a-calm")) {
            (Some(troubled), Some(calm)) => troubled < calm && text.contains("OK") && text.contains("CRIT"),
            _ => false,
        }
    });
    terminal.types("g\r");
    terminal.wait_for("orphan");
    // Where there is room the others stand in a line above the one that is open.
    terminal.resizes(200, 60);
    terminal.wait_until("a line with both sources", |screen| {
        let text = screen.contents();
        let line = text.lines().next().unwrap_or_default();
        line.contains("fleet, 2 sources") && line.contains("b-troubled ✖") && line.contains("a-calm")
    });
    terminal.types("f");
    terminal.wait_for("Fleet");
    terminal.wait_for("a-calm");
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}
