//! Several hosts and `target_session_attrs`, with psql as the oracle: a primary, a standby, and a server whose
//! sessions are read-only.

use std::process::Command;

use crate::support::{self, demote, execute, started};
use walpilot::connection::{Class, SessionOptions, Settings, attempt, connect, uri};
use walpilot::demo::Cluster;

/// The port that psql arrives at, or nothing.
fn psql(text: &str, passfile: &std::path::Path) -> Option<String> {
    let output = Command::new("psql")
        .args(["-XAtc", "SELECT inet_server_port()", text])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/local/bin")
        .env("PGPASSFILE", passfile)
        .output()
        .expect("psql");
    output.status.success().then(|| String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned())
}

#[tokio::test]
async fn the_same_server_is_chosen_as_by_psql() {
    let (primary, mut standby, frozen) =
        tokio::join!(support::destination(), support::destination(), started(Cluster::builder(&support::binaries())));
    demote(&mut standby).await;
    execute(&frozen.settings(), "ALTER ROLE postgres SET default_transaction_read_only = on").await;
    let nobody = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("its address").port()
    };
    let ports =
        [("primary", primary.port()), ("standby", standby.port()), ("frozen", frozen.port()), ("nobody", nobody)];
    let port = |name: &str| ports.iter().find(|(known, _)| *known == name).expect(name).1.to_string();
    let password = |cluster: &Cluster| cluster.password().reveal().to_owned();
    // Each server has its own password, so the file is looked up for each host.
    let passfile = tempfile::NamedTempFile::new().expect("a file");
    let lines: String = [(&primary, "primary"), (&standby, "standby"), (&frozen, "frozen")]
        .map(|(cluster, name)| format!("127.0.0.1:{}:*:*:{}\n", port(name), password(cluster)))
        .concat();
    std::fs::write(passfile.path(), lines).expect("the password file");

    let mut wrong = Vec::new();
    for order in [
        &["primary", "standby", "frozen"][..],
        &["frozen", "standby", "primary"],
        &["standby", "frozen"],
        &["nobody", "standby", "primary"],
        &["nobody", "primary"],
        &["nobody"],
    ] {
        for target in ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"] {
            let list =
                |with: &dyn Fn(&str) -> String| order.iter().map(|name| with(name)).collect::<Vec<_>>().join(",");
            let text = format!(
                "host={} port={} user=postgres dbname=postgres sslmode=disable target_session_attrs={target}",
                list(&|_| "127.0.0.1".to_owned()),
                list(&port),
            );
            let oracle = psql(&text, passfile.path());
            let mut settings = uri::parse(&text, &Settings::default()).expect("a connection string");
            let all = [("primary", &primary), ("standby", &standby), ("frozen", &frozen)];
            let of = |number: u16| {
                let known = all.iter().find(|(_, cluster)| cluster.port() == number);
                known.map(|(_, cluster)| cluster.password().clone())
            };
            settings.password = of(settings.port);
            settings.password_file = Some(passfile.path().to_owned());
            for other in &mut settings.alternatives {
                other.password = of(other.port);
            }
            let ours = match connect(&settings, &SessionOptions::inspect()).await {
                Ok(session) => Some(session.settings().port.to_string()),
                Err(failure) => {
                    assert!(
                        matches!(failure.class, Class::Refused | Class::TargetSessionMismatch),
                        "{text}: {failure}"
                    );
                    None
                }
            };
            if ours != oracle {
                wrong.push(format!("{order:?} {target}: psql {oracle:?}, walpilot {ours:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{ports:?} {wrong:#?}");

    // The replication connection goes to the same server.
    let text = format!(
        "host=127.0.0.1,127.0.0.1 port={},{} user=postgres dbname=postgres sslmode=disable target_session_attrs=read-write",
        port("standby"),
        port("primary")
    );
    let mut settings = uri::parse(&text, &Settings::default()).expect("a connection string");
    settings.password_file = Some(passfile.path().to_owned());
    settings.password = Some(standby.password().clone());
    settings.alternatives[0].password = Some(primary.password().clone());
    attempt::connect_replication(&settings, &[]).await.unwrap_or_else(|failure| panic!("{failure}"));
}
