//! In what pieces and in which form a table is copied.
//!
//! A large table is cut by the place of its rows (`ctid`), which several sessions can read at the same time without an
//! index and without reading a page twice. TID range scans exist from PostgreSQL 14. Before, a table is cut by its key,
//! where its rows lie in about the key's order, so that a piece is a part of the file there as well.

use std::sync::Arc;

use super::destination::DestinationColumn;
use super::source::{Bounds, Column, Size, SourceTable};
use crate::catalog::ident::{quote_ident, quote_literal};

/// The least size of a piece in blocks (32 MiB with the usual 8 kB).
const LEAST_BLOCKS: u64 = 4096;
/// A table is cut into about so many pieces at the most: enough for sessions to share the work and for a copy that is
/// interrupted not to begin anew, and few transactions.
const MOST_PIECES: u64 = 64;

/// A part of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// What tells it from the others of its table: its first block, or its number.
    pub(super) first: u64,
    part: Part,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Everything,
    Nothing,
    /// The rows for which a condition on `ctid` holds.
    Blocks(Arc<str>),
    /// The rows for which a condition on the key holds.
    Keys(Arc<str>),
}

impl Piece {
    /// All rows.
    pub(super) const WHOLE: Self = Self { first: 0, part: Part::Everything };
    /// No rows.
    pub(super) const NOTHING: Self = Self { first: 0, part: Part::Nothing };

    /// The condition on its rows, if there is one.
    pub(super) fn condition(&self) -> Option<&str> {
        match &self.part {
            Part::Everything => None,
            Part::Nothing => Some("false"),
            Part::Blocks(condition) | Part::Keys(condition) => Some(condition),
        }
    }

    /// Whether an index has to find its rows: without it each piece would read the whole table.
    pub(super) fn by_key(&self) -> bool {
        matches!(self.part, Part::Keys(_))
    }

    fn of_blocks(first: u64, end: Option<u64>) -> Self {
        let from = (first > 0).then(|| format!("ctid >= '({first},0)'::tid"));
        let to = end.map(|end| format!("ctid < '({end},0)'::tid"));
        let both: Vec<String> = from.into_iter().chain(to).collect();
        Self { first, part: Part::Blocks(both.join(" AND ").into()) }
    }

    fn of_keys(first: u64, bounds: &Bounds, after: Option<&String>, to: Option<&String>) -> Self {
        let side = |sign: &str, value: &String| {
            format!("{} {sign} {}::{}", quote_ident(&bounds.column), quote_literal(value), bounds.type_name)
        };
        let both: Vec<String> =
            after.map(|value| side(">", value)).into_iter().chain(to.map(|value| side("<=", value))).collect();
        Self { first, part: Part::Keys(both.join(" AND ").into()) }
    }
}

/// Cuts a table. Every row that a snapshot from before the measuring holds is in exactly one piece, however the table
/// grows: the last piece has no end.
pub(super) fn cut(size: &Size) -> Vec<Piece> {
    let wanted = (size.blocks / LEAST_BLOCKS).clamp(1, MOST_PIECES);
    if wanted == 1 {
        return vec![Piece::WHOLE];
    }
    if let Some(bounds) = &size.bounds {
        return by_key(bounds, usize::try_from(wanted).unwrap_or(1));
    }
    if !size.divisible || size.largest < 2 {
        return vec![Piece::WHOLE];
    }
    let step = size.largest.div_ceil(wanted).max(1);
    let count = size.largest.div_ceil(step);
    (0..count).map(|at| Piece::of_blocks(at * step, (at + 1 < count).then_some((at + 1) * step))).collect()
}

/// Cuts at values that lie about evenly among those that the statistics know.
fn by_key(bounds: &Bounds, wanted: usize) -> Vec<Piece> {
    let inner = bounds.values.get(1..bounds.values.len().saturating_sub(1)).unwrap_or_default();
    let wanted = wanted.min(inner.len() + 1);
    let cuts: Vec<&String> = (1..wanted).filter_map(|at| inner.get(at * inner.len() / wanted)).collect();
    if cuts.is_empty() {
        return vec![Piece::WHOLE];
    }
    let ends = cuts.iter().copied().map(Some).chain([None]);
    let begins = [None].into_iter().chain(cuts.iter().copied().map(Some));
    begins.zip(ends).zip(0..).map(|((after, to), first)| Piece::of_keys(first, bounds, after, to)).collect()
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
    use super::{Bounds, PORTABLE, Piece, Size, cut};

    fn size(blocks: u64, largest: u64, divisible: bool) -> Size {
        Size { blocks, largest, divisible, bounds: None }
    }

    #[test]
    fn pieces_cover_every_block_once_and_what_is_added_later() {
        for (blocks, largest) in
            [(0, 0), (1, 1), (4096, 4096), (8191, 8191), (8192, 8192), (100_000, 100_000), (9_999_999, 77)]
        {
            let pieces = cut(&size(blocks, largest, true));
            assert!((1..=64).contains(&pieces.len()), "{blocks} blocks: {} pieces", pieces.len());
            assert_eq!(pieces[0].first, 0);
            for two in pieces.windows(2) {
                let meets = format!("ctid < '({},0)'::tid", two[1].first);
                assert!(two[0].condition().unwrap().ends_with(&meets), "{pieces:?}");
                assert!(two[1].condition().unwrap().starts_with(&meets.replace('<', ">=")), "{pieces:?}");
            }
            let last = pieces[pieces.len() - 1].condition().unwrap_or_default();
            assert!(!last.contains('<'), "{last}");
        }
        assert_eq!(cut(&size(1_000_000, 1_000_000, false)), [Piece::WHOLE]);
        assert_eq!(cut(&size(8192, 8192, true)).len(), 2);
    }

    #[test]
    fn pieces_by_key_leave_no_value_between_them() {
        let values = |count: u64| (0..count).map(|at| format!("it's {at}")).collect::<Vec<_>>();
        for (blocks, count, pieces) in
            [(8192, 101, 2), (1_000_000, 101, 64), (1_000_000, 5, 4), (9000, 2, 1), (9000, 0, 1)]
        {
            let bounds = Bounds { column: "K".to_owned(), type_name: "text".to_owned(), values: values(count) };
            let cut = cut(&Size { bounds: Some(bounds), ..size(blocks, blocks, false) });
            assert_eq!(cut.len(), pieces, "{blocks} blocks, {count} values");
            assert!(pieces == 1 || cut.iter().all(Piece::by_key));
            for two in cut.windows(2) {
                let (one, other) = (two[0].condition().unwrap(), two[1].condition().unwrap());
                let end = &one[one.find("\"K\" <= ").unwrap()..];
                assert!(other.starts_with(&end.replace("<=", ">")), "{one} and {other}");
                assert!(two[0].first < two[1].first);
            }
            assert!(cut.last().unwrap().condition().is_none_or(|last| !last.contains("<=")));
        }
        let bounds = Bounds { column: "K".to_owned(), type_name: "text".to_owned(), values: values(101) };
        let cut = cut(&Size { bounds: Some(bounds), ..size(8192, 8192, false) });
        assert_eq!(cut[0].condition().unwrap(), r#""K" <= 'it''s 50'::text"#);
    }

    #[test]
    fn portable_types_are_listed_once() {
        let mut list = PORTABLE.to_vec();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), PORTABLE.len());
    }
}
