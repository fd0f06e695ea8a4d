//! A question with several answers.

use std::time::Duration;

use super::dashboard::{Dashboard, Export, SlotOrder, TableOrder};

/// A question with several answers, one of them chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// What is asked.
    pub title: &'static str,
    /// What it is about; safe to print.
    pub about: String,
    /// The answers, each with its words; not empty.
    pub lines: Vec<(String, Choice)>,
    /// The one that is chosen.
    pub at: usize,
    /// The number that is typed, as far as it goes; 0 before.
    pub typed: usize,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Hide the selected finding for so long, or until it is resolved.
    Mute(Option<Duration>),
    /// Write what is known in this format.
    Export(Export),
    /// Copy this text.
    Copy(String),
    /// Sort the slots.
    Slots(SlotOrder),
    /// Sort the tables.
    Tables(TableOrder),
}

impl Menu {
    /// Mute for how long?
    #[must_use]
    pub fn mute(finding: String) -> Self {
        let line = |text: &str, minutes: u64| {
            let time = (minutes > 0).then(|| Duration::from_secs(60 * minutes));
            (text.to_owned(), Choice::Mute(time))
        };
        let lines = vec![line("for 15 minutes", 15), line("for an hour", 60), line("until it is resolved", 0)];
        Self { title: "Mute a finding", about: finding, lines, at: 0, typed: 0 }
    }

    /// Export in which format?
    #[must_use]
    pub fn export() -> Self {
        let line = |format: Export| {
            let (name, about) = format.name();
            (format!("{name:<12}{about}"), Choice::Export(format))
        };
        let about = "What is on the screen, into a new file that only you can read. Names are in it, also while they are \
                     hidden here.";
        Self { title: "Export", about: about.to_owned(), lines: Export::ALL.map(line).to_vec(), at: 0, typed: 0 }
    }

    /// Sort the list that has the focus by what?
    #[must_use]
    pub fn sort(dashboard: &Dashboard) -> Self {
        let now = |is: bool| if is { "  (now)" } else { "" };
        let (lines, at) = if dashboard.panel().is_of_tables() {
            let order = dashboard.table_order().0;
            let line = |one: TableOrder| (format!("{}{}", one.words().1, now(one == order)), Choice::Tables(one));
            (TableOrder::ALL.map(line).to_vec(), TableOrder::ALL.iter().position(|one| *one == order))
        } else {
            let order = dashboard.listing().2;
            let line = |one: SlotOrder| (format!("{}{}", one.words().1, now(one == order)), Choice::Slots(one));
            (SlotOrder::ALL.map(line).to_vec(), SlotOrder::ALL.iter().position(|one| *one == order))
        };
        let about = "A number chooses a line; S turns the order round.".to_owned();
        Self { title: "Sort by", about, lines, at: at.unwrap_or(0), typed: 0 }
    }

    /// Takes a digit of the number of a line: the line is chosen as far as there is one.
    pub fn digit(&mut self, digit: u8) {
        let digit = usize::from(digit);
        let number = self.typed * 10 + digit;
        // A number that is too large begins anew with its last digit.
        self.typed = if number <= self.lines.len() { number } else { digit.min(self.lines.len()) };
        if self.typed > 0 {
            self.at = self.typed - 1;
        }
    }

    /// Copy what of the selected slot? `None` when there is nothing.
    #[must_use]
    pub fn copy(dashboard: &Dashboard) -> Option<Self> {
        let slots = dashboard.slots();
        let slot = slots.get(dashboard.selected_slot()).map(|(slot, _)| *slot);
        let sample = dashboard.picture().watcher.sample()?;
        let mut lines: Vec<(String, Choice)> = Vec::new();
        let mut add = |what: &str, value: Option<String>| {
            if let Some(value) = value {
                lines.push((format!("{what:<22}{}", crate::connection::printable(&value)), Choice::Copy(value)));
            }
        };
        let sent = slot.and_then(|slot| slot.consumer.as_ref()).and_then(|reader| reader.sent_lsn);
        add("the slot's name", slot.map(|slot| slot.name.clone()));
        add("confirmed_flush_lsn", slot.and_then(|slot| slot.confirmed_flush_lsn).map(|lsn| lsn.to_string()));
        add("restart_lsn", slot.and_then(|slot| slot.restart_lsn).map(|lsn| lsn.to_string()));
        add("sent_lsn", sent.map(|lsn| lsn.to_string()));
        add("the end of the log", sample.lsn.map(|lsn| lsn.to_string()));
        add("SQL of the finding", dashboard.sql());
        (!lines.is_empty()).then(|| Self { title: "Copy", about: String::new(), lines, at: 0, typed: 0 })
    }
}
