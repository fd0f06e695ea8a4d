//! Columns that were added at the source while their table streams.
//!
//! `ADD COLUMN` is not in the stream: a relation message merely has a column more. It is followed when what the
//! existing rows hold in the new column is known: null, or the value that the source's catalog keeps for rows from
//! before (`pg_attribute.attmissingval`). Otherwise (the default was computed for each row, or the table has been
//! rewritten since) the table is copied again. A column that may have been renamed is never followed, because a new
//! column would look the same and hold nothing.

use tokio_postgres::Client;

use super::checkpoint::TableState;
use super::create::Creator;
use super::destination::{DestinationTable, missing_column};
use super::halt::{self, Halt, Side};
use super::progress::Teller;
use super::source::{Column, SourceTable};
use crate::catalog::ident::{quote_ident, quote_literal, quote_table};
use crate::connection::printable;

/// What rows from before the column hold in it.
enum Before {
    Null,
    /// In the type's text form.
    Value(String),
    Unknown,
}

/// What following needs.
pub(super) struct Follow<'a> {
    pub(super) source: &'a Client,
    pub(super) destination: &'a Client,
    /// The statement that records that the table has to be read again.
    pub(super) again: &'a str,
    pub(super) tell: &'a Teller,
}

impl Follow<'_> {
    /// Adds the columns that `there` lacks. `state` tells afterwards whether the table has to be copied again.
    ///
    /// # Errors
    /// When a column can't be added for certain; the sentence has the statement to run.
    pub(super) async fn columns(
        &self,
        creator: &mut Creator<'_>,
        table: &SourceTable,
        there: &DestinationTable,
        state: &mut TableState,
    ) -> Result<(), Halt> {
        let name = &table.name;
        let lacks = |column: &&Column| !there.columns.iter().any(|other| other.name == column.name);
        for column in table.columns.iter().filter(|column| column.published).filter(lacks) {
            let gone = there.columns.iter().find(|other| !table.columns.iter().any(|here| here.name == other.name));
            if let Some(gone) = gone {
                return Err(Halt::refused(format!(
                    "Table {name} at the source has the new column {new}, and no longer the column {old} of the \
                     destination. If it was renamed, run at the destination: ALTER TABLE {quoted} RENAME COLUMN {old} TO \
                     {new}; if it is new: ALTER TABLE {quoted} ADD COLUMN {new} {type_name}; then start again, nothing is \
                     lost.",
                    new = printable(&quote_ident(&column.name)),
                    old = printable(&quote_ident(&gone.name)),
                    quoted = printable(&quote_table(name)),
                    type_name = printable(&column.type_name),
                )));
            }
            let before = self.before(table, column).await?;
            if matches!(before, Before::Unknown) && state.complete {
                state.complete = false;
                // Recorded first: should this run end here, the next one copies.
                self.run(self.again)
                    .await?
                    .map_err(|error| halt::query(Side::Destination, "recording the state of a table", &error))?;
                self.tell.note(format!(
                    "Table {name} is copied again: what its rows hold in the new column {} can't be told otherwise.",
                    printable(&column.name)
                ));
            }
            let usable = creator.ensure_type(column.type_oid).await?;
            let type_name = if usable { column.type_name.as_str() } else { "text" };
            let mut sql =
                format!("ALTER TABLE {} ADD COLUMN {} {type_name}", quote_table(name), quote_ident(&column.name));
            if let Before::Value(value) = &before {
                // The default stays: rows that the stream brings from before the column have this value, too.
                sql.push_str(&format!(" DEFAULT {}", quote_literal(value)));
                if column.not_null {
                    sql.push_str(" NOT NULL");
                }
            }
            if let Err(error) = self.run(&sql).await? {
                let reason = error.as_db_error().map(halt::shown).unwrap_or_default();
                let way_out = missing_column(name, &column.name, &column.type_name);
                return Err(Halt::refused(format!("{way_out} (walpilot tried: {reason})")));
            }
            self.tell.note(format!("Added column {} to table {name} at the destination.", printable(&column.name)));
        }
        Ok(())
    }

    /// Runs a statement; an error of the server is for the caller, a lost connection is not.
    async fn run(&self, sql: &str) -> Result<Result<(), tokio_postgres::Error>, Halt> {
        match self.destination.batch_execute(sql).await {
            Err(error) if error.as_db_error().is_none() => {
                Err(halt::query(Side::Destination, "adding a column", &error))
            }
            outcome => Ok(outcome),
        }
    }

    async fn before(&self, table: &SourceTable, column: &Column) -> Result<Before, Halt> {
        let row = self
            .source
            .query_opt(
                "SELECT atthasmissing, (attmissingval::text::text[])[1], \
                     atthasdef OR attnotnull OR attidentity <> '' OR attgenerated <> '' \
                 FROM pg_attribute WHERE attrelid = $1 AND attname = $2::text",
                &[&table.oid, &column.name],
            )
            .await
            .map_err(|error| halt::query(Side::Source, "reading about a new column", &error))?;
        Ok(match row {
            Some(row) if row.get(0) => row.get::<_, Option<String>>(1).map_or(Before::Null, Before::Value),
            Some(row) if !row.get::<_, bool>(2) => Before::Null,
            _ => Before::Unknown,
        })
    }
}
