//! The whole state of the screen, and the few operations that every screen shares.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;

use super::choices;
use super::connection::{ConnectionStep, is_about_encryption};
use super::dashboard::{Dashboard, Recording};
use super::destination::DestinationStep;
use super::dialog::Dialog;
use super::encryption::EncryptionStep;
use super::field::Field;
use super::fleet::Fleet;
use super::form::Origins;
use super::job::{Job, Jobs};
use super::message::{Effect, Now, Tested, Work};
use super::palette::Paint;
use super::preflight::PreflightStep;
use super::run::{Leaving, RunState};
use super::script::ScriptStep;
use super::step::Step;
use super::tables::TablesStep;
use crate::connection::askpass::Question;
use crate::connection::{Failure, Security, Settings, SslMode, printable};
use crate::monitor::Target;
use crate::monitor::recording::{Header, Record};
use crate::profile::saved::PasswordSource;
use crate::profile::{Profile, Selection};
use crate::tui::keymap::Keymap;

/// What is known before the first key: from the command line, the environment, or the demo.
#[derive(Clone, Debug, Default)]
pub struct Prefill {
    /// The source and what is wanted from it.
    pub profile: Option<Profile>,
    /// The tables that were asked for; without it every table of the source is proposed.
    pub selection: Option<Selection>,
    /// An administrator of the source, to apply the setup script.
    pub admin: Option<Settings>,
    /// The destination.
    pub destination: Option<Settings>,
    /// Where the source's parameters came from.
    pub origins: Origins,
    /// Where the source's password comes from when a profile is saved.
    pub password: PasswordSource,
    /// An unfinished wizard that could be taken up again: the step it had come to, and its values.
    pub draft: Option<(String, Box<Prefill>)>,
}

/// The unfinished wizard of an earlier time.
#[derive(Debug, Default)]
pub enum Draft {
    /// There is none, or this wizard is it.
    #[default]
    None,
    /// It may be taken up again.
    Waiting(Box<Prefill>),
    /// It is no longer wanted.
    Forgotten,
}

/// A line that is shown for a while.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The sentence; safe to print.
    pub text: String,
    /// Whether it tells of trouble.
    pub trouble: bool,
    /// When it goes away.
    pub until: Instant,
}

/// Everything that is on the screen.
#[derive(Debug)]
pub struct App {
    /// The screen that is shown.
    pub step: Step,
    /// Set when a screen was opened and has to ask for what it shows.
    pub opened: bool,
    /// The furthest screen that can be jumped to.
    pub reached: Step,
    /// Whether there is only a dashboard and no wizard around it.
    pub only_dashboard: bool,
    /// The time of the last message.
    pub now: Now,
    /// The terminal's columns and rows.
    pub size: (u16, u16),
    /// Where the source is.
    pub connection: ConnectionStep,
    /// How the connection is encrypted.
    pub encryption: EncryptionStep,
    /// Where the source's password comes from when a profile is saved.
    pub password: PasswordSource,
    /// The unfinished wizard of an earlier time.
    pub draft: Draft,
    /// Whether something was entered.
    pub touched: bool,
    /// What is wanted.
    pub tables: TablesStep,
    /// What is wrong.
    pub preflight: PreflightStep,
    /// What mends it.
    pub script: ScriptStep,
    /// Where the rows go.
    pub destination: DestinationStep,
    /// How it goes.
    pub dashboard: Option<Dashboard>,
    /// The other sources, when several are watched.
    pub fleet: Option<Fleet>,
    /// What the dashboard watches, to run statements there.
    pub watched: Option<Target>,
    /// Whether statements of findings may be run.
    pub allow_actions: bool,
    /// The replication of this process.
    pub run: RunState,
    /// The question on top of the screen.
    pub dialog: Option<Dialog>,
    /// What ssh asks, one after the other.
    pub asked: VecDeque<Question>,
    /// Whether the help is shown, and how far it is scrolled.
    pub help: Option<usize>,
    /// A line that is shown for a while.
    pub notice: Option<Notice>,
    /// The tasks under way.
    pub jobs: Jobs,
    /// Which sampling is recorded, and into which file so far.
    pub recording: Option<(Job, Recording)>,
    /// The keys as the user has them.
    pub keys: Keymap,
    /// The time zone of this machine.
    pub zone: TimeZone,
    /// How the user wants the screen drawn.
    pub paint: Paint,
    /// Whether the fleet hides names.
    pub private: bool,
    /// Set when the user has decided to leave.
    pub leaving: Option<Leaving>,
}

