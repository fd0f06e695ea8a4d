//! The servers of the table of connections: one cluster for each certificate, one role for each line of pg_hba.conf.

use std::path::{Path, PathBuf};

use walpilot::demo::Cluster;

use super::pki::{Pair, Wanted, private_file, public_file};
use super::{await_until, execute, source_builder, started, value};

/// The name that certificates are made for; it is in no DNS, so it always comes with an address.
pub const NAME: &str = "db.walpilot.test";
/// The password of every role that has one.
pub const PASSWORD: &str = "S3NT1NEL-of-roles";
/// The passphrase of the encrypted client key.
pub const PASSPHRASE: &str = "S3NT1NEL of keys";

/// The roles: name, and the lines of pg_hba.conf that let them in.
const ROLES: &[(&str, &[&str])] = &[
    ("scram", &["host all scram all scram-sha-256"]),
    ("md5er", &["host all md5er all md5"]),
    ("clear", &["host all clear all password"]),
    ("trusted", &["host all trusted all trust"]),
    ("tls_only", &["hostssl all tls_only all scram-sha-256"]),
    ("plain_only", &["hostnossl all plain_only all scram-sha-256"]),
    ("with_cert", &["hostssl all with_cert all scram-sha-256 clientcert=verify-ca"]),
    ("by_cert", &["hostssl all by_cert all cert map=people"]),
    ("other_cert", &["hostssl all other_cert all cert"]),
    ("rejected", &["host all rejected all reject"]),
    ("nobody", &[]),
];

/// What client certificates say; `pg_ident.conf` maps it to `by_cert`.
pub const CLIENT_NAME: &str = "Client of the tests";

/// Everything that the table's cells need.
pub struct World {
    pub folder: tempfile::TempDir,
    pub home: tempfile::TempDir,
    pub psql: PathBuf,
    pub clusters: Vec<(&'static str, Cluster)>,
    /// The authority of the servers.
    pub root: PathBuf,
    pub wrong_root: PathBuf,
    pub bundle: PathBuf,
    /// Certificate and key.
    pub client: (PathBuf, PathBuf),
    pub wrong_client: (PathBuf, PathBuf),
    pub encrypted_key: PathBuf,
}

impl World {
    pub fn port(&self, cluster: &str) -> u16 {
        self.clusters.iter().find(|(name, _)| *name == cluster).map(|(_, cluster)| cluster.port()).expect("a cluster")
    }

    /// Makes all files and starts all clusters.
    pub async fn build() -> Self {
        use std::os::unix::fs::PermissionsExt;
        // The server's account has to reach the authority's certificate.
        let open = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(open).tempdir().expect("a folder");
        let at = folder.path();
        let (root, stranger, clients) =
            (Pair::authority("Root of the tests"), Pair::authority("Another root"), Pair::authority("Root of clients"));
        let middle = root.sign(&Wanted { common_name: "Intermediate", authority: true, ..Wanted::default() });
        let client = clients.sign(&Wanted { common_name: CLIENT_NAME, ..Wanted::default() });
        let wrong_client = stranger.sign(&Wanted { common_name: CLIENT_NAME, ..Wanted::default() });
        let clients_file = public_file(at, "clients.pem", clients.pem());

        let named = Wanted { common_name: NAME, names: &[NAME], ..Wanted::default() };
        let good = root.sign(&named);
        let deep = middle.sign(&named);
        let chain = |pair: &Pair, more: &[&Pair]| more.iter().fold(pair.pem(), |pem, next| pem + &next.pem());
        let certificates: Vec<(&'static str, Option<(String, Pair)>)> = vec![
            ("no_tls", None),
            ("good", Some((good.pem(), good.clone()))),
            (
                "self_signed",
                Some({
                    let pair = Pair::issue(&named, None);
                    (pair.pem(), pair)
                }),
            ),
            (
                "wrong_name",
                Some(alone(root.sign(&Wanted { common_name: "x", names: &["other.test"], ..named.clone() }))),
            ),
            ("address", Some(alone(root.sign(&Wanted { common_name: "x", names: &["127.0.0.1"], ..named.clone() })))),
            ("name_in_cn", Some(alone(root.sign(&Wanted { names: &[], ..named.clone() })))),
            (
                "wildcard",
                Some(alone(root.sign(&Wanted { common_name: "x", names: &["*.walpilot.test"], ..named.clone() }))),
            ),
            ("expired", Some(alone(root.sign(&Wanted { days: Some((-30, -1)), ..named.clone() })))),
            ("not_yet", Some(alone(root.sign(&Wanted { days: Some((2, 30)), ..named.clone() })))),
            ("for_clients", Some(alone(root.sign(&Wanted { client_only: true, ..named.clone() })))),
            ("chain", Some((chain(&deep, &[&middle]), deep.clone()))),
            ("no_chain", Some((deep.pem(), deep.clone()))),
            ("tls13", Some((good.pem(), good.clone()))),
        ];
        let mut clusters = Vec::new();
        for (name, certificate) in certificates {
            clusters.push((name, start(name, certificate.as_ref(), &clients_file).await));
        }
        public_file(at, "open.key", client.key_pem());
        Self {
            root: public_file(at, "root.crt", root.pem()),
            wrong_root: public_file(at, "wrong.crt", stranger.pem()),
            bundle: public_file(at, "bundle.pem", format!("# many\n{}{}", stranger.pem(), root.pem())),
            client: (public_file(at, "client.crt", client.pem()), private_file(at, "client.key", client.key_pem())),
            wrong_client: (
                public_file(at, "wrong_client.crt", wrong_client.pem()),
                private_file(at, "wrong_client.key", wrong_client.key_pem()),
            ),
            encrypted_key: private_file(at, "encrypted.key", &client.key_formats(PASSPHRASE)[3].1),
            home: tempfile::tempdir().expect("a home"),
            psql: super::binaries().dir.join("psql"),
            folder,
            clusters,
        }
    }

