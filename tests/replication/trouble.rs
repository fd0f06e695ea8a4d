//! What goes wrong beside the program: each ends or waits with one clear sentence, and going on is safe.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use crate::replicating::{Pair, await_value, backlog, execute, value};
use crate::support::proxy::Proxy;
use crate::support::{PATIENCE, await_until, session};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use walpilot::connection::{Secret, Settings};

#[tokio::test]
async fn the_source_hears_from_a_run_whose_destination_does_not_answer() {
    let pair = Pair::with(&[("wal_sender_timeout", "2s")], "CREATE TABLE t (id int PRIMARY KEY)").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    let sender = "SELECT string_agg(pid::text || ' ' || backend_start, ',') FROM pg_stat_replication";
    let first = value(&pair.from(), sender).await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.t IN SHARE MODE").await.expect("locked");
    execute(&pair.from(), "INSERT INTO t VALUES (1)").await;
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 't'::regclass";
    await_until("the apply waits", async || value(&pair.to(), waits).await == "1").await;
    // Several times as long as the source is patient.
    let since = value(&pair.from(), "SELECT clock_timestamp()").await;
    let later = format!("SELECT clock_timestamp() > '{since}'::timestamptz + interval '8 seconds'");
    await_until("the source's patience is over", async || value(&pair.from(), &later).await == "t").await;
    assert_eq!(value(&pair.from(), sender).await, first, "the same walsender serves the run");
    // Who watches the source sees that it is not silent.
    let silent = "SELECT now() - reply_time BETWEEN '-1 minute' AND '1 minute' FROM pg_stat_replication";
    assert_eq!(value(&pair.from(), silent).await, "t");
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    pair.await_equal().await;
    assert_eq!(value(&pair.from(), sender).await, first);
    child.kill().await.expect("it runs");
}

/// A run that reaches its destination through a network that can fall silent, and streams.
async fn through_a_network(pair: &Pair) -> (Proxy, Child, tempfile::TempDir) {
    let network = Proxy::to(pair.to().port).await;
    let to = Settings { port: network.port, ..pair.to() };
    let (child, home) = pair.command_to(&to, &[]).spawn();
    pair.await_streaming().await;
    pair.await_equal().await;
    (network, child, home)
}

/// The process that serves the session with the run's lock.
const OWNER: &str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted";

#[tokio::test]
async fn a_destination_that_vanishes_while_it_is_written_to_is_noticed_and_found_again() {
    let pair = Pair::with(&[], "CREATE TABLE t (id int PRIMARY KEY)").await;
    let (network, mut child, _home) = through_a_network(&pair).await;
    let owner = value(&pair.to(), OWNER).await;
    network.go_silent();
    execute(&pair.from(), "INSERT INTO t VALUES (1)").await;
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let told = async {
        while let Some(line) = lines.next_line().await.expect("UTF-8") {
            if line.contains("The connection to the destination broke") {
                return line;
            }
        }
        panic!("it ended");
    };
    let line = tokio::time::timeout(2 * PATIENCE, told).await.expect("it is noticed");
    assert!(line.contains("does not answer") && line.contains("Trying again in"), "{line}");
    // The server knows nothing of it all, and keeps the lock for a session that nobody leads any more.
    assert_eq!(value(&pair.to(), OWNER).await, owner);
    network.come_back();
    pair.await_equal().await;
    assert_ne!(value(&pair.to(), OWNER).await, owner);
    child.kill().await.expect("it runs");
}

#[tokio::test]
async fn a_session_that_the_destination_has_lost_is_not_waited_for() {
    let pair = Pair::with(&[], "CREATE TABLE t (id int PRIMARY KEY)").await;
    let (network, mut child, _home) = through_a_network(&pair).await;
    network.go_silent();
    let since = value(&pair.to(), "SELECT clock_timestamp()").await;
    network.come_back();
    // The session that writes the progress is made anew, and finds that the server has the other one.
    let written = format!("SELECT updated_at > '{since}'::timestamptz + interval '5 seconds' FROM walpilot.progress");
    await_value(&pair.to(), &written, "t").await;
    execute(&pair.to(), &format!("SELECT pg_terminate_backend(pid) FROM ({OWNER}) owner")).await;
    execute(&pair.from(), "INSERT INTO t VALUES (1)").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}

/// The server's own code for a full disk, raised where rows are written.
const FULL: &str = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
    'BEGIN RAISE EXCEPTION ''could not extend file: No space left on device'' USING ERRCODE = ''53100''; END'; \
    CREATE TRIGGER full_disk BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION full_disk(); \
    ALTER TABLE t ENABLE ALWAYS TRIGGER full_disk";

