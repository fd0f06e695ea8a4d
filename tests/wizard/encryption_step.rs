//! The wizard's encryption step, profiles and unfinished wizards, in a real terminal against servers with TLS.

use std::path::{Path, PathBuf};

use crate::support::pki::{Pair, Wanted, private_file, public_file};
use crate::support::pty::Terminal;
use crate::support::{psql, source_builder, started};
use walpilot::connection::{Secret, Settings};
use walpilot::demo::Cluster;

const PASSWORD: &str = "S3NT1NEL-password";
const PASSPHRASE: &str = "S3NT1NEL-passphrase";
const F5: &str = "\u{1b}[15~";
const F8: &str = "\u{1b}[19~";
const CTRL_F12: &str = "\u{1b}[24;5~";
const DOWN: &str = "\u{1b}[B";

/// A server whose certificate a root signed for 127.0.0.1, and which wants a client certificate of some roles.
struct Server {
    cluster: Cluster,
    folder: tempfile::TempDir,
    root: PathBuf,
    wrong_root: PathBuf,
    client: PathBuf,
    key: PathBuf,
}

async fn server() -> Server {
    use std::os::unix::fs::PermissionsExt;
    // The server's account has to reach the authority's certificate.
    let open = std::fs::Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(open).tempdir().expect("a folder");
    let at = folder.path();
    let (root, stranger) = (Pair::authority("Root of the tests"), Pair::authority("Another root"));
    let named =
        Wanted { common_name: "db.walpilot.test", names: &["127.0.0.1"], days: Some((-1, 9)), ..Wanted::default() };
    let (server, client) = (root.sign(&named), root.sign(&Wanted { common_name: "Client", ..Wanted::default() }));
    let root_file = public_file(at, "root.crt", root.pem());
    let builder = source_builder()
        .tls(&server.pem(), &server.key_pem())
        .setting("ssl_ca_file", &root_file.display().to_string())
        .hba("hostssl all with_cert all scram-sha-256 clientcert=verify-ca")
        .hba("hostnossl all plain_only all scram-sha-256")
        .hba("hostssl all plain_only all reject");
    let cluster = started(builder).await;
    let sql = format!(
        "CREATE TABLE orders (id int PRIMARY KEY); CREATE ROLE with_cert LOGIN PASSWORD '{PASSWORD}'; \
         CREATE ROLE plain_only LOGIN PASSWORD '{PASSWORD}'"
    );
    psql(&cluster.settings(), &sql);
    Server {
        wrong_root: public_file(at, "wrong.crt", stranger.pem()),
        client: public_file(at, "client.crt", client.pem()),
        key: private_file(at, "client.key", &client.key_formats(PASSPHRASE)[3].1),
        root: root_file,
        cluster,
        folder,
    }
}

impl Server {
    fn role(&self, name: &str) -> Settings {
        self.cluster.settings().as_user(name, Some(Secret::new(PASSWORD)))
    }
}

/// Starts the wizard for `role` in a home of its own.
fn wizard(role: &Settings, parameters: &str, home: &Path, args: &[&str]) -> Terminal {
    let (host, port) = (&role.host, role.port);
    let uri = format!("postgres://{}@{host}:{port}/{}?{parameters}", role.user, role.database);
    let mut all = vec!["setup", &uri];
    all.extend(args);
    let home = home.display().to_string();
    let terminal = Terminal::start(&all, &[("HOME", &home), ("WALPILOT_LOG", "trace")]);
    terminal.wait_for("The source: the database to replicate from");
    terminal
}

