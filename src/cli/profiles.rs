//! `walpilot profiles`: sources under a name, without their secrets.

use std::fs;
use std::io::Write;
use std::process::Command;

use clap::{Args, Subcommand, ValueEnum};

use super::exit::{Exit, Stop};
use super::output::{Format, Output};
use super::source::{SourceArgs, var};
use crate::connection::printable;
use crate::profile::saved::{PasswordSource, Saved};
use crate::profile::store::{Store, StoreError};

/// Keep sources under a name
#[derive(Args, Clone, Debug)]
pub struct ProfilesArgs {
    #[command(subcommand)]
    #[expect(missing_docs, reason = "a doc comment would stand in the help")]
    pub action: Action,
}

/// What to do with profiles.
#[derive(Subcommand, Clone, Debug)]
pub enum Action {
    /// List the names of all profiles
    List {
        /// The list's format
        #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
        format: Format,
    },
    /// Show a profile; it holds no secrets
    Show {
        /// The profile's name
        name: String,
        /// The format
        #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
        format: Format,
    },
    /// Save a source under a name, everything but its password
    Save(Box<SaveArgs>),
    /// Open a profile in your editor (VISUAL, EDITOR or vi)
    Edit {
        /// The profile's name
        name: String,
    },
    /// Remove a profile
    Remove {
        /// The profile's name
        name: String,
    },
}

/// What to save.
#[derive(Args, Clone, Debug)]
pub struct SaveArgs {
    /// The profile's name
    pub name: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub source: SourceArgs,
    /// Where the password comes from when the profile is used
    #[arg(long, value_enum, value_name = "SOURCE")]
    pub password_source: Option<Named>,
    /// A program, by its absolute path, that prints the password; its arguments follow, ended by a ";"
    #[arg(long, num_args = 1.., value_name = "PROGRAM", value_terminator = ";", allow_hyphen_values = true, conflicts_with = "password_source")]
    pub password_command: Vec<String>,
    /// Replace a profile of this name
    #[arg(long)]
    pub force: bool,
}

/// Where a password comes from, where that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Named {
    /// PGPASSWORD or the password file, else asked for
    Prompt,
    /// PGPASSWORD
    Env,
    /// The password file, ~/.pgpass
    Pgpass,
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: ProfilesArgs, output: Output) -> Result<Exit, Stop> {
    let store = Store::of_user().map_err(stop)?;
    match args.action {
        Action::List { format } => {
            let names = store.list().map_err(stop)?;
            match format {
                Format::Json => output.json(&names)?,
                Format::Text => names.iter().try_for_each(|name| output.line(name))?,
            }
        }
        Action::Show { name, format } => {
            let saved = store.load(&name).map_err(stop)?;
            match format {
                Format::Json => output.json(&saved)?,
                Format::Text => {
                    let text = saved.to_toml().map_err(|error| Stop::new(Exit::Failed, error.to_string()))?;
                    text.lines().try_for_each(|line| output.line(&printable(line)))?;
                }
            }
        }
        Action::Save(args) => save(&store, &args, output)?,
        Action::Edit { name } => edit(&store, &name, output)?,
        Action::Remove { name } => {
            store.remove(&name).map_err(stop)?;
            output.note(&format!("walpilot: The profile {name} is removed."));
        }
    }
    Ok(Exit::Fine)
}

fn save(store: &Store, args: &SaveArgs, output: Output) -> Result<(), Stop> {
    // Nothing is asked for and no program is run: the password is not kept.
    let saved = args.source.saved()?;
    let source = args.source.source(saved.as_ref())?;
    let earlier = saved.as_ref().map(|(_, saved)| saved.password.clone()).unwrap_or_default();
    let had_password = source.password.is_some() || source.tls.key_passphrase.is_some();
    let base = match &saved {
        Some((_, saved)) => {
            saved.profile(source).map_err(|error| Stop::new(Exit::Usage, format!("The profile: {error}.")))?
        }
        None => crate::profile::Profile::new(source),
    };
    let password = match args.password_source {
        _ if !args.password_command.is_empty() => PasswordSource::Command { command: args.password_command.clone() },
        Some(Named::Prompt) => PasswordSource::Prompt,
        Some(Named::Env) => PasswordSource::Env,
        Some(Named::Pgpass) => PasswordSource::Pgpass,
        None => earlier,
    };
    let kept = Saved::of(&args.source.wanted.over(base)?, password);
    // What is saved has to be readable again.
    let text = kept.to_toml().and_then(|text| Saved::from_toml(&text));
    text.map_err(|error| Stop::new(Exit::Usage, format!("The profile {}: {error}.", printable(&args.name))))?;
    let path = store.save(&args.name, &kept, args.force).map_err(stop)?;
    let secret = if had_password { " Passwords are not in it." } else { "" };
    output.note(&format!(
        "walpilot: The profile {} is saved in {}.{secret}",
        args.name,
        printable(&path.to_string_lossy())
    ));
    Ok(())
}

fn edit(store: &Store, name: &str, output: Output) -> Result<(), Stop> {
    let failed = |what: &str, error: &dyn std::fmt::Display| Stop::new(Exit::Failed, format!("{what}: {error}."));
    let saved = store.load(name).map_err(stop)?;
    let before = saved.to_toml().map_err(|error| failed("The profile can't be written", &error))?;
    // A copy, so that a mistake never stands in the profile itself.
    let mut copy = tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .suffix(".toml")
        .tempfile()
        .map_err(|error| failed("A copy to edit can't be made", &error))?;
    copy.write_all(before.as_bytes()).map_err(|error| failed("A copy to edit can't be made", &error))?;
    let editor = var("VISUAL").or_else(|| var("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("vi"));
    command.args(words).arg(copy.path()).env_remove("PGPASSWORD");
    let shown = printable(&editor).into_owned();
    let status = command.status().map_err(|error| failed(&format!("The editor {shown} can't be started"), &error))?;
    if !status.success() {
        return Err(Stop::new(Exit::Failed, format!("The editor {shown} failed; the profile {name} is as it was.")));
    }
    let after = fs::read_to_string(copy.path()).map_err(|error| failed("The edited copy can't be read", &error))?;
    if after == before {
        output.note(&format!("walpilot: The profile {name} is as it was."));
        return Ok(());
    }
    let edited = match Saved::from_toml(&after) {
        Ok(edited) => edited,
        Err(error) => {
            let kept = copy.keep().map_err(|error| failed("The edited copy can't be kept", &error))?.1;
            let kept = printable(&kept.to_string_lossy()).into_owned();
            return Err(Stop::new(
                Exit::Usage,
                format!(
                    "The profile {name} is as it was, because the new one can't be used: {error}. Your text is in {kept}."
                ),
            ));
        }
    };
    store.save(name, &edited, true).map_err(stop)?;
    output.note(&format!("walpilot: The profile {name} is changed."));
    Ok(())
}

/// What the user named or wrote wrongly is a usage error; what the system refused is a failure.
#[expect(clippy::needless_pass_by_value, reason = "so that it can stand in map_err")]
fn stop(error: StoreError) -> Stop {
    let exit = match &error {
        StoreError::Files(..) | StoreError::NoHome => Exit::Failed,
        _ => Exit::Usage,
    };
    Stop::new(exit, error.to_string())
}
