//! A run leaves nothing behind, in whatever phase it ends: no thread, no connection, no client of a tunnel, and no
//! replication slot but its own.

use crate::replicating::{Pair, await_value, execute, open, value};
use crate::support::bastion::Bastion;
use crate::support::{PATIENCE, await_until, certificates, destination, source_builder, started};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use walpilot::connection::{Settings, SslMode};
use walpilot::profile::{Profile, Selection};
use walpilot::replication::{self, Phase, Progress, RunError, RunOptions, Summary, XminOptions};

/// How a run is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// As by the first Ctrl-C.
    Stopped,
    /// As by the second one.
    Dropped,
}

/// A run in this process, so that its threads can be counted.
struct Going {
    work: JoinHandle<Result<Summary, RunError>>,
    progress: watch::Receiver<Progress>,
    stop: CancellationToken,
}

impl Going {
    fn begin(from: &Settings, to: &Settings) -> Self {
        let profile = Profile { selection: Selection::Schemas(Vec::new()), ..Profile::new(from.clone()) };
        let options = RunOptions { profile, destination: to.clone(), create_slot: true, xmin: XminOptions::default() };
        let (sender, progress) = watch::channel(Progress::default());
        let (events, _) = mpsc::channel(1);
        let stop = CancellationToken::new();
        Self { work: tokio::spawn(replication::run(options, sender, events, stop.clone())), progress, stop }
    }

    async fn await_phase(&mut self, phase: Phase) {
        let reached = timeout(PATIENCE, self.progress.wait_for(|progress| progress.phase == phase)).await;
        assert!(matches!(reached, Ok(Ok(_))), "{phase:?} was not reached");
    }

    async fn end(self, how: End) {
        if how == End::Stopped {
            self.stop.cancel();
            let outcome = timeout(PATIENCE, self.work).await.expect("it stops").expect("no panic");
            outcome.unwrap_or_else(|error| panic!("{error}"));
        } else {
            self.work.abort();
            assert!(self.work.await.is_err_and(|error| error.is_cancelled()));
        }
    }
}

/// Threads of streams in this process; elsewhere than on Linux they can't be told apart.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    tasks.filter(|task| std::fs::read(task.path().join("comm")).is_ok_and(|name| name == b"walsender\n")).count()
}

const WAITS: &str = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation IS NOT NULL";
const SLOTS: &str = "SELECT count(*) FROM pg_replication_slots";
/// Our own other sessions have ended, or end by themselves.
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') \
     AND pid <> pg_backend_pid()";

async fn expect_nothing(pair: &Pair, bastion: &Bastion, what: &str) {
    await_until(&format!("no thread after {what}"), async || threads() == 0).await;
    await_until(&format!("no ssh after {what}"), async || bastion.clients() == 0).await;
    await_value(&pair.from(), &format!("{SLOTS} WHERE temporary OR active"), "0").await;
}

#[tokio::test]
async fn nothing_is_left_of_a_run_that_ends_in_any_phase() {
    let certificate = certificates::self_signed("somebody.else");
    let bastion = Bastion::start("");
    for encrypted in [true, false] {
        let source = started(source_builder().tls(&certificate.certificate, &certificate.key)).await;
        let mut pair = Pair { source, destination: destination().await };
        let tables = "CREATE TABLE t (id int PRIMARY KEY)";
        execute(&pair.from(), &format!("{tables}; INSERT INTO t SELECT generate_series(1, 100)")).await;
        execute(&pair.from(), "CREATE PUBLICATION walpilot_publication FOR ALL TABLES").await;
        execute(&pair.to(), tables).await;
        let from = if encrypted {
            Settings { ssl_mode: SslMode::Require, ..pair.from() }
        } else {
            Settings { ssl_mode: SslMode::Disable, tunnel: Some(bastion.tunnel()), ..pair.from() }
        };
        let to = pair.to();
        for how in [End::Dropped, End::Stopped] {
            let what = |phase: &str| format!("{phase}, {how:?}, encrypted: {encrypted}");

            if how == End::Dropped {
                // Making the slot waits for a transaction, and is given up half made.
                let writer = open(&pair.from(), "SELECT txid_current()").await;
                let run = Going::begin(&from, &to);
                await_value(&pair.from(), SLOTS, "1").await;
                run.end(how).await;
                expect_nothing(&pair, &bastion, &what("making the slot")).await;
                await_value(&pair.from(), SLOTS, "0").await;
                drop(writer);
            }
            // Rows can be read there, but not written.
            let lock = open(&to, "LOCK TABLE public.t IN SHARE ROW EXCLUSIVE MODE").await;
            let mut run = Going::begin(&from, &to);
            run.await_phase(if how == End::Dropped { Phase::Copying } else { Phase::Streaming }).await;
            if how == End::Stopped {
                execute(&pair.from(), "INSERT INTO t SELECT max(id) + 1 FROM t").await;
            }
            await_value(&to, WAITS, "t").await;
            if how == End::Stopped {
                // What is on its way is waited for.
                run.stop.cancel();
                drop(lock);
                run.end(how).await;
            } else {
                run.end(how).await;
                drop(lock);
            }
            expect_nothing(&pair, &bastion, &what("writing")).await;

            let mut run = Going::begin(&from, &to);
            run.await_phase(Phase::Streaming).await;
            assert!(threads() > 0 || !cfg!(target_os = "linux"), "the stream has its thread");
            run.end(how).await;
            expect_nothing(&pair, &bastion, &what("streaming")).await;

            // A table joins: another slot, and another thread.
            let name = format!("later_{how:?}");
            let table = format!("CREATE TABLE {name} (id int PRIMARY KEY)");
            execute(&to, &table).await;
            let lock = open(&to, &format!("LOCK TABLE public.{name} IN SHARE ROW EXCLUSIVE MODE")).await;
            let mut run = Going::begin(&from, &to);
            run.await_phase(Phase::Streaming).await;
            execute(&pair.from(), &format!("{table}; INSERT INTO {name} VALUES (1)")).await;
            await_value(&to, WAITS, "t").await;
            await_value(&pair.from(), &format!("{SLOTS} WHERE temporary"), "1").await;
            run.end(how).await;
            drop(lock);
            expect_nothing(&pair, &bastion, &what("a table joining")).await;

            let mut run = Going::begin(&from, &to);
            run.await_phase(Phase::Streaming).await;
            pair.source.stop_immediate().await.expect("it crashes");
            run.await_phase(Phase::Reconnecting).await;
            await_until(&what("no thread of a stream that has broken"), async || threads() == 0).await;
            run.end(how).await;
            pair.source.start_again().await.expect("it recovers");
            expect_nothing(&pair, &bastion, &what("waiting for the source")).await;
        }
        // The last of them to go are those that were in the middle of a statement.
        for side in [pair.from(), to] {
            await_value(&side, OTHERS, "0").await;
        }
        let slots = format!("{SLOTS} WHERE slot_name <> 'walpilot_slot'");
        assert_eq!(value(&pair.from(), &slots).await, "0", "no slot but its own");
        pair.catch_up().await;
        pair.expect_equal().await;
    }
}
