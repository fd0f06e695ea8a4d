//! Draws the fleet: a line for each source, the worst first.

use std::time::{Duration, SystemTime};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::dashboard::paint::{first_line, fit, fit_right, put, section};
use super::theme::{Theme, Tone};
use crate::connection::printable;
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

/// Draws the screen.
pub fn draw(fleet: &Fleet, theme: Theme, now: SystemTime, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    let ranking = fleet.ranking();
    let mut spans = vec![Span::styled(format!("{} sources  ", ranking.len()), theme.style(Tone::Title))];
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
