//! Draws a question on top of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Widget};

use super::form;
use super::text::{cut, paragraph, put, put_line};
use super::theme::{Theme, Tone};
use crate::connection::inputs::{Origin, Resolved};
use crate::connection::provider::proposal;
use crate::connection::{askpass, parameters, printable};
use crate::monitor::units;
use crate::profile::saved::PasswordSource;
use crate::tui::app::dialog::{Dialog, Proposal, Question};
use crate::tui::app::field::Field;
use crate::tui::app::menu::{Choice, Menu};
use crate::tui::app::palette;
use crate::tui::app::run::RunState;
use crate::tui::app::state::App;

/// How many commands are proposed.
const PROPOSALS: usize = 8;

/// Draws the question with its buttons in the middle of `area`.
pub fn draw(app: &App, dialog: &Dialog, theme: Theme, area: Rect, buf: &mut Buffer) {
    let width = area.width.saturating_sub(4).min(70);
    let inner_width = width.saturating_sub(4);
    let (title, text) = text(app, dialog, usize::from(inner_width), theme);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for part in text {
        lines.extend(paragraph(&part, inner_width, 0, theme.style(Tone::Plain)));
    }
    if let Some(field) = &dialog.field {
        lines.push(Line::default());
        lines.extend(form::lines(&[field], Some(0), theme, inner_width).0);
    }
    let height = u16::try_from(lines.len()).unwrap_or(area.height).saturating_add(4).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let outer = Rect { x, y: area.y + (area.height - height) / 2, width, height };
    Clear.render(outer, buf);
    framed(title, theme, outer, buf);
    let inner = Rect { x: outer.x + 2, y: outer.y + 1, width: inner_width, height: height.saturating_sub(2) };
    let room = inner.height.saturating_sub(2);
    // On a low terminal the line to type in matters more than how the question begins.
    let hidden = if dialog.field.is_some() { lines.len().saturating_sub(room.into()) } else { 0 };
    for (row, line) in (0..room).zip(lines.iter().skip(hidden)) {
        put_line(buf, inner, row, line);
    }
    let mut column = 0;
    for (at, button) in dialog.buttons().into_iter().enumerate() {
        let tone = if at == dialog.selected { Tone::Selected } else { Tone::Plain };
        let marker = if at == dialog.selected { theme.glyph("▸", ">") } else { " " };
        column += put(
            buf,
            inner,
            inner.height.saturating_sub(1),
            column,
            &format!("[{marker} {button} ]"),
            theme.style(tone),
        );
        column += 2;
    }
}

/// A frame with a title.
pub fn framed(title: &str, theme: Theme, area: Rect, buf: &mut Buffer) {
    let block = Block::bordered().title(format!(" {title} ")).title_style(theme.style(Tone::Title));
    if theme.ascii {
        let plain = ratatui::symbols::border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        };
        block.border_set(plain).render(area, buf);
    } else {
        block.border_type(BorderType::Rounded).render(area, buf);
    }
}

/// What a connection string says, and what else surrounds it; never a secret.
fn parts(resolved: &Resolved) -> Vec<String> {
    let settings = &resolved.settings;
    let part = |label: &str, keyword: &str, value: &str| {
        let origin = resolved.origin(keyword);
        let origin = if *origin == Origin::ConnectionString { String::new() } else { format!(" ({origin})") };
        format!("{label:<12}{}{origin}", printable(value))
    };
    let given = settings.password.is_some() || settings.alternatives.iter().any(|other| other.password.is_some());
    let password = if given { "(given, not shown)" } else { "(none)" };
    let host = if settings.host.is_empty() { "hostaddr" } else { "host" };
    let encryption = if *resolved.origin("sslmode") == Origin::Default {
        format!("{:<12}{} (proposed)", "Encryption", proposal(settings).0)
    } else {
        part("Encryption", "sslmode", settings.ssl_mode.name())
    };
    let mut lines = vec![
        "This is a whole connection string. Its parts would go into the fields:".to_owned(),
        String::new(),
        part("Host", host, settings.place()),
        part("Port", "port", &settings.port.to_string()),
        part("Database", "dbname", &settings.database),
        part("User", "user", &settings.user),
        part("Password", "password", password),
        encryption,
    ];
    let parameters = parameters::without_secrets(settings);
    let files = ["sslrootcert", "sslcert", "sslkey"].into_iter().filter_map(|name| Some((name, parameters.get(name)?)));
    lines.extend(files.map(|(name, value)| part(name, name, value)));
    lines.extend(super::connection::others(settings));
    lines.extend(resolved.notes.iter().map(|note| printable(note).into_owned()));
    lines
}

