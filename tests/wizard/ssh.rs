//! The wizard through a real bastion to a real server: what ssh asks is asked on the screen, what is answered reaches
//! nobody but ssh, and a way that hangs can be left.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::support::bastion::Bastion;
use crate::support::pki::{Pair, Wanted, public_file};
use crate::support::pty::Terminal;
use crate::support::{self, source_builder, started};
use walpilot::connection::{Secret, Settings};
use walpilot::demo::Cluster;

const NAME: &str = "db.walpilot.test";
const PASSPHRASE: &str = "S3NT1NEL of the key";

/// A server whose certificate is for [`NAME`], which only the bastion could look up.
async fn server(folder: &Path) -> (Cluster, String) {
    let root = Pair::authority("Root of the tests");
    let pair = root.sign(&Wanted { common_name: NAME, names: &[NAME], ..Wanted::default() });
    let cluster = started(source_builder().tls(&pair.pem(), &pair.key_pem())).await;
    (cluster, public_file(folder, "root.crt", root.pem()).display().to_string())
}

/// The wizard at its first screen, with a bastion on the way; the focus is at the jump host, the last field.
fn wizard(server: &Settings, parameters: &str, bastion: &Bastion, key: Option<&str>) -> Terminal {
    let uri = format!(
        "host={NAME} hostaddr=127.0.0.1 port={} user={} dbname={} {parameters}",
        server.port, server.user, server.database
    );
    let (ssh, config) = (format!("127.0.0.1:{}", bastion.port()), bastion.config().display().to_string());
    let mut args = vec!["setup", &uri, "--ssh", &ssh, "--ssh-config", &config];
    if let Some(key) = key {
        args.extend(["--ssh-key", key]);
    }
    let password = server.password.as_ref().map_or("", Secret::reveal);
    let terminal = Terminal::start(&args, &[("PGPASSWORD", password)]);
    terminal.wait_for("The source: the database to replicate from");
    terminal
}

