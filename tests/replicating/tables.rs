//! Random tables and random transactions on them.

use super::Random;
use super::values::{Kind, kind};

/// How the source tells which row has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The primary key.
    Key,
    /// A unique index.
    Index,
    /// The whole row; the table may hold the same row twice.
    Full,
    /// The whole row, and there is a primary key.
    FullWithKey,
    /// Nothing: the table only grows.
    Nothing,
}

/// A table.
pub struct Table {
    pub name: String,
    pub identity: Identity,
    keys: Vec<String>,
    columns: Vec<(String, Kind)>,
    partitioned: bool,
    extra: Vec<&'static str>,
}

const NAMES: [&str; 6] = ["plain", "Quoted\nName", "sel\"ect", "ünï🧾", "a.b", "it's"];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Table {
    /// The `number`th table of a schema.
    pub fn random(random: &mut Random, number: usize, major: u32) -> Self {
        use Identity::{Full, FullWithKey, Index, Key, Nothing};
        let identity = [Key, Key, Key, Index, Full, Full, FullWithKey, Nothing][random.below(8) as usize];
        let simple = random.below(3) == 0;
        let keys = match identity {
            Full | Nothing => Vec::new(),
            _ if random.below(3) == 0 => vec!["id".to_owned(), quoted("Second key")],
            _ => vec!["id".to_owned()],
        };
        let columns = (0..3 + random.below(6)).map(|at| {
            let name = if at % 2 == 0 { format!("c{at}") } else { quoted(&format!("C \"{at}")) };
            (name, kind(random, major, simple))
        });
        let columns = columns.collect();
        let partitioned = matches!(identity, Key | FullWithKey) && random.below(4) == 0;
        let mut extra = Vec::new();
        if !partitioned && random.below(3) == 0 {
            extra.push("made int GENERATED ALWAYS AS (salt * 2) STORED");
        }
        if !partitioned && random.below(3) == 0 {
            extra.push("\"Serial\" bigint GENERATED ALWAYS AS IDENTITY");
        }
        Self { name: quoted(NAMES[number]), identity, keys, columns, partitioned, extra }
    }

    /// Whether PostgreSQL's own replication can follow it to the letter.
    pub fn native(&self) -> bool {
        match self.identity {
            Identity::Full => self.columns.iter().all(|(_, kind)| kind.exact),
            _ => true,
        }
    }

    /// The statements that make it.
    pub fn create(&self) -> String {
        let mut parts =
            vec!["id int NOT NULL".to_owned(), "\"Second key\" text NOT NULL".to_owned(), "salt int".to_owned()];
        parts.extend(self.extra.iter().map(|extra| (*extra).to_owned()));
        let mut more = String::new();
        for (name, kind) in &self.columns {
            if kind.name.ends_with(" STORAGE") {
                more.push_str(&format!("ALTER TABLE {} ALTER COLUMN {name} SET STORAGE EXTERNAL;", self.name));
            }
            parts.push(format!("{name} {}", kind.name.trim_end_matches(" STORAGE")));
        }
        let keys = self.keys.join(", ");
        let name = &self.name;
        match self.identity {
            Identity::Key => parts.push(format!("PRIMARY KEY ({keys})")),
            Identity::FullWithKey => {
                parts.push(format!("PRIMARY KEY ({keys})"));
                more.push_str(&format!("ALTER TABLE {name} REPLICA IDENTITY FULL;"));
            }
            Identity::Full => more.push_str(&format!("ALTER TABLE {name} REPLICA IDENTITY FULL;")),
            Identity::Nothing => more.push_str(&format!("ALTER TABLE {name} REPLICA IDENTITY NOTHING;")),
            Identity::Index => more.push_str(&format!(
                "CREATE UNIQUE INDEX \"i {0}\" ON {name} ({keys}); ALTER TABLE {name} REPLICA IDENTITY USING INDEX \"i {0}\";",
                name.trim_matches('"')
            )),
        }
        let mut sql = format!("CREATE TABLE {name} ({})", parts.join(", "));
        if self.partitioned {
            sql.push_str(" PARTITION BY HASH (id);");
            for part in 0..3 {
                let leaf = quoted(&format!("{} {part}", name.trim_matches('"').replace("\"\"", "\"")));
                sql.push_str(&format!(
                    "CREATE TABLE {leaf} PARTITION OF {name} FOR VALUES WITH (MODULUS 3, REMAINDER {part});"
                ));
                if self.identity == Identity::FullWithKey {
                    sql.push_str(&format!("ALTER TABLE {leaf} REPLICA IDENTITY FULL;"));
                }
                for (column, kind) in &self.columns {
                    if kind.name.ends_with(" STORAGE") {
                        sql.push_str(&format!("ALTER TABLE {leaf} ALTER COLUMN {column} SET STORAGE EXTERNAL;"));
                    }
                }
            }
            if more.contains("SET STORAGE") {
                more = more.split_inclusive(';').filter(|one| !one.contains("SET STORAGE")).collect();
            }
        }
        format!("{sql};{more}")
    }

    /// Rows with keys around `first`.
    pub fn insert(&self, random: &mut Random, first: u64, rows: u64) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let rows: Vec<String> = (0..rows)
            .map(|row| {
                let values: Vec<String> = self.columns.iter().map(|(_, kind)| kind.value(random, true)).collect();
                // Tables without a key get the same row more than once.
                let id = if self.keys.is_empty() { random.below(5) } else { first + row };
                format!("({id}, 'k{}', {}, {})", id % 7, random.below(3), values.join(", "))
            })
            .collect();
        format!("INSERT INTO {} (id, \"Second key\", salt, {}) VALUES {}", self.name, names.join(", "), rows.join(", "))
    }

    /// Some rows, told apart by their place; the same for the same contents.
    fn some(&self, random: &mut Random) -> String {
        let (salt, limit) = (random.below(1_000_000), 1 + random.below(6));
        format!(
            "(tableoid, ctid) IN (SELECT tableoid, ctid FROM {} ORDER BY md5({salt} || tableoid::text || ctid::text) LIMIT {limit})",
            self.name
        )
    }

    /// A random change.
    pub fn change(&self, random: &mut Random, first: u64) -> String {
        let name = &self.name;
        if self.identity == Identity::Nothing {
            return if random.below(15) == 0 {
                format!("TRUNCATE {name} RESTART IDENTITY")
            } else {
                self.insert(random, first, 3)
            };
        }
        match random.below(20) {
            0 => format!("TRUNCATE {name}{}", if random.below(2) == 0 { " RESTART IDENTITY" } else { " CASCADE" }),
            1..=5 => {
                let rows = 1 + random.below(12);
                self.insert(random, first, rows)
            }
            6..=8 => format!("DELETE FROM {name} WHERE {}", self.some(random)),
            9 => format!("UPDATE {name} SET id = -id - 1 WHERE {}", self.some(random)),
            // Keys that move onto each other's places, by way of free ones.
            10 => format!(
                "UPDATE {name} SET id = id + 1000000; UPDATE {name} SET id = id - 1000000 + CASE id % 2 WHEN 0 THEN 1 ELSE -1 END"
            ),
            11 => format!("UPDATE {name} SET \"Second key\" = \"Second key\" || '+' WHERE {}", self.some(random)),
            _ => {
                let (column, kind) = &self.columns[random.below(self.columns.len() as u64) as usize];
                let value = kind.value(random, true);
                format!("UPDATE {name} SET {column} = {value}, salt = salt + 1 WHERE {}", self.some(random))
            }
        }
    }
}

/// A random transaction on some tables: its statements, one after the other.
pub fn transaction(random: &mut Random, tables: &[Table], number: u64) -> Vec<String> {
    let mut statements = vec!["BEGIN".to_owned()];
    let mut depth = 0;
    for step in 0..1 + random.below(8) {
        let table = &tables[random.below(tables.len() as u64) as usize];
        match random.below(10) {
            0 => {
                depth += 1;
                statements.push(format!("SAVEPOINT s{depth}"));
            }
            1 if depth > 0 => {
                statements.push(format!("ROLLBACK TO s{depth}"));
                depth -= 1;
            }
            2 if depth > 0 => {
                statements.push(format!("RELEASE s{depth}"));
                depth -= 1;
            }
            _ => statements.push(table.change(random, 1000 + number * 1000 + step * 100)),
        }
    }
    statements.push(if random.below(8) == 0 { "ROLLBACK".to_owned() } else { "COMMIT".to_owned() });
    statements
}
