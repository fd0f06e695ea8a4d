//! How it is noticed that the destination has vanished while a run waits for it: its machine lost power, or its address
//! leads elsewhere now.
//!
//! What was sent and not acknowledged is sent again for a quarter of an hour (tcp(7), `tcp_retries2`), and a statement
//! without an answer looks the same whether the server has vanished or waits for a lock. So when nothing has come for
//! [`UNANSWERED`], another connection is tried: a server that is there lets it in, and knows of the run's session, because
//! that holds the run's lock.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::checkpoint;
use super::halt::{Halt, Side};
use crate::connection::{self, Class, SessionOptions, Settings};

/// A statement that takes a moment may be without an answer for so long before the destination is looked for.
pub(super) const UNANSWERED: Duration = Duration::from_secs(20);
/// So often it is looked for ...
const TRIES: u32 = 2;
/// ... with this pause between, so that a server that restarts is not called vanished.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a server that let us in may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Whether the session that owns the destination leads nowhere: nobody answers there any more, or whoever does has no such
/// session. False when that is not certain.
pub(super) async fn is_gone(settings: &Settings) -> bool {
    let options = SessionOptions { application_name: "walpilot run progress".to_owned(), ..SessionOptions::inspect() };
    for time in 0..TRIES {
        if time > 0 {
            sleep(PAUSE).await;
        }
        match connection::connect(settings, &options).await {
            Ok(session) => match timeout(ANSWER, checkpoint::is_owned(&session.client)).await {
                Ok(Ok(owned)) => return !owned,
                Ok(Err(_)) => return false,
                Err(_) => {}
            },
            Err(failure) => match failure.class {
                Class::Timeout | Class::Unreachable | Class::Refused => {}
                _ => return false,
            },
        }
    }
    true
}

/// What ends the attempt whose destination is gone.
pub(super) fn gone() -> Halt {
    Halt::Lost(Side::Destination, "it does not answer, and nobody there knows the run's session".to_owned())
}
