//! `walpilot check --connect-only` takes every connection parameter as a URI, as keywords and from the environment, and
//! comes to the same end as psql that is given the same in the same form.

use std::sync::Arc;

use crate::support::oracle::{Outcome, psql_with};
use crate::support::servers::{NAME, PASSPHRASE, PASSWORD, World};
use crate::support::walpilot;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Both programs are started for each cell.
const AT_ONCE: usize = 4;

/// How the parameters are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Uri,
    Keywords,
    Environment,
}

type Parameters = Vec<(&'static str, String)>;

/// A connection string and the environment beside it.
fn written(parameters: &Parameters, form: Form) -> (String, Vec<(String, String)>) {
    let value = |name: &str| parameters.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    match form {
        Form::Uri => {
            let part = |name| encoded(value(name).unwrap_or_default());
            let mut uri = format!(
                "postgres://{}:{}@{}:{}/{}",
                part("user"),
                part("password"),
                value("host").unwrap_or_default(),
                part("port"),
                part("dbname")
            );
            let rest =
                parameters.iter().filter(|(name, _)| !["user", "password", "host", "port", "dbname"].contains(name));
            let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
            uri.push('?');
            uri.push_str(&rest.join("&"));
            (uri, Vec::new())
        }
        Form::Keywords => (keywords(parameters.iter()), Vec::new()),
        Form::Environment => {
            let variable = |name: &str| {
                let known = walpilot::connection::keyword::PARAMETERS.iter().find(|parameter| parameter.name == name);
                known.and_then(|parameter| parameter.variable)
            };
            let (with, without): (Vec<_>, Vec<_>) = parameters.iter().partition(|(name, _)| variable(name).is_some());
            let env = with.iter().filter_map(|(name, value)| Some((variable(name)?.to_owned(), value.clone())));
            (keywords(without.into_iter()), env.collect())
        }
    }
}

fn keywords<'a>(parameters: impl Iterator<Item = &'a (&'static str, String)>) -> String {
    let quoted = |value: &str| value.replace('\\', r"\\").replace('\'', r"\'");
    parameters.map(|(name, value)| format!("{name}='{}' ", quoted(value))).collect()
}

/// The cells: a server, a role, and further parameters.
fn cells(world: &World) -> Vec<Parameters> {
    let path = |path: &std::path::Path| path.display().to_string();
    let (right, wrong, missing) = (path(&world.root), path(&world.wrong_root), path(&world.path("missing.crt")));
    let (cert, key) = (path(&world.client.0), path(&world.client.1));
    let locked = path(&world.encrypted_key);
    let mut all = Vec::new();
    let mut add = |cluster: &str, role: &str, more: &[(&'static str, &str)]| {
        let mut parameters: Parameters = vec![
            ("host", NAME.to_owned()),
            ("hostaddr", "127.0.0.1".to_owned()),
            ("port", world.port(cluster).to_string()),
            ("user", role.to_owned()),
            ("password", PASSWORD.to_owned()),
            ("dbname", "postgres".to_owned()),
            ("connect_timeout", "20".to_owned()),
        ];
        for (name, value) in more {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name, (*value).to_owned()));
        }
        all.push(parameters);
    };
    for mode in ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] {
        let mode = ("sslmode", mode);
        for cluster in ["good", "no_tls", "wrong_name", "expired"] {
            for root in [None, Some(&right), Some(&wrong)] {
                let root = root.map(|root| ("sslrootcert", root.as_str()));
                add(cluster, "scram", &[Some(mode), root].into_iter().flatten().collect::<Vec<_>>());
            }
        }
        let root = ("sslrootcert", right.as_str());
        for role in ["tls_only", "plain_only", "rejected", "nobody", "no_such_role"] {
            add("good", role, &[mode, root]);
        }
        add("good", "with_cert", &[mode, root, ("sslcert", &cert), ("sslkey", &key)]);
        add("good", "with_cert", &[mode, root, ("sslcert", &cert), ("sslkey", &locked), ("sslpassword", PASSPHRASE)]);
        add("good", "with_cert", &[mode, root, ("sslcert", &cert), ("sslkey", &locked)]);
        add("good", "with_cert", &[mode, root, ("sslcert", &missing), ("sslkey", &key)]);
        add("good", "scram", &[mode, root, ("channel_binding", "require")]);
        add("good", "scram", &[mode, root, ("ssl_min_protocol_version", "TLSv1.3")]);
        add("good", "scram", &[mode, root, ("ssl_max_protocol_version", "tlsv1.2")]);
        add("good", "scram", &[mode, root, ("gssencmode", "disable")]);
        add("tls13", "scram", &[mode, root, ("ssl_max_protocol_version", "TLSv1.2")]);
        add("good", "scram", &[mode, root, ("dbname", "no such database")]);
        add("good", "scram", &[mode, root, ("dbname", "closed")]);
        add("good", "scram", &[mode, root, ("dbname", "private")]);
        add("good", "scram", &[mode, root, ("replication", "database")]);
        add("good", "scram", &[mode, root, ("replication", "true")]);
        add("good", "scram", &[mode, root, ("replication", "off")]);
    }
    for more in [
        ("sslmode", "REQUIRE"),
        ("sslmode", "sideways"),
        ("port", "0"),
        ("port", "none"),
        ("port", "1"),
        ("hostaddr", "nope"),
        ("connect_timeout", "soon"),
        ("channel_binding", "maybe"),
        ("gssencmode", "maybe"),
        ("target_session_attrs", "any"),
        ("target_session_attrs", "read-write"),
        ("target_session_attrs", "read-only"),
        ("target_session_attrs", "primary"),
        ("target_session_attrs", "standby"),
        ("target_session_attrs", "prefer-standby"),
        ("target_session_attrs", "master"),
        ("ssl_min_protocol_version", "TLSv9"),
        ("options", "-c geqo=off"),
        ("options", "-c no_such_setting=1"),
        ("application_name", "a 'name'"),
        ("client_encoding", "UTF8"),
        ("fallback_application_name", "x"),
        ("keepalives", "0"),
        ("keepalives_idle", "10"),
        ("tcp_user_timeout", "5000"),
        ("sslsni", "0"),
        ("sslcompression", "0"),
        ("krbsrvname", "postgres"),
        ("service", "no_such_service"),
        ("passfile", "/nonexistent"),
        ("password", ""),
        ("password", "wrong"),
        ("user", "scr'am\\"),
        ("no_such_parameter", "x"),
        ("dbname", ""),
    ] {
        add("good", "scram", &[("sslmode", "require"), more]);
    }
    all
}

