//! Samples of several sources, each on a connection of its own, made again with growing pauses when it is lost.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::pace::Pace;
use super::sample::{Sample, Sampler, Target};

/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The samples of several sources. Everything ends when it is dropped.
pub struct Feed {
    heard: Receiver<Heard>,
    tasks: Vec<JoinHandle<()>>,
}

/// What was heard of one source.
pub struct Heard {
    /// Its number in the list that was given.
    pub member: usize,
    /// The sample, or why there is none.
    pub outcome: Result<Box<Sample>, Silence>,
}

/// Why there is no sample.
pub struct Silence {
    /// One sentence.
    pub reason: String,
    /// How long until it is tried again.
    pub again_in: Duration,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Feed {
    /// Begins to sample every target every so often, one after the other.
    #[must_use]
    pub fn start(targets: Vec<Target>, every: Duration) -> Self {
        // A full channel holds the samplers up instead of filling the memory.
        let (tell, heard) = channel(targets.len().max(1) * 2);
        let count = u32::try_from(targets.len()).unwrap_or(u32::MAX).max(1);
        let start = |(member, target): (usize, Target)| {
            let first = every / count * u32::try_from(member).unwrap_or(0);
            tokio::spawn(Box::pin(follow(member, target, every, first, tell.clone())))
        };
        let tasks = targets.into_iter().enumerate().map(start).collect();
        Self { heard, tasks }
    }

    /// The next thing that is heard.
    pub async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }
}

async fn follow(member: usize, target: Target, every: Duration, first: Duration, tell: Sender<Heard>) {
    sleep(first).await;
    let mut pause = every;
    loop {
        let reason = match Sampler::connect(target.clone()).await {
            Ok(mut sampler) => {
                let mut pace = Pace::new(every);
                loop {
                    match sampler.sample().await {
                        Ok(sample) => {
                            pause = every;
                            pace.took(Duration::from_micros(sample.pulse_micros));
                            if tell.send(Heard { member, outcome: Ok(Box::new(sample)) }).await.is_err() {
                                return;
                            }
                        }
                        Err(reason) => break reason,
                    }
                    sleep(pace.pause()).await;
                }
            }
            Err(failure) => failure.to_string(),
        };
        if tell.send(Heard { member, outcome: Err(Silence { reason, again_in: pause }) }).await.is_err() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
