//! `walpilot script`.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::exit::{Exit, Stop};
use super::output::{Format, Output, Paint};
use super::source::{SourceArgs, beside, password_from};
use super::{check, rehearsal, report_text};
use crate::catalog::gather;
use crate::connection::{Secret, SessionOptions, Settings, connect};
use crate::preflight::{Report, evaluate};
use crate::profile::Profile;
use crate::setup::apply::{ApplyEvent, apply};
use crate::setup::{Coverage, Person, Plan, PlanOptions, Wishes, plan_with, script, undo};

/// Print the SQL that gets the source ready; --apply runs it
#[derive(clap::Args, Clone, Debug)]
pub struct ScriptArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub source: SourceArgs,
    /// Print the way back instead: slot, publication, replica identity as it was, grants, role
    #[arg(long, conflicts_with = "rehearse")]
    pub undo: bool,
    /// Run everything in one transaction as the administrator, check inside it, and roll back
    #[arg(long, conflicts_with = "apply")]
    pub rehearse: bool,
    /// What a new publication covers: the tables one by one, their schemas (15 and later) or all tables
    #[arg(long, value_enum, value_name = "tables|schemas|all", default_value_t, hide_possible_values = true)]
    pub cover: Cover,
    /// Create the slot so that standbys keep it in step (17 and later)
    #[arg(long)]
    pub failover: bool,
    /// Let the role see other sessions (pg_monitor)
    #[arg(long)]
    pub monitor: bool,
    /// Print only what one person has to run
    #[arg(long, value_enum, value_name = "administrator|owners|replication", hide_possible_values = true)]
    #[arg(conflicts_with_all = ["apply", "rehearse"])]
    pub person: Option<Who>,
    /// Run the statements, through an administrator's connection, after showing them and asking
    #[arg(long)]
    pub apply: bool,
    /// The administrator's connection; parts left out are those of the source
    #[arg(long, value_name = "URI", conflicts_with = "admin_user")]
    pub admin: Option<String>,
    /// The administrator's role at the source
    #[arg(long, value_name = "ROLE")]
    pub admin_user: Option<String>,
    /// Reads the administrator's password from this file's first line instead of WALPILOT_ADMIN_PASSWORD
    #[arg(long, value_name = "FILE")]
    pub admin_password_file: Option<PathBuf>,
    /// With --apply: do not ask
    #[arg(long, requires = "apply")]
    pub yes: bool,
    /// The format
    #[arg(long, value_enum, value_name = "text|json", default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// What a new publication covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Cover {
    /// The chosen tables, one by one.
    #[default]
    Tables,
    /// The chosen schemas.
    Schemas,
    /// Every table of the database.
    All,
}

/// Who runs a part of the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Who {
    /// Roles, the database, the publication.
    Administrator,
    /// Schemas and tables.
    Owners,
    /// The slot.
    Replication,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: ScriptArgs, output: Output) -> Result<Exit, Stop> {
    let profile = args.source.profile()?;
    let admin = args.administrator(&profile.source)?;
    if args.apply && admin.is_none() {
        return Err(usage("--apply needs an administrator: name one with --admin or --admin-user."));
    }
    if args.apply && !args.yes && !std::io::stdin().is_terminal() {
        return Err(usage("--apply asks before it changes anything, and there is no terminal to ask on; add --yes."));
    }
    if args.rehearse && admin.is_none() {
        return Err(usage("--rehearse needs an administrator: name one with --admin or --admin-user."));
    }
    let (mut planned, before) = make_plan(&args, &profile, admin.as_ref()).await?;
    if let (Some(admin), true) = (&admin, args.rehearse) {
        return rehearsal::run(&profile, admin, &planned, &before, output).await;
    }
    if let Some(who) = args.person {
        planned = planned.only(match who {
            Who::Administrator => Person::Administrator,
            Who::Owners => Person::Owners,
            Who::Replication => Person::Replication,
        });
    }
    match (admin, args.apply) {
        (Some(admin), true) => apply_plan(&args, &profile, &admin, &planned, output).await,
        _ => {
            match args.format {
                Format::Text => output.line(args.render(&planned, &profile).trim_end())?,
                Format::Json => output.json(&as_json(&planned, &profile))?,
            }
            Ok(Exit::Fine)
        }
    }
}

impl ScriptArgs {
    fn wishes(&self) -> Wishes {
        let coverage = match self.cover {
            Cover::Tables => Coverage::Listed,
            Cover::Schemas => Coverage::Schemas,
            Cover::All => Coverage::All,
        };
        Wishes { monitor: self.monitor, failover: self.failover, coverage }
    }

    fn render(&self, plan: &Plan, profile: &Profile) -> String {
        if self.undo { script::render_undo(plan, profile) } else { script::render(plan, profile) }
    }

