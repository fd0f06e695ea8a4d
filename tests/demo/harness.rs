//! The harness runs the program as the tests believe it does.

use crate::support::program::{uri, uri_with_password, walpilot};
use walpilot::connection::{Secret, Settings, uri::parse};

#[tokio::test]
async fn the_program_runs_without_our_environment() {
    let version = walpilot(["--version"]).run().await.expect_code(0).stdout;
    assert_eq!(version.trim(), concat!("walpilot ", env!("CARGO_PKG_VERSION")));
    // A port on which nothing listens, and a password that must not show.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let nobody =
        Settings { host: "127.0.0.1".into(), port, password: Some(Secret::new("S3NT1NEL")), ..Settings::default() };
    let outcome = walpilot(["check", &uri(&nobody)]).password(&nobody).run().await.expect_code(3);
    assert!(outcome.stderr.contains("Nothing listens") || outcome.stdout.contains("Nothing listens"), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("S3NT1NEL"));
}

#[test]
fn uris_of_the_harness_mean_what_they_were_made_of() {
    let odd = Settings {
        host: "/tmp/a b".into(),
        user: "o'x@y:z".into(),
        database: "d/b?".into(),
        password: Some(Secret::new("p@:/%w")),
        ..Settings::default()
    };
    assert_eq!(parse(&uri_with_password(&odd), &Settings::default()).unwrap(), odd);
    assert_eq!(parse(&uri(&odd), &Settings::default()).unwrap(), Settings { password: None, ..odd });
}
