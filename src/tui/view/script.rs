//! Draws the setup script's screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::chrome::{rule, working};
use super::text::{cut, paragraph, put, put_lines};
use super::theme::{Theme, Tone};
use super::{form, rehearsal, sql};
use crate::connection::printable;
use crate::tui::app::choices;
use crate::tui::app::job::Job;
use crate::tui::app::script::{ScriptFocus, ScriptStep, StepState};
use crate::tui::app::state::App;

/// Draws the administrator's fields, the state, and the script or its application.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    let script = &app.script;
    let top = fields(script, theme, inner, buf);
    let mut state = state_lines(app, theme, inner.width);
    state.truncate(usize::from(inner.height / 2));
    let rows = u16::try_from(state.len()).unwrap_or(0);
    put_lines(buf, Rect { y: inner.y + top, height: rows, ..inner }, 0, &state);
    let head = top + rows;
    rule(theme, inner, head, buf);
    let body = Rect { y: inner.y + head + 1, height: inner.height.saturating_sub(head + 1), ..inner };
    let applying = app.jobs.runs(Job::Apply) || matches!(script.applied, Some(Err(_)));
    if applying && !script.states.is_empty() {
        progress(app, theme, body, buf);
    } else if let Some(shown) = &script.rehearsal {
        let lines = rehearsal::lines(shown, script.planned.as_ref(), theme, body.width);
        let scroll = script.scroll.min(lines.len().saturating_sub(usize::from(body.height)));
        put_lines(buf, body, scroll, &lines);
    } else if let Some(planned) = &script.planned {
        let lines = sql::highlight(&planned.script, theme);
        let scroll = script.scroll.min(lines.len().saturating_sub(usize::from(body.height)));
        let shifted: Vec<Line<'static>> =
            lines.iter().skip(scroll).take(body.height.into()).map(|line| shift(line, script.shift)).collect();
        put_lines(buf, body, 0, &shifted);
        let last = (scroll + usize::from(body.height)).min(lines.len());
        let place = format!(" lines {}-{last} of {} ", scroll + 1, lines.len());
        let column = inner.width.saturating_sub(u16::try_from(place.width()).unwrap_or(0) + 1);
        put(buf, inner, head, column, &place, theme.style(Tone::Dim));
    }
}

/// The administrator's fields, and the options: in one line while the focus is elsewhere. Returns the rows used.
fn fields(script: &ScriptStep, theme: Theme, area: Rect, buf: &mut Buffer) -> u16 {
    let mut fields: Vec<_> = script.form.fields.iter().collect();
    let own = fields.len();
    if script.focus == ScriptFocus::Options {
        fields.extend(script.options.shown());
        let focus = Some(own + script.options.focus_among_shown());
        return form::draw(&fields, focus, theme, Rect { height: (area.height / 2).max(3), ..area }, buf);
    }
    let focus = (script.focus == ScriptFocus::Administrator).then(|| script.form.focus());
    let top = form::draw(&fields, focus, theme, Rect { height: area.height.min(4), ..area }, buf);
    let chosen = choices::in_words(&script.options);
    let chosen = if chosen.is_empty() { "nothing beyond what is missing" } else { &chosen };
    let style = theme.style(Tone::Dim);
    let text =
        cut(&format!("  {:<1$}{chosen}", "Options", usize::from(form::LABEL) - 2), area.width.into(), theme.ascii);
    put(buf, area, top, 0, &text, style);
    top + 1
}

