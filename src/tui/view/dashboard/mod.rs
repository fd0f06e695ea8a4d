//! Draws the dashboard: one column on small terminals, two where there is room, one panel alone when it is zoomed.
//!
//! At the top stand the server, the age of the data and the worst finding, whatever else is shown; at the bottom what
//! can be looked at, and what looking costs.

mod chart;
mod events;
mod findings;
mod header;
mod horizon;
mod lag;
pub(super) mod paint;
mod reader;
mod ruler;
mod slot;
mod slots;
mod strip;
mod table;
mod tables;
mod veil;
mod visibility;
mod wal;
mod xmin;

use std::time::SystemTime;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::theme::Theme;
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
pub(super) use veil::draw as veil;

/// From this size on there are two columns.
const WIDE: (u16, u16) = (110, 28);
/// From this size on the events get the whole width.
const LARGE: (u16, u16) = (180, 50);
/// What the names of the panels and what looking costs need side by side.
const STRIP: u16 = 150;
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
    if rest.height > 6 {
        // Beside the panels' names there is room for what looking costs only on a wide screen.
        let two = area.height >= LARGE.1 || (area.width < STRIP && area.height >= 22);
        strip::draw(dashboard, theme, bottom(&mut rest, if two { 2 } else { 1 }), buf);
    }
    if header::has_run(dashboard) && rest.height > 0 {
        header::run_line(dashboard, theme, bottom(&mut rest, 1), buf);
    }
    if dashboard.zoomed() {
        zoomed(dashboard.panel(), dashboard, theme, rest, buf);
    } else if area.width >= WIDE.0 && area.height >= WIDE.1 {
        two_columns(dashboard, theme, rest, buf);
    } else {
        one_column(dashboard, theme, rest, buf);
    }
}

/// A panel with the whole screen shows more than its part of the screen.
fn zoomed(panel: Panel, dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    match panel {
        Panel::Slot => slot::draw(dashboard, theme, area, buf),
        other => part(other, dashboard, theme, area, buf),
    }
}

fn part(panel: Panel, dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    match panel {
        Panel::Slots => slots::draw(dashboard, theme, area, buf),
        Panel::Slot => ruler::draw(dashboard, theme, area, buf),
        Panel::Wal => wal::draw(dashboard, theme, area, buf),
        Panel::Lag => lag::draw(dashboard, theme, area, buf),
        Panel::Tables => tables::draw(dashboard, theme, area, buf),
        Panel::Table => table::draw(dashboard, theme, area, buf),
        Panel::Reader => reader::draw(dashboard, theme, area, buf),
        Panel::Diagnosis => findings::draw(dashboard, theme, area, buf),
        Panel::Events => events::draw(dashboard, theme, area, buf),
        Panel::Horizon => horizon::draw(dashboard, theme, area, buf),
        Panel::Xmin => xmin::draw(dashboard, theme, area, buf),
        Panel::Visibility => visibility::draw(dashboard, theme, area, buf),
    }
}

/// Slots and the ruler always; below them the focused panel, or the diagnosis.
fn one_column(dashboard: &Dashboard, theme: Theme, mut rest: Rect, buf: &mut Buffer) {
    let most = if rest.height >= 20 { 6 } else { 4 };
    slots::draw(dashboard, theme, top(&mut rest, slot_lines(dashboard, most)), buf);
    if rest.height >= 11 {
        ruler::draw(dashboard, theme, top(&mut rest, 5), buf);
    }
    let below = match dashboard.panel() {
        Panel::Slots | Panel::Slot | Panel::Reader => Panel::Diagnosis,
        Panel::Table => Panel::Tables,
        other => other,
    };
    part(below, dashboard, theme, rest, buf);
}

fn two_columns(dashboard: &Dashboard, theme: Theme, mut rest: Rect, buf: &mut Buffer) {
    let large = rest.width >= LARGE.0 && rest.height + 4 >= LARGE.1;
    let most = rest.height / 4;
    slots::draw(dashboard, theme, top(&mut rest, slot_lines(dashboard, most)), buf);
    let ruler = RULER.max(rest.width / 2);
    let (left, right) = split(top(&mut rest, if large { 10 } else { 7 }), ruler);
    ruler::draw(dashboard, theme, left, buf);
    wal::draw(dashboard, theme, right, buf);
    let share = if large { rest.height * 2 / 5 } else { rest.height.div_ceil(2) };
    let (left, right) = halves(top(&mut rest, share));
    lag::draw(dashboard, theme, left, buf);
    findings::draw(dashboard, theme, right, buf);
    let last = match dashboard.panel() {
        other @ (Panel::Visibility | Panel::Xmin | Panel::Horizon) => other,
        _ => Panel::Events,
    };
    if large {
        let events = bottom(&mut rest, 10);
        let (left, right) = halves(rest);
        tables::draw(dashboard, theme, left, buf);
        horizon::draw(dashboard, theme, right, buf);
        let last = if last == Panel::Horizon { Panel::Events } else { last };
        part(last, dashboard, theme, events, buf);
    } else {
        let (left, right) = halves(rest);
        tables::draw(dashboard, theme, left, buf);
        part(last, dashboard, theme, right, buf);
    }
}

/// Title, head, a line for each slot, and a blank one.
fn slot_lines(dashboard: &Dashboard, most: u16) -> u16 {
    let slots = dashboard.slots().len();
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

/// The same at the bottom.
fn bottom(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    rest.height -= height;
    Rect { y: rest.bottom(), height, ..*rest }
}

fn halves(area: Rect) -> (Rect, Rect) {
    split(area, area.width.saturating_sub(GAP) / 2)
}

fn split(area: Rect, left: u16) -> (Rect, Rect) {
    let right = area.width.saturating_sub(left + GAP);
    (Rect { width: left, ..area }, Rect { x: area.x + area.width - right, width: right, ..area })
}
