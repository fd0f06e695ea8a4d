//! A preflight's report for people: what did not pass by family, the worst first, then what passed.
//!
//! On a terminal words are broken at its width, statements never: what is copied has to run.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use super::output::{Output, Paint};
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Family, Finding, Fix, FixKind, Report, Verdict, check};
use crate::tui::view::text::wrap;

/// How many fixes of one finding are printed; JSON has them all.
const MAX_FIXES: usize = 5;
/// Mark and weight before the check's name.
const LABEL: usize = 13;
/// On a narrower terminal a finding's texts stand below its name, not beside it.
const WIDE: usize = 110;
/// Names of families in the list of what passed.
const FAMILY: usize = 25;

/// One line: the verdict and how many findings there are of each rank.
#[must_use]
pub(super) fn verdict_line(report: &Report, output: Output) -> String {
    let (paint, word) = match report.verdict {
        Verdict::Ready => (Paint::Good, "READY"),
        Verdict::Warnings => (Paint::Warn, "READY, WITH WARNINGS"),
        Verdict::Blocked => (Paint::Bad, "BLOCKED"),
    };
    format!("{}: {}", output.paint(paint, word), counted(report))
}

/// How many findings there are of each rank.
#[must_use]
pub(super) fn counted(report: &Report) -> String {
    let counts = report.counts();
    let of = |number: usize, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![of(counts.blockers, "blocker"), of(counts.warnings, "warning")];
    if counts.infos > 0 {
        parts.push(of(counts.infos, "note"));
    }
    if counts.skipped > 0 {
        parts.push(format!("{} not judged", counts.skipped));
    }
    parts.push(format!("{} passed", counts.passed));
    parts.join(", ")
}

/// The whole report.
#[must_use]
pub(super) fn text(report: &Report, output: Output) -> Vec<String> {
    let mut lines = vec![verdict_line(report, output)];
    let mut families: Vec<(Family, Vec<&Finding>)> = Vec::new();
    let mut passed: BTreeMap<Family, Vec<&'static str>> = BTreeMap::new();
    for finding in &report.findings {
        let family = check(finding.id).map_or(Family::Connection, |check| check.family);
        if rank(finding) == Rank::Passed {
            passed.entry(family).or_default().push(finding.id);
            continue;
        }
        // Findings come worst first, so families do as well.
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, findings)) => findings.push(finding),
            None => families.push((family, vec![finding])),
        }
    }
    let open = families.iter().flat_map(|(_, findings)| findings).filter(|one| rank(one) != Rank::Skipped);
    let page = Page { output, names: open.map(|finding| finding.id.len()).max().unwrap_or(0) };
    for (family, findings) in &families {
        lines.push(String::new());
        lines.push(output.paint(Paint::Bold, family.name()));
        for finding in findings.iter().filter(|finding| rank(finding) != Rank::Skipped) {
            lines.extend(page.finding(finding));
        }
        lines.extend(page.skipped(findings));
    }
    if !passed.is_empty() {
        lines.push(String::new());
        lines.push(output.paint(Paint::Bold, "Passed"));
    }
    for (family, ids) in passed {
        let words = page.broken(&ids.join(", "), FAMILY + 4).into_iter().enumerate().map(|(number, part)| {
            let part = output.paint(Paint::Dim, &part);
            if number > 0 {
                return format!("{}{part}", " ".repeat(FAMILY + 4));
            }
            format!("  {} {:<FAMILY$}{part}", output.paint(Paint::Good, "✔"), family.name())
        });
        lines.extend(words);
    }
    lines
}

/// How wide the page is, and its column of names.
struct Page {
    output: Output,
    names: usize,
}

impl Page {
    /// `text` in lines that fit behind `indent` columns.
    fn broken(&self, text: &str, indent: usize) -> Vec<String> {
        match self.output.width() {
            None => vec![text.to_owned()],
            Some(width) => {
                let room = usize::from(width).saturating_sub(indent).max(20);
                wrap(text, u16::try_from(room).unwrap_or(u16::MAX))
            }
        }
    }

