//! Precedence, files and defaults, each measured with libpq 18 (`PQconnectStart`, `PQconninfo`).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Given, Origin, Resolved, Seen, Surroundings, resolve};
use crate::connection::keyword::UriError;
use crate::connection::{Secret, SslMode};

/// A machine with this environment and these files (path, content).
fn on(text: &str, env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Resolved, UriError> {
    with(&Given { text: Some(Zeroizing::new(text.to_owned())), ..Given::default() }, env, files)
}

fn with(given: &Given, env: &[(&str, &str)], files: &[(&str, &str)]) -> Result<Resolved, UriError> {
    let variables: BTreeMap<String, Zeroizing<String>> =
        env.iter().map(|(name, value)| ((*name).to_owned(), Zeroizing::new((*value).to_owned()))).collect();
    let read = |path: &Path| {
        let found = files.iter().find(|(name, _)| Path::new(name) == path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Seen { text: Zeroizing::new(found.1.to_owned()), plain: true, private: !found.0.contains("open") })
    };
    let around = Surroundings {
        variables: &variables,
        home: Some(Path::new("/home/me")),
        account: Some("me"),
        read: &read,
        exists: &|path| files.iter().any(|(name, _)| Path::new(name) == path),
    };
    resolve(given, &around)
}

fn password(resolved: &Resolved) -> Option<&str> {
    resolved.settings.password.as_ref().map(Secret::reveal)
}

#[test]
fn explicit_wins_over_service_over_environment_over_default() {
    let services = [("/home/me/.pg_service.conf", "[shop]\nhost=svc\nport=7000\nuser=svc\nsslmode=require\n")];
    let env =
        [("PGHOST", "env"), ("PGPORT", "8000"), ("PGUSER", "env"), ("PGDATABASE", "envdb"), ("PGSERVICE", "shop")];
    let it = on("host=given", &env, &services).unwrap();
    let settings = &it.settings;
    assert_eq!((settings.host.as_str(), settings.port, settings.user.as_str()), ("given", 7000, "svc"));
    assert_eq!((settings.database.as_str(), settings.ssl_mode), ("envdb", SslMode::Require));
    assert_eq!(it.origin("host"), &Origin::ConnectionString);
    assert_eq!(it.origin("port"), &Origin::ServiceFile("/home/me/.pg_service.conf".into()));
    assert_eq!(it.origin("dbname"), &Origin::Environment("PGDATABASE"));
    assert_eq!(it.origin("connect_timeout"), &Origin::Default);
    assert_eq!(it.origin("dbname").to_string(), "PGDATABASE");
}

#[test]
fn without_anything_the_account_and_the_local_socket_are_meant() {
    let it = on("", &[], &[("/var/run/postgresql", "")]).unwrap();
    assert_eq!(it.settings.host, "/var/run/postgresql");
    assert_eq!((it.settings.user.as_str(), it.settings.database.as_str()), ("me", "me"));
    let elsewhere = on("port=6000", &[], &[("/var/run/postgresql", ""), ("/tmp/.s.PGSQL.6000", "")]).unwrap();
    assert_eq!(elsewhere.settings.host, "/tmp");
    assert_eq!(on("user=u", &[], &[]).unwrap().settings.database, "u");
    assert_eq!(on("host=''", &[("PGHOST", "env")], &[]).unwrap().settings.host, "/var/run/postgresql");
}

#[test]
fn a_password_comes_from_the_string_then_the_variable_then_the_file() {
    let files = [("/home/me/.pgpass", "h:5432:*:me:from-file\n")];
    let env = [("PGPASSWORD", "from-env")];
    let given = on("host=h password=given", &env, &files).unwrap();
    assert_eq!((password(&given), given.origin("password")), (Some("given"), &Origin::ConnectionString));
    let variable = on("host=h", &env, &files).unwrap();
    assert_eq!((password(&variable), variable.settings.password_file.as_deref()), (Some("from-env"), None));
    let file = on("host=h", &[], &files).unwrap();
    assert_eq!(password(&file), Some("from-file"));
    assert_eq!(file.origin("password"), &Origin::PasswordFile("/home/me/.pgpass".into()));
    assert_eq!(file.settings.password_file.as_deref(), Some(Path::new("/home/me/.pgpass")));
    // An empty password is none, and yet hides the variable.
    assert_eq!(password(&on("host=h password=''", &env, &files).unwrap()), Some("from-file"));
}

#[test]
fn each_of_several_hosts_has_its_own_line() {
    let files = [("/pass", "a:1:*:*:for-a\nc:3:*:*:for-c\n127.0.0.1:*:*:*:wrong\n")];
    let it = on("host=a,b,c port=1,2,3 hostaddr=127.0.0.1,127.0.0.1,127.0.0.1 passfile=/pass", &[], &files).unwrap();
    assert_eq!(password(&it), Some("for-a"));
    let others: Vec<_> =
        it.settings.alternatives.iter().map(|other| other.password.as_ref().map(Secret::reveal)).collect();
    assert_eq!(others, [None, Some("for-c")]);
}

#[test]
fn a_password_file_that_others_may_read_is_ignored_aloud() {
    let it = on("host=h passfile=/open", &[], &[("/open", "*:*:*:*:S3NT1NEL\n")]).unwrap();
    assert_eq!(password(&it), None);
    assert!(it.notes.iter().any(|note| note.contains("/open") && note.contains("0600")), "{:?}", it.notes);
    assert!(on("host=h passfile=/missing", &[], &[]).unwrap().notes.is_empty());
}

#[test]
fn services_are_searched_at_home_and_in_the_system() {
    let system = [("/etc/pg/pg_service.conf", "[shop]\nhost=system\n"), ("/home/me/.pg_service.conf", "[other]\n")];
    let env = [("PGSYSCONFDIR", "/etc/pg")];
    assert_eq!(on("service=shop", &env, &system).unwrap().settings.host, "system");
    let missing = on("service=nope", &env, &system).unwrap_err().to_string();
    assert!(missing.contains("nope"), "{missing}");
    let named = on("service=shop", &[("PGSERVICEFILE", "/nowhere")], &system).unwrap_err().to_string();
    assert!(named.contains("/nowhere"), "{named}");
}

#[test]
fn a_bad_value_is_named_with_its_source_and_not_repeated() {
    let env = on("host=h", &[("PGSSLMODE", "S3NT1NEL")], &[]).unwrap_err().to_string();
    assert!(env.contains("sslmode") && env.contains("PGSSLMODE") && !env.contains("S3NT1NEL"), "{env}");
    let note = on("host=h password= user=u", &[], &[]).unwrap();
    assert!(note.notes[0].contains("password=''"), "{:?}", note.notes);
}

#[test]
fn a_database_field_may_hold_a_whole_connection_string() {
    let text = Zeroizing::new("postgres://u@h:6000/d".to_owned());
    let fields = vec![("dbname", text.clone()), ("user", Zeroizing::new("later".to_owned()))];
    let it = with(&Given { fields, ..Given::default() }, &[], &[]).unwrap();
    assert_eq!((it.settings.host.as_str(), it.settings.database.as_str(), it.settings.port), ("h", "d", 6000));
    assert_eq!(it.settings.user, "later");
    // Within a string it is only a name, as in libpq.
    assert_eq!(on("dbname=postgres://h/d", &[], &[]).unwrap().settings.database, "postgres://h/d");
}

#[test]
fn system_roots_ask_for_full_verification_wherever_they_come_from() {
    let it = on("host=h", &[("PGSSLROOTCERT", "system")], &[]).unwrap();
    assert_eq!(it.settings.ssl_mode, SslMode::VerifyFull);
    let weak = on("host=h sslmode=require", &[("PGSSLROOTCERT", "system")], &[]).unwrap();
    assert_eq!(weak.settings.ssl_mode, SslMode::Require, "found when connecting");
    assert_eq!(on("host=h", &[("PGREQUIRESSL", "1")], &[]).unwrap().settings.ssl_mode, SslMode::Require);
}
