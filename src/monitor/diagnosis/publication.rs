//! Rules about publications: what a slot's consumer asks for, what is younger than the slot, which tables refuse writes.

use super::case::{Case, SlotCase};
use super::finding::{Action, Finding, Severity};
use crate::catalog::ident::{quote_ident, quote_table};
use crate::connection::printable;
use crate::monitor::destination::{Destination, RunState};
use crate::monitor::publications::{Gap, Publications};
use crate::monitor::slot::SlotKind;

/// How many tables are named one by one.
const NAMED: usize = 5;
/// The catalog is read once a minute: what stands for two readings is no passing state.
const TWO_READINGS: u64 = 90;

/// The publications that are read through this slot, as far as that can be known: what its reader asked for, or what
/// the person who watches has named together with it, or the only one there is.
fn of_slot(at: &SlotCase<'_>, catalog: &Publications) -> Option<Vec<String>> {
    let sample = at.case.sample;
    let asked = at.slot.consumer.as_ref().and_then(|reader| sample.context.known()?.requested_publications(reader.pid));
    let named = || {
        let wanted = sample.wanted.slot.as_deref() == Some(&at.slot.name);
        wanted.then(|| sample.wanted.publication.clone()).flatten().map(|name| vec![name])
    };
    let only = || match catalog.publications.as_slice() {
        [only] => Some(vec![only.name.clone()]),
        _ => None,
    };
    asked.or_else(named).or_else(only)
}

fn is_of_this_database(at: &SlotCase<'_>) -> bool {
    at.slot.kind == SlotKind::Logical
        && at.slot.plugin.as_deref() == Some("pgoutput")
        && at.slot.database.as_deref() == Some(&at.case.sample.server.database)
}

/// R10: a publication that the consumer asks for does not exist.
pub(super) fn requested(at: &SlotCase<'_>) -> Option<Finding> {
    let catalog = at.case.sample.publications.known().filter(|_| is_of_this_database(at))?;
    let missing: Vec<String> = of_slot(at, catalog)?.into_iter().filter(|name| catalog.find(name).is_none()).collect();
    let first = missing.first()?;
    let names: Vec<String> = missing.iter().map(|name| printable(name).into_owned()).collect();
    let then = if at.case.sample.server.version >= 180_000 {
        "from 18 on the server only logs a warning and leaves the changes out"
    } else {
        "each attempt to read changes fails"
    };
    let evidence = format!("There is no publication {} in this database; {then}.", names.join(", "));
    let actions = vec![
        Action::run(
            "Create it",
            format!("CREATE PUBLICATION {} FOR TABLE …;", quote_ident(first)),
            "the tables' owner, with CREATE on the database",
        )
        .at_risk("what was written before it can't be read through this slot: make the slot anew and copy again"),
        Action::advice("Or correct the publication's name at the consumer"),
    ];
    Some(at.finding("R10", Severity::Critical, "its publication does not exist", evidence, actions))
}

/// R10b, R10c: a publication, or a table's entry in it, is younger than the slot's position.
pub(super) fn younger(at: &SlotCase<'_>) -> Option<Finding> {
    let catalog = at.case.sample.publications.known().filter(|_| is_of_this_database(at))?;
    let slot_age = catalog.slot_age(&at.slot.name)?;
    // What the slot has passed is behind it, though its catalog_xmin moves later.
    let open = |age: i64| {
        let passed = at.case.history.published_by(catalog.transaction(age));
        age <= slot_age && !matches!((passed, at.slot.confirmed_flush_lsn), (Some(by), Some(reached)) if reached >= by)
    };
    let names = of_slot(at, catalog)?;
    let publication = names.iter().filter_map(|name| catalog.find(name)).find(|publication| open(publication.age));
    if let Some(publication) = publication {
        let name = printable(&publication.name).into_owned();
        let silent = at.case.sample.server.version >= 180_000;
        let what = if silent { "are left out without a word" } else { "can't be read: the stream fails there" };
        let evidence = format!(
            "Publication {name} was created or changed {} transactions ago, and the slot still stands before that (catalog_xmin is {slot_age} old); changes from before it {what}. This clears when the slot has passed it.",
            publication.age
        );
        let actions = vec![
            Action::advice(
                "If the publication was made after the slot: drop the slot, create it anew, copy the tables again",
            ),
            super::actions::drop_slot("Drop it; then create it after the publication", &at.slot.name),
        ];
        let severity = if silent { Severity::Critical } else { Severity::Warning };
        let finding = at.finding("R10b", severity, "its publication is younger than the slot", evidence, actions);
        return Some(finding.lasting(TWO_READINGS));
    }
    let tables: Vec<String> = catalog
        .added
        .iter()
        .filter(|added| names.contains(&added.publication) && open(added.age))
        .map(|added| printable(&format!("{}.{}", added.schema, added.table)).into_owned())
        .collect();
    let first = tables.first()?;
    let more = if tables.len() > 1 { format!(" and {} more", tables.len() - 1) } else { String::new() };
    let evidence = format!(
        "{first}{more} came into the publication after the slot's position: rows written before that come only with a copy.",
    );
    let actions = vec![Action::advice(
        "Copy the table, if its consumer does not do that by itself (ALTER SUBSCRIPTION … REFRESH PUBLICATION)",
    )];
    let finding = at.finding("R10c", Severity::Info, "tables were added after the slot", evidence, actions);
    Some(finding.lasting(TWO_READINGS))
}

