//! What ssh asks: walpilot as ssh's askpass program, and on a terminal without the wizard the one who asks the user.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use tokio_util::task::AbortOnDropHandle;

use super::output::{ColorChoice, Output};
use super::prompt;
use crate::connection::Secret;
use crate::connection::askpass::{Desk, Event, Kind, Question, VARIABLE, carry};

/// The whole run, if it was ssh that started this process to ask something.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub(super) fn stand_in() -> Option<ExitCode> {
    let socket = std::env::var_os(VARIABLE).map(PathBuf::from)?;
    let hint = super::source::var("SSH_ASKPASS_PROMPT").unwrap_or_default();
    let words = std::env::args().nth(1).unwrap_or_default();
    let Ok(answer) = carry(&socket, &hint, &words) else { return Some(ExitCode::FAILURE) };
    let mut out = std::io::stdout().lock();
    let written = out.write_all(answer.reveal().as_bytes()).and_then(|()| out.write_all(b"\n"));
    Some(if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Asks the user on the terminal while the guard lives; nothing without a terminal, where ssh then fails with a reason.
#[must_use]
pub(super) fn on_the_terminal() -> Option<AbortOnDropHandle<()>> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let (desk, mut heard) = Desk::open().ok()?;
    let asking = async move {
        while let Some(event) = heard.recv().await {
            let Event::Asked(question) = event else { continue };
            let id = question.id;
            let answer = tokio::task::spawn_blocking(move || ask(&question)).await.ok().flatten();
            desk.answer(id, answer);
        }
    };
    Some(AbortOnDropHandle::new(tokio::spawn(asking)))
}

fn ask(question: &Question) -> Option<Secret> {
    let (last, before) = question.text.split_last()?;
    let output = Output::new(ColorChoice::Never);
    for line in before {
        output.note(line);
    }
    let last = last.trim_end_matches([' ', ':']);
    match question.kind {
        Kind::Secret => prompt::secret(last).ok().flatten(),
        Kind::HostKey | Kind::Confirm => prompt::line(last).ok().flatten(),
        Kind::Notice => {
            output.note(last);
            None
        }
    }
}
