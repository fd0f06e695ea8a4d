//! Connection strings against libpq: its own results, measured once and kept in `tests/fixtures`, and psql against a
//! real server.

use crate::support;
use std::collections::BTreeMap;
use std::process::Command;

use walpilot::connection::{Class, SessionOptions, Settings, connect, uri};

fn unescaped(text: &str) -> String {
    let mut result = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('t') => result.push('\t'),
                Some('n') => result.push('\n'),
                other => result.extend(other),
            },
            _ => result.push(c),
        }
    }
    result
}

/// The lines of a fixture: the string, and what libpq made of it.
fn fixture(text: &str) -> Vec<(String, Vec<String>)> {
    let lines = text.lines().filter(|line| !line.starts_with("# "));
    lines
        .map(|line| {
            let mut parts = line.split('\t').map(unescaped);
            (parts.next().expect("a string"), parts.filter(|part| !part.is_empty()).collect())
        })
        .collect()
}

#[test]
fn awkward_strings_mean_what_libpq_takes_them_for() {
    let cases = fixture(include_str!("../fixtures/conninfo.tsv"));
    assert!(cases.len() > 130, "{}", cases.len());
    let mut wrong = Vec::new();
    for (text, libpq) in cases {
        let ours: Vec<String> = match uri::pairs(&text) {
            Ok(pairs) => {
                let last: BTreeMap<_, _> = pairs.into_iter().collect();
                last.into_iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect()
            }
            Err(_) => vec!["ERROR".to_owned()],
        };
        if ours != libpq {
            wrong.push(format!("{text:?}: libpq {libpq:?}, walpilot {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn values_that_libpq_refuses_are_refused_and_no_others() {
    let cases = fixture(include_str!("../fixtures/values.tsv"));
    let mut wrong = Vec::new();
    for (text, libpq) in cases {
        // Some contradictions are found when connecting; nothing listens there.
        let ours = match uri::parse(&text, &Settings::default()) {
            Ok(settings) => match connect(&settings, &SessionOptions::inspect()).await.err().map(|it| it.class) {
                Some(Class::ConfigError) => "refused",
                _ => "accepted",
            },
            Err(_) => "refused",
        };
        if libpq != [ours] {
            wrong.push(format!("{text}: libpq {libpq:?}, walpilot {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Who and where, as the server sees it.
const WHO: &str = "SELECT concat_ws(' ', current_user, current_database(), inet_server_port(), \
                   current_setting('work_mem'))";

#[tokio::test]
async fn psql_and_walpilot_arrive_at_the_same_place() {
    let cluster = support::destination().await;
    support::execute(&cluster.settings(), "CREATE ROLE \"us er@x\" LOGIN PASSWORD 'p:/w@%'").await;
    support::execute(&cluster.settings(), "CREATE DATABASE \"sh op\"").await;
    let port = cluster.port();
    let (socket, password) = (cluster.socket_settings().host, cluster.password().reveal().to_owned());
    let encoded = socket.replace('/', "%2F");
    for text in [
        format!("postgres://us%20er%40x:p%3A%2Fw%40%25@127.0.0.1:{port}/sh%20op"),
        format!("host=127.0.0.1 port={port} user='us er@x' password='p:/w@%' dbname='sh op'"),
        format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres?options=-c%20work_mem%3D1234kB"),
        format!("postgres://postgres@{encoded}:{port}/sh%20op"),
        format!("postgres:///postgres?host={socket}&port={port}&user=postgres"),
        format!(
            "host=nowhere.invalid hostaddr=127.0.0.1 port={port} user=postgres password={password} dbname=postgres"
        ),
        format!("host={socket},127.0.0.1 port=1,{port} user=postgres password={password} dbname=postgres"),
    ] {
        let output = Command::new("psql").args(["-XAtc", WHO, &text]).env_clear().env("PATH", "/usr/bin:/bin").output();
        let output = output.expect("psql");
        assert!(output.status.success(), "psql {text}: {}", String::from_utf8_lossy(&output.stderr));
        let oracle = String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned();
        let settings = uri::parse(&text, &Settings::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let session = connect(&settings, &SessionOptions::administer()).await;
        let session = session.unwrap_or_else(|failure| panic!("{text}: {failure}"));
        let ours: String = session.client.query_one(WHO, &[]).await.expect("query").get(0);
        assert_eq!(ours, oracle, "{text}");
    }
}
