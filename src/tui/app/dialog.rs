//! A question on top of the screen.

use super::field::{Field, Kind};
use super::menu::Menu;
use super::validate::FieldId;
use crate::connection::askpass;
use crate::connection::inputs::Resolved;
use crate::monitor::diagnosis::Action;

/// Where the script is written unless another name is given.
const SCRIPT_PATH: &str = "./walpilot-setup.sql";

/// What is asked.
#[derive(Debug)]
pub enum Question {
    /// Put the parts of a connection string into the fields?
    Split(Box<Resolved>),
    /// Run the script?
    Apply,
    /// Go on without running the script?
    Skip,
    /// Write the script where?
    Path,
    /// Save the profile under which name?
    SaveProfile,
    /// Replace the profile of this name?
    ReplaceProfile(String),
    /// Take up the unfinished wizard that had come to this step?
    Resume(String),
    /// The passphrase of the private key of the source, or else of the destination; with what is wrong.
    KeyPassphrase {
        /// Whether it is the source's.
        source: bool,
        /// What is wrong; safe to print.
        message: String,
    },
    /// What ssh asks.
    Ssh(askpass::Question),
    /// Run a statement that a finding proposes?
    Act(Box<Proposal>),
    /// Acknowledge the selected finding, with which note?
    Acknowledge(String),
    /// One of several answers?
    Menu(Menu),
    /// Which command?
    Command,
    /// Record into which file?
    Record,
    /// End the recording and leave?
    LeaveRecording,
    /// Stop the replication?
    StopRun,
    /// Stop the replication and leave?
    Leave,
}

/// The statements that a finding proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// What the finding is about; its name has to be typed.
    pub object: String,
    /// The finding in a few words.
    pub title: String,
    /// The actions that are statements; not empty.
    pub actions: Vec<Action>,
    /// The one that is chosen.
    pub at: usize,
    /// Whether it may be run; if not, it can be copied.
    pub allowed: bool,
}

impl Proposal {
    /// The statement that is chosen.
    #[must_use]
    pub fn sql(&self) -> &str {
        self.actions.get(self.at).and_then(|action| action.sql.as_deref()).unwrap_or_default()
    }
}

/// A question with its buttons.
#[derive(Debug)]
pub struct Dialog {
    /// What is asked.
    pub question: Question,
    /// The selected button.
    pub selected: usize,
    /// The line to type in, if there is one.
    pub field: Option<Field>,
}

impl Dialog {
    fn new(question: Question) -> Self {
        Self { question, selected: 0, field: None }
    }

    /// Put the parts of a connection string into the fields?
    #[must_use]
    pub fn split(resolved: Resolved) -> Self {
        Self::new(Question::Split(Box::new(resolved)))
    }

    /// Run the script? The default is yes: its text is on the screen behind the question.
    #[must_use]
    pub fn apply() -> Self {
        Self::new(Question::Apply)
    }

    /// Go on without running the script?
    #[must_use]
    pub fn skip() -> Self {
        Self::new(Question::Skip)
    }

    /// Write the script where?
    #[must_use]
    pub fn path() -> Self {
        let mut field = Field::new(FieldId::Path, Kind::Text);
        field.set(SCRIPT_PATH);
        Self { field: Some(field), ..Self::new(Question::Path) }
    }

    /// Save the profile under which name? `proposal` is taken if it can be one.
    #[must_use]
    pub fn save_profile(proposal: &str) -> Self {
        let mut field = Field::new(FieldId::ProfileName, Kind::Text);
        field.set(proposal);
        if !field.validate() {
            field.set("");
        }
        Self { field: Some(field), ..Self::new(Question::SaveProfile) }
    }

    /// Replace the profile of this name?
    #[must_use]
    pub fn replace_profile(name: String) -> Self {
        Self { selected: 1, ..Self::new(Question::ReplaceProfile(name)) }
    }

    /// Take up the unfinished wizard that had come to this step?
    #[must_use]
    pub fn resume(step: String) -> Self {
        Self::new(Question::Resume(step))
    }

    /// The passphrase of a private key.
    #[must_use]
    pub fn key_passphrase(source: bool, message: String) -> Self {
        let field = Field::new(FieldId::KeyPassphrase, Kind::Secret);
        Self { field: Some(field), ..Self::new(Question::KeyPassphrase { source, message }) }
    }

