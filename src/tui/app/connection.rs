//! The first screen: where the source is and who logs in.

use super::field::{Field, Kind};
use super::form::Form;
use super::message::Tested;
use super::validate::FieldId;
use crate::connection::{Class, Failure, Settings};

/// The fields, and what the last try came to.
#[derive(Debug)]
pub struct ConnectionStep {
    /// Host, port, database, user, password.
    pub form: Form,
    /// What has no field, as it came from the command line.
    pub base: Settings,
    /// What the last try came to, and with which settings.
    pub outcome: Option<(Settings, Result<Tested, Box<Failure>>)>,
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

impl ConnectionStep {
    /// The fields filled from `source`; the focus is where something is missing.
    #[must_use]
    pub fn new(source: &Settings) -> Self {
        let mut form = Form::new(vec![
            Field::new(FieldId::Host, Kind::Text),
            Field::new(FieldId::Port, Kind::Text),
            Field::new(FieldId::Database, Kind::Text),
            Field::new(FieldId::User, Kind::Text),
            Field::new(FieldId::Password, Kind::Secret),
        ]);
        form.fill(source);
        form.focus_on_what_is_missing();
        Self { form, base: source.clone(), outcome: None, stand_in: StandIn::default() }
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
