//! As what a table is published, so that a gap in it is noticed.
//!
//! A table that leaves a publication and comes back, or that is dropped and made anew, looks the same by its name, and the
//! stream says nothing of what was written in between. But the catalog gives every membership an OID that is never the
//! same again. As long as one of them has lasted, no change was left out; when none has, the table is copied again.
//!
//! The same holds for columns. One that is dropped and added under the same name is another one, whose values in the rows
//! from before are in no change; it has another number (`attnum`), and no number is given twice. So a name whose number
//! has changed tells that the table has to be copied again, and so does a number that was given since and is gone: a
//! column that came and went may have had the name of the one that came after it.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// What a table's changes come through.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Membership {
    /// The table's own OID.
    relation: u32,
    /// The memberships that publish it: `a` with the OID of a publication of all tables, `r` with that of a row of
    /// `pg_publication_rel`, `n` with that of a row of `pg_publication_namespace`.
    by: Vec<String>,
    /// Numbers and names of its columns; without the name where values are not published. Empty when not known.
    columns: Vec<(i16, String)>,
}

impl Membership {
    pub(super) fn new(relation: u32, by: Vec<String>) -> Self {
        Self { relation, by, columns: Vec::new() }
    }

    /// With the columns that the table has.
    pub(super) fn set_columns(&mut self, columns: Vec<(i16, String)>) {
        self.columns = columns;
    }

    /// Keeps the columns of `before` that the table has no longer: their values stay at the destination, where another
    /// column of such a name would find them.
    pub(super) fn keep_dropped(&mut self, before: &Self) {
        let gone = |(number, _): &&(i16, String)| !self.columns.iter().any(|(other, _)| other == number);
        let dropped: Vec<_> = before.columns.iter().filter(gone).cloned().collect();
        self.columns.extend(dropped);
        self.columns.sort();
    }

    /// Whether the table and its columns have been published without a gap since it was published as `before`.
    pub(super) fn lasted(&self, before: &Self) -> bool {
        self.relation == before.relation
            && self.by.iter().any(|one| before.by.contains(one))
            && self.kept_columns(before)
    }

    fn kept_columns(&self, before: &Self) -> bool {
        let last = |columns: &[(i16, String)]| columns.iter().map(|(number, _)| *number).max();
        let (Some(then), Some(now)) = (last(&before.columns), last(&self.columns)) else { return true };
        let numbers: HashSet<i16> = self.columns.iter().map(|(number, _)| *number).collect();
        let named: HashMap<&str, i16> = self.columns.iter().map(|(number, name)| (name.as_str(), *number)).collect();
        let another = |(number, name): &(i16, String)| {
            !name.is_empty() && named.get(name.as_str()).is_some_and(|now| now != number)
        };
        !before.columns.iter().any(another) && (then..=now).skip(1).all(|number| numbers.contains(&number))
    }

    /// Reads what [`fmt::Display`] has written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let relation = parts.next()?.parse().ok()?;
        let by = parts.next()?.split(',').map(str::to_owned).collect();
        let columns = parts.next().map(serde_json::from_str).transpose().ok()?.unwrap_or_default();
        Some(Self { relation, by, columns })
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = serde_json::to_string(&self.columns).map_err(|_| fmt::Error)?;
        write!(f, "{} {} {columns}", self.relation, self.by.join(","))
    }
}

/// The memberships of table `c` in publication `p`, as an array of text; a partition is also published by what
/// publishes the tables above it.
pub(super) fn sql(version: i32) -> String {
    // Publications of schemas exist from PostgreSQL 15.
    let schemas = if version >= 150_000 {
        "UNION ALL SELECT 'n' || m.oid FROM pg_publication_namespace m JOIN pg_class u ON u.relnamespace = m.pnnspid \
         WHERE m.pnpubid = pub.oid AND (u.oid = c.oid OR u.oid IN (SELECT relid FROM pg_partition_ancestors(c.oid)))"
    } else {
        ""
    };
    format!(
        "ARRAY(SELECT DISTINCT m.one FROM pg_publication pub CROSS JOIN LATERAL (\
             SELECT 'a' || pub.oid AS one WHERE pub.puballtables \
             UNION ALL SELECT 'r' || m.oid FROM pg_publication_rel m WHERE m.prpubid = pub.oid \
                 AND (m.prrelid = c.oid OR m.prrelid IN (SELECT relid FROM pg_partition_ancestors(c.oid))) \
             {schemas}) m WHERE pub.pubname = p.pubname ORDER BY 1)"
    )
}