impl App {
    /// A wizard at its first step.
    #[must_use]
    pub fn new(prefill: Prefill, now: Now) -> Self {
        let profile = prefill.profile.unwrap_or_else(|| Profile::new(Settings::default()));
        let chosen = prefill.origins.contains_key("sslmode") || profile.source.ssl_mode != SslMode::default();
        let mut connection = ConnectionStep::new(&profile.source);
        if !prefill.origins.is_empty() {
            connection.form.tell_origins(&prefill.origins);
        }
        connection.take_password_from(&prefill.password);
        let mut encryption = EncryptionStep::new(&profile.source, chosen);
        if !prefill.origins.is_empty() {
            encryption.form.tell_origins(&prefill.origins);
        }
        // A default file may have brought a field with it.
        encryption.follow(&profile.source);
        encryption.origin = prefill.origins.get("sslmode").map(ToString::to_string);
        let (dialog, draft) = match prefill.draft {
            Some((step, prefill)) => (Some(Dialog::resume(step)), Draft::Waiting(prefill)),
            None => (None, Draft::None),
        };
        Self {
            step: Step::Connection,
            opened: false,
            reached: Step::Connection,
            only_dashboard: false,
            now,
            size: (80, 24),
            connection,
            encryption,
            password: prefill.password,
            draft,
            touched: false,
            tables: TablesStep::new(&profile, prefill.selection),
            preflight: PreflightStep::default(),
            script: ScriptStep::new(prefill.admin.as_ref(), profile.setup),
            destination: DestinationStep::new(prefill.destination.as_ref()),
            dashboard: None,
            fleet: None,
            watched: None,
            allow_actions: false,
            run: RunState::default(),
            dialog,
            asked: VecDeque::new(),
            help: None,
            notice: None,
            jobs: Jobs::default(),
            recording: None,
            keys: Keymap::default(),
            zone: TimeZone::UTC,
            paint: Paint::default(),
            private: false,
            leaving: None,
        }
    }

    /// A dashboard without a wizard, and the effect that starts it.
    #[must_use]
    pub fn watching(target: Target, now: Now) -> (Self, Vec<Effect>) {
        let mut app = Self::new(Prefill::default(), now);
        (app.step, app.reached, app.only_dashboard) = (Step::Dashboard, Step::Dashboard, true);
        let mut effects = Vec::new();
        app.watch(target, false, &mut effects);
        (app, effects)
    }

    /// Several sources at once, and the effects that start them.
    #[must_use]
    pub fn fleet(targets: Vec<(String, Target)>, now: Now) -> (Self, Vec<Effect>) {
        let mut app = Self::new(Prefill::default(), now);
        (app.step, app.reached, app.only_dashboard) = (Step::Dashboard, Step::Dashboard, true);
        let mut effects = Vec::new();
        for (at, (_, target)) in (0..).zip(&targets) {
            app.start(Job::Member(at), Work::Watch(target.clone()), &mut effects);
        }
        app.fleet = Some(Fleet::new(targets));
        (app, effects)
    }

    /// The dashboard that a sampling feeds.
    pub fn dashboard_of(&mut self, job: Job) -> Option<&mut Dashboard> {
        match (job, self.fleet.as_mut()) {
            (Job::Member(at), Some(fleet)) if !fleet.is_open(at.into()) => fleet.dashboard_mut(at.into()),
            _ => self.dashboard.as_mut(),
        }
    }

