//! How a relation is split, and how far a pass is in it. Pure but for the question where a range of keys ends.
//!
//! Ranges of pages where the server can read them directly (TID range scans, PostgreSQL 14 and later). On 13 a first
//! read goes by ranges of the key, a later one reads the whole table at once, because each range would scan it all.

use tokio_postgres::Client;

use super::bound::Reading;
use crate::catalog::ident::{quote_ident, quote_literal};
use crate::replication::halt::{self, Halt, Side};

/// Rows between two checkpoints where ranges go by the key.
const RANGE_ROWS: u32 = 50_000;

/// A place between two rows of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// The first page that is not read yet.
    Page(u32),
    /// The last key that was read, each column's text.
    Key(Vec<String>),
}

impl Position {
    /// As kept at the destination: the kind, and an array.
    pub(super) fn encode(&self) -> (&'static str, Vec<String>) {
        match self {
            Self::Page(page) => ("page", vec![page.to_string()]),
            Self::Key(key) => ("key", key.clone()),
        }
    }

    /// The reverse; `None` for what this version does not know.
    pub(super) fn decode(kind: &str, values: &[String]) -> Option<Self> {
        match (kind, values) {
            ("page", [page]) => page.parse().ok().map(Self::Page),
            ("key", [_, ..]) => Some(Self::Key(values.to_vec())),
            _ => None,
        }
    }
}

/// How a relation can be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Split {
    Pages,
    Keys,
    Whole,
}

impl Split {
    /// How a relation is read that has pages of its own (`stored`), by a server of this version.
    pub(super) fn of(version: i32, stored: bool, reading: Reading) -> Self {
        match (version >= 140_000, stored) {
            (_, false) => Self::Whole,
            (true, true) => Self::Pages,
            (false, true) if reading == Reading::Everything => Self::Keys,
            (false, true) => Self::Whole,
        }
    }
}

/// A part of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Option<Position>,
    /// `None`: to the end.
    pub(super) to: Option<Position>,
}

/// What finding ranges needs.
pub(super) struct Ranges<'a> {
    pub(super) split: Split,
    /// As it stands behind FROM.
    pub(super) relation: &'a str,
    /// The key's columns with their types.
    pub(super) key: &'a [(String, String)],
    /// Pages of the relation, counted after the snapshot was taken: every row that it sees lies in them.
    pub(super) pages: u32,
    pub(super) range_pages: u32,
}

impl Ranges<'_> {
    /// The range that begins at `from`.
    pub(super) async fn next(&self, client: &Client, from: Option<Position>) -> Result<Range, Halt> {
        let to = match (self.split, &from) {
            (Split::Whole, _) => None,
            (Split::Pages, _) => {
                let begin = if let Some(Position::Page(page)) = from { page } else { 0 };
                let end = begin.saturating_add(self.range_pages.max(1));
                (end < self.pages).then_some(Position::Page(end))
            }
            (Split::Keys, _) => self.key_after(client, from.as_ref()).await?,
        };
        Ok(Range { from, to })
    }

    async fn key_after(&self, client: &Client, from: Option<&Position>) -> Result<Option<Position>, Halt> {
        let columns: Vec<String> = self.key.iter().map(|(name, _)| quote_ident(name)).collect();
        let texts: Vec<String> = columns.iter().map(|column| format!("{column}::text")).collect();
        let condition = self.condition(&Range { from: from.cloned(), to: None }).join(" AND ");
        let filter = if condition.is_empty() { String::new() } else { format!(" WHERE {condition}") };
        let sql = format!(
            "SELECT ARRAY[{}] FROM {}{filter} ORDER BY {} OFFSET {} LIMIT 1",
            texts.join(", "),
            self.relation,
            columns.join(", "),
            RANGE_ROWS.min(self.range_pages.saturating_mul(50)) - 1
        );
        let row = client.query_opt(&sql, &[]).await;
        let row = row.map_err(|error| halt::query(Side::Source, "finding the end of a range", &error))?;
        Ok(row.map(|row| Position::Key(row.get(0))))
    }

    /// The conditions that hold for the rows of `range`.
    pub(super) fn condition(&self, range: &Range) -> Vec<String> {
        let columns: Vec<String> = self.key.iter().map(|(name, _)| quote_ident(name)).collect();
        let row = |values: &[String]| {
            let values: Vec<String> = values
                .iter()
                .zip(self.key)
                .map(|(value, (_, type_name))| format!("{}::{type_name}", quote_literal(value)))
                .collect();
            values.join(", ")
        };
        let side = |position: &Position, page: &str, key: &str| match position {
            Position::Page(number) => format!("ctid {page} '({number},0)'::tid"),
            Position::Key(values) => format!("({}) {key} ({})", columns.join(", "), row(values)),
        };
        let from = range.from.as_ref().map(|position| side(position, ">=", ">"));
        let to = range.to.as_ref().map(|position| side(position, "<", "<="));
        from.into_iter().chain(to).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Position, Range, Ranges, Reading, Split};
    use crate::replication::xmin::bound::Xid;

    #[test]
    fn a_position_survives_being_written_down() {
        for position in [Position::Page(0), Position::Page(u32::MAX), Position::Key(vec!["a'b".into(), String::new()])]
        {
            let (kind, values) = position.encode();
            assert_eq!(Position::decode(kind, &values), Some(position));
        }
        for (kind, values) in [("page", vec!["x"]), ("page", vec![]), ("key", vec![]), ("other", vec!["1"])] {
            let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
            assert_eq!(Position::decode(kind, &values), None, "{kind} {values:?}");
        }
    }

    #[test]
    fn an_old_server_scans_once_for_changes_and_by_the_key_for_everything() {
        assert_eq!(Split::of(130_000, true, Reading::Everything), Split::Keys);
        assert_eq!(Split::of(130_000, true, Reading::Since(Xid(3))), Split::Whole);
        assert_eq!(Split::of(140_000, true, Reading::Since(Xid(3))), Split::Pages);
        assert_eq!(Split::of(180_000, false, Reading::Everything), Split::Whole);
    }

    #[test]
    fn conditions_leave_no_row_between_two_ranges() {
        let key = [("k".to_owned(), "integer".to_owned()), ("Odd".to_owned(), "\"s\".\"T\"".to_owned())];
        let ranges = Ranges { split: Split::Pages, relation: "t", key: &key, pages: 10, range_pages: 4 };
        let page = |from: Option<u32>, to: Option<u32>| {
            ranges.condition(&Range { from: from.map(Position::Page), to: to.map(Position::Page) }).join(" AND ")
        };
        assert_eq!(page(None, None), "");
        assert_eq!(page(Some(4), Some(8)), "ctid >= '(4,0)'::tid AND ctid < '(8,0)'::tid");
        let at = Some(Position::Key(vec!["7".into(), "it's".into()]));
        let range = Range { from: at.clone(), to: at };
        assert_eq!(
            ranges.condition(&range),
            [
                r#"("k", "Odd") > ('7'::integer, 'it''s'::"s"."T")"#,
                r#"("k", "Odd") <= ('7'::integer, 'it''s'::"s"."T")"#
            ]
        );
    }
}
