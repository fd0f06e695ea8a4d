//! Draws the preflight: findings, worst first, and the details of the selected one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::chrome::working;
use super::text::{cut, paragraph, put, put_line, put_lines, window};
use super::theme::{Theme, Tone};
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Finding, FixKind, Report, Status};
use crate::tui::app::job::Job;
use crate::tui::app::state::App;

/// The word and the tone of a finding.
#[must_use]
pub fn verdict(finding: &Finding) -> (&'static str, Tone) {
    let tone = match rank(finding) {
        Rank::Blocker => Tone::Bad,
        Rank::Warning => Tone::Warn,
        Rank::Info => Tone::Accent,
        Rank::Skipped => Tone::Dim,
        Rank::Passed => Tone::Good,
    };
    let word = match (finding.status, rank(finding)) {
        (Status::Unseen, _) => "UNSEEN",
        (_, Rank::Blocker) => "FAIL",
        (_, Rank::Warning) => "WARN",
        (_, Rank::Info) => "INFO",
        (_, Rank::Skipped) => "SKIP",
        (_, Rank::Passed) => "PASS",
    };
    (word, tone)
}

/// The counts of a report as a line.
#[must_use]
pub fn counts(report: &Report, theme: Theme) -> Line<'static> {
    let counts = report.counts();
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let mut spans = Vec::new();
    let parts = [
        (counts.blockers, plural(counts.blockers, "blocker"), Tone::Bad),
        (counts.warnings, plural(counts.warnings, "warning"), Tone::Warn),
        (counts.infos, plural(counts.infos, "note"), Tone::Accent),
        (counts.skipped, format!("{} not judged", counts.skipped), Tone::Dim),
        (counts.passed, format!("{} passed", counts.passed), Tone::Good),
    ];
    for (count, text, tone) in parts {
        if count > 0 || tone == Tone::Bad {
            let tone = if count == 0 { Tone::Good } else { tone };
            let mark = if count == 0 { theme.mark(Tone::Good) } else { theme.mark(tone) };
            spans.push(Span::styled(format!("{mark} {text}   "), theme.style(tone)));
        }
    }
    Line::from(spans)
}

/// Draws the list above (or beside, where there is room) the details.
pub fn draw(app: &App, theme: Theme, area: Rect, buf: &mut Buffer) {
    let inner = super::chrome::inset(area);
    let step = &app.preflight;
    let doing = if step.deep { "Trying what replication will do (about 10 s)" } else { "Looking at the source" };
    if let Some(text) = working(app, theme, Job::Preflight, doing) {
        put(buf, inner, 0, 0, &text, theme.style(Tone::Accent));
    } else if let Some(error) = &step.error {
        let lines = paragraph(&format!("{} {error}", theme.mark(Tone::Bad)), inner.width, 0, theme.style(Tone::Bad));
        put_lines(buf, Rect { height: inner.height.min(6), ..inner }, 0, &lines);
        return;
    } else if let Some(report) = &step.report {
        let mut line = counts(report, theme);
        if step.deep_report {
            line.spans.push(Span::styled("deep probes", theme.style(Tone::Dim)));
        }
        put_line(buf, inner, 0, &line);
    }
    let Some(report) = &step.report else { return };
    let below = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    let (list_area, details) = if inner.width >= 110 {
        let left = inner.width * 2 / 5;
        let right = Rect { x: inner.x + left + 2, width: inner.width - left - 2, y: below.y + 1, ..below };
        (Rect { width: left, ..below }, Rect { height: below.height.saturating_sub(1), ..right })
    } else {
        let rows = u16::try_from(report.findings.len()).unwrap_or(u16::MAX).min(below.height * 2 / 5);
        super::chrome::rule(theme, below, rows, buf);
        let top = rows + 1;
        (Rect { height: rows, ..below }, Rect { y: below.y + top, height: below.height.saturating_sub(top), ..below })
    };
    let height = usize::from(list_area.height);
    let first = window(step.cursor, report.findings.len(), height);
    for (row, (at, finding)) in (0..).zip(report.findings.iter().enumerate().skip(first).take(height)) {
        let (word, tone) = verdict(finding);
        let used = put(buf, list_area, row, 0, &format!("{} {word:<6} ", theme.mark(tone)), theme.style(tone));
        let text = cut(&finding.summary, usize::from(list_area.width.saturating_sub(used)), theme.ascii);
        let tone = if at == step.cursor { Tone::Selected } else { Tone::Plain };
        put(buf, list_area, row, used, &text, theme.style(tone));
    }
    if let Some(finding) = step.selected() {
        let lines = detail(finding, theme, details.width);
        let scroll = step.scroll.min(lines.len().saturating_sub(usize::from(details.height)));
        put_lines(buf, details, scroll, &lines);
    }
}

fn detail(finding: &Finding, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let dim = theme.style(Tone::Dim);
    let title = theme.style(Tone::Title);
    let (word, tone) = verdict(finding);
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{} {word} ", theme.mark(tone)), theme.style(tone)),
        Span::styled(finding.id.to_owned(), title),
    ])];
    lines.extend(paragraph(&finding.summary, width, 0, theme.style(Tone::Plain)));
    lines.extend(paragraph(&format!("Why: {}", finding.why), width, 0, dim));
    for fix in &finding.fixes {
        let restart = if fix.restart { "; needs a restart" } else { "" };
        let lock = fix.lock.as_ref().map(|lock| format!("; lock: {lock}")).unwrap_or_default();
        lines.extend(paragraph(&format!("Fix ({}{restart}{lock}):", fix.who), width, 0, title));
        for line in fix.text.lines() {
            if fix.kind == FixKind::Sql {
                lines.extend(super::sql::wrapped(line, theme, width, 2));
            } else {
                lines.extend(paragraph(line, width, 2, theme.style(Tone::Accent)));
            }
        }
    }
    let more = finding.object_count.saturating_sub(finding.objects.len());
    if !finding.objects.is_empty() {
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        lines.extend(paragraph(&format!("Objects: {}{more}", finding.objects.join(", ")), width, 0, dim));
    }
    if !finding.evidence.is_empty() {
        let seen: Vec<String> = finding.evidence.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        lines.extend(paragraph(&format!("Seen: {}", seen.join(", ")), width, 0, dim));
    }
    if !finding.doc.is_empty() {
        lines.extend(paragraph(&format!("Read: {}", finding.doc), width, 0, dim));
    }
    lines
}
