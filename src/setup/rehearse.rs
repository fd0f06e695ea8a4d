//! Proves a plan on the real database: runs it in one transaction, runs the preflight inside, and rolls back.
//!
//! Nothing stays, and the application is never made to queue: a table that somebody uses at this moment is left out of
//! the rehearsal instead of waited for, because whoever came after would wait behind us. Tables that are free are locked
//! last and only until the preflight has looked, with a time limit.

use std::time::Duration;

use super::apply::is_done;
use super::step::{Plan, Step};
use crate::catalog::gather::gather;
use crate::catalog::ident::quote_table;
use crate::connection::{Session, describe};
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Report, evaluate};
use crate::profile::Profile;

/// For how long tables may stay locked while the preflight looks.
const LONGEST_HOLD: Duration = Duration::from_secs(5);

/// What a rehearsal showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// How many statements were run and rolled back.
    pub rehearsed: usize,
    /// The step that failed (from 0) and the server's reason.
    pub failed: Option<(usize, String)>,
    /// Steps that were left out: the title, and why.
    pub left_out: Vec<(String, &'static str)>,
    /// Checks that complained before and pass now.
    pub cleared: Vec<&'static str>,
    /// What would still block, beside what was left out: the check and its summary.
    pub blocked: Vec<(&'static str, String)>,
    /// The report inside the transaction; `None` when a step failed.
    pub after: Option<Report>,
}

const NOT_POSSIBLE: &str = "not possible in a transaction";
const IN_USE: &str = "its table is in use just now, and nobody was made to wait";
const FOLLOWS: &str = "a step before it was left out";

/// Rehearses `plan` through the administrator's session. `before` is the report that the plan was made from.
///
/// # Errors
/// When the connection breaks, the catalogs can't be read, or it takes too long; the server has rolled back then.
pub async fn rehearse(admin: &Session, profile: &Profile, plan: &Plan, before: &Report) -> Result<Rehearsal, String> {
    admin.client.batch_execute("BEGIN").await.map_err(|error| describe(&error))?;
    let shown = inside(admin, profile, plan).await;
    // Should this fail, the connection is gone, and the server has rolled back.
    let ended = admin.client.batch_execute("ROLLBACK").await.map_err(|error| describe(&error));
    let mut shown = shown?;
    ended?;
    if let Some(report) = &shown.after {
        let complained = |report: &Report, id: &str| {
            report.finding(id).is_some_and(|finding| matches!(rank(finding), Rank::Blocker | Rank::Warning))
        };
        let cleared = before.findings.iter().map(|finding| finding.id);
        shown.cleared = cleared.filter(|id| complained(before, id) && !complained(report, id)).collect();
        // The slot is never part of a rehearsal.
        let slot = plan.steps.iter().any(|step| !step.in_transaction());
        let stays =
            report.findings.iter().filter(|one| rank(one) == Rank::Blocker && !(slot && one.id == "slot-exists"));
        shown.blocked = stays.map(|finding| (finding.id, finding.summary.clone())).collect();
    }
    Ok(shown)
}

async fn inside(admin: &Session, profile: &Profile, plan: &Plan) -> Result<Rehearsal, String> {
    let mut stage = Stage { admin, shown: Rehearsal::default(), locks: false };
    // Steps that lock a table wait until the first step that builds on them, or the end.
    let mut locking: Vec<(usize, &Step)> = Vec::new();
    for (at, step) in plan.steps.iter().enumerate() {
        if !step.in_transaction() {
            stage.shown.left_out.push((step.title.clone(), NOT_POSSIBLE));
        } else if step.locked.is_some() {
            locking.push((at, step));
        } else {
            if step.guard.is_some() && !stage.run_all(&mut locking).await? {
                return Ok(stage.shown);
            }
            if !stage.run(at, step).await? {
                return Ok(stage.shown);
            }
        }
    }
    if !stage.run_all(&mut locking).await? {
        return Ok(stage.shown);
    }
    let looked = gather(admin, profile);
    let facts = if stage.locks {
        match tokio::time::timeout(LONGEST_HOLD, looked).await {
            Ok(facts) => facts,
            Err(_) => {
                let _ = admin.cancel().await;
                return Err(format!(
                    "the checks took longer than {} s while tables were locked; rehearse at a quieter time",
                    LONGEST_HOLD.as_secs()
                ));
            }
        }
    } else {
        looked.await
    };
    stage.shown.after = Some(evaluate(&facts.map_err(|error| error.to_string())?, profile));
    Ok(stage.shown)
}

/// The transaction, and what it has shown so far.
struct Stage<'a> {
    admin: &'a Session,
    shown: Rehearsal,
    /// A table is locked.
    locks: bool,
}

impl Stage<'_> {
    async fn run_all(&mut self, steps: &mut Vec<(usize, &Step)>) -> Result<bool, String> {
        for (at, step) in steps.drain(..) {
            if !self.run(at, step).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Runs a step. Returns false when it failed, which ends the rehearsal.
    async fn run(&mut self, at: usize, step: &Step) -> Result<bool, String> {
        self.execute("SAVEPOINT walpilot").await?;
        let Err(error) = self.attempt(step).await else { return Ok(true) };
        if self.admin.client.is_closed() {
            return Err(describe(&error));
        }
        self.execute("ROLLBACK TO SAVEPOINT walpilot").await?;
        let code = error.code().map_or("", |code| code.code());
        if code == "55P03" && step.locked.is_some() {
            self.shown.left_out.push((step.title.clone(), IN_USE));
        } else if code == "P0001" && self.shown.left_out.iter().any(|(_, why)| *why == IN_USE) {
            self.shown.left_out.push((step.title.clone(), FOLLOWS));
        } else {
            self.shown.failed = Some((at, describe(&error)));
            return Ok(false);
        }
        Ok(true)
    }

    async fn attempt(&mut self, step: &Step) -> Result<(), tokio_postgres::Error> {
        if is_done(self.admin, step).await? {
            return Ok(());
        }
        if let Some(table) = &step.locked {
            // At once or not at all: a lock that is waited for makes others wait.
            let sql = format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE NOWAIT", quote_table(table));
            self.admin.client.batch_execute(&sql).await?;
            self.locks = true;
        }
        if let Some(guard) = &step.guard {
            self.admin.client.batch_execute(guard).await?;
        }
        self.admin.client.batch_execute(&step.sql).await?;
        self.shown.rehearsed += 1;
        Ok(())
    }

    async fn execute(&self, sql: &str) -> Result<(), String> {
        self.admin.client.batch_execute(sql).await.map_err(|error| describe(&error))
    }
}
