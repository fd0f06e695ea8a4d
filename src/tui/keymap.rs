//! Every key of the interface, in one table: what is dispatched, what the footer hints at and what the help explains
//! are the same lines, so that none can lie. The dashboard's keys have a file of their own.

mod chord;
mod custom;
mod dashboard;

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::app::action::{Action, Zone};
use super::app::field::Edit;
pub use chord::Chord;
use chord::{alt, ctrl, key, plain};

/// What a key does in a zone.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Where.
    pub zone: Zone,
    /// What it is called in the configuration file and after `:`; empty when its keys stand.
    pub name: &'static str,
    /// Which keys, unless the user has chosen others; the first is shown in the footer.
    pub keys: &'static [Chord],
    /// What they do.
    pub action: Action,
    /// A word or two for the footer; empty when the footer does not show it.
    pub hint: &'static str,
    /// A line for the help; empty when it goes without saying.
    pub help: &'static str,
}

const fn on(zone: Zone, keys: &'static [Chord], action: Action, hint: &'static str, help: &'static str) -> Binding {
    Binding { zone, name: "", keys, action, hint, help }
}
/// A binding whose keys the user may change by its name.
const fn called(name: &'static str, binding: Binding) -> Binding {
    Binding { name, ..binding }
}

const ENTER: &[Chord] = &[key(KeyCode::Enter)];
const ESC: &[Chord] = &[key(KeyCode::Esc)];
const TAB: &[Chord] = &[key(KeyCode::Tab)];
const BACK_TAB: &[Chord] = &[key(KeyCode::BackTab)];
const ARROW_UP: &[Chord] = &[key(KeyCode::Up)];
const ARROW_DOWN: &[Chord] = &[key(KeyCode::Down)];
const UP: &[Chord] = &[key(KeyCode::Up), plain('k')];
const DOWN: &[Chord] = &[key(KeyCode::Down), plain('j')];
const LEFT: &[Chord] = &[key(KeyCode::Left)];
const RIGHT: &[Chord] = &[key(KeyCode::Right)];
const VIM_LEFT: &[Chord] = &[key(KeyCode::Left), plain('h')];
const VIM_RIGHT: &[Chord] = &[key(KeyCode::Right), plain('l')];
const PAGE_UP: &[Chord] = &[key(KeyCode::PageUp)];
const PAGE_DOWN: &[Chord] = &[key(KeyCode::PageDown)];
const HALF_UP: &[Chord] = &[key(KeyCode::PageUp), ctrl('u')];
const HALF_DOWN: &[Chord] = &[key(KeyCode::PageDown), ctrl('d')];
const HOME: &[Chord] = &[key(KeyCode::Home), plain('g')];
const END: &[Chord] = &[key(KeyCode::End), plain('G')];
const SPACE: &[Chord] = &[plain(' ')];
const RERUN: &[Chord] = &[plain('r')];
const TEST: &[Chord] = &[key(KeyCode::F(5)), ctrl('t')];

