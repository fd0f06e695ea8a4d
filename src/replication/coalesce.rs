//! What a batch of changes comes to: sets of rows that are written by one statement each, and changes that keep their
//! order.
//!
//! The changes of one row come to its last state, and rows of one table change places, where nothing can tell the
//! difference: a key tells rows apart by the bytes of its text, no other unique constraint can be crossed on the way, and
//! nothing runs for the rows (triggers, foreign keys, rules). Such tables don't wait for one another either. A change of
//! a key, a whole row that is compared, and whatever can't be told keep their place among the changes of their table; of
//! tables for whose rows something runs, all changes keep their order. A truncate comes after all before it.
//!
//! What an insert would collide with is found out all the same: an insert is never taken back before it was made.

use std::collections::HashMap;
use std::sync::Arc;

use super::change::{Change, Kind};
use super::pgoutput::{Row, Value};
use super::relation::Target;
use crate::profile::TableName;

/// So many lanes are looked through one by one.
const FEW_LANES: usize = 8;

/// A row of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line<'c> {
    /// As it came.
    Came(&'c Row),
    /// Put together from several changes.
    Merged(Vec<&'c Value>),
}

impl<'c> Line<'c> {
    pub(super) fn value(&self, at: usize) -> &'c Value {
        match self {
            Self::Came(row) => &row[at],
            Self::Merged(values) => values[at],
        }
    }

    /// This row after an update to `new`, which does not hold what it left as it was.
    fn updated(&self, new: &'c Row) -> Self {
        let value = |(at, value): (usize, &'c Value)| if *value == Value::Unchanged { self.value(at) } else { value };
        Self::Merged(new.iter().enumerate().map(value).collect())
    }

    /// An own copy of the row.
    pub(super) fn row(&self, columns: usize) -> Row {
        (0..columns).map(|at| self.value(at).clone()).collect()
    }
}

/// Rows that one statement writes. No two have the same key.
#[derive(Clone, Debug)]
pub(super) struct Set<'c> {
    pub(super) target: &'c Arc<Target>,
    pub(super) kind: Kind,
    /// The columns that an update sets.
    pub(super) columns: Vec<usize>,
    pub(super) rows: Vec<Line<'c>>,
}

/// A part of a batch; parts are written one after the other.
#[derive(Clone, Debug)]
pub(super) enum Step<'c> {
    /// By their places in the batch.
    InOrder(Vec<usize>),
    Set(Set<'c>),
}

/// What the changes of one key come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    Insert,
    Update,
    Delete,
    /// Deleted, then inserted.
    Replace,
    /// Inserted, then deleted.
    Pass,
}

/// The bytes of the key's values; most keys have one column.
type Key<'c> = (&'c [u8], Vec<&'c [u8]>);

/// Changes of one table that may change places.
#[derive(Default)]
struct Stage<'c> {
    places: HashMap<Key<'c>, usize>,
    entries: Vec<(Net, Line<'c>)>,
}

/// The changes of tables that keep an order among themselves.
#[derive(Default)]
struct Lane<'c> {
    steps: Vec<Step<'c>>,
    target: Option<&'c Arc<Target>>,
    stage: Stage<'c>,
}

/// Sorts a batch.
pub(super) fn plan(changes: &[Change]) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    // The lane of all tables for whose rows something runs has no name.
    let mut places: HashMap<Option<&TableName>, usize> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        let Some(target) = change.target().filter(|_| change.kind() != Kind::Truncate) else {
            steps.extend(lanes.drain(..).flat_map(Lane::end));
            places.clear();
            in_order(&mut steps, at);
            continue;
        };
        // Most batches are about few tables, and those are found without a look at their names.
        let same = |lane: &Lane<'_>| lane.target.is_some_and(|before| Arc::ptr_eq(before, target));
        let place = lanes.iter().take(FEW_LANES).position(same).unwrap_or_else(|| {
            let name = (!target.fires).then_some(&target.table);
            *places.entry(name).or_insert_with(|| {
                lanes.push(Lane::default());
                lanes.len() - 1
            })
        });
        lanes[place].take(at, change, target);
    }
    steps.extend(lanes.into_iter().flat_map(Lane::end));
    steps
}