#[tokio::test]
async fn a_full_disk_at_the_destination_is_waited_for_in_copy_and_stream() {
    let pair = Pair::with(&[], "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    execute(&pair.to(), &format!("CREATE TABLE t (id int PRIMARY KEY); {FULL}")).await;
    let (mut child, _home) = pair.command(&[]).spawn();
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut told = async || {
        loop {
            let line = lines.next_line().await.expect("UTF-8").expect("it waits");
            if line.contains("No space left") {
                assert!(line.contains("Trying again in"), "{line}");
                return;
            }
        }
    };
    told().await;
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM t").await, "0");
    execute(&pair.to(), "ALTER TABLE t DISABLE TRIGGER full_disk").await;
    pair.await_streaming().await;
    pair.await_equal().await;
    execute(&pair.to(), "ALTER TABLE t ENABLE ALWAYS TRIGGER full_disk").await;
    execute(&pair.from(), "INSERT INTO t SELECT generate_series(2, 500)").await;
    told().await;
    execute(&pair.to(), "ALTER TABLE t DISABLE TRIGGER full_disk").await;
    pair.await_equal().await;
    child.kill().await.expect("it runs");
}

/// A file system of a few megabytes; it goes with its guard.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` where this account may not mount one.
    fn mount(owner: &Path) -> Option<Self> {
        let dir = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().expect("a directory");
        let owner = std::fs::metadata(owner).expect("the server's directory");
        let options = format!("size=12m,mode=0700,uid={},gid={}", owner.uid(), owner.gid());
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], dir.path()).then(|| Self { dir })
    }

    fn grow(&self) {
        assert!(mount(&["-o", "remount,size=48m"], self.dir.path()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    let output = Command::new("mount").args(options).arg(at).output();
    output.is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn a_disk_that_is_full_in_truth_is_waited_for_in_copy_and_stream() {
    let rows = |from: u32, to: u32| {
        format!("INSERT INTO t SELECT i, repeat(md5(i::text), 30) FROM generate_series({from}, {to}) i")
    };
    let schema = format!("CREATE TABLE t (id int PRIMARY KEY, v text); {}", rows(1, 20_000));
    let pair = Pair::with(&[], &schema).await;
    let Some(disk) = SmallDisk::mount(&pair.destination.data_directory()) else {
        let _ = std::io::stderr().write_all(b"not run: this account may not mount a file system\n");
        return;
    };
    execute(&pair.to(), &format!("CREATE TABLESPACE small LOCATION '{}'", disk.dir.path().display())).await;
    execute(&pair.to(), "ALTER DATABASE postgres SET default_tablespace = small").await;
    let (mut child, _home) = pair.command(&[]).spawn();
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut told = async || {
        loop {
            let line = lines.next_line().await.expect("UTF-8").expect("it waits");
            if line.contains("No space left on device") {
                assert!(line.starts_with("! The destination reported while "), "{line}");
                assert!(line.contains("public.t") && line.contains("Trying again in"), "{line}");
                return;
            }
        }
    };
    told().await;
    disk.grow();
    pair.await_streaming().await;
    pair.await_equal().await;
    for from in [20_001, 40_001] {
        execute(&pair.from(), &rows(from, from + 19_999)).await;
    }
    told().await;
    execute(&pair.from(), "DELETE FROM t WHERE id > 100").await;
    assert!(mount(&["-o", "remount,size=2g"], disk.dir.path()));
    pair.await_equal().await;
    child.kill().await.expect("it runs");
    drop(pair);
}

#[tokio::test]
async fn rows_that_share_a_deferrable_key_for_a_while_are_told_apart() {
    let key = "id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, u int UNIQUE DEFERRABLE INITIALLY DEFERRED, v text";
    let there = format!("CREATE TABLE t ({key}); ALTER TABLE t REPLICA IDENTITY FULL;");
    let made = format!("CREATE TABLE made ({key}); ALTER TABLE made REPLICA IDENTITY FULL;");
    let rows = "INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 50) i; INSERT INTO made SELECT * FROM t";
    let pair = Pair::with(&[], &format!("{there} {made} {rows}")).await;
    execute(&pair.to(), &there).await;
    pair.catch_up().await;
    for table in ["t", "made"] {
        let changes = format!(
            "UPDATE {table} SET id = id + 1; UPDATE {table} SET u = 51 - u; BEGIN; UPDATE {table} SET id = id - 1, v = 'w'; \
             DELETE FROM {table} WHERE id = 7; UPDATE {table} SET u = u + 1; COMMIT"
        );
        execute(&pair.from(), &changes).await;
    }
    pair.catch_up().await;
    pair.expect_equal().await;
}

#[tokio::test]
async fn a_deferrable_key_is_taken_over_and_looked_at_when_a_transaction_is_whole() {
    let table = |name: &str, when: &str| {
        format!(
            "CREATE TABLE {name} (id int PRIMARY KEY DEFERRABLE {when}, v text); ALTER TABLE {name} REPLICA IDENTITY FULL; \
             INSERT INTO {name} SELECT i, 'v' FROM generate_series(1, 50) i; "
        )
    };
    let schema = table("soon", "INITIALLY IMMEDIATE") + &table("late", "INITIALLY DEFERRED");
    let pair = Pair::with(&[], &schema).await;
    // The first may silence triggers, those of constraints among them; the second may not.
    execute(&pair.to(), "CREATE ROLE writer LOGIN PASSWORD 'w'").await;
    execute(&pair.to(), "CREATE DATABASE checked OWNER writer").await;
    let checked = Settings { database: "checked".to_owned(), ..pair.to().as_user("writer", Some(Secret::new("w"))) };
    execute(&Settings { database: "checked".to_owned(), ..pair.to() }, "GRANT CREATE ON SCHEMA public TO writer").await;
    let catch_up = async || {
        pair.catch_up().await;
        let more = ["--until-caught-up", "--slot", "checked"];
        pair.command_to(&checked, &more).run().await.expect_code(0);
    };
    catch_up().await;
    let keys = "SELECT string_agg(conrelid::regclass || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conrelid::regclass::text) \
                FROM pg_constraint WHERE contype = 'p' AND connamespace = 'public'::regnamespace";
    let rows = |name: &str| format!("SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM {name} t");
    let (first, second) = (pair.to(), checked.clone());
    for there in [&first, &second] {
        assert_eq!(value(there, keys).await, value(&pair.from(), keys).await);
    }
    for name in ["soon", "late"] {
        let changes = format!(
            "UPDATE {name} SET id = id + 1; BEGIN; UPDATE {name} SET id = id - 1, v = 'w'; DELETE FROM {name} WHERE id = 7; \
             UPDATE {name} SET id = 60 - id; COMMIT"
        );
        execute(&pair.from(), &changes).await;
    }
    catch_up().await;
    for name in ["soon", "late"] {
        for there in [&first, &second] {
            assert_eq!(value(there, &rows(name)).await, value(&pair.from(), &rows(name)).await, "{name}");
        }
    }
    // Copied anew, they have their key already.
    for (there, slot) in [(&first, "walpilot_slot"), (&second, "checked")] {
        let more = ["--until-caught-up", "--copy-again", "--slot", slot];
        pair.command_to(there, &more).run().await.expect_code(0);
        assert_eq!(value(there, &rows("soon")).await, value(&pair.from(), &rows("soon")).await);
        assert_eq!(value(there, keys).await, value(&pair.from(), keys).await);
    }
}

#[tokio::test]
async fn a_slot_that_lost_its_log_stops_the_run_with_the_way_out() {
    let settings = [("max_slot_wal_keep_size", "16MB"), ("max_wal_size", "32MB"), ("min_wal_size", "32MB")];
    let pair =
        Pair::with(&settings, "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')").await;
    let (child, _home) = pair.command(&[]).spawn();
    pair.await_streaming().await;
    pair.await_equal().await;
    let lock = session(&pair.to()).await;
    lock.client.batch_execute("BEGIN; LOCK TABLE public.t IN SHARE MODE").await.expect("locked");
    execute(&pair.from(), "INSERT INTO t VALUES (2, 'unseen')").await;
    let status = "SELECT COALESCE(wal_status, 'lost') FROM pg_replication_slots WHERE slot_name = 'walpilot_slot'";
    await_until("the slot is lost", async || {
        // Without rows: a walsender that is told to end while nobody reads what it has sent can't say so, and waits.
        execute(&pair.from(), &format!("{}; SELECT pg_switch_wal()", backlog(10_000_000))).await;
        execute(&pair.from(), "CHECKPOINT").await;
        value(&pair.from(), status).await == "lost"
    })
    .await;
    lock.client.batch_execute("ROLLBACK").await.expect("unlocked");
    let output = child.wait_with_output().await.expect("it ends");
    let reason = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{reason}");
    for word in ["max_slot_wal_keep_size", "pg_drop_replication_slot('walpilot_slot')", "--copy-again"] {
        assert!(reason.contains(word), "{word} is missing: {reason}");
    }
    assert_eq!(reason.trim_end().lines().count(), 1, "{reason}");
    execute(&pair.from(), "SELECT pg_drop_replication_slot('walpilot_slot')").await;
    pair.command(&["--until-caught-up", "--copy-again"]).run().await.expect_code(0);
    pair.expect_equal().await;
}

#[tokio::test]
async fn a_table_without_columns_is_refused_before_anything_is_created() {
    let pair = Pair::with(&[], "CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE t ()").await;
    execute(&pair.from(), "ALTER TABLE t REPLICA IDENTITY FULL").await;
    let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
    assert!(outcome.stderr.contains("Table public.t has no columns"), "{}", outcome.stderr);
    assert_eq!(value(&pair.to(), "SELECT to_regclass('other') IS NULL").await, "t");
    execute(&pair.from(), "ALTER TABLE t ADD a int GENERATED ALWAYS AS (1) STORED").await;
    let outcome = pair.command(&["--until-caught-up"]).run().await.expect_code(4);
    assert!(outcome.stderr.contains("Table public.t has no columns but generated ones"), "{}", outcome.stderr);
    assert_eq!(value(&pair.to(), "SELECT to_regclass('other') IS NULL").await, "t");
    assert_eq!(value(&pair.from(), "SELECT count(*) FROM pg_replication_slots").await, "0");
}
