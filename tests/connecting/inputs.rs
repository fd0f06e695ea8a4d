//! Where the program takes its connection from: variables, password file, service file, profiles and programs; and
//! that no secret of them shows anywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::program::Outcome;
use crate::support::{self, Walpilot, walpilot};
use walpilot::demo::Cluster;

/// A directory with files of a user.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its rights");
        path.display().to_string()
    }

    fn run(&self, args: &[&str]) -> Walpilot {
        walpilot(args).env("XDG_CONFIG_HOME", &self.0.path().display().to_string())
    }

    fn profile(&self, name: &str) -> PathBuf {
        self.0.path().join("walpilot/profiles").join(format!("{name}.toml"))
    }
}

/// A server with a role whose password everybody knows.
async fn server() -> Cluster {
    let cluster = support::destination().await;
    support::execute(&cluster.settings(), "CREATE ROLE app LOGIN PASSWORD 'S3NT1NEL'").await;
    support::execute(&cluster.settings(), "CREATE DATABASE shop").await;
    cluster
}

const CHECK: [&str; 4] = ["check", "--connect-only", "--format", "json"];

/// What the report says of the connection, or the class of its failure.
fn connected(outcome: &Outcome) -> Result<(), String> {
    let report: serde_json::Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    match report["connected"].as_bool() {
        Some(true) => Ok(()),
        _ => Err(report["class"].as_str().expect("a class").to_owned()),
    }
}

#[tokio::test]
async fn each_source_alone_is_enough() {
    let (cluster, home) = (server().await, Home::new());
    let port = cluster.port().to_string();
    let pass = home.file("pgpass", &format!("127.0.0.1:{port}:shop:app:S3NT1NEL\n"), 0o600);
    let wrong = home.file("wrong", "*:*:*:*:wrong\n", 0o600);
    let open = home.file("open", "*:*:*:*:S3NT1NEL\n", 0o644);
    let service = format!("[shop]\nhost=127.0.0.1\nport={port}\nuser=app\ndbname=shop\npassword=S3NT1NEL\n");
    let service = home.file("services", &service, 0o600);
    let place = [("PGHOST", "127.0.0.1"), ("PGPORT", &port), ("PGUSER", "app"), ("PGDATABASE", "shop")];

    let only = |more: &[(&str, &str)]| {
        let all = place.iter().chain(more);
        all.fold(home.run(&CHECK), |run, (name, value)| run.env(name, value))
    };
    assert_eq!(connected(&only(&[("PGPASSWORD", "S3NT1NEL")]).run().await), Ok(()));
    assert_eq!(connected(&only(&[("PGPASSFILE", &pass)]).run().await), Ok(()));
    assert_eq!(connected(&only(&[]).run().await), Err("password_missing".to_owned()));
    assert_eq!(
        connected(&only(&[("PGPASSWORD", "wrong"), ("PGPASSFILE", &pass)]).run().await),
        Err("password_wrong".to_owned())
    );

    let refused = only(&[("PGPASSFILE", &wrong)]).run().await;
    assert_eq!(connected(&refused), Err("password_wrong".to_owned()));
    assert!(refused.stdout.contains(&wrong), "the file is named: {}", refused.stdout);

    let ignored = only(&[("PGPASSFILE", &open)]).run().await;
    assert_eq!(connected(&ignored), Err("password_missing".to_owned()));
    assert!(ignored.stderr.contains(&open) && ignored.stderr.contains("0600"), "{}", ignored.stderr);

    let by_name = home.run(&CHECK).env("PGSERVICEFILE", &service).env("PGSERVICE", "shop").run().await;
    assert_eq!(connected(&by_name), Ok(()));
    let mut args = CHECK.to_vec();
    args.push("service=shop user=nobody");
    let over = home.run(&args).env("PGSERVICEFILE", &service).run().await;
    assert_eq!(connected(&over), Err("password_wrong".to_owned()), "explicit wins");
    let missing = home.run(&CHECK).env("PGSERVICEFILE", &service).env("PGSERVICE", "nope").run().await;
    assert_eq!(connected(&missing), Err("config_error".to_owned()));
    assert!(missing.stdout.contains("nope"), "{}", missing.stdout);
}

