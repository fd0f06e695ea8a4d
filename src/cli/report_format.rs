//! A report for other programs than people's eyes: JUnit XML for continuous integration, Markdown for a ticket.

use super::report_text::counted;
use crate::preflight::report::{Rank, rank};
use crate::preflight::{Finding, FixKind, Report, Severity, Status, Verdict, check};

/// JUnit XML: one test suite, one case for each check; blockers (and with `strict` warnings) are failures.
#[must_use]
pub(super) fn junit(report: &Report, strict: bool) -> String {
    let failing = |finding: &Finding| match rank(finding) {
        Rank::Blocker => true,
        Rank::Warning => strict,
        _ => false,
    };
    let number = |wanted: &dyn Fn(&Finding) -> bool| report.findings.iter().filter(|finding| wanted(finding)).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&format!(
        "<testsuites>\n  <testsuite name=\"walpilot check\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
        report.findings.len(),
        number(&failing),
        number(&|finding| finding.status == Status::Skipped)
    ));
    for finding in &report.findings {
        let family = check(finding.id).map_or("", |check| check.family.name());
        xml.push_str(&format!("    <testcase classname=\"{}\" name=\"{}\"", escaped(family), finding.id));
        let detail = detail(finding);
        let summary = escaped(&finding.summary);
        match finding.status {
            Status::Pass => xml.push_str("/>\n"),
            Status::Skipped => xml.push_str(&format!(">\n      <skipped message=\"{summary}\"/>\n    </testcase>\n")),
            _ if failing(finding) => xml.push_str(&format!(
                ">\n      <failure type=\"{}\" message=\"{summary}\">{}</failure>\n    </testcase>\n",
                severity(finding.severity),
                escaped(&detail)
            )),
            _ => xml.push_str(&format!(
                ">\n      <system-out>{}: {summary}\n{}</system-out>\n    </testcase>\n",
                severity(finding.severity),
                escaped(&detail)
            )),
        }
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn detail(finding: &Finding) -> String {
    let mut lines = vec![finding.why.clone()];
    lines.extend(finding.fixes.iter().map(|fix| format!("{} ({})", fix.text, fix.who)));
    lines.join("\n")
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Blocker => "blocker",
    }
}

/// Texts of a report hold no control characters, so only XML's own marks have to be written otherwise.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Markdown: the verdict, a table of what did not pass, and the fixes.
#[must_use]
pub(super) fn markdown(report: &Report) -> String {
    let verdict = match report.verdict {
        Verdict::Ready => "ready",
        Verdict::Warnings => "ready, with warnings",
        Verdict::Blocked => "blocked",
    };
    let source = &report.source;
    let text = |name: &str| source[name].as_str().unwrap_or("").to_owned();
    let mut out = format!(
        "# Preflight: {verdict}\n\n{}@{}/{}, PostgreSQL {}: {}.\n",
        cell(&text("user")),
        cell(&text("host")),
        cell(&text("database")),
        cell(&text("server_version")),
        counted(report)
    );
    let open: Vec<&Finding> =
        report.findings.iter().filter(|finding| !matches!(rank(finding), Rank::Passed | Rank::Skipped)).collect();
    if open.is_empty() {
        return out;
    }
    out.push_str("\n| Weight | Check | What |\n|---|---|---|\n");
    for finding in &open {
        let weight = match rank(finding) {
            Rank::Blocker => "blocker",
            Rank::Warning => "warning",
            _ => "note",
        };
        out.push_str(&format!("| {weight} | `{}` | {} |\n", finding.id, cell(&finding.summary)));
    }
    for finding in open.iter().filter(|finding| !finding.fixes.is_empty()) {
        out.push_str(&format!("\n## {}\n\n{} [Documentation]({})\n\n", finding.id, cell(&finding.why), finding.doc));
        for fix in &finding.fixes {
            let lock = fix.lock.as_ref().map_or_else(String::new, |lock| format!("; lock: {lock}"));
            let restart = if fix.restart { "; needs a restart" } else { "" };
            let text = if fix.kind == FixKind::Text { cell(&fix.text) } else { code(&fix.text) };
            out.push_str(&format!("- {text} ({}{}{restart})\n", cell(&fix.who), cell(&lock)));
        }
    }
    out
}

/// Text in a table or a list: marks of Markdown and HTML stay letters.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}

/// Text as code, between more backquotes than it holds in a row.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::{cell, code, escaped};

    #[test]
    fn marks_of_the_format_stay_letters() {
        assert_eq!(escaped("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
        assert_eq!(cell("a|b <i> `c`"), "a\\|b &lt;i> \\`c\\`");
        assert_eq!(code("a``b"), "``` a``b ```");
        assert_eq!(code("DROP"), "`DROP`");
    }
}