    /// The sampling of what is on the screen.
    #[must_use]
    pub fn shown_job(&self) -> Job {
        let member = self.fleet.as_ref().and_then(Fleet::open_at).and_then(|at| u16::try_from(at).ok());
        member.map_or(Job::Watch, Job::Member)
    }

    /// A dashboard of a recording.
    #[must_use]
    pub fn replaying(header: &Header, records: Vec<Record>, now: Now) -> Self {
        let mut app = Self::new(Prefill::default(), now);
        (app.step, app.reached, app.only_dashboard) = (Step::Dashboard, Step::Dashboard, true);
        app.dashboard = Some(Dashboard::replaying(header, records));
        app
    }

    /// The source as the fields describe it.
    #[must_use]
    pub fn source(&self) -> Settings {
        self.encryption.over(self.connection.settings())
    }

    /// The administrator who stands in for the role, as the fields describe it.
    #[must_use]
    pub fn stand_in(&self) -> Option<Settings> {
        if self.connection.stand_in.asked { self.script.admin(&self.source()) } else { None }
    }

    /// What the last try of the stand-in came to, if it was made with what the fields say now.
    #[must_use]
    pub fn stand_in_outcome(&self) -> Option<&Result<Tested, Box<Failure>>> {
        let now = self.stand_in()?;
        self.connection.stand_in.outcome.as_ref().filter(|(tried, _)| *tried == now).map(|(_, outcome)| outcome)
    }

    /// Who reads the source: the role itself, or the administrator who stands in for it; `None` before a try was a
    /// success.
    #[must_use]
    pub fn reader(&self) -> Option<(Settings, &Tested)> {
        let source = self.source();
        match (self.connection.outcome_of(&source), self.stand_in_outcome()) {
            (Some(Ok(tested)), _) => Some((source, tested)),
            (_, Some(Ok(tested))) if self.connection.mendable(&source).is_some() => Some((self.stand_in()?, tested)),
            _ => None,
        }
    }

    /// Whether the source was tried and what failed is mended on the encryption screen.
    #[must_use]
    pub fn mended_by_encryption(&self) -> bool {
        let outcome = self.connection.outcome_of(&self.source());
        matches!(outcome, Some(Err(failure)) if is_about_encryption(failure))
    }

    /// Whether the connection screen offers an administrator instead of the role.
    #[must_use]
    pub fn offers_stand_in(&self) -> bool {
        matches!(self.step, Step::Connection | Step::Encryption)
            && (self.connection.stand_in.asked || self.connection.mendable(&self.source()).is_some())
    }

    /// Where the source's password comes from.
    #[must_use]
    pub fn password_source(&self) -> PasswordSource {
        self.connection.password_from(&self.password)
    }

    /// Whether the connection of this screen is in plain text in a mode that allows it, so that TLS can be insisted on.
    #[must_use]
    pub fn offers_upgrade(&self) -> bool {
        let plain = |security: &Security, mode| {
            let weak = security.fell_back_to_plain() || mode == SslMode::Allow;
            !security.encrypted && !security.unix_socket && mode < SslMode::Require && weak
        };
        match self.step {
            Step::Connection | Step::Encryption => {
                self.reader().is_some_and(|(settings, tested)| plain(&tested.security, settings.ssl_mode))
            }
            Step::Destination => matches!(
                self.destination.current(),
                Some(Ok(tested)) if plain(&tested.security, self.destination.settings().ssl_mode)
            ),
            _ => false,
        }
    }

    /// The profile as all steps together describe it.
    #[must_use]
    pub fn profile(&self) -> Profile {
        Profile { setup: choices::choices(&self.script.options), ..self.tables.profile(self.source()) }
    }

    /// Begins a task; an earlier one of its kind is stopped.
    pub fn start(&mut self, job: Job, work: Work, effects: &mut Vec<Effect>) {
        if let Some(old) = self.jobs.end(job) {
            effects.push(Effect::Cancel(old));
        }
        let ticket = self.jobs.start(job, self.now.monotonic);
        effects.push(Effect::Start(ticket, Box::new(work)));
    }

