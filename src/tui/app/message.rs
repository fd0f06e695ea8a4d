//! What reaches the state, and what it asks for: the only words between the pure and the impure half.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crossterm::event::KeyEvent;

use super::dashboard::Recording;
use super::job::{Job, Ticket};
use crate::catalog::gather::TableChoice;
use crate::connection::askpass::Event;
use crate::connection::inputs::Resolved;
use crate::connection::{Failure, Secret, Security, Settings};
use crate::monitor::count::Count;
use crate::monitor::recording::Header;
use crate::monitor::{Sample, Target};
use crate::preflight::Report;
use crate::profile::saved::{PasswordSource, Saved};
use crate::profile::secrets::Found;
use crate::profile::{Profile, TableName};
use crate::replication::{Progress, RunEvent, RunOptions, Summary};
use crate::setup::Plan;
use crate::setup::apply::ApplyEvent;
use crate::setup::rehearse::Rehearsal;

/// Both clocks, read once for each message.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For durations.
    pub monotonic: Instant,
    /// For what is shown as a time of day.
    pub wall: SystemTime,
}

/// What happened.
#[derive(Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// A bracketed paste; it may well be a password.
    Paste(Secret),
    /// The terminal has this many columns and rows.
    Resized(u16, u16),
    /// A deadline has passed: something that moves has to be drawn anew.
    Tick,
    /// SIGINT, SIGTERM or SIGHUP.
    Terminate,
    /// A task answers.
    Task(Ticket, Answer),
    /// ssh asks something, or no longer.
    Asked(Event),
}

/// What a server said when its settings were tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// The server's version, as it writes it; safe to print.
    pub version: String,
    /// What protects the connection, as it was really negotiated.
    pub security: Security,
    /// Whether it is a standby that takes no writes.
    pub in_recovery: bool,
    /// Whether the role may create schemas in the database.
    pub may_create: bool,
}

/// A plan with its script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The steps.
    pub plan: Plan,
    /// The steps as a file for psql.
    pub script: String,
}

/// What a task says. `String` errors are sentences that are safe to print.
#[derive(Debug)]
#[expect(missing_docs, reason = "each names the work that it answers")]
pub enum Answer {
    /// Whether there is a keyring.
    Keyring(bool),
    Secrets(Result<Found, String>),
    Tested(Result<Tested, Box<Failure>>),
    Resolved(Result<Box<Resolved>, String>),
    Tables(Result<Vec<TableChoice>, String>),
    Checked(Result<Box<Report>, String>),
    Planned(Result<Box<Planned>, String>),
    Rehearsed(Result<Box<Rehearsal>, String>),
    Applying(ApplyEvent),
    Applied(Result<(), String>),
    Written(Result<PathBuf, String>),
    ProfileSaved(Result<PathBuf, String>),
    /// There is a profile of this name already.
    ProfileExists(String),
    Progress(Box<Progress>),
    RunEvent(RunEvent),
    RunEnded(Result<Box<Summary>, String>),
    Sampled(Box<Sample>),
    /// Why there was no sample, and after which pause the next try begins.
    SampleFailed(String, Duration),
    /// Why the configuration file does not count: one sentence.
    Unconfigured(String),
    /// The source answers too slowly for the pace that is wanted: this is the pause that is made; or no longer.
    Throttled(Option<Duration>),
    /// How the recording stands.
    Recording(Recording),
    /// The recording ended; one sentence when it had to.
    Recorded(Result<Recording, String>),
    /// A table was counted.
    Counted(Result<Box<Count>, String>),
    /// A finding's statement was run; what it answered.
    Acted(Result<String, String>),
    /// The task panicked: a defect of walpilot, said instead of a screen that waits for ever.
    Died(String),
}

/// What the state asks of the runtime.
#[derive(Debug)]
pub enum Effect {
    /// Begin a task.
    Start(Ticket, Box<Work>),
    /// Stop a task now; its answer is no longer wanted.
    Cancel(Ticket),
    /// Let the replication finish its batch and end.
    StopRun,
    /// Sample at this pace from now on.
    Pace(Duration),
    /// Sample now.
    Refresh,
    /// Put a text on the terminal's clipboard.
    Copy(String),
    /// Give the terminal back and stop the process until it is continued.
    Suspend,
    /// Answer a question of ssh; nothing means no.
    Answer(u64, Option<Secret>),
    /// Leave.
    Quit,
}

/// What a task does.
#[derive(Debug)]
pub enum Work {
    /// Look whether there is a keyring.
    FindKeyring,
    /// Get the secrets of these settings from where they are.
    FetchSecrets(PasswordSource, Settings),
    /// Connect and look at the server.
    Test(Settings),
    /// Take a connection string of the source (or, if so said, of a second server) apart, with libpq's variables and files.
    Resolve(Secret, bool),
    /// List the tables of a source.
    ListTables(Settings),
    /// Gather through these settings and judge; with `deep` also try what replication will do, as the profile's user.
    #[expect(missing_docs, reason = "the names are the documentation")]
    Preflight { profile: Profile, reader: Settings, deep: bool },
    /// Gather through the administrator's connection (or else the profile's own) and plan.
    Plan(Profile, Option<Settings>),
    /// Run a plan for this profile as this administrator, and roll back.
    Rehearse(Profile, Settings, Plan),
    /// Apply a plan as this administrator.
    Apply(Settings, Plan),
    /// Write a new file that only its owner can read.
    Write(PathBuf, String),
    /// Write new files, by name and text, into a new directory.
    WriteParts(PathBuf, Vec<(String, String)>),
    /// Keep a profile under a name, an older one only with `replace`, and the secrets of `keyring` in the keyring.
    #[expect(missing_docs, reason = "the names are the documentation")]
    SaveProfile { name: String, saved: Box<Saved>, replace: bool, keyring: Option<Box<Settings>> },
    /// Replicate.
    Run(RunOptions),
    /// Sample at the pace that was asked for, at first every two seconds.
    Watch(Target),
    /// Count this table exactly at both sides.
    Count(Box<Target>, TableName),
    /// Run this statement of a finding as this role.
    Act(Settings, String),
    /// Record what this job samples into a new file.
    #[expect(missing_docs, reason = "the names are the documentation")]
    Record { path: PathBuf, header: Header, of: Job },
}

impl Job {
    /// Whether an answer is the last one of its job.
    #[must_use]
    pub fn ends_with(self, answer: &Answer) -> bool {
        !matches!(
            answer,
            Answer::Applying(_)
                | Answer::Progress(_)
                | Answer::RunEvent(_)
                | Answer::Sampled(_)
                | Answer::SampleFailed(..)
                | Answer::Throttled(_)
                | Answer::Unconfigured(_)
                | Answer::Recording(_)
        )
    }
}