#[cfg(test)]
mod tests {
    use super::Membership;

    fn membership(relation: u32, by: &[&str]) -> Membership {
        Membership::new(relation, by.iter().map(|one| (*one).to_owned()).collect())
    }

    #[test]
    fn one_membership_that_lasts_is_enough_and_another_table_is_never_the_same() {
        let before = membership(16_400, &["n20", "r10"]);
        assert!(before.lasted(&before));
        assert!(membership(16_400, &["r10"]).lasted(&before));
        assert!(!membership(16_400, &["r11"]).lasted(&before), "left and came back");
        assert!(!membership(16_401, &["r10"]).lasted(&before), "dropped and made anew");
        assert!(!membership(16_400, &[]).lasted(&membership(16_400, &[])), "nothing is known");
    }

    fn with(columns: &[(i16, &str)]) -> Membership {
        let mut one = membership(1, &["a5"]);
        one.set_columns(columns.iter().map(|(number, name)| (*number, (*name).to_owned())).collect());
        one
    }

    #[test]
    fn a_column_that_is_another_one_under_its_name_is_noticed() {
        let before = with(&[(1, "id"), (2, "a"), (3, "b"), (4, "")]);
        for (now, lasted, why) in [
            (with(&[(1, "id"), (2, "a"), (3, "b"), (4, ""), (5, "c")]), true, "added"),
            (with(&[(1, "id"), (3, "b"), (4, "")]), true, "dropped"),
            (with(&[(1, "id"), (2, "c"), (3, "b"), (4, "")]), true, "renamed: the stream tells"),
            (with(&[(1, "id"), (2, "a"), (3, "b"), (5, "")]), true, "its values come from the others"),
            (with(&[(1, "id"), (3, "b"), (4, ""), (5, "a")]), false, "dropped and added"),
            (with(&[(1, "id"), (2, "b"), (3, "a"), (4, "")]), false, "names exchanged"),
            (with(&[(1, "id"), (2, "a"), (3, "b"), (4, ""), (6, "c")]), false, "another one came and went"),
            (membership(1, &["a5"]), true, "not known"),
        ] {
            assert_eq!(now.lasted(&before), lasted, "{why}");
        }
        assert!(before.lasted(&membership(1, &["a5"])), "written down by an older version");
        let mut dropped = with(&[(1, "id"), (3, "b"), (4, "")]);
        dropped.keep_dropped(&before);
        assert_eq!(dropped, before);
        assert!(!with(&[(1, "id"), (3, "b"), (4, ""), (5, "a")]).lasted(&dropped), "added long after it was dropped");
        let mut renamed = with(&[(1, "id"), (2, "c"), (3, "b"), (4, "")]);
        renamed.keep_dropped(&before);
        assert!(with(&[(1, "id"), (2, "c"), (3, "b"), (4, ""), (5, "a")]).lasted(&renamed), "the name is free");
    }

    #[test]
    fn what_is_written_down_is_read_again() {
        for one in [membership(1, &["a5"]), membership(16_400, &["n20", "r10"]), with(&[(1, "a b"), (2, "\"\n")])] {
            assert_eq!(Membership::parse(&one.to_string()), Some(one));
        }
        assert_eq!(Membership::parse("1 a5"), Some(membership(1, &["a5"])), "of an older version");
        for wrong in ["x", "x r1", "1 r1 x"] {
            assert_eq!(Membership::parse(wrong), None, "{wrong}");
        }
    }
}
