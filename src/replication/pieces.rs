//! In what pieces and in which form a table is copied.
//!
//! A large table is cut by the place of its rows (`ctid`), which several sessions can read at the same time without an
//! index and without reading a page twice. TID range scans exist from PostgreSQL 14; before, each piece would read the
//! whole table.

use super::destination::DestinationColumn;
use super::source::{Column, Size, SourceTable};

/// The least size of a piece in blocks (32 MiB with the usual 8 kB).
const LEAST_BLOCKS: u64 = 4096;
/// A table is cut into about so many pieces at the most: enough for sessions to share the work and for a copy that is
/// interrupted not to begin anew, and few transactions.
const MOST_PIECES: u64 = 64;

/// Rows of these blocks, the first included and the last not; without a last one all that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: u64,
    pub(super) end: Option<u64>,
}

impl Piece {
    /// All rows.
    pub(super) const WHOLE: Self = Self { first: 0, end: None };
    /// No rows.
    pub(super) const NOTHING: Self = Self { first: 0, end: Some(0) };

    /// The condition on `ctid`, if there is one.
    pub(super) fn condition(self) -> Option<String> {
        let from = (self.first > 0).then(|| format!("ctid >= '({},0)'::tid", self.first));
        let to = self.end.map(|end| format!("ctid < '({end},0)'::tid"));
        let both: Vec<String> = from.into_iter().chain(to).collect();
        (!both.is_empty()).then(|| both.join(" AND "))
    }
}

/// Cuts a table. Every row that a snapshot from before the measuring holds is in exactly one piece, however the table
/// grows: the last piece has no end.
pub(super) fn cut(size: Size) -> Vec<Piece> {
    let wanted = (size.blocks / LEAST_BLOCKS).clamp(1, MOST_PIECES);
    if !size.divisible || wanted == 1 || size.largest < 2 {
        return vec![Piece::WHOLE];
    }
    let step = size.largest.div_ceil(wanted).max(1);
    let count = size.largest.div_ceil(step);
    (0..count).map(|at| Piece { first: at * step, end: (at + 1 < count).then_some((at + 1) * step) }).collect()
}

/// Types whose binary form holds no object identifiers and is the same on every supported version
/// (`pg_type.dat`: these numbers never change). Money is missing because its digits depend on `lc_monetary`, `xml` because
/// its binary form carries an encoding, `reg…` because they are numbers of objects.
const PORTABLE: [u32; 68] = [
    16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 600, 601, 602, 603, 604, 628, 650, 700, 701, 718, 774, 829, 869, 1042,
    1043, 1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3220, 3802, // scalars
    3904, 3906, 3908, 3910, 3912, 3926, // ranges
    199, 651, 1000, 1001, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1041, 1115, 1182, 1183, 1185, 1187, 1231,
    1270, 1561, 1563, 2951, 3221, 3807, // arrays
];

/// Whether rows can go in COPY's binary form: every column has the same built-in type at both sides.
pub(super) fn binary<'a>(columns: impl IntoIterator<Item = (&'a Column, &'a DestinationColumn)>) -> bool {
    columns.into_iter().all(|(here, there)| here.type_oid == there.type_oid && PORTABLE.contains(&here.type_oid))
}

/// The published columns of `table` that are written at the destination, joined.
pub(super) fn carried<'a>(
    table: &'a SourceTable,
    there: &'a [DestinationColumn],
) -> Vec<(&'a Column, &'a DestinationColumn)> {
    let published = table.columns.iter().filter(|column| column.published);
    published
        .filter_map(|column| {
            let other = there.iter().find(|other| other.name == column.name && !other.generated)?;
            Some((column, other))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{PORTABLE, Piece, Size, cut};

    #[test]
    fn pieces_cover_every_block_once_and_what_is_added_later() {
        for (blocks, largest) in
            [(0, 0), (1, 1), (4096, 4096), (8191, 8191), (8192, 8192), (100_000, 100_000), (9_999_999, 77)]
        {
            let pieces = cut(Size { blocks, largest, divisible: true });
            assert!((1..=64).contains(&pieces.len()), "{blocks} blocks: {} pieces", pieces.len());
            assert_eq!(pieces[0].first, 0);
            assert_eq!(pieces[pieces.len() - 1].end, None);
            assert!(pieces.windows(2).all(|two| two[0].end == Some(two[1].first)), "{pieces:?}");
        }
        assert_eq!(cut(Size { blocks: 1_000_000, largest: 1_000_000, divisible: false }), [Piece::WHOLE]);
        assert_eq!(cut(Size { blocks: 8192, largest: 8192, divisible: true }).len(), 2);
    }

    #[test]
    fn a_piece_is_a_condition_on_ctid() {
        assert_eq!(Piece::WHOLE.condition(), None);
        let middle = Piece { first: 10, end: Some(20) };
        assert_eq!(middle.condition().unwrap(), "ctid >= '(10,0)'::tid AND ctid < '(20,0)'::tid");
    }

    #[test]
    fn portable_types_are_listed_once() {
        let mut list = PORTABLE.to_vec();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), PORTABLE.len());
    }
}
