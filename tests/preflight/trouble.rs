//! The preflight in trouble: locks, tables that come and go, standbys, poolers and load balancers; and that nothing of
//! it is felt by the application.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::preflight::{facts, finding, look, look_deep, mend, rank_of, repl};
use crate::support::{self, demote, prepare, psql, session, source};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use walpilot::catalog::Seen;
use walpilot::connection::Settings;
use walpilot::preflight::Status;
use walpilot::preflight::report::Rank::{Blocker, Info, Passed, Warning};
use walpilot::profile::{Method, Profile};

#[tokio::test]
async fn a_standby_is_judged_as_one() {
    let mut cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(
        &admin,
        "CREATE TABLE t(id int PRIMARY KEY); GRANT SELECT ON t TO repl; CREATE PUBLICATION walpilot_publication FOR TABLE t",
    );
    demote(&mut cluster).await;
    let profile = Profile::new(repl);
    let report = look(&profile).await;
    let decodes = cluster.major() >= 16;
    assert_eq!(rank_of(&report, "in-recovery"), if decodes { Warning } else { Blocker });
    if decodes {
        assert_eq!(rank_of(&report, "standby-decoding-prereqs"), Blocker);
        assert_eq!(rank_of(&report, "standby-idle-primary"), Warning);
    } else {
        assert_eq!(finding(&report, "standby-decoding-prereqs").status, Status::Skipped);
        assert_eq!(finding(&report, "slot-exists").status, Status::Skipped);
    }
    let notes = if cluster.major() < 17 { Info } else { Passed };
    assert_eq!(rank_of(&report, "upgrade-ahead"), notes);
    let xmin = Profile { method: Method::Xmin, ..profile.clone() };
    let conflict = look(&xmin).await;
    assert_eq!((rank_of(&conflict, "in-recovery"), rank_of(&conflict, "xmin-standby-conflict")), (Info, Warning));
    mend(&admin, &conflict, "xmin-standby-conflict");
    support::await_until("the standby tells what it reads", async || {
        rank_of(&look(&xmin).await, "xmin-standby-conflict") == Passed
    })
    .await;
    if decodes {
        assert_eq!(rank_of(&look(&profile).await, "standby-decoding-prereqs"), Passed);
    }
    // What would have to be tried by writing is not tried.
    let deep = look_deep(&profile).await;
    assert_eq!(finding(&deep, "slot-create-probe").status, Status::Unseen);
}

/// What stands between us and the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Between {
    /// Announces a process id of its own, as poolers do.
    OtherPid,
    /// Drops the parameter `replication`, as some poolers do.
    DropsReplication,
    /// Sends each connection to the next server.
    Balances,
}

/// Stands between; ends with the test.
async fn between(what: Between, ports: Vec<u16>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let number = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let port = ports[number.fetch_add(1, Ordering::Relaxed) % ports.len()];
            tokio::spawn(serve(what, client, port));
        }
    });
    address
}

async fn serve(what: Between, mut client: TcpStream, port: u16) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    let length = client.read_u32().await?;
    let mut startup = vec![0; length as usize - 4];
    client.read_exact(&mut startup).await?;
    if what == Between::DropsReplication {
        let text = b"replication\0database\0";
        if let Some(at) = startup.windows(text.len()).position(|part| part == text) {
            startup.drain(at..at + text.len());
        }
    }
    server.write_u32(u32::try_from(startup.len()).expect("short") + 4).await?;
    server.write_all(&startup).await?;
    if what == Between::OtherPid {
        other_pid(&mut client, &mut server).await?;
    }
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

/// Passes the login on, message by message, and changes BackendKeyData in it.
async fn other_pid(client: &mut TcpStream, server: &mut TcpStream) -> std::io::Result<()> {
    loop {
        tokio::select! {
            kind = server.read_u8() => {
                let kind = kind?;
                let length = server.read_u32().await?;
                let mut body = vec![0; length as usize - 4];
                server.read_exact(&mut body).await?;
                if kind == b'K' {
                    body[..4].copy_from_slice(&1_234_567_u32.to_be_bytes());
                }
                client.write_u8(kind).await?;
                client.write_u32(length).await?;
                client.write_all(&body).await?;
                if kind == b'Z' {
                    return Ok(());
                }
            }
            byte = client.read_u8() => server.write_u8(byte?).await?,
        }
    }
}

