//! The names that privacy hides: of hosts, roles and objects, as far as they can come to the screen.

use std::collections::HashSet;

use super::Dashboard;
use crate::monitor::Sample;
use crate::monitor::destination::Destination;

/// Schemas and roles that every server has tell nothing.
const EVERYWHERE: [&str; 4] = ["public", "pg_catalog", "information_schema", "postgres"];

impl Dashboard {
    /// Adds every name that this dashboard may show to `names`.
    pub fn names(&self, names: &mut HashSet<String>) {
        // user@host:port/database
        let sides = [Some(self.source.as_str()), self.destination.as_deref()];
        for side in sides.into_iter().flatten() {
            let parts = side.split(['@', '/', ',', ' ', '[', ']']);
            let parts = parts.flat_map(|part| part.rsplit_once(':').map_or([part, ""], |(host, _)| [host, ""]));
            names.extend(parts.map(str::to_owned));
        }
        names.extend(self.wanted_slot.clone());
        names.extend(self.recording.iter().map(|recording| recording.file.clone()));
        for picture in [self.picture(), &self.live] {
            names.extend(picture.watcher.history().gone().keys().cloned());
            if let Some(sample) = picture.watcher.sample() {
                of_sample(sample, names);
            }
        }
        names.retain(|name| !name.is_empty() && !EVERYWHERE.contains(&name.as_str()));
    }
}

fn of_sample(sample: &Sample, names: &mut HashSet<String>) {
    names.extend([sample.server.database.clone(), sample.server.role.clone()]);
    names.extend(sample.wanted.publication.clone());
    for slot in &sample.slots {
        names.insert(slot.name.clone());
        names.extend(slot.database.clone());
        if let Some(reader) = &slot.consumer {
            let texts = [&reader.user, &reader.application_name, &reader.client_addr];
            names.extend(texts.into_iter().flatten().cloned());
        }
    }
    if let Some(context) = sample.context.known() {
        for holder in &context.holders {
            let texts = [&holder.name, &holder.application, &holder.user, &holder.database];
            names.extend(texts.into_iter().flatten().cloned());
        }
        for copy in &context.copies {
            let texts = [&copy.schema, &copy.table, &copy.application, &copy.user];
            names.extend(texts.into_iter().flatten().cloned());
        }
        names.extend(context.oldest_database.iter().map(|database| database.name.clone()));
    }
    if let Some(publications) = sample.publications.known() {
        names.extend(publications.publications.iter().map(|publication| publication.name.clone()));
    }
    let there = match &sample.destination {
        Some(Destination::Reached(reached)) => Some(&reached.tables),
        _ => None,
    };
    for table in sample.tables.iter().chain(there).flat_map(|tables| &tables.tables) {
        names.extend([table.name.schema.clone(), table.name.name.clone()]);
    }
}
