//! The table of connections: walpilot and psql with the same connection string, on the same machine, at the same
//! servers. They have to agree on whether it connects, on encryption, and on the cause of every failed try.
//!
//! The differences that are meant are the rules in [`deliberate`], explained in `docs/connection.md`.

use crate::support;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::fakes::Fake;
use crate::support::oracle::{Outcome, psql};
use crate::support::servers::{NAME, PASSPHRASE, PASSWORD, World};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use walpilot::connection::settings::{ChannelBindingMode, RootCert, TlsSettings, TlsVersion};
use walpilot::connection::{Secret, SessionOptions, Settings, SslMode, connect};

/// How many cells are worked on at the same time: psql and the server take turns on the processors.
const AT_ONCE: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    None,
    Right,
    Wrong,
    Missing,
    Bundle,
    Rubbish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    None,
    Right,
    Wrong,
    Encrypted,
    /// A passphrase that is not the key's.
    WrongPassphrase,
    /// A key that is not the certificate's.
    Mismatch,
    /// The certificate's file does not exist.
    Missing,
    /// The key's file does not exist.
    NoKey,
    /// Others may read the key.
    OpenKey,
}

/// One connection string.
#[derive(Clone, Debug)]
struct Cell {
    cluster: &'static str,
    role: &'static str,
    password: &'static str,
    database: &'static str,
    host: &'static str,
    mode: SslMode,
    root: Root,
    client: Client,
    versions: (Option<TlsVersion>, Option<TlsVersion>),
    binding: ChannelBindingMode,
}

impl Cell {
    fn new(cluster: &'static str, role: &'static str, mode: SslMode) -> Self {
        Self {
            cluster,
            role,
            password: PASSWORD,
            database: "postgres",
            host: NAME,
            mode,
            root: Root::None,
            client: Client::None,
            versions: (None, None),
            binding: ChannelBindingMode::Prefer,
        }
    }

    fn settings(&self, world: &World) -> Settings {
        let file = |path: &std::path::Path| RootCert::File(path.to_owned());
        let mut tls = TlsSettings {
            root_cert: match self.root {
                Root::None => RootCert::Default,
                Root::Right => file(&world.root),
                Root::Wrong => file(&world.wrong_root),
                Root::Missing => file(&world.path("missing.crt")),
                Root::Bundle => file(&world.bundle),
                Root::Rubbish => file(&world.path("client.key")),
            },
            min_version: self.versions.0,
            max_version: self.versions.1,
            ..TlsSettings::default()
        };
        let right = (world.client.0.clone(), world.client.1.clone());
        let pair = match self.client {
            Client::None => None,
            Client::Right => Some(right),
            Client::Wrong => Some(world.wrong_client.clone()),
            Client::Encrypted | Client::WrongPassphrase => Some((right.0, world.encrypted_key.clone())),
            Client::Mismatch => Some((right.0, world.wrong_client.1.clone())),
            Client::Missing => Some((world.path("missing.crt"), right.1)),
            Client::NoKey => Some((right.0, world.path("missing.key"))),
            Client::OpenKey => Some((right.0, world.path("open.key"))),
        };
        if let Some((cert, key)) = pair {
            (tls.cert, tls.key) = (Some(cert), Some(key));
        }
        tls.key_passphrase = match self.client {
            Client::Encrypted => Some(Secret::new(PASSPHRASE)),
            Client::WrongPassphrase => Some(Secret::new("not the passphrase")),
            _ => None,
        };
        Settings {
            host: self.host.to_owned(),
            hostaddr: Some("127.0.0.1".to_owned()),
            port: world.port(self.cluster),
            database: self.database.to_owned(),
            user: self.role.to_owned(),
            password: (!self.password.is_empty()).then(|| Secret::new(self.password)),
            ssl_mode: self.mode,
            tls,
            channel_binding: self.binding,
            ..Settings::default()
        }
    }
}

