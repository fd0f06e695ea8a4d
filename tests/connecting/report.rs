//! `walpilot check --connect-only`: the report, the exit codes, libpq's default files, the system's authorities, and no
//! prompt on the terminal.

use std::path::Path;

use crate::support::oracle::{Outcome, psql};
use crate::support::pki::{Pair, Wanted, private_file, public_file};
use crate::support::pty::Terminal;
use crate::support::{self, Walpilot, source_builder, started, walpilot};
use serde_json::Value;
use walpilot::demo::Cluster;

const NAME: &str = "db.walpilot.test";
const PASSPHRASE: &str = "S3NT1NEL of the key";

/// A server with a certificate for [`NAME`], and its authority.
async fn server(folder: &Path) -> (Cluster, Pair) {
    let root = Pair::authority("Root of the tests");
    let pair = root.sign(&Wanted { common_name: NAME, names: &[NAME], ..Wanted::default() });
    let clients = public_file(folder, "clients.pem", root.pem());
    let builder =
        source_builder().tls(&pair.pem(), &pair.key_pem()).setting("ssl_ca_file", &clients.display().to_string());
    (started(builder).await, root)
}

fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().permissions(open).tempdir().expect("a folder")
}

fn conninfo(cluster: &Cluster, more: &str) -> String {
    format!(
        "host={NAME} hostaddr=127.0.0.1 port={} user=postgres dbname=postgres connect_timeout=20 {more}",
        cluster.port()
    )
}

fn check(cluster: &Cluster, more: &str) -> Walpilot {
    let text = conninfo(cluster, more);
    walpilot(["check", "--connect-only", "--format", "json", &text]).password(&cluster.settings())
}

