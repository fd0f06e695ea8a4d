//! `walpilot setup`.

use jiff::tz::TimeZone;

use super::exit::{Exit, Stop};
use super::output::Output;
use super::source::{Opened, SourceArgs, var};
use super::target::configuration;
use crate::profile::store::{Store, StoreError};
use crate::tui::app::step::Step;
use crate::tui::keymap::Keymap;
use crate::tui::outcome::Keep;
use crate::tui::{self, Outcome, Prefill, Surroundings, Theme, TuiError};

/// Open the wizard (the default)
#[derive(clap::Args, Clone, Debug, Default)]
pub struct SetupArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub source: SourceArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "flattened arguments; a doc comment would replace the command's help")]
    pub screen: ScreenArgs,
}

/// How the interface is drawn, for every command that has one.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct ScreenArgs {
    /// Draw with ASCII characters only [default: where the locale is not UTF-8]
    #[arg(long)]
    pub ascii: bool,
}

impl ScreenArgs {
    /// What the terminal can show, from the environment and the arguments.
    #[must_use]
    pub fn theme(self, output: Output) -> Theme {
        let found = Theme::detect(var);
        Theme { color: found.color && output.has_color(), ascii: found.ascii || self.ascii, ..found }
    }

    /// The terminal, the user's keys and the time zone.
    ///
    /// # Errors
    /// When the configuration file can't be read, or names keys that are none.
    pub fn surroundings(self, output: Output) -> Result<Surroundings, Stop> {
        let wrong = |reason| Stop::new(Exit::Usage, format!("config.toml: {reason}"));
        let keys = Keymap::of(&configuration()?.keys).map_err(wrong)?;
        Ok(Surroundings { theme: self.theme(output), keys, zone: TimeZone::system() })
    }
}

/// Runs the command.
///
/// # Errors
/// With the exit code and one sentence for standard error.
pub async fn run(args: SetupArgs, output: Output) -> Result<Exit, Stop> {
    if !tui::terminal::is_there() {
        return Err(TuiError::NoTerminal.into());
    }
    let around = args.screen.surroundings(output)?;
    // The wizard has a field for the password, so that nobody is asked before.
    let mut prefill = prefill(args.source.opened(false)?);
    if args.source.is_empty() {
        prefill.draft = unfinished(output)?;
    }
    let outcome = Box::pin(tui::wizard(prefill, around)).await?;
    if let Err(error) = keep(&outcome.draft) {
        output.note(&format!("walpilot: {error}"));
    }
    report(&outcome, output)
}

fn prefill(opened: Opened) -> Prefill {
    let selection = opened.asked.then(|| opened.profile.selection.clone());
    let (origins, password) = (opened.origins, opened.password);
    Prefill { profile: Some(opened.profile), selection, origins, password, ..Prefill::default() }
}

/// The wizard that was left before its end, with the step it had come to. One that can't be read is only told.
fn unfinished(output: Output) -> Result<Option<(String, Box<Prefill>)>, Stop> {
    let draft = match Store::of_user().and_then(|store| store.load_draft()) {
        Ok(Some(draft)) => draft,
        Ok(None) => return Ok(None),
        Err(error) => {
            output.note(&format!("walpilot: {error}"));
            return Ok(None);
        }
    };
    let saved = Some(("of the unfinished wizard".to_owned(), draft.entered));
    let mut prefill = prefill(SourceArgs::default().opened_over(saved, false)?);
    if [Step::Connection, Step::Encryption].iter().any(|step| step.title().0 == draft.step) {
        // Nobody had seen the tables yet.
        prefill.selection = None;
    }
    Ok(Some((draft.step, Box::new(prefill))))
}

fn keep(draft: &Keep) -> Result<(), StoreError> {
    match draft {
        Keep::Earlier => Ok(()),
        Keep::This(draft) => Store::of_user()?.save_draft(draft),
        Keep::Nothing => Store::of_user()?.remove_draft(),
    }
}

/// Prints what the interface leaves behind, and gives its exit code.
///
/// # Errors
/// When standard output can't be written.
pub fn report(outcome: &Outcome, output: Output) -> Result<Exit, Stop> {
    for line in outcome.line().into_iter().chain(outcome.recorded()) {
        output.line(&line)?;
    }
    Ok(match (outcome.interrupted, &outcome.failure) {
        (true, _) => Exit::Interrupted,
        (false, Some(_)) => Exit::Failed,
        (false, None) => Exit::Fine,
    })
}

impl From<TuiError> for Stop {
    fn from(error: TuiError) -> Self {
        let exit = if matches!(error, TuiError::NoTerminal) { Exit::Usage } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}
