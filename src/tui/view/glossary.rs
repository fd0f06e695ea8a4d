//! What the words and figures on the dashboard mean, for somebody who sees it for the first time at three in the morning.

use crate::tui::app::action::Panel;

/// A word, and what it means.
pub(super) type Term = (&'static str, &'static str);

const SLOTS: &[Term] = &[
    ("STATE", "how the slot is, in one word; the words stand below"),
    ("READER", "the process that reads the slot, and its application_name; or for how long there has been none"),
    ("UP", "for how long the reader has been connected"),
    ("REPLY", "how long ago it last answered; the server hangs up after wal_sender_timeout"),
    ("WAITS FOR", "what its walsender waits for now, as in pg_stat_activity"),
    ("LAG", "age of the oldest byte that is not confirmed; ~ is coarse, ≥ is at least"),
    ("UNCONF.", "bytes of log that the reader has not confirmed"),
    ("UNSENT", "of these, bytes that the server has not sent yet"),
    ("REDO", "bytes between restart_lsn and the confirmed position: read again after a restart"),
    ("CONF./S", "bytes that the reader confirms in a second"),
    ("HELD", "bytes of log that the slot keeps from being removed"),
    ("SAFE", "bytes that may still be written before the slot is in danger (max_slot_wal_keep_size)"),
    ("DIES IN", "time until then at the rate of the last minutes; the slot is lost at the checkpoint after"),
    ("LEFT", "SAFE or DIES IN, where there is room for one of them"),
    ("CATCHUP", "time until nothing is left to confirm; never: more is written than confirmed"),
    ("XMIN AGE", "transactions since the oldest whose rows vacuum may not remove because of the slot"),
    ("TREND", "bytes not confirmed, over time"),
];

const STATES: &[Term] = &[
    ("STREAMING", "keeps up"),
    ("IDLE", "keeps up, nothing is written"),
    ("POLLING", "read by function from time to time"),
    ("COPYING", "of a subscription's first copy of a table"),
    ("SYNCED", "a copy on a standby, for a failover"),
    ("CATCHING UP", "behind, and gaining"),
    ("BEHIND", "more is written than confirmed"),
    ("STALLED", "connected, and nothing is confirmed"),
    ("DETACHED", "nobody reads it, and it holds log"),
    ("FLAPPING", "the reader connects again and again"),
    ("CREATING", "its creation waits for transactions to end"),
    ("REWOUND", "its position went back"),
    ("DOOMED", "about to be lost"),
    ("LOST", "its log is gone; it can't be used any more"),
];

const SLOT: &[Term] = &[
    ("restart", "restart_lsn: the oldest log that the slot needs"),
    ("confirmed", "confirmed_flush_lsn: everything before has arrived and is kept there"),
    ("sent", "up to where the log was sent to the reader"),
    ("now", "the end of the log"),
    ("read again", "log between restart and confirmed: the server reads it again after a restart"),
    ("not confirmed", "the reader's turn: sent, and not confirmed"),
    ("not sent", "the server's turn, or the network's"),
    ("budget", "how much of max_slot_wal_keep_size the slot holds"),
    ("asked for", "the options of the reader's START_REPLICATION"),
    ("decoded", "what was decoded for it, and what of that did not fit into logical_decoding_work_mem (spilled)"),
];

const WAL: &[Term] = &[
    ("written", "bytes of log written in a second"),
    ("confirmed", "bytes that the selected slot's reader confirms in a second"),
    ("lag", "bytes that it has not confirmed"),
    ("full pages", "or fpi: share of the log that is whole pages, each after its first change since a checkpoint"),
    ("held", "what the slot that holds the most holds, of max_slot_wal_keep_size"),
    ("pg_wal", "the directory: needed is before the end of the log, recycled are files kept for later"),
    ("held by", "who keeps log from being removed, the most first"),
    ("spill", "transactions on disk that are too large to be decoded in memory"),
    ("used", "slots and walsenders, of max_replication_slots and max_wal_senders"),
    ("tx/s", "transactions in a second that have written"),
];

const LAG: &[Term] = &[
    ("bars", "the selected slot; each mark is another slot, as the line below names them"),
    ("A B C", "what happened then; the last line says what"),
    ("a gap", "nothing was seen then"),
];

const DIAGNOSIS: &[Term] = &[
    ("R1, X2", "the rule that found it; docs/diagnosis.md explains each"),
    ("CRIT", "something breaks soon, or has; WARN: it will if nothing changes; INFO: worth knowing"),
    ("22m", "for how long it has been so; clearing: it is going away; ack: somebody works on it"),
];

