//! What the replicating role may read: the database, schemas, tables, tables to come, and all of their rows.

use std::collections::BTreeMap;

use super::{Planner, Stage};
use crate::catalog::ddl;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::catalog::relation::Relation;
use crate::preflight::checks::tables::{uncovered_creators, wanted_schemas};
use crate::profile::{Selection, TableName};
use crate::setup::condition;
use crate::setup::step::{Person, Step};

/// So many tables stand in one GRANT at most: a statement stays readable, and its error can be found.
const TABLES_AT_ONCE: usize = 50;

impl Planner<'_> {
    /// CONNECT on the database.
    pub(super) fn connect(&mut self) {
        let Some(database) = self.facts.database.get() else { return };
        let user = self.user().to_owned();
        let who = format!("database owner ({})", database.owner);
        let title = format!("Let {user} connect to {}", database.name);
        let sql = ddl::grant_connect(&database.name, &user);
        let missing = !database.connect;
        self.record.connect |= missing;
        let step = Step::new(Person::Administrator, &title, "it has no CONNECT", sql, &who);
        self.step_if(missing, Stage::Role, step, || condition::connect(&user));
    }

    /// USAGE on the schemas.
    pub(super) fn schemas(&mut self) {
        let user = self.user().to_owned();
        let wanted = wanted_schemas(self.profile);
        for schema in self.facts.schemas.get().into_iter().flatten() {
            if !wanted.contains(&schema.name.as_str()) {
                continue;
            }
            if !schema.usage {
                self.record.usage.push(schema.name.clone());
            }
            let title = format!("Open schema {} to {user}", schema.name);
            let sql = ddl::grant_usage(&schema.name, &user);
            let who = format!("schema owner ({})", schema.owner);
            let step = Step::new(self.owner(&schema.owner), &title, "it has no USAGE", sql, &who);
            self.step_if(!schema.usage, Stage::Owners, step, || condition::usage(&user, &schema.name));
        }
    }

    /// SELECT on the tables, if rows are read and not only changes.
    pub(super) fn tables(&mut self) {
        if !self.reads_rows() {
            return;
        }
        let whole_schemas = matches!(self.profile.selection, Selection::Schemas(_));
        let mut by_schema: BTreeMap<&str, Vec<&Relation>> = BTreeMap::new();
        for relation in self.facts.chosen() {
            by_schema.entry(&relation.schema).or_default().push(relation);
        }
        for (schema, tables) in by_schema {
            let closed = tables.iter().filter(|table| !table.select).count();
            let mixed = self.facts.schemas.get().into_iter().flatten().any(|one| one.name == schema && one.mixed);
            if closed > 0 && closed == tables.len() && whole_schemas {
                self.record.select_all.push(schema.to_owned());
            } else {
                self.record.select.extend(tables.iter().filter(|table| !table.select).map(|table| table.table()));
            }
            match tables.first() {
                // An owner may open only what is his own, views included: a mixed schema is opened table by table.
                Some(first) if whole_schemas && !mixed => self.open_schema(schema, &first.owner, closed > 0),
                _ => self.open_tables(schema, &tables),
            }
        }
    }

    fn open_schema(&mut self, schema: &str, owner: &str, missing: bool) {
        let user = self.user().to_owned();
        let title = format!("Let {user} read the tables of {schema}");
        let sql = ddl::grant_select_all(schema, &user);
        let who = format!("table owner ({owner})");
        let step = Step::new(self.owner(owner), &title, "it has no SELECT", sql, &who);
        self.step_if(missing, Stage::Owners, step, || condition::select_all(&user, schema));
    }

    fn open_tables(&mut self, schema: &str, tables: &[&Relation]) {
        let user = self.user().to_owned();
        let mut by_owner: BTreeMap<(&str, bool), Vec<TableName>> = BTreeMap::new();
        for table in tables {
            by_owner.entry((&table.owner, table.select)).or_default().push(table.table());
        }
        for ((owner, select), tables) in by_owner {
            for some in tables.chunks(TABLES_AT_ONCE) {
                let what = match some {
                    [one] => one.to_string(),
                    _ => format!("{} tables of {schema}", some.len()),
                };
                let list: Vec<String> = some.iter().map(quote_table).collect();
                let sql = format!("GRANT SELECT ON TABLE {} TO {}", list.join(", "), quote_ident(&user));
                let who = format!("table owner ({owner})");
                let title = format!("Let {user} read {what}");
                let step = Step::new(self.owner(owner), &title, "it has no SELECT", sql, &who);
                self.step_if(!select, Stage::Owners, step, || condition::select(&user, some));
            }
        }
    }

    /// SELECT on tables to come, for each role that creates tables.
    pub(super) fn default_privileges(&mut self) {
        // Exactly the chosen tables are wanted: later ones are not.
        let Selection::Schemas(wanted) = &self.profile.selection else { return };
        if self.reads_all() {
            return;
        }
        let user = self.user().to_owned();
        let schemas = self.facts.schemas.get().map_or(&[][..], Vec::as_slice);
        let open: Vec<(&str, &str)> =
            uncovered_creators(schemas, wanted).map(|(creator, schema)| (creator, schema.name.as_str())).collect();
        let creators = schemas
            .iter()
            .filter(|schema| wanted.contains(&schema.name))
            .flat_map(|schema| schema.creators.iter().map(move |creator| (creator.as_str(), schema.name.as_str())));
        for (creator, schema) in creators {
            let missing = open.contains(&(creator, schema));
            if missing {
                self.record.defaults.push((creator.to_owned(), schema.to_owned()));
            }
            let title = format!("Let {user} read what {creator} will create in {schema}");
            let sql = ddl::default_select(creator, schema, &user);
            let who = format!("{creator}, or superuser");
            let why = "new tables would be unreadable";
            let step = Step::new(self.owner(creator), &title, why, sql, &who);
            self.step_if(missing, Stage::Owners, step, || condition::default_select(&user, creator, schema));
        }
    }

    /// Whether the role reads everything already.
    fn reads_all(&self) -> bool {
        self.facts
            .role
            .as_ref()
            .is_some_and(|role| role.superuser || role.member_of.iter().any(|group| group == "pg_read_all_data"))
    }

    /// A policy that shows all rows, where row-level security hides some. A restrictive one can't be opened so.
    pub(super) fn row_security(&mut self) {
        if !self.reads_rows() || self.facts.chosen().any(|table| table.rls && table.rls_restricted) {
            return;
        }
        let user = self.user().to_owned();
        for table in self.facts.chosen().filter(|table| table.rls && !table.rls_open) {
            let name = table.table();
            self.record.policies.push(name.clone());
            let title = format!("Let {user} see all rows of {name}");
            let why = "row-level security would hide rows from the copy";
            let sql = ddl::create_read_policy(&name, &user);
            let who = format!("table owner ({})", table.owner);
            let step = Step::new(self.owner(&table.owner), &title, why, sql, &who);
            self.step(Stage::Owners, step.unless(condition::policy(&name)).locking(name));
        }
    }
}