/// All bindings. Within a zone the most useful stand first: the footer drops from the right when it is narrow.
const BINDINGS: &[Binding] = &[
    on(Zone::Help, ESC, Action::Back, "close", "Close this help"),
    on(Zone::Help, UP, Action::Up, "", "Scroll"),
    on(Zone::Help, DOWN, Action::Down, "scroll", "Scroll"),
    on(Zone::Help, HALF_UP, Action::PageUp, "", "One page up"),
    on(Zone::Help, HALF_DOWN, Action::PageDown, "page", "One page down"),
    on(Zone::Help, HOME, Action::First, "", "To the first line"),
    on(Zone::Help, END, Action::Last, "", "To the last line"),
    on(Zone::Help, ENTER, Action::Back, "", ""),
    on(Zone::Help, &[plain('?'), plain('q')], Action::Help, "", ""),
    // A question.
    on(Zone::Dialog, ENTER, Action::Confirm, "choose", "Press the selected button"),
    on(Zone::Dialog, TAB, Action::NextField, "other button", "Select the other button"),
    on(Zone::Dialog, BACK_TAB, Action::PreviousField, "", ""),
    on(Zone::Dialog, ARROW_UP, Action::Up, "", ""),
    on(Zone::Dialog, ARROW_DOWN, Action::Down, "", ""),
    on(Zone::Dialog, ESC, Action::Back, "cancel", "Close the question; nothing is done"),
    on(Zone::Menu, &[plain('1')], Action::Digit(1), "", "Choose a line by its number, of one digit or two"),
    on(Zone::Menu, &[plain('2')], Action::Digit(2), "", ""),
    on(Zone::Menu, &[plain('3')], Action::Digit(3), "", ""),
    on(Zone::Menu, &[plain('4')], Action::Digit(4), "", ""),
    on(Zone::Menu, &[plain('5')], Action::Digit(5), "", ""),
    on(Zone::Menu, &[plain('6')], Action::Digit(6), "", ""),
    on(Zone::Menu, &[plain('7')], Action::Digit(7), "", ""),
    on(Zone::Menu, &[plain('8')], Action::Digit(8), "", ""),
    on(Zone::Menu, &[plain('9')], Action::Digit(9), "", ""),
    on(Zone::Menu, &[plain('0')], Action::Digit(0), "", ""),
    on(Zone::Menu, UP, Action::Up, "", "The line before"),
    on(Zone::Menu, DOWN, Action::Down, "", "The next line"),
    on(Zone::Buttons, LEFT, Action::Left, "", ""),
    on(Zone::Buttons, RIGHT, Action::Right, "", ""),
    // Searching in the tables.
    on(Zone::Filter, ENTER, Action::Confirm, "to the list", "Keep the filter and go to the list"),
    on(Zone::Filter, ARROW_DOWN, Action::Down, "", ""),
    on(Zone::Filter, ARROW_UP, Action::Up, "", ""),
    on(Zone::Filter, TAB, Action::Confirm, "", ""),
    on(Zone::Filter, ESC, Action::Back, "clear", "Clear the filter and go to the list"),
    // Text.
    on(
        Zone::SecretText,
        &[ctrl('r')],
        Action::Edit(Edit::Reveal),
        "show",
        "Show or hide the password while it has the focus",
    ),
    on(Zone::Text, LEFT, Action::Edit(Edit::Left), "", ""),
    on(Zone::Text, RIGHT, Action::Edit(Edit::Right), "", ""),
    on(Zone::Text, &[key(KeyCode::Home), ctrl('a')], Action::Edit(Edit::Home), "", "To the beginning"),
    on(Zone::Text, &[key(KeyCode::End), ctrl('e')], Action::Edit(Edit::End), "", "To the end"),
    on(
        Zone::Text,
        &[Chord(KeyCode::Left, KeyModifiers::CONTROL), alt('b')],
        Action::Edit(Edit::WordLeft),
        "",
        "One word to the left",
    ),
    on(
        Zone::Text,
        &[Chord(KeyCode::Right, KeyModifiers::CONTROL), alt('f')],
        Action::Edit(Edit::WordRight),
        "",
        "One word to the right",
    ),
    on(Zone::Text, &[key(KeyCode::Backspace), ctrl('h')], Action::Edit(Edit::Backspace), "", ""),
    on(Zone::Text, &[key(KeyCode::Delete), ctrl('d')], Action::Edit(Edit::Delete), "", ""),
    on(
        Zone::Text,
        &[ctrl('w'), Chord(KeyCode::Backspace, KeyModifiers::ALT)],
        Action::Edit(Edit::DeleteWord),
        "",
        "Delete the word before the cursor",
    ),
    on(Zone::Text, &[ctrl('u')], Action::Edit(Edit::Clear), "", "Clear the field"),
    // Terminals send Ctrl-/ as Ctrl-7 or Ctrl-_.
    on(
        Zone::Text,
        &[alt('z'), ctrl('/'), ctrl('7'), ctrl('_')],
        Action::Edit(Edit::Undo),
        "",
        "Undo the last change of the field",
    ),
    on(Zone::Choice, SPACE, Action::Toggle, "change", "The next value"),
    on(Zone::Choice, RIGHT, Action::Right, "", "The next value"),
    on(Zone::Choice, LEFT, Action::Left, "", "The value before"),
    // Forms.
    on(Zone::Form, ENTER, Action::Confirm, "next", "The next field; on the last field: test, then go on"),
    on(Zone::Form, TAB, Action::NextField, "field", "The next field"),
    on(Zone::Form, BACK_TAB, Action::PreviousField, "", "The field before"),
    on(Zone::Form, TEST, Action::Test, "test", "Test the connection"),
    on(Zone::Form, ARROW_UP, Action::Up, "", ""),
    on(Zone::Form, ARROW_DOWN, Action::Down, "", ""),
    on(Zone::Form, ESC, Action::Back, "back", "Cancel what runs, or go one step back"),
    // Encryption.
    on(Zone::Encryption, ENTER, Action::Confirm, "next", "Test if the mode is new, then go on"),
    on(Zone::Encryption, DOWN, Action::Down, "choose", "The next mode"),
    on(Zone::Encryption, UP, Action::Up, "", "The mode before"),
    on(Zone::Encryption, TAB, Action::NextField, "files", "To the files of certificates and keys"),
    on(Zone::Encryption, BACK_TAB, Action::PreviousField, "", ""),
    on(Zone::Encryption, RIGHT, Action::Down, "", ""),
    on(Zone::Encryption, LEFT, Action::Up, "", ""),
    on(Zone::Encryption, PAGE_DOWN, Action::PageDown, "", "Scroll what was negotiated"),
    on(Zone::Encryption, PAGE_UP, Action::PageUp, "", "Scroll back"),
    on(Zone::Encryption, TEST, Action::Test, "test", "Test the connection"),
    on(Zone::Encryption, ESC, Action::Back, "back", "Cancel the test, or go one step back"),
    // A role that can't log in.
    on(
        Zone::StandIn,
        &[key(KeyCode::F(6))],
        Action::StandIn,
        "as administrator",
        "Look as an administrator instead, who also creates or mends the role by the setup script; again: no more",
    ),
    on(
        Zone::Upgrade,
        &[key(KeyCode::F(4))],
        Action::Upgrade,
        "upgrade to require",
        "Insist on TLS: sslmode require, tried at once",
    ),
    on(
        Zone::Bastion,
        &[key(KeyCode::F(7))],
        Action::Bastion,
        "SSH",
        "Go through an SSH bastion; again: connect directly",
    ),
    on(
        Zone::More,
        &[key(KeyCode::F(9))],
        Action::More,
        "more fields",
        "Fields that few servers need: where the password comes from, limits of time and TLS, the kind of server",
    ),
    on(
        Zone::Profile,
        &[key(KeyCode::F(8))],
        Action::SaveProfile,
        "save profile",
        "Save source, method, tables and names as a profile, without secrets; walpilot setup --profile NAME opens it",
    ),
    // Method and tables.
    on(Zone::Method, ENTER, Action::Confirm, "next", "Go on to the preflight"),
    on(Zone::Method, SPACE, Action::Toggle, "change", "The other method"),
    on(Zone::Method, UP, Action::Up, "", ""),
    on(Zone::Method, DOWN, Action::Down, "", ""),
    on(Zone::Method, TAB, Action::NextField, "list", "To the list of tables"),
    on(Zone::Method, BACK_TAB, Action::PreviousField, "", ""),
    on(Zone::Method, ESC, Action::Back, "back", "Go one step back"),
    on(Zone::Tables, ENTER, Action::Confirm, "next", "Go on to the preflight"),
    on(Zone::Tables, SPACE, Action::Toggle, "tick", "Tick or untick a table, or all of a schema"),
    on(Zone::Tables, &[plain('a')], Action::ToggleAll, "all", "Tick or untick everything that is shown"),
    on(Zone::Tables, &[plain('/')], Action::Filter, "filter", "Show only tables whose name contains a text"),
    on(Zone::Tables, TAB, Action::NextField, "fields", "To the names of publication and slot, and to the initial copy"),
    on(Zone::Tables, BACK_TAB, Action::PreviousField, "", "To the method"),
    on(Zone::Tables, ESC, Action::Back, "back", "Cancel the reading, or go one step back"),
    on(Zone::Tables, RERUN, Action::Rerun, "reload", "Read the list again"),
    on(Zone::Tables, UP, Action::Up, "", "One line up"),
    on(Zone::Tables, DOWN, Action::Down, "", "One line down"),
    on(Zone::Tables, PAGE_UP, Action::PageUp, "", "One page up"),
    on(Zone::Tables, PAGE_DOWN, Action::PageDown, "", "One page down"),
    on(Zone::Tables, HOME, Action::First, "", "To the first line"),
    on(Zone::Tables, END, Action::Last, "", "To the last line"),
    // Preflight.
    on(Zone::Preflight, ENTER, Action::Confirm, "next", "Go on to the setup script"),
    on(Zone::Preflight, RERUN, Action::Rerun, "run again", "Run the checks again"),
    on(Zone::Preflight, &[plain('d')], Action::Deep, "deep", "Also try what replication will do, and undo it"),
    on(Zone::Preflight, DOWN, Action::Down, "select", "The next finding"),
    on(Zone::Preflight, UP, Action::Up, "", "The finding before"),
    on(Zone::Preflight, PAGE_DOWN, Action::PageDown, "details", "Scroll the details down"),
    on(Zone::Preflight, PAGE_UP, Action::PageUp, "", "Scroll the details up"),
    on(Zone::Preflight, HOME, Action::First, "", "To the first finding"),
    on(Zone::Preflight, END, Action::Last, "", "To the last finding"),
    on(Zone::Preflight, ESC, Action::Back, "back", "Cancel the checks, or go one step back"),
    // Setup script.
    on(
        Zone::Script,
        ENTER,
        Action::Confirm,
        "apply/next",
        "Apply the script after a question; go on when nothing is left",
    ),
    on(Zone::Script, &[plain('a')], Action::Apply, "apply", "Apply the script after a question"),
    on(Zone::Script, &[plain('t')], Action::Rehearse, "try out", "Rehearse it in a transaction that is rolled back"),
    on(Zone::Script, &[plain('y')], Action::Copy, "copy", "Copy the script to the clipboard"),
    on(Zone::Script, &[plain('w')], Action::Write, "write", "Write the script to a new file that only you can read"),
    on(Zone::Script, TAB, Action::NextField, "fields", "To the administrator's name and password, and to the options"),
    on(Zone::Script, BACK_TAB, Action::PreviousField, "", ""),
    on(Zone::Script, ESC, Action::Back, "back", "Cancel what runs, or go one step back"),
    on(Zone::Script, RERUN, Action::Rerun, "plan again", "Look at the source again and plan anew"),
    on(Zone::Script, DOWN, Action::Down, "", "Scroll"),
    on(Zone::Script, UP, Action::Up, "", "Scroll"),
    on(Zone::Script, PAGE_DOWN, Action::PageDown, "", "One page down"),
    on(Zone::Script, PAGE_UP, Action::PageUp, "", "One page up"),
    on(Zone::Script, VIM_LEFT, Action::Left, "", "Scroll to the left"),
    on(Zone::Script, VIM_RIGHT, Action::Right, "", "Scroll to the right"),
    on(Zone::Script, HOME, Action::First, "", "To the beginning"),
    on(Zone::Script, END, Action::Last, "", "To the end"),
    // Dashboard.
    called(
        "stop-run",
        on(
            Zone::Run,
            &[plain('X')],
            Action::StopRun,
            "stop",
            "Stop the replication after the batch at hand; the checkpoint is kept",
        ),
    ),
    // The wizard.
    on(
        Zone::Wizard,
        &[Chord(KeyCode::PageUp, KeyModifiers::CONTROL), Chord(KeyCode::Left, KeyModifiers::ALT), alt('p')],
        Action::StepBack,
        "",
        "To the step before; its values are kept",
    ),
    on(
        Zone::Wizard,
        &[Chord(KeyCode::PageDown, KeyModifiers::CONTROL), Chord(KeyCode::Right, KeyModifiers::ALT), alt('n')],
        Action::StepForward,
        "",
        "To the step after, if it was reached before",
    ),
    on(Zone::NoText, &[plain('?')], Action::Help, "", "Help"),
    on(Zone::NoText, &[plain('q')], Action::Quit, "", "Leave walpilot"),
    on(Zone::Everywhere, &[key(KeyCode::F(1))], Action::Help, "help", "Help for this screen"),
    on(
        Zone::Everywhere,
        &[ctrl('q'), ctrl('c')],
        Action::Quit,
        "quit",
        "Leave walpilot; asks while a replication runs",
    ),
    on(Zone::Everywhere, &[ctrl('z')], Action::Suspend, "", "Back to the shell until fg"),
    #[cfg(debug_assertions)]
    on(Zone::Everywhere, &[Chord(KeyCode::F(12), KeyModifiers::CONTROL)], Action::Panic, "", ""),
];

