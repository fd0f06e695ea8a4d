//! The fields of TLS that the source and the destination share: whom to trust, who we are, and two limits.

use std::path::PathBuf;

use super::field::{Field, Kind};
use super::form::Form;
use super::validate::FieldId;
use crate::connection::settings::{ChannelBindingMode, RootCert, TlsSettings, TlsVersion};
use crate::connection::{Secret, Settings, SslMode};

/// Whom to trust: libpq's default file, the operating system's authorities, or a file.
pub const ROOTS: &[&str] = &["default file", "system", "a file"];
/// The oldest version of TLS; libpq's default is 1.2.
const VERSIONS: &[&str] = &["default", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
/// In the order of [`ChannelBindingMode::ALL`].
const BINDINGS: &[&str] = &["disable", "prefer", "require"];

/// The fields, empty.
#[must_use]
pub fn fields() -> Vec<Field> {
    let mut binding = Field::new(FieldId::ChannelBinding, Kind::Choice(BINDINGS));
    binding.set(ChannelBindingMode::default().name());
    vec![
        Field::new(FieldId::RootCert, Kind::Choice(ROOTS)),
        Field::new(FieldId::RootFile, Kind::Text),
        Field::new(FieldId::ClientCert, Kind::Text),
        Field::new(FieldId::ClientKey, Kind::Text),
        Field::new(FieldId::KeyPassphrase, Kind::Secret),
        Field::new(FieldId::MinTls, Kind::Choice(VERSIONS)),
        binding,
    ]
}

/// Fills them from connection settings.
pub fn fill(form: &mut Form, settings: &Settings) {
    let path = |path: &Option<PathBuf>| path.as_ref().map_or_else(String::new, |path| path.display().to_string());
    let tls = &settings.tls;
    trust(form, &tls.root_cert);
    form.set(FieldId::ClientCert, &path(&tls.cert));
    form.set(FieldId::ClientKey, &path(&tls.key));
    form.set(FieldId::KeyPassphrase, tls.key_passphrase.as_ref().map_or("", Secret::reveal));
    form.set(FieldId::MinTls, tls.min_version.map_or(VERSIONS[0], TlsVersion::name));
    form.set(FieldId::ChannelBinding, settings.channel_binding.name());
}

/// `settings` with what the fields say.
#[must_use]
pub fn over(form: &Form, settings: Settings) -> Settings {
    let path = |id| Some(form.text(id)).filter(|text| !text.is_empty()).map(PathBuf::from);
    let passphrase = form.text(FieldId::KeyPassphrase);
    let oldest = form.text(FieldId::MinTls);
    let binding = form.text(FieldId::ChannelBinding);
    let tls = TlsSettings {
        root_cert: match form.text(FieldId::RootCert) {
            text if text == ROOTS[1] => RootCert::System,
            text if text == ROOTS[2] => RootCert::File(PathBuf::from(form.text(FieldId::RootFile))),
            _ => RootCert::Default,
        },
        cert: path(FieldId::ClientCert),
        key: path(FieldId::ClientKey),
        key_passphrase: (!passphrase.is_empty()).then(|| Secret::new(passphrase)),
        min_version: TlsVersion::ALL.into_iter().find(|version| version.name() == oldest),
        ..settings.tls
    };
    let channel_binding = ChannelBindingMode::ALL.into_iter().find(|mode| mode.name() == binding).unwrap_or_default();
    Settings { tls, channel_binding, ..settings }
}

/// Says whom to trust.
pub fn trust(form: &mut Form, root: &RootCert) {
    let (kind, file) = match root {
        RootCert::Default => (ROOTS[0], String::new()),
        RootCert::System => (ROOTS[1], String::new()),
        RootCert::File(file) => (ROOTS[2], file.display().to_string()),
    };
    form.set(FieldId::RootCert, kind);
    if form.text(FieldId::RootFile) != file {
        form.set(FieldId::RootFile, &file);
    }
}

/// Shows the fields that matter in this mode; `tls` tells whether there can be TLS at all, `limits` whether the limits
/// are wanted too.
pub fn show(form: &mut Form, mode: SslMode, tls: bool, limits: bool) {
    let tls = tls && mode != SslMode::Disable;
    let a_file = form.text(FieldId::RootCert) == ROOTS[2];
    let identity = [FieldId::ClientCert, FieldId::ClientKey].iter().any(|id| form.is_said(*id));
    for field in &mut form.fields {
        field.hidden = match field.id {
            FieldId::RootFile => !tls || !a_file,
            FieldId::KeyPassphrase => !tls || (!identity && field.text().is_empty()),
            FieldId::RootCert | FieldId::ClientCert | FieldId::ClientKey => !tls,
            FieldId::MinTls | FieldId::ChannelBinding => !tls || !limits,
            _ => continue,
        };
    }
}

/// Whether the fields say anything that is not the default.
#[must_use]
pub fn are_said(form: &Form) -> bool {
    let files = [FieldId::RootFile, FieldId::ClientCert, FieldId::ClientKey, FieldId::KeyPassphrase];
    let limits = form.text(FieldId::MinTls) != VERSIONS[0]
        || form.text(FieldId::ChannelBinding) != ChannelBindingMode::default().name();
    limits || form.text(FieldId::RootCert) != ROOTS[0] || files.iter().any(|id| !form.text(*id).is_empty())
}
