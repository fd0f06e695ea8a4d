//! The publication: created if it is missing, and what it lacks added if it is there.
//!
//! Tables are only ever added: the row filters and column lists of those that are in it stay as they are.

use super::identity::needs_identity;
use super::{Planner, Stage};
use crate::catalog::ddl;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::catalog::relation::Relation;
use crate::preflight::Status;
use crate::preflight::checks::publication::{is_covered, publishable};
use crate::profile::{Selection, TableName};
use crate::setup::condition;
use crate::setup::step::{Person, Step};
use crate::setup::wishes::{Coverage, Published};

const WHO: &str = "superuser, or the tables' owner with CREATE on the database";
const LOCK: &str = "SHARE UPDATE EXCLUSIVE on the table; reads and writes go on";
const IDENTITY_FIRST: &str = "Set the replica identities first (the owners' part of this setup): published without one, \
                              a table refuses UPDATE and DELETE.";

impl Planner<'_> {
    /// Creates or completes the publication.
    pub(super) fn publication(&mut self) {
        match self.facts.publication.get() {
            None => {}
            Some(None) => self.create_publication(),
            Some(Some(_)) => {
                self.publication_that_exists();
                self.complete_publication();
                self.leave_to_others();
            }
        }
    }

    fn create_publication(&mut self) {
        let name = self.profile.publication.clone();
        let tables: Vec<TableName> = publishable(self.facts).map(Relation::table).collect();
        if tables.is_empty() {
            return;
        }
        let why = match self.wishes.coverage {
            Coverage::Listed => "it is missing",
            _ => "it is missing; tables that are created later are published too, and each needs a replica identity",
        };
        let what = self.coverage(&tables);
        let sql = ddl::create_publication_for(&name, &what, !self.wishes.leaf_names);
        let guard = self.identity_guard(what == ddl::ALL_TABLES);
        self.record.created = true;
        let step = Step::new(Person::Administrator, &format!("Create publication {name}"), why, sql, WHO);
        self.step(Stage::Publication, step.lock(LOCK).unless(condition::publication(&name)).guard(guard));
    }

    fn coverage(&mut self, tables: &[TableName]) -> String {
        match (self.wishes.coverage, &self.profile.selection) {
            (Coverage::All, _) => ddl::ALL_TABLES.to_owned(),
            (Coverage::Schemas, Selection::Schemas(schemas)) if self.facts.server.major() >= 15 => {
                ddl::tables_in_schemas(schemas)
            }
            (Coverage::Schemas, selection) => {
                let text = match selection {
                    Selection::Schemas(_) => "TABLES IN SCHEMA needs PostgreSQL 15",
                    Selection::Tables(_) => "Single tables were chosen, not schemas",
                };
                self.plan
                    .note(&format!("{text}: the publication lists the tables one by one, without later ones."), []);
                ddl::tables(tables)
            }
            (Coverage::Listed, _) => ddl::tables(tables),
        }
    }

    /// Publishing a table without a usable replica identity breaks its application. The identities of chosen tables are
    /// set by owners, whose part may not have been run; of all tables nobody has looked at the others.
    fn identity_guard(&self, all: bool) -> Option<String> {
        if all {
            let which = "c.relpersistence = 'p' AND c.oid >= 16384";
            return Some(condition::demand_identities(which, IDENTITY_FIRST));
        }
        let mended: Vec<String> = self
            .facts
            .relations()
            .iter()
            .filter(|table| needs_identity(table))
            .map(|table| condition::table_oid(&table.table()))
            .collect();
        (!mended.is_empty())
            .then(|| condition::demand_identities(&format!("c.oid IN ({})", mended.join(", ")), IDENTITY_FIRST))
    }

    /// The publication as it is, if everything was wished for.
    fn publication_that_exists(&mut self) {
        let (Some(publication), Some(definition)) = (self.facts.the_publication(), &self.wishes.all) else { return };
        let name = &self.profile.publication;
        let mut parts = Vec::new();
        if publication.puballtables {
            parts.push(ddl::ALL_TABLES.to_owned());
        }
        if !definition.tables.is_empty() {
            let tables: Vec<String> = definition.tables.iter().map(listed).collect();
            parts.push(format!("TABLE {}", tables.join(", ")));
        }
        if !definition.schemas.is_empty() {
            parts.push(ddl::tables_in_schemas(&definition.schemas));
        }
        if parts.is_empty() {
            return;
        }
        let what = parts.join(", ");
        let mut sql = ddl::create_publication_for(name, &what, publication.pubviaroot);
        let kinds = [
            (publication.pubinsert, "insert"),
            (publication.pubupdate, "update"),
            (publication.pubdelete, "delete"),
            (publication.pubtruncate, "truncate"),
        ];
        if kinds.iter().any(|(on, _)| !on) {
            let on: Vec<&str> = kinds.iter().filter(|(on, _)| *on).map(|(_, kind)| *kind).collect();
            let publish = format!("publish = '{}'", on.join(", "));
            sql = match sql.strip_suffix(')') {
                Some(with) if publication.pubviaroot => format!("{with}, {publish})"),
                _ => format!("{sql} WITH ({publish})"),
            };
        }
        let step = Step::new(Person::Administrator, &format!("Create publication {name}"), "it is read", sql, WHO);
        self.step(Stage::Publication, step.lock(LOCK).unless(condition::publication(name)).exists(true));
    }

    fn complete_publication(&mut self) {
        let name = self.profile.publication.clone();
        let ours = self.ours();
        let missing: Vec<TableName> =
            publishable(self.facts).filter(|relation| !is_covered(relation, self.facts)).map(Relation::table).collect();
        // The first one's guard speaks for all: each with all of their names would make the script grow with their square.
        let mut guard = self.identity_guard(false);
        for table in missing {
            if !ours {
                self.record.added.push(table.clone());
            }
            let title = format!("Add {table} to publication {name}");
            let sql = ddl::add_table(&name, &table);
            let step = Step::new(Person::Administrator, &title, "the publication does not cover it", sql, WHO);
            let step = step.lock(LOCK).unless(condition::member(&name, &table)).guard(guard.take());
            self.step(Stage::Publication, step);
        }
    }

    /// Others may read this publication: changing what it sends is theirs to decide.
    fn leave_to_others(&mut self) {
        let name = &self.profile.publication;
        for (id, sql) in [
            ("publication-operations", ddl::publish_everything(name)),
            ("publication-via-root", ddl::publish_via_root(name)),
        ] {
            if id == "publication-via-root" && self.wishes.leaf_names {
                continue;
            }
            if let Some(finding) = self.report.finding(id).filter(|finding| finding.status == Status::Warn) {
                let text = format!("If nobody else relies on it, {}: {sql};", finding.summary);
                self.plan.note(&text, []);
            }
        }
    }
}

/// A table with its column list and its row filter, as `CREATE PUBLICATION` takes it.
fn listed(published: &Published) -> String {
    let mut text = quote_table(&published.table);
    if let Some(columns) = &published.columns {
        let columns = columns.iter().map(|column| quote_ident(column)).collect::<Vec<_>>().join(", ");
        text.push_str(&format!(" ({columns})"));
    }
    if let Some(filter) = &published.filter {
        text.push_str(&format!(" WHERE ({filter})"));
    }
    text
}
