//! Everything about one slot on a page: positions, reader, what it holds, its trouble and its past.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::paint::{fit, put, section, spark, spelled, squeeze, wrap};
use super::{findings, horizon, ruler, slots};
use crate::catalog::Lsn;
use crate::connection::printable;
use crate::monitor::reading::SlotReading;
use crate::monitor::slot::{Consumer, Slot};
use crate::monitor::{Moment, Sample, units};
use crate::tui::app::dashboard::Dashboard;
use crate::tui::view::theme::{Theme, Tone};

/// How many events of the slot are shown.
const EVENTS: usize = 12;
/// How many open transactions are shown.
const OPEN: usize = 3;

/// Draws the page.
pub(super) fn draw(dashboard: &Dashboard, theme: Theme, area: Rect, buf: &mut Buffer) {
    let picture = dashboard.picture();
    if let Some((slot, seen)) = dashboard.dropped_slot() {
        let title = format!("Slot {}", printable(&slot.name));
        let body = section(&title, "Esc goes back", true, theme, area, buf);
        let at = slot.reached().map_or_else(|| "no position".to_owned(), |lsn| format!("position {lsn}"));
        let text = format!(
            "{} This slot is not there any more: it was dropped. It was seen last at {} with {at}.",
            theme.mark(Tone::Bad),
            dashboard.display().times.clock(std::time::SystemTime::UNIX_EPOCH + seen.since(Moment(0)))
        );
        for (row, line) in (0..body.height).zip(wrap(&text, usize::from(body.width))) {
            put(&Line::styled(line, theme.style(Tone::Bad)), row, body, buf);
        }
        return;
    }
    let listed = dashboard.slots();
    let chosen = listed.get(dashboard.selected_slot()).copied();
    let name = chosen.map_or_else(String::new, |(slot, _)| format!(" {}", printable(&slot.name)));
    let mut body = section(&format!("Slot{name}"), "Enter: its reader, Esc goes back", true, theme, area, buf);
    let (Some(sample), Some((slot, numbers))) = (picture.watcher.sample(), chosen) else { return };
    ruler::positions(slot, sample, dashboard.display(), theme, body, buf);
    let used = 4.min(body.height);
    body = Rect { y: body.y + used, height: body.height - used, ..body };
    let page = Page { dashboard, sample, slot, numbers, theme, width: usize::from(body.width) };
    for (row, line) in (0..body.height).zip(page.lines().iter().skip(dashboard.scroll())) {
        put(line, row, body, buf);
    }
}

struct Page<'a> {
    dashboard: &'a Dashboard,
    sample: &'a Sample,
    slot: &'a Slot,
    numbers: &'a SlotReading,
    theme: Theme,
    width: usize,
}

