//! Threats as a user meets them: in the wizard, on a real terminal, and in everything that walpilot prints or writes.
//! `docs/security.md` names the test of each threat; the last test here holds that list to what there is.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::fakes::Fake;
use support::pki::{Pair, Wanted, private_file, public_file};
use support::program::uri;
use support::pty::Terminal;
use support::{Walpilot, prepare, psql, source, source_builder, started, walpilot};
use tokio::net::TcpSocket;
use walpilot::connection::Secret;

const SENTINEL: &str = "S3NT1NEL";
const F1: &str = "\u{1b}OP";
const F4: &str = "\u{1b}OS";
const F5: &str = "\u{1b}[15~";
const F9: &str = "\u{1b}[20~";
const ESC: &str = "\u{1b}";

/// The wizard for a connection string, with a password in the environment.
fn wizard(text: &str, password: &str, home: Option<&Path>) -> Terminal {
    let home = home.map(|home| home.display().to_string());
    let mut env = vec![("PGPASSWORD", password)];
    env.extend(home.as_deref().map(|home| ("HOME", home)));
    let terminal = Terminal::start(&["setup", text], &env);
    terminal.wait_for("The source: the database to replicate from");
    terminal
}

/// Opens and closes the help: the screen is alive.
fn is_alive(terminal: &mut Terminal) {
    terminal.types(F1);
    terminal.wait_for("Undo the last change");
    terminal.types(ESC);
    terminal.wait_until("the help to close", |screen| !screen.contents().contains("Undo the last change"));
}

