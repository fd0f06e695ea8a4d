//! What replication by xmin would see and miss: a method without a slot that reads rows again by the transaction that
//! wrote them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint::{fit, fit_right, put, section, wrap};
use crate::monitor::{Sample, units};
use crate::tui::app::dashboard::{Dashboard, Panel};
use crate::tui::view::theme::{Theme, Tone};

/// Transaction ids are compared modulo this: a row that is not frozen before is taken for one of the future.
const HORIZON: u64 = 1 << 31;

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let focused = dashboard.panel() == Panel::Xmin;
    let body = section("Replication by xmin", "without a slot", focused, theme, area, buf);
    let Some(sample) = dashboard.picture().watcher.sample() else { return };
    let lines = lines(sample, usize::from(body.width), theme);
    for (row, line) in (0..body.height).zip(lines.iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}

fn lines(sample: &Sample, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let held_back = sample.next_xid.saturating_sub(sample.oldest_xid);
    let mut lines = vec![
        Line::raw(format!("safe upper bound   {}  (the oldest transaction that still runs)", sample.oldest_xid)),
        Line::raw(format!("next transaction   {}", sample.next_xid)),
    ];
    let tone = if held_back > 0 { Tone::Warn } else { Tone::Good };
    lines.push(Line::styled(
        format!("{} held back       {} transactions", theme.mark(tone), units::count(held_back)),
        theme.style(tone),
    ));
    let open = sample.open_transactions;
    let naive = if open == 0 {
        "No transaction is open: a watermark of max(xmin) would miss nothing now.".to_owned()
    } else {
        format!(
            "{open} transactions are open. A watermark of max(xmin) would skip what they commit later, for ever; the safe \
             upper bound does not."
        )
    };
    lines.extend(wrap(&naive, width).into_iter().map(Line::raw));
    lines.push(Line::default());
    let Some(tables) = &sample.tables else { return lines };
    let name = width.saturating_sub(48).clamp(12, 48);
    let head = format!(
        "{} {} {} {} {}",
        fit("TABLE", name, theme),
        fit_right("INSERTS", 10, theme),
        fit_right("UPDATES", 10, theme),
        fit_right("DELETES", 10, theme),
        fit_right("WRAPAROUND", 11, theme)
    );
    lines.push(Line::styled(fit(&head, width, theme), theme.style(Tone::Dim)));
    for table in &tables.tables {
        let frozen = table.frozen_age.and_then(|age| u64::try_from(age).ok());
        let share = frozen.map_or_else(|| "?".to_owned(), |age| format!("{} %", age.saturating_mul(100) / HORIZON));
        let text = format!(
            "{} {} {} {} {}",
            fit(&table.name.to_string(), name, theme),
            fit_right(&units::count(table.inserts), 10, theme),
            fit_right(&units::count(table.updates), 10, theme),
            fit_right(&units::count(table.deletes), 10, theme),
            fit_right(&share, 11, theme),
        );
        lines.push(Line::raw(fit(&text, width, theme)));
    }
    lines.push(Line::default());
    let deletes = "Counted since the statistics were reset. Deletes and TRUNCATE are never seen by xmin: rows stay at the \
                   destination until the table is copied again.";
    lines.extend(wrap(deletes, width).into_iter().map(|text| Line::styled(text, theme.style(Tone::Dim))));
    lines
}
