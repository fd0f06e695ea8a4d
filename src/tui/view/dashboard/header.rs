//! The top: which server, how old the data is, how bad it is, and the worst finding in one sentence. And the bottom:
//! the run.

use std::time::{Duration, SystemTime};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::paint::{fit, put, spelled};
use crate::connection::printable;
use crate::monitor::diagnosis::Severity;
use crate::monitor::report::known_run;
use crate::monitor::{Moment, units};
use crate::tui::app::dashboard::{Dashboard, Picture};
use crate::tui::view::theme::{Theme, Tone};

/// Data older than this is marked, and older than the second no more trusted.
const STALE: Duration = Duration::from_secs(6);
const OLD: Duration = Duration::from_secs(20);

/// The line with the server.
pub(super) fn server_line(dashboard: &Dashboard, theme: Theme, now: SystemTime, area: Rect, buf: &mut Buffer) {
    let picture = dashboard.picture();
    let (word, tone) = health(picture);
    let (age, age_tone) = data_age(dashboard, now);
    let right = format!("{} {word}", theme.mark(tone));
    let width = usize::from(area.width);
    let room = width.saturating_sub(right.width() + age.width() + 4);
    let left = server(dashboard, room);
    let line = Line::from(vec![
        Span::styled(fit(&left, room, theme), theme.style(Tone::Title)),
        Span::raw("  "),
        Span::styled(age, theme.style(age_tone)),
        Span::raw("  "),
        Span::styled(right, theme.style(tone)),
    ]);
    put(&line, 0, area, buf);
}

/// The server in as many words as fit into `room` columns.
fn server(dashboard: &Dashboard, room: usize) -> String {
    let source = dashboard.source();
    let Some(sample) = dashboard.picture().watcher.sample() else { return source.to_owned() };
    let (version, role) = (sample.server.version_text(), sample.server.recovery_role());
    let short = format!("{source}  PG {version} {role}");
    let middle = format!("{short} TL{}", sample.server.timeline);
    let long = format!("{middle}  {}", dashboard.display().times.clock(time(sample.at)));
    let up = Duration::from_secs(sample.at.since(sample.server.started).as_secs());
    let longer = format!("{middle} up {}  {}", units::span(up), dashboard.display().times.clock(time(sample.at)));
    let role = printable(&sample.server.role);
    let longest = format!("{longer}  as {role}, sysid {}", printable(&sample.server.system_identifier));
    [longest, longer, long, middle, short]
        .into_iter()
        .find(|text| text.width() <= room)
        .unwrap_or_else(|| source.to_owned())
}

fn time(at: Moment) -> SystemTime {
    SystemTime::UNIX_EPOCH + at.since(Moment(0))
}

fn health(picture: &Picture) -> (String, Tone) {
    if picture.watcher.sample().is_none() {
        return if picture.failure.is_some() {
            ("NO DATA".to_owned(), Tone::Bad)
        } else {
            ("CONNECTING".to_owned(), Tone::Accent)
        };
    }
    let diagnosis = picture.watcher.diagnosis();
    let (critical, warning) = (diagnosis.count(Severity::Critical), diagnosis.count(Severity::Warning));
    // What was well when it was last seen may not be well now.
    if picture.failure.is_some() {
        return ("LOST".to_owned(), Tone::Bad);
    }
    match (critical, warning) {
        (0, 0) => ("OK".to_owned(), Tone::Good),
        (0, _) => (format!("WARN {warning}"), Tone::Warn),
        (_, 0) => (format!("CRIT {critical}"), Tone::Bad),
        (_, _) => (format!("CRIT {critical} WARN {warning}"), Tone::Bad),
    }
}

fn data_age(dashboard: &Dashboard, now: SystemTime) -> (String, Tone) {
    let since = |then: SystemTime| now.duration_since(then).unwrap_or_default();
    if let Some((at, count, speed)) = dashboard.replay() {
        let how = speed.map_or_else(|| "stands".to_owned(), |speed| format!("plays {speed}x"));
        return (format!("REPLAY {at} of {count}, {how}"), Tone::Accent);
    }
    if let Some(then) = dashboard.frozen_since() {
        let back = dashboard.steps_back();
        let steps = if back > 0 { format!(", {} back", units::counted(back as u64, "sample")) } else { String::new() };
        let data = dashboard.picture().sampled_at.unwrap_or(then);
        let at = dashboard.display().times.clock(data);
        return (format!("FROZEN {at}, {} ago{steps}", units::span(seconds(since(data)))), Tone::Accent);
    }
    match dashboard.picture().sampled_at {
        None => ("no data yet".to_owned(), Tone::Dim),
        Some(then) => {
            let age = since(then);
            let tone = if age > OLD {
                Tone::Bad
            } else if age > STALE {
                Tone::Warn
            } else {
                Tone::Dim
            };
            (format!("data {} old", units::span(seconds(age))), tone)
        }
    }
}