    /// A file in the world's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn alone(pair: Pair) -> (String, Pair) {
    (pair.pem(), pair)
}

async fn start(name: &str, certificate: Option<&(String, Pair)>, clients: &Path) -> Cluster {
    let mut builder = source_builder().setting("max_connections", "100").setting("log_connections", "on");
    for (_, lines) in ROLES {
        for line in *lines {
            builder = builder.hba(line);
        }
    }
    if let Some((pem, pair)) = certificate {
        builder = builder.tls(pem, &pair.key_pem());
        if matches!(name, "good" | "chain" | "tls13") {
            builder = builder.setting("ssl_ca_file", &clients.display().to_string());
        }
    }
    if name == "tls13" {
        builder = builder.setting("ssl_min_protocol_version", "TLSv1.3");
    }
    let mut cluster = started(builder).await;
    // `nobody` must find no line at all, so the defaults behind ours have to go.
    let hba = cluster.data_directory().join("pg_hba.conf");
    let text = std::fs::read_to_string(&hba).expect("pg_hba.conf");
    let text: String = text
        .lines()
        .map(|line| line.replace("host all all 127.0.0.1/32", "host all postgres 127.0.0.1/32") + "\n")
        .collect();
    std::fs::write(&hba, text).expect("pg_hba.conf");
    let map = format!("people \"{CLIENT_NAME}\" by_cert\n");
    std::fs::write(cluster.data_directory().join("pg_ident.conf"), map).expect("pg_ident.conf");
    let loaded = "SELECT pg_conf_load_time()";
    let before = value(&cluster.socket_settings(), loaded).await;
    cluster.reload().expect("a reload");
    await_until("the reload", async || value(&cluster.socket_settings(), loaded).await != before).await;
    let mut sql = String::new();
    for (role, _) in ROLES {
        let how = if *role == "md5er" { "md5" } else { "scram-sha-256" };
        sql.push_str(&format!("SET password_encryption = '{how}'; CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; "));
    }
    for sql in [
        sql.as_str(),
        "CREATE DATABASE closed",
        "ALTER DATABASE closed ALLOW_CONNECTIONS false",
        "CREATE DATABASE private",
        "REVOKE CONNECT ON DATABASE private FROM PUBLIC",
    ] {
        execute(&cluster.socket_settings(), sql).await;
    }
    cluster
}

/// Makes a server that is stopped a standby at its next start: it recovers for ever and lets readers in.
pub fn make_standby(cluster: &Cluster) {
    let signal = cluster.data_directory().join("standby.signal");
    std::fs::write(&signal, "").expect("standby.signal");
    let owner = std::fs::metadata(cluster.data_directory()).expect("the data directory");
    let (uid, gid) = (std::os::unix::fs::MetadataExt::uid(&owner), std::os::unix::fs::MetadataExt::gid(&owner));
    // Only root can give files away, and only root's servers belong to somebody else.
    let _ = std::os::unix::fs::chown(&signal, Some(uid), Some(gid));
}
