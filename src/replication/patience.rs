//! The pauses between the attempts of a run.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::halt::Halt;
use super::progress::{Phase, Progress, Teller};

/// The first pause before another attempt; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the other side may take to acknowledge an orderly end.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

/// How long to wait next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(Duration);

impl Patience {
    pub(super) fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// Something has succeeded.
    pub(super) fn renew(&mut self) {
        self.0 = FIRST_PAUSE;
    }

    /// The pause that is due; the next one is longer.
    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    /// Tells what has happened and waits. False when `stop` was cancelled meanwhile.
    pub(super) async fn wait(
        &mut self,
        halt: &Halt,
        progress: &watch::Sender<Progress>,
        tell: &Teller,
        stop: &CancellationToken,
    ) -> bool {
        let pause = self.pause();
        progress.send_modify(|progress| progress.phase = Phase::Reconnecting);
        tell.trouble(format!("{} Trying again in {} s.", halt.what(), pause.as_secs_f32()));
        tokio::select! {
            () = sleep(pause) => true,
            () = stop.cancelled() => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Patience;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut patience = Patience::new();
        let pauses: Vec<f32> = (0..8).map(|_| patience.pause().as_secs_f32()).collect();
        assert_eq!(pauses, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        patience.renew();
        assert!((patience.pause().as_secs_f32() - 0.5).abs() < f32::EPSILON);
    }
}