#[tokio::test]
async fn poolers_and_load_balancers_are_told_from_a_server() {
    let (cluster, twin) = (source().await, source().await);
    prepare(&cluster.settings(), "CREATE TABLE t(id int PRIMARY KEY)");
    let direct = Profile::new(cluster.settings());
    assert_eq!(rank_of(&look_deep(&direct).await, "single-instance-endpoint"), Passed);
    assert_eq!(rank_of(&look(&direct).await, "pooler-detected"), Passed);
    let through = async |what, ports| {
        let address = between(what, ports).await;
        Profile { source: Settings { port: address.port(), ..cluster.settings() }, ..direct.clone() }
    };
    let pooled = through(Between::OtherPid, vec![cluster.port()]).await;
    let report = look(&pooled).await;
    assert_eq!(rank_of(&report, "pooler-detected"), Warning, "{:#?}", report.finding("pooler-detected"));
    let pooled = through(Between::DropsReplication, vec![cluster.port()]).await;
    let report = look(&pooled).await;
    assert_eq!(rank_of(&report, "pooler-detected"), Blocker);
    assert_eq!(finding(&report, "replication-hba").status, Status::Skipped);
    let xmin = Profile { method: Method::Xmin, ..pooled };
    assert_eq!(rank_of(&look(&xmin).await, "pooler-detected"), Passed);
    let balanced = through(Between::Balances, vec![cluster.port(), twin.port()]).await;
    let report = look_deep(&balanced).await;
    assert_eq!(
        rank_of(&report, "single-instance-endpoint"),
        Blocker,
        "{:#?}",
        report.finding("single-instance-endpoint")
    );
}

#[tokio::test]
async fn tables_that_come_and_go_disturb_nothing() {
    let cluster = source().await;
    let (admin, repl) = (cluster.settings(), repl(&cluster));
    prepare(&admin, "CREATE TABLE stays(id int PRIMARY KEY); CREATE PUBLICATION walpilot_publication FOR ALL TABLES");
    let migration = session(&admin).await;
    let restless = tokio::spawn(async move {
        let sql =
            "DROP TABLE IF EXISTS public.a, public.b; CREATE TABLE public.a(id int PRIMARY KEY, \"Id\" int, doc json);
                   ALTER TABLE public.a ENABLE ROW LEVEL SECURITY; CREATE TABLE public.b(id int) PARTITION BY LIST (id);
                   CREATE TABLE public.b1 PARTITION OF public.b FOR VALUES IN (1)";
        while migration.client.batch_execute(sql).await.is_ok() {}
    });
    let profile = Profile::new(repl);
    for round in 0..40 {
        let facts = facts(&profile.source, &profile).await;
        assert!(matches!(&facts.relations, Seen::Yes(all) if all.iter().any(|one| one.name == "stays")), "{round}");
        assert!(matches!(facts.columns, Seen::Yes(_)) && matches!(facts.members, Seen::Yes(_)), "{round}");
    }
    restless.abort();
}

#[tokio::test]
async fn deep_probes_are_not_felt_and_leave_nothing() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(
        &admin,
        "CREATE TABLE keyless(v int); INSERT INTO keyless VALUES (0); CREATE TABLE locked(id int PRIMARY KEY)",
    );
    let state =
        "SELECT (SELECT count(*) FROM pg_publication) || ' ' || (SELECT count(*) FROM pg_replication_slots) || ' ' ||
                 (SELECT count(*) FROM pg_prepared_xacts)";
    let before = psql(&admin, state);
    let profile = Profile::new(admin.clone());
    // An application that writes to a table without a key: a publication that showed would make it fail at once.
    let (writer, ddl) = (session(&admin).await, session(&admin).await);
    let application = tokio::spawn(async move {
        let mut written = 0;
        loop {
            writer.client.batch_execute("UPDATE public.keyless SET v = v + 1").await?;
            written += 1;
            if written > 20_000 {
                return Ok::<_, tokio_postgres::Error>(written);
            }
        }
    });
    // And a migration that waits for nobody longer than a moment.
    let migration = tokio::spawn(async move {
        for _ in 0..200 {
            ddl.client
                .batch_execute(
                    "SET lock_timeout = '5s'; ALTER TABLE public.locked ADD c int; ALTER TABLE public.locked DROP c",
                )
                .await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    });
    let report = look_deep(&profile).await;
    assert_eq!(rank_of(&report, "slot-create-probe"), Passed, "{:#?}", report.finding("slot-create-probe"));
    look_deep(&profile).await;
    migration.await.expect("an end").unwrap_or_else(|error| panic!("the migration felt it: {error}"));
    application.abort();
    if let Ok(outcome) = application.await {
        outcome.unwrap_or_else(|error| panic!("the application felt it: {error}"));
    }
    // What is locked is left alone, without waiting for it.
    let holder = session(&admin).await;
    holder
        .client
        .batch_execute("BEGIN; LOCK public.keyless, public.locked IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("locked");
    let report = look_deep(&profile).await;
    // The attributes decide where nothing could be tried.
    assert_eq!(rank_of(&report, "can-create-publication"), Passed, "{:#?}", report.finding("can-create-publication"));
    drop(holder);
    assert_eq!(psql(&admin, state), before);
    support::await_until("no session is left", async || {
        psql(&admin, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'walpilot' AND state <> 'idle'")
            == "0"
    })
    .await;
}