/// A port whose packets are dropped: its queue of connections is full, and nobody takes one.
async fn black_hole() -> (tokio::net::TcpListener, Vec<tokio::net::TcpStream>, u16) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = socket.listen(1).expect("a queue");
    let address = listener.local_addr().expect("its address");
    let mut held = Vec::new();
    // The queue is a little longer than was asked for; it is full when a connection is not answered.
    while let Ok(Ok(stream)) =
        tokio::time::timeout(std::time::Duration::from_millis(500), tokio::net::TcpStream::connect(address)).await
    {
        held.push(stream);
    }
    (listener, held, address.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_is_alive_while_a_server_hangs_and_escape_leaves_it() {
    let hole = black_hole().await;
    let mut ports = vec![("synblackhole".to_owned(), hole.2)];
    let mut running = Vec::new();
    for fake in [Fake::Hang, Fake::SaysSAndHangs, Fake::SaysNAndHangs, Fake::HangsInTls, Fake::Drips, Fake::HugeLength]
    {
        let server = fake.start().await;
        ports.push((format!("{fake:?}"), server.port));
        running.push(server);
    }
    for (name, port) in ports {
        // Long enough to be left: whoever waited for it would wait too long for the test.
        let text = format!("host=127.0.0.1 port={port} user=app dbname=shop connect_timeout=600");
        let mut terminal = wizard(&text, SENTINEL, None);
        terminal.types(F5);
        terminal.wait_for("Connecting");
        let first = terminal.contents();
        terminal.wait_until(&format!("{name}: the screen moves"), |screen| screen.contents() != first);
        is_alive(&mut terminal);
        terminal.types(ESC);
        terminal.wait_for("Not tested yet");
        // The keys go on to work, and a second try ends by itself.
        terminal.types(&format!("{F9}\t\t\u{15}1{F5}"));
        terminal.wait_until(&format!("{name}: the end of the limit"), |screen| {
            screen.contents().contains("gave no answer within 1 s")
        });
        terminal.types("\u{3}");
        assert_eq!(terminal.ends(), 0, "{name}");
        assert!(!terminal.stream().contains(SENTINEL), "{name}");
    }
    for server in &running {
        let heard = server.heard.lock().unwrap().clone();
        assert!(!String::from_utf8_lossy(&heard).contains(SENTINEL), "the password left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_to_plain_text_is_red_and_upgraded_with_one_key() {
    let pair = Pair::authority("Self-made");
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let folder = tempfile::tempdir().expect("a folder");
    let other = public_file(folder.path(), "other.crt", Pair::authority("Another").pem());
    let server = cluster.settings();
    let password = server.password.as_ref().map_or("", Secret::reveal);
    let text = |more: &str| {
        format!("host={} port={} user={} dbname={} {more}", server.host, server.port, server.user, server.database)
    };
    // Another authority than the server's: the TLS of `prefer` fails, and plain text is what is left.
    let broken = text(&format!("sslmode=prefer sslrootcert={}", other.display()));
    for (parameters, words, upgraded) in [
        (broken.as_str(), "It FELL BACK to plain text", "is not trusted (self-signed)"),
        (&text("sslmode=allow"), "NOT encrypted", "The connection is encrypted with TLS"),
    ] {
        let mut terminal = wizard(parameters, password, None);
        terminal.types(F5);
        terminal.wait_for("Connected to PostgreSQL");
        terminal.wait_for(words);
        terminal.wait_for("F4: upgrade to require");
        let offer = "F4: upgrade to require";
        terminal.wait_until("the offer in red", |screen| {
            let (rows, columns) = screen.size();
            (0..rows.get()).any(|row| {
                let line = screen.contents_between(row, 0, row, columns.get());
                let cell = line.find(offer).and_then(|_| screen.cell(row, 3));
                cell.is_some_and(|cell| cell.fgcolor() == vt100::Color::Idx(1))
            })
        });
        terminal.types(F4);
        terminal.wait_until("nothing in plain text any more", |screen| {
            let text = screen.contents();
            text.contains(upgraded) && !text.contains("FELL BACK") && !text.contains("F4: upgrade")
        });
        terminal.types("\u{3}");
        assert_eq!(terminal.ends(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn require_says_that_nobody_checked_who_answers() {
    let pair = Pair::authority("Self-made");
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let server = cluster.settings();
    let run = |mode: &str| {
        let text = format!("{}&sslmode={mode}", uri(&server));
        walpilot(["check", "--connect-only", &text]).password(&server)
    };
    let outcome = run("require").run().await.expect_code(0);
    assert!(outcome.stdout.contains("the server's certificate was not verified"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn default_files_are_named_where_they_are_used() {
    let home = tempfile::tempdir().expect("a home");
    let folder = home.path().join(".postgresql");
    std::fs::create_dir(&folder).expect("a folder");
    let root = Pair::authority("Root of the tests");
    let client = root.sign(&Wanted { common_name: "client", ..Wanted::default() });
    public_file(&folder, "root.crt", root.pem());
    public_file(&folder, "postgresql.crt", client.pem());
    public_file(&folder, "root.crl", "");
    let key = client.key_formats(SENTINEL)[3].1.clone();
    private_file(&folder, "postgresql.key", key);
    let pair = root.sign(&Wanted { common_name: "127.0.0.1", names: &["127.0.0.1"], ..Wanted::default() });
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let server = cluster.settings();
    let text = format!(
        "host={} port={} user={} dbname={} sslmode=verify-full",
        server.host, server.port, server.user, server.database
    );
    let password = server.password.as_ref().map_or("", Secret::reveal);
    let mut terminal = wizard(&text, password, Some(home.path()));
    terminal.resizes(110, 40);
    terminal.wait_for("Not tested yet");
    // The key of a default file that nobody named is encrypted: its passphrase is asked for on the screen.
    terminal.types(F5);
    terminal.wait_for("The passphrase of the private key");
    terminal.types("wrong\r");
    terminal.wait_for("is wrong.");
    terminal.types(&format!("{SENTINEL}\r"));
    terminal.wait_for("Connected to PostgreSQL");
    terminal.wait_for("The revocation list");
    terminal.types("\r");
    terminal.wait_for("How the connection is encrypted");
    for file in ["root.crt", "postgresql.crt", "postgresql.key"] {
        terminal.wait_for(&format!(".postgresql/{file}"));
    }
    terminal.wait_for("default file");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.stream().contains(SENTINEL), "the passphrase was drawn");
    let stream = terminal.stream().to_lowercase();
    assert!(!stream.contains("enter pem"), "OpenSSL asked on the terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_command_is_run_only_if_nobody_else_could_have_put_it_there() {
    let cluster = source().await;
    let server = cluster.settings();
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("pass word");
    let password = server.password.as_ref().map_or("", Secret::reveal);
    std::fs::write(&program, format!("#!/bin/sh\n[ \"$1\" = 'shop and more' ] && echo '{password}'\n"))
        .expect("a program");
    let mode = |mode| std::fs::set_permissions(&program, std::fs::Permissions::from_mode(mode)).expect("its rights");
    let text = format!("host={} port={} user={} dbname={}", server.host, server.port, server.user, server.database);
    let mut terminal = wizard(&text, "", None);
    terminal.types(&format!("{F9}\t "));
    terminal.wait_for("Command");
    terminal.types(&format!("\tpass show shop{F5}"));
    terminal.wait_for("begins with the absolute path");
    mode(0o722);
    terminal.types(&format!("\u{15}\"{}\" 'shop and more'{F5}", program.display()));
    terminal.wait_for("group or others may change it");
    mode(0o700);
    terminal.types(F5);
    terminal.wait_for("Connected to PostgreSQL");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.stream().contains(password), "the password was drawn");
    // It is kept for the next time, as words, without what it printed.
    let draft = std::fs::read_to_string(terminal.home().join(".config/walpilot/unfinished.toml")).expect("a draft");
    assert!(draft.contains("shop and more") && !draft.contains(password), "{draft}");
}

/// No control character but a line end, and nothing that turns or hides text.
fn is_clean(text: &str) -> bool {
    let hostile = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    !text.contains(hostile)
}

#[tokio::test(flavor = "multi_thread")]
async fn escapes_in_names_and_errors_do_not_reach_the_terminal() {
    let cluster = source().await;
    let server = cluster.settings();
    let name = "x\u{1b}]52;c;S3NT\u{7}\u{202e}\u{9b}31m\ny";
    prepare(
        &server,
        &format!(
            "CREATE TABLE \"{name}\" (\"{name}\" text); CREATE ROLE \"{name}\"; ALTER TABLE \"{name}\" OWNER TO \"{name}\""
        ),
    );
    let text = uri(&server);
    let commands: [&[&str]; 5] = [
        &["check", &text],
        &["check", "--format", "json", &text],
        &["script", &text],
        &["watch", "--once", &text],
        &["watch", "--once", "--format", "json", &text],
    ];
    for args in commands {
        let outcome = walpilot(args).password(&server).run().await;
        assert!(!outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
        assert!(is_clean(&outcome.stdout) && is_clean(&outcome.stderr), "{args:?}: {outcome:?}");
    }
    let password = server.password.as_ref().map_or("", Secret::reveal);
    let mut terminal = wizard(&text, password, None);
    terminal.types(F5);
    for (seen, keys) in [
        ("Connected to PostgreSQL", "\r"),
        ("How the connection is encrypted", "\r"),
        ("1 of 1 table", "\r"),
        ("blockers", "\r"),
        ("Administrator", "\u{3}"),
    ] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    assert_eq!(terminal.ends(), 0);
    // A server that is none, whose error is full of escapes.
    let fake = Fake::Escapes.start().await;
    let mut other = wizard(&format!("host=127.0.0.1 port={} user=u dbname=d", fake.port), "x", None);
    other.types(F5);
    other.wait_until("an error", |screen| screen.contents().contains('✖'));
    other.types("\u{3}");
    assert_eq!(other.ends(), 0);
    for stream in [terminal.stream(), other.stream()] {
        for bad in ["\u{1b}]", "\u{7}", "\u{202e}", "\u{9b}"] {
            assert!(!stream.contains(bad), "{bad:?} reached the terminal");
        }
    }
}

/// Everything that a run of walpilot printed or wrote, and what others could see of it meanwhile.
async fn traces(run: Walpilot, home: &Path) -> String {
    let run = run.env("HOME", home.to_str().expect("UTF-8")).env("RUST_LOG", "trace").env("WALPILOT_LOG", "trace");
    let (child, _own_home) = run.env("RUST_BACKTRACE", "full").spawn();
    let pid = child.id().expect("a process");
    // An empty one is that of a process that has only begun, or has just ended: only its end ends the looking.
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let end = std::sync::Arc::clone(&ended);
    let looking = tokio::task::spawn_blocking(move || {
        let mut seen = BTreeSet::new();
        loop {
            let last = ended.load(std::sync::atomic::Ordering::SeqCst);
            if let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) {
                seen.insert(String::from_utf8_lossy(&line).into_owned());
            }
            if last {
                return seen;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    let output = child.wait_with_output().await.expect("its output");
    end.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut all = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!all.is_empty() || !output.stderr.is_empty(), "it said nothing");
    all.push_str(&String::from_utf8_lossy(&output.stderr));
    all.extend(looking.await.expect("looked"));
    all
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_leaves_a_secret_anywhere() {
    let folder =
        tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().expect("a folder");
    let root = Pair::authority("Root of the tests");
    let client = root.sign(&Wanted { common_name: "app", ..Wanted::default() });
    let cert = public_file(folder.path(), "client.crt", client.pem());
    let key = private_file(folder.path(), "client.key", &client.key_formats("S3NT1NEL passphrase")[3].1);
    let pair = root.sign(&Wanted { common_name: "db", names: &["127.0.0.1"], ..Wanted::default() });
    let (from, to) = tokio::join!(started(source_builder().tls(&pair.pem(), &pair.key_pem())), support::destination());
    let (admin, target) = (from.settings(), to.settings());
    psql(
        &admin,
        "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1); CREATE ROLE app SUPERUSER LOGIN PASSWORD 'S3NT1NEL-password'",
    );
    psql(&admin, "CREATE PUBLICATION walpilot_publication FOR TABLE orders");
    psql(&target, "CREATE ROLE app SUPERUSER LOGIN PASSWORD 'S3NT1NEL-password'");
    let home = tempfile::tempdir().expect("a home");
    // The passphrase comes from a service file: the only place where libpq takes it from but a connection string.
    let service = format!(
        "[shop]\nhost={}\nport={}\nuser=app\ndbname={}\nsslmode=require\nsslcert={}\nsslkey={}\nsslpassword=S3NT1NEL passphrase\n",
        admin.host,
        admin.port,
        admin.database,
        cert.display(),
        key.display()
    );
    let services = private_file(folder.path(), "services", service);
    let to_text = format!("host={} port={} user=app dbname={}", target.host, target.port, target.database);
    let log = home.path().join("log").display().to_string();
    let logged = ["--log-file", &log];
    let commands: [&[&str]; 10] = [
        &["check", "--connect-only", "--format", "json", "service=shop"],
        &["check", "--format", "json", "service=shop"],
        &["check", "service=shop sslmode=nonsense"],
        &["check", "--connect-only", "service=shop user=nobody"],
        &["profiles", "save", "shop", "service=shop", "--force"],
        &["profiles", "show", "shop", "--format", "json"],
        &["script", "service=shop"],
        &["watch", "--once", "--format", "json", "service=shop"],
        &["run", "--from", "service=shop", "--to", &to_text, "--until-caught-up", "--format", "json"],
        &["verify", "--from", "service=shop", "--to", &to_text],
    ];
    let mut looked = 0;
    for args in commands {
        let run = walpilot(args.iter().chain(&logged)).env("PGSERVICEFILE", services.to_str().expect("UTF-8"));
        let run = run.env("PGPASSWORD", "S3NT1NEL-password").env("WALPILOT_TO_PASSWORD", "S3NT1NEL-password");
        let all = traces(run, home.path()).await;
        assert!(!all.contains(SENTINEL), "{args:?}: {all}");
        looked += usize::from(all.contains("--log-file\0"));
    }
    assert!(looked > 0, "nobody saw a command line in time");
    let written = files(home.path());
    assert!(written.len() >= 2, "a log and a profile: {written:?}");
    for file in written {
        let text = std::fs::read(&file).expect("a file");
        assert!(!String::from_utf8_lossy(&text).contains(SENTINEL), "a secret stands in {}", file.display());
        let mode = std::fs::metadata(&file).expect("its rights").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log said nothing: {log}");
    assert_eq!(psql(&target, "SELECT count(*) FROM orders"), "1", "the run has run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_libpq_can_not_use_is_named() {
    let pair = Pair::ed25519("127.0.0.1");
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    let server = cluster.settings();
    let text = |more: &str| format!("{}&sslmode=require{more}", uri(&server));
    let run = |more: &str| walpilot(["check", "--connect-only", "--format", "json", &text(more)]).password(&server);
    let outcome = run("").run().await.expect_code(0);
    assert!(outcome.stdout.contains("ED25519: psql and everything else with libpq can't connect"), "{outcome:?}");
    let outcome = run("&channel_binding=require").run().await.expect_code(3);
    assert!(outcome.stdout.contains("\"channel_binding\"") && outcome.stdout.contains("not Ed25519"), "{outcome:?}");
    // The oracle: what the warning says is so.
    let psql = |more: &str| {
        let mut command = std::process::Command::new("psql");
        command.args(["-XAtc", "SELECT 1", &text(more)]).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("PGPASSWORD", server.password.as_ref().map_or("", Secret::reveal));
        command.output().expect("psql").status.success()
    };
    assert!(!psql("") && psql("&channel_binding=disable"));
}

#[test]
fn every_threat_names_a_test_that_exists() {
    let list = std::fs::read_to_string("docs/security.md").expect("docs/security.md");
    let mut threats = BTreeSet::new();
    for line in list.lines().filter(|line| line.starts_with("| T")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        threats.insert(cells[1].to_owned());
        let tests: Vec<&str> = cells[4].split('`').filter(|part| part.contains("::")).collect();
        assert!(!tests.is_empty(), "{} has no test", cells[1]);
        for test in tests {
            let (file, name) = test.split_once("::").expect("a test");
            let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {file}: {error}", cells[1]));
            assert!(text.contains(&format!("fn {name}()")), "{}: there is no {name} in {file}", cells[1]);
        }
    }
    let all: BTreeSet<String> = (1..=25).map(|number| format!("T{number}")).collect();
    assert_eq!(threats, all);
}
