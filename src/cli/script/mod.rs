//! `walpilot script`.

mod applying;
mod files;
mod rehearsal;

use std::io::IsTerminal;
use std::path::PathBuf;

use serde_json::json;

use super::exit::{Exit, Stop};
use super::output::{Format, Output};
use super::source::{SourceArgs, beside, password_from};
use crate::catalog::{definition, gather};
use crate::connection::{Secret, SessionOptions, Settings, connect};
use crate::preflight::{Report, evaluate};
use crate::profile::{Coverage, Profile, SetupChoices};
use crate::setup::parts::{Part, parts};
use crate::setup::{Definition, Password, Person, Plan, Wishes, offline, plan, script, undo};

/// Print the SQL that gets the source ready; --apply runs it
#[derive(clap::Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
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
    /// Write the script without a look at the source: it finds out by itself what is missing, in psql
    #[arg(long, conflicts_with_all = ["undo", "rehearse", "apply", "admin", "admin_user", "all", "person", "into", "format"])]
    pub offline: bool,
    /// Print also what exists already
    #[arg(long, conflicts_with_all = ["undo", "rehearse", "apply"])]
    pub all: bool,
    /// Let psql ask for the new role's password, or take it from its variable walpilot_password, instead of a verifier
    #[arg(long, conflicts_with_all = ["undo", "rehearse", "apply"])]
    pub prompt: bool,
    /// What a new publication covers: the tables one by one, their schemas (15 and later) or all tables [default: tables]
    #[arg(long, value_enum, value_name = "tables|schemas|all", hide_possible_values = true)]
    pub cover: Option<Cover>,
    /// Publish changes of partitions under the partitions' own names, not under the partitioned table's
    #[arg(long)]
    pub no_partition_root: bool,
    /// Create the slot so that standbys keep it in step (17 and later)
    #[arg(long)]
    pub failover: bool,
    /// Let the role see other sessions and all settings (pg_monitor)
    #[arg(long)]
    pub monitor: bool,
    /// Let the role write heartbeats: into the log, or on PostgreSQL 13 into a table of its own
    #[arg(long)]
    pub heartbeat: bool,
    /// Print only what one person has to run
    #[arg(long, value_enum, value_name = "administrator|owners|replication", hide_possible_values = true)]
    #[arg(conflicts_with_all = ["apply", "rehearse"])]
    pub person: Option<Who>,
    /// Write one file for each person who has to run a part into this new directory, numbered in order
    #[arg(long, value_name = "DIR", conflicts_with_all = ["apply", "rehearse", "person", "format"])]
    pub into: Option<PathBuf>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cover {
    /// The chosen tables, one by one.
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

impl Who {
    fn runs(self, part: &Part) -> bool {
        match self {
            Self::Administrator => part.person == Person::Administrator,
            Self::Owners => matches!(part.person, Person::Owner(_)),
            Self::Replication => part.person == Person::Replication,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: ScriptArgs, output: Output) -> Result<Exit, Stop> {
    let mut profile = args.source.profile()?;
    args.choose(&mut profile.setup);
    if args.offline {
        let plan = offline::plan(&profile, &args.wishes(&profile, None));
        output.line(script::render(&plan, &profile).trim_end())?;
        return Ok(Exit::Fine);
    }
    let admin = args.administrator(&profile.source)?;
    for (asked, flag) in [(args.apply, "--apply"), (args.rehearse, "--rehearse")] {
        if asked && admin.is_none() {
            return Err(usage(format!("{flag} needs an administrator: name one with --admin or --admin-user.")));
        }
    }
    if args.apply && !args.yes && !std::io::stdin().is_terminal() {
        return Err(usage("--apply asks before it changes anything, and there is no terminal to ask on; add --yes."));
    }
    let (planned, before) = make_plan(&args, &profile, admin.as_ref()).await?;
    match admin {
        Some(admin) if args.rehearse => rehearsal::run(&profile, &admin, &planned, &before, output).await,
        Some(admin) if args.apply => applying::run(&args, &profile, &admin, &planned, output).await,
        _ => {
            args.print(&planned, &profile, output)?;
            Ok(Exit::Fine)
        }
    }
}

impl ScriptArgs {
    fn wishes(&self, profile: &Profile, all: Option<Definition>) -> Wishes {
        let password = if self.prompt { Password::Asked } else { Password::of(profile.source.password.as_ref()) };
        Wishes { password, all }
    }

    /// Over what a saved profile says: a flag adds to it, and cannot take away.
    fn choose(&self, setup: &mut SetupChoices) {
        match self.cover {
            Some(Cover::Tables) => setup.cover = Coverage::Tables,
            Some(Cover::Schemas) => setup.cover = Coverage::Schemas,
            Some(Cover::All) => setup.cover = Coverage::All,
            None => {}
        }
        setup.leaf_names |= self.no_partition_root;
        setup.failover |= self.failover;
        setup.monitor |= self.monitor;
        setup.heartbeat |= self.heartbeat;
    }

    fn render(&self, plan: &Plan, profile: &Profile) -> String {
        if self.undo { script::render_undo(plan, profile) } else { script::render(plan, profile) }
    }

    fn print(&self, planned: &Plan, profile: &Profile, output: Output) -> Result<(), Stop> {
        if let Some(folder) = &self.into {
            return files::write(folder, planned, profile, self.undo, output);
        }
        let chosen: Option<Vec<Part>> =
            self.person.map(|who| parts(planned).into_iter().filter(|part| who.runs(part)).collect());
        match (self.format, chosen) {
            (Format::Text, None) => output.line(self.render(planned, profile).trim_end())?,
            (Format::Text, Some(parts)) if parts.is_empty() => {
                output.line(self.render(&Plan::default(), profile).trim_end())?;
            }
            (Format::Text, Some(parts)) => {
                for part in &parts {
                    output.line(&script::render_part(part, profile, self.undo))?;
                }
            }
            (Format::Json, None) => output.json(&self.as_json(planned, profile))?,
            (Format::Json, Some(parts)) => {
                let steps = parts.iter().flat_map(|part| part.plan.steps.clone()).collect();
                let by_hand = parts.iter().flat_map(|part| part.plan.by_hand.clone()).collect();
                output.json(&self.as_json(&Plan { steps, by_hand }, profile))?;
            }
        }
        Ok(())
    }

    fn as_json(&self, plan: &Plan, profile: &Profile) -> serde_json::Value {
        json!({
            "version": 1,
            "steps": plan.steps,
            "by_hand": plan.by_hand,
            "script": self.render(plan, profile),
        })
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
    let planned = if args.undo {
        undo::undo(&facts, profile)
    } else {
        let version = facts.server.version_num;
        let all = match args.all {
            true => Some(definition::read(&session, &profile.publication, version).await.map_err(failed)?),
            false => None,
        };
        plan(&facts, profile, &args.wishes(profile, all))
    };
    Ok((planned, evaluate(&facts, profile)))
}

fn usage(message: impl Into<String>) -> Stop {
    Stop::new(Exit::Usage, message)
}

fn failed(message: impl Into<String>) -> Stop {
    Stop::new(Exit::Failed, message)
}