/// Every binding.
fn all() -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().chain(dashboard::BINDINGS)
}

/// The bindings that have a name: those of the dashboard and the fleet.
pub fn named() -> impl Iterator<Item = &'static Binding> {
    all().filter(|binding| !binding.name.is_empty())
}

/// The keys as the user has them.
#[derive(Clone, Debug, Default)]
pub struct Keymap {
    own: BTreeMap<&'static str, Vec<Chord>>,
}

/// A binding that works now, with its keys.
#[derive(Clone, Copy, Debug)]
pub struct Active<'a> {
    /// What it does.
    pub binding: &'static Binding,
    /// With which keys.
    pub keys: &'a [Chord],
}

impl Keymap {
    /// The keys of a binding.
    #[must_use]
    pub fn keys(&self, binding: &'static Binding) -> &[Chord] {
        self.own.get(binding.name).map_or(binding.keys, Vec::as_slice)
    }

    /// What `event` does on a screen with these zones, the innermost first.
    #[must_use]
    pub fn dispatch(&self, zones: &[Zone], event: KeyEvent) -> Option<Action> {
        let pressed = Chord::of(event);
        let of_zone = |zone: &Zone| {
            let mut bindings = all().filter(|binding| binding.zone == *zone);
            bindings.find(|binding| self.keys(binding).iter().any(|key| key.is(pressed))).map(|binding| binding.action)
        };
        zones.iter().find_map(of_zone)
    }

