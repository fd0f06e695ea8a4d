//! The replica identity of tables whose UPDATE and DELETE would fail once they are published.

use super::{Planner, Stage};
use crate::catalog::relation::Relation;
use crate::preflight::checks::identity::{self, Remedy};
use crate::setup::condition;
use crate::setup::record::Former;
use crate::setup::step::Step;

impl Planner<'_> {
    /// A usable unique index first, FULL where nothing else identifies a row; each partition by itself.
    pub(super) fn identities(&mut self) {
        if self.wishes.all.is_some() {
            self.identities_that_exist();
        }
        let ids = ["identity-usable", "identity-leaf-partitions", "publish-affects-others"];
        if !ids.into_iter().any(|id| self.blocked(id)) {
            return;
        }
        let facts = self.facts;
        for table in facts.relations().iter().filter(|table| needs_identity(table)) {
            self.mend(table);
        }
    }

    fn mend(&mut self, table: &Relation) {
        let name = table.table();
        let remedy = Remedy::for_table(table, self.facts.server.major());
        let reason = identity::reason(table);
        let Some(sql) = remedy.sql(table) else {
            let text = format!("Add a primary key to {name}: {reason}, and FULL fails with generated columns.");
            self.plan.note(&text, []);
            return;
        };
        let (why, made) = match remedy {
            Remedy::Full => (format!("{reason} and no unique index without NULLs, so the whole row has to do"), "f"),
            Remedy::Index(index) => (format!("{reason}; the unique index {index} can serve"), "i"),
            Remedy::PrimaryKey | Remedy::AddKey => (format!("{reason}; its primary key can serve"), "d"),
        };
        let setting = table.identity.setting.clone();
        let index = table.identity.index.clone().filter(|_| setting == "i");
        self.record.identities.push(Former { table: name.clone(), setting, index, made: made.to_owned() });
        let beside = if table.wanted { "" } else { " (not chosen, but in the publication)" };
        let who = format!("table owner ({})", table.owner);
        let title = format!("Set the replica identity of {name}{beside}");
        self.step(Stage::Owners, Step::new(self.owner(&table.owner), &title, &why, sql, &who).locking(name));
    }

    /// What is not PostgreSQL's default would have to be set again on a copy of this database.
    fn identities_that_exist(&mut self) {
        let facts = self.facts;
        let set = facts.relations().iter().filter(|table| table.wanted && table.is_leaf() && table.identity.usable());
        for table in set.filter(|table| table.identity.setting != "d") {
            let former = Former {
                table: table.table(),
                setting: table.identity.setting.clone(),
                index: table.identity.index.clone(),
                made: String::new(),
            };
            let Some(sql) = former.sql() else { continue };
            let title = format!("Set the replica identity of {}", former.table);
            let who = format!("table owner ({})", table.owner);
            let step = Step::new(self.owner(&table.owner), &title, "its rows are told apart so", sql, &who);
            let there = condition::identity(&former.table, &former.setting);
            self.step(Stage::Owners, step.unless(there).locking(former.table).exists(true));
        }
    }
}

/// Whether the server will refuse UPDATE and DELETE on it.
pub(super) fn needs_identity(table: &Relation) -> bool {
    table.is_leaf() && table.publishable && !table.identity.usable() && (table.wanted || table.published)
}