fn in_order(steps: &mut Vec<Step<'_>>, at: usize) {
    match steps.last_mut() {
        Some(Step::InOrder(list)) => list.push(at),
        _ => steps.push(Step::InOrder(vec![at])),
    }
}

impl<'c> Lane<'c> {
    fn take(&mut self, at: usize, change: &'c Change, target: &'c Arc<Target>) {
        // Another version of the table may have other columns.
        if self.target.is_some_and(|before| before.version != target.version) {
            self.close();
        }
        self.target = Some(target);
        if let Some(key) = key(change, target) {
            if !self.stage.take(change, key.clone()) {
                self.close();
                self.stage.take(change, key);
            }
        } else {
            self.close();
            in_order(&mut self.steps, at);
        }
    }

    /// Ends the stage: what comes now comes after it.
    fn close(&mut self) {
        let stage = std::mem::take(&mut self.stage);
        if let Some(target) = self.target {
            stage.end(target, &mut self.steps);
        }
    }

    fn end(mut self) -> Vec<Step<'c>> {
        self.close();
        self.steps
    }
}

impl<'c> Stage<'c> {
    /// Takes a change; `false` when it has to come after everything that the stage holds.
    fn take(&mut self, change: &'c Change, key: Key<'c>) -> bool {
        let (kind, row) = match change {
            Change::Insert(_, row) => (Net::Insert, row),
            Change::Update(_, _, row) => (Net::Update, row),
            Change::Delete(_, old) => (Net::Delete, old.row()),
            Change::Truncate(..) => return false,
        };
        let Some(place) = self.places.get(&key) else {
            self.places.insert(key, self.entries.len());
            self.entries.push((kind, Line::Came(row)));
            return true;
        };
        let (net, line) = &mut self.entries[*place];
        match (*net, kind) {
            (Net::Insert | Net::Update | Net::Replace, Net::Update) => *line = line.updated(row),
            (Net::Update | Net::Replace, Net::Delete) => (*net, *line) = (Net::Delete, Line::Came(row)),
            // Deleted again only after the insert was made: it may collide with a row that only the destination has.
            (Net::Insert, Net::Delete) => *net = Net::Pass,
            (Net::Delete, Net::Insert) => (*net, *line) = (Net::Replace, Line::Came(row)),
            _ => return false,
        }
        true
    }

    fn end(self, target: &'c Arc<Target>, steps: &mut Vec<Step<'c>>) {
        let mut sets: [Vec<Set<'c>>; 4] = Default::default();
        let mut add = |place: usize, kind: Kind, columns: Vec<usize>, line: Line<'c>| {
            let sets = &mut sets[place];
            match sets.iter_mut().find(|set| set.columns == columns) {
                Some(set) => set.rows.push(line),
                None => sets.push(Set { target, kind, columns, rows: vec![line] }),
            }
        };
        for (net, line) in self.entries {
            match net {
                Net::Delete => add(0, Kind::Delete, Vec::new(), line),
                Net::Update => {
                    let columns = target.set_columns(|at| line.value(at));
                    if !columns.is_empty() {
                        add(1, Kind::Update, columns, line);
                    }
                }
                Net::Insert => add(2, Kind::Insert, Vec::new(), line),
                Net::Replace => {
                    add(0, Kind::Delete, Vec::new(), line.clone());
                    add(2, Kind::Insert, Vec::new(), line);
                }
                Net::Pass => {
                    add(2, Kind::Insert, Vec::new(), line.clone());
                    add(3, Kind::Delete, Vec::new(), line);
                }
            }
        }
        steps.extend(sets.into_iter().flatten().map(Step::Set));
    }
}

