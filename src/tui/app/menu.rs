//! A question with several answers.

use std::time::Duration;

use super::dashboard::{Dashboard, Export};

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
        Self { title: "Mute a finding", about: finding, lines, at: 0 }
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
        Self { title: "Export", about: about.to_owned(), lines: Export::ALL.map(line).to_vec(), at: 0 }
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
        (!lines.is_empty()).then(|| Self { title: "Copy", about: String::new(), lines, at: 0 })
    }
}
