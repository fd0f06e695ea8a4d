//! One word that says how a slot is.

use std::time::Duration;

use serde::Serialize;

use super::slot::{Consumer, Slot, SlotKind, WalStatus};
use super::thresholds;

/// How a slot is; the first that fits, from the worst on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// Its log is gone; it has to be dropped.
    Lost,
    /// It will be lost at the next checkpoint, or within minutes.
    Doomed,
    /// It is being made and waits for open transactions.
    Creating,
    /// Its readers come and go.
    Flapping,
    /// Nobody reads it.
    Detached,
    /// Its position went back: it was restored or made anew.
    Rewound,
    /// Somebody reads it but confirms nothing, though everything was sent.
    Stalled,
    /// The log grows faster than it is confirmed.
    Behind,
    /// It lags, and less each second.
    CatchingUp,
    /// It keeps up.
    Streaming,
    /// It keeps up with a log that does not grow; or it was never used and holds nothing.
    Idle,
    /// It is read by function calls instead of a stream.
    Polling,
    /// A standby's copy of a slot of the primary.
    Synced,
    /// It waits for the first copy of a subscription's table.
    Copying,
}

impl SlotState {
    /// Every word, from the worst on.
    pub const ALL: [Self; 14] = [
        Self::Lost,
        Self::Doomed,
        Self::Creating,
        Self::Flapping,
        Self::Detached,
        Self::Rewound,
        Self::Stalled,
        Self::Behind,
        Self::CatchingUp,
        Self::Streaming,
        Self::Idle,
        Self::Polling,
        Self::Synced,
        Self::Copying,
    ];

    /// The word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "LOST",
            Self::Doomed => "DOOMED",
            Self::Creating => "CREATING",
            Self::Flapping => "FLAPPING",
            Self::Detached => "DETACHED",
            Self::Rewound => "REWOUND",
            Self::Stalled => "STALLED",
            Self::Behind => "BEHIND",
            Self::CatchingUp => "CATCHING UP",
            Self::Streaming => "STREAMING",
            Self::Idle => "IDLE",
            Self::Polling => "POLLING",
            Self::Synced => "SYNCED",
            Self::Copying => "COPYING",
        }
    }

    /// Whether replication through the slot is broken, or about to be.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Lost | Self::Doomed | Self::Flapping | Self::Detached | Self::Rewound | Self::Stalled)
    }

    /// Whether it is well.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Streaming | Self::Idle | Self::Synced | Self::Polling)
    }
}

/// What the word depends on, beside the slot itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signs {
    pub(super) lag_bytes: Option<u64>,
    pub(super) lag_age: Option<Duration>,
    pub(super) trend: Option<f64>,
    pub(super) dies_in: Option<Duration>,
    pub(super) stalled: bool,
    pub(super) rewound: bool,
    /// Its readers come and go.
    pub(super) flapping: bool,
    /// They come for a moment and bring it on.
    pub(super) polled: bool,
    pub(super) wal_moves: bool,
}