    fn finding(&self, finding: &Finding) -> Vec<String> {
        let (paint, mark, word) = match rank(finding) {
            Rank::Blocker => (Paint::Bad, "✖", "blocker"),
            Rank::Warning => (Paint::Warn, "▲", "warning"),
            Rank::Info => (Paint::Dim, "•", "note"),
            Rank::Skipped => (Paint::Dim, "•", "skipped"),
            Rank::Passed => (Paint::Good, "✔", "passed"),
        };
        let label = self.output.paint(paint, &format!("{mark} {word:<7}"));
        let beside = self.output.width().is_none_or(|width| usize::from(width) >= WIDE);
        let indent = if beside { LABEL + self.names + 2 } else { LABEL };
        let blank = " ".repeat(indent);
        let mut summary = self.broken(&finding.summary, indent).into_iter();
        let mut lines = vec![format!("  {label}  {}", finding.id)];
        if beside {
            let first = summary.next().unwrap_or_default();
            lines[0] = format!("  {label}  {:<width$}  {first}", finding.id, width = self.names);
        }
        lines.extend(summary.map(|part| format!("{blank}{part}")));
        let why = self.broken(&finding.why, indent);
        lines.extend(why.iter().map(|part| format!("{blank}{}", self.output.paint(Paint::Dim, part))));
        lines.extend(finding.fixes.iter().take(MAX_FIXES).flat_map(|fix| self.fix(fix, indent)));
        if finding.fixes.len() > MAX_FIXES {
            lines.push(format!("{blank}→ and {} more; --format json prints all", finding.fixes.len() - MAX_FIXES));
        }
        lines
    }

    /// What one cause kept from being judged, in one piece.
    fn skipped(&self, findings: &[&Finding]) -> Vec<String> {
        let mut causes: Vec<(&str, Vec<&str>)> = Vec::new();
        for finding in findings.iter().filter(|finding| rank(finding) == Rank::Skipped) {
            match causes.iter_mut().find(|(cause, _)| *cause == finding.summary) {
                Some((_, ids)) => ids.push(finding.id),
                None => causes.push((&finding.summary, vec![finding.id])),
            }
        }
        let label = self.output.paint(Paint::Dim, "• skipped");
        let said = causes.into_iter().flat_map(|(cause, ids)| {
            let words = self.broken(&format!("{cause}: {}", ids.join(", ")), LABEL);
            words.into_iter().enumerate().map(|(number, part)| {
                let part = self.output.paint(Paint::Dim, &part);
                if number == 0 { format!("  {label}  {part}") } else { format!("{}{part}", " ".repeat(LABEL)) }
            })
        });
        said.collect()
    }

    fn fix(&self, fix: &Fix, indent: usize) -> Vec<String> {
        let blank = " ".repeat(indent);
        let mut who = fix.who.clone();
        if let Some(lock) = &fix.lock {
            who.push_str(&format!("; lock: {lock}"));
        }
        if fix.restart {
            who.push_str("; needs a restart");
        }
        let who = format!("({who})");
        let code = matches!(fix.kind, FixKind::Sql | FixKind::Setting);
        let mut text = if code { vec![fix.text.clone()] } else { self.broken(&fix.text, indent + 2) };
        let used = indent + 3 + text.last().map_or(0, |last| last.width()) + who.width();
        let fits = self.output.width().is_none_or(|width| used <= usize::from(width));
        let paint = |part: &str| if code { self.output.paint(Paint::Bold, part) } else { part.to_owned() };
        text = text.iter().map(|part| paint(part)).collect();
        if fits && let Some(last) = text.last_mut() {
            last.push(' ');
            last.push_str(&self.output.paint(Paint::Dim, &who));
        } else {
            text.extend(self.broken(&who, indent + 2).iter().map(|part| self.output.paint(Paint::Dim, part)));
        }
        let marked = text.into_iter().enumerate();
        marked.map(|(number, part)| format!("{blank}{} {part}", if number == 0 { "→" } else { " " })).collect()
    }
}
