//! `walpilot profiles`: sources under a name, without their secrets.

use std::fs;
use std::io::Write;
use std::process::Command;

use clap::{Args, Subcommand, ValueEnum};

use super::exit::{Exit, Stop};
use super::output::{Format, Output};
use super::prompt;
use super::source::{SourceArgs, password_from, var};
use crate::connection::{Settings, parameters, printable};
use crate::profile::saved::{PasswordSource, Saved};
use crate::profile::store::{Store, StoreError};
use crate::profile::{keyring, secrets};

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
    /// Save a source under a name, everything but its password, which the system's keyring may keep
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
    /// The system's keyring, where the password is kept now
    Keyring,
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
        Action::Save(args) => save(&store, &args, output).await?,
        Action::Edit { name } => edit(&store, &name, output).await?,
        Action::Remove { name } => remove(&store, &name, output).await?,
    }
    Ok(Exit::Fine)
}

async fn save(store: &Store, args: &SaveArgs, output: Output) -> Result<(), Stop> {
    // Nothing is asked for and no program is run, unless the keyring is to keep the password.
    let saved = args.source.saved()?;
    let mut source = args.source.source(saved.as_ref())?;
    if args.password_source == Some(Named::Keyring) {
        keyring::available().await.map_err(|error| failed(&error))?;
        if let Some(file) = &args.source.password_file {
            source = source.with_password(Some(password_from(file)?));
        }
        source = kept_in_keyring(source).await?;
    }
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
        Some(Named::Keyring) => PasswordSource::Keyring,
        None => earlier,
    };
    // A name that nobody has said is no name that anybody expects.
    let (slot, publication) = match &saved {
        Some((_, saved)) => (saved.slot.clone(), saved.publication.clone()),
        None => (None, None),
    };
    let said = &args.source.wanted;
    let (slot, publication) = (said.slot.clone().or(slot), said.publication.clone().or(publication));
    let kept = Saved { slot, publication, ..Saved::of(&said.over(base)?, password) };
    // What is saved has to be readable again.
    let text = kept.to_toml().and_then(|text| Saved::from_toml(&text));
    text.map_err(|error| Stop::new(Exit::Usage, format!("The profile {}: {error}.", printable(&args.name))))?;
    let path = store.save(&args.name, &kept, args.force).map_err(stop)?;
    let secret = match args.password_source {
        Some(Named::Keyring) => " Its password is in the keyring.",
        _ if had_password => " Passwords are not in it.",
        _ => "",
    };
    output.note(&format!(
        "walpilot: The profile {} is saved in {}.{secret}",
        args.name,
        printable(&path.to_string_lossy())
    ));
    Ok(())
}

/// Asks for the password if nothing gives it, and keeps it.
async fn kept_in_keyring(source: Settings) -> Result<Settings, Stop> {
    let source = match source.password {
        Some(_) => source,
        None => source.with_password(prompt::secret(&format!("Password for {source}"))?),
    };
    if source.password.is_none() {
        return Err(Stop::new(
            Exit::Usage,
            "There is no password for the keyring; give it with --password-file, PGPASSWORD or on a terminal.",
        ));
    }
    secrets::keep(&source).await.map_err(|error| failed(&error))?;
    Ok(source)
}

/// Removes a profile, and its secrets from the keyring unless another profile needs them.
async fn remove(store: &Store, name: &str, output: Output) -> Result<(), Stop> {
    let saved = store.load(name);
    store.remove(name).map_err(stop)?;
    output.note(&format!("walpilot: The profile {name} is removed."));
    let Some(saved) = saved.ok().filter(|saved| saved.password == PasswordSource::Keyring) else { return Ok(()) };
    let same = |other: &String| {
        store.load(other).is_ok_and(|other| {
            other.password == PasswordSource::Keyring && (&other.source, &other.ssh) == (&saved.source, &saved.ssh)
        })
    };
    if !store.list().map_err(stop)?.iter().any(same) {
        secrets::forget(&settings_of(&saved)?).await.map_err(|error| failed(&error))?;
        output.note("walpilot: Its password is removed from the keyring.");
    }
    Ok(())
}

/// The source of a profile as it was when the keyring got its password: nothing of what surrounds us now counts.
fn settings_of(saved: &Saved) -> Result<Settings, Stop> {
    let bad = |error: String| Stop::new(Exit::Usage, format!("The profile: {error}."));
    let values = saved.pairs().map_err(|error| bad(error.to_string()))?.into_iter().collect();
    let settings = parameters::apply(&values, &Settings::default()).map_err(|error| bad(error.to_string()))?;
    Ok(Settings { tunnel: saved.tunnel(), ..settings })
}

fn failed(error: &dyn std::fmt::Display) -> Stop {
    Stop::new(Exit::Failed, error.to_string())
}

async fn edit(store: &Store, name: &str, output: Output) -> Result<(), Stop> {
    let cannot = |what: &str, error: &dyn std::fmt::Display| Stop::new(Exit::Failed, format!("{what}: {error}."));
    let saved = store.load(name).map_err(stop)?;
    let before = saved.to_toml().map_err(|error| cannot("The profile can't be written", &error))?;
    // A copy, so that a mistake never stands in the profile itself.
    let mut copy = tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .suffix(".toml")
        .tempfile()
        .map_err(|error| cannot("A copy to edit can't be made", &error))?;
    copy.write_all(before.as_bytes()).map_err(|error| cannot("A copy to edit can't be made", &error))?;
    let editor = var("VISUAL").or_else(|| var("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("vi"));
    command.args(words).arg(copy.path()).env_remove("PGPASSWORD");
    let shown = printable(&editor).into_owned();
    let status = command.status().map_err(|error| cannot(&format!("The editor {shown} can't be started"), &error))?;
    if !status.success() {
        return Err(Stop::new(Exit::Failed, format!("The editor {shown} failed; the profile {name} is as it was.")));
    }
    let after = fs::read_to_string(copy.path()).map_err(|error| cannot("The edited copy can't be read", &error))?;
    if after == before {
        output.note(&format!("walpilot: The profile {name} is as it was."));
        return Ok(());
    }
    let edited = match Saved::from_toml(&after) {
        Ok(edited) => edited,
        Err(error) => {
            let kept = copy.keep().map_err(|error| cannot("The edited copy can't be kept", &error))?.1;
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
    if edited.password == PasswordSource::Keyring {
        let source = settings_of(&edited)?;
        let found = secrets::fetch(&edited.password, &source).await.map_err(|error| failed(&error))?;
        if found.password.is_none() {
            kept_in_keyring(source).await?;
            output.note("walpilot: Its password is in the keyring.");
        }
    }
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