    /// Stops a task if it runs. Returns whether it did.
    pub fn cancel(&mut self, job: Job, effects: &mut Vec<Effect>) -> bool {
        let ticket = self.jobs.end(job);
        effects.extend(ticket.map(Effect::Cancel));
        ticket.is_some()
    }

    /// Asks a task to stop and waits for its last answer. Returns whether it runs.
    pub fn ask_to_stop(&mut self, job: Job, effects: &mut Vec<Effect>) -> bool {
        let ticket = self.jobs.ticket(job);
        effects.extend(ticket.map(Effect::Cancel));
        ticket.is_some()
    }

    /// Shows a line for a while.
    pub fn note(&mut self, text: impl Into<String>, trouble: bool) {
        let until = self.now.monotonic + Duration::from_secs(6);
        self.notice = Some(Notice { text: printable(&text.into()).into_owned(), trouble, until });
    }

    /// Opens a dashboard and its sampling.
    pub fn watch(&mut self, target: Target, running: bool, effects: &mut Vec<Effect>) {
        self.dashboard = Some(Dashboard::new(target.clone(), running));
        self.watched = Some(target.clone());
        self.start(Job::Watch, Work::Watch(target), effects);
    }

    /// Shows a step. What it needs to know is asked for at the end of the update.
    pub fn show(&mut self, step: Step) {
        self.connection.form.blur();
        self.encryption.leave();
        self.script.form.blur();
        self.destination.form.blur();
        (self.step, self.opened, self.notice) = (step, true, None);
        self.reached = self.reached.max(step);
    }

    /// The text field that keys type into.
    pub fn text_field(&mut self) -> Option<&mut Field> {
        if self.help.is_some() {
            return None;
        }
        let field = match (&mut self.dialog, self.step) {
            (Some(dialog), _) => dialog.field.as_mut(),
            (None, Step::Connection) if self.connection.stand_in.in_fields => self.script.form.focused_mut(),
            (None, Step::Connection) => self.connection.form.focused_mut(),
            (None, Step::Encryption) => self.encryption.focused_mut(),
            (None, Step::Tables) => self.tables.text_field(),
            (None, Step::Script) => self.script.field_mut(),
            (None, Step::Destination) => self.destination.form.focused_mut(),
            (None, Step::Dashboard) => self.dashboard.as_mut().and_then(Dashboard::filter_field_mut),
            _ => None,
        };
        field.filter(|field| field.takes_text())
    }

    /// A value of this step changed: what was found out from it no longer holds, and later steps have to be gone
    /// through again.
    pub fn edited(&mut self, effects: &mut Vec<Effect>) {
        if self.dialog.is_some() {
            return;
        }
        self.touched = true;
        // A task works for the values that it was started with; its answer would be taken for the new ones.
        let outdated: &[Job] = match self.step {
            Step::Connection | Step::Encryption => &[
                Job::Secrets,
                Job::TestSource,
                Job::TestAdmin,
                Job::ListTables,
                Job::Preflight,
                Job::Plan,
                Job::Rehearse,
            ],
            Step::Tables => &[Job::Preflight, Job::Plan, Job::Rehearse],
            Step::Script => &[Job::Plan, Job::Rehearse],
            Step::Destination => &[Job::TestDestination],
            Step::Preflight | Step::Dashboard => &[],
        };
        for job in outdated {
            self.cancel(*job, effects);
        }
        if !self.run.is_running() && self.step <= Step::Tables {
            self.reached = self.step;
        }
    }

    /// When something on the screen moves by itself next; `None` while nothing does.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let now = self.now.monotonic;
        let spinner = self.jobs.busy().then(|| now + Duration::from_millis(120));
        let age = match &self.dashboard {
            _ if self.step != Step::Dashboard => None,
            Some(dashboard) => dashboard.moves_after().map(|pause| now + pause),
            None => self.fleet.as_ref().map(|_| now + Duration::from_secs(1)),
        };
        let notice = self.notice.as_ref().map(|notice| notice.until);
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until.min(now + Duration::from_millis(250)));
        [spinner, age, notice, leaving].into_iter().flatten().min()
    }
}
