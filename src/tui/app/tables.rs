//! The third screen: how changes are found, which tables are wanted, and the names of publication and slot.

use std::collections::BTreeSet;

use super::field::{Field, Kind};
use super::validate::FieldId;
use crate::catalog::gather::TableChoice;
use crate::connection::Settings;
use crate::profile::alerts::Alerts;
use crate::profile::{Method, Profile, Provider, Selection, TableName};

/// Whether the rows that exist are copied.
const COPIES: &[&str] = &["yes", "no, only changes from now on"];

/// Where the keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TablesFocus {
    /// The method.
    Method,
    /// The list of tables.
    List,
    /// The filter above the list.
    Filter,
    /// The publication's name.
    Publication,
    /// The slot's name.
    Slot,
    /// Whether the rows that exist are copied.
    InitialCopy,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A schema, with how many of its tables are ticked and how many there are.
    Schema(String, usize, usize),
    /// A table, by its position.
    Table(usize),
}

/// What is wanted.
#[derive(Debug)]
pub struct TablesStep {
    /// How changes are found.
    pub method: Method,
    /// Where the keys go.
    pub focus: TablesFocus,
    /// The filter's text.
    pub filter: Field,
    /// The publication's name.
    pub publication: Field,
    /// The slot's name.
    pub slot: Field,
    /// Whether the rows that exist are copied.
    pub initial_copy: Field,
    /// The tables of the source, by schema and name, and whether each is ticked.
    pub tables: Vec<(TableChoice, bool)>,
    /// The selected line of the list.
    pub cursor: usize,
    /// The source that the list was read from.
    pub loaded_for: Option<Settings>,
    /// Why the list could not be read.
    pub error: Option<String>,
    /// What was asked for before the list was known; `None` ticks everything.
    wanted: Option<Selection>,
    alerts: Alerts,
    provider: Option<Provider>,
}

impl TablesStep {
    /// As `profile` says, but for its tables: `wanted` is applied when the list arrives, and `None` ticks everything
    /// (the selection of a profile may be a guess made before anybody looked).
    #[must_use]
    pub fn new(profile: &Profile, wanted: Option<Selection>) -> Self {
        let name = |id, text: &str| {
            let mut field = Field::new(id, Kind::Text);
            field.set(text);
            field
        };
        let mut initial_copy = Field::new(FieldId::InitialCopy, Kind::Choice(COPIES));
        initial_copy.set(COPIES[usize::from(!profile.initial_copy)]);
        Self {
            method: profile.method,
            focus: TablesFocus::List,
            filter: Field::new(FieldId::Filter, Kind::Text),
            publication: name(FieldId::Publication, &profile.publication),
            slot: name(FieldId::Slot, &profile.slot),
            tables: Vec::new(),
            cursor: 0,
            loaded_for: None,
            error: None,
            wanted,
            initial_copy,
            alerts: profile.alerts.clone(),
            provider: profile.provider,
        }
    }

    /// The text field that has the focus.
    pub fn text_field(&mut self) -> Option<&mut Field> {
        match self.focus {
            TablesFocus::Filter => Some(&mut self.filter),
            TablesFocus::Publication => Some(&mut self.publication),
            TablesFocus::Slot => Some(&mut self.slot),
            TablesFocus::Method | TablesFocus::List | TablesFocus::InitialCopy => None,
        }
    }

    /// Takes the source's tables; ticks stay where a table was known before.
    pub fn take(&mut self, source: Settings, choices: Vec<TableChoice>) {
        let known = std::mem::take(&mut self.tables);
        let same = self.loaded_for.replace(source).is_some();
        let wanted = self.wanted.take();
        let ticked = |choice: &TableChoice| match &wanted {
            Some(Selection::Schemas(schemas)) => schemas.contains(&choice.table.schema),
            Some(Selection::Tables(tables)) => tables.contains(&choice.table),
            None => !same || known.iter().find(|(old, _)| old.table == choice.table).is_none_or(|(_, ticked)| *ticked),
        };
        self.tables = choices.into_iter().map(|choice| (ticked(&choice), choice)).map(|(on, c)| (c, on)).collect();
        self.tables.sort_by(|a, b| a.0.table.cmp(&b.0.table));
        (self.cursor, self.error) = (0, None);
    }

