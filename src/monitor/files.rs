//! What lies in `pg_wal`, in the archiver's queue and in the slots' spill files: for roles that may list them.

use serde::{Deserialize, Serialize};

use super::context::nothing_is_empty;
use super::moment::Moment;
use crate::catalog::Lsn;

/// The WAL directory, read every 30 seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Files {
    /// When it was read, on the source's clock.
    pub at: Moment,
    /// Segments in `pg_wal`.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of segments before the current one: held by somebody, or not removed yet. `None` on a standby.
    pub behind: Option<u64>,
    /// Bytes of recycled segments after the current one: they hold nothing. `None` on a standby.
    pub ahead: Option<u64>,
    /// Segments that wait for the archiver.
    pub ready: Option<u64>,
    /// Changes of open transactions that did not fit into memory, by slot (15 and newer, slots that are read).
    pub spill: Option<Vec<Spill>>,
}

/// The spill files of a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spill {
    /// The slot.
    pub slot: String,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The directory as it travels.
#[derive(Deserialize)]
pub(super) struct WireFiles {
    at: Moment,
    segments: u64,
    bytes: u64,
    behind: Option<u64>,
    ahead: Option<u64>,
    #[serde(default, deserialize_with = "nothing_is_empty")]
    written: Vec<(String, f64)>,
    ready: Option<u64>,
    spill: Option<Vec<Spill>>,
    of: Option<String>,
}

impl WireFiles {
    /// The directory, and when the log ended where: at the end of each listed segment, when that was last written.
    /// `knows_spill`: the server can list spill files at all.
    pub(super) fn read(self, segment_size: u64, knows_spill: bool) -> (Files, Vec<(Lsn, Moment)>) {
        let on_primary = self.of.is_some();
        let ends = self
            .written
            .iter()
            .filter_map(|(name, written)| Some((segment_end(name, segment_size)?, Moment::from_epoch(*written))));
        let mut written: Vec<(Lsn, Moment)> = Vec::new();
        // A segment is never written before the one before it; a time that says so was touched by somebody.
        for (lsn, at) in ends {
            while written.last().is_some_and(|(_, before)| *before > at) {
                written.pop();
            }
            written.push((lsn, at));
        }
        let files = Files {
            at: self.at,
            segments: self.segments,
            bytes: self.bytes,
            behind: on_primary.then(|| self.behind.unwrap_or(0)),
            ahead: on_primary.then(|| self.ahead.unwrap_or(0)),
            ready: self.ready,
            spill: knows_spill.then(|| self.spill.unwrap_or_default()),
        };
        (files, written)
    }
}

/// Where the segment called `name` ends. A name is the timeline, then the position: its upper 32 bits, and how many
/// segments stand before it below those (PostgreSQL source, `XLogFileName`).
fn segment_end(name: &str, segment_size: u64) -> Option<Lsn> {
    let number = |range| u64::from_str_radix(name.get(range)?, 16).ok();
    let (high, low) = (number(8..16)?, number(16..24)?);
    Some(Lsn((high << 32).checked_add((low + 1).checked_mul(segment_size)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segments_name_tells_its_end() {
        let mb = 1 << 20;
        assert_eq!(segment_end("000000010000000000000001", 16 * mb), Some(Lsn(0x200_0000)));
        assert_eq!(segment_end("00000002000000A1000000FF", 16 * mb), Some(Lsn(0xA2_0000_0000)));
        assert_eq!(segment_end("000000010000000000000001", mb), Some(Lsn(0x20_0000)));
        assert_eq!(segment_end("nonsense", mb), None);
    }

    #[test]
    fn times_that_go_back_are_left_out() {
        let name = |at: u64| format!("0000000100000000{at:08X}");
        let wire = WireFiles {
            at: Moment(0),
            segments: 3,
            bytes: 48 << 20,
            behind: None,
            ahead: None,
            written: vec![(name(1), 10.0), (name(2), 99.0), (name(3), 20.0)],
            ready: Some(0),
            spill: None,
            of: Some(name(4)),
        };
        let (files, written) = wire.read(16 << 20, true);
        assert_eq!(written.iter().map(|(_, at)| at.0 / 1_000_000).collect::<Vec<_>>(), [10, 20]);
        assert_eq!((files.behind, files.spill), (Some(0), Some(vec![])));
    }
}
