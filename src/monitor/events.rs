//! What changed between two samples: the events on the time line.

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::sample::Sample;
use super::slot::Slot;
use super::slot_history::Departure;
use super::units;
use crate::connection::printable;

/// Something that happened at the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it was seen, on the source's clock.
    pub at: Moment,
    /// Whether it is trouble.
    pub trouble: bool,
    /// One sentence, safe to print.
    pub text: String,
}

/// What differs between two samples of one name, `before` and `after`.
#[must_use]
pub fn between(before: &Sample, after: &Sample) -> Vec<Event> {
    let mut events = Vec::new();
    let mut tell = |trouble: bool, text: String| events.push(Event { at: after.at, trouble, text });
    let (old, new) = (&before.server, &after.server);
    if old.system_identifier != new.system_identifier {
        tell(true, "Another cluster answers under this name: the system identifier changed.".to_owned());
        return events;
    }
    if old.timeline != new.timeline {
        tell(true, format!("Failover: timeline {} became {}.", old.timeline, new.timeline));
    }
    if old.started != new.started {
        tell(true, format!("The server was restarted at {}.", new.started.clock()));
    }
    for (name, setting) in &new.settings {
        if let Some(was) = old.settings.get(name).filter(|was| was.value != setting.value) {
            let unit = setting.unit.as_deref().unwrap_or_default();
            tell(
                false,
                format!("{name} changed from {} to {} {unit}", was.value, setting.value).trim_end().to_owned() + ".",
            );
        }
    }
    for slot in &after.slots {
        match before.slots.iter().find(|was| was.name == slot.name) {
            None => tell(false, format!("Slot {} was created.", printable(&slot.name))),
            Some(was) => slot_changes(was, slot, &mut tell),
        }
    }
    for slot in &before.slots {
        if !slot.temporary && !after.slots.iter().any(|is| is.name == slot.name) {
            tell(true, format!("Slot {} was dropped.", printable(&slot.name)));
        }
    }
    events
}

/// What is known of how a slot's reader went.
pub(super) fn departed(slot: &str, departure: &Departure) -> Option<Event> {
    let silent = departure.silent.filter(|_| departure.timed_out)?;
    let text = format!(
        "Slot {}: its reader had been silent for {}, as long as wal_sender_timeout allows: the server ended it.",
        printable(slot),
        units::span(silent)
    );
    Some(Event { at: departure.at, trouble: true, text })
}

/// The source's clock was set by `micros`.
pub(super) fn clock_set(at: Moment, micros: i64) -> Event {
    let way = if micros < 0 { "back" } else { "forward" };
    let by = units::span(std::time::Duration::from_micros(micros.unsigned_abs()));
    Event { at, trouble: true, text: format!("The server's clock was set {way} by {by}; ages allow for it.") }
}

fn slot_changes(was: &Slot, is: &Slot, tell: &mut impl FnMut(bool, String)) {
    let name = printable(&is.name);
    let pid = |slot: &Slot| slot.consumer.as_ref().map(|consumer| consumer.pid);
    match (pid(was), pid(is)) {
        (None, Some(pid)) => tell(false, format!("Slot {name}: process {pid} reads it now.")),
        (Some(pid), None) => tell(true, format!("Slot {name}: its reader, process {pid}, has gone.")),
        (Some(old), Some(new)) if old != new => {
            tell(true, format!("Slot {name}: process {new} took over from process {old}."));
        }
        _ => {}
    }
    if let (Some(old), Some(new)) = (was.wal_status, is.wal_status)
        && old != new
    {
        tell(new > old, format!("Slot {name}: WAL status went from {} to {}.", old.name(), new.name()));
    }
    if let (Some(old), Some(new)) = (was.reached(), is.reached())
        && new < old
    {
        tell(true, format!("Slot {name} went back from {old} to {new}: it was restored or made anew."));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Lsn;
    use crate::monitor::slot::{Consumer, WalStatus};

    fn sample(slots: Vec<Slot>) -> Sample {
        Sample { slots, ..Sample::default() }
    }

    fn texts(before: &Sample, after: &Sample) -> Vec<String> {
        between(before, after).into_iter().map(|event| event.text).collect()
    }

    #[test]
    fn a_slots_life_is_told() {
        let base = Slot { name: "s".into(), wal_status: Some(WalStatus::Reserved), ..Slot::default() };
        let read = Slot { consumer: Some(Consumer { pid: 7, ..Consumer::default() }), ..base.clone() };
        let lost = Slot { wal_status: Some(WalStatus::Lost), ..base.clone() };
        assert_eq!(texts(&sample(vec![]), &sample(vec![base.clone()])), ["Slot s was created."]);
        assert_eq!(
            texts(&sample(vec![base.clone()]), &sample(vec![read.clone()])),
            ["Slot s: process 7 reads it now."]
        );
        assert_eq!(
            texts(&sample(vec![read]), &sample(vec![lost])),
            ["Slot s: its reader, process 7, has gone.", "Slot s: WAL status went from reserved to lost."]
        );
        assert_eq!(texts(&sample(vec![base.clone()]), &sample(vec![])), ["Slot s was dropped."]);
        assert!(texts(&sample(vec![base.clone()]), &sample(vec![base])).is_empty());
    }

    #[test]
    fn a_slot_that_goes_back_and_a_promotion_are_trouble() {
        let at = |lsn| Slot { name: "s".into(), confirmed_flush_lsn: Some(Lsn(lsn)), ..Slot::default() };
        let mut promoted = sample(vec![at(5)]);
        promoted.server.timeline = 2;
        let events = between(&sample(vec![at(9)]), &promoted);
        assert!(events.iter().all(|event| event.trouble));
        assert_eq!(events.len(), 2, "{events:?}");
    }
}
