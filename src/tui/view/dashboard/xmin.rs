//! What replication by xmin would see and miss: a method without a slot that reads rows again by the transaction that
//! wrote them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::paint::{fit, fit_right, put, section, wrap};
use crate::connection::printable;
use crate::monitor::context::Holder;
use crate::monitor::destination::{Run, XminRun};
use crate::monitor::report::known_run;
use crate::monitor::xmin::{HALF_CIRCLE, XminReading};
use crate::monitor::{Moment, Sample, units};
use crate::tui::app::action::Panel;
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// Draws the panel.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let focused = dashboard.panel() == Panel::Xmin;
    let body = section("Replication by xmin", "without a slot", focused, theme, area, buf);
    let watcher = &dashboard.picture().watcher;
    let (Some(sample), Some(reading)) = (watcher.sample(), XminReading::of(watcher.history())) else { return };
    let width = usize::from(body.width);
    let mut lines = bound(&reading, width, theme);
    if let Some((run, passes)) = known_run(watcher).and_then(|run| Some((run, run.xmin.as_ref()?))) {
        lines.push(Line::default());
        let about = of_run(run, passes, &reading, sample);
        lines.extend(about.iter().flat_map(|text| hang(text, width)).map(Line::raw));
    }
    lines.push(Line::default());
    lines.extend(tables(sample, width, theme));
    for (row, line) in (0..body.height).zip(lines.iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}

/// What stands before the value in a line.
const LABEL: usize = 19;

/// A line of label and value, its continuation below the value.
fn hang(text: &str, width: usize) -> Vec<String> {
    let (label, value) = text.split_at(text.len().min(LABEL));
    let lines = wrap(value, width.saturating_sub(LABEL)).into_iter().enumerate();
    lines.map(|(row, line)| format!("{:LABEL$}{line}", if row == 0 { label } else { "" })).collect()
}

/// What a run with this method has done, and from where its next pass goes on.
fn of_run(run: &Run, passes: &XminRun, reading: &XminReading, sample: &Sample) -> Vec<String> {
    let each = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |rows| units::counted(rows, "row"));
    let ago =
        |at: Option<Moment>| at.map(|at| units::span(std::time::Duration::from_secs(sample.at.since(at).as_secs())));
    let next = reading.run.as_ref().and_then(|run| run.next_in);
    let next = next.map_or_else(String::new, |next| {
        format!(", the next begins in {}", units::span(std::time::Duration::from_secs(next.as_secs())))
    });
    let when = match (passes.running, ago(passes.began_at), ago(passes.ended_at)) {
        (true, Some(began), _) => format!("one runs for {began}"),
        (_, _, Some(ended)) => format!("the last ended {ended} ago{next}"),
        _ => "none has ended yet".to_owned(),
    };
    let behind = sample.next_xid.saturating_sub(passes.snapshot_xmin);
    let mut lines = vec![
        format!(
            "watermark          {}  ({} behind, {} % of the way to where it can't be compared)",
            passes.snapshot_xmin,
            units::counted(behind, "transaction"),
            behind.saturating_mul(100) / HALF_CIRCLE
        ),
        format!(
            "passes             {} over {}; {when}",
            units::count(passes.passes),
            units::counted(run.tables.len() as u64, "table")
        ),
        format!("last pass          read {}, wrote {}", each(passes.rows_read), each(passes.rows_written)),
    ];
    if let Some(waiting) = reading.run.as_ref().and_then(|run| run.rows_waiting) {
        lines.push(format!("for the next pass  ~{} inserted or updated since", units::counted(waiting, "row")));
    }
    lines.push(match passes.deletes_unseen {
        None => "deletes not seen   ? (not counted yet)".to_owned(),
        Some(0) => "deletes not seen   none".to_owned(),
        Some(unseen) => {
            let stands = if unseen == 1 { "stands" } else { "stand" };
            format!("deletes not seen   {} that {stands} at the destination still", units::counted(unseen, "row"))
        }
    });
    lines
}

/// Who holds back the bound.
fn who(holder: &Holder) -> String {
    let texts = [&holder.name, &holder.application, &holder.user, &holder.state];
    let parts = texts.into_iter().flatten().filter(|text| !text.is_empty()).map(|text| printable(text).into_owned());
    let pid = holder.pid.map(|pid| format!("process {pid}"));
    pid.into_iter().chain(parts).collect::<Vec<_>>().join(", ")
}

/// The bound up to which a pass may take rows for certain, and who holds it back.
fn bound(reading: &XminReading, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut say = |text: String, tone: Tone| {
        lines.extend(hang(&text, width).into_iter().map(|text| Line::styled(text, theme.style(tone))));
    };
    let oldest = if reading.held_back > 0 { "the oldest transaction that still runs" } else { "no older one is open" };
    say(format!("safe upper bound   {}  ({oldest})", reading.safe_bound), Tone::Plain);
    say(format!("next transaction   {}", reading.next_xid), Tone::Plain);
    let mark = theme.mark(if reading.held_back > 0 { Tone::Warn } else { Tone::Good });
    let long = reading.held_for.map_or_else(String::new, |age| format!(" for {}", age.show(theme.ascii)));
    let by = reading.held_by.as_ref().map_or_else(String::new, |holder| format!(", by {}", who(holder)));
    let held = match reading.held_back {
        0 => format!("held back          {mark} nothing"),
        count => format!("held back          {mark} {}{long}{by}", units::counted(count, "transaction")),
    };
    say(held, if reading.held_back > 0 { Tone::Warn } else { Tone::Good });
    let naive = match reading.naive_would_skip {
        0 => "No older transaction is open: a watermark of max(xmin) would miss nothing now.".to_owned(),
        count => format!(
            "{} open. A watermark of max(xmin) would skip what {} later, for ever; the safe upper bound does not.",
            if count == 1 {
                "1 transaction is".to_owned()
            } else {
                format!("{} transactions are", units::count(count))
            },
            if count == 1 { "it commits" } else { "they commit" },
        ),
    };
    lines.extend(wrap(&naive, width).into_iter().map(Line::raw));
    lines
}

/// What the statistics say of each table, and how near the wraparound its oldest row is.
fn tables(sample: &Sample, width: usize, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
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
        let share = frozen.map_or_else(|| "?".to_owned(), |age| format!("{} %", age.saturating_mul(100) / HALF_CIRCLE));
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