const TABLES: &[Term] = &[
    ("SOURCE~", "estimated rows; = is counted exactly"),
    ("DEST.~", "the same at the destination; = is counted by the run"),
    ("DRIFT", "rows at the source less rows at the destination: ~ as estimated, = as counted at one position"),
    ("PHASE", "where the run is with the table: waiting, copying, streaming"),
    ("INS/S", "rows inserted, updated and deleted in a second at the source"),
    ("HOT%", "updates that needed no new index entry"),
    ("DEAD", "rows that vacuum has to remove"),
    ("RI", "replica identity: what an update or delete tells of the old row; nothing makes them fail"),
    ("SIZE~", "on disk, without indexes"),
    ("APPLIED", "changes that the run has applied"),
];

const HORIZON: &[Term] = &[
    ("XIDS", "transactions since the one whose rows must stay"),
    ("AGE", "for how long the transaction has been open; of a slot how long ago that transaction was"),
    (
        "HOLDS",
        "which vacuum waits for it: of the catalogs only, or of every table; restart_lsn: slots keep log from its beginning on",
    ),
    ("oldest row", "how near the server is to an autovacuum against wraparound"),
];

const EVENTS: &[Term] = &[("marks", "trouble has the sign of a warning, everything else a dot")];

const XMIN: &[Term] = &[
    ("safe bound", "every transaction below it has ended: a pass may take it as its watermark"),
    ("watermark", "the bound of the last pass; the next one reads rows written at or after it"),
    ("held back", "transactions from the safe bound to the next: their rows are read once more"),
    ("not seen", "xmin shows no deletes: these rows still stand at the destination"),
    ("WRAPAROUND", "share of 2^31 transactions after which a row's xmin can't be compared"),
];

const VISIBILITY: &[Term] =
    &[("a fact", "something that the dashboard can show; this role does not see those with a question mark")];

const FLEET: &[Term] = &[
    ("STATE", "LOST: no answer; CRIT, WARN: the worst finding; OK: nothing is wrong"),
    ("SLOTS", "how many are well, of how many"),
    ("WORST LAG", "the largest lag in time of a slot"),
    ("DATA", "the age of what is shown"),
];

const TOP: &[Term] = &[
    ("TL3", "the timeline: it grows by one with each failover"),
    ("data 2s old", "the age of everything on the screen"),
    ("looks every 2s", "how often the source is asked, how long it works for that, and what share of a core that is"),
    ("sees 20 of 24", "facts that this role may see; v lists them"),
    ("?", "not known or not seen; never 0"),
];

/// What the words of a panel mean, by heading; without a panel those of the fleet.
pub(super) fn of(panel: Option<Panel>) -> Vec<(&'static str, &'static [Term])> {
    let (title, terms) = match panel {
        None => return vec![("What stands here", FLEET)],
        Some(Panel::Slots) => return vec![("The slots", SLOTS), ("Their states", STATES), ("Around", TOP)],
        Some(Panel::Slot | Panel::Reader) => ("The slot", SLOT),
        Some(Panel::Wal) => ("The log", WAL),
        Some(Panel::Lag) => ("The chart", LAG),
        Some(Panel::Diagnosis) => ("The diagnosis", DIAGNOSIS),
        Some(Panel::Tables | Panel::Table) => ("The tables", TABLES),
        Some(Panel::Horizon) => ("Who holds back vacuum", HORIZON),
        Some(Panel::Events) => ("The events", EVENTS),
        Some(Panel::Xmin) => ("Replication by xmin", XMIN),
        Some(Panel::Visibility) => ("What this role sees", VISIBILITY),
    };
    vec![(title, terms), ("Around", TOP)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::state::SlotState;

    #[test]
    fn ascii_says_it_all_but_for_the_sign_that_is_spelled_out() {
        let panels = Panel::ALL.into_iter().chain([Panel::Xmin, Panel::Visibility]).map(Some).chain([None]);
        for (term, meaning) in panels.flat_map(of).flat_map(|(_, terms)| terms) {
            assert!(term.is_ascii() && meaning.replace('≥', ">=").is_ascii(), "{term}: {meaning}");
        }
    }

    #[test]
    fn every_panel_and_every_state_is_explained() {
        for panel in Panel::ALL.into_iter().chain([Panel::Reader, Panel::Table, Panel::Xmin, Panel::Visibility]) {
            assert!(of(Some(panel)).iter().all(|(title, terms)| !title.is_empty() && !terms.is_empty()), "{panel:?}");
        }
        for state in SlotState::ALL {
            assert!(STATES.iter().any(|(word, _)| *word == state.name()), "{}", state.name());
        }
    }
}
