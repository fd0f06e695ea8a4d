//! A form: fields in order, one of which has the focus.

use super::field::{Edit, Field};
use super::validate::FieldId;
use crate::connection::{Secret, Settings, SslMode};

/// The names of the encryption modes, for a choice field.
pub const SSL_MODES: &[&str] = &["disable", "prefer", "require"];

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

    /// Whether the last field has the focus.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.focus + 1 >= self.fields.len()
    }

    /// Moves the focus, and wraps around at both ends.
    pub fn step(&mut self, forward: bool) {
        let count = self.fields.len().max(1);
        self.focus_on((self.focus + if forward { 1 } else { count - 1 }) % count);
    }

    /// Moves the focus to a field by its position.
    pub fn focus_on(&mut self, position: usize) {
        if let Some(field) = self.focused_mut() {
            field.blur();
        }
        self.focus = position.min(self.fields.len().saturating_sub(1));
    }

    /// The focus goes to the first empty field that needs a value, or to the last field.
    pub fn focus_on_what_is_missing(&mut self) {
        let last = self.fields.len().saturating_sub(1);
        let missing = self.fields.iter().position(|field| super::validate::check(field.id, field.text()).is_err());
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
        let wrong = self.fields.iter_mut().map(Field::validate).collect::<Vec<_>>();
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
        Settings {
            host: self.text(FieldId::Host).trim().to_owned(),
            port: self.text(FieldId::Port).trim().parse().unwrap_or(base.port),
            database: self.text(FieldId::Database).to_owned(),
            user: self.text(FieldId::User).to_owned(),
            password: (!password.is_empty()).then(|| Secret::new(password)),
            ssl_mode: self.text(FieldId::Encryption).parse::<SslMode>().unwrap_or(base.ssl_mode),
            ..base.clone()
        }
    }

    /// Fills the fields from connection settings.
    pub fn fill(&mut self, settings: &Settings) {
        self.set(FieldId::Host, &settings.host);
        self.set(FieldId::Port, &settings.port.to_string());
        self.set(FieldId::Database, &settings.database);
        self.set(FieldId::User, &settings.user);
        self.set(FieldId::Password, settings.password.as_ref().map_or("", Secret::reveal));
        self.set(FieldId::Encryption, settings.ssl_mode.name());
    }
}