fn seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// The worst thing in one sentence.
pub(super) fn banner(dashboard: &Dashboard, theme: Theme, now: SystemTime, area: Rect, buf: &mut Buffer) {
    let picture = dashboard.picture();
    let (text, tone) = if let Some((reason, since)) = &picture.failure {
        let ago = units::span(seconds(now.duration_since(*since).unwrap_or_default()));
        let shown = if picture.watcher.sample().is_some() { " Below is the last that was seen." } else { "" };
        (format!("No answer for {ago}{}: {reason}{shown}", next_try(picture, now)), Tone::Bad)
    } else if let Some(worst) = picture.watcher.diagnosis().worst() {
        let tone = if worst.severity == Severity::Critical { Tone::Bad } else { Tone::Warn };
        (spelled(&format!("{}: {}. {}", worst.object, worst.title, worst.evidence), theme), tone)
    } else if picture.watcher.sample().is_some() {
        ("Nothing is wrong.".to_owned(), Tone::Good)
    } else {
        ("Waiting for the first sample.".to_owned(), Tone::Dim)
    };
    let text = format!("{} {text}", theme.mark(tone));
    let line = Line::styled(fit(&text, usize::from(area.width), theme), theme.style(tone));
    put(&line, 0, area, buf);
}

/// When the source is tried again: before the reason, which may be long.
fn next_try(picture: &Picture, now: SystemTime) -> String {
    match picture.next_try.map(|then| then.duration_since(now).unwrap_or_default().as_secs_f32().ceil()) {
        Some(left) if left > 0.0 => format!(", next try in {left:.0} s"),
        Some(_) => ", trying now".to_owned(),
        None => String::new(),
    }
}

/// The line of the run: this process's own, or what another one has written down at the destination.
pub(super) fn run_line(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let Some((text, tone)) = run_text(dashboard) else { return };
    let text = format!("{} {text}", theme.mark(tone));
    put(&Line::styled(fit(&text, usize::from(area.width), theme), theme.style(tone)), 0, area, buf);
}

/// Whether there is a run to tell of.
pub(super) fn has_run(dashboard: &Dashboard) -> bool {
    run_text(dashboard).is_some()
}

fn run_text(dashboard: &Dashboard) -> Option<(String, Tone)> {
    let picture = dashboard.picture();
    let to = dashboard.destination().map_or_else(String::new, |name| format!(", to {name}"));
    if let Some(Err(reason)) = &picture.ended {
        return Some((format!("run ended: {}", printable(reason)), Tone::Bad));
    }
    if let Some(progress) = &picture.progress {
        let phase = if picture.ended.is_some() { "ended" } else { progress.phase.name() };
        let text = format!(
            "run {phase}: {} in {}, checkpoint {}, lag {}{to}",
            units::counted(progress.changes, "change"),
            units::counted(progress.transactions, "transaction"),
            progress.checkpoint,
            dashboard.display().bytes(progress.lag_bytes),
        );
        let tone = if phase == "reconnecting" { Tone::Warn } else { Tone::Accent };
        return Some((text, tone));
    }
    let run = known_run(&picture.watcher)?;
    let account = run.account.as_ref()?;
    let silent = run.silent_for().map_or_else(String::new, |time| format!(", silent for {}", units::span(time)));
    let text = format!(
        "run {}: {} in {}, checkpoint {}, lag {} {}{silent}{to}",
        printable(&account.phase),
        units::counted(account.changes, "change"),
        units::counted(account.transactions, "transaction"),
        run.checkpoint.map_or_else(|| "?".to_owned(), |lsn| lsn.to_string()),
        dashboard.display().bytes(account.lag_bytes),
        units::span(Duration::from_millis(account.lag_millis)),
    );
    Some((text, if silent.is_empty() { Tone::Accent } else { Tone::Bad }))
}
