//! Draws the fleet: a line for each source, the worst first.

use std::time::{Duration, SystemTime};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::dashboard::paint::{first_line, fit, fit_right, put, section};
use super::theme::{Theme, Tone};
use crate::connection::printable;
use crate::monitor::diagnosis::Severity;
use crate::monitor::fleet::Health;
use crate::monitor::units;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::app::fleet::{Fleet, health};

fn look(health: Health) -> (Tone, &'static str) {
    match health {
        Health::Unreachable => (Tone::Bad, "LOST"),
        Health::Critical => (Tone::Bad, "CRIT"),
        Health::Warning => (Tone::Warn, "WARN"),
        Health::Waiting => (Tone::Dim, "...."),
        Health::Fine => (Tone::Good, "OK"),
    }
}

/// Draws the sources in one line, over the dashboard of the one that is `open`: how each is, and how much is wrong.
pub fn line(fleet: &Fleet, open: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let mut members: Vec<_> =
        fleet.ranking().into_iter().map(|(_, member, one)| (member.name.as_str(), one, false)).collect();
    members.extend(fleet.open_name().map(|name| (name, open, true)));
    members.sort_by_key(|(name, _, shown)| (!shown, *name));
    let mut spans = vec![Span::styled(
        format!(" fleet, {} (f goes back): ", units::counted(members.len() as u64, "source")),
        theme.style(Tone::Dim),
    )];
    for (at, (name, dashboard, shown)) in members.iter().enumerate() {
        if at > 0 {
            spans.push(Span::styled(theme.glyph("  │ ", "  | "), theme.style(Tone::Dim)));
        }
        let tone = if *shown { Tone::Title } else { Tone::Plain };
        spans.push(Span::styled(printable(name).into_owned(), theme.style(tone)));
        let (tone, word) = look(health(dashboard));
        let diagnosis = dashboard.picture().watcher.diagnosis();
        let (critical, warning) = (diagnosis.count(Severity::Critical), diagnosis.count(Severity::Warning));
        if critical + warning == 0 || word == "LOST" {
            spans.push(Span::styled(format!(" {} {word}", theme.mark(tone)), theme.style(tone)));
            continue;
        }
        for (count, tone) in [(critical, Tone::Bad), (warning, Tone::Warn)] {
            if count > 0 {
                spans.push(Span::styled(format!(" {}{count}", theme.mark(tone)), theme.style(tone)));
            }
        }
    }
    put(&Line::from(spans), 0, area, buf);
}

/// Draws the screen.
pub fn draw(fleet: &Fleet, theme: Theme, now: SystemTime, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    let ranking = fleet.ranking();
    let mut spans =
        vec![Span::styled(format!("{}  ", units::counted(ranking.len() as u64, "source")), theme.style(Tone::Title))];
    for (health, count) in fleet.census() {
        let (tone, word) = look(health);
        spans.push(Span::styled(format!("{} {word} {count}  ", theme.mark(tone)), theme.style(tone)));
    }
    put(&Line::from(spans), 0, area, buf);
    let below = Rect { y: area.y + 1.min(area.height), height: area.height.saturating_sub(1), ..area };
    let body = section("Fleet", "worst first, Enter opens", true, theme, below, buf);
    let width = usize::from(body.width);
    let name = ranking.iter().map(|(_, member, _)| member.name.len()).max().unwrap_or(0).clamp(8, 24);
    let head = format!(
        "   {} {} {} {} {} {}",
        fit("STATE", 6, theme),
        fit("SOURCE", name, theme),
        fit("SERVER", 18, theme),
        fit_right("SLOTS", 9, theme),
        fit_right("WORST LAG", 10, theme),
        fit_right("DATA", 8, theme),
    );
    put(&Line::styled(fit(&head, width, theme), theme.style(Tone::Dim)), 0, body, buf);
    let height = usize::from(body.height.saturating_sub(1));
    let line = ranking.iter().position(|(at, _, _)| *at == fleet.selected()).unwrap_or(0);
    for (row, (at, member, dashboard)) in ranking.iter().enumerate().skip(first_line(line, height)).take(height) {
        let (tone, word) = look(health(dashboard));
        let chosen = if *at == fleet.selected() { theme.glyph("▶", ">") } else { " " };
        let facts = format!(
            "{} {} {} {} {}  ",
            fit(&printable(&member.name), name, theme),
            fit(&server(dashboard), 18, theme),
            fit_right(&slots(dashboard), 9, theme),
            fit_right(&lag(dashboard, theme), 10, theme),
            fit_right(&age(dashboard, now), 8, theme),
        );
        let room = width.saturating_sub(facts.chars().count() + 10);
        let spans = vec![
            Span::raw(chosen.to_owned()),
            Span::styled(format!("{} {} ", theme.mark(tone), fit(word, 6, theme)), theme.style(tone)),
            Span::raw(facts),
            Span::styled(fit(&trouble(dashboard), room, theme), theme.style(tone)),
        ];
        let row = u16::try_from(row - first_line(line, height) + 1).unwrap_or(u16::MAX);
        put(&Line::from(spans), row, body, buf);
    }
}

fn server(dashboard: &Dashboard) -> String {
    match dashboard.picture().watcher.sample() {
        Some(sample) => format!("PG {} {}", sample.server.version_text(), sample.server.recovery_role()),
        None => "?".to_owned(),
    }
}

/// How many slots are well, of how many.
fn slots(dashboard: &Dashboard) -> String {
    let slots = &dashboard.picture().watcher.reading().slots;
    let well = slots.iter().filter(|slot| !slot.state.is_bad()).count();
    format!("{well}/{} ok", slots.len())
}

fn lag(dashboard: &Dashboard, theme: Theme) -> String {
    let ages = dashboard.picture().watcher.reading().slots.iter().filter_map(|slot| slot.lag);
    ages.max_by_key(|age| age.millis).map_or_else(|| "-".to_owned(), |age| age.show(theme.ascii))
}

fn age(dashboard: &Dashboard, now: SystemTime) -> String {
    let then = dashboard.picture().sampled_at;
    then.map_or_else(
        || "none".to_owned(),
        |then| units::span(Duration::from_secs(now.duration_since(then).unwrap_or_default().as_secs())),
    )
}

fn trouble(dashboard: &Dashboard) -> String {
    let picture = dashboard.picture();
    if let Some((reason, _)) = &picture.failure {
        return reason.clone();
    }
    let worst = picture.watcher.diagnosis().worst();
    worst.map_or_else(String::new, |worst| format!("{} {}: {}", worst.rule, worst.object, worst.title))
}
