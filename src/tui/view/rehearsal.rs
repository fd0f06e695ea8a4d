//! Draws what a rehearsal showed, in place of the script.

use ratatui::text::Line;

use super::sql;
use super::text::paragraph;
use super::theme::{Theme, Tone};
use crate::setup::rehearse::Rehearsal;
use crate::tui::app::message::Planned;

/// The lines, for a body that is `width` columns wide.
pub(super) fn lines(
    shown: &Result<Box<Rehearsal>, String>,
    planned: Option<&Planned>,
    theme: Theme,
    width: u16,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut say = |tone: Tone, mark: bool, text: &str| {
        let text = if mark { format!("{} {text}", theme.mark(tone)) } else { text.to_owned() };
        lines.extend(paragraph(&text, width, 0, theme.style(tone)));
    };
    let shown = match shown {
        Ok(shown) => shown,
        Err(reason) => {
            say(Tone::Bad, true, &format!("The rehearsal broke off, and nothing was changed: {reason}"));
            say(Tone::Dim, false, "Esc shows the script again.");
            return lines;
        }
    };
    match &shown.failed {
        Some((at, reason)) => {
            say(Tone::Bad, true, &format!("Step {} would fail: {reason}. Nothing was changed.", at + 1));
        }
        None => {
            let many = if shown.rehearsed == 1 { "" } else { "s" };
            let text = format!("{} statement{many} ran in one transaction and were rolled back.", shown.rehearsed);
            say(Tone::Good, true, &text);
        }
    }
    for (id, summary) in &shown.blocked {
        say(Tone::Bad, true, &format!("stays: {id} ({summary})"));
    }
    for id in &shown.cleared {
        say(Tone::Good, true, &format!("clears {id}"));
    }
    for (title, why) in &shown.left_out {
        say(Tone::Warn, true, &format!("not rehearsed ({why}): {title}"));
    }
    let further = if shown.failed.is_none() { "; Enter applies it" } else { "" };
    say(Tone::Dim, false, &format!("Esc shows the script again{further}."));
    let failed = shown.failed.as_ref().and_then(|(at, _)| planned?.plan.steps.get(*at));
    if let Some(step) = failed {
        lines.push(Line::default());
        lines.extend(paragraph(&format!("{}; it takes: {}", step.title, step.who), width, 0, theme.style(Tone::Plain)));
        lines.extend(sql::wrapped(&step.shown(), theme, width, 2));
    }
    lines
}