/// R10e: a named publication leaves out a kind of change.
pub(super) fn partial(at: &Case<'_>) -> Vec<Finding> {
    let find = || {
        let wanted = at.sample.wanted.publication.as_deref()?;
        let publication = at.sample.publications.known()?.find(wanted)?;
        let left_out: Vec<&str> = [
            (publication.inserts, "INSERT"),
            (publication.updates, "UPDATE"),
            (publication.deletes, "DELETE"),
            (publication.truncates, "TRUNCATE"),
        ]
        .iter()
        .filter_map(|(published, name)| (!published).then_some(*name))
        .collect();
        if left_out.is_empty() {
            return None;
        }
        let evidence = format!("It does not publish {}: the destination never hears of them.", left_out.join(", "));
        let sql = format!(
            "ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate');",
            quote_ident(&publication.name)
        );
        let action = Action::run("Publish everything", sql, "the publication's owner")
            .at_risk("updates and deletes of tables without a replica identity fail from then on");
        let object = printable(&publication.name).into_owned();
        Some(Finding::new("R10e", Severity::Info, object, "the publication leaves changes out", evidence, vec![action]))
    };
    find().into_iter().collect()
}

/// R10d: a table that a run replicates is not published any more.
pub(super) fn not_published(at: &Case<'_>) -> Vec<Finding> {
    let find = || {
        let Some(Destination::Reached(reached)) = &at.sample.destination else { return None };
        let RunState::Known(run) = &reached.run else { return None };
        let tables = at.sample.tables.as_ref().filter(|tables| tables.publication_found)?;
        if at.sample.wanted.publication.as_deref() != Some(&run.publication) {
            return None;
        }
        let missing = run.tables.iter().filter(|known| tables.find(&known.table).is_none());
        let names: Vec<String> = missing.map(|known| printable(&known.table.to_string()).into_owned()).collect();
        let first = names.first()?;
        let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
        let object = printable(&run.publication).into_owned();
        let evidence =
            format!("{first}{more} is replicated by the run and is not in the publication: its changes stop.");
        let action = Action::advice("ALTER PUBLICATION … ADD TABLE, or tell the run to leave it out");
        Some(Finding::new(
            "R10d",
            Severity::Warning,
            object,
            "a replicated table is not published",
            evidence,
            vec![action],
        ))
    };
    find().into_iter().collect()
}

/// R11: tables whose updates or deletes fail at the application.
pub(super) fn gaps(at: &Case<'_>) -> Vec<Finding> {
    let Some(catalog) = at.sample.publications.known() else { return Vec::new() };
    let mut findings: Vec<Finding> = catalog.gaps.iter().take(NAMED).map(gap).collect();
    let named = u64::try_from(findings.len()).unwrap_or(u64::MAX);
    if catalog.gap_count > named {
        let more = catalog.gap_count - named;
        findings.push(Finding::new(
            "R11",
            Severity::Warning,
            "more tables",
            "published tables have no replica identity",
            format!("{more} more tables publish updates or deletes and nothing identifies their rows."),
            vec![Action::advice("walpilot check names each of them, with the statement that mends it")],
        ));
    }
    findings
}

fn gap(gap: &Gap) -> Finding {
    let table = gap.name();
    let what = match (gap.updates, gap.deletes) {
        (true, true) => "UPDATE and DELETE",
        (true, false) => "UPDATE",
        _ => "DELETE",
    };
    let why = match gap.identity.as_str() {
        "n" => "its replica identity is NOTHING",
        "i" => "the index of its replica identity is gone",
        _ => "it has no primary key",
    };
    let evidence = format!(
        "Publication {} publishes {what} of it, and {why}: the application's {what} fails with \"does not have a replica identity\".",
        printable(&gap.publication)
    );
    let quoted = quote_table(&table);
    let actions = vec![
        Action::advice("Give it a primary key, or name a unique index: ALTER TABLE … REPLICA IDENTITY USING INDEX …"),
        Action::run(
            "Write whole old rows to the log",
            format!("ALTER TABLE {quoted} REPLICA IDENTITY FULL;"),
            "the table's owner",
        )
        .at_risk("more log for each update and delete, and slow updates at the destination without an index"),
    ];
    let object = printable(&table.to_string()).into_owned();
    Finding::new("R11", Severity::Warning, object, "a published table has no replica identity", evidence, actions)
}
