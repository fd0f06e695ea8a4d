//! Draws the dashboard: one column on small terminals, two where there is room, one panel alone when it is zoomed.

mod events;
mod findings;
mod header;
mod paint;
mod ruler;
mod slots;
mod tables;
mod wal;

use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::theme::Theme;
use crate::tui::app::dashboard::{Dashboard, Panel};

/// From this size on there are two columns.
const WIDE: (u16, u16) = (110, 28);
/// What three positions and their stretches need side by side.
const RULER: u16 = 66;
/// The gap between two columns.
const GAP: u16 = 2;

/// Draws `dashboard` into `area`.
pub fn draw(dashboard: &Dashboard, theme: Theme, now: SystemTime, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    let mut rest = area;
    header::server_line(dashboard, theme, now, top(&mut rest, 1), buf);
    if rest.height > 0 {
        header::banner(dashboard, theme, now, top(&mut rest, 1), buf);
    }
    if header::has_run(dashboard) && rest.height > 0 {
        rest.height -= 1;
        header::run_line(dashboard, theme, Rect { y: rest.bottom(), height: 1, ..rest }, buf);
    }
    if dashboard.zoomed() {
        panel(dashboard.panel(), dashboard, theme, rest, buf);
    } else if area.width >= WIDE.0 && area.height >= WIDE.1 {
        two_columns(dashboard, theme, rest, buf);
    } else {
        one_column(dashboard, theme, rest, buf);
    }
}

fn panel(panel: Panel, dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    match panel {
        Panel::Slots => slots::draw(dashboard, theme, area, buf),
        Panel::Tables => tables::draw(dashboard, theme, area, buf),
        Panel::Diagnosis => findings::draw(dashboard, theme, area, buf),
        Panel::Events => events::draw(dashboard, theme, area, buf),
    }
}

/// Slots and the ruler always; below them tables and diagnosis share what is left, and the focused one gets more. The
/// events take the place of the tables while they are focused.
fn one_column(dashboard: &Dashboard, theme: Theme, mut rest: Rect, buf: &mut Buffer) {
    let most = if rest.height >= 20 { 6 } else { 4 };
    slots::draw(dashboard, theme, top(&mut rest, slot_lines(dashboard, most)), buf);
    if rest.height >= 12 {
        ruler::draw(dashboard, theme, top(&mut rest, 5), buf);
    }
    let share = match dashboard.panel() {
        Panel::Tables | Panel::Events => rest.height * 2 / 3,
        Panel::Diagnosis => rest.height / 3,
        Panel::Slots => rest.height / 2,
    };
    let upper = if dashboard.panel() == Panel::Events { Panel::Events } else { Panel::Tables };
    panel(upper, dashboard, theme, top(&mut rest, share), buf);
    findings::draw(dashboard, theme, rest, buf);
}

fn two_columns(dashboard: &Dashboard, theme: Theme, mut rest: Rect, buf: &mut Buffer) {
    let most = rest.height / 4;
    slots::draw(dashboard, theme, top(&mut rest, slot_lines(dashboard, most)), buf);
    let ruler = RULER.max(rest.width / 2);
    let (left, right) = split(top(&mut rest, 6), ruler);
    ruler::draw(dashboard, theme, left, buf);
    wal::draw(dashboard, theme, right, buf);
    let events_height = (rest.height / 4).clamp(4, 12);
    let middle = rest.height.saturating_sub(events_height);
    let (left, right) = halves(top(&mut rest, middle));
    tables::draw(dashboard, theme, left, buf);
    findings::draw(dashboard, theme, right, buf);
    events::draw(dashboard, theme, rest, buf);
}

/// Title, head, a line for each slot, and a blank one.
fn slot_lines(dashboard: &Dashboard, most: u16) -> u16 {
    let slots = dashboard.picture().watcher.reading().slots.len();
    u16::try_from(slots).unwrap_or(u16::MAX).clamp(1, most.max(1)).saturating_add(2)
}

/// Cuts `height` lines off the top of `rest`, or what there is of them.
fn top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let cut = Rect { height, ..*rest };
    rest.y += height;
    rest.height -= height;
    cut
}

fn halves(area: Rect) -> (Rect, Rect) {
    split(area, area.width.saturating_sub(GAP) / 2)
}

fn split(area: Rect, left: u16) -> (Rect, Rect) {
    let right = area.width.saturating_sub(left + GAP);
    (Rect { width: left, ..area }, Rect { x: area.x + area.width - right, width: right, ..area })
}
