//! Writing a range: rows and the record of how far the pass is, in one transaction of the destination.
//!
//! Into a table that was empty when this snapshot began rows are copied directly. Otherwise they are staged in a
//! temporary table and upserted by key. Values that are the same are left alone, by their text where `=` takes
//! different texts for equal (1.0 and 1.00).

use tokio_postgres::Client;

use super::pipe::{Form, Moved, Pipe};
use super::relations::Wanted;
use crate::catalog::ident::{quote_ident, quote_table};
use crate::profile::TableName;
use crate::replication::destination::{DestinationColumn, DestinationTable};
use crate::replication::halt::{self, Halt, Side};
use crate::replication::pieces;

const STAGE: &str = "pg_temp.walpilot_rows";

/// Writes one table.
pub(super) struct Writer<'a> {
    client: &'a Client,
    name: &'a TableName,
    statements: Statements,
    /// The table was empty when the snapshot was taken.
    fresh: bool,
    /// Rows that are no longer read are removed.
    replace: bool,
    staged: bool,
}

/// How a table is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) fresh: bool,
    /// Foreign keys and triggers rest, so that a row may be removed and come again.
    pub(super) replica_role: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        client: &'a Client,
        wanted: &'a Wanted,
        there: &DestinationTable,
        shared: &[Vec<String>],
        manner: Manner,
    ) -> Self {
        let statements = Statements::new(wanted, there, shared, manner.replica_role);
        let name = &wanted.source.name;
        let replace = wanted.materialized && !manner.fresh;
        Self { client, name, statements, fresh: manner.fresh, replace, staged: false }
    }

    /// The columns that are written.
    pub(super) fn columns(&self) -> &str {
        &self.statements.columns
    }

    /// The form in which they are written.
    pub(super) fn form(&self) -> Form {
        self.statements.form
    }

    /// Writes the rows of `pipe` and runs `record`. Returns what was read, and how many rows were changed.
    pub(super) async fn write(
        &mut self,
        pipe: Option<Pipe<'_>>,
        record: &str,
        told: impl FnMut(Moved),
    ) -> Result<(Moved, u64), Halt> {
        if pipe.is_none() && !self.replace {
            self.run(record).await?;
            return Ok((Moved::default(), 0));
        }
        if !self.fresh && !self.staged {
            self.run(&self.statements.stage).await?;
            self.staged = true;
        }
        let done = self.transaction(pipe, record, told).await;
        if done.is_err() {
            // The error says what happened; if the session is broken, its end rolls back as well.
            let _ = self.client.batch_execute("ROLLBACK").await;
        }
        done
    }

    async fn transaction(
        &self,
        pipe: Option<Pipe<'_>>,
        record: &str,
        told: impl FnMut(Moved),
    ) -> Result<(Moved, u64), Halt> {
        // Foreign keys that can wait, wait for the rows that they point to.
        self.run("BEGIN; SET CONSTRAINTS ALL DEFERRED").await?;
        let into = if self.fresh { &self.statements.copy } else { &self.statements.copy_to_stage };
        let moved = match pipe {
            Some(pipe) => pipe.into(self.client, into, |error| self.failed(error), told).await?,
            None => Moved::default(),
        };
        let mut changed = moved.rows;
        if !self.fresh {
            changed = 0;
            if self.replace {
                changed += self.execute(&self.statements.remove_others).await?;
            }
            for statement in &self.statements.remove_stale {
                self.execute(statement).await?;
            }
            changed += self.execute(&self.statements.upsert).await?;
        }
        self.run(&format!("{record}; COMMIT")).await?;
        Ok((moved, changed))
    }

    /// Removes the stage; a table whose rows were written for the first time gets statistics.
    pub(super) async fn finish(&mut self) -> Result<(), Halt> {
        if self.staged {
            self.run(&format!("DROP TABLE {STAGE}")).await?;
            self.staged = false;
        }
        if self.fresh {
            self.run(&format!("ANALYZE {}", quote_table(self.name))).await?;
        }
        Ok(())
    }

    async fn run(&self, sql: &str) -> Result<(), Halt> {
        self.client.batch_execute(sql).await.map_err(|error| self.failed(&error))
    }

    async fn execute(&self, sql: &str) -> Result<u64, Halt> {
        self.client.execute(sql, &[]).await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &tokio_postgres::Error) -> Halt {
        let name = self.name;
        let Some(db) = error.as_db_error() else {
            return halt::query(Side::Destination, &format!("writing table {name}"), error);
        };
        match db.code().code() {
            "23505" | "23P01" => Halt::refused(format!(
                "A row of {name} collides with another at the destination: {}. The source does not have this constraint \
                 in the same form, or the other row was deleted there: drop the constraint at the destination, or run \
                 once with --reconcile. Nothing is lost.",
                halt::shown(db)
            )),
            "23503" => Halt::refused(format!(
                "A foreign key of the destination refuses rows of {name}: {}. Let the destination's role set \
                 session_replication_role (GRANT SET ON PARAMETER session_replication_role TO the role, PostgreSQL 15 \
                 and later), or drop the foreign key there. Nothing is lost.",
                halt::shown(db)
            )),
            "42501" if !self.fresh && !self.staged => Halt::refused(format!(
                "The destination's role may not make the temporary table that changed rows are staged in ({}). As the \
                 owner of the database run there: GRANT TEMPORARY ON DATABASE … TO the role.",
                halt::shown(db)
            )),
            _ => halt::query(Side::Destination, &format!("writing table {name}"), error),
        }
    }
}