fn text(app: &App, dialog: &Dialog, width: usize, theme: Theme) -> (&'static str, Vec<String>) {
    match &dialog.question {
        Question::Split(resolved) => ("Connection string", parts(resolved)),
        Question::Apply => {
            let steps = app.script.open_steps();
            let admin = app.script.admin(&app.source()).map(|admin| admin.to_string()).unwrap_or_default();
            let plural = if steps == 1 { "statement runs" } else { "statements run" };
            let mut lines = vec![
                format!("{steps} {plural} as {admin}: those in the script behind this question, one at a time."),
                "It stops at the first error; what was done stays, and applying again does only what is missing."
                    .to_owned(),
            ];
            let locks = app.script.planned.iter().flat_map(|planned| &planned.plan.steps);
            let locks = locks.filter(|step| step.lock.is_some()).count();
            if locks > 0 {
                lines.push(format!("{locks} of them take a lock that others may feel; each gives up after 2 s."));
            }
            ("Apply the setup script?", lines)
        }
        Question::Skip => (
            "Go on without applying?",
            vec![
                "No administrator is named, so walpilot can't run this script. Replication will not start before \
                 somebody has run it: copy it (y) or write it to a file (w), or name an administrator (Tab)."
                    .to_owned(),
            ],
        ),
        Question::SaveProfile => (
            "Save as a profile",
            vec![format!(
                "Source, method, tables, publication and slot are kept under a name, {}. walpilot setup --profile \
                     NAME opens it again; check, run and watch take it too.",
                match app.password_source() {
                    PasswordSource::Keyring => "the password and the passphrase in the system's keyring",
                    PasswordSource::Command { .. } => "and the command that prints the password",
                    _ => "the password and the passphrase are not",
                }
            )],
        ),
        Question::KeyPassphrase { message, .. } => (
            "The passphrase of the private key",
            vec![message.clone(), "It is kept in memory while walpilot runs, and nowhere else.".to_owned()],
        ),
        Question::Ssh(question) => ssh(question),
        Question::ReplaceProfile(name) => {
            ("Replace the profile?", vec![format!("There is a profile {} already.", printable(name))])
        }
        Question::Resume(step) => (
            "An unfinished wizard",
            vec![format!(
                "You left walpilot before its end, at the step {}. Take it up again? Every value is kept, but for \
                 passwords.",
                printable(step)
            )],
        ),
        Question::Path => (
            "Write the script to a file",
            vec![
                "A new file that only you can read; an existing file is never overwritten. A name that ends in / becomes \
                 a directory with one file for each person who has to run a part."
                    .to_owned(),
            ],
        ),
        Question::Act(proposal) => ("What mends it", proposed(proposal)),
        Question::Acknowledge(finding) => (
            "Acknowledge a finding",
            vec![format!(
                "{finding}. It stands behind the others until it gets worse. A note for the others, if you like:"
            )],
        ),
        Question::Menu(menu) => (menu.title, several(menu)),
        Question::Command => ("Command", commands(dialog, width, theme)),
        Question::Record => (
            "Record",
            vec![
                "What is sampled from now on goes into a new file that only you can read; walpilot replay shows it on these \
                 screens. There is no password in it, but there are names."
                    .to_owned(),
            ],
        ),
        Question::LeaveRecording => {
            let made = app.recording.as_ref().map(|(_, recording)| recording);
            let made = made.map_or_else(String::new, |made| {
                format!("{} in {}; walpilot replay shows them.", units::exactly(made.samples, "sample"), made.file)
            });
            ("End the recording and leave?", vec![made])
        }
        Question::StopRun => ("Stop the replication?", vec![kept(&app.run)]),
        Question::Leave => ("Stop the replication and leave?", vec![kept(&app.run)]),
    }
}