    /// The bindings that work on a screen with these zones: those that an inner zone hides are left out.
    #[must_use]
    pub fn active(&self, zones: &[Zone]) -> Vec<Active<'_>> {
        let mut active: Vec<Active<'_>> = Vec::new();
        for zone in zones {
            for binding in all().filter(|binding| binding.zone == *zone) {
                let keys = self.keys(binding);
                let hidden = |key: &Chord| active.iter().any(|inner| inner.keys.contains(key));
                if !keys.iter().all(hidden) {
                    active.push(Active { binding, keys });
                }
            }
        }
        active
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Chord, KeyCode, KeyEvent, KeyModifiers, Keymap, Zone, all};

    #[test]
    fn no_key_has_two_meanings_in_one_zone() {
        let bindings: Vec<_> = all().collect();
        for (at, binding) in bindings.iter().enumerate() {
            for other in &bindings[at + 1..] {
                let twice = other.zone == binding.zone && other.keys.iter().any(|key| binding.keys.contains(key));
                assert!(!twice, "{binding:?} {other:?}");
            }
        }
    }

    #[test]
    fn zones_around_text_bind_no_plain_letters() {
        for binding in all() {
            if matches!(
                binding.zone,
                Zone::Text
                    | Zone::SecretText
                    | Zone::Form
                    | Zone::Filter
                    | Zone::DashboardFilter
                    | Zone::Dialog
                    | Zone::Wizard
                    | Zone::Everywhere
            ) {
                let letter = |key: &Chord| matches!(key.0, KeyCode::Char(_)) && key.1.is_empty();
                assert!(!binding.keys.iter().any(letter), "{binding:?}");
            }
        }
    }

    #[test]
    fn an_inner_zone_is_asked_first_and_hides_the_hint_of_an_outer_one() {
        let escape = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
        let zones = [Zone::Filter, Zone::Tables];
        let keymap = Keymap::default();
        assert_eq!(keymap.dispatch(&zones, escape), Some(Action::Back));
        let escapes = keymap.active(&zones).into_iter().filter(|one| one.keys.contains(&super::key(KeyCode::Esc)));
        assert_eq!(escapes.map(|one| one.binding.zone).collect::<Vec<_>>(), [Zone::Filter]);
        let shouted = KeyEvent::new(KeyCode::Char('G'), KeyModifiers::SHIFT);
        assert_eq!(keymap.dispatch(&[Zone::Tables], shouted), Some(Action::Last));
    }
}
