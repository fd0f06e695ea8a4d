//! The second screen: how the connection is encrypted, whom to trust, and who we are.

use std::path::PathBuf;

use super::field::{Field, Kind};
use super::form::Form;
use super::validate::FieldId;
use crate::connection::provider::proposal;
use crate::connection::settings::{RootCert, TlsSettings};
use crate::connection::{Secret, Settings, SslMode};

/// Whom to trust: libpq's default file, the operating system's authorities, or a file.
pub const ROOTS: &[&str] = &["default file", "system", "a file"];

/// The mode and its files.
#[derive(Debug)]
pub struct EncryptionStep {
    /// The mode.
    pub mode: SslMode,
    /// Whether somebody has chosen it; before that it follows the host.
    pub chosen: bool,
    /// Where it came from, if it was not chosen here; safe to print.
    pub origin: Option<String>,
    /// Root certificate, client certificate, key and passphrase.
    pub form: Form,
    /// Whether the keys go to those fields.
    pub in_fields: bool,
    /// How far what was negotiated is scrolled, in lines.
    pub scroll: usize,
}

impl EncryptionStep {
    /// As `source` says; `chosen` tells whether somebody said so.
    #[must_use]
    pub fn new(source: &Settings, chosen: bool) -> Self {
        let form = Form::new(vec![
            Field::new(FieldId::RootCert, Kind::Choice(ROOTS)),
            Field::new(FieldId::RootFile, Kind::Text),
            Field::new(FieldId::ClientCert, Kind::Text),
            Field::new(FieldId::ClientKey, Kind::Text),
            Field::new(FieldId::KeyPassphrase, Kind::Secret),
        ]);
        let mut step = Self { mode: source.ssl_mode, chosen, origin: None, form, in_fields: false, scroll: 0 };
        step.fill(source, chosen);
        step
    }

    /// Takes mode and files from `source`.
    pub fn fill(&mut self, source: &Settings, chosen: bool) {
        let path = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        (self.mode, self.chosen, self.origin) = (source.ssl_mode, chosen, None);
        let tls = &source.tls;
        self.trust(&tls.root_cert);
        self.form.set(FieldId::ClientCert, &path(&tls.cert));
        self.form.set(FieldId::ClientKey, &path(&tls.key));
        self.form.set(FieldId::KeyPassphrase, tls.key_passphrase.as_ref().map_or("", Secret::reveal));
        self.follow(source);
    }

    /// `settings` with the mode and the files of this screen.
    #[must_use]
    pub fn over(&self, settings: Settings) -> Settings {
        let path = |id| Some(self.form.text(id)).filter(|text| !text.is_empty()).map(PathBuf::from);
        let passphrase = self.form.text(FieldId::KeyPassphrase);
        let tls = TlsSettings {
            root_cert: self.root(),
            cert: path(FieldId::ClientCert),
            key: path(FieldId::ClientKey),
            key_passphrase: (!passphrase.is_empty()).then(|| Secret::new(passphrase)),
            ..settings.tls
        };
        Settings { ssl_mode: self.mode, tls, ..settings }
    }

    /// Proposes a mode for the host while nobody has chosen one, and shows the fields that matter.
    pub fn follow(&mut self, source: &Settings) {
        let named = [FieldId::RootFile, FieldId::ClientCert, FieldId::ClientKey];
        if !self.chosen && self.form.text(FieldId::RootFile).is_empty() {
            let (mode, root) = proposal(source);
            self.mode = mode;
            self.trust(&root);
        }
        let tls = self.mode != SslMode::Disable && !source.is_unix_socket();
        let file = self.form.text(FieldId::RootCert) == ROOTS[2];
        let identity = named[1..].iter().any(|id| !self.form.text(*id).is_empty());
        for field in &mut self.form.fields {
            field.hidden = !tls
                || match field.id {
                    FieldId::RootFile => !file,
                    FieldId::KeyPassphrase => !identity && field.text().is_empty(),
                    _ => false,
                };
        }
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

    fn root(&self) -> RootCert {
        match self.form.text(FieldId::RootCert) {
            text if text == ROOTS[1] => RootCert::System,
            text if text == ROOTS[2] => RootCert::File(PathBuf::from(self.form.text(FieldId::RootFile))),
            _ => RootCert::Default,
        }
    }

    fn trust(&mut self, root: &RootCert) {
        let (kind, file) = match root {
            RootCert::Default => (ROOTS[0], String::new()),
            RootCert::System => (ROOTS[1], String::new()),
            RootCert::File(file) => (ROOTS[2], file.display().to_string()),
        };
        self.form.set(FieldId::RootCert, kind);
        if self.form.text(FieldId::RootFile) != file {
            self.form.set(FieldId::RootFile, &file);
        }
    }
}
