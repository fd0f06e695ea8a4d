//! The fifth screen: the SQL that mends what was found, and its application.

use super::choices;
use super::field::{Field, Kind};
use super::form::Form;
use super::message::Planned;
use super::validate::FieldId;
use crate::connection::{Secret, Settings};
use crate::profile::{Profile, SetupChoices};
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

/// Where the keys go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptFocus {
    /// The script, which they scroll.
    Script,
    /// The administrator's name and password.
    Administrator,
    /// What the setup makes beyond what is missing.
    Options,
}

/// The plan and what became of it.
#[derive(Debug)]
pub struct ScriptStep {
    /// Administrator and password.
    pub form: Form,
    /// What the setup makes beyond what is missing.
    pub options: Form,
    /// Where the keys go.
    pub focus: ScriptFocus,
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
    /// The fields filled from `admin` and `setup`.
    #[must_use]
    pub fn new(admin: Option<&Settings>, setup: SetupChoices) -> Self {
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
            options: choices::form(setup),
            focus: ScriptFocus::Script,
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

    /// The field that has the focus.
    #[must_use]
    pub fn field(&self) -> Option<&Field> {
        match self.focus {
            ScriptFocus::Script => None,
            ScriptFocus::Administrator => self.form.focused(),
            ScriptFocus::Options => self.options.focused(),
        }
    }

    /// The same, to change it.
    pub fn field_mut(&mut self) -> Option<&mut Field> {
        match self.focus {
            ScriptFocus::Script => None,
            ScriptFocus::Administrator => self.form.focused_mut(),
            ScriptFocus::Options => self.options.focused_mut(),
        }
    }

    /// The keys go to the script again.
    pub fn leave_fields(&mut self) {
        self.form.blur();
        self.focus = ScriptFocus::Script;
    }

    /// Moves the focus around the ring of script, administrator and options.
    pub fn cycle(&mut self, forward: bool) {
        let own = self.form.fields.len();
        let all = 1 + own + self.options.shown().count();
        let at = match self.focus {
            ScriptFocus::Script => 0,
            ScriptFocus::Administrator => 1 + self.form.focus(),
            ScriptFocus::Options => 1 + own + self.options.focus_among_shown(),
        };
        self.leave_fields();
        let to = (at + if forward { 1 } else { all - 1 }) % all;
        if to > own {
            self.focus = ScriptFocus::Options;
            self.options.focus_on_shown(to - own - 1);
        } else if to > 0 {
            self.focus = ScriptFocus::Administrator;
            self.form.focus_on(to - 1);
        }
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
