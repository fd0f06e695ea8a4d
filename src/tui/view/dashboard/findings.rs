//! What is wrong: a line for each finding, and for the selected one its evidence and the way out.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put, section, spelled, wrap};
use crate::monitor::Moment;
use crate::monitor::diagnosis::{Finding, Handling, Severity};
use crate::monitor::units;
use crate::tui::app::dashboard::{Dashboard, Panel};
use crate::tui::view::theme::{Theme, Tone};

pub(super) fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Dim,
    }
}

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let watcher = &dashboard.picture().watcher;
    let findings = dashboard.findings();
    let focused = dashboard.panel() == Panel::Diagnosis;
    let seen = watcher.sample().is_some();
    let muted = watcher.diagnosis().muted().len();
    let name = if seen { format!("Diagnosis {}", findings.len()) } else { "Diagnosis".to_owned() };
    let right = if muted > 0 { format!("{muted} muted, u shows them") } else { String::new() };
    let body = section(&name, &right, focused, theme, area, buf);
    let Some(sample) = watcher.sample() else { return };
    if findings.is_empty() {
        put(
            &Line::styled(format!("{} Nothing is wrong.", theme.mark(Tone::Good)), theme.style(Tone::Good)),
            0,
            body,
            buf,
        );
        return;
    }
    let width = usize::from(body.width);
    let mut lines: Vec<Line<'_>> = Vec::new();
    // The line after the selected finding's last one.
    let mut end = 0;
    for (number, finding) in findings.iter().enumerate() {
        let chosen = number == dashboard.selected_finding();
        lines.push(title(finding, sample.at, focused && chosen, width, theme));
        if chosen {
            lines.extend(details(finding, width, theme));
            end = lines.len();
        }
    }
    let height = usize::from(body.height);
    // The selected finding is in view with as much of its details as there is room for.
    let start = title_line(findings, dashboard.selected_finding());
    let first = end.saturating_sub(height).min(start);
    for (row, line) in lines.iter().skip(first).take(height).enumerate() {
        put(line, u16::try_from(row).unwrap_or(u16::MAX), body, buf);
    }
}

fn title_line(findings: &[Finding], selected: usize) -> usize {
    selected.min(findings.len().saturating_sub(1))
}

fn title(finding: &Finding, now: Moment, chosen: bool, width: usize, theme: Theme) -> Line<'static> {
    let tone = tone(finding.severity);
    let since = finding.since.map(|since| std::time::Duration::from_secs(now.since(since).as_secs()));
    let since = since.map_or_else(String::new, units::span);
    let since = match (&finding.handling, finding.clearing) {
        (Handling::Acknowledged { .. }, _) => format!("ack {since}"),
        (_, true) => format!("clearing {since}"),
        _ => since,
    };
    let head = format!(
        "{}{} {} {} ",
        if chosen { theme.glyph("▶", ">") } else { " " },
        theme.mark(tone),
        finding.severity.name(),
        finding.rule
    );
    let room = width.saturating_sub(head.chars().count() + since.len() + 1);
    Line::from(vec![
        Span::styled(head, theme.style(tone)),
        Span::raw(fit(&format!("{}: {}", finding.object, finding.title), room, theme)),
        Span::styled(format!(" {since}"), theme.style(Tone::Dim)),
    ])
}

pub(super) fn details(finding: &Finding, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let room = width.saturating_sub(5);
    let mut lines = Vec::new();
    for text in wrap(&spelled(&finding.evidence, theme), room) {
        lines.push(Line::raw(format!("    {text}")));
    }
    if let Handling::Acknowledged { note, at } = &finding.handling {
        let text = format!("acknowledged at {}Z {note}", at.clock());
        lines.push(Line::styled(format!("    {}", fit(&text, room, theme).trim_end()), theme.style(Tone::Good)));
    }
    for action in &finding.actions {
        let notes: Vec<String> = action
            .who
            .map(|who| format!("run by {who}"))
            .into_iter()
            .chain(action.risk.map(|risk| format!("risk: {risk}")))
            .collect();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        for (number, text) in wrap(&format!("{}{notes}", action.label), room.saturating_sub(2)).into_iter().enumerate()
        {
            let lead = if number == 0 { theme.glyph("→", "*") } else { " " };
            lines.push(Line::styled(format!("    {lead} {text}"), theme.style(Tone::Dim)));
        }
        if let Some(sql) = &action.sql {
            for text in sql.lines().flat_map(|statement| wrap(statement, room.saturating_sub(2))) {
                lines.push(Line::styled(format!("      {text}"), theme.style(Tone::Accent)));
            }
        }
    }
    lines
}