/// The same as a connection string of libpq.
fn conninfo(settings: &Settings) -> String {
    let version = |version: Option<TlsVersion>| match version {
        None => "",
        Some(TlsVersion::V1_0) => "TLSv1",
        Some(TlsVersion::V1_1) => "TLSv1.1",
        Some(TlsVersion::V1_2) => "TLSv1.2",
        Some(TlsVersion::V1_3) => "TLSv1.3",
    };
    let secret = |secret: &Option<Secret>| secret.as_ref().map_or(String::new(), |secret| secret.reveal().to_owned());
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map_or(String::new(), |path| path.display().to_string());
    let tls = &settings.tls;
    let root = match &tls.root_cert {
        RootCert::File(path) => path.display().to_string(),
        _ => String::new(),
    };
    let binding = match settings.channel_binding {
        ChannelBindingMode::Disable => "disable",
        ChannelBindingMode::Prefer => "prefer",
        ChannelBindingMode::Require => "require",
    };
    let mut text = String::new();
    for (key, value) in [
        ("host", settings.host.clone()),
        ("hostaddr", settings.hostaddr.clone().unwrap_or_default()),
        ("port", settings.port.to_string()),
        ("dbname", settings.database.clone()),
        ("user", settings.user.clone()),
        ("password", secret(&settings.password)),
        ("sslmode", settings.ssl_mode.name().to_owned()),
        ("sslrootcert", root),
        ("sslcert", path(&tls.cert)),
        ("sslkey", path(&tls.key)),
        ("sslpassword", secret(&tls.key_passphrase)),
        ("ssl_min_protocol_version", version(tls.min_version).to_owned()),
        ("ssl_max_protocol_version", version(tls.max_version).to_owned()),
        ("channel_binding", binding.to_owned()),
        ("connect_timeout", "20".to_owned()),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{key}='{}' ", value.replace('\\', r"\\").replace('\'', r"\'")));
        }
    }
    text
}

/// What walpilot does, in psql's terms: psql can't tell why a certificate is not trusted.
async fn ours(settings: &Settings) -> (Outcome, String) {
    match connect(settings, &SessionOptions::inspect()).await {
        Ok(session) => {
            let security = &session.security;
            assert_eq!(security.warnings, [""; 0], "no pooler stands in between");
            (Outcome::Connected(security.encrypted), security.summary())
        }
        Err(failure) => {
            let name = |class| {
                serde_json::to_value(class).ok().and_then(|name| name.as_str().map(str::to_owned)).expect("a name")
            };
            let mut tries: Vec<String> = failure.tries.iter().filter_map(|one| one.class.map(name)).collect();
            if tries.is_empty() {
                tries.push(name(failure.class));
            }
            assert!(tries.contains(&name(failure.class)), "{failure:?}");
            assert!(!failure.remedy.is_empty() && !failure.to_string().contains("S3NT1NEL"), "{failure:?}");
            (Outcome::Failed(tries), failure.to_string())
        }
    }
}

