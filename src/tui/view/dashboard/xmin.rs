//! What replication by xmin would see and miss: a method without a slot that reads rows again by the transaction that
//! wrote them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint::{fit, fit_right, put, section, wrap};
use crate::monitor::destination::{Run, XminRun};
use crate::monitor::report::known_run;
use crate::monitor::{Moment, Sample, units};
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// Transaction ids are compared modulo this: a row that is not frozen before is taken for one of the future.
const HORIZON: u64 = 1 << 31;

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let focused = dashboard.panel() == Panel::Xmin;
    let body = section("Replication by xmin", "without a slot", focused, theme, area, buf);
    let Some(sample) = dashboard.picture().watcher.sample() else { return };
    let width = usize::from(body.width);
    let mut lines = lines(sample, width, theme);
    if let Some((run, passes)) = known_run(&dashboard.picture().watcher).and_then(|run| Some((run, run.xmin.as_ref()?)))
    {
        let about = of_run(run, passes, sample);
        let about = about.iter().flat_map(|text| wrap(text, width)).map(Line::raw);
        lines.splice(AFTER..AFTER, about.chain([Line::default()]));
    }
    for (row, line) in (0..body.height).zip(lines.iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}

/// The lines about the source stand before those of the run.
const AFTER: usize = 3;

/// What a run with this method has done, and from where its next pass goes on.
fn of_run(run: &Run, passes: &XminRun, sample: &Sample) -> Vec<String> {
    let count = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), units::count);
    let each = |value: Option<u64>| match value {
        Some(all) if passes.passes > 0 => {
            format!("{} ({} a pass)", units::count(all), units::count(all / passes.passes))
        }
        other => count(other),
    };
    // 32 bits are what a row keeps of its transaction.
    let behind = sample.next_xid.saturating_sub(passes.snapshot_xmin);
    let ago =
        |at: Option<Moment>| at.map(|at| units::span(std::time::Duration::from_secs(sample.at.since(at).as_secs())));
    let when = match (passes.running, ago(passes.began_at), ago(passes.ended_at)) {
        (true, Some(began), _) => format!("a pass runs for {began}"),
        (_, _, Some(ended)) => format!("the last pass ended {ended} ago"),
        _ => "no pass has ended yet".to_owned(),
    };
    let tables = run.tables.len();
    let mut lines = vec![
        format!(
            "watermark          {}  ({} transactions behind, {} % of the way to the wraparound)",
            passes.snapshot_xmin,
            units::count(behind),
            behind.saturating_mul(100) / HORIZON
        ),
        format!("passes             {} over {tables} tables; {when}", units::count(passes.passes)),
        format!("rows               read {}, written {}", each(passes.rows_read), each(passes.rows_written)),
    ];
    if let Some(unseen) = passes.deletes_unseen.filter(|unseen| *unseen > 0) {
        lines.push(format!("deletes not seen   {} rows that stand at the destination still", units::count(unseen)));
    }
    lines
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