/// The command lines and environments of everything that this walpilot has started.
fn seen_from_outside(terminal: &Terminal) -> String {
    let home = format!("HOME={}\0", terminal.home().display());
    let mut all = String::new();
    for process in std::fs::read_dir("/proc").expect("/proc").filter_map(Result::ok) {
        let read = |name: &str| {
            String::from_utf8_lossy(&std::fs::read(process.path().join(name)).unwrap_or_default()).into_owned()
        };
        let own = process.file_name().to_string_lossy() == terminal.pid().to_string();
        let environment = read("environ");
        if !own && environment.contains(&home) {
            all.push_str(&read("cmdline"));
            all.push_str(&environment);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_key_is_trusted_only_by_a_typed_yes_and_then_for_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cluster, root) = server(folder.path()).await;
    let bastion = Bastion::start("");
    let fingerprint = bastion.fingerprint("host");
    let verify = format!("sslmode=verify-full sslrootcert={root}");
    bastion.knows(&[]);
    let mut terminal = wizard(&cluster.settings(), &verify, &bastion, None);
    terminal.resizes(100, 36);

    // Enter alone is no yes, and Esc refuses.
    terminal.types("\u{1b}[15~");
    terminal.wait_for("The bastion's host key is not known");
    terminal.wait_for(&fingerprint);
    terminal.types("\r");
    terminal.wait_for("Type yes to trust this key from now on");
    terminal.types("\u{1b}");
    terminal.wait_for("is not known here");
    assert!(bastion.known().is_empty(), "nothing was trusted: {}", bastion.known());

    // A fingerprint of another key is compared by ssh, which asks again.
    terminal.types("\u{1b}[15~");
    terminal.wait_for("The bastion's host key is not known");
    terminal.types(&format!("{}\r", bastion.fingerprint("stranger")));
    terminal.wait_for("or the fingerprint");
    terminal.types("yes\r");
    terminal.wait_for("Connected to PostgreSQL");
    terminal.wait_for("authority and host name");
    assert!(bastion.known().contains("ssh-ed25519"), "ssh has written it: {}", bastion.known());

    // From now on nobody is asked: the next screens open connections of their own.
    terminal.types("\r");
    terminal.wait_for("How the connection is encrypted");
    terminal.types("\r");
    terminal.wait_for("tables");
    terminal.wait_until("the list", |screen| !screen.contents().contains("Reading"));
    assert!(!terminal.contents().contains("host key"), "{}", terminal.contents());
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);

    // Another name than the certificate's is refused, also through the tunnel.
    let other = cluster.settings();
    let mut terminal = wizard(&other, &format!("{verify} host=other.walpilot.test"), &bastion, None);
    terminal.types("\u{1b}[15~");
    terminal.wait_for("not for other.walpilot.test");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_revoked_host_key_is_refused_without_a_question() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cluster, _) = server(folder.path()).await;
    let bastion = Bastion::start("");
    for (keys, words) in
        [(&[("", "stranger")], "is not the one that is known"), (&[("@revoked", "host")], "is marked as revoked")]
    {
        bastion.knows(keys);
        let before = bastion.known();
        let mut terminal = wizard(&cluster.settings(), "", &bastion, None);
        terminal.types("\u{1b}[15~");
        terminal.wait_for(words);
        assert!(!terminal.contents().contains("Answer"), "{}", terminal.contents());
        assert_eq!(bastion.known(), before);
        terminal.types("\u{3}");
        assert_eq!(terminal.ends(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_passphrase_of_a_key_is_asked_on_the_screen_and_seen_by_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cluster, root) = server(folder.path()).await;
    let bastion = Bastion::start("");
    let key = bastion.locked_key(PASSPHRASE);
    let verify = format!("sslmode=verify-full sslrootcert={root}");
    let mut terminal = wizard(&cluster.settings(), &verify, &bastion, Some(&key.display().to_string()));
    terminal.resizes(100, 36);
    terminal.types("\u{1b}[15~");
    terminal.wait_for("Enter passphrase for key");
    terminal.types("wrong\r");
    terminal.wait_for("That was not the right one");
    // The screen is alive while ssh waits.
    terminal.types("\u{1b}OP");
    terminal.wait_for("This question");
    terminal.types("\u{1b}");
    // What follows an Escape at once would be taken for a key with Alt.
    terminal.wait_until("the help to close", |screen| !screen.contents().contains("This question"));
    terminal.wait_for("Enter passphrase for key");
    terminal.types(PASSPHRASE);
    terminal.wait_for("••••");
    let before = seen_from_outside(&terminal);
    terminal.types("\r");
    terminal.wait_for("Connected to PostgreSQL");
    let all = format!("{before}{}", seen_from_outside(&terminal));
    assert!(all.contains("SSH_ASKPASS"), "the test has looked at ssh");
    let password = cluster.password().reveal().to_owned();
    for secret in [PASSPHRASE, "S3NT1NEL", &password] {
        assert!(!all.contains(secret), "{secret} can be seen: {all}");
    }
    // It is remembered: the next screens ask nothing.
    terminal.types("\r");
    terminal.wait_for("How the connection is encrypted");
    terminal.types("\r");
    terminal.wait_until("the list", |screen| {
        let text = screen.contents();
        text.contains("tables") && !text.contains("Reading") && !text.contains("Enter passphrase")
    });
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.stream().contains("S3NT1NEL"), "the passphrase was drawn");

    // Refused, it is told; nothing is asked on the terminal itself.
    let mut terminal = wizard(&cluster.settings(), "", &bastion, Some(&key.display().to_string()));
    terminal.types("\u{1b}[15~");
    terminal.wait_for("Enter passphrase for key");
    terminal.types("\u{1b}");
    terminal.wait_for("refused the login");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_that_hangs_is_left_with_escape_and_ends() {
    let bastion = Bastion::start("");
    // Accepts and says nothing: neither ssh's banner nor PostgreSQL.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let server = Settings { port, ..Settings::default() };
    let mut terminal = wizard(&server, "connect_timeout=600", &bastion, None);
    terminal.types("\u{1b}[15~");
    terminal.wait_for("Connecting");
    support::await_until("ssh runs", async || bastion.clients() == 1).await;
    // The spinner moves, and the help opens meanwhile.
    let first = terminal.contents();
    terminal.wait_until("the screen moves", |screen| screen.contents() != first);
    terminal.types("\u{1b}OP");
    terminal.wait_for("The text field");
    terminal.types("\u{1b}");
    terminal.wait_until("the help to close", |screen| !screen.contents().contains("The text field"));
    terminal.types("\u{1b}");
    terminal.wait_for("Not tested yet");
    support::await_until("ssh has ended", async || bastion.clients() == 0).await;

    // The same with a question that nobody answers: leaving takes ssh along.
    bastion.knows(&[]);
    terminal.types("\u{1b}[15~");
    terminal.wait_for("The bastion's host key is not known");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    support::await_until("ssh has ended", async || bastion.clients() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_asks_on_its_terminal_and_without_one_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cluster, _) = server(folder.path()).await;
    let bastion = Bastion::start("");
    bastion.knows(&[]);
    let server = cluster.settings();
    let uri = format!("host=127.0.0.1 port={} user={} dbname={}", server.port, server.user, server.database);
    let (ssh, config) = (format!("127.0.0.1:{}", bastion.port()), bastion.config().display().to_string());
    let args = ["check", "--connect-only", &uri, "--ssh", &ssh, "--ssh-config", &config];
    let outcome = support::walpilot(args).password(&server).run().await.expect_code(3);
    assert!(outcome.stdout.contains("is not known here") && outcome.stdout.contains("Run \"ssh "), "{outcome:?}");

    let key = bastion.locked_key(PASSPHRASE).display().to_string();
    let mut args = args.to_vec();
    args.extend(["--ssh-key", &key]);
    let mut terminal = Terminal::start(&args, &[("PGPASSWORD", cluster.password().reveal())]);
    terminal.wait_for("continue connecting");
    terminal.types("yes\r");
    terminal.wait_for("Enter passphrase for key");
    terminal.types(&format!("{PASSPHRASE}\r"));
    terminal.wait_for("Connected to");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.stream().contains("S3NT1NEL"), "{}", terminal.stream());
}
