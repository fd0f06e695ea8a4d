//! As what a table is published, so that a gap in it is noticed.
//!
//! A table that leaves a publication and comes back, or that is dropped and made anew, looks the same by its name, and the
//! stream says nothing of what was written in between. But the catalog gives every membership an OID that is never the
//! same again. As long as one of them has lasted, no change was left out; when none has, the table is copied again.

use std::fmt;

/// What a table's changes come through.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Membership {
    /// The table's own OID.
    relation: u32,
    /// The memberships that publish it: `a` with the OID of a publication of all tables, `r` with that of a row of
    /// `pg_publication_rel`, `n` with that of a row of `pg_publication_namespace`.
    by: Vec<String>,
}

impl Membership {
    pub(super) fn new(relation: u32, by: Vec<String>) -> Self {
        Self { relation, by }
    }

    /// Whether the table has been published without a gap since it was published as `before`.
    pub(super) fn lasted(&self, before: &Self) -> bool {
        self.relation == before.relation && self.by.iter().any(|one| before.by.contains(one))
    }

    /// Reads what [`fmt::Display`] has written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (relation, by) = text.split_once(' ')?;
        Some(Self { relation: relation.parse().ok()?, by: by.split(',').map(str::to_owned).collect() })
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.relation, self.by.join(","))
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

    #[test]
    fn what_is_written_down_is_read_again() {
        for one in [membership(1, &["a5"]), membership(16_400, &["n20", "r10"])] {
            assert_eq!(Membership::parse(&one.to_string()), Some(one));
        }
        assert_eq!(Membership::parse("x"), None);
        assert_eq!(Membership::parse("x r1"), None);
    }
}
