//! The fifth screen: the SQL that mends what was found, and its application.

use super::field::{Field, Kind};
use super::form::Form;
use super::message::Planned;
use super::validate::FieldId;
use crate::connection::{Secret, Settings};
use crate::profile::Profile;
use crate::setup::rehearse::Rehearsal;

/// How far one step of the plan is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// Under way; with the reason if it waits for a lock.
    Running(Option<String>),
    /// Done.
    Done,
    /// There was nothing to do.
    Skipped,
    /// Failed.
    Failed,
}

/// The plan and what became of it.
#[derive(Debug)]
pub struct ScriptStep {
    /// Administrator and password.
    pub form: Form,
    /// Whether the keys go to the fields; otherwise they scroll the script.
    pub in_fields: bool,
    /// The plan and its script.
    pub planned: Option<Planned>,
    /// What the plan was made for.
    pub planned_for: Option<(Profile, Option<Settings>)>,
    /// Why there is no plan.
    pub error: Option<String>,
    /// First line shown.
    pub scroll: usize,
    /// First column shown.
    pub shift: usize,
    /// How far each step is, while the plan is applied and after.
    pub states: Vec<StepState>,
    /// What each step of the application does; the plan itself is made anew when it has ended.
    pub titles: Vec<String>,
    /// What the last rehearsal of this plan showed; it stands in place of the script.
    pub rehearsal: Option<Result<Box<Rehearsal>, String>>,
    /// What the application came to.
    pub applied: Option<Result<(), String>>,
    /// The administrator as given from outside: it may connect elsewhere than the fields of this screen can say.
    base: Option<Settings>,
}

impl ScriptStep {
    /// The fields filled from `admin`.
    #[must_use]
    pub fn new(admin: Option<&Settings>) -> Self {
        let mut form = Form::new(vec![
            Field::new(FieldId::AdminUser, Kind::Text),
            Field::new(FieldId::AdminPassword, Kind::Secret),
        ]);
        if let Some(admin) = admin {
            form.set(FieldId::AdminUser, &admin.user);
            form.set(FieldId::AdminPassword, admin.password.as_ref().map_or("", Secret::reveal));
        }
        Self {
            form,
            in_fields: false,
            planned: None,
            planned_for: None,
            error: None,
            scroll: 0,
            shift: 0,
            states: Vec::new(),
            titles: Vec::new(),
            rehearsal: None,
            applied: None,
            base: admin.cloned(),
        }
    }

    /// The administrator's connection, if one is named.
    #[must_use]
    pub fn admin(&self, source: &Settings) -> Option<Settings> {
        let user = self.form.text(FieldId::AdminUser).trim();
        if user.is_empty() {
            return None;
        }
        let password = self.form.text(FieldId::AdminPassword);
        let password = (!password.is_empty()).then(|| Secret::new(password));
        // An administrator from outside keeps its own way in (a Unix socket, say), as long as the source is the same.
        let base = self.base.as_ref().filter(|base| base.port == source.port && base.database == source.database);
        Some(base.unwrap_or(source).as_user(user, password))
    }

    /// The text field that has the focus.
    pub fn text_field(&mut self) -> Option<&mut Field> {
        if self.in_fields { self.form.focused_mut() } else { None }
    }

    /// How many statements there are to run.
    #[must_use]
    pub fn open_steps(&self) -> usize {
        self.planned.as_ref().map_or(0, |planned| planned.plan.steps.len())
    }

    /// Scrolls the script, but not past its last line.
    pub fn scroll_by(&mut self, lines: isize) {
        let script = self.planned.as_ref().map_or(0, |planned| planned.script.lines().count());
        let last = match &self.rehearsal {
            Some(Ok(shown)) => shown.left_out.len() + shown.cleared.len() + shown.blocked.len() + 8,
            Some(Err(_)) => 0,
            None => script.saturating_sub(1),
        };
        self.scroll = self.scroll.saturating_add_signed(lines).min(last);
    }
}
