//! Rules about the WAL directory: who holds it beside slots, and when its volume is full.

use super::case::{Case, millis, number};
use super::finding::{Action, Finding, Severity};
use crate::connection::printable;
use crate::monitor::moment::Moment;
use crate::monitor::units;
use crate::profile::alerts;

/// R17: the archiver lags, or fails; `wal_keep_size`. R17d: nobody holds what is there.
pub(super) fn held_by_others(at: &Case<'_>) -> Vec<Finding> {
    archiver(at).into_iter().chain(keep_size(at)).chain(preallocated(at)).collect()
}

fn archiver(at: &Case<'_>) -> Option<Finding> {
    let ready = at.sample.files.known()?.ready?;
    let archiver = at.sample.context.known().and_then(|context| context.archiver.as_ref());
    let failing = archiver.filter(|archiver| archiver.is_failing());
    let severity = at.level("R17", "archiver", &alerts::ARCHIVER, number(ready));
    let severity = severity.or(failing.map(|_| Severity::Warning))?;
    let segment = at.sample.server.bytes("wal_segment_size").unwrap_or(0);
    let how = match failing {
        Some(archiver) => format!(
            "; the last attempt failed at {} ({}, {} failures so far)",
            archiver.last_failed_at.map_or_else(|| "?".to_owned(), Moment::clock),
            archiver.last_failed.as_deref().map_or_else(|| "?".into(), printable),
            units::count(archiver.failed)
        ),
        None => String::new(),
    };
    let evidence = format!(
        "{} segments ({}) wait to be archived and can't be removed{how}.",
        units::count(ready),
        units::bytes(ready.saturating_mul(segment))
    );
    let actions = vec![
        Action::advice("Read the server's log for the archive command's error; check its destination and its room"),
        Action::run("See what it does", "SELECT * FROM pg_stat_archiver;", "any role"),
    ];
    let title = if failing.is_some() { "archiving fails and holds WAL" } else { "the archiver lags and holds WAL" };
    Some(Finding::new("R17", severity, "archiver", title, evidence, actions).lasting(300))
}

/// What `wal_keep_size` keeps is wanted, but nobody else needs it. Below `max_wal_size` it costs nothing: so much is there
/// anyhow between two checkpoints.
fn keep_size(at: &Case<'_>) -> Option<Finding> {
    // Without a look at the directory nobody knows whether there is so much.
    at.sample.files.known()?.behind?;
    let top = at.reading.wal_holders.first().filter(|top| top.what == "wal_keep_size")?;
    if top.bytes <= at.sample.server.bytes("max_wal_size")? {
        return None;
    }
    let next = at.reading.wal_holders.get(1).map_or(0, |next| next.bytes);
    let evidence =
        format!("It keeps {}; whatever else needs WAL needs {}.", units::bytes(top.bytes), units::bytes(next));
    let action = Action::advice("Lower it if the disk is short; standbys with slots do not need it");
    let title = "wal_keep_size holds the most WAL";
    Some(Finding::new("R17", Severity::Info, "wal_keep_size", title, evidence, vec![action]).lasting(300))
}

/// R17d: `pg_wal` looks full, and most of it is files kept for log to come. Whoever looks at its size alone would blame a
/// slot. A directory of less than half of `max_wal_size` surprises nobody, and `min_wal_size` is always kept.
fn preallocated(at: &Case<'_>) -> Option<Finding> {
    let files = at.sample.files.known()?;
    let ahead = files.ahead?;
    let (least, most) = (at.sample.server.bytes("min_wal_size")?, at.sample.server.bytes("max_wal_size")?);
    if ahead <= least || ahead <= files.bytes / 2 || files.bytes <= most / 2 {
        return None;
    }
    let evidence = format!(
        "{} of {} are recycled files for log to come: no slot holds them, and dropping one would not free them. They become fewer with each checkpoint that finds less to write, down to min_wal_size ({}).",
        units::bytes(ahead),
        units::bytes(files.bytes),
        units::bytes(least)
    );
    let action = Action::advice("Nothing has to be done; lower max_wal_size if the disk is short");
    let title = "most of pg_wal is preallocated";
    Some(Finding::new("R17d", Severity::Info, "pg_wal", title, evidence, vec![action]).lasting(300))
}

/// R17c: the volume of `pg_wal` will be full; only when its size was given.
pub(super) fn volume(at: &Case<'_>) -> Vec<Finding> {
    let find = || {
        let left = at.reading.volume_full_in?;
        let (files, volume) = (at.sample.files.known()?, at.sample.wanted.wal_volume?);
        let severity = at.level("R17c", "pg_wal", &alerts::VOLUME_FULL, millis(left))?;
        let top = at.reading.wal_holders.first();
        let holder = top.map_or_else(String::new, |top| {
            let slot = top.slot.as_deref().map_or_else(String::new, |name| format!(" {}", printable(name)));
            format!("; {}{slot} holds the most, {}", top.what, units::bytes(top.bytes))
        });
        let evidence = format!(
            "pg_wal takes {} of {} and grows by {}: full in about {}{holder}. Then the server stops.",
            units::bytes(files.bytes),
            units::bytes(volume),
            at.reading.directory_growth.map_or_else(|| "?".to_owned(), units::rate),
            units::about(left),
        );
        let actions = vec![
            Action::advice("Make room, or take care of what holds the most"),
            Action::set(
                "Protect the server: end slots before the disk ends it",
                format!("max_slot_wal_keep_size = '{}MB'", (volume >> 21).max(512)),
            )
            .at_risk("beyond the limit a slot is lost"),
        ];
        let finding = Finding::new("R17c", severity, "pg_wal", "the volume of pg_wal will be full", evidence, actions);
        Some(finding.lasting(300).left(Some(left)))
    };
    find().into_iter().collect()
}
