//! The sixth screen: where the rows go, or that the source is only watched.

use super::field::{Field, Kind};
use super::form::{Form, SSL_MODES};
use super::message::Tested;
use super::tls_fields;
use super::validate::FieldId;
use crate::connection::{Failure, Settings};

/// What can be done from here on.
pub const GOALS: &[&str] = &["into PostgreSQL", "only watch"];

/// The fields, and what the last try came to.
#[derive(Debug)]
pub struct DestinationStep {
    /// Goal, host, port, database, user, password, encryption.
    pub form: Form,
    /// What has no field.
    pub base: Settings,
    /// Whether the files and limits of TLS are shown in every mode.
    pub more: bool,
    /// What the last try came to, and with which settings.
    pub outcome: Option<(Settings, Result<Tested, Box<Failure>>)>,
}

impl DestinationStep {
    /// The fields filled from `destination`.
    #[must_use]
    pub fn new(destination: Option<&Settings>) -> Self {
        let mut form = Form::new(vec![
            Field::new(FieldId::Goal, Kind::Choice(GOALS)),
            Field::new(FieldId::Host, Kind::Text),
            Field::new(FieldId::Port, Kind::Text),
            Field::new(FieldId::Database, Kind::Text),
            Field::new(FieldId::User, Kind::Text),
            Field::new(FieldId::Password, Kind::Secret),
            Field::new(FieldId::Encryption, Kind::Choice(SSL_MODES)),
        ]);
        form.fields.extend(tls_fields::fields());
        let base = destination.cloned().unwrap_or_default();
        if let Some(destination) = destination {
            form.fill(destination);
            tls_fields::fill(&mut form, destination);
        } else {
            form.set(FieldId::Port, &base.port.to_string());
            form.set(FieldId::Encryption, base.ssl_mode.name());
        }
        let mut step = Self { form, base, more: false, outcome: None };
        step.show_fields();
        if destination.is_some() {
            step.form.focus_on_what_is_missing();
        }
        step
    }

    /// Takes all values from `settings`.
    pub fn fill(&mut self, settings: &Settings) {
        self.base = settings.clone();
        self.form.fill(settings);
        tls_fields::fill(&mut self.form, settings);
        self.show_fields();
    }

    /// Shows what matters: nothing while the source is only watched; the files of TLS where the mode needs them, where
    /// they are said, and where they are asked for.
    pub fn show_fields(&mut self) {
        let replicates = self.replicates();
        let mode = self.form.text(FieldId::Encryption).parse().unwrap_or(self.base.ssl_mode);
        let files = self.more || mode.verifies() || tls_fields::are_said(&self.form);
        let tls = replicates && files && !self.form.text(FieldId::Host).starts_with('/');
        for field in self.form.fields.iter_mut().skip(1) {
            field.hidden = !replicates;
        }
        tls_fields::show(&mut self.form, mode, tls, self.more);
        if self.form.focused().is_some_and(|field| field.hidden) {
            self.form.focus_on_id(if replicates { FieldId::Encryption } else { FieldId::Goal });
        }
    }

    /// Whether rows are replicated, rather than the source only watched.
    #[must_use]
    pub fn replicates(&self) -> bool {
        self.form.text(FieldId::Goal) == GOALS[0]
    }

    /// The destination as the fields describe it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        tls_fields::over(&self.form, self.form.settings(&self.base))
    }

    /// What the last try came to, if it was made with the settings in the fields.
    #[must_use]
    pub fn current(&self) -> Option<&Result<Tested, Box<Failure>>> {
        self.outcome.as_ref().filter(|(tried, _)| *tried == self.settings()).map(|(_, outcome)| outcome)
    }
}

/// Why a server that can be reached is no destination; one sentence with the next step.
#[must_use]
pub fn unfit(tested: &Tested, settings: &Settings) -> Option<String> {
    if tested.in_recovery {
        Some(format!(
            "{settings} is a standby and takes no writes (pg_is_in_recovery() is true). Give the primary's address."
        ))
    } else if !tested.may_create {
        Some(format!(
            "The role \"{user}\" may not create schemas in {settings}. As the database's owner run: GRANT CREATE ON \
             DATABASE {database} TO {role};",
            role = crate::connection::printable(&crate::catalog::ident::quote_ident(&settings.user)),
            user = crate::connection::printable(&settings.user),
            database = crate::connection::printable(&crate::catalog::ident::quote_ident(&settings.database)),
        ))
    } else {
        None
    }
}