/// What is going on, in at most a few lines.
fn state_lines(app: &App, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let script = &app.script;
    let say = |tone, text: String| paragraph(&text, width, 0, theme.style(tone));
    for (job, doing) in [(Job::Apply, "Applying"), (Job::Rehearse, "Rehearsing; everything is rolled back")] {
        if let Some(text) = working(app, theme, job, doing) {
            return say(Tone::Accent, text);
        }
    }
    let mut lines = Vec::new();
    match &script.applied {
        Some(Ok(())) => lines.extend(say(Tone::Good, format!("{} The script was applied.", theme.mark(Tone::Good)))),
        Some(Err(error)) => lines.extend(say(Tone::Bad, format!("{} {error}", theme.mark(Tone::Bad)))),
        None => {}
    }
    if script.applied.is_some() {
        if let Some(text) = working(app, theme, Job::Preflight, "Checking again") {
            lines.extend(say(Tone::Accent, text));
        } else if let Some(error) = &app.preflight.error {
            lines.extend(say(Tone::Bad, format!("{} Checking again: {error}", theme.mark(Tone::Bad))));
        } else if let Some(report) = &app.preflight.report {
            let mut line = super::preflight::counts(report, theme);
            line.spans.insert(0, Span::raw("Preflight now: "));
            lines.push(line);
        }
    }
    if app.connection.stand_in.asked && script.applied.is_some() {
        if let Some(text) = working(app, theme, Job::TestSource, "Trying the role's own login") {
            lines.extend(say(Tone::Accent, text));
        } else if let Some(failure) = app.connection.mendable(&app.source()) {
            let text = "Mend that, or go back (Ctrl-PgUp) and correct the password; Enter tries again.";
            lines.extend(say(Tone::Bad, format!("{} {} {text}", theme.mark(Tone::Bad), failure.message)));
        }
    }
    if let Some(text) = working(app, theme, Job::Plan, "Planning") {
        lines.extend(say(Tone::Accent, text));
    } else if let Some(error) = &script.error {
        lines.extend(say(Tone::Bad, format!("{} {error}", theme.mark(Tone::Bad))));
    } else if let Some(planned) = &script.planned {
        let steps = planned.plan.steps.len();
        let by_hand = planned.plan.by_hand.len();
        lines.extend(match steps {
            0 if app.connection.stand_in.asked => {
                say(Tone::Good, format!("{} Nothing is left that SQL could do.", theme.mark(Tone::Good)))
            }
            0 => {
                say(Tone::Good, format!("{} Nothing is left that SQL could do; Enter goes on.", theme.mark(Tone::Good)))
            }
            1 => say(Tone::Plain, "1 statement is missing; Enter asks before it runs.".to_owned()),
            _ => say(Tone::Plain, format!("{steps} statements are missing; Enter asks before they run.")),
        });
        if by_hand > 0 {
            let first = planned.plan.by_hand[0].lines().next().unwrap_or_default();
            lines.extend(say(Tone::Warn, format!("{} By hand ({by_hand}): {first}", theme.mark(Tone::Warn))));
        }
    }
    lines
}

/// The steps with what became of each.
fn progress(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let titles = &app.script.titles;
    let states = &app.script.states;
    let over = |state: &StepState| matches!(state, StepState::Done | StepState::Skipped);
    let current = states.iter().position(|state| !over(state)).unwrap_or(states.len());
    let first = super::text::window(current, states.len(), usize::from(area.height));
    for (row, (at, state)) in (0..area.height).zip(states.iter().enumerate().skip(first)) {
        let (mark, word, tone) = match state {
            StepState::Waiting => (" ", "waiting", Tone::Dim),
            StepState::Running(None) => (theme.glyph("▸", ">"), "running", Tone::Accent),
            StepState::Running(Some(_)) => (theme.glyph("▸", ">"), "lock", Tone::Warn),
            StepState::Done => (theme.mark(Tone::Good), "done", Tone::Good),
            StepState::Skipped => (theme.mark(Tone::Good), "skipped", Tone::Dim),
            StepState::Failed => (theme.mark(Tone::Bad), "failed", Tone::Bad),
        };
        let title = titles.get(at).map_or("", String::as_str);
        // Before the title: a long name must not push the countdown off the screen.
        let reason = if let StepState::Running(Some(reason)) = state { format!("{reason}: ") } else { String::new() };
        let used = put(buf, area, row, 0, &format!("{mark} {word:<8} "), theme.style(tone));
        let text = format!("{}. {}{}", at + 1, printable(&reason), printable(title));
        let text = cut(&text, usize::from(area.width.saturating_sub(used)), theme.ascii);
        put(buf, area, row, used, &text, theme.style(Tone::Plain));
    }
}

/// A line without its first `columns` columns.
fn shift(line: &Line<'static>, columns: usize) -> Line<'static> {
    let mut skip = columns;
    let mut spans = Vec::new();
    for span in &line.spans {
        let mut text = String::new();
        for grapheme in span.content.graphemes(true) {
            if skip > 0 {
                skip = skip.saturating_sub(grapheme.width().max(1));
            } else {
                text.push_str(grapheme);
            }
        }
        spans.push(Span::styled(text, span.style));
    }
    Line::from(spans)
}