impl Page<'_> {
    fn lines(&self) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        let tone = slots::tone(self.numbers.state);
        let state = format!("{} {}", self.theme.mark(tone), self.numbers.state.name());
        lines.push(Line::from(vec![Span::styled(state, self.theme.style(tone))]));
        for text in wrap(&ruler::about(self.slot, self.sample), self.width) {
            lines.push(Line::raw(text));
        }
        lines.push(Line::default());
        self.positions(&mut lines);
        self.history(&mut lines);
        lines.push(Line::default());
        self.holds(&mut lines);
        if let Some(reader) = &self.slot.consumer {
            lines.push(Line::default());
            self.reader(reader, &mut lines);
        }
        self.transactions(&mut lines);
        self.trouble(&mut lines);
        self.past(&mut lines);
        lines
    }

    fn bytes(&self, bytes: u64) -> String {
        self.dashboard.display().bytes(bytes)
    }

    fn rate(&self, rate: f64) -> String {
        self.dashboard.display().rate(rate)
    }

    /// A sentence over as many lines as it needs.
    fn say(&self, text: &str, lines: &mut Vec<Line<'static>>) {
        lines.extend(wrap(text, self.width).into_iter().map(Line::raw));
    }

    fn head(&self, text: &str) -> Line<'static> {
        Line::styled(text.to_owned(), self.theme.style(Tone::Title))
    }

    /// Each position with how far it is behind in bytes and in time.
    fn positions(&self, lines: &mut Vec<Line<'static>>) {
        lines.push(self.head("Position     LSN                 behind         written"));
        let sent = self.slot.consumer.as_ref().and_then(|reader| reader.sent_lsn);
        let rows = [
            ("restart", self.slot.restart_lsn),
            ("confirmed", self.slot.confirmed_flush_lsn),
            ("sent", sent),
            ("end of log", self.sample.lsn),
        ];
        for (name, position) in rows {
            let behind = position.and_then(|lsn| Some(self.sample.lsn?.bytes_since(lsn)));
            let age = position.and_then(|lsn: Lsn| self.dashboard.picture().watcher.history().clock().age(lsn));
            lines.push(Line::raw(format!(
                "{} {} {} {}",
                fit(name, 12, self.theme),
                fit(&known(position.map(|lsn| lsn.to_string())), 19, self.theme),
                fit(&known(behind.map(|bytes| self.bytes(bytes))), 14, self.theme),
                known(age.map(|age| format!("{} ago", age.show(self.theme.ascii)))),
            )));
        }
    }

    fn holds(&self, lines: &mut Vec<Line<'static>>) {
        let numbers = self.numbers;
        let held = if self.slot.is_lost() {
            "nothing: it is lost".to_owned()
        } else {
            known(numbers.retained_bytes.map(|bytes| self.bytes(bytes)))
        };
        let left = match (self.slot.is_lost(), numbers.safe_bytes) {
            (true, _) => "gone".to_owned(),
            (false, None) => "no limit (max_slot_wal_keep_size is -1)".to_owned(),
            (false, Some(left)) => self.bytes(u64::try_from(left).unwrap_or(0)),
        };
        let dies = numbers.dies_in.map_or_else(
            || "no loss in sight".to_owned(),
            |left| format!("lost in about {}, at the first checkpoint after", units::about(left)),
        );
        self.say(&format!("Holds {held}; left {left}; {dies}."), lines);
        let trend = match numbers.trend {
            Some(trend) if trend > 0.0 => format!("growing by {}", self.rate(trend)),
            Some(trend) => format!("shrinking by {}", self.rate(-trend)),
            None => "trend not known yet".to_owned(),
        };
        let catch = numbers
            .catches_up_in
            .map_or_else(String::new, |left| format!("; caught up in about {}", units::about(left)));
        let never = slots::catches_up(numbers) == "never" && numbers.trend.is_some_and(|trend| trend > 0.0);
        let catch = if never { "; at this rate it never catches up".to_owned() } else { catch };
        let confirmed = known(numbers.confirmed_rate.map(|rate| self.rate(rate)));
        self.say(&format!("Confirms {confirmed}; lag {trend}{catch}."), lines);
        let ages = [
            (
                "catalog_xmin",
                self.slot.catalog_xmin_age,
                "vacuum of the catalogs waits for it, vacuum of other tables does not",
            ),
            ("xmin", self.slot.xmin_age, "vacuum of every table waits for it"),
        ];
        for (name, age, effect) in ages {
            if let Some(age) = age.and_then(|age| u64::try_from(age).ok()) {
                let long = numbers
                    .horizon_age
                    .map_or_else(String::new, |age| format!(" ({} ago)", age.show(self.theme.ascii)));
                self.say(&format!("{name} is {} old{long}: {effect}.", units::counted(age, "transaction")), lines);
            }
        }
        if let Some(decoding) = &self.slot.decoding {
            self.say(
                &format!(
                    "Decoded {} in {}; {} in {} did not fit into memory; {} streamed before their commit.",
                    self.bytes(decoding.total_bytes),
                    units::counted(decoding.total_txns, "transaction"),
                    self.bytes(decoding.spill_bytes),
                    units::counted(decoding.spill_txns, "transaction"),
                    self.bytes(decoding.stream_bytes),
                ),
                lines,
            );
        }
        let spill = self.sample.files.known().and_then(|files| files.spill.as_ref());
        if let Some(spill) = spill.and_then(|all| all.iter().find(|one| one.slot == self.slot.name && one.files > 0)) {
            let text = format!(
                "On disk now: {} of open transactions in {}.",
                self.bytes(spill.bytes),
                units::counted(spill.files, "file")
            );
            self.say(&text, lines);
        }
        if let Some(true) = self.slot.two_phase {
            self.say("Prepared transactions are decoded when they are prepared (two_phase = true).", lines);
        }
        if let Some(failover) = self.slot.failover {
            let text = if failover {
                "It survives a failover (failover = true)."
            } else {
                "It does not survive a failover (failover = false)."
            };
            self.say(text, lines);
        }
    }

    fn reader(&self, reader: &Consumer, lines: &mut Vec<Line<'static>>) {
        lines.push(self.head("Reader"));
        let text =
            |value: &Option<String>| value.as_ref().map_or_else(|| "?".to_owned(), |text| printable(text).into_owned());
        let since =
            reader.backend_start.map(|start| units::span(Duration::from_secs(self.sample.at.since(start).as_secs())));
        self.say(
            &format!(
                "process {}, role {}, application {}, from {}, connected for {}",
                reader.pid,
                text(&reader.user),
                text(&reader.application_name),
                reader
                    .client_addr
                    .as_ref()
                    .map_or_else(|| "this host or ?".to_owned(), |from| printable(from).into_owned()),
                known(since),
            ),
            lines,
        );
        let asked = ruler::asked(self.slot, self.sample);
        if !asked.is_empty() {
            self.say(&asked, lines);
        }
        let heard = reader.reply_time.map(|reply| self.sample.at.since(reply));
        self.say(
            &format!(
                "state {}, waits for {}, heard {} ago; Enter tells more of it",
                text(&reader.state),
                text(&reader.wait),
                known(heard.map(units::span)),
            ),
            lines,
        );
    }

    /// Open transactions that have written: `restart_lsn` can't pass the oldest of them.
    fn transactions(&self, lines: &mut Vec<Line<'static>>) {
        let Some(context) = self.sample.context.known().filter(|_| !self.slot.is_lost()) else { return };
        let mut writing: Vec<_> = context.holders.iter().filter(|holder| holder.writing_age.is_some()).collect();
        if writing.is_empty() {
            return;
        }
        writing.sort_by_key(|holder| std::cmp::Reverse(holder.writing_age));
        lines.push(Line::default());
        lines.push(self.head("Open transactions: the oldest keeps restart_lsn where it began"));
        for holder in writing.iter().take(OPEN) {
            let since = holder.began.map(|began| Duration::from_secs(self.sample.at.since(began).as_secs()));
            let age = holder.writing_age.and_then(|age| u64::try_from(age).ok()).unwrap_or(0);
            let text = format!(
                "{}, open for {}, {} ago",
                horizon::name(holder),
                known(since.map(units::span)),
                units::counted(age, "transaction")
            );
            self.say(&text, lines);
        }
    }

    /// Its lag in bytes over the window of the charts, as a line.
    fn history(&self, lines: &mut Vec<Line<'static>>) {
        let Some(past) = self.dashboard.picture().watcher.history().slot(&self.slot.name) else { return };
        let lags = slots::lags(past);
        let most = lags.iter().copied().fold(0.0, f64::max);
        let room = self.width.saturating_sub(30).min(100);
        let drawn = spark(&squeeze(&lags, room), room.min(lags.len()), slots::SMALL_LAG, self.theme);
        lines.push(Line::from(vec![
            Span::raw("Lag so far   "),
            Span::styled(drawn, self.theme.style(Tone::Accent)),
            Span::raw(format!("  at most {}", self.bytes(units::round(most)))),
        ]));
    }

    fn trouble(&self, lines: &mut Vec<Line<'static>>) {
        let name = printable(&self.slot.name);
        let of_slot = self.dashboard.findings().iter().filter(|finding| finding.object == name);
        for finding in of_slot {
            lines.push(Line::default());
            let tone = findings::tone(finding.severity);
            let text = format!("{} {} {}", self.theme.mark(tone), finding.rule, finding.title);
            lines.push(Line::styled(spelled(&text, self.theme), self.theme.style(tone)));
            let say = |at| self.dashboard.display().times.say(at, self.sample.at);
            lines.extend(findings::details(finding, &say, self.width, self.theme));
        }
    }

    fn past(&self, lines: &mut Vec<Line<'static>>) {
        let word = format!(" {}", printable(&self.slot.name));
        let events: Vec<_> = self
            .dashboard
            .picture()
            .log
            .iter()
            .rev()
            .filter(|line| format!(" {}", line.text).contains(&word))
            .take(EVENTS)
            .collect();
        if events.is_empty() {
            return;
        }
        lines.push(Line::default());
        lines.push(self.head("Events"));
        for event in events {
            let at = self.dashboard.display().times.show(event.at, self.sample.at);
            lines.push(Line::raw(fit(&format!("{at:>8} {}", event.text), self.width, self.theme)));
        }
    }
}

fn known(value: Option<String>) -> String {
    value.unwrap_or_else(|| "?".to_owned())
}
