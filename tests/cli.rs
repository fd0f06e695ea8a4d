//! The command line itself: help, completions, manual page, usage errors, and what ends up in the log.

use std::process::{Command, Output, Stdio};

fn walpilot(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_walpilot"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG") || name.starts_with("WALPILOT")) {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null()).env("COLUMNS", "100").output().expect("walpilot starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn the_help_is_what_the_readme_and_people_rely_on() {
    let help = walpilot(&["--help"]);
    assert!(help.status.success());
    insta::assert_snapshot!("help", text(&help.stdout));
    for command in [
        "setup", "check", "checks", "explain", "script", "run", "verify", "watch", "diagnose", "metrics", "profiles",
        "demo",
    ] {
        let help = walpilot(&[command, "--help"]);
        assert!(help.status.success(), "{command}");
        insta::assert_snapshot!(format!("help_{command}"), text(&help.stdout));
    }
}

#[test]
fn completions_and_the_manual_page_name_every_command() {
    for args in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let output = walpilot(args);
        assert!(output.status.success(), "{args:?}");
        for command in [
            "setup", "check", "script", "run", "verify", "watch", "diagnose", "metrics", "record", "replay",
            "profiles", "demo",
        ] {
            assert!(text(&output.stdout).contains(command), "{args:?} does not name {command}");
        }
    }
}

#[test]
fn usage_errors_end_with_2_and_name_the_argument() {
    for (args, named) in [
        (&["check", "--slot", "Not-A-Slot", "postgres://h/d"][..], "Not-A-Slot"),
        (&["check", "--method", "sideways"], "sideways"),
        (&["check", "postgres://h:99999/d"], "port"),
        (&["check", "--tables", "a.b.c", "postgres://h/d"], "a.b.c"),
        (&["check", "--password-file", "/nonexistent/password", "postgres://h/d"], "/nonexistent/password"),
        (&["nonsense"], "nonsense"),
    ] {
        let output = walpilot(args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(named), "{args:?}: {error}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_password_is_repeated_nowhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("walpilot.log");
    let uri = "postgres://someone:S3NT1NEL@127.0.0.1:1/db?connect_timeout=2";
    let output = Command::new(env!("CARGO_BIN_EXE_walpilot"))
        .args(["check", "--log-file", log.to_str().expect("UTF-8"), uri])
        .env("WALPILOT_LOG", "trace")
        .stdin(Stdio::null())
        .output()
        .expect("walpilot starts");
    assert_eq!(output.status.code(), Some(3), "nothing listens there: {}", text(&output.stderr));
    let log = std::fs::read_to_string(log).expect("a log");
    for (name, text) in [("stdout", text(&output.stdout)), ("stderr", text(&output.stderr)), ("log", log)] {
        assert!(!text.contains("S3NT1NEL"), "{name}: {text}");
    }
}

#[test]
fn the_documentation_of_the_checks_is_what_the_program_says() {
    let said = walpilot(&["checks", "--format", "markdown"]);
    let written = include_str!("../docs/checks.md");
    assert!(
        text(&said.stdout) == written,
        "docs/checks.md is stale; write it anew: walpilot checks --format markdown > docs/checks.md"
    );
    let list: serde_json::Value =
        serde_json::from_slice(&walpilot(&["checks", "--format", "json"]).stdout).expect("JSON");
    for check in list.as_array().expect("a list") {
        let id = check["id"].as_str().expect("an id");
        let explained = walpilot(&["explain", id]);
        let explained = text(&explained.stdout);
        assert!(
            explained.starts_with(id) && explained.contains(check["rule"].as_str().expect("a rule")),
            "{explained}"
        );
    }
    let unknown = walpilot(&["explain", "wal-levle"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("Did you mean") && text(&unknown.stderr).contains("wal-level"),
        "{unknown:?}"
    );
}
