//! Which long tasks are under way. Every start gets a new generation; what an older one still answers is dropped.

use std::collections::BTreeMap;
use std::time::Instant;

/// A kind of long task; of each kind at most one is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// Asking whether there is a keyring.
    Keyring,
    /// Getting the source's password from the keyring or a program.
    Secrets,
    /// Trying the source's settings.
    TestSource,
    /// Trying the administrator who stands in for a role that can't log in yet.
    TestAdmin,
    /// Taking a connection string apart, with what surrounds it.
    Resolve,
    /// Listing tables.
    ListTables,
    /// Gathering facts and judging them.
    Preflight,
    /// Gathering facts as the administrator and planning.
    Plan,
    /// Running the plan in a transaction that is rolled back.
    Rehearse,
    /// Applying the plan.
    Apply,
    /// Saving a profile.
    SaveProfile,
    /// Writing the script to a file.
    Write,
    /// Trying the destination's settings.
    TestDestination,
    /// Replicating.
    Run,
    /// Sampling for the dashboard.
    Watch,
    /// Sampling one source of a fleet.
    Member(u16),
    /// Counting a table exactly.
    Count,
    /// Running a statement that a finding proposes.
    Act,
    /// Recording what is sampled.
    Record,
}

/// One start of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// What it does.
    pub job: Job,
    /// Counts starts; later is greater.
    pub generation: u64,
}

/// The jobs under way.
#[derive(Debug, Default)]
pub struct Jobs {
    last: u64,
    running: BTreeMap<Job, (u64, Instant)>,
}

impl Jobs {
    /// Begins a job; an earlier start of it is forgotten.
    pub fn start(&mut self, job: Job, now: Instant) -> Ticket {
        self.last += 1;
        self.running.insert(job, (self.last, now));
        Ticket { job, generation: self.last }
    }

    /// Whether an answer of `ticket` is still wanted.
    #[must_use]
    pub fn wants(&self, ticket: Ticket) -> bool {
        self.running.get(&ticket.job).is_some_and(|(generation, _)| *generation == ticket.generation)
    }

    /// Since when a job runs.
    #[must_use]
    pub fn since(&self, job: Job) -> Option<Instant> {
        self.running.get(&job).map(|(_, since)| *since)
    }

    /// The start of a job that runs.
    #[must_use]
    pub fn ticket(&self, job: Job) -> Option<Ticket> {
        self.running.get(&job).map(|(generation, _)| Ticket { job, generation: *generation })
    }

    /// Whether a job runs.
    #[must_use]
    pub fn runs(&self, job: Job) -> bool {
        self.running.contains_key(&job)
    }

    /// Whether something runs whose end the user waits for.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.running
            .keys()
            .any(|job| !matches!(job, Job::Run | Job::Watch | Job::Member(_) | Job::Keyring | Job::Record))
    }

    /// Forgets a job; its answers are no longer wanted.
    pub fn end(&mut self, job: Job) -> Option<Ticket> {
        self.running.remove(&job).map(|(generation, _)| Ticket { job, generation })
    }
}
