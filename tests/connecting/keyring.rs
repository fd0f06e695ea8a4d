//! Passwords in the system's keyring, with a real one: gnome-keyring on a session bus of the test's own. And what is said
//! where there is none, as on most servers.

#![cfg(all(feature = "keyring", target_os = "linux"))]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::program::password;
use crate::support::pty::Terminal;
use crate::support::{self, Walpilot, psql, source_builder, started, walpilot};
use walpilot::connection::Settings;

const F5: &str = "\u{1b}[15~";
const F8: &str = "\u{1b}[19~";
const F9: &str = "\u{1b}[20~";

/// A session bus with a keyring that is unlocked; both end with the guard.
struct Desktop {
    bus: Child,
    keyring: Child,
    address: String,
    home: tempfile::TempDir,
}

impl Drop for Desktop {
    fn drop(&mut self) {
        for child in [&mut self.keyring, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Desktop {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a home");
        let here = |command: &mut Command| {
            command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
            command.env("XDG_RUNTIME_DIR", home.path()).env("LC_ALL", "C").stderr(Stdio::null());
        };
        let mut bus = Command::new("dbus-daemon");
        here(&mut bus);
        let mut bus = bus
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon is installed (make deps)");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().expect("its output")).read_line(&mut address).expect("its address");
        let address = address.trim().to_owned();
        let mut keyring = Command::new("gnome-keyring-daemon");
        here(&mut keyring);
        let mut keyring = keyring
            .args(["--foreground", "--unlock", "--components=secrets"])
            .env("DBUS_SESSION_BUS_ADDRESS", &address)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("gnome-keyring is installed (make deps)");
        keyring.stdin.take().expect("its input").write_all(b"the keyring's own password").expect("written");
        support::await_until("the keyring is on the bus", async || {
            let mut ask = Command::new("dbus-send");
            here(&mut ask);
            ask.env("DBUS_SESSION_BUS_ADDRESS", &address).args([
                "--session",
                "--print-reply",
                "--dest=org.freedesktop.DBus",
            ]);
            ask.args(["/", "org.freedesktop.DBus.NameHasOwner", "string:org.freedesktop.secrets"]);
            let output = ask.output().expect("dbus-send is installed (make deps)");
            String::from_utf8_lossy(&output.stdout).contains("boolean true")
        })
        .await;
        Self { bus, keyring, address, home }
    }

    /// A run of walpilot on this desktop.
    fn walpilot(&self, args: &[&str]) -> Walpilot {
        let home = self.home.path().to_str().expect("UTF-8");
        walpilot(args).env("HOME", home).env("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }

    fn profile(&self, name: &str) -> String {
        let file = self.home.path().join(format!(".config/walpilot/profiles/{name}.toml"));
        std::fs::read_to_string(file).expect("a profile")
    }
}

fn conninfo(settings: &Settings) -> String {
    format!("host={} port={} user={} dbname={}", settings.host, settings.port, settings.user, settings.database)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_kept_found_only_for_its_server_and_forgotten() {
    let (desktop, cluster) = (Desktop::start().await, started(source_builder()).await);
    let server = cluster.settings();
    let text = conninfo(&server);
    let save = ["profiles", "save", "shop", &text, "--password-source", "keyring", "--password-file", "-"];
    let outcome = desktop.walpilot(&save).input(password(&server)).run().await.expect_code(0);
    assert!(outcome.stderr.contains("Its password is in the keyring"), "{outcome:?}");
    assert!(desktop.profile("shop").contains("source = \"keyring\""), "{}", desktop.profile("shop"));
    assert!(!desktop.profile("shop").contains(password(&server)));

    let check = ["check", "--connect-only", "--profile", "shop"];
    desktop.walpilot(&check).run().await.expect_code(0);
    // Not for another role, database or host.
    for other in ["user=other", "dbname=template1", "host=localhost"] {
        let mut args = check.to_vec();
        args.push(other);
        let outcome = desktop.walpilot(&args).run().await.expect_code(3);
        assert!(outcome.stdout.contains("none was given"), "{other}: {outcome:?}");
    }
    // Two profiles of one server share it; it goes with the last.
    let again = ["profiles", "save", "shop2", &text, "--password-source", "keyring", "--password-file", "-"];
    desktop.walpilot(&again).input(password(&server)).run().await.expect_code(0);
    desktop.walpilot(&["profiles", "remove", "shop2"]).run().await.expect_code(0);
    desktop.walpilot(&check).run().await.expect_code(0);
    let profile = desktop.profile("shop");
    let gone = desktop.walpilot(&["profiles", "remove", "shop"]).run().await.expect_code(0);
    assert!(gone.stderr.contains("removed from the keyring"), "{gone:?}");
    let file = desktop.home.path().join(".config/walpilot/profiles/shop.toml");
    std::fs::write(&file, profile).expect("the profile is back");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its rights");
    let outcome = desktop.walpilot(&check).run().await.expect_code(3);
    assert!(outcome.stdout.contains("none was given"), "{outcome:?}");

    // Written into a profile by hand, the password is asked for once; without a terminal that is said.
    let editor = desktop.home.path().join("editor");
    std::fs::write(&editor, "#!/bin/sh\nsed -i s/keyring/prompt/ \"$1\"\n").expect("an editor");
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o700)).expect("its rights");
    let edit = |with: &str| {
        std::fs::write(&editor, format!("#!/bin/sh\nsed -i '{with}' \"$1\"\n")).expect("an editor");
        desktop.walpilot(&["profiles", "edit", "shop"]).env("EDITOR", editor.to_str().expect("UTF-8"))
    };
    edit("s/keyring/prompt/").run().await.expect_code(0);
    let outcome = edit("s/prompt/keyring/").run().await.expect_code(2);
    assert!(outcome.stderr.contains("There is no password for the keyring"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wizard_keeps_and_finds_it() {
    let (desktop, cluster) = (Desktop::start().await, started(source_builder()).await);
    let server = cluster.settings();
    psql(&server, "CREATE TABLE orders (id int PRIMARY KEY)");
    let text = conninfo(&server);
    let home = desktop.home.path().display().to_string();
    let env = [("HOME", home.as_str()), ("DBUS_SESSION_BUS_ADDRESS", desktop.address.as_str())];
    let mut terminal = Terminal::start(&["setup", &text], &env);
    terminal.wait_for("The source: the database to replicate from");
    terminal.types(&format!("{}{F9}", password(&server)));
    terminal.wait_for("the keyring");
    terminal.types(&format!("\t  {F5}"));
    terminal.wait_for("Connected to PostgreSQL");
    terminal.types(&format!("{F9}\r"));
    for (seen, keys) in [
        ("How the connection is encrypted", "\r"),
        ("1 of 1 table", "\r"),
        ("blockers", "\r"),
        ("statements are missing", "\r"),
        ("Go on without applying?", "\r"),
        ("Where the rows go", F8),
        ("in the system's keyring", "\u{15}shop\r"),
        ("its secrets are in the keyring", "\u{3}"),
    ] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    assert_eq!(terminal.ends(), 0);
    assert!(desktop.profile("shop").contains("source = \"keyring\""), "{}", desktop.profile("shop"));

    let mut terminal = Terminal::start(&["setup", "--profile", "shop"], &env);
    terminal.wait_for("profile shop");
    terminal.types(F5);
    terminal.wait_for("Connected to PostgreSQL");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.stream().contains(password(&server)), "the password was drawn");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_keyring_it_is_not_offered_and_nothing_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = folder.path().join("silent");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).expect("a socket");
    let at = |path: &Path| format!("unix:path={}", path.display());
    let text = "host=127.0.0.1 port=1 user=u dbname=d";
    let save = ["profiles", "save", "shop", text, "--password-source", "keyring"];
    for (address, words) in [
        (None, "There is no keyring in this session"),
        (Some(at(Path::new("/nonexistent"))), "There is no keyring in this session"),
        (Some("rubbish".to_owned()), "There is no keyring in this session"),
        (Some(at(&silent)), "The keyring gave no answer"),
    ] {
        let mut run = walpilot(save).env("PGPASSWORD", "S3NT1NEL").limit(Duration::from_secs(60));
        if let Some(address) = &address {
            run = run.env("DBUS_SESSION_BUS_ADDRESS", address);
        }
        let outcome = run.run().await.expect_code(4);
        assert!(outcome.stderr.contains(words), "{address:?}: {outcome:?}");
        assert!(!outcome.stderr.contains("panicked") && !outcome.stderr.contains("S3NT1NEL"), "{outcome:?}");
    }

    let mut terminal = Terminal::start(&["setup", text], &[]);
    terminal.wait_for("The source: the database to replicate from");
    terminal.types(F9);
    terminal.wait_for("a command");
    assert!(!terminal.contents().contains("the keyring"), "{}", terminal.contents());
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}
