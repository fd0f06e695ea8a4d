//! What reaches the state, and what it asks for: the only words between the pure and the impure half.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crossterm::event::KeyEvent;

use super::job::{Job, Ticket};
use crate::catalog::gather::TableChoice;
use crate::connection::inputs::Resolved;
use crate::connection::{Failure, Secret, Security, Settings};
use crate::monitor::{Sample, Target};
use crate::preflight::Report;
use crate::profile::Profile;
use crate::profile::saved::Saved;
use crate::replication::{Progress, RunEvent, RunOptions, Summary};
use crate::setup::Plan;
use crate::setup::apply::ApplyEvent;

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
    Tested(Result<Tested, Box<Failure>>),
    Resolved(Result<Box<Resolved>, String>),
    Tables(Result<Vec<TableChoice>, String>),
    Checked(Result<Box<Report>, String>),
    Planned(Result<Box<Planned>, String>),
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
    /// Leave.
    Quit,
}

/// What a task does.
#[derive(Debug)]
pub enum Work {
    /// Connect and look at the server.
    Test(Settings),
    /// Take a connection string of the source (or, if so said, of a second server) apart, with libpq's variables and files.
    Resolve(Secret, bool),
    /// List the tables of a source.
    ListTables(Settings),
    /// Gather through these settings and judge.
    Preflight(Profile, Settings),
    /// Gather through the administrator's connection (or else the profile's own) and plan.
    Plan(Profile, Option<Settings>),
    /// Apply a plan as this administrator.
    Apply(Settings, Plan),
    /// Write a new file that only its owner can read.
    Write(PathBuf, String),
    /// Keep a profile under a name; an older one only with `replace`.
    #[expect(missing_docs, reason = "the names are the documentation")]
    SaveProfile { name: String, saved: Box<Saved>, replace: bool },
    /// Replicate.
    Run(RunOptions),
    /// Sample at the pace that was asked for, at first every two seconds.
    Watch(Target),
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
        )
    }
}
