//! The second screen: how the connection is encrypted, whom to trust, and who we are.

use super::field::Field;
use super::form::Form;
use super::tls_fields;
use super::validate::FieldId;
use crate::connection::provider::proposal;
use crate::connection::{Settings, SslMode};

/// The mode and its files.
#[derive(Debug)]
pub struct EncryptionStep {
    /// The mode.
    pub mode: SslMode,
    /// Whether somebody has chosen it; before that it follows the host.
    pub chosen: bool,
    /// Where it came from, if it was not chosen here; safe to print.
    pub origin: Option<String>,
    /// Root certificate, client certificate, key, passphrase and limits.
    pub form: Form,
    /// Whether the limits are shown too.
    pub more: bool,
    /// Whether the keys go to those fields.
    pub in_fields: bool,
    /// How far what was negotiated is scrolled, in lines.
    pub scroll: usize,
}

impl EncryptionStep {
    /// As `source` says; `chosen` tells whether somebody said so.
    #[must_use]
    pub fn new(source: &Settings, chosen: bool) -> Self {
        let form = Form::new(tls_fields::fields());
        let mode = source.ssl_mode;
        let mut step = Self { mode, chosen, origin: None, form, more: false, in_fields: false, scroll: 0 };
        step.fill(source, chosen);
        step
    }

    /// Takes mode and files from `source`.
    pub fn fill(&mut self, source: &Settings, chosen: bool) {
        (self.mode, self.chosen, self.origin) = (source.ssl_mode, chosen, None);
        tls_fields::fill(&mut self.form, source);
        self.follow(source);
    }

    /// `settings` with the mode and the files of this screen.
    #[must_use]
    pub fn over(&self, settings: Settings) -> Settings {
        Settings { ssl_mode: self.mode, ..tls_fields::over(&self.form, settings) }
    }

    /// Proposes a mode for the host while nobody has chosen one, and shows the fields that matter.
    pub fn follow(&mut self, source: &Settings) {
        if !self.chosen && self.form.text(FieldId::RootFile).is_empty() {
            let (mode, root) = proposal(source);
            self.mode = mode;
            tls_fields::trust(&mut self.form, &root);
        }
        tls_fields::show(&mut self.form, self.mode, !source.is_unix_socket(), self.more);
        if self.form.focused().is_none_or(|field| field.hidden) {
            self.leave();
            self.form.focus_on(0);
        }
    }

    /// The keys go back to the modes.
    pub fn leave(&mut self) {
        self.form.blur();
        self.in_fields = false;
    }

    /// The text field that has the focus.
    pub fn focused_mut(&mut self) -> Option<&mut Field> {
        if self.in_fields { self.form.focused_mut() } else { None }
    }
}
