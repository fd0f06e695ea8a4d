//! `walpilot setup`.

use super::exit::{Exit, Stop};
use super::output::Output;
use super::source::{SourceArgs, var};
use crate::tui::{self, Outcome, Prefill, Theme, TuiError};

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
        Theme { color: found.color && output.has_color(), ascii: found.ascii || self.ascii }
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
    // The wizard has a field for the password, so that nobody is asked before.
    let opened = args.source.opened(false)?;
    let selection = opened.asked.then(|| opened.profile.selection.clone());
    let (origins, password) = (opened.origins, opened.password);
    let prefill = Prefill { profile: Some(opened.profile), selection, origins, password, ..Prefill::default() };
    let outcome = Box::pin(tui::wizard(prefill, args.screen.theme(output))).await?;
    report(&outcome, output)
}

/// Prints what the interface leaves behind, and gives its exit code.
///
/// # Errors
/// When standard output can't be written.
pub fn report(outcome: &Outcome, output: Output) -> Result<Exit, Stop> {
    if let Some(line) = outcome.line() {
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