/// The statements for a table's rows.
struct Statements {
    columns: String,
    form: Form,
    copy: String,
    stage: String,
    copy_to_stage: String,
    /// Rows that hold what a staged row needs for itself.
    remove_stale: Vec<String>,
    remove_others: String,
    upsert: String,
}

impl Statements {
    fn new(wanted: &Wanted, there: &DestinationTable, shared: &[Vec<String>], replica_role: bool) -> Self {
        let column = |name: &String| there.columns.iter().find(|other| other.name == *name && !other.generated);
        let written: Vec<&DestinationColumn> =
            wanted.source.columns.iter().filter(|c| c.published).filter_map(|c| column(&c.name)).collect();
        let binary = pieces::binary(pieces::carried(&wanted.source, &there.columns));
        let form = if binary { Form::Binary } else { Form::Text };
        let list = |columns: &[&DestinationColumn]| {
            columns.iter().map(|column| quote_ident(&column.name)).collect::<Vec<_>>().join(", ")
        };
        let columns = list(&written);
        let table = quote_table(&wanted.source.name);
        let only = if there.partitioned { "" } else { "ONLY " };
        let key: Vec<&DestinationColumn> = wanted.source.key.iter().filter_map(column).collect();
        let same = |columns: &[&DestinationColumn]| {
            columns.iter().map(|column| equal(column, "there", "new")).collect::<Vec<_>>().join(" AND ")
        };
        let delete = |condition: &str| {
            format!(
                "DELETE FROM {only}{table} AS there USING {STAGE} AS new WHERE {condition} AND NOT ({})",
                same(&key)
            )
        };
        let mut remove_stale: Vec<String> = Vec::new();
        // Elsewhere the removal would fire ON DELETE CASCADE; a collision is then an error that says what to do.
        if replica_role {
            for unique in shared {
                let unique: Vec<&DestinationColumn> = unique.iter().filter_map(column).collect();
                remove_stale.push(delete(&same(&unique)));
            }
            // An ALWAYS identity can't be updated, but it can be inserted.
            for column in
                written.iter().filter(|column| column.always_identity && !wanted.source.key.contains(&column.name))
            {
                remove_stale.push(format!(
                    "DELETE FROM {only}{table} AS there USING {STAGE} AS new WHERE {} AND {}",
                    same(&key),
                    differs(column, "there", "new")
                ));
            }
        }
        let changing: Vec<&DestinationColumn> = written
            .iter()
            .copied()
            .filter(|column| !(column.always_identity || column.exact && wanted.source.key.contains(&column.name)))
            .collect();
        let action = if changing.is_empty() {
            "NOTHING".to_owned()
        } else {
            let set: Vec<String> = changing
                .iter()
                .map(|column| quote_ident(&column.name))
                .map(|name| format!("{name} = excluded.{name}"))
                .collect();
            let differ: Vec<String> = changing.iter().map(|column| differs(column, "there", "excluded")).collect();
            format!("UPDATE SET {} WHERE {}", set.join(", "), differ.join(" OR "))
        };
        Self {
            copy: format!("COPY {table} ({columns}) FROM STDIN {}", form.option()),
            stage: format!(
                "CREATE TEMPORARY TABLE {} ON COMMIT DELETE ROWS AS SELECT {columns} FROM {only}{table} WITH NO DATA",
                STAGE.trim_start_matches("pg_temp.")
            ),
            copy_to_stage: format!("COPY {STAGE} ({columns}) FROM STDIN {}", form.option()),
            remove_stale,
            remove_others: format!(
                "DELETE FROM {only}{table} AS there WHERE NOT EXISTS (SELECT FROM {STAGE} AS new WHERE {})",
                same(&key)
            ),
            upsert: format!(
                "INSERT INTO {table} AS there ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {STAGE} \
                 ON CONFLICT ({}) DO {action}",
                list(&key)
            ),
            columns,
            form,
        }
    }
}

/// Whether two columns hold the same key value.
fn equal(column: &DestinationColumn, one: &str, other: &str) -> String {
    let name = quote_ident(&column.name);
    if column.comparable {
        format!("{one}.{name} = {other}.{name}")
    } else {
        format!("{one}.{name}::text COLLATE \"C\" = {other}.{name}::text COLLATE \"C\"")
    }
}

/// Whether two columns show different values.
fn differs(column: &DestinationColumn, one: &str, other: &str) -> String {
    let name = quote_ident(&column.name);
    if column.exact {
        format!("{one}.{name} IS DISTINCT FROM {other}.{name}")
    } else {
        format!("{one}.{name}::text COLLATE \"C\" IS DISTINCT FROM {other}.{name}::text COLLATE \"C\"")
    }
}
