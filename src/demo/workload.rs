//! The application of the demo: it writes small mixed transactions until it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::error::DemoError;
use super::failed;
use crate::connection::{Session, SessionOptions, Settings, connect, describe};

const TRANSACTIONS: &str = include_str!("../../assets/demo-workload.sql");
/// A prime, so that remainders of the numbers below it are spread evenly.
const NUMBERS: u64 = 999_983;
/// How long a lost connection is left alone before the next try.
const RECONNECT: Duration = Duration::from_millis(250);

/// A running workload. Dropping it stops it too, in the middle of a transaction.
pub struct Workload {
    counts: Arc<Counts>,
    stop: CancellationToken,
    task: JoinHandle<Option<String>>,
}

#[derive(Default)]
struct Counts {
    committed: AtomicU64,
    failed: AtomicU64,
}

impl Workload {
    /// Begins to write as the owner of the tables, about `per_second` transactions each second (at least one).
    pub(super) async fn start(application: &Settings, per_second: u32) -> Result<Self, DemoError> {
        let session = open(application).await?;
        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let pause = Duration::from_secs(1) / per_second.max(1);
        let task = tokio::spawn(write(session, application.clone(), pause, Arc::clone(&counts), stop.clone()));
        Ok(Self { counts, stop, task })
    }

    /// Transactions committed so far.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.counts.committed.load(Relaxed)
    }

    /// Transactions that the server refused so far, for example updates of a published table without a replica
    /// identity. A lost connection is not one of them.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.counts.failed.load(Relaxed)
    }

    /// Finishes the transaction at hand and stops. Returns how many were committed.
    ///
    /// # Errors
    /// When the server refused a transaction: the application would have suffered.
    pub async fn stop(mut self) -> Result<u64, DemoError> {
        self.stop.cancel();
        let refused = (&mut self.task).await.map_err(failed)?;
        match refused {
            None => Ok(self.committed()),
            Some(refused) => Err(DemoError(format!(
                "{} of the application's transactions failed beside {} that were committed; the last one, {refused}.",
                self.failed(),
                self.committed(),
            ))),
        }
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn open(application: &Settings) -> Result<Session, DemoError> {
    // Applications wait for locks as long as it takes.
    let options = SessionOptions {
        application_name: "shop".to_owned(),
        lock_timeout: Duration::ZERO,
        ..SessionOptions::administer()
    };
    connect(application, &options).await.map_err(failed)
}

/// Writes until `stop`; returns the last refusal, if there was one.
async fn write(
    mut session: Session,
    application: Settings,
    pause: Duration,
    counts: Arc<Counts>,
    stop: CancellationToken,
) -> Option<String> {
    let deck = deck(TRANSACTIONS);
    let mut numbers = Numbers(u64::from(std::process::id()));
    let mut ticks = interval(pause);
    // After a stall the application does not try to make up for lost time.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut refused = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return refused,
            _ = ticks.tick() => {}
        }
        let Some(transaction) = deck.get(numbers.below(deck.len())) else { return refused };
        let sql = transaction.sql.replace("{n}", &(numbers.next() % NUMBERS).to_string());
        match session.client.batch_execute(&sql).await {
            Ok(()) if transaction.given_up => {}
            Ok(()) => {
                counts.committed.fetch_add(1, Relaxed);
            }
            Err(_) if session.client.is_closed() => {
                // The source was stopped; go on when it is back.
                session = tokio::select! {
                    () = stop.cancelled() => return refused,
                    session = reconnect(&application) => session,
                };
            }
            Err(error) => {
                counts.failed.fetch_add(1, Relaxed);
                refused = Some(format!("{}: {}", transaction.name, describe(&error)));
            }
        }
    }
}

async fn reconnect(application: &Settings) -> Session {
    loop {
        sleep(RECONNECT).await;
        if let Ok(session) = open(application).await {
            return session;
        }
    }
}

/// One kind of transaction.
struct Transaction {
    name: &'static str,
    sql: &'static str,
    /// Whether it ends in ROLLBACK.
    given_up: bool,
}

/// The transactions of the script, each as often as its weight says.
fn deck(script: &'static str) -> Vec<Arc<Transaction>> {
    let mut deck = Vec::new();
    for part in script.split("\n\n") {
        let Some((head, sql)) = part.trim().strip_prefix("-- ").and_then(|part| part.split_once('\n')) else {
            continue;
        };
        let Some((name, weight)) = head.rsplit_once(", ") else { continue };
        let Ok(weight) = weight.parse() else { continue };
        let transaction = Transaction { name, sql, given_up: sql.trim_end().ends_with("ROLLBACK;") };
        deck.extend(std::iter::repeat_n(Arc::new(transaction), weight));
    }
    deck
}

/// Numbers that look random (xorshift, Marsaglia 2003); the workload needs variety, not secrecy.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit.max(1) as u64)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{TRANSACTIONS, deck};

    #[test]
    fn every_transaction_of_the_script_is_in_the_deck() {
        let deck = deck(TRANSACTIONS);
        let mut names: Vec<_> = deck.iter().map(|transaction| transaction.name).collect();
        names.dedup();
        // A blank line, a comment with the name, and a statement: nothing else begins a transaction.
        let written = TRANSACTIONS.split("\n\n-- ").count() - 1;
        assert_eq!(names.len(), written, "{names:?}");
        assert_eq!(deck.iter().filter(|transaction| transaction.name == "a new order").count(), 8);
        assert_eq!(deck.iter().filter(|transaction| transaction.given_up).count(), 1);
    }
}