    /// What ssh asks. A host key is trusted only by a word that is typed.
    #[must_use]
    pub fn ssh(question: askpass::Question) -> Self {
        let field = match question.kind {
            askpass::Kind::HostKey => Some(Field::new(FieldId::HostKey, Kind::Text)),
            askpass::Kind::Secret => Some(Field::new(FieldId::SshAnswer, Kind::Secret)),
            askpass::Kind::Confirm | askpass::Kind::Notice => None,
        };
        let selected = usize::from(question.kind == askpass::Kind::Confirm);
        Self { field, selected, ..Self::new(Question::Ssh(question)) }
    }

    /// Whether it is this question of ssh.
    #[must_use]
    pub fn asks_for(&self, id: u64) -> bool {
        matches!(&self.question, Question::Ssh(question) if question.id == id)
    }

    /// Run one of these statements? The name has to be typed; the default is not to.
    #[must_use]
    pub fn act(proposal: Proposal) -> Self {
        let field = proposal.allowed.then(|| Field::new(FieldId::TypedName, Kind::Text));
        Self { field, ..Self::new(Question::Act(Box::new(proposal))) }
    }

    /// Acknowledge a finding? A note may stay empty.
    #[must_use]
    pub fn acknowledge(finding: String) -> Self {
        let field = Some(Field::new(FieldId::Note, Kind::Text));
        Self { field, ..Self::new(Question::Acknowledge(finding)) }
    }

    /// One of several answers?
    #[must_use]
    pub fn menu(menu: Menu) -> Self {
        Self::new(Question::Menu(menu))
    }

    /// Which command?
    #[must_use]
    pub fn command() -> Self {
        Self { field: Some(Field::new(FieldId::Command, Kind::Text)), ..Self::new(Question::Command) }
    }

    /// Record into which file?
    #[must_use]
    pub fn record(name: &str) -> Self {
        let mut field = Field::new(FieldId::Path, Kind::Text);
        field.set(name);
        Self { field: Some(field), ..Self::new(Question::Record) }
    }

    /// End the recording and leave?
    #[must_use]
    pub fn leave_recording() -> Self {
        Self::new(Question::LeaveRecording)
    }

    /// Chooses the next answer of several, or the one before. `false`: there are no several.
    pub fn turn(&mut self, forward: bool) -> bool {
        let (at, count) = match &mut self.question {
            Question::Act(proposal) => (&mut proposal.at, proposal.actions.len()),
            Question::Menu(menu) => {
                menu.typed = 0;
                (&mut menu.at, menu.lines.len())
            }
            _ => return false,
        };
        let count = count.max(1);
        *at = (*at + if forward { 1 } else { count - 1 }) % count;
        true
    }

    /// A digit of the number of an answer.
    pub fn digit(&mut self, digit: u8) {
        if let Question::Menu(menu) = &mut self.question {
            menu.digit(digit);
        }
    }

    /// Stop the replication?
    #[must_use]
    pub fn stop_run() -> Self {
        Self::new(Question::StopRun)
    }

    /// Stop the replication and leave?
    #[must_use]
    pub fn leave() -> Self {
        Self::new(Question::Leave)
    }

    /// The buttons: the first does it, the last does nothing.
    #[must_use]
    pub fn buttons(&self) -> [&'static str; 2] {
        match &self.question {
            Question::Split(_) => ["Fill the fields", "Cancel"],
            Question::Apply => ["Apply", "Cancel"],
            Question::Skip => ["Go on without applying", "Back"],
            Question::Path => ["Write", "Cancel"],
            Question::SaveProfile => ["Save", "Cancel"],
            Question::ReplaceProfile(_) => ["Replace", "Cancel"],
            Question::Resume(_) => ["Resume", "Start anew"],
            Question::KeyPassphrase { .. } => ["Use it", "Cancel"],
            Question::Ssh(question) => match question.kind {
                askpass::Kind::HostKey => ["Trust this key", "Refuse"],
                askpass::Kind::Secret => ["Answer", "Cancel"],
                askpass::Kind::Confirm => ["Yes", "No"],
                askpass::Kind::Notice => ["Hide", "Cancel"],
            },
            Question::Act(proposal) if proposal.allowed => ["Run it", "Cancel"],
            Question::Act(_) => ["Copy", "Close"],
            Question::Acknowledge(_) => ["Acknowledge", "Cancel"],
            Question::Menu(_) | Question::Command => ["Do it", "Cancel"],
            Question::Record => ["Record", "Cancel"],
            Question::LeaveRecording => ["End it and leave", "Stay"],
            Question::StopRun => ["Stop", "Cancel"],
            Question::Leave => ["Stop and leave", "Stay"],
        }
    }
}
