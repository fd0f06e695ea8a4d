//! The first screen: where the source is and who logs in.

use std::path::PathBuf;

use super::field::{Field, Kind};
use super::form::Form;
use super::message::Tested;
use super::validate::FieldId;
use crate::connection::settings::Tunnel;
use crate::connection::{Class, Failure, Settings};

/// The fields of a bastion.
const BASTION: [FieldId; 4] = [FieldId::SshDestination, FieldId::SshPort, FieldId::SshKey, FieldId::SshJump];

/// The fields, and what the last try came to.
#[derive(Debug)]
pub struct ConnectionStep {
    /// Host, port, database, user, password.
    pub form: Form,
    /// What has no field, as it came from the command line.
    pub base: Settings,
    /// What the last try came to, and with which settings.
    pub outcome: Option<(Settings, Result<Tested, Box<Failure>>)>,
    /// Whether the source is reached through a bastion; then its fields are shown.
    pub ssh: bool,
    /// The administrator who looks while the role can't log in.
    pub stand_in: StandIn,
}

/// An administrator who stands in for a role that does not exist yet or can't log in: through that login the source
/// is read until the setup script has made the role. The name and the password are those of the script's screen.
#[derive(Debug, Default)]
pub struct StandIn {
    /// Whether there is one; then the fields are shown.
    pub asked: bool,
    /// Whether the keys go to those fields.
    pub in_fields: bool,
    /// What the last try came to, and with which settings.
    pub outcome: Option<(Settings, Result<Tested, Box<Failure>>)>,
}

/// Whether an administrator can mend by SQL what keeps the role out. A password that is wrong is among them: from
/// outside a role that does not exist looks the same.
#[must_use]
pub fn is_mendable(failure: &Failure) -> bool {
    matches!(failure.class, Class::PasswordWrong | Class::RoleMissing | Class::RoleNologin)
}

/// Whether the next screen is where this is mended: mode, root certificate, client certificate, key.
#[must_use]
pub fn is_about_encryption(failure: &Failure) -> bool {
    use Class as C;
    failure.class.is_about_the_certificate()
        || matches!(
            failure.class,
            C::TlsUnsupported | C::TlsVersion | C::TlsFailed | C::RootCertMissing | C::RootCertBad
        )
        || matches!(failure.class, C::ClientCertRequired | C::ClientCertRejected | C::ClientCertUserMismatch)
        || matches!(failure.class, C::ClientCertBad | C::ClientKeyMissing | C::ClientKeyPermissions)
        || matches!(failure.class, C::ClientKeyPassphrase | C::ClientKeyMismatch | C::ClientKeyFormat)
        || matches!(failure.class, C::NoPgHba | C::HbaReject | C::CleartextRefused | C::ChannelBinding)
}

impl ConnectionStep {
    /// The fields filled from `source`; the focus is where something is missing.
    #[must_use]
    pub fn new(source: &Settings) -> Self {
        let form = Form::new(vec![
            Field::new(FieldId::Host, Kind::Text),
            Field::new(FieldId::Port, Kind::Text),
            Field::new(FieldId::Database, Kind::Text),
            Field::new(FieldId::User, Kind::Text),
            Field::new(FieldId::Password, Kind::Secret),
            Field::new(FieldId::SshDestination, Kind::Text),
            Field::new(FieldId::SshPort, Kind::Text),
            Field::new(FieldId::SshKey, Kind::Text),
            Field::new(FieldId::SshJump, Kind::Text),
        ]);
        let stand_in = StandIn::default();
        let mut step = Self { form, base: Settings::default(), outcome: None, ssh: false, stand_in };
        step.fill(source);
        step
    }

    /// Takes all values from `source`; the focus goes where something is missing.
    pub fn fill(&mut self, source: &Settings) {
        self.base = source.clone();
        self.form.fill(source);
        let tunnel = source.tunnel.clone().unwrap_or_default();
        let file = tunnel.identity.map_or_else(String::new, |file| file.display().to_string());
        self.form.set(FieldId::SshDestination, &tunnel.destination);
        self.form.set(FieldId::SshPort, &tunnel.port.map_or_else(String::new, |port| port.to_string()));
        self.form.set(FieldId::SshKey, &file);
        self.form.set(FieldId::SshJump, tunnel.jump.as_deref().unwrap_or_default());
        self.go_through_ssh(source.tunnel.is_some());
        self.form.focus_on_what_is_missing();
    }

    /// Shows or hides the bastion's fields; hidden, there is no bastion.
    pub fn go_through_ssh(&mut self, ssh: bool) {
        self.ssh = ssh;
        for field in &mut self.form.fields {
            if BASTION.contains(&field.id) {
                field.hidden = !ssh;
            }
        }
        if self.form.focused().is_some_and(|field| field.hidden) {
            self.form.focus_on_what_is_missing();
        }
    }

    /// The source as the fields of this screen describe it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let text = |id| Some(self.form.text(id).trim()).filter(|text| !text.is_empty()).map(str::to_owned);
        let tunnel = self.ssh.then(|| Tunnel {
            destination: text(FieldId::SshDestination).unwrap_or_default(),
            port: text(FieldId::SshPort).and_then(|port| port.parse().ok()),
            identity: text(FieldId::SshKey).map(PathBuf::from),
            jump: text(FieldId::SshJump),
            config: self.base.tunnel.as_ref().and_then(|tunnel| tunnel.config.clone()),
        });
        Settings { tunnel, ..self.form.settings(&self.base) }
    }

    /// What the last try came to, if it was made with these settings.
    #[must_use]
    pub fn outcome_of(&self, settings: &Settings) -> Option<&Result<Tested, Box<Failure>>> {
        self.outcome.as_ref().filter(|(tried, _)| tried == settings).map(|(_, outcome)| outcome)
    }

    /// Whether a try with these settings was a success.
    #[must_use]
    pub fn is_proven(&self, settings: &Settings) -> bool {
        matches!(self.outcome_of(settings), Some(Ok(_)))
    }

    /// Why the role can't log in with these settings, where an administrator could mend it.
    #[must_use]
    pub fn mendable(&self, settings: &Settings) -> Option<&Failure> {
        match self.outcome_of(settings) {
            Some(Err(failure)) if is_mendable(failure) => Some(failure),
            _ => None,
        }
    }
}