/// The report of a run; it has to be JSON whatever happened.
async fn report(run: Walpilot, code: i32) -> Value {
    let outcome = run.run().await.expect_code(code);
    assert!(!outcome.stdout.contains("S3NT1NEL") && !outcome.stderr.contains("S3NT1NEL"), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

#[tokio::test]
async fn the_report_tells_what_was_negotiated_or_why_not() {
    let folder = open_folder();
    let (cluster, root) = server(folder.path()).await;
    let right = public_file(folder.path(), "root.crt", root.pem());

    let json = report(check(&cluster, &format!("sslmode=verify-full sslrootcert={}", right.display())), 0).await;
    assert_eq!((&json["connected"], &json["encrypted"]), (&true.into(), &true.into()), "{json}");
    assert_eq!(json["tls"]["verified"], "authority-and-host");
    assert_eq!(json["tls"]["certificate"]["names"], serde_json::json!([NAME]));
    assert_eq!(json["tls"]["version"], "TLSv1.3");
    assert_eq!(json["password"], "scram-plus");
    assert_eq!(json["attempts"][0]["outcome"], "connected");
    assert_eq!(json["class"], Value::Null);

    let other = public_file(folder.path(), "other.crt", Pair::authority("Another").pem());
    let prefer = report(check(&cluster, &format!("sslmode=prefer sslrootcert={}", other.display())), 0).await;
    assert_eq!((&prefer["connected"], &prefer["encrypted"]), (&true.into(), &false.into()), "{prefer}");
    assert_eq!(prefer["attempts"][0]["class"], "cert_untrusted");
    assert!(prefer["warnings"][0].as_str().is_some_and(|text| text.contains("plain text")), "{prefer}");

    let json = report(check(&cluster, &format!("sslmode=verify-ca sslrootcert={}", other.display())), 3).await;
    assert_eq!(json["class"], "cert_untrusted");
    assert_eq!(json["tls"]["certificate"]["subject"], format!("CN={NAME}"));
    let missing = report(check(&cluster, "sslmode=require sslrootcert=/nonexistent/root.crt"), 3).await;
    assert_eq!(missing["class"], "root_cert_missing");

    for wrong in ["sslmode=sideways", "sslmode=require sslrootcert=system", "sslmode=require sslcrl=/etc/passwd"] {
        let json = report(check(&cluster, wrong), 2).await;
        assert_eq!((&json["connected"], &json["class"]), (&false.into(), &"config_error".into()), "{wrong}: {json}");
        assert!(json["message"].as_str().is_some_and(|text| !text.is_empty()));
    }

    let text = conninfo(&cluster, &format!("sslmode=prefer sslrootcert={}", other.display()));
    let shown = walpilot(["check", "--connect-only", &text]).password(&cluster.settings()).run().await.expect_code(0);
    assert!(shown.stdout.contains("NOT ENCRYPTED") && shown.stdout.contains("Try 1, with TLS"), "{shown:?}");
}

#[tokio::test]
async fn the_systems_authorities_are_trusted_only_where_no_file_is_named() {
    let folder = open_folder();
    let (cluster, root) = server(folder.path()).await;
    let system = public_file(folder.path(), "system.crt", root.pem());
    let other = public_file(folder.path(), "other.crt", Pair::authority("Another").pem());
    let with_system = |more: &str| {
        check(&cluster, more).env("SSL_CERT_FILE", system.to_str().unwrap()).env("SSL_CERT_DIR", "/nonexistent")
    };
    let json = report(with_system("sslmode=verify-full sslrootcert=system"), 0).await;
    assert_eq!(json["tls"]["verified"], "authority-and-host", "{json}");
    let json = report(with_system(&format!("sslmode=verify-full sslrootcert={}", other.display())), 3).await;
    assert_eq!(json["class"], "cert_untrusted", "{json}");
    let json =
        report(check(&cluster, "sslmode=verify-full sslrootcert=system").env("SSL_CERT_FILE", "/nonexistent"), 3);
    assert_eq!(json.await["class"], "cert_untrusted");
}

#[tokio::test]
async fn default_files_are_used_as_libpq_uses_them_and_shown() {
    let folder = open_folder();
    let (cluster, root) = server(folder.path()).await;
    let stranger = Pair::authority("Another");
    let client = root.sign(&Wanted { common_name: "client", ..Wanted::default() });
    let stale = stranger.sign(&Wanted { common_name: "client", ..Wanted::default() });
    let program = support::binaries().dir.join("psql");
    for (root_file, client_file) in
        [(None, None), (Some(&root), None), (Some(&stranger), None), (None, Some(&client)), (None, Some(&stale))]
    {
        let home = tempfile::tempdir().expect("a home");
        let dir = home.path().join(".postgresql");
        std::fs::create_dir(&dir).unwrap();
        if let Some(pair) = root_file {
            public_file(&dir, "root.crt", pair.pem());
        }
        if let Some(pair) = client_file {
            public_file(&dir, "postgresql.crt", pair.pem());
            private_file(&dir, "postgresql.key", pair.key_pem());
        }
        for mode in ["allow", "prefer", "require", "verify-ca", "verify-full"] {
            let text = conninfo(&cluster, &format!("sslmode={mode}"));
            let with_password = format!("{text} password={}", cluster.password().reveal());
            let theirs = psql(&program, &with_password, home.path()).await;
            let run = walpilot(["check", "--connect-only", "--format", "json", &text]).password(&cluster.settings());
            let outcome = run.env("HOME", home.path().to_str().unwrap()).run().await;
            let json: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
            let connected = json["connected"] == true;
            let ours = if connected {
                Outcome::Connected(json["encrypted"] == true)
            } else {
                let classes = json["attempts"].as_array().unwrap().iter();
                Outcome::Failed(classes.filter_map(|one| one["class"].as_str().map(str::to_owned)).collect())
            };
            assert_eq!(ours, theirs, "{mode}: {json}");
            if connected && json["encrypted"] == true && client_file.is_some() {
                assert_eq!(json["tls"]["client_certificate"]["by_default"], true, "{json}");
            }
        }
    }
}

#[tokio::test]
async fn every_format_of_a_key_is_read_as_psql_reads_it() {
    let folder = open_folder();
    let (cluster, root) = server(folder.path()).await;
    let at = folder.path();
    let program = support::binaries().dir.join("psql");
    let client = root.sign(&Wanted { common_name: "client", ..Wanted::default() });
    let cert = public_file(at, "client.crt", client.pem());
    let password = cluster.password().reveal().to_owned();
    for (name, content, encrypted) in client.key_formats(PASSPHRASE) {
        let key = private_file(at, "client.key", content);
        let files = format!("sslmode=require sslcert={} sslkey={}", cert.display(), key.display());
        let with = format!("{files} sslpassword='{PASSPHRASE}'");
        let theirs = psql(&program, &conninfo(&cluster, &format!("{with} password={password}")), at).await;
        assert_eq!(theirs, Outcome::Connected(true), "{name}");
        let json = report(check(&cluster, &with), 0).await;
        assert_eq!(json["encrypted"], true, "{name}: {json}");
        if encrypted {
            for word in ["", "sslpassword=wrong"] {
                let json = report(check(&cluster, &format!("{files} {word}")), 3).await;
                assert_eq!(json["class"], "client_key_passphrase", "{name} {word}: {json}");
            }
        }
    }
}

/// OpenSSL asks for a passphrase on the terminal by itself, in the middle of whatever is on the screen.
#[tokio::test]
async fn no_passphrase_is_asked_for_on_the_terminal() {
    let folder = open_folder();
    let (cluster, root) = server(folder.path()).await;
    let client = root.sign(&Wanted { common_name: "client", ..Wanted::default() });
    let cert = public_file(folder.path(), "client.crt", client.pem());
    let mut formats = client.key_formats(PASSPHRASE);
    formats.retain(|(_, _, encrypted)| *encrypted);
    let der = client.key.private_key_to_pkcs8_passphrase(openssl::symm::Cipher::aes_256_cbc(), PASSPHRASE.as_bytes());
    formats.push(("encrypted DER", der.unwrap(), true));
    for (name, content, _) in formats {
        let key = private_file(folder.path(), "client.key", content);
        let files = format!("sslmode=require sslcert={} sslkey={}", cert.display(), key.display());
        let text = conninfo(&cluster, &files);
        let mut terminal = Terminal::start(
            &["check", "--connect-only", "--format", "json", &text],
            &[("PGPASSWORD", cluster.password().reveal())],
        );
        assert_eq!(terminal.ends(), 3, "{name}: {}", terminal.stream());
        let all = terminal.stream();
        assert!(all.contains("client_key_") && !all.to_lowercase().contains("enter pem"), "{name}: {all}");
    }
}