/// The key of a change that may change places with those of other keys.
fn key<'c>(change: &'c Change, target: &Target) -> Option<Key<'c>> {
    if !target.free {
        return None;
    }
    match change {
        Change::Insert(_, row) => target.key_of(row),
        Change::Update(_, old, new) => {
            let key = target.key_of(new)?;
            // A row that moves to another key stands in the way of others.
            old.as_ref().is_none_or(|old| target.key_of(old.row()).as_ref() == Some(&key)).then_some(key)
        }
        Change::Delete(_, old) => target.key_of(old.row()),
        Change::Truncate(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{Change, Step, plan};
    use crate::replication::destination::{DestinationColumn, DestinationTable};
    use crate::replication::pgoutput::{Old, Relation, RelationColumn, Row, Value};
    use crate::replication::relation::Target;
    use crate::replication::sets;

    /// A table of `id`, `v` and `w`, whose key is `id`.
    fn target(name: &str, more: DestinationTable) -> Arc<Target> {
        let names = ["id", "v", "w"];
        let relation = Relation {
            id: 1,
            schema: "s".into(),
            name: name.into(),
            identity: b'd',
            columns: names
                .iter()
                .map(|name| RelationColumn {
                    name: (*name).into(),
                    key: *name == "id",
                    type_oid: 25,
                    type_modifier: -1,
                })
                .collect(),
        };
        let columns = names
            .iter()
            .map(|name| DestinationColumn {
                name: (*name).into(),
                type_name: if *name == "w" { "integer[]".into() } else { "text".into() },
                element: *name != "w",
                comparable: true,
                exact: true,
                ..DestinationColumn::default()
            })
            .collect();
        let there = DestinationTable { columns, ..more };
        Arc::new(Target::join(&relation, &there, 1).unwrap_or_else(|halt| panic!("{halt:?}")))
    }

    fn free() -> Arc<Target> {
        target("t", DestinationTable { unique: vec![vec!["id".into()]], ..DestinationTable::default() })
    }

    /// `~` stands for a value that was not sent.
    fn row(text: &'static str) -> Row {
        let value = |part: &'static str| match part {
            "~" => Value::Unchanged,
            "-" => Value::Null,
            text => Value::Text(Bytes::from_static(text.as_bytes())),
        };
        text.split(' ').map(value).collect()
    }

    /// What a batch comes to, one word for each step. `+1 a b` inserts, `=1 a b` updates, `!1 2` moves the key, `-1` deletes.
    fn story(target: &Arc<Target>, changes: &[&'static str]) -> Vec<String> {
        let changes: Vec<Change> = changes
            .iter()
            .map(|text| {
                let (sign, rest) = text.split_at(1);
                let target = Arc::clone(target);
                match sign {
                    "+" => Change::Insert(target, row(rest)),
                    "=" => Change::Update(target, None, row(rest)),
                    "-" => Change::Delete(target, Old::Key(vec![row(rest)[0].clone(), Value::Null, Value::Null])),
                    _ => {
                        let (from, to) = rest.split_once(' ').expect("two keys");
                        let old = Old::Key(vec![row(from)[0].clone(), Value::Null, Value::Null]);
                        Change::Update(target, Some(old), vec![row(to)[0].clone(), Value::Null, Value::Null])
                    }
                }
            })
            .collect();
        let shown = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::Unchanged => "~".to_owned(),
            Value::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        };
        let steps = plan(&changes);
        let word = |step: &Step<'_>| match step {
            Step::InOrder(list) => format!("{} in order", list.len()),
            Step::Set(set) => {
                let rows = set.rows.iter().map(|line| line.row(3).iter().map(shown).collect::<Vec<_>>().join(" "));
                format!("{:?} {}", set.kind, rows.collect::<Vec<_>>().join(", "))
            }
        };
        steps.iter().map(word).collect()
    }

    #[test]
    fn the_changes_of_a_row_come_to_its_last_state() {
        let free = free();
        for (changes, wanted) in [
            (&["+1 a x", "=1 b ~", "=1 c y"][..], &["Insert 1 c y"][..]),
            (&["=1 a ~", "=2 b ~", "=1 ~ z"], &["Update 1 a z", "Update 2 b ~"]),
            (&["=1 a x", "-1", "=2 b y"], &["Delete 1 - -", "Update 2 b y"]),
            (&["-1", "+1 a x", "=1 b ~"], &["Delete 1 b x", "Insert 1 b x"]),
            // An insert may collide with a row that only the destination has: it is made.
            (&["+1 a x", "-1"], &["Insert 1 a x", "Delete 1 a x"]),
            (&["+1 a x", "-1", "+1 b y"], &["Insert 1 a x", "Delete 1 a x", "Insert 1 b y"]),
            (&["+1 a x", "+1 b y"], &["Insert 1 a x", "Insert 1 b y"]),
            // A key that moves stands in the way of others.
            (&["=1 a x", "!1 2", "=2 b y"], &["Update 1 a x", "1 in order", "Update 2 b y"]),
        ] {
            assert_eq!(story(&free, changes), wanted, "{changes:?}");
        }
    }

    #[test]
    fn order_is_kept_where_it_can_be_told() {
        let changes = ["=1 a x", "=2 b y", "=1 c z"];
        for (why, more) in [
            (
                "another unique constraint",
                DestinationTable { unique: vec![vec!["v".into()]], ..DestinationTable::default() },
            ),
            ("an expression", DestinationTable { unique: vec![vec![String::new()]], ..DestinationTable::default() }),
            (
                "a longer constraint",
                DestinationTable { unique: vec![vec!["id".into(), "v".into()]], ..DestinationTable::default() },
            ),
            ("a trigger", DestinationTable { fires: true, ..DestinationTable::default() }),
        ] {
            assert_eq!(story(&target("t", more), &changes), ["3 in order"], "{why}");
        }
        let (one, two) = (target("one", DestinationTable::default()), target("two", DestinationTable::default()));
        let truncate = Change::Truncate(vec![Arc::clone(&one)], false);
        let insert = |target: &Arc<Target>| Change::Insert(Arc::clone(target), row("1 a x"));
        let changes = [insert(&one), insert(&two), truncate, insert(&one)];
        let steps = plan(&changes);
        let kinds: Vec<bool> = steps.iter().map(|step| matches!(step, Step::Set(_))).collect();
        assert_eq!(kinds, [true, true, false, true], "nothing passes a truncate");
    }

    #[test]
    fn statements_of_sets_carry_columns_as_arrays() {
        let free = free();
        let changes: Vec<Change> = ["1 a\"b\\ {1,2}", "2 - {}"]
            .into_iter()
            .map(|text| Change::Update(Arc::clone(&free), None, row(text)))
            .chain([Change::Update(Arc::clone(&free), None, row("3 ~ {3}"))])
            .collect();
        let statements: Vec<(String, Vec<String>)> = plan(&changes)
            .iter()
            .map(|step| {
                let Step::Set(set) = step else { panic!("a set") };
                let made = sets::statement(set);
                let arrays = made.arrays.iter().map(|array| String::from_utf8_lossy(array).into_owned()).collect();
                (made.sql, arrays)
            })
            .collect();
        assert_eq!(
            statements[0].0,
            "UPDATE ONLY \"s\".\"t\" AS d SET \"v\" = u.c1, \"w\" = u.c2::integer[] \
             FROM unnest($1::text[], $2::text[], $3::text[]) AS u(c0, c1, c2) WHERE d.\"id\" = u.c0"
        );
        assert_eq!(statements[0].1, [r#"{"1","2"}"#, r#"{"a\"b\\",NULL}"#, r#"{"{1,2}","{}"}"#]);
        assert_eq!(statements[1].1, [r#"{"3"}"#, r#"{"{3}"}"#], "what was not sent is not set");
    }
}
