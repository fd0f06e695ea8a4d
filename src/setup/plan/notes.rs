//! Notes what is going to be changed, before it is changed.

use super::{Planner, Stage};
use crate::catalog::ddl;
use crate::catalog::ident::quote_literal;
use crate::setup::condition;
use crate::setup::record::{Notes, Record};
use crate::setup::step::{Person, Step};

impl Planner<'_> {
    /// Keeps the record where the way back finds it: in the role's comment or, when an administrator is not needed for
    /// the role, in the publication's.
    pub(super) fn note_changes(&mut self) {
        if self.record.is_empty() {
            return;
        }
        self.record.database = self.facts.database.get().map(|database| database.name.clone()).unwrap_or_default();
        self.record.publication = if self.cdc() { self.profile.publication.clone() } else { String::new() };
        if self.notes_belong_to_the_role() { self.note_on_role() } else { self.note_on_publication() }
    }

    fn notes_belong_to_the_role(&self) -> bool {
        let record = &self.record;
        let known = |comment: Option<&str>| Notes::read(comment).find(&record.database, &record.publication).is_some();
        if known(self.role_comment()) {
            return true;
        }
        if known(self.publication_comment()) {
            return false;
        }
        let role_changes = record.role || record.login || record.replication || record.bypass_rls || record.connect;
        role_changes || !record.groups.is_empty() || self.facts.reader.superuser || !self.cdc()
    }

    fn role_comment(&self) -> Option<&str> {
        self.facts.role.as_ref()?.comment.as_deref()
    }

    fn publication_comment(&self) -> Option<&str> {
        self.facts.the_publication()?.comment.as_deref()
    }

    /// Whether an earlier setup of walpilot's created the publication.
    pub(super) fn ours(&self) -> bool {
        let database = self.facts.database.get().map_or("", |database| database.name.as_str());
        let created = |comment: Option<&str>| {
            Notes::read(comment).find(database, &self.profile.publication).is_some_and(|record: &Record| record.created)
        };
        created(self.role_comment()) || created(self.publication_comment())
    }

    fn note_on_role(&mut self) {
        let user = self.user().to_owned();
        let before = self.role_comment().map(str::to_owned);
        let after = Notes::read(before.as_deref()).with(&self.record).comment();
        if before == after {
            return;
        }
        let sql = condition::if_allowed(
            &ddl::comment_on_role(&user, after.as_deref()),
            "This setup can't be noted in the role's comment: the way back will leave grants and replica identities.",
        );
        let now = format!(
            "(SELECT pg_catalog.shobj_description(oid, 'pg_authid') FROM pg_catalog.pg_roles WHERE rolname = {})",
            quote_literal(&user)
        );
        let title = format!("Note on role {user} what is changed");
        let step = Step::new(Person::Administrator, &title, "the way back reads it there", sql, "superuser");
        self.step(Stage::Role, step.unless(differs(&now, before.as_deref())));
    }

    fn note_on_publication(&mut self) {
        let name = self.profile.publication.clone();
        let before = self.publication_comment().map(str::to_owned);
        let after = Notes::read(before.as_deref()).with(&self.record).comment();
        if before == after || (self.facts.the_publication().is_none() && !self.record.created) {
            return;
        }
        let now = format!(
            "(SELECT pg_catalog.obj_description(oid, 'pg_publication') FROM pg_catalog.pg_publication WHERE pubname = {})",
            quote_literal(&name)
        );
        let sql = ddl::comment_on_publication(&name, after.as_deref());
        let title = format!("Note on publication {name} what was changed");
        let step = Step::new(Person::Administrator, &title, "the way back reads it there", sql, "publication owner");
        self.step(Stage::Publication, step.unless(differs(&now, before.as_deref())));
    }
}

/// Whether the comment is no longer what this plan was made from: noted already, or somebody else's.
fn differs(now: &str, before: Option<&str>) -> String {
    match before {
        None => format!("{now} IS NOT NULL"),
        Some(before) => format!("{now} IS DISTINCT FROM {}", quote_literal(before)),
    }
}
