//! Draws the encryption screen: the modes, what the chosen one does, its files, and what was really negotiated.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::security::Panel;
use super::text::{paragraph, put, put_lines, wrap};
use super::theme::{Theme, Tone};
use super::{form, mode, tried};
use crate::connection::provider::root_certificate;
use crate::connection::{Settings, SslMode, printable};
use crate::tui::app::job::Job;
use crate::tui::app::state::App;

/// Lines from which on every mode has a line of its own.
const ROOM_FOR_ALL: u16 = 28;

/// Draws the screen. What is negotiated stands below and scrolls; on a low terminal the explanation is shorter while
/// the fields have the focus.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    let (step, source) = (&app.encryption, app.source());
    let roomy = inner.height >= ROOM_FOR_ALL;
    let mut lines = vec![Line::from(Span::styled("How the connection is encrypted", theme.style(Tone::Title)))];
    lines.extend(modes(app, theme, inner.width, roomy));
    if roomy {
        lines.push(Line::default());
    }
    for (label, text) in mode::explanation(step.mode) {
        if roomy || !step.in_fields || label == "Needs" {
            let text = wrap(text, inner.width.saturating_sub(form::LABEL));
            for (at, part) in text.into_iter().enumerate() {
                let label = if at == 0 { format!("  {label}") } else { String::new() };
                let line = format!("{label:<0$}{part}", usize::from(form::LABEL));
                lines.push(Line::from(Span::styled(line, theme.style(Tone::Dim))));
            }
        }
    }
    for (tone, text) in remarks(&source) {
        let text = format!("{} {text}", theme.mark(tone));
        lines.extend(paragraph(&text, inner.width, 0, theme.style(tone)));
    }
    if roomy {
        lines.push(Line::default());
    }
    put_lines(buf, inner, 0, &lines);
    let top = u16::try_from(lines.len()).unwrap_or(inner.height).min(inner.height);
    let place = Rect { y: inner.y + top, height: inner.height - top, ..inner };
    let fields: Vec<_> = step.form.shown().collect();
    let focus = step.in_fields.then(|| step.form.focus_among_shown());
    let used = form::draw(&fields, focus, theme, place, buf);
    let gap = used.saturating_add(1).min(place.height);
    let place = Rect { y: place.y + gap, height: place.height - gap, ..place };
    let lines = outcome(app, &source, theme, inner.width);
    let last = lines.len().saturating_sub(place.height.into());
    let scroll = step.scroll.min(last);
    put_lines(buf, place, scroll, &lines);
    if last > scroll && gap > 0 {
        let more = format!("{} lines more below: PgDn", last - scroll);
        put(buf, Rect { y: place.y - 1, height: 1, ..inner }, 0, 0, &more, theme.style(Tone::Dim));
    }
}

fn modes(app: &App, theme: Theme, width: u16, roomy: bool) -> Vec<Line<'static>> {
    let step = &app.encryption;
    let button = |mode: SslMode| {
        let chosen = mode == step.mode;
        let mark = if chosen { theme.glyph("◉ ", "(*) ") } else { theme.glyph("○ ", "( ) ") };
        let tone = match (chosen, step.in_fields) {
            (true, false) => Tone::Selected,
            (true, true) => Tone::Title,
            _ => Tone::Plain,
        };
        Span::styled(format!("{mark}{}", mode.name()), theme.style(tone))
    };
    let origin = match &step.origin {
        Some(origin) => Some(format!("from {}", printable(origin))),
        None if !step.chosen => Some("proposed for this host".to_owned()),
        None => None,
    };
    let origin = origin.map(|text| Span::styled(format!("  {text}"), theme.style(Tone::Dim)));
    if roomy {
        let line = |mode| {
            let mut spans = vec![button(mode)];
            spans.extend(origin.clone().filter(|_| mode == step.mode));
            Line::from(spans)
        };
        return SslMode::ALL.into_iter().map(line).collect();
    }
    // In one line where there is no room for six; ASCII marks are wider.
    let mut lines = vec![Line::default()];
    let mut used = 0;
    for mode in SslMode::ALL {
        let span = button(mode);
        let wide = span.width() + 2;
        if used + wide > usize::from(width) + 2 {
            lines.push(Line::default());
            used = 0;
        }
        used += wide;
        if let Some(line) = lines.last_mut() {
            line.spans.extend([span, Span::raw("  ")]);
        }
    }
    lines.extend(origin.map(Line::from));
    lines
}

/// What the mode risks at this host, and where the provider's root certificate comes from.
fn remarks(source: &Settings) -> Vec<(Tone, String)> {
    let mut remarks = Vec::new();
    if source.is_unix_socket() {
        remarks.push((Tone::Accent, "This is a Unix socket, where sslmode does not apply.".to_owned()));
    } else if let Some(risk) = tried::risk(source.ssl_mode).filter(|_| !source.is_local()) {
        remarks.push((Tone::Warn, risk.to_owned()));
    }
    if source.ssl_mode.verifies() {
        remarks.extend(root_certificate(&source.host).map(|hint| (Tone::Accent, hint.to_owned())));
    }
    remarks
}

fn outcome(app: &App, source: &Settings, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let panel = Panel { theme, width, now: app.now.wall, local: source.is_local() };
    let running = |job| tried::lines(app, theme, job, None, width);
    if app.jobs.runs(Job::TestAdmin) {
        return running(Job::TestAdmin);
    }
    if app.jobs.runs(Job::TestSource) || app.jobs.runs(Job::Secrets) {
        return running(Job::TestSource);
    }
    if let Some((_, tested)) = app.reader() {
        let mut lines = panel.full(&tested.security);
        if app.offers_upgrade() {
            lines.splice(0..0, tried::upgrade(theme, width));
        }
        return lines;
    }
    // Where an administrator stands in for the role, it is that login that has to work.
    match app.stand_in_outcome().or(app.connection.outcome_of(source)) {
        None => {
            let text = "Not tested with this mode yet: Enter tests, and goes on when it works.";
            paragraph(text, width, 0, theme.style(Tone::Dim))
        }
        outcome => {
            let mut lines = tried::lines(app, theme, Job::TestSource, outcome, width);
            if let Some(Err(failure)) = outcome {
                lines.extend(panel.failure(failure));
            }
            lines
        }
    }
}