/// libpq calls all of these "certificate verify failed".
fn as_coarse_as_libpq(outcome: &Outcome) -> Outcome {
    const FINE: [&str; 6] =
        ["cert_expired", "cert_not_yet_valid", "cert_wrong_purpose", "cert_weak_key", "cert_revoked", "cert_untrusted"];
    match outcome {
        Outcome::Failed(tries) => Outcome::Failed(
            tries
                .iter()
                .map(|class| if FINE.contains(&class.as_str()) { "cert_untrusted".to_owned() } else { class.clone() })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Why walpilot is meant to differ from psql here, if it is. Each is a section of `docs/connection.md`.
fn deliberate(cell: &Cell, psql: &Outcome, ours: &Outcome) -> Option<&'static str> {
    let Outcome::Failed(tries) = ours else { return None };
    let last = tries.last().map_or("", String::as_str);
    match last {
        "root_cert_missing" if cell.root == Root::Missing && !cell.mode.verifies() => {
            Some("a named root certificate file that does not exist is an error")
        }
        "password_wrong" if cell.mode == SslMode::Prefer && tries.len() == 1 => {
            Some("a refused password is not offered again without TLS")
        }
        "cleartext_refused" if *psql == Outcome::Connected(false) || matches!(psql, Outcome::Failed(_)) => {
            Some("a password is not sent in clear text over an unencrypted connection")
        }
        "tls_unsupported"
            if cell.mode == SslMode::Allow && matches!(psql, Outcome::Failed(both) if both[0] == both[1]) =>
        {
            Some("allow does not repeat a refused login when the server has no TLS")
        }
        _ => None,
    }
}

fn cells() -> Vec<Cell> {
    let mut all = Vec::new();
    let (roots, clients) = (
        [Root::None, Root::Right, Root::Wrong, Root::Missing, Root::Bundle],
        [Client::None, Client::Right, Client::Wrong, Client::Encrypted],
    );
    // Every certificate and every line of pg_hba.conf that has to do with TLS, with everything.
    let servers = [
        ("no_tls", "scram"),
        ("good", "scram"),
        ("self_signed", "scram"),
        ("wrong_name", "scram"),
        ("address", "scram"),
        ("expired", "scram"),
        ("chain", "scram"),
        ("no_chain", "scram"),
        ("tls13", "scram"),
        ("good", "tls_only"),
        ("good", "plain_only"),
        ("good", "with_cert"),
        ("good", "by_cert"),
    ];
    for (cluster, role) in servers {
        for mode in SslMode::ALL {
            for root in roots {
                for client in clients {
                    all.push(Cell { root, client, ..Cell::new(cluster, role, mode) });
                }
            }
        }
    }
    for mode in SslMode::ALL {
        for root in [Root::None, Root::Right] {
            let cell = |cluster, role| Cell { root, ..Cell::new(cluster, role, mode) };
            // Names and kinds of certificates.
            for cluster in ["name_in_cn", "wildcard", "not_yet", "for_clients"] {
                all.push(cell(cluster, "scram"));
            }
            for cluster in ["address", "good", "name_in_cn", "wildcard"] {
                all.push(Cell { host: "127.0.0.1", ..cell(cluster, "scram") });
                all.push(Cell { host: "", ..cell(cluster, "scram") });
            }
            all.push(Cell { host: "DB.Walpilot.TEST", ..cell("good", "scram") });
            all.push(Cell { host: "a.db.walpilot.test", ..cell("wildcard", "scram") });
            all.push(Cell { root: Root::Rubbish, ..cell("good", "scram") });
            if (root == Root::Right) != mode.verifies() {
                // What follows has nothing to do with trust; modes that verify need the file to come that far.
                continue;
            }
            // Logins.
            for cluster in ["no_tls", "good"] {
                for role in ["md5er", "clear", "trusted", "rejected", "nobody", "other_cert", "no_such_role"] {
                    all.push(cell(cluster, role));
                }
                all.push(Cell { password: "wrong", ..cell(cluster, "scram") });
                all.push(Cell { password: "", ..cell(cluster, "scram") });
                all.push(Cell { password: "wrong", ..cell(cluster, "tls_only") });
                all.push(Cell { password: "wrong", ..cell(cluster, "plain_only") });
                all.push(Cell { database: "no_such_database", ..cell(cluster, "scram") });
                all.push(Cell { database: "closed", ..cell(cluster, "scram") });
                all.push(Cell { database: "private", ..cell(cluster, "scram") });
                for role in ["scram", "md5er", "trusted", "tls_only"] {
                    for binding in [ChannelBindingMode::Require, ChannelBindingMode::Disable] {
                        all.push(Cell { binding, ..cell(cluster, role) });
                    }
                }
            }
            all.push(Cell { client: Client::Right, ..cell("good", "other_cert") });
            // Client files that can't be used.
            for client in [Client::WrongPassphrase, Client::Mismatch, Client::Missing, Client::NoKey, Client::OpenKey] {
                all.push(Cell { client, ..cell("good", "scram") });
                all.push(Cell { client, ..cell("good", "with_cert") });
            }
            // Versions.
            let (v2, v3) = (Some(TlsVersion::V1_2), Some(TlsVersion::V1_3));
            for versions in [(None, v2), (v3, None), (v2, v2), (v3, v2)] {
                for cluster in ["good", "tls13", "no_tls"] {
                    all.push(Cell { versions, ..cell(cluster, "scram") });
                }
            }
            for client in [Client::Right, Client::Wrong] {
                all.push(Cell { client, versions: (None, v2), ..cell("good", "with_cert") });
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_macros, reason = "how much was compared is worth knowing")]
async fn walpilot_decides_as_psql_does() {
    let world = Arc::new(World::build().await);
    let cells = cells();
    let count = cells.len();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    for cell in cells {
        let (world, room) = (Arc::clone(&world), Arc::clone(&room));
        tasks.spawn(async move {
            let _turn = room.acquire().await.expect("open");
            let settings = cell.settings(&world);
            let text = conninfo(&settings);
            let (theirs, (ours, words)) = tokio::join!(psql(&world.psql, &text, world.home.path()), ours(&settings));
            (cell, theirs, ours, words)
        });
    }
    let mut meant: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut connected, mut wrong) = (0, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (cell, theirs, ours, words) = done.expect("a cell that does not panic");
        connected += usize::from(matches!(ours, Outcome::Connected(_)));
        if as_coarse_as_libpq(&ours) == theirs {
            continue;
        }
        match deliberate(&cell, &theirs, &ours) {
            Some(reason) => *meant.entry(reason).or_default() += 1,
            None => wrong.push(format!("{cell:?}\n  psql     {theirs:?}\n  walpilot {ours:?}\n  {words}")),
        }
    }
    println!(
        "{count} cells, {connected} connected, {} different on purpose: {meant:#?}",
        meant.values().sum::<usize>()
    );
    assert!(wrong.is_empty(), "{} of {count} cells differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(meant.len(), 4, "a rule of `deliberate` that no cell needs is to be removed");
    assert!(connected > count / 4, "{connected} of {count} connect: the table tests mostly failures");
}

/// What is no server, or not the whole of one, ends in the same classes as with psql, in the same number of tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn walpilot_gives_up_on_what_is_no_server_as_psql_does() {
    let fakes = [
        Fake::Hang,
        Fake::SaysSAndHangs,
        Fake::SaysNAndHangs,
        Fake::HangsInTls,
        Fake::Http,
        Fake::OldError,
        Fake::Closes,
        Fake::ClosesInHandshake,
    ];
    let home = tempfile::tempdir().expect("a home");
    let program = support::binaries().dir.join("psql");
    let mut tasks = JoinSet::new();
    for fake in fakes {
        for mode in SslMode::ALL {
            let (program, home) = (program.clone(), home.path().to_owned());
            tasks.spawn(async move {
                let server = fake.start().await;
                let settings = Settings {
                    host: "127.0.0.1".to_owned(),
                    port: server.port,
                    ssl_mode: mode,
                    connect_timeout: std::time::Duration::from_secs(2),
                    ..Settings::default()
                };
                let text = conninfo(&settings).replace("connect_timeout='20'", "connect_timeout='2'");
                let (theirs, (ours, words)) = tokio::join!(psql(&program, &text, &home), ours(&settings));
                (ours != theirs)
                    .then(|| format!("{fake:?} {mode}\n  psql     {theirs:?}\n  walpilot {ours:?}\n  {words}"))
            });
        }
    }
    let mut wrong = Vec::new();
    while let Some(done) = tasks.join_next().await {
        wrong.extend(done.expect("a cell that does not panic"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