    /// The lines of the list that match the filter.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let needle = self.filter.text().to_lowercase();
        let mut rows = Vec::new();
        let mut schema: Option<(&str, usize)> = None;
        for (at, (choice, ticked)) in self.tables.iter().enumerate() {
            let TableName { schema: of, name } = &choice.table;
            if !needle.is_empty() && !format!("{of}.{name}").to_lowercase().contains(&needle) {
                continue;
            }
            let head = match schema {
                Some((known, head)) if known == of => head,
                _ => {
                    rows.push(Row::Schema(of.clone(), 0, 0));
                    rows.len() - 1
                }
            };
            schema = Some((of, head));
            if let Row::Schema(_, on, all) = &mut rows[head] {
                *on += usize::from(*ticked);
                *all += 1;
            }
            rows.push(Row::Table(at));
        }
        rows
    }

    /// Ticks or unticks the selected line; a schema with all its shown tables.
    pub fn toggle(&mut self) {
        let rows = self.rows();
        match rows.get(self.cursor) {
            Some(Row::Table(at)) => self.tables[*at].1 = !self.tables[*at].1,
            Some(Row::Schema(_, on, all)) => {
                let below = rows[self.cursor + 1..].iter().map_while(|row| match row {
                    Row::Table(at) => Some(*at),
                    Row::Schema(..) => None,
                });
                for at in below {
                    self.tables[at].1 = on < all;
                }
            }
            None => {}
        }
    }

    /// Ticks every shown table, or unticks them if all are ticked.
    pub fn toggle_all(&mut self) {
        let shown = self.rows().into_iter().filter_map(|row| if let Row::Table(at) = row { Some(at) } else { None });
        let shown: Vec<usize> = shown.collect();
        let on = shown.iter().any(|at| !self.tables[*at].1);
        for at in shown {
            self.tables[at].1 = on;
        }
    }

    /// Moves the selected line.
    pub fn move_by(&mut self, lines: isize) {
        let last = self.rows().len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(lines).min(last);
    }

    /// How many tables are ticked.
    #[must_use]
    pub fn ticked(&self) -> usize {
        self.tables.iter().filter(|(_, ticked)| *ticked).count()
    }

    /// What is ticked: whole schemas if nothing in them is left out, because then tables that are created later can
    /// follow; single tables otherwise.
    #[must_use]
    pub fn selection(&self) -> Selection {
        if self.tables.is_empty() {
            return self.wanted.clone().unwrap_or_default();
        }
        let schemas = |on: bool| -> BTreeSet<&String> {
            self.tables.iter().filter(|(_, ticked)| *ticked == on).map(|(choice, _)| &choice.table.schema).collect()
        };
        let (wanted, left_out) = (schemas(true), schemas(false));
        if wanted.is_disjoint(&left_out) && !wanted.is_empty() {
            Selection::Schemas(wanted.into_iter().cloned().collect())
        } else {
            let tables = self.tables.iter().filter(|(_, ticked)| *ticked);
            Selection::Tables(tables.map(|(choice, _)| choice.table.clone()).collect())
        }
    }

    /// The profile of `source` that this screen describes.
    #[must_use]
    pub fn profile(&self, source: Settings) -> Profile {
        Profile {
            method: self.method,
            selection: self.selection(),
            publication: self.publication.text().to_owned(),
            slot: self.slot.text().to_owned(),
            initial_copy: self.initial_copy.chosen() == 0,
            alerts: self.alerts.clone(),
            provider: self.provider,
            ..Profile::new(source)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, TablesStep};
    use crate::catalog::gather::TableChoice;
    use crate::connection::Settings;
    use crate::profile::alerts::Alerts;
    use crate::profile::{Profile, Provider, Selection, TableName};

    fn step(names: &[(&str, &str)]) -> TablesStep {
        asked(None, names)
    }

    fn asked(wanted: Option<Selection>, names: &[(&str, &str)]) -> TablesStep {
        let choice = |(schema, name): &(&str, &str)| TableChoice {
            table: TableName::new(*schema, *name),
            rows: None,
            bytes: 0,
            partitioned: false,
        };
        let mut step = TablesStep::new(&Profile::new(Settings::default()), wanted);
        step.take(Settings::default(), names.iter().map(choice).collect());
        step
    }

    #[test]
    fn what_no_screen_shows_is_kept() {
        let mut profile = Profile { provider: Some(Provider::Neon), ..Profile::new(Settings::default()) };
        profile.alerts = toml::from_str::<Alerts>("lag = { warning = \"9min\" }").expect("a threshold");
        let kept = TablesStep::new(&profile, None).profile(Settings::default());
        assert_eq!((kept.provider, kept.alerts), (profile.provider, profile.alerts));
    }

    #[test]
    fn whole_schemas_are_wanted_as_schemas_and_parts_as_tables() {
        let mut step = step(&[("shop", "b"), ("shop", "a"), ("audit", "log")]);
        assert_eq!(step.selection(), Selection::Schemas(vec!["audit".into(), "shop".into()]));
        step.toggle();
        assert_eq!(step.selection(), Selection::Schemas(vec!["shop".into()]));
        step.move_by(3);
        step.toggle();
        assert_eq!(step.selection(), Selection::Tables(vec![TableName::new("shop", "b")]));
        step.take(Settings::default(), step.tables.iter().map(|(choice, _)| choice.clone()).collect());
        assert_eq!(step.ticked(), 1, "ticks survive a new list");
    }

    #[test]
    fn what_was_asked_for_is_ticked_and_nothing_else_even_if_it_is_the_default() {
        let names = [("public", "a"), ("shop", "b")];
        assert_eq!(step(&names).ticked(), 2, "nobody asked");
        let wanted = Selection::default();
        assert_eq!(asked(Some(wanted.clone()), &names).selection(), wanted);
        let wanted = Selection::Tables(vec![TableName::new("shop", "b")]);
        assert_eq!(asked(Some(wanted), &names).selection(), Selection::Schemas(vec!["shop".into()]));
    }

    #[test]
    fn the_filter_limits_what_is_shown_and_what_is_ticked_together() {
        let mut step = step(&[("shop", "orders"), ("shop", "Order_Lines"), ("shop", "people")]);
        step.filter.paste("ORDER");
        assert_eq!(step.rows().len(), 3);
        assert_eq!(step.rows()[0], Row::Schema("shop".into(), 2, 2));
        step.toggle_all();
        assert_eq!(step.selection(), Selection::Tables(vec![TableName::new("shop", "people")]));
    }
}
