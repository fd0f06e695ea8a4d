//! Who keeps vacuum from cleaning up, which copies run, and how far the wraparound is.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint::{fit, fit_right, put, section, wrap};
use crate::connection::printable;
use crate::monitor::context::{Context, Copying, Holder, HolderKind};
use crate::monitor::{Sample, Seen, units};
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

const KIND: usize = 9;
const AGE: usize = 9;

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let focused = dashboard.panel() == Panel::Horizon;
    let body = section("Horizon", "who holds back vacuum, the oldest first", focused, theme, area, buf);
    let Some(sample) = dashboard.picture().watcher.sample() else { return };
    let width = usize::from(body.width);
    let lines = match &sample.context {
        Seen::Known(context) => known(context, dashboard, sample, width, theme),
        Seen::NotYet => vec![Line::styled("  Not read yet.", theme.style(Tone::Dim))],
        Seen::Hidden(grant) => vec![Line::raw(format!("  ? This role may not see it: {}", printable(grant)))],
        Seen::Failed(reason) => wrap(&format!("? {}", printable(reason)), width).into_iter().map(Line::raw).collect(),
    };
    for (row, line) in (0..body.height).zip(lines.iter().skip(if focused { dashboard.scroll() } else { 0 })) {
        put(line, row, body, buf);
    }
}

fn known(context: &Context, dashboard: &Dashboard, sample: &Sample, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let who = width.saturating_sub(KIND + 2 * AGE + 29).clamp(12, 48);
    let head = format!(
        " {} {} {} {}  {}",
        fit("KIND", KIND, theme),
        fit("WHO", who, theme),
        fit_right("XIDS", AGE, theme),
        fit_right("AGE", AGE, theme),
        "HOLDS"
    );
    lines.push(Line::styled(fit(&head, width, theme), theme.style(Tone::Dim)));
    for holder in &context.holders {
        let text = format!(
            " {} {} {} {}  {}",
            fit(kind(holder.kind), KIND, theme),
            fit(&name(holder), who, theme),
            fit_right(&units::count(u64::try_from(holder.age).unwrap_or(0)), AGE, theme),
            fit_right(&age(holder, dashboard, sample, theme), AGE, theme),
            match (holder.catalog_only, holder.writing_age) {
                (true, _) => "catalog vacuum only",
                (false, None) => "all vacuum",
                // What a slot reads again begins with the oldest transaction that was open.
                (false, Some(_)) => "all vacuum, restart_lsn",
            },
        );
        lines.push(Line::raw(fit(&text, width, theme)));
    }
    if context.holders.is_empty() {
        lines.push(Line::styled(format!("  {} Nobody.", theme.mark(Tone::Good)), theme.style(Tone::Good)));
    }
    for copy in &context.copies {
        lines.push(Line::raw(fit(&format!(" {}", copying(copy)), width, theme)));
    }
    if let Some(oldest) = &context.oldest_database {
        let limit = sample.server.number("autovacuum_freeze_max_age").and_then(|limit| u64::try_from(limit).ok());
        let age = u64::try_from(oldest.age).unwrap_or(0);
        let of = limit.map_or_else(String::new, |limit| {
            format!(" of {} ({} %)", units::count(limit), age.saturating_mul(100) / limit.max(1))
        });
        let text = format!(
            " oldest row: {} old{of}, in database {}",
            units::counted(age, "transaction"),
            printable(&oldest.name)
        );
        lines.push(Line::styled(fit(&text, width, theme), theme.style(Tone::Dim)));
    }
    lines
}

fn kind(kind: HolderKind) -> &'static str {
    match kind {
        HolderKind::Session => "session",
        HolderKind::Prepared => "prepared",
        HolderKind::Slot => "slot",
        HolderKind::Standby => "standby",
    }
}

pub(super) fn name(holder: &Holder) -> String {
    let texts = [&holder.name, &holder.application, &holder.user, &holder.state];
    let pid = holder.pid.map(|pid| pid.to_string());
    let mut parts: Vec<String> = pid.into_iter().collect();
    parts.extend(texts.into_iter().flatten().filter(|text| !text.is_empty()).map(|text| printable(text).into_owned()));
    parts.join(" ")
}

/// For how long a transaction has been open, or a slot has stood there; `?` where the role may not see it.
fn age(holder: &Holder, dashboard: &Dashboard, sample: &Sample, theme: Theme) -> String {
    let slot = holder.name.as_deref().filter(|_| holder.kind == HolderKind::Slot);
    let slot = slot.and_then(|name| dashboard.picture().watcher.reading().slot(name)?.horizon_age);
    if let Some(age) = slot {
        return age.show(theme.ascii);
    }
    match (holder.began, holder.kind) {
        (Some(began), _) => units::span(Duration::from_secs(sample.at.since(began).as_secs())),
        (None, HolderKind::Slot | HolderKind::Standby) => "-".to_owned(),
        (None, _) => "?".to_owned(),
    }
}

fn copying(copy: &Copying) -> String {
    let table = match (&copy.schema, &copy.table) {
        (Some(schema), Some(table)) => format!("{}.{}", printable(schema), printable(table)),
        _ => "a query".to_owned(),
    };
    let rows = copy.rows.map_or_else(|| "? rows".to_owned(), |rows| units::counted(rows, "row"));
    let share = match (copy.rows, copy.estimated_rows) {
        #[expect(clippy::cast_precision_loss, reason = "a share of an estimate")]
        (Some(rows), Some(all)) if all > 0.0 => format!(" (~{:.0} %)", (rows as f64 / all * 100.0).min(100.0)),
        _ => String::new(),
    };
    let who = copy.application.as_deref().or(copy.user.as_deref()).unwrap_or("?");
    format!("copy      {table}: {rows}{share} by {} {}", copy.pid, printable(who))
}