impl SlotState {
    /// The word for `slot`.
    pub(super) fn of(slot: &Slot, signs: Signs) -> Self {
        let dying = signs.dies_in.is_some_and(|left| left < thresholds::DOOMED_WITHIN);
        // What is in flight between two answers of a healthy consumer is not worth a word.
        let many = signs.lag_bytes.is_some_and(|bytes| bytes > thresholds::LARGE_LAG_BYTES);
        let large = many || signs.lag_age.is_some_and(|age| age > thresholds::LARGE_LAG_AGE);
        let noise = if many { thresholds::TREND_BYTES_PER_SECOND } else { thresholds::LATE_BYTES_PER_SECOND };
        if slot.is_lost() {
            Self::Lost
        } else if slot.wal_status == Some(WalStatus::Unreserved) || dying {
            Self::Doomed
        } else if slot.is_being_created() {
            Self::Creating
        } else if slot.synced == Some(true) {
            Self::Synced
        } else if slot.is_table_sync() && !slot.active {
            Self::Copying
        } else if slot.consumer.as_ref().map_or(signs.polled, Consumer::polls) {
            Self::Polling
        } else if signs.flapping {
            Self::Flapping
        } else if !slot.active && slot.kind == SlotKind::Physical && slot.holds_nothing() {
            Self::Idle
        } else if !slot.active {
            Self::Detached
        } else if signs.rewound {
            Self::Rewound
        } else if signs.stalled {
            Self::Stalled
        } else {
            match signs.trend {
                Some(trend) if large && trend > noise => Self::Behind,
                Some(trend) if large && trend < -noise => Self::CatchingUp,
                _ if !signs.wal_moves && !large => Self::Idle,
                _ => Self::Streaming,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Lsn;

    #[test]
    fn the_worst_word_that_fits_wins() {
        let read = Slot {
            name: "s".into(),
            active: true,
            restart_lsn: Some(Lsn(1)),
            confirmed_flush_lsn: Some(Lsn(2)),
            wal_status: Some(WalStatus::Reserved),
            consumer: Some(Consumer { pid: 7, backend_type: Some("walsender".into()), ..Consumer::default() }),
            ..Slot::default()
        };
        let alone = Slot { active: false, consumer: None, ..read.clone() };
        let polled = Consumer { backend_type: Some("client backend".into()), ..Consumer::default() };
        let calm = Signs { lag_bytes: Some(100), trend: Some(1e6), wal_moves: true, ..Signs::default() };
        let lagging = Signs { lag_bytes: Some(1 << 30), ..calm };
        let cases = [
            (SlotState::Streaming, read.clone(), calm),
            (SlotState::Idle, read.clone(), Signs { wal_moves: false, ..calm }),
            (SlotState::Behind, read.clone(), lagging),
            (
                SlotState::Behind,
                read.clone(),
                Signs { lag_age: Some(Duration::from_secs(67)), trend: Some(5e3), ..calm },
            ),
            (SlotState::Streaming, read.clone(), Signs { lag_age: Some(Duration::from_secs(5)), ..calm }),
            (SlotState::CatchingUp, read.clone(), Signs { trend: Some(-1e6), ..lagging }),
            (SlotState::Streaming, read.clone(), Signs { trend: None, ..lagging }),
            (SlotState::Stalled, read.clone(), Signs { stalled: true, ..lagging }),
            (SlotState::Rewound, read.clone(), Signs { rewound: true, stalled: true, ..lagging }),
            (SlotState::Detached, alone.clone(), calm),
            (SlotState::Flapping, read.clone(), Signs { flapping: true, ..calm }),
            (SlotState::Polling, Slot { consumer: Some(polled), ..read.clone() }, Signs { flapping: true, ..calm }),
            (SlotState::Polling, alone.clone(), Signs { polled: true, ..calm }),
            (SlotState::Copying, Slot { name: "pg_1_sync_2_3".into(), ..alone.clone() }, calm),
            (SlotState::Synced, Slot { synced: Some(true), ..alone.clone() }, calm),
            (SlotState::Creating, Slot { confirmed_flush_lsn: None, ..read.clone() }, calm),
            (SlotState::Doomed, read.clone(), Signs { dies_in: Some(Duration::from_secs(60)), ..calm }),
            (SlotState::Doomed, Slot { wal_status: Some(WalStatus::Unreserved), ..alone.clone() }, calm),
            (SlotState::Idle, Slot { kind: SlotKind::Physical, restart_lsn: None, ..alone.clone() }, calm),
            (SlotState::Lost, Slot { wal_status: Some(WalStatus::Lost), ..alone.clone() }, calm),
            (SlotState::Lost, Slot { invalidation_reason: Some("idle_timeout".into()), ..alone }, calm),
        ];
        for (word, slot, signs) in cases {
            assert_eq!(SlotState::of(&slot, signs), word);
        }
    }
}
