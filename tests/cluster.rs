//! Throwaway clusters: they start, stop and start again, keep others out, and leave nothing behind.

use std::path::Path;

use walpilot::connection::{Class, Secret, SessionOptions, Settings, connect};
use walpilot::demo::{Binaries, Cluster, ClusterError};

#[expect(clippy::disallowed_methods, reason = "tests choose the server by the environment")]
fn binaries() -> Binaries {
    let path = std::env::var_os("PATH");
    Binaries::find(None, path.as_deref()).unwrap_or_else(|error| panic!("{error}"))
}

async fn answer(settings: &Settings, sql: &str) -> String {
    let session = connect(settings, &SessionOptions::administer()).await.unwrap_or_else(|error| panic!("{error}"));
    session.client.query_one(sql, &[]).await.expect("query").get(0)
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_cluster_starts_with_its_settings_and_leaves_nothing() {
    let cluster = Cluster::builder(&binaries()).setting("wal_level", "logical").start().await.unwrap();
    assert_eq!(answer(&cluster.settings(), "SHOW wal_level").await, "logical");
    assert_eq!(answer(&cluster.socket_settings(), "SELECT current_user::text").await, "postgres");
    let (pid, dir) = (cluster.postmaster_pid().unwrap(), cluster.data_directory());
    assert!(runs(pid));
    drop(cluster);
    assert!(!runs(pid) && !dir.parent().unwrap().exists());
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let cluster = Cluster::builder(&binaries()).start().await.unwrap();
    for password in [None, Some(Secret::new("wrong"))] {
        let failure = connect(&Settings { password, ..cluster.settings() }, &SessionOptions::inspect()).await.err();
        let class = failure.map(|failure| failure.class);
        assert!(matches!(class, Some(Class::PasswordMissing | Class::PasswordWrong)), "{class:?}");
    }
}

#[tokio::test]
async fn data_survives_a_crash_and_a_fast_stop() {
    let mut cluster = Cluster::builder(&binaries()).start().await.unwrap();
    let session = connect(&cluster.settings(), &SessionOptions::administer()).await.unwrap();
    session.client.batch_execute("CREATE TABLE public.t AS SELECT 42 AS n").await.unwrap();
    for immediate in [true, false] {
        let pid = cluster.postmaster_pid().unwrap();
        if immediate {
            cluster.stop_immediate().await.unwrap();
        } else {
            cluster.stop_fast().await.unwrap();
        }
        assert!(!runs(pid));
        let failure = connect(&cluster.settings(), &SessionOptions::inspect()).await.err().unwrap();
        assert_eq!(failure.class, Class::Refused);
        cluster.start_again().await.unwrap();
        assert_eq!(answer(&cluster.settings(), "SELECT n::text FROM public.t").await, "42");
    }
}

#[tokio::test]
async fn a_bad_setting_shows_the_servers_own_words() {
    let error = Cluster::builder(&binaries()).setting("wal_level", "rather high").start().await.err().unwrap();
    assert!(matches!(&error, ClusterError::Ended(log) if log.contains("rather high")), "{error}");
}
