//! Servers with a past: a standby of another one, a transaction id far ahead.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use walpilot::demo::Cluster;

use super::{source_builder, started};

/// Runs a program of the server as the owner of its files, as an administrator would.
pub fn administer(cluster: &Cluster, program: &str, arguments: &[&str]) {
    let owner = std::fs::metadata(cluster.data_directory()).expect("its data").uid();
    let output = Command::new(cluster.binaries().dir.join(program))
        .args(arguments)
        .arg("-D")
        .arg(cluster.data_directory())
        .uid(owner)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Lets the next transaction of a stopped cluster have this id.
pub async fn set_next_xid(cluster: &mut Cluster, xid: u32, epoch: Option<u32>) {
    cluster.stop_fast().await.expect("it stops");
    administer(cluster, "pg_resetwal", &["-f", "-x", &xid.to_string()]);
    if let Some(epoch) = epoch {
        administer(cluster, "pg_resetwal", &["-f", "-e", &epoch.to_string()]);
    }
    // The commit log's segment (2^20 transactions, two bits each) has to be there, and is empty.
    let segment = cluster.data_directory().join("pg_xact").join(format!("{:04X}", xid >> 20));
    if !segment.exists() {
        std::fs::write(&segment, vec![0_u8; 256 * 1024]).expect("a segment");
        let owner = std::fs::metadata(cluster.data_directory()).expect("its data");
        std::os::unix::fs::chown(&segment, Some(owner.uid()), Some(owner.gid())).expect("given");
    }
    cluster.start_again().await.expect("it starts");
}

/// A standby of `primary`, made from a copy of its files while it stands still.
pub async fn standby_of(primary: &mut Cluster) -> Cluster {
    standby_with(primary, started(source_builder()).await, "").await
}

/// The same in the place of `standby`, with more parameters in `primary_conninfo`.
pub async fn standby_with(primary: &mut Cluster, mut standby: Cluster, parameters: &str) -> Cluster {
    standby.stop_fast().await.expect("it stops");
    primary.stop_fast().await.expect("it stops");
    let kept = ["postgresql.conf", "pg_hba.conf"].map(|name| {
        let path = standby.data_directory().join(name);
        (path.clone(), std::fs::read(path).expect("a file"))
    });
    let shell =
        |line: String| assert!(Command::new("sh").args(["-c", &line]).status().expect("sh").success(), "{line}");
    let (from, to) = (primary.data_directory(), standby.data_directory());
    // As pg_basebackup does, without the slots.
    shell(format!("rm -rf {1}/* && cp -a {0}/. {1}/ && rm -rf {1}/pg_replslot/*", from.display(), to.display()));
    for (path, text) in kept {
        std::fs::write(path, text).expect("written");
    }
    let socket = primary.socket_settings();
    let conninfo =
        format!("primary_conninfo = 'host={} port={} user=postgres {parameters}'\n", socket.host, socket.port);
    append(&to.join("postgresql.auto.conf"), &conninfo);
    append(&to.join("standby.signal"), "");
    primary.start_again().await.expect("the primary starts");
    standby.start_again().await.expect("the standby starts");
    standby
}

pub fn append(path: &Path, text: &str) {
    let owner = std::fs::metadata(path.parent().expect("a directory")).expect("its owner");
    let before = std::fs::read_to_string(path).unwrap_or_default();
    std::fs::write(path, before + text).expect("written");
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).expect("given");
}
