//! What the role may see and what not, fact by fact, with the statement that opens the rest.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put, section, wrap};
use crate::connection::printable;
use crate::monitor::server::Server;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// What opens a fact.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Every role that may log in sees it.
    Nothing,
    /// `pg_read_all_stats`, which `pg_monitor` holds.
    Statistics,
    /// The functions that list files, granted to `pg_monitor`.
    Files,
    /// The one that lists a slot's files, granted to `pg_monitor` too.
    SlotFiles,
}

/// A fact, what opens it, and from which major version on it exists.
struct Fact(&'static str, Needs, u32);

/// What the dashboard shows, as measured on 13 to 18 for a plain role, `pg_read_all_stats` and `pg_monitor`.
const FACTS: [Fact; 24] = [
    Fact("slots with their positions and state", Needs::Nothing, 13),
    Fact("the end of the log and how fast it grows", Needs::Nothing, 13),
    Fact("how much WAL a slot may still hold", Needs::Nothing, 13),
    Fact("lag in bytes, and in time since walpilot first looked", Needs::Nothing, 13),
    Fact("what each slot decoded and spilled in all", Needs::Nothing, 14),
    Fact("process, role and application of each reader", Needs::Nothing, 13),
    Fact("publications and their tables", Needs::Nothing, 13),
    Fact("replica identities", Needs::Nothing, 13),
    Fact("estimated rows, and changes of each table", Needs::Nothing, 13),
    Fact("who holds back vacuum, in transactions", Needs::Nothing, 13),
    Fact("who blocks the creation of a slot", Needs::Nothing, 13),
    Fact("settings and checkpoints", Needs::Nothing, 13),
    Fact("the state of walsenders", Needs::Statistics, 13),
    Fact("up to where the log was sent", Needs::Statistics, 13),
    Fact("when a reader last answered", Needs::Statistics, 13),
    Fact("what walsenders of other roles wait for", Needs::Statistics, 13),
    Fact("where readers of other roles come from, since when", Needs::Statistics, 13),
    Fact("what readers of other roles asked for", Needs::Statistics, 13),
    Fact("since when transactions of other roles are open", Needs::Statistics, 13),
    Fact("the progress of copies of other roles", Needs::Statistics, 14),
    Fact("the size of the WAL directory", Needs::Files, 13),
    Fact("lag in time from before walpilot looked", Needs::Files, 13),
    Fact("what waits for the archiver", Needs::Files, 13),
    Fact("spill files on disk now", Needs::SlotFiles, 15),
];

/// The facts that there are on this version, and whether the role sees them.
fn facts(server: &Server) -> impl Iterator<Item = (&'static Fact, bool)> {
    let (sessions, files) = (server.rights.sees_sessions(), server.rights.lists_wal());
    let major = server.version / 10_000;
    FACTS.iter().filter(move |fact| major >= fact.2 || major == 0).map(move |fact| {
        let seen = match fact.1 {
            Needs::Nothing => true,
            Needs::Statistics => sessions,
            Needs::Files => files,
            Needs::SlotFiles => server.rights.slot_files,
        };
        (fact, seen)
    })
}

/// How many facts the role sees, and how many there are.
pub(super) fn score(server: &Server) -> (usize, usize) {
    (facts(server).filter(|(_, seen)| *seen).count(), facts(server).count())
}

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let focused = dashboard.panel() == Panel::Visibility;
    let body = section("Visibility", "what this role sees", focused, theme, area, buf);
    let Some(sample) = dashboard.picture().watcher.sample() else { return };
    let width = usize::from(body.width).saturating_sub(2);
    let role = printable(&sample.server.role);
    let (seen, all) = score(&sample.server);
    let mut lines = Vec::new();
    if seen == all {
        let text = format!("{} Role {role} sees all {all} facts that the dashboard can show.", theme.mark(Tone::Good));
        lines.extend(wrap(&text, width).into_iter().map(|text| Line::styled(text, theme.style(Tone::Good))));
    } else {
        let text = format!(
            "{} Role {role} sees {seen} of the {all} facts that the dashboard can show. This opens the others:",
            theme.mark(Tone::Warn)
        );
        lines.extend(wrap(&text, width).into_iter().map(|text| Line::styled(text, theme.style(Tone::Warn))));
        let mut grants: Vec<String> = sample.server.unseen().into_iter().map(|one| one.grant).collect();
        grants.dedup();
        lines.extend(
            grants.iter().map(|grant| Line::styled(format!("    {}", printable(grant)), theme.style(Tone::Accent))),
        );
    }
    lines.push(Line::default());
    // What is missing stands first.
    let mut listed: Vec<_> = facts(&sample.server).collect();
    listed.sort_by_key(|(_, seen)| *seen);
    let columns = if width >= 100 { 2 } else { 1 };
    let wide = width / columns;
    for row in listed.chunks(columns) {
        let spans = row.iter().map(|(fact, seen)| {
            let (mark, tone) = if *seen { (theme.mark(Tone::Good), Tone::Plain) } else { ("?", Tone::Warn) };
            Span::styled(fit(&format!(" {mark} {}", fact.0), wide, theme), theme.style(tone))
        });
        lines.push(Line::from(spans.collect::<Vec<_>>()));
    }
    lines.push(Line::default());
    let why = "What can't be seen is shown as ?, never as 0. Every statement stands alone, read-only and with a time limit, and none waits behind a lock.";
    lines.extend(wrap(why, width).into_iter().map(|text| Line::styled(text, theme.style(Tone::Dim))));
    for (row, line) in (0..body.height).zip(lines.iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}