    /// Who administers; `None` when nobody was named.
    fn administrator(&self, source: &Settings) -> Result<Option<Settings>, Stop> {
        let mut admin = match (&self.admin, &self.admin_user) {
            (Some(text), _) => beside(text, source, "--admin")?,
            (None, Some(user)) => source.as_user(user.as_str(), None),
            (None, None) => return Ok(None),
        };
        if let Some(file) = &self.admin_password_file {
            admin = admin.with_password(Some(password_from(file)?));
        } else if admin.password.is_none() {
            admin = admin.with_password(admin_password());
        }
        if admin.database != source.database {
            return Err(usage(format!(
                "--admin names database {}, the source is {}: publication and grants belong to one database.",
                crate::connection::printable(&admin.database),
                crate::connection::printable(&source.database)
            )));
        }
        Ok(Some(admin))
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment is read in `cli`")]
fn admin_password() -> Option<Secret> {
    std::env::var("WALPILOT_ADMIN_PASSWORD").ok().filter(|text| !text.is_empty()).map(Secret::new)
}

/// Looks at the source, through the administrator if there is one: the replicating role may not exist yet.
async fn make_plan(args: &ScriptArgs, profile: &Profile, admin: Option<&Settings>) -> Result<(Plan, Report), Stop> {
    let who = admin.unwrap_or(&profile.source);
    let session = connect(who, &SessionOptions::inspect()).await.map_err(|failure| {
        let mut stop = Stop::from(failure);
        if admin.is_none() {
            stop.message.push_str(" If the role does not exist yet, let an administrator look: --admin-user.");
        }
        stop
    })?;
    let facts = gather::gather_and_probe(&session, profile).await.map_err(|error| failed(error.to_string()))?;
    let options = PlanOptions { role_password: profile.source.password.clone() };
    let planned =
        if args.undo { undo::undo(&facts, profile) } else { plan_with(&facts, profile, &options, args.wishes()) };
    Ok((planned, evaluate(&facts, profile)))
}

async fn apply_plan(
    args: &ScriptArgs,
    profile: &Profile,
    admin: &Settings,
    planned: &Plan,
    output: Output,
) -> Result<Exit, Stop> {
    let text = args.format == Format::Text;
    // Under JSON standard output holds nothing but the one document.
    let say = |line: &str| -> std::io::Result<()> {
        if text {
            return output.line(line);
        }
        output.note(line);
        Ok(())
    };
    say(args.render(planned, profile).trim_end())?;
    let total = planned.steps.len();
    if total > 0 {
        if !args.yes && !agreed(total, admin)? {
            return Err(Stop::new(Exit::Interrupted, "Nothing was changed."));
        }
        let session = connect(admin, &SessionOptions::administer()).await?;
        let cancel = CancellationToken::new();
        let on_signal = tokio::spawn(cancel_on_signal(cancel.clone()));
        let applied = apply(&session, planned, &cancel, |event| {
            let line = match event {
                ApplyEvent::Started(_) => return,
                ApplyEvent::Waiting(at, why) => format!("  … {}/{total} {}", at + 1, why),
                ApplyEvent::Done(at) => {
                    format!("  {} {}/{total} {}", output.paint(Paint::Good, "✔"), at + 1, planned.steps[at].title)
                }
            };
            // A reader that has gone must not stop an application in the middle.
            let _ = say(&line);
        })
        .await;
        on_signal.abort();
        if let Err(error) = applied {
            let exit = if cancel.is_cancelled() { Exit::Interrupted } else { Exit::Failed };
            return Err(Stop::new(exit, format!("{error}\n  {}", error.sql)));
        }
    }
    if args.undo {
        if text {
            output.line("Undone.")?;
        } else {
            let mut document = as_json(planned, profile);
            document["applied"] = json!(total);
            output.json(&document)?;
        }
        return Ok(Exit::Fine);
    }
    // As the replicating role, because what counts is what that role can do; an administrator sees it too if it can't
    // log in yet.
    let (left, report) = match make_plan(args, profile, None).await {
        Ok(after) => after,
        Err(stop) if stop.exit == Exit::CannotConnect => {
            output.note(&format!("As {} the result can't be checked: {}", profile.source, stop.message));
            make_plan(args, profile, Some(admin)).await?
        }
        Err(stop) => return Err(stop),
    };
    if text {
        output.line("")?;
        for line in report_text::text(&report, output) {
            output.line(&line)?;
        }
        for note in &left.by_hand {
            output.line(&format!("By hand: {note}"))?;
        }
    } else {
        let mut document = as_json(planned, profile);
        document["applied"] = json!(total);
        document["report"] = json!(report);
        output.json(&document)?;
    }
    Ok(check::exit_of(&report))
}

fn agreed(total: usize, admin: &Settings) -> Result<bool, Stop> {
    let mut err = std::io::stderr().lock();
    write!(err, "\nRun these {total} statements as {admin}? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn cancel_on_signal(cancel: CancellationToken) {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
    cancel.cancel();
}

fn as_json(plan: &Plan, profile: &Profile) -> serde_json::Value {
    json!({
        "version": 1,
        "steps": plan.steps,
        "by_hand": plan.by_hand,
        "script": script::render(plan, profile),
    })
}

fn usage(message: impl Into<String>) -> Stop {
    Stop::new(Exit::Usage, message)
}

fn failed(message: impl Into<String>) -> Stop {
    Stop::new(Exit::Failed, message)
}
