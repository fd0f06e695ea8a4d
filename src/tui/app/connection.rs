//! The first screen: where the source is and who logs in.

use std::path::PathBuf;
use std::time::Duration;

use super::field::{Field, Kind};
use super::form::Form;
use super::message::Tested;
use super::validate::FieldId;
use crate::connection::settings::{TargetSession, Tunnel};
use crate::connection::{Class, Failure, Settings};
use crate::profile::password_command;
use crate::profile::saved::PasswordSource;

/// The fields of a bastion.
const BASTION: [FieldId; 4] = [FieldId::SshDestination, FieldId::SshPort, FieldId::SshKey, FieldId::SshJump];

/// Where the password comes from; the last only where there is a keyring.
const FROM: &[&str] = &["typed here", "a command", "the keyring"];
const FROM_WITHOUT_KEYRING: &[&str] = &["typed here", "a command"];
/// In the order of [`TargetSession::ALL`].
const TARGETS: &[&str] = &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"];

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
    /// Whether the fields are shown that few sources need.
    pub more: bool,
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
            Field::new(FieldId::PasswordFrom, Kind::Choice(FROM_WITHOUT_KEYRING)),
            Field::new(FieldId::PasswordCommand, Kind::Text),
            Field::new(FieldId::SshDestination, Kind::Text),
            Field::new(FieldId::SshPort, Kind::Text),
            Field::new(FieldId::SshKey, Kind::Text),
            Field::new(FieldId::SshJump, Kind::Text),
            Field::new(FieldId::ConnectTimeout, Kind::Text),
            Field::new(FieldId::TargetSession, Kind::Choice(TARGETS)),
        ]);
        let stand_in = StandIn::default();
        let mut step = Self { form, base: Settings::default(), outcome: None, ssh: false, more: false, stand_in };
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
        let limit = source.connect_timeout;
        let limit = if limit == Settings::default().connect_timeout {
            String::new()
        } else {
            limit.as_secs().max(1).to_string()
        };
        self.form.set(FieldId::ConnectTimeout, &limit);
        self.form.set(FieldId::TargetSession, source.target_session.name());
        self.ssh = source.tunnel.is_some();
        self.show_fields();
        self.form.focus_on_what_is_missing();
    }

    /// Shows or hides the bastion's fields; hidden, there is no bastion.
    pub fn go_through_ssh(&mut self, ssh: bool) {
        self.ssh = ssh;
        self.show_fields();
    }

    /// Says where the password comes from.
    pub fn take_password_from(&mut self, source: &PasswordSource) {
        if *source == PasswordSource::Keyring {
            self.offer_keyring();
        }
        let (word, command) = match source {
            PasswordSource::Command { command } => (FROM[1], password_command::line(command)),
            PasswordSource::Keyring => (FROM[2], String::new()),
            PasswordSource::Prompt | PasswordSource::Env | PasswordSource::Pgpass => (FROM[0], String::new()),
        };
        self.form.set(FieldId::PasswordFrom, word);
        self.form.set(FieldId::PasswordCommand, &command);
        self.show_fields();
        self.form.focus_on_what_is_missing();
    }

    /// Where the password comes from; `typed` stands for what is not chosen here.
    #[must_use]
    pub fn password_from(&self, typed: &PasswordSource) -> PasswordSource {
        match self.form.text(FieldId::PasswordFrom) {
            word if word == FROM[1] => {
                let command = password_command::words(self.form.text(FieldId::PasswordCommand)).unwrap_or_default();
                PasswordSource::Command { command }
            }
            word if word == FROM[2] => PasswordSource::Keyring,
            _ => match typed {
                PasswordSource::Env | PasswordSource::Pgpass => typed.clone(),
                _ => PasswordSource::Prompt,
            },
        }
    }

    /// There is a keyring.
    pub fn offer_keyring(&mut self) {
        if let Some(field) = self.form.fields.iter_mut().find(|field| field.id == FieldId::PasswordFrom) {
            field.kind = Kind::Choice(FROM);
        }
    }

    /// Shows what matters and hides the rest. A password that a program prints is not typed.
    pub fn show_fields(&mut self) {
        let from = self.form.text(FieldId::PasswordFrom);
        let (command, elsewhere) = (from == FROM[1], from != FROM[0]);
        let (ssh, more) = (self.ssh, self.more);
        for field in &mut self.form.fields {
            field.hidden = match field.id {
                FieldId::Password => command,
                FieldId::PasswordCommand => !command,
                FieldId::PasswordFrom => !more && !elsewhere,
                FieldId::ConnectTimeout | FieldId::TargetSession => !more,
                id if BASTION.contains(&id) => !ssh,
                _ => continue,
            };
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
        let seconds = self.form.text(FieldId::ConnectTimeout).trim().parse().ok();
        let kind = self.form.text(FieldId::TargetSession);
        Settings {
            tunnel,
            connect_timeout: seconds.map_or(Settings::default().connect_timeout, Duration::from_secs),
            target_session: TargetSession::ALL.into_iter().find(|target| target.name() == kind).unwrap_or_default(),
            ..self.form.settings(&self.base)
        }
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