/// Types the password, tests, and goes on to the encryption step.
fn to_encryption(terminal: &mut Terminal) {
    terminal.types(&format!("{PASSWORD}\r"));
    terminal.wait_for("Connected to PostgreSQL");
    terminal.types("\r");
    terminal.wait_for("How the connection is encrypted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mode_is_chosen_its_files_are_named_and_the_panel_says_what_was_negotiated() {
    let server = server().await;
    let home = tempfile::tempdir().expect("a home");
    let admin = server.cluster.settings();
    let mut terminal = wizard(&server.role("plain_only"), "sslmode=disable", home.path(), &[]);
    to_encryption(&mut terminal);
    terminal.wait_for("never TLS");
    assert!(!terminal.contents().contains("Client key"), "no files without TLS: {}", terminal.contents());
    // The role may log in without TLS only: the fallback is told in words.
    terminal.types(&format!("{DOWN}{DOWN}{F5}"));
    terminal.wait_for("FELL BACK");
    terminal.wait_for("in plain text");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);

    // Another authority than the server's: what the server offered is shown, and then the right one is trusted.
    let wrong = server.wrong_root.display().to_string();
    let mut terminal = wizard(&admin, "", home.path(), &[]);
    terminal.resizes(120, 40);
    let password = admin.password.as_ref().map_or("", Secret::reveal);
    terminal.types(&format!("{password}\r"));
    terminal.wait_for("Connected to PostgreSQL");
    terminal.types("\r");
    terminal.wait_for("How the connection is encrypted");
    terminal.types(&format!("{DOWN}{DOWN}{DOWN}\t  \t{wrong}{F5}"));
    terminal.wait_for("The certificate that the server offered");
    terminal.wait_for("CN=db.walpilot.test");
    terminal.wait_for("CN=Root of the tests");
    terminal.types(&format!("\u{15}{}{F5}", server.root.display()));
    terminal.wait_for("a trusted authority signed it for this host name");
    terminal.wait_for("TLSv1.3");
    terminal.wait_until("the expiry", |screen| screen.contents().contains("expires in"));
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    drop(server.folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_a_whole_wizard_stands_nowhere() {
    let server = server().await;
    let home = tempfile::tempdir().expect("a home");
    let log = home.path().join("walpilot.log").display().to_string();
    let parameters = format!("sslmode=verify-full&sslrootcert={}", server.root.display());
    let role = server.role("with_cert");
    let mut streams = Vec::new();

    // The server wants a certificate: the encryption step is open, and there its files are named.
    let mut terminal = wizard(&role, &parameters, home.path(), &["--log-file", &log]);
    terminal.types(&format!("{PASSWORD}\r"));
    terminal.wait_for("goes on to Encryption");
    terminal.types("\r");
    terminal.wait_for("How the connection is encrypted");
    let (client, key) = (server.client.display(), server.key.display());
    terminal.types(&format!("\t\t\t{client}\t{key}\t{PASSPHRASE}{F5}"));
    terminal.wait_for("more below: PgDn");
    terminal.types("\r");
    for (seen, keys) in [("of 1 table", "\r"), ("blockers", "\r"), ("Administrator", "")] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    // Left before its end.
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    streams.push(terminal.stream());

    // Taken up again without its secrets, ended at the destination, saved as a profile; then a defect is reported.
    let home_text = home.path().display().to_string();
    let env =
        [("HOME", home_text.as_str()), ("WALPILOT_LOG", "trace"), ("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")];
    let mut terminal = Terminal::start(&["setup", "--log-file", &log], &env);
    terminal.wait_for("An unfinished wizard");
    terminal.types("\r");
    terminal.wait_for("with_cert");
    terminal.types(&format!("{PASSWORD}\r"));
    terminal.wait_for("The passphrase of the private key");
    terminal.types(&format!("{PASSPHRASE}\r"));
    terminal.wait_for("Connected to PostgreSQL");
    terminal.types("\r");
    terminal.wait_for("more below: PgDn");
    terminal.types("\r");
    for (seen, keys) in [("1 of 1 table", "\r"), ("blockers", "\r"), ("statements are missing", "\r")] {
        terminal.wait_for(seen);
        terminal.types(keys);
    }
    terminal.wait_for("Go on without applying?");
    terminal.types("\r");
    terminal.wait_for("Where the rows go");
    terminal.types(F8);
    terminal.wait_for("Save as a profile");
    terminal.types("\u{15}shop\r");
    terminal.wait_for("without its secrets");
    if cfg!(debug_assertions) {
        terminal.types(CTRL_F12);
        assert_eq!(terminal.ends(), 101);
    }
    streams.push(terminal.stream());

    // The profile opens the wizard with every value but the secrets.
    let mut terminal = Terminal::start(&["setup", "--profile", "shop", "--log-file", &log], &env);
    terminal.wait_for("with_cert");
    terminal.wait_for("profile shop");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    streams.push(terminal.stream());
    for stream in streams {
        assert!(!stream.contains("S3NT1NEL"), "a secret was drawn");
    }
    let log = std::fs::read_to_string(&log).expect("a log");
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log said nothing");
    nowhere(home.path());
}

/// No file below `folder` holds a secret.
fn nowhere(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            nowhere(&path);
        } else {
            let text = std::fs::read(&path).expect("a file");
            assert!(!String::from_utf8_lossy(&text).contains("S3NT1NEL"), "a secret stands in {}", path.display());
        }
    }
}
