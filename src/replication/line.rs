//! A thread of its own for the connection to a walsender.
//!
//! A walsender sends each change with a system call of its own, and each wakes whoever waits for the socket. On a thread
//! that many tasks share somebody always waits, so a backlog costs both sides a wake-up for each hundred bytes. A thread
//! that has nothing but the stream can sleep for a moment in the middle of the flow ([`super::pace`]) and be woken by
//! nothing. The socket belongs to the runtime in which it was opened, so the connection is made here, too.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::AbortOnDropHandle;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Line {
    handle: Handle,
    _end: DropGuard,
}

impl Line {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses a thread or its descriptors.
    pub(super) fn open() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let end = CancellationToken::new();
        let ended = end.clone();
        thread::Builder::new().name("walsender".to_owned()).spawn(move || runtime.block_on(ended.cancelled()))?;
        Ok(Self { handle, _end: end.drop_guard() })
    }

    /// Runs a task on the thread, until it ends or what is returned is dropped.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> AbortOnDropHandle<T> {
        AbortOnDropHandle::new(self.handle.spawn(task))
    }

    /// Runs a task on the thread and waits for it.
    pub(super) async fn run<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        match self.spawn(task).await {
            Ok(outcome) => outcome,
            // The thread outlives what it runs, so this is a panic of the task.
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
}

/// Lets the thread sleep. Only for a task that runs on its [`Line`]: nothing else is to be held up.
pub(super) fn sleep(rest: Duration) {
    thread::sleep(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_run_on_a_thread_that_ends_with_the_line() {
        let line = Line::open().unwrap();
        let (name, id) =
            line.run(async { (thread::current().name().map(str::to_owned), thread::current().id()) }).await;
        assert_eq!((name.as_deref(), line.run(async { thread::current().id() }).await), (Some("walsender"), id));
        assert_ne!(id, thread::current().id());
        let task = line.spawn(std::future::pending::<()>());
        drop(line);
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
