//! `walpilot checks` and `walpilot explain`: the catalogue, in words. `docs/checks.md` is what `walpilot checks
//! --format markdown` prints.

use clap::ValueEnum;
use serde_json::{Value, json};

use super::exit::{Exit, Stop};
use super::output::{Output, Paint};
use crate::connection::printable;
use crate::preflight::guide::{Guide, guide};
use crate::preflight::{CATALOGUE, Check, Family, Severity, check};
use crate::profile::Method;

/// List every check
#[derive(clap::Args, Clone, Debug)]
pub struct ChecksArgs {
    /// The format
    #[arg(long, value_enum, value_name = "text|json|markdown", default_value_t, hide_possible_values = true)]
    pub format: ListFormat,
}

/// The format of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub enum ListFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For the documentation.
    Markdown,
}

/// Explain one check: what it is for, its rule, its fixes
#[derive(clap::Args, Clone, Debug)]
pub struct ExplainArgs {
    /// The check, for example identity-usable (walpilot checks lists all)
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Runs `walpilot checks`.
///
/// # Errors
/// When standard output can't be written.
pub fn list(args: &ChecksArgs, output: Output) -> Result<Exit, Stop> {
    match args.format {
        ListFormat::Json => output.json(&CATALOGUE.iter().map(|check| as_json(check)).collect::<Vec<_>>())?,
        ListFormat::Markdown => output.line(markdown().trim_end())?,
        ListFormat::Text => {
            let width = CATALOGUE.iter().map(|check| check.id.len()).max().unwrap_or(0);
            for (number, (family, checks)) in families().into_iter().enumerate() {
                if number > 0 {
                    output.line("")?;
                }
                output.line(&output.paint(Paint::Bold, family.name()))?;
                for check in checks {
                    output.line(&format!("  {:<width$}  {:<7}  {}", check.id, word(check.severity), check.why))?;
                }
            }
        }
    }
    Ok(Exit::Fine)
}

/// Runs `walpilot explain`.
///
/// # Errors
/// When there is no such check.
pub fn explain(args: &ExplainArgs, output: Output) -> Result<Exit, Stop> {
    let Some(check) = check(&args.id) else {
        let wanted = printable(&args.id);
        let near: Vec<&str> = CATALOGUE.iter().map(|check| check.id).filter(|id| similar(id, &args.id)).collect();
        let hint = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(", ")) };
        return Err(Stop::new(
            Exit::Usage,
            format!("There is no check {wanted}; walpilot checks lists them all.{hint}"),
        ));
    };
    let Guide { rule, fix } = guide(check.id);
    let line = |name: &str, text: &str| format!("  {} {text}", output.paint(Paint::Dim, &format!("{name:<8}")));
    output.line(&output.paint(Paint::Bold, check.id))?;
    output.line(&line("About", check.family.name()))?;
    output.line(&line("Method", method(check)))?;
    output.line(&line("Weight", word(check.severity)))?;
    output.line(&line("Why", check.why))?;
    output.line(&line("Rule", rule))?;
    output.line(&line("Fix", fix))?;
    output.line(&line("Read", check.doc))?;
    Ok(Exit::Fine)
}

/// A part of three letters or more in common.
fn similar(id: &str, wanted: &str) -> bool {
    wanted.split('-').any(|part| part.len() > 2 && id.contains(part))
}

/// The families in the catalogue's order, each with its checks.
fn families() -> Vec<(Family, Vec<&'static Check>)> {
    let mut families: Vec<(Family, Vec<&'static Check>)> = Vec::new();
    for check in CATALOGUE {
        match families.iter_mut().find(|(family, _)| *family == check.family) {
            Some((_, checks)) => checks.push(check),
            None => families.push((check.family, vec![check])),
        }
    }
    families
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Blocker => "blocker",
    }
}

fn method(check: &Check) -> &'static str {
    check.method.map_or("cdc and xmin", Method::name)
}

fn as_json(check: &Check) -> Value {
    let Guide { rule, fix } = guide(check.id);
    json!({
        "id": check.id,
        "family": check.family.name(),
        "method": check.method.map(Method::name),
        "severity": check.severity,
        "why": check.why,
        "rule": rule,
        "fix": fix,
        "doc": check.doc,
    })
}

/// The documentation of all checks.
fn markdown() -> String {
    let mut text = format!(
        "# Checks\n\n<!-- Made by `walpilot checks --format markdown`; a test compares it. -->\n\n\
         `walpilot check` judges a source by these {} checks. A check passes, warns, fails, can't be seen (then it names the \
         grant that would open it) or is skipped, because another check owns the cause. The weight given here is the usual one; \
         it follows the case: a table without a replica identity is harmless while only inserts are published.\n",
        CATALOGUE.len()
    );
    for (family, checks) in families() {
        text.push_str(&format!("\n## {}\n", family.name()));
        for check in checks {
            let Guide { rule, fix } = guide(check.id);
            text.push_str(&format!(
                "\n### {}\n\n{} ({}; {}).\n\n- Rule: {rule}\n- Fix: {fix}\n- [PostgreSQL documentation]({})\n",
                check.id,
                check.why.trim_end_matches('.'),
                word(check.severity),
                method(check),
                check.doc
            ));
        }
    }
    text
}
