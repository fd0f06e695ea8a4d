//! A form: fields in order, one of which has the focus.

use std::collections::BTreeMap;

use super::field::{Edit, Field, Kind};
use super::validate::FieldId;
use crate::connection::inputs::Origin;
use crate::connection::{Secret, Settings, SslMode};

/// Where values came from, by libpq's keyword.
pub type Origins = BTreeMap<&'static str, Origin>;

/// The names of the encryption modes, for a choice field.
pub const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Fields with a focus.
#[derive(Debug)]
pub struct Form {
    /// The fields, from top to bottom.
    pub fields: Vec<Field>,
    focus: usize,
}

impl Form {
    /// A form with the focus on its first field.
    #[must_use]
    pub fn new(fields: Vec<Field>) -> Self {
        Self { fields, focus: 0 }
    }

    /// The position of the focused field.
    #[must_use]
    pub fn focus(&self) -> usize {
        self.focus
    }

    /// The focused field.
    #[must_use]
    pub fn focused(&self) -> Option<&Field> {
        self.fields.get(self.focus)
    }

    /// The focused field, to change it.
    pub fn focused_mut(&mut self) -> Option<&mut Field> {
        self.fields.get_mut(self.focus)
    }

    /// The fields that are shown.
    pub fn shown(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !field.hidden)
    }

    /// The position of the focused field among those that are shown.
    #[must_use]
    pub fn focus_among_shown(&self) -> usize {
        self.fields.iter().take(self.focus).filter(|field| !field.hidden).count()
    }

    /// Moves the focus to the field of this position among those that are shown.
    pub fn focus_on_shown(&mut self, position: usize) {
        let shown = self.fields.iter().enumerate().filter(|(_, field)| !field.hidden);
        let to = shown.map(|(at, _)| at).nth(position);
        self.focus_on(to.unwrap_or(self.focus));
    }

    /// Whether the last field that is shown has the focus.
    #[must_use]
    pub fn at_end(&self) -> bool {
        !self.fields.iter().skip(self.focus + 1).any(|field| !field.hidden)
    }

    /// Moves the focus, and wraps around at both ends.
    pub fn step(&mut self, forward: bool) {
        let count = self.shown().count().max(1);
        self.focus_on_shown((self.focus_among_shown() + if forward { 1 } else { count - 1 }) % count);
    }

    /// Moves the focus to a field by its position.
    pub fn focus_on(&mut self, position: usize) {
        if let Some(field) = self.focused_mut() {
            field.blur();
        }
        self.focus = position.min(self.fields.len().saturating_sub(1));
    }

    /// Moves the focus to this field, if the form has it.
    pub fn focus_on_id(&mut self, id: FieldId) {
        if let Some(position) = self.fields.iter().position(|field| field.id == id) {
            self.focus_on(position);
        }
    }

    /// The focus goes to the first empty field that needs a value, or to the last field.
    pub fn focus_on_what_is_missing(&mut self) {
        let last = self.fields.iter().rposition(|field| !field.hidden).unwrap_or(0);
        let wrong = |field: &Field| !field.hidden && super::validate::check(field.id, field.text()).is_err();
        let missing = self.fields.iter().position(wrong);
        self.focus = missing.unwrap_or(last);
    }

    /// The screen is left: secrets are hidden.
    pub fn blur(&mut self) {
        if let Some(field) = self.focused_mut() {
            field.blur();
        }
    }

    /// Validates every field and puts the focus on the first that is wrong. Returns whether all are right.
    pub fn validate(&mut self) -> bool {
        let wrong = self.fields.iter_mut().map(|field| field.hidden || field.validate()).collect::<Vec<_>>();
        let Some(first) = wrong.iter().position(|right| !right) else { return true };
        self.focus = first;
        false
    }

    /// The text of a field; empty when the form has no such field.
    #[must_use]
    pub fn text(&self, id: FieldId) -> &str {
        self.fields.iter().find(|field| field.id == id).map_or("", Field::text)
    }

    /// Fills a field.
    pub fn set(&mut self, id: FieldId, text: &str) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.id == id) {
            field.set(text);
        }
    }

    /// Shows an error at a field.
    pub fn blame(&mut self, id: FieldId, error: impl Into<String>) {
        if let Some(position) = self.fields.iter().position(|field| field.id == id) {
            self.fields[position].error = Some(error.into());
            self.focus = position;
        }
    }

    /// Applies an editing key to the focused field.
    pub fn edit(&mut self, edit: Edit) {
        if let Some(field) = self.focused_mut() {
            field.edit(edit);
        }
    }

    /// The connection settings that the fields describe, over `base` for what has no field.
    #[must_use]
    pub fn settings(&self, base: &Settings) -> Settings {
        let password = self.text(FieldId::Password);
        // Another password is for every server; the one that was there may be each server's own.
        let mut base = if password == base.password.as_ref().map_or("", Secret::reveal) {
            base.clone()
        } else {
            base.with_password((!password.is_empty()).then(|| Secret::new(password)))
        };
        let host = self.text(FieldId::Host).trim();
        if host != base.place() {
            // Address and further servers belong to the host that stood here.
            (base.host, base.hostaddr, base.alternatives) = (host.to_owned(), None, Vec::new());
        }
        Settings {
            port: self.text(FieldId::Port).trim().parse().unwrap_or(base.port),
            database: self.text(FieldId::Database).to_owned(),
            user: self.text(FieldId::User).to_owned(),
            ssl_mode: self.text(FieldId::Encryption).parse::<SslMode>().unwrap_or(base.ssl_mode),
            ..base
        }
    }

    /// Fills the fields from connection settings.
    pub fn fill(&mut self, settings: &Settings) {
        self.set(FieldId::Host, settings.place());
        self.set(FieldId::Port, &settings.port.to_string());
        self.set(FieldId::Database, &settings.database);
        self.set(FieldId::User, &settings.user);
        self.set(FieldId::Password, settings.password.as_ref().map_or("", Secret::reveal));
        self.set(FieldId::Encryption, settings.ssl_mode.name());
    }

    /// Says at each field where its value came from; `origins` are by libpq's keyword, what is not in them is a default.
    pub fn tell_origins(&mut self, origins: &Origins) {
        for field in &mut self.fields {
            let keyword = match field.id {
                FieldId::Host if !origins.contains_key("host") => "hostaddr",
                FieldId::Host => "host",
                FieldId::Port => "port",
                FieldId::Database => "dbname",
                FieldId::User => "user",
                FieldId::Password => "password",
                FieldId::Encryption => "sslmode",
                FieldId::RootCert | FieldId::RootFile => "sslrootcert",
                FieldId::ClientCert => "sslcert",
                FieldId::ClientKey => "sslkey",
                FieldId::MinTls => "ssl_min_protocol_version",
                FieldId::ChannelBinding => "channel_binding",
                FieldId::ConnectTimeout => "connect_timeout",
                FieldId::TargetSession => "target_session_attrs",
                _ => continue,
            };
            let known = origins.get(keyword);
            let shown = match (&field.kind, known) {
                // libpq uses it although nobody named it.
                (_, Some(Origin::DefaultFile(_))) => true,
                (Kind::Choice(_), known) => known.is_some(),
                _ => !field.text().is_empty(),
            };
            let text = known.map_or_else(|| Origin::Default.to_string(), ToString::to_string);
            field.origin = shown.then_some(text);
        }
    }

    /// Whether a field has a value, or libpq takes a default file for it.
    #[must_use]
    pub fn is_said(&self, id: FieldId) -> bool {
        self.fields.iter().any(|field| field.id == id && (!field.text().is_empty() || field.origin.is_some()))
    }
}