/// libpq calls all of these "certificate verify failed".
fn as_coarse_as_libpq(class: &str) -> &str {
    match class {
        "cert_expired" | "cert_not_yet_valid" | "cert_wrong_purpose" | "cert_weak_key" | "cert_revoked" => {
            "cert_untrusted"
        }
        other => other,
    }
}

async fn ours(text: &str, env: &[(String, String)]) -> (Outcome, String) {
    let mut run = walpilot(["check", "--connect-only", "--format", "json", text]);
    for (name, value) in env {
        run = run.env(name, value);
    }
    let outcome = run.run().await;
    assert!(!outcome.stdout.contains("S3NT1NEL") && !outcome.stderr.contains("S3NT1NEL"), "{outcome:?}");
    let json: serde_json::Value =
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    if json["connected"] == true {
        return (Outcome::Connected(json["encrypted"] == true), outcome.stdout);
    }
    let mut classes: Vec<String> = json["attempts"]
        .as_array()
        .expect("attempts")
        .iter()
        .filter_map(|one| one["class"].as_str())
        .map(|class| as_coarse_as_libpq(class).to_owned())
        .collect();
    if classes.is_empty() {
        classes.push(json["class"].as_str().expect("a class").to_owned());
    }
    (Outcome::Failed(classes), outcome.stdout)
}

/// The differences that `docs/connection.md` and `docs/inputs.md` explain.
fn is_deliberate(theirs: &Outcome, ours: &Outcome) -> bool {
    let (Outcome::Failed(ours), Outcome::Failed(theirs)) = (ours, theirs) else { return false };
    let repeats = |tries: &[String]| tries.windows(2).all(|both| both[0] == both[1]);
    let once = |class: &str| ours.as_slice() == [class] && theirs.first().is_some_and(|first| first == class);
    // A refused password is not offered again without TLS, and a login that failed is not repeated as it was: `allow` does
    // that where there is no TLS, and psql where a start-up option is refused.
    once("password_wrong")
        || (repeats(theirs) && (ours.first() == theirs.first()))
        || (repeats(theirs) && ours.last().is_some_and(|last| last == "tls_unsupported"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_every_parameter_ends_as_with_psql() {
    let world = Arc::new(World::build().await);
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    let forms = [Form::Uri, Form::Keywords, Form::Environment];
    let cells = cells(&world);
    assert!(cells.len() > 200, "{}", cells.len());
    for (number, parameters) in cells.into_iter().enumerate() {
        // Each cell in one form; what could be misread stands at the end and is tried in all.
        let chosen: Vec<Form> = if number < 6 * 32 { vec![forms[number % 3]] } else { forms.to_vec() };
        for form in chosen {
            let (world, room) = (Arc::clone(&world), Arc::clone(&room));
            let parameters = parameters.clone();
            tasks.spawn(async move {
                let _turn = room.acquire().await.expect("open");
                let (text, env) = written(&parameters, form);
                let theirs = psql_with(&world.psql, &text, &env, world.home.path()).await;
                let (ours, report) = ours(&text, &env).await;
                let wrong = ours != theirs && !is_deliberate(&theirs, &ours);
                wrong.then(|| format!("{form:?} {text} {env:?}\n  psql     {theirs:?}\n  walpilot {ours:?}\n{report}"))
            });
        }
    }
    let mut wrong = Vec::new();
    while let Some(done) = tasks.join_next().await {
        wrong.extend(done.expect("a cell that does not panic"));
    }
    assert!(wrong.is_empty(), "{} cells differ:\n{}", wrong.len(), wrong.join("\n"));
}