/// What ssh asks, in its own words, and what the answer does.
fn ssh(question: &askpass::Question) -> (&'static str, Vec<String>) {
    use askpass::Kind;

    let mut lines = question.text.clone();
    let wrong = "That was not the right one.".to_owned();
    let (title, more) = match question.kind {
        Kind::HostKey => (
            "The bastion's host key is not known",
            "Compare the fingerprint with the one that its administrator gives you. Type yes to trust this key: ssh \
             writes it to its known_hosts.",
        ),
        Kind::Secret => ("ssh asks", "The answer goes to ssh and is kept in memory while walpilot runs."),
        Kind::Confirm => ("ssh asks", ""),
        Kind::Notice => ("ssh waits", ""),
    };
    if question.again && question.kind == Kind::Secret {
        lines.insert(0, wrong);
    }
    if !more.is_empty() {
        lines.extend([String::new(), more.to_owned()]);
    }
    (title, lines)
}

/// The answers of a menu.
fn several(menu: &Menu) -> Vec<String> {
    let mut lines = Vec::new();
    if !menu.about.is_empty() {
        lines.extend([menu.about.clone(), String::new()]);
    }
    let wide = menu.lines.len().to_string().len();
    let line = |(at, (text, _)): (usize, &(String, Choice))| {
        format!("{} {:>wide$}  {text}", if at == menu.at { ">" } else { " " }, at + 1)
    };
    lines.extend(menu.lines.iter().enumerate().map(line));
    lines
}

/// What fits what is typed.
fn commands(dialog: &Dialog, width: usize, theme: Theme) -> Vec<String> {
    let typed = dialog.field.as_ref().map_or("", Field::text);
    let proposals = palette::proposals(typed);
    let mut lines: Vec<String> = proposals
        .iter()
        .take(PROPOSALS)
        .map(|(name, about)| cut(&format!("{name:<16}{about}"), width, theme.ascii))
        .collect();
    if proposals.len() > PROPOSALS {
        lines.push(format!("and {} more: type a part of a name", proposals.len() - PROPOSALS));
    }
    lines
}

/// The statements of a finding, the chosen one in full.
fn proposed(proposal: &Proposal) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", proposal.object, proposal.title), String::new()];
    for (number, action) in proposal.actions.iter().enumerate() {
        let mark = if number == proposal.at { ">" } else { " " };
        lines.push(format!("{mark} {}", action.label));
    }
    lines.push(String::new());
    lines.extend(proposal.sql().lines().map(str::to_owned));
    let chosen = proposal.actions.get(proposal.at);
    if let Some(who) = chosen.and_then(|action| action.who) {
        lines.push(format!("Run by {who}."));
    }
    if let Some(risk) = chosen.and_then(|action| action.risk) {
        lines.push(format!("Risk: {risk}."));
    }
    lines.push(String::new());
    lines.push(if proposal.allowed {
        format!("Type {} to run it as the role that watches:", proposal.object)
    } else {
        "walpilot runs no statement here unless it is started with --allow-actions.".to_owned()
    });
    lines
}

fn kept(run: &RunState) -> String {
    let place = run.progress().map(|progress| format!(" (now {})", progress.checkpoint)).unwrap_or_default();
    format!(
        "The batch at hand is finished first. The checkpoint{place} is kept in the destination and the slot keeps the \
         log from there on, so that the next run goes on without a loss. A slot that nobody reads holds back log: \
         start again soon, or drop it."
    )
}