#[tokio::test]
async fn profiles_are_saved_used_changed_and_removed() {
    let (cluster, home) = (server().await, Home::new());
    let port = cluster.port().to_string();
    let uri = format!("postgres://app:S3NT1NEL@127.0.0.1:{port}/shop?sslmode=disable&sslpassword=S3NT1NEL");
    let program = home.file("secret", "#!/bin/sh\necho \"$1\"\n", 0o700);
    let saved = home
        .run(&[
            "profiles",
            "save",
            "shop",
            &uri,
            "--tables",
            "public.a,\"B\".c",
            "--slot",
            "other",
            "--password-command",
            &program,
            "S3NT1NEL-is-$(not)-here",
        ])
        .run()
        .await
        .expect_code(0);
    assert!(saved.stderr.contains("can be seen by others"), "{}", saved.stderr);
    let file = home.profile("shop");
    assert_eq!(fs::metadata(&file).expect("the profile").permissions().mode() & 0o777, 0o600);

    // The program prints what it is given, so the password is right only without the rest.
    let wrong = home.run(&[&CHECK[..], &["--profile", "shop"]].concat()).run().await;
    assert_eq!(connected(&wrong), Err("password_wrong".to_owned()));
    let editor = home.file("editor", "#!/bin/sh\nsed -i 's/S3NT1NEL-is-.*-here/S3NT1NEL/' \"$1\"\n", 0o700);
    home.run(&["profiles", "edit", "shop"]).env("EDITOR", &editor).run().await.expect_code(0);
    let right = home.run(&[&CHECK[..], &["--profile", "shop"]].concat()).run().await;
    assert_eq!(connected(&right), Ok(()), "{}", right.stderr);

    let shown = home.run(&["profiles", "show", "shop", "--format", "json"]).run().await.expect_code(0);
    let shown: serde_json::Value = serde_json::from_str(&shown.stdout).expect("JSON");
    assert_eq!(shown["source"]["dbname"], "shop");
    assert_eq!(shown["tables"], serde_json::json!(["public.a", "\"B\".c"]));
    assert_eq!(shown["slot"], "other");
    assert!(shown["source"].get("password").is_none() && shown["source"].get("sslpassword").is_none(), "{shown}");

    let before = fs::read(&file).expect("the profile");
    let vandal = home.file("vandal", "#!/bin/sh\necho 'method = \"sideways\"' >\"$1\"\n", 0o700);
    let refused = home.run(&["profiles", "edit", "shop"]).env("EDITOR", &vandal).run().await.expect_code(2);
    assert!(refused.stderr.contains("sideways") || refused.stderr.contains("line 1"), "{}", refused.stderr);
    assert_eq!(fs::read(&file).expect("the profile"), before);
    let kept = refused.stderr.rsplit(' ').next().expect("a path").trim().trim_end_matches('.').to_owned();
    fs::remove_file(Path::new(&kept)).unwrap_or_else(|error| panic!("{error}: {}", refused.stderr));

    home.run(&["profiles", "save", "shop", &uri]).run().await.expect_code(2);
    home.run(&["profiles", "save", "../shop", &uri]).run().await.expect_code(2);
    let list = home.run(&["profiles", "list"]).run().await.expect_code(0);
    assert_eq!(list.stdout, "shop\n");
    home.run(&["profiles", "remove", "shop"]).run().await.expect_code(0);
    home.run(&["profiles", "show", "shop"]).run().await.expect_code(2);
    assert_eq!(home.run(&["profiles", "list"]).run().await.expect_code(0).stdout, "");
}

#[tokio::test]
async fn a_program_of_others_or_without_its_path_is_not_run() {
    let home = Home::new();
    let open = home.file("open", "#!/bin/sh\necho x\n", 0o777);
    home.run(&["profiles", "save", "a", "host=127.0.0.1 port=1", "--password-command", "sh"])
        .run()
        .await
        .expect_code(2);
    home.run(&["profiles", "save", "b", "host=127.0.0.1 port=1", "--password-command", &open])
        .run()
        .await
        .expect_code(0);
    let refused = home.run(&["check", "--profile", "b"]).run().await.expect_code(2);
    assert!(refused.stderr.contains("change it"), "{}", refused.stderr);
}

#[tokio::test]
async fn no_secret_shows_anywhere() {
    let (cluster, home) = (server().await, Home::new());
    let port = cluster.port().to_string();
    let pass = home.file("pgpass", "*:*:*:*:S3NT1NEL\n", 0o600);
    let log = home.0.path().join("log").display().to_string();
    let place = format!("host=127.0.0.1 port={port} user=app dbname=shop sslpassword=S3NT1NEL");
    for (text, env) in [
        (place.clone(), [("PGPASSWORD", "S3NT1NEL"), ("PGPASSFILE", "/nonexistent")]),
        (place.clone(), [("PGPASSFILE", pass.as_str()), ("PGUSER", "x")]),
        (format!("postgres://app:S3NT1NEL%zz@127.0.0.1:{port}/shop"), [("PGPASSFILE", ""), ("PGUSER", "x")]),
        (format!("postgres://app:S3N@T1NEL@127.0.0.1:{port}/shop"), [("PGPASSFILE", ""), ("PGUSER", "x")]),
        (format!("{place} sslmode=S3NT1NEL"), [("PGPASSWORD", "S3NT1NEL"), ("PGUSER", "x")]),
    ] {
        for args in [
            &["check", "--connect-only", "--log-file", &log, &text][..],
            &["check", "--connect-only", "--format", "json", "--log-file", &log, &text],
        ] {
            let run = env.iter().fold(home.run(args), |run, (name, value)| run.env(name, value));
            let outcome = run.env("WALPILOT_LOG", "trace").env("RUST_BACKTRACE", "full").run().await;
            for shown in [&outcome.stdout, &outcome.stderr] {
                assert!(!shown.contains("S3NT1NEL") && !shown.contains("T1NEL"), "{shown}");
            }
        }
    }
    let log = fs::read_to_string(log).expect("a log");
    assert!(log.contains("parameter") && !log.contains("T1NEL"), "{log}");
}
