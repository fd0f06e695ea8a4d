//! `walpilot script --apply`: shows the statements, asks, runs them one by one, and checks again.

use std::io::{BufRead, IsTerminal, Write};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{ScriptArgs, make_plan};
use crate::cli::exit::{Exit, Stop};
use crate::cli::output::{Format, Output, Paint};
use crate::cli::{check, report_text};
use crate::connection::{SessionOptions, Settings, connect};
use crate::profile::Profile;
use crate::setup::Plan;
use crate::setup::apply::{ApplyEvent, apply};

pub(super) async fn run(
    args: &ScriptArgs,
    profile: &Profile,
    admin: &Settings,
    planned: &Plan,
    output: Output,
) -> Result<Exit, Stop> {
    let teller = Teller { output, text: args.format == Format::Text };
    teller.say(args.render(planned, profile).trim_end())?;
    let total = planned.steps.len();
    if total > 0 {
        if !args.yes && !agreed(total, admin)? {
            return Err(Stop::new(Exit::Interrupted, "Nothing was changed."));
        }
        statements(admin, planned, teller).await?;
    }
    if args.undo {
        return undone(args, profile, planned, teller);
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
    if teller.text {
        output.line("")?;
        for line in report_text::text(&report, output) {
            output.line(&line)?;
        }
        for note in &left.by_hand {
            output.line(&format!("By hand: {note}"))?;
        }
    } else {
        let mut document = args.as_json(planned, profile);
        document["applied"] = json!(total);
        document["report"] = json!(report);
        output.json(&document)?;
    }
    Ok(check::exit_of(&report))
}

/// What is left by hand keeps the way back from being complete.
fn undone(args: &ScriptArgs, profile: &Profile, planned: &Plan, teller: Teller) -> Result<Exit, Stop> {
    let output = teller.output;
    if !teller.text {
        let mut document = args.as_json(planned, profile);
        document["applied"] = json!(planned.steps.len());
        output.json(&document)?;
    } else if planned.steps.is_empty() {
        output.line("Nothing was undone.")?;
    } else {
        output.line(if planned.by_hand.is_empty() { "Undone." } else { "Undone, but for what is said above." })?;
    }
    Ok(if planned.steps.is_empty() && !planned.by_hand.is_empty() { Exit::Blockers } else { Exit::Fine })
}

/// Runs the statements until the first error or a signal.
async fn statements(admin: &Settings, planned: &Plan, teller: Teller) -> Result<(), Stop> {
    let session = connect(admin, &SessionOptions::administer()).await?;
    let cancel = CancellationToken::new();
    let on_signal = tokio::spawn(cancel_on_signal(cancel.clone()));
    let applied = apply(&session, planned, &cancel, |event| teller.tell(&event, planned)).await;
    on_signal.abort();
    applied.map_err(|error| {
        let exit = if cancel.is_cancelled() { Exit::Interrupted } else { Exit::Failed };
        Stop::new(exit, format!("{error}\n  {}", error.sql))
    })
}

/// Tells how far it is.
#[derive(Clone, Copy)]
struct Teller {
    output: Output,
    text: bool,
}

impl Teller {
    /// Under JSON standard output holds nothing but the one document.
    fn say(self, line: &str) -> std::io::Result<()> {
        if self.text {
            return self.output.line(line);
        }
        self.output.note(line);
        Ok(())
    }

    fn tell(self, event: &ApplyEvent, planned: &Plan) {
        let total = planned.steps.len();
        let line = match event {
            ApplyEvent::Started(_) => return,
            ApplyEvent::Waiting { at, reason, left, pause } => {
                // A terminal sees the seconds pass; a file gets one line for each pause.
                let to_terminal = self.text && std::io::stdout().is_terminal();
                if !to_terminal && left < pause {
                    return;
                }
                format!("  … {}/{total} {reason}; trying again in {left} s", at + 1)
            }
            ApplyEvent::Skipped(at) => format!("  - {}/{total} {}: nothing to do", at + 1, planned.steps[*at].title),
            ApplyEvent::Done(at) => {
                let mark = self.output.paint(Paint::Good, "✔");
                format!("  {mark} {}/{total} {}", at + 1, planned.steps[*at].title)
            }
        };
        // A reader that has gone must not stop an application in the middle.
        let _ = self.say(&line);
    }
}

fn agreed(total: usize, admin: &Settings) -> Result<bool, Stop> {
    let mut err = std::io::stderr().lock();
    let statements = if total == 1 { "this statement".to_owned() } else { format!("these {total} statements") };
    write!(err, "\nRun {statements} as {admin}? [y/N] ")?;
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
